import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import balanced_accuracy_score

from synthaug.errors import DataError, DataTypeError, ParameterError
from synthaug.evaluate import likeness
from synthaug.evaluate.privacy import privacy_risk
from synthaug.evaluate.resemblance import Fidelity, fidelity
from synthaug.evaluate.samples import Samples
from synthaug.features import image_features, table_features
from synthaug.images import read_images
from synthaug.pool import Pool, Source
from synthaug.rng import derive, numpy_rng

FIGURES = ["precision", "recall", "density", "coverage", "two_sample_accuracy", "kernel_distance"]


def draw(n, seed, shift=0.0):
    """A table of every kind of column, in which the class shows in the age and the town."""
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n)
    age = rng.normal(40 + 12 * y + shift, 9)
    town = np.where(rng.random(n) < 0.7, np.array(["Ulm", "Bonn"])[y], "Kiel")
    since = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(900, size=n) + 200 * y, unit="D")
    return pd.DataFrame(
        {
            "age": pd.Series(age).mask(rng.random(n) < 0.1),
            "children": pd.array(rng.poisson(1.5, n), dtype="Int64"),
            "town": pd.Categorical(town),
            "member": rng.random(n) < 0.4,
            "since": since,
            "bought": np.array(["no", "yes"])[y],
        }
    )


@pytest.fixture(scope="module", autouse=True)
def _few_trees():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(likeness, "_TREES", 15)
        yield


@pytest.fixture(scope="module")
def tables():
    return draw(160, 0), draw(120, 1, shift=6), draw(100, 2)


@pytest.fixture(scope="module")
def found(tables):
    real, made, holdout = tables
    return fidelity(real, made, target="bought", holdout=holdout, random_state=0)


def test_columns_are_measured_over_all_rows(tables, found):
    real, made, _ = tables
    rows = found.columns.set_index("column")
    assert rows["kind"].tolist() == ["number", "number", "category", "category", "time", "category"]
    for name in ("age", "children", "since"):
        a, b = (table[name].dropna().astype("int64" if name == "since" else float) for table in (real, made))
        assert rows.loc[name, "shift"] == pytest.approx(stats.ks_2samp(a, b).statistic, abs=1e-9)
    for name in ("town", "member", "bought"):
        a, b = (table[name].astype(str).value_counts(normalize=True) for table in (real, made))
        assert rows.loc[name, "shift"] == pytest.approx(a.sub(b, fill_value=0).abs().sum() / 2, abs=1e-9)
    assert rows.loc["age", "missing_real"] == real["age"].isna().mean()
    assert rows.loc["age", "missing_synthetic"] == made["age"].isna().mean()


def test_pairs_are_measured_on_the_rows_drawn(tables, found):
    real, made = (
        table.iloc[numpy_rng(0, "rows", name).permutation(len(table))[:100]]
        for name, table in zip(["real", "synthetic"], tables[:2], strict=True)
    )
    rows = found.pairs.set_index(["first", "second", "measure"])
    assert len(rows) == 3 * 2 + 3 + 9
    both = real[["age", "children"]].dropna().astype(float)
    assert rows.loc[("age", "children", "pearson"), "real"] == pytest.approx(both.corr().iloc[0, 1], abs=1e-9)
    ranks = rows.loc[("age", "children", "spearman"), "real"]
    assert ranks == pytest.approx(both.corr("spearman").iloc[0, 1], abs=1e-9)
    v = likeness.cramers_v(made["town"].astype(str), made["bought"])
    assert rows.loc[("town", "bought", "cramers_v"), "synthetic"] == pytest.approx(v, abs=1e-9)
    both = real[["age", "bought"]].dropna()
    eta = likeness.correlation_ratio(both["bought"], both["age"])
    assert rows.loc[("age", "bought", "correlation_ratio"), "real"] == pytest.approx(eta, abs=1e-9)
    assert rows.loc[("town", "since", "correlation_ratio"), "real"] >= 0
    assert (rows["synthetic"] - rows["real"]).tolist() == rows["difference"].tolist()


