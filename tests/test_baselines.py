import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE
from imblearn.utils import estimator_checks as imblearn_checks
from sklearn.base import ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, TunedThresholdClassifierCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from synthaug.amounts import synthetic_counts
from synthaug.errors import DataError, ParameterError
from synthaug.evaluate.adapters import ClassWeight, TunedThreshold
from synthaug.evaluate.baselines import (
    ClassGaussian,
    Duplicate,
    Jitter,
    Smote,
    _gaussian_rows,
    default_arms,
)

SAMPLERS = [Duplicate(random_state=0), Jitter(random_state=0), Smote(random_state=0), ClassGaussian(random_state=0)]
imbalanced = imblearn_checks.parametrize_with_checks(SAMPLERS)  # pytest wants a list, and this is a generator
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)


class RidgeLike(ClassifierMixin):
    """A classifier that only predicts."""


@parametrize_with_checks(SAMPLERS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(imbalanced.args[0], list(imbalanced.args[1]), **imbalanced.kwargs)
def test_imbalanced_learn_checks(estimator, check):
    check(estimator)


@every_sampler
def test_parameters_are_checked(sampler):
    imblearn_checks.check_param_validation(type(sampler).__name__, sampler)
    imblearn_checks.check_dataframe_column_names_consistency(type(sampler).__name__, sampler)


@pytest.fixture
def mixed():
    rng = np.random.default_rng(0)
    n = 40
    X = pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "income": np.where(rng.random(n) < 0.2, np.nan, rng.lognormal(size=n)),
            "visits": pd.array(np.where(rng.random(n) < 0.2, None, rng.integers(0, 9, n)), dtype="Int64"),
            "member": rng.random(n) < 0.5,
            "town": rng.choice(["Ulm", "Bonn"], n),
            "size": pd.Categorical(rng.choice(["S", "M"], n), ["S", "M", "L"], ordered=True),
            "since": pd.date_range("2020-01-01", periods=n, tz="Europe/Berlin"),
            "small": rng.normal(size=n).astype(np.float32),
            "gone": np.full(n, np.nan),
        },
        index=np.arange(n) * 2 + 7,
    )
    X.loc[X.index[3], ["town", "size", "since"]] = None
    y = pd.Series(["no"] * 28 + ["yes"] * 11 + ["rare"], index=X.index, name="churn", dtype="category")
    return X, y


@every_sampler
def test_originals_first_and_every_dtype_kept(sampler, mixed):
    X, y = mixed
    before = X.copy()
    X_new, y_new = sampler.fit_resample(X, y)
    pd.testing.assert_frame_equal(X, before)
    pd.testing.assert_frame_equal(X_new.iloc[: len(X)], X.reset_index(drop=True))
    pd.testing.assert_series_equal(y_new.iloc[: len(y)], y.reset_index(drop=True))
    assert (X_new.dtypes == X.dtypes).all()
    assert y_new.dtype == y.dtype
    assert y_new.value_counts().to_dict() == {"no": 28, "yes": 28, "rare": 28}
    assert X_new.index.equals(pd.RangeIndex(84))


@every_sampler
def test_new_values_are_legal(sampler, mixed):
    X, y = mixed
    new = sampler.fit_resample(X, y)[0].iloc[len(X) :]
    for column in ("age", "income", "visits", "small"):
        assert new[column].dropna().between(X[column].min(), X[column].max()).all()
    for column in ("member", "town", "size", "since"):
        assert set(new[column].dropna()) <= set(X[column].dropna())
    assert new["gone"].isna().all()


@every_sampler
def test_same_seed_same_rows(sampler, mixed):
    first, second = sampler.fit_resample(*mixed)[0], sampler.fit_resample(*mixed)[0]
    pd.testing.assert_frame_equal(first, second)


@every_sampler
def test_array_of_objects(sampler):
    X = np.array([[1, "a"], [2, "b"], [3, "a"]] * 4, dtype=object)
    y = [0] * 8 + [1] * 4
    X_new, y_new = sampler.fit_resample(X, y)
    assert X_new.dtype == object
    assert all(isinstance(value, int) for value in X_new[:, 0])
    assert np.bincount(y_new).tolist() == [8, 8]


@every_sampler
def test_amount_adds_on_top_of_all_real_rows(sampler):
    X, y = np.random.default_rng(0).normal(size=(30, 3)), [0] * 20 + [1] * 7 + [2] * 3
    sampler = type(sampler)(amount=50, random_state=0)
    X_new, y_new = sampler.fit_resample(X, y)
    assert (X_new[:30] == X).all()
    assert np.bincount(y_new).tolist() == [20 + 17, 7 + 17, 3 + 16]
    assert sampler.sampling_strategy_ == {0: 17, 1: 17, 2: 16}


