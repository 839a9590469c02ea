"""TableCodec: round trips and legality over made-up columns, and what it says when it refuses."""

from __future__ import annotations

import datetime
import decimal
import json
import re
import tracemalloc
import warnings

import cases
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sklearn.base
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from synthaug.codecs.tabular import TableCodec
from synthaug.errors import (
    DataError,
    DataTypeError,
    NotFittedError,
    ParameterError,
    StorageError,
    SynthaugWarning,
)
from synthaug.testing.codecs import check_codec_legal, check_codec_round_trip

quick = settings(max_examples=60, deadline=None)
integers = st.sampled_from([f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)])


def one(values, **kwargs) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(values, **kwargs)})


def fitted(records, **kwargs) -> TableCodec:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        return TableCodec(**kwargs).fit(records)


def noise(codec, n=500, seed=0) -> torch.Tensor:
    """Encoded records as a generator gives them: anything, with uniform noise where the spec asks for it."""
    rng = torch.Generator().manual_seed(seed)
    x = 2 * torch.randn((n, codec.spec.width), generator=rng)
    for field, where in zip(codec.spec.fields, codec.spec.slices(), strict=True):
        if field.kind == "uniform":
            x[:, where] = torch.rand((n, field.size), generator=rng)
    return x


# --- properties -------------------------------------------------------------------------------------------------------


@quick
@given(integers.flatmap(lambda dtype: arrays.arrays(dtype, st.integers(1, 40))))
def test_integers_round_trip(values):
    check_codec_round_trip(TableCodec(), one(values))


@quick
@given(st.lists(st.integers(0, 62).map(lambda bits: 2**bits + bits), min_size=1, max_size=300))
def test_heavy_tailed_integers_round_trip(values):
    records = one([-values[0], *values, *range(100)])
    check_codec_round_trip(TableCodec(), records)
    check_codec_legal(TableCodec(), records)


@quick
@given(
    st.sampled_from([16, 32, 64]).flatmap(
        lambda width: arrays.arrays(
            f"float{width}", st.integers(1, 40), elements=st.floats(allow_infinity=False, width=width)
        )
    )
)
@example(np.array([-1.79769313e308, -1.0, 0.0, 0.0, 0.0]))
@example(np.array([1.56087428e144, 1.77896106e-176, 1.0]))
def test_floats_round_trip(values):
    records = one(values)
    check_codec_round_trip(TableCodec(), records)
    check_codec_legal(TableCodec(), records)


@quick
@given(st.integers(0, 6), st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=50))
def test_decimals_round_trip_exactly(places, values):
    records = one(np.array(values) / 10**places)
    codec = fitted(records)
    pd.testing.assert_frame_equal(codec.decode(codec.encode(records)), records, check_exact=True)


@quick
@given(
    st.sampled_from(["datetime64[ns]", "datetime64[us]", "timedelta64[ns]", "timedelta64[ms]"]),
    arrays.arrays(np.int64, st.integers(1, 40), elements=st.integers(-(2**62), 2**62) | st.just(-(2**63))),
)
def test_dates_and_durations_round_trip(dtype, values):
    if dtype.endswith(("[ms]", "[us]")):
        values = np.where(values == -(2**63), values, values // 10**4)
    check_codec_round_trip(TableCodec(), one(values.view(dtype)))


@quick
@given(
    st.lists(st.none() | st.text("aéx\n0 ", max_size=3), min_size=1, max_size=60),
    st.sampled_from(["str", "object", "category"]),
)
def test_strings_round_trip_with_rare_levels(values, dtype):
    records = one(pd.Series(values, dtype=object).astype(dtype))
    check_codec_round_trip(TableCodec(max_levels=3, identifiers="keep"), records)
    check_codec_legal(TableCodec(max_levels=3, identifiers="keep"), records)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_any_finite_numbers_decode_to_what_encodes_again(data):
    records, _ = cases.TABLES[data.draw(st.sampled_from(sorted(cases.TABLES)))]()
    codec = fitted(records)
    x = data.draw(arrays.arrays(np.float32, (3, codec.spec.width), elements=st.floats(-(2.0**127), 2.0**127, width=32)))
    decoded = codec.decode(torch.from_numpy(x))
    again = codec.decode(codec.encode(decoded))
    pd.testing.assert_frame_equal(again, decoded, rtol=1e-5)


# --- what decoded values keep -----------------------------------------------------------------------------------------


def test_integers_and_dates_keep_their_step():
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 3000, 200), unit="D")
    records = pd.DataFrame({"tens": 10 * rng.integers(0, 500, 200) + 3, "day": days.as_unit("ns")})
    codec = fitted(records)
    decoded = codec.decode(noise(codec))
    assert (decoded["tens"] % 10 == 3).all()
    assert (decoded["day"] == decoded["day"].dt.normalize()).all()
    assert decoded["day"].nunique() > 200