def test_the_whole_is_measured_on_features_of_as_many_rows(tables, found):
    samples = Samples.of(*tables, None, "bought", None).draw(2000, 0)
    x = samples.features(table_features(tables[0]))
    assert (found.n_real, found.n_synthetic, found.n_used) == (160, 120, 100)
    assert (found.precision, found.recall) == likeness.precision_recall(x["real"], x["synthetic"])
    assert (found.density, found.coverage) == likeness.density_coverage(x["real"], x["synthetic"])
    told = likeness.two_sample_accuracy(x["real"], x["synthetic"], derive(0, "whole"))
    assert (found.two_sample_accuracy, found.two_sample_low, found.two_sample_high) == tuple(vars(told).values())
    kernel = likeness.kernel_distance(x["real"], x["synthetic"])
    assert (found.kernel_distance, found.kernel_low, found.kernel_high) == tuple(vars(kernel).values())


def test_training_on_one_and_testing_on_the_other(tables, found):
    samples = Samples.of(*tables, None, "bought", None).draw(2000, 0)
    y = samples.drawn_codes
    x = samples.without("bought").features(table_features(tables[0].drop(columns="bought")))

    def score(train, test):
        model = RandomForestClassifier(15, random_state=derive(0, "learn") % 2**32).fit(x[train], y[train])
        return pytest.approx(balanced_accuracy_score(y[test], model.predict(x[test])), abs=1e-9)

    assert found.tstr == score("synthetic", "holdout")
    assert found.trts == score("real", "synthetic")
    assert found.trtr == score("real", "holdout")
    assert found.trtr > 0.7


def test_the_reference_is_the_holdout_in_the_place_of_the_synthetic_records(tables, found):
    real, made, holdout = tables
    assert found.reference is not None
    assert found.reference.n_synthetic == 100
    assert found.reference.columns["shift"][0] < found.columns["shift"][0]
    assert found.reference.two_sample_low <= 0.5 <= found.reference.two_sample_high
    swapped = fidelity(real, holdout, holdout=made, random_state=0)
    assert swapped.columns.equals(found.reference.columns)


def test_good_and_bad_generators_are_told_apart():
    real, fair, far = draw(300, 3), draw(300, 4), draw(300, 5, shift=60)
    good, bad = (fidelity(real, made, target="bought", random_state=0) for made in (fair, far))
    collapsed = fidelity(real, pd.concat([fair[:15]] * 20), random_state=0)
    shuffled = fair.assign(bought=np.random.default_rng(0).permutation(fair["bought"]))
    lying = fidelity(real, shuffled, target="bought", random_state=0)
    assert good.two_sample_low <= 0.5 <= good.two_sample_high
    assert bad.two_sample_low > 0.9
    assert good.kernel_low <= 0
    assert bad.kernel_low > 0
    assert min(good.tstr, good.trts, good.trtr) > 0.85
    assert max(lying.tstr, lying.trts) < 0.65
    assert good.pairs["difference"].abs().max() < lying.pairs["difference"].abs().max()
    assert collapsed.precision > 0.5 > collapsed.recall
    assert collapsed.coverage < good.coverage - 0.3
    assert good.notes == bad.notes == (IN_SAMPLE,)
    assert fidelity(real, fair, holdout=draw(300, 6), target="bought", random_state=0).notes == ()


def test_a_seed_gives_the_same_figures_and_index_and_order_of_columns_do_not_matter(tables):
    real, made, _ = tables
    first, again = (fidelity(real, made, target="bought", random_state=3, max_rows=50) for _ in range(2))
    assert first.n_used == 50
    assert first.to_dict() == again.to_dict()
    moved = real.set_index(real.index + 7), made[made.columns[::-1]]
    assert first.to_dict() == fidelity(*moved, target="bought", random_state=3, max_rows=50).to_dict()


def test_an_array_is_a_table_without_names():
    x = np.random.default_rng(0).normal(size=(60, 3))
    as_array, as_table = (fidelity(data, data + 0.1, random_state=0) for data in (x, pd.DataFrame(x)))
    assert as_array.to_dict() == as_table.to_dict()


def test_a_pool_stands_for_its_records_with_their_labels_as_the_target(tables, found):
    real, made, holdout = tables
    pool = Pool.of(made.drop(columns="bought"), made["bought"], Source("by hand", "", 0))
    assert fidelity(real, pool, target="bought", holdout=holdout, random_state=0).to_dict() == found.to_dict()
    plain = fidelity(real.drop(columns="bought"), pool, random_state=0)
    assert plain.columns["column"].tolist() == list(real.columns[:-1])
    named = A.set_axis(["records", "labels"], axis=1)
    assert fidelity(named, named).columns["column"].tolist() == ["records", "labels"]
    images = read_images((np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8), [0, 1] * 20))
    assert fidelity(images, images, features=lambda x: x.reshape(len(x), -1), random_state=0).n_used == 40
    with pytest.raises(ParameterError, match="Expected `target` to be a column of the tables, got 'y'"):
        fidelity(images, images, target="y", features=lambda x: x.reshape(len(x), -1))


