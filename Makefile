# Every target does all the set-up that it needs; a second call re-uses it. PYTHON= names another interpreter.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
ENV := .venv
BIN := $(ENV)/bin
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: demo test test-colab test-lowest lint format notebook demonstrations weights repository clean

demo: $(ENV)/library
	$(BIN)/srcnn demo

test: $(ENV)/everything lint
	$(BIN)/python -m pytest

# The same tests with Colab's versions, and with the lower bounds, each in an environment of its own.
test-colab test-lowest: test-%:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 with venv is needed; none was found on the path" >&2; exit 2; }
	test -x .venv-$*/bin/pip || $(PYTHON) -m venv .venv-$*
	.venv-$*/bin/pip install --quiet --disable-pip-version-check --constraint constraints-$*.txt --editable ".[notebook,dev]"
	.venv-$*/bin/python -m pytest

lint: $(ENV)/everything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(ENV)/everything
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebook: $(ENV)/everything
	$(BIN)/jupyter lab notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

# Goes on where the run stopped, and begins it where there is none.
TRAIN = resume=$$(test -e $(1)/config.json && echo --resume); $(BIN)/srcnn train $(2) --out $(1) $$resume

# From the run behind the released ×2 network (half an hour on two cores where it is not there yet) and one of a minute.
demonstrations: $(ENV)/library
	$(call TRAIN,runs/srcnn_y_x2,$(PHOTOGRAPHS) $(X2))
	$(call TRAIN,runs/t91-from-nothing,$(NOTHING))
	$(BIN)/python demonstrations/make.py runs/srcnn_y_x2 runs/t91-from-nothing

$(ENV)/library: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 with venv is needed; none was found on the path" >&2; exit 2; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(ENV)
	@echo "installing the library (some minutes and 5 GB the first time, most of it torch) …"
	$(INSTALL) .
	@touch $@

$(ENV)/everything: $(ENV)/library
	@echo "installing what notebooks and tests need …"
	$(INSTALL) ".[notebook,dev]"
	@touch $@

# The released networks, trained again from T91 and BSDS500 (fetched, or under SRCNN_DATA): `make weights` all four, or
# `make saved/srcnn_y_x2.safetensors` one. Hours on two cores; stopped and called again, it goes on.
weights: saved/srcnn_y_x2.safetensors saved/srcnn_y_x3.safetensors saved/srcnn_y_x4.safetensors saved/isr_best.pth

PHOTOGRAPHS := --data t91 --data bsds500 --test bsds500:validation
Y_NETWORK := --channels 1 --widths 64,32 --shrink 0.8,0.6
NOTHING := --data t91 --channels 1 --widths 64,32 --limit 30 --init torch --epochs 20
X2 := $(Y_NETWORK) --scale 2 --steps 40000
saved/srcnn_y_x2.safetensors: TRAINING = $(X2)
saved/srcnn_y_x3.safetensors: TRAINING = $(Y_NETWORK) --scale 3 --steps 40000
saved/srcnn_y_x4.safetensors: TRAINING = $(Y_NETWORK) --scale 4 --steps 40000
saved/isr_best.pth: TRAINING = --scale 2 --steps 8000 --objective mse --finish 0 --center 0 --recycle 0
RUN = runs/$(basename $(notdir $@))
.PHONY: saved/srcnn_y_x2.safetensors saved/srcnn_y_x3.safetensors saved/srcnn_y_x4.safetensors saved/isr_best.pth
saved/srcnn_y_x2.safetensors saved/srcnn_y_x3.safetensors saved/srcnn_y_x4.safetensors saved/isr_best.pth: $(ENV)/library
	$(call TRAIN,$(RUN),$(PHOTOGRAPHS) $(TRAINING))
	$(BIN)/srcnn release $(RUN) --out $@

# make repository URL=https://github.com/OWNER/NAME: the public address, wherever it stands.
repository:
	@test -n "$(URL)" || { echo "say which: make repository URL=https://github.com/OWNER/NAME" >&2; exit 2; }
	@old=$$(sed -n 's|^Repository = "https://github.com/\(.*\)"|\1|p' pyproject.toml) && new=$${URL#https://github.com/} && \
	for file in pyproject.toml README.md notebooks/*.ipynb; do \
		sed "s|$$old|$$new|g" $$file > $$file.new && mv $$file.new $$file; done

clean:
	rm -rf $(ENV) build dist *.egg-info .pytest_cache .ruff_cache
