"""Choosing: moves away from the prior only on evidence, says "none" to noise, and is a resampler like any other."""

import numpy as np
import pandas as pd
import pytest
import sklearn.pipeline
from imblearn.pipeline import Pipeline, make_pipeline
from imblearn.utils import estimator_checks as imblearn_checks
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from synthaug import AutoResampler, ClassGaussian, Duplicate, Smote, Synthesizer, augment, choose, preparation
from synthaug.auto import choose_each
from synthaug.decisions import NONE
from synthaug.errors import DataError, ParameterError, SynthaugWarning
from synthaug.evaluate.baselines import ClassSampler
from synthaug.evaluate.paired import make_splits
from synthaug.evaluate.priors import Prior, benchmark_gains, estimator_kind, prior, update
from synthaug.evaluate.signal import label_signal, null_deviation
from synthaug.mix.resample import SynthResampler
from synthaug.oversampling import RowSampler

CHEAP = {"gaussian": ClassGaussian(amount=1.0), "smote": Smote(amount=1.0)}


CODES = sklearn.pipeline.make_pipeline(preparation(), KNeighborsClassifier())


class Liar(ClassSampler):
    """Rows of another class under this label: it can only harm."""

    def _sample(self, frame, y, label, n, rng):
        return frame.iloc[rng.choice(np.flatnonzero(y != label), n)]


class Broken(RowSampler):
    """An arm that raises."""

    def _rows(self, frame, y, counts, seed):
        raise RuntimeError("no rows today")


@pytest.fixture
def table():
    X, y = load_breast_cancer(as_frame=True, return_X_y=True)
    rows = np.random.default_rng(0).choice(len(X), 120, replace=False)
    return X.iloc[rows], y.iloc[rows]


QUICK = AutoResampler(KNeighborsClassifier(3), {"gaussian": ClassGaussian(amount=1.0)}, random_state=0)
imbalanced = imblearn_checks.parametrize_with_checks([QUICK])


class Picky(KNeighborsClassifier):
    """A classifier that takes nothing."""

    def fit(self, X, y):
        raise ValueError("no such columns, please")


@parametrize_with_checks([QUICK])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


FIXED = ["check_samplers_sampling_strategy_fit_resample"]  # sets a strategy, which a choice has not


@pytest.mark.long  # each chooses among a thousand rows, several times
@pytest.mark.parametrize(imbalanced.args[0], list(imbalanced.args[1]), **imbalanced.kwargs)
def test_imbalanced_learn_checks(estimator, check):
    if check.func.__name__ not in FIXED:
        check(estimator)


def test_an_arm_that_harms_is_left_out(table):
    decision = choose(KNeighborsClassifier(), *table, {"liar": Liar(amount=2.0)}, random_state=0)
    assert decision.choice == NONE
    assert decision.table["seen"].item() < -0.02
    assert decision.reason == "Leave the data alone: nothing tried is expected to raise balanced accuracy."


def test_the_better_of_two_is_taken_and_the_table_tells_why(table):
    candidates = {"liar": Liar(amount=2.0), "gaussian": ClassGaussian(amount=2.0)}
    decision = choose(KNeighborsClassifier(), *table, candidates, random_state=0)
    assert decision.choice == "gaussian"
    assert decision.table["n"].tolist() == [3, 6], "successive halving: the worse half sees half of the splits"
    assert str(decision).startswith("Take gaussian: expected to add ")
    assert "] of balanced accuracy, after +" in str(decision)
    assert "| gaussian | +" in decision.to_markdown()


def test_noise_is_left_alone(table):
    """The rate over 20 shuffles; a benchmark has more."""
    X, y = (part.reset_index(drop=True) for part in table)
    splits = make_splits(StratifiedKFold(3, shuffle=True), X, y, 0)
    shuffled = [y.sample(frac=1, random_state=seed).reset_index(drop=True) for seed in range(20)]
    found = [label_signal(X, noise, splits, seed=seed).there for seed, noise in enumerate(shuffled)]
    assert sum(found) <= 3  # with a rate of 5% more than 3 of 20 happen in 1.6%
    quiet = shuffled[found.index(False)]
    decision = choose(KNeighborsClassifier(), X, quiet, CHEAP, cv=splits, random_state=found.index(False))
    assert decision.choice == NONE
    assert decision.reason.startswith("Leave the data alone: it cannot be told")


