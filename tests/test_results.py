"""What is said from the scores, against the obvious loop."""

import itertools
import time

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from synthaug.evaluate.results import Comparison
from synthaug.evaluate.stats import holm


def test_gains_are_those_of_one_difference_at_a_time_and_cost_little():
    """Against the obvious loop, with cells that failed, arms that were skipped, and classes that no split has."""
    rng = np.random.default_rng(0)
    arms, models, n = ("real", *"abcdefg"), tuple("uvwxy"), 10
    scores = pd.DataFrame(
        [
            (arm, model, split, metric, rng.normal(), 0.1, 1.0, 1.0)
            for arm, model, split, metric in itertools.product(arms, models, range(n), ("one", "two"))
        ],
        columns=["arm", "estimator", "split", "metric", "score", "seconds", "peak_mb", "added"],
    )  # fmt: skip
    scores.loc[scores["arm"] == "a", "score"] = scores.loc[scores["arm"] == "real", "score"].to_numpy()
    scores = scores[(rng.random(len(scores)) < 0.95) | (scores["arm"] == "real")]
    scores = scores[~((scores["arm"] == "b") & (scores["estimator"] == "u"))]
    scores = scores[~((scores["arm"] == "c") & (scores["split"] > 0))]
    sizes = pd.DataFrame({"split": range(n), "n_train": rng.integers(70, 90, n), "n_test": rng.integers(10, 30, n)})
    found = Comparison(
        scores, scores[:0].assign(label=0, recall=0.0, support=0), sizes, pd.DataFrame(), (("b", "u", "no"),), arms,
        models, 0, {}, {},
    )  # fmt: skip
    wide = scores.pivot_table("score", "split", ["metric", "arm", "estimator"])
    gains = found.gains(level=0.9).set_index(["metric", "estimator", "arm"])
    assert len(gains) == 2 * (6 * 7 - 1)
    for (metric, model, arm), row in gains.iterrows():
        names = [one for one in (models if model == "all" else [model]) if (metric, arm, one) in wide]
        differences = wide[metric][arm][names].sub(wide[metric]["real"][names]).mean(axis=1, skipna=False).dropna()
        size = sizes.set_index("split").loc[differences.index]
        expected = _obvious_t(differences.to_numpy(), size["n_train"], size["n_test"], 0.9)
        assert row[["gain", "low", "high", "p"]].tolist() == pytest.approx(expected, abs=1e-12, rel=1e-12)
        assert row["n"] == len(differences)
    for (metric, model), rows in gains.groupby(["metric", "estimator"]):
        assert rows["p_holm"].tolist() == pytest.approx(holm(rows["p"]), rel=1e-12), (metric, model)
    start = time.process_time()
    for _ in range(5):
        found.gains()
    assert (time.process_time() - start) / 5 / len(gains) < 1e-3  # it was 5 ms a row


def _obvious_t(differences, n_train, n_test, level):
    """As Nadeau and Bengio write it, with the two cases that have no spread."""
    n = len(differences)
    if n < 2:
        return [differences.mean(), -np.inf, np.inf, 1.0]
    if np.ptp(differences) == 0:
        return [differences[0]] * 3 + [1.0 if differences[0] == 0 else 2.0 ** (1 - n)]
    error = np.sqrt(differences.var(ddof=1) * (1 / n + np.mean(n_test / n_train)))
    half = error * student.ppf((1 + level) / 2, n - 1)
    mean = differences.mean()
    return [mean, mean - half, mean + half, 2 * student.sf(abs(mean) / error, n - 1)]
