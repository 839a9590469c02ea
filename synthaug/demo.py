"""`synthaug demo`: a small, imbalanced real table, then images, grown and measured, in a few minutes.

The images are in `demo_images`. The table is part of the breast cancer data that comes with scikit-learn (Street et al.
1993): 180 benign and 20 malignant tumours, made so imbalanced on purpose.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from synthaug import demo_images
from synthaug.augmenting import augment
from synthaug.evaluate.baselines import default_arms
from synthaug.evaluate.comparison import compare
from synthaug.evaluate.privacy import privacy_risk
from synthaug.evaluate.resemblance import fidelity
from synthaug.files import atomic_write
from synthaug.generators.gan import ConditionalGAN
from synthaug.mix.resample import SynthResampler
from synthaug.report import Findings, write_page
from synthaug.rng import numpy_rng
from synthaug.synthesizer import Synthesizer

__all__ = ["run"]

AMOUNT = 500
COUNTS = {"benign": 180, "malignant": 20}
TITLE = "Breast tumours, 180 benign and 20 malignant"


def run(folder: Path, *, seed: int, echo: Callable[[str], object]) -> dict[str, Findings]:
    """Measure the table and the images, and write `index.html`, `gains.csv` and `augmented.csv` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    studies: dict[str, Callable[..., Findings]] = {
        TITLE: partial(_table, folder),
        demo_images.TITLE: demo_images.measure,
    }
    found = {}
    for title, measured in studies.items():
        start = time.perf_counter()
        found[title] = measured(seed=seed, echo=echo)
        echo(f"... took {time.perf_counter() - start:.0f} s.\n\n{found[title].comparison.to_markdown()}\n")
    write_page(folder / "index.html", found, title="A small table and a few images: does more training data help?")
    gains = {title: one.comparison.to_dataframe() for title, one in found.items()}
    _write(folder / "gains.csv", pd.concat(gains, names=["study"]).reset_index("study").to_csv(index=False))
    for title, one in found.items():
        echo(f"{title}:\n{one.comparison.verdict()}")
    echo(f"\nThe page: {folder / 'index.html'}. Beside it gains.csv, and augmented.csv with {AMOUNT} generated rows.")
    return found


def _table(folder: Path, *, seed: int, echo: Callable[[str], object]) -> Findings:
    X, y, rest = small_table(seed)
    echo(f"{len(X)} tumours with {X.shape[1]} measurements each: {_shares(y)}.")
    arms = {
        **default_arms(amount=AMOUNT, random_state=seed),
        "vae": SynthResampler(amount=AMOUNT, random_state=seed),
        "gan": SynthResampler(Synthesizer(generator=ConditionalGAN), amount=AMOUNT, random_state=seed),
    }
    echo(f"Comparing {len(arms)} arms with {len(_estimators())} classifiers on 10 paired splits, a minute or so ...")
    comparison = compare(arms, _estimators(), X, y, random_state=seed, n_jobs=-1)
    grown = augment(X.assign(diagnosis=y), "diagnosis", amount=AMOUNT, flag="synthetic", random_state=seed)
    made = grown[grown["synthetic"]].drop(columns="synthetic").reset_index(drop=True)
    _write(folder / "augmented.csv", grown.to_csv(index=False))
    return Findings(
        comparison,
        fidelity={"vae": fidelity(X.assign(diagnosis=y), made, target="diagnosis", random_state=seed)},
        privacy={"vae": privacy_risk(X, made.drop(columns="diagnosis"), rest, random_state=seed)},
        examples={"vae": grown.groupby(["diagnosis", "synthetic"]).head(3)},
    )


def small_table(seed: int) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
    """Measurements and diagnosis of 180 benign and 20 malignant tumours; measurements of 188 others in these shares.

    >>> X, y, rest = small_table(0)
    >>> X.shape, y.value_counts().tolist(), len(rest)
    ((200, 30), [180, 20], 188)
    """
    data = load_breast_cancer(as_frame=True)
    y = data.target.map(dict(enumerate(data.target_names))).rename("diagnosis")
    rng = numpy_rng(seed, "demo")
    rows = np.concatenate([rng.choice(np.flatnonzero(y == label), n, replace=False) for label, n in COUNTS.items()])
    rng.shuffle(rows)
    others = {label: np.setdiff1d(np.flatnonzero(y == label), rows) for label in COUNTS}
    rest = data.data.iloc[np.concatenate([others[label][: 170 * n // 180] for label, n in COUNTS.items()])]
    return data.data.iloc[rows].reset_index(drop=True), y.iloc[rows].reset_index(drop=True), rest.reset_index(drop=True)


def _estimators() -> dict[str, object]:
    return {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "knn": make_pipeline(StandardScaler(), KNeighborsClassifier()),
        "forest": RandomForestClassifier(random_state=0),
        "boosting": HistGradientBoostingClassifier(random_state=0),
    }


def _shares(y: pd.Series) -> str:
    return ", ".join(f"{n} {label}" for label, n in y.value_counts().items())


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