def test_floats_keep_their_decimals():
    rng = np.random.default_rng(0)
    records = pd.DataFrame({"price": rng.integers(0, 10**6, 200) / 100, "quarter": rng.integers(0, 99, 200) / 4})
    codec = fitted(records)
    decoded = codec.decode(noise(codec))
    assert (decoded["price"].round(2) == decoded["price"]).all()
    assert (decoded["quarter"] % 0.25 == 0).all()


def test_few_integers_have_no_step():
    codec = fitted(one([10, 20, 40] * 5))
    assert set(codec.decode(noise(codec))["x"]) > {10, 11, 12, 20, 40}


def test_fine_digits_are_noise():
    records = one(np.random.default_rng(0).integers(-(2**62), 2**62, 1000))
    codec = fitted(records)
    assert [(field.kind, field.size) for field in codec.spec.fields] == [("number", 1), ("uniform", 3)]
    x = noise(codec)
    x[:, 0] = 0.0
    decoded = codec.decode(x)["x"]
    assert decoded.nunique() == len(decoded)
    assert decoded.max() - decoded.min() < 2**44


def test_the_bulk_of_a_heavy_tailed_column_is_resolved():
    income = np.random.default_rng(0).lognormal(10, 3, 2000)
    for values in (income, income.astype(np.int64)):
        z = fitted(one(values)).encode(one(values))[:, 0]
        assert 1 < z.max() - z.min() < 15
        assert 0.8 < z.std() < 1.2


def test_missing_and_inflated_values_are_states():
    rng = np.random.default_rng(0)
    values = np.where(rng.random(100) < 0.5, 0.0, rng.normal(size=100))
    values[::10] = np.nan
    codec = fitted(one(values))
    assert [(field.name, field.kind, field.size) for field in codec.spec.fields] == [
        ("x (state)", "category", 3),
        ("x", "number", 1),
    ]
    regular, missing, zero = codec.decode(torch.eye(3, 4))["x"]
    assert regular != 0
    assert np.isnan(missing)
    assert zero == 0


def test_rare_levels_are_drawn_in_proportion():
    words = ["common"] * 500 + ["often"] * 300 + ["seldom"] * 30 + ["rarely"] * 10
    codec = fitted(one(words), max_levels=2)
    x = torch.tensor([[0.0, 0.0, 1.0, 0.0]]).repeat(4000, 1)
    x[:, 3] = torch.rand(4000, generator=torch.Generator().manual_seed(0))
    shares = codec.decode(x)["x"].value_counts(normalize=True)
    assert set(shares.index) == {"seldom", "rarely"}
    assert abs(shares["rarely"] - 0.25) < 0.03


