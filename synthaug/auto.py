"""Which generator, or none: chosen for one classifier and score from inner folds and from what usually helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline

from synthaug.amounts import Amount
from synthaug.errors import DataError, ParameterError, raise_problems
from synthaug.evaluate import metrics
from synthaug.evaluate.baselines import ClassGaussian, Smote
from synthaug.evaluate.comparison import Comparison, compare
from synthaug.evaluate.estimators import preparation
from synthaug.evaluate.paired import make_splits, seeded
from synthaug.evaluate.priors import Prior, estimator_kind, prior, update
from synthaug.evaluate.signal import Signal, label_signal
from synthaug.evaluate.studies import attempt
from synthaug.evaluate.wording import markdown_table, written
from synthaug.labels import check_target
from synthaug.mix.resample import SynthResampler
from synthaug.oversampling import RowSampler
from synthaug.rng import RandomState, as_seed, derive

__all__ = ["NONE", "AutoResampler", "Decision", "choose", "choose_each", "decide", "default_candidates"]

NONE = "none"
_ONE = "estimator"
TABLE = ["candidate", "expected", "seen", "n", "gain", "low", "high"]
_FOLDS, _REPEATS = 3, 2
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
        signal: Whether anything can be learned of the labels at all.

    >>> table = pd.DataFrame([["smote", 0.01, -0.02, 6, -0.01, -0.03, 0.01]], columns=TABLE)
    >>> print(Decision("none", "Leave the data alone.", table, Signal(0.7, 0.001)).to_markdown())
    Leave the data alone.
    <BLANKLINE>
    | candidate | expected | seen | splits | gain | low | high |
    | --- | --- | --- | --- | --- | --- | --- |
    | smote | +0.010 | -0.020 | 6 | -0.010 | -0.030 | +0.010 |
    """

    choice: str
    reason: str
    table: pd.DataFrame
    signal: Signal

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


def default_candidates(
    *, amount: Amount = 2.0, sampling_strategy: Any = "auto", random_state: RandomState = None
) -> dict[str, Any]:
    """What is tried by default: a Gaussian a class, SMOTE, and a conditional VAE, twice as many rows as there are.

    >>> list(default_candidates())
    ['gaussian', 'smote', 'vae']
    """
    seed = as_seed(random_state) % 2**32
    kinds = {"gaussian": ClassGaussian, "smote": Smote, "vae": SynthResampler}
    return {
        name: kind(amount=amount, sampling_strategy=sampling_strategy, random_state=seed)
        for name, kind in kinds.items()
    }


def choose(
    estimator: Any,
    X: Any,
    y: Any,
    candidates: Mapping[str, Any] | None = None,
    *,
    cv: Any = None,
    scoring: Any = "balanced_accuracy",
    before: Prior | None = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
) -> Decision:
    """Choose what to add to the training rows of a classifier, if anything.

    Half of the inner splits judge all candidates, the other half the better half of them (successive halving, Jamieson
    & Talwalkar 2016). What the splits show is weighed against what each candidate gained in our benchmark with this
    kind of classifier and of table (`priors.update`), so that chance among few rows does not choose. The answer is
    "none" where no candidate is expected to gain, and where it cannot be told that the labels can be learned at all
    (`label_signal`).

    Args:
        estimator: The classifier, or a pipeline.
        X: Training records: a data frame or array of `n` rows.
        y: Labels `(n,)`.
        candidates: Objects with `fit_resample` by name; None takes `default_candidates()`. The names of our benchmark
            (duplicate, smote, jitter, gaussian, vae, gan) have an expected gain; any other is expected to gain nothing.

    Other Arguments:
        cv: Inner splits, as in `compare`; None takes 3 stratified folds, twice. Where rows belong together (such as
            those of one patient), give a list of `(train, test)` positions that keeps them so.
        scoring: The score that counts; see `metrics.scorers`.
        before: What to expect of the candidates; None takes our benchmark.
        random_state: Of splits, candidates and classifiers.
        n_jobs: How many jobs run at once, as joblib counts.

    Raises:
        DataError: labels that do not fit the records; a class too small for the splits.
        ParameterError: candidates that are none; several scores.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from synthaug import Smote
    >>> X, y = load_iris(as_frame=True, return_X_y=True)
    >>> noise = y.sample(frac=1, random_state=1).set_axis(y.index)
    >>> choose(GaussianNB(), X, noise, {"smote": Smote()}, random_state=0).choice
    'none'
    """
    found = choose_each(
        {_ONE: estimator},
        X,
        y,
        candidates,
        cv=cv,
        scoring=scoring,
        before=None if before is None else {_ONE: before},
        random_state=random_state,
        n_jobs=n_jobs,
    )
    return found[_ONE]