def test_duplicates_are_real_rows_of_the_class():
    X = np.arange(20).reshape(-1, 1)
    y = np.array([0] * 14 + [1] * 6)
    X_new, y_new = Duplicate(random_state=0).fit_resample(X, y)
    assert set(X_new[y_new == 1, 0]) <= set(range(14, 20))


def test_jitter_has_the_spread_asked_for():
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(0, 1, (2000, 1)), rng.normal(0, 5, (2000, 1))])
    y = np.repeat([0, 1], 2000)
    new = Jitter(sigma=0.5, amount={1: 20_000}, random_state=0).fit_resample(X, y)[0][4000:]
    assert new.std() == pytest.approx(5 * np.sqrt(1 + 0.5**2), rel=0.03)
    assert np.isin(Jitter(sigma=0, amount=50, random_state=0).fit_resample(X, y)[0], X).all()


def test_smote_on_numbers_is_imbalanced_learns_smote_on_standardised_numbers():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 4)) * [1, 10, 100, 1000], np.array([0] * 45 + [1] * 15)
    ours = Smote(random_state=3)
    seeds = []

    class Spy(np.random.Generator):
        def integers(self, *args, **kwargs):
            seeds.append(super().integers(*args, **kwargs))
            return seeds[-1]

    frame = pd.DataFrame(X)
    made = ours._sample(frame, y, 1, 30, Spy(np.random.PCG64(0)))
    expected = SMOTE(random_state=int(seeds[0])).fit_resample(X / X.std(0), y)[0][60:] * X.std(0)
    np.testing.assert_allclose(made.to_numpy(), expected)


def test_smote_lets_near_rows_vote_on_missing_numbers():
    X = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0] * 5, "gap": [1.0, 2.0, 3.0, 4.0] * 4 + [np.nan] * 4})
    y = ["a"] * 16 + ["b"] * 4
    new = Smote(random_state=0).fit_resample(X, y)[0].iloc[20:]
    assert new["gap"].isna().all()
    assert new["x"].notna().all()


def test_class_weights_reach_the_last_step_or_say_that_they_cannot():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    weighted = ClassWeight().adapted(make_pipeline(pipeline), [0, 1], 0)
    assert weighted[-1][-1].class_weight == "balanced"
    assert pipeline[-1].class_weight is None
    assert ClassWeight().problem(pipeline, 2) is None
    assert (
        ClassWeight().problem(make_pipeline(StandardScaler(), KNeighborsClassifier()), 2) == "it has no class weights"
    )


def test_a_threshold_is_tuned_inside_the_training_rows_or_says_why_not():
    assert TunedThreshold().problem(LogisticRegression(), 3) == "a threshold needs 2 classes, and there are 3"
    without = "it has neither predict_proba nor decision_function"
    assert TunedThreshold().problem(RidgeLike(), 2) == without
    X, y = make_classification(300, weights=[0.9], class_sep=0.5, random_state=0)
    names = np.array(["no", "yes"])[y]
    model = TunedThreshold().adapted(LogisticRegression(), names[:200], 0).fit(X[:200], names[:200])
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    expected = TunedThresholdClassifierCV(LogisticRegression(), scoring="balanced_accuracy", cv=folds)
    told = expected.fit(X[:200], y[:200]).predict(X)
    assert (model.predict(X) == np.array(["no", "yes"])[told]).all()
    assert model.best_threshold_ < 0.3


def test_a_threshold_on_few_rows_takes_fewer_folds_or_tells_what_is_missing():
    X, y = np.arange(10.0)[:, None], np.array([0] * 8 + [1] * 2)
    assert TunedThreshold().adapted(LogisticRegression(), y, 0).fit(X, y).predict(X)[-1] == 1
    with pytest.raises(DataError, match=r"^A threshold cannot be tuned: a class has 1 training row, and at least 2"):
        TunedThreshold().adapted(LogisticRegression(), y[:9], 0)


def test_gaussian_rows_have_the_mean_and_the_shrunk_covariance_of_the_class():
    rng = np.random.default_rng(0)
    small, large = rng.normal(size=(20, 2)) @ [[2, 1], [0, 1]] + [5, -3], 3 * rng.normal(size=(60, 2))
    X, y = np.concatenate([small, large]), np.array([0] * 20 + [1] * 60)
    new = _gaussian_rows(X, y, 0, 400_000, 0.8, rng)
    within = np.concatenate([small - small.mean(0), large - large.mean(0)])
    shared = within.T @ within / 80
    expected = 0.8**2 * (0.5 * np.cov(small.T) + 0.5 * shared + 1e-4 * np.diag(X.var(0)))
    np.testing.assert_allclose(new.mean(0), small.mean(0), atol=0.01)
    np.testing.assert_allclose(np.cov(new.T), expected, rtol=0.01, atol=0.02)


