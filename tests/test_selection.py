"""Selection rejects copies, strays and wrong labels, and leaves an honest draw alone."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from synthaug.errors import DataError, DataTypeError, ParameterError
from synthaug.features import table_features
from synthaug.pool import Pool, Source
from synthaug.selection import Agreement, Distance, select

SOURCE = Source("test", "", 0)
BOTH = [Agreement(), Distance()]


def mixed(n, seed, *, gap=3.0):
    """Two classes in a table of numbers, categories and times; classes lie `gap` standard deviations apart."""
    rng = np.random.default_rng(seed)
    rare = rng.random(n) < 0.2
    labels = pd.Series(np.where(rare, "rare", "common"), name="label", dtype="str")
    records = pd.DataFrame(
        {
            "a": rng.normal(size=n) + gap * rare,
            "b": pd.Series(rng.normal(size=n)).mask(rng.random(n) < 0.1),
            "when": pd.Timestamp("2020-01-01", tz="UTC") + pd.to_timedelta(rng.normal(size=n) * 100, unit="h"),
            "town": pd.Categorical(rng.choice(["Ulm", "Bonn", "Kiel"], n)),
            "member": rng.random(n) < 0.5,
        }
    )
    return records, labels


def coarse(n, seed):
    """Categories only, so few that rows coincide."""
    rng = np.random.default_rng(seed)
    labels = pd.Series(rng.choice(["x", "y"], n))
    return pd.DataFrame({name: rng.choice(list("abc"), n) for name in "pqr"}), labels


def continuous(n, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    return pd.DataFrame(rng.normal(size=(n, 6)) + 2 * y[:, None]), pd.Series(y)


@pytest.mark.parametrize("make", [mixed, coarse, continuous])
@pytest.mark.parametrize("n", [60, 600])
def test_an_honest_draw_is_mostly_kept(make, n):
    real, labels = make(n, 0)
    records, drawn = make(400, 1)
    found = select(Pool.of(records, drawn, SOURCE), real, labels, BOTH, random_state=0)
    assert len(found.pool) > 0.9 * 400


@pytest.mark.parametrize("make", [mixed, continuous])
def test_copies_are_memorised(make):
    real, labels = make(300, 0)
    found = select(Pool.of(real, labels, SOURCE), real, labels, [Distance()])
    assert len(found.pool) < 0.02 * 300
    assert (found.rejected.query("reason == 'memorised'")["rejected"] > 0).all()


def test_near_copies_and_copies_under_another_label_are_memorised():
    real, labels = continuous(300, 0)
    near = real + 1e-3 * np.random.default_rng(0).normal(size=real.shape)
    found = select(Pool.of(near, labels.sample(frac=1, random_state=0).to_numpy(), SOURCE), real, labels, [Distance()])
    assert found.rejected.query("reason == 'memorised'")["rejected"].sum() > 290


def test_a_copy_of_a_row_that_is_there_twice_is_none_but_others_still_are():
    real, labels = continuous(300, 0)
    pool = Pool.of(real, labels, SOURCE)
    twice = pd.concat([real, real[:10]], ignore_index=True), pd.concat([labels, labels[:10]], ignore_index=True)
    found = select(pool, *twice, [Distance()])
    assert found.pool.records[0].tolist() == real[0][:10].tolist()


def test_coincidence_is_no_copy_where_real_rows_coincide():
    real, labels = coarse(300, 0)
    found = select(Pool.of(real, labels, SOURCE), real, labels, [Distance()])
    assert found.rejected.query("reason == 'memorised'")["rejected"].sum() == 0


def test_records_off_the_data_are_far():
    real, labels = mixed(300, 0)
    records, drawn = mixed(100, 1)
    found = select(Pool.of(records.assign(a=40.0), drawn, SOURCE), real, labels, [Distance()])
    assert len(found.pool) == 0
    assert found.rejected.query("reason == 'far'")["rejected"].sum() == 100


@pytest.mark.parametrize("estimator", [None, LogisticRegression()])
def test_wrong_labels_disagree(estimator):
    real, labels = continuous(300, 0)
    records, drawn = continuous(200, 1)
    wrong = np.arange(200) < 100
    given = drawn.where(~wrong, (drawn + 1) % 3)
    found = select(Pool.of(records, given, SOURCE), real, labels, [Agreement(estimator=estimator)], random_state=0)
    kept = records.index[np.isin(records[0], found.pool.records[0])]
    assert (kept < 100).sum() < 10
    assert (kept >= 100).sum() > 95


def test_labels_that_mean_nothing_reject_little():
    """Where the real labels are noise, disbelief is no ground for rejection."""
    real, _ = continuous(300, 0)
    labels = pd.Series(np.random.default_rng(99).integers(2, size=300))
    records, _ = continuous(300, 1)
    found = select(Pool.of(records, labels, SOURCE), real, labels, [Agreement()], random_state=0)
    assert len(found.pool) > 280


def test_classes_of_one_and_single_classes_are_left_alone():
    real, labels = continuous(50, 0)
    labels = labels.astype(str).where(labels.index > 0, "lone")
    records, _ = continuous(20, 1)
    assert len(select(Pool.of(records, ["lone"] * 20, SOURCE), real, labels, BOTH, random_state=0).pool) == 20
    one = select(Pool.of(records, ["1"] * 20, SOURCE), real, ["1"] * 50, [Agreement()], random_state=0)
    assert np.isnan(one.pool.scores["agreement"]).all()
    tiny = select(Pool.of(records, ["1"] * 20, SOURCE), real[:1], ["1"], BOTH, random_state=0)
    assert len(tiny.pool) == 20
    needs_two = Agreement(estimator=LogisticRegression())
    two = select(Pool.of(records, ["lone"] * 20, SOURCE), real[:9], labels[:9].mask(labels != "lone", "1"), [needs_two])
    assert len(two.pool) == 20


def test_scores_and_counts_tell_what_was_rejected():
    real, labels = continuous(200, 0)
    records, drawn = continuous(30, 1)
    pool = Pool.of(pd.concat([records, real[:10]]), [*drawn, *labels[:10]], SOURCE, scores={"mine": np.arange(40.0)})
    found = select(pool, real, labels, BOTH, random_state=0)
    assert list(found.pool.scores) == ["mine", "agreement", "novelty", "reach"]
    np.testing.assert_array_equal(found.pool.records[0], pool.records[0].iloc[found.pool.scores["mine"].astype(int)])
    assert found.rejected.columns.tolist() == ["criterion", "reason", "label", "rejected", "of"]
    assert found.rejected.groupby("reason")["of"].sum().tolist() == [40, 40, 40]
    assert found.rejected.query("reason == 'memorised'")["rejected"].sum() == 10


def test_same_seed_same_scores_and_inputs_unchanged():
    real, labels = mixed(100, 0)
    records, drawn = mixed(50, 1)
    pool, before = Pool.of(records, drawn, SOURCE), (real.copy(), labels.copy())
    one, two = (select(pool, real, labels, BOTH, random_state=3).pool for _ in range(2))
    assert one.equals(two)
    pd.testing.assert_frame_equal(real, before[0])
    pd.testing.assert_series_equal(labels, before[1])
    assert pool.scores == {}


def test_distances_against_the_obvious_computation():
    real, labels = continuous(40, 0)
    records, drawn = continuous(15, 1)
    scores = select(Pool.of(records, drawn, SOURCE), real, labels, [Distance(0, np.inf)]).pool.scores
    features = table_features(real)
    x, q, y = features(real), features(records), labels.to_numpy()
    between = np.linalg.norm(x[:, None] - x[None], axis=2) + np.diag(np.full(40, np.inf))
    for i in range(15):
        to = np.linalg.norm(x - q[i], axis=1)
        nearest = to.argmin()
        usual = np.quantile(between.min(1)[y == y[nearest]], 0.2)
        assert scores["novelty"][i] == pytest.approx(to[nearest] / min(between[nearest].min(), usual))
        own = y == drawn[i]
        edge = np.quantile(between[own][:, own].min(1), 0.99)
        assert scores["reach"][i] == pytest.approx(to[own].min() / edge)


def test_no_records_or_criteria_reject_nothing():
    real, labels = continuous(20, 0)
    pool = Pool.of(real, labels, SOURCE)
    assert len(select(pool.keep([]), real, labels, BOTH).pool) == 0
    found = select(pool, real, labels, [])
    assert (len(found.pool), len(found.rejected)) == (20, 0)


def test_a_criterion_may_judge_without_rejecting():
    class Watcher:
        def score(self, real, pool, seed):
            return {"watched": np.ones(len(pool.y))}

        def reasons(self, scores):
            return {}

    real, labels = continuous(20, 0)
    found = select(Pool.of(real, labels, SOURCE), real, labels, [Watcher()])
    assert found.pool.scores["watched"].tolist() == [1.0] * 20


def test_mistakes_are_named():
    real, labels = continuous(20, 0)
    pool = Pool.of(real, labels, SOURCE)
    with pytest.raises(DataError, match="Unknown label 2: known are 0, 1"):
        select(pool, real, [0, 1] * 10, BOTH)
    with pytest.raises(ParameterError, match="Two criteria fill the score 'novelty': pass one of them"):
        select(pool, real, labels, [Distance(), Distance(far=2)])
    with pytest.raises(DataTypeError, match="`features` for records of type ndarray"):
        select(pool, real.to_numpy(), labels, BOTH)
    with pytest.raises(DataError, match="for the real records, got 20 not finite: mend"):
        select(pool, real, labels, BOTH, features=lambda records: np.full((len(records), 1), np.nan))
    with pytest.raises(ParameterError, match="Expected `criteria` to be a list such as"):
        select(pool, real, labels, [Distance])
    with pytest.raises(DataError, match=r"the columns of the pool in their order, .*: pass `real\[list"):
        select(pool, real[real.columns[::-1]], labels, BOTH)
    with pytest.raises(ParameterError, match="Expected `folds` of at least 2, got 1"):
        Agreement(folds=1)
    with pytest.raises(ParameterError, match="with `predict_proba`"):
        Agreement(estimator=object())
    with pytest.raises(ParameterError, match="Expected `memorised` of at least 0"):
        Distance(memorised=-1)
