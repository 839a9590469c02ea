import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE
from imblearn.utils import estimator_checks as imblearn_checks
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from synthaug.amounts import synthetic_counts
from synthaug.errors import ParameterError
from synthaug.evaluate.baselines import ClassWeight, Duplicate, Jitter, Smote, default_arms

SAMPLERS = [Duplicate(random_state=0), Jitter(random_state=0), Smote(random_state=0)]
imbalanced = imblearn_checks.parametrize_with_checks(SAMPLERS)  # pytest wants a list, and this is a generator
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)


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
    weighted = ClassWeight().weighted(make_pipeline(pipeline))
    assert weighted[-1][-1].class_weight == "balanced"
    assert pipeline[-1].class_weight is None
    assert ClassWeight().weighted(make_pipeline(StandardScaler(), KNeighborsClassifier())) is None


def test_default_arms_pass_their_arguments_on():
    arms = default_arms(random_state=1, amount=10)
    assert arms["real"] is None
    assert {arms[name].amount for name in ("duplicate", "smote", "jitter")} == {10}
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
            "none below 0, got -0.5.",
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
