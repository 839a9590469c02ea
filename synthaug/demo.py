"""`synthaug demo`: a small, imbalanced real table, grown and measured, in a minute or two.

The table is part of the breast cancer data that comes with scikit-learn (Street et al. 1993): 180 benign and 20
malignant tumours, made so imbalanced on purpose.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from synthaug.evaluate.baselines import default_arms
from synthaug.evaluate.comparison import Comparison, compare
from synthaug.files import atomic_write
from synthaug.generators.gan import ConditionalGAN
from synthaug.mix.frame import augment
from synthaug.mix.resample import SynthResampler
from synthaug.rng import numpy_rng
from synthaug.synthesizer import Synthesizer

__all__ = ["run"]

AMOUNT = 500
COUNTS = {"benign": 180, "malignant": 20}


def run(folder: Path, *, seed: int, echo: Callable[[str], object]) -> Comparison:
    """Grow the table, compare the arms, and write `report.md`, `gains.csv` and `augmented.csv` into `folder`.

    >>> from synthaug.demo import small_table
    >>> X, y = small_table(0)
    >>> X.shape, y.value_counts().tolist()
    ((200, 30), [180, 20])
    """
    X, y = small_table(seed)
    echo(f"{len(X)} tumours with {X.shape[1]} measurements each: {_shares(y)}.")
    arms = {
        **default_arms(amount=AMOUNT, random_state=seed),
        "vae": SynthResampler(amount=AMOUNT, random_state=seed),
        "gan": SynthResampler(Synthesizer(generator=ConditionalGAN), amount=AMOUNT, random_state=seed),
    }
    echo(f"Comparing {len(arms)} arms with {len(_estimators())} classifiers on 10 paired splits, a minute or so ...")
    start = time.perf_counter()
    comparison = compare(arms, _estimators(), X, y, random_state=seed, n_jobs=-1)
    echo(f"... took {time.perf_counter() - start:.0f} s.\n")
    echo(comparison.to_markdown())
    grown = augment(X.assign(diagnosis=y), "diagnosis", amount=AMOUNT, flag="synthetic", random_state=seed)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "report.md", _report(comparison, grown))
    _write(folder / "gains.csv", comparison.to_dataframe().to_csv(index=False))
    _write(folder / "augmented.csv", grown.to_csv(index=False))
    echo(f"\nWritten: {folder / 'report.md'}, gains.csv, and augmented.csv with {AMOUNT} generated rows.")
    return comparison


def small_table(seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """Measurements and diagnosis of 180 benign and 20 malignant tumours."""
    data = load_breast_cancer(as_frame=True)
    y = data.target.map(dict(enumerate(data.target_names))).rename("diagnosis")
    rng = numpy_rng(seed, "demo")
    rows = np.concatenate([rng.choice(np.flatnonzero(y == label), n, replace=False) for label, n in COUNTS.items()])
    rng.shuffle(rows)
    return data.data.iloc[rows].reset_index(drop=True), y.iloc[rows].reset_index(drop=True)


def _estimators() -> dict[str, object]:
    return {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "knn": make_pipeline(StandardScaler(), KNeighborsClassifier()),
        "forest": RandomForestClassifier(random_state=0),
        "boosting": HistGradientBoostingClassifier(random_state=0),
    }


def _shares(y: pd.Series) -> str:
    return ", ".join(f"{n} {label}" for label, n in y.value_counts().items())


def _report(comparison: Comparison, grown: pd.DataFrame) -> str:
    rows = grown.groupby(["diagnosis", "synthetic"]).head(2).sort_values(["diagnosis", "synthetic"], kind="stable")
    shown = rows.iloc[:, [-1, -2, 0, 1, 2, 3, 4]].round(4)
    table = [
        "| " + " | ".join(map(str, row)) + " |" for row in [shown.columns, ["---"] * shown.shape[1], *shown.to_numpy()]
    ]
    return "\n".join(
        [
            "# Does it help? Part of the breast cancer table, 180 benign and 20 malignant tumours",
            "",
            f"{AMOUNT} rows are added to the training rows, balanced over the classes. The gain is over the real rows",
            "alone, in points of balanced accuracy on rows that no arm has seen, over 10 paired splits.",
            "",
            comparison.to_markdown(),
            "",
            "Some rows of `augmented.csv`, real ones first:",
            "",
            *table,
            "",
        ]
    )


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