def long_tailed(counts, seed, classes="abc"):
    rng, y = np.random.default_rng(seed), np.repeat(list(classes), counts)
    return pd.DataFrame({"u": rng.normal(np.repeat([0, 4, 8], counts)), "v": rng.normal(size=len(y)), "y": y})


IN_SAMPLE = (
    "`tstr` is tested on the very real records that the synthetic ones were made from, `trtr` on others: with a "
    "`holdout` both are tested on it, and can be compared."
)
UNLIKE = (
    "Classes have unlike shares, which alone would tell the records apart: but for `columns`, `tstr` and its kind, as "
    "many records of each class are compared"
)


def test_shares_of_classes_alone_do_not_tell_records_apart():
    """Other records of the very same classes, in other shares, in every form in which labels come."""
    real, made = long_tailed([300, 60, 40], 0), long_tailed([100, 100, 100], 1)
    pool = Pool.of(made.drop(columns="y"), made["y"], Source("by hand", "", 0))
    known, bare = Pool.of(real.drop(columns="y"), real["y"], Source("by hand", "", 0)), real.drop(columns="y")
    unaware = fidelity(bare, made.drop(columns="y"), random_state=0)
    assert unaware.two_sample_low > 0.55
    assert unaware.kernel_low > 0
    assert unaware.notes == ()
    for found in (
        fidelity(real, made, target="y", random_state=0),
        fidelity(real, pool, target="y", random_state=0),
        fidelity(bare, pool, labels=(real["y"], made["y"]), random_state=0),
        fidelity(known, pool, random_state=0),
    ):
        assert found.n_used == 200, "100, 60 and 40"
        assert found.two_sample_low < 0.5
        assert found.kernel_low < 0 < found.kernel_high, "blocks of the draw are alike as well"
        assert found.notes == (f"{UNLIKE}.", *([] if np.isnan(found.tstr) else [IN_SAMPLE]))
        assert found.columns["shift"].max() > 0.2, "of all records"
    assert np.isnan(found.tstr), "labels that nobody asked for are not learned"
    unknown = fidelity(bare, pool, random_state=0)
    assert unknown.two_sample_accuracy == unaware.two_sample_accuracy
    assert unknown.notes == (
        "The synthetic records have labels and others have none here: classes of unlike shares alone tell them apart. "
        "Pass `target` or `labels`, and as many records of each class are compared.",
    )


def test_shares_of_classes_of_images_as_well():
    def images(counts, seed):
        y = np.repeat([0, 1], counts)
        noise = np.random.default_rng(seed).integers(0, 100, (len(y), 8, 8))
        return (noise + 100 * y[:, None, None]).astype(np.uint8), y

    real, made = read_images(images([120, 20], 0)), read_images(images([30, 90], 1))
    found = fidelity(real, made, random_state=0)
    assert found.n_used == 50
    assert found.notes == (
        "Classes have unlike shares, which alone would tell the records apart: as many records of each class are "
        "compared.",
    )
    asked = fidelity(real, made, labels=(real.labels, made.labels), random_state=0)
    assert asked.notes == (f"{UNLIKE}.", IN_SAMPLE), "`tstr` and its kind are of all"
    assert found.two_sample_low < 0.5 < fidelity(real.records, made.records, random_state=0).two_sample_low


def test_classes_that_a_side_lacks_are_left_out_and_named():
    real, made, held = long_tailed([300, 40, 30], 0), long_tailed([0, 90, 90], 1), long_tailed([150, 20, 15], 2)
    found = fidelity(real, made, holdout=held, target="y", random_state=0)
    assert found.n_used == 20 + 15
    assert found.notes[0] == found.reference.notes[0] == f"{UNLIKE} and none of class 'a', which a side lacks."
    assert found.recall > 0.5
    samples = Samples.of(real, made, held, None, "y", None)
    drawn = samples.draw(30, 0).alike(30, 0)
    counts = [np.bincount(codes).tolist() for codes in drawn.drawn_codes.values()]
    assert counts[0] == counts[1] == counts[2]
    assert sum(counts[0]) == 30
    apart = fidelity(real[:300], real[300:], labels=(["a"] * 299 + ["b"], ["b"] * 70), random_state=0)
    assert apart.n_used == 70
    assert apart.notes[0].endswith("with as many of each class, fewer than 20 would be left to compare.")
    alike = fidelity(real, held, target="y", random_state=0)
    assert (alike.n_used, alike.notes) == (len(held), (IN_SAMPLE,)), "shares that differ by chance at most are left"


