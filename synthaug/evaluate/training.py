"""The same measurement for anything that trains: a user's own training function, on a data set, with several seeds."""

from __future__ import annotations

import functools
import os
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthaug.arrays import is_array
from synthaug.errors import DataError, DataTypeError, ParameterError, SynthaugWarning, listed, raise_problems
from synthaug.evaluate.comparison import check_store
from synthaug.evaluate.paired import Split, few_tested, make_splits, too_few
from synthaug.evaluate.results import Comparison, collect
from synthaug.evaluate.studies import attempt, digest, identity, measured, run_cells, versions
from synthaug.evaluate.wording import POOLED
from synthaug.labels import check_labels
from synthaug.rng import RandomState, as_seed, derive, untouched

__all__ = ["Rows", "check_items", "compare_training"]

Arm = Callable[[Any, list[int], int], Any] | None
Train = Callable[[Any, int], Any]
Score = Callable[[Any, Any], float | Mapping[str, float]]
_READ = 20_000  # items that are looked through for doubles
_SMALL = 16  # numbers of an array, up to which two are often equal by chance


def compare_training(
    arms: Mapping[str, Arm],
    train: Train | Mapping[str, Train],
    score: Score,
    dataset: Any,
    splits: Any = None,
    *,
    seeds: int = 1,
    labels: Any = None,
    groups: Any = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
    store: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Comparison:
    """Measure what each arm adds to a model that your own function trains.

    Every arm sees the same splits and seeds, and only training items; scores are of real test items. How long a model
    trains is up to `train`: let it count steps and not epochs, or arms that add items also train for longer.

    Args:
        arms: By name, None (the real items alone) or a function `(dataset, indices, seed)` to what is trained on, such
            as a data set, loader or data module. Its `dataset` gives the training items at `indices` and refuses others
            (but not their arrays, where it has such attributes).
            "real" is added where it is missing.
        train: `(training data, seed)` to a trained model; or several by name, for each of which the arm makes its items
            anew. For the arm None the training data is a `Rows` of the training items, which a `DataLoader` takes.
        score: `(model, test data)` to a number or to numbers by name, of which greater is better; the test data is a
            `Rows` of the test items.
        dataset: `n` items, with `len` and `dataset[i]`.
        splits: None (5 folds, twice; stratified where `labels` are given), a number of folds, an object with
            `split(X, y, groups)`, or a list of `(train, test)` positions.

    Other Arguments:
        seeds: How many models are trained a split, each on items that the arm made anew. Their scores are averaged.
        labels: `(n,)` classes, for stratified splits, for the check that each class that is tested on is trained on,
            and to tell nothing where fewer than 10 items of a class are tested on.
        groups: `(n,)`; items of one group are never in both parts of a split.
        random_state: One seed for splits, arms and training.
        n_jobs: How many cells (arm, split, seed) run at once, as joblib counts.
        store: A folder in which every finished cell is kept, as in `compare`. The data set is known again by its class,
            attributes and the arrays among them.
        progress: As in `compare`.

    Returns:
        The scores. Anything that raises loses its cell, with a `SynthaugWarning`, and the rest goes on. There is also
        a warning if test items equal training items of their split (looked for in data sets of up to 20,000 items that
        hold arrays or images; small values are often equal by chance), and if scores are called a loss or an error and
        are never negative.

    Raises:
        DataError: labels or groups that do not fit; splits that cannot be scored; "real" failed everywhere.
        DataTypeError: a `dataset` without a length or items by position.
        ParameterError: arms, functions, `splits` or `seeds` that are none of the above.

    >>> def train(items, seed):
    ...     return sum(items[i] for i in range(len(items))) / len(items)
    >>> def score(mean, items):
    ...     return -max(abs(mean - items[i]) for i in range(len(items)))
    >>> def twice(dataset, indices, seed):
    ...     return [dataset[i] for i in indices] * 2
    >>> found = compare_training({"twice": twice}, train, score, [1.0, 2.0, 3.0, 4.0], 2, random_state=0)
    >>> found.gains()["gain"].tolist()
    [0.0, 0.0]
    """
    check_store(store, random_state)
    seed = as_seed(random_state)
    trains = dict(train) if isinstance(train, Mapping) else {"model": train}
    chosen = {"real": None, **arms}
    _check(chosen, trains, score, seeds)
    check_items(dataset)
    classes = None if labels is None else check_labels(labels, dataset)
    places = make_splits(splits, range(len(dataset)), classes, seed, groups, name="splits")
    _warn_of_doubles(dataset, places)
    study = _Study(chosen, trains, score, dataset, places, seed)
    cells = [(arm, split, repeat) for arm in chosen for split in range(len(places)) for repeat in range(seeds)]
    work = functools.partial(_train_cell, study)
    results = run_cells(work, cells, key=_key(study), store=store, n_jobs=n_jobs, progress=progress)
    unknown, known = attempt(identity, [dataset, classes])
    counts = pd.Series(dtype=int) if classes is None else classes.value_counts().sort_index()
    found = collect(
        [(arm, split) for arm, split, _ in cells],
        results,
        sizes=[(len(train), len(test)) for train, test in places],
        skipped=(),
        arms=tuple(chosen),
        estimators=tuple(trains),
        seed=seed,
        data={
            "fingerprint": "" if unknown else digest(known),
            "n": len(dataset),
            "columns": [],
            "classes": {str(label): int(n) for label, n in counts.items()},
            "few_tested": {} if classes is None else few_tested(classes, places),
            "too_few": {} if classes is None else too_few(classes, places),
        },
        versions=dict(versions()),
    )
    _warn_of_losses(found)
    return found


def check_items(dataset: Any) -> None:
    """Refuse a data set without items by position, or without any.

    >>> check_items("images/")
    Traceback (most recent call last):
    ...
    synthaug.errors.DataTypeError: Expected `dataset` to have a length and items by position, got str: of a DataModule or a DataLoader pass the training data set, of arrays `list(zip(images, labels))`.
    """  # noqa: E501
    arrays = isinstance(dataset, tuple) and any(map(is_array, dataset))
    by_place = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
    if arrays or not by_place or isinstance(dataset, str | bytes | Mapping | pd.DataFrame):
        raise DataTypeError(
            f"Expected `dataset` to have a length and items by position, got {type(dataset).__name__}: of a DataModule "
            "or a DataLoader pass the training data set, of arrays `list(zip(images, labels))`."
        )
    if not len(dataset):
        raise DataError("Expected at least one item in `dataset`, got none: pass the training data set.")


def _warn_of_losses(found: Comparison) -> None:
    lowest = found.scores.groupby("metric")["score"].min()
    losses = [name for name, least in lowest.items() if re.search("loss|error", str(name).lower()) and least >= 0]
    if losses:
        warnings.warn(
            f"{listed(losses)} in what `score` gives may be a loss, and greater is taken for better: give the negative "
            "of a loss, and only figures that are to be compared.",
            SynthaugWarning,
            stacklevel=3,
        )


def _warn_of_doubles(dataset: Any, splits: list[Split]) -> None:
    """Warn of the split with the most test items that equal a training item."""
    if len(dataset) > _READ:
        return

    def known() -> np.ndarray | None:
        return np.array([digest(identity(dataset[i])) for i in range(len(dataset))]) if _is_rich(dataset[0]) else None

    with untouched():  # items may draw random crops
        problem, keys = attempt(known)
    if problem is not None or keys is None:  # items that raise are met again in training; others cannot be told apart
        return
    doubles = [test[np.isin(keys[test], keys[train])] for train, test in splits]
    worst = max(range(len(splits)), key=lambda i: len(doubles[i]))
    if len(doubles[worst]):
        warnings.warn(
            f"In split {worst}, {len(doubles[worst])} of {len(splits[worst][1])} test items equal a training item: "
            f"{listed(doubles[worst].tolist())}. Scores on them are too good, most of all those of arms that repeat or "
            "learn training items: drop doubles, or keep them together with `groups`.",
            SynthaugWarning,
            stacklevel=3,
        )


def _is_rich(item: Any) -> bool:
    """Whether an item holds an array or an image, so that it is hardly equal to another by chance."""
    if isinstance(item, Mapping | list | tuple):
        return any(map(_is_rich, item.values() if isinstance(item, Mapping) else item))
    if hasattr(item, "__array__") or hasattr(item, "__array_interface__"):
        return np.size(item) > _SMALL
    return hasattr(item, "__dict__") and not isinstance(item, type) and _is_rich(vars(item))


class Rows:
    """Some items of a data set, by their places there; a map-style data set for any loader.

    Args:
        dataset: With `len` and `dataset[i]`.
        places: Of the items, `(n,)`.

    >>> rows = Rows("abcdef", [4, 0])
    >>> len(rows), rows[0], list(rows)
    (2, 'e', ['e', 'a'])
    """

    def __init__(self, dataset: Any, places: Any) -> None:
        self.dataset = dataset
        self.places = np.asarray(places)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, i: int) -> Any:
        return self.dataset[int(self.places[i])]


