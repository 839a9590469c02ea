"""Features of tables are finite for any column and tell its values apart."""

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from synthaug.errors import DataError
from synthaug.features import image_features, table_features, usual_features


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


UNREADABLE = {
    "bytes": pd.Series([b"a", b"\xff"]),
    "half a surrogate pair": pd.Series(["a", "\ud800"], dtype=object),
    "days of Arrow": pd.Series([datetime.date(2020, 1, 1)] * 2, dtype=pd.ArrowDtype(pa.date32())),
    "complex": pd.Series([1j, 2j]),
}
if pd.__version__ < "3":
    del UNREADABLE["half a surrogate pair"]  # it can be read there


def test_columns_that_cannot_be_read_are_all_named_and_the_remedy_works():
    table = pd.DataFrame({**UNREADABLE, "fine": [1, 2]})
    with pytest.raises(DataError) as caught:
        table_features(table)
    first, *lines = str(caught.value).splitlines()
    assert first == f"{len(UNREADABLE)} problems:"
    for name, line in zip(UNREADABLE, lines, strict=True):
        assert line.startswith(f"- Column {name!r}, of dtype {table[name].dtype}, cannot be read (")
        assert line.endswith("): convert it, for example with `.map(repr)`, or drop it.")
    mended = table.assign(**{name: table[name].map(repr) for name in UNREADABLE})
    assert np.isfinite(table_features(mended)(mended)).all()


def test_a_column_that_can_no_longer_be_read_is_named():
    features = table_features(pd.DataFrame({"a": ["x", "y"]}))
    with pytest.raises(DataError, match="Column 'a', of dtype object, cannot be read"):
        features(pd.DataFrame({"a": [b"\xff", b"x"]}))


@pytest.mark.parametrize("shape", [(3, 28, 28), (3, 9, 13, 2), (2, 4, 10, 8), (3, 13, 32, 32)])
def test_features_of_images_are_the_means_of_their_fields(shape):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    grid = images[:, None] if len(shape) == 3 else images.transpose(0, 3, 1, 2) if shape[-1] < 5 else images
    expected = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(grid.astype(float)), 8).flatten(1).numpy()
    np.testing.assert_allclose(image_features(images), expected / 255)
    np.testing.assert_allclose(image_features(torch.from_numpy(images)), expected / 255)
    np.testing.assert_allclose(image_features(images.astype("float32")), expected, rtol=1e-6)


def test_what_is_no_image_has_no_usual_features():
    none = [np.zeros((3, 5, 5)), np.zeros((3, 64)), pd.DataFrame({"a": [1]}), ["text"], np.zeros((2, 9, 9, 9, 3))]
    assert [usual_features(records) for records in none] == [None] * 5