def test_classifiers_learn_from_all_that_was_grown(monkeypatch):
    """Where rare records alone were made, few are left to compare as many of each class, and all are learned from."""
    learned = []

    class Noted(RandomForestClassifier):
        def fit(self, x, y):
            learned.append(len(y))
            return super().fit(x, y)

    monkeypatch.setattr(likeness, "forest", lambda seed: Noted(10))
    real, made = long_tailed([300, 20, 0], 0), long_tailed([150, 150, 0], 1)
    held = long_tailed([290, 30, 0], 2)
    assert fidelity(real, made, target="y", holdout=held, random_state=0).n_used == 150 + 20
    assert {*learned[-3:]} == {300}
    rare = fidelity(real[:310], made[150:], target="y", random_state=0)
    assert (rare.n_used, np.isfinite(rare.two_sample_accuracy)) == (150, True)


def test_features_are_asked_for_once_where_shares_are_alike():
    asked, (real, made) = [], np.random.default_rng(0).normal(size=(2, 60, 3))

    def features(records):
        asked.append(len(records))
        return records

    y = np.arange(60) % 2
    assert np.isfinite(fidelity(real, made, labels=(y, y), features=features, random_state=0).tstr)
    assert asked == [60, 60]


def test_images_of_bytes_have_the_figures_of_floats():
    images = np.random.default_rng(0).integers(0, 256, (120, 8, 8), dtype=np.uint8)
    of_bytes = fidelity(images[:60], images[60:], random_state=0)
    of_floats = fidelity(images[:60] / 255, images[60:] / 255, random_state=0)
    assert of_bytes.kernel_distance == pytest.approx(of_floats.kernel_distance)
    assert abs(of_bytes.kernel_distance) < 1
    named = fidelity(images[:60], images[60:], features=image_features, random_state=0)
    assert repr(named) == repr(of_bytes)


def test_records_of_any_kind_by_their_features():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    images = rng.integers(0, 80, size=(120, 4, 4, 3), dtype=np.uint8) + 90 * np.tile(y, 2)[:, None, None, None]
    real, made = images[:60], images[60:]

    def features(records):
        return np.stack([np.asarray(image, float).mean(axis=(0, 1)) for image in records])

    found = fidelity(real, made, labels=(y, y), features=features, random_state=0)
    assert found.columns.empty
    assert found.pairs.empty
    assert (found.tstr, found.trts, found.trtr) == (1, 1, 1)
    assert found.precision > 0.8
    texts = fidelity(["a", "bb"] * 20, ["c"] * 30, features=lambda texts: [[float(len(text))] for text in texts])
    assert texts.n_used == 30


def test_it_reads_well_and_goes_to_json(found):
    assert repr(found).startswith("Fidelity(mean shift 0.1")
    text = found.to_markdown()
    assert text.startswith("120 synthetic records against 160 real ones; 100 of each for all but the columns.\n\n")
    assert "| synthetic | held out | what it is |" in text
    assert "| two_sample_accuracy |" in text
    assert "nan" not in text
    state = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert state["precision"] == found.precision
    assert state["columns"][0]["column"] == "age"
    assert state["reference"]["reference"] is None
    with pytest.raises(AttributeError, match="cannot assign"):
        found.precision = 1.0


def test_what_cannot_be_told_is_nan_with_a_reason():
    real = pd.DataFrame({"a": np.arange(40.0), "b": np.nan, "c": "same", "y": ["n"] * 39 + ["p"]})
    made = pd.DataFrame({"a": [None] * 30, "b": np.nan, "c": "same", "y": ["n"] * 30})
    found = fidelity(real, made, target="y", random_state=0)
    assert found.columns["shift"].isna().tolist() == [True, True, False, False]
    assert found.columns["shift"][2] == 0
    assert np.isnan(found.tstr)
    assert found.notes[:3] == (
        "Column 'a' has no shift: all its values are missing on one side.",
        "Column 'b' has no shift: all its values are missing on one side.",
        "7 of 7 associations are unknown: a column is constant, missing, or another level in every row.",
    )
    assert "All 30 synthetic records drawn are of one class: nothing can be learned from them." in found.notes
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["tstr"] is None


