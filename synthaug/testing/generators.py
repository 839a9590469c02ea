"""The contract of a generator as checks. Each trains a small network on records with a rule that gives the label."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from synthaug.errors import CollapseWarning, DataError
from synthaug.generators.base import GeneratorModule
from synthaug.generators.training import Training
from synthaug.rng import isolated, torch_rng
from synthaug.spec import Field, Spec
from synthaug.testing.asserting import global_state

__all__ = ["GENERATOR_CHECKS", "GRID", "check_generator"]

Build = Callable[[dict[str, Any], int], GeneratorModule]
GRID = Spec((2, 9, 14))
"""The small grids that a generator of grids is checked with."""
SPEC = Spec((6,), (Field("a", "number"), Field("b", "number"), Field("c", "category", 3), Field("d", "uniform")))


def check_generator(build: Build, *, spec: Spec = SPEC) -> None:
    """Run every check of `GENERATOR_CHECKS`.

    Args:
        build: A `GeneratorModule` class, or a partial of one.
        spec: Of the records to check with: `GRID` for a generator of grids, flat records by default.

    >>> from synthaug import ConditionalVAE
    >>> check_generator(ConditionalVAE)
    """
    for check in GENERATOR_CHECKS:
        check(build, spec)


def check_generator_shape(build: Build, spec: Spec = SPEC) -> None:
    """One finite record for each code, none for none, categories one-hot, uniform fields in [0, 1)."""
    module = _trained(build, spec, steps=20)
    for n in (0, 1, 50):
        x = module.sample(_codes(n), rng=torch_rng(0))
        assert x.shape == (n, *spec.shape), f"{n} codes became records of shape {tuple(x.shape)}"
        assert torch.isfinite(x).all(), "records are not finite"
        if not spec.fields:
            assert x.abs().max() <= 1 if n else True, "a grid leaves [-1, 1]"
            continue
        assert ((x[:, 2:5] == 0) | (x[:, 2:5] == 1)).all(), "a category is not one-hot"
        assert (x[:, 2:5].sum(1) == 1).all(), "a category is not one-hot"
        assert ((x[:, 5] >= 0) & (x[:, 5] < 1)).all(), "a uniform field leaves [0, 1)"


def check_generator_obeys_labels(build: Build, spec: Spec = SPEC) -> None:
    """Records of a class look like those of the class, also where it is rare."""
    module = _trained(build, spec, steps=600)
    x = module.sample(_codes(400), rng=torch_rng(0))
    place = _place(x)
    apart = place[1::2].mean() - place[::2].mean()
    assert 2 < apart < 6, f"classes that lie 4 apart are drawn {float(apart):.1f} apart: the label is not obeyed"
    if not spec.fields:
        return
    share = x[1::2, 2].mean()
    assert share > 0.7, f"a level that all records of a class have comes in {float(share):.0%} of them"


def check_generator_same_seed(build: Build, spec: Spec = SPEC) -> None:
    """The same rng gives the same bits, another one others."""
    module = _trained(build, spec, steps=20)
    first, second, other = (module.sample(_codes(20), rng=torch_rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, second), "the same rng gives other records"
    assert not torch.equal(first, other), "another rng gives the same records"


def check_generator_global_state(build: Build, spec: Spec = SPEC) -> None:
    """Neither training nor sampling moves global randomness."""
    with isolated(0):
        module = build(spec.to_dict(), 2)
    before = global_state()
    with warnings.catch_warnings(action="ignore", category=CollapseWarning):
        Training(20).run(module, *_records(spec))
    assert global_state() == before, "training moved global randomness"
    module.sample(_codes(20), rng=torch_rng(0))
    assert global_state() == before, "sampling moved global randomness"


def check_generator_learns(build: Build, spec: Spec = SPEC) -> None:
    """Training brings the records of each class nearer to the data."""
    x, y = _records(spec)
    wanted = torch.stack([x[y == code].flatten(1).mean(0) for code in (0, 1)])
    some = slice(None if x.ndim > 2 else 2)  # of flat records, the two numbers

    def off(module: GeneratorModule) -> float:
        drawn = module.sample(_codes(400), rng=torch_rng(0)).flatten(1)
        return float((torch.stack([drawn[::2].mean(0), drawn[1::2].mean(0)]) - wanted)[:, some].abs().sum())

    with isolated(0):
        untrained = build(spec.to_dict(), 2)
    before, after = off(untrained.eval()), off(_trained(build, spec, steps=600))
    assert after < before / 2, f"the class means are {after:.2f} off after training, {before:.2f} before"


def check_generator_small_classes(build: Build, spec: Spec = SPEC) -> None:
    """One class works, and so does a class of one record, or a DataError names what works."""
    x, y = _records(spec)
    for rows, n_classes in ((torch.cat([torch.where(y == 0)[0], torch.where(y == 1)[0][:1]]), 2), (y == 0, 1)):
        with isolated(0):
            module = build(spec.to_dict(), n_classes)
        try:
            with warnings.catch_warnings(action="ignore", category=CollapseWarning):
                Training(20).run(module, x[rows], y[rows])
        except DataError as refused:
            if "generator=" in str(refused):
                continue
            raise AssertionError("a refusal of a small class does not name a generator that works") from refused
        drawn = module.sample(torch.full((9,), n_classes - 1), rng=torch_rng(0))
        assert torch.isfinite(drawn).all(), "records of a small class are not finite"


def check_generator_state(build: Build, spec: Spec = SPEC) -> None:
    """The weights survive a safetensors file: a fresh network with them draws the same records."""
    module = _trained(build, spec, steps=20)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.safetensors")
        save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, path)
        with isolated(1):
            again = build(spec.to_dict(), 2).eval()
        again.load_state_dict(load_file(path))
    same = torch.equal(again.sample(_codes(9), rng=torch_rng(0)), module.sample(_codes(9), rng=torch_rng(0)))
    assert same, "the stored weights draw other records"


GENERATOR_CHECKS: tuple[Callable[..., None], ...] = (
    check_generator_shape,
    check_generator_obeys_labels,
    check_generator_same_seed,
    check_generator_global_state,
    check_generator_learns,
    check_generator_small_classes,
    check_generator_state,
)


def _records(spec: Spec) -> tuple[Tensor, Tensor]:
    """80 records, one in five of class 1, which lies 4 to the right (and, flat, has the first level)."""
    rng = torch_rng(0, "records")
    y = (torch.arange(80) % 5 == 0).long()
    x = torch.zeros(80, *spec.shape)
    if spec.fields:
        x[:, :2] = torch.randn(80, 2, generator=rng)
        x[:, 0] += 4 * y - 1
        x[torch.arange(80), torch.where(y == 1, 2, 2 + torch.arange(80) % 3)] = 1
        x[:, 5] = torch.rand(80, generator=rng)
        return x, y
    column = 2 + 7 * y + torch.randint(3, (80,), generator=rng)
    across = torch.arange(spec.shape[2])
    bar = (across >= column[:, None] - 1) & (across <= column[:, None] + 1)
    height = 0.6 + 0.4 * torch.rand(80, 1, generator=rng)
    return (2 * height * bar - 1)[:, None, None, :].expand(80, *spec.shape).contiguous(), y


def _place(x: Tensor) -> Tensor:
    """How far to the right each record lies, `(n,)`."""
    half = x.shape[-1] // 2
    return x[:, 0] if x.ndim == 2 else 2.9 * (x[..., half:].mean((1, 2, 3)) - x[..., :half].mean((1, 2, 3)))


def _codes(n: int) -> Tensor:
    return torch.arange(n) % 2


def _trained(build: Build, spec: Spec, *, steps: int) -> GeneratorModule:
    with isolated(0):
        module = build(spec.to_dict(), 2)
    with warnings.catch_warnings(action="ignore", category=CollapseWarning):  # the fits are too short for variety
        Training(steps if spec.fields else max(20, steps // 4)).run(module, *_records(spec))
    return module
