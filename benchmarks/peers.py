"""Rows and seconds of other generators, in an environment of their own (`make bench-peers`); run.py judges them.

    python benchmarks/peers.py rows [--peers ...] [--sets ...] [--sizes 100] [--seeds 1]
    python benchmarks/peers.py adult [--peers ctgan] [--minutes 30]

`rows` makes, for each cell of gain_tabular, the same number of rows from the same training rows, and writes the seconds
to `results/peers.json`; then `run.py gain_tabular --arms smote vae ctgan` scores them. `adult` fits the training part
of Adult, for at most so many minutes, and makes as many rows; then `run.py adult` scores them. All settings are the
peers' defaults.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd

RESULTS = Path(__file__).parent / "results"
AMOUNT = 500
Draw = Callable[[int, str | None], pd.DataFrame]  # (rows, label to favour) -> rows with their label


class Budget:
    """Takes the place of the progress bar around a peer's epochs, and stops them when the time is up."""

    def __init__(self, minutes: float) -> None:
        self.minutes, self.epochs_done = minutes, 0

    def __call__(self, epochs: Sequence[int], **_: Any) -> Iterator[int]:
        """Go through the epochs while there is time."""
        end = time.monotonic() + 60 * self.minutes
        for epoch in epochs:
            if time.monotonic() > end:
                return
            yield epoch
            self.epochs_done += 1


def fit_ctgan(frame: pd.DataFrame, target: str, budget: Budget) -> Draw:
    """CTGAN (Xu et al. 2019), asked for one class at a time."""
    from ctgan import CTGAN
    from ctgan.synthesizers import ctgan

    ctgan.tqdm = budget
    model = CTGAN(verbose=False)
    model.fit(frame, list(frame.select_dtypes(exclude="number")))
    return lambda n, label: (
        model.sample(n, condition_column=target, condition_value=label) if label else model.sample(n)
    )


def fit_tvae(frame: pd.DataFrame, target: str, budget: Budget) -> Draw:
    """TVAE (Xu et al. 2019), which cannot be asked for a class."""
    from ctgan import TVAE
    from ctgan.synthesizers import tvae

    tvae.tqdm = budget
    model = TVAE()
    model.fit(frame, list(frame.select_dtypes(exclude="number")))
    return lambda n, _: model.sample(n)


def fit_arf(frame: pd.DataFrame, target: str, budget: Budget) -> Draw:
    """Adversarial random forests (Watson et al. 2023), which cannot be asked for a class."""
    from arfpy import arf

    model = arf.arf(x=frame, verbose=False)
    model.forde()
    return lambda n, _: model.forge(n=n)


FIT = {"ctgan": fit_ctgan, "tvae": fit_tvae, "arf": fit_arf}


def make_rows(
    peer: str, X: pd.DataFrame, y: pd.Series, counts: dict[Any, int], budget: Budget
) -> tuple[pd.DataFrame, float, float]:
    """Rows of each class as asked for, with their label; seconds of the fit and of the draw.

    What the peers cannot take is mended before and put back after: gaps become the median or a level of their own,
    labels become text, and whole numbers are rounded. A class that is hardly ever drawn falls short.
    """
    full = X.fillna({c: X[c].median() if X[c].dtype.kind in "iuf" else "(none)" for c in X})
    full = full.astype({c: object for c in X if X[c].dtype.kind not in "iuf"}).assign(
        **{y.name: y.astype(str).astype(object)}
    )
    np.random.seed(0)  # noqa: NPY002 (the peers draw from the global state)
    start = time.perf_counter()
    draw = FIT[peer](full.reset_index(drop=True), y.name, budget)
    fitted = time.perf_counter()
    parts = [_of_class(draw, y.name, label, n) for label, n in counts.items()]
    drawn = time.perf_counter()
    rows = pd.concat(parts, ignore_index=True)
    for column in X:
        if X[column].dtype.kind in "iu":
            rows[column] = np.rint(rows[column].astype(float))
        elif X[column].dtype.kind == "f":
            rows[column] = rows[column].astype(float)
        else:
            rows[column] = rows[column].astype(object).replace("(none)", None)
    rows[y.name] = rows[y.name].map({str(label): label for label in counts})
    return rows.astype({c: X[c].dtype for c in X if X[c].dtype.kind in "iu"}), fitted - start, drawn - fitted