def test_a_class_of_one_record_leaves_the_other_figures():
    x = pd.DataFrame({"a": np.arange(40.0), "y": ["n"] * 39 + ["p"]})
    found = fidelity(x, pd.concat([x, x]), target="y", random_state=0)
    assert found.notes == ("A class has a single real record drawn: `trtr` needs two, or a holdout.",)
    assert np.isnan(found.trtr)
    assert found.trts > 0
    many = fidelity(x, x.assign(y=["n", "p"] * 20), holdout=x, target="y", random_state=0)
    assert many.trtr > 0


def test_pairs_of_many_columns_are_drawn():
    x = pd.DataFrame(np.random.default_rng(0).normal(size=(10, 60)))
    found = fidelity(x, x, random_state=0)
    assert len(found.columns) == 60
    assert len(found.pairs) == 2 * 50 * 49 / 2
    assert found.notes[0] == "Pairs are those of 50 of the 60 columns, drawn by the seed."


def test_columns_that_cannot_be_read_are_named():
    table = pd.DataFrame({"a": [b"\xff", b"\xfe"], "b": [1j, 2j]})
    with pytest.raises(DataError) as caught:
        fidelity(table, table)
    lines = str(caught.value).splitlines()
    assert lines[0] == "4 problems:"
    assert lines[1].startswith("- `real`: Column 'a', of dtype object, cannot be read (")
    assert lines[4] == (
        "- `synthetic`: Column 'b', of dtype complex128, cannot be read (it holds complex numbers): convert it, for "
        "example with `.map(repr)`, or drop it."
    )


def test_few_records_are_measured_column_by_column_only():
    table = pd.DataFrame({"a": [1, 2, 3], "y": ["n", "n", "p"]})
    found = fidelity(table, table, target="y", random_state=0)
    assert found.columns["shift"].tolist() == [0, 0]
    assert all(np.isnan(getattr(found, name)) for name in FIGURES)
    assert found.notes[-3:] == (
        "3 records a side are too few to compare as a whole: 20 are needed.",
        "The 3 real records drawn are of 2 classes: too few of each to learn from.",
        "The 3 synthetic records drawn are of 2 classes: too few of each to learn from.",
    )
    assert (
        repr(fidelity([1], [2], features=lambda records: np.ones((1, 1))))
        == "Fidelity(nothing can be told; see `notes`)"
    )


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, None, 2] * 5, dtype="Int64"), pd.Series([True, None, False] * 5, dtype="boolean"),
        pd.Series([None] * 15, dtype="float64"), pd.Series([None] * 15, dtype="object"),
        pd.Series([np.inf, -np.inf, 1.0] * 5), pd.Series(["a", None, "b"] * 5),
        pd.Series([1, "a", None] * 5, dtype=object), pd.Series(pd.to_datetime(["2020-01-01", None, "2021-01-01"] * 5)),
        pd.Series(pd.to_timedelta([1, None, 2] * 5, unit="D")), pd.Series([2] * 15, dtype="uint8"),
        pd.Series(pd.Categorical([1, None, 3] * 5)), pd.Series(pd.to_datetime(["2020-01-01"] * 15, utc=True)),
        pd.Series([1e300, -1e300, 0.0] * 5), pd.Series(range(15)).astype(str),
    ],
    ids=lambda column: str(column.dtype),
)  # fmt: skip
def test_any_column_against_itself_has_not_moved(column):
    table = pd.DataFrame({"a": column, "b": np.arange(15.0), "c": ["x", "y", "z"] * 5})
    found = fidelity(table, table, random_state=0)
    shift = found.columns["shift"][0]
    assert np.isnan(shift) if column.isna().all() else shift == 0
    known = found.pairs.dropna()
    assert known["difference"].tolist() == pytest.approx([0] * len(known), abs=1e-9)
    without = fidelity(table, table.assign(a=[None] * 15), random_state=0)
    assert np.isnan(without.columns["shift"][0])
    assert without.columns["missing_synthetic"][0] == 1


