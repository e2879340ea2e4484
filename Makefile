# Every target does all the set-up that it needs; a second call re-uses it. PYTHON= names another interpreter.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
ENV := .venv
BIN := $(ENV)/bin
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: demo test lint format notebook demonstrations repository clean

demo: $(ENV)/library
	$(BIN)/srcnn demo

test: $(ENV)/everything lint
	$(BIN)/python -m pytest

lint: $(ENV)/everything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(ENV)/everything
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebook: $(ENV)/everything
	$(BIN)/jupyter lab notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

# Some twenty minutes on two cores; the runs stay in runs/.
demonstrations: $(ENV)/library
	$(BIN)/srcnn train --data t91 --channels 1 --widths 64,32 --minutes 10 --out runs/t91
	$(BIN)/srcnn train --data t91 --channels 1 --widths 64,32 --limit 30 --init torch --epochs 20 --out runs/t91-from-nothing
	$(BIN)/python demonstrations/make.py runs/t91 runs/t91-from-nothing

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

# make repository URL=https://github.com/OWNER/NAME: the public address, wherever it stands.
repository:
	@test -n "$(URL)" || { echo "say which: make repository URL=https://github.com/OWNER/NAME" >&2; exit 2; }
	@old=$$(sed -n 's|^Repository = "https://github.com/\(.*\)"|\1|p' pyproject.toml) && new=$${URL#https://github.com/} && \
	for file in pyproject.toml README.md notebooks/*.ipynb; do \
		sed "s|$$old|$$new|g" $$file > $$file.new && mv $$file.new $$file; done

clean:
	rm -rf $(ENV) build dist *.egg-info .pytest_cache .ruff_cache
