"""Five kinds of classifier to measure with, each behind one preparation that takes any table."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.validation import check_is_fitted

__all__ = ["BriefMLP", "PlainColumns", "Preparation", "default_estimators", "preparation"]

_MOST_LEVELS = 100


def default_estimators() -> dict[str, Pipeline]:
    """A linear model, nearest neighbours, a forest, boosting and a small network, with fast settings.

    What helps one kind may harm another, so a comparison that is meant to be general takes all of them.

    >>> table = pd.DataFrame({"age": [20, None, 22, 50, 60, 55], "town": ["Ulm", "Ulm", None, "Bonn", None, "Bonn"]})
    >>> y = [0, 0, 0, 1, 1, 1]
    >>> {name: len(model.fit(table, y).predict(table)) for name, model in default_estimators().items()}
    {'logistic': 6, 'neighbours': 6, 'forest': 6, 'boosting': 6, 'mlp': 6}
    """
    models = {
        "logistic": LogisticRegression(max_iter=1000),
        "neighbours": KNeighborsClassifier(5),
        "forest": RandomForestClassifier(50),
        # By default a leaf needs 20 rows: on 20 real rows there would be no tree, and anything would be a gain.
        "boosting": HistGradientBoostingClassifier(max_iter=40, min_samples_leaf=5, early_stopping=False),
        # The whole batch at each step, so that more rows are not also more steps.
        "mlp": BriefMLP((32,), solver="lbfgs", alpha=0.1, max_iter=100),
    }
    return {name: make_pipeline(preparation(), model) for name, model in models.items()}


def preparation() -> Preparation:
    """Any columns, gaps included, to scaled numbers and one column a level.

    Missing numbers become the median of the column and one more column that says so. Levels beyond the 100 commonest
    count as one, and levels that are new at predict as none.

    >>> preparation().fit_transform(pd.DataFrame({"age": [20, 30, None], "town": ["Ulm", "Bonn", "Bonn"]})).shape
    (3, 4)
    """
    return Preparation()


class Preparation(TransformerMixin, BaseEstimator):
    """What `preparation` gives: no pipeline, as imbalanced-learn takes one only as the last step.

    >>> Preparation().fit_transform(pd.DataFrame({"town": ["Ulm", "Bonn"]})).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn medians, scales and levels of the records `(n, d)`, a data frame or array."""
        numbers = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
        )
        levels = OneHotEncoder(handle_unknown="ignore", max_categories=_MOST_LEVELS, sparse_output=False)
        by_kind = make_column_transformer(
            (numbers, make_column_selector(dtype_include="number")),
            (levels, make_column_selector(dtype_exclude="number")),
        )
        self.pipeline_ = make_pipeline(PlainColumns(), by_kind).fit(X)
        return self

    def transform(self, X: Any) -> Any:
        """The records as numbers `(n, any)`."""
        check_is_fitted(self)
        return self.pipeline_.transform(X)


class PlainColumns(TransformerMixin, BaseEstimator):
    """Columns of two kinds: floats with NaN (numbers, true or false, days since 1970), and texts (all else).

    >>> PlainColumns().transform(pd.DataFrame({"when": pd.to_datetime(["1970-01-03"]), 7: ["07"]})).to_dict("list")
    {'when': [2.0], '7': ['07']}
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """There is nothing to learn."""
        return self

    def transform(self, X: Any) -> pd.DataFrame:
        """The records `(n, d)`, a data frame or array, as a data frame of such columns."""
        frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(X)
        columns = {i: _plain(frame.iloc[:, i]) for i in range(frame.shape[1])}
        return pd.DataFrame(columns, index=frame.index).set_axis(list(map(str, frame.columns)), axis=1)


class BriefMLP(MLPClassifier):
    """scikit-learn's network, stopped on purpose: to have reached `max_iter` is no reason to warn.

    >>> BriefMLP((2,), solver="lbfgs", max_iter=1, random_state=0).fit([[0.0], [1.0]], [0, 1]).n_iter_
    1
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the network; see `MLPClassifier`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            super().fit(X, y)
        return self


def _plain(column: pd.Series) -> np.ndarray:
    types = pd.api.types
    if isinstance(column.dtype, pd.ArrowDtype) and column.dtype.kind in "Mm":
        column = column.array.__arrow_array__().to_pandas(date_as_object=False)
    if types.is_datetime64_any_dtype(column):
        moments = column.dt.tz_convert("UTC").dt.tz_localize(None) if getattr(column.dt, "tz", None) else column
        return _days(moments - pd.Timestamp(0))
    if types.is_timedelta64_dtype(column):
        return _days(column)
    if (types.is_numeric_dtype(column) and not types.is_complex_dtype(column)) or column.dtype.kind == "b":
        return column.to_numpy(float, na_value=np.nan)
    return column.astype(object).where(column.notna(), None).map(str).to_numpy(object)


def _days(durations: pd.Series) -> np.ndarray:
    return durations.dt.total_seconds().to_numpy(float) / 86_400