A = pd.DataFrame({"a": [1.0, 2.0], "y": ["n", "p"]})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"synthetic": A.rename(columns={"a": "b"})},
            "2 problems:\n- `synthetic` lacks column 'a'.\n- `synthetic` has column 'b', which `real` lacks: drop it.",
        ),
        ({"synthetic": A[:0]}, "Expected at least one record in `synthetic`, got none."),
        ({"real": A[[]], "synthetic": A[[]]}, "Expected at least one column in `real`, got none."),
        (
            {"synthetic": A.assign(a=["1", "2"])},
            "Column 'a' holds categories in `synthetic` and numbers in `real`: give it the same dtype in both.",
        ),
        ({"synthetic": pd.concat([A, A], axis=1)}, "Two columns of `synthetic` are called 'a': rename one."),
        (
            {"synthetic": A.to_numpy(object)[0]},
            "Expected `synthetic` to be of the kind of `real`, a DataFrame, got a ndarray.",
        ),
        ({"holdout": 3}, "Expected `holdout` to be a table, an array or a list, got a int."),
        (
            {"real": ["a"], "synthetic": ["b"]},
            "Expected `real` to be a table or an array (n, d), got a list: give `features`, which turn such records "
            "into numbers.",
        ),
        ({"target": "z"}, "Expected `target` to be a column of the tables, got 'z'."),
        (
            {"real": A[["y"]], "synthetic": A[["y"]], "target": "y"},
            "Expected a column beside the target 'y' to learn from, got none.",
        ),
        ({"target": "y", "labels": ([0, 1], [0, 1])}, "Expected `target` or `labels`, got both."),
        ({"labels": [[0, 1]]}, "Expected 2 `labels`, of real, synthetic, got 1."),
        ({"labels": [[0, 1], [0]]}, "Expected as many labels as records in `synthetic`, got 1 and 2."),
        ({"target": "y", "synthetic": A.assign(y=["n", "q"])}, "Unknown label 'q': known are 'n', 'p'."),
        ({"max_rows": 19}, "Expected `max_rows` of at least 20, got 19."),
        (
            {"features": lambda table: np.ones(2)},
            "Expected `features` to turn the 2 records of `real` into numbers of shape (2, d), as many columns for "
            "all, got float64 of shape (2,).",
        ),
        (
            {"features": lambda table: np.full((2, 1), np.nan)},
            "Expected `features` to give finite numbers, got nan for `real`.",
        ),
    ],
)
def test_whole_messages(arguments, message):
    with pytest.raises((DataError, DataTypeError, ParameterError)) as caught:
        fidelity(**{"real": A, "synthetic": A, **arguments})
    assert str(caught.value) == message


def test_a_continuous_target_is_refused():
    with pytest.raises(DataError, match="this looks continuous"):
        fidelity(A.assign(y=[0.5, 1.5]), A.assign(y=[0.5, 1.5]), target="y")


def test_it_is_made_by_hand_too():
    empty = pd.DataFrame(columns=["column", "kind", "shift", "missing_real", "missing_synthetic"])
    bare = Fidelity(empty, pd.DataFrame(columns=["difference"]), n_real=1, n_synthetic=1, n_used=1)
    assert bare.to_dict()["tstr"] is None


def test_lists_with_features_of_their_own_are_left_as_they_are():
    texts = [{"ids": np.full((1, 4), i), "mask": np.ones((1, 4))} for i in range(40)]
    found = fidelity(texts[:20], texts[20:], features=lambda rows: np.array([row["ids"][0] for row in rows]))
    assert found.n_used == 20


def test_lists_of_items_are_data_sets():
    digits = load_digits()
    items = [
        ((image * 15).astype(np.uint8), int(y)) for image, y in zip(digits.images[:150], digits.target, strict=False)
    ]
    images, labels = np.stack([image for image, _ in items]), [label for _, label in items]
    parts = slice(50), slice(50, 100), slice(100, 150)
    assert repr(fidelity(*(items[part] for part in parts[:2]), random_state=0)) == repr(
        fidelity(*(read_images((images[part], labels[part])) for part in parts[:2]), random_state=0)
    )
    real, made, unseen = parts
    found = privacy_risk(
        items[real], images[made], [{"image": i, "label": y} for i, y in items[unseen]], random_state=0
    )
    expected = privacy_risk(
        images[real], images[made], images[unseen], labels=(labels[real], labels[unseen]), random_state=0
    )
    assert found.verdict() == expected.verdict()
    with pytest.raises(DataTypeError, match=r"Expected `real` to hold records, got a path: read it, such as with"):
        fidelity("images", images)
