"""Does choosing pay? `choose` on the training rows of small tables, against each candidate taken always, and on noise.

The priors of a table are those of all other tables. For noise, the labels of a table are shuffled: "none" is right.
"""

from __future__ import annotations

import itertools
import time
import warnings
from typing import Any

import datasets
import pandas as pd
from datasets import Cell
from gain import AMOUNT, classifiers, make_arm
from joblib import Parallel, delayed, parallel_config

import synthaug
from synthaug.auto import choose_each
from synthaug.decisions import NONE
from synthaug.evaluate.priors import benchmark_gains, prior
from synthaug.rng import numpy_rng

CANDIDATES = ["gaussian", "smote", "vae"]
METRIC = "balanced_accuracy"
SIZES, SEEDS = (20, 50, 100, 200), 1
NOISE = {"sets": ["pima", "german", "breast_cancer", "credit"], "sizes": [100, 200], "seeds": 13}


def candidates(cell: Cell) -> dict[str, Any]:
    """The arms that are chosen from, and always taken."""
    arms = {**synthaug.default_arms(amount=AMOUNT), "vae": make_arm("vae", cell)}
    return {name: arms[name] for name in CANDIDATES}


def decisions(cell: Cell, X: pd.DataFrame, y: pd.Series) -> dict[str, synthaug.Decision]:
    """By classifier, with what is expected from all other tables."""
    gains = benchmark_gains()
    others = gains[gains["table"] != cell.set]
    columns = datasets.SOURCES[cell.set].kind
    before = {
        name: prior(CANDIDATES, kind=name, columns=columns, n=cell.n, metric=METRIC, gains=others)
        for name in classifiers()
    }
    return choose_each(classifiers(), X, y, candidates(cell), before=before, random_state=cell.seed)


def choose_in(cell: Cell) -> list[list[Any]]:
    """One row a classifier: its choice, and the gain on the test rows of the choice and of each candidate."""
    data = datasets.load(cell.set)
    train, test = datasets.split(data.y, cell.n, cell.seed)
    with warnings.catch_warnings(action="ignore"):
        start = time.perf_counter()
        made = decisions(cell, data.X.iloc[train], data.y.iloc[train])
        seconds = time.perf_counter() - start
        found = synthaug.compare(
            candidates(cell), classifiers(), data.X, data.y, cv=[(train, test)], scoring=METRIC, random_state=cell.seed
        )
    scores = found.scores.pivot_table("score", "estimator", "arm")
    gains = scores.sub(scores["real"], axis=0)
    return [
        [*cell, name, one.choice, *gains.loc[name, CANDIDATES], gains.loc[name, _arm(one.choice)], seconds]
        for name, one in made.items()
    ]


def noise_in(cell: Cell) -> list[list[Any]]:
    """One row a classifier: its choice when the labels are shuffled."""
    data = datasets.load(cell.set)
    train, _ = datasets.split(data.y, cell.n, cell.seed)
    X, y = data.X.iloc[train], data.y.iloc[train]
    shuffled = pd.Series(numpy_rng(cell.seed, "noise").permutation(y.to_numpy()), index=y.index)
    with warnings.catch_warnings(action="ignore"):
        return [[*cell, name, one.choice] for name, one in decisions(cell, X, shuffled).items()]


def measure(sizes: list[int], seeds: int, jobs: int) -> dict[str, Any]:
    """Gains in points of balanced accuracy, and how often noise is recognised."""
    datasets.download()
    cells = _cells(list(datasets.DEVELOPMENT), sizes, seeds)
    noise = _cells(NOISE["sets"], NOISE["sizes"], NOISE["seeds"])
    with parallel_config("loky", inner_max_num_threads=1):
        parallel = Parallel(n_jobs=jobs, verbose=1)
        columns = ["set", "n", "seed", "classifier", "choice", *CANDIDATES, "chosen", "seconds"]
        rows = pd.DataFrame(itertools.chain(*parallel(delayed(choose_in)(cell) for cell in cells)), columns=columns)
        silent = pd.DataFrame(itertools.chain(*parallel(delayed(noise_in)(cell) for cell in noise)))
    by_set = 100 * rows.groupby(["set", "n"])[[*CANDIDATES, "chosen"]].mean().groupby("set").mean()
    return {
        "gain": by_set.mean().round(3).to_dict(),
        "by_set": by_set.round(3).T.to_dict(),
        "worst": {"set": by_set["chosen"].idxmin(), "gain": round(float(by_set["chosen"].min()), 3)},
        "choices": rows["choice"].value_counts(normalize=True).round(3).to_dict(),
        "seconds": round(float(rows.groupby(["set", "n", "seed"])["seconds"].first().median()), 1),
        "noise": {"simulations": len(noise), "none": round(float((silent[4] == NONE).mean()), 3)},
    }


def _cells(sets: list[str], sizes: list[int], seeds: int) -> list[Cell]:
    labels = {name: datasets.load(name).y for name in sets}
    cells = itertools.product(range(seeds), sets, sizes)
    return [Cell(name, n, seed) for seed, name, n in cells if datasets.fits(labels[name], n)]


def _arm(choice: str) -> str:
    return "real" if choice == NONE else choice
