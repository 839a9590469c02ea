"""What augmentation costs: seconds, rows a second and memory; and how good the rows of a large table are."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
from datasets import PEERS, Cell, peer_adult_file
from gain import AMOUNT, classifiers, make_arm
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.pipeline import make_pipeline

import synthaug

SPEED = {
    "fit_and_sample": f"100 real rows, {AMOUNT} made; warm, median of 3",
    "sampling": "fitted on 5,000 rows of Adult with 200 steps",
    "streaming": "Adult rows in chunks to a pool on disk; growth of the peak memory beyond that of two chunks",
    "levels": "50,000 rows with a text column of 10,000 levels, 200 steps; growth beyond that of 100 levels",
}
ADULT = {"train_rows": 39_073, "test_rows": 9_769, "classifier": "HistGradientBoostingClassifier(max_iter=100)"}


def speed(*, quick: bool = False) -> dict[str, Any]:
    """Seconds of every arm on a numeric and a mixed table, sampling speed, and memory."""
    datasets.download()
    return {
        "fit_and_sample_seconds": {
            arm: {name: _fit_and_sample(arm, name) for name in ("vehicle1", "credit")}
            for arm in ("smote", "jitter", "vae", "gan")
        },
        "sampled_rows_per_second": _sampling(10_000 if quick else 100_000),
        "streaming": _in_own_process("stream", 200_000 if quick else 1_000_000),
        "levels": _in_own_process("levels", 1_000 if quick else 10_000),
    }


def _fit_and_sample(arm: str, name: str) -> float:
    data = datasets.load(name)
    train, _ = datasets.split(data.y, 100, 0)
    seconds = []
    for _ in range(4):
        sampler = make_arm(arm, Cell(name, 100, 0)).set_params(random_state=0)
        start = time.perf_counter()
        sampler.fit_resample(data.X.iloc[train], data.y.iloc[train])
        seconds.append(time.perf_counter() - start)
    return round(statistics.median(seconds[1:]), 3)


def _fitted_on_adult() -> synthaug.Synthesizer:
    data = datasets.load("adult")
    return synthaug.Synthesizer(max_steps=200, random_state=0).fit(data.X[:5000], data.y[:5000])


def _sampling(n: int) -> int:
    synthesizer = _fitted_on_adult()
    synthesizer.sample(1000)
    start = time.perf_counter()
    synthesizer.sample(n)
    return round(n / (time.perf_counter() - start))


def _in_own_process(what: str, n: int) -> dict[str, float]:
    """Memory peaks only grow within a process, so each measurement gets a new one."""
    run = subprocess.run([sys.executable, __file__, what, str(n)], check=True, capture_output=True, text=True)
    return json.loads(run.stdout.splitlines()[-1])


def peak_mb() -> float:
    """The peak memory of this process so far, in MB (Linux counts it in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _stream(n: int) -> None:
    """Stream `n` rows to a pool on disk."""
    synthesizer = _fitted_on_adult()
    with tempfile.TemporaryDirectory() as folder:
        for pool in synthesizer.stream(n):
            pool.append(Path(folder) / "pool")


def _levels(n: int) -> None:
    """Fit a table with a column of `n` levels and sample from it."""
    rng = np.random.default_rng(0)
    rows = 5 * n
    frame = pd.DataFrame({"x": rng.normal(size=rows), "code": [f"level {i % n}" for i in range(rows)]})
    synthesizer = synthaug.Synthesizer(max_steps=200, random_state=0).fit(frame, rng.integers(0, 2, rows))
    synthesizer.sample(10_000)


def adult(*, quick: bool = False) -> dict[str, Any]:
    """Train on synthetic Adult, test on real: the VAE at all training rows, beside the real rows themselves."""
    X, X_test, y, y_test = datasets.adult_split(quick=quick)
    start = time.perf_counter()
    synthesizer = synthaug.Synthesizer(random_state=0).fit(X, y)
    fitted = time.perf_counter()
    pool = synthesizer.sample(y.value_counts().to_dict())
    sampled = time.perf_counter()
    peers = {peer: pd.read_parquet(peer_adult_file(peer)) for peer in PEERS if peer_adult_file(peer).exists()}
    return {
        "rows": len(X),
        "fit_seconds": round(fitted - start, 1),
        "sample_seconds": round(sampled - fitted, 1),
        "real": test_on_real(X, y, X_test, y_test),
        "vae": test_on_real(pool.records, pool.labels, X_test, y_test),
        "real_and_vae": test_on_real(
            pd.concat([X, pool.records]), pd.concat([y, pool.labels.set_axis(pool.records.index)]), X_test, y_test
        ),
        **{peer: test_on_real(made[X.columns], made[y.name], X_test, y_test) for peer, made in peers.items()},
    }


def test_on_real(X: pd.DataFrame, y: pd.Series, X_test: pd.DataFrame, y_test: pd.Series) -> dict[str, float]:
    """Scores, in percent, of boosting that learned from these rows."""
    prepare = classifiers()["boosting"][0]
    model = make_pipeline(prepare, HistGradientBoostingClassifier(max_iter=100, random_state=0)).fit(X, y)
    predicted = model.predict(X_test)
    return {
        "balanced_accuracy": round(100 * balanced_accuracy_score(y_test, predicted), 2),
        "f1_macro": round(100 * f1_score(y_test, predicted, average="macro"), 2),
    }


MEASURED = {"stream": (_stream, 131_072), "levels": (_levels, 100)}

if __name__ == "__main__":
    function, small = MEASURED[sys.argv[1]]
    function(small)  # loads everything; what a large run needs beyond this is its growth
    before, start = peak_mb(), time.perf_counter()
    function(int(sys.argv[2]))
    figures = {"seconds": round(time.perf_counter() - start, 2), "peak_mb": round(peak_mb())}
    print(json.dumps({"n": int(sys.argv[2]), **figures, "growth_mb": round(peak_mb() - before)}))