class _Lent:
    """A data set of which only the training items can be had, each at its own place; attributes are passed on."""

    def __init__(self, dataset: Any, places: np.ndarray) -> None:
        self.dataset = dataset
        self._open = frozenset(places.tolist())

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> Any:
        if int(i) not in self._open:
            raise DataError(f"Item {i} is no training item: use those at `indices`.")
        return self.dataset[int(i)]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "dataset" not in vars(self):  # loaders ask for more ways to get items; unpickling
            raise AttributeError(name)
        return getattr(self.dataset, name)


@dataclass(frozen=True)
class _Study:
    """Everything that the cells (arm, split, seed) share."""

    arms: Mapping[str, Arm]
    trains: Mapping[str, Train]
    score: Score
    dataset: Any
    splits: list[Split]
    seed: int


def _train_cell(study: _Study, cell: tuple[str, int, int]) -> dict[str, Any]:
    """One arm, split and seed: train and score every kind of model, each on training data made anew for it."""
    name, *place = cell
    train, test = study.splits[place[0]]
    arm, seed = study.arms[name], derive(study.seed, "train", *place) % 2**32
    seconds = peak = 0.0
    scores, failures = [], []
    for model, function in study.trains.items():
        problem, data = None, Rows(study.dataset, train)
        if arm is not None:  # a loader that one model has used up would give the next one something else
            (problem, data), took, most = measured(attempt, arm, _Lent(study.dataset, train), train.tolist(), seed)
            seconds, peak = seconds + took / len(study.trains), max(peak, most)
        problem, found = (problem, {}) if problem else attempt(_scored, study, function, data, test, seed)
        scores += [[model, metric, value] for metric, value in (found or {}).items()]
        failures += [[model, problem]] if problem else []
    return {"seconds": seconds, "peak_mb": peak, "added": None, "scores": scores, "recalls": [], "failures": failures}


