"""Every strange table through every way in: a right result, or an error of ours that names the problem."""

import contextlib
import re
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.dummy import DummyClassifier
from strange import STRANGE, WORKS
from typer.testing import CliRunner

from synthaug.augmenting import augment
from synthaug.cli import app
from synthaug.errors import DataError, DataTypeError, SynthaugError, SynthaugWarning
from synthaug.evaluate.baselines import Duplicate, Jitter, Smote
from synthaug.evaluate.comparison import compare
from synthaug.features import table_features
from synthaug.generators.vae import ConditionalVAE
from synthaug.mix.resample import SynthResampler
from synthaug.pool import Pool
from synthaug.selection import Agreement
from synthaug.synthesizer import Synthesizer
from synthaug.tables import read_table

QUICK = Synthesizer(generator=partial(ConditionalVAE, width=16), max_steps=2, random_state=0)
ADDED = 7


def apart(df):
    """X and y, also where no name or several lead to y."""
    place = next((i for i, name in enumerate(df.columns) if name in ("y", ("y", ""))), None)
    if place is None:
        return df, pd.Series([], dtype=object, index=df.index[:0])
    return df.iloc[:, [i for i in range(df.shape[1]) if i != place]], df.iloc[:, place].rename("y")


def by_augment(df):
    check_grown(df, augment(df, "y", amount=ADDED, flag="a flag", synthesizer=QUICK, random_state=0), flag="a flag")


def by_resampler(df):
    X, y = apart(df)
    sampler = SynthResampler(QUICK, amount=ADDED, random_state=0)
    X_grown, y_grown = sampler.fit_resample(X, y)
    check_grown(X, X_grown)
    check_grown(y.to_frame(), y_grown.to_frame())
    assert sampler.sample_flag_.tolist() == [False] * len(df) + [True] * ADDED


def by_synthesizer(df, folder):
    X, y = apart(df)
    synthesizer = Synthesizer(QUICK.codec, QUICK.generator, max_steps=2, random_state=0).fit(X, y)
    last = synthesizer.labels_.classes[-1]
    pool = synthesizer.sample({last: ADDED})
    assert pool.counts() == {last: ADDED}
    assert (pool.labels.dtype, pool.labels.name) == (y.dtype, "y")
    check_new(X, pool.records)
    synthesizer.save(folder / "model")
    assert Synthesizer.load(folder / "model").sample({last: ADDED}).equals(pool)
    if not set(map(str, df.columns)) & {"__label__", "__origin__", "__score__a"}:
        pool.save(folder / "pool")
        assert Pool.load(folder / "pool").equals(pool)


