"""A pool in memory and on disk: aligned always, exact on its return, whole or refused."""

import base64
import json
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context
from typing import ClassVar
from unittest.mock import Mock

import cases
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthaug import shards
from synthaug.errors import DataError, DataTypeError, FileExistsSynthaugError, ParameterError, StorageError
from synthaug.files import sha256
from synthaug.fingerprint import digests, fingerprint, row_hashes
from synthaug.pool import Pool, Source

MANIFEST = shards.MANIFEST


def make(n=6, *, seed=0, name="vae", start=0):
    rng = np.random.default_rng(seed)
    records = pd.DataFrame(
        {
            "id": np.arange(start, start + n),
            "height": rng.normal(size=n),
            "colour": pd.Categorical(rng.choice(["red", "blue"], n), ["red", "green", "blue"]),
            "town": pd.Series(rng.choice(["Ulm", "Köln"], n), dtype="str"),
        }
    )
    labels = pd.Series(np.where(np.arange(n) % 3 == 0, "yes", "no"), name="churn", dtype="str")
    return Pool.of(records, labels, Source(name, fingerprint(records, labels), seed, {"epochs": 3}))


def assert_same(got, expected):
    pd.testing.assert_frame_equal(got.records, expected.records)
    pd.testing.assert_series_equal(got.labels, expected.labels)
    np.testing.assert_array_equal(got.origin, expected.origin)
    assert got.origin.dtype == np.int32
    assert got.sources == expected.sources
    assert list(got.scores) == list(expected.scores)
    for name in expected.scores:
        np.testing.assert_array_equal(got.scores[name], expected.scores[name])
    assert got.equals(expected)


# In memory


def test_every_length_index_and_origin_that_disagrees_is_named_at_once():
    records = pd.DataFrame({"a": [1, 2]}, index=[5, 6])
    with pytest.raises(DataError) as error:
        Pool(records, pd.Series(["x"]), np.array([0, 3]), (Source("s", "", 0),), {"q": np.zeros(3)})
    assert str(error.value) == (
        "4 problems:\n"
        "- Expected 2 entries in `labels`, one a record, got 1.\n"
        "- Expected 2 entries in `scores['q']`, one a record, got 3.\n"
        "- Expected `records` with a fresh index: use `Pool.of`, or `reset_index(drop=True)`.\n"
        "- Expected `origin` within 0 and 0, the places in `sources`."
    )


def test_keep_add_and_append_keep_origin_labels_and_scores_beside_their_records(tmp_path):
    a, b = make(7, name="a"), make(5, name="b", start=100)
    a = Pool(a.records, a.labels, a.origin, a.sources, {"q": np.arange(7.0)})
    whole = (a + b).keep([11, 0, 7, 3])
    assert whole.records["id"].tolist() == [104, 0, 100, 3]
    assert [whole.sources[i].name for i in whole.origin] == ["b", "a", "b", "a"]
    np.testing.assert_array_equal(whole.scores["q"], [np.nan, 0, np.nan, 3])
    whole.save(tmp_path / "pool")
    b.append(tmp_path / "pool")
    assert_same(Pool.load(tmp_path / "pool"), whole + b)


def test_equal_sources_become_one_and_others_stay_apart():
    a, b = make(3, name="a"), make(3, name="b")
    joined = a + b + a
    assert [source.name for source in joined.sources] == ["a", "b"]
    assert joined.origin.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]


def test_adding_other_columns_names_each():
    other = make(3)
    records = other.records.rename(columns={"height": "tall"}).astype({"id": "int32"})
    with pytest.raises(DataError) as error:
        make(3) + Pool.of(records, other.labels, other.sources[0])
    assert str(error.value) == (
        "3 problems:\n"
        "- Column 'height' is missing.\n"
        "- Column 'tall' is not expected.\n"
        "- Column 'id' has dtype int32 where int64 is expected."
    )


@pytest.mark.parametrize("which", [[True], [9], [-1], [[0]], ["a"], [0.5]])
def test_keep_refuses_what_is_neither_bools_nor_positions(which):
    with pytest.raises(ParameterError, match="Expected"):
        make(6).keep(which)


def test_keep_nothing():
    assert len(make().keep([])) == len(make().keep(np.zeros(6, bool))) == 0


def test_to_dataframe_names_and_clashes():
    pool = make(2)
    assert pool.to_dataframe().columns[-1] == "churn"
    assert pool.to_dataframe("y", "fake").columns[-2:].tolist() == ["y", "fake"]
    assert pool.to_dataframe("y", "fake")["fake"].dtype == bool
    with pytest.raises(ParameterError, match="There is a column 'town' already: choose another name"):
        pool.to_dataframe("town")
    with pytest.raises(ParameterError, match="There is a column 'churn' already"):
        pool.to_dataframe(flag="churn")


