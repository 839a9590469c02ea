import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import RandomOverSampler
from scipy import sparse, stats
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, make_scorer
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from synthaug.errors import DataError, ParameterError, SynthaugWarning
from synthaug.evaluate.baselines import ClassWeight, Duplicate, Jitter
from synthaug.evaluate.comparison import _verdict, compare


class Adding:
    """Adds rows made by a function of the training rows; a plain object, no estimator."""

    def __init__(self, make):
        self.make = make

    def fit_resample(self, X, y):
        X_new, y_new = self.make(X, y)
        return np.concatenate([X, X_new]), np.concatenate([y, y_new])


class Broken:
    def __init__(self, when=lambda X: True):
        self.when = when

    def fit_resample(self, X, y):
        if self.when(X):
            raise RuntimeError("no luck")
        return X, y


@pytest.fixture(scope="module")
def problem():
    return make_classification(240, weights=[0.85], class_sep=0.7, random_state=0)


def test_a_against_a_is_exactly_zero(problem):
    found = compare({"again": None}, {"nb": GaussianNB(), "rf": RandomForestClassifier(5)}, *problem, random_state=0)
    gains = found.gains()
    assert gains["estimator"].tolist() == ["nb", "rf", "all"]
    assert (gains[["gain", "low", "high", "wins"]] == 0).all(axis=None)
    assert (gains[["p", "p_holm"]] == 1).all(axis=None)
    assert gains["n"].tolist() == [10, 10, 10]


def test_more_of_the_true_data_helps_and_noise_labels_harm():
    rng = np.random.default_rng(0)

    def draw(n):
        y = rng.permutation(np.arange(n) % 2)
        return rng.normal(size=(n, 8)) + 0.6 * y[:, None], y

    def lies(X, y):
        X_new, y_new = draw(400)
        return X_new, 1 - y_new

    X, y = draw(40)
    arms = {"oracle": Adding(lambda X, y: draw(400)), "lies": Adding(lies)}
    test = draw(2000)
    X, y = np.concatenate([X, test[0]]), np.concatenate([y, test[1]])
    splits = [(np.delete(np.arange(40), range(i, 40, 5)), np.arange(40 + 200 * i, 240 + 200 * i)) for i in range(5)]
    found = compare(arms, {"knn": KNeighborsClassifier(1)}, X, y, cv=splits, random_state=0)
    gains = found.gains().set_index(["arm", "estimator"])
    assert gains.loc[("oracle", "all"), "gain"] > 0.02
    assert gains.loc[("lies", "all"), "gain"] < -0.2


def test_gains_are_the_corrected_t_of_paired_differences(problem):
    found = compare({"dup": Duplicate()}, KNeighborsClassifier(), *problem, cv=5, random_state=0)
    scores = found.scores.pivot_table("score", "split", "arm")
    differences = (scores["dup"] - scores["real"]).to_numpy()
    error = np.sqrt(differences.var(ddof=1) * (1 / 5 + 48 / 192))
    row = found.gains().iloc[0]
    assert row["gain"] == pytest.approx(differences.mean())
    assert row["high"] - row["low"] == pytest.approx(2 * stats.t.ppf(0.975, 4) * error)
    assert row["wins"] == (differences > 0).mean()


def test_scores_are_those_of_the_obvious_loop(problem):
    X, y = problem
    splits = list(StratifiedKFold(3).split(X, y))
    found = compare({"again": None}, LogisticRegression(), X, y, cv=splits, random_state=0)
    expected = []
    for train, test in splits:
        model = LogisticRegression().fit(X[train], y[train])
        expected.append(balanced_accuracy_score(y[test], model.predict(X[test])))
    assert found.scores.query("arm == 'real'")["score"].tolist() == expected
    assert found.splits["n_train"].tolist() == [160] * 3
    assert found.splits["n_test"].tolist() == [80] * 3


def test_intervals_of_an_arm_without_effect_cover_zero():
    rng = np.random.default_rng(0)
    covered = []
    for seed in range(25):
        X, y = rng.normal(size=(60, 3)), rng.permutation(np.arange(60) % 3 == 0)
        gains = compare({"jitter": Jitter(sigma=1.0, amount=60)}, GaussianNB(), X, y, random_state=seed).gains()
        covered.append(gains.loc[0, "low"] <= 0 <= gains.loc[0, "high"])
    assert np.mean(covered) >= 0.8


