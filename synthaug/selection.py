"""Which synthetic records are worth keeping? Criteria judge a pool beside the real data, `select` keeps the rest.

A criterion works on numbers alone (features and label codes), so it serves every kind of record. Each score is
relative to what the real records do among themselves, so that one threshold suits data of any scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.neighbors import NearestNeighbors

from synthaug.arrays import check_images, is_array
from synthaug.errors import DataError, DataTypeError, ParameterError, raise_problems
from synthaug.features import Features, table_features
from synthaug.labels import Labels, check_labels
from synthaug.pool import Pool
from synthaug.records import schema_of
from synthaug.rng import RandomState, as_seed, derive, numpy_rng

__all__ = ["Agreement", "Criterion", "Distance", "Rows", "Selection", "check_criteria", "select"]


@dataclass(frozen=True)
class Rows:
    """Records as criteria see them: features `x` `(n, d)` float64 and label codes `y` `(n,)` int64."""

    x: np.ndarray
    y: np.ndarray


class Criterion(Protocol):
    """What `select` asks of a criterion; anything with these two methods will do."""

    def score(self, real: Rows, pool: Rows, seed: int) -> dict[str, np.ndarray]:
        """Score name -> `(n,)` float64, one score a record of the pool; NaN where nothing can be said."""
        ...

    def reasons(self, scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Reason -> `(n,)` bool, the records to reject for it; NaN is no reason."""
        ...


@dataclass(frozen=True, repr=False)
class Selection:
    """What `select` found.

    Args:
        pool: The records kept, with the scores of all criteria.
        rejected: One row a criterion, reason and label: how many records were `rejected`, `of` how many.
            A record may be rejected for several reasons.
    """

    pool: Pool
    rejected: pd.DataFrame

    def __repr__(self) -> str:
        return f"<Selection that keeps {self.pool!r}>"


def select(
    pool: Pool,
    real: Any,
    real_labels: Any,
    criteria: Sequence[Criterion],
    *,
    features: Features | None = None,
    random_state: RandomState = None,
) -> Selection:
    """Keep the records of `pool` that no criterion rejects. Every criterion judges the whole pool.

    Args:
        pool: Synthetic records; fewer may be left, even none of a label.
        real: The records that the generator was trained on (and no test records).
        real_labels: Their labels.
        criteria: For example `[Agreement(), Distance()]`.
        features: Records -> `(n, d)` numbers in which distances mean something, such as a fitted codec's `features`;
            by default `table_features(real)`, or the features of an `ImageCodec` for images.
        random_state: For criteria that draw lots.

    Raises:
        DataError: real records without labels; labels of the pool that no real record has; other columns than those of
            the pool, or images of another shape or dtype; features not finite.
        DataTypeError: records that are neither a DataFrame nor images, and no `features`.
        ParameterError: criteria that are none, or two that fill the same score.

    >>> from synthaug.pool import Source
    >>> rng = np.random.default_rng(0)
    >>> real = pd.DataFrame({"a": rng.normal(size=50), "b": rng.normal(size=50)})
    >>> labels = pd.Series(["x"] * 50)
    >>> copies = Pool.of(real[:10], labels[:10], Source("copier", "", 0))
    >>> found = select(copies, real, labels, [Distance()])
    >>> len(found.pool)
    0
    >>> found.rejected.to_dict("records")[0]
    {'criterion': 'Distance', 'reason': 'memorised', 'label': 'x', 'rejected': 10, 'of': 10}
    """
    check_criteria(criteria)
    if not len(pool) or not criteria:
        return Selection(pool, _count([], pool.labels))
    real = check_images(real) if is_array(real) and real.ndim > 2 else real
    coding = Labels.of(real_labels, real)
    features = features or _default_features(real, pool.records)
    real_rows = Rows(_checked(features(real), "real"), coding.encode(check_labels(real_labels)))
    pool_rows = Rows(_checked(features(pool.records), "synthetic"), coding.encode(pool.labels))
    seed = as_seed(random_state)
    scores: dict[str, np.ndarray] = {}
    reasons: list[tuple[str, str, np.ndarray]] = []
    for place, criterion in enumerate(criteria):
        found = criterion.score(real_rows, pool_rows, derive(seed, "select", place))
        _refuse_twice(scores, found)
        scores |= found
        reasons += [(type(criterion).__name__, reason, mask) for reason, mask in criterion.reasons(found).items()]
    rejected = np.any([np.zeros(len(pool), bool), *(mask for _, _, mask in reasons)], axis=0)
    scored = replace(pool, scores={**pool.scores, **scores})
    return Selection(scored.keep(~rejected), _count(reasons, pool.labels))


