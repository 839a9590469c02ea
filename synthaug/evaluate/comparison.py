"""Does it help? Arms against the real data alone: the same folds, the same seeds, and an interval."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.pipeline import Pipeline

from synthaug.errors import DataError, ParameterError, SynthaugWarning, raise_problems
from synthaug.evaluate.baselines import ClassWeight, default_arms
from synthaug.evaluate.paired import Study, make_splits, run_study
from synthaug.evaluate.stats import corrected_resampled_t, holm
from synthaug.labels import check_target
from synthaug.rng import RandomState, as_seed

__all__ = ["Comparison", "compare"]

_SCORES = ["arm", "estimator", "split", "metric", "score", "seconds"]
_FAILURES = ["arm", "estimator", "split", "error"]
_GAINS = ["arm", "estimator", "metric", "gain", "low", "high", "wins", "n", "p", "p_holm"]
_POOLED = "all"


def compare(
    arms: Mapping[str, Any] | None,
    estimator: Any,
    X: Any,
    y: Any,
    *,
    cv: Any = None,
    scoring: Any = "balanced_accuracy",
    random_state: RandomState = None,
    n_jobs: int | None = None,
) -> Comparison:
    """Measure what each arm adds to a classifier that learns from the real training rows.

    Every arm sees the same splits and the same classifier seeds, and only training rows; scores are of real test rows.

    Args:
        arms: By name, None (the real rows alone), an object with `fit_resample(X, y)`, or `ClassWeight()`. By
            default `default_arms()`. "real" is added where it is missing.
        estimator: A scikit-learn classifier or pipeline, or several by name. All are cloned.
        X: Real records: a data frame, array or sparse matrix of `n` rows.
        y: Labels `(n,)`; a Series must have the index of a data frame `X`.

    Other Arguments:
        cv: None (stratified 5 folds, twice), a number of stratified folds, an object with `split(X, y)`, or a list
            of `(train, test)` positions.
        scoring: A scorer's name or a scorer `(estimator, X, y) -> float`, a list of these, or these by name. Greater
            is better.
        random_state: One seed for splits, arms and classifiers; it replaces their own `random_state`.
        n_jobs: How many cells (arm, split) run at once, as joblib counts.

    Returns:
        The scores. An arm that raises loses the cells where it does, with a `SynthaugWarning`, and the rest goes on.

    Raises:
        DataError: labels that do not fit the records; splits that cannot be scored; "real" failed everywhere.
        ParameterError: arms, estimators, `scoring` or `cv` that are none of the above.

    >>> from sklearn.datasets import make_classification
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y = make_classification(200, weights=[0.9], random_state=0)
    >>> found = compare({"again": None}, GaussianNB(), X, y, random_state=0)
    >>> found.gains()[["gain", "low", "high", "p"]].iloc[0].tolist()
    [0.0, 0.0, 0.0, 1.0]
    """
    seed = as_seed(random_state)
    records, labels, series = _aligned(X, y)
    chosen = _arms(default_arms() if arms is None else arms)
    estimators = _estimators(estimator)
    splits = make_splits(cv, records, series, seed)
    study = Study(records, labels, chosen, estimators, _scorers(scoring), splits, seed)
    scores, failures = run_study(study, n_jobs)
    _report(failures, list(chosen), n_cells=len(splits) * len(estimators))
    return Comparison(
        scores=pd.DataFrame(scores, columns=_SCORES),
        splits=pd.DataFrame(
            [(i, len(a), len(b)) for i, (a, b) in enumerate(splits)], columns=["split", "n_train", "n_test"]
        ),
        failures=pd.DataFrame(failures, columns=_FAILURES),
        skipped=tuple(
            (arm, name)
            for arm, value in chosen.items()
            for name, model in estimators.items()
            if isinstance(value, ClassWeight) and value.weighted(model) is None
        ),
        arms=tuple(chosen),
        estimators=tuple(estimators),
        seed=seed,
    )


@dataclass(frozen=True, eq=False)
class Comparison:
    """The scores of every arm, and what can be said from them. Made by `compare`.

    Args:
        scores: One row a score: arm, estimator, split, metric, score, seconds (that the arm took to resample).
        splits: One row a split: split, n_train, n_test (real rows).
        failures: One row for every (arm, estimator, split) without scores: arm, estimator, split, error.
        skipped: (arm, estimator) that do not go together, such as class weights for nearest neighbours.
        arms: Names in order, "real" first.
        estimators: Names in order.
        seed: What to pass as `random_state` to get the same scores.

    >>> from sklearn.datasets import make_classification
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> X, y = make_classification(400, weights=[0.9], random_state=0)
    >>> found = compare({"again": None}, KNeighborsClassifier(), X, y, random_state=0)
    >>> print(found.to_markdown())
    Nothing tried helps beyond chance (1 tried), in points of balanced accuracy, over the real data alone.
    <BLANKLINE>
    | gain in balanced_accuracy (points) | KNeighborsClassifier |
    | --- | --- |
    | again | +0.0 [0.0, 0.0] |
    """

    scores: pd.DataFrame
    splits: pd.DataFrame
    failures: pd.DataFrame
    skipped: tuple[tuple[str, str], ...]
    arms: tuple[str, ...]
    estimators: tuple[str, ...]
    seed: int

    def gains(self, versus: str = "real", level: float = 0.95) -> pd.DataFrame:
        """Mean differences from the arm `versus`, paired by split, in points of the score.

        Rows of the estimator "all" pool the estimators: their differences are averaged within each split (of which
        only those count where all of them have a score).

        Returns:
            One row an arm, estimator and metric: `gain`; `low` and `high` of its corrected resampled t interval (see
            `stats.corrected_resampled_t`); `wins`, the share of splits with a gain above 0; `n`, the number of
            splits; `p`, two-sided; `p_holm`, adjusted over the arms. Intervals are not adjusted.

        Raises:
            ParameterError: an unknown arm, or a level outside (0, 1).
        """
        if versus not in self.arms:
            raise ParameterError(f"Expected `versus` to be one of {', '.join(self.arms)}, got {versus!r}.")
        rows = [
            row
            for metric in self.scores["metric"].unique()
            for table in [self._table(metric)]
            for name in (*self.estimators, _POOLED)
            for row in self._gains(table, name, metric, versus, level)
        ]
        return pd.DataFrame(rows, columns=_GAINS)

    def to_dataframe(self) -> pd.DataFrame:
        """The gains over the real data alone; see `gains`."""
        return self.gains()

    def to_markdown(self) -> str:
        """A verdict and a table of gains with 95% intervals; percentage points where scores lie in 0 to 1.

        The verdict names the arms whose pooled gain or loss is beyond chance after Holm's correction.
        """
        gains = self.gains()
        blocks = [self._block(metric, gains[gains["metric"] == metric]) for metric in gains["metric"].unique()]
        return "\n\n".join(blocks + self._notes())

    def _table(self, metric: str) -> pd.DataFrame:
        """Scores `(splits, arms x estimators)`, NaN where there is none."""
        scores = self.scores[self.scores["metric"] == metric]
        columns = pd.MultiIndex.from_product([self.arms, self.estimators])
        return scores.pivot_table("score", "split", ["arm", "estimator"]).reindex(
            index=self.splits["split"], columns=columns
        )

    def _gains(self, table: pd.DataFrame, name: str, metric: str, versus: str, level: float) -> list[dict[str, Any]]:
        """The rows of one estimator and metric, which Holm's correction takes together."""
        rows: list[dict[str, Any]] = []
        for arm in self.arms:
            names = [one for one in self.estimators if name in (one, _POOLED) and (arm, one) not in self.skipped]
            if arm == versus or not names:
                continue
            ours, theirs = table.xs(arm, axis=1), table.xs(versus, axis=1)
            differences = pd.DataFrame(ours - theirs)[names]
            values = differences.dropna(axis=1, how="all").mean(axis=1, skipna=False).dropna()
            sizes = self.splits.set_index("split").loc[values.index]
            found = corrected_resampled_t(values, sizes["n_train"], sizes["n_test"], level)
            wins = float((values > 0).mean()) if len(values) else np.nan
            rows.append(
                {"arm": arm, "estimator": name, "metric": metric, **vars(found), "wins": wins, "n": len(values)}
            )
        for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
            row["p_holm"] = float(adjusted)
        return rows

    def _block(self, metric: str, gains: pd.DataFrame) -> str:
        share = bool(self.scores.loc[self.scores["metric"] == metric, "score"].between(0, 1).all())
        columns = [*self.estimators, _POOLED] if len(self.estimators) > 1 else list(self.estimators)
        cells = {(row["arm"], row["estimator"]): _written(row, share, sign="+") for row in gains.to_dict("records")}
        lines = [[f"gain in {metric}{' (points)' if share else ''}", *columns], ["---"] * (len(columns) + 1)]
        lines += [[arm, *(cells.get((arm, name), "") for name in columns)] for arm in self.arms[1:]]
        rows = ["| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines]
        return "\n".join([_verdict(gains[gains["estimator"] == _POOLED], metric, share), "", *rows])

    def _notes(self) -> list[str]:
        notes = [f"{arm} was not run with {name}: it does not apply there." for arm, name in self.skipped]
        for arm, rows in self.failures.groupby("arm", sort=False):
            notes.append(f"{arm} failed {len(rows)} times, first with {rows['error'].iloc[0]}")
        return notes


def _verdict(pooled: pd.DataFrame, metric: str, share: bool, alpha: float = 0.05) -> str:
    """What helps and what harms, beyond chance also after Holm's correction; or that nothing does."""
    sure = pooled[pooled["p_holm"] < alpha].sort_values("gain", ascending=False).to_dict("records")
    parts = [f"{row['arm']} adds {_written(row, share)}" for row in sure if row["gain"] > 0]
    if not parts:
        parts = [f"Nothing tried helps beyond chance ({len(pooled)} tried{_nearest(pooled, share)})"]
    lost = [{**row, "gain": -row["gain"], "low": -row["high"], "high": -row["low"]} for row in sure if row["gain"] < 0]
    parts += [f"{row['arm']} costs {_written(row, share)}" for row in lost]
    words = metric.replace("_", " ")
    return f"{'; '.join(parts)}, in {f'points of {words}' if share else words}, over the real data alone."


def _nearest(pooled: pd.DataFrame, share: bool) -> str:
    """The arm that would help if it had been the only one tried, as an aside."""
    alone = pooled[(pooled["low"] > 0) & (pooled["n"] > 0)].sort_values("gain", ascending=False).to_dict("records")
    return f"; the nearest, {alone[0]['arm']}, adds {_written(alone[0], share)}" if alone else ""


def _written(row: Mapping[Any, Any], share: bool, sign: str = "") -> str:
    gain, low, high = row["gain"], row["low"], row["high"]
    if row["n"] == 0:
        return "no score"
    if share:
        return f"{100 * gain:{sign}.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{gain:{sign}.3g} [{low:.3g}, {high:.3g}]"


def _aligned(X: Any, y: Any) -> tuple[Any, Any, pd.Series]:
    """Records and labels with a fresh index, in the containers that they came in, and the labels as a Series."""
    records: Any = X.tocsr() if issparse(X) else X if isinstance(X, pd.DataFrame) else np.asarray(X)
    series = check_target(y, records if isinstance(X, pd.DataFrame) else range(records.shape[0]))
    if isinstance(X, pd.DataFrame):
        records = records.reset_index(drop=True)
    return records, series if isinstance(y, pd.Series) else series.to_numpy(), series


def _arms(arms: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {"real": None, **arms}
    problems = [
        f"Expected arm {name!r} to be None, ClassWeight() or an object with `fit_resample`, got {arm!r}."
        for name, arm in chosen.items()
        if not (arm is None or isinstance(arm, ClassWeight) or hasattr(arm, "fit_resample")) or isinstance(arm, type)
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
    if _POOLED in named:
        problems.append(f"The estimator name {_POOLED!r} is taken by the pooled gains: choose another.")
    if not named:
        problems.append("Expected at least one estimator, got none.")
    raise_problems(problems, ParameterError)
    return named


def _scorers(scoring: Any) -> dict[str, Callable[[Any, Any, Any], float]]:
    if isinstance(scoring, Mapping):
        named = dict(scoring)
    else:
        several = [scoring] if isinstance(scoring, str) or not isinstance(scoring, Iterable) else list(scoring)
        named = {one if isinstance(one, str) else getattr(one, "__name__", "score"): one for one in several}
    raise_problems((text for one in named.values() for text in _scorer_problems(one)), ParameterError)
    return {name: get_scorer(one) for name, one in named.items()}


def _scorer_problems(scorer: Any) -> list[str]:
    names = get_scorer_names()
    if callable(scorer) or (isinstance(scorer, str) and scorer in names):
        return []
    near = difflib.get_close_matches(str(scorer), names, 1)
    hint = f"did you mean {near[0]!r}?" if near else "see sklearn.metrics.get_scorer_names()."
    return [f"Expected `scoring` to be a scorer or the name of one, got {scorer!r}: {hint}"]


def _report(failures: list[dict[str, Any]], arms: list[str], *, n_cells: int) -> None:
    """Stop where the real data alone gave no score at all; warn, once, where an arm failed."""
    first: dict[str, str] = {}
    counts = dict.fromkeys(arms, 0)
    for failure in failures:
        first.setdefault(failure["arm"], failure["error"])
        counts[failure["arm"]] += 1
    if counts["real"] == n_cells:
        raise DataError(f"The real data alone gave no score at all; the first error was {first['real']}")
    if first:
        told = "; ".join(
            f"{arm!r} in {counts[arm]} of {n_cells} cells, first with {text}" for arm, text in first.items()
        )
        warnings.warn(f"Without a score: {told}", SynthaugWarning, stacklevel=3)
