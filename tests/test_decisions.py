"""A choice for a function that trains: the same shrinkage, without a benchmark to start from."""

import numpy as np
import pandas as pd
import pytest

from synthaug import choose_training
from synthaug.decisions import NONE, inner_splits
from synthaug.errors import DataError, ParameterError
from synthaug.evaluate.priors import Prior, update
from synthaug.evaluate.training import Rows, compare_training

RNG = np.random.default_rng(0)
NUMBERS = (5 + RNG.normal(size=24)).tolist()


def train(items, seed):
    return float(np.mean([items[i] for i in range(len(items))]))


def score(mean, items):
    """Nearness to 4.5, whatever is tested: one arm moves every model that way, another moves it off."""
    return 1 - abs(mean - 4.5) / 10


def nearer(dataset, indices, seed):
    return [dataset[i] - 0.4 for i in indices]


def farther(dataset, indices, seed):
    return [dataset[i] + 0.4 for i in indices]


def same(dataset, indices, seed):
    return [dataset[i] for i in indices]


BOTH = {"farther": farther, "nearer": nearer}
THIRDS = [(np.setdiff1d(np.arange(24), third), third) for third in np.arange(24).reshape(3, 8)]


def test_what_helps_is_taken_and_the_table_tells_why():
    decision = choose_training(BOTH, train, score, NUMBERS, random_state=0)
    assert decision.choice == "nearer"
    assert decision.signal is None
    assert decision.table["candidate"].tolist() == ["farther", "nearer"]
    assert decision.table["expected"].tolist() == [0, 0]
    assert decision.table["n"].tolist() == [3, 6], "the worse half sees half of the splits"
    assert decision.reason.startswith("Take nearer: expected to add ")
    seen = 100 * decision.table["seen"].iloc[1]
    assert decision.reason.endswith(
        f" of score (>99% sure, asked for: 80%), after +{seen:.1f} on 6 inner splits and 0.0 expected before."
    )


def test_what_harms_or_does_nothing_is_left():
    for arm, chance in ((farther, "<1%"), (same, "50%")):
        decision = choose_training({"arm": arm}, train, score, NUMBERS, random_state=0)
        assert decision.choice == NONE
        assert str(decision) == (
            f"Leave the data alone: nothing tried is likely enough to raise score (arm: {chance}, asked for: 80%)."
        )


def test_chance_does_not_choose():
    """An arm that helps in one split and harms in the next: "none", unless less than 80% is asked for."""
    lucky = {"lucky": lambda dataset, indices, seed: [dataset[i] + (0.9 if 0 in indices else -0.8) for i in indices]}

    def level(mean, items):
        return mean

    decision = choose_training(lucky, train, level, [5.0] * 24, THIRDS, random_state=0)
    assert decision.table["gain"].item() > 0
    assert decision.choice == NONE
    bold = choose_training(lucky, train, level, [5.0] * 24, THIRDS, sure=0.5, random_state=0)
    assert bold.choice == "lucky"


def test_the_gain_is_shrunk_from_zero_by_the_stated_spread():
    """As the normal posterior has it, from the differences of the obvious comparison."""
    noisy = {"noisy": lambda dataset, indices, seed: [dataset[i] + seed % 7 / 10 for i in indices]}
    for spread in (0.001, 1.0):
        row = choose_training(noisy, train, score, NUMBERS, THIRDS, spread=spread, random_state=0).table.iloc[0]
        judged = compare_training(noisy, train, score, NUMBERS, THIRDS, random_state=_judge_seed(0)).scores
        wide = judged.pivot_table("score", "split", "arm")
        seen = (wide["noisy"] - wide["real"]).to_numpy()[:, None]
        after = update(Prior(("noisy",), np.zeros(1), np.array([[spread**2]])), seen, 0.5)
        assert row["seen"] == pytest.approx(seen.mean())
        assert row["gain"] == pytest.approx(after.mean[0])
    assert abs(row["gain"]) < abs(row["seen"])


