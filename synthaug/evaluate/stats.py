"""Is a difference between two arms more than chance? Pure functions of the paired differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from synthaug.errors import ParameterError

__all__ = ["Gain", "corrected_resampled_t", "holm"]


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
    if not 0 < level < 1:
        raise ParameterError(f"Expected `level` between 0 and 1, got {level!r}.")
    values = np.asarray(differences, float)
    if len(values) < 2:
        return Gain(float(values.mean()) if len(values) else np.nan, -np.inf, np.inf, 1.0)
    mean = float(values.mean())
    if np.ptp(values) == 0:
        same = float(values[0])
        return Gain(same, same, same, 1.0 if same == 0 else 2.0 ** (1 - len(values)))
    overlap = float(np.mean(np.asarray(n_test, float) / np.asarray(n_train, float)))
    error = float(np.sqrt(values.var(ddof=1) * (1 / len(values) + overlap)))
    freedom = len(values) - 1
    half = error * float(student.ppf((1 + level) / 2, freedom))
    return Gain(mean, mean - half, mean + half, float(2 * student.sf(abs(mean) / error, freedom)))


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
