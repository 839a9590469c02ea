"""Do the intervals say what they promise? Whole studies are simulated in which no arm can gain anything.

Labels are shuffled, so that they know nothing of the features; splits, intervals and scores are the library's, and only
the classifier is written out, for twenty studies (that share labels and splits) at once. Shares of 1,000 studies of 60
rows, twice five folds, whose 95% interval covers 0:

| what the arm does | Student's t | bootstrap |
| --- | --- | --- |
| a lasting difference: it sees other features of the same kind | 94.1 to 95.7% (six runs) | 95.1 to 96.5% |
| the same, where the labels do show in the features | 96.4% | 97.5% |
| the same, once five folds | 95.0% | 98.0% |
| the same, once ten folds | 93.7% | 94.9% |
| fresh noise in every split | 99.8% | 99.9% |

The library's own baselines lie between: SMOTE, jitter and duplication with three kinds of classifiers covered 0 in 98
to 100% of 300 studies. The correction assumes the worst of what ten differences cannot show; see
`corrected_resampled_t`.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from synthaug.evaluate.baselines import Duplicate, Jitter, Smote
from synthaug.evaluate.comparison import compare
from synthaug.evaluate.paired import make_splits
from synthaug.evaluate.stats import bootstrap, corrected_resampled_t

N, WIDTH, BATCH = 60, 5, 20


def nearest_mean(X, y, X_test):
    """Whether the mean of class 1 is the nearer one, `(studies, rows)`, of `(studies, rows, columns)`."""
    one, zero = X[:, y == 1].mean(1), X[:, y == 0].mean(1)
    middle = ((one + zero) / 2 * (one - zero)).sum(1)
    return np.einsum("srd,sd->sr", X_test, one - zero) > middle[:, None]


def other_columns(X, rng):
    """The same kind of features, others: what the arm changes lasts over all splits, and helps nobody."""
    return slice(WIDTH, None), lambda X, y: (X, y)


def fresh_noise(X, rng):
    """The real rows once more with noise, new in every split."""
    return slice(WIDTH), lambda X, y: (np.concatenate([X, X + rng.normal(size=X.shape)], 1), np.tile(y, 2))


def simulate(n_studies, arm, *, cv=None, shift=0.0, seed=0):
    """Differences of balanced accuracy `(studies, splits)` between the arm and the real data, and the splits' sizes."""
    rng = np.random.default_rng(seed)
    differences = []
    for batch in range(n_studies // BATCH):
        y = rng.permutation(np.arange(N) % 2)
        X = rng.normal(size=(BATCH, N, 2 * WIDTH)) + shift * y[:, None]
        splits = make_splits(cv, np.zeros(N), pd.Series(y), batch)
        columns, resample = arm(X, rng)
        for train, test in splits:
            scores = []
            for part, (rows, labels) in (
                (slice(WIDTH), (X[:, train, :WIDTH], y[train])),
                (columns, resample(X[:, train][..., columns], y[train])),
            ):
                right = nearest_mean(rows, labels, X[:, test][..., part]) == y[test]
                scores.append((right[:, y[test] == 0].mean(1) + right[:, y[test] == 1].mean(1)) / 2)
            differences.append(scores[1] - scores[0])
    sizes = [[len(rows) for rows in part] for part in zip(*splits, strict=True)]
    return np.array(differences).reshape(-1, len(splits), BATCH).swapaxes(1, 2).reshape(-1, len(splits)), sizes


def coverage(differences, sizes, interval=corrected_resampled_t, **options):
    found = [interval(row, *sizes, **options) for row in differences]
    return np.mean([one.low <= 0 <= one.high for one in found])


def tolerance(n_studies, low=0.93, high=0.97):
    """What a true coverage from `low` to `high` gives in all but one of 1,000 simulations of this many studies."""
    return binom.ppf(0.0005, n_studies, low) / n_studies, binom.ppf(0.9995, n_studies, high) / n_studies


def test_a_against_a_is_exactly_zero():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(N, WIDTH)), rng.permutation(np.arange(N) % 2)
    row = compare({"again": None}, GaussianNB(), X, y, random_state=0).gains().iloc[0]
    assert row[["gain", "low", "high", "p"]].tolist() == [0, 0, 0, 1]


