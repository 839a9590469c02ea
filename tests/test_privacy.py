"""Copying is caught, independence is not accused, and the figures are those of the papers' formulas."""

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning import LightningDataModule
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.datasets import load_diabetes, load_digits
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KernelDensity, NearestNeighbors
from torch.utils.data import DataLoader, Subset, TensorDataset

from synthaug.errors import DataError, DataTypeError, ParameterError, SynthaugWarning
from synthaug.evaluate import attacks, nearness, rates
from synthaug.evaluate.privacy import PrivacyRisk, _p_same, privacy_risk
from synthaug.evaluate.resemblance import fidelity
from synthaug.evaluate.sides import Sides
from synthaug.images import read_images
from synthaug.opened import OpenPool
from synthaug.pool import Pool, Source

CLEAN = "No sign of copying or of a leak beyond chance"


def mixed(n, seed):
    """Numbers, counts, levels and dates, with gaps; the columns depend on each other."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "size": z + rng.normal(size=n),
            "debt": rng.normal(size=n) * z,
            "town": rng.choice(["Ulm", "Bonn", "Köln"], n),
            "visits": rng.poisson(3, n),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D"),
            "member": rng.random(n) < 0.3,
        }
    )
    frame.loc[rng.random(n) < 0.1, "size"] = np.nan
    frame.loc[rng.random(n) < 0.1, "town"] = None
    frame.loc[rng.random(n) < 0.1, "since"] = pd.NaT
    return frame


def jittered(frame, scale):
    rng = np.random.default_rng(9)
    return frame.assign(**{name: frame[name] + scale * rng.normal(size=len(frame)) for name in ("size", "debt")})


def test_printed_it_is_a_sentence_with_its_numbers():
    found = privacy_risk(mixed(60, 0), mixed(60, 0), mixed(60, 1), random_state=0, n_attacks=20)
    assert str(found) == found.verdict()
    assert str(found).startswith("Records are copied: 100.0% of the synthetic records equal a training record (0.0% ")
    worst = found.attacks.loc[found.attacks["risk"].idxmax()]
    interval = f"{worst['risk']:.2f} [{worst['low']:.2f}, {worst['high']:.2f}]"
    assert repr(found) == f"PrivacyRisk(risk {interval} by {worst['attack']}, 60 exact copies)"


# The generator is the culprit


@pytest.mark.parametrize(
    ("make", "start"),
    [
        (lambda train: train.sample(150, replace=True, random_state=0), "Records are copied: 100.0% of the synth"),
        (lambda train: jittered(train, 1e-3), "Records are copied: 100.0% of the synthetic records are nearer to"),
        (lambda train: pd.concat([train[:12], mixed(150, 7)]), "Records are copied: 7.4% of the synthetic records eq"),
        (lambda train: jittered(train, 0.5), "Records are copied: "),
    ],
    ids=["rows", "tiny noise", "a few rows", "noise"],
)
def test_a_copying_generator_is_caught(make, start):
    train = mixed(200, 0)
    assert privacy_risk(train, make(train), mixed(200, 1), random_state=0, n_attacks=100).verdict().startswith(start)


def test_every_attack_sees_a_copying_generator():
    train = mixed(200, 0)
    found = privacy_risk(train, train, mixed(200, 1), random_state=0)
    assert (found.attacks["p"] < 0.01).all()
    assert (found.attacks["low"] > 0.2).all()
    assert (found.attacks["rate"] > found.attacks["baseline"]).all()
    assert found.copies.set_index("measure")["train"].to_dict() == {"exact": 1, "near": 1, "nearer": 1}
    assert found.exact_copies == 200
    assert found.verdict().endswith(" and 7 more.")


def test_an_independent_draw_is_accused_at_most_at_the_stated_rate():
    accused = 0
    for seed in range(40):
        records = [mixed(n, 3 * seed + i).iloc[:, :4] for i, n in enumerate((90, 150, 80))]
        accused += not privacy_risk(*records, random_state=seed, n_attacks=50).verdict().startswith(CLEAN)
    assert accused <= 0.05 * 40


def test_a_holdout_of_another_time_is_told():
    values = np.random.default_rng(0).normal(size=400)
    table = pd.DataFrame({"day": pd.date_range("2020", periods=400), "v": values})
    with pytest.warns(SynthaugWarning) as told:
        privacy_risk(table[:200:2], table[1:200:2], table[200:300], random_state=0)
    assert [str(one.message) for one in told] == [
        "Training and holdout records differ far beyond chance in 'day': what tells them apart may be their time, "
        "place or classes, and not the synthetic records. Draw the holdout at random from the same records as `train`, "
        "or name the classes in `labels` if it is only their shares that differ."
    ]
    assert told[0].filename == __file__
    shuffled = table.sample(frac=1, random_state=0)
    privacy_risk(shuffled[:100], shuffled[100:200], shuffled[200:300], random_state=0)


@pytest.mark.parametrize("column", ["town", "size", "since", "member"])
def test_any_kind_of_column_may_tell_the_holdout_apart(column):
    train, made, holdout = (mixed(150, seed) for seed in range(3))
    privacy_risk(train, made, holdout, random_state=0, n_attacks=10)
    one = train[column].dropna().iloc[0]
    for values in (one, holdout[column].where(holdout.index < 9)):
        other = holdout.assign(**{column: values})
        with pytest.warns(SynthaugWarning, match=f"beyond chance in '{column}': "):
            privacy_risk(train, made, other.astype({column: train[column].dtype}), random_state=0, n_attacks=10)


def test_random_holdouts_are_not_told_apart():
    """Also by numbers that are often equal, and levels that are rare or each only once."""
    rng, least = np.random.default_rng(0), 1.0
    for _ in range(300):
        n, m = rng.integers(20, 300, 2)
        for values in (rng.normal(size=n + m), rng.poisson(0.3, n + m), rng.zipf(1.3, n + m), np.arange(n + m)):
            ours, theirs = np.split(rng.permutation(values.astype(float)), [n])
            least = min(least, *(_p_same(ours, theirs, levels=levels) for levels in (False, True)))
    assert least > 1e-5


def test_a_generator_that_is_bad_but_ignorant_is_not_accused():
    shifted = mixed(150, 1).assign(size=lambda f: f["size"] + 3, visits=0)
    assert privacy_risk(mixed(150, 0), shifted, mixed(150, 2), random_state=0).verdict().startswith(CLEAN)


def test_tables_of_few_levels_repeat_records_without_blame():
    rng = np.random.default_rng(0)
    records = [pd.DataFrame(rng.integers(2, size=(150, 4)).astype(str)).add_prefix("q") for _ in range(3)]
    found = privacy_risk(*records, random_state=0)
    assert found.exact_copies == 150
    assert found.verdict().startswith(CLEAN)
    assert found.verdict().endswith("150 synthetic records equal a training record.")


# Agreement with anonymeter


def diabetes():
    """Tables of patients: trained on, held out, and a synthetic one of 60 training rows and 110 of shuffled columns."""
    frame = load_diabetes(as_frame=True, scaled=False).frame
    frame["sex"] = np.where(frame["sex"] == 1, "a", "b")
    frame["stage"] = np.array(["low", "mid", "high"], dtype=object)[np.digitize(frame["target"], [100, 180])]
    frame = frame.drop(columns="target")
    rng = np.random.default_rng(0)
    order = rng.permutation(len(frame))
    train, holdout, rest = (
        frame.iloc[order[a:b]].reset_index(drop=True) for a, b in ((0, 170), (170, 340), (340, 442))
    )
    mixture = train.apply(lambda column: rng.permutation(column.to_numpy()))
    leaking = train.copy()
    leaking.iloc[60:] = mixture.iloc[60:]
    return train, holdout, {"leaking": leaking.iloc[rng.permutation(170)].reset_index(drop=True), "fresh": rest}


# anonymeter 1.1.0 (pandas 3.0.6, numpy 1.26.4) on the tables of `diabetes`, with ori=train, syn, control=holdout:
# SinglingOutEvaluator(n_attacks=400, n_cols=3, seed=0..2).evaluate(mode) and InferenceEvaluator(aux_cols=all others,
# n_attacks=170, regression=secret in ("bmi", "age", "s1")).evaluate(n_jobs=1); risk(confidence_level=0.95).
# Successes against train and control, attempts, risk, low, high.
ANONYMETER = {
    ("leaking", "one column"): [(240, 67, 400, 0.5165, 0.4551, 0.5780)],
    ("leaking", "3 columns"): [
        (143, 82, 400, 0.1907, 0.1192, 0.2622),
        (115, 75, 400, 0.1224, 0.0538, 0.1909),
        (129, 87, 400, 0.1334, 0.0597, 0.2071),
    ],
    ("leaking", "stage"): [(115, 79, 170, 0.3874, 0.2319, 0.5430)],
    ("leaking", "sex"): [(135, 101, 170, 0.4794, 0.3044, 0.6545)],
    ("leaking", "bmi"): [(78, 36, 170, 0.3090, 0.2000, 0.4180)],
    ("leaking", "age"): [(73, 15, 170, 0.3696, 0.2827, 0.4565)],
    ("leaking", "s1"): [(81, 37, 170, 0.3261, 0.2165, 0.4357)],
    ("fresh", "one column"): [(92, 85, 400, 0.0221, 0.0000, 0.0944)],
    ("fresh", "3 columns"): [
        (75, 78, 400, 0.0000, 0.0000, 0.0589),
        (84, 84, 400, 0.0000, 0.0000, 0.0715),
        (68, 92, 400, 0.0000, 0.0000, 0.0000),
    ],
    ("fresh", "stage"): [(77, 82, 170, 0.0000, 0.0000, 0.1528)],
    ("fresh", "sex"): [(101, 95, 170, 0.0780, 0.0000, 0.3036)],
    ("fresh", "bmi"): [(46, 39, 170, 0.0527, 0.0000, 0.1691)],
    ("fresh", "age"): [(21, 22, 170, 0.0000, 0.0000, 0.0758)],
    ("fresh", "s1"): [(43, 50, 170, 0.0000, 0.0000, 0.0805)],
}
SECRETS = ["stage", "sex", "bmi", "age", "s1"]


@pytest.mark.parametrize("row", [row for rows in ANONYMETER.values() for row in rows])
def test_the_risk_of_given_counts_is_that_of_anonymeter(row):
    ours, control, n, *expected = row
    found = rates.excess_risk(ours, control, n)
    assert [found.value, found.low, found.high] == pytest.approx(expected, abs=5.1e-5)


@pytest.mark.parametrize("name", ["leaking", "fresh"])
def test_the_risks_agree_with_anonymeter_within_its_intervals(name):
    train, holdout, synthetic = diabetes()
    found = privacy_risk(train, synthetic[name], holdout, random_state=0, sensitive=SECRETS, n_attacks=400)
    risks = found.attacks.set_index("attack")
    for secret in SECRETS:
        low, high = ANONYMETER[name, secret][0][-2:]
        assert low <= risks.loc[f"inference of {secret}", "risk"] <= high
    low, high = np.mean([row[-2:] for row in ANONYMETER[name, "3 columns"]], axis=0)
    assert low <= risks.loc["singling out by 3 columns", "risk"] <= high
    assert found.verdict().startswith(CLEAN) == (name == "fresh")


@pytest.mark.parametrize("name", ["leaking", "fresh"])
def test_predicates_of_one_column_succeed_as_often_as_those_of_anonymeter(name):
    train, holdout, synthetic = diabetes()
    coded = attacks.code_tables([train, synthetic[name], holdout])
    predicates = attacks.univariate(coded[1], 10**6, np.random.default_rng(0))  # all there are, fewer than 400
    assert (predicates.isolating(coded[0]).sum(), predicates.isolating(coded[2]).sum()) == ANONYMETER[
        name, "one column"
    ][0][:2]


@pytest.mark.parametrize("name", ["leaking", "fresh"])
def test_guesses_succeed_as_often_as_those_of_anonymeter(name):
    train, holdout, synthetic = diabetes()
    coded = attacks.code_tables([train, synthetic[name], holdout])
    columns = [list(train.columns).index(secret) for secret in SECRETS]
    for side, position in ((coded[0], 0), (coded[2], 1)):
        guesses = attacks.guess(side, coded[1], columns)
        for secret, column, guess in zip(SECRETS, columns, guesses.T, strict=True):
            theirs = ANONYMETER[name, secret][0][position]
            assert abs(int(attacks.guessed(guess, side, column).sum()) - theirs) <= 7  # its ranges are others


# Agreement with formulas


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (10, 10), (77, 400)])
def test_wilson_is_that_of_scipy(successes, n):
    found = rates.wilson(successes, n, 0.9)
    expected = stats.binomtest(successes, n).proportion_ci(0.9, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found.value == pytest.approx((expected.low + expected.high) / 2, abs=1e-9)


def test_excess_risk_propagates_the_errors_of_both_rates():
    ours, theirs = rates.wilson(60, 100), rates.wilson(20, 100)

    def risk(rate, control):
        return (rate - control) / (1 - control)

    step = 1e-6
    slopes = [
        (risk(ours.value + step, theirs.value) - risk(ours.value - step, theirs.value)) / (2 * step),
        (risk(ours.value, theirs.value + step) - risk(ours.value, theirs.value - step)) / (2 * step),
    ]
    error = math.hypot(slopes[0] * (ours.high - ours.value), slopes[1] * (theirs.high - theirs.value))
    found = rates.excess_risk(60, 20, 100)
    assert found.value == pytest.approx(risk(ours.value, theirs.value), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((found.value - error, found.value + error), abs=1e-9)


def test_difference_is_that_of_newcombe():
    found = rates.difference(0.9, 0.3, 10)
    assert (found.low, found.high) == pytest.approx((0.1705, 0.8090), abs=5e-5)  # his table II, method 10, example c
    ours, theirs = (stats.binomtest(k, 40).proportion_ci(method="wilson") for k in (7, 5))
    low = 2 / 40 - math.sqrt((7 / 40 - ours.low) ** 2 + (theirs.high - 5 / 40) ** 2)
    high = 2 / 40 + math.sqrt((ours.high - 7 / 40) ** 2 + (5 / 40 - theirs.low) ** 2)
    found = rates.difference(7 / 40, 5 / 40, 40)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_auc_and_its_interval_are_those_of_delong():
    rng = np.random.default_rng(0)
    ours, theirs = rng.integers(0, 9, 30) + 1.0, rng.integers(0, 9, 40) + 0.0
    kernel = (ours[:, None] > theirs) + 0.5 * (ours[:, None] == theirs)
    error = math.sqrt(kernel.mean(axis=1).var(ddof=1) / 30 + kernel.mean(axis=0).var(ddof=1) / 40)
    found = rates.auc(ours, theirs, 0.9)
    assert found.value == pytest.approx(roc_auc_score([1] * 30 + [0] * 40, [*ours, *theirs]), abs=1e-12)
    assert found.value - found.low == pytest.approx(stats.norm.ppf(0.95) * error, abs=1e-9)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("density", [0.01, 0.3])
def test_relabelling_counts_what_a_loop_over_all_halves_counts(alone, density):
    n, rng = 4, np.random.default_rng(0)
    hits = rng.random((60, 2 * n)) < density
    hits[0, 0] = True
    halves = [set(range(n)), *map(set, itertools.combinations(range(2 * n), n))]
    labels = np.array([[i in half for half in halves] for i in range(2 * n)], np.float32)

    def happens(half):
        counts = [sum(row[i] for i in half) for row in hits]
        return sum(count == 1 if alone else count > 0 for count in counts)

    leads = [happens(half) - happens(set(range(2 * n)) - half) for half in halves]
    found = rates.relabelled(hits, labels, alone=alone)
    assert (found.train, found.holdout, found.n) == (happens(halves[0]), happens(set(range(n, 2 * n))), 60)
    assert found.p == pytest.approx(np.mean(np.array(leads) >= leads[0]))
    assert found.spread == pytest.approx(np.std(leads[1:]))


def test_predicates_are_true_of_what_pandas_finds():
    frame = mixed(60, 0)[["size", "visits", "town"]]
    coded = attacks.code_tables([frame, mixed(60, 1)[["size", "visits", "town"]]])
    for predicates in (
        attacks.univariate(coded[1], 200, np.random.default_rng(0)),
        attacks.multivariate(coded[1], 50, np.random.default_rng(0)),
        attacks.random(coded[1], 50, np.random.default_rng(0), width=2),
    ):
        code = pd.DataFrame(coded[0].values)
        for row, columns, tests, values in zip(
            predicates.matches(coded[0]), predicates.columns, predicates.tests, predicates.values, strict=True
        ):
            expected = pd.Series(True, code.index)
            for column, test, value in zip(columns, tests, values, strict=True):
                x = code[column]
                expected &= x.isna() if np.isnan(value) else {0: x == value, 1: x <= value, 2: x >= value}[test]
            assert row.tolist() == expected.tolist()


def test_predicates_of_one_column_are_all_that_single_out():
    frame = mixed(50, 0)
    coded = attacks.code_tables([frame])[0]
    found = attacks.univariate(coded, 10**6, np.random.default_rng(0))
    assert found.isolating(coded).all()
    n_once = sum(int((frame[name].value_counts(dropna=False) == 1).sum()) for name in frame)
    n_ends = sum(
        int((frame[name] == end).sum() == 1)
        for name in ("size", "debt", "visits", "since")
        for end in (frame[name].min(), frame[name].max())
    )
    assert len(found) == n_once + n_ends


def test_predicates_of_several_columns_single_out_and_differ():
    coded = attacks.code_tables([mixed(80, 0)])[0]
    found = attacks.multivariate(coded, 300, np.random.default_rng(0))
    assert len(found) == 300
    assert found.isolating(coded).all()
    assert (np.diff(found.columns, axis=1) > 0).all()
    parts = np.hstack([found.columns, found.tests, np.nan_to_num(found.values, nan=-1)])
    assert len(np.unique(parts, axis=0)) == 300
    numbers = coded.ordered[found.columns] & ~np.isnan(found.values)
    above = found.values > np.nanmedian(coded.values, axis=0)[found.columns]
    assert (found.tests == np.where(numbers, np.where(above, 2, 1), 0)).all()


def test_a_guess_is_the_secret_of_the_nearest_record_by_gower():
    targets, synthetic = attacks.code_tables([mixed(30, 0), mixed(50, 1)])
    guesses = attacks.guess(targets, synthetic, [0, 2])
    both = np.vstack([targets.values, synthetic.values])
    ranges = np.nanmax(both, axis=0) - np.nanmin(both, axis=0)

    def apart(a, b, j):
        if np.isnan(a) or np.isnan(b):
            return float(np.isnan(a) != np.isnan(b))
        return abs(a - b) / ranges[j] if targets.ordered[j] else float(a != b)

    for position, secret in enumerate([0, 2]):
        known = [j for j in range(6) if j != secret]
        for target, guess in zip(targets.values, guesses[:, position], strict=True):
            distances = [sum(apart(target[j], row[j], j) for j in known) for row in synthetic.values]
            nearest = [
                row[secret] for row, d in zip(synthetic.values, distances, strict=True) if d < min(distances) + 1e-9
            ]
            assert guess == pytest.approx(nearest[0], nan_ok=True)


def test_distances_are_those_of_the_nearest_two():
    rng = np.random.default_rng(0)
    made, real = rng.normal(size=(40, 3)), rng.normal(size=(60, 3))
    found = nearness.closest(cdist(made, real)).set_index(["measure", "quantile"])
    for name, half in (("train", real[:30]), ("holdout", real[30:])):
        nearest = NearestNeighbors(n_neighbors=2).fit(half).kneighbors(made)[0]
        assert found.loc[("distance", 0.5), name] == pytest.approx(np.median(nearest[:, 0]))
        assert found.loc[("ratio", 0.05), name] == pytest.approx(np.quantile(nearest[:, 0] / nearest[:, 1], 0.05))


def test_density_scores_are_ratios_of_kernel_densities():
    rng = np.random.default_rng(0)
    made, real = rng.normal(size=(40, 2)), rng.normal(size=(60, 2))
    reference, members, others = real[30:45], real[:15], real[45:]
    width = np.median(NearestNeighbors(n_neighbors=1).fit(reference).kneighbors()[0]) / 4
    densities = [KernelDensity(bandwidth=width).fit(centres) for centres in (made, reference)]
    found = nearness.density_scores(cdist(made, real), cdist(real, real))
    for scores, points in zip(found, (members, others), strict=True):
        expected = densities[0].score_samples(points) - densities[1].score_samples(points) + np.log(40 / 15)
        assert scores == pytest.approx(expected, rel=1e-9)


# Records of other kinds, and how it is asked


@pytest.mark.parametrize("as_records", [lambda x: x, list], ids=["array", "list"])
def test_images_are_compared_by_their_features(as_records):
    images = np.random.default_rng(0).permutation(load_digits().images)[:450]  # else each writer's stay together
    train, holdout, fresh = images[:150], images[150:300], images[300:]

    def features(records):
        return np.stack([np.asarray(image).reshape(4, 2, 4, 2).mean(axis=(1, 3)).ravel() for image in records])

    sides = as_records(train), as_records(holdout)
    copied = privacy_risk(sides[0], as_records(train[::-1] + 0.01), sides[1], features=features, random_state=0)
    assert copied.verdict().startswith("Records are copied")
    assert copied.attacks["attack"].tolist() == ["membership by distance", "membership by density"]
    clean = privacy_risk(sides[0], as_records(fresh), sides[1], features=features, random_state=0)
    assert clean.verdict().startswith(CLEAN)


def test_a_pool_stands_for_its_records(tmp_path):
    train, made, holdout = (mixed(60, seed) for seed in range(3))
    pool = Pool.of(made, ["a", "b"] * 30, Source("by hand", "", 0))
    settings = {"random_state": 0, "n_attacks": 20}
    pool.save(tmp_path / "pool")
    expected = repr(privacy_risk(train, made, holdout, **settings))
    for one in (pool, OpenPool(tmp_path / "pool")):
        assert repr(privacy_risk(train, one, holdout, **settings)) == expected
    digits = [read_images((load_digits().images[i : i + 40], [0] * 40)) for i in (0, 40, 80)]
    found = privacy_risk(*digits, features=lambda images: images.reshape(len(images), -1), random_state=0)
    assert found.sizes == {"train": 40, "synthetic": 40, "holdout": 40}


def test_images_on_two_scales_are_no_all_clear():
    images = load_digits().images.astype("uint8")
    floats, copies = images[:30] / 16, images[:30]
    for ask in (privacy_risk, fidelity):
        with pytest.raises(DataError, match="on one scale"):
            ask(floats, copies, holdout=images[60:90] / 16)


def test_data_sets_of_images_stand_for_their_images():
    images, labels = torch.from_numpy(load_digits().images[:120]).float() / 16, torch.arange(120) % 10
    whole = TensorDataset(images, labels)
    parts = [Subset(whole, range(i, i + 40)) for i in (0, 40, 80)]
    expected = privacy_risk(*(images[i : i + 40].numpy() for i in (0, 40, 80)), random_state=0)
    assert repr(privacy_risk(*parts, random_state=0)) == repr(expected)
    flat = privacy_risk(*parts, features=lambda records: records.reshape(len(records), -1), random_state=0)
    assert repr(flat) == repr(expected)  # images of 8 x 8 are their own fields
    assert repr(fidelity(*parts[:2], random_state=0)) == repr(fidelity(images[:40], images[40:80], random_state=0))


@pytest.mark.parametrize("loader", [DataLoader, LightningDataModule.from_datasets])
@pytest.mark.parametrize("features", [None, len])
def test_a_loader_of_images_is_told_to_be_its_data_set(loader, features):
    images = TensorDataset(torch.rand(60, 1, 8, 8), torch.arange(60) % 2)
    remedy = "its data set, `loader.dataset`"
    if loader is not DataLoader:
        remedy = "one of its data sets, such as `module.train_dataloader().dataset`"
    for ask, names in ((privacy_risk, ("train", "synthetic", "holdout")), (fidelity, ("real", "synthetic", "holdout"))):
        for name in names:
            given = dict.fromkeys(names, images) | {name: loader(images)}
            told = f"Expected `{name}` to hold records, got a {type(given[name]).__name__}: pass {remedy}."
            with pytest.raises(DataTypeError) as found:
                ask(**given, features=features)
            assert str(found.value) == told


def test_arrays_of_rows_are_tables():
    rng = np.random.default_rng(0)
    records = [rng.normal(size=(60, 3)) for _ in range(3)]
    one = privacy_risk(*records, random_state=0)
    two = privacy_risk(*map(pd.DataFrame, records), random_state=0)
    pd.testing.assert_frame_equal(one.attacks, two.attacks)


def test_the_same_seed_gives_the_same_and_nothing_else_changes():
    records = mixed(60, 0), mixed(60, 1), mixed(60, 2)
    before, copies = np.random.get_state()[1].copy(), [frame.copy() for frame in records]
    first = privacy_risk(*records, n_attacks=50)
    again = privacy_risk(*records, n_attacks=50, random_state=first.seed)
    other = privacy_risk(*records, n_attacks=50, random_state=1)
    assert first.to_dict() == again.to_dict()
    assert first.to_dict() != other.to_dict()
    assert (np.random.get_state()[1] == before).all()
    for frame, copy in zip(records, copies, strict=True):
        pd.testing.assert_frame_equal(frame, copy)


def test_columns_may_stand_in_another_order_and_have_other_types_of_the_same_kind():
    train, synthetic, holdout = mixed(60, 0), mixed(60, 1), mixed(60, 2)
    expected = privacy_risk(train, synthetic, holdout, random_state=0, n_attacks=50)
    other = synthetic[synthetic.columns[::-1]].astype({"town": "category", "visits": "float32", "member": "boolean"})
    holdout = holdout.astype({"town": "category", "visits": "Int64"})
    assert privacy_risk(train, other, holdout, random_state=0, n_attacks=50).to_dict() == expected.to_dict()


def test_large_tables_are_drawn_from_and_the_numbers_told():
    found = privacy_risk(mixed(300, 0), mixed(400, 1), mixed(150, 2), random_state=0, max_records=100, n_attacks=30)
    assert found.sizes == {"train": 300, "synthetic": 400, "holdout": 150}
    assert found.compared == {"train": 100, "synthetic": 100, "holdout": 100}
    assert found.copies["n"].tolist() == [100] * 3
    assert set(found.attacks["n"]) == {100, 50, 30}
    assert found.verdict().startswith(f"{CLEAN} in 13 tests against 100 training and 100 holdout records; ")


def test_only_sensitive_columns_are_inferred():
    records = mixed(60, 0), mixed(60, 1), mixed(60, 2)
    for sensitive in ("debt", ["debt"]):
        found = privacy_risk(*records, random_state=0, sensitive=sensitive, n_attacks=20)
        assert found.attacks["attack"].tolist()[4:] == ["inference of debt"]


def test_what_cannot_be_tried_is_told_so():
    rng = np.random.default_rng(0)
    records = [pd.DataFrame(rng.integers(2, size=(60, 2)), columns=["a", "b"]).astype(str) for _ in range(3)]
    found = privacy_risk(*records, random_state=0)
    row = found.attacks.set_index("attack").loc["singling out by one column"]
    assert row["n"] == 0
    assert np.isnan(row["risk"])
    assert found.verdict().startswith(f"{CLEAN} in 8 tests")
    alone = privacy_risk(*[frame[["a"]] for frame in records], random_state=0)
    assert len(alone.attacks) == 3


def test_too_few_records_cannot_tell():
    rng = np.random.default_rng(0)
    found = privacy_risk(rng.normal(size=(20, 2)), rng.normal(size=(1, 2)), rng.normal(size=(20, 2)), random_state=0)
    assert found.verdict().startswith("Cannot tell: no sign of copying")


def test_the_result_is_plain_json():
    found = privacy_risk(mixed(60, 0), mixed(60, 1), mixed(60, 2), random_state=0, n_attacks=20)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["verdict"] == found.verdict()
    assert plain["attacks"][0]["control"] is None
    assert [row["attack"] for row in plain["attacks"]] == found.attacks["attack"].tolist()


def result(copies=(), attack=()):
    rows = [("exact", 0.3, 0.0, 0.3, 0.2, 0.4, 100, 0.5), ("near", 0.4, 0.1, 0.3, 0.2, 0.4, 100, 0.5),
            ("nearer", 0.6, 0.4, 0.2, 0.1, 0.3, 100, 0.5)]  # fmt: skip
    tried = [(f"attack {i}", 0.1 * i, 0.05 * i, 0.2 * i, 0.5, 0.1, 0.3, 50, 0.5) for i in range(5)]
    found = PrivacyRisk(
        attacks=pd.DataFrame(tried, columns=["attack", "risk", "low", "high", "rate", "baseline", "control", "n", "p"]),
        copies=pd.DataFrame(rows, columns=["measure", "train", "holdout", "difference", "low", "high", "n", "p"]),
        membership=pd.DataFrame(), distances=pd.DataFrame(), sizes={}, compared={"train": 50, "holdout": 50},
        exact_copies=3, level=0.95, seed=0,
    )  # fmt: skip
    found.copies.loc[list(copies), "p"] = 0.0005
    found.attacks.loc[list(attack), "p"] = 0.0005
    return found


@pytest.mark.parametrize(
    ("copies", "attack", "expected"),
    [
        (
            [], [],
            "Cannot tell: no sign of copying or of a leak beyond chance in 8 tests against 50 training and 50 holdout "
            "records; by their intervals, risks of up to 80% are not ruled out. 3 synthetic records equal a training "
            "record.",
        ),
        (
            [], [2],
            "No sign of copying, but of a leak. Training records are told from others by attack 2 (risk 0.20 [0.10, "
            "0.40]). 3 synthetic records equal a training record.",
        ),
        (
            [0, 1], [0, 1, 3, 4],
            "Records are copied: 30.0% of the synthetic records equal a training record (0.0% one of the holdout). "
            "Training records are told from others by attack 4 (risk 0.40 [0.20, 0.80]), attack 3 (risk 0.30 [0.15, "
            "0.60]), attack 1 (risk 0.10 [0.05, 0.20]) and 1 more.",
        ),
        (
            [2], [],
            "Records lie close to training records: the nearest real record is a training record for 60.0% (one of "
            "the holdout for 40.0%).",
        ),
    ],
)  # fmt: skip
def test_the_verdict_says_what_is_sure(copies, attack, expected):
    assert result(copies, attack).verdict() == expected


# Bad input


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"synthetic": mixed(60, 1)[:0], "holdout": mixed(19, 2)}, DataError,
            "2 problems:\n- Expected at least 1 records in `synthetic`, got 0.\n"
            "- Expected at least 20 records in `holdout`, got 19.",
        ),
        (
            {"synthetic": mixed(60, 1).drop(columns="debt").assign(origin=1)}, DataError,
            "2 problems:\n- `synthetic` lacks column 'debt' of `train`: give all three the same columns.\n"
            "- `synthetic` has column 'origin', which `train` lacks: drop it.",
        ),
        (
            {"synthetic": mixed(60, 1).astype({"visits": object})}, DataError,
            "Column 'visits' holds numbers (int64) in `train` and levels (object) in `synthetic`: convert it with "
            "`astype`.",
        ),
        (
            {"holdout": mixed(60, 0)[::-1]}, DataError,
            "60 of the 60 records of `holdout` are in `train` too: give records that the generator was not fitted on.",
        ),
        (
            {"holdout": np.zeros((60, 2, 2)), "features": len}, DataError,
            "`train` is a DataFrame of shape (60, 6) and `holdout` a ndarray of shape (60, 2, 2): give all three in "
            "the same form.",
        ),
        (
            {"train": np.zeros((60, 2, 3))}, DataTypeError,
            "Expected `train` to be a table or an array `(n, d)`, got ndarray of shape (60, 2, 3): give `features`, "
            "which turn such records into numbers.",
        ),
        (
            {"features": lambda frame: np.zeros(len(frame))}, DataError,
            "Expected `features` to turn 60 records into numbers of shape (60, d), got float64 of shape (60,).",
        ),
        (
            {"features": lambda frame: np.full((len(frame), 1), np.nan)}, DataError,
            "Expected `features` to give finite numbers, got nan.",
        ),
        (
            {"train": mixed(60, 0).assign(debt=1j)}, DataError,
            "Column 'debt' is complex: split it into a real and an imaginary column.",
        ),
        (
            {"synthetic": [1], "features": np.asarray}, DataTypeError,
            "Expected `train`, `synthetic` and `holdout` in the same form, got DataFrame, list, DataFrame.",
        ),
        (
            {"sensitive": "dept"}, ParameterError,
            "`sensitive` names 'dept', which is no column: did you mean 'debt'?",
        ),
        (
            {"n_attacks": 0, "level": 95}, ParameterError,
            "2 problems:\n- Expected `n_attacks` to be an integer of at least 1, got 0.\n"
            "- Expected `level` between 0 and 1, got 95.",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_told(change, error, message):
    arguments = {"train": mixed(60, 0), "synthetic": mixed(60, 1), "holdout": mixed(60, 2), "random_state": 0, **change}
    with pytest.raises(error) as caught:
        privacy_risk(**arguments)
    assert str(caught.value) == message


def test_a_holdout_that_was_trained_on_in_part_is_told():
    train, holdout = mixed(60, 0), mixed(60, 2)
    leaked = pd.concat([holdout, train[:7]])
    with pytest.warns(SynthaugWarning, match=r"^7 of the 67 records of `holdout` are in `train` too, more than equal"):
        privacy_risk(train, mixed(60, 1), leaked, random_state=0, n_attacks=20)


def test_sensitive_columns_are_of_tables_only():
    x = np.zeros((30, 2, 2)) + np.arange(30)[:, None, None]
    with pytest.raises(ParameterError, match=r"^`sensitive` names columns of a table: leave it out for other records"):
        privacy_risk(x, x, x + 50, features=lambda a: a.reshape(len(a), -1), sensitive="a")


def test_shares_of_classes_alone_accuse_nobody():
    """Training records with a rare class, and a holdout with as many of each, as a test folder often is."""

    def drawn(seed, counts):
        rng, y = np.random.default_rng(seed), np.repeat(["a", "b"], counts)
        return pd.DataFrame(rng.normal(np.where(y == "a", 0, 6)[:, None], size=(len(y), 3)), columns=list("uvw")), y

    told = []
    for seed in range(3):
        (train, y), (made, _), (held, z) = (drawn(10 * seed + i, counts) for i, counts in
                                            enumerate([(300, 20), (300, 20), (160, 160)]))  # fmt: skip
        with pytest.warns(SynthaugWarning, match="name the classes in `labels`"):
            alone = privacy_risk(train, made, held, random_state=0)
        told.append((alone, privacy_risk(train, made, held, labels=(y, z), random_state=0)))
    assert any(not found.verdict().startswith(("No sign", "Cannot tell")) for found, _ in told)
    assert all(found.verdict().startswith(("No sign", "Cannot tell")) for _, found in told)
    assert told[0][1].compared == {"train": 180, "synthetic": 320, "holdout": 180}
    copied = privacy_risk(train, train[:100], held, labels=(y, z), random_state=0)
    assert copied.verdict().startswith("Records are copied")


def test_labels_carried_by_images_are_looked_at_and_others_checked():
    images = np.random.default_rng(0).integers(0, 256, (120, 8, 8), dtype=np.uint8)
    train, held = read_images((images[:60], [0] * 50 + [1] * 10)), read_images((images[60:90], [0, 1] * 15))
    assert privacy_risk(train, images[90:], held, random_state=0).compared["train"] == 15 + 10
    assert privacy_risk(train.records, images[90:], held, random_state=0).compared["train"] == 30
    with pytest.raises(ParameterError, match=r"`labels` to be `\(train_labels, holdout_labels\)`, 60 and 30 of them"):
        privacy_risk(train.records, images[90:], held.records, labels=([0] * 60, [0] * 29))


def test_as_many_of_each_class_are_drawn_of_many_records():
    tables = [pd.DataFrame({"id": np.arange(a + b) + 1000 * i, "y": np.repeat([0, 1], [a, b])})
              for i, (a, b) in enumerate([(300, 60), (200, 200)])]  # fmt: skip
    labels = {name: table["y"] for name, table in zip(("train", "holdout"), tables, strict=True)}
    drawn = Sides.of(tables[0], tables[0], tables[1], None, labels).draw(0, 100)
    counts = [part["y"].value_counts().to_dict() for part in (drawn.train, drawn.holdout)]
    assert counts[0] == counts[1]
    assert sum(counts[0].values()) == 100
