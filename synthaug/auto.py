"""Which generator, or none: chosen for one classifier and score from inner folds and from what usually helps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from synthaug.amounts import Amount
from synthaug.decisions import NONE, Decision, check_candidates, decide, inner_splits, knock_out
from synthaug.errors import DataError, ParameterError, heard, tell
from synthaug.evaluate import metrics
from synthaug.evaluate.baselines import ClassGaussian, Smote
from synthaug.evaluate.comparison import Comparison, compare
from synthaug.evaluate.estimators import Preparation, preparation
from synthaug.evaluate.paired import Split, seeded
from synthaug.evaluate.priors import Prior, estimator_kind, prior
from synthaug.evaluate.signal import label_signal
from synthaug.evaluate.studies import attempt
from synthaug.labels import check_target
from synthaug.mix.resample import SynthResampler
from synthaug.oversampling import RowSampler
from synthaug.rng import RandomState, as_seed, derive

__all__ = ["AutoResampler", "choose", "choose_each", "default_candidates"]

_ONE = "estimator"


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
    groups: Any = None,
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
        cv: Inner splits, as in `compare`; None takes 3 stratified folds, twice.
        groups: `(n,)`; rows of one group, such as those of one patient, are never in both parts of an inner split.
        scoring: The score that counts; see `metrics.scorers`.
        before: What to expect of the candidates; None takes our benchmark.
        random_state: Of splits, candidates and classifiers.
        n_jobs: How many jobs run at once, as joblib counts.

    Raises:
        DataError: labels or groups that do not fit the records; a class too small for the splits.
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
        groups=groups,
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
    groups: Any = None,
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
    check_candidates(chosen, _resamples, "an object with `fit_resample`")
    scorers = metrics.scorers(scoring)
    if len(scorers) > 1:
        raise ParameterError(f"Expected one score in `scoring`, got {len(scorers)}: a choice needs one that counts.")
    (metric,) = scorers
    frame = X.reset_index(drop=True) if isinstance(X, pd.DataFrame) else pd.DataFrame(X)
    labels = check_target(y, X if isinstance(X, pd.DataFrame) else range(len(frame)))
    if isinstance(labels.dtype, pd.CategoricalDtype):
        labels = labels.cat.remove_unused_categories()
    if before is None:
        about: dict[str, Any] = {"columns": _columns(frame), "n": len(frame), "metric": metric}
        before = {name: prior(list(chosen), kind=estimator_kind(one), **about) for name, one in estimators.items()}
    records = frame if isinstance(X, pd.DataFrame) else np.asarray(X)
    _check_estimators(estimators, records, labels, seed)
    splits = inner_splits(cv, X if isinstance(X, pd.DataFrame) else records, labels, seed, groups)
    signal = label_signal(frame, labels, splits, seed=seed)

    def judge(arms: Mapping[str, Any], part: list[Split], seed: int) -> Comparison:
        return compare(arms, estimators, records, labels, cv=part, scoring=scorers, n_jobs=n_jobs, random_state=seed)

    found = knock_out(judge, chosen, splits, before, metric=metric, seed=seed) if signal.there else []
    return {name: decide(found, before[name], estimator=name, metric=metric, signal=signal) for name in estimators}


class AutoResampler(RowSampler):
    """Add the rows that help this classifier, or none: then the data come back as they were.

    Args:
        estimator: The classifier that will learn from the rows; None is a logistic regression behind `preparation()`.
        candidates: Objects with `fit_resample` by name; None takes `default_candidates()`.

    Where rows belong together, say so with `fit_resample(X, y, groups=groups)`; see `choose`.

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

    def _fit_resample(self, X: Any, y: np.ndarray, groups: Any = None) -> tuple[Any, np.ndarray]:
        seed = as_seed(self.random_state)
        candidates = default_candidates(random_state=seed) if self.candidates is None else self.candidates
        estimator = self.estimator
        if estimator is None:
            estimator = make_pipeline(preparation(), LogisticRegression(max_iter=1000))
        with heard() as told:
            self.decision_ = choose(
                estimator, X, y, candidates,
                cv=self.cv, groups=groups, scoring=self.scoring, random_state=seed, n_jobs=self.n_jobs,
            )  # fmt: skip
            choice = self.decision_.choice
            self.resampler_ = None if choice == NONE else seeded(candidates[choice], derive(seed, "rows"))
            grown = (X, y) if self.resampler_ is None else self.resampler_.fit_resample(X, y)
        tell(told, stacklevel=4)
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
            remedy = "Put what prepares them before it, for example `make_pipeline(synthaug.preparation(), model)`."
            if any(isinstance(part, Preparation) for part in getattr(model, "get_params", dict)().values()):
                remedy = "Convert or drop the columns that it cannot take."
            raise DataError(f"{type(model).__name__} cannot be fitted on the records as they are ({problem}). {remedy}")


def _resamples(candidate: Any) -> bool:
    return not isinstance(candidate, type) and hasattr(candidate, "fit_resample")


def _columns(frame: pd.DataFrame) -> str:
    return "numeric" if all(pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes) else "mixed"
