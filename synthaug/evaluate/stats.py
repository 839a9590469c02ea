"""Is a difference between two arms more than chance? Pure functions of the paired differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.stats import nct, norm, wilcoxon
from scipy.stats import t as student

from synthaug.errors import DataError, ParameterError
from synthaug.rng import numpy_rng

__all__ = [
    "Gain",
    "OverSets",
    "SplitsNeeded",
    "bootstrap",
    "corrected_resampled_t",
    "each_column",
    "holm",
    "resampled_t_columns",
    "splits_needed",
    "wilcoxon_over_sets",
]

_MANY = 10**5
"""More splits than anybody runs; from here on Student's t is the normal distribution."""


@dataclass(frozen=True)
class Gain:
    """A mean paired difference with its confidence interval and two-sided p-value, in units of the score."""

    gain: float
    low: float
    high: float
    p: float


def corrected_resampled_t(differences: ArrayLike, n_train: ArrayLike, n_test: ArrayLike, level: float = 0.95) -> Gain:
    """The mean difference over resampled splits, with an interval that allows for their overlap.

    The training sets of different splits share rows, so the differences are correlated and the plain variance of
    their mean, `s**2 / n`, is too small. Nadeau and Bengio use `s**2 * (1 / n + n_test / n_train)`, with `n - 1`
    degrees of freedom; Bouckaert and Frank use it for repeated cross-validation.

    The correction assumes that two splits are correlated by the share of rows that are tested. In simulations of
    labels that mean nothing (`tests/test_coverage.py`) 95% intervals cover 0 in 94 to 96% where two arms differ
    lastingly, and in 98 to 100% where the arm draws new rows in every split, as SMOTE and generators do: the noise of
    these draws averages out. Differences cannot tell the two apart, since what they share over all splits is in their
    mean, so the correction stays with the worse.

    Args:
        differences: One difference a split, `(n,)`.
        n_train: The number of real training rows, of all splits or of each.
        n_test: The number of test rows, of all splits or of each.
        level: The confidence level, in (0, 1).

    Returns:
        The gain. Differences that are all equal have no spread, so the interval is that one value (exactly `[0, 0]`
        with `p = 1` where nothing changed), and `p` is that of the sign test. Fewer than two differences say nothing:
        the interval is the whole line and `p` is 1.

    Raises:
        ParameterError: `level` outside (0, 1).

    Source:
        Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52, 2003, section 5.
        Bouckaert and Frank, "Evaluating the replicability of significance tests", PAKDD 2004.

    >>> corrected_resampled_t([0.0, 0.0, 0.0], n_train=80, n_test=20)
    Gain(gain=0.0, low=0.0, high=0.0, p=1.0)
    >>> found = corrected_resampled_t([0.01, 0.03, 0.02, 0.04], n_train=80, n_test=20)
    >>> round(found.gain, 3), round(found.low, 3), round(found.high, 3), round(found.p, 3)
    (0.025, -0.004, 0.054, 0.071)
    """
    values = np.asarray(differences, float)[:, None]
    (found,) = resampled_t_columns(values, n_train, n_test, level)
    return Gain(*found.tolist())