# On disk


def times(unit, zone=None):
    return (
        pd.Series(pd.to_datetime(["2020-02-03 04:05:06", None, "1960-01-01 00:00:00"]))
        .dt.tz_localize(zone)
        .dt.as_unit(unit)
    )


COLUMNS = {
    **{
        dtype: pd.Series([0, 1, np.iinfo(dtype).max], dtype=dtype)
        for dtype in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
    **{dtype: pd.Series([0.1, np.nan, -np.inf], dtype=dtype) for dtype in ("float16", "float32", "float64")},
    **{dtype: pd.Series([1, None, 3], dtype=dtype) for dtype in ("Int8", "Int64", "UInt32", "Float32", "Float64")},
    "UInt64": pd.Series([2**64 - 1, None, 0], dtype="UInt64"),
    "bool": pd.Series([True, False, True]),
    "boolean": pd.Series([True, None, False], dtype="boolean"),
    "str": pd.Series(["a", None, ""], dtype="str"),
    "string": pd.Series(["a", None, "ß\n\0"], dtype="string"),
    "string[python]": pd.Series(["a", None, "b"], dtype="string[python]"),
    "object None": pd.Series(["a", None, "b"], dtype=object),
    "object NaN": pd.Series(["a", np.nan, "b"], dtype=object),
    "object ints": pd.Series([1, None, 2**60], dtype=object),
    "object bools": pd.Series([True, None, False], dtype=object),
    "object floats and ints": pd.Series([1, None, 2.5], dtype=object),
    "object of all": pd.Series([1, "1", True], dtype=object),
    "object long ints": pd.Series([2**70, None, -1], dtype=object),
    "object NA": pd.Series(["a", pd.NA, "b"], dtype=object),
    "object nothing": pd.Series([None, None, None], dtype=object),
    "dates": pd.Series(pd.to_datetime(["2020-01-01", "2021-01-01", "2022-01-01"])).dt.date,
    "bytes": pd.Series([b"a", b"", b"\xff"], dtype=object),
    "category": pd.Series(pd.Categorical(["b", None, "a"], ["unused", "b", "a"])),
    "ordered": pd.Series(pd.Categorical(["b", None, "a"], ["b", "a", "unused"], ordered=True)),
    "category of ints": pd.Series(pd.Categorical([2**62 + 1, None, 1], [1, 2**62 + 1, 7])),
    "category of bools": pd.Series(pd.Categorical([True, None, True], [True, False])),
    "category of floats": pd.Series(pd.Categorical([0.5, None, 0.1])),
    "category of all": pd.Series(pd.Categorical([1, "1", None], [True, "1", 0.5], ordered=True)),
    "category of times": pd.Series(pd.Categorical(times("ns", "Asia/Tokyo"))),
    "category of nothing": pd.Series(pd.Categorical([None, None, None])),
    "sparse": pd.Series(pd.arrays.SparseArray([0, 0, 1])),
    "sparse float": pd.Series(pd.arrays.SparseArray([np.nan, 0.5, np.nan])),
    "period": pd.Series(pd.period_range("2020-01", periods=3, freq="M")),
    "interval": pd.Series(pd.interval_range(0, 3)),
    "arrow": pd.Series([1, None, 3], dtype="int64[pyarrow]"),
    **{f"times {unit}": times(unit) for unit in ("s", "ms", "us", "ns")},
    **{f"times {unit} zone": times(unit, "Europe/Berlin") for unit in ("s", "ms", "us", "ns")},
    **{f"spans {u}": pd.Series(pd.to_timedelta([1, None, -3], unit="D")).dt.as_unit(u) for u in ("s", "us", "ns")},
}


@pytest.mark.parametrize("name", COLUMNS)
def test_each_dtype_comes_back_as_it_was(name, tmp_path):
    pool = Pool.of(pd.DataFrame({"a": COLUMNS[name], "b": [1, 2, 3]}), [1, 2, 1], Source("s", "", 0))
    pool.save(tmp_path / "pool")
    pool.keep([0]).append(tmp_path / "pool")
    got = Pool.load(tmp_path / "pool")
    pd.testing.assert_frame_equal(got.records[:3], pool.records)
    pd.testing.assert_frame_equal(got.records[3:].reset_index(drop=True), pool.records[:1])
    assert len(pd.read_parquet(tmp_path / "pool")) == 4


@pytest.mark.parametrize("case", cases.TABLES)
def test_every_case_comes_back_as_it_was(case, tmp_path):
    records, labels = cases.TABLES[case]()
    pool = Pool.of(records, labels, Source("s", "", 0))
    pool.save(tmp_path / "pool")
    got = Pool.load(tmp_path / "pool")
    if case == "strings":  # some columns have several ways to be missing, of which the first comes back
        assert got.records.isna().equals(pool.records.isna())
        pool, got = (replace(p, records=p.records.astype("str")) for p in (pool, got))
    assert_same(got, pool)
    assert (row_hashes(pool.records) == row_hashes(pool.records.iloc[::-1])[::-1]).all()


@pytest.mark.parametrize(
    "names",
    [
        pd.RangeIndex(2), pd.Index([5, 3], dtype="int32"), pd.Index([0.5, 1.5]), pd.Index(["a", None], dtype=object),
        pd.Index([1, "1"], dtype=object), pd.Index(["a", "b"], name="what"), pd.Index([True, False]),
    ],
    ids=repr,
)  # fmt: skip
def test_column_names_of_any_plain_type_come_back(names, tmp_path):
    pool = Pool.of(pd.DataFrame([[1, "x"]], columns=names), ["a"], Source("s", "", 0))
    pool.save(tmp_path / "pool")
    pd.testing.assert_frame_equal(Pool.load(tmp_path / "pool").records, pool.records)


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series([3, 1, 3], dtype="int8"), pd.Series([True, False, True]), pd.Series([1.0, 0.0, 1.0], name=7),
        pd.Series(["b", "a", "b"], dtype="string"), pd.Series(["b", "a", "b"], dtype=object, name=""),
        pd.Series(pd.Categorical(["b", "a", "b"], ["c", "b", "a"], ordered=True), name="c"),
        pd.Series([1, 2, 1], dtype="Int64"),
    ],
    ids=lambda labels: str(labels.dtype),
)  # fmt: skip
def test_labels_of_every_kind_come_back(labels, tmp_path):
    pool = Pool.of(pd.DataFrame({"a": [1, 2, 3]}), labels, Source("s", "", 0))
    pool.save(tmp_path / "pool")
    got = Pool.load(tmp_path / "pool")
    pd.testing.assert_series_equal(got.labels, labels)
    assert got.counts() == pool.counts()