def _scored(study: _Study, train: Train, data: Any, test: np.ndarray, seed: int) -> dict[str, float]:
    found = study.score(train(data, seed), Rows(study.dataset, test))
    named = found if isinstance(found, Mapping) else {"score": found}
    scores = {str(metric): float(value) for metric, value in named.items()}
    for metric, value in scores.items():
        if not np.isfinite(value):
            raise DataError(f"The score {metric!r} is {value}.")
    return scores


def _key(study: _Study) -> Callable[[tuple[str, int, int]], Any]:
    """All that the result of a cell depends on. The names of the arms do not count, so they may change."""

    @functools.cache
    def shared() -> Any:
        trains = [[name, identity(train)] for name, train in study.trains.items()]
        return [identity(study.dataset), trains, identity(study.score), study.seed, dict(versions())]

    return lambda cell: [shared(), identity(study.arms[cell[0]]), identity(study.splits[cell[1]]), *cell[1:]]


def _check(arms: Mapping[str, Any], trains: Mapping[str, Any], score: Any, seeds: Any) -> None:
    problems = [
        f"Expected arm {name!r} to be None or a function `(dataset, indices, seed)`, got {arm!r}."
        for name, arm in arms.items()
        if not (arm is None or callable(arm))
    ]
    if arms["real"] is not None:
        problems.append("Arm 'real' is the real data alone: expected None, or call this arm something else.")
    if len(arms) == 1:
        problems.append("Expected at least one arm beside 'real', got none.")
    functions = {"`score`": score, **{f"`train` {name!r}": train for name, train in trains.items()}}
    problems += [
        f"Expected {name} to be a function, got {one!r}." for name, one in functions.items() if not callable(one)
    ]
    problems += [
        f"Expected `train` {name!r} to be a function `(dataset, seed)`, got the network {type(train).__name__}: write "
        "one that makes such a network, trains it and returns it."
        for name, train in trains.items()
        if hasattr(train, "state_dict")
    ]
    if not trains or POOLED in trains:
        problems.append(
            f"Expected at least one `train`, none called {POOLED!r}, which is the name of the pooled gains."
        )
    if not (isinstance(seeds, int | np.integer) and seeds >= 1):
        problems.append(f"Expected `seeds` of at least 1, got {seeds!r}.")
    raise_problems(problems, ParameterError)
