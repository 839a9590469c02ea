"""Which records of a pool an epoch takes, and in which order: functions of arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthaug.errors import ParameterError, raise_problems
from synthaug.labels import by_label
from synthaug.schema import plain

__all__ = ["Allocation", "Blocks", "apportion", "draw_weighted", "level_up", "permuted", "spread"]


def permuted(n: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """`(size,)` of `n` positions: each once before any twice.

    >>> sorted(permuted(3, 5, np.random.default_rng(0))[:3].tolist())
    [0, 1, 2]
    """
    rounds = [rng.permutation(n) for _ in range(-(-size // n))]
    return np.concatenate([*rounds, np.empty(0, np.int64)])[:size].astype(np.int64)


def spread(n: int, most: int) -> np.ndarray:
    """Places of at most `most` of `n` items, evenly spread, in order.

    >>> spread(7, 3).tolist(), spread(2, 3).tolist()
    ([0, 3, 6], [0, 1])
    """
    return np.unique(np.linspace(0, n - 1, min(most, n)).astype(int))


def draw_weighted(weights: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """`(size,)` positions, each as often as its weight says, give or take one, in random order.

    Systematic resampling (Kitagawa, J. Comput. Graph. Stat. 1996): equally spaced points on the stacked weights.

    >>> np.bincount(draw_weighted(np.array([1.0, 3.0]), 8, np.random.default_rng(0))).tolist()
    [2, 6]
    """
    ends = np.cumsum(weights)
    points = (np.arange(size) + rng.random()) * (ends[-1] / size)
    return rng.permutation(np.minimum(np.searchsorted(ends, points, side="right"), np.flatnonzero(weights)[-1]))


def apportion(shares: np.ndarray, size: int) -> np.ndarray:
    """Whole numbers in proportion to `shares` that add up to `size` (largest remainders).

    >>> apportion(np.array([1.0, 1.0, 2.0]), 6).tolist()
    [2, 1, 3]
    """
    exact = shares / shares.sum() * size
    counts = np.floor(exact + 1e-9).astype(np.int64)
    first = np.argsort(counts - exact, kind="stable")[: size - counts.sum()]
    counts[first] += 1
    return counts


def level_up(counts: np.ndarray, size: int) -> np.ndarray:
    """How to add `size` to `counts` so that they become as equal as can be: the smallest first.

    >>> level_up(np.array([100, 10, 4]), 20).tolist()
    [0, 7, 13]
    """
    rising = np.sort(counts).astype(float)
    number = np.arange(1, len(rising) + 1)
    levels = (size + np.cumsum(rising)) / number  # of the smallest 1, 2, ... if all of `size` went to them
    level = levels[np.flatnonzero(levels >= rising)[-1]]
    missing = np.maximum(level - counts, 0.0)
    return apportion(missing, size) if missing.sum() > 0 else np.zeros(len(counts), np.int64)


@dataclass(frozen=True, eq=False)
class Blocks:
    """Which records lie together on disk, and an order in which few blocks are read at a time.

    Blocks come in random order. So many of them as fit into memory together are shuffled among themselves.

    Args:
        starts: `(n_blocks + 1,)` where each block begins, and where the last ends.
        together: Blocks that are in memory at a time.

    >>> blocks = Blocks(np.array([0, 2, 4, 6, 8]), together=2)
    >>> [sorted(part.tolist()) for part in blocks.passes(np.random.default_rng(2))]
    [[4, 5, 6, 7], [0, 1, 2, 3]]
    """

    starts: np.ndarray
    together: int

    def passes(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """All positions, each once, in parts of as many blocks as are in memory together."""
        n = len(self.starts) - 1
        if n <= self.together:  # as a pool in memory
            yield permuted(int(self.starts[-1]), int(self.starts[-1]), rng)
            return
        order = rng.permutation(n)
        for start in range(0, n, self.together):
            some = order[start : start + self.together]
            yield rng.permutation(np.concatenate([np.arange(self.starts[i], self.starts[i + 1]) for i in some]))

    def arrange(self, places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The positions `places` in such an order."""
        n = len(self.starts) - 1
        if n <= self.together:
            return places
        turn = rng.permutation(n)[np.searchsorted(self.starts, places, side="right") - 1] // self.together
        return places[np.argsort(turn + rng.random(len(places)), kind="stable")]


@dataclass(frozen=True, eq=False)
class Allocation:
    """How many synthetic records of each class an epoch takes.

    Args:
        codes: `(n,)` the class of each record of the pool.
        shares: `(n_classes,)` the share of each class; None to level up `real`.
        real: `(n_classes,)` real records of each class.

    >>> pool = pd.Series(["a", "b", "b"])
    >>> Allocation.of(pool, "balance", {"a": 7, "b": 3}).budget(6).tolist()
    [1, 5]
    >>> Allocation.of(pool, {"a": 1, "b": 2}).budget(6).tolist()
    [2, 4]
    """

    codes: np.ndarray
    shares: np.ndarray | None
    real: np.ndarray

    @classmethod
    def of(
        cls, labels: pd.Series, allocation: str | Mapping[Any, float], real: Mapping[Any, int] | None = None
    ) -> Allocation:
        """The allocation that a user asks for: "balance", which needs the counts of `real` labels, or shares.

        Raises:
            ParameterError: something else, shares of labels that the pool lacks, or of nothing at all.
        """
        codes, levels = pd.factorize(labels, sort=True)
        known = [plain(level) for level in levels]
        if isinstance(allocation, str) and allocation == "balance":
            return cls(codes, None, np.array([dict(real or {}).get(label, 0) for label in known]))
        if not isinstance(allocation, Mapping):
            raise ParameterError(
                f'Expected `allocation` to be "pool", "balance" or a dict of label to share, got {allocation!r}.'
            )
        shares = by_label(allocation)
        raise_problems(_problems(shares, known), ParameterError)
        return cls(codes, np.array([float(shares.get(label, 0)) for label in known]), np.zeros(len(known)))

    def budget(self, size: int) -> np.ndarray:
        """`(n_classes,)` records of each class among `size`."""
        return level_up(self.real, size) if self.shares is None else apportion(self.shares, size)

    def draw(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """`(size,)` positions: the budget of each class, evenly spread, each record once before any twice."""
        places, keys = [], []
        for code, n in enumerate(self.budget(size)):
            members = np.flatnonzero(self.codes == code)
            places.append(members[permuted(len(members), int(n), rng)])
            keys.append((np.arange(n) + rng.random()) / max(n, 1))
        return np.concatenate(places)[np.argsort(np.concatenate(keys), kind="stable")]


def _problems(shares: Mapping[Any, Any], known: list[Any]) -> list[str]:
    hashes = set(known)  # shares are looked up by hash, where a Tensor is no number
    problems = [
        f"Expected shares of labels in the pool ({', '.join(map(repr, known))}), got one of {label!r}."
        for label in shares
        if label not in hashes
    ]
    problems += [
        f"Expected the share of {label!r} to be at least 0 and finite, got {share!r}."
        for label, share in shares.items()
        if isinstance(share, bool) or not isinstance(share, int | float | np.number) or not 0 <= share < np.inf
    ]
    if not problems and not sum(shares.values()) > 0:
        problems.append(f"Expected at least one share above 0, got {dict(shares)!r}.")
    return problems
