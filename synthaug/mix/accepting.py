"""Pools of records that criteria accept, as many of each class as are wanted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from synthaug.errors import DataError, SynthaugWarning
from synthaug.images import ImageRecords
from synthaug.mix.together import Together
from synthaug.pool import Pool
from synthaug.rng import derive
from synthaug.selection import Criterion, select

__all__ = ["Accepted", "draw_accepted"]

_ROUNDS = 4  # drawings before a class is given up
_MOST = 4  # times as many as are missing that are drawn at once


class Accepted(NamedTuple):
    """A pool, and which share of all that was drawn the criteria accepted."""

    pool: Pool
    accepted: float


def draw_accepted(
    synthesizers: Together, counts: Mapping[Any, int], real: ImageRecords, criteria: Sequence[Criterion], *, seed: int
) -> Accepted:
    """Draw `counts` records of each class that all `criteria` accept; those that are rejected are drawn anew.

    A class that is still short after four rounds has its accepted records repeated, and is warned of.

    Raises:
        DataError: no record of some class was accepted; each such class is named.

    >>> from synthaug import Distance, Synthesizer
    >>> from synthaug.images import read_images
    >>> images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    >>> real = read_images((images, [0] * 10 + [1] * 10))
    >>> fitted = Together((Synthesizer(max_steps=1, random_state=0).fit(real),))
    >>> drawn = draw_accepted(fitted, {0: 3, 1: 2}, real, [Distance(far=float("inf"))], seed=0)
    >>> drawn.pool.counts(), drawn.accepted
    ({0: 3, 1: 2}, 1.0)
    """
    parts: list[Pool] = []
    missing, drawn, accepted = dict(counts), dict.fromkeys(counts, 0), dict.fromkeys(counts, 0)
    for number in range(_ROUNDS):
        wanted = {label: _enough(n, drawn[label], accepted[label]) for label, n in missing.items() if n > 0}
        if not wanted:
            break
        pool = synthesizers.sample(wanted, random_state=derive(seed, "round", number) if number else seed)
        kept = select(pool, real.records, real.labels, criteria, random_state=derive(seed, "select", number)).pool
        found = kept.counts()
        for label, n in wanted.items():
            drawn[label] += n
            accepted[label] += found.get(label, 0)
            missing[label] -= found.get(label, 0)
        parts.append(kept)
    share = sum(accepted.values()) / max(1, sum(drawn.values()))
    if not parts:
        return Accepted(synthesizers.sample({}, random_state=seed), share)
    return Accepted(_exactly(Pool.concat(parts), counts, drawn, accepted), share)


def _enough(missing: int, drawn: int, accepted: int) -> int:
    """How many to draw so that about as many as are missing will be accepted, by what was accepted so far."""
    return missing if not drawn else min(_MOST * missing, ceil(missing * drawn / max(accepted, 1)))


def _exactly(pool: Pool, counts: Mapping[Any, int], drawn: Mapping[Any, int], accepted: Mapping[Any, int]) -> Pool:
    """`counts` records of each class, in order; a class that is short is repeated, and none must be empty."""
    told = {label: f"{label!r} ({accepted[label]} of {drawn[label]} accepted)" for label in counts}
    none = [told[label] for label, n in counts.items() if n and not accepted[label]]
    if none:
        raise DataError(
            f"The criteria accept no synthetic record of {', '.join(none)}: look at what the generator makes of it, "
            "train longer, or take milder `criteria`."
        )
    short = [told[label] for label, n in counts.items() if accepted[label] < n]
    if short:
        warnings.warn(
            f"The criteria accept too few synthetic records of {', '.join(short)}; those accepted are repeated. Train "
            "the generator longer, or take milder `criteria`.",
            SynthaugWarning,
            stacklevel=2,
        )
    places = {label: np.flatnonzero((pool.labels == label).to_numpy(bool)) for label in counts}
    return pool.keep(np.concatenate([np.resize(places[label], n) for label, n in counts.items()]))
