import numpy as np
import pytest
from scipy import stats as scipy_stats

from synthaug.errors import DataError, ParameterError
from synthaug.evaluate.stats import bootstrap, corrected_resampled_t, holm, splits_needed, wilcoxon_over_sets


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


def test_bootstrap_by_its_definition():
    values = np.random.default_rng(5).normal(0.5, 1, 10)
    found = bootstrap(values, 80, 20, level=0.9, seed=3, n_resamples=999)
    error = np.sqrt(values.var(ddof=1) * (1 / 10 + 20 / 80))
    quantile = (found.high - found.gain) / error
    rng = np.random.default_rng(0)
    t = []
    for _ in range(20_000):
        draw = rng.choice(values, 10)
        t.append(abs(draw.mean() - values.mean()) / (draw.std(ddof=1) / np.sqrt(10)))
    assert quantile == pytest.approx(np.quantile(t, 0.9), rel=0.08)
    assert found.p == pytest.approx(np.mean(np.array(t) >= abs(values.mean()) / error), abs=0.03)
    assert (found.gain, found.high - found.gain) == (
        pytest.approx(values.mean()),
        pytest.approx(found.gain - found.low),
    )
    assert found == bootstrap(values, 80, 20, level=0.9, seed=3, n_resamples=999)
    assert found != bootstrap(values, 80, 20, level=0.9, seed=4, n_resamples=999)


def test_bootstrap_is_student_for_many_normal_differences():
    values = np.random.default_rng(6).normal(0.05, 1, 400)
    student, drawn = corrected_resampled_t(values, 80, 20), bootstrap(values, 80, 20)
    assert drawn.gain == student.gain
    assert drawn.high == pytest.approx(student.high, rel=0.05)
    plain, of_scipy = bootstrap(values, 80, 0), scipy_stats.bootstrap((values,), np.mean, method="BCa", rng=0)
    assert plain.low == pytest.approx(of_scipy.confidence_interval.low, abs=0.005)
    assert plain.high == pytest.approx(of_scipy.confidence_interval.high, abs=0.005)


def test_bootstrap_interval_and_p_value_agree():
    rng = np.random.default_rng(7)
    for _ in range(50):
        found = bootstrap(rng.normal(0.5, 1, 10), 80, 20, n_resamples=999)
        assert (found.low > 0 or found.high < 0) == (found.p <= 0.05)


def test_bootstrap_says_when_it_cannot_tell():
    nothing = bootstrap([0.0] * 9 + [0.1], 80, 20)
    assert (nothing.low, nothing.high) == (-np.inf, np.inf)
    assert nothing.p > 0.3
    for values in ([], [0.3], [0.0] * 10, [0.2] * 4):
        assert repr(bootstrap(values, 80, 20)) == repr(corrected_resampled_t(values, 80, 20))
    with pytest.raises(ParameterError, match=r"^Expected `n_resamples` of at least 1, got 0\.$"):
        bootstrap([0.1, 0.2], 80, 20, n_resamples=0)


@pytest.mark.parametrize(("n_test", "gain"), [(0, 0.5), (0, 1.5), (10, 1.0), (20, 2.0)])
def test_splits_needed_have_their_power_and_one_fewer_has_not(n_test, gain):
    pilot = np.random.default_rng(8).normal(size=30)
    pilot = (pilot - pilot.mean()) / pilot.std(ddof=1)
    needed = splits_needed(pilot, 80, n_test, gain=gain)
    rng, draws = np.random.default_rng(9), 200_000

    def power(n):
        """Of means with the variance that the correction assumes, and the usual estimate of it."""
        means = gain + rng.normal(size=draws) * np.sqrt(1 / n + n_test / 80)
        errors = np.sqrt(rng.chisquare(n - 1, draws) / (n - 1) * (1 / n + n_test / 80))
        return np.mean(np.abs(means / errors) > scipy_stats.t.ppf(0.975, n - 1))

    assert power(int(needed.splits)) > 0.8 - 0.004
    assert power(int(needed.splits) - 1) < 0.8 + 0.004
    assert needed == splits_needed(pilot, 80, n_test, gain=-gain).__class__(**{**vars(needed), "gain": gain})


