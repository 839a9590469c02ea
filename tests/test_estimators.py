"""The usual classifiers take any table: text, gaps, dates, flags, new levels."""

import datetime
import warnings

import imblearn.pipeline
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from synthaug.evaluate.estimators import BriefMLP, PlainColumns, default_estimators, preparation

MODELS = default_estimators()


def mixed(n=60):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    return pd.DataFrame(
        {
            "number": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n) + 2 * y),
            "count": pd.array(np.where(np.arange(n) % 7, y, None), "Int64"),
            "flag": pd.array(np.where(np.arange(n) % 5, y == 1, None), "boolean"),
            "town": pd.Series(rng.choice(["Ulm", "Bonn", None], n), dtype="string"),
            "kind": pd.Categorical(np.where(y, "u", "v")),
            "when": pd.to_datetime("2020-01-01") + pd.to_timedelta(rng.integers(0, 99, n), "D"),
            "zoned": pd.date_range("2020-01-01", periods=n, tz="Europe/Berlin"),
            "empty": np.full(n, np.nan),
            "odd": [[1, "a", None, 2.5][i % 4] for i in range(n)],
            7: rng.integers(0, 9, n),
        }
    ), y


@pytest.mark.parametrize("name", MODELS)
def test_a_mixed_table_is_learned(name):
    X, y = mixed()
    model = clone(MODELS[name]).fit(X[:40], y[:40])
    new = X[40:].assign(town=pd.array(["nowhere"] * 20, "string"), kind="w", empty=1.0)
    assert model.predict_proba(new).shape == (20, 2)
    assert model.score(X[40:], y[40:]) > 0.8


@pytest.mark.parametrize("name", MODELS)
def test_arrays_are_learned_without_a_word(name):
    X, y = load_breast_cancer(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert clone(MODELS[name]).fit(X[::3], y[::3]).score(X[1::3], y[1::3]) > 0.9


def test_only_the_last_step_is_random():
    for model in MODELS.values():
        names = [name for name in model.get_params() if name.endswith("random_state")]
        assert all(name.count("__") == 1 for name in names)


def test_numbers_are_scaled_and_gaps_are_marked():
    found = preparation().fit_transform(pd.DataFrame({"a": [1.0, 3.0, np.nan]}))
    assert np.allclose(found.mean(0), 0)
    assert np.allclose(found[:, 0], np.array([-1, 1, 0]) / np.sqrt(2 / 3))
    assert (found[:2, 1] < 0).all()
    assert found[2, 1] > 0


def test_a_column_of_identifiers_stays_bounded():
    frame = pd.DataFrame({"id": [f"row {i}" for i in range(1000)]})
    assert preparation().fit_transform(frame).shape == (1000, 100)


def test_plain_columns_are_floats_and_texts():
    X, _ = mixed()
    found = PlainColumns().transform(X)
    assert [found[name].dtype.kind for name in ("number", "count", "flag", "when", "zoned", "empty", "7")] == ["f"] * 7
    assert found["town"].isin(["Ulm", "Bonn", "None"]).all()
    assert (found["when"] == (X["when"] - pd.Timestamp("1970-01-01")).dt.days).all()
    assert found["count"].isna().sum() == X["count"].isna().sum() > 0


NUMBERS = [pa.int8(), pa.uint64(), pa.float32(), pa.float64(), pa.decimal128(5, 2)]
UNITS = ["s", "ms", "us", "ns"]
DAYS = pd.to_datetime(["2020-01-03", None, "2020-01-01"])
ARROW = {
    **{kind: [3, None, 1] for kind in NUMBERS},
    pa.float16(): np.array([3, np.nan, 1], np.float16),
    pa.bool_(): [True, None, False],
    **{pa.timestamp(unit): DAYS for unit in UNITS},
    pa.timestamp("us", "UTC"): DAYS.tz_localize("UTC"),
    **{pa.duration(unit): DAYS - pd.Timestamp("1970-01-01") for unit in UNITS},
    **{kind: [datetime.date(2020, 1, 3), None, datetime.date(2020, 1, 1)] for kind in (pa.date32(), pa.date64())},
}


@pytest.mark.parametrize("kind", ARROW, ids=str)
def test_arrow_numbers_and_dates_become_floats(kind):
    frame = pd.DataFrame({"a": pd.array(ARROW[kind], pd.ArrowDtype(kind))}, index=[3, 4, 5])
    numbers = [1, np.nan, 0] if kind == pa.bool_() else [3, np.nan, 1]
    expected = [18_264, np.nan, 18_262] if pa.types.is_temporal(kind) else numbers
    found = PlainColumns().transform(frame)
    assert found["a"].dtype == float
    np.testing.assert_array_equal(found["a"], expected)
    assert preparation().fit_transform(frame).shape == (3, 2)


def test_preparation_is_a_step_like_any_other_to_imbalanced_learn():
    X, y = mixed()
    assert imblearn.pipeline.make_pipeline(preparation(), KNeighborsClassifier()).fit(X, y).score(X, y) > 0.8
    with pytest.raises(NotFittedError):
        preparation().transform(X)


def test_only_the_word_about_convergence_is_spared():
    rows = [[0.0], [1.0]] * 5, [0, 1] * 5
    settings = {"solver": "lbfgs", "max_iter": 1, "random_state": 0}
    with pytest.warns(ConvergenceWarning):
        MLPClassifier((2,), **settings).fit(*rows)
    assert BriefMLP((2,), **settings).fit(*rows).n_iter_ == 1
