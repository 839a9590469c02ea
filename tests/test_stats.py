import numpy as np
import pytest
from scipy import stats as scipy_stats

from synthaug.errors import ParameterError
from synthaug.evaluate.stats import corrected_resampled_t, holm


def test_without_overlap_it_is_the_plain_paired_t_test():
    values = np.random.default_rng(0).normal(0.3, 1, 12)
    found = corrected_resampled_t(values, n_train=100, n_test=0, level=0.9)
    plain = scipy_stats.ttest_1samp(values, 0.0)
    low, high = plain.confidence_interval(0.9)
    assert (found.gain, found.p) == (pytest.approx(values.mean()), pytest.approx(plain.pvalue))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_overlap_widens_the_interval_by_the_published_factor():
    values = np.random.default_rng(1).normal(size=10)
    plain = corrected_resampled_t(values, 80, 0)
    corrected = corrected_resampled_t(values, 80, 20)
    factor = np.sqrt((1 / 10 + 20 / 80) / (1 / 10))
    assert corrected.high - corrected.low == pytest.approx(factor * (plain.high - plain.low))


def test_sizes_may_differ_between_splits():
    values = [0.1, 0.4, 0.2]
    assert corrected_resampled_t(values, [80, 80, 80], [20, 20, 20]) == corrected_resampled_t(values, 80, 20)


def test_interval_and_p_value_agree():
    rng = np.random.default_rng(2)
    for _ in range(50):
        found = corrected_resampled_t(rng.normal(0.5, 1, 10), 80, 20, level=0.95)
        assert (found.low > 0 or found.high < 0) == (found.p < 0.05)


def test_intervals_cover_at_their_level_when_splits_share_rows():
    # The model of the correction: differences share a part of variance n_test / (n_train + n_test).
    rng = np.random.default_rng(3)
    shared, n = 0.2, 10
    covered = []
    for _ in range(3000):
        differences = rng.normal(scale=shared**0.5) + rng.normal(scale=(1 - shared) ** 0.5, size=n)
        found = corrected_resampled_t(differences, n_train=80, n_test=20)
        covered.append(found.low <= 0 <= found.high)
    assert 0.93 <= np.mean(covered) <= 0.97


def test_nothing_changed_is_exactly_zero():
    found = corrected_resampled_t(np.zeros(10), 80, 20)
    assert (found.gain, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("values", [[], [0.0], [0.3]])
def test_fewer_than_two_splits_say_nothing(values):
    found = corrected_resampled_t(values, [80] * len(values), [20] * len(values))
    assert (found.low, found.high, found.p) == (-np.inf, np.inf, 1.0)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_level_is_a_share(level):
    with pytest.raises(ParameterError, match=f"^Expected `level` between 0 and 1, got {level}.$"):
        corrected_resampled_t([0.1, 0.2], 80, 20, level)


def test_holm_against_the_step_down_procedure():
    rng = np.random.default_rng(4)
    for size in (1, 2, 5, 9):
        p = rng.uniform(0, 0.1, size)
        adjusted = holm(p)
        for alpha in (0.01, 0.05, 0.1):
            rejected = np.zeros(size, bool)
            for step, which in enumerate(np.argsort(p)):
                if p[which] > alpha / (size - step):
                    break
                rejected[which] = True
            assert (rejected == (adjusted <= alpha)).all()


def test_holm_keeps_ties_equal_and_ends_at_one():
    assert holm([0.5, 0.5, 0.01]).tolist() == [1.0, 1.0, 0.03]
    assert holm([]).tolist() == []
