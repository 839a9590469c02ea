"""How often does an attack succeed, and is that more than chance? Pure functions of counts and scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from scipy.stats import norm, rankdata

__all__ = ["Interval", "auc", "difference", "excess_risk", "relabelled", "shuffled_labels", "wilson"]

_BLOCK = 250  # shuffles at a time
_SPARSE = 0.02


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds of its confidence interval."""

    value: float
    low: float
    high: float


def wilson(successes: float, n: float, level: float = 0.95) -> Interval:
    """The rate behind `successes` of `n` trials by Wilson's score interval, whose centre is the estimate.

    Source:
        Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927; the centre as
        estimate: Giomi et al., "A unified framework for quantifying privacy risk in synthetic data", PoPETs 2023.

    >>> found = wilson(8, 10)
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.717, 0.49, 0.943)
    """
    z = norm.ppf((1 + level) / 2)
    value = (successes + z**2 / 2) / (n + z**2)
    error = z / (n + z**2) * np.sqrt(successes * (n - successes) / n + z**2 / 4)
    return Interval(float(value), float(value - error), float(value + error))


def excess_risk(successes: int, control: int, n: int, level: float = 0.95) -> Interval:
    """What an attack gains against the training records over what it gains against records never trained on.

    `(rate - control rate) / (1 - control rate)`, the excess as a share of the most that it could be; its error is
    propagated from those of the two Wilson rates. All is kept in [0, 1]: 0 says that the training records are no
    worse off than others.

    Args:
        successes: Attacks that succeeded against training records.
        control: The same against as many records of the holdout.
        n: Attacks made against each.
        level: The confidence level, in (0, 1).

    Source:
        Giomi et al., "A unified framework for quantifying privacy risk in synthetic data", PoPETs 2023, section 4.

    >>> found = excess_risk(60, 20, 100)
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.488, 0.359, 0.618)
    """
    ours, theirs = wilson(successes, n, level), wilson(control, n, level)
    left = 1 - theirs.value
    value = (ours.value - theirs.value) / left
    slopes = 1 / left, (ours.value - 1) / left**2
    error = np.hypot(slopes[0] * (ours.high - ours.value), slopes[1] * (theirs.high - theirs.value))
    return Interval(*(float(np.clip(bound, 0, 1)) for bound in (value, value - error, value + error)))


def difference(first: float, second: float, n: float, level: float = 0.95) -> Interval:
    """The difference of two shares of `n` each, by Newcombe's interval of Wilson scores.

    Source:
        Newcombe, "Interval estimation for the difference between independent proportions: comparison of eleven
        methods", Statistics in Medicine 17, 1998, method 10.

    >>> found = difference(0.5, 0.3, 100)
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.2, 0.064, 0.326)
    """
    a, b = wilson(first * n, n, level), wilson(second * n, n, level)
    low = first - second - np.hypot(first - a.low, b.high - second)
    high = first - second + np.hypot(a.high - first, second - b.low)
    return Interval(first - second, float(max(low, -1)), float(min(high, 1)))


def auc(members: ArrayLike, others: ArrayLike, level: float = 0.95) -> Interval:
    """The chance that a member's score is above another's (ties count half), with DeLong's interval, in [0, 1].

    Scores that separate the two completely leave no spread: the interval is then the one value.

    Source:
        DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
        characteristic curves", Biometrics 44, 1988; by ranks as in Sun and Xu, IEEE Signal Processing Letters 21, 2014.

    >>> found = auc([3, 4, 5, 2], [1, 2, 3, 0])
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.875, 0.63, 1.0)
    """
    ours, theirs = np.asarray(members, float), np.asarray(others, float)
    m, n = len(ours), len(theirs)
    ranks = rankdata(np.concatenate([ours, theirs]))
    above = (ranks[:m] - rankdata(ours)) / n  # of each member: the share of others below it
    below = 1 - (ranks[m:] - rankdata(theirs)) / m
    value = float(above.mean())
    error = norm.ppf((1 + level) / 2) * np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n)
    return Interval(value, float(max(value - error, 0)), float(min(value + error, 1)))


def shuffled_labels(n: int, shuffles: int, rng: np.random.Generator) -> np.ndarray:
    """Which of `2 * n` records count as trained on, `(2 * n, 1 + shuffles)`: first the truth (the first half), then chance.

    >>> shuffled_labels(2, 3, np.random.default_rng(0)).sum(axis=0).tolist()
    [2.0, 2.0, 2.0, 2.0]
    """  # noqa: E501
    truth = np.repeat(np.array([1, 0], np.float32), n)
    return np.vstack([truth, rng.permuted(np.tile(truth, (shuffles, 1)), axis=1)]).T


@dataclass(frozen=True)
class Relabelled:
    """What happens in both halves of the real records, and how often chance does the like.

    Args:
        train: How many of `n` happen in the training half.
        holdout: How many of `n` happen in the other half.
        n: How many could.
        p: One-sided: the share of labellings in which the training half leads by as much, the true one counted.
        spread: The standard deviation of `train - holdout` over the labellings.
    """

    train: int
    holdout: int
    n: int
    p: float
    spread: float


def relabelled(hits: np.ndarray, labels: np.ndarray, *, alone: bool = False) -> Relabelled:
    """Count in which half of the real records the hits lie, and compare with halves made by chance.

    If the generator is none the wiser for its training records, then which of the real records were trained on is a
    matter of chance also where hits depend on each other (many of them hit one and the same record): the test is exact.

    Args:
        hits: What hits which real record, `(q, 2 * n)` bool.
        labels: `(2 * n, shuffles)`, see `shuffled_labels`.
        alone: Whether a hit counts only where it is the only one in its half.

    >>> hits = np.eye(6, dtype=bool)[:3]
    >>> relabelled(hits, shuffled_labels(3, 999, np.random.default_rng(0))).p < 0.1
    True
    """
    matrix = csr_matrix(hits, dtype=np.float32) if hits.sum() < _SPARSE * hits.size else hits.astype(np.float32)
    sums = hits.sum(axis=1, dtype=np.float32)[:, None]

    def happens(counts: np.ndarray) -> np.ndarray:
        return ((counts == 1) if alone else (counts > 0)).sum(axis=0)

    blocks = [np.asarray(matrix @ labels[:, i : i + _BLOCK]) for i in range(0, labels.shape[1], _BLOCK)]
    ours = np.concatenate([happens(counts) for counts in blocks])
    theirs = np.concatenate([happens(sums - counts) for counts in blocks])
    leads = ours - theirs
    p = float((leads >= leads[0]).mean())
    return Relabelled(int(ours[0]), int(theirs[0]), len(hits), p, float(leads[1:].std()))
