"""Two tables column by column and pair by pair: how far have distributions and associations moved?"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from synthaug.evaluate import likeness
from synthaug.evaluate.attacks import column_kind
from synthaug.features import table_features
from synthaug.schema import plain

__all__ = ["Column", "align_columns", "pair_table", "shift_table"]

_KINDS = {"number": "number", "time": "time", "level": "category"}
_SHIFTS = ["column", "kind", "shift", "missing_real", "missing_synthetic"]
_PAIRS = ["first", "second", "measure", "real", "synthetic", "difference"]
_Measure = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True, eq=False)
class Column:
    """One column of both tables as floats, NaN where missing: standardised numbers, or codes of levels.

    Args:
        name: What it is called.
        kind: "number", "time" or "category".
        real: Its values in the real table, `(n,)`.
        other: Its values in the other one, `(m,)`.
    """

    name: Any
    kind: str
    real: np.ndarray
    other: np.ndarray

    def take(self, real: np.ndarray, other: np.ndarray) -> Column:
        """The same column of fewer rows, at these positions."""
        return replace(self, real=self.real[real], other=self.other[other])


def align_columns(real: pd.DataFrame, other: pd.DataFrame) -> list[Column]:
    """The columns of two tables that have the same ones.

    >>> one, two = pd.DataFrame({"a": ["x", "y", None]}), pd.DataFrame({"a": ["z", "y"]})
    >>> [column] = align_columns(one, two)
    >>> column.kind, column.real.tolist(), column.other.tolist()
    ('category', [0.0, 1.0, nan], [2.0, 1.0])
    """
    return [_aligned(real[[name]], other[[name]]) for name in real.columns]


def _aligned(real: pd.DataFrame, other: pd.DataFrame) -> Column:
    kind = column_kind(real.iloc[:, 0])
    if kind == "level":
        values, missing = _levels(real.iloc[:, 0], other.iloc[:, 0])
    else:  # standardised by the real column, which changes no measure
        features = table_features(real)
        values, missing = np.concatenate([features(real), features(other)]).T
    known = np.where(missing, np.nan, values)
    return Column(real.columns[0], _KINDS[kind], known[: len(real)], known[len(real) :])


def _levels(*sides: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    texts = pd.concat([side.astype(object).map(str, na_action="ignore") for side in sides])
    return pd.factorize(texts)[0].astype(float), np.concatenate([side.isna().to_numpy(bool) for side in sides])


def shift_table(columns: Sequence[Column]) -> pd.DataFrame:
    """One row a column: its kind, its shift (NaN where a side has no values), and the share missing on either side.

    The shift of numbers and times is the Kolmogorov-Smirnov distance, that of categories the total variation.

    >>> shift_table([Column("a", "number", np.array([1.0, 2.0]), np.array([3.0, np.nan]))])
      column    kind  shift  missing_real  missing_synthetic
    0      a  number    1.0           0.0                0.5
    """
    return pd.DataFrame([_shift(column) for column in columns], columns=_SHIFTS)


def _shift(column: Column) -> list[Any]:
    gaps = np.isnan(column.real), np.isnan(column.other)
    sides = column.real[~gaps[0]], column.other[~gaps[1]]
    measure = likeness.total_variation if column.kind == "category" else likeness.kolmogorov_smirnov
    shift = measure(*sides) if min(map(len, sides)) else np.nan
    return [plain(column.name), column.kind, shift, float(gaps[0].mean()), float(gaps[1].mean())]


def pair_table(columns: Sequence[Column]) -> pd.DataFrame:
    """One row a pair of columns and measure: the association in either table, and the difference.

    Numbers and times are told by `pearson` and `spearman`, categories by `cramers_v`, one of each by the
    `correlation_ratio`. Records where one of the two is missing do not count.

    >>> up, down = np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])
    >>> pair_table([Column("a", "number", up, up), Column("b", "time", up, down)]).round(9)
      first second   measure  real  synthetic  difference
    0     a      b   pearson   1.0       -1.0        -2.0
    1     a      b  spearman   1.0       -1.0        -2.0
    """
    rows = [row for pair in itertools.combinations(columns, 2) for row in _associations(*pair)]
    return pd.DataFrame(rows, columns=_PAIRS)


def _associations(first: Column, second: Column) -> list[list[Any]]:
    levels = first.kind == "category", second.kind == "category"
    measures: dict[str, _Measure] = {"pearson": likeness.pearson, "spearman": likeness.spearman}
    if all(levels):
        measures = {"cramers_v": likeness.cramers_v}
    elif levels[0]:
        measures = {"correlation_ratio": likeness.correlation_ratio}
    elif levels[1]:
        measures = {"correlation_ratio": lambda values, levels: likeness.correlation_ratio(levels, values)}
    rows = []
    for word, measure in measures.items():
        real, other = _of_known(measure, first.real, second.real), _of_known(measure, first.other, second.other)
        rows.append([plain(first.name), plain(second.name), word, real, other, other - real])
    return rows


def _of_known(measure: _Measure, first: np.ndarray, second: np.ndarray) -> float:
    known = ~(np.isnan(first) | np.isnan(second))
    return measure(first[known], second[known]) if known.sum() > 1 else np.nan
