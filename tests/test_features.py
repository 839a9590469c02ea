"""Features of tables are finite for any column and tell its values apart."""

import numpy as np
import pandas as pd
import pytest

from synthaug.features import table_features


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, None, 2], dtype="Int64"), pd.Series([True, None, False], dtype="boolean"),
        pd.Series([None] * 3, dtype="float64"), pd.Series([np.inf, -np.inf, 1.0]), pd.Series(["a", None, "b"]),
        pd.Series([1, "a", None], dtype=object), pd.Series(pd.to_datetime(["2020-01-01", None, "2021-01-01"])),
        pd.Series(pd.to_timedelta([1, None, 2], unit="D")), pd.Series([2, 2, 2], dtype="uint8"),
        pd.Series(pd.Categorical([1, None, 3])), pd.Series(pd.arrays.SparseArray([0, 0, 1])),
    ],
    ids=lambda column: str(column.dtype),
)  # fmt: skip
def test_features_are_finite_and_tell_values_apart(column):
    frame = column.to_frame("a")
    x = table_features(frame)(frame)
    assert np.isfinite(x).all()
    distinct = ["missing" if value is None or value is pd.NA or value != value else value for value in column]
    for i in range(3):
        for j in range(3):
            assert (distinct[i] == distinct[j]) == bool((x[i] == x[j]).all())
    assert table_features(frame)(frame[:0]).shape == (0, x.shape[1])