def resampled_t_columns(
    differences: np.ndarray, n_train: ArrayLike, n_test: ArrayLike, level: float = 0.95
) -> np.ndarray:
    """`corrected_resampled_t` of every column of `(n, k)` differences at once; NaN is a split without one.

    Returns:
        `(k, 4)`: gain, low, high and p of each column.

    >>> resampled_t_columns(np.array([[0.1, 0.2], [0.1, np.nan]]), 80, 20).tolist()
    [[0.1, 0.1, 0.1, 0.5], [0.2, -inf, inf, 1.0]]
    """
    _check_share(level, "level")
    known = ~np.isnan(differences)
    n, values = known.sum(axis=0), np.where(known, differences, 0.0)
    found = np.full((len(n), 4), [np.nan, -np.inf, np.inf, 1.0])
    some = n > 0
    found[some, 0] = values[:, some].sum(axis=0) / n[some]
    several = n > 1
    if not several.any():
        return found
    values, known, n, mean = values[:, several], known[:, several], n[several], found[several, 0]
    ratio = np.broadcast_to(np.asarray(n_test, float) / np.asarray(n_train, float), len(values))
    overlap = (ratio[:, None] * known).sum(axis=0) / n
    variance = (np.where(known, values - mean, 0.0) ** 2).sum(axis=0) / (n - 1)
    error, freedom = np.sqrt(variance * (1 / n + overlap)), n - 1
    half = error * student.ppf((1 + level) / 2, freedom)
    equal = _all_equal(values, known)
    first = values[known.argmax(axis=0), np.arange(len(n))]
    p = np.where(first == 0, 1.0, 2.0 ** (1 - n))
    p[~equal] = 2 * student.sf(np.abs(mean[~equal]) / error[~equal], freedom[~equal])
    mean, half = np.where(equal, first, mean), np.where(equal, 0.0, half)
    found[several] = np.column_stack([mean, mean - half, mean + half, p])
    return found


def each_column(
    test: Callable[..., Gain], differences: np.ndarray, n_train: ArrayLike, n_test: ArrayLike, level: float = 0.95
) -> np.ndarray:
    """`test` of the known differences of every column, one after the other, in the form of `resampled_t_columns`.

    >>> each_column(bootstrap, np.array([[0.1], [np.nan]]), 80, 20).tolist()
    [[0.1, -inf, inf, 1.0]]
    """
    train, test_rows = (np.broadcast_to(np.asarray(sizes, float), len(differences)) for sizes in (n_train, n_test))
    rows = []
    for column in differences.T:
        known = ~np.isnan(column)
        found = test(column[known], train[known], test_rows[known], level)
        rows.append([found.gain, found.low, found.high, found.p])
    return np.array(rows).reshape(-1, 4)


def bootstrap(
    differences: ArrayLike,
    n_train: ArrayLike,
    n_test: ArrayLike,
    level: float = 0.95,
    *,
    seed: int = 0,
    n_resamples: int = 9999,
) -> Gain:
    """Like `corrected_resampled_t`, with the quantiles of Student's t drawn from the differences themselves.

    This is the symmetric bootstrap-t: differences are drawn with replacement, and the interval is the mean plus and
    minus the `level` quantile of `|t|` over the draws times the standard error, here the one of Nadeau and Bengio. It
    asks for no normal differences. It cannot see the correlation of the splits (a plain bootstrap of the splits covers
    in 73% where it says 95%), hence the corrected error; percentile and BCa intervals came out too short for ten splits
    (89%) even so.

    Args:
        differences: One difference a split, `(n,)`.
        n_train: The number of real training rows, of all splits or of each.
        n_test: The number of test rows, of all splits or of each.
        level: The confidence level, in (0, 1).

    Other Arguments:
        seed: For the draws; the same seed gives the same interval.
        n_resamples: How many draws.

    Returns:
        The gain; no spread and fewer than two differences are treated as there. Where more than `1 - level` of the
        draws repeat one value (few splits, or few that differ at all), the interval is the whole line: cannot tell.

    Raises:
        ParameterError: `level` outside (0, 1), or `n_resamples` below 1.

    Source:
        Hall, "On symmetric bootstrap confidence intervals", JRSS B 50, 1988; Efron and Tibshirani, "An introduction to
        the bootstrap", 1993, section 12.5.

    >>> found = bootstrap([0.01, 0.03, 0.02, 0.04, 0.03, 0.02], n_train=80, n_test=20)
    >>> found.low < 0.025 < found.high, round(found.low + found.high, 3)
    (True, 0.05)
    """
    _check_share(level, "level")
    if n_resamples < 1:
        raise ParameterError(f"Expected `n_resamples` of at least 1, got {n_resamples!r}.")
    values = np.asarray(differences, float)
    if len(values) < 2 or _all_equal(values[:, None])[0]:
        return corrected_resampled_t(values, n_train, n_test, level)
    mean, n = float(values.mean()), len(values)
    error = _error(values, n_train, n_test)
    draws = values[numpy_rng(seed, "bootstrap").integers(n, size=(n_resamples, n))]
    away, spread = np.abs(draws.mean(1) - mean), draws.std(1, ddof=1) / np.sqrt(n)
    equal = np.ptp(draws, axis=1) == 0
    t = np.where(equal, np.inf, away / np.where(equal, 1.0, spread))
    half = error * float(np.quantile(t, level, method="higher"))
    p = (1 + np.count_nonzero(t >= abs(mean) / error)) / (1 + n_resamples)
    return Gain(mean, mean - half, mean + half, float(p))