def test_gaussian_rows_of_very_many_numbers_have_the_variances():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 600)), np.array([0] * 20 + [1] * 20)
    new = _gaussian_rows(X, y, 0, 4000, 1.0, rng)
    within = np.concatenate([X[:20] - X[:20].mean(0), X[20:] - X[20:].mean(0)])
    np.testing.assert_allclose(new.var(0), 0.5 * X[:20].var(0) + 0.5 * within.var(0), rtol=0.15)


def test_gaussian_rows_copy_numbers_that_are_states():
    rng = np.random.default_rng(0)
    hours = np.where(rng.random(200) < 0.4, 40, rng.integers(0, 80, 200))
    X = pd.DataFrame({"hours": hours, "flag": rng.integers(0, 2, 200), "big": 2**60 + 7 * (rng.random(200) < 0.5)})
    new = ClassGaussian(amount=1000, random_state=0).fit_resample(X, [0, 1] * 100)[0].iloc[200:]
    assert (new["hours"] == 40).mean() == pytest.approx((hours == 40).mean(), abs=0.05)
    assert set(new["flag"]) == {0, 1}
    assert set(new["big"]) == {2**60, 2**60 + 7}


def test_gaussian_rows_without_numbers_are_copies():
    X = pd.DataFrame({"town": ["Ulm", "Bonn", "Ulm", "Bonn"], "gone": np.nan})
    new = ClassGaussian(amount=8, random_state=0).fit_resample(X, [0, 0, 1, 1])[0]
    assert set(new["town"]) == {"Ulm", "Bonn"}
    assert new["gone"].isna().all()


def test_default_arms_pass_their_arguments_on():
    arms = default_arms(random_state=1, amount=10)
    assert arms["real"] is None
    assert {arms[name].amount for name in ("duplicate", "smote", "jitter", "gaussian")} == {10}
    repeated = [default_arms(random_state=1)[name].random_state for name in ("duplicate", "smote")]
    assert repeated == [1, 1]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("auto", {"a": 0, "b": 4, "c": 7}),
        ("not majority", {"a": 0, "b": 4, "c": 7}),
        ("minority", {"a": 0, "b": 0, "c": 7}),
        ("not minority", {"a": 0, "b": 4, "c": 0}),
        ("all", {"a": 0, "b": 4, "c": 7}),
        ({"c": 5}, {"a": 0, "b": 0, "c": 4}),
        (lambda y: {"b": 10}, {"a": 0, "b": 6, "c": 0}),
    ],
)
def test_strategies_are_imbalanced_learns(strategy, expected):
    assert synthetic_counts(["a"] * 8 + ["b"] * 4 + ["c"], sampling_strategy=strategy) == expected


def test_ratio_for_two_classes():
    assert synthetic_counts([True] * 2 + [False] * 8, sampling_strategy=0.5) == {False: 0, True: 2}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"amount": {"z": 1, "a": -1}},
            "2 problems:\n- Unknown label 'z' in `amount`: known are 'a', 'b'.\n"
            "- Expected whole numbers of at least 0 in `amount`, got -1 for label 'a'.",
        ),
        (
            {"amount": -0.5},
            "Expected `amount` to be None, a number of records, a share of the real records, or {label: number}, "
            "none below 0 or above 1,000,000,000,000, got -0.5.",
        ),
        (
            {"amount": 5, "sampling_strategy": "all"},
            "Expected either `amount` or `sampling_strategy`, got amount=5 and sampling_strategy='all': "
            "leave one of them out.",
        ),
        (
            {"sampling_strategy": {"z": 4}},
            "Unknown label 'z' in `sampling_strategy`: known are 'a', 'b'.",
        ),
        (
            {"sampling_strategy": {"a": 1}},
            "The `sampling_strategy` {'a': 1} does not fit the labels. With over-sampling methods, the number of "
            "samples in a class should be greater or equal to the original number of samples. Originally, there is 2 "
            "samples and 1 samples are asked.",
        ),
    ],
)
def test_whole_messages(settings, message):
    with pytest.raises(ParameterError) as caught:
        synthetic_counts(["a", "a", "b"], **settings)
    assert str(caught.value) == message