def check_criteria(criteria: Any) -> None:
    """Raise a `ParameterError` unless this is a sequence of criteria.

    >>> check_criteria(Distance())
    Traceback (most recent call last):
    ...
    synthaug.errors.ParameterError: Expected `criteria` to be a list such as `[Agreement(), Distance()]`, got Distance(memorised=0.05, far=1.5).
    """  # noqa: E501
    several = isinstance(criteria, Sequence) and not isinstance(criteria, str)
    if not several or any(isinstance(one, type) or not hasattr(one, "score") for one in criteria):
        raise ParameterError(f"Expected `criteria` to be a list such as `[Agreement(), Distance()]`, got {criteria!r}.")


def _default_features(real: Any, synthetic: Any) -> Features:
    if not isinstance(synthetic, pd.DataFrame):
        return _image_features(real, synthetic)
    if not isinstance(real, pd.DataFrame):
        raise DataTypeError(
            f"Expected a DataFrame, or `features` for records of type {type(real).__name__}: "
            "pass a fitted codec's, `features=codec.features`."
        )
    if list(real.columns) != list(synthetic.columns):
        raise DataError(
            f"Expected real records with the columns of the pool in their order, {list(synthetic.columns)}, got "
            f"{list(real.columns)}: pass `real[list(pool.records.columns)]`."
        )
    return table_features(real)


def _image_features(real: Any, synthetic: np.ndarray) -> Features:
    from synthaug.codecs.image import ImageCodec  # it needs torch, which tables do without

    raise_problems(schema_of(synthetic).differences(schema_of(real)))
    try:
        return ImageCodec().fit(real).features
    except DataError as error:
        raise DataError(f"{error} A fitted codec's `features=codec.features` serves here as well.") from error


def _checked(x: Any, what: str) -> np.ndarray:
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise DataError(
            f"Expected finite features of shape (n, d) for the {what} records, got "
            f"{f'shape {x.shape}' if x.ndim != 2 else f'{(~np.isfinite(x)).sum()} not finite'}: mend `features`."
        )
    return x


