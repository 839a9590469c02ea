"""Equal rows hash alike however they are stored; others do not."""

import base64

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthaug import fingerprint as fingerprints
from synthaug.fingerprint import digests, fingerprint, is_digested, row_hashes


def hashes(values, dtype=None):
    return row_hashes(pd.DataFrame({"a": pd.Series(values, dtype=dtype)}))


NUMBERS = ["int8", "uint64", "int64", "float16", "float64", "Int64", "Float32", "object", "category", "int64[pyarrow]"]


@pytest.mark.parametrize("dtype", NUMBERS)
def test_a_number_is_a_number_whatever_its_dtype(dtype):
    expected = hashes([3, 0, 100], "int64")
    np.testing.assert_array_equal(hashes([3, 0, 100], dtype), expected)


@pytest.mark.parametrize("dtype", ["str", "object", "category", "string", "string[python]"])
def test_a_text_is_a_text_whatever_its_dtype(dtype):
    np.testing.assert_array_equal(hashes(["a", None, "ß"], dtype), hashes(["a", np.nan, "ß"], object))


@pytest.mark.parametrize("dtype", ["Int64", "float64", "object", "str", "category", "boolean", "datetime64[ns]"])
def test_missing_is_missing_whatever_its_dtype(dtype):
    np.testing.assert_array_equal(hashes([None], dtype), hashes([None], object))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_time_is_a_time_in_any_unit_and_zone(unit):
    times = pd.Series(pd.to_datetime(["2020-01-01", None, "1903-05-06"]))
    expected = hashes(times.dt.as_unit("ns"))
    np.testing.assert_array_equal(hashes(times.dt.as_unit(unit)), expected)
    zoned = times.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo").dt.as_unit(unit)
    np.testing.assert_array_equal(hashes(zoned), expected)
    np.testing.assert_array_equal(hashes(zoned.astype(f"timestamp[{unit}, tz=Asia/Tokyo][pyarrow]")), expected)


def test_different_values_hash_differently():
    values = [0, 1, -1, 0.5, 2**53 + 1, 2**53, 2**63, 1e300, float("inf"), None, "", "0", "1", "nan"]
    assert len(set(hashes(values, object))) == len(values)
    floats = np.array([0.0, 1e-300, 1.5, -1.5, np.inf, -np.inf, 2.0**60, np.nan])
    assert len(set(hashes(floats))) == len(floats)
    np.testing.assert_array_equal(hashes([0.0]), hashes([-0.0]))


def test_neither_sums_nor_swaps_of_columns_hide_a_change():
    frame = pd.DataFrame({"a": [1, 2, 0, 0], "b": [2, 1, 0, 3]})
    assert len(set(row_hashes(frame))) == 4
    assert len({row_hashes(pd.DataFrame(0, index=[0], columns=range(n)))[0] for n in range(5)}) == 5


def test_the_values_of_the_hash_are_fixed():
    """A manifest of today must mean the same tomorrow: change this only with the manifest's format."""
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [0.5, -1.0], "d": pd.to_datetime(["2020-01-01"] * 2)})
    assert row_hashes(frame, ["yes", "no"]).tolist() == [11804333443851589560, 13494461118423258545]
    assert fingerprint(frame, ["yes", "no"]).startswith("e7041041a1e13daf")


def test_arrays_of_any_shape_have_rows():
    images = np.random.default_rng(0).integers(256, size=(5, 3, 4, 4), dtype=np.uint8)
    assert len(set(row_hashes(images))) == 5
    np.testing.assert_array_equal(row_hashes(images[::-1])[::-1], row_hashes(images))
    np.testing.assert_array_equal(row_hashes(images.reshape(5, -1)), row_hashes(pd.DataFrame(images.reshape(5, -1))))
    assert row_hashes(images[:0]).shape == (0,)


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.text()), min_size=1, unique=True), st.randoms())
def test_order_does_not_matter_and_every_row_does(rows, rng):
    frame = pd.DataFrame(rows)
    order = list(range(len(rows)))
    rng.shuffle(order)
    assert fingerprint(frame.iloc[order]) == fingerprint(frame)
    assert fingerprint(frame[1:]) != fingerprint(frame)
    assert len(set(row_hashes(frame))) == len(rows)


def test_a_label_counts():
    frame = pd.DataFrame({"a": [1]})
    assert len({fingerprint(frame), fingerprint(frame, ["x"]), fingerprint(frame, ["y"])}) == 3


def test_digests_know_their_rows_and_no_others():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.integers(10**6, size=5_000), "b": rng.normal(size=5_000)})
    y = rng.integers(3, size=5_000)
    seen, key = digests(frame[:2_500], y[:2_500]), fingerprint(frame[:2_500], y[:2_500])
    half = np.arange(5_000) < 2_500
    np.testing.assert_array_equal(is_digested(seen, key, frame), half)
    np.testing.assert_array_equal(is_digested(seen, key, frame, y), half)
    assert not is_digested(seen, key, frame, (y + 1) % 3).any()


def test_digests_of_other_rows_share_none():
    """The same row in two data sets has two digests: their pools cannot be linked by it."""
    frame = pd.DataFrame({"a": range(50)})
    parts = [np.frombuffer(base64.b64decode(digests(frame[:n], ["x"] * n)), "<u8") for n in (49, 50)]
    assert [len(part) for part in parts] == [98, 100]
    assert not np.isin(*parts).any()


def test_too_many_rows_have_no_digests(monkeypatch):
    monkeypatch.setattr("synthaug.fingerprint.MOST_DIGESTED", 3)
    frame = pd.DataFrame({"a": range(4)})
    assert digests(frame[:3], ["x"] * 3) != digests(frame, ["x"] * 4) == ""


def test_images_are_hashed_once_for_their_digests(monkeypatch):
    passes = []
    keys = fingerprints._image_keys
    monkeypatch.setattr(fingerprints, "_image_keys", lambda images: passes.append(len(images)) or keys(images))
    assert digests(np.zeros((3, 8, 8), np.uint8), [0, 1, 1])
    assert passes == [3]