def _of_class(draw: Draw, target: str, label: Any, n: int, tries: int = 20) -> pd.DataFrame:
    """Draw until there are `n` rows of the class, or give up and return those there are."""
    found: list[pd.DataFrame] = []
    for _ in range(tries):
        made = draw(2 * n, str(label))
        found.append(made[made[target].astype(str) == str(label)])
        if sum(map(len, found)) >= n:
            break
    return pd.concat(found)[:n]


def rows(args: argparse.Namespace) -> None:
    """Rows for the cells of gain_tabular."""
    figures = []
    for peer in args.peers:
        for name in args.sets:
            data = datasets.load(name)
            for n in (n for n in args.sizes if datasets.fits(data.y, n)):
                for seed in range(args.seeds):
                    cell = datasets.Cell(name, n, seed)
                    train, _ = datasets.split(data.y, n, seed)
                    labels = sorted(data.y.unique())
                    counts = {c: AMOUNT // len(labels) + (i < AMOUNT % len(labels)) for i, c in enumerate(labels)}
                    X, y = data.X.iloc[train], data.y.iloc[train]
                    made, fit, draw = make_rows(peer, X, y, counts, Budget(args.minutes))
                    _write(made, datasets.peer_file(peer, cell))
                    figures.append(
                        {"peer": peer, **cell._asdict(), "seconds": round(fit + draw, 2), "short": AMOUNT - len(made)}
                    )
                    print(figures[-1], flush=True)
    _report("peers", {"fit_and_sample": figures})


def adult(args: argparse.Namespace) -> None:
    """Rows in place of the training part of Adult."""
    datasets.download()
    X, _, y, _ = datasets.adult_split(quick=args.quick)
    figures = {}
    for peer in args.peers:
        budget = Budget(args.minutes)
        made, fit, draw = make_rows(peer, X, y, y.value_counts().to_dict(), budget)
        _write(made, datasets.peer_adult_file(peer))
        figures[peer] = {
            "fit_seconds": round(fit, 1),
            "sample_seconds": round(draw, 1),
            "epochs": budget.epochs_done,
            "short": len(X) - len(made),
        }
        print(peer, figures[peer], flush=True)
    _report("peers_adult", {"minutes_allowed": args.minutes, "rows": len(X), **figures})


def _write(made: pd.DataFrame, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    made.to_parquet(file, index=False)


def _report(name: str, figures: dict[str, Any]) -> None:
    installed = {d.name.lower(): d.version for d in importlib.metadata.distributions()}
    versions = {
        package: installed[package] for package in ("ctgan", "arfpy", "torch", "pandas") if package in installed
    }
    file = RESULTS / f"{name}.json"
    file.write_text(json.dumps({"machine": {"cores": os.cpu_count(), **versions}, **figures}, indent=1) + "\n")
    print(f"wrote {file}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for function in (rows, adult):
        command = commands.add_parser(function.__name__, help=function.__doc__)
        command.set_defaults(function=function)
        command.add_argument("--minutes", type=float, default=30, help="at most so long a fit")
        command.add_argument("--peers", nargs="+", choices=datasets.PEERS, default=["ctgan"])
    commands.choices["rows"].add_argument("--sets", nargs="+", default=list(datasets.DEVELOPMENT), metavar="SET")
    commands.choices["rows"].add_argument("--sizes", nargs="+", type=int, default=[100])
    commands.choices["rows"].add_argument("--seeds", type=int, default=1)
    commands.choices["adult"].add_argument("--quick", action="store_true", help="6,000 rows in all")
    args = parser.parse_args()
    args.function(args)


if __name__ == "__main__":
    main()
