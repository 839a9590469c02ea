import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
from imblearn.pipeline import Pipeline
from imblearn.utils import estimator_checks as imblearn_checks
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.estimator_checks import parametrize_with_checks

from synthaug.amounts import synthetic_counts
from synthaug.augmenting import augment
from synthaug.errors import DataError, ParameterError, SamplingError, SynthaugWarning
from synthaug.generators.vae import ConditionalVAE
from synthaug.mix.resample import SynthResampler
from synthaug.selection import Agreement, Distance
from synthaug.synthesizer import Synthesizer

QUICK = Synthesizer(generator=partial(ConditionalVAE, width=16), max_steps=20)


imbalanced = imblearn_checks.parametrize_with_checks([SynthResampler(QUICK, random_state=0)])


@parametrize_with_checks([SynthResampler(QUICK, random_state=0)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(imbalanced.args[0], list(imbalanced.args[1]), **imbalanced.kwargs)
def test_imbalanced_learn_checks(estimator, check):
    check(estimator)


def table(n=40):
    rng = np.random.default_rng(0)
    y = pd.Series(np.where(np.arange(n) % 4 == 0, "rare", "common"), name="kind")
    X = pd.DataFrame(
        {
            "category": pd.Categorical(rng.choice(["a", "b"], n), ["a", "b", "unused"], ordered=True),
            "bool": rng.random(n) < 0.5,
            "int": rng.integers(0, 9, n),
            "Int": pd.array([None if i % 5 == 0 else i for i in range(n)], dtype="Int64"),
            "text": rng.choice(["x", "y"], n),
            "date": pd.Timestamp("2024-01-01", tz="Europe/Berlin") + pd.to_timedelta(rng.integers(0, 99, n), unit="D"),
            "float32": rng.normal(size=n).astype("float32"),
        }
    )
    return X, y


def test_originals_come_first_and_every_dtype_is_kept():
    X, y = table()
    sampler = SynthResampler(QUICK, random_state=0)
    X_grown, y_grown = sampler.fit_resample(X, y)
    pd.testing.assert_frame_equal(X_grown.iloc[:40], X)
    pd.testing.assert_series_equal(y_grown.iloc[:40], y)
    assert y_grown.value_counts().to_dict() == {"common": 30, "rare": 30}
    assert sampler.sample_flag_.tolist() == [False] * 40 + [True] * 20
    assert sampler.sampling_strategy_ == {"common": 0, "rare": 20}


@pytest.mark.parametrize(
    ("arguments", "counts"),
    [
        ({"sampling_strategy": "all"}, {"common": 30, "rare": 30}),
        ({"sampling_strategy": 0.5}, {"common": 30, "rare": 15}),
        ({"sampling_strategy": {"rare": 12}}, {"common": 30, "rare": 12}),
        ({"sampling_strategy": lambda y: {"rare": 11}}, {"common": 30, "rare": 11}),
        ({"amount": 5}, {"common": 33, "rare": 12}),
        ({"amount": 1.0}, {"common": 50, "rare": 30}),
        ({"amount": {"rare": 1}}, {"common": 30, "rare": 11}),
    ],
)
def test_every_form_of_strategy_and_amount(arguments, counts):
    _, y = SynthResampler(QUICK, random_state=0, **arguments).fit_resample(*table())
    assert y.value_counts().to_dict() == counts


def test_balanced_data_is_returned_as_it_was():
    X, y = table()
    X, y = X.iloc[:2], pd.Series(["a", "b"])
    X_grown, y_grown = SynthResampler(QUICK).fit_resample(X, y)
    pd.testing.assert_frame_equal(X_grown, X)
    pd.testing.assert_series_equal(y_grown, y)


def test_it_does_nothing_at_predict_in_a_pipeline():
    X, y = table()
    X = X[["int", "float32"]]
    pipeline = Pipeline([("grow", SynthResampler(QUICK, random_state=0)), ("model", LogisticRegression())]).fit(X, y)
    assert len(pipeline.predict(X.iloc[:3])) == 3


def test_rows_that_the_criteria_reject_are_drawn_anew():
    X, y = table()
    sampler = SynthResampler(QUICK, amount=30, criteria=[Agreement(), Distance()], random_state=0)
    X_grown, y_grown = sampler.fit_resample(X, y)
    assert len(X_grown) == 70
    assert (y_grown.iloc[40:].value_counts() == 15).all()
    assert set(sampler.pool_.scores) == {"agreement", "novelty", "reach"}


def test_criteria_that_nothing_passes_are_an_error_that_names_the_label():
    X, y = table()
    with pytest.raises(
        SamplingError, match="^Too few records passed the criteria in 10 rounds: 0 of 20 for label 'rare'"
    ):
        SynthResampler(QUICK, criteria=[Distance(far=1e-9)], random_state=0).fit_resample(X, y)


def test_misaligned_labels_are_refused():
    X, y = table()
    with pytest.raises(DataError, match="have different indexes"):
        SynthResampler(QUICK).fit_resample(X, y.iloc[::-1])


def test_augment_appends_rows_and_flags_them():
    X, y = table()
    df = X.assign(kind=y).set_index(pd.Index(range(100, 140)))
    grown = augment(df, "kind", synthesizer=QUICK, flag="made", random_state=0)
    pd.testing.assert_frame_equal(grown.iloc[:40].drop(columns="made"), df.reset_index(drop=True))
    assert grown.columns.tolist() == [*df.columns, "made"]
    assert grown["made"].tolist() == [False] * 40 + [True] * 20
    again = augment(df, "kind", synthesizer=QUICK, flag="made", random_state=0)
    pd.testing.assert_frame_equal(again, grown)


def test_augment_keeps_the_target_where_it_was_and_its_type():
    X, y = table()
    df = X[["int"]].assign(more=X["float32"])
    df.insert(0, "kind", pd.Categorical(y, ["rare", "common", "never"]))
    grown = augment(df, "kind", synthesizer=QUICK, random_state=0)
    assert grown.dtypes.equals(df.dtypes)
    assert grown.columns.tolist() == df.columns.tolist()


def test_augment_names_what_is_wrong():
    df = table()[0]
    with pytest.raises(DataError, match="^There is no column 'y' to be the target: there are 'category', 'bool'"):
        augment(df, "y")
    with pytest.raises(ParameterError, match="^There is a column 'bool' already: choose another name for `flag`"):
        augment(df, "text", flag="bool")


@pytest.mark.parametrize("amount", [10**30, 1e30, 10**400, {"a": 10**30}])
def test_amounts_beyond_all_bounds(amount):
    X, y = pd.DataFrame({"x": range(20)}), ["a", "b"] * 10
    with pytest.raises(ParameterError, match="1,000,000,000,000"):
        synthetic_counts(y, amount=amount)
    with pytest.raises(ValueError, match="1,000,000,000,000"):
        augment(X.assign(y=y), "y", amount=amount)


def test_what_was_rejected_is_told_by_criterion_reason_and_label():
    rng = np.random.default_rng(0)
    y = np.array(["a", "b"] * 20)
    X = pd.DataFrame({"x": rng.normal(size=40) + 4 * (y == "a"), "z": rng.normal(size=40)})
    sampler = SynthResampler(QUICK, amount=20, criteria=[Agreement(), Distance(far=0.7)], random_state=0)
    sampler.fit_resample(X, y)
    told = sampler.rejected_
    assert told.columns.tolist() == ["criterion", "reason", "label", "rejected", "of"]
    assert told["reason"].unique().tolist() == ["disagreement", "memorised", "far"]
    assert (told["rejected"] <= told["of"]).all()
    assert told["rejected"].sum() > 0
    drawn = told.groupby("label")["of"].unique()
    assert all(len(numbers) == 1 and numbers[0] >= 20 for numbers in drawn)


SPLIT = pd.DataFrame({"x": range(20), "y": ["a", "b"] * 10})


@pytest.mark.parametrize("strategy", [None, "nonsense", "majority", ("a",), ["a"]])
def test_strategies_that_there_are_not(strategy):
    told = (
        "Expected `sampling_strategy` to be 'auto', 'minority', 'not minority', 'not majority', 'all', a ratio for two "
        f"classes, {{label: size}} or a function of the labels, got {strategy!r}."
    )
    with pytest.raises(ParameterError, match=f"^{re.escape(told)}$"):
        augment(SPLIT, "y", sampling_strategy=strategy)


def test_names_that_come_twice_are_one_clear_error():
    X = pd.DataFrame(np.zeros((4, 3)), columns=["a", "b", "a"])
    with pytest.raises(DataError, match="^The column names 'a' come more than once: rename or drop the repeats.$"):
        SynthResampler(QUICK).fit_resample(X, ["u", "u", "v", "u"])


def by_augment(**how):
    return augment(SPLIT, "y", amount=21.0, random_state=0, **how)


def by_resampler(**how):
    return SynthResampler(amount=21.0, **how).fit_resample(SPLIT[["x"]], SPLIT["y"])[0]


@pytest.mark.parametrize("add", [by_augment, by_resampler])
def test_a_share_that_may_be_a_number_is_told_before_the_work(add, monkeypatch):
    told = "An `amount` of 21.0 is 21 times the records there are, 420: if 21 records were meant, pass `amount=21`."
    with pytest.warns(SynthaugWarning) as caught:
        assert len(add(synthesizer=QUICK)) == 440
    assert [str(warning.message) for warning in caught] == [told]
    monkeypatch.setattr(Synthesizer, "fit", lambda *args: pytest.fail("work before the word"))
    with pytest.raises(SynthaugWarning):  # an error in our tests
        add()


def test_a_share_that_may_be_a_number_is_told_once_where_it_is_chosen():
    with pytest.warns(SynthaugWarning) as caught:
        augment(SPLIT, "y", amount=21.0, estimator=GaussianNB(), synthesizer=QUICK, random_state=0)
    assert ["An `amount` of" in str(warning.message) for warning in caught] == [True]
