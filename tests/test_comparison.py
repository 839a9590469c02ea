import copy
import inspect
import pickle
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import RandomOverSampler
from scipy import sparse, stats
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.metrics import balanced_accuracy_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    LeaveOneGroupOut,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from synthaug import AutoResampler, choose
from synthaug.errors import DataError, ParameterError, StorageError, SynthaugWarning
from synthaug.evaluate.adapters import ClassWeight, TunedThreshold
from synthaug.evaluate.baselines import Duplicate, Jitter, Smote
from synthaug.evaluate.comparison import compare
from synthaug.evaluate.paired import make_splits
from synthaug.evaluate.priors import regressor_problem
from synthaug.evaluate.results import Comparison
from synthaug.evaluate.stats import bootstrap, corrected_resampled_t, splits_needed
from synthaug.evaluate.training import compare_training
from synthaug.evaluate.wording import Unit, verdict
from synthaug.fingerprint import digests, fingerprint
from synthaug.pool import Pool, Source
from synthaug.report import page


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
        compare(arms, **settings, random_state=seed, n_jobs=n).scores.drop(columns=["seconds", "peak_mb"])
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
    assert found.skipped == (("weights", "knn", "it has no class weights"),)
    gains = found.gains()
    assert gains["estimator"].tolist() == ["lr", "all"]
    assert gains.loc[0, "gain"] == gains.loc[1, "gain"]
    assert "weights was not run with knn: it has no class weights." in found.to_markdown()


def test_default_arms_on_a_frame_of_mixed_columns():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.integers(18, 80, 90), "town": rng.choice(["Ulm", "Bonn"], 90)})
    y = pd.Series(np.where(rng.random(90) < 0.2, "yes", "no"), name="churn")
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["town"]), remainder="passthrough"), LogisticRegression()
    )
    found = compare(None, model, frame, y, cv=3, random_state=0)
    assert found.arms == ("real", "duplicate", "class_weight", "threshold", "smote", "jitter", "gaussian")
    assert found.estimators == ("LogisticRegression",)
    assert found.failures.empty
    assert list(found.scores) == ["arm", "estimator", "split", "metric", "score", "seconds", "peak_mb", "added"]
    assert len(found.scores) == 21