def drifting(least, most):
    """Three splits of one item more each are told apart by which items are trained on."""
    moves = np.linspace(least, most, 3)
    return lambda dataset, indices, seed: [
        dataset[i] + moves[int(0 not in indices) + int(8 in indices)] for i in indices
    ]


def level_of(mean, items):
    return mean / 10


def test_a_gain_that_is_hardly_expected_is_said_to_count_for_less():
    arms = {"huge": drifting(0.2, 2.2)}
    decision = choose_training(arms, train, level_of, [5.0] * 24, THIRDS, random_state=0)
    row = decision.table.iloc[0]
    assert row["seen"] == pytest.approx(0.12)
    assert 0 < row["gain"] < 0.06
    told = (
        "huge gained +12.0 when measured, far more than expected (0.0, give or take 3.0), so less than half of it "
        "counts: if you expect such gains, set `spread` above 0.03."
    )
    assert decision.reason.endswith(f". {told}")
    wide = choose_training(arms, train, level_of, [5.0] * 24, THIRDS, spread=0.3, random_state=0)
    known = choose_training(arms, train, level_of, [5.0] * 24, THIRDS, expected={"huge": 0.1}, random_state=0)
    small = choose_training({"small": drifting(-0.8, 1.2)}, train, level_of, [5.0] * 24, THIRDS, random_state=0)
    assert small.table["gain"].item() < small.table["seen"].item() / 2, "shrunk, yet no surprise"
    for one in (wide, known, small):
        assert "when measured" not in one.reason


def test_candidates_that_are_as_good_are_named_as_a_comparison_names_them():
    arms = {"best": drifting(0.4, 0.7), "near": drifting(0.3, 0.75), "least": drifting(0.3, 0.55), "harms": nearer}
    decision = choose_training(arms, train, level_of, [5.0] * 24, THIRDS, random_state=0)
    assert decision.choice == "best"
    assert decision.reason.endswith(" expected before. best is not ahead of near beyond chance: take what costs least.")
    alone = choose_training({"best": arms["best"]}, train, level_of, [5.0] * 24, THIRDS, random_state=0)
    assert alone.reason.endswith(" expected before.")


def test_a_choice_starts_from_what_is_expected():
    """A gain known from elsewhere decides where the splits say little, and gives way where they say much."""
    known = {"same": 0.02}
    decision = choose_training({"same": same}, train, score, NUMBERS, THIRDS, expected=known, spread=0.01)
    assert decision.table["expected"].tolist() == [0.02]
    assert decision.choice == NONE, "it is seen to give exactly nothing"
    noisy = {"noisy": lambda dataset, indices, seed: [dataset[i] + (1 if 0 in indices else -1) for i in indices]}

    def level(mean, items):
        return mean

    assert choose_training(noisy, train, level, [5.0] * 24, THIRDS, spread=0.01).choice == NONE
    hopeful = choose_training(noisy, train, level, [5.0] * 24, THIRDS, expected={"noisy": 0.02}, spread=0.01)
    assert hopeful.choice == "noisy"


def _judge_seed(seed):
    from synthaug.rng import as_seed, derive

    return derive(as_seed(seed), "judge", 0)


def test_no_candidate_sees_a_test_item_and_groups_stay_together():
    groups, seen = np.arange(24) // 4, []

    def spy(dataset, indices, seed):
        seen.append(set(indices))
        with pytest.raises(DataError, match="is no training item"):
            _ = dataset[min(set(range(24)) - set(indices))]
        return Rows(dataset, indices)

    choose_training({"spy": spy}, train, score, NUMBERS, groups=groups, random_state=0)
    assert len(seen) == 6
    assert all(len({groups[i] for i in places} & {groups[i] for i in set(range(24)) - places}) == 0 for places in seen)