def test_one_split_is_no_partition():
    """Few rows tested: their number counts, not that of the table."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(150, 4))).rename(columns=str)
    split = [(np.arange(120), np.arange(120, 150))]
    tries = [label_signal(X, pd.Series(rng.permutation(np.arange(150) % 2)), split, seed=i).p for i in range(20)]
    assert sum(p <= 0.05 for p in tries) <= 3


def test_unused_levels_of_the_target_change_nothing(table):
    X, y = table
    named = pd.Series(pd.Categorical(y.map({0: "m", 1: "b"}), categories=["b", "m", "zzz"]), index=y.index)
    model = KNeighborsClassifier()
    with_unused, without = (choose(model, X, one, CHEAP, random_state=0) for one in (named, named.astype(str)))
    assert with_unused.signal == without.signal
    assert with_unused.table["n"].tolist() == without.table["n"].tolist()


def test_the_signal_has_the_null_deviation_of_mann_whitney():
    """Against a simulation: random scores in each of three folds."""
    rng, counts, folds = np.random.default_rng(0), np.array([60, 30]), 3
    aucs = []
    for _ in range(2000):
        fold = []
        for _ in range(folds):
            ranks = rng.permutation(counts.sum() // folds)
            a, b = counts // folds
            fold.append((ranks[:b].sum() - b * (b - 1) / 2) / (a * b))
        aucs.append(np.mean(fold))
    assert null_deviation(counts, folds) == pytest.approx(np.std(aucs), rel=0.05)


def test_the_signal_is_found_where_there_is_one(table):
    X, y = table
    splits = [(np.arange(80), np.arange(80, 120)), (np.arange(40, 120), np.arange(40))]
    found = label_signal(X.reset_index(drop=True), y.reset_index(drop=True), splits, seed=0)
    assert found.there
    assert found.auc > 0.9
    assert found.p < 1e-6


def test_update_is_the_normal_posterior():
    """One arm: precision-weighted mean, by hand."""
    differences = np.array([[0.02], [0.04], [0.03], [0.05]])
    variance = differences.var(ddof=1) * (1 / 4 + 0.5)
    after = update(Prior(("a",), np.array([0.01]), np.array([[4e-4]])), differences, 0.5)
    precision = 1 / 4e-4 + 1 / variance
    assert after.mean[0] == pytest.approx((0.01 / 4e-4 + 0.035 / variance) / precision, rel=1e-3)
    assert after.covariance[0, 0] == pytest.approx(1 / precision, rel=1e-3)


def test_priors_come_from_the_benchmark_and_can_leave_a_table_out():
    """A table of the largest size hears the sizes near it, and tables with columns of its own kind twice as loudly."""
    gains = benchmark_gains()
    about = {"kind": "forest", "metric": "balanced_accuracy"}
    rows = gains[(gains["arm"] == "vae") & (gains[list(about)] == pd.Series(about)).all(axis=1)]
    weights = np.exp(-2 * np.log(rows["n"] / 500) ** 2) * rows["columns"].map({"numeric": 1.0, "mixed": 0.5})
    for n in (500, 10_000):
        expected = prior(["vae"], **about, columns="numeric", n=n)
        assert expected.mean[0] == pytest.approx(np.average(rows["gain"], weights=weights))
    left = prior(["vae"], **about, columns="numeric", n=500, gains=gains[gains["table"] != "yeast4"])
    others = rows["table"] != "yeast4"
    assert left.mean[0] == pytest.approx(np.average(rows["gain"][others], weights=weights[others]))


def test_a_handful_of_rows_is_not_called_noise():
    """Nothing can be told of three rows, so what usually helps decides."""
    rng = np.random.default_rng(0)
    X, y = pd.DataFrame(rng.normal(size=(20, 3))).rename(columns=str), pd.Series([0] * 17 + [1] * 3)
    splits = make_splits(StratifiedKFold(3), X, y, 0)
    assert label_signal(X, y, splits, seed=0).there
    assert choose(KNeighborsClassifier(), X, y, CHEAP, cv=splits, random_state=0).signal.rarest == 3


@pytest.mark.parametrize(
    ("places", "least", "most"),
    [((0, 0, 0), 0, 1), ((0, 2, 0), 10, 10), ((0, 0, 3), 10, 10)],
    ids=["none", "common", "rare"],
)
def test_a_rare_class_beside_common_ones_does_not_keep_noise_from_being_told(places, least, most):
    """Five rows of it have an area above 0.62 by chance in a third of all cases: only beyond chance does it count."""
    y, found = pd.Series([0] * 90 + [1] * 90 + [2] * 5), []
    for seed in range(10):
        x = np.random.default_rng(seed).normal(np.array(places)[y][:, None], size=(185, 3))
        X = pd.DataFrame(x).rename(columns=str)
        found.append(label_signal(X, y, make_splits(StratifiedKFold(3), X, y, 0), seed=seed))
    assert least <= sum(one.there for one in found) <= most
    assert {one.rarest for one in found} == {90}


def test_splits_that_never_test_two_common_classes_together_tell_nothing():
    y = pd.Series([0] * 20 + [1] * 20 + [2] * 4)
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(44, 3))).rename(columns=str)
    splits = [(np.arange(10, 44), np.arange(10)), (np.r_[:20, 30:44], np.arange(20, 30))]
    assert label_signal(X, y, splits, seed=0).there


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (LogisticRegression(), "logistic"),
        (Pipeline([("scale", StandardScaler()), ("knn", KNeighborsClassifier())]), "neighbours"),
        (object(), None),
    ],
)
def test_kinds_of_estimator(model, kind):
    assert estimator_kind(model) == kind


def test_none_gives_the_data_back_as_they_were(table):
    X, y = table
    auto = AutoResampler(KNeighborsClassifier(), {"liar": Liar(amount=2.0)}, random_state=0)
    X_grown, y_grown = auto.fit_resample(X, y)
    pd.testing.assert_frame_equal(X_grown, X)
    pd.testing.assert_series_equal(y_grown, y)
    assert auto.resampler_ is None
    assert not auto.sample_flag_.any()


def test_rows_of_one_group_stay_together_in_the_inner_folds(table):
    """Each row has a twin with the same group: who sees one in training knows the other."""
    X, y = (pd.concat([part, part]) for part in table)
    X = X.set_axis(X.index.astype(str) + np.repeat(["a", "b"], len(X) // 2))
    y = y.set_axis(X.index)
    groups = pd.Series(np.tile(np.arange(len(X) // 2), 2), index=X.index)
    seen = []

    class Spy(ClassSampler):
        def _sample(self, frame, y, label, n, rng):
            seen.append(frame.reset_index(drop=True))
            return frame.iloc[rng.choice(np.flatnonzero(y == label), n)]

    settings = {"random_state": 0, "before": Prior(("spy",), np.zeros(1), np.eye(1))}
    decision = choose(KNeighborsClassifier(), X, y, {"spy": Spy(amount=10)}, groups=groups, **settings)
    assert decision.table["n"].tolist() == [6]
    assert len(seen) == 12  # two classes in each of six splits
    assert all((frame.value_counts() == 2).all() for frame in seen)
    seen.clear()
    choose(KNeighborsClassifier(), X, y, {"spy": Spy(amount=10)}, **settings)
    assert not all((frame.value_counts() == 2).all() for frame in seen)
    with pytest.raises(DataError, match="`groups` and the records have different indexes"):
        choose(KNeighborsClassifier(), X, y, groups=groups.reset_index(drop=True))


def test_few_groups_in_a_class_are_named(table):
    X, y = table
    with pytest.raises(DataError, match="Class 0 is in 1 group, and 2 are needed"):
        choose(KNeighborsClassifier(), X, y, CHEAP, groups=np.where(y == 0, -1, np.arange(len(y))))


def test_a_resampler_takes_groups_in_fit_resample(table):
    X, y = table
    auto = AutoResampler(KNeighborsClassifier(), {"gaussian": CHEAP["gaussian"]}, cv=2, random_state=0)
    with pytest.raises(DataError, match="Expected one group a record, got 3 groups and 120 records"):
        auto.fit_resample(X, y, groups=[1, 2, 3])
    auto.fit_resample(X, y, groups=np.arange(120) // 2)
    paired = auto.decision_.table
    auto.fit_resample(X, y)
    assert not paired.equals(auto.decision_.table)


def test_same_seed_same_rows_and_global_state_untouched(table):
    before = np.random.get_state()[1].tolist()
    first, second = (AutoResampler(KNeighborsClassifier(), CHEAP, random_state=3).fit_resample(*table) for _ in "ab")
    pd.testing.assert_frame_equal(first[0], second[0])
    assert np.random.get_state()[1].tolist() == before


def test_it_works_in_a_pipeline(table):
    X, y = table
    steps = [("grow", AutoResampler(KNeighborsClassifier(), CHEAP, random_state=0)), ("knn", KNeighborsClassifier())]
    assert Pipeline(steps).fit(X, y).predict(X).shape == y.shape


def test_a_candidate_that_fails_is_not_chosen(table):
    with pytest.warns(match="broken"):
        decision = choose(
            KNeighborsClassifier(), *table, {"broken": Broken(amount=9), "gaussian": CHEAP["gaussian"]}, random_state=0
        )
    assert decision.choice != "broken"
    assert decision.table.set_index("candidate").loc["broken", "n"] == 0


def test_several_classifiers_share_the_rows(table):
    models = {"knn": KNeighborsClassifier(), "logistic": make_pipeline(StandardScaler(), LogisticRegression())}
    found = choose_each(models, *table, CHEAP, random_state=0)
    assert list(found) == list(models)
    assert all(len(one.table) == 2 for one in found.values())


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ({}, "Expected at least one candidate, got none"),
        ({"smote": 3}, "Expected candidate 'smote' to be an object with `fit_resample`, got 3."),
        ({"none": Duplicate()}, "The names 'none' and 'real' are taken"),
    ],
)
def test_bad_candidates(table, candidates, message):
    with pytest.raises(ParameterError, match=message.replace("(", r"\(")):
        choose(KNeighborsClassifier(), *table, candidates)


def test_a_class_of_one_row_is_named():
    X, y = make_classification(30, random_state=0)
    y[:] = 0
    y[3] = 1
    with pytest.raises(DataError, match="Class 1 has 1 row"):
        choose(KNeighborsClassifier(), X, y, CHEAP)


def test_a_class_of_one_row_is_named_by_its_label():
    df = pd.DataFrame({"size": np.arange(30.0), "kind": ["no"] * 29 + ["yes"]})
    with pytest.raises(DataError, match="^Class 'yes' has 1 row, and at least 2 are needed"):
        augment(df, "kind", estimator=KNeighborsClassifier(), random_state=0)


@pytest.mark.parametrize(
    ("estimator", "remedy"),
    [
        (sklearn.pipeline.make_pipeline(preparation(), Picky()), "Convert or drop the columns that it cannot take."),
        (Picky(), "Put what prepares them before it, for example `make_pipeline(synthaug.preparation(), model)`."),
    ],
)
def test_what_prepares_is_advised_only_where_there_is_none(table, estimator, remedy):
    with pytest.raises(DataError) as refused:
        choose(estimator, *table, CHEAP)
    name = type(estimator).__name__
    told = str(refused.value)
    assert told.startswith(f"{name} cannot be fitted on the records as they are (ValueError: no such columns, please")
    assert told.endswith(f"). {remedy}")


def test_augment_for_a_classifier(table):
    X, y = table
    df = X.assign(diagnosis=pd.Categorical(y.map({0: "malignant", 1: "benign"})))
    how = {"estimator": KNeighborsClassifier(), "synthesizer": Synthesizer(max_steps=20), "random_state": 0}
    grown = augment(df, "diagnosis", amount=60, flag="new", **how)
    assert grown.attrs["decision"].startswith("Take ")
    assert grown["new"].sum() == 60
    pd.testing.assert_frame_equal(grown.loc[:119, list(df.columns)], df.reset_index(drop=True), check_like=True)
    noise = df.assign(diagnosis=df["diagnosis"].sample(frac=1, random_state=1).to_numpy())
    numbered = df.rename(columns={"diagnosis": 4})
    assert len(augment(numbered, 4, amount=60, **how)) == len(df) + 60
    left = augment(noise, "diagnosis", **how)
    assert len(left) == len(noise)
    assert left.attrs["decision"].startswith("Leave the data alone: it cannot be told")


def test_augment_says_that_it_adds_nothing():
    df = pd.DataFrame({"size": [1.0, 1.2, 5.1, 5.0], "kind": ["small", "small", "big", "big"]})
    message = (
        r"^No row was added: every class has the size that it shall reach \(by default that of the largest\)\. Say how "
        r"many rows to add with `amount`, such as 0\.5 for half as many as there are\.$"
    )
    with pytest.warns(SynthaugWarning, match=message):
        assert len(augment(df, "kind", random_state=0)) == 4
    assert len(augment(df, "kind", amount=0, random_state=0)) == 4  # as was said


def test_identifiers_are_told_once_and_how_to_keep_them(table):
    X, y = table
    X, y = X.iloc[:60].assign(code=[f"id-{i}" for i in range(60)]), y.iloc[:60]
    synthesizer = Synthesizer(max_steps=5)
    start = (
        "The columns 'code' look like identifiers (text in which hardly a value comes twice) and are left out of the "
        "model: synthetic records miss them. Keep them with "
    )
    with pytest.warns(SynthaugWarning) as caught:
        choose(CODES, X, y, {"vae": SynthResampler(synthesizer, amount=20)}, cv=2, random_state=0)
    assert [str(one.message).startswith(start) for one in caught] == [True]
    with pytest.warns(SynthaugWarning) as caught:
        augment(X.assign(kind=y), "kind", amount=20, synthesizer=synthesizer, random_state=0)
    assert [str(one.message) for one in caught] == [
        f"{start}`synthesizer=Synthesizer(TableCodec(identifiers='keep'))` or "
        "`synthesizer=Synthesizer(TableCodec(column_types={'code': 'category'}))`."
    ]
    assert caught[0].filename == __file__