def test_no_arm_sees_a_test_row_and_each_resamples_once_a_split(problem):
    X, y = problem
    seen = []

    class Spy:
        def __init__(self, seen):
            self.seen = seen

        def __deepcopy__(self, memo):
            return Spy(self.seen)

        def fit_resample(self, X, y):
            assert X.index.equals(y.index)
            self.seen.append(set(X["id"]))
            return X, y

    frame = pd.DataFrame(X).add_prefix("x").assign(id=np.arange(len(X)))
    frame.index = frame.index[::-1]
    splits = list(StratifiedKFold(4, shuffle=True, random_state=0).split(X, y))
    models = {"nb": GaussianNB(), "knn": KNeighborsClassifier()}
    compare({"spy": Spy(seen)}, models, frame, pd.Series(y, frame.index), cv=splits, random_state=0)
    assert seen == [set(train) for train, _ in splits]


def test_same_seed_same_scores_for_any_number_of_jobs(problem):
    settings = {"estimator": {"rf": RandomForestClassifier(5)}, "X": problem[0], "y": problem[1], "cv": 3}
    arms = {"dup": RandomOverSampler(), "jitter": Jitter()}
    one, two, other = (
        compare(arms, **settings, random_state=seed, n_jobs=n).scores.drop(columns="seconds")
        for seed, n in ((0, 1), (0, 2), (1, 1))
    )
    pd.testing.assert_frame_equal(one, two)
    assert not one.equals(other)


def test_the_seed_drawn_is_told(problem):
    first = compare({"jitter": Jitter()}, GaussianNB(), *problem)
    second = compare({"jitter": Jitter()}, GaussianNB(), *problem, random_state=first.seed)
    assert first.scores["score"].tolist() == second.scores["score"].tolist()


def test_arms_and_estimators_of_the_user_stay_as_they_are(problem):
    arm, model = Duplicate(), RandomForestClassifier(3)
    compare({"dup": arm}, model, *problem, cv=2, random_state=0)
    assert (arm.random_state, model.random_state) == (None, None)
    assert not hasattr(arm, "sampling_strategy_")
    assert not hasattr(model, "classes_")


def test_class_weights_are_skipped_where_there_are_none(problem):
    models = {"lr": LogisticRegression(), "knn": KNeighborsClassifier()}
    found = compare({"weights": ClassWeight()}, models, *problem, cv=3, random_state=0)
    assert found.skipped == (("weights", "knn"),)
    gains = found.gains()
    assert gains["estimator"].tolist() == ["lr", "all"]
    assert gains.loc[0, "gain"] == gains.loc[1, "gain"]
    assert "weights was not run with knn: it does not apply there." in found.to_markdown()


def test_default_arms_on_a_frame_of_mixed_columns():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.integers(18, 80, 90), "town": rng.choice(["Ulm", "Bonn"], 90)})
    y = pd.Series(np.where(rng.random(90) < 0.2, "yes", "no"), name="churn")
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["town"]), remainder="passthrough"), LogisticRegression()
    )
    found = compare(None, model, frame, y, cv=3, random_state=0)
    assert found.arms == ("real", "duplicate", "class_weight", "smote", "jitter")
    assert found.estimators == ("LogisticRegression",)
    assert found.failures.empty
    assert list(found.scores) == ["arm", "estimator", "split", "metric", "score", "seconds"]
    assert len(found.scores) == 15


def test_an_arm_that_raises_is_left_out_and_told_once(problem):
    X, y = problem
    arms = {"broken": Broken(), "half": Broken(lambda X: X[0, 0] > 0), "dup": Duplicate()}
    with pytest.warns(SynthaugWarning) as caught:
        found = compare(arms, GaussianNB(), X, y, cv=6, random_state=0)
    n_failed = int((found.failures["arm"] == "half").sum())
    assert 0 < n_failed < 6
    assert [str(warning.message) for warning in caught] == [
        "Without a score: 'broken' in 6 of 6 cells, first with RuntimeError: no luck; "
        f"'half' in {n_failed} of 6 cells, first with RuntimeError: no luck"
    ]
    gains = found.gains().query("estimator == 'all'").set_index("arm")
    assert gains["n"].to_dict() == {"broken": 0, "half": 6 - n_failed, "dup": 6}
    assert gains.loc["broken", "p"] == 1
    assert "| broken | no score |" in found.to_markdown()
    assert "broken failed 6 times, first with RuntimeError: no luck" in found.to_markdown()