def test_the_simulated_scores_are_those_of_compare():
    class OtherColumns:
        def fit_resample(self, X, y):
            return X + 7, y

    class Nearest(BaseEstimator, ClassifierMixin):
        """The same classifier; rows shifted by 7 tell it which columns to read."""

        def fit(self, X, y):
            self.part = slice(WIDTH, None) if X.mean() > 3 else slice(WIDTH)
            self.X, self.y = X[:, self.part] - 7 * (X.mean() > 3), y
            return self

        def predict(self, X):
            return nearest_mean(self.X[None], self.y, X[None, :, self.part])[0].astype(int)

    differences, sizes = simulate(BATCH, other_columns)
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(N) % 2)
    X = rng.normal(size=(BATCH, N, 2 * WIDTH))[4]
    splits = make_splits(None, np.zeros(N), pd.Series(y), 0)
    gains = compare({"other": OtherColumns()}, Nearest(), X, y, cv=splits, random_state=0).gains()
    expected = corrected_resampled_t(differences[4], *sizes)
    assert gains.loc[0, ["gain", "low", "high"]].tolist() == pytest.approx([expected.gain, expected.low, expected.high])


def test_shuffled_labels_are_covered_in_a_thousand_studies():
    assert 0.93 <= coverage(*simulate(1000, other_columns, seed=1)) <= 0.97


def test_shuffled_labels_are_covered_by_the_bootstrap():
    low, high = tolerance(200)
    assert low <= coverage(*simulate(200, other_columns), bootstrap, n_resamples=999) <= high


def test_fresh_noise_is_covered_with_caution():
    assert coverage(*simulate(200, fresh_noise)) >= tolerance(200)[0]


@pytest.mark.long
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_three_thousand_studies_of_shuffled_labels(seed):
    differences, sizes = simulate(1000, other_columns, seed=seed)
    assert 0.93 <= coverage(differences, sizes) <= 0.97
    assert 0.93 <= coverage(differences, sizes, bootstrap, n_resamples=1999) <= 0.97


@pytest.mark.long
@pytest.mark.parametrize("level", [0.8, 0.9, 0.99])
def test_other_levels(level):
    low, high = tolerance(1000, level - 0.03, min(level + 0.03, 0.999))
    assert low <= coverage(*simulate(1000, other_columns, seed=4), level=level) <= high


@pytest.mark.long
def test_a_thousand_studies_of_labels_that_mean_something():
    differences, sizes = simulate(1000, other_columns, shift=0.5, seed=5)
    assert 0.93 <= coverage(differences, sizes) <= 0.98


@pytest.mark.long
@pytest.mark.parametrize("cv", [5, 10])
def test_a_thousand_studies_of_single_cross_validation(cv):
    assert 0.93 <= coverage(*simulate(1000, other_columns, cv=cv, seed=6)) <= 0.98


@pytest.mark.long
def test_a_thousand_studies_of_fresh_noise():
    differences, sizes = simulate(1000, fresh_noise, seed=7)
    assert coverage(differences, sizes) >= 0.97
    without_overlap = sizes[0], np.zeros_like(sizes[1])
    assert 0.93 <= coverage(differences, without_overlap) <= 0.97


@pytest.mark.long
def test_baselines_on_shuffled_labels_are_covered_with_caution():
    rng = np.random.default_rng(8)
    covered = []
    for seed in range(50):
        X, y = rng.normal(size=(N, WIDTH)), rng.permutation(np.arange(N) % 4 == 0)
        arms = {"duplicate": Duplicate(), "jitter": Jitter(), "smote": Smote()}
        gains = compare(arms, {"nb": GaussianNB(), "knn": KNeighborsClassifier()}, X, y, random_state=seed).gains()
        covered.append((gains["low"] <= 0) & (gains["high"] >= 0))
    shares = np.mean(covered, axis=0)
    assert len(shares) == 9
    assert shares.min() >= tolerance(50)[0]