def test_splits_needed_without_overlap_are_near_the_normal_formula():
    pilot = np.array([-1.0, 1.0]) / np.sqrt(2)
    z = scipy_stats.norm.ppf([0.975, 0.8]).sum()
    needed = splits_needed(pilot, 80, 0, gain=0.05)
    assert needed.splits == pytest.approx((z / 0.05) ** 2, abs=3)
    assert needed.smallest == 0


def test_no_number_of_splits_shows_less_than_the_overlap_allows():
    pilot = np.array([-1.0, 1.0]) / np.sqrt(2)
    smallest = 0.5 * scipy_stats.norm.ppf([0.975, 0.8]).sum()
    assert splits_needed(pilot, 80, 20, gain=1.0).smallest == pytest.approx(smallest, abs=1e-4)
    assert splits_needed(pilot, 80, 20, gain=smallest - 0.01).splits == np.inf
    assert splits_needed(pilot, 80, 20, gain=smallest + 0.01).splits < np.inf


def test_splits_needed_in_words():
    assert str(splits_needed([0.01, 0.03], 80, 20, gain=0.5)) == "A gain of 0.5 is seen by 2 splits in 80% of studies."
    assert str(splits_needed([0.01], 80, 20, gain=0.5)) == "Fewer than two splits cannot tell how many are needed."
    assert splits_needed([0.0, 0.0, 0.0], 80, 20, gain=0.01).splits == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gain": 0}, "Expected `gain` to be a number other than 0, got 0."),
        ({"gain": np.nan}, "Expected `gain` to be a number other than 0, got nan."),
        ({"gain": 1, "power": 80}, "Expected `power` between 0 and 1, got 80."),
        ({"gain": 1, "alpha": 0}, "Expected `alpha` between 0 and 1, got 0."),
        ({"gain": 1, "power": 0.05}, "Expected `power` above `alpha` (0.05), got 0.05."),
    ],
)
def test_splits_needed_refuses(arguments, message):
    with pytest.raises(ParameterError) as caught:
        splits_needed([0.1, 0.2], 80, 20, **arguments)
    assert str(caught.value) == message


def signed_ranks(gains):
    """Exact p by trying every sign, ranks of zeros split evenly (Demsar 2006), for gains without ties."""
    ranks = scipy_stats.rankdata(np.abs(gains))
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(gains))).reshape(len(gains), -1)
    statistics, seen = signs.T @ ranks, np.sign(gains) @ ranks
    return np.mean(np.abs(statistics) >= abs(seen))


def test_wilcoxon_against_every_sign():
    rng = np.random.default_rng(10)
    for n in (1, 3, 6, 11):
        gains = rng.normal(0.5, 1, n)
        found = wilcoxon_over_sets(gains)
        assert found.p == pytest.approx(signed_ranks(gains), abs=1e-9)
        assert (found.wins, found.losses, found.n) == ((gains > 0).sum(), (gains < 0).sum(), n)
        assert found.median == np.median(gains)
    assert wilcoxon_over_sets(np.arange(1, 6)).p > 0.05
    assert wilcoxon_over_sets(np.arange(1, 7)).p < 0.05


def test_wilcoxon_with_zeros_and_ties():
    assert wilcoxon_over_sets([0.0, 0.0, 0.0]).p == 1
    assert wilcoxon_over_sets([0.0]).p == 1
    with_zeros = wilcoxon_over_sets([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.0, 0.0])
    assert wilcoxon_over_sets([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).p <= with_zeros.p < 0.1
    assert 0 < wilcoxon_over_sets([0.01, 0.01, 0.02, 0.02, -0.01]).p < 1
    assert wilcoxon_over_sets(np.repeat([0.01, -0.02, 0.03], 30)).n == 90


@pytest.mark.parametrize(
    ("gains", "message"),
    [
        ([], "Expected one gain a data set, at least one, got shape (0,)."),
        ([[0.1]], "Expected one gain a data set, at least one, got shape (1, 1)."),
        ([0.1, np.nan], "The gain of data set 1 is not finite: leave the set out."),
    ],
)
def test_wilcoxon_refuses(gains, message):
    with pytest.raises(DataError) as caught:
        wilcoxon_over_sets(gains)
    assert str(caught.value) == message
