"""Randomness: one seed in, independent numpy and torch streams out, the global state untouched.

A stream is named by a *key*, so that asking for one stream more or fewer never shifts another.
"""

from __future__ import annotations

import random
import secrets
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.errors import ParameterError

if TYPE_CHECKING:
    import torch

__all__ = [
    *("RandomState", "as_seed", "derive", "global_states", "isolated", "numpy_rng", "restore_globals", "torch_rng"),
    "untouched",
]

RandomState = int | np.integer | np.random.RandomState | np.random.Generator | None
_LIMIT = 2**63 - 1
_GLOBAL = threading.RLock()  # there is one global state: threads that need it take turns


def as_seed(random_state: RandomState) -> int:
    """Turn what scikit-learn calls a `random_state` into one integer in [0, 2**63).

    `None` gives a fresh seed from the operating system; a generator gives its next draw (and so moves on).

    >>> as_seed(7)
    7
    >>> as_seed("seven")
    Traceback (most recent call last):
    ...
    synthaug.errors.ParameterError: Expected `random_state` to be None, a non-negative int or a numpy generator, got 'seven'.
    """  # noqa: E501
    if random_state is None:
        return secrets.randbelow(_LIMIT)
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**31 - 1))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(0, _LIMIT))
    if (
        isinstance(random_state, int | np.integer)
        and not isinstance(random_state, bool)
        and 0 <= random_state <= _LIMIT
    ):
        return int(random_state)
    raise ParameterError(
        f"Expected `random_state` to be None, a non-negative int or a numpy generator, got {random_state!r}."
    )


def _sequence(seed: int, key: tuple[int | str, ...]) -> np.random.SeedSequence:
    numbers = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key]
    return np.random.SeedSequence(seed, spawn_key=numbers)


def derive(seed: int, *key: int | str) -> int:
    """A seed of its own for the stream named by `key`.

    >>> derive(0, "fit") == derive(0, "fit"), derive(0, "fit") == derive(0, "sample")
    (True, False)
    """
    return int(_sequence(seed, key).generate_state(1, np.uint64)[0] >> 1)


def numpy_rng(seed: int, *key: int | str) -> np.random.Generator:
    """A numpy generator for the stream named by `key`.

    >>> numpy_rng(0, "folds").integers(10) == numpy_rng(0, "folds").integers(10)
    np.True_
    """
    return np.random.default_rng(_sequence(seed, key))


def torch_rng(seed: int, *key: int | str) -> torch.Generator:
    """A torch generator on the CPU for the stream named by `key` (draw there, then move: the same bits on any device).

    >>> import torch
    >>> bool(torch.rand((), generator=torch_rng(0)) == torch.rand((), generator=torch_rng(0)))
    True
    """
    import torch

    return torch.Generator().manual_seed(derive(seed, *key))


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, numpy and torch inside the block; put them back after it.

    For code that we do not own and that draws from global state (weight initialisation, Lightning, loaders). Threads
    enter one at a time, so that each sees its own draws.

    >>> before = np.random.get_state()[1].copy()
    >>> with isolated(0):
    ...     _ = np.random.rand()
    >>> bool((np.random.get_state()[1] == before).all())
    True
    """
    import torch

    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with _GLOBAL, torch.random.fork_rng(devices), untouched():
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        yield


@contextmanager
def untouched() -> Iterator[None]:
    """Put the global generators back after the block; that of torch on the CPU if torch is loaded already.

    >>> before = random.getstate()
    >>> with untouched():
    ...     _ = random.random()
    >>> random.getstate() == before
    True
    """
    torch = sys.modules.get("torch")
    with _GLOBAL:
        python, numpy = random.getstate(), np.random.get_state()
        state = None if torch is None else torch.get_rng_state()
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            if torch is not None:
                torch.set_rng_state(state)


def global_states() -> dict[str, Any]:
    """The states of the global generators of Python, numpy and torch, as tensors and plain values for a checkpoint.

    >>> sorted(global_states())
    ['numpy', 'python', 'torch']
    """
    import torch

    version, numbers, gauss = random.getstate()
    kind, keys, *rest = np.random.get_state()
    assert not isinstance(kind, dict)
    return {
        "python": [version, torch.tensor(numbers, dtype=torch.int64), gauss],
        "numpy": [kind, torch.from_numpy(np.asarray(keys, np.int64)), *rest],
        "torch": torch.get_rng_state(),
    }


def restore_globals(states: Mapping[str, Any]) -> None:
    """Put the global generators back to where `global_states` found them: only ever to go on with a run.

    >>> before = global_states()
    >>> first = np.random.rand(), random.random()
    >>> restore_globals(before)
    >>> first == (np.random.rand(), random.random())
    True
    >>> restore_globals(before)
    """
    import torch

    version, numbers, gauss = states["python"]
    kind, keys, *rest = states["numpy"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"])
