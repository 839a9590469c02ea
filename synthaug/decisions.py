"""What to add to training items, or nothing: weighed between what is expected and what inner splits show."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold

from synthaug.errors import DataError, ParameterError, heard, nearest, raise_problems, tell
from synthaug.evaluate.paired import Split, check_groups, make_splits
from synthaug.evaluate.priors import Prior, update
from synthaug.evaluate.results import Comparison
from synthaug.evaluate.signal import Signal, label_signal
from synthaug.evaluate.stats import resampled_t_columns
from synthaug.evaluate.training import check_items, compare_training
from synthaug.evaluate.wording import Unit, markdown_table, unsettled
from synthaug.features import Features
from synthaug.labels import check_labels
from synthaug.rng import RandomState, as_seed, derive

__all__ = ["NONE", "Decision", "check_candidates", "choose_training", "decide", "inner_splits", "knock_out"]

NONE = "none"
TABLE = ["candidate", "expected", "seen", "n", "gain", "low", "high"]
_FOLDS, _REPEATS = 3, 2
_LEAST = 3  # splits: the spread of two is a matter of luck
_FEWEST = 4  # splits that can be halved: one alone has no spread
_HALF = 1.96  # standard deviations on each side of a 95% interval
_CAUTION = 16.0
"""By how much the variance of what inner splits show is raised: with less, chance among few rows chose worse arms."""


@dataclass(frozen=True, eq=False)
class Decision:
    """What was chosen, and the evidence.

    Args:
        choice: The name of a candidate, or "none".
        reason: A sentence.
        table: One row a candidate: `candidate`; `expected`, its gain in our benchmark; `seen`, its mean gain on `n`
            inner splits; `gain`, what both together say, with the ends `low` and `high` of its 95% interval. Gains are
            differences of the score from that with the real rows alone.
        signal: Whether anything can be learned of the labels at all; None where this was not asked.

    >>> table = pd.DataFrame([["smote", 0.01, -0.02, 6, -0.01, -0.03, 0.01]], columns=TABLE)
    >>> print(Decision("none", "Leave the data alone.", table, Signal(0.7, 0.001, 50)).to_markdown())
    Leave the data alone.
    <BLANKLINE>
    | candidate | expected | seen | splits | gain | low | high |
    | --- | --- | --- | --- | --- | --- | --- |
    | smote | +0.010 | -0.020 | 6 | -0.010 | -0.030 | +0.010 |
    """

    choice: str
    reason: str
    table: pd.DataFrame
    signal: Signal | None

    def __str__(self) -> str:
        return self.reason

    def to_markdown(self) -> str:
        """The sentence and the table."""
        rows = [
            [str(cell) if name in ("candidate", "n") else f"{cell:+.3f}" for name, cell in row.items()]
            for row in self.table.to_dict("records")
        ]
        header = ["splits" if name == "n" else name for name in TABLE]
        return f"{self.reason}\n\n{markdown_table(header, rows)}"


def choose_training(
    candidates: Mapping[str, Callable[[Any, list[int], int], Any]],
    train: Callable[[Any, int], Any],
    score: Callable[[Any, Any], float | Mapping[str, float]],
    dataset: Any,
    splits: Any = None,
    *,
    seeds: int = 1,
    labels: Any = None,
    groups: Any = None,
    features: Features | None = None,
    metric: str | None = None,
    expected: Mapping[str, float] | None = None,
    spread: float = 0.03,
    sure: float = 0.8,
    random_state: RandomState = None,
    n_jobs: int | None = None,
    store: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Decision:
    """Choose what to add to the training items of a function that trains, if anything: `choose` for data sets.

    The candidates are judged by `compare_training` on inner splits of `dataset`, which are its training items: half of
    the splits judge all, the other half the better half of them. Every candidate is expected to gain nothing, or what
    you say in `expected`, give or take `spread`, and moves from there as far as the splits are clear. The answer is
    "none" unless a gain is as likely as `sure` then: chance alone must not choose. The reason also says if another
    candidate is as good for all that can be told, and if a gain was measured that `spread` hardly allows for.

    Args:
        candidates: By name, functions `(dataset, indices, seed)` to what is trained on, as in `compare_training`.
        train: `(training data, seed)` to a trained model.
        score: `(model, test data)` to a number or to numbers by name, of which greater is better.
        dataset: `n` items, with `len` and `dataset[i]`: those that you will train on.
        splits: Inner splits, at least 3: None (3 folds, twice; stratified where `labels` are given), or as in
            `compare_training`.

    Other Arguments:
        seeds: How many models are trained a split.
        labels: `(n,)` classes.
        groups: `(n,)`; items of one group stay together.
        features: The data set to numbers `(n, d)`. With these and the labels it is asked first whether anything can be
            learned of the labels at all (`label_signal`); without either it is not asked.
        metric: Which of several scores counts; by default the first.
        expected: The gains to expect of candidates, in units of the score, such as their means on other data of this
            kind; those left out are expected to gain nothing.
        spread: The standard deviation of the gains that are expected, in units of the score. The default is that of
            shares such as accuracy.
        sure: How probable a gain must be for a candidate to be taken, from 0.5 to below 1.
        random_state: One seed for splits, candidates and training.
        n_jobs: How many cells run at once, as joblib counts.
        store: A folder in which finished cells are kept, as in `compare_training`.
        progress: As in `compare_training`.

    Raises:
        DataError: labels, groups or features that do not fit; splits that cannot be scored.
        ParameterError: candidates or functions that are none; fewer than 3 splits; an unknown metric; gains in
            `expected` that are no numbers, or of no candidate.

    >>> def train(items, seed):
    ...     return sum(items[i] for i in range(len(items))) / len(items)
    >>> def score(mean, items):
    ...     return -max(abs(mean - items[i]) for i in range(len(items)))
    >>> def worse(dataset, indices, seed):
    ...     return [dataset[i] + 9 for i in indices]
    >>> print(choose_training({"worse": worse}, train, score, [1.0, 2.0, 3.0, 4.0], spread=5, random_state=0))
    Leave the data alone: nothing tried is likely enough to raise score (worse: <1%, asked for: 80%).
    """
    seed = as_seed(random_state)
    check_candidates(candidates, callable, "a function `(dataset, indices, seed)`")
    check_items(dataset)
    classes = None if labels is None else check_labels(labels, dataset)
    problems = ["Expected `labels` beside `features`."] if features is not None and labels is None else []
    problems += [] if callable(train) else [f"Expected `train` to be one function, got {train!r}."]
    problems += [] if 0 < spread < np.inf else [f"Expected `spread` above 0, got {spread!r}."]
    problems += [] if 0.5 <= sure < 1 else [f"Expected `sure` from 0.5 to below 1, got {sure!r}."]
    problems += _gain_problems(expected, candidates, spread)
    raise_problems(problems, ParameterError)
    places = inner_splits(splits, range(len(dataset)), classes, seed, groups, name="splits")
    if len(places) < _LEAST:
        raise ParameterError(
            f"Expected `splits` to give at least {_LEAST} inner splits, got {len(places)}: so few do not tell how much "
            "scores vary from split to split."
        )
    signal = None
    if features is not None and classes is not None:
        signal = label_signal(_numbers(features, dataset), classes, places, seed=seed)

    def judge(arms: Mapping[str, Any], part: list[Split], seed: int) -> Comparison:
        found = compare_training(
            arms, train, score, dataset, part,
            seeds=seeds, labels=labels, random_state=seed, n_jobs=n_jobs, store=store, progress=progress,
        )  # fmt: skip
        if metric is not None and metric not in found.metrics:
            raise ParameterError(f"Unknown score {metric!r} in `metric`: {nearest(metric, found.metrics)}")
        return found

    names = tuple(candidates)
    mean = np.array([float((expected or {}).get(name, 0.0)) for name in names])
    before = Prior(names, mean, spread**2 * np.eye(len(names)))
    found = []
    if signal is None or signal.there:
        found = knock_out(judge, candidates, places, {"model": before}, metric=metric, seed=seed)
    named = metric or (found[0].metrics[0] if found else "score")
    decision = decide(
        found, before, estimator="model", metric=named, signal=signal,
        elsewhere="expected before", caution=1.0, sure=sure,
    )  # fmt: skip
    asides = [*_unsettled(found, decision, named, sure), *_surprising(found, decision, named, spread)]
    return replace(decision, reason=" ".join([decision.reason, *asides]))


def _unsettled(found: Sequence[Comparison], decision: Decision, metric: str, sure: float) -> Iterator[str]:
    """Which candidates would have been taken as well, if the choice does not surpass them beyond chance."""
    if decision.choice == NONE:
        return
    differences = pd.concat([_differences(one, metric, "model") for one in found], ignore_index=True)
    likely = decision.table.loc[_chances(decision.table) > sure, "candidate"]
    others = [name for name in likely if name != decision.choice]
    behind = differences[others].sub(differences[decision.choice], axis=0).to_numpy()
    sizes = pd.concat([one.splits for one in found])
    high = resampled_t_columns(behind, sizes["n_train"], sizes["n_test"])[:, 2]
    level = [name for name, most in zip(others, high, strict=True) if most >= 0]
    if level:
        yield unsettled(decision.choice, level)


def _surprising(found: Sequence[Comparison], decision: Decision, metric: str, spread: float) -> Iterator[str]:
    """The largest gain that was measured, if it counts for less than half because hardly any such was expected."""
    table = decision.table
    far = table[(table["seen"] > table["expected"] + _HALF * spread) & (table["gain"] < table["seen"] / 2)]
    for row in far.nlargest(1, "seen").to_dict("records"):
        unit = _unit(found, metric)
        yield (
            f"{row['candidate']} gained {unit.signed(row['seen'])} when measured, far more than expected "
            f"({unit.signed(row['expected'])}, give or take {unit.plain(spread)}), so less than half of it counts: if "
            f"you expect such gains, set `spread` above {spread:g}."
        )


def _gain_problems(expected: Any, candidates: Iterable[str], spread: float) -> Iterator[str]:
    if not isinstance(expected, Mapping | None):
        yield f"Expected `expected` to be a dict of candidate to gain, got {expected!r}."
        return
    for name, gain in (expected or {}).items():
        told = f"Expected the gain of {name!r} in `expected`"
        if name not in candidates:
            yield f"Unknown candidate {name!r} in `expected`: {nearest(name, candidates)}"
        elif isinstance(gain, bool) or not isinstance(gain, int | float | np.number) or not np.isfinite(gain):
            yield f"{told} to be a finite number, got {gain!r}."
        elif abs(float(gain)) > 10 * spread:
            yield (
                f"{told} in units of the score, within ten times `spread` ({spread:g}), got {gain!r}: one point of a "
                "share is 0.01, and a score on another scale needs its own `spread`."
            )


def check_candidates(candidates: Mapping[str, Any], fits: Callable[[Any], bool], what: str) -> None:
    """Refuse what is no candidate; `fits` says which are, and `what` that is in words.

    >>> check_candidates({"none": len}, callable, "a function")
    Traceback (most recent call last):
    ...
    synthaug.errors.ParameterError: The names 'none' and 'real' are taken by the real data alone: choose another name.
    """
    if not isinstance(candidates, Mapping):
        raise ParameterError(f"Expected `candidates` by name, got {candidates!r}.")
    problems = [
        f"Expected candidate {name!r} to be {what}, got {one!r}." for name, one in candidates.items() if not fits(one)
    ]
    if NONE in candidates or "real" in candidates:
        problems.append("The names 'none' and 'real' are taken by the real data alone: choose another name.")
    if not candidates:
        problems.append("Expected at least one candidate, got none.")
    raise_problems(problems, ParameterError)


def inner_splits(
    cv: Any, X: Any, y: pd.Series | None, seed: int, groups: Any = None, *, name: str = "cv"
) -> list[Split]:
    """The splits that a choice is made on, as `make_splits` takes and checks them; by default three folds, twice.

    Where a class has two rows or groups they are two folds, three times.

    >>> len(inner_splits(None, range(12), None, 0)), len(inner_splits(None, range(4), pd.Series([0, 0, 1, 1]), 0))
    (6, 6)
    """
    if cv is not None:
        return make_splits(cv, X, y, seed, groups, name=name)
    codes = np.arange(len(X)) if groups is None else check_groups(groups, X, len(X))
    classes = np.zeros(len(X)) if y is None else y.to_numpy()
    folds = min(_FOLDS, int(pd.Series(codes).groupby(classes, sort=False).nunique().min()))
    if folds < 2:
        return make_splits(None, X, y, seed, groups, name=name)  # an error that names the class
    repeats = _FOLDS * _REPEATS // folds
    if groups is None:
        splitter = RepeatedKFold if y is None else RepeatedStratifiedKFold
        return make_splits(splitter(n_splits=folds, n_repeats=repeats, random_state=seed % 2**32), X, y, seed)
    return [split for i in range(repeats) for split in make_splits(folds, X, y, derive(seed, "inner", i), groups)]


def knock_out(
    judge: Callable[[Mapping[str, Any], list[Split], int], Comparison],
    candidates: Mapping[str, Any],
    splits: list[Split],
    before: Mapping[str, Prior],
    *,
    metric: str | None,
    seed: int,
) -> list[Comparison]:
    """Half of the splits judge all candidates, the other half the better half (Jamieson & Talwalkar 2016).

    Fewer than four splits judge all: one alone has no spread.

    Args:
        judge: `(candidates, splits, seed)` to their comparison with the real data.
        candidates: What is judged, by name.
        splits: Training and test positions.
        before: What to expect of the candidates, by estimator.

    Other Arguments:
        metric: The score that counts; None takes the first.
        seed: Of all randomness.
    """
    half, names = -(-len(splits) // 2), list(candidates)
    found: list[Comparison] = []
    with heard() as told:
        for part in [splits[:half], splits[half:]] if len(splits) >= _FEWEST else [splits]:
            found.append(judge({name: candidates[name] for name in names}, part, derive(seed, "judge", len(found))))
            named = metric or found[0].metrics[0]
            gains = [_table(found, one, named, model).set_index("candidate")["gain"] for model, one in before.items()]
            names = list(pd.concat(gains, axis=1).mean(axis=1).nlargest(-(-len(candidates) // 2)).index)
    tell(told, stacklevel=3)
    return found


def _numbers(features: Features, dataset: Any) -> pd.DataFrame:
    problem = f"Expected `features` to turn the {len(dataset)} items into as many rows of numbers (n, d)"
    found = np.asarray(features(dataset))
    if found.ndim != 2 or len(found) != len(dataset) or found.dtype.kind not in "biuf":
        raise DataError(f"{problem}, got {found.dtype} of shape {found.shape}.")
    if not np.isfinite(found).all():
        raise DataError(f"{problem}, got {found[~np.isfinite(found)][0]}.")
    return pd.DataFrame(found.astype(float)).rename(columns=str)


def decide(
    found: Sequence[Comparison],
    before: Prior,
    *,
    estimator: str,
    metric: str,
    signal: Signal | None,
    elsewhere: str = "on other tables",
    caution: float = _CAUTION,
    sure: float = 0.5,
) -> Decision:
    """Weigh what was seen against what was expected, and choose.

    Args:
        found: Comparisons of candidates with the real data, each on splits of its own; later ones may leave candidates
            out.
        before: The gains to expect of the candidates.

    Other Arguments:
        estimator: The name of the classifier in `found`.
        metric: The score that counts.
        signal: Whether anything can be learned of the labels at all; None where this was not asked.
        elsewhere: Where the expected gains come from, for the reason.
        caution: Multiplies the variance of what was seen.
        sure: How probable a gain must be for a candidate to be taken.

    >>> nothing = Prior(("smote",), np.array([0.01]), np.array([[1e-4]]))
    >>> print(decide([], nothing, estimator="forest", metric="balanced_accuracy", signal=Signal(0.51, 0.8, 50)))
    Leave the data alone: it cannot be told that anything can be learned of the labels (area under the ROC curve 0.51, p = 0.80).
    """  # noqa: E501
    table, name = _table(found, before, metric, estimator, caution), metric.replace("_", " ")
    chance = _chances(table)
    likely = chance > sure
    if signal is not None and not signal.there:
        reason = (
            "it cannot be told that anything can be learned of the labels "
            f"(area under the ROC curve {signal.auc:.2f}, p = {signal.p:.2f})."
        )
    elif table["gain"].isna().all():
        reason = "no candidate has scores on two splits, so none can be judged."
    elif not likely.any():
        reason = f"nothing tried is expected to raise {name}."
        if sure > 0.5:
            best = int(chance.argmax())
            reason = (
                f"nothing tried is likely enough to raise {name} ({table['candidate'][best]}: "
                f"{_percent(chance[best])}, asked for: {_percent(sure)})."
            )
    else:
        place = int(table["gain"].where(likely).argmax())
        best = table.iloc[place].to_dict()
        unit = _unit(found, metric)
        asked = f" ({_percent(chance[place])} sure, asked for: {_percent(sure)})" if sure > 0.5 else ""
        reason = (
            f"Take {best['candidate']}: expected to add {unit.told(best)}{asked}, after {unit.signed(best['seen'])} on "
            f"{best['n']} inner splits and {unit.signed(best['expected'])} {elsewhere}."
        )
        return Decision(str(best["candidate"]), reason, table, signal)
    return Decision(NONE, f"Leave the data alone: {reason}", table, signal)


def _chances(table: pd.DataFrame) -> pd.Series:
    """How probable it is that each candidate gains."""
    return pd.Series(stats.norm.cdf(table["gain"] / ((table["high"] - table["low"]) / (2 * _HALF))))


def _unit(found: Sequence[Comparison], metric: str) -> Unit:
    return Unit(metric, all(one.unit(metric).share for one in found))


def _percent(chance: float) -> str:
    """Rounded down, so that what falls short of what is asked for reads so."""
    return "<1%" if chance < 0.01 else ">99%" if chance > 0.99 else f"{math.floor(100 * chance + 1e-9)}%"


def _table(
    found: Sequence[Comparison], before: Prior, metric: str, estimator: str, caution: float = _CAUTION
) -> pd.DataFrame:
    """One row a candidate, in the order of `before`; later comparisons count together with earlier ones."""
    rows = {
        arm: [arm, mean, np.nan, 0, np.nan, np.nan, np.nan] for arm, mean in zip(before.arms, before.mean, strict=True)
    }
    for last in range(1, len(found) + 1):
        differences = pd.concat([_differences(one, metric, estimator) for one in found[:last]], ignore_index=True)
        names = [arm for arm in before.arms if arm in found[last - 1].arms and differences[arm].notna().sum() > 1]
        seen = differences[names].dropna()
        if len(seen) < 2:
            continue
        sizes = pd.concat([one.splits for one in found[:last]])
        overlap = float((sizes["n_test"] / sizes["n_train"]).mean())
        after = update(before.of(names), seen.to_numpy(), overlap, caution=caution)
        half = _HALF * np.sqrt(np.diag(after.covariance))
        for i, arm in enumerate(names):
            ends = [after.mean[i], after.mean[i] - half[i], after.mean[i] + half[i]]
            rows[arm] = [*rows[arm][:2], seen[arm].mean(), len(seen), *ends]
    return pd.DataFrame(list(rows.values()), columns=TABLE)


def _differences(found: Comparison, metric: str, estimator: str) -> pd.DataFrame:
    """Score of each candidate minus that of the real data, `(splits, candidates)`; NaN where there is none."""
    rows = found.scores[(found.scores["metric"] == metric) & (found.scores["estimator"] == estimator)]
    wide = rows.pivot_table("score", "split", "arm").reindex(index=found.splits["split"], columns=list(found.arms))
    return wide.sub(wide["real"], axis=0)
