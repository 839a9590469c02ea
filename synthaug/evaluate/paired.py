"""Run every arm on the same splits with the same seeds, and keep the test rows away from the arms."""

from __future__ import annotations

import copy
import functools
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedGroupKFold, StratifiedKFold

from synthaug.errors import DataError, ParameterError, SynthaugWarning, listed, raise_problems
from synthaug.evaluate.adapters import EstimatorArm
from synthaug.evaluate.metrics import class_recalls
from synthaug.evaluate.studies import attempt, measured
from synthaug.evaluate.wording import FEWEST
from synthaug.fingerprint import row_hashes
from synthaug.rng import derive
from synthaug.schema import plain

__all__ = [
    "Split",
    "Study",
    "check_groups",
    "few_tested",
    "is_pool",
    "leaks",
    "make_splits",
    "score_cell",
    "seeded",
    "take",
    "too_few",
]

Split = tuple[np.ndarray, np.ndarray]
_FOLDS, _REPEATS = 5, 2
_FEW = 3  # test rows of a class in a split


def make_splits(
    cv: Any, X: Any, y: pd.Series | None, seed: int, groups: Any = None, *, name: str = "cv"
) -> list[Split]:
    """Positions of the training and test rows of every split.

    Args:
        cv: None (stratified 5 folds, twice, fewer folds where the smallest class has fewer rows), a number of
            stratified folds, an object with `split(X, y, groups)`, or a list of `(train, test)` positions.
        X: The records, `n` of them.
        y: The labels, `(n,)`, with a fresh index; None for records of no classes, whose folds are not stratified.
        seed: For the shuffling of the first two, and of an object whose `random_state` is None.
        groups: Rows of one group, `(n,)`, stay together; the first two then are stratified group folds.
        name: What the caller calls `cv`, for messages.

    Raises:
        DataError: a class of a single row; rows or groups in both parts; a class that is tested on and not trained on;
            records that `cv` cannot split.
        ParameterError: a `cv` that is none of these.

    >>> [test.tolist() for _, test in make_splits([([0, 1, 2, 3], [4, 5])], None, pd.Series([0, 1] * 3), 0)]
    [[4, 5]]
    """
    n = len(X) if y is None else len(y)
    names = None if groups is None else check_groups(groups, X, n)
    if cv is None or (isinstance(cv, int | np.integer) and not isinstance(cv, bool)):
        pairs = _stratified(cv, y, n, seed, names, name)
    elif hasattr(cv, "split") and not isinstance(cv, str):
        pairs = _split_by(_seeded_folds(cv, seed), X, y, names, n, name)
    elif isinstance(cv, Iterable) and not isinstance(cv, str):
        pairs = cv
    else:
        raise ParameterError(
            f"Expected `{name}` to be None, a number of folds, an object with `split`, or a list of (train, test), "
            f"got {cv!r}."
        )
    splits = [(np.asarray(train), np.asarray(test)) for train, test in pairs]
    if not splits:
        raise ParameterError(f"Expected `{name}` to give at least one split, got none.")
    raise_problems(
        problem for i, split in enumerate(splits) for problem in _split_problems(i, split, n, y, names, name)
    )
    return splits


def few_tested(y: pd.Series, splits: list[Split]) -> dict[str, list[int]]:
    """Classes of which a split tests fewer than 3 rows on average, and the fewest and the most that one tests.

    >>> few_tested(pd.Series([0] * 5 + [1] * 4), [([], [0, 1, 2, 5]), ([], [2, 3, 4, 6, 7])])
    {'1': [1, 2]}
    """
    labels, codes = np.unique(y.to_numpy(), return_inverse=True)
    counts = np.array([np.bincount(codes[test], minlength=len(labels)) for _, test in splits])
    few = counts.mean(axis=0) < _FEW
    ends = zip(labels[few], counts.min(axis=0)[few], counts.max(axis=0)[few], strict=True)
    return {str(label): [int(least), int(most)] for label, least, most in sorted(ends, key=lambda row: row[2])}


def too_few(y: pd.Series, splits: list[Split]) -> dict[str, int]:
    """Classes of which fewer than 10 rows are tested on in all splits together, and how many; the rarest first.

    Splits share their training rows, and corrections for that fail where a handful of rows makes the score: among
    labels without meaning, arms then gain or lose "beyond chance" in up to a third of studies instead of 5%.

    >>> too_few(pd.Series([0] * 10 + [1] * 4), [([], [0, 1, 2, 3, 4, 10]), ([], [5, 6, 7, 8, 9, 10])])
    {'1': 1}
    """
    tested = y.iloc[np.unique(np.concatenate([test for _, test in splits]))]
    counts = tested.value_counts(ascending=True, sort=True)
    return {str(label): int(n) for label, n in counts.items() if 0 < n < FEWEST}