def test_columns_that_cannot_be_stored_are_all_named(tmp_path):
    records = pd.DataFrame({"ok": [1, 2, 3], "z": [1j, 2j, 3j], "cut": pd.cut(pd.Series([1.0, 2, 3]), 2), ("a", 1): 1})
    with pytest.raises(DataError) as error:
        Pool.of(records, [1, 1, 1], Source("s", "", 0)).save(tmp_path / "pool")
    assert str(error.value) == (
        "3 problems:\n"
        "- Column 'z' has dtype complex128, which Parquet cannot hold: split it into a real and an imaginary column.\n"
        "- Column 'cut' has dtype category, which Parquet cannot hold: name its levels by strings, "
        "`column.cat.rename_categories(str)`.\n"
        "- Column name ('a', 1) is a tuple: rename it to a string."
    )
    mixed = pd.DataFrame({"a": pd.Series([b"1", "b"], dtype=object)})
    with pytest.raises(
        DataError, match="Column 'a' holds bytes, str, which Parquet cannot hold in one column: use one"
    ):
        Pool.of(mixed, [1, 1], Source("s", "", 0)).save(tmp_path / "pool")


@pytest.mark.parametrize("name", ["__label__", "__origin__", "__score__q"])
def test_reserved_and_clashing_names_are_refused(name, tmp_path):
    with pytest.raises(DataError, match="has a name that pools keep for themselves: rename it"):
        Pool.of(pd.DataFrame({name: [1]}), [1], Source("s", "", 0)).save(tmp_path / "pool")
    with pytest.raises(DataError, match="Two columns are called 5: rename one"):
        Pool.of(pd.DataFrame([[1, 2]], columns=[5, 5]), [1], Source("s", "", 0)).save(tmp_path / "pool")


def test_any_tool_reads_the_folder(tmp_path):
    pool = make(9)
    pool.save(tmp_path / "pool")
    pool.append(tmp_path / "pool")
    frame = pd.read_parquet(tmp_path / "pool")
    pd.testing.assert_frame_equal(frame[pool.records.columns], (pool + pool).records)
    assert frame["__label__"].tolist() == (pool + pool).labels.tolist()
    assert sum(pq.read_metadata(path).num_rows for path in (tmp_path / "pool").glob("*.parquet")) == 18