def test_ten_thousand_levels_need_no_dense_one_hot():
    levels = np.random.default_rng(0).integers(0, 10_000, 50_000)
    records = one([f"level {i}" for i in levels])
    tracemalloc.start()
    codec = fitted(records)
    x = codec.encode(records)
    decoded = codec.decode(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert codec.spec.width < 110
    assert decoded.equals(records)


def test_nothing_varies():
    codec = fitted(pd.DataFrame({"a": [1, 1], "b": ["x", "x"], "c": [None, None]}))
    assert [(field.kind, field.size) for field in codec.spec.fields] == [("uniform", 1)]
    assert codec.decode(torch.rand(3, 1)).to_dict("list") == {"a": [1, 1, 1], "b": ["x"] * 3, "c": [None] * 3}
    assert codec.features(pd.DataFrame({"a": [1], "b": ["x"], "c": [None]})).tolist() == [[0.0]]


def test_numbers_outside_the_range_move_to_its_end():
    codec = fitted(pd.DataFrame({"x": range(10), "flag": [0, 1] * 5, "real": np.linspace(0, np.pi, 10)}))
    decoded = codec.decode(codec.encode(pd.DataFrame({"x": [-5, 99], "flag": [-1, 7], "real": [-1e300, 1e300]})))
    assert decoded.to_dict("list") == {"x": [0, 9], "flag": [0, 1], "real": [0.0, np.pi]}


def test_column_types():
    records = pd.DataFrame({"zip": [1000, 2000, 3000, 1000], "n": [1, 2, 3, 4]})
    codec = fitted(records, column_types={"zip": "category"})
    assert [(field.name, field.kind) for field in codec.spec.fields] == [("zip", "category"), ("n", "number")]
    assert set(codec.decode(noise(codec))["zip"]) == {1000, 2000, 3000}


def test_columns_may_come_in_another_order():
    records, _ = cases.TABLES["adult"]()
    codec = fitted(records)
    assert torch.equal(codec.encode(records[records.columns[::-1]]), codec.encode(records))


def test_categories_may_come_in_another_order():
    codec = fitted(one(pd.Categorical(["a", "b", "c"], ["a", "b", "c"])))
    other = one(pd.Categorical(["a", "b", "c"], ["c", "b", "a"]))
    assert codec.decode(codec.encode(other))["x"].tolist() == ["a", "b", "c"]


def test_the_order_of_the_records_does_not_matter():
    records, _ = cases.TABLES["many_levels"]()
    shuffled = records.sample(frac=1, random_state=0)
    assert fitted(records).to_dict() == fitted(shuffled).to_dict()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_decode_takes_any_floats(dtype):
    codec = fitted(KNOWN)
    x = torch.full((1, codec.spec.width), torch.finfo(dtype).max, dtype=dtype)
    assert codec.decode(x).to_dict("list") == {
        "age": [40],
        "job": ["cook"],
        "size": ["S"],
        "free": [2.5],
        "real": [1 / 3],
    }


def test_read_only_records():
    values = np.arange(30.0)
    values.flags.writeable = False
    check_codec_round_trip(TableCodec(), pd.DataFrame({"x": values}, copy=False))


def test_features_put_levels_at_distance_one():
    records = pd.DataFrame({"x": range(4), "level": list("abab")})
    features = fitted(records).features(records.assign(x=0))
    assert np.linalg.norm(features[0] - features[1]) == pytest.approx(1)
    assert (features[0] == features[2]).all()


def test_it_is_a_scikit_learn_object():
    codec = TableCodec(column_types={"x": "category"}, max_levels=7)
    assert sklearn.base.clone(codec).get_params() == codec.get_params()
    assert repr(codec) == "TableCodec(column_types={'x': 'category'}, max_levels=7)"


# --- identifiers ------------------------------------------------------------------------------------------------------


def test_identifiers_are_left_out_with_a_warning():
    records = pd.DataFrame({"id": [f"customer {i}" for i in range(20)], "x": range(20)})
    with pytest.warns(SynthaugWarning) as caught:
        codec = TableCodec().fit(records)
    assert str(caught[0].message) == (
        "The columns 'id' look like identifiers (text in which hardly a value comes twice) and are left out of the "
        "model: synthetic records miss them. Keep them with `TableCodec(identifiers='keep')` or "
        "`TableCodec(column_types={'id': 'category'})`."
    )
    assert codec.identifiers_ == ["id"]
    assert "customer" not in json.dumps(codec.to_dict())
    assert codec.decode(codec.encode(records))["id"].isna().all()
    codec.encode(records.assign(id=[f"another {i}" for i in range(20)]))


@pytest.mark.parametrize("keep", [{"identifiers": "keep"}, {"column_types": {"id": "category"}}])
def test_identifiers_are_kept_on_request(keep):
    records = pd.DataFrame({"id": [f"customer {i}" for i in range(200)], "x": range(200)})
    codec = TableCodec(**keep).fit(records)
    assert codec.decode(codec.encode(records)).equals(records)


# --- what it says -----------------------------------------------------------------------------------------------------

REFUSED_IN_FIT = {
    "not a frame": (
        [1, 2],
        DataTypeError,
        "Expected a pandas DataFrame, got list: for example `pandas.DataFrame(records)`.",
    ),
    "no records": (
        pd.DataFrame({"x": []}),
        DataError,
        "Expected at least one record and one column, got 0 records and 1 columns: pass the training records.",
    ),
    "repeated names": (
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        DataError,
        "The column names 'a' come more than once: rename or drop the repeats.",
    ),
    "names of several levels": (
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])),
        DataTypeError,
        "The column names have several levels: join them first, for example "
        "`records.columns = ['_'.join(map(str, name)) for name in records.columns]`.",
    ),
    "odd name": (
        pd.DataFrame({np.nan: [1]}),
        DataTypeError,
        "The column name nan (float) is not supported: use strings or numbers, for example "
        "`records.columns = records.columns.astype(str)`.",
    ),
    "complex": (
        one([1j, 2j]),
        DataTypeError,
        "Column 'x' has dtype complex128, which is not supported: turn it into numbers, dates or strings, for example "
        "`records['x'].astype(str)`, or drop it.",
    ),
    "period": (
        one(pd.period_range("2020", periods=2, freq="D")),
        DataTypeError,
        "Column 'x' has dtype period[D], which is not supported: turn it into numbers, dates or strings, for example "
        "`records['x'].dt.to_timestamp()`, or drop it.",
    ),
    "infinite": (
        one([1.0, 2.0, -np.inf]),
        DataError,
        "Column 'x' holds -inf (first at position 2): replace it by a missing value or by the largest number that "
        "makes sense.",
    ),
    "infinite object": (
        one(["a", np.inf], dtype=object),
        DataError,
        "Column 'x' holds inf (first at position 1): replace it by a missing value.",
    ),
    "categories of another kind": (
        one(pd.cut([1, 2], 2)),
        DataTypeError,
        "Column 'x' has dtype category of interval[float64, right], which is not supported: turn it into numbers, "
        "dates or strings, for example `records['x'].astype(str)`, or drop it.",
    ),
    "lists": (
        one([None, [1, 2]]),
        DataTypeError,
        "Column 'x' holds list (first at position 1): turn it into `records['x'].astype(str)`, or columns of their "
        "own.",
    ),
    "dates": (
        one([datetime.date(2020, 1, 1)], dtype=object),
        DataTypeError,
        "Column 'x' holds date (first at position 0): turn it into `pandas.to_datetime(records['x'])`.",
    ),
    "decimals": (
        one([decimal.Decimal(1)]),
        DataTypeError,
        "Column 'x' holds Decimal (first at position 0): turn it into `records['x'].astype(float)`.",
    ),
    "equal levels of two types": (
        one(["a", 1, True], dtype=object),
        DataTypeError,
        "Column 'x' holds True as bool and the equal int (at position 2): use one type, for example "
        "`records['x'].astype(str)`.",
    ),
    "two at once": (
        pd.DataFrame({"x": [1j], "y": [np.inf]}),
        DataError,
        "2 problems:\n- Column 'x' has dtype complex128, which is not supported: turn it into numbers, dates or "
        "strings, for example `records['x'].astype(str)`, or drop it.\n- Column 'y' holds inf (first at position 0): "
        "replace it by a missing value or by the largest number that makes sense.",
    ),
}