def _refuse_twice(scores: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> None:
    raise_problems(
        (
            f"Two criteria fill the score {name!r}: pass one of them, or call `select` twice."
            for name in found
            if name in scores
        ),
        ParameterError,
    )


def _count(reasons: list[tuple[str, str, np.ndarray]], labels: pd.Series) -> pd.DataFrame:
    of = {label: int(n) for label, n in labels.value_counts(sort=False).items() if n}
    rows = [
        (criterion, reason, label, int(mask[(labels == label).to_numpy(bool)].sum()), n)
        for criterion, reason, mask in reasons
        for label, n in of.items()
    ]
    return pd.DataFrame(rows, columns=["criterion", "reason", "label", "rejected", "of"])


@dataclass(frozen=True)
class Agreement:
    """Rejects records whose label a classifier, trained on real records alone, clearly disbelieves.

    The classifier is trained `folds` times, each time without one part of the real records, so that each real record
    is judged by a model that has not seen it. A synthetic record's probability of its own label, the mean over the
    models, is divided by a limit of that label: the probability that all but `quantile` of the real records with the
    label exceed, or what blind guessing gives, whichever is less. Score `agreement`, rejected below 1.

    So a label that is hard to tell in the real data is no ground for rejection; and nothing is rejected where there
    is one class, nor of a label with fewer than 2 real records.

    Self-confidence by out-of-sample probabilities, with a limit for each class, follows Northcutt, Jiang and Chuang,
    "Confident learning", JAIR 70 (2021).

    Args:
        quantile: The share of real records, in [0, 0.5], that may fall below the limit.
        folds: How many models, at least 2.
        estimator: Any scikit-learn classifier with `predict_proba`; by default extremely randomised trees with
            balanced class weights.

    >>> Agreement(quantile=2)
    Traceback (most recent call last):
    ...
    synthaug.errors.ParameterError: Expected `quantile` from 0 to 0.5, got 2.
    """

    quantile: float = 0.02
    folds: int = 5
    estimator: ClassifierMixin | None = None

    def __post_init__(self) -> None:
        problems = []
        if not 0 <= self.quantile <= 0.5:
            problems.append(f"Expected `quantile` from 0 to 0.5, got {self.quantile!r}.")
        if self.folds < 2:
            problems.append(f"Expected `folds` of at least 2, got {self.folds!r}.")
        if self.estimator is not None and not hasattr(self.estimator, "predict_proba"):
            problems.append(f"Expected an `estimator` with `predict_proba`, got {self.estimator!r}.")
        raise_problems(problems, ParameterError)

    def score(self, real: Rows, pool: Rows, seed: int) -> dict[str, np.ndarray]:
        """Score `agreement`: probability of the own label over the limit of that label."""
        counts = np.bincount(real.y)
        if (counts > 0).sum() < 2:
            return {"agreement": np.full(len(pool.y), np.nan)}
        folds = _stratified(real.y, self.folds, numpy_rng(seed, "folds"))
        own_real, own_pool = np.empty(len(real.y)), np.zeros(len(pool.y))
        for fold in np.unique(folds):
            seen = real.y[folds != fold]
            several = len(np.unique(seen)) > 1  # not so where the only record of one of two labels is left out
            model = self._model(derive(seed, "model", int(fold))) if several else DummyClassifier()
            model.fit(real.x[folds != fold], seen)
            own_real[folds == fold] = _own_probability(model, real.x[folds == fold], real.y[folds == fold])
            own_pool += _own_probability(model, pool.x, pool.y) / len(np.unique(folds))
        guess = 1 / (counts > 0).sum()
        limits = np.full(len(counts), np.nan)
        for label in np.flatnonzero(counts >= 2):
            limits[label] = min(guess, np.quantile(own_real[real.y == label], self.quantile))
        return {"agreement": _ratio(own_pool, limits[pool.y])}

    def reasons(self, scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Rejects for `disagreement`."""
        return {"disagreement": scores["agreement"] < 1}

    def _model(self, seed: int) -> Any:
        if self.estimator is None:
            return ExtraTreesClassifier(50, min_samples_leaf=2, class_weight="balanced", random_state=seed % 2**32)
        model = clone(self.estimator)
        return model.set_params(random_state=seed % 2**32) if "random_state" in model.get_params() else model


@dataclass(frozen=True)
class Distance:
    """Rejects records that are copies of real ones, and records that are far from all real ones of their label.

    *Memorised.* The distance to the nearest real record, of any label, is divided by the distance which that real
    record keeps from its own nearest real neighbour, or which four in five real records of its label keep, whichever
    is less. Score `novelty`, rejected below `memorised`. Where real records coincide with one another, as in tables
    of few categories, a synthetic one that does so too is no copy: its novelty is infinite.

    *Far.* The distance to the nearest real record of the same label is divided by the distance that all but 1% of
    the real records of that label keep to their nearest. Score `reach`, rejected above `far`; NaN for a label with
    fewer than 2 real records.

    Distances to the closest training record as a sign of copying: Meehan, Chaudhuri and Dasgupta, "A non-parametric
    test to detect data-copying in generative models", AISTATS 2020. Nearest-neighbour radii of the real data as the
    edge of where a synthetic record may be: Kynkäänniemi et al., "Improved precision and recall metric for assessing
    generative models", NeurIPS 2019. It makes copies rarer and is no proof of privacy.

    Args:
        memorised: At least 0; 0 rejects none.
        far: Above 0; `float("inf")` rejects none.

    >>> Distance(far=0)
    Traceback (most recent call last):
    ...
    synthaug.errors.ParameterError: Expected `far` above 0, got 0.
    """

    memorised: float = 0.05
    far: float = 1.5

    def __post_init__(self) -> None:
        problems = []
        if not self.memorised >= 0:
            problems.append(f"Expected `memorised` of at least 0, got {self.memorised!r}.")
        if not self.far > 0:
            problems.append(f"Expected `far` above 0, got {self.far!r}.")
        raise_problems(problems, ParameterError)

    def score(self, real: Rows, pool: Rows, seed: int) -> dict[str, np.ndarray]:
        """Scores `novelty` and `reach`."""
        return {"novelty": _novelty(real, pool), "reach": _reach(real, pool)}

    def reasons(self, scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Rejects for `memorised` and `far`."""
        return {"memorised": scores["novelty"] < self.memorised, "far": scores["reach"] > self.far}


def _novelty(real: Rows, pool: Rows) -> np.ndarray:
    """`(n,)`: how far each record keeps from the nearest real one, by the measure of that one's neighbourhood."""
    apart = _apart(real.x)
    usual = np.full(real.y.max() + 1, np.nan)
    for label in np.unique(real.y):
        usual[label] = np.quantile(apart[real.y == label], 0.2)
    distance, nearest = _nearest(real.x, pool.x)
    return _ratio(distance, np.minimum(apart, usual[real.y])[nearest])


def _reach(real: Rows, pool: Rows) -> np.ndarray:
    """`(n,)`: how far each record is from the real ones of its label, by the measure of those."""
    reach = np.full(len(pool.y), np.nan)
    for label in np.unique(pool.y):
        own, theirs = real.x[real.y == label], pool.y == label
        if len(own) >= 2 and (edge := np.quantile(_apart(own), 0.99)) > 0:
            reach[theirs] = _nearest(own, pool.x[theirs])[0] / edge
    return reach


def _ratio(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """`values / scale`; infinite where the scale is 0."""
    return np.divide(values, scale, out=np.full(len(values), np.inf), where=scale != 0)


def _apart(x: np.ndarray) -> np.ndarray:
    """`(n,)`: the distance of each row from the nearest other row; NaN for a single row."""
    if len(x) < 2:
        return np.full(len(x), np.nan)
    nearest = NearestNeighbors(n_neighbors=1).fit(x).kneighbors(return_distance=False)[:, 0]
    return np.linalg.norm(x - x[nearest], axis=1)


def _nearest(x: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each query the distance to the nearest row of `x`, and its position. scikit-learn bounds the memory."""
    nearest = NearestNeighbors(n_neighbors=1).fit(x).kneighbors(queries, return_distance=False)[:, 0]
    return np.linalg.norm(queries - x[nearest], axis=1), nearest  # exact, so that equal rows are at 0


def _stratified(y: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """`(n,)`: a fold for each row, such that each label is spread as evenly as its number allows."""
    fold = np.empty(len(y), np.int64)
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        fold[rows] = (np.arange(len(rows)) + rng.integers(folds)) % folds
    return fold


def _own_probability(model: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """`(n,)`: the probability that `model` gives each row's own label; 0 for a label that it has not seen."""
    probabilities = np.zeros((len(x), max(y.max(), model.classes_.max()) + 1))
    probabilities[:, model.classes_] = model.predict_proba(x)
    return probabilities[np.arange(len(x)), y]
