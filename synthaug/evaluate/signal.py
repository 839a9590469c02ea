"""Do the records tell anything of the labels? If not, generated rows are noise, whatever a few folds say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.base import clone

from synthaug.evaluate.baselines import ClassGaussian
from synthaug.evaluate.estimators import default_estimators
from synthaug.evaluate.metrics import scorers
from synthaug.evaluate.paired import Split, take
from synthaug.rng import derive

__all__ = ["Signal", "label_signal", "null_deviation"]

_LEVEL = 0.05
_CLEAR = 0.12  # above 0.5
_FEW = 6  # rows of a class: with fewer no test can tell noise from what can be learned
_PANEL = ("logistic", "neighbours")


@dataclass(frozen=True)
class Signal:
    """How well classifiers rank held-out rows.

    Args:
        auc: Largest mean area under the ROC curve of the classifiers, 0.5 by chance; of small classes asked for against
            larger ones only where it is beyond chance.
        p: p-value of the hypothesis that it is there by chance.
        rarest: Rows of the smallest class that was asked for by itself.

    >>> [Signal(*one).there for one in ((0.58, 0.3, 20), (0.63, 0.2, 20), (0.55, 0.01, 90), (0.5, 0.5, 3))]
    [False, True, True, True]
    """

    auc: float
    p: float
    rarest: int

    @property
    def there(self) -> bool:
        """Whether this is beyond chance at a level of 5%, or clear (0.62 or more), or nothing can be told.

        Nothing can be told where the smallest class has fewer than six rows, and no two others have more: a test would
        hardly ever find anything there, and what usually helps decides.
        """
        return self.p <= _LEVEL or self.auc >= 0.5 + _CLEAR or self.rarest < _FEW


def label_signal(X: pd.DataFrame, y: pd.Series, splits: Sequence[Split], *, seed: int) -> Signal:
    """Whether a logistic regression or nearest neighbours can learn anything of the labels.

    Both learn from the training rows of each split with as many rows of `ClassGaussian` added, which finds more than
    the few rows alone do. The mean area under the curve over splits is compared with the normal distribution that it
    has by chance (`null_deviation`), the better of the two with Bonferroni's correction. Where there are classes of
    fewer than six rows beside two or more larger ones, these are asked for among themselves, and all small ones against
    them. How clear the latter are is no matter then: by chance alone five rows exceed 0.62 in three cases of ten.

    Args:
        X: Records, `n` of them.
        y: Labels `(n,)`.
        splits: Training and test positions; those that test a single class are passed over, and if there are no others
            nothing can be said: the area is NaN and p is 1.

    Other Arguments:
        seed: Of all randomness.

    >>> from sklearn.datasets import load_iris
    >>> from synthaug.evaluate.paired import make_splits
    >>> X, y = load_iris(as_frame=True, return_X_y=True)
    >>> label_signal(X, y, make_splits(3, X, y, 0), seed=0).there
    True
    """
    counts = y.value_counts()
    large = counts[counts >= _FEW]
    if len(large) < 2 or len(large) == len(counts):
        return Signal(*_area(X, y, splits, seed), int(counts.min()))
    is_large = y.isin(large.index)
    kept = is_large.to_numpy()
    among = _area(X, y, [(train[kept[train]], test[kept[test]]) for train, test in splits], seed)
    areas, ps = zip(among, _area(X, is_large.astype(int), splits, seed), strict=True)
    if np.isnan(areas).any():
        return Signal(float(np.nanmax([*areas, 0.5])), 1.0, int(counts.min()))
    p = min(1.0, 2 * min(ps))
    return Signal(max(areas) if p <= _LEVEL else areas[0], p, int(large.min()))


def _area(X: pd.DataFrame, y: pd.Series, splits: Sequence[Split], seed: int) -> tuple[float, float]:
    """The area of the better classifier, and its p-value."""
    models = [model for name, model in default_estimators().items() if name in _PANEL]
    score = scorers("roc_auc")["roc_auc"]
    splits = [(train, test) for train, test in splits if len(np.unique(y.iloc[test])) > 1]
    if not splits:
        return np.nan, 1.0
    areas = []
    for number, (train, test) in enumerate(splits):
        arm = ClassGaussian(amount=1.0, random_state=derive(seed, "signal", number) % 2**32)
        rows = arm.fit_resample(take(X, train), take(y, train))
        areas.append([score(clone(model).fit(*rows), take(X, test), take(y, test)) for model in models])
    area = float(np.mean(areas, axis=0).max())
    tested = np.unique(np.concatenate([test for _, test in splits]))
    folds = round(len(tested) / float(np.mean([len(test) for _, test in splits])))
    z = (area - 0.5) / null_deviation(np.unique(y.iloc[tested], return_counts=True)[1], folds)
    return area, min(1.0, len(models) * float(stats.norm.sf(z)))


def null_deviation(counts: ArrayLike, folds: int) -> float:
    """Standard deviation of a cross-validated area under the curve when scores say nothing of the labels.

    Of one class against the rest with `a` and `b` rows it is that of the Mann-Whitney statistic in each fold,
    `(a + b + k) / (12 a b)` for the mean of `k` folds (Hanley & McNeil 1982); of several classes, the root of the mean
    of the variances, which bounds it. Repeating the folds makes it no smaller here, since the rows are the same.

    >>> round(null_deviation([50, 50], 4), 3)
    0.059
    """
    sizes = np.asarray(counts, float)
    rest = sizes.sum() - sizes
    return float(np.sqrt(np.mean((sizes.sum() + folds) / (12 * sizes * rest))))