@dataclass(frozen=True)
class SplitsNeeded:
    """How many splits it takes to see a gain, and what none of them can show.

    Args:
        splits: The number, `inf` where no number is enough, NaN where fewer than two differences cannot tell.
        gain: The gain to be seen, in units of the score.
        power: In what share of studies it shall be seen.
        smallest: The gain that is seen with this power as the number of splits grows without end.

    >>> print(splits_needed([0.01, 0.03, 0.02, 0.04], 80, 20, gain=0.01))
    A gain of 0.01 cannot be seen by more splits of these rows, since they overlap: 0.0181 could. Collect more rows.
    """

    splits: float
    gain: float
    power: float
    smallest: float

    def __str__(self) -> str:
        if np.isnan(self.splits):
            return "Fewer than two splits cannot tell how many are needed."
        if np.isinf(self.splits):
            return (
                f"A gain of {self.gain:g} cannot be seen by more splits of these rows, since they overlap: "
                f"{self.smallest:.3g} could. Collect more rows."
            )
        return f"A gain of {self.gain:g} is seen by {self.splits:.0f} splits in {self.power:.0%} of studies."


def splits_needed(
    differences: ArrayLike,
    n_train: ArrayLike,
    n_test: ArrayLike,
    *,
    gain: float,
    power: float = 0.8,
    alpha: float = 0.05,
) -> SplitsNeeded:
    """How many splits would show `gain` as beyond chance by `corrected_resampled_t`?

    The differences tell their standard deviation, as a pilot study does; the noncentral t distribution tells the power.
    The error falls to `s * sqrt(n_test / n_train)` and no further, so for a small gain the answer is "no number".

    Args:
        differences: One difference a split, `(n,)`.
        n_train: The number of real training rows, of all splits or of each.
        n_test: The number of test rows, of all splits or of each.
        gain: The mean difference to be seen, not 0; its sign does not matter.
        power: In what share of studies it shall be seen, in (0, 1) and above `alpha`.
        alpha: How often "beyond chance" may be wrong (two-sided), in (0, 1).

    Raises:
        ParameterError: any of the last three out of range.

    >>> splits_needed([0.01, 0.03, 0.02, 0.04], 90, 10, gain=0.02).splits
    9.0
    """
    _check_share(power, "power")
    _check_share(alpha, "alpha")
    if not (np.isfinite(gain) and gain != 0):
        raise ParameterError(f"Expected `gain` to be a number other than 0, got {gain!r}.")
    if power <= alpha:
        raise ParameterError(f"Expected `power` above `alpha` ({alpha!r}), got {power!r}.")
    values = np.asarray(differences, float)
    if len(values) < 2:
        return SplitsNeeded(np.nan, gain, power, np.nan)
    deviation, overlap = float(values.std(ddof=1)), _overlap(n_train, n_test)

    def seen(n: int) -> bool:
        error = deviation * np.sqrt(1 / n + overlap)
        return error == 0 or _power(abs(gain) / error, n - 1, alpha) >= power

    known = brentq(lambda size: _power(size, _MANY, alpha) - power, 0, 100)  # in standard errors, of many splits
    smallest = float(deviation * np.sqrt(overlap) * known)
    if not seen(_MANY):
        return SplitsNeeded(np.inf, gain, power, smallest)
    few, enough = 1, _MANY
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if seen(middle) else (middle, enough)
    return SplitsNeeded(float(enough), gain, power, smallest)


