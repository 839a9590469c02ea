"""How alike are two samples? Pure functions of columns and of features, each with the paper that it is from."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist
from scipy.stats import binomtest, rankdata
from scipy.stats import t as student
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from synthaug.errors import ParameterError
from synthaug.evaluate.rates import Interval

__all__ = [
    "correlation_ratio",
    "cramers_v",
    "density_coverage",
    "forest",
    "kernel_distance",
    "kolmogorov_smirnov",
    "mmd2",
    "pearson",
    "precision_recall",
    "spearman",
    "total_variation",
    "two_sample_accuracy",
]

_BLOCK = 500  # rows of a distance matrix at a time
_FOLDS = 5
_TREES = 100


def kolmogorov_smirnov(first: ArrayLike, second: ArrayLike) -> float:
    """The largest gap between the two cumulative shares, from 0 (the same values) to 1 (apart); both non-empty.

    >>> kolmogorov_smirnov([1, 2, 3, 4], [3, 4, 5, 6])
    0.5
    """
    a, b = np.sort(np.asarray(first, float)), np.sort(np.asarray(second, float))
    every = np.concatenate([a, b])
    gaps = np.searchsorted(a, every, side="right") / len(a) - np.searchsorted(b, every, side="right") / len(b)
    return float(np.abs(gaps).max())


def total_variation(first: ArrayLike, second: ArrayLike) -> float:
    """Half the sum of the gaps between the shares of each level, from 0 to 1; levels are compared as they are.

    >>> total_variation(["a", "a", "b", "b"], ["a", "b", "c", "c"])
    0.5
    """
    a, b = np.asarray(first), np.asarray(second)
    _, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    shares = [np.bincount(part, minlength=codes.max() + 1) / len(part) for part in (codes[: len(a)], codes[len(a) :])]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def pearson(first: ArrayLike, second: ArrayLike) -> float:
    """The linear correlation, from -1 to 1; NaN where a side is constant.

    >>> round(pearson([1, 2, 3], [2, 4, 6]), 3)
    1.0
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """The correlation of the ranks, from -1 to 1; NaN where a side is constant.

    >>> round(spearman([1, 2, 3], [1, 4, 9]), 3)
    1.0
    """
    return pearson(rankdata(first), rankdata(second))


def cramers_v(first: ArrayLike, second: ArrayLike) -> float:
    """How far one level tells another, from 0 to 1, corrected for bias; NaN where that leaves no degree of freedom.

    Source:
        Bergsma, "A bias-correction for Cramer's V and Tschuprow's T", Journal of the Korean Statistical Society 42,
        2013, section 3.

    >>> round(cramers_v(["a", "a", "b", "b"] * 9, ["x", "x", "y", "y"] * 9), 3)
    1.0
    """
    rows, columns = (np.unique(np.asarray(side), return_inverse=True)[1] for side in (first, second))
    n, r, k = len(rows), int(rows.max(initial=-1)) + 1, int(columns.max(initial=-1)) + 1
    if n < 2 or min(r, k) < 2:
        return np.nan
    counts = np.bincount(rows * k + columns, minlength=r * k).reshape(r, k)
    # chi squared over n, written so that no expected counts are stored
    phi2 = float((counts**2 / counts.sum(1, keepdims=True) / counts.sum(0)).sum() - 1)
    kept = max(0.0, phi2 - (r - 1) * (k - 1) / (n - 1))
    free = min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1
    return float(np.sqrt(min(1.0, kept / free))) if free > 1e-9 else np.nan


def correlation_ratio(levels: ArrayLike, values: ArrayLike) -> float:
    """The root of the share of variance that lies between the levels, from 0 to 1; NaN where a side is constant.

    Source:
        Pearson, "On the general theory of skew correlation and non-linear regression", Drapers' Company Research
        Memoirs, 1905.

    >>> correlation_ratio(["a", "a", "b", "b"], [1, 1, 3, 3])
    1.0
    """
    _, codes = np.unique(np.asarray(levels), return_inverse=True)
    x = np.asarray(values, float)
    if len(x) < 2 or codes.max() == 0 or np.ptp(x) == 0:
        return np.nan
    sizes = np.bincount(codes)
    x = x - x.mean()
    between = (np.bincount(codes, x) ** 2 / sizes).sum()
    return float(np.sqrt(np.clip(between / (x @ x), 0, 1)))


def precision_recall(real: np.ndarray, synthetic: np.ndarray, k: int = 3) -> tuple[float, float]:
    """The share of synthetic records near real ones, and of real records near synthetic ones.

    Near is at most as far as the k-th neighbour within the same sample is from the record met.

    Args:
        real: Features `(n, d)`.
        synthetic: Features `(m, d)`; equal sizes, by the paper.
        k: How many neighbours; more of them make balls larger. `n` and `m` must be above it.

    Source:
        Kynkaanniemi, Karras, Laine, Lehtinen and Aila, "Improved precision and recall metric for assessing generative
        models", NeurIPS 2019, equations 1 and 2.

    >>> x = np.arange(10.0)[:, None]
    >>> precision_recall(x, x + 0.5), precision_recall(x, x[:5] * 0)
    ((1.0, 1.0), (1.0, 0.1))
    """
    near_real, _ = _balls(real, _radii(real, k), synthetic)
    near_synthetic, _ = _balls(synthetic, _radii(synthetic, k), real)
    return float((near_real > 0).mean()), float((near_synthetic > 0).mean())