def check_groups(groups: Any, X: Any, n: int) -> np.ndarray:
    """Codes of the groups of `n` records `X`, `(n,)`; an error for groups that do not fit.

    >>> check_groups(["ann", "bob", "ann"], None, 3)
    array([0, 1, 0])
    """
    if isinstance(groups, pd.Series) and isinstance(X, pd.DataFrame) and not groups.index.equals(X.index):
        raise DataError("`groups` and the records have different indexes: align them with `groups.loc[X.index]`.")
    if np.ndim(groups) != 1:
        of_column = f"{groups!r}: of a column pass its values, `X[{groups!r}]`"
        given = f"shape {np.shape(groups)}" if np.ndim(groups) else of_column
        raise ParameterError(f"Expected `groups` as one value a record, got {given}.")
    codes, _ = pd.factorize(np.asarray(groups))
    if len(codes) != n:
        raise DataError(f"Expected one group a record, got {len(codes)} groups and {n} records.")
    if (codes < 0).any():
        raise DataError(f"`groups` is missing in {(codes < 0).sum()} of {n} records: give each a group of its own.")
    return codes


def _seeded_folds(cv: Any, seed: int) -> Any:
    """A copy that draws from `seed` where it would draw from the global state."""
    if getattr(cv, "random_state", 0) is not None or not getattr(cv, "shuffle", True):
        return cv
    copied = copy.copy(cv)
    copied.random_state = derive(seed, "folds") % 2**32
    return copied


def _split_by(cv: Any, X: Any, y: pd.Series | None, groups: np.ndarray | None, n: int, name: str) -> list[Split]:
    with warnings.catch_warnings():
        # Whether the groups are kept together is seen from the splits.
        warnings.filterwarnings("ignore", "The groups parameter is ignored", UserWarning)
        try:
            return list(cv.split(X, y, groups))
        except ValueError as error:
            raise DataError(f"`{name}` ({cv}) cannot split these {n} records: {error}") from error


def _stratified(
    cv: int | np.integer | None, labels: pd.Series | None, n: int, seed: int, groups: np.ndarray | None, name: str
) -> Iterable[Split]:
    y = pd.Series(np.zeros(n)) if labels is None else labels
    counts = Counter(y.tolist())
    label, fewest = min(counts.items(), key=lambda item: item[1])
    raise_problems(
        f"Class {label!r} has 1 row, and at least 2 are needed, to learn from one and test on the other: collect more, "
        "merge it with another class, or drop it."
        for label, n in counts.items()
        if n == 1
    )
    what, whose = "rows", "" if labels is None else f" of the smallest class, {label!r}"
    if groups is not None:
        within = {one: len(np.unique(groups[(y == one).to_numpy()])) for one in counts}
        label, fewest = min(within.items(), key=lambda item: item[1])
        what, whose = "groups", "" if labels is None else f" of the smallest class, {label!r}"
        if fewest == 1:
            raise DataError(
                f"Class {label!r} is in 1 group, and 2 are needed, to learn from one and test on the other."
            )
    if cv is not None and not 2 <= cv <= fewest:
        raise ParameterError(f"Expected `{name}` from 2 to {fewest}, the number of {what}{whose}, got {cv}.")
    if cv is None and fewest < _FOLDS:
        warnings.warn(
            f"The smallest class, {label!r}, has {fewest} {what}: {fewest} folds are used in place of {_FOLDS}, so the "
            "intervals are wide.",
            SynthaugWarning,
            stacklevel=4,
        )
    folds = int(cv) if cv is not None else min(_FOLDS, fewest)
    placeholder = np.zeros(len(y))
    if groups is None and cv is None:
        splitter = RepeatedStratifiedKFold(n_splits=folds, n_repeats=_REPEATS, random_state=seed % 2**32)
        return splitter.split(placeholder, y)
    if groups is None:
        return StratifiedKFold(folds, shuffle=True, random_state=seed % 2**32).split(placeholder, y)
    seeds = [(seed + repeat) % 2**32 for repeat in range(_REPEATS if cv is None else 1)]
    splitters = [StratifiedGroupKFold(folds, shuffle=True, random_state=one) for one in seeds]
    return [split for splitter in splitters for split in splitter.split(placeholder, y, groups)]


