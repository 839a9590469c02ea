"""Distances between synthetic and real records: copies, and who was trained on. Pure functions of distances.

Real records come in two halves of equal size: those trained on, then those of the holdout.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import logsumexp

__all__ = ["closest", "density_scores", "distance_scores", "equal", "near", "near_limit", "nearest"]

_SHARE = 0.05
_WIDTH = 0.25


def equal(synthetic: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Which synthetic record equals which real one, by the hashes of both, `(n_synthetic, n_real)` bool.

    >>> equal(np.array([1, 2]), np.array([2, 3])).tolist()
    [[False, False], [True, False]]
    """
    return synthetic[:, None] == real[None, :]


def near_limit(among: np.ndarray) -> float:
    """How near two real records can be: 5% of them have another one as near as that.

    Args:
        among: Distances among all real records, `(2 * n, 2 * n)`.

    >>> near_limit(np.array([[0.0, 1.0, 5.0], [1.0, 0.0, 5.0], [5.0, 5.0, 0.0]]))
    1.0
    """
    return float(np.quantile(_nearest_other(among), _SHARE, method="higher"))


def near(to_real: np.ndarray, limit: float) -> np.ndarray:
    """Which real records are within `limit` of which synthetic one, `(n_synthetic, n_real)` bool.

    >>> near(np.array([[0.0, 2.0]]), 1.0).tolist()
    [[True, False]]
    """
    return to_real <= limit


def nearest(to_real: np.ndarray) -> np.ndarray:
    """Which real record is the nearest of each synthetic one (several, if as near), `(n_synthetic, n_real)` bool.

    >>> nearest(np.array([[0.5, 2.0]])).tolist()
    [[True, False]]
    """
    return to_real == to_real.min(axis=1, keepdims=True)


def closest(to_real: np.ndarray) -> pd.DataFrame:
    """Distances of the synthetic records to either half: to the closest record, and as a share of that to the second.

    Returns:
        Rows `measure` ("distance", "ratio") and `quantile` (0.05, 0.5), with columns `train` and `holdout`.

    >>> closest(np.array([[1.0, 2.0, 3.0, 3.0]]))["train"].tolist()
    [1.0, 1.0, 0.5, 0.5]
    """
    halves = {}
    for name, part in zip(("train", "holdout"), np.hsplit(to_real, 2), strict=True):
        first, second = np.partition(part, 1, axis=1)[:, :2].T
        ratio = np.divide(first, second, out=np.ones_like(first), where=second > 0)
        halves[name] = np.concatenate([np.quantile(values, [_SHARE, 0.5]) for values in (first, ratio)])
    return pd.DataFrame({"measure": np.repeat(["distance", "ratio"], 2), "quantile": [_SHARE, 0.5] * 2, **halves})


def distance_scores(to_real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores of those trained on and of the others: minus the distance to the nearest synthetic record.

    Source:
        Chen et al., "GAN-Leaks: a taxonomy of membership inference attacks against generative models", CCS 2020,
        section 5.1.

    >>> [scores.tolist() for scores in distance_scores(np.array([[1.0, 2.0], [3.0, 4.0]]))]
    [[-1.0], [-2.0]]
    """
    ours, theirs = np.split(-to_real.min(axis=0), 2)
    return ours, theirs


def density_scores(to_real: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores of those trained on and of the others: how much denser the synthetic records lie there than real ones.

    The density of real records is estimated on the first half of the holdout, which is not scored; as many training
    records are scored as there are others. Both densities are sums of Gaussian kernels, as wide as a quarter of the
    median distance of a reference record to the nearest other: copies are narrower than the gaps between people.

    Args:
        to_real: `(n_synthetic, 2 * n)` distances.
        among: `(2 * n, 2 * n)` distances.

    Returns:
        The log ratio of the densities, up to a constant, twice `(n - n // 2,)`.

    Source:
        van Breugel et al., "Membership inference attacks against synthetic data through overfitting detection",
        AISTATS 2023, equation 2 (DOMIAS).

    >>> rng = np.random.default_rng(0)
    >>> real, made = rng.normal(size=(40, 1)), rng.normal(size=(30, 1))
    >>> [scores.shape for scores in density_scores(np.abs(made - real.T), np.abs(real - real.T))]
    [(10,), (10,)]
    """
    n = to_real.shape[1] // 2
    reference, others = np.arange(n, n + n // 2), np.arange(n + n // 2, 2 * n)
    scored = np.concatenate([np.arange(len(others)), others])
    apart = _nearest_other(among[np.ix_(reference, reference)])
    width = (np.median(apart) or apart.mean() or 1.0) * _WIDTH
    made, real = (
        logsumexp(-((d / width) ** 2) / 2, axis=1) for d in (to_real.T[scored], among[np.ix_(scored, reference)])
    )
    ours, theirs = np.split(made - real, 2)
    return ours, theirs


def _nearest_other(among: np.ndarray) -> np.ndarray:
    return np.where(np.eye(len(among), dtype=bool), np.inf, among).min(axis=1)