def test_many_rows_make_many_files_and_are_read_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("synthaug.pool._SHARD_ROWS", 40)
    pool = make(100)
    pool.save(tmp_path / "pool")
    parts = list(Pool.iter(tmp_path / "pool"))
    assert [len(part) for part in parts] == [40, 40, 20]
    assert_same(parts[0] + parts[1] + parts[2], pool)
    assert_same(Pool.load(tmp_path / "pool"), pool)


def test_a_pool_without_records_comes_back(tmp_path):
    empty = make().keep([])
    empty.save(tmp_path / "pool")
    assert_same(Pool.load(tmp_path / "pool"), empty)
    make().append(tmp_path / "pool")
    assert_same(Pool.load(tmp_path / "pool"), make())


def test_append_writes_one_file_and_leaves_the_others(tmp_path):
    make(3).append(tmp_path / "pool")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "pool").glob("*.parquet")}
    make(4).append(tmp_path / "pool")
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "pool").glob("*.parquet")}
    assert before.items() <= after.items()
    assert len(after) == len(before) + 1
    manifest = json.loads((tmp_path / "pool" / MANIFEST).read_text())
    assert (manifest["rows"], dict(manifest["counts"])) == (7, {"no": 4, "yes": 3})


def test_append_names_the_columns_that_differ(tmp_path):
    make().save(tmp_path / "pool")
    other = make()
    records = other.records.astype({"height": "float32"})
    with pytest.raises(DataError, match="Column 'height' has dtype float32 where float64 is expected"):
        Pool.of(records, other.labels, other.sources[0]).append(tmp_path / "pool")
    source = Source("s", "", 0)
    Pool.of(pd.DataFrame({"a": pd.Series(["x"], dtype=object)}), ["a"], source).save(tmp_path / "objects")
    with pytest.raises(DataError, match="Column 'a' holds int64 where string is expected"):
        Pool.of(pd.DataFrame({"a": pd.Series([1], dtype=object)}), ["a"], source).append(tmp_path / "objects")
    Pool.of(pd.DataFrame({"a": pd.Series([None], dtype=object)}), ["a"], source).append(tmp_path / "objects")
    assert Pool.load(tmp_path / "objects").records["a"].tolist() == ["x", None]


def test_nothing_is_overwritten_unasked(tmp_path):
    make(5).save(tmp_path / "pool")
    with pytest.raises(FileExistsError, match="holds a pool already: pass `overwrite=True`, use `append`"):
        make(3).save(tmp_path / "pool")
    make(3).save(tmp_path / "pool", overwrite=True)
    assert_same(Pool.load(tmp_path / "pool"), make(3))
    assert len(list((tmp_path / "pool").glob("*.parquet"))) == 1
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.docx").touch()
    with pytest.raises(FileExistsSynthaugError, match=r"holds files that are not a pool's \(thesis.docx\)"):
        make(3).save(tmp_path / "home", overwrite=True)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["thesis.docx"]


def test_files_without_their_manifest_are_never_taken_for_leftovers(tmp_path):
    pool = make()
    pool.save(tmp_path)
    manifest = (tmp_path / MANIFEST).rename(tmp_path.with_suffix(".json"))
    for write in (pool.append, lambda folder: pool.save(folder, overwrite=True)):
        with pytest.raises(FileExistsSynthaugError, match=r"holds a pool whose _manifest\.json is lost: restore"):
            write(tmp_path)
    manifest.rename(tmp_path / MANIFEST)
    assert_same(Pool.load(tmp_path), pool)