def _split_problems(
    number: int, split: Split, n: int, y: pd.Series | None, groups: np.ndarray | None, name: str
) -> list[str]:
    for part, rows in zip(("train", "test"), split, strict=True):
        if rows.ndim != 1 or not len(rows) or rows.dtype.kind not in "iu":
            return [f"Split {number}: expected the {part} rows as a non-empty list of positions (ints)."]
        if rows.min() < 0 or rows.max() >= n:
            return [f"Split {number}: expected {part} rows from 0 to {n - 1}, got {rows.min()} to {rows.max()}."]
    train, test = split
    shared = np.intersect1d(train, test)
    if len(shared):
        return [f"Split {number}: {len(shared)} rows are in both train and test (first {shared[0]}): take them apart."]
    torn = None if groups is None else np.intersect1d(groups[train], groups[test])
    if torn is not None and len(torn):
        return [
            f"Split {number}: {len(torn)} groups have rows in both train and test: let `{name}` keep them apart, "
            "such as `GroupKFold()`, or leave `groups` out."
        ]
    if y is None:
        return []
    known = y.iloc[train].unique().tolist()
    missing = [label for label in y.iloc[test].unique().tolist() if label not in known]
    if missing:
        return [
            f"Split {number}: class {missing[0]!r} is among the test rows and not among the training rows: "
            f"use stratified folds (`{name}=None`), merge the class with another, or drop it."
        ]
    if len(known) < 2:
        return [f"Split {number}: all training rows are of class {known[0]!r}, and two classes are needed."]
    return []


@dataclass(frozen=True)
class Study:
    """Everything that the cells (arm, split) of a comparison share; `skipped` holds (arm, estimator, reason)."""

    X: Any
    y: Any
    arms: Mapping[str, Any]
    estimators: Mapping[str, Any]
    scorers: Mapping[str, Callable[[Any, Any, Any], float]]
    splits: list[Split]
    skipped: tuple[tuple[str, str, str], ...]
    seed: int


def score_cell(study: Study, cell: tuple[str, int]) -> dict[str, Any]:
    """One arm on one split: resample the training rows once, then fit and score every estimator.

    Returns:
        `seconds` and `peak_mb` that resampling took, how many rows it `added` (None where it makes none), and
        rows without arm and split: `scores` (estimator, metric, score), `recalls` (estimator, label, recall, support)
        and `failures` (estimator, error).
    """
    name, number = cell
    train, test = study.splits[number]
    arm, skipped = study.arms[name], [model for other, model, _ in study.skipped if other == name]
    real = take(study.X, train), take(study.y, train)
    held_out = take(study.X, test), take(study.y, test)
    error: str | None = None
    rows, seconds, peak, added = real, 0.0, 0.0, None
    if arm is not None and not isinstance(arm, EstimatorArm):
        (error, rows), seconds, peak = measured(attempt, _resampled, arm, *real, derive(study.seed, "arm", number))
        error = error or attempt(lambda: _check_labels(rows[1], study.y))[0]
        added = attempt(lambda: len(rows[1]) - len(train))[1]
    scores, recalls, failures = [], [], []
    for model_name, estimator in study.estimators.items():
        if model_name in skipped:
            continue
        problem, model = (error, None) if error else attempt(_fitted, arm, estimator, rows, study.seed, number)
        if problem is None:
            tried = {metric: attempt(_score, model, *held_out, scorer) for metric, scorer in study.scorers.items()}
            scores += [[model_name, metric, score] for metric, (wrong, score) in tried.items() if wrong is None]
            found = attempt(_recalls, model, *held_out)[1] or []
            recalls += [[model_name, *row] for row in found]
            problem = next((f"{wrong} (metric {metric!r})" for metric, (wrong, _) in tried.items() if wrong), None)
        if problem is not None:
            failures.append([model_name, problem])
    costs = {"seconds": seconds, "peak_mb": peak, "added": added}
    return {**costs, "scores": scores, "recalls": recalls, "failures": failures}


def _resampled(arm: Any, X: Any, y: Any, seed: int) -> tuple[Any, Any]:
    if is_pool(arm):
        return _stacked(arm, X, y)
    return seeded(arm, seed).fit_resample(X, y)


def _check_labels(labels: Any, y: Any) -> None:
    """Refuse labels of an arm that `y` lacks, which no test row can have."""
    known = [plain(label) for label in pd.Series(y).unique()]
    new = [label for label in map(plain, pd.Series(np.ravel(labels)).unique()) if label not in known]
    if new:
        raise DataError(f"The arm gives rows of class {listed(new)}, and the classes in `y` are {listed(known)}.")


