import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from synthaug.errors import ParameterError
from synthaug.evaluate import results
from synthaug.evaluate.baselines import Duplicate, Jitter
from synthaug.evaluate.comparison import compare
from synthaug.evaluate.curves import amount_curve, learning_curve
from synthaug.evaluate.paired import make_splits
from synthaug.evaluate.stats import resampled_t_columns

X, Y = make_classification(150, weights=[0.8], random_state=0)


def test_an_amount_curve_is_made_of_compare():
    models = {"knn": KNeighborsClassifier(), "nb": GaussianNB()}
    curve = amount_curve(
        lambda amount: Jitter(amount=amount), models, X, Y, amounts=(2, 0, 0.5), cv=3, random_state=0,
        scoring=["balanced_accuracy", "roc_auc"],
    )  # fmt: skip
    assert list(curve) == ["amount", "estimator", "metric", "gain", "low", "high"]
    assert curve["amount"].tolist() == [2.0] * 6 + [0.0] * 6 + [0.5] * 6
    assert (curve.loc[curve["amount"] == 0, ["gain", "low", "high"]] == 0).all(axis=None)
    direct = compare(
        {"half": Jitter(amount=0.5)}, models, X, Y, cv=3, random_state=0, scoring=["balanced_accuracy", "roc_auc"]
    )
    here = curve[curve["amount"] == 0.5].reset_index(drop=True)
    pd.testing.assert_frame_equal(here.drop(columns="amount"), direct.gains()[list(here)[1:]])


def test_a_learning_curve_keeps_the_test_rows_and_nests_the_training_rows():
    seen = {}

    class Spy:
        def __deepcopy__(self, memo):
            return self

        def fit_resample(self, rows, y):
            seen.setdefault(len(rows), []).append(set(rows["id"]))
            assert len(set(y)) == 2
            return rows, y

    frame = pd.DataFrame(X).add_prefix("x").assign(id=np.arange(150))
    arms = {"spy": Spy(), "dup": Duplicate()}
    curve = learning_curve(arms, KNeighborsClassifier(), frame, Y, sizes=(10, 40, 100), cv=3, random_state=0)
    assert list(curve) == ["n", "arm", "estimator", "metric", "gain", "low", "high"]
    assert curve["n"].tolist() == [10] * 4 + [40] * 4 + [100] * 4
    assert {size: len(sets) for size, sets in seen.items()} == {10: 3, 40: 3, 100: 3}
    trains = [set(train) for train, _ in make_splits(3, frame, pd.Series(Y), 0)]
    for few, more, most, train in zip(seen[10], seen[40], seen[100], trains, strict=True):
        assert few < more < most == train
        assert (Y[list(more)] == 1).sum() == pytest.approx(40 * Y.mean(), abs=1.5)
    assert (curve.query("arm == 'spy'")["gain"] == 0).all()


def test_intervals_of_a_learning_curve_allow_for_its_sizes(monkeypatch):
    told = []

    def spy(differences, n_train, n_test, level):
        told.append((set(n_train), set(n_test)))
        return resampled_t_columns(differences, n_train, n_test, level)

    monkeypatch.setitem(results._TESTS, "t", spy)
    learning_curve({"dup": Duplicate()}, GaussianNB(), X, Y, sizes=[30, 60], cv=3, random_state=0)
    assert told == [({30}, {50}), ({60}, {50})]


def test_a_rare_class_stays_at_every_size():
    y = np.array(["often"] * 140 + ["rare"] * 7 + ["once or so"] * 3)
    curve = learning_curve({"dup": Duplicate()}, GaussianNB(), X, y, sizes=(3, 6), cv=3, random_state=0)
    assert curve["gain"].notna().all()


@pytest.mark.parametrize(
    ("amounts", "message"),
    [
        ((-1, 1), "Expected `amounts` of at least 0, got -1."),
        ((0,), "Expected at least one amount above 0 and none twice, got [0.0]."),
        ((1, 1.0), "Expected at least one amount above 0 and none twice, got [1.0, 1.0]."),
    ],
)
def test_amounts_that_make_no_curve(amounts, message):
    with pytest.raises(ParameterError) as caught:
        amount_curve(lambda amount: Duplicate(amount=amount), GaussianNB(), X, Y, amounts=amounts)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            (1, 101),
            "2 problems:\n"
            "- Expected `sizes` from 2 (a row of each class) to 100 (the smallest training part), got 1.\n"
            "- Expected `sizes` from 2 (a row of each class) to 100 (the smallest training part), got 101.",
        ),
        ((), "Expected at least one size and none twice, got []."),
        ((20, 20), "Expected at least one size and none twice, got [20, 20]."),
    ],
)
def test_sizes_that_make_no_curve(sizes, message):
    with pytest.raises(ParameterError) as caught:
        learning_curve({"dup": Duplicate()}, GaussianNB(), X, Y, sizes=sizes, cv=3, random_state=0)
    assert str(caught.value) == message
