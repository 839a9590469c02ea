"""What arms usually gain, from our own benchmark: where a choice starts before the data at hand have spoken.

With few rows an inner fold says little, and the arm that happens to score best is often not the best. So a choice
starts from what each arm gained on other tables with this kind of classifier, and moves away from it only on evidence.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_regressor
from sklearn.pipeline import Pipeline

from synthaug.errors import ParameterError, raise_problems

__all__ = ["Prior", "benchmark_gains", "estimator_kind", "prior", "regressor_problem", "update"]

_KINDS = {
    "logistic": ("LogisticRegression", "LinearSVC", "RidgeClassifier", "SGDClassifier", "LinearDiscriminantAnalysis"),
    "neighbours": ("KNeighborsClassifier", "RadiusNeighborsClassifier", "SVC"),
    "forest": ("RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier", "BaggingClassifier"),
    "boosting": ("HistGradientBoostingClassifier", "GradientBoostingClassifier", "XGBClassifier", "LGBMClassifier"),
    "mlp": ("MLPClassifier",),
}
_COUNTERPARTS = {
    "LinearRegression": "LogisticRegression",
    "Ridge": "RidgeClassifier",
    "SVR": "SVC",
    "LinearSVR": "LinearSVC",
    "NuSVR": "NuSVC",
}
_KEYS = ["table", "columns", "kind", "arm", "metric"]
_OTHER = 0.5  # weight of tables with columns of another kind than this one's
_NEAR = 0.5  # how near, in logarithms of the number of rows, a size must be to count
_UNKNOWN = 0.03  # standard deviation of the gain of an arm, or in a metric, that the benchmark knows nothing of


@dataclass(frozen=True)
class Prior:
    """A normal distribution of the gains of arms on a table not seen yet, in shares of the score.

    Args:
        arms: Names.
        mean: `(arms,)`.
        covariance: `(arms, arms)`.
    """

    arms: tuple[str, ...]
    mean: np.ndarray
    covariance: np.ndarray

    def of(self, arms: Sequence[str]) -> Prior:
        """The same for some of the arms."""
        places = [self.arms.index(arm) for arm in arms]
        return Prior(tuple(arms), self.mean[places], self.covariance[np.ix_(places, places)])


def estimator_kind(estimator: Any) -> str | None:
    """Which of the benchmark's kinds of classifier this is, by its class or those it inherits from; None if it is none.

    Raises:
        ParameterError: a regressor.

    >>> from sklearn.linear_model import LogisticRegression
    >>> estimator_kind(LogisticRegression()), estimator_kind(None)
    ('logistic', None)
    """
    raise_problems(regressor_problem(type(estimator).__name__, estimator), ParameterError)
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    names = [one.__name__ for one in type(estimator).__mro__]
    return next((kind for name in names for kind, known in _KINDS.items() if name in known), None)


def regressor_problem(name: str, estimator: Any) -> list[str]:
    """What is wrong with an estimator that predicts numbers; nothing where it is not known to do so.

    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.svm import SVR
    >>> regressor_problem("last", Pipeline([("scale", StandardScaler()), ("svr", SVR())]))
    ["Expected estimator 'last' to be a classifier, got the regressor SVR: classes are predicted. Use SVC."]
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn has no tags of an object that is not its own
        try:
            found = is_regressor(estimator)
        except Exception:  # what is no object of scikit-learn's may raise whatever it likes
            found = False
    if not found:
        return []
    while isinstance(estimator, Pipeline) or (
        hasattr(estimator, "refit") and hasattr(estimator, "estimator")
    ):  # a search
        estimator = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator.estimator
    other = _counterpart(type(estimator))
    return [
        f"Expected estimator {name!r} to be a classifier, got the regressor {type(estimator).__name__}: classes are "
        f"predicted.{f' Use {other}.' if other else ''}"
    ]


def _counterpart(regressor: type) -> str | None:
    """The name of the classifier of this kind, where it is beside the regressor."""
    name = regressor.__name__.replace("Regressor", "Classifier")
    around = [sys.modules.get(module) for module in (regressor.__module__, regressor.__module__.rpartition(".")[0])]
    beside = name != regressor.__name__ and any(hasattr(module, name) for module in around)
    return name if beside else _COUNTERPARTS.get(regressor.__name__)