def test_an_arm_that_raises_is_left_out_and_told_once(problem):
    X, y = problem
    arms = {"broken": Broken(), "half": Broken(lambda X: X[0, 0] > 0), "dup": Duplicate()}
    with pytest.warns(SynthaugWarning) as caught:
        found = compare(arms, GaussianNB(), X, y, cv=6, random_state=0)
    n_failed = int((found.failures["arm"] == "half").sum())
    assert 0 < n_failed < 6
    line = inspect.getsource(Broken).split("\n").index('            raise RuntimeError("no luck")')
    where = f"(in fit_resample, test_comparison.py, line {inspect.getsourcelines(Broken)[1] + line})"
    assert [str(warning.message) for warning in caught] == [
        f"Without a score: 'broken' in 6 of 6 cells, first with RuntimeError: no luck {where}; "
        f"'half' in {n_failed} of 6 cells, first with RuntimeError: no luck {where}"
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
    assert str(caught.value).startswith(
        "The real data alone gave no score at all; the first error was RuntimeError: no luck (in fit, test_comparison."
    )


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

    real = 100 * found.scores.query("arm == 'real'").groupby("estimator")["score"].mean()
    assert pooled["low"] > 0
    assert found.to_markdown() == (
        f"dup adds {cell(pooled).replace(' ', ' points ', 1)} of balanced accuracy.\n\n"
        "| gain in balanced_accuracy (points) | near | far | all |\n"
        "| --- | --- | --- | --- |\n"
        f"| (score of real alone) | {real['near']:.1f} | {real['far']:.1f} | {real.mean():.1f} |\n"
        f"| dup | {cell(near, '+')} | {cell(far, '+')} | {cell(pooled, '+')} |"
    )
    pd.testing.assert_frame_equal(found.to_dataframe(), found.gains())


def test_verdict_when_nothing_helps(problem):
    found = compare({"again": None}, GaussianNB(), *problem, cv=2, scoring="neg_log_loss", random_state=0)
    first = found.to_markdown().splitlines()[0]
    assert first == "Nothing tried helps neg log loss beyond chance (1 tried)."


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


NB, TREE, DUP = GaussianNB(), DecisionTreeClassifier(max_depth=3), {"dup": Duplicate()}
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
            f"- Expected arm 'smote' to be None, a Pool, ClassWeight() or an object with `fit_resample`, got "
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
            {"estimator": {"nb": NB, "line": GridSearchCV(make_pipeline(LinearRegression()), {})}},
            "Expected estimator 'line' to be a classifier, got the regressor LinearRegression: classes are predicted. "
            "Use LogisticRegression.",
        ),
        (
            {"estimator": PoissonRegressor()},
            "Expected estimator 'PoissonRegressor' to be a classifier, got the regressor PoissonRegressor: classes are "
            "predicted.",
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


def test_a_regressor_is_not_chosen_for(problem):
    told = r"^Expected estimator 'Ridge' to be a classifier, got the regressor Ridge: classes are predicted\. Use Ridge"
    for door in (choose, lambda model, X, y: AutoResampler(model).fit_resample(X, y)):
        with pytest.raises(ParameterError, match=told):
            door(Ridge(), *problem)
    assert regressor_problem("plain", SimpleNamespace(fit=None, predict=None)) == []


class Spy:
    """An arm that notes the rows that it is given by their column "id"."""

    def __init__(self, seen):
        self.seen = seen

    def __deepcopy__(self, memo):
        return Spy(self.seen)

    def fit_resample(self, X, y):
        self.seen.append(X["id"].tolist())
        return X, y


def numbered(X):
    return pd.DataFrame(X).add_prefix("x").assign(id=np.arange(len(X)))


@pytest.mark.parametrize("cv", [None, 3, GroupKFold(4), StratifiedGroupKFold(3), LeaveOneGroupOut()], ids=str)
def test_rows_of_one_group_stay_together(problem, cv):
    X, y = problem
    groups, seen = np.array(["a", "b", "c", "d", "e", "f"])[np.arange(len(y)) % 6], []
    found = compare({"spy": Spy(seen)}, NB, numbered(X), y, cv=cv, groups=groups, random_state=0)
    assert len(seen) == len(found.splits) == (10 if cv is None else cv if cv == 3 else cv.get_n_splits(X, y, groups))
    for rows, n_test in zip(seen, found.splits["n_test"], strict=True):
        assert sum((groups == one).sum() for one in set(groups) - set(groups[rows])) == n_test


def test_time_ordered_splits_learn_from_the_past_in_its_order(problem):
    X, y = problem
    seen = []
    found = compare({"spy": Spy(seen)}, NB, numbered(X), y, cv=TimeSeriesSplit(3), random_state=0)
    assert seen == [list(range(n)) for n in (60, 120, 180)]
    assert found.splits["n_test"].tolist() == [60] * 3


def test_groups_that_a_split_tears_apart_are_refused(problem):
    X, y = problem
    with pytest.raises(DataError) as caught:
        compare(DUP, NB, X, y, cv=TimeSeriesSplit(3), groups=np.arange(240) // 90, random_state=0)
    assert str(caught.value) == (
        "2 problems:\n"
        "- Split 0: 1 groups have rows in both train and test: let `cv` keep them apart, such as "
        "`GroupKFold()`, or leave `groups` out.\n"
        "- Split 1: 1 groups have rows in both train and test: let `cv` keep them apart, such as "
        "`GroupKFold()`, or leave `groups` out."
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": [1, 2, 3]}, "Expected one group a record, got 3 groups and 8 records."),
        (
            {"groups": "a"},
            "Expected `groups` as one value a record, got 'a': of a column pass its values, `X['a']`.",
        ),
        ({"groups": X8[:, :1]}, f"Expected `groups` as one value a record, got shape {X8[:, :1].shape}."),
        (
            {"groups": [1, 1, 2, 2, 3, 3, None, np.nan]},
            "`groups` is missing in 2 of 8 records: give each a group of its own.",
        ),
        (
            {"X": pd.DataFrame(X8), "groups": pd.Series(range(8), range(1, 9))},
            "`groups` and the records have different indexes: align them with `groups.loc[X.index]`.",
        ),
        (
            {"cv": None, "groups": [1] * 8},
            "Class 0 is in 1 group, and 2 are needed, to learn from one and test on the other.",
        ),
        (
            {"cv": 4, "groups": [1, 1, 2, 2, 3, 3, 3, 3]},
            "Expected `cv` from 2 to 3, the number of groups of the smallest class, 0, got 4.",
        ),
        (
            {"cv": GroupKFold(5), "groups": [1, 1, 2, 2, 3, 3, 3, 3]},
            "`cv` (GroupKFold(n_splits=5, random_state=None, shuffle=False)) cannot split these 8 records: Cannot have "
            "number of splits n_splits=5 greater than the number of groups: 3.",
        ),
        (
            {"cv": GroupKFold(5)},
            "`cv` (GroupKFold(n_splits=5, random_state=None, shuffle=False)) cannot split these 8 records: "
            "The 'groups' parameter should not be None.",
        ),
    ],
)
def test_groups_that_do_not_fit(arguments, message):
    with pytest.raises((DataError, ParameterError)) as caught:
        compare(**{"arms": DUP, "estimator": NB, "X": X8, "y": Y8, "cv": 2, "random_state": 0, **arguments})
    assert str(caught.value) == message


def test_a_pool_that_saw_no_test_row_is_an_arm(problem):
    X, y = problem
    table, labels = numbered(X), pd.Series(np.array(["no", "yes"])[y], name="sold")
    train, test = np.arange(160), np.arange(160, 240)
    pool = pool_of(table.iloc[train], labels.iloc[train])
    found = compare({"pool": pool}, KNeighborsClassifier(3), table, labels, cv=[(train, test)], random_state=0)
    twice = KNeighborsClassifier(3).fit(pd.concat([table[:160]] * 2), pd.concat([labels[:160]] * 2))
    expected = balanced_accuracy_score(labels[160:], twice.predict(table[160:]))
    assert found.scores.query("arm == 'pool'")["score"].tolist() == [expected]
    array = compare({"pool": pool}, KNeighborsClassifier(3), table.to_numpy(), labels, cv=[(train, test)])
    assert array.scores.query("arm == 'pool'")["score"].tolist() == [expected]


def test_a_pool_that_saw_test_rows_is_refused(problem):
    X, y = problem
    table = numbered(X)
    splits = [(np.arange(80, 240), np.arange(80)), (np.arange(160), np.arange(160, 240))]
    with pytest.raises(DataError) as caught:
        compare({"ours": pool_of(table[150:170], y[150:170])}, NB, table, y, cv=splits, random_state=0)
    assert str(caught.value) == (
        "Arm 'ours' was fitted on 10 of the 80 test rows of split 1: fit the generator on training rows alone, either "
        "inside the comparison (pass `SynthResampler(...)`) or on the training rows of a split that you pass as "
        "`cv=[(train, test)]`."
    )
    with pytest.raises(DataError, match="^Arm 'ours' cannot be tested: It was not noted which rows the source 'odd'"):
        compare({"ours": Pool.of(table[:9], y[:9], Source("odd", "", 0))}, NB, table, y, cv=splits, random_state=0)


def test_a_pool_may_have_seen_a_twin_of_a_test_row(problem):
    X, y = problem
    table = pd.DataFrame(np.concatenate([X[:100], X[:100]]))
    labels, train = np.concatenate([y[:100], y[:100]]), np.arange(100)
    pool = pool_of(table[:100], labels[:100])
    assert len(compare({"pool": pool}, NB, table, labels, cv=[(train, train + 100)], random_state=0).scores) == 2


def pool_of(records, labels):
    """The real rows as if a generator had made them after it was trained on them."""
    source = Source("copier", fingerprint(records, labels), 0, digests=digests(records, labels))
    return Pool.of(records, pd.Series(labels).reset_index(drop=True).to_numpy(), source)


def test_one_metric_without_a_score_leaves_the_others(problem):
    models = {"nb": GaussianNB(), "svm": OnlyPredicts()}
    with pytest.warns(SynthaugWarning, match=r"^Without a score: 'real' in 3 of 6 cells, first with DataError: Only"):
        found = compare(DUP, models, *problem, cv=3, scoring=["balanced_accuracy", "roc_auc"], random_state=0)
    counts = found.scores.groupby(["metric", "estimator"]).size().to_dict()
    assert counts == {("balanced_accuracy", "nb"): 6, ("balanced_accuracy", "svm"): 6, ("roc_auc", "nb"): 6}
    assert found.failures["error"].str.endswith("(metric 'roc_auc')").all()
    gains = found.gains().set_index(["metric", "estimator"])
    assert gains.loc[("roc_auc", "svm"), "n"] == 0
    assert gains.loc[("roc_auc", "all"), "gain"] == gains.loc[("roc_auc", "nb"), "gain"]


class OnlyPredicts(NearestCentroid):
    """A classifier without probabilities or decisions."""

    predict_proba = decision_function = property()


def test_a_metric_that_no_estimator_can_give(problem):
    with pytest.raises(DataError, match=r"^The real data alone gave no score at all; the first error was DataError: "):
        compare(DUP, OnlyPredicts(), *problem, cv=3, scoring="roc_auc", random_state=0)


def test_a_score_that_is_no_number_is_no_score(problem):
    def sometimes(model, X, y):
        return np.nan if X[0, 0] > 0 else 0.5

    with pytest.warns(SynthaugWarning, match="DataError: The score is nan"):
        found = compare(DUP, NB, *problem, cv=6, scoring={"odd": sometimes}, random_state=0)
    assert 0 < len(found.failures) < 12
    assert found.failures["error"].unique().tolist() == ["DataError: The score is nan. (metric 'odd')"]
    assert found.gains()["n"].tolist() == [6 - len(found.failures) // 2] * 2


def test_one_split_cannot_tell(problem):
    found = compare(DUP, NB, *problem, cv=[(np.arange(120), np.arange(120, 240))], random_state=0)
    assert found.verdict() == (
        "Cannot tell what helps balanced accuracy: no arm has scores of 2 splits or more, which an interval needs."
    )
    assert np.isnan(found.splits_needed()["splits"]).all()


def test_what_may_have_gone_unseen_is_told(problem):
    found = compare({"jitter": Jitter()}, KNeighborsClassifier(), *problem, cv=4, random_state=1)
    high = found.gains().query("estimator == 'all'")["high"].item()
    assert found.verdict() == (
        f"Nothing tried helps balanced accuracy beyond chance (1 tried; a gain of up to {100 * high:.1f} points cannot "
        "be ruled out)."
    )
    with pytest.raises(ParameterError, match=r"^Expected `metric` to be one of balanced_accuracy, got 'f1'\.$"):
        found.verdict("f1")


def test_a_threshold_is_skipped_where_there_is_none():
    X, y = make_classification(150, n_classes=3, n_informative=4, random_state=0)
    found = compare({"threshold": TunedThreshold()}, NB, X, y, cv=3, random_state=0)
    assert found.skipped == (("threshold", "GaussianNB", "a threshold needs 2 classes, and there are 3"),)
    assert found.gains().empty
    assert found.verdict().startswith("Cannot tell")


def test_a_threshold_ranks_as_the_classifier_alone(problem):
    models = {"nb": NB, "forest": RandomForestClassifier(5), "svm": OnlyPredicts()}
    scoring = ["roc_auc", "balanced_accuracy"]
    with pytest.warns(SynthaugWarning, match="has no decision_function or predict_proba"):
        found = compare({"threshold": TunedThreshold()}, models, *problem, cv=3, scoring=scoring, random_state=0)
    gains = found.gains().set_index(["metric", "estimator"])["gain"]
    assert (gains["roc_auc"] == 0).all()
    assert gains[("balanced_accuracy", "nb")] != 0


def test_recalls_and_their_gains(problem):
    X, y = problem
    names = pd.Series(np.array(["no", "yes"])[y])
    found = compare(DUP, {"knn": KNeighborsClassifier(), "nb": NB}, X, names, cv=4, random_state=0)
    mean = found.recalls.groupby(["arm", "estimator", "split"])["recall"].mean()
    scores = found.scores.set_index(["arm", "estimator", "split"])["score"]
    pd.testing.assert_series_equal(mean.sort_index(), scores.sort_index(), check_names=False)
    support = found.recalls.query("arm == 'dup' and estimator == 'nb'").groupby("label")["support"].sum()
    assert support.to_dict() == names.value_counts().to_dict()
    by_class = found.gains_by_class().set_index(["label", "estimator"])
    assert by_class.index.tolist() == [(label, name) for label in ("no", "yes") for name in ("knn", "nb", "all")]
    for name in ("knn", "nb", "all"):
        gain = found.gains().set_index("estimator").loc[name, "gain"]
        assert by_class.xs(name, level="estimator")["gain"].mean() == pytest.approx(gain)
    assert by_class.loc["yes", "support"].tolist() == [(y == 1).sum() / 4] * 3
    yes = found.recalls.query("label == 'yes' and estimator == 'nb'").pivot_table("recall", "split", "arm")
    expected = corrected_resampled_t(yes["dup"] - yes["real"], 180, 60, 0.9)
    row = found.gains_by_class(level=0.9).set_index(["label", "estimator"]).loc[("yes", "nb")]
    assert (row["gain"], row["low"], row["high"]) == pytest.approx((expected.gain, expected.low, expected.high))


def test_classes_of_which_hardly_any_row_is_tested_on_are_told():
    y = np.repeat([0, 1], [40, 4])
    splits = [(np.setdiff1d(np.arange(44), test), np.array(test)) for test in ([0, 1, 2, 40, 41], [3, 4, 5, 42, 43])]
    found = compare({"again": None}, GaussianNB(), np.arange(44.0)[:, None], y, cv=splits, random_state=0)
    assert found.notes() == [
        "Few test rows a split, by class: 1 (2). In such a split one row moves the recall of its class by up to 50 "
        "points, scores that weigh classes alike by up to 25.0: test more of them with larger test parts, collect "
        "more, or merge classes."
    ]


def test_few_rows_of_a_class_give_no_verdict():
    rng, labels = np.random.default_rng(5001), ["no"] * 116 + ["yes"] * 4
    X = rng.normal(size=(120, 2))
    with pytest.warns(SynthaugWarning, match="4 folds are used"):
        found = compare({"weights": ClassWeight()}, TREE, X, labels, random_state=0)
    assert found.data["too_few"] == {"yes": 4}
    assert found.verdict().startswith("Cannot tell what helps balanced accuracy: too few of class yes (4 rows) are")
    known = [*["no"] * 107, *["yes"] * 9, *["maybe"] * 4]
    splits = [(np.arange(0, 120, 2), np.arange(1, 120, 2)), (np.arange(1, 120, 2), np.arange(2, 120, 2))]
    few = compare({"weights": ClassWeight()}, TREE, X, known, cv=splits, random_state=0)
    assert few.too_few() == "class maybe (4 rows), yes (9 rows)"
    one = compare({"again": None}, TREE, X, labels[4:] + labels[:4], cv=[(splits[0])] * 2, random_state=0)
    assert one.too_few() == "class yes (2 rows)"


def test_a_rare_class_does_not_matter_where_every_row_counts_alike():
    y = ["no"] * 60 + ["maybe"] * 55 + ["yes"] * 5
    X = np.random.default_rng(0).normal(size=(120, 2))
    found = compare({"weights": ClassWeight()}, TREE, X, y, scoring=["accuracy", "balanced_accuracy"], random_state=0)
    assert "Cannot tell" not in found.verdict()
    assert found.verdict("balanced_accuracy").startswith(
        "Cannot tell what helps balanced accuracy: too few of class yes"
    )
    assert "Cannot tell" not in page(found)


def test_an_error_in_compiled_code_is_told_with_the_line_that_called_it(problem):
    def too_many(X, y):
        return np.random.default_rng(0).choice(X, 10**6, replace=False), y

    with pytest.warns(SynthaugWarning, match=r"\(in too_many, test_comparison\.py, line \d+\)"):
        compare({"many": Adding(too_many)}, GaussianNB(), *problem, cv=2, random_state=0)


def test_ten_rows_of_a_class_or_none_give_a_verdict():
    """A class of which none are tested on does not sway the score."""
    X = np.random.default_rng(0).normal(size=(120, 2))
    found = compare({"weights": ClassWeight()}, TREE, X, [0] * 110 + [1] * 10, random_state=0)
    assert found.data["too_few"] == {}
    assert "chance" in found.verdict()
    y = np.repeat([0, 1, 2], [60, 55, 5])
    splits = [(np.setdiff1d(np.arange(120), test), test) for test in (np.arange(0, 115, 2), np.arange(1, 115, 2))]
    assert compare({"weights": ClassWeight()}, TREE, X, y, cv=splits, random_state=0).too_few() == ""


def test_costs(problem):
    class Slow:
        def fit_resample(self, X, y):
            time.sleep(0.05)
            return X, y

    costs = compare({"slow": Slow(), "weights": ClassWeight()}, TREE, *problem, cv=2, random_state=0).costs()
    assert costs["arm"].tolist() == ["real", "slow", "weights"]
    assert costs["seconds"].iloc[[0, 2]].tolist() == [0, 0]
    assert costs["seconds"].iloc[1] >= 0.05
    assert costs["peak_mb"].iloc[[0, 2]].tolist() == [0, 0]


def test_bootstrap_intervals_and_splits_needed(problem):
    found = compare(DUP, KNeighborsClassifier(), *problem, cv=5, random_state=0)
    scores = found.scores.pivot_table("score", "split", "arm")
    differences = scores["dup"] - scores["real"]
    row = found.gains(interval="bootstrap", level=0.8).iloc[0]
    expected = bootstrap(differences, 192, 48, 0.8)
    assert (row["gain"], row["low"], row["high"], row["p"]) == (
        expected.gain,
        expected.low,
        expected.high,
        expected.p,
    )
    needed = found.splits_needed(0.03).iloc[0]
    assert needed["splits"] == splits_needed(differences, 192, 48, gain=0.03).splits
    with pytest.raises(ParameterError, match=r"^Expected `interval` to be one of t, bootstrap, got 'normal'\.$"):
        found.gains(interval="normal")


def test_a_comparison_is_stored_in_full(problem, tmp_path):
    X, y = problem
    arms = {"weights": ClassWeight(), "half": Broken(lambda X: X["id"].iloc[0] > 0)}
    models = {"tree": TREE, "knn": KNeighborsClassifier()}
    with pytest.warns(SynthaugWarning):
        found = compare(arms, models, numbered(X), y == 1, cv=4, scoring=["accuracy", "roc_auc"], random_state=3)
    found.to_json(tmp_path / "found.json")
    back = Comparison.from_json(tmp_path / "found.json")
    for name in ("scores", "recalls", "splits", "failures"):
        pd.testing.assert_frame_equal(getattr(back, name), getattr(found, name))
    for name in ("skipped", "arms", "estimators", "seed", "data", "versions"):
        assert getattr(back, name) == getattr(found, name)
    assert back.to_markdown() == found.to_markdown()
    assert found.data["n"] == 240
    assert found.data["classes"] == {"False": int((y == 0).sum()), "True": int((y == 1).sum())}
    assert found.data["columns"][-1] == "id"
    assert found.data["fingerprint"] == fingerprint(numbered(X), y == 1)


def test_anything_else_is_not_read_as_a_comparison(tmp_path):
    (tmp_path / "no.json").write_text('{"kind": "a poem"}')
    with pytest.raises(StorageError) as caught:
        Comparison.from_json(tmp_path / "no.json")
    assert str(caught.value) == (
        "This is no comparison as `to_dict` writes it (it is of kind 'a poem'): make it again."
    )
    with pytest.raises(StorageError, match="'scores'"):
        Comparison.from_dict({"kind": "synthaug comparison"})


@pytest.mark.long
def test_the_harness_costs_less_than_a_twentieth_of_the_fits():
    X, y = make_classification(200, 20, random_state=0)
    models = {"forest": RandomForestClassifier(50), "boosting": HistGradientBoostingClassifier(max_iter=40)}
    splits = make_splits(None, X, pd.Series(y), 0)

    def bare():
        for _ in range(4):
            for train, test in splits:
                for model in models.values():
                    balanced_accuracy_score(y[test], clone(model).fit(X[train], y[train]).predict(X[test]))

    def ours():
        compare({f"again {i}": None for i in range(3)}, models, X, y, cv=splits, random_state=0)

    def seconds(run):
        start = time.process_time()  # of the processor: others may use it, too
        run()
        return time.process_time() - start

    with threadpool_limits(1):
        times = [(seconds(ours), seconds(bare)) for _ in range(4)]
    with_harness, alone = map(min, zip(*times, strict=True))
    assert with_harness < 1.05 * alone


def test_the_verdict_names_the_nearest_where_many_tries_leave_nothing_sure():
    pooled = pd.DataFrame(
        {"arm": ["a", "b"], "gain": [0.05, 0.01], "low": [0.01, -0.02], "high": [0.09, 0.04], "n": 9, "p_holm": 0.08}
    )
    assert verdict(pooled, Unit("balanced_accuracy", share=True)) == (
        "Nothing tried helps balanced accuracy beyond chance (2 tried; the nearest, a, adds 5.0 points [1.0, 9.0])."
    )


def test_a_gain_that_is_the_same_in_too_few_splits_is_told_as_that():
    found = compare_training(
        {"twice": lambda dataset, indices, seed: indices * 2}, lambda items, seed: len(items),
        lambda n, items: 1.0 if n > 10 else 0.5, list(range(12)), 3, random_state=0,
    )  # fmt: skip
    assert str(found).startswith(
        "Nothing tried helps score beyond chance (1 tried; the nearest, twice, adds 50.0 points [50.0, 50.0] in each "
        "of 3 splits, too few to be sure)."
    )


def test_the_verdict_is_short_and_names_all_that_is_sure():
    rows = [("c", 0.01), ("worst", -0.03), ("a", 0.0312), ("b", 0.02), ("bad", -0.02)]
    pooled = pd.DataFrame(
        [{"arm": n, "gain": g, "low": g - 0.005, "high": g + 0.005, "n": 9, "p_holm": 0.01} for n, g in rows]
    )
    assert verdict(pooled, Unit("accuracy", share=True)) == (
        "a adds 3.1 points [2.6, 3.6] of accuracy; b adds 2.0, c 1.0; worst costs 3.0, bad 2.0."
    )
    assert verdict(pooled[pooled["gain"] < 0], Unit("neg_log_loss", share=False)) == (
        "Nothing tried helps neg log loss beyond chance (2 tried); worst costs 0.030 [0.025, 0.035]; bad costs 0.020 "
        "[0.015, 0.025]."
    )


def test_rows_that_were_not_added_are_not_judged(problem):
    """Equal classes and no `amount`: every arm that makes rows leaves them as they are."""
    X, y = problem
    rows = np.concatenate([np.flatnonzero(y == label)[:30] for label in (0, 1)])
    X, y = X[rows], y[rows]
    arms = {"dup": Duplicate(), "smote": Smote()}
    remedy = (
        "Without `amount`, classes only grow to the size of the largest: say how many rows to add, such as 0.5 for "
        "half as many as there are."
    )
    found = compare(arms, NB, X, y, cv=3, random_state=0)
    assert found.verdict() == f"Nothing was tried: no arm added rows. {remedy}"
    assert found.to_markdown().startswith(found.verdict())
    assert found.idle() == {"dup": 0.0, "smote": 0.0}
    html = page(found)
    assert f"<h1>{found.verdict()}</h1>" in html
    assert "Say how many rows to add, and measure again." in html
    some = compare({**arms, "weights": ClassWeight()}, TREE, X, y, cv=3, random_state=0).verdict()
    assert some == f"Nothing tried helps balanced accuracy beyond chance (1 tried). dup, smote added no rows. {remedy}"
    assert compare({"dup": Duplicate(amount=9)}, NB, X, y, cv=3, random_state=0).idle() == {}


class Changed:
    """An arm that gives other labels, and with `more` a first few rows twice."""

    def __init__(self, change, more=0):
        self.change, self.more = change, more

    def fit_resample(self, X, y):
        return np.concatenate([X, X[: self.more]]), np.concatenate([self.change(y), y[: self.more]])


def test_an_arm_that_changes_rows_and_keeps_their_number_is_judged(problem):
    arms = {"mixed up": Changed(lambda y: y[::-1]), "turned": Changed(lambda y: 1 - y, more=1)}
    found = compare(arms, NB, *problem, random_state=0)
    assert found.idle() == {"turned": 1.0}
    told = found.verdict()
    assert "mixed up costs" in told
    assert "turned costs" in told
    assert told.startswith("Nothing tried helps balanced accuracy beyond chance (2 tried")
    assert compare({"same": Changed(lambda y: y)}, NB, *problem, random_state=0).idle() == {"same": 0.0}


def test_a_label_that_is_not_there_is_named(problem):
    X, y = problem
    names = np.array(["no", "yes"])[y]
    arms = {"odd": Changed(lambda y: np.where(y == "no", "maybe", y)), "none": Empty()}
    with pytest.warns(SynthaugWarning, match="'odd' in 2 of 2 cells"):
        found = compare(arms, NB, X, names, cv=2, random_state=0)
    told = found.failures.groupby("arm")["error"].unique()
    assert told["odd"].tolist() == [
        "DataError: The arm gives rows of class 'maybe', and the classes in `y` are 'no', 'yes'."
    ]
    assert told["none"].tolist() == ["TypeError: 'NoneType' object is not subscriptable"]
    assert compare({"kept": Changed(lambda y: y.astype(float))}, NB, X, y, cv=2, random_state=0).failures.empty


class Empty:
    def fit_resample(self, X, y):
        return None


def test_a_comparison_can_be_pickled_and_copied(problem):
    found = compare(DUP, NB, *problem, cv=2, random_state=0)
    for again in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert again.to_dict() == found.to_dict()
        assert str(again) == str(found)
    found.versions["numpy"] = "0"
    assert compare(DUP, NB, *problem, cv=2, random_state=0).versions["numpy"] == np.__version__


@pytest.mark.parametrize("name", ["d2_log_loss_score", "mutual_info_score"])
def test_scores_without_bounds_are_no_points(name):
    X, y = np.arange(40.0)[:, None], np.repeat([0, 1], 20)
    found = compare(DUP, TREE, X, y, cv=2, scoring={name: lambda model, X, y: 0.5}, random_state=0)
    assert not found.unit(name).share
    assert "points" not in str(found)