def test_a_first_save_that_was_killed_can_be_done_again(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("synthaug.shards.write_json", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            make(9).save(tmp_path)
    assert len(list(tmp_path.glob("*.parquet"))) == 1
    with pytest.raises(StorageError, match="There is no file"):
        Pool.load(tmp_path)
    make(5).save(tmp_path)
    assert_same(Pool.load(tmp_path), make(5))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", MANIFEST, shard_of(tmp_path).name]


# Damage


def shard_of(folder):
    return next(folder.glob("*.parquet"))


@pytest.mark.parametrize("verify", [True, False])
def test_every_truncation_and_bit_flip_is_refused(tmp_path, verify):
    pool = make(400)
    pool.save(tmp_path / "pool")
    path = shard_of(tmp_path / "pool")
    whole, rng = path.read_bytes(), random.Random(0)
    flips = [rng.randrange(8 * len(whole)) for _ in range(60)]
    damaged = [whole[: rng.randrange(len(whole))] for _ in range(60)]
    damaged += [whole[: i // 8] + bytes([whole[i // 8] ^ 1 << i % 8]) + whole[i // 8 + 1 :] for i in flips]
    for content in damaged:
        path.write_bytes(content)
        if verify:
            with pytest.raises(StorageError, match=r"part-000000.*(restore it from a copy, or make the pool again)"):
                Pool.load(tmp_path / "pool")
        else:  # the page checksums leave the footer unguarded: no crash, and no other error than ours
            with suppress(StorageError):
                Pool.load(tmp_path / "pool", verify=False)
    path.write_bytes(whole)
    assert_same(Pool.load(tmp_path / "pool"), pool)


def test_a_file_is_no_folder_for_a_pool(tmp_path):
    (tmp_path / "thesis.docx").touch()
    with pytest.raises(FileExistsSynthaugError, match=r"thesis\.docx is a file: choose a folder"):
        make().save(tmp_path / "thesis.docx", overwrite=True)


LONE = "\ud83d"  # half a surrogate pair
UNSTORABLE = {
    "Column name nan cannot be stored: rename it to a string.": pd.DataFrame({float("nan"): [1]}),
    "Column name inf cannot be stored: rename it to a string.": pd.DataFrame({np.inf: [1]}),
    f"Column name {LONE!r} cannot be stored: rename it to a string.": pd.DataFrame(
        [[1]], columns=pd.Index([LONE], dtype=object)
    ),
    "The index of columns is called ('a', 'b'): rename it to a string.": pd.DataFrame(
        [[1]], columns=pd.Index(["x"], name=("a", "b"))
    ),
    "Column 'x' has dtype category, which Parquet cannot hold: name its levels by strings, "
    "`column.cat.rename_categories(str)`.": pd.DataFrame({"x": pd.Categorical([np.inf])}),
    f"Column 'x' holds {LONE!r} with half a surrogate pair: correct how the text was read.": pd.DataFrame(
        {"x": pd.Series([LONE], dtype=object)}
    ),
    "Column 'x' holds list, which Parquet cannot hold in one column: use one plain type, for example "
    "`column.astype(str)`.": pd.DataFrame({"x": [["a"]]}),
}


@pytest.mark.parametrize("message", UNSTORABLE)
def test_what_could_not_be_read_back_is_refused_by_name(message, tmp_path):
    with pytest.raises(DataError) as raised:
        Pool.of(UNSTORABLE[message], ["a"], Source("s", "", 0)).save(tmp_path / "pool")
    assert str(raised.value) == message


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT], ids=str)
def test_missing_values_of_object_columns_come_back_as_they_were(missing, tmp_path):
    records = pd.DataFrame({"x": pd.Series([missing, "a"], dtype=object)})
    Pool.of(records, ["a", "b"], Source("s", "", 0)).save(tmp_path / "pool")
    assert Pool.load(tmp_path / "pool").records["x"].tolist()[0] is missing


@pytest.mark.parametrize("wrong", [{"name": None}, {"fingerprint": b""}, {"seed": 0.5}, {"seed": True}])
def test_a_source_that_could_not_be_read_back_is_refused(wrong):
    arguments = {"name": "s", "fingerprint": "", "seed": 0, **wrong}
    with pytest.raises(ParameterError, match="Expected a string, a string and an int for `name`"):
        Source(**arguments)
    assert Source("s", "", np.int64(3)) == Source("s", "", 3)


def test_page_checksums_are_written(tmp_path):
    """An altered page is refused even when nobody compares the SHA-256."""
    pool = make(4000)
    pool.save(tmp_path / "pool")
    path = shard_of(tmp_path / "pool")
    column = pq.read_metadata(path).row_group(0).column(1)
    content = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    content[start + column.total_compressed_size // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match="cannot be read as Parquet"):
        Pool.load(tmp_path / "pool", verify=False)


def test_truncations_of_the_manifest_are_refused(tmp_path):
    make().save(tmp_path / "pool")
    path = tmp_path / "pool" / MANIFEST
    whole = path.read_text()
    for size in range(0, len(whole) - 2, 37):
        path.write_text(whole[:size])
        with pytest.raises(StorageError, match="is not a whole JSON object"):
            Pool.load(tmp_path / "pool")


def test_a_missing_or_wrong_shard_is_named(tmp_path):
    make(5).save(tmp_path / "pool")
    path = shard_of(tmp_path / "pool")
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(StorageError, match=f"There is no file .*{path.name}"):
        Pool.load(tmp_path / "pool")
    (tmp_path / "elsewhere").write_bytes(content)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="is a link: put the file itself in its place"):
        Pool.load(tmp_path / "pool")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StorageError, match="is not a regular file"):
        Pool.load(tmp_path / "pool")


HUGE = 10**400
HOSTILE = {
    "parent": ("shards", 0, "file", "../part-000000-000000000000.parquet"),
    "absolute": ("shards", 0, "file", "/etc/passwd"),
    "newline": ("shards", 0, "file", "part-000000-000000000000.parquet\n"),
    "name is a number": ("shards", 0, "file", 3),
    "rows as text": ("shards", 0, "rows", "6"),
    "rows as bool": ("shards", 0, "rows", True),
    "rows negative": ("shards", 0, "rows", -1),
    "rows huge": ("shards", 0, "rows", HUGE),
    "rows float": ("shards", 0, "rows", 6.0),
    "bytes huge": ("shards", 0, "bytes", HUGE),
    "bytes list": ("shards", 0, "bytes", [1]),
    "sha": ("shards", 0, "sha256", "0" * 63),
    "sha list": ("shards", 0, "sha256", []),
    "shard more": ("shards", 0, "class_path", "os.system"),
    "shard is text": ("shards", 0, "part"),
    "shards is text": ("shards", "part"),
    "shards is none": ("shards", None),
    "format": ("format", 99),
    "kind": ("kind", "thesis"),
    "rows": ("rows", 10**30),
    "rows other": ("rows", 7),
    "counts": ("counts", {"yes": 1}),
    "counts nested": ("counts", [[["a"], 1]]),
    "counts huge": ("counts", [["a", "1"]]),
    "columns": ("columns", []),
    "columns none": ("columns", None),
    "dtypes": ("columns", "dtypes", 0, "no.such"),
    "dtypes huge": ("columns", "dtypes", 0, "V1000000000000"),
    "dtypes number": ("columns", "dtypes", 0, 5),
    "dtypes short": ("columns", "dtypes", ["int64"]),
    "dtypes other": ("columns", "dtypes", 0, "datetime64[ns]"),
    "levels": ("columns", "dtypes", 2, "levels", ["pink"]),
    "levels nested": ("columns", "dtypes", 2, "levels", [{}, []]),
    "levels twice": ("columns", "dtypes", 2, "levels", ["red", "red"]),
    "names": ("columns", "names", 0, "other"),
    "names nested": ("columns", "names", 0, ["id"]),
    "names_dtype": ("columns", "names_dtype", "int64"),
    "names_name": ("columns", "names_name", []),
    "label": ("label", {}),
    "label_name": ("label_name", []),
    "label dtype": ("label", "dtypes", 0, "datetime64[ns]"),
    "label names": ("label", "names", 0, "id"),
    "scores": ("scores", 3),
    "scores number": ("scores", [3]),
    "sources": ("sources", []),
    "sources text": ("sources", "vae"),
    "source more": ("sources", 0, "class_path", "os.system"),
    "source seed": ("sources", 0, "seed", "1"),
    "source details": ("sources", 0, "details", None),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_manifests_are_refused(name, tmp_path):
    make().save(tmp_path / "pool")
    path = tmp_path / "pool" / MANIFEST
    manifest = json.loads(path.read_text())
    *way, last, value = HOSTILE[name]
    place = manifest
    for step in way:
        place = place[step]
    place[last] = value
    path.write_text(json.dumps(manifest))
    start = time.process_time()
    with pytest.raises(StorageError):
        Pool.load(tmp_path / "pool")
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"null", b"{" * 10**6, b"[" * 10**6, b"\xff\xfe", b"\x80\x04cos\nsystem\n.",
        b'{"format": 1}', b'{"format": NaN}',
    ],
    ids=lambda content: content[:9],
)  # fmt: skip
def test_manifests_that_are_none_are_refused(content, tmp_path):
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(StorageError, match="cannot be read as a pool"):
        Pool.load(tmp_path)


