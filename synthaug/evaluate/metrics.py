"""How good are the predictions? Scorers `(estimator, X, y) -> float` for any number of classes; greater is better.

The names are scikit-learn's wherever it has the metric. Ours give the same numbers and also take several classes,
labels of any type, and test rows that miss a class: averages over classes are over those of the test rows, so that the
same classes count for every arm.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import average_precision_score, get_scorer, get_scorer_names, roc_auc_score

from synthaug.errors import DataError, ParameterError, nearest, raise_problems
from synthaug.schema import plain

__all__ = ["UNBOUNDED", "Scorer", "brier", "class_recalls", "expected_calibration_error", "log_loss", "scorers"]

UNBOUNDED = ("d2_brier_score", "d2_log_loss_score", "mutual_info_score", "positive_likelihood_ratio")
"""Scores that are no shares, also where all of them happen to lie in 0 to 1."""

_REMEDIES = {
    "predict_proba": "wrap it in sklearn.calibration.CalibratedClassifierCV, or score by 'balanced_accuracy'",
    "decision_function": "score it by 'balanced_accuracy'",
}


def scorers(scoring: Any) -> dict[str, Callable[[Any, Any, Any], float]]:
    """The scorers that are meant, by name.

    | name | what | several classes | needs |
    | --- | --- | --- | --- |
    | balanced_accuracy | mean recall | yes | predict |
    | f1_macro | mean F1 | yes | predict |
    | roc_auc | area under the ROC curve | mean of one against the rest | probabilities or decisions |
    | average_precision | area under precision over recall, of the second of two classes | likewise | likewise |
    | neg_log_loss | - mean log-loss, in nats | yes | probabilities |
    | neg_brier | - Brier score, from 0 to 2; see `brier` | yes | probabilities |
    | neg_ece | - calibration error; see `expected_calibration_error` | yes | probabilities |

    Any other name of scikit-learn's is its own scorer, but for those of regression.

    Args:
        scoring: A name, a scorer `(estimator, X, y) -> float`, a list of these, or these by name.

    Raises:
        ParameterError: no scorer at all, an unknown name, one of regression, a metric `(y_true, y_pred)` that is no
            scorer, or two of one name.
        DataError: (of the scorers) an estimator without what the metric needs; test rows of a single class for a
            metric of ranks; of a class that the estimator has not seen for a metric of probabilities or ranks.

    >>> list(scorers(["roc_auc", "neg_brier", "accuracy"]))
    ['roc_auc', 'neg_brier', 'accuracy']
    >>> scorers("neg_ece")["neg_ece"]
    Scorer('neg_ece')
    """
    if isinstance(scoring, Mapping):
        pairs = list(scoring.items())
    else:
        several = [scoring] if isinstance(scoring, str) or not isinstance(scoring, Iterable) else list(scoring)
        pairs = [(one if isinstance(one, str) else getattr(one, "__name__", "score"), one) for one in several]
    if not pairs:
        raise ParameterError("Expected at least one scorer in `scoring`, got none: try 'balanced_accuracy'.")
    raise_problems([text for _, one in pairs for text in _problems(one)], ParameterError)
    raise_problems(
        [
            f"{n} scorers are called {name!r}: name them, `scoring={{'first': ..., 'second': ...}}`."
            for name, n in Counter(name for name, _ in pairs).items()
            if n > 1
        ],
        ParameterError,
    )
    return {name: _OURS.get(one) or get_scorer(one) if isinstance(one, str) else one for name, one in pairs}


@dataclass(frozen=True, repr=False)
class Scorer:
    """A metric of predictions, probabilities or ranks, to be called `(estimator, X, y) -> float`.

    Args:
        name: What it is called.
        needs: "predict", "predict_proba" or "decision_function" (which probabilities serve as well).
        measure: From the codes `(n,)` of the labels in `classes`, and what was predicted, `(n,)` codes or `(n, k)`
            probabilities or decisions, to a number of which greater is better.

    >>> from sklearn.dummy import DummyClassifier
    >>> model = DummyClassifier().fit([[0], [1], [2]], ["a", "a", "b"])
    >>> scorers("balanced_accuracy")["balanced_accuracy"](model, [[0], [1]], ["a", "b"])
    0.5
    """

    name: str
    needs: str
    measure: Callable[[np.ndarray, np.ndarray], float]

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        """The score of a fitted classifier on test rows; see `scorers` for what is raised."""
        if self.needs == "predict":
            return self.measure(*_coded_together(y, estimator.predict(X)))
        if not hasattr(estimator, "classes_"):
            raise DataError(f"{_called(estimator)} has no `classes_`, which {self.name!r} needs to read its columns.")
        classes = [plain(label) for label in estimator.classes_]
        codes = _codes(y, classes, self.name)
        if self.needs == "decision_function" and len(set(codes.tolist())) < 2:
            raise DataError(
                f"All {len(codes)} test rows are of class {classes[codes[0]]!r}: {self.name!r} compares two classes. "
                "Use stratified folds, or larger test parts."
            )
        return self.measure(codes, self._response(estimator, X, len(classes)))

    def _response(self, estimator: Any, X: Any, k: int) -> np.ndarray:
        """Probabilities or, if they will do, decisions, `(n, k)`."""
        wanted = ["predict_proba"]
        if self.needs == "decision_function":  # as scikit-learn does, decisions first where there are two classes
            wanted = ["decision_function", "predict_proba"] if k == 2 else ["predict_proba", "decision_function"]
        method = next((name for name in wanted if hasattr(estimator, name)), None)
        if method is None:
            raise DataError(
                f"{_called(estimator)} has no {' or '.join(sorted(wanted))}, which {self.name!r} needs: "
                f"{_REMEDIES[self.needs]}."
            )
        found = np.asarray(getattr(estimator, method)(X), float)
        if found.ndim == 1:
            found = np.column_stack([-found, found])
        if found.shape[1] != k:
            raise DataError(
                f"{_called(estimator)}.{method} gives {found.shape[1]} columns, and {self.name!r} needs one for each "
                f"of {k} classes."
            )
        return found

    def __repr__(self) -> str:
        return f"Scorer({self.name!r})"


def class_recalls(y_true: ArrayLike, y_pred: ArrayLike) -> dict[Any, float]:
    """The share of each class's rows that were found, by class of `y_true`, in order.

    >>> class_recalls(["a", "a", "b"], ["a", "b", "b"])
    {'a': 0.5, 'b': 1.0}
    """
    truth, found = _plain_list(y_true), _plain_list(y_pred)
    if len(truth) != len(found):
        raise DataError(f"Expected as many predictions as labels, got {len(found)} and {len(truth)}.")
    totals = Counter(truth)
    hits = Counter(label for label, guess in zip(truth, found, strict=True) if label == guess)
    return {label: hits[label] / totals[label] for label in sorted(totals)}


def expected_calibration_error(y: ArrayLike, proba: ArrayLike, bins: int = 15) -> float:
    """How far confidence is from accuracy: the gap in each bin of the confidence, weighted by its rows.

    This is the top-label error: the confidence is the probability of the likeliest class (the first of equals), and
    accuracy the share of rows where that class is right. Bins are equally wide, closed on the right.

    Args:
        y: The column of the true class of each row, `(n,)`.
        proba: Probabilities, `(n, k)`.
        bins: How many bins, at least 1. With few rows the estimate is biased upwards, more so with many bins.

    Raises:
        DataError: shapes that disagree, no rows, or codes that are no column.
        ParameterError: `bins` below 1.

    Source:
        Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, equation 3.

    >>> round(expected_calibration_error([0, 0, 1, 1], [[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.2, 0.8]]), 3)
    0.225
    """
    codes, p = _checked(y, proba)
    if bins < 1:
        raise ParameterError(f"Expected `bins` of at least 1, got {bins!r}.")
    confidence, right = p.max(1), p.argmax(1) == codes
    edges = np.linspace(0, 1, bins + 1)
    which = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    gaps = np.bincount(which, right - confidence, bins)
    return float(np.abs(gaps).sum() / len(codes))


def brier(y: ArrayLike, proba: ArrayLike) -> float:
    """The Brier score as it was first defined, for any number of classes: the mean squared distance, from 0 to 2.

    With two classes it is twice what scikit-learn's `brier_score_loss` calls by that name.

    Args:
        y: The column of the true class of each row, `(n,)`.
        proba: Probabilities, `(n, k)`.

    Raises:
        DataError: shapes that disagree, no rows, or codes that are no column.

    Source:
        Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78, 1950, eq. 2.

    >>> round(brier([0, 1], [[0.8, 0.2], [0.4, 0.6]]), 2)
    0.2
    """
    codes, p = _checked(y, proba)
    return float(((p - (codes[:, None] == np.arange(p.shape[1]))) ** 2).sum(1).mean())


def log_loss(y: ArrayLike, proba: ArrayLike) -> float:
    """Minus the mean log of the probability of the true class, in nats; probabilities are at least 2e-16.

    Args:
        y: The column of the true class of each row, `(n,)`.
        proba: Probabilities, `(n, k)`.

    Raises:
        DataError: shapes that disagree, no rows, or codes that are no column.

    >>> round(log_loss([0, 1], [[0.8, 0.2], [0.4, 0.6]]), 3)
    0.367
    """
    codes, p = _checked(y, proba)
    return float(-np.log(np.clip(p[np.arange(len(codes)), codes], np.finfo(float).eps, 1)).mean())


def _balanced_accuracy(codes: np.ndarray, found: np.ndarray) -> float:
    return float(np.mean([np.mean(found[codes == code] == code) for code in np.unique(codes)]))


def _f1_macro(codes: np.ndarray, found: np.ndarray) -> float:
    """The mean over the classes of the test rows: one that was only predicted costs the others' recall."""
    hits = [np.sum((codes == code) & (found == code)) for code in np.unique(codes)]
    sizes = [np.sum(codes == code) + np.sum(found == code) for code in np.unique(codes)]
    return float(np.mean(2 * np.array(hits) / np.array(sizes)))


