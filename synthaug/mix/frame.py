"""A DataFrame in, a longer DataFrame out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from synthaug.amounts import synthetic_counts
from synthaug.codecs.frames import check_frame
from synthaug.errors import DataError, ParameterError, listed
from synthaug.labels import check_labels, warn_of_many
from synthaug.mix.grow import Growth, grow
from synthaug.rng import RandomState, as_seed
from synthaug.selection import Criterion
from synthaug.synthesizer import Synthesizer

__all__ = ["check_table", "grow_frame"]


def grow_frame(
    df: pd.DataFrame,
    target: Any,
    *,
    sampling_strategy: Any = "auto",
    amount: float | Mapping[Any, int] | None = None,
    synthesizer: Synthesizer | None = None,
    criteria: Sequence[Criterion] = (),
    flag: str | None = None,
    random_state: RandomState = None,
) -> tuple[pd.DataFrame, Growth | None]:
    """The longer table that `synthaug.augment` returns, and how it came about; None if there was nothing to add.

    >>> df = pd.DataFrame({"size": [1.0, 1.2, 1.1, 1.3, 5.1, 5.0], "kind": ["small"] * 4 + ["big"] * 2})
    >>> grown, growth = grow_frame(df, "kind", random_state=0)
    >>> len(grown), growth.pool.counts()
    (8, {'big': 2})
    """
    check_table(df, target, flag)
    grown = df.reset_index(drop=True)
    labels, records = check_labels(grown[target], name=target), grown.drop(columns=[target])
    counts = synthetic_counts(labels, sampling_strategy=sampling_strategy, amount=amount)
    if flag is not None:
        grown = grown.assign(**{flag: False})
    if not any(counts.values()):
        warn_of_many(labels)
        return grown, None
    growth = grow(records, labels, counts, synthesizer=synthesizer, criteria=criteria, seed=as_seed(random_state))
    added = growth.pool.to_dataframe(target=target, flag=flag)[list(grown.columns)].set_axis(grown.columns, axis=1)
    return pd.concat([grown, added], ignore_index=True), growth


def check_table(df: Any, target: Any, flag: str | None) -> None:
    """Refuse what is no table with such a target, or has a column called like `flag`.

    >>> check_table(pd.DataFrame({"a": [1]}), "b", None)
    Traceback (most recent call last):
    ...
    synthaug.errors.DataError: There is no column 'b' to be the target: there are 'a'.
    """
    check_frame(df)
    if not pd.api.types.is_hashable(target):
        raise ParameterError(f"Expected `target` to be the name of one column, got {target!r}.")
    if not isinstance(flag, str | None):
        raise ParameterError(f"Expected `flag` to be a string or None, got {flag!r}.")
    if target not in df.columns:
        there = f"there are {listed(list(df.columns))}" if len(df.columns) else "there are none"
        raise DataError(f"There is no column {target!r} to be the target: {there}.")
    if flag is not None and flag in df.columns:
        raise ParameterError(f"There is a column {flag!r} already: choose another name for `flag`.")
