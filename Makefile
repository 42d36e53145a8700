# Thin: standard tools do the work. Users type `pip install "clbench[train,data]"` and `clbench ...`.
PY := .venv/bin/python
export OMP_NUM_THREADS := 1

.PHONY: setup demo test attack check docs results bench clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	.venv/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train,data,abilities,dev]"
	touch .venv/ready

demo: setup
	.venv/bin/clbench run recipes/demo.yaml

test: check
	$(PY) -m pytest -n 2 --dist loadgroup

# Kills, damages, forgeries and hostile programs by the hundred
attack: setup
	$(PY) -m pytest -n 2 --dist loadgroup -m attack tests/attack

check: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright
	.venv/bin/lint-imports

docs: setup
	$(PY) -m clbench.testing.pages

# Makes the committed results anew, and the tables of the pages from them: make results DATA=FOLDER
results: setup
	.venv/bin/clbench run recipes/demo.yaml --record results/demo
	.venv/bin/clbench run recipes/methods.yaml --record results/methods
	.venv/bin/clbench run recipes/abilities.yaml --record results/abilities
	.venv/bin/clbench run recipes/real-text.yaml --data $(DATA) --record results/real-text
	.venv/bin/clbench run recipes/real-labels.yaml --data $(DATA) --record results/real-labels
	.venv/bin/clbench run recipes/long.yaml --set 'budget={policy: full}' --record results/long
	$(PY) -m clbench.testing.pages

bench: setup
	$(PY) bench/run.py
	$(PY) bench/methods.py

clean:
	rm -rf .venv clbench-report
