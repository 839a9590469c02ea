"""What is tried on the records, one function a kind of test; each gives the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import hypergeom, ks_2samp, mannwhitneyu

from synthaug.evaluate import attacks, nearness
from synthaug.evaluate.rates import auc, difference, excess_risk, relabelled, wilson
from synthaug.evaluate.sides import Sides
from synthaug.rng import numpy_rng

__all__ = ["copies", "inference", "membership", "membership_risk", "singling_out"]

_WIDTH = 3


def copies(
    drawn: Sides, to_real: np.ndarray, among: np.ndarray, labels: np.ndarray, level: float
) -> Iterator[dict[str, Any]]:
    """One row a measure; the interval allows for records that are the nearest of many (Kish's design effect)."""
    hits = {
        "exact": nearness.equal(drawn.hashes[1], np.concatenate([drawn.hashes[0], drawn.hashes[2]])),
        "near": nearness.near(to_real, nearness.near_limit(among)),
        "nearer": nearness.nearest(to_real),
    }
    for name, hit in hits.items():
        found = relabelled(hit, labels)
        train, holdout, n = found.train / found.n, found.holdout / found.n, found.n
        share = (train + holdout) / 2
        usual = 2 * share * (1 - share) / n  # the variance of the difference if the n were independent
        effect = max(1.0, (found.spread / n) ** 2 / usual) if usual > 0 else 1.0
        bounds = difference(train, holdout, n / effect, level)
        yield {
            "measure": name, "train": train, "holdout": holdout, "difference": bounds.value,
            "low": bounds.low, "high": bounds.high, "n": n, "p": found.p,
        }  # fmt: skip


def membership(to_real: np.ndarray, among: np.ndarray, level: float) -> list[dict[str, Any]]:
    """How well scores tell who was trained on; `p` is that of the Mann-Whitney test, one-sided.

    >>> rng = np.random.default_rng(0)
    >>> real, made = rng.normal(size=(40, 1)), rng.normal(size=(30, 1))
    >>> [row["n"] for row in membership(np.abs(made - real.T), np.abs(real - real.T), 0.95)]
    [20, 10]
    """
    scores = {
        "membership by distance": nearness.distance_scores(to_real),
        "membership by density": nearness.density_scores(to_real, among),
    }
    rows = []
    for name, (ours, theirs) in scores.items():
        area = auc(ours, theirs, level)
        advantage = float(ks_2samp(ours, theirs, alternative="less", method="asymp").statistic)
        p = float(mannwhitneyu(ours, theirs, alternative="greater", method="asymptotic").pvalue)
        rows.append(
            {
                "attack": name,
                "auc": area.value,
                "low": area.low,
                "high": area.high,
                "advantage": advantage,
                "n": len(ours),
                "p": p,
            }
        )
    return rows


def membership_risk(row: dict[str, Any]) -> dict[str, Any]:
    """A row of `membership` as one of `attacks`: the risk is that beyond guessing."""
    risk, low, high = (max(2 * row[name] - 1, 0.0) for name in ("auc", "low", "high"))
    return {
        "attack": row["attack"], "risk": risk, "low": low, "high": high, "rate": row["auc"], "baseline": 0.5,
        "control": np.nan, "n": row["n"], "p": row["p"],
    }  # fmt: skip


def singling_out(
    synthetic: attacks.Coded, real: attacks.Coded, labels: np.ndarray, seed: int, n: int, level: float
) -> Iterator[dict[str, Any]]:
    """How often a predicate that singles out a synthetic record does so to a real one of either half."""
    width, rng = min(_WIDTH, len(real.kinds)), numpy_rng(seed, "singling out")
    sets = {"one column": (attacks.univariate(synthetic, n, rng), 1)}
    if width > 1:
        sets[f"{width} columns"] = attacks.multivariate(synthetic, n, rng, width=width), width
    for name, (predicates, columns) in sets.items():
        chance = attacks.random(synthetic, max(len(predicates), 1), rng, width=columns)
        found = relabelled(predicates.matches(real), labels, alone=True)
        baseline = int((chance.matches(real)[:, : len(labels) // 2].sum(axis=1) == 1).sum())
        yield _row(f"singling out by {name}", found.train, found.holdout, baseline, found.n, found.p, level)


def inference(
    synthetic: attacks.Coded, real: attacks.Coded, secrets: dict[Any, int], seed: int, n: int, level: float
) -> Iterator[dict[str, Any]]:
    """How often the nearest synthetic record tells a secret, a column by name, of a real one; `p` is Fisher's."""
    size = len(real.values) // 2
    n = min(n, size)
    targets = replace(real, values=np.concatenate([real.values[:n], real.values[size : size + n]]))
    guesses = attacks.guess(targets, synthetic, secrets.values())
    for (name, secret), guess in zip(secrets.items(), guesses.T, strict=True):
        right = attacks.guessed(guess, targets, secret)
        ours, theirs = int(right[:n].sum()), int(right[n:].sum())
        chance = numpy_rng(seed, "inference", secret).choice(synthetic.values[:, secret], 2 * n)
        baseline = int(attacks.guessed(chance, targets, secret)[:n].sum())
        p = float(hypergeom.sf(ours - 1, 2 * n, n, ours + theirs))
        yield _row(f"inference of {name}", ours, theirs, baseline, n, p, level)


def _row(attack: str, ours: int, theirs: int, baseline: int, n: int, p: float, level: float) -> dict[str, Any]:
    if n == 0:
        return {"attack": attack, "n": 0}
    risk = excess_risk(ours, theirs, n, level)
    rates = {
        name: wilson(successes, n, level).value
        for name, successes in {"rate": ours, "baseline": baseline, "control": theirs}.items()
    }
    return {"attack": attack, "risk": risk.value, "low": risk.low, "high": risk.high, **rates, "n": n, "p": p}