def _roc_auc(codes: np.ndarray, scores: np.ndarray) -> float:
    return float(np.mean([roc_auc_score(codes == code, scores[:, code]) for code in _ranked(codes, scores)]))


def _average_precision(codes: np.ndarray, scores: np.ndarray) -> float:
    return float(np.mean([average_precision_score(codes == code, scores[:, code]) for code in _ranked(codes, scores)]))


def _ranked(codes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The classes to be told from the rest: the second of two, or all of several that are among the test rows."""
    return np.array([1]) if scores.shape[1] == 2 else np.unique(codes)


def _neg_log_loss(codes: np.ndarray, proba: np.ndarray) -> float:
    return -log_loss(codes, proba)


def _neg_brier(codes: np.ndarray, proba: np.ndarray) -> float:
    return -brier(codes, proba)


def _neg_ece(codes: np.ndarray, proba: np.ndarray) -> float:
    return -expected_calibration_error(codes, proba)


_OURS = {
    scorer.name: scorer
    for scorer in (
        Scorer("balanced_accuracy", "predict", _balanced_accuracy),
        Scorer("f1_macro", "predict", _f1_macro),
        Scorer("roc_auc", "decision_function", _roc_auc),
        Scorer("average_precision", "decision_function", _average_precision),
        Scorer("neg_log_loss", "predict_proba", _neg_log_loss),
        Scorer("neg_brier", "predict_proba", _neg_brier),
        Scorer("neg_ece", "predict_proba", _neg_ece),
    )
}


_REGRESSION = {one for one in get_scorer_names() if re.search("error|deviance|^r2$|^explained_variance$", one)}


def _problems(scorer: Any) -> list[str]:
    names = sorted({*_OURS, *get_scorer_names()} - _REGRESSION)
    if isinstance(scorer, str) and scorer in _REGRESSION:
        return [f"{scorer!r} is for numbers, and classes are predicted: score by 'balanced_accuracy' or 'f1_macro'."]
    if _is_metric(scorer):
        return [
            f"{scorer.__name__} is a metric and no scorer: pass `sklearn.metrics.make_scorer({scorer.__name__})`, "
            "which has to be told of a loss, or of a metric of probabilities."
        ]
    if callable(scorer) or (isinstance(scorer, str) and scorer in names):
        return []
    hint = nearest(scorer, names, "see sklearn.metrics.get_scorer_names().")
    return [f"Expected `scoring` to be a scorer or the name of one, got {scorer!r}: {hint}"]


def _is_metric(scorer: Any) -> bool:
    """Whether this is a function of labels and predictions, as those of `sklearn.metrics`."""
    if not inspect.isfunction(scorer):
        return False
    first = next(iter(inspect.signature(scorer).parameters), "")
    return scorer.__module__.startswith("sklearn.metrics.") or first == "y_true"


def _called(estimator: Any) -> str:
    steps = getattr(estimator, "steps", None)
    return type(steps[-1][1] if steps else estimator).__name__


def _plain_list(labels: Any) -> list[Any]:
    return [plain(label) for label in np.asarray(labels, object).ravel()]


def _coded_together(y: Any, found: Any) -> tuple[np.ndarray, np.ndarray]:
    """Codes of the true and the predicted labels, whatever their types."""
    truth, guesses = _plain_list(y), _plain_list(found)
    codes: dict[Any, int] = {}
    every = np.array([codes.setdefault(label, len(codes)) for label in truth + guesses], int)
    return every[: len(truth)], every[len(truth) :]


def _codes(y: Any, classes: list[Any], name: str) -> np.ndarray:
    known = {label: code for code, label in enumerate(classes)}
    codes = np.array([known.get(label, -1) for label in _plain_list(y)], int)
    if (codes < 0).any():
        unseen = _plain_list(y)[int(codes.argmin())]
        raise DataError(
            f"Class {unseen!r} is among the test rows, and the estimator has not seen it in training: {name!r} cannot "
            "score it. Use stratified folds, merge the class with another, or drop it."
        )
    return codes


def _checked(y: ArrayLike, proba: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    codes, p = np.asarray(y), np.asarray(proba, float)
    if p.ndim != 2 or codes.shape != (len(p),) or not len(p):
        raise DataError(
            f"Expected codes (n,) and probabilities (n, k) of at least one row, got {codes.shape} and {p.shape}."
        )
    if codes.dtype.kind not in "biu" or codes.min() < 0 or codes.max() >= p.shape[1]:
        raise DataError(
            f"Expected `y` as columns of the probabilities, 0 to {p.shape[1] - 1}, got {codes[:5].tolist()}."
        )
    return codes.astype(int), p