@dataclass(frozen=True)
class OverSets:
    """Gains over several data sets: their median, how many are above and below 0, and a two-sided p-value."""

    median: float
    wins: int
    losses: int
    n: int
    p: float


def wilcoxon_over_sets(gains: ArrayLike) -> OverSets:
    """Does an arm gain over many data sets? Wilcoxon's signed-rank test of one mean gain a set.

    Sets are independent of each other, unlike splits, so no correction is needed; ranks keep one easy set from
    deciding. Ranks of gains of exactly 0 are shared evenly by both sides, as Demsar has it. Fewer than six sets cannot
    reach `p < 0.05`.

    Args:
        gains: One gain a data set, `(n,)`, finite.

    Raises:
        DataError: no gains, or some that are not finite.

    Source:
        Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006, section 3.1.3.

    >>> wilcoxon_over_sets([0.02, 0.01, 0.05, 0.03, -0.004, 0.04, 0.06])
    OverSets(median=0.03, wins=6, losses=1, n=7, p=0.03125)
    """
    values = np.asarray(gains, float)
    if values.ndim != 1 or not len(values):
        raise DataError(f"Expected one gain a data set, at least one, got shape {values.shape}.")
    if not np.isfinite(values).all():
        raise DataError(f"The gain of data set {int(np.argmin(np.isfinite(values)))} is not finite: leave the set out.")
    p = float(wilcoxon(values, zero_method="zsplit").pvalue) if values.any() else 1.0
    wins, losses = int((values > 0).sum()), int((values < 0).sum())
    return OverSets(float(np.median(values)), wins, losses, len(values), p)


def holm(p: ArrayLike) -> np.ndarray:
    """Holm's adjusted p-values `(n,)`: of those below alpha, any is there by chance with a rate of at most alpha.

    Source:
        Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, float)
    order = np.argsort(values, kind="stable")
    steps = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * steps), 1.0)
    return adjusted


def _check_share(value: float, name: str) -> None:
    if not 0 < value < 1:
        raise ParameterError(f"Expected `{name}` between 0 and 1, got {value!r}.")


def _all_equal(values: np.ndarray, known: np.ndarray | bool = True) -> np.ndarray:
    """Whether the known values of each column of `(n, k)` differ by no more than rounding, `(k,)`."""
    most, least = (f(values, axis=0, where=known, initial=start) for f, start in ((np.max, -np.inf), (np.min, np.inf)))
    return np.asarray(most - least <= 1e-12 * np.maximum(1.0, np.maximum(np.abs(most), np.abs(least))))


def _overlap(n_train: ArrayLike, n_test: ArrayLike) -> float:
    return float(np.mean(np.asarray(n_test, float) / np.asarray(n_train, float)))


def _error(values: np.ndarray, n_train: ArrayLike, n_test: ArrayLike) -> float:
    """The standard error of the mean of differences, by Nadeau and Bengio."""
    return float(np.sqrt(values.var(ddof=1) * (1 / len(values) + _overlap(n_train, n_test))))


def _power(size: float, freedom: float, alpha: float) -> float:
    """The chance that |t| is beyond its critical value where the true difference has `size` standard errors."""
    bound = student.ppf(1 - alpha / 2, freedom)
    if freedom >= _MANY - 1:
        return float(norm.sf(bound - size) + norm.cdf(-bound - size))
    other = np.nan_to_num(nct.cdf(-bound, freedom, size))  # scipy gives NaN for a tail far out, which holds nothing
    return float(nct.sf(bound, freedom, size) + other)
