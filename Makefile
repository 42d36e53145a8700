# Thin: standard tools do the work. Users type `pip install "clbench[train,data]"` and `clbench ...`.
PY := .venv/bin/python
export OMP_NUM_THREADS := 1
UNITS := tests $(addprefix src/clbench/,core data metrics stats store scoring report context)

.PHONY: setup demo test fast units attack wheel check docs site results bench clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	.venv/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train,qlora,data,abilities,context,figures,slurm,dev]"
	touch .venv/ready

demo: setup
	.venv/bin/clbench run demo

test: check
	$(PY) -m pytest -n 2 --dist loadgroup

# Under 90 seconds on two cores: lint, types, layers, and the tests that load no model
fast: setup
	$(MAKE) --no-print-directory -j 2 check units

units: setup
	$(PY) -m pytest -n 2 --dist loadgroup --no-models -m "not models and not slow and not attack and not wheel" $(UNITS)

# Kills, damages, forgeries and hostile programs by the hundred
attack: setup
	$(PY) -m pytest -n 2 --dist loadgroup -m attack

# The wheel in fresh environments, without extras and with each of them: takes a package index and some minutes
wheel: setup
	$(PY) -m pytest -m wheel tests/e2e/test_wheel.py

check: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright
	.venv/bin/lint-imports

docs: setup
	$(PY) -m docs.build.pages

# The documentation as a site, in English and Chinese: docs-site/index.html. A broken link or a warning is an error
site: setup .venv/site-ready
	$(PY) -m docs.build.site

.venv/site-ready: pyproject.toml constraints.txt
	.venv/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch .venv/site-ready

# Makes the committed results anew, and the tables of the pages from them: make results DATA=FOLDER. What was made before is
# not made again; one recipe alone: make results DATA=FOLDER RECIPES=memory
RECIPES = methods methods-second methods-labels memory merging similarity increments transfer documents abilities \
          cil-worlds mixed-worlds real-text real-labels cil mixed
results: setup
	.venv/bin/clbench run demo --set 'axes.seed=[0, 1, 2]' --record results/demo
	.venv/bin/clbench run long --set 'budget={policy: full}' --record results/long
	for name in $(RECIPES); do .venv/bin/clbench run $$name --data $(DATA) --record results/$$name || exit 1; done
	$(PY) -m docs.build.replay
	$(PY) -m docs.build.notebooks
	$(PY) -m docs.build.pages

bench: setup
	$(PY) bench/run.py
	$(PY) bench/methods.py

clean:
	rm -rf .venv clbench-report .site docs-site