def choose_each(
    estimators: Mapping[str, Any],
    X: Any,
    y: Any,
    candidates: Mapping[str, Any] | None = None,
    *,
    cv: Any = None,
    scoring: Any = "balanced_accuracy",
    before: Mapping[str, Prior] | None = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
) -> dict[str, Decision]:
    """A decision for each of several classifiers, for which the candidates make their rows only once; see `choose`.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y = load_iris(as_frame=True, return_X_y=True)
    >>> found = choose_each({"bayes": GaussianNB()}, X, y, {"gaussian": ClassGaussian(amount=30)}, random_state=0)
    >>> found["bayes"].choice
    'gaussian'
    """
    seed = as_seed(random_state)
    chosen = default_candidates(random_state=seed) if candidates is None else dict(candidates)
    _check_candidates(chosen)
    scorers = metrics.scorers(scoring)
    if len(scorers) > 1:
        raise ParameterError(f"Expected one score in `scoring`, got {len(scorers)}: a choice needs one that counts.")
    (metric,) = scorers
    frame = X.reset_index(drop=True) if isinstance(X, pd.DataFrame) else pd.DataFrame(X)
    labels = check_target(y, X if isinstance(X, pd.DataFrame) else range(len(frame)))
    if isinstance(labels.dtype, pd.CategoricalDtype):
        labels = labels.cat.remove_unused_categories()
    if before is None:
        about: dict[str, Any] = {"columns": _columns(frame), "metric": metric}
        before = {name: prior(list(chosen), kind=estimator_kind(one), **about) for name, one in estimators.items()}
    records = frame if isinstance(X, pd.DataFrame) else np.asarray(X)
    _check_estimators(estimators, records, labels, seed)
    splits = make_splits(_inner_folds(labels, seed) if cv is None else cv, records, labels, seed)
    signal = label_signal(frame, labels, splits, seed=seed)
    found: list[Comparison] = []
    names, half = list(chosen), -(-len(splits) // 2)
    for some in (splits[:half], splits[half:]) if signal.there else ():
        if some:
            arms = {name: chosen[name] for name in names}
            settings: dict[str, Any] = {"cv": some, "scoring": scorers, "n_jobs": n_jobs}
            settings["random_state"] = derive(seed, "judge", len(found))
            found.append(compare(arms, estimators, records, labels, **settings))
            gains = [_table(found, before[name], metric, name).set_index("candidate")["gain"] for name in estimators]
            names = list(pd.concat(gains, axis=1).mean(axis=1).nlargest(-(-len(chosen) // 2)).index)
    return {name: decide(found, before[name], estimator=name, metric=metric, signal=signal) for name in estimators}


def decide(found: Sequence[Comparison], before: Prior, *, estimator: str, metric: str, signal: Signal) -> Decision:
    """Weigh what was seen against what was expected, and choose.

    Args:
        found: Comparisons of candidates with the real data, each on splits of its own; later ones may leave candidates
            out.
        before: The gains to expect of the candidates.

    Other Arguments:
        estimator: The name of the classifier in `found`.
        metric: The score that counts.
        signal: Whether anything can be learned of the labels at all.

    >>> nothing = Prior(("smote",), np.array([0.01]), np.array([[1e-4]]))
    >>> print(decide([], nothing, estimator="forest", metric="balanced_accuracy", signal=Signal(0.51, 0.8)))
    Leave the data alone: it cannot be told that anything can be learned of the labels (area under the ROC curve 0.51, p = 0.80).
    """  # noqa: E501
    table, name = _table(found, before, metric, estimator), metric.replace("_", " ")
    if not signal.there:
        reason = (
            "it cannot be told that anything can be learned of the labels "
            f"(area under the ROC curve {signal.auc:.2f}, p = {signal.p:.2f})."
        )
    elif table["gain"].isna().all():
        reason = "no candidate has scores on two splits, so none can be judged."
    elif table["gain"].max() <= 0:
        reason = f"nothing tried is expected to raise {name}."
    else:
        best = table.sort_values("gain", ascending=False).iloc[0]
        share = all(one.scores.loc[one.scores["metric"] == metric, "score"].between(0, 1).all() for one in found)
        scale = 100 if share else 1
        reason = (
            f"Take {best['candidate']}: expected to add {written({**best, 'n': 1}, share)}"
            f"{' points' if share else ''} of {name}, after {best['seen'] * scale:+.3g} on {best['n']} inner splits "
            f"and {best['expected'] * scale:+.3g} on other tables."
        )
        return Decision(str(best["candidate"]), reason, table, signal)
    return Decision(NONE, f"Leave the data alone: {reason}", table, signal)


class AutoResampler(RowSampler):
    """Add the rows that help this classifier, or none: then the data come back as they were.

    Args:
        estimator: The classifier that will learn from the rows; None is a logistic regression behind `preparation()`.
        candidates: Objects with `fit_resample` by name; None takes `default_candidates()`.

    Other Arguments:
        cv: Inner splits; see `choose`.
        scoring: The score that counts.
        random_state: A seed or generator.
        n_jobs: How many jobs run at once, as joblib counts.

    Attributes:
        decision_: The `Decision`.
        resampler_: The fitted copy of what was chosen, or None.
        sample_flag_: `(rows,)` bool over the rows returned, True for new ones.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y = load_iris(as_frame=True, return_X_y=True)
    >>> auto = AutoResampler(GaussianNB(), {"gaussian": ClassGaussian(amount=30)}, random_state=0)
    >>> X_grown, y_grown = auto.fit_resample(X, y)
    >>> auto.decision_.choice, len(X_grown)
    ('gaussian', 180)
    """

    _sampling_type = "bypass"
    sampling_strategy = "auto"  # what imbalanced-learn's base looks at; the candidates have their own
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [object, None],
        "candidates": [Mapping, None],
        "cv": [object, None],
        "scoring": [object],
        "random_state": RowSampler._parameter_constraints["random_state"],
        "n_jobs": [int, None],
    }

    def __init__(
        self,
        estimator: Any = None,
        candidates: Mapping[str, Any] | None = None,
        *,
        cv: Any = None,
        scoring: Any = "balanced_accuracy",
        random_state: RandomState = None,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.candidates = candidates
        self.cv = cv
        self.scoring = scoring
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _fit_resample(self, X: Any, y: np.ndarray) -> tuple[Any, np.ndarray]:
        seed = as_seed(self.random_state)
        candidates = default_candidates(random_state=seed) if self.candidates is None else self.candidates
        estimator = self.estimator
        if estimator is None:
            estimator = make_pipeline(preparation(), LogisticRegression(max_iter=1000))
        self.decision_ = choose(
            estimator, X, y, candidates,
            cv=self.cv, scoring=self.scoring, random_state=seed, n_jobs=self.n_jobs,
        )  # fmt: skip
        choice = self.decision_.choice
        self.resampler_ = None if choice == NONE else seeded(candidates[choice], derive(seed, "rows"))
        grown = (X, y) if self.resampler_ is None else self.resampler_.fit_resample(X, y)
        self.sample_flag_ = np.arange(len(grown[1])) >= len(y)
        return grown

    def _rows(self, *args: Any) -> Any:
        raise AssertionError("the candidates make the rows")


def _check_estimators(estimators: Mapping[str, Any], records: Any, labels: pd.Series, seed: int) -> None:
    """Refuse at once what is no classifier, or cannot be fitted on the records as they are."""
    for model in estimators.values():
        if isinstance(model, type) or not (hasattr(model, "fit") and hasattr(model, "predict")):
            raise ParameterError(f"Expected `estimator` to be an object with `fit` and `predict`, got {model!r}.")
        problem, _ = attempt(seeded(model, seed).fit, records, labels)
        if problem is not None:
            raise DataError(
                f"{type(model).__name__} cannot be fitted on the records as they are ({problem}). Put what prepares "
                "them before it, for example `make_pipeline(synthaug.preparation(), model)`."
            )


def _check_candidates(candidates: Mapping[str, Any]) -> None:
    problems = [
        f"Expected candidate {name!r} to be an object with `fit_resample`, got {one!r}."
        for name, one in candidates.items()
        if isinstance(one, type) or not hasattr(one, "fit_resample")
    ]
    if NONE in candidates or "real" in candidates:
        problems.append("The names 'none' and 'real' are taken by the real data alone: choose another name.")
    if not candidates:
        problems.append("Expected at least one candidate, got none: None takes the usual ones.")
    raise_problems(problems, ParameterError)


def _inner_folds(labels: pd.Series, seed: int) -> Any:
    """Three stratified folds, twice; two, three times, where a class has two rows; else None, for an error."""
    folds = min(_FOLDS, int(labels.value_counts().min()))
    if folds < 2:
        return None
    return RepeatedStratifiedKFold(n_splits=folds, n_repeats=_FOLDS * _REPEATS // folds, random_state=seed % 2**32)


def _columns(frame: pd.DataFrame) -> str:
    return "numeric" if all(pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes) else "mixed"


def _table(found: Sequence[Comparison], before: Prior, metric: str, estimator: str) -> pd.DataFrame:
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
        after = update(before.of(names), seen.to_numpy(), overlap, caution=_CAUTION)
        half = 1.96 * np.sqrt(np.diag(after.covariance))
        for i, arm in enumerate(names):
            ends = [after.mean[i], after.mean[i] - half[i], after.mean[i] + half[i]]
            rows[arm] = [*rows[arm][:2], seen[arm].mean(), len(seen), *ends]
    return pd.DataFrame(list(rows.values()), columns=TABLE)


def _differences(found: Comparison, metric: str, estimator: str) -> pd.DataFrame:
    """Score of each candidate minus that of the real data, `(splits, candidates)`; NaN where there is none."""
    rows = found.scores[(found.scores["metric"] == metric) & (found.scores["estimator"] == estimator)]
    wide = rows.pivot_table("score", "split", "arm").reindex(index=found.splits["split"], columns=list(found.arms))
    return wide.sub(wide["real"], axis=0)