def test_pooled_gains_count_splits_that_all_estimators_scored(problem):
    class Moody(GaussianNB):
        def fit(self, X, y):
            if len(X) > 192 and X[0, 0] > 0:
                raise RuntimeError("no")
            return super().fit(X, y)

    with pytest.warns(SynthaugWarning, match="'dup' in . of 20 cells, first with RuntimeError: no"):
        found = compare({"dup": Duplicate()}, {"nb": GaussianNB(), "moody": Moody()}, *problem, random_state=0)
    gains = found.gains().set_index("estimator")
    assert gains.loc["all", "n"] == gains.loc["moody", "n"] < gains.loc["nb", "n"]
    scored = found.scores.query("arm == 'dup' and estimator == 'moody'")["split"]
    scores = found.scores[found.scores["split"].isin(scored)].pivot_table("score", ["estimator", "split"], "arm")
    assert gains.loc["all", "gain"] == pytest.approx((scores["dup"] - scores["real"]).mean())


def test_nothing_works(problem):
    class Hopeless(GaussianNB):
        def fit(self, X, y):
            raise RuntimeError("no luck")

    with pytest.raises(DataError) as caught:
        compare({"dup": Duplicate()}, Hopeless(), *problem)
    assert str(caught.value) == ("The real data alone gave no score at all; the first error was RuntimeError: no luck")


def test_scores_of_any_kind(problem):
    def small(model, X, y):
        return float(model.predict(X).mean())

    scoring = {"acc": "accuracy", "small": small, "made": make_scorer(balanced_accuracy_score)}
    found = compare({"dup": Duplicate()}, GaussianNB(), *problem, cv=2, scoring=scoring, random_state=0)
    assert found.scores["metric"].unique().tolist() == ["acc", "small", "made"]
    found = compare({"dup": Duplicate()}, GaussianNB(), *problem, cv=2, scoring=[small, "f1"], random_state=0)
    assert found.scores["metric"].unique().tolist() == ["small", "f1"]
    assert found.gains()["metric"].tolist() == ["small", "small", "f1", "f1"]


def test_arrays_frames_and_sparse_matrices_give_the_same(problem):
    X, y = problem
    tables = [
        compare({"again": None}, LogisticRegression(), records, y, cv=3, random_state=0).scores["score"].tolist()
        for records in (X, pd.DataFrame(X).add_prefix("x"), sparse.coo_array(X), X.tolist())
    ]
    assert all(table == pytest.approx(tables[0]) for table in tables)


@pytest.mark.parametrize("labels", [["b", "a"], [True, False], [3, 1]])
def test_labels_of_any_type(problem, labels):
    X, y = problem
    y = np.array(labels, dtype=object)[y] if isinstance(labels[0], str) else np.array(labels)[y]
    found = compare(None, GaussianNB(), X, y, cv=2, random_state=0)
    assert found.failures.empty


def test_markdown_in_full():
    X, y = make_classification(400, weights=[0.9], random_state=0)
    models = {"near": KNeighborsClassifier(5), "far": KNeighborsClassifier(15)}
    found = compare({"dup": Duplicate()}, models, X, y, random_state=0)
    near, far, pooled = found.gains().to_dict("records")

    def cell(row, sign=""):
        return f"{100 * row['gain']:{sign}.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"

    assert pooled["low"] > 0
    assert found.to_markdown() == (
        f"dup adds {cell(pooled)}, in points of balanced accuracy, over the real data alone.\n\n"
        "| gain in balanced_accuracy (points) | near | far | all |\n"
        "| --- | --- | --- | --- |\n"
        f"| dup | {cell(near, '+')} | {cell(far, '+')} | {cell(pooled, '+')} |"
    )
    pd.testing.assert_frame_equal(found.to_dataframe(), found.gains())


def test_verdict_when_nothing_helps(problem):
    found = compare({"again": None}, GaussianNB(), *problem, cv=2, scoring="neg_log_loss", random_state=0)
    first = found.to_markdown().splitlines()[0]
    assert first == "Nothing tried helps beyond chance (1 tried), in neg log loss, over the real data alone."


def test_versus_another_arm(problem):
    found = compare({"dup": Duplicate(), "jitter": Jitter()}, GaussianNB(), *problem, cv=3, random_state=0)
    there = found.gains("dup").query("arm == 'jitter' and estimator == 'all'")["gain"].item()
    direct = found.gains().query("estimator == 'all'").set_index("arm")["gain"]
    assert there == pytest.approx(direct["jitter"] - direct["dup"])
    with pytest.raises(ParameterError, match=r"^Expected `versus` to be one of real, dup, jitter, got 'smote'\.$"):
        found.gains("smote")