def test_a_folder_without_pool_is_refused(tmp_path):
    with pytest.raises(StorageError, match=r"cannot be read as a pool\. There is no file"):
        Pool.load(tmp_path / "nowhere")


def test_a_bomb_is_refused_before_it_opens(tmp_path):
    pool = Pool.of(pd.DataFrame({"a": np.zeros(10**6)}), np.zeros(10**6, int), Source("s", "", 0))
    pool.save(tmp_path / "pool")
    assert shard_of(tmp_path / "pool").stat().st_size < 10**5
    with pytest.raises(StorageError, match="opens out to more than the 1000000 bytes left of `max_bytes`"):
        Pool.load(tmp_path / "pool", max_bytes=10**6)
    assert len(Pool.load(tmp_path / "pool", max_bytes=10**8)) == 10**6


def test_a_bomb_of_one_long_text_is_refused_before_it_opens(tmp_path):
    """A megabyte of text in each of 200,000 rows: 4 kB on disk, 200 GB in memory."""
    pool = Pool.of(pd.DataFrame({"a": ["x"]}, dtype="str"), ["y"], Source("s", "", 0))
    pool.save(tmp_path)
    path, manifest, n = shard_of(tmp_path), json.loads((tmp_path / MANIFEST).read_text()), 200_000
    table = pq.read_table(path).take(pa.array(np.zeros(n, int)))
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array(["z" * 10**6]))
    pq.write_table(table.set_column(0, "a", text), path, compression="zstd", store_schema=False)
    manifest["shards"][0] |= {"rows": n, "bytes": path.stat().st_size, "sha256": sha256(path)}
    (tmp_path / MANIFEST).write_text(json.dumps(manifest | {"rows": n}))
    start = time.process_time()
    with pytest.raises(StorageError, match="opens out to more than"):
        Pool.load(tmp_path)
    assert path.stat().st_size < 10_000
    assert time.process_time() - start < 1


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.struct({"b": pa.string()})], ids=str)
def test_columns_in_which_a_bomb_could_hide_are_refused_unread(kind, tmp_path):
    """A list may hold a text a million times: no pool has one, so none is opened."""
    make(1).save(tmp_path)
    path, manifest = shard_of(tmp_path), json.loads((tmp_path / MANIFEST).read_text())
    table = pq.read_table(path)
    pq.write_table(table.set_column(3, "town", pa.nulls(1, kind)), path)
    manifest["shards"][0] |= {"bytes": path.stat().st_size, "sha256": sha256(path)}
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(StorageError, match=r"holds (list|struct)<.*> in column 'town', as no pool does"):
        Pool.load(tmp_path)