@pytest.mark.parametrize("case", REFUSED_IN_FIT)
def test_refused_in_fit(case):
    records, error, message = REFUSED_IN_FIT[case]
    with pytest.raises(error) as raised:
        TableCodec().fit(records)
    assert str(raised.value) == message


KNOWN = pd.DataFrame(
    {
        "age": [20, 30, 40],
        "job": pd.Series(["nurse", "cook", "cook"], dtype="str"),
        "size": pd.Categorical(["S", "M", "S"], ["S", "M", "L"], ordered=True),
        "free": pd.Series(["a", 1, 2.5], dtype=object),
        "real": [0.1, 0.25, 1 / 3],
    }
)
REFUSED_IN_ENCODE = {
    "missing columns": (
        KNOWN.drop(columns=["age", "job"]),
        "The columns 'age', 'job' of `fit` are missing: add them.",
    ),
    "new columns": (
        KNOWN.assign(a=1, b=2),
        "The columns 'a', 'b' were not there in `fit`: remove them, for example `records.drop(columns=['a', 'b'])`.",
    ),
    "another dtype": (
        KNOWN.astype({"age": "float64"}),
        "Column 'age' has dtype float64, but had int64 in `fit`: convert it, for example "
        "`records.astype({'age': 'int64'})`.",
    ),
    "other categories": (
        KNOWN.assign(size=pd.Categorical(["S", "M", "S"])),
        "Column 'size' has dtype category of 'M', 'S', but had ordered category of 'S', 'M', 'L' in `fit`: convert it, "
        "for example `records['size'].astype(training['size'].dtype)`.",
    ),
    "unknown levels": (
        KNOWN.assign(job=pd.Series(["nurse", "pilot", "cook"], dtype="str"), size=KNOWN["size"].replace({"M": "L"}))
        if pd.__version__ >= "3"
        else KNOWN.assign(
            job=pd.Series(["nurse", "pilot", "cook"], dtype="str"),
            size=pd.Categorical(["S", "L", "S"], ["S", "M", "L"], ordered=True),
        ),
        "2 problems:\n- Column 'job' has a level that was not there in `fit`: 'pilot' (first at position 1): drop "
        "those records, map the level to a known one, or fit on records that have it.\n- Column 'size' has a level "
        "that was not there in `fit`: 'L' (first at position 1): drop those records, map the level to a known one, or "
        "fit on records that have it.",
    ),
    "missing where none was": (
        KNOWN.assign(job=pd.Series(["nurse", None, "cook"], dtype="str"), real=[0.1, np.nan, 0.2]),
        "2 problems:\n- Column 'job' has missing values (first at position 1), but had none in `fit`: fill them, drop "
        "those records, or fit on records that have some.\n- Column 'real' has missing values (first at position 1), "
        "but had none in `fit`: fill them, drop those records, or fit on records that have some.",
    ),
    "infinite": (
        KNOWN.assign(real=np.inf),
        "Column 'real' holds inf (first at position 0): replace it by a missing value or by the largest number that "
        "makes sense.",
    ),
    "lists": (
        KNOWN.assign(free=[["a"], "a", "a"]),
        "Column 'free' holds list (first at position 0): turn it into `records['free'].astype(str)`, or columns of "
        "their own.",
    ),
}


