"""Arms that add no rows and change the classifier instead: what weights and thresholds give for nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.metrics import make_scorer
from sklearn.model_selection import StratifiedKFold, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline

from synthaug.errors import DataError

__all__ = ["ClassWeight", "EstimatorArm", "TunedThreshold"]


class EstimatorArm(ABC):
    """Base of arms that leave the rows as they are and change the classifier."""

    @abstractmethod
    def problem(self, estimator: Any, n_classes: int) -> str | None:
        """Why this arm cannot go with a classifier and a number of classes, or None."""

    @abstractmethod
    def adapted(self, estimator: Any, y: Any, seed: int) -> Any:
        """What is fitted on the training rows, with labels `y`, instead of the classifier."""


@dataclass(frozen=True)
class ClassWeight(EstimatorArm):
    """The arm that adds nothing and sets `class_weight="balanced"` on the classifier.

    >>> from sklearn.linear_model import LogisticRegression
    >>> ClassWeight().adapted(LogisticRegression(), [0, 0, 1], seed=0)
    LogisticRegression(class_weight='balanced')
    """

    def problem(self, estimator: Any, n_classes: int) -> str | None:
        """The parameter is missing; in a pipeline, the last step is meant."""
        return None if _weight_name(estimator) else "it has no class weights"

    def adapted(self, estimator: Any, y: Any, seed: int) -> Any:
        """A clone with balanced class weights."""
        return clone(estimator).set_params(**{str(_weight_name(estimator)): "balanced"})


def _weight_name(estimator: Any) -> str | None:
    path, last = "", estimator
    while isinstance(last, Pipeline):
        name, last = last.steps[-1]
        path += f"{name}__"
    return f"{path}class_weight" if "class_weight" in getattr(last, "get_params", dict)() else None


@dataclass(frozen=True)
class TunedThreshold(EstimatorArm):
    """The arm that adds nothing and tunes the probability from which a row counts as of the second of two classes.

    The threshold is found by cross-validation inside the training rows alone (scikit-learn's
    `TunedThresholdClassifierCV`); the classifier is then fitted on all of them.

    Args:
        scoring: What the threshold shall be best for, as scikit-learn has it; None for balanced accuracy.
        cv: Stratified folds, fewer where a class has fewer rows. The classifier is fitted once a fold and once more.

    >>> from sklearn.linear_model import LogisticRegression
    >>> model = TunedThreshold().adapted(LogisticRegression(), [0, 1] * 5, seed=0)
    >>> model.fit([[i] for i in range(10)], [0] * 7 + [1] * 3).predict([[0], [9]]).tolist()
    [0, 1]
    """

    scoring: Any = None
    cv: int = 3

    def problem(self, estimator: Any, n_classes: int) -> str | None:
        """More than two classes; nothing to put a threshold on."""
        if n_classes != 2:
            return f"a threshold needs 2 classes, and there are {n_classes}"
        if not any(hasattr(estimator, name) for name in ("predict_proba", "decision_function")):
            return "it has neither predict_proba nor decision_function"
        return None

    def adapted(self, estimator: Any, y: Any, seed: int) -> Any:
        """The classifier with a threshold."""
        fewest = int(np.unique(np.asarray(y), return_counts=True)[1].min())
        if fewest < 2:
            raise DataError("A threshold cannot be tuned: a class has 1 training row, and at least 2 are needed.")
        folds = StratifiedKFold(min(self.cv, fewest), shuffle=True, random_state=seed)
        scoring = make_scorer(_mean_recall) if self.scoring is None else self.scoring
        return TunedThresholdClassifierCV(estimator, scoring=scoring, cv=folds)


def _mean_recall(truth: np.ndarray, told: np.ndarray) -> float:
    """Balanced accuracy without the checks of arguments: it is asked for at each of a hundred thresholds."""
    right = truth == told
    return float(np.mean([right[truth == label].mean() for label in np.unique(truth)]))
