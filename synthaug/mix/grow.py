"""Exactly so many synthetic records for each label, selected where criteria are given: shared by all ways in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from synthaug.errors import ParameterError, SamplingError
from synthaug.pool import Pool
from synthaug.rng import derive
from synthaug.selection import Criterion, check_criteria, select
from synthaug.synthesizer import Synthesizer

__all__ = ["Growth", "grow"]

ROUNDS = 10


@dataclass(frozen=True)
class Growth:
    """What `grow` made.

    Args:
        pool: Exactly the records asked for.
        synthesizer: The fitted one that drew them.
        drawn: How many records were drawn.
        dropped: How many of them did not pass the criteria.
        rejected: As in `Selection`: for each criterion, reason and label, how many were `rejected`, `of` how many.
    """

    pool: Pool
    synthesizer: Synthesizer
    drawn: int
    dropped: int
    rejected: pd.DataFrame


def grow(
    records: pd.DataFrame,
    labels: pd.Series,
    counts: Mapping[Any, int],
    *,
    synthesizer: Synthesizer | None,
    criteria: Sequence[Criterion],
    seed: int,
) -> Growth:
    """Fit a copy of the synthesizer and draw the records asked for.

    Args:
        records: Training records.
        labels: One label a record.
        counts: Synthetic records for each label.
        synthesizer: Taken as it is, but for a `random_state` of None, which becomes `seed`; None is the default one.
        criteria: What a record must pass; rejected records are drawn anew, at most 10 times.
        seed: Of all randomness.

    Raises:
        ParameterError: a synthesizer or criteria that are none.
        SamplingError: too few records passed the criteria.
    """
    if not isinstance(synthesizer, Synthesizer | None):
        raise ParameterError(f"Expected `synthesizer` to be a Synthesizer or None, got {synthesizer!r}.")
    check_criteria(criteria)
    fitted = Synthesizer() if synthesizer is None else clone(synthesizer)
    if fitted.random_state is None:
        fitted.set_params(random_state=derive(seed, "fit"))
    fitted.fit(records, labels)
    if not criteria:
        pool = fitted.sample(counts, random_state=derive(seed, "sample"))
        return Growth(pool, fitted, len(pool), 0, _total([]))
    kept: Pool | None = None
    drawn = dropped = 0
    rejected: list[pd.DataFrame] = []
    for attempt in range(ROUNDS):
        missing = {label: n - _held(kept, label) for label, n in counts.items()}
        if not any(missing.values()):
            break
        draw = {label: n and max(2 * n, 20) for label, n in missing.items()}
        pool = fitted.sample(draw, random_state=derive(seed, "sample", attempt))
        found = select(pool, records, labels, criteria, random_state=derive(seed, "select", attempt))
        drawn, dropped = drawn + len(pool), dropped + len(pool) - len(found.pool)
        rejected.append(found.rejected)
        passed = found.pool.keep(_first(found.pool.labels, missing))
        kept = passed if kept is None else kept + passed
    pool = fitted.sample(counts, random_state=0) if kept is None else kept
    short = {label: n - _held(pool, label) for label, n in counts.items() if _held(pool, label) < n}
    if short:
        few = ", ".join(f"{counts[label] - n} of {counts[label]} for label {label!r}" for label, n in short.items())
        raise SamplingError(
            f"Too few records passed the criteria in {ROUNDS} rounds: {few}. Loosen the criteria, ask for fewer "
            "records, or give the label more training records."
        )
    return Growth(pool, fitted, drawn, dropped, _total(rejected))


def _total(rejected: list[pd.DataFrame]) -> pd.DataFrame:
    """The counts of all rounds in one table."""
    keys, numbers = ["criterion", "reason", "label"], ["rejected", "of"]
    rounds = pd.concat(rejected) if rejected else pd.DataFrame(columns=keys + numbers)
    return rounds.groupby(keys, sort=False, as_index=False)[numbers].sum()


def _held(pool: Pool | None, label: Any) -> int:
    return 0 if pool is None else int((pool.labels == label).sum())


def _first(labels: pd.Series, wanted: Mapping[Any, int]) -> np.ndarray:
    """A mask of the first `wanted[label]` records of each label."""
    first = np.zeros(len(labels), bool)
    for label, n in wanted.items():
        first[np.flatnonzero((labels == label).to_numpy(bool))[:n]] = True
    return first
