"""The arms that any generator has to beat: repeat records, weigh classes, interpolate (SMOTE), add noise, fit a bell.

An easy gain of a generator is often the gain of plain duplication; only a comparison with these can tell.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from imblearn.over_sampling import SMOTE, SMOTEN, SMOTENC
from sklearn.utils._param_validation import Interval

from synthaug.amounts import Amount, Strategy
from synthaug.evaluate.adapters import ClassWeight, TunedThreshold
from synthaug.oversampling import RowSampler
from synthaug.rng import RandomState, as_seed, numpy_rng

__all__ = [
    "ClassGaussian",
    "ClassSampler",
    "Duplicate",
    "Jitter",
    "Smote",
    "default_arms",
]

_PRIOR = 20.0  # rows that the covariance within all classes counts for
_WIDE = 512  # numbers up to which whole covariances are used
_SHARED = 0.2  # share of the rows from which one number is a state of its own
_RIDGE = 1e-4  # variance added, in those of the columns


class ClassSampler(RowSampler):
    """Base of samplers that make the rows of each class on their own. A child writes `_sample`."""

    @abstractmethod
    def _sample(self, frame: pd.DataFrame, y: np.ndarray, label: Any, n: int, rng: np.random.Generator) -> pd.DataFrame:
        """Make `n` rows of the class `label`, with the columns and dtypes of `frame` (all real rows)."""

    def _rows(
        self, frame: pd.DataFrame, y: np.ndarray, counts: Mapping[Any, int], seed: int
    ) -> tuple[pd.DataFrame, np.ndarray]:
        rng = numpy_rng(seed)
        wanted = {label: n for label, n in counts.items() if n}
        made = [self._sample(frame, y, label, n, rng) for label, n in wanted.items()]
        labels = [np.full(n, label, y.dtype) for label, n in wanted.items()]
        return pd.concat(made), np.concatenate(labels)


class Duplicate(ClassSampler):
    """Repeat real rows, drawn with replacement within the class.

    Args:
        sampling_strategy: Which size each class shall reach; see `synthaug.amounts.synthetic_counts`.
        amount: How many rows to add on top of the real ones instead; see there.
        random_state: A seed or generator.

    >>> X, y = Duplicate(random_state=0).fit_resample(pd.DataFrame({"colour": ["red", "red", "blue"]}), [0, 0, 1])
    >>> X["colour"].tolist(), y
    (['red', 'red', 'blue', 'blue'], [0, 0, 1, 1])
    """

    def _sample(self, frame: pd.DataFrame, y: np.ndarray, label: Any, n: int, rng: np.random.Generator) -> pd.DataFrame:
        return frame.iloc[rng.choice(np.flatnonzero(y == label), n)]


class Jitter(ClassSampler):
    """Repeat real rows and add normal noise to their numbers; everything else stays as in the row repeated.

    The noise has `sigma` times the standard deviation of the column within the class. Results stay within the range
    of the real rows, and integers are rounded. Missing values stay missing. A class of one row has no deviation, so
    its rows are repeated as they are.

    Args:
        sigma: The noise in standard deviations within the class, at least 0.
        sampling_strategy: Which size each class shall reach; see `synthaug.amounts.synthetic_counts`.
        amount: How many rows to add on top of the real ones instead; see there.
        random_state: A seed or generator.

    >>> X, y = Jitter(amount=2, random_state=0).fit_resample(pd.DataFrame({"age": [20, 30, 40]}), [0, 0, 1])
    >>> len(X), X["age"].dtype, bool(X["age"].between(20, 40).all())
    (5, dtype('int64'), True)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **ClassSampler._parameter_constraints,
        "sigma": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        sigma: float = 0.3,
        sampling_strategy: Strategy = "auto",
        amount: Amount = None,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy, amount=amount, random_state=random_state)
        self.sigma = sigma

    def _sample(self, frame: pd.DataFrame, y: np.ndarray, label: Any, n: int, rng: np.random.Generator) -> pd.DataFrame:
        members = np.flatnonzero(y == label)
        drawn = rng.choice(members, n)

        def noisy(column: pd.Series) -> pd.Series:
            if not _is_number(column) or column.isna().all():
                return column.iloc[drawn]
            values = _floats(column)
            spread = _deviation(values[members])
            noise = rng.normal(scale=self.sigma * spread, size=n)
            return _like(np.clip(values[drawn] + noise, column.min(), column.max()), column)

        return _frame_of([noisy(frame.iloc[:, i]) for i in range(frame.shape[1])], frame)


