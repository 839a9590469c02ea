# `make check test` is what the continuous integration runs; the second time is fast.
PYTHON ?= python3
export PIP_DISABLE_PIP_VERSION_CHECK = 1
BIN = .venv/bin
PEERS = .venv-peers/bin

.PHONY: install demo test test-all test-pandas2 check format bench bench-images bench-peers clean

install: .venv/installed

.venv/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

demo: install
	$(BIN)/synthaug demo

# Two processes, each test file whole in one of them; one thread each.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

test-all: install
	$(BIN)/python -m pytest -q -m ""

# The oldest pandas that setup.cfg allows, in an environment of its own.
test-pandas2: .venv-pandas2/installed
	OMP_NUM_THREADS=1 .venv-pandas2/bin/python -m pytest -q -n 2 --dist loadfile

.venv-pandas2/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-pandas2
	sed "s/^pandas==.*/pandas==2.3.3/" constraints.txt > .venv-pandas2/constraints.txt
	.venv-pandas2/bin/pip install --quiet -c .venv-pandas2/constraints.txt torch==2.13.0
	.venv-pandas2/bin/pip install --quiet -c .venv-pandas2/constraints.txt -e ".[test]"
	touch $@

# Doctests run with the tests: they need the whole library anyway.
check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install
	$(BIN)/python benchmarks/run.py gain_tabular
	$(BIN)/python benchmarks/run.py speed
	$(BIN)/python benchmarks/run.py adult
	$(BIN)/python benchmarks/run.py choosing
	$(BIN)/python benchmarks/run.py study
	$(BIN)/python benchmarks/check.py

# The same of images, over six hours on two cores; gain_images goes on where it was stopped.
bench-images: install
	$(BIN)/python benchmarks/run.py gain_images
	$(BIN)/python benchmarks/run.py gain_images --chosen
	$(BIN)/python benchmarks/run.py image_costs
	$(BIN)/python benchmarks/run.py image_quality
	$(BIN)/python benchmarks/run.py mixing

# CTGAN caps pandas below 3 and its licence is not free; ARF needs numpy below 2.4: they live apart, never in .venv.
.venv-peers/installed: Makefile
	$(PYTHON) -m venv .venv-peers
	$(PEERS)/pip install --quiet torch==2.13.0
	$(PEERS)/pip install --quiet ctgan==0.12.1 arfpy==0.1.1 "numpy<2.4" "pandas<3" pyarrow scikit-learn setuptools
	touch $@

bench-peers: install .venv-peers/installed
	$(PEERS)/python benchmarks/peers.py rows --peers ctgan tvae arf
	$(PEERS)/python benchmarks/peers.py adult --minutes 30
	$(BIN)/python benchmarks/run.py gain_tabular --sizes 100 --seeds 1 --arms smote jitter vae ctgan tvae arf -o benchmarks/results/gain_peers.json
	$(BIN)/python benchmarks/run.py adult

clean:
	rm -rf .venv .venv-pandas2 .venv-peers .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