def _fitted(arm: Any, estimator: Any, rows: tuple[Any, Any], seed: int, number: int) -> Any:
    model = seeded(estimator, derive(seed, "estimator", number))
    if isinstance(arm, EstimatorArm):
        model = arm.adapted(model, rows[1], derive(seed, "arm", number) % 2**32)
    model.fit(*rows)
    return _remembering(model)


def _score(model: Any, X: Any, y: Any, scorer: Callable[[Any, Any, Any], float]) -> float:
    score = float(scorer(model, X, y))
    if not np.isfinite(score):
        raise DataError(f"The score is {score}.")
    return score


def _recalls(model: Any, X: Any, y: Any) -> list[list[Any]]:
    """Label, recall and number of test rows of each class."""
    support = Counter(map(plain, y))
    return [[label, recall, support[label]] for label, recall in class_recalls(y, model.predict(X)).items()]


def _remembering(model: Any) -> Any:
    """The model, which now answers the same question once: several scores ask for the same predictions."""
    for name in ("predict", "predict_proba", "decision_function"):
        method = getattr(model, name, None)
        if callable(method) and hasattr(model, "__dict__"):
            setattr(model, name, _once(method))
    return model


def _once(method: Callable[..., Any]) -> Callable[..., Any]:
    asked: list[Any] = []

    @functools.wraps(method)
    def answer(*args: Any, **kwargs: Any) -> Any:
        if len(args) != 1 or kwargs:
            return method(*args, **kwargs)
        if not asked or asked[0] is not args[0]:
            asked[:] = [args[0], method(args[0])]
        return asked[1]

    return answer


def seeded(original: Any, seed: int) -> Any:
    """A clone whose every `random_state` is drawn from `seed`: the same for the same parameters.

    >>> from sklearn.ensemble import RandomForestClassifier
    >>> seeded(RandomForestClassifier(), 1).random_state == seeded(RandomForestClassifier(), 1).random_state
    True
    """
    copy = clone(original, safe=False)
    if hasattr(copy, "get_params"):
        names = [name for name in copy.get_params(deep=True) if name.rpartition("__")[2] == "random_state"]
        copy.set_params(**{name: derive(seed, name) % 2**32 for name in sorted(names)})
    return copy


def is_pool(arm: Any) -> bool:
    """Whether an arm is rows made beforehand: `records`, `labels`, and `trained_on(records, labels)`.

    >>> is_pool(None)
    False
    """
    return all(hasattr(arm, name) for name in ("records", "labels", "trained_on"))


def _stacked(pool: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """The rows of a pool below the real ones, in the containers and with the columns of these."""
    if isinstance(X, pd.DataFrame):
        rows: Any = pd.concat([X, pool.records[list(X.columns)]], ignore_index=True)
    else:
        rows = np.concatenate([X, np.asarray(pool.records, X.dtype)])
    if isinstance(y, pd.Series):
        return rows, pd.concat([y, pd.Series(pool.labels)], ignore_index=True).astype(y.dtype)
    return rows, np.concatenate([y, np.asarray(pool.labels, y.dtype)])


def leaks(pool: Any, X: Any, y: pd.Series, splits: list[Split]) -> list[str]:
    """What is wrong with a pool that was fitted on test rows, or may have been: one problem at most.

    Test rows that equal a training row of their split do not count: the pool may have seen that one.
    """
    frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(X, columns=pool.records.columns)
    try:
        known = np.asarray(pool.trained_on(frame, y), bool)
    except DataError as error:
        return [f"cannot be tested: {error}"]
    hashes = row_hashes(frame, y)
    seen = [int((known[test] & ~np.isin(hashes[test], hashes[train])).sum()) for train, test in splits]
    worst = int(np.argmax(seen))
    if not seen[worst]:
        return []
    return [
        f"was fitted on {seen[worst]} of the {len(splits[worst][1])} test rows of split {worst}: fit the generator on "
        "training rows alone, either inside the comparison (pass `SynthResampler(...)`) or on the training rows of a "
        "split that you pass as `cv=[(train, test)]`."
    ]


def take(rows: Any, positions: np.ndarray) -> Any:
    """The rows at these positions, of a data frame, series, array or sparse matrix.

    >>> take(np.array([4, 5, 6]), np.array([2, 0])).tolist()
    [6, 4]
    """
    return rows.iloc[positions] if hasattr(rows, "iloc") else rows[positions]