def test_labels_that_nothing_can_be_learned_of_end_it_before_any_training():
    rng, calls = np.random.default_rng(1), []
    labels, x = np.arange(60) % 2, rng.normal(size=(60, 3))

    def never(items, seed):
        calls.append(seed)

    decision = choose_training(
        {"same": same}, never, score, x, labels=labels, features=np.asarray, random_state=0
    )  # fmt: skip
    assert decision.choice == NONE
    assert decision.reason.startswith("Leave the data alone: it cannot be told that anything can be learned")
    assert calls == []
    told = x + labels[:, None]
    decision = choose_training(
        {"same": same}, train, score, told, labels=labels, features=np.asarray, random_state=0
    )  # fmt: skip
    assert decision.signal.there
    assert choose_training({"same": same}, train, score, told, labels=labels, random_state=0).signal is None


def test_one_score_of_several_counts():
    def both(mean, items):
        return {"near": score(mean, items), "far": 1 - score(mean, items)}

    chosen = [
        choose_training(BOTH, train, both, NUMBERS, metric=name, random_state=0).choice for name in ("near", "far")
    ]
    assert chosen == ["nearer", "farther"]
    assert choose_training(BOTH, train, both, NUMBERS, random_state=0).choice == "nearer"
    with pytest.raises(ParameterError, match=r"^Unknown score 'fax' in `metric`: did you mean 'far'\?$"):
        choose_training(BOTH, train, both, NUMBERS, metric="fax", random_state=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candidates": {}}, "Expected at least one candidate, got none."),
        ({"candidates": [same]}, "Expected `candidates` by name, got [<function same"),
        ({"candidates": {"a": 3}}, "Expected candidate 'a' to be a function `(dataset, indices, seed)`, got 3."),
        ({"candidates": {"none": same}}, "The names 'none' and 'real' are taken by the real data alone"),
        ({"train": {"a": train}}, "Expected `train` to be one function, got {'a': <function train"),
        ({"spread": 0}, "Expected `spread` above 0, got 0."),
        ({"expected": {"far": 0.1}}, "Unknown candidate 'far' in `expected`: did you mean 'farther'?"),
        ({"expected": 0.1}, "Expected `expected` to be a dict of candidate to gain, got 0.1."),
        (
            {"expected": {"nearer": 1.5}},
            "Expected the gain of 'nearer' in `expected` in units of the score, within ten t",
        ),
        ({"expected": {"nearer": "much"}}, "Expected the gain of 'nearer' in `expected` to be a finite number, got"),
        ({"features": np.asarray}, "Expected `labels` beside `features`."),
        ({"splits": THIRDS[:2]}, "Expected `splits` to give at least 3 inner splits, got 2: so few do not tell how m"),
    ],
)
def test_whole_messages(changes, message):
    arguments = {"candidates": BOTH, "train": train, "score": score, "dataset": NUMBERS, "random_state": 0}
    with pytest.raises(ParameterError) as caught:
        choose_training(**arguments | changes)
    assert str(caught.value).startswith(message)


def test_features_that_are_no_numbers_are_refused():
    labels = np.arange(24) % 2
    for features in (lambda items: np.zeros(24), lambda items: np.full((24, 1), np.nan)):
        with pytest.raises(DataError, match="Expected `features` to turn the 24 items into as many rows of numbers"):
            choose_training(BOTH, train, score, NUMBERS, labels=labels, features=features)


def test_a_finished_choice_is_not_trained_again(tmp_path):
    first = choose_training(BOTH, train, score, NUMBERS, store=tmp_path, random_state=0)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    second = choose_training(BOTH, train, score, NUMBERS, store=tmp_path, random_state=0)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert len(before) == 9 + 6  # three arms on three splits, then two
    pd.testing.assert_frame_equal(first.table, second.table)


def test_inner_splits_hold_every_class():
    y = pd.Series([0] * 10 + [1] * 2)
    splits = inner_splits(None, range(12), y, 0)
    assert len(splits) == 6
    assert all(y.iloc[train].nunique() == y.iloc[test].nunique() == 2 for train, test in splits)