@pytest.mark.parametrize("use", ["encode", "validate", "features", "to_arrow"])
@pytest.mark.parametrize("case", REFUSED_IN_ENCODE)
def test_refused_in_encode(case, use):
    records, message = REFUSED_IN_ENCODE[case]
    with pytest.raises(DataError) as raised:
        getattr(TableCodec().fit(KNOWN), use)(records)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"column_types": {"y": "category", "age": "text"}},
            "2 problems:\n- `column_types` names 'y', which is none of the columns: correct or remove it.\n- Expected "
            "`column_types['age']` to be 'number' or 'category', got 'text'.",
        ),
        ({"column_types": ["age"]}, "Expected `column_types` to map names of columns to types, got ['age']."),
        ({"identifiers": "ignore"}, "Expected `identifiers` to be 'drop' or 'keep', got 'ignore'."),
        ({"max_levels": 1}, "Expected `max_levels` to be an integer of at least 2, got 1."),
        ({"max_levels": 2.5}, "Expected `max_levels` to be an integer of at least 2, got 2.5."),
    ],
)
def test_refused_parameters(parameters, message):
    with pytest.raises(ParameterError) as raised:
        TableCodec(**parameters).fit(KNOWN)
    assert str(raised.value) == message


def test_text_is_no_number():
    with pytest.raises(DataTypeError) as raised:
        TableCodec(column_types={"free": "number"}).fit(KNOWN)
    assert str(raised.value) == (
        "Column 'free' has dtype object, but `column_types` says it is a number: convert it, for example "
        "`pandas.to_numeric(records['free'])`, or leave it out of `column_types`."
    )


