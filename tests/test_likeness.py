"""Every measure of likeness against scipy or the formula of its paper, written out slowly."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold

from synthaug.errors import ParameterError
from synthaug.evaluate import likeness

EXACT = {"rel": 0, "abs": 1e-9}


def two(n=40, m=40, d=3, shift=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(m, d)) * 1.2 + shift


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_kolmogorov_smirnov_is_that_of_scipy(decimals):
    a, b = (x[:, 0].round(decimals) for x in two(37, 90))
    assert likeness.kolmogorov_smirnov(a, b) == pytest.approx(stats.ks_2samp(a, b).statistic, **EXACT)
    assert likeness.kolmogorov_smirnov(a, a) == 0
    assert likeness.kolmogorov_smirnov([0, np.inf], [-np.inf, 0]) == 0.5


def test_total_variation_is_the_largest_gap_of_any_event():
    rng = np.random.default_rng(1)
    a, b = rng.choice(4, 50, p=[0.4, 0.3, 0.2, 0.1]), rng.choice(4, 80)
    gaps = []
    for event in product([False, True], repeat=4):
        inside = np.array(event)
        gaps.append(abs(inside[a].mean() - inside[b].mean()))
    assert likeness.total_variation(a, b) == pytest.approx(max(gaps), **EXACT)
    assert likeness.total_variation(["x"], ["y"]) == 1


@pytest.mark.parametrize("decimals", [0, 8])
def test_correlations_are_those_of_scipy(decimals):
    x = two()[0].round(decimals)
    a, b = x[:, 0], x[:, 0] + x[:, 1]
    assert likeness.pearson(a, b) == pytest.approx(stats.pearsonr(a, b).statistic, **EXACT)
    assert likeness.spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, **EXACT)


def test_cramers_v_by_bergsma():
    rng = np.random.default_rng(2)
    for strength in (0, 0.3, 0.9):
        a = rng.integers(4, size=70)
        b = np.where(rng.random(70) < strength, a % 3, rng.integers(3, size=70))
        counts = np.array([[np.sum((a == i) & (b == j)) for j in range(3)] for i in range(4)])
        n, (r, c) = counts.sum(), counts.shape
        phi2 = stats.chi2_contingency(counts, correction=False).statistic / n
        corrected = max(0, phi2 - (r - 1) * (c - 1) / (n - 1))
        r_, c_ = r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)
        expected = np.sqrt(corrected / min(r_ - 1, c_ - 1))
        assert likeness.cramers_v(a, b) == pytest.approx(expected, **EXACT)


def test_correlation_ratio_by_its_definition_and_by_anova():
    rng = np.random.default_rng(3)
    levels = rng.integers(3, size=60)
    values = levels + rng.normal(size=60)
    groups = [values[levels == level] for level in range(3)]
    between = sum(len(group) * (group.mean() - values.mean()) ** 2 for group in groups)
    eta2 = between / ((values - values.mean()) ** 2).sum()
    assert likeness.correlation_ratio(levels, values) == pytest.approx(np.sqrt(eta2), **EXACT)
    f = eta2 / 2 / ((1 - eta2) / 57)
    assert stats.f_oneway(*groups).statistic == pytest.approx(f)


@pytest.mark.parametrize(
    "value",
    [
        likeness.pearson([1, 1, 1], [1, 2, 3]), likeness.pearson([1], [1]), likeness.spearman([1, 2], [3, 3]),
        likeness.cramers_v(["a", "a"], ["x", "y"]), likeness.cramers_v(["a", "b", "c"], ["x", "y", "z"]),
        likeness.cramers_v([], []), likeness.correlation_ratio(["a", "a"], [1, 2]),
        likeness.correlation_ratio(["a", "b"], [1, 1]), likeness.correlation_ratio(["a"], [1]),
    ],
)  # fmt: skip
def test_what_a_constant_leaves_unknown_is_nan(value):
    assert np.isnan(value)


def ball(x, i, k):
    """The distance from record i to its k-th neighbour, itself left out."""
    return sorted(np.linalg.norm(x[i] - x[j]) for j in range(len(x)) if j != i)[k - 1]


def in_manifold(point, x, k):
    """The function f of Kynkaanniemi et al., equation 1."""
    return int(any(np.linalg.norm(point - x[i]) <= ball(x, i, k) for i in range(len(x))))


@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_by_equations_1_and_2(k):
    real, made = two(25, 25)
    precision = np.mean([in_manifold(point, real, k) for point in made])
    recall = np.mean([in_manifold(point, made, k) for point in real])
    assert likeness.precision_recall(real, made, k) == (
        pytest.approx(precision, **EXACT),
        pytest.approx(recall, **EXACT),
    )
    assert 0 < precision < 1


@pytest.mark.parametrize("k", [1, 5])
def test_density_and_coverage_by_equations_3_and_4(k):
    real, made = two(25, 30)
    near = np.array([[np.linalg.norm(y - real[i]) <= ball(real, i, k) for i in range(25)] for y in made])
    expected = near.sum() / (k * len(made)), near.any(axis=0).mean()
    assert likeness.density_coverage(real, made, k) == (pytest.approx(expected[0], **EXACT), pytest.approx(expected[1]))


def test_neighbours_in_blocks_are_those_at_once(monkeypatch):
    real, made = two(60, 60)
    at_once = likeness.precision_recall(real, made), likeness.density_coverage(real, made)
    monkeypatch.setattr(likeness, "_BLOCK", 7)
    assert (likeness.precision_recall(real, made), likeness.density_coverage(real, made)) == at_once


def test_coverage_of_an_independent_draw_is_as_published():
    # Naeem et al., section 3.4: 1 - (N-1)...(N-k) / (M+N-1)...(M+N-k), about 1 - 2 ** -k where N = M.
    rng = np.random.default_rng(4)
    found = [likeness.density_coverage(rng.normal(size=(200, 4)), rng.normal(size=(200, 4))) for _ in range(20)]
    n = m = 200
    expected = 1 - np.prod([(n - i) / (m + n - i) for i in range(1, 6)])
    assert np.mean(found, axis=0) == pytest.approx([1, expected], abs=0.02)


def test_copies_are_near_and_as_dense():
    x = two()[0]
    assert likeness.precision_recall(x, x) == (1, 1)
    assert likeness.density_coverage(x, x)[1] == 1
    same = np.zeros((20, 2))
    assert likeness.precision_recall(same, same) == (1, 1)
    with pytest.raises(ParameterError, match=r"^Expected more than k = 5 records, got 5\.$"):
        likeness.density_coverage(x[:5], x)


def test_mmd2_by_gretton_equation_3():
    x, y = two(7, 9)

    def kernel(a, b):
        return (a @ b / 3 + 1) ** 3

    first = sum(kernel(x[i], x[j]) for i in range(7) for j in range(7) if i != j) / (7 * 6)
    second = sum(kernel(y[i], y[j]) for i in range(9) for j in range(9) if i != j) / (9 * 8)
    cross = sum(kernel(a, b) for a in x for b in y) / (7 * 9)
    assert likeness.mmd2(x, y) == pytest.approx(first + second - 2 * cross, **EXACT)


def test_mmd2_is_unbiased_and_its_interval_covers():
    rng = np.random.default_rng(5)
    found = [likeness.kernel_distance(*rng.normal(size=(2, 100, 2))) for _ in range(400)]
    values = np.array([one.value for one in found])
    assert abs(values.mean()) < 3 * values.std() / 20
    assert 0.9 <= np.mean([one.low <= 0 <= one.high for one in found]) <= 0.99
    apart = likeness.kernel_distance(*two(200, 200, shift=1.0))
    assert 0 < apart.low < apart.value < apart.high


def test_kernel_distance_is_the_mean_over_disjoint_subsets():
    x, y = two(41, 60)
    parts = [likeness.mmd2(x[10 * i : 10 * i + 10], y[15 * i : 15 * i + 15]) for i in range(4)]
    found = likeness.kernel_distance(x, y, 4, level=0.9)
    low, high = stats.ttest_1samp(parts, 0).confidence_interval(0.9)
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(parts), low, high), **EXACT)
    with pytest.raises(ParameterError) as caught:
        likeness.kernel_distance(x[:10], y, 6)
    assert str(caught.value) == "Expected `blocks` from 2 to half the number of records (10), got 6."


def test_two_sample_accuracy_by_the_obvious_loop():
    real, made = two(60, 60, shift=0.8)
    x, y = np.concatenate([real, made]), np.repeat([0, 1], 60)
    hits = 0
    for train, test in StratifiedKFold(5, shuffle=True, random_state=7).split(x, y):
        hits += (RandomForestClassifier(100, random_state=7).fit(x[train], y[train]).predict(x[test]) == y[test]).sum()
    found = likeness.two_sample_accuracy(real, made, seed=7, level=0.9)
    # Clopper and Pearson by the beta distribution
    low, high = stats.beta.ppf(0.05, hits, 121 - hits), stats.beta.ppf(0.95, hits + 1, 120 - hits)
    assert (found.value, found.low, found.high) == pytest.approx((hits / 120, low, high), **EXACT)
    assert found.low > 0.5


def test_two_sample_accuracy_tells_independent_draws_from_copies():
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(2, 150, 3))
    fair = likeness.two_sample_accuracy(x, y)
    assert fair.low <= 0.5 <= fair.high
    assert likeness.two_sample_accuracy(x, x).high < 0.5
    with pytest.raises(ParameterError, match=r"^Expected as many real as synthetic records, got 150 and 149\.$"):
        likeness.two_sample_accuracy(x, y[:-1])
