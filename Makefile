# Every target does all the set-up that it needs; a second call re-uses it. PYTHON= names another interpreter.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
ENV := .venv
BIN := $(ENV)/bin
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

# Two tests at a time, each on one thread.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

.PHONY: demo test check attack test-colab test-lowest lint format notebook demonstrations weights repository clean

demo: $(ENV)/library
	$(BIN)/srcnn demo

test: $(ENV)/everything lint
	$(PYTEST)

# The tests that are neither slow nor need a browser or several processes.
check: $(ENV)/everything
	$(PYTEST) -m "not slow and not browser and not distributed"

# Thousands of damaged files, kills, full disks and hostile servers; docs/reliability.md holds the last table. Some hours;
# ATTACK="--only 'mutated pictures' --part 0.01" does less.
attack: $(ENV)/everything
	OMP_NUM_THREADS=1 $(BIN)/python tests/attacks $(ATTACK)

# The same tests with Colab's versions, and with the lower bounds, each in an environment of its own.
test-colab test-lowest: test-%:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 with venv is needed; none was found on the path" >&2; exit 2; }
	test -x .venv-$*/bin/pip || $(PYTHON) -m venv .venv-$*
	.venv-$*/bin/pip install --quiet --disable-pip-version-check --constraint constraints-$*.txt --editable ".[notebook,dev]"
	$(subst $(BIN),.venv-$*/bin,$(PYTEST))

lint: $(ENV)/everything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(ENV)/everything
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# With the environment on the path, so that `!srcnn` in a cell is the one that is installed here. JupyterLab's files and
# terminals begin in the project, where runs/ and results/ are.
notebook: $(ENV)/everything
	PATH="$(CURDIR)/$(BIN):$$PATH" jupyter lab --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

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

# The released networks, trained again from T91 and BSDS500 (fetched, or under SRCNN_DATA): `make weights` all five, or
# `make saved/srcnn_y_x2.safetensors` one. Hours on two cores; stopped and called again, it goes on.
WEIGHTS := saved/srcnn_y_x2.safetensors saved/srcnn_y_x3.safetensors saved/srcnn_y_x4.safetensors \
	saved/srcnn_y_x2_jpeg.safetensors saved/isr_best.pth
weights: $(WEIGHTS)

PHOTOGRAPHS := --data t91 --data bsds500 --validation bsds500:validation
Y_NETWORK := --channels 1 --widths 64,32 --scale-augmentation 0.8,0.6
NOTHING := --data t91 --channels 1 --widths 64,32 --limit 30 --init torch --epochs 20 --kernel-ridge 3e-7
X2 := $(Y_NETWORK) --scale 2 --steps 78000
saved/srcnn_y_x2.safetensors: TRAINING = $(X2)
saved/srcnn_y_x3.safetensors: TRAINING = $(Y_NETWORK) --scale 3 --steps 100000 --init saved/srcnn_y_x2.safetensors
saved/srcnn_y_x4.safetensors: TRAINING = $(Y_NETWORK) --scale 4 --steps 60000 --init saved/srcnn_y_x3.safetensors
saved/srcnn_y_x2_jpeg.safetensors: TRAINING = $(Y_NETWORK) --scale 2 --steps 12000 --learning-rate 1e-3 \
	--init saved/srcnn_y_x2.safetensors --degrade jpeg:30-95
saved/srcnn_y_x2_jpeg.safetensors: MEASURED = --degrade jpeg:50
saved/isr_best.pth: TRAINING = --channels 3 --widths 128,64 --scale-augmentation 0.8,0.6 --scale 2 --steps 40000 \
	--init runs/isr_first
saved/isr_best.pth: isr_first
RUN = runs/$(basename $(notdir $@))
.PHONY: $(WEIGHTS)
$(WEIGHTS): $(ENV)/library
	$(call TRAIN,$(RUN),$(PHOTOGRAPHS) $(TRAINING))
	$(BIN)/srcnn release $(RUN) --out $@ $(MEASURED)

# What isr_best.pth was begun from: an earlier recipe.
.PHONY: isr_first
isr_first: $(ENV)/library
	$(call TRAIN,runs/isr_first,$(PHOTOGRAPHS) --scale 2 --steps 8000 --loss mse --float32-fraction 0 --input-center 0 \
		--reinit-dead-every 0 --kernel-ridge 0)

# The example run that the notebooks show where there is no run yet: a few minutes on two cores. Another training takes
# its place with EXAMPLE="…", up to 24-12 or 32-16 wide on Y: the folder has to stay below 2 MB.
EXAMPLE := --channels 1 --widths 32,16 --scale 2 --init torch --steps 12000 --kernel-ridge 1e-6
EXAMPLE_PROBE := $(patsubst %,--validation samples:%,astronaut chelsea coffee rocket)
.PHONY: saved/example_run
saved/example_run: $(ENV)/library
	$(call TRAIN,runs/example_run,--data t91 $(EXAMPLE_PROBE) $(EXAMPLE))
	$(BIN)/python -c 'from srcnn_lib.pretrained import write_example_run; print(write_example_run("runs/example_run"))'

# make repository URL=https://github.com/OWNER/NAME [BRANCH=NAME]: changes the address of the project, and the branch in
# its links, in every file that has them. The address may end with a slash or .git, and may be git@github.com:OWNER/NAME.
ADDRESSED = pyproject.toml CITATION.cff $(wildcard *.md docs/*.md) $(wildcard notebooks/*.ipynb)
OLD_PROJECT = $(shell sed -n 's|^Repository = "https://github.com/\(.*\)"|\1|p' pyproject.toml)
NEW_PROJECT = $(patsubst %.git,%,$(patsubst %/,%,$(patsubst git@github.com:%,%,$(patsubst https://github.com/%,%,$(URL)))))
# $(call matches,TEXT,PATTERN): not empty if the whole text is one.
matches = $(shell printf '%s\n' '$(subst ','\'',$(1))' | grep -Ex '$(2)')
OWNER_AND_NAME := [A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*
BRANCH_NAME := [A-Za-z0-9_][A-Za-z0-9._-]*
USAGE = usage: make repository URL=https://github.com/OWNER/NAME [BRANCH=NAME, without a slash]

repository:
	$(if $(filter https://github.com/% git@github.com:%,$(URL)),,$(error $(USAGE)))
	$(if $(call matches,$(NEW_PROJECT),$(OWNER_AND_NAME)),,$(error $(USAGE)))
	$(if $(BRANCH),$(if $(call matches,$(BRANCH),$(BRANCH_NAME)),,$(error $(USAGE))))
	@old='$(subst .,\.,$(OLD_PROJECT))' && new='$(NEW_PROJECT)' && branch='$(BRANCH)' && for file in $(ADDRESSED); do \
		sed -E -e "s#$$old([^A-Za-z0-9_-]|\$$)#$$new\1#g" \
			$${branch:+-e "s#($$new/(blob|tree|raw)/)[A-Za-z0-9._-]+#\1$$branch#g" \
				-e "s#(raw\.githubusercontent\.com/$$new/)[A-Za-z0-9._-]+#\1$$branch#g" \
				-e "s#($$new/[A-Za-z0-9./_-]*[?]branch=)[A-Za-z0-9._-]+#\1$$branch#g"} \
			$$file > $$file.new && mv $$file.new $$file || exit; done

clean:
	rm -rf $(ENV) .venv-colab .venv-lowest build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