@cache
def benchmark_gains() -> pd.DataFrame:
    """What the benchmark found: one row a table, kind of classifier, arm, metric and number of rows, the gain a share.

    >>> benchmark_gains().columns.tolist()
    ['table', 'columns', 'kind', 'arm', 'metric', 'n', 'gain']
    """
    found = json.loads(files("synthaug.evaluate").joinpath("priors.json").read_text())
    sizes = found["sizes"]
    wide = pd.DataFrame([[*keys, *gains] for *keys, gains in found["gains"]], columns=[*_KEYS, *sizes])
    return wide.melt(_KEYS, sizes, "n", "gain").dropna().astype({"n": int, "gain": float}).reset_index(drop=True)


def prior(
    arms: Sequence[str], *, kind: str | None, columns: str, n: int, metric: str, gains: pd.DataFrame | None = None
) -> Prior:
    """What to expect of arms before looking at the data.

    Args:
        arms: Names; those that the benchmark does not know are expected to gain nothing.
        kind: Of the classifier, see `estimator_kind`; None takes the mean of all kinds.
        columns: "numeric" or "mixed": tables of numbers alone, or with categories. Others count half.
        n: Rows of the table. Benchmarks of another size count the less, the further it is (a Gaussian kernel in the
            logarithm, of width 0.5).
        metric: Name of the score; for one that the benchmark does not know, no arm is expected to gain anything.
        gains: In the form of `benchmark_gains()`, its default.

    Returns:
        Mean and covariance over tables and sizes.

    >>> expected = prior(["gaussian", "mine"], kind="forest", columns="numeric", n=100, metric="balanced_accuracy")
    >>> bool(expected.mean[0] > 0.03), expected.mean[1].item()
    (True, 0.0)
    """
    gains = benchmark_gains() if gains is None else gains
    rows = gains[(gains["metric"] == metric) & gains["arm"].isin(arms)]
    rows = rows if kind is None else rows[rows["kind"] == kind]
    by_table = rows.pivot_table("gain", ["table", "columns", "n"], "arm").reindex(columns=list(arms))
    known = by_table.notna().sum().to_numpy() > 2
    mean, covariance = np.zeros(len(arms)), np.diag(np.full(len(arms), _UNKNOWN**2))
    if known.any():
        seen = by_table.loc[:, known].dropna()
        weights = _weights(seen.index.to_frame(index=False), columns, n)
        mean[known] = np.average(seen, axis=0, weights=weights)
        covariance[np.ix_(known, known)] = np.cov(seen.T, aweights=weights)
    return Prior(tuple(arms), mean, covariance + 1e-6 * np.eye(len(arms)))


def _weights(tables: pd.DataFrame, columns: str, n: int) -> np.ndarray:
    """How much each benchmark says of a table with such columns and rows, `(tables,)`."""
    sizes = tables["n"].to_numpy(float)
    distance = np.log(sizes / np.clip(n, sizes.min(), sizes.max())) / _NEAR
    weights: np.ndarray = np.where(tables["columns"] == columns, 1.0, _OTHER) * np.exp(-(distance**2) / 2)
    return weights


def update(before: Prior, differences: np.ndarray, overlap: float, *, caution: float = 1.0) -> Prior:
    """The prior after paired differences were seen.

    Args:
        before: What was expected.
        differences: `(splits, arms)`, score of each arm minus that of the real rows alone; at least 2 splits.
        overlap: Test rows over training rows of a split, for the correction of Nadeau and Bengio (2003).

    Other Arguments:
        caution: Multiplies the variance of the evidence.

    Returns:
        The posterior of the multivariate normal model (Gelman et al., Bayesian Data Analysis, 3rd ed., section 3.5).
        The covariance of the evidence is halfway between the sample's and one of equal variances alone, since a handful
        of splits tells it badly (Ledoit & Wolf 2004).

    >>> known = Prior(("a",), np.array([0.02]), np.array([[0.01**2]]))
    >>> update(known, np.array([[0.0], [0.01], [-0.01], [0.0]]), 1 / 3).mean.round(3).tolist()
    [0.006]
    """
    splits, arms = differences.shape
    sample = np.cov(differences.T).reshape(arms, arms)
    spread = np.trace(sample) / arms
    evidence = (1 / splits + overlap) * (0.5 * sample + 0.5 * spread * np.eye(arms)) + 1e-8 * np.eye(arms)
    weight = before.covariance @ np.linalg.inv(before.covariance + caution * evidence)
    mean = before.mean + weight @ (differences.mean(0) - before.mean)
    covariance = before.covariance - weight @ before.covariance
    return Prior(before.arms, mean, (covariance + covariance.T) / 2)