class ClassGaussian(ClassSampler):
    """Draw the numbers of new rows from one Gaussian a class; everything else is copied from a random row of the class.

    The Gaussian lies around the mean of the class. Its covariance is that of the class, shrunk towards the covariance
    within all classes as if that counted for 20 rows (in the manner of regularised discriminant analysis), and its
    deviations are `scale` times that. Results stay within the range of the real rows, and integers are rounded.
    Numbers are copied as well where they are missing, one of two values, or a value that a fifth of the rows share.

    Args:
        scale: Standard deviations in those of the class, at least 0.
        sampling_strategy: Which size each class shall reach; see `synthaug.amounts.synthetic_counts`.
        amount: How many rows to add on top of the real ones instead; see there.
        random_state: A seed or generator.

    Source:
        Friedman, "Regularized discriminant analysis", JASA 84, 1989, for the shrinkage.

    >>> X = pd.DataFrame({"age": [20, 30, 40], "town": ["Ulm", "Ulm", "Bonn"]})
    >>> X, y = ClassGaussian(amount=2, random_state=0).fit_resample(X, [0, 0, 1])
    >>> X["age"].dtype, X["town"].tolist()[3:], y
    (dtype('int64'), ['Ulm', 'Bonn'], [0, 0, 1, 0, 1])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **ClassSampler._parameter_constraints,
        "scale": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        scale: float = 0.8,
        sampling_strategy: Strategy = "auto",
        amount: Amount = None,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy, amount=amount, random_state=random_state)
        self.scale = scale

    def _sample(self, frame: pd.DataFrame, y: np.ndarray, label: Any, n: int, rng: np.random.Generator) -> pd.DataFrame:
        drawn = rng.choice(np.flatnonzero(y == label), n)
        columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
        values = {i: _floats(column) for i, column in enumerate(columns) if _is_number(column)}
        levels = {i: _as_levels(column) for i, column in values.items()}
        numbers = [i for i in values if not levels[i].all()]
        copied = [column.iloc[drawn].reset_index(drop=True) for column in columns]
        if numbers:
            known = np.column_stack([np.where(levels[i], np.nan, values[i]) for i in numbers])
            made = _gaussian_rows(known, y, label, n, self.scale, rng)
            for i, column in zip(numbers, made.T, strict=True):
                drawn_numbers = _like(np.clip(column, columns[i].min(), columns[i].max()), columns[i])
                copied[i] = copied[i].where(levels[i][drawn], drawn_numbers)
        return _frame_of(copied, frame)


class Smote(ClassSampler):
    """SMOTE for any columns: interpolate numbers between near rows of a class, and let near rows vote on the rest.

    A thin wrapper that picks imbalanced-learn's SMOTE (numbers only), SMOTEN (none) or SMOTENC (both) and keeps
    dtypes. Numbers are standardised for the distances, so that no unit outweighs another. A missing
    value is one more level to vote on; a missing number counts as the column's median for the distances.
    Classes of at most `k_neighbors` rows use all the neighbours that they have; a class of one row is repeated.

    Args:
        k_neighbors: How many neighbours to choose from, at least 1.
        sampling_strategy: Which size each class shall reach; see `synthaug.amounts.synthetic_counts`.
        amount: How many rows to add on top of the real ones instead; see there.
        random_state: A seed or generator.

    Source:
        Chawla, Bowyer, Hall and Kegelmeyer, "SMOTE: synthetic minority over-sampling technique", JAIR 16, 2002.

    >>> X = pd.DataFrame({"age": [20, 30, 40, 50, 52], "town": ["Ulm", "Ulm", "Bonn", "Bonn", "Bonn"]})
    >>> X, y = Smote(random_state=0).fit_resample(X, ["no", "no", "no", "yes", "yes"])
    >>> y, X["town"].iloc[5], X["age"].iloc[5] in (50, 51, 52)
    (['no', 'no', 'no', 'yes', 'yes', 'yes'], 'Bonn', True)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **ClassSampler._parameter_constraints,
        "k_neighbors": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        k_neighbors: int = 5,
        sampling_strategy: Strategy = "auto",
        amount: Amount = None,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy, amount=amount, random_state=random_state)
        self.k_neighbors = k_neighbors

    def _sample(self, frame: pd.DataFrame, y: np.ndarray, label: Any, n: int, rng: np.random.Generator) -> pd.DataFrame:
        members = np.flatnonzero(y == label)
        if len(members) == 1:
            return frame.iloc[np.repeat(members, n)]
        columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
        numbers, levels = _numbers_and_levels(columns)
        settings = {
            "k_neighbors": min(self.k_neighbors, len(members) - 1),
            "sampling_strategy": {label: len(members) + n},
            "random_state": int(rng.integers(2**31)),
        }
        if not levels:
            sampler = SMOTE(**settings)
        elif not numbers:
            sampler = SMOTEN(**settings)
        else:
            sampler = SMOTENC(list(range(len(numbers), len(numbers) + len(levels))), **settings)
        scale = np.array([_deviation(values) or 1.0 for values in numbers.values()] + [1.0] * len(levels))
        encoded = np.column_stack([*numbers.values(), *levels.values()]) / scale
        made = np.asarray(sampler.fit_resample(encoded, y)[0])[-n:] * scale
        new = dict(zip([*numbers, *(~i for i in levels)], made.T, strict=True))
        return _frame_of([_decoded(column, new.get(i), new.get(~i)) for i, column in enumerate(columns)], frame)


