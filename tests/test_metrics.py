"""Each metric against scikit-learn where that has it, and against its definition, written out slowly, where not."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from synthaug.errors import DataError, ParameterError
from synthaug.evaluate.metrics import brier, class_recalls, expected_calibration_error, log_loss, scorers

OURS = ["balanced_accuracy", "f1_macro", "roc_auc", "average_precision", "neg_log_loss", "neg_brier", "neg_ece"]
EXACT = {"rel": 0, "abs": 1e-9}


def problem(k, model=None, seed=0):
    X, y = make_classification(300, n_informative=6, n_classes=k, class_sep=0.8, random_state=seed)
    labels = np.array([f"class {9 - code}" for code in range(k)])[y]
    return (model or GaussianNB()).fit(X[:150], labels[:150]), X[150:], labels[150:]


def own_metric(y_true, y_pred):
    return 1.0


def score(name, *args):
    return scorers(name)[name](*args)


def auc_by_pairs(positive, scores):
    """The share of pairs in the right order, ties counting half."""
    gaps = scores[positive][:, None] - scores[~positive][None]
    return np.mean((gaps > 0) + 0.5 * (gaps == 0))


def precision_by_thresholds(positive, scores):
    """Sum over thresholds of precision times the step of recall."""
    found, last = 0.0, 0.0
    for threshold in np.unique(scores)[::-1]:
        taken = scores >= threshold
        recall = positive[taken].sum() / positive.sum()
        found, last = found + (recall - last) * positive[taken].mean(), recall
    return found


@pytest.mark.parametrize("k", [2, 3, 5])
def test_predictions_as_scikit_learn_scores_them(k):
    model, X, y = problem(k)
    guess = model.predict(X)
    assert score("balanced_accuracy", model, X, y) == pytest.approx(sk.balanced_accuracy_score(y, guess), **EXACT)
    assert score("f1_macro", model, X, y) == pytest.approx(sk.f1_score(y, guess, average="macro"), **EXACT)
    recalls = sk.recall_score(y, guess, average=None, labels=model.classes_)
    assert class_recalls(y, guess) == pytest.approx(dict(zip(model.classes_, recalls, strict=True)), **EXACT)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_ranks_by_their_definitions_and_as_scikit_learn_has_them(k):
    model, X, y = problem(k)
    p = model.predict_proba(X)
    which = [1] if k == 2 else range(k)
    by_hand = [auc_by_pairs(y == model.classes_[c], p[:, c]) for c in which]
    assert score("roc_auc", model, X, y) == pytest.approx(np.mean(by_hand), **EXACT)
    theirs = sk.roc_auc_score(y, p[:, 1] if k == 2 else p, multi_class="ovr", labels=model.classes_)
    assert score("roc_auc", model, X, y) == pytest.approx(theirs, **EXACT)
    by_hand = [precision_by_thresholds(y == model.classes_[c], p[:, c]) for c in which]
    assert score("average_precision", model, X, y) == pytest.approx(np.mean(by_hand), **EXACT)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_probabilities_by_their_definitions(k):
    model, X, y = problem(k)
    p = model.predict_proba(X)
    hot = np.array([[label == one for one in model.classes_] for label in y], float)
    assert score("neg_log_loss", model, X, y) == pytest.approx(-sk.log_loss(y, p, labels=model.classes_), **EXACT)
    by_hand = np.mean([sum((p[i, c] - hot[i, c]) ** 2 for c in range(k)) for i in range(len(y))])
    assert score("neg_brier", model, X, y) == pytest.approx(-by_hand, **EXACT)
    if k == 2:
        halved = sk.brier_score_loss(y, p[:, 1], pos_label=model.classes_[1])
        assert score("neg_brier", model, X, y) == pytest.approx(-2 * halved, **EXACT)


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_calibration_error_by_equation_3(bins):
    model, X, y = problem(3)
    p = model.predict_proba(X)
    codes = np.searchsorted(model.classes_, y)
    error = 0.0
    for m in range(1, bins + 1):
        rows = [i for i in range(len(y)) if (m - 1) / bins < p[i].max() <= m / bins]
        if rows:
            accuracy = np.mean([p[i].argmax() == codes[i] for i in rows])
            error += len(rows) / len(y) * abs(accuracy - np.mean([p[i].max() for i in rows]))
    assert expected_calibration_error(codes, p, bins) == pytest.approx(error, **EXACT)
    if bins == 15:
        assert score("neg_ece", model, X, y) == pytest.approx(-error, **EXACT)


def test_the_ends_of_the_probabilities():
    certain = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert [f([0, 1], certain) for f in (brier, log_loss, expected_calibration_error)] == [0, 0, 0]
    assert (brier([1, 0], certain), expected_calibration_error([1, 0], certain)) == (2, 1)
    assert log_loss([1, 0], certain) == pytest.approx(-np.log(np.finfo(float).eps))
    assert expected_calibration_error([0, 1], [[0.0, 0.0], [0.0, 0.0]]) == 0.5


def test_decisions_are_enough_for_ranks():
    X, y = make_classification(200, random_state=1)
    two = LinearSVC().fit(X[:100], y[:100])
    expected = sk.get_scorer("roc_auc")(two, X[100:], y[100:])
    assert score("roc_auc", two, X[100:], y[100:]) == pytest.approx(expected, **EXACT)
    expected = sk.get_scorer("average_precision")(two, X[100:], y[100:])
    assert score("average_precision", two, X[100:], y[100:]) == pytest.approx(expected, **EXACT)
    model, X, y = problem(4, LinearSVC())
    decisions = model.decision_function(X)
    by_hand = [auc_by_pairs(y == label, decisions[:, c]) for c, label in enumerate(model.classes_)]
    assert score("roc_auc", model, X, y) == pytest.approx(np.mean(by_hand), **EXACT)


def test_without_probabilities_the_error_names_the_remedy():
    model, X, y = problem(2, make_pipeline(StandardScaler(), LinearSVC()))
    with pytest.raises(DataError) as caught:
        score("neg_brier", model, X, y)
    assert str(caught.value) == (
        "LinearSVC has no predict_proba, which 'neg_brier' needs: wrap it in "
        "sklearn.calibration.CalibratedClassifierCV, or score by 'balanced_accuracy'."
    )
    wrapped = CalibratedClassifierCV(LinearSVC()).fit(X, y)
    assert -2 <= score("neg_brier", wrapped, X, y) <= 0

    class Guess:
        classes_ = np.array([0, 1])

        def predict(self, X):
            return np.zeros(len(X), int)

    with pytest.raises(DataError) as caught:
        score("roc_auc", Guess(), [[0], [1]], [0, 1])
    assert str(caught.value) == (
        "Guess has no decision_function or predict_proba, which 'roc_auc' needs: score it by 'balanced_accuracy'."
    )
    assert score("balanced_accuracy", Guess(), [[0], [1]], [0, 1]) == 0.5


def test_a_class_missing_among_the_test_rows_counts_for_no_average():
    model, X, y = problem(4)
    kept = y != y[0]
    X, y = X[kept], y[kept]
    guess, p = model.predict(X), model.predict_proba(X)
    present = [c for c, label in enumerate(model.classes_) if label in y]
    recalls = [np.mean(guess[y == model.classes_[c]] == model.classes_[c]) for c in present]
    assert len(present) == 3
    assert score("balanced_accuracy", model, X, y) == pytest.approx(np.mean(recalls), **EXACT)
    f1 = sk.f1_score(y, guess, average=None, labels=model.classes_[present])
    assert score("f1_macro", model, X, y) == pytest.approx(np.mean(f1), **EXACT)
    by_hand = np.mean([auc_by_pairs(y == model.classes_[c], p[:, c]) for c in present])
    assert score("roc_auc", model, X, y) == pytest.approx(by_hand, **EXACT)
    assert score("neg_log_loss", model, X, y) == pytest.approx(-sk.log_loss(y, p, labels=model.classes_), **EXACT)


def test_what_cannot_be_scored_is_refused():
    model, X, y = problem(2)
    one = y == "class 8"
    with pytest.raises(DataError) as caught:
        score("roc_auc", model, X[one], y[one])
    assert str(caught.value) == (
        f"All {one.sum()} test rows are of class 'class 8': 'roc_auc' compares two classes. Use stratified folds, or "
        "larger test parts."
    )
    with pytest.raises(DataError) as caught:
        score("neg_log_loss", model, X[:2], ["class 8", "other"])
    assert str(caught.value) == (
        "Class 'other' is among the test rows, and the estimator has not seen it in training: 'neg_log_loss' cannot "
        "score it. Use stratified folds, merge the class with another, or drop it."
    )
    assert score("balanced_accuracy", model, X[:2], ["other", "another"]) == 0


@pytest.mark.parametrize(
    "as_labels",
    [
        lambda y: y, lambda y: y.astype(float), lambda y: y.astype(bool), lambda y: pd.Series(y, dtype="Int64"),
        lambda y: pd.Series(y.astype(str), dtype="string"), lambda y: pd.Series(y.astype(str), dtype="category"),
        lambda y: y.astype(str).astype(object), lambda y: y.tolist(),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", OURS)
def test_labels_may_be_of_any_type(as_labels, name):
    X, y = make_classification(80, random_state=0)
    labels = as_labels(y)
    plain = score(name, GaussianNB().fit(X, y), X, y)
    assert score(name, GaussianNB().fit(X, labels), X, labels) == pytest.approx(plain, **EXACT)


def test_names_callables_lists_and_mappings():
    mine = make_scorer(sk.accuracy_score)

    def share(estimator, X, y):
        return 1.0

    assert list(scorers(["roc_auc", share, mine])) == ["roc_auc", "share", "score"]
    assert scorers({"a": mine, "b": "roc_auc"}) == {"a": mine, "b": scorers("roc_auc")["roc_auc"]}
    assert scorers(mine) == {"score": mine}
    model, X, y = problem(2)
    assert score("accuracy", model, X, y) == np.mean(model.predict(X) == y)
    assert pickle.loads(pickle.dumps(scorers(OURS))) == scorers(OURS)


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        ([], "Expected at least one scorer in `scoring`, got none: try 'balanced_accuracy'."),
        (
            ["balanced_acuracy", 3],
            "2 problems:\n- Expected `scoring` to be a scorer or the name of one, got 'balanced_acuracy': did you mean "
            "'balanced_accuracy'?\n- Expected `scoring` to be a scorer or the name of one, got 3: see "
            "sklearn.metrics.get_scorer_names().",
        ),
        ("r2", "'r2' is for numbers, and classes are predicted: score by 'balanced_accuracy' or 'f1_macro'."),
        (
            ["neg_mean_poisson_deviance", "accuracy"],
            "'neg_mean_poisson_deviance' is for numbers, and classes are predicted: score by 'balanced_accuracy' or "
            "'f1_macro'.",
        ),
        (
            {"a": sk.f1_score, "b": sk.cohen_kappa_score, "c": own_metric},
            "3 problems:\n"
            + "\n".join(
                f"- {name} is a metric and no scorer: pass `sklearn.metrics.make_scorer({name})`, which has to be told "
                "of a loss, or of a metric of probabilities."
                for name in ("f1_score", "cohen_kappa_score", "own_metric")
            ),
        ),
        (
            [make_scorer(sk.accuracy_score), make_scorer(sk.f1_score)],
            "2 scorers are called 'score': name them, `scoring={'first': ..., 'second': ...}`.",
        ),
    ],
)
def test_whole_messages(scoring, message):
    with pytest.raises(ParameterError) as caught:
        scorers(scoring)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("y", "proba", "message"),
    [
        (
            [0, 1],
            [[1.0, 0.0]],
            "Expected codes (n,) and probabilities (n, k) of at least one row, got (2,) and (1, 2).",
        ),
        ([0, 1], [0.2, 0.8], "Expected codes (n,) and probabilities (n, k) of at least one row, got (2,) and (2,)."),
        (["a"], [[1.0, 0.0]], "Expected `y` as columns of the probabilities, 0 to 1, got ['a']."),
        ([2], [[1.0, 0.0]], "Expected `y` as columns of the probabilities, 0 to 1, got [2]."),
        ([-1], [[1.0, 0.0]], "Expected `y` as columns of the probabilities, 0 to 1, got [-1]."),
    ],
)
@pytest.mark.parametrize("metric", [brier, log_loss, expected_calibration_error])
def test_codes_and_probabilities_must_fit(metric, y, proba, message):
    with pytest.raises(DataError) as caught:
        metric(y, proba)
    assert str(caught.value) == message


def test_few_and_odd_inputs():
    with pytest.raises(ParameterError, match=r"^Expected `bins` of at least 1, got 0\.$"):
        expected_calibration_error([0], [[1.0]], 0)
    with pytest.raises(DataError, match=r"^Expected as many predictions as labels, got 1 and 2\.$"):
        class_recalls([0, 1], [0])
    X = np.random.default_rng(0).normal(size=(60, 2))
    three_pairs = SVC(decision_function_shape="ovo").fit(X, np.arange(60) % 4)
    with pytest.raises(
        DataError, match=r"^SVC.decision_function gives 6 columns, and 'roc_auc' needs one for each of 4"
    ):
        score("roc_auc", three_pairs, X, np.arange(60) % 4)
    assert 0 < score("roc_auc", LogisticRegression().fit(X, np.arange(60) % 4), X, np.arange(60) % 4) < 1
