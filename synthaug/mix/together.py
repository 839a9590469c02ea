"""Several synthesizers that draw one pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synthaug.pool import Pool
from synthaug.rng import derive
from synthaug.synthesizer import Synthesizer

__all__ = ["Together"]


@dataclass(frozen=True)
class Together:
    """Synthesizers that were fitted on the same records; each draws an equal share of each class.

    Args:
        parts: One or more of them. Where a share is not whole, the first ones draw one record more.

    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    >>> parts = [Synthesizer(max_steps=1, random_state=seed).fit(images, ["a", "b"] * 10) for seed in (0, 1)]
    >>> pool = Together(tuple(parts)).sample({"a": 3, "b": 1}, random_state=0)
    >>> pool.counts(), pool.origin.tolist()
    ({'a': 3, 'b': 1}, [0, 0, 0, 1])
    """

    parts: tuple[Synthesizer, ...]

    def sample(self, counts: Mapping[Any, int], *, random_state: int) -> Pool:
        """A pool with exactly `counts` records of each class, those of the first synthesizer first."""
        n = len(self.parts)
        pools = [
            part.sample(
                {label: (count + n - 1 - place) // n for label, count in counts.items()},
                random_state=derive(random_state, "part", place) if place else random_state,
            )
            for place, part in enumerate(self.parts)
        ]
        return Pool.concat([pool for pool in pools if len(pool)] or pools[:1])
