"""What a whole study takes, and how much of it is the harness and not the fits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import datasets
import pandas as pd
from gain import AMOUNT, make_arm
from sklearn.metrics import balanced_accuracy_score
from threadpoolctl import threadpool_limits

import synthaug
from synthaug.evaluate.adapters import EstimatorArm
from synthaug.evaluate.paired import make_splits, seeded
from synthaug.rng import derive

TABLE, ROWS, JOBS, REPEATS = "credit", 200, 2, 1
PROTOCOL = {
    "table": f"{TABLE}, mixed columns with gaps",
    "rows": ROWS,
    "added_rows": AMOUNT,
    "jobs": JOBS,
    "study": "8 arms beside the real rows, 5 classifiers, 10 splits (5 folds, twice); wall-clock seconds",
    "torch_free": "the 6 of these arms that need no torch",
    "overhead": "processor time of `compare` with these 6 over a bare loop that makes the same rows, fits and scores, "
    f"less 1; in one process, one thread, the least of {REPEATS}",
}


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Seconds of the study, of its torch-free arms, and the share that the harness adds."""
    datasets.download()
    data = datasets.load(TABLE)
    rows, _ = datasets.split(data.y, 50 if quick else ROWS, 0)
    X, y = data.X.iloc[rows].reset_index(drop=True), data.y.iloc[rows].reset_index(drop=True)
    splits = make_splits(2 if quick else None, X, y, 0)
    cheap = synthaug.default_arms(amount=AMOUNT)
    cell = datasets.Cell(TABLE, ROWS, 0)
    every = {**cheap, **{name: make_arm(name, cell) for name in ("vae", "gan")}}
    synthaug.compare(cheap, synthaug.default_estimators(), X, y, cv=splits[:1], random_state=0, n_jobs=JOBS)  # warm
    return {
        "arms": len(every) - 1,
        "splits": len(splits),
        "seconds": _wall(lambda: _study(every, X, y, splits, JOBS)),
        "torch_free_seconds": _wall(lambda: _study(cheap, X, y, splits, JOBS)),
        "overhead": _overhead(cheap, X, y, splits, 1 if quick else REPEATS),
    }


def _study(arms: dict[str, Any], X: pd.DataFrame, y: pd.Series, splits: Any, jobs: int) -> None:
    synthaug.compare(arms, synthaug.default_estimators(), X, y, cv=splits, random_state=0, n_jobs=jobs)


def _bare(arms: dict[str, Any], X: pd.DataFrame, y: pd.Series, splits: Any) -> None:
    """The same work with the same seeds, as anybody would write it."""
    for arm in arms.values():
        for number, (train, test) in enumerate(splits):
            seed = derive(0, "arm", number)
            real = X.iloc[train], y.iloc[train]
            makes_rows = arm is not None and not isinstance(arm, EstimatorArm)
            rows = seeded(arm, seed).fit_resample(*real) if makes_rows else real
            for model in synthaug.default_estimators().values():
                chosen = seeded(model, derive(0, "estimator", number))
                if isinstance(arm, EstimatorArm):
                    if arm.problem(chosen, y.nunique()) is not None:
                        continue
                    chosen = arm.adapted(chosen, rows[1], seed % 2**32)
                balanced_accuracy_score(y.iloc[test], chosen.fit(*rows).predict(X.iloc[test]))


def _overhead(arms: dict[str, Any], X: pd.DataFrame, y: pd.Series, splits: Any, repeats: int) -> float:
    times: list[tuple[float, float]] = []
    with threadpool_limits(1):
        for _ in range(repeats):  # one after the other, so that a busy minute meets both
            ours = _processor(lambda: _study(arms, X, y, splits, 1))
            times.append((ours, _processor(lambda: _bare(arms, X, y, splits))))
    with_harness, alone = map(min, zip(*times, strict=True))
    return round(with_harness / alone - 1, 4)


def _wall(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return round(time.perf_counter() - start, 1)


def _processor(run: Callable[[], None]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start
