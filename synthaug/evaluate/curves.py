"""How the gain changes with the amount that is added, and with the number of real rows; both are made of `compare`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from synthaug.errors import ParameterError, raise_problems
from synthaug.evaluate.baselines import default_arms
from synthaug.evaluate.comparison import check_store, compare
from synthaug.evaluate.paired import make_splits
from synthaug.labels import check_target
from synthaug.rng import RandomState, as_seed, numpy_rng

__all__ = ["amount_curve", "learning_curve"]

AMOUNTS = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0)
SIZES = (20, 50, 100, 200)
_GAIN = ["gain", "low", "high"]


def amount_curve(
    make_arm: Callable[[float], Any],
    estimator: Any,
    X: Any,
    y: Any,
    *,
    amounts: Iterable[float] = AMOUNTS,
    cv: Any = None,
    scoring: Any = "balanced_accuracy",
    groups: Any = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
    store: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """The gain of an arm over the real data alone at each amount.

    Args:
        make_arm: An amount, as a share of the real rows, to an arm: `lambda amount: Smote(amount=amount)`.
        estimator: As in `compare`.
        X: Real records.
        y: Their labels.

    Other Arguments:
        amounts: Shares of the number of real training rows, of 0 (the real data alone, whose gain is 0) and more.
        cv: As in `compare`, and so are those that follow.
        scoring: See there.
        groups: See there.
        random_state: See there.
        n_jobs: See there.
        store: See there.
        progress: See there.

    Returns:
        One row an amount, estimator ("all" pools them) and metric: amount, estimator, metric, gain, low, high (95%).

    Raises:
        ParameterError: negative amounts, none above 0, or one twice. What `compare` raises besides.

    >>> from sklearn.datasets import make_classification
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from synthaug.evaluate.baselines import Duplicate
    >>> X, y = make_classification(100, random_state=0)
    >>> curve = amount_curve(lambda amount: Duplicate(amount=amount), GaussianNB(), X, y, amounts=(0, 1), cv=3)
    >>> curve[["amount", "estimator"]].values.tolist()
    [[0.0, 'GaussianNB'], [0.0, 'all'], [1.0, 'GaussianNB'], [1.0, 'all']]
    """
    shares = [float(amount) for amount in amounts]
    problems = [f"Expected `amounts` of at least 0, got {share:g}." for share in shares if not share >= 0]
    if len(set(shares)) < len(shares) or not any(share > 0 for share in shares):
        problems.append(f"Expected at least one amount above 0 and none twice, got {shares}.")
    raise_problems(problems, ParameterError)
    found = compare(
        {f"{share:g}": make_arm(share) for share in shares if share},
        estimator, X, y,
        cv=cv, scoring=scoring, groups=groups, random_state=random_state, n_jobs=n_jobs, store=store, progress=progress,
    )  # fmt: skip
    gains = found.gains().assign(amount=lambda rows: rows["arm"].astype(float))
    if 0 in shares:
        nothing = gains[["estimator", "metric"]].drop_duplicates().assign(amount=0.0, gain=0.0, low=0.0, high=0.0)
        gains = pd.concat([nothing, gains])
    place = {share: i for i, share in enumerate(shares)}
    gains = gains.sort_values("amount", key=lambda column: column.map(place), kind="stable", ignore_index=True)
    return gains[["amount", "estimator", "metric", *_GAIN]]


def learning_curve(
    arms: Mapping[str, Any] | None,
    estimator: Any,
    X: Any,
    y: Any,
    *,
    sizes: Iterable[int] = SIZES,
    cv: Any = None,
    scoring: Any = "balanced_accuracy",
    groups: Any = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
    store: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """The gain of each arm over the real data alone, when there are fewer real rows to learn from.

    For each size, that many of the training rows of every split are kept, with the shares of the classes and at least
    one row of each; the rows of a smaller size are among those of a larger one. The test rows stay the same. Intervals
    allow for test parts that are large beside the training rows, so they are wide at small sizes.

    Args:
        arms: As in `compare`.
        estimator: As in `compare`.
        X: Real records.
        y: Their labels.

    Other Arguments:
        sizes: Numbers of real training rows.
        cv: As in `compare`, and so are those that follow.
        scoring: See there.
        groups: See there.
        random_state: See there.
        n_jobs: See there.
        store: See there.
        progress: See there.

    Returns:
        One row a size, arm, estimator ("all" pools them) and metric: n, arm, estimator, metric, gain, low, high (95%).

    Raises:
        ParameterError: a size that is more than a training part has, or fewer than two or the number of classes. What
            `compare` raises besides.

    >>> from sklearn.datasets import make_classification
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y = make_classification(100, random_state=0)
    >>> curve = learning_curve({"again": None}, GaussianNB(), X, y, sizes=(20, 50), cv=3)
    >>> curve[["n", "estimator", "gain"]].values.tolist()
    [[20, 'GaussianNB', 0.0], [20, 'all', 0.0], [50, 'GaussianNB', 0.0], [50, 'all', 0.0]]
    """
    check_store(store, random_state)
    seed = as_seed(random_state)
    labels = check_target(y, X if isinstance(X, pd.DataFrame) else None)
    splits = make_splits(cv, X, labels, seed, groups)
    orders = [_spread(train, labels, numpy_rng(seed, "learning", i)) for i, (train, _) in enumerate(splits)]
    sizes = list(sizes)
    _check_sizes(sizes, min(map(len, orders)), labels.nunique())
    tables = []
    for size in sizes:
        fewer = [(order[:size], test) for order, (_, test) in zip(orders, splits, strict=True)]
        found = compare(
            default_arms() if arms is None else arms,
            estimator, X, y,
            cv=fewer, scoring=scoring, groups=groups, random_state=seed, n_jobs=n_jobs, store=store, progress=progress,
        )  # fmt: skip
        tables.append(found.gains().assign(n=size))
    return pd.concat(tables, ignore_index=True)[["n", "arm", "estimator", "metric", *_GAIN]]


def _spread(rows: np.ndarray, labels: pd.Series, rng: np.random.Generator) -> np.ndarray:
    """The rows in an order of which every beginning has one row of each class, if it can, and then their shares."""
    shuffled = pd.Series(rng.permutation(rows))
    classes = shuffled.map(labels)
    within = classes.groupby(classes, observed=True)
    return shuffled[np.argsort(within.cumcount() / within.transform("size"), kind="stable")].to_numpy()


def _check_sizes(sizes: list[int], most: int, n_classes: int) -> None:
    least = max(2, n_classes)
    wrong = [size for size in sizes if not (isinstance(size, int | np.integer) and least <= size <= most)]
    problems = [
        f"Expected `sizes` from {least} (a row of each class) to {most} (the smallest training part), got {size!r}."
        for size in wrong
    ]
    if not sizes or len(set(sizes)) < len(sizes):
        problems.append(f"Expected at least one size and none twice, got {sizes}.")
    raise_problems(problems, ParameterError)