def by_compare(df):
    X, y = apart(df)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        arms = {"ours": SynthResampler(QUICK, amount=ADDED)}
        comparison = compare(arms, DummyClassifier(), X, y, cv=2, random_state=0)
    raised = [text for text in comparison.failures["error"] if not re.match("[A-Za-z]*Warning", text)]
    if raised:
        kind, _, message = raised[0].partition(": ")
        assert kind in ("DataError", "DataTypeError", "DuplicateError"), raised[0]
        raise DataError(message)
    for warning in caught:
        if "looks like a quantity" in str(warning.message):  # our arm says of each fold what it says of the whole
            continue
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def by_cli(df, folder, suffix):
    given, grown = folder / f"given.{suffix}", folder / f"grown.{suffix}"
    store(df, given)
    args = ["augment", given, "-t", "y", "-o", grown, "--amount", ADDED, "--steps", 2, "--generator", "vae"]
    result = CliRunner().invoke(app, list(map(str, args)))
    if result.exit_code:
        assert (result.exit_code, grown.exists()) == (1, False), result.exception
        raise DataError(result.stderr.removeprefix("Error: "))
    if "Warning: The columns" in result.stderr or "Warning: The labels" in result.stderr:
        warnings.warn(result.stderr, SynthaugWarning, stacklevel=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The index of")
        if suffix == "parquet":  # read again, since pandas 2 makes of Arrow's text first one type, then another
            store(read_table(given).frame, given)
        check_grown(read_table(given).frame, read_table(grown).frame)


def store(df, path):
    with warnings.catch_warnings(), path.open("wb") as file:
        warnings.simplefilter("ignore")
        df.to_csv(file, index=False) if path.suffix == ".csv" else df.to_parquet(file)


def check_grown(df, grown, flag=None):
    """The rows of `df` first and equal, and then `ADDED` that might have been among them."""
    if flag is not None:
        assert grown.pop(flag).tolist() == [False] * len(df) + [True] * ADDED
    assert len(grown) == len(df) + ADDED
    pd.testing.assert_frame_equal(grown.iloc[: len(df)], df.reset_index(drop=True), check_exact=True)
    check_new(df, grown.iloc[len(df) :])


def check_new(df, new):
    pd.testing.assert_index_equal(new.columns, df.columns)
    assert new.dtypes.tolist() == df.dtypes.tolist()
    for old, made in zip(map(dense, items(df)), map(dense, items(new)), strict=True):
        kept = made[made.notna().to_numpy()]
        if is_identifier(old):
            assert not len(kept)
            continue
        assert len(kept) == len(made) or old.isna().any(), old.name
        if old.dtype.kind in "iufMm":
            assert len(kept) == 0 or (kept.min() >= old.min() and kept.max() <= old.max()), old.name
        else:
            seen = {(type(value), value) for value in old.tolist()}
            assert all((type(value), value) in seen for value in kept.tolist()), old.name


def items(df):
    return [df.iloc[:, i] for i in range(df.shape[1])]


def dense(column):
    return column.sparse.to_dense() if isinstance(column.dtype, pd.SparseDtype) else column


def is_identifier(column):
    distinct = column.name != "y" and len(column) >= 20 and column.is_unique
    return distinct and all(isinstance(value, str) for value in column)


SLOW = {"thousands_of_columns"}
ERRORS = (SynthaugError, ValueError, TypeError)  # scikit-learn's or imbalanced-learn's own: the list says where
WAYS = {"augment": by_augment, "resampler": by_resampler, "synthesizer": by_synthesizer, "compare": by_compare}


CASES = [
    pytest.param(name, way, id=f"{name}-{way}", marks=[pytest.mark.long] * (name in SLOW))
    for name, strange in STRANGE.items()
    for way in (*WAYS, *strange.files)
]


@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")  # scikit-learn's, of any target
@pytest.mark.parametrize(("name", "way"), CASES)
def test_strange(name, way, tmp_path):
    strange = STRANGE[name]
    df = strange.make()
    expected = strange.but.get("cli" if way in ("csv", "parquet") else way, strange.expected)
    if expected != WORKS:
        told = pytest.raises(ERRORS if way == "resampler" else SynthaugError, match=expected)
    elif strange.warns and way != "compare":
        told = pytest.warns(SynthaugWarning, match=strange.warns)
    else:
        told = contextlib.nullcontext()
    extra = {"synthesizer": (tmp_path,), "csv": (tmp_path, "csv"), "parquet": (tmp_path, "parquet")}
    with told:
        WAYS.get(way, by_cli)(df, *extra.get(way, ()))


def table():
    rng = np.random.default_rng(0)
    return pd.DataFrame({"a": rng.normal(size=12), "b": rng.normal(size=12)}), pd.Series(["u", "v"] * 6, name="y")


RESAMPLE = SynthResampler(QUICK, amount=ADDED, random_state=0)


@pytest.mark.parametrize("use", [RESAMPLE.fit_resample, QUICK.fit])
def test_labels_with_another_index_are_refused(use):
    X, y = table()
    with pytest.raises(DataError, match="different indexes.*align"):
        use(X, y.iloc[::-1])


@pytest.mark.parametrize("use", [RESAMPLE.fit_resample, QUICK.fit])
@pytest.mark.parametrize("wrong", [slice(11), slice(0)])
def test_labels_of_another_length_are_refused(use, wrong):
    X, y = table()
    with pytest.raises(DataError, match="as many labels as records"):
        use(X, y.tolist()[wrong])


@pytest.mark.parametrize("way", [list, np.array, pd.Index, tuple, pd.array])
def test_labels_in_any_container_give_the_same(way):
    X, y = table()
    first = RESAMPLE.fit_resample(X, y)[0]
    pd.testing.assert_frame_equal(RESAMPLE.fit_resample(X, way(y.tolist()))[0], first)


def test_arrays_come_back_as_arrays_of_their_dtype_also_when_read_only():
    X, y = table()
    for dtype in ("float16", "float32", "float64", "int8", "uint64", bool, object):
        array = np.round(X.to_numpy() * 3).clip(0 if dtype == "uint64" else None).astype(dtype)
        array.flags.writeable = False
        grown, labels = RESAMPLE.fit_resample(array, y)
        assert (grown.dtype, grown.shape, len(labels)) == (np.dtype(dtype), (19, 2), 19)
        assert (grown[:12] == array).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (csr_array, "[Ss]parse"),
        (lambda X: np.where(np.arange(24).reshape(12, 2) == 3, np.inf, 0.0), "infinity|inf"),
        (lambda X: X.to_numpy()[:, :, None], "dim"),
        (lambda X: X.to_numpy() * 1j, "[Cc]omplex"),
        (lambda X: X["a"].to_numpy(), "1D|dimension"),
    ],
)
def test_arrays_that_are_no_tables_are_refused(make, message):
    X, y = table()
    with pytest.raises((ValueError, TypeError), match=message):
        RESAMPLE.fit_resample(make(X), y)


