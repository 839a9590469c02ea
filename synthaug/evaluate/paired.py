"""Run every arm on the same splits with the same seeds, and keep the test rows away from the arms."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedKFold

from synthaug.errors import DataError, ParameterError, SynthaugWarning, raise_problems
from synthaug.evaluate.baselines import ClassWeight
from synthaug.rng import derive

__all__ = ["Split", "Study", "make_splits", "run_study", "take"]

Split = tuple[np.ndarray, np.ndarray]
_FOLDS, _REPEATS = 5, 2


def make_splits(cv: Any, X: Any, y: pd.Series, seed: int) -> list[Split]:
    """Positions of the training and test rows of every split.

    Args:
        cv: None (stratified 5 folds, twice, fewer folds where the smallest class has fewer rows), a number of
            stratified folds, an object with `split(X, y)`, or a list of `(train, test)` positions.
        X: The records, `n` of them.
        y: The labels, `(n,)`, with a fresh index.
        seed: For the shuffling of the first two.

    Raises:
        DataError: a class of a single row; rows in both parts; a class that is tested on and not trained on.
        ParameterError: a `cv` that is none of these.

    >>> [test.tolist() for _, test in make_splits([([0, 1, 2, 3], [4, 5])], None, pd.Series([0, 1] * 3), 0)]
    [[4, 5]]
    """
    if cv is None or (isinstance(cv, int | np.integer) and not isinstance(cv, bool)):
        pairs = _stratified(cv, y, seed)
    elif hasattr(cv, "split") and not isinstance(cv, str):
        pairs = cv.split(X, y)
    elif isinstance(cv, Iterable) and not isinstance(cv, str):
        pairs = cv
    else:
        raise ParameterError(
            "Expected `cv` to be None, a number of folds, an object with `split`, or a list of (train, test), "
            f"got {cv!r}."
        )
    splits = [(np.asarray(train), np.asarray(test)) for train, test in pairs]
    if not splits:
        raise ParameterError("Expected `cv` to give at least one split, got none.")
    raise_problems(problem for i, split in enumerate(splits) for problem in _split_problems(i, split, y))
    return splits


def _stratified(cv: int | np.integer | None, y: pd.Series, seed: int) -> Iterable[Split]:
    counts = Counter(y.tolist())
    label, fewest = min(counts.items(), key=lambda item: item[1])
    raise_problems(
        f"Class {label!r} has 1 row, and at least 2 are needed, to learn from one and test on the other: collect more, "
        "merge it with another class, or drop it."
        for label, n in counts.items()
        if n == 1
    )
    shuffle = seed % 2**32
    placeholder = np.zeros(len(y))
    if cv is not None:
        if not 2 <= cv <= fewest:
            raise ParameterError(
                f"Expected `cv` from 2 to {fewest}, the number of rows of the smallest class, {label!r}, got {cv}."
            )
        return StratifiedKFold(int(cv), shuffle=True, random_state=shuffle).split(placeholder, y)
    if fewest < _FOLDS:
        warnings.warn(
            f"The smallest class, {label!r}, has {fewest} rows: {fewest} folds are used in place of {_FOLDS}, so the "
            "intervals are wide.",
            SynthaugWarning,
            stacklevel=4,
        )
    folds = RepeatedStratifiedKFold(n_splits=min(_FOLDS, fewest), n_repeats=_REPEATS, random_state=shuffle)
    return folds.split(placeholder, y)


def _split_problems(number: int, split: Split, y: pd.Series) -> list[str]:
    for part, rows in zip(("train", "test"), split, strict=True):
        if rows.ndim != 1 or not len(rows) or rows.dtype.kind not in "iu":
            return [f"Split {number}: expected the {part} rows as a non-empty list of positions (ints)."]
        if rows.min() < 0 or rows.max() >= len(y):
            return [f"Split {number}: expected {part} rows from 0 to {len(y) - 1}, got {rows.min()} to {rows.max()}."]
    train, test = split
    shared = np.intersect1d(train, test)
    if len(shared):
        return [f"Split {number}: {len(shared)} rows are in both train and test (first {shared[0]}): take them apart."]
    known = y.iloc[train].unique().tolist()
    missing = [label for label in y.iloc[test].unique().tolist() if label not in known]
    if missing:
        return [
            f"Split {number}: class {missing[0]!r} is among the test rows and not among the training rows: "
            "use stratified folds (`cv=None`), merge the class with another, or drop it."
        ]
    if len(known) < 2:
        return [f"Split {number}: all training rows are of class {known[0]!r}, and two classes are needed."]
    return []


@dataclass(frozen=True)
class Study:
    """Everything that the cells (arm, split) of a comparison share."""

    X: Any
    y: Any
    arms: Mapping[str, Any]
    estimators: Mapping[str, Any]
    scorers: Mapping[str, Callable[[Any, Any, Any], float]]
    splits: list[Split]
    seed: int


def run_study(study: Study, n_jobs: int | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The scores and the failures of all cells, in the order of the arms, splits, estimators and metrics.

    A failure (an exception, or a score that is not finite) leaves no score for that arm, estimator and split.
    """
    cells = Parallel(n_jobs=n_jobs)(
        delayed(_cell)(study, arm, number) for arm in study.arms for number in range(len(study.splits))
    )
    scores = [row for cell, _ in cells for row in cell]
    failures = [row for _, cell in cells for row in cell]
    return scores, failures


