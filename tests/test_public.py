"""The public face: names, documentation, and what it costs to open it."""

import importlib.metadata
import subprocess
import sys
import time
from pathlib import Path

import pytest

import synthaug

HEAVY = ("imblearn", "lightning", "numpy", "pandas", "pyarrow", "pytorch_lightning", "sklearn", "torch")
TRIES = 10  # others use the machine, too


def run(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", synthaug.__all__)
def test_a_public_name_resolves_and_is_listed(name):
    assert name in dir(synthaug)
    assert getattr(synthaug, name) is not None


@pytest.mark.parametrize("name", sorted(set(synthaug.__all__) - {"__version__"}))
def test_a_public_name_is_documented_with_an_example(name):
    value = getattr(synthaug, name)
    assert value.__doc__, "write a docstring"
    assert value.__module__ == synthaug._HOME[name]
    is_exception = isinstance(value, type) and issubclass(value, Exception)
    assert is_exception or ">>>" in value.__doc__, "add a doctest"


def test_no_module_is_called_like_a_public_name():
    """`from synthaug import fidelity` must not depend on what was imported before (STYLE.md, rule 8)."""
    modules = {path.stem for path in Path(synthaug.__file__).parent.rglob("*.py")}
    assert modules.isdisjoint(set(synthaug.__all__) - {"__version__"})


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'synthaug' has no attribute 'Synthesiser'$"):
        _ = synthaug.Synthesiser


def test_the_version_is_the_installed_one():
    assert importlib.metadata.version("synthaug") == synthaug.__version__


def test_importing_is_fast_and_loads_nothing_heavy():
    code = "import sys, time; start = time.perf_counter(); import synthaug; print(time.perf_counter() - start)"
    assert any(float(run("-c", code)) < 0.3 for _ in range(TRIES))
    loaded = run("-c", f"import sys, synthaug; print(*(set({HEAVY}) & set(sys.modules)))")
    assert loaded.split() == []


def test_help_is_fast():
    def seconds() -> float:
        start = time.perf_counter()
        run("-c", "from synthaug.cli import main; main()", "--help")
        return time.perf_counter() - start

    assert any(seconds() < 0.6 for _ in range(TRIES))