# Crashes and company

NURSERY = """
import os, random, signal, sys, time, test_pool as t
for life, line in enumerate(sys.stdin):  # a life a line
    child = os.fork()
    if not child:
        for number in range(1000):
            t.make(50, seed=number, start=50 * (1000 * life + number)).append(sys.argv[1])
            os.write(1, b"appended\\n")  # at once or not at all, unlike print
    time.sleep(random.Random(life).uniform(0.1, 0.4))
    os.kill(child, signal.SIGKILL)
    os.wait()
    os.write(1, b"dead\\n")
"""


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")
def test_a_kill_at_any_moment_leaves_a_whole_pool(tmp_path):
    folder, done = tmp_path / "pool", 0
    make(50, start=-50).save(folder)
    process = subprocess.Popen(
        [sys.executable, "-c", NURSERY, folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        **dict.fromkeys(("stdin", "stdout"), subprocess.PIPE),
        text=True,
    )
    with process:
        for _ in range(8):
            print(file=process.stdin, flush=True)
            told = 0
            while (line := process.stdout.readline()) != "dead\n":
                assert line == "appended\n"
                told += 1
            pool = Pool.load(folder)
            added = len(pool) // 50 - 1 - done
            assert told <= added <= told + 1  # what was told is there; what was not is there whole or not at all
            done += added
            assert pool.records["id"].is_unique
        process.stdin.close()
    assert done > 8
    make(1).append(folder)
    named = {shard["file"] for shard in json.loads((folder / MANIFEST).read_text())["shards"]}
    assert {path.name for path in folder.iterdir()} == named | {MANIFEST, ".lock"}


def append_many(folder, start):
    for number in range(8):
        make(5, seed=start, start=start + 5 * number).append(folder)


def test_two_processes_append_and_nothing_is_lost(tmp_path):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        for future in [processes.submit(append_many, tmp_path / "pool", start) for start in (0, 1000)]:
            future.result()
    pool = Pool.load(tmp_path / "pool")
    assert sorted(pool.records["id"]) == [*range(40), *range(1000, 1040)]


def test_leftovers_are_ignored_and_swept(tmp_path):
    pool = make()
    pool.save(tmp_path / "pool")
    leftovers = ["part-000001-0123456789ab.parquet", "._manifest.json.tmp-0123456789abcdef"]
    for name in leftovers:
        (tmp_path / "pool" / name).write_text("half")
    assert_same(Pool.load(tmp_path / "pool"), pool)
    pool.append(tmp_path / "pool")
    assert not any((tmp_path / "pool" / name).exists() for name in leftovers)
    assert_same(Pool.load(tmp_path / "pool"), pool + pool)


class TestTrainedOn:
    """Which rows did a generator of this pool see?"""

    TABLE = pd.DataFrame({"age": [30, 40, 50], "job": ["cook", None, "nurse"]})
    Y: ClassVar = ["a", "b", "a"]

    def source(self, table, y, name="vae"):
        return Source(name, fingerprint(table, y), 0, digests=digests(table, y))

    def pool(self):
        return Pool.of(self.TABLE[:1], ["a"], self.source(self.TABLE, self.Y))

    def test_rows_are_known_whatever_their_order_dtype_and_company(self):
        asked = pd.DataFrame({"y": [0] * 4, "job": ["nurse", None, None, "cook"], "age": [50.0, 40.0, 30.0, 31.0]})
        asked = asked.astype({"job": "category"}).set_index(pd.Index(list("wxyz")))
        assert self.pool().trained_on(asked).tolist() == [True, True, False, False]
        assert self.pool().trained_on(asked[:0]).tolist() == []

    def test_with_labels_a_row_counts_only_with_its_own(self):
        assert self.pool().trained_on(self.TABLE, self.Y).tolist() == [True, True, True]
        assert self.pool().trained_on(self.TABLE, ["a", "a", "b"]).tolist() == [True, False, False]
        assert self.pool().trained_on(self.TABLE).tolist() == [True, True, True]

    def test_every_generator_counts_that_made_a_row(self):
        other = self.TABLE.assign(age=[1, 2, 3])
        both = self.pool() + Pool.of(other[:1], ["a"], self.source(other, self.Y, "gan"))
        asked = pd.concat([self.TABLE, other])
        assert both.trained_on(asked).all()
        assert both.keep([1]).trained_on(asked).tolist() == [False] * 3 + [True] * 3
        assert not both.keep([]).trained_on(asked).any()

    def test_it_is_known_after_saving_and_appending(self, tmp_path):
        other = self.TABLE.assign(age=[1, 2, 3])
        self.pool().save(tmp_path / "pool")
        Pool.of(other[:1], ["a"], self.source(other, self.Y)).append(tmp_path / "pool")
        assert Pool.load(tmp_path / "pool").trained_on(pd.concat([self.TABLE, other])).all()
        for part in Pool.iter(tmp_path / "pool"):
            assert part.trained_on(self.TABLE).any() or part.trained_on(other).any()

    def test_each_set_of_training_rows_is_written_once(self, tmp_path):
        table = pd.DataFrame({"a": np.arange(2_000)})
        y = ["x"] * 2_000
        for seed in range(20):
            source = replace(self.source(table, y), seed=seed)
            Pool.of(table[:1], ["x"], source).append(tmp_path / "pool")
        assert (tmp_path / "pool" / "_manifest.json").stat().st_size < 60_000
        assert Pool.load(tmp_path / "pool").trained_on(table).all()

    def test_a_saved_pool_holds_neither_rows_nor_their_hashes(self, tmp_path):
        self.pool().save(tmp_path / "pool")
        texts = b"".join(path.read_bytes() for path in (tmp_path / "pool").iterdir())
        assert b"nurse" not in texts
        manifest = json.loads((tmp_path / "pool" / "_manifest.json").read_text())
        (stored,) = manifest["digests"].values()
        found = np.frombuffer(base64.b64decode(stored), "<u8")
        assert not np.isin(row_hashes(self.TABLE), found).any()
        assert not np.isin(row_hashes(self.TABLE, self.Y), found).any()

    def test_what_cannot_be_told_is_an_error(self):
        unknown = Pool.of(self.TABLE, self.Y, Source("by hand", "", 0))
        with pytest.raises(DataError, match="not noted which rows the source 'by hand' was trained on"):
            (self.pool() + unknown).trained_on(self.TABLE)
        with pytest.raises(DataError, match="Expected one column 'job' in the records, as in the pool, got 0"):
            self.pool().trained_on(self.TABLE[["age"]])
        with pytest.raises(DataTypeError, match="Expected a DataFrame.*got ndarray"):
            self.pool().trained_on(self.TABLE.to_numpy())
        with pytest.raises(DataError, match="as many labels as records"):
            self.pool().trained_on(self.TABLE, ["a"])

    @pytest.mark.parametrize("bad", [b"x", 3, None, "a", "!!!!", "AAAA"])
    def test_damaged_digests_are_refused(self, bad, tmp_path):
        with pytest.raises(ParameterError, match="`digests` with the `fingerprint`"):
            Source("vae", "0" * 64, 0, digests=bad)
        self.pool().save(tmp_path / "pool")
        path = tmp_path / "pool" / "_manifest.json"
        manifest = json.loads(path.read_text())
        manifest["digests"] = dict.fromkeys(manifest["digests"], str(bad))
        path.write_text(json.dumps(manifest))
        with pytest.raises(StorageError, match="damaged or not a pool's"):
            Pool.load(tmp_path / "pool")

    def test_digests_need_the_fingerprint_that_they_are_keyed_with(self):
        with pytest.raises(ParameterError, match="`digests` with the `fingerprint`"):
            Source("vae", "", 0, digests=digests(self.TABLE, self.Y))
