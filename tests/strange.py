"""The one list of strange and bad tables: whatever way they come in, there is a right result or an error of ours."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

N = 24
WORKS = "works"
Y = ["common", "common", "rare"] * (N // 3)


@dataclass(frozen=True)
class Strange:
    """A table with its target in column `y`, and what must come of it: "works", or what the error says.

    `but` holds what comes of it by another way in ("augment", "resampler", "synthesizer", "compare", "cli");
    `warns` what a SynthaugWarning says; `files` in which formats pandas writes such a table.
    """

    make: Callable[[], pd.DataFrame]
    expected: str = WORKS
    but: Mapping[str, str] = field(default_factory=dict)
    warns: str | None = None
    files: tuple[str, ...] = ("parquet",)


STRANGE: dict[str, Strange] = {}


def table(
    expected: str = WORKS, *, warns: str | None = None, csv: bool = False, parquet: bool = True, **but: str
) -> Any:
    """Add a table; `make` gives a DataFrame, or columns beside which an `x` and a `y` are put where they lack."""

    def add(make: Callable[[], Any]) -> Callable[[], Any]:
        def frame() -> pd.DataFrame:
            made = make()
            if isinstance(made, pd.DataFrame):
                return made
            length = len(next(iter(made.values())))
            return pd.DataFrame({"x": np.linspace(0, 1, length), **made, **({} if "y" in made else {"y": Y[:length]})})

        STRANGE[make.__name__] = Strange(frame, expected, but, warns, ("csv",) * csv + ("parquet",) * parquet)
        return make

    return add


def numbers(n: int = N) -> np.ndarray:
    return np.random.default_rng(0).normal(size=n)


# Too little.


@table("at least one record|no column 'y'")
def empty():
    return pd.DataFrame()


@table("at least one record")
def no_rows():
    return {"a": np.zeros(0), "y": np.array([], object)}


@table("no column 'y'|0 labels and 24 records")
def no_columns():
    return pd.DataFrame(index=range(N))


@table("at least one record and one column")
def only_the_target():
    return pd.DataFrame({"y": Y})


@table(csv=True, resampler="more than 1 class", compare="Class 'only' has 1 row")
def one_row():
    return {"a": [1.5], "y": ["only"]}


@table(csv=True, compare="Class 'one' has 1 row")
def two_rows():
    return {"a": [1.5, 2.5], "y": ["one", "other"]}


@table(csv=True, resampler="more than 1 class", compare="all training rows are of class 'same'")
def one_class():
    return {"a": numbers(), "y": ["same"] * N}


@table(csv=True, compare="Class 'single' has 1 row")
def a_class_of_one_row():
    return {"a": numbers(), "y": ["common"] * (N - 1) + ["single"]}


@table(csv=True, compare="Class 'class 0' has 1 row", warns="looks like a quantity or an identifier")
def every_class_of_one_row():
    return {"a": numbers(), "y": [f"class {i}" for i in range(N)]}


# Missing and infinite.


@table()
def all_missing():
    return {"a": np.full(N, np.nan)}


@table()
def all_none():
    return {"a": np.full(N, None)}


@table()
def all_missing_of_every_type():
    kinds = ["float32", "Int64", "Float32", "boolean", "string", "category", "datetime64[ns]", "timedelta64[s]"]
    return {kind: pd.Series([None] * N).astype(kind) for kind in kinds}


@table("labels.*missing in 8 of 24.*first at position 2")
def missing_target():
    return {"a": numbers(), "y": ["common", "common", None] * (N // 3)}


@table("labels.*missing in 24 of 24")
def all_target_missing():
    return {"a": numbers(), "y": np.full(N, np.nan)}


@table("labels.*missing")
def missing_nullable_target():
    return {"a": numbers(), "y": pd.array([1, 0, None] * (N // 3), "Int64")}


@table("'a' holds inf .first at position")
def infinite():
    return {"a": np.where(np.arange(N) == 3, np.inf, numbers())}


@table("'a' holds -inf .first at position")
def minus_infinite():
    return {"a": np.where(np.arange(N) == 3, -np.inf, numbers())}


@table("'a' holds inf")
def infinite_float32():
    return {"a": np.where(np.arange(N) == 3, np.inf, 0).astype("float32")}


@table("'a' holds inf")
def infinite_nullable():
    return {"a": pd.array(np.where(np.arange(N) == 3, np.inf, numbers()), "Float64")}


@table("'a' holds inf", parquet=False)
def infinite_in_objects():
    return {"a": np.array([np.inf, "x", 1] * (N // 3), object)}


@table("'a' holds nan.*replace it by a missing value", **({} if pd.__version__ < "3" else {"cli": WORKS}))
def both_kinds_of_nothing():
    return {"a": pd.arrays.FloatingArray(np.where(np.arange(N) == 3, np.nan, numbers()), np.arange(N) == 5)}


@table("labels.*inf")
def infinite_target():
    return {"a": numbers(), "y": [1.0, 0.0, np.inf] * (N // 3)}


# Constant.


@table(csv=True)
def constant():
    return {"a": ["same"] * N, "b": [7] * N, "c": [0.1] * N, "d": [True] * N}


@table(csv=True, resampler="more than 1 class", compare="all training rows are of class 'also'")
def everything_constant():
    return {"x": [0] * N, "a": ["same"] * N, "y": ["also"] * N}


@table(csv=True)
def every_row_the_same_but_two_classes():
    return {"x": [0] * N, "a": ["same"] * N}


@table()
def constant_or_missing():
    return {"a": [7.5, None, 7.5] * (N // 3), "b": ["same", "same", None] * (N // 3)}


# Names.


@table("'a' come more than once", compare="unique column names", parquet=False)
def duplicate_names():
    return pd.DataFrame(np.c_[numbers(), numbers()], columns=["a", "a"]).assign(y=Y)


@table("'y' come more than once", resampler=WORKS, synthesizer=WORKS, compare=WORKS, parquet=False)
def duplicate_target():
    return pd.concat([pd.DataFrame({"x": numbers(), "y": Y}), pd.DataFrame({"y": Y})], axis=1)


@table("names have several levels")
def levels_of_columns():
    frame = pd.DataFrame({("a", "b"): numbers(), ("a", "c"): numbers(), ("y", ""): Y})
    frame.columns = pd.MultiIndex.from_tuples(frame.columns)
    return frame


@table(resampler="all input features have string names", compare="all input features have string names")
def names_that_are_numbers():
    return pd.DataFrame({0: numbers(), 1: [1, 2, 3] * (N // 3), 2.5: numbers(), "y": Y}).assign(**{"True": numbers()})


@table("column name (nan|None)")
def a_name_that_is_none():
    return pd.DataFrame({None: numbers(), "y": Y})


@table("column name nan")
def a_name_that_is_missing():
    return pd.DataFrame({np.nan: numbers(), "y": Y})


@table("column name None", cli="column name (nan|None)")
def a_name_that_is_none_in_objects():
    return pd.DataFrame(zip(numbers(), Y, strict=True), columns=pd.Index([None, "y"], dtype=object))


@table(r"column name \('a', 1\)", cli=WORKS)
def a_name_that_is_a_tuple():
    return pd.DataFrame(zip(numbers(), Y, strict=True), columns=pd.Index([("a", 1), "y"], tupleize_cols=False))


@table("column name Timestamp", cli=WORKS)
def a_name_that_is_a_date():
    return pd.DataFrame({pd.Timestamp(0): numbers(), "y": Y})


@table(csv=True)
def names_of_whitespace():
    return {"": numbers(), " ": numbers(), "\t": [1, 2, 3] * (N // 3), "a\nb": numbers(), "é\u200b😀": numbers()}


@table(csv=True)
def names_that_we_use():
    return {name: numbers() for name in ("__label__", "__origin__", "__score__a", "label", "index", "0", "synthetic")}


@table()
def names_with_a_name():
    return pd.DataFrame({"a": numbers(), "y": Y}).rename_axis(columns="features")


# Rows.


@table()
def duplicate_index():
    return pd.DataFrame({"a": numbers(), "y": Y}, index=[7] * N)


@table()
def levels_of_rows():
    return pd.DataFrame({"a": numbers(), "y": Y}, index=pd.MultiIndex.from_product([range(3), range(8)]))


@table()
def index_called_like_a_column():
    return pd.DataFrame({"a": numbers(), "y": Y}, index=pd.Index(range(N), name="a"))


@table()
def index_of_missing():
    return pd.DataFrame({"a": numbers(), "y": Y}, index=[np.nan] * N)


@table()
def rows_backwards():
    return pd.DataFrame({"a": numbers(), "y": Y})[::-1]


@table()
def read_only():
    array = numbers()
    array.flags.writeable = False
    return pd.DataFrame({"a": array, "y": Y}, copy=False)


@table()
def a_view_of_another():
    return pd.DataFrame({"a": numbers(2 * N), "b": [1, 2] * N, "y": Y * 2}).iloc[::2]


# Cells.


@table("'a' holds.*equal", parquet=False)
def true_and_one():
    return {"a": np.array([True, 1, False] * (N // 3), object)}


@table(parquet=False)
def mixed_scalars():
    return {"a": np.array(["1", 2, 3.5, True] * (N // 4), object)}


@table("'a' holds list", cli="'a' holds ndarray")
def lists():
    return {"a": [[1], [2, 3], []] * (N // 3)}


@table("'a' holds dict", parquet=False)
def dicts():
    return {"a": [{"k": 1}, {}, {"k": [2]}] * (N // 3)}


@table("'a' holds set", cli="'a' holds ndarray")
def sets():
    return {"a": [{1}, set(), {2}] * (N // 3)}


@table("'a' holds tuple", cli="'a' holds ndarray")
def tuples():
    return {"a": pd.Series([(1,), (), (2, 3)] * (N // 3))}


@table("'a' holds bytes.*decode")
def raw_bytes():
    return {"a": [b"x", b"\xff", b""] * (N // 3)}


@table("'a' holds ndarray")
def arrays():
    return {"a": pd.Series([np.zeros(2), np.zeros(3), np.zeros(0)] * (N // 3))}


@table("'a' holds DataFrame", parquet=False)
def tables_in_cells():
    return {"a": pd.Series([pd.DataFrame({"b": [1]})] * N)}


@table("'a' holds object", parquet=False)
def bare_objects():
    return {"a": pd.Series([object() for _ in range(N)])}


@table("'a' has dtype complex128", parquet=False)
def complex_numbers():
    return {"a": numbers() + 1j}


@table("'a' holds complex", parquet=False)
def complex_objects():
    return {"a": np.array([1j, "x", 2] * (N // 3), object)}


@table(r"'a' has dtype period\[M\].*to_timestamp")
def periods():
    return {"a": pd.period_range("2020", periods=N, freq="M")}


@table("'a' has dtype interval")
def intervals():
    return {"a": pd.IntervalIndex.from_breaks(range(N + 1))}


@table("'a' has dtype category of interval", parquet=False)
def categories_of_intervals():
    return {"a": pd.cut(numbers(), 4)}


@table("'a' holds Decimal.*astype.float", cli="'a' of .* hold decimals.*python -c")
def decimals():
    return {"a": [decimal.Decimal("1.10"), decimal.Decimal("2.5"), None] * (N // 3)}


@table("'a' holds date .*to_datetime", cli=WORKS)
def plain_dates():
    return {"a": [datetime.date(2020, 1, 1), datetime.date(9999, 12, 31), None] * (N // 3)}


@table("'a' holds time .*total_seconds")
def plain_times():
    return {"a": [datetime.time(1), datetime.time(2), datetime.time(3)] * (N // 3)}


@table()
def durations():
    return {"a": pd.to_timedelta(np.arange(N), unit="h"), "b": pd.to_timedelta([1, None, 5] * (N // 3), unit="s")}


@table()
def dates_beyond_nanoseconds():
    return {"a": np.datetime64("0001-01-01", "s") + np.arange(N) * np.timedelta64(400 * 365 * 86_400, "s")}


@table()
def dates_with_zones():
    hours = pd.Timestamp("2024-10-26", tz="Europe/Berlin") + pd.to_timedelta(np.arange(N) * 2, unit="h")
    zones = {"b": "+05:30", "c": "UTC", "e": "-01:30", "f": ZoneInfo("America/Lima")}
    return {"a": hours, **{name: hours.tz_convert(zone) for name, zone in zones.items()}, "d": hours.as_unit("ms")}


@table()
def nullable():
    return {
        "Int": pd.array([1, 2, None] * (N // 3), "Int8"),
        "UInt": pd.array([1, 2, None] * (N // 3), "UInt64"),
        "Float": pd.array([0.1, None, 0.3] * (N // 3), "Float32"),
        "boolean": pd.array([True, None, False] * (N // 3), "boolean"),
        "string": pd.array(["u", None, ""] * (N // 3), "string"),
    }


@table()
def arrow():
    return {
        "int": pd.array([1, 2, None] * (N // 3), pd.ArrowDtype(pa.int32())),
        "double": pd.array(numbers(), pd.ArrowDtype(pa.float64())),
        "bool": pd.array([True, None, False] * (N // 3), pd.ArrowDtype(pa.bool_())),
        "string": pd.array(["u", None, ""] * (N // 3), pd.ArrowDtype(pa.string())),
        "stamp": pd.array(pd.date_range("2020", periods=N), pd.ArrowDtype(pa.timestamp("us", "Europe/Paris"))),
    }


@table(r"'a' has dtype decimal128[^\n]*\n.*'b' has dtype list", cli="cannot be read as parquet")
def arrow_beyond_us():
    return {
        "a": pd.array([decimal.Decimal("1.1")] * N, pd.ArrowDtype(pa.decimal128(5, 2))),
        "b": pd.array([[1], []] * (N // 2), pd.ArrowDtype(pa.list_(pa.int64()))),
    }


@table("'a' has dtype date32.*to_datetime", cli=WORKS)
def arrow_dates():
    return {"a": pd.array([datetime.date(2020, 1, 1)] * N, pd.ArrowDtype(pa.date32()))}


@table("'a' has dtype dictionary", cli="cannot be read as parquet")
def arrow_dictionaries():
    return {"a": pd.array(["u", "v"] * (N // 2), pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string())))}


@table()
def categories():
    return {
        "unused": pd.Categorical(["u", "v"] * (N // 2), ["w", "v", "u", "never"]),
        "ordered": pd.Categorical([1, 2, None] * (N // 3), [2, 1], ordered=True),
        "dates": pd.Categorical(pd.to_datetime(["2020", "2021"] * (N // 2))),
        "bools": pd.Categorical([True, False] * (N // 2)),
        "floats": pd.Categorical([0.5, 1.5] * (N // 2)),
    }


@table(parquet=False)
def sparse():
    zeros = np.where(np.arange(N) % 5 == 0, np.arange(N), 0)
    return {
        "int": pd.arrays.SparseArray(zeros),
        "float": pd.arrays.SparseArray(np.where(zeros == 0, np.nan, zeros)),
        "bool": pd.arrays.SparseArray(zeros > 0),
    }


# Numbers at the end of the world.


@table()
def half_precision():
    return {"a": numbers().astype("float16"), "b": np.linspace(-65504, 65504, N).astype("float16")}


@table(csv=True)
def extreme_integers():
    return {
        "int64": [-(2**63), 2**63 - 1, 0] * (N // 3),
        "uint64": np.array([2**64 - 1, 2**63, 0] * (N // 3), "uint64"),
        "near": 2**63 - 1 - np.arange(N),
    }


@table(parquet=False)
def integers_beyond_64_bits():
    return {"a": np.array([2**64, -(2**70), 1] * (N // 3), object)}


@table(csv=True)
def huge():
    return {"a": np.linspace(-8e307, 8e307, N) * 2, "b": np.geomspace(1e-300, 1e300, N), "c": [1e308, 0, -1e308] * 8}


@table(csv=True)
def denormal():
    return {"a": np.arange(N) * 5e-324, "b": np.where(np.arange(N) % 2, 1e-310, numbers())}


@table()
def negative_zero():
    return {"a": np.where(np.arange(N) % 2, -0.0, 0.0), "b": np.where(np.arange(N) % 2, -0.0, numbers())}


@table(csv=True)
def hardly_different():
    return {"a": 1 + np.arange(N) * 2.0**-52, "b": 1e15 + np.arange(N) / 8}


@table()
def one_outlier():
    return {"a": np.where(np.arange(N) == 0, 1e300, numbers())}


# Text.


@table()
def text_of_all_kinds():
    odd = ["", " ", "\0", "a\0b", "nan", "None", "NaN", "😀", "e\u0301", "é", "\r\n", '"', ",", "'", "\\"]
    return {"a": np.array((odd * 2)[:N], object), "b": pd.array((odd * 2)[:N], "string")}


@table("Column 'a' .*surrogate", parquet=False)
def lone_surrogates():
    return {"a": pd.Series(["\ud800", "x", "\udfff"] * (N // 3), dtype=object)}


@table(csv=True)
def very_long_text():
    return {"a": ["a" * 100_000, "b" * 100_000, "a" * 100_001] * (N // 3)}


@table(csv=True)
def empty_text():
    return {"a": [""] * N, "b": ["", "x", "y"] * (N // 3)}


@table(warns="'a' look like identifiers")
def identifiers():
    return {"a": [f"id-{i}" for i in range(N)]}


@table(r"'x', 'a' look like identifiers .* Nothing else is left to learn", compare=WORKS)
def nothing_but_identifiers():
    return {"a": [f"id-{i}" for i in range(N)], "x": [f"no-{i}" for i in range(N)]}


# Many.


@table()
def many_columns():
    return pd.DataFrame(np.random.default_rng(0).normal(size=(30, 200))).assign(y=["u", "v"] * 15)


@table()
def thousands_of_columns():
    return pd.DataFrame(np.random.default_rng(0).normal(size=(30, 5_000))).assign(y=["u", "v"] * 15)


@table()
def many_levels():
    levels = [f"level {i}" for i in range(10_000)]
    return {"a": levels * 2, "y": ["u", "v"] * 10_000}


@table(csv=True)
def many_classes():
    return {"a": numbers(3_000), "y": [f"class {i}" for i in range(1_000)] * 3}


# Targets.


@table("labels .*continuous.*cut")
def continuous_target():
    return {"a": numbers(), "y": numbers()}


@table("labels .*0.5.*cut")
def halves_as_target():
    return {"a": numbers(), "y": [0.5, 1.5, 2.5] * (N // 3)}


@table(csv=True)
def bool_target():
    return {"a": numbers(), "y": [True, False, False] * (N // 3)}


@table(csv=True)
def int_target():
    return {"a": numbers(), "y": [-5, 2**53 + 1, 0] * (N // 3)}


@table()
def small_unsigned_target():
    return {"a": numbers(), "y": np.array([255, 0, 0] * (N // 3), "uint8")}


@table()
def whole_float_target():
    return {"a": numbers(), "y": [1.0, 0.0, 0.0] * (N // 3)}


@table()
def half_precision_target():
    return {"a": numbers(), "y": np.array([1.0, 0.0, 0.0] * (N // 3), "float16")}


@table()
def object_target():
    return {"a": numbers(), "y": np.array(Y, object)}


@table(resampler="numbers in an object column", compare="numbers in an object column")
def object_int_target():
    return {"a": numbers(), "y": np.array([1, 0, 0] * (N // 3), object)}


@table()
def category_target():
    return {"a": numbers(), "y": pd.Categorical(Y, ["never", "rare", "common"], ordered=True)}


@table()
def int_category_target():
    return {"a": numbers(), "y": pd.Categorical([3, 1, 1] * (N // 3), [3, 2, 1])}


@table()
def nullable_int_target():
    return {"a": numbers(), "y": pd.array([1, 0, 0] * (N // 3), "Int64")}


@table()
def nullable_bool_target():
    return {"a": numbers(), "y": pd.array([True, False, False] * (N // 3), "boolean")}


@table()
def nullable_string_target():
    return {"a": numbers(), "y": pd.array(Y, "string")}


@table()
def arrow_string_target():
    return {"a": numbers(), "y": pd.array(Y, pd.ArrowDtype(pa.string()))}


@table()
def arrow_int_target():
    return {"a": numbers(), "y": pd.array([1, 0, 0] * (N // 3), pd.ArrowDtype(pa.int16()))}


@table(parquet=False)
def sparse_target():
    return {"a": numbers(), "y": pd.arrays.SparseArray([1, 0, 0] * (N // 3))}


@table(csv=False)
def target_like_missing():
    return {"a": numbers(), "y": ["nan", "None", ""] * (N // 3)}


@table(csv=True)
def target_of_odd_text():
    return {"a": numbers(), "y": ["a=1", "b,c", " é\n😀"] * (N // 3)}


@table("labels .* mix strings and numbers", parquet=False)
def mixed_target():
    return {"a": numbers(), "y": np.array([1, "a", 1] * (N // 3), object)}


@table("labels .* mix bools and numbers", parquet=False)
def true_and_one_target():
    return {"a": numbers(), "y": np.array([True, 1, 0] * (N // 3), object)}


@table("labels .*Timestamp")
def date_target():
    return {"a": numbers(), "y": pd.to_datetime(["2020", "2021", "2021"] * (N // 3))}


@table("labels .*list", cli="labels .*ndarray")
def list_target():
    return {"a": numbers(), "y": pd.Series([[1], [2], [2]] * (N // 3))}


@table("labels.*bytes")
def bytes_target():
    return {"a": numbers(), "y": pd.Series([b"u", b"v", b"v"] * (N // 3))}


@table("labels.*complex", parquet=False)
def complex_target():
    return {"a": numbers(), "y": np.array([1j, 0, 0] * (N // 3))}


@table("labels.*Interval", parquet=False)
def interval_target():
    return {"a": numbers(), "y": pd.cut(numbers(), 3)}


@table("labels .*surrogate", parquet=False)
def target_of_lone_surrogates():
    return {"a": numbers(), "y": pd.Series(["\ud800", "v", "v"] * (N // 3), dtype=object)}


@table()
def huge_int_target():
    return {"a": numbers(), "y": np.array([2**64 - 1, 0, 2**63] * (N // 3), "uint64")}
