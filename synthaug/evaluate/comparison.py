"""Does it help? Arms against the real data alone: the same folds, the same seeds, and an interval."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.pipeline import Pipeline

from synthaug.errors import ParameterError, raise_problems
from synthaug.evaluate import metrics
from synthaug.evaluate.adapters import EstimatorArm
from synthaug.evaluate.baselines import default_arms
from synthaug.evaluate.paired import Split, Study, few_tested, is_pool, leaks, make_splits, score_cell, too_few
from synthaug.evaluate.priors import regressor_problem
from synthaug.evaluate.results import Comparison, collect
from synthaug.evaluate.studies import describe, identity, run_cells, versions
from synthaug.evaluate.wording import POOLED
from synthaug.labels import check_target
from synthaug.rng import RandomState, as_seed

__all__ = ["Comparison", "compare"]


def compare(
    arms: Mapping[str, Any] | None,
    estimator: Any,
    X: Any,
    y: Any,
    *,
    cv: Any = None,
    scoring: Any = "balanced_accuracy",
    groups: Any = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
    store: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Comparison:
    """Measure what each arm adds to a classifier that learns from the real training rows.

    Every arm sees the same splits and the same classifier seeds, and only training rows; scores are of real test rows.

    Args:
        arms: By name: None (the real rows alone), an object with `fit_resample(X, y)`, an `EstimatorArm` such as
            `ClassWeight()`, or a `Pool`, whose rows are added (and which must not have been fitted on test rows). By
            default `default_arms()`. "real" is added where it is missing.
        estimator: A scikit-learn classifier or pipeline, or several by name. All are cloned.
        X: Real records: a data frame, array or sparse matrix of `n` rows.
        y: Labels `(n,)`; a Series must have the index of a data frame `X`.

    Other Arguments:
        cv: None (stratified 5 folds, twice), a number of stratified folds, an object with `split(X, y, groups)` such as
            `TimeSeriesSplit()`, or a list of `(train, test)` positions.
        scoring: A scorer's name or a scorer `(estimator, X, y) -> float`, a list of these, or these by name; see
            `metrics.scorers`. Greater is better.
        groups: `(n,)`, such as a column's values; rows of one group are never in both parts of a split.
        random_state: One seed for splits, arms and classifiers; it replaces their own `random_state`.
        n_jobs: How many cells (arm, split) run at once, as joblib counts.
        store: A folder in which every finished cell is kept, so that a study that was killed goes on when it is called
            again, and ends in the same bytes. A cell is used again while data, arm, estimators, scorers, split, seed
            and package versions are the same; code that these call is not looked at, so after a change to it take a
            new folder. One study at a time works with a folder; another waits.
        progress: Whether to show a bar; None shows one on a terminal where it takes more than 3 seconds.

    Returns:
        The scores. An arm that raises, or gives labels that `y` lacks, loses the cells where it does, with a
            `SynthaugWarning`, and the rest goes on.

    Raises:
        DataError: labels or groups that do not fit the records; splits that cannot be scored; a pool that was fitted on
            test rows; "real" failed everywhere.
        ParameterError: arms, estimators, `scoring`, `groups` or `cv` that are none of the above, such as a regressor; a
            `store` without `random_state`.
        StorageError: the store cannot be written to, or a file in it is damaged.

    >>> from sklearn.datasets import make_classification
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y = make_classification(200, weights=[0.9], random_state=0)
    >>> found = compare({"again": None}, GaussianNB(), X, y, random_state=0)
    >>> found.gains()[["gain", "low", "high", "p"]].iloc[0].tolist()
    [0.0, 0.0, 0.0, 1.0]
    """
    check_store(store, random_state)
    seed = as_seed(random_state)
    records, labels, series = _aligned(X, y)
    chosen = _arms(default_arms() if arms is None else arms)
    estimators, scorers = _estimators(estimator), metrics.scorers(scoring)
    splits = make_splits(cv, X, series, seed, groups)
    _check_pools(chosen, records, series, splits)
    skipped, data = _skipped(chosen, estimators, series.nunique()), describe(records, series)
    data |= {"few_tested": few_tested(series, splits), "too_few": too_few(series, splits)}
    study = Study(records, labels, chosen, estimators, scorers, splits, skipped, seed)
    cells = [(arm, number) for arm in chosen for number in range(len(splits))]
    work = functools.partial(score_cell, study)
    results = run_cells(work, cells, key=_key(study), store=store, n_jobs=n_jobs, progress=progress)
    return collect(
        cells,
        results,
        sizes=[(len(train), len(test)) for train, test in splits],
        skipped=skipped,
        arms=tuple(chosen),
        estimators=tuple(estimators),
        seed=seed,
        data=data,
        versions=dict(versions()),
    )


def check_store(store: Any, random_state: RandomState) -> None:
    """Refuse a store that could never be used again.

    >>> check_store("folder", None)
    Traceback (most recent call last):
    ...
    synthaug.errors.ParameterError: Expected a `random_state` beside `store`, got None: a study goes on only with the seed that it began with.
    """  # noqa: E501
    if store is not None and random_state is None:
        raise ParameterError(
            "Expected a `random_state` beside `store`, got None: a study goes on only with the seed that it began with."
        )


def _key(study: Study) -> Callable[[tuple[str, int]], Any]:
    """All that the result of a cell depends on. The names of the arms do not count, so they may change."""

    @functools.cache
    def shared() -> Any:
        models = {name: identity(model) for name, model in study.estimators.items()}
        scorers = {name: identity(scorer) for name, scorer in study.scorers.items()}
        return [identity([study.X, study.y]), list(models.items()), list(scorers.items()), study.seed, dict(versions())]

    def key(cell: tuple[str, int]) -> Any:
        arm, number = cell
        skipped = [model for name, model, _ in study.skipped if name == arm]
        return [shared(), identity(study.arms[arm]), identity(study.splits[number]), number, skipped]

    return key


def _skipped(
    arms: Mapping[str, Any], estimators: Mapping[str, Any], n_classes: int
) -> tuple[tuple[str, str, str], ...]:
    changing = {name: arm for name, arm in arms.items() if isinstance(arm, EstimatorArm)}
    reasons = {
        (name, model): arm.problem(estimator, n_classes)
        for name, arm in changing.items()
        for model, estimator in estimators.items()
    }
    return tuple((*pair, reason) for pair, reason in reasons.items() if reason is not None)


def _check_pools(arms: Mapping[str, Any], X: Any, y: pd.Series, splits: list[Split]) -> None:
    pools = {name: arm for name, arm in arms.items() if is_pool(arm)}
    raise_problems(f"Arm {name!r} {text}" for name, pool in pools.items() for text in leaks(pool, X, y, splits))


def _aligned(X: Any, y: Any) -> tuple[Any, Any, pd.Series]:
    """Records and labels with a fresh index, in the containers that they came in, and the labels as a Series."""
    records: Any = X.tocsr() if issparse(X) else X if isinstance(X, pd.DataFrame) else np.asarray(X)
    series = check_target(y, records if isinstance(X, pd.DataFrame) else range(records.shape[0]))
    if isinstance(X, pd.DataFrame):
        records = records.reset_index(drop=True)
    return records, series if isinstance(y, pd.Series) else series.to_numpy(), series


def _arms(arms: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(arms, Mapping):
        raise ParameterError(f"Expected `arms` by name, such as `default_arms()`, got {arms!r}.")
    chosen = {"real": None, **arms}
    problems = [
        f"Expected arm {name!r} to be None, a Pool, ClassWeight() or an object with `fit_resample`, got {arm!r}."
        for name, arm in chosen.items()
        if isinstance(arm, type)
        or not (arm is None or isinstance(arm, EstimatorArm) or hasattr(arm, "fit_resample") or is_pool(arm))
    ]
    if chosen["real"] is not None:
        problems.append("Arm 'real' is the real data alone: expected None, or call this arm something else.")
    if len(chosen) == 1:
        problems.append("Expected at least one arm beside 'real', got none: `arms=None` gives the usual ones.")
    raise_problems(problems, ParameterError)
    return chosen


def _estimators(estimator: Any) -> dict[str, Any]:
    if isinstance(estimator, Mapping):
        named = dict(estimator)
    else:
        last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
        named = {type(last).__name__: estimator}
    problems = [
        f"Expected estimator {name!r} to be an object with `fit` and `predict`, got {model!r}."
        for name, model in named.items()
        if isinstance(model, type) or not (hasattr(model, "fit") and hasattr(model, "predict"))
    ]
    problems += [text for name, model in named.items() for text in regressor_problem(name, model)]
    if POOLED in named:
        problems.append(f"The estimator name {POOLED!r} is taken by the pooled gains: choose another.")
    if not named:
        problems.append("Expected at least one estimator, got none.")
    raise_problems(problems, ParameterError)
    return named