def density_coverage(real: np.ndarray, synthetic: np.ndarray, k: int = 5) -> tuple[float, float]:
    """How many real records a synthetic one is near to, over `k`, and the share of real records with one nearby.

    Near is at most as far as the real record's k-th real neighbour. Density is about 1 where the samples are of one
    distribution, and above where synthetic records crowd where the real ones are densest.

    Args:
        real: Features `(n, d)`, `n` above `k`.
        synthetic: Features `(m, d)`.
        k: How many neighbours.

    Source:
        Naeem, Oh, Uh, Choi and Yoo, "Reliable fidelity and diversity metrics for generative models", ICML 2020,
        equations 3 and 4.

    >>> x = np.arange(10.0)[:, None]
    >>> density_coverage(x, x * 0 + 100.0)
    (0.0, 0.0)
    """
    near, covered = _balls(real, _radii(real, k), synthetic)
    return float(near.mean() / k), float(covered.mean())


def mmd2(first: np.ndarray, second: np.ndarray) -> float:
    """The squared maximum mean discrepancy under the kernel `(x @ y / d + 1) ** 3`, unbiased, so it may be below 0.

    Args:
        first: Features `(n, d)`, at least two.
        second: Features `(m, d)`, at least two.

    Source:
        Gretton, Borgwardt, Rasch, Scholkopf and Smola, "A kernel two-sample test", JMLR 13, 2012, equation 3; the
        kernel: Binkowski, Sutherland, Arbel and Gretton, "Demystifying MMD GANs", ICLR 2018, section 4.

    >>> mmd2(np.array([[0.0], [1.0]]), np.array([[0.0], [1.0]]))
    -3.5
    """

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)

    def within(x: np.ndarray) -> float:
        k, n = kernel(x, x), len(x)
        return float((k.sum() - np.trace(k)) / (n * (n - 1)))

    return within(first) + within(second) - 2 * float(kernel(first, second).mean())


def kernel_distance(first: np.ndarray, second: np.ndarray, blocks: int = 10, level: float = 0.95) -> Interval:
    """The mean `mmd2` over disjoint subsets, and its interval by Student's t over them.

    It is computed as the kernel Inception distance is, on whatever features are given, so its size compares with that
    of other samples on the same features only. Subsets share no record, hence are independent. Of samples of one
    distribution it is skewed: an interval below 0 means no more than one around it.

    Args:
        first: Features `(n, d)` in random order, at least `2 * blocks`.
        second: Features `(m, d)` likewise.
        blocks: How many subsets, at least 2.
        level: The confidence level, in (0, 1).

    Source:
        Zaremba, Gretton and Blaschko, "B-test: a non-parametric, low variance kernel two-sample test", NeurIPS 2013.

    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> found = kernel_distance(x[:200], x[200:])
    >>> found.low < 0 < found.high
    True
    """
    if blocks < 2 or min(len(first), len(second)) < 2 * blocks:
        raise ParameterError(
            f"Expected `blocks` from 2 to half the number of records ({min(len(first), len(second))}), got {blocks!r}."
        )
    sizes = len(first) // blocks, len(second) // blocks
    found = np.array(
        [mmd2(*(x[i * n : (i + 1) * n] for x, n in zip((first, second), sizes, strict=True))) for i in range(blocks)]
    )
    mean = float(found.mean())
    half = float(student.ppf((1 + level) / 2, blocks - 1) * found.std(ddof=1) / np.sqrt(blocks))
    return Interval(mean, mean - half, mean + half)


def two_sample_accuracy(real: np.ndarray, synthetic: np.ndarray, seed: int = 0, level: float = 0.95) -> Interval:
    """How often a classifier tells real from synthetic: 0.5 where it cannot, 1 where it always does.

    A random forest is asked out of fold, and the interval is the exact one of Clopper and Pearson. It takes the answers
    for independent, which those of one fold are but nearly. Below 0.5, synthetic records repeat real ones: the
    classifier has met the twin under the other name.

    Args:
        real: Features `(n, d)`, at least five.
        synthetic: Features `(n, d)`, as many, so that guessing gives 0.5.
        seed: For folds and trees.
        level: The confidence level, in (0, 1).

    Source:
        Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017.

    >>> x = np.arange(40.0)[:, None]
    >>> two_sample_accuracy(x, x + 100).value
    1.0
    """
    if len(real) != len(synthetic):
        raise ParameterError(f"Expected as many real as synthetic records, got {len(real)} and {len(synthetic)}.")
    y = np.repeat([0, 1], len(real))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed % 2**32)
    guesses = cross_val_predict(forest(seed), np.concatenate([real, synthetic]), y, cv=folds)
    hits = int((guesses == y).sum())
    exact = binomtest(hits, len(y)).proportion_ci(level, method="exact")
    return Interval(hits / len(y), float(exact.low), float(exact.high))


def forest(seed: int) -> RandomForestClassifier:
    """The classifier that is asked here: it needs no scales, no tuning, and few records.

    >>> forest(3).n_estimators
    100
    """
    return RandomForestClassifier(_TREES, random_state=seed % 2**32)


def _radii(x: np.ndarray, k: int) -> np.ndarray:
    """How far the k-th neighbour of each record is within its own sample; `(n,)`."""
    if len(x) <= k:
        raise ParameterError(f"Expected more than k = {k} records, got {len(x)}.")
    parts = [np.partition(cdist(x[i : i + _BLOCK], x), k, axis=1)[:, k] for i in range(0, len(x), _BLOCK)]
    return np.concatenate(parts)  # the nearest to a record is itself, at 0


def _balls(centres: np.ndarray, radii: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In how many balls each point lies, and which balls hold a point."""
    counts, held = [], np.zeros(len(centres), bool)
    for i in range(0, len(points), _BLOCK):
        inside = cdist(points[i : i + _BLOCK], centres) <= radii
        counts.append(inside.sum(1))
        held |= inside.any(0)
    return np.concatenate(counts), held
