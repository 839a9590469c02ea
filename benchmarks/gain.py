"""The gain of augmentation on small tables, after the protocol of TabEBM (Margeloiu et al., NeurIPS 2024).

A cell is a table, a number of real training rows and a seed. Every arm adds 500 rows, the same number a class, to the
same real rows; five classifiers learn from both and are scored on real rows that no arm has seen. The judge is the
library's own `compare`. Cells are independent jobs; each finished one is a line of a file in the cache, so a killed run
goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
from datasets import PEERS, Cell, peer_file
from joblib import Parallel, delayed, parallel_config
from scipy import stats
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import synthaug

SIZES, SEEDS, AMOUNT, SMALL = (20, 50, 100, 200, 500), 5, 500, 200
METRICS = ["balanced_accuracy", "f1_macro"]
BASELINES = ["real", "duplicate", "class_weight", "smote", "jitter", "gaussian"]
OURS = ["vae", "gan"]
QUICK = {"sets": ["wine", "haberman", "credit"], "sizes": [20, 100], "seeds": 1}


class MadeElsewhere:
    """An arm whose rows lie in a file: those that a peer made from the training rows of the same cell."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def fit_resample(self, X: pd.DataFrame, y: pd.Series) -> tuple[pd.DataFrame, pd.Series]:
        """Put the rows in the file below the real ones."""
        made = pd.read_parquet(self.file)
        rows = pd.concat([X, made[X.columns]], ignore_index=True)
        return rows, pd.concat([y, made[y.name]], ignore_index=True)


def make_arm(name: str, cell: Cell) -> Any:
    """A fresh arm by its name."""
    if name == "vae":
        return synthaug.SynthResampler(amount=AMOUNT)
    if name == "gan":
        return synthaug.SynthResampler(synthaug.Synthesizer(generator=synthaug.ConditionalGAN), amount=AMOUNT)
    if name in PEERS:
        return MadeElsewhere(peer_file(name, cell))
    return synthaug.default_arms(amount=AMOUNT)[name]


def classifiers() -> dict[str, Any]:
    """Five kinds of classifier, each behind the same preparation, which learns from the augmented rows."""
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    categories = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    prepare = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (categories, make_column_selector(dtype_exclude="number")),
    )
    models = {
        "logistic": LogisticRegression(max_iter=1000),
        "neighbours": KNeighborsClassifier(5),
        "forest": RandomForestClassifier(50),
        # By default a leaf needs 20 rows: on 20 real rows there would be no tree, and anything would be a gain.
        "boosting": HistGradientBoostingClassifier(max_iter=40, min_samples_leaf=5, early_stopping=False),
        # Trained to convergence on the whole batch, so that more rows are not also more steps.
        "mlp": MLPClassifier((32,), solver="lbfgs", alpha=0.1, max_iter=100),
    }
    return {name: make_pipeline(prepare, model) for name, model in models.items()}


def score_cell(cell: Cell, arms: list[str]) -> dict[str, Any]:
    """The scores of some arms in one cell, as plain values."""
    start = time.perf_counter()
    data = datasets.load(cell.set)
    made = {name: make_arm(name, cell) for name in arms}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="Without a score")  # counted in the results
        found = synthaug.compare(
            made,
            classifiers(),
            data.X,
            data.y,
            cv=[datasets.split(data.y, cell.n, cell.seed)],
            scoring=METRICS,
            random_state=cell.seed,
        )
    return {
        **cell._asdict(),
        "arms": arms,
        "scores": found.scores[["arm", "estimator", "metric", "score", "seconds"]].round(6).values.tolist(),
        "failures": found.failures[["arm", "estimator", "error"]].values.tolist(),
        "seconds": round(time.perf_counter() - start, 2),
    }


def stamp(arm: str) -> str:
    """A name for the code behind the results of an arm: a result is used again only while this stays the same.

    For our arms the generators count besides the judge. Before figures are published, empty the cache and run anew.
    """
    root = Path(synthaug.__file__).parent
    parts = ("evaluate/baselines.py", "evaluate/paired.py", "evaluate/metrics.py", "amounts.py", "oversampling.py")
    judge = [*(root / part for part in parts), Path(datasets.__file__)]
    ours = [*judge, *root.glob("generators/*.py")]
    files = ours if arm in OURS else judge
    sources = [file.read_bytes() for file in sorted(files)]
    settings = {
        name: repr(model[-1]) for name, model in classifiers().items()
    }  # of the rest, repr has an address in it
    protocol = repr((settings, AMOUNT, METRICS)).encode()
    return hashlib.sha256(b"\0".join([protocol, *sources])).hexdigest()[:12]


def read_cells(file: Path, stamps: dict[str, str]) -> dict[tuple[Cell, str], dict[str, Any]]:
    """Finished results by cell and arm; a line that was cut short by a kill is passed over."""
    found = {}
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            result = json.loads(line)
        except json.JSONDecodeError:
            continue
        cell = Cell(result["set"], result["n"], result["seed"])
        for arm in result["arms"]:
            if result["stamps"].get(arm) == stamps.get(arm, "not asked for"):
                found[cell, arm] = result
    return found