def test_refused_in_decode():
    codec = TableCodec().fit(KNOWN)
    with pytest.raises(DataError) as raised:
        codec.decode(torch.zeros(2, 3))
    assert str(raised.value) == "Expected encoded records of shape (n, 9), got (2, 3)."
    x = torch.zeros(2, codec.spec.width)
    x[1, 4] = torch.nan
    with pytest.raises(DataError) as raised:
        codec.decode(x)
    assert str(raised.value) == (
        "Encoded record 1 has nan at entry 4: only finite numbers can be decoded. Has the generator diverged?"
    )


def test_not_fitted():
    with pytest.raises(NotFittedError) as raised:
        TableCodec().encode(KNOWN)
    assert str(raised.value) == "This TableCodec is not fitted yet: call `fit` with training records first."


# --- stored states ----------------------------------------------------------------------------------------------------


def _damage(state, path, value):
    *way, last = path
    for step in way:
        state = state[step]
    state[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["columns", 0, "type", "dtype"], "os.system"),
        (["columns", 0, "type", "dtype"], "category"),
        (["columns", 0, "scale", "step"], 0),
        (["columns", 0, "scale", "top"], 2**70),
        (["columns", 0, "scale", "warp"], [0.0, 0.0, 0.0, 0.0]),
        (["columns", 0, "decimals"], 99),
        (["columns", 0, "bounds"], [1]),
        (["columns", 1, "levels"], [{}, {}]),
        (["columns", 1, "common"], 5),
        (["columns", 1, "counts"], [1]),
        (["columns", 2, "levels"], [0, 17]),
        (["columns", 3, "levels"], [[1], [2], [3]]),
        (["columns", 4, "scale", "low"], float("nan")),
        (["columns"], []),
        (["names", "values"], [1, 2, 3, 4, {}]),
    ],
)
def test_a_damaged_state_is_refused(path, value):
    state = json.loads(json.dumps(TableCodec().fit(KNOWN).to_dict()))
    TableCodec.from_dict(state)
    _damage(state, path, value)
    with pytest.raises(StorageError):
        TableCodec.from_dict(state)


def test_another_table_is_refused():
    codec = TableCodec().fit(KNOWN)
    table = codec.to_arrow(KNOWN)
    with pytest.raises(StorageError) as raised:
        codec.from_arrow(table.drop_columns("age"))
    assert str(raised.value) == (
        "Expected the columns ['age', 'job', 'size', 'free', 'real'], got ['job', 'size', 'free', 'real']."
    )
    with pytest.raises(StorageError):
        codec.from_arrow(table.set_column(0, "age", [["a", "b", "c"]]))


@pytest.mark.parametrize("dtype", ["object", "string", "str", pd.ArrowDtype(pa.string())])
def test_numbers_as_text_are_told(dtype):
    prices = pd.Series([f"{i // 2}.25" if i % 10 else "?" for i in range(120)], dtype=dtype)
    prices[:6] = None
    records = pd.DataFrame({"price": prices, "size": np.arange(120.0)})
    told = (
        "The columns 'price' hold numbers as text or objects ('price' in 103 of 120 records) and are not modelled as "
        "numbers: synthetic records repeat their values or miss them. Convert them, for example `records['price'] = "
        "pandas.to_numeric(records['price'], errors='coerce')`, or, if they are codes, `records['price'] = "
        "records['price'].astype('category')`."
    )
    with pytest.warns(SynthaugWarning, match=f"^{re.escape(told)}$"):
        TableCodec().fit(records)
    TableCodec(column_types={"price": "category"}).fit(records)
    TableCodec().fit(records.astype({"price": "category"}))


