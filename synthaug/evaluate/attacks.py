"""Attacks on the records of a table: guesses that a synthetic table makes possible. Pure functions of coded tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthaug.features import table_features
from synthaug.fingerprint import row_hashes

__all__ = [
    "Coded",
    "Predicates",
    "code_tables",
    "column_kind",
    "guess",
    "guessed",
    "multivariate",
    "random",
    "univariate",
]

_EQUAL, _AT_MOST, _AT_LEAST = range(3)
_TOLERANCE = 0.05
_ROUNDS = 50  # in each of which twice the number asked for is tried
_CELLS = 2**22  # of predicates times records, at a time


@dataclass(frozen=True)
class Coded:
    """A table as numbers: `values` `(n, d)`, NaN where a number or time is missing; `kinds`, one a column.

    A level has the same code in every table coded with it; a missing level is a level. `ranges` `(d,)` is from the
    least to the greatest number of all those tables.
    """

    values: np.ndarray
    kinds: tuple[str, ...]
    ranges: np.ndarray

    @property
    def ordered(self) -> np.ndarray:
        """Which columns are of numbers or times, `(d,)` bool."""
        return np.array([kind != "level" for kind in self.kinds])


def column_kind(column: pd.Series) -> str:
    """What a column holds: "number", "time" or "level".

    >>> column_kind(pd.Series([1.5])), column_kind(pd.Series([True])), column_kind(pd.Series(["a"]))
    ('number', 'level', 'level')
    """
    types, dtype = pd.api.types, column.dtype
    if types.is_datetime64_any_dtype(dtype) or types.is_timedelta64_dtype(dtype):
        return "time"
    is_level = types.is_bool_dtype(dtype) or isinstance(dtype, pd.CategoricalDtype)
    return "number" if types.is_numeric_dtype(dtype) and not is_level else "level"


def code_tables(tables: Sequence[pd.DataFrame]) -> list[Coded]:
    """Tables of the same columns as numbers, coded together.

    >>> ours, theirs = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), pd.DataFrame({"a": [3.5], "b": ["y"]})
    >>> coded = code_tables([ours, theirs])
    >>> coded[0].values[1, 1] == coded[1].values[0, 1], coded[1].ranges[0], coded[1].kinds
    (np.True_, np.float64(2.5), ('number', 'level'))
    """
    whole = [[table.iloc[:, i] for table in tables] for i in range(tables[0].shape[1])]
    kinds = tuple(column_kind(columns[0]) for columns in whole)
    blocks = [_coded(columns, kind) for columns, kind in zip(whole, kinds, strict=True)]
    values = np.column_stack(blocks)
    finite = np.nan_to_num(values, nan=-np.inf).max(axis=0) - np.nan_to_num(values, nan=np.inf).min(axis=0)
    ranges = np.where(np.isfinite(finite) & (finite > 0), finite, 1.0)
    ends = np.cumsum([len(table) for table in tables])[:-1]
    return [Coded(part, kinds, ranges) for part in np.split(values, ends)]


def _coded(columns: list[pd.Series], kind: str) -> np.ndarray:
    """One column of all tables, one below the other."""
    if kind == "level":
        keys = np.concatenate([row_hashes(column.to_frame()) for column in columns])
        return np.unique(keys, return_inverse=True)[1].astype(float)
    if kind == "number":
        values = np.concatenate([column.to_numpy(np.float64, na_value=np.nan) for column in columns])
        finite = values[np.isfinite(values)]
        return np.clip(values, finite.min(), finite.max()) if len(finite) else np.where(np.isnan(values), np.nan, 0.0)
    scaled = table_features(next((column for column in columns if column.notna().any()), columns[0]).to_frame())
    return np.concatenate([np.where(column.isna(), np.nan, scaled(column.to_frame())[:, 0]) for column in columns])


@dataclass(frozen=True)
class Predicates:
    """Statements such as "age >= 80 and town == Ulm", each the conjunction of `c` tests, one a column.

    Args:
        columns: Positions of columns, `(q, c)`.
        tests: 0: equal (or both missing); 1: at most; 2: at least, `(q, c)`.
        values: What is compared with, `(q, c)`.
    """

    columns: np.ndarray
    tests: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, index: np.ndarray | slice) -> Predicates:
        return Predicates(self.columns[index], self.tests[index], self.values[index])

    def matches(self, table: Coded) -> np.ndarray:
        """Of which records each predicate is true, `(q, n)` bool."""
        true = np.ones((len(self), len(table.values)), bool)
        for columns, tests, values in zip(self.columns.T, self.tests.T, self.values.T, strict=True):
            x, v, t = table.values.T[columns], values[:, None], tests[:, None]
            equal = (x == v) | (np.isnan(x) & np.isnan(v))
            true &= np.select([t == _EQUAL, t == _AT_MOST], [equal, x <= v], x >= v)
        return true

    def isolating(self, table: Coded) -> np.ndarray:
        """Which predicates are true of one record only, `(q,)` bool."""
        step = max(_CELLS // max(len(table.values), 1), 1)
        counts = [self[i : i + step].matches(table).sum(axis=1) for i in range(0, len(self), step)]
        return np.concatenate(counts) == 1 if counts else np.zeros(0, bool)


def univariate(synthetic: Coded, n: int, rng: np.random.Generator) -> Predicates:
    """Up to `n` predicates of one column that single out a synthetic record.

    They are drawn from all there are: values that occur once, a value missing once, the least and the greatest.
    A record that was made several times counts as one.

    Source:
        Giomi et al., "A unified framework for quantifying privacy risk in synthetic data", PoPETs 2023, section 5.1.

    >>> coded = code_tables([pd.DataFrame({"a": [1, 2, 2, 3], "b": list("xyzx")})])[0]
    >>> found = univariate(coded, 9, np.random.default_rng(0))
    >>> found = found[found.columns[:, 0] == 0]
    >>> sorted(zip(found.tests[:, 0].tolist(), found.values[:, 0].tolist()))
    [(0, 1.0), (0, 3.0), (1, 1.0), (2, 3.0)]
    """
    parts = []
    for column, (x, ordered) in enumerate(zip(_first_of_each(synthetic.values).T, synthetic.ordered, strict=True)):
        values, counts = np.unique(x, return_counts=True)  # NaN last, as one value
        once = values[counts == 1]
        parts.append(_tests(column, _EQUAL, once))
        present = once[~np.isnan(once)]
        known = values[~np.isnan(values)]
        if ordered and len(known):
            parts.append(_tests(column, _AT_MOST, present[present == known[0]]))
            parts.append(_tests(column, _AT_LEAST, present[present == known[-1]]))
    found = np.concatenate(parts)
    found = found[rng.permutation(len(found))[:n]]
    return Predicates(found[:, :1].astype(int), found[:, 1:2].astype(int), found[:, 2:])


def _tests(column: int, test: int, values: np.ndarray) -> np.ndarray:
    return np.column_stack([np.full(len(values), column), np.full(len(values), test), values])


def multivariate(synthetic: Coded, n: int, rng: np.random.Generator, *, width: int = 3) -> Predicates:
    """Up to `n` different predicates of `width` columns that single out a synthetic record.

    Each is made of a synthetic record: the same level, and a number at least as great where it is above the median
    of its column, else at most as great.

    Source:
        Giomi et al., "A unified framework for quantifying privacy risk in synthetic data", PoPETs 2023, section 5.1.

    >>> coded = code_tables([pd.DataFrame(np.random.default_rng(0).normal(size=(50, 4)))])[0]
    >>> found = multivariate(coded, 20, np.random.default_rng(0))
    >>> found.values.shape, bool(found.isolating(coded).all())
    ((20, 3), True)
    """
    records = _first_of_each(synthetic.values)
    distinct = Coded(records, synthetic.kinds, synthetic.ranges)
    medians = np.array([np.median(x[~np.isnan(x)]) if not np.isnan(x).all() else 0.0 for x in records.T])
    found = np.zeros((0, 3, min(width, len(medians))))
    for _ in range(_ROUNDS):
        columns = _pick_columns(2 * n, len(medians), width, rng)
        values = records[rng.integers(len(records), size=(len(columns), 1)), columns]
        sides = np.where(values > medians[columns], _AT_LEAST, _AT_MOST)
        tests = np.where(synthetic.ordered[columns] & ~np.isnan(values), sides, _EQUAL)
        kept = Predicates(columns, tests, values).isolating(distinct)
        found = _first_of_each(np.concatenate([found, np.stack([columns, tests, values], axis=1)[kept]]))
        if len(found) >= n:
            break
    columns, tests, values = found[:n].transpose(1, 0, 2)
    return Predicates(columns.astype(int), tests.astype(int), values)


def random(synthetic: Coded, n: int, rng: np.random.Generator, *, width: int = 1) -> Predicates:
    """`n` predicates of `width` columns made by chance of values that occur: the baseline.

    >>> coded = code_tables([pd.DataFrame({"a": [1, 2, 2, 3]})])[0]
    >>> len(random(coded, 7, np.random.default_rng(0)))
    7
    """
    columns = _pick_columns(n, len(synthetic.kinds), width, rng)
    values = synthetic.values[rng.integers(len(synthetic.values), size=columns.shape), columns]
    tests = np.where(synthetic.ordered[columns] & ~np.isnan(values), rng.integers(3, size=columns.shape), _EQUAL)
    return Predicates(columns, tests, values)


def _pick_columns(n: int, d: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """`n` choices of `width` of `d` columns, or of all where there are fewer, each in order."""
    return np.sort(rng.permuted(np.tile(np.arange(d), (n, 1)), axis=1)[:, :width], axis=1)


def _first_of_each(rows: np.ndarray) -> np.ndarray:
    """The different rows, two missing values taken for equal, in the order of their first."""
    flat = np.nan_to_num(rows, nan=np.inf).reshape(len(rows), math.prod(rows.shape[1:]))
    return rows[np.sort(np.unique(flat, axis=0, return_index=True)[1])]


def guess(targets: Coded, synthetic: Coded, secrets: Iterable[int]) -> np.ndarray:
    """What the synthetic records say of secret columns of the targets, `(n, number of secrets)`.

    The attacker knows all other columns of a target, looks for the nearest synthetic record (Gower's distance: 1 for
    each differing level, the difference as a share of the range for each number) and takes its secret for the target's.

    Source:
        Giomi et al., "A unified framework for quantifying privacy risk in synthetic data", PoPETs 2023, section 5.3.
        Gower, "A general coefficient of similarity and some of its properties", Biometrics 27, 1971.

    >>> ours, theirs = pd.DataFrame({"a": [1, 5], "b": [0, 0]}), pd.DataFrame({"a": [4, 2], "b": [7, 9]})
    >>> guess(*code_tables([ours, theirs]), [1]).tolist()
    [[9.0], [7.0]]
    """
    total = sum(_gower(targets, synthetic, column) for column in range(len(targets.kinds)))
    guesses = []
    for column in secrets:
        known = np.round(total - _gower(targets, synthetic, column), 9)  # so that ties stay ties
        guesses.append(synthetic.values[known.argmin(axis=1), column])
    return np.column_stack(guesses) if guesses else np.zeros((len(targets.values), 0))


def _gower(targets: Coded, synthetic: Coded, column: int) -> np.ndarray:
    """Distances by one column, `(n_targets, n_synthetic)`, in [0, 1]; a missing value is 1 from any other."""
    a, b = targets.values[:, column, None], synthetic.values[None, :, column]
    if targets.kinds[column] == "level":
        return (a != b).astype(float)
    missing = np.isnan(a) | np.isnan(b)
    return np.where(missing, np.isnan(a) != np.isnan(b), np.abs(a - b) / targets.ranges[column])


def guessed(guesses: np.ndarray, targets: Coded, column: int) -> np.ndarray:
    """Which guesses `(n,)` of a column are right: the level, a number within 5% of it, a time within 5% of the range.

    >>> coded = code_tables([pd.DataFrame({"a": [100.0, 100.0, None]})])[0]
    >>> guessed(np.array([96.0, 94.0, np.nan]), coded, 0).tolist()
    [True, False, True]
    """
    truth = targets.values[:, column]
    both = np.isnan(guesses) & np.isnan(truth)
    if targets.kinds[column] == "level":
        return guesses == truth
    allowed = _TOLERANCE * (targets.ranges[column] if targets.kinds[column] == "time" else np.abs(truth))
    return both | (np.abs(guesses - truth) <= allowed)
