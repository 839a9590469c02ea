"""Imports point down. Every `import` counts, also inside functions and under `TYPE_CHECKING`."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import synthaug

ROOT = Path(synthaug.__file__).parent
GROUND, ROOF = 0, 8
PARTS = {
    GROUND: (
        "__init__ amounts arrays errors features files fingerprint image_sources images items labels oversampling "
        "pipelines records rng schema shards spec tables"
    ),
    1: "codecs generators pool evaluate report",
    2: "opened selection",
    3: "image_folders synthesizer",
    4: "mix",
    ROOF: "config decisions testing",
    ROOF + 1: "auto",
    ROOF + 2: "augmenting demo_images",
    ROOF + 3: "demo",
    ROOF + 4: "cli",
    ROOF + 5: "__main__",
}
FLOOR = {part: floor for floor, parts in PARTS.items() for part in parts.split()}
MEASURING = {"evaluate", "report"}
LIGHTNING = {"lightning", "lightning_fabric", "pytorch_lightning"}
MAY_IMPORT_LIGHTNING = (
    *("synthaug.generators.", "synthaug.synthesizer", "synthaug.mix.datamodule", "synthaug.mix.lightning"),
    "synthaug.mix.trainers",
    "synthaug.demo_images",  # it shows a LightningModule as a user writes one
)
NEVER = {"benchmarks", "examples", "tests", "torchaudio", "torchvision"}


def read_sources() -> dict[str, str]:
    """Module name to source, for all of synthaug."""
    names = {path: ".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in ROOT.rglob("*.py")}
    return {name.removesuffix(".__init__"): path.read_text() for path, name in names.items()}


def imports(source: str) -> Iterator[str]:
    """Every dotted name that a source imports; `from a import b` is `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write the whole name instead of a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def home(name: str, modules: Mapping[str, str]) -> str:
    """The module that an imported name lives in: the longest part of it that is a module, public names looked up."""
    package, _, rest = name.partition(".")
    name = f"{synthaug._HOME[rest]}.{rest}" if package == "synthaug" and rest in synthaug._HOME else name
    while name not in modules:
        name = name.rpartition(".")[0]
    return name


def floor_problem(importer: str, imported: str) -> bool:
    """Whether one part of synthaug (a folder or a file on the first level) must not import the other."""
    if importer == imported or {importer, imported} <= MEASURING:
        return False
    if importer in MEASURING:
        return FLOOR[imported] > GROUND
    if imported in MEASURING:
        return FLOOR[importer] < ROOF
    return FLOOR[imported] > GROUND and FLOOR[imported] >= FLOOR[importer]


def find_problems(modules: Mapping[str, str]) -> list[str]:
    """Every import that breaks a rule of the house, as `importer -> imported`."""
    found = []
    for module, source in modules.items():
        part = (module + ".__init__").split(".")[1]
        for name in imports(source):
            package = name.split(".")[0]
            bad = package in NEVER or (package in LIGHTNING and not module.startswith(MAY_IMPORT_LIGHTNING))
            if part in MEASURING:
                bad |= package == "torch" or name in {"synthaug.rng.isolated", "synthaug.rng.torch_rng"}
            if package == "synthaug":
                bad |= floor_problem(part, (home(name, modules) + ".__init__").split(".")[1])
            if bad:
                found.append(f"{module} -> {name}")
    return found


def find_cycle(modules: Mapping[str, str]) -> list[str]:
    """Modules that import each other in a ring, if there are any."""
    graph = {
        module: {home(name, modules) for name in imports(source) if name.split(".")[0] == "synthaug"} - {"synthaug"}
        for module, source in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_every_part_has_a_floor():
    parts = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts <= set(FLOOR), "give the new part a floor in PARTS and in CONTRIBUTING.md"


def test_imports_point_down():
    assert find_problems(read_sources()) == []


def test_there_is_no_cycle():
    assert find_cycle(read_sources()) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("synthaug.spec", "from synthaug.synthesizer import Synthesizer"),
        ("synthaug.spec", "def late():\n    import synthaug.mix.frame"),
        ("synthaug.spec", "from synthaug import Pool"),
        ("synthaug.codecs.bad", "from synthaug.generators import nets"),
        ("synthaug.generators.bad", "import synthaug.codecs.base"),
        ("synthaug.mix.bad", "import pytorch_lightning as pl"),
        ("synthaug.mix.bad", "from synthaug.evaluate import stats"),
        ("synthaug.evaluate.bad", "import torch"),
        ("synthaug.evaluate.bad", "from synthaug.rng import isolated"),
        ("synthaug.evaluate.bad", "from synthaug.codecs.base import Codec"),
        ("synthaug.report", "from torch import nn"),
        ("synthaug.cli", "from benchmarks import datasets"),
    ],
)
def test_a_forbidden_import_is_found(module, line):
    stubs = dict.fromkeys(
        ["synthaug", "synthaug.codecs.base", "synthaug.generators.nets", "synthaug.evaluate.stats"], ""
    )
    stubs |= dict.fromkeys(["synthaug.rng", "synthaug.synthesizer", "synthaug.mix.frame", "synthaug.pool"], "")
    assert len(find_problems(stubs | {module: line})) == 1


def test_a_cycle_is_found():
    ring = {
        "synthaug": "",
        "synthaug.mix.a": "import synthaug.mix.b",
        "synthaug.mix.b": "def f():\n    import synthaug.mix.a",
    }
    assert set(find_cycle(ring)) == {"synthaug.mix.a", "synthaug.mix.b"}
