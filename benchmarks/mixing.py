"""What mixing costs: time an item, beside a plain loader with batches of the same size over real items."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
import torch
from costs import peak_mb
from torch.utils.data import DataLoader, Subset

from synthaug import Pool, mix_loader
from synthaug.opened import OpenPool
from synthaug.pool import Source

PROTOCOL = {
    "items": "28 x 28 uint8 arrays with an int label, in memory, default collate",
    "plain": "18,000 real items, shuffled, in batches of 96",
    "mixed": "12,000 real items, shuffled, in batches of 64, with 32 of a pool of 6,000 on top (ratio 0.5)",
    "figure": "CPU seconds: without workers, epochs of both loaders interleaved batch by batch; with workers, theirs "
    "included, epochs in turn, whichever first, workers beginning anew; median over pairs of epochs of their ratio",
    "large_pool": "a million such images appended to a folder, 10,000 at a time, then all of them read shuffled, 256 "
    "on top of each batch of 64 real ones, without workers; CPU seconds; memory beyond that of a pool of 50,000",
}
REAL, RATIO, BATCH = 12_000, 0.5, 64
LARGE, SMALL, PART = 1_000_000, 50_000, 10_000


class Images:
    """A dataset as anybody writes it."""

    def __init__(self, n: int, rng: np.random.Generator) -> None:
        self.images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        self.labels = rng.integers(0, 10, n)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.images[index], int(self.labels[index])


def measure(*, quick: bool = False) -> dict[str, Any]:
    """What mixing adds to an item, as a share, and microseconds an item, by the number of workers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = {str(workers): _overhead(workers, 5 if quick else 41) for workers in (0, 2)}
    finally:
        torch.set_num_threads(threads)
    by_figure = {figure: {workers: one[figure] for workers, one in found.items()} for figure in found["0"]}
    return by_figure | {"large_pool": _in_own_process(LARGE // 10 if quick else LARGE)}


def _overhead(workers: int, rounds: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    size = round(BATCH * (1 + RATIO))
    settings = {"shuffle": True, "num_workers": workers}
    plain = DataLoader(Images(round(REAL * (1 + RATIO)), rng), batch_size=size, **settings)
    made = Images(round(REAL * RATIO), rng)
    pool = Pool.of(made.images, made.labels, Source("noise", "", 0))
    mixed = mix_loader(DataLoader(Images(REAL, rng), batch_size=BATCH, **settings), pool, ratio=RATIO, seed=0)
    measure_pair = _in_turn if workers else _interleaved
    pairs = [measure_pair(plain, mixed, turn) for turn in range(rounds + 1)][1:]
    n = len(plain.dataset)
    return {
        "overhead": round(statistics.median(ours / theirs for theirs, ours in pairs) - 1, 4),
        "plain_microseconds": round(1e6 * statistics.median(theirs for theirs, _ in pairs) / n, 2),
        "mixed_microseconds": round(1e6 * statistics.median(ours for _, ours in pairs) / n, 2),
    }


def _interleaved(plain: DataLoader[Any], mixed: DataLoader[Any], turn: int) -> tuple[float, float]:
    """CPU seconds of an epoch of each, a batch of one after a batch of the other, so that both meet the same load."""
    spent = [0.0, 0.0]
    batches = [iter(plain), iter(mixed)]
    for number in range(min(len(plain), len(mixed))):
        for which in (0, 1) if (number + turn) % 2 else (1, 0):
            start = time.process_time()
            next(batches[which])
            spent[which] += time.process_time() - start
    return spent[0], spent[1]


def _in_turn(plain: DataLoader[Any], mixed: DataLoader[Any], turn: int) -> tuple[float, float]:
    """CPU seconds of a whole epoch of each, those of their workers included, which end with it."""
    if turn % 2:
        theirs = _seconds(plain)
        return theirs, _seconds(mixed)
    ours = _seconds(mixed)
    return _seconds(plain), ours


def _seconds(loader: DataLoader[Any]) -> float:
    start = _clock()
    for _ in loader:
        pass
    return _clock() - start


def _clock() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _in_own_process(n: int) -> dict[str, float]:
    """Memory peaks only grow within a process, so this gets a new one."""
    run = subprocess.run([sys.executable, __file__, str(n)], check=True, capture_output=True, text=True)
    return json.loads(run.stdout.splitlines()[-1])


def _large_pool(n: int) -> dict[str, float]:
    """Write and read a pool of `n` images; the memory is what this takes beyond a small pool."""
    torch.set_num_threads(1)
    _write_and_read(SMALL)
    before = peak_mb()
    seconds = _write_and_read(n)
    return {
        "images": n,
        **{what: round(n / spent) for what, spent in seconds.items()},
        "growth_mb": round(peak_mb() - before),
    }


def _write_and_read(n: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    written = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(n // PART):
            made = Images(PART, rng)
            pool = Pool.of(made.images, made.labels, Source("noise", "", 0))
            start = _clock()
            pool.append(folder)
            written += _clock() - start
        few = Images(1000, rng)
        real = Subset(few, np.arange(n // 4) % len(few))
        loader = mix_loader(DataLoader(real, batch_size=BATCH, shuffle=True), OpenPool(folder), ratio=4.0, seed=0)
        return {"written_a_second": written, "read_a_second": _seconds(loader)}


if __name__ == "__main__":
    print(json.dumps(_large_pool(int(sys.argv[1]))))
