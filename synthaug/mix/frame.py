"""A DataFrame in, a longer DataFrame out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from synthaug.amounts import synthetic_counts
from synthaug.codecs.frames import check_frame, listed
from synthaug.errors import DataError, ParameterError
from synthaug.labels import check_labels
from synthaug.mix.grow import grow
from synthaug.rng import RandomState, as_seed
from synthaug.selection import Criterion
from synthaug.synthesizer import Synthesizer

__all__ = ["augment"]


def augment(
    df: pd.DataFrame,
    target: Any,
    *,
    sampling_strategy: Any = "auto",
    amount: float | Mapping[Any, int] | None = None,
    synthesizer: Synthesizer | None = None,
    criteria: Sequence[Criterion] = (),
    flag: str | None = None,
    random_state: RandomState = None,
) -> pd.DataFrame:
    """Append synthetic rows to a table: the rows you have come first, untouched, then the new ones.

    Args:
        df: The table, with its target. Only give it training rows: what the generator sees must not be tested on.
        target: The column that holds the class.
        sampling_strategy: Which classes grow, as in imbalanced-learn; `"auto"` brings all up to the largest.
        amount: Instead of balancing, how many rows to add: an int in all or a float as a share of the rows, spread
            evenly over the classes, or a dict of label to number.
        random_state: Seed; the same seed gives the same rows.

    Other Arguments:
        synthesizer: The generator and its settings; by default a conditional VAE.
        criteria: What a synthetic row must pass, such as `Agreement()` and `Distance()`.
        flag: Name of a column to add that is True for synthetic rows.

    Returns:
        A DataFrame with the columns and dtypes of `df` and a fresh index.

    Raises:
        DataError: a table that cannot be used; the message names the column or label and the remedy.
        ParameterError: an argument outside what is allowed.

    >>> df = pd.DataFrame({"size": [1.0, 1.2, 1.1, 1.3, 5.1, 5.0], "kind": ["small"] * 4 + ["big"] * 2})
    >>> grown = augment(df, "kind", flag="synthetic", random_state=0)
    >>> len(grown), grown["kind"].value_counts().to_dict(), int(grown["synthetic"].sum())
    (8, {'small': 4, 'big': 4}, 2)
    """
    _check(df, target, flag)
    grown = df.reset_index(drop=True)
    labels, records = check_labels(grown[target], name=target), grown.drop(columns=[target])
    counts = synthetic_counts(labels, sampling_strategy=sampling_strategy, amount=amount)
    if flag is not None:
        grown = grown.assign(**{flag: False})
    if not any(counts.values()):
        return grown
    pool, _ = grow(records, labels, counts, synthesizer=synthesizer, criteria=criteria, seed=as_seed(random_state))
    added = pool.to_dataframe(target=target, flag=flag)[list(grown.columns)].set_axis(grown.columns, axis=1)
    return pd.concat([grown, added], ignore_index=True)


def _check(df: Any, target: Any, flag: str | None) -> None:
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