def test_numbers_as_objects_are_told_and_all_the_columns_named():
    rng = np.random.default_rng(0)
    records = pd.DataFrame({"a": rng.normal(size=60), "b": rng.integers(10, 99, 60), "c": rng.choice(["u", "v"], 60)})
    with pytest.warns(SynthaugWarning, match=r"^The columns 'a', 'b' hold numbers as .*\('a' in 60 of 60 records\)"):
        TableCodec().fit(records.astype(object))


def test_numbers_as_text_that_look_like_identifiers_are_told_as_numbers():
    records = pd.DataFrame({"price": [f"{i}.25" for i in range(60)]})
    with pytest.raises(DataError, match="look like identifiers.*Nothing else is left to learn.*hold numbers as text"):
        TableCodec().fit(records)
    with pytest.warns(SynthaugWarning) as told:
        TableCodec().fit(records.assign(size=1.5))
    assert ["hold numbers as text" in str(one.message) for one in told] == [True]


@pytest.mark.parametrize(
    "cells",
    [
        [f"{i * 700:05d}" for i in range(60)],  # postcodes with a leading zero
        [f"{10_000 + i * 700}" if i % 9 else "unknown" for i in range(60)],  # and without
        [i % 20 for i in range(60)],  # few
        [f"{i}" if i % 2 else f"flat {i}" for i in range(60)],  # not most
        [f"{i}" for i in range(60)],  # numbers of shops or houses
        [i % 2 == 0 for i in range(60)],
    ],
    ids=range(6),
)
def test_codes_and_few_numbers_are_no_matter(cells):
    cells = pd.Series(cells * 2, dtype=object)
    TableCodec().fit(pd.DataFrame({"code": cells}))
    with pytest.warns(SynthaugWarning, match="hold numbers as"):  # so that silence means something
        TableCodec().fit(pd.DataFrame({"code": cells, "price": [f"{i % 50}.5" for i in range(120)]}))


DATES = [datetime.date(2020, 1, 1) + datetime.timedelta(days=7 * i) for i in range(40)]
TIMES = [datetime.time(i // 4, 15 * (i % 4), i) for i in range(40)]
DECIMALS = [decimal.Decimal(i) / 4 for i in range(40)]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(pd.period_range("2020", periods=40, freq="M")),
        pd.Series(pd.period_range("2020", periods=40, freq="M"), dtype=object),
        pd.Series(DATES, dtype=pd.ArrowDtype(pa.date32())),
        pd.Series(DATES, dtype=pd.ArrowDtype(pa.date64())),
        pd.Series(DATES, dtype=object),
        pd.Series(TIMES, dtype=pd.ArrowDtype(pa.time32("s"))),
        pd.Series(TIMES, dtype=pd.ArrowDtype(pa.time64("ns"))),
        pd.Series(TIMES, dtype=object),
        pd.Series(DECIMALS, dtype=pd.ArrowDtype(pa.decimal128(9, 2))),
        pd.Series(DECIMALS, dtype=object),
        pd.Series([pd.Timestamp("2020") + pd.Timedelta(i, "h") for i in range(40)], dtype=object),
    ],
    ids=lambda column: f"{column.dtype} of {type(column[0]).__name__}",
)
def test_what_an_error_advises_keeps_order_and_distance(column):
    column[3] = None
    records = pd.DataFrame({"c": column})
    with pytest.raises(DataTypeError) as refused:
        TableCodec().fit(records)
    (advice,) = re.findall("`(.*)`", str(refused.value))
    records["c"] = eval(advice, {"pandas": pd, "records": records})
    codec = TableCodec().fit(records)
    assert "number" in {field.kind for field in codec.spec.fields}
    assert codec.decode(codec.encode(records)).equals(records)