def test_few_rows_mean_fewer_folds_and_a_warning():
    X = np.arange(20.0).reshape(10, 2)
    with pytest.warns(SynthaugWarning) as caught:
        found = compare({"again": None}, GaussianNB(), X, ["a"] * 7 + ["b"] * 3, random_state=0)
    assert str(caught[0].message) == (
        "The smallest class, 'b', has 3 rows: 3 folds are used in place of 5, so the intervals are wide."
    )
    assert caught[0].filename == __file__
    assert len(found.splits) == 6


NB, DUP = GaussianNB(), {"dup": Duplicate()}
X8, Y8 = np.arange(16.0).reshape(8, 2), [0, 1] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"y": ["a"] * 7 + ["b"], "cv": None},
            "Class 'b' has 1 row, and at least 2 are needed, to learn from one and test on the other: collect more, "
            "merge it with another class, or drop it.",
        ),
        ({"y": Y8[:5]}, "Expected as many labels as records, got 5 labels and 8 records."),
        (
            {"X": pd.DataFrame(X8), "y": pd.Series(Y8, range(1, 9), name="sold")},
            "The labels ('sold') and the records have different indexes: align them with `labels.loc[records.index]`, "
            "or pass `labels.to_numpy()` if their order is right as it is.",
        ),
        ({"cv": 5}, "Expected `cv` from 2 to 4, the number of rows of the smallest class, 0, got 5."),
        (
            {"cv": "many"},
            "Expected `cv` to be None, a number of folds, an object with `split`, or a list of (train, test), "
            "got 'many'.",
        ),
        ({"cv": []}, "Expected `cv` to give at least one split, got none."),
        (
            {"cv": [([0, 1, 2], [2, 3]), ([0, 2], [1]), ([0, 1], [8]), ([], [1]), ([0, 2], [4])]},
            "5 problems:\n"
            "- Split 0: 1 rows are in both train and test (first 2): take them apart.\n"
            "- Split 1: class 1 is among the test rows and not among the training rows: use stratified folds "
            "(`cv=None`), merge the class with another, or drop it.\n"
            "- Split 2: expected test rows from 0 to 7, got 8 to 8.\n"
            "- Split 3: expected the train rows as a non-empty list of positions (ints).\n"
            "- Split 4: all training rows are of class 0, and two classes are needed.",
        ),
        (
            {"arms": {"smote": RandomOverSampler, "real": Duplicate()}},
            "2 problems:\n"
            f"- Expected arm 'smote' to be None, ClassWeight() or an object with `fit_resample`, got "
            f"{RandomOverSampler!r}.\n"
            "- Arm 'real' is the real data alone: expected None, or call this arm something else.",
        ),
        (
            {"arms": {}},
            "Expected at least one arm beside 'real', got none: `arms=None` gives the usual ones.",
        ),
        (
            {"estimator": {"all": NB, "text": "lr"}},
            "2 problems:\n- Expected estimator 'text' to be an object with `fit` and `predict`, got 'lr'.\n"
            "- The estimator name 'all' is taken by the pooled gains: choose another.",
        ),
        (
            {"scoring": ["balanced_acuracy"]},
            "Expected `scoring` to be a scorer or the name of one, got 'balanced_acuracy': "
            "did you mean 'balanced_accuracy'?",
        ),
    ],
)
def test_whole_messages(arguments, message):
    with pytest.raises((DataError, ParameterError)) as caught:
        compare(**{"arms": DUP, "estimator": NB, "X": X8, "y": Y8, "cv": 2, "random_state": 0, **arguments})
    assert str(caught.value) == message


def test_groups_through_a_list_of_splits(problem):
    X, y = problem
    groups = np.arange(len(y)) // 8
    splits = list(GroupKFold(4).split(X, y, groups))
    assert len(compare(DUP, NB, X, y, cv=splits, random_state=0).splits) == 4


def test_the_verdict_names_the_nearest_where_many_tries_leave_nothing_sure():
    pooled = pd.DataFrame(
        {"arm": ["a", "b"], "gain": [0.05, 0.01], "low": [0.01, -0.02], "high": [0.09, 0.04], "n": 9, "p_holm": 0.08}
    )
    assert _verdict(pooled, "balanced_accuracy", share=True) == (
        "Nothing tried helps beyond chance (2 tried; the nearest, a, adds 5.0 [1.0, 9.0]), in points of balanced "
        "accuracy, over the real data alone."
    )