def default_arms(
    *, random_state: RandomState = None, amount: Amount = None, sampling_strategy: Strategy = "auto"
) -> dict[str, Any]:
    """The baselines of a comparison: the real data alone, what changes the classifier, and what adds simple rows.

    >>> list(default_arms())
    ['real', 'duplicate', 'class_weight', 'threshold', 'smote', 'jitter', 'gaussian']
    """
    rows: dict[str, Any] = {
        "sampling_strategy": sampling_strategy,
        "amount": amount,
        "random_state": as_seed(random_state) % 2**32,
    }
    return {
        "real": None,
        "duplicate": Duplicate(**rows),
        "class_weight": ClassWeight(),
        "threshold": TunedThreshold(),
        "smote": Smote(**rows),
        "jitter": Jitter(**rows),
        "gaussian": ClassGaussian(**rows),
    }


def _is_number(column: pd.Series) -> bool:
    return column.dtype.kind in "iuf"


def _floats(column: pd.Series) -> np.ndarray:
    return column.to_numpy(np.float64, na_value=np.nan)


def _deviation(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    size = np.abs(known).max(initial=0.0) or 1.0  # so that no square overflows
    return float((known / size).std() * size) if len(known) else 0.0


def _like(values: np.ndarray, column: pd.Series) -> pd.Series:
    """Floats as a column of the dtype of `column`; integers are rounded."""
    return pd.Series(np.rint(values) if column.dtype.kind in "iu" else values).astype(column.dtype)


def _frame_of(columns: list[pd.Series], like: pd.DataFrame) -> pd.DataFrame:
    frame = pd.DataFrame({i: column.array for i, column in enumerate(columns)})
    frame.columns = like.columns
    return frame


def _as_levels(values: np.ndarray) -> np.ndarray:
    """Which numbers `(n,)` are states rather than amounts: missing or infinite, one of two, or shared by many rows."""
    odd = ~np.isfinite(values)
    distinct, counts = np.unique(values[~odd], return_counts=True)
    if len(distinct) <= 2:
        return np.ones(len(values), bool)
    shared = distinct[counts >= _SHARED * len(values)] if len(distinct) > 5 else distinct[:0]
    return odd | np.isin(values, shared)


def _gaussian_rows(
    values: np.ndarray, y: np.ndarray, label: Any, n: int, scale: float, rng: np.random.Generator
) -> np.ndarray:
    """`(n, d)` numbers around the mean of a class; gaps in the `(rows, d)` values count as the mean of their class."""
    unit = np.array([_deviation(column) or 1.0 for column in values.T])
    values = values / unit
    codes, classes = pd.factorize(y)
    table = pd.DataFrame(values).where(np.isfinite(values)).groupby(codes).mean()
    means = table.fillna(table.mean()).to_numpy()
    centred = np.where(np.isfinite(values), values - means[codes], 0.0)
    own = centred[y == label]
    weight = _PRIOR / (_PRIOR + len(own))
    mean = means[classes.tolist().index(label)]
    if values.shape[1] > _WIDE:  # their variances alone
        variance = weight * centred.var(axis=0) + (1 - weight) * own.var(axis=0)
        return (mean + scale * np.sqrt(variance) * rng.standard_normal((n, len(mean)))) * unit
    shared = centred.T @ centred / len(centred)
    covariance = weight * shared + (1 - weight) * (own.T @ own / max(len(own) - 1, 1)) + _RIDGE * np.eye(len(mean))
    return (mean + scale * rng.standard_normal((n, len(mean))) @ np.linalg.cholesky(covariance).T) * unit


def _numbers_and_levels(columns: list[pd.Series]) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """By position of the column: numbers without gaps; codes of the levels, or of whether a number is missing."""
    numbers, levels = {}, {}
    for i, column in enumerate(columns):
        if not _is_number(column):
            levels[i] = pd.factorize(column, use_na_sentinel=False)[0].astype(float)
            continue
        values = _floats(column)
        gaps = np.isnan(values)
        if gaps.any():
            levels[i] = gaps.astype(float)
            values = np.where(gaps, 0.0 if gaps.all() else np.nanmedian(values), values)
        numbers[i] = values
    return numbers, levels


def _decoded(column: pd.Series, numbers: np.ndarray | None, levels: np.ndarray | None) -> pd.Series:
    """The inverse of `_numbers_and_levels` for the new rows of one column."""
    if numbers is None:
        assert levels is not None
        codes = pd.factorize(column, use_na_sentinel=False)[0]
        first = np.unique(codes, return_index=True)[1]
        return column.iloc[first[levels.astype(int)]]
    values = numbers.astype(float)
    if levels is not None:
        values[levels == 1] = np.nan
    return _like(values, column)