def _cell(study: Study, arm_name: str, number: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One arm on one split: resample the training rows once, then fit and score every estimator."""
    train, test = study.splits[number]
    arm = study.arms[arm_name]
    scores: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    real = take(study.X, train), take(study.y, train)
    start = time.perf_counter()
    error, rows = _attempt(_resampled, arm, *real, derive(study.seed, "arm", number))
    seconds = time.perf_counter() - start
    for name, estimator in study.estimators.items():
        weighted = arm.weighted(estimator) if isinstance(arm, ClassWeight) else estimator
        if weighted is None:
            continue
        place = {"arm": arm_name, "estimator": name, "split": number}
        problem, found = error, dict[str, float]()
        if problem is None:
            model = _seeded(weighted, derive(study.seed, "estimator", number))
            problem, found = _attempt(_scores, model, *rows, take(study.X, test), take(study.y, test), study.scorers)
        if problem is None:
            scores += [
                {**place, "metric": metric, "score": score, "seconds": seconds} for metric, score in found.items()
            ]
        else:
            failures.append({**place, "error": problem})
    return scores, failures


def _attempt(function: Callable[..., Any], *args: Any) -> tuple[str | None, Any]:
    try:
        return None, function(*args)
    except Exception as error:  # whatever an arm of the user's raises shall not end the study
        return f"{type(error).__name__}: {error}", {}


def _resampled(arm: Any, X: Any, y: Any, seed: int) -> tuple[Any, Any]:
    if arm is None or isinstance(arm, ClassWeight):
        return X, y
    return _seeded(arm, seed).fit_resample(X, y)


def _scores(model: Any, X: Any, y: Any, X_test: Any, y_test: Any, scorers: Mapping[str, Any]) -> dict[str, float]:
    model.fit(X, y)
    found = {metric: float(scorer(model, X_test, y_test)) for metric, scorer in scorers.items()}
    for metric, score in found.items():
        if not np.isfinite(score):
            raise DataError(f"The score {metric!r} is {score}.")
    return found


def _seeded(original: Any, seed: int) -> Any:
    """A clone whose every `random_state` is drawn from `seed`: the same for the same parameters."""
    copy = clone(original, safe=False)
    if hasattr(copy, "get_params"):
        names = [name for name in copy.get_params(deep=True) if name.rpartition("__")[2] == "random_state"]
        copy.set_params(**{name: derive(seed, name) % 2**32 for name in sorted(names)})
    return copy


def take(rows: Any, positions: np.ndarray) -> Any:
    """The rows at these positions, of a data frame, series, array or sparse matrix.

    >>> take(np.array([4, 5, 6]), np.array([2, 0])).tolist()
    [6, 4]
    """
    return rows.iloc[positions] if hasattr(rows, "iloc") else rows[positions]