def run(
    sets: list[str], sizes: Iterable[int], seeds: int, arms: list[str], n_jobs: int, cells_file: Path
) -> tuple[pd.DataFrame, dict[str, int]]:
    """All scores, and how many each arm failed to give; what is at hand from an earlier run is not made again.

    The scores are long: set, n, seed, arm, classifier, metric, score, seconds (that the arm took to make its rows).
    """
    datasets.download()
    arms = ["real", *(arm for arm in arms if arm != "real")]
    stamps = {arm: stamp(arm) for arm in arms}
    wanted = [(cell, [arm for arm in arms if _has(arm, cell)]) for cell in _cells(sets, sizes, seeds)]
    done = read_cells(cells_file, stamps)
    missing = [(cell, [arm for arm in names if (cell, arm) not in done]) for cell, names in wanted]
    _work_off([(cell, names) for cell, names in missing if names], stamps, n_jobs, cells_file)
    done = read_cells(cells_file, stamps)
    rows = [
        (*cell, *row) for cell, names in wanted for arm in names for row in done[cell, arm]["scores"] if row[0] == arm
    ]
    failed = [row[0] for cell, names in wanted for arm in names for row in done[cell, arm]["failures"] if row[0] == arm]
    columns = ["set", "n", "seed", "arm", "classifier", "metric", "score", "seconds"]
    return pd.DataFrame(rows, columns=columns), {arm: failed.count(arm) for arm in arms}


def _cells(sets: list[str], sizes: Iterable[int], seeds: int) -> list[Cell]:
    """Seed after seed, so that a run that is stopped early has seen all tables and sizes."""
    labels = {name: datasets.load(name).y for name in sets}
    cells = itertools.product(range(seeds), sets, sizes)
    return [Cell(name, n, seed) for seed, name, n in cells if datasets.fits(labels[name], n)]


def _has(arm: str, cell: Cell) -> bool:
    """Whether an arm takes part in a cell: a peer does where it has left its rows."""
    return arm not in PEERS or peer_file(arm, cell).exists()


def _work_off(missing: list[tuple[Cell, list[str]]], stamps: dict[str, str], n_jobs: int, cells_file: Path) -> None:
    print(f"{len(missing)} cells to do", flush=True)
    start = time.perf_counter()
    with parallel_config("loky", inner_max_num_threads=1):
        jobs = (delayed(score_cell)(cell, arms) for cell, arms in missing)
        results = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(jobs)
        for i, result in enumerate(results, 1):
            result["stamps"] = {arm: stamps[arm] for arm in result["arms"]}
            with cells_file.open("a") as stream:
                stream.write("\n" + json.dumps(result))  # the break comes first, to leave a line cut short to itself
            minutes = (time.perf_counter() - start) / 60
            took = f"{result['set']} {result['n']} {result['seed']}: {result['seconds']:.1f} s"
            print(f"{i}/{len(missing)} {took}, {minutes * (len(missing) - i) / i:.1f} minutes left", flush=True)


def summarise(scores: pd.DataFrame) -> dict[str, Any]:
    """Mean gains in percentage points. Every table counts the same, and so does every size and classifier within it."""
    arms = [arm for arm in scores["arm"].unique() if arm != "real"]
    once = scores[scores["arm"].isin(arms)].drop_duplicates(["set", "n", "seed", "arm"])
    return {
        "metrics": {metric: _tables(rows, arms) for metric, rows in scores.groupby("metric")},
        "seconds": {arm: _rounded(rows.groupby("n")["seconds"].mean()) for arm, rows in once.groupby("arm")},
    }


def _tables(scores: pd.DataFrame, arms: list[str]) -> dict[str, Any]:
    wide = 100 * scores.pivot_table(index=["set", "n", "seed", "classifier"], columns="arm", values="score")
    small = wide[wide.index.get_level_values("n") <= SMALL]
    gains, small_gains = (table[arms].sub(table["real"], axis=0) for table in (wide, small))
    by_set = {arm: _by_set(small_gains[arm]) for arm in arms}
    return {
        "real": _rounded(wide["real"].groupby("n").mean()),
        "overall": {arm: interval(by_set[arm]) for arm in arms},
        **{
            f"versus_{other}": {arm: interval(_by_set(small[arm] - small[other])) for arm in arms if arm != other}
            for other in ("smote", "jitter")
            if other in arms
        },
        "by_size": {arm: _rounded(gains[arm].groupby(["set", "n"]).mean().groupby("n").mean()) for arm in arms},
        "by_set": {arm: _rounded(by_set[arm]) for arm in arms},
        "by_classifier": {arm: _rounded(small_gains[arm].groupby("classifier").mean()) for arm in arms},
        "by_set_classifier_and_size": {
            arm: {name: _by_classifier(rows[arm]) for name, rows in gains.groupby("set", sort=False)} for arm in arms
        },
        "worst_set": {arm: {"set": by_set[arm].idxmin(), "gain": round(float(by_set[arm].min()), 3)} for arm in arms},
    }


def _by_set(differences: pd.Series) -> pd.Series:
    """The mean difference of each table; where one of the two has no score, there is no difference."""
    return differences.dropna().groupby(["set", "n"], sort=False).mean().groupby("set", sort=False).mean()


def _by_classifier(differences: pd.Series) -> dict[str, dict[str, float]]:
    """The mean difference of each classifier at each size."""
    return {
        str(name): _rounded(rows.dropna().groupby("n").mean())
        for name, rows in differences.groupby("classifier", sort=False)
    }


def interval(by_set: pd.Series) -> dict[str, float | None]:
    """The mean over tables (or seeds), and its 95% t interval: how far it would move with others."""
    mean, error = by_set.mean(), stats.sem(by_set) if len(by_set) > 1 else np.nan
    half = error * stats.t.ppf(0.975, max(len(by_set) - 1, 1))
    low, high = (None if np.isnan(half) else round(float(mean + side * half), 3) for side in (-1, 1))
    return {"gain": round(float(mean), 3), "low": low, "high": high}


def _rounded(series: pd.Series) -> dict[str, float]:
    return {str(key): round(float(value), 3) for key, value in series.dropna().items()}