def test_records_that_are_no_frame_are_told_what_to_do():
    X, y = table()
    with pytest.raises(DataTypeError, match="pandas.DataFrame"):
        QUICK.fit(X.to_numpy(), y)
    with pytest.raises(DataTypeError, match="got list"):
        augment(X.to_numpy().tolist(), "y")


def test_labels_called_by_a_tuple_are_learned_and_not_stored(tmp_path):
    X, y = table()
    synthesizer = Synthesizer(generator=QUICK.generator, max_steps=2).fit(X, y.rename(("y", 1)))
    assert synthesizer.sample(2).labels.name == ("y", 1)
    with pytest.raises(DataError, match=r"labels are called \('y', 1\): rename"):
        synthesizer.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_labels_without_a_name():
    X, y = table()
    assert Synthesizer(generator=QUICK.generator, max_steps=2).fit(X, y.rename(None)).sample(2).labels.name is None


@pytest.mark.parametrize("name", [0, 2.5, True, "", " ", "synthetic"])
def test_a_target_of_any_name_stays_where_it_is(name):
    X, y = table()
    df = pd.DataFrame(dict(enumerate([X["a"], y, X["b"]]))).set_axis(["a", name, "b"], axis=1)
    grown = augment(df, name, amount=2, synthesizer=QUICK, random_state=0)
    assert list(grown.columns) == ["a", name, "b"]
    assert grown.iloc[12:, 1].tolist() == ["u", "v"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": ["y"]}, r"name of one column, got \['y'\]"),
        ({"target": "z"}, "no column 'z' to be the target: there are 'a', 'b', 'y'"),
        ({"flag": 3}, "`flag` to be a string or None, got 3"),
        ({"flag": "y"}, "column 'y' already"),
        ({"synthesizer": "vae"}, "`synthesizer` to be a Synthesizer or None, got 'vae'"),
        ({"synthesizer": Synthesizer(ConditionalVAE)}, "`codec` to be a Codec or None.*`generator=`"),
        ({"criteria": Agreement()}, "`criteria` to be a list"),
        ({"criteria": [Agreement]}, "`criteria` to be a list"),
        ({"criteria": "agreement"}, "`criteria` to be a list"),
        ({"amount": "7"}, "Expected `amount`.*got '7'"),
        ({"amount": {"z": 1}}, "Unknown label 'z' in `amount`: known are 'u', 'v'"),
        ({"random_state": -1}, "`random_state`.*got -1"),
    ],
)
def test_arguments_that_are_none(arguments, message):
    X, y = table()
    with pytest.raises(SynthaugError, match=message):
        augment(X.assign(y=y), **{"target": "y", "amount": 2, "synthesizer": QUICK, **arguments})


@pytest.mark.parametrize(
    "name", [name for name, strange in STRANGE.items() if strange.expected == WORKS and name not in SLOW]
)
def test_distances_between_strange_records_are_finite(name):
    X, _ = apart(STRANGE[name].make())
    features = table_features(X)(X)
    assert len(features) == len(X)
    assert np.isfinite(features).all()


def test_a_strange_target_can_be_selected_from():
    df = STRANGE["half_precision_target"].make()
    check_grown(df, augment(df, "y", amount=ADDED, synthesizer=QUICK, criteria=[Keeps()], random_state=0))


class Keeps:
    """A criterion that every record passes."""

    def score(self, real, pool, seed):
        return {"zero": np.zeros(len(pool.y))}

    def reasons(self, scores):
        return {"none": scores["zero"] > 0}


@pytest.mark.parametrize("arm", [Duplicate, Jitter, Smote])
@pytest.mark.parametrize("name", ["all_missing_of_every_type", "one_outlier", "nullable", "sparse", "dates_with_zones"])
def test_baselines_bear_strange_tables(name, arm):
    X, y = apart(STRANGE[name].make())
    grown, _ = arm(amount=ADDED, random_state=0).fit_resample(X, y)
    assert grown.dtypes.tolist() == X.dtypes.tolist()
    assert len(grown) == len(X) + ADDED
