"""The one list of small instances: every check of `synthaug.testing` runs over each of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from synthaug.generators.base import GeneratorModule
from synthaug.pool import Pool, Source

N = 60
Case = Callable[[], tuple[pd.DataFrame, pd.Series]]
TABLES: dict[str, Case] = {}
IMAGES: dict[str, ImageCase] = {}


@dataclass(frozen=True)
class ImageCase:
    """Images, and what an `ImageCodec` must be told of them."""

    make: Callable[[], np.ndarray]
    layout: str | None = None
    value_range: tuple[float, float] | None = None

    def __call__(self) -> tuple[np.ndarray, pd.Series]:
        images = self.make()
        return images, labels(len(images))


def labels(n: int = N) -> pd.Series:
    """Two classes, one in three records positive."""
    return pd.Series(np.where(np.arange(n) % 3 == 0, "yes", "no"), name="label")


def table(make: Callable[[], dict[Any, Any] | pd.DataFrame]) -> Case:
    """Add a case: `make` gives the columns."""

    def case() -> tuple[pd.DataFrame, pd.Series]:
        records = pd.DataFrame(make())
        return records, labels(len(records)).set_axis(records.index)

    TABLES[make.__name__] = case
    return case


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _holes(values: Sequence[Any], every: int = 5, hole: Any = None) -> list[Any]:
    return [hole if i % every == 0 else value for i, value in enumerate(values)]


def _cycle(levels: Sequence[Any], n: int = N) -> list[Any]:
    return list(itertools.islice(itertools.cycle(levels), n))


@table
def one_number():
    return {"x": _rng().normal(size=N)}


@table
def adult():
    rng = _rng()
    return {
        "age": rng.integers(17, 90, N),
        "workclass": _holes(_cycle(["Private", "State-gov", "Self-emp"])),
        "fnlwgt": rng.integers(12_285, 1_484_705, N),
        "education": pd.Categorical(_cycle(["School", "Bachelor"]), ["School", "Bachelor", "Doctorate"], ordered=True),
        "capital-gain": np.where(rng.random(N) < 0.8, 0, rng.integers(100, 99_999, N)),
        "sex": _cycle(["Male", "Female", "Male"]),
    }  # fmt: skip


@table
def numpy_integers():
    names = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    edges = {name: (np.iinfo(name).min, np.iinfo(name).max) for name in names}
    return {
        name: np.array([low, high, *_rng().integers(low, high, N - 2, dtype=name)], name)
        for name, (low, high) in edges.items()
    }


@table
def nullable_integers():
    names = [f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)]
    return {name: pd.array(_holes(_rng().integers(0, 100, N).tolist()), dtype=name) for name in names}


@table
def floats():
    values = _rng().normal(size=N)
    numpy = {f"float{bits}": values.astype(f"float{bits}") for bits in (16, 32, 64)}
    return numpy | {name: pd.array(_holes(values.tolist()), dtype=name) for name in ("Float32", "Float64")}


@table
def floats_with_holes():
    values = _rng().normal(size=N)
    values[::4] = np.nan
    return {f"float{bits}": values.astype(f"float{bits}") for bits in (16, 32, 64)}


@table
def decimals():
    rng = _rng()
    return {
        "price": rng.integers(0, 10_000, N) / 100,
        "price32": (rng.integers(0, 10_000, N) / 100).astype("float32"),
        "quarters": rng.integers(0, 100, N) / 4,
        "whole": _holes(rng.integers(0, 1000, N).astype(float), hole=np.nan),
    }


@table
def heavy_tails():
    rng = _rng()
    income = np.exp(rng.normal(10, 3, N))
    return {"real": income, "integer": income.astype("int64"), "huge": (income**3).clip(0, 9e18).astype("int64")}


@table
def extreme_floats():
    rng = _rng()
    return {
        "large": rng.uniform(-1, 1, N) * 1.7e308,
        "small": rng.uniform(0, 1, N) * 1e-300,
        "offset": 1e15 + rng.integers(0, 100, N) / 8,
    }


@table
def zero_inflated():
    rng = _rng()
    amount = np.where(rng.random(N) < 0.6, 0.0, rng.lognormal(size=N))
    return {"amount": amount, "holes": np.where(rng.random(N) < 0.2, np.nan, amount), "days": (amount * 10).astype(int)}


@table
def booleans():
    flags = _cycle([True, False, False])
    return {
        "bool": flags,
        "boolean": pd.array(_holes(flags), dtype="boolean"),
        "object": pd.Series(_holes(flags), dtype=object),
    }


@table
def strings():
    words = _cycle(["a", "b", "", "ü", "None", "nan"])
    return {
        "default": words,
        "object": pd.Series(words, dtype=object),
        "string": pd.array(_holes(words), dtype="string"),
        "python": pd.array(_holes(words), dtype=pd.StringDtype("python")),
        "none": pd.Series(_holes(words), dtype=object),
        "nan": pd.Series(_holes(words, hole=np.nan), dtype=object),
        "NA": pd.Series(_holes(words, hole=pd.NA), dtype=object),
        "NaT": pd.Series(_holes(words, hole=pd.NaT), dtype=object),
    }


@table
def mixed_objects():
    mixed = _holes(_cycle(["a", 1, 2.5, False, "1"]), every=7)
    return {"mixed": pd.Series(mixed, dtype=object), "big": pd.Series(_cycle([2**70, 3]), dtype=object)}


@table
def categories():
    codes = [-1 if i % 7 == 0 else i % 3 for i in range(N)]
    kinds = {
        "strings": ["low", "mid", "high", "unused"],
        "integers": [30, 10, 20, 40],
        "floats": [0.5, 0.25, 1.5, 2.5],
        "dates": pd.to_datetime(["2020-01-01", "2021-01-01", "2022-01-01", "2023-01-01"]),
        "mixed": pd.Index(["a", 1, 2.5, False], dtype=object),
    }
    columns = {"flags": pd.Categorical.from_codes([max(0, code) % 2 for code in codes], [False, True])}
    for name, levels in kinds.items():
        columns[name] = pd.Categorical.from_codes(codes, levels)
        columns[f"{name}, ordered"] = pd.Categorical.from_codes(codes, levels, ordered=True)
    return columns


@table
def datetimes():
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(_rng().integers(0, 1000, N), unit="D")
    nanoseconds = pd.DatetimeIndex(_rng().integers(-(2**62), 2**62, N).view("M8[ns]"))
    return {
        **{unit: days.as_unit(unit) for unit in ("s", "ms", "us", "ns")},
        "nanoseconds": nanoseconds,
        "holes": pd.Series(nanoseconds).where(np.arange(N) % 4 != 0),
        "utc": days.tz_localize("UTC"),
        "berlin": nanoseconds.tz_localize("UTC").tz_convert("Europe/Berlin"),
        "berlin, holes": pd.Series(days.as_unit("ms").tz_localize("Europe/Berlin")).where(np.arange(N) % 3 != 0),
        "offset": days.tz_localize("+05:30"),
    }


@table
def timedeltas():
    spans = pd.to_timedelta(_rng().integers(0, 10**6, N), unit="s")
    return {
        **{unit: spans.as_unit(unit) for unit in ("s", "ms", "us", "ns")},
        "holes": pd.Series(spans).where(np.arange(N) % 4 != 0),
    }


@table
def sparse():
    rng = _rng()
    counts = np.where(rng.random(N) < 0.8, 0, rng.integers(1, 50, N))
    holes = np.where(rng.random(N) < 0.5, np.nan, rng.normal(size=N))
    return {
        "counts": pd.arrays.SparseArray(counts),
        "zeros": pd.arrays.SparseArray(counts * 1.5, fill_value=0.0),
        "holes": pd.arrays.SparseArray(holes),
        "flags": pd.arrays.SparseArray(counts > 0),
    }


@table
def arrow_backed():
    rng = _rng()
    columns = {
        "int64[pyarrow]": _holes(rng.integers(0, 50, N).tolist()),
        "uint8[pyarrow]": rng.integers(0, 50, N),
        "double[pyarrow]": _holes(rng.normal(size=N).tolist()),
        "float[pyarrow]": rng.normal(size=N).astype("float32"),
        "bool[pyarrow]": _holes(_cycle([True, False])),
        "timestamp[us][pyarrow]": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 99, N), unit="D"),
        "duration[ns][pyarrow]": pd.to_timedelta(rng.integers(0, 99, N), unit="D"),
    }
    import pyarrow as pa

    text = pd.Series(_holes(_cycle(["a", "b", "c"])), dtype=pd.ArrowDtype(pa.string()))
    return {name: pd.Series(values).astype(name) for name, values in columns.items()} | {"text": text}


@table
def constants():
    return {
        "integer": [7] * N,
        "float": [0.1] * N,
        "word": ["x"] * N,
        "date": [pd.Timestamp("2020-02-29")] * N,
        "level": pd.Categorical(["b"] * N, ["a", "b"]),
        "varies": np.arange(N),
    }


@table
def only_constants():
    return {"integer": [7] * N, "word": ["x"] * N}


@table
def all_missing():
    return {
        "float": np.full(N, np.nan),
        "object": pd.Series([None] * N, dtype=object),
        "Int64": pd.array([None] * N, dtype="Int64"),
        "date": pd.Series([pd.NaT] * N, dtype="datetime64[ns]"),
        "zoned": pd.Series([pd.NaT] * N, dtype="datetime64[us, UTC]"),
        "level": pd.Categorical([None] * N, ["a", "b"]),
        "string": pd.array([None] * N, dtype="string"),
        "boolean": pd.array([None] * N, dtype="boolean"),
        "varies": np.arange(N),
    }


@table
def two_values():
    return {
        "integer": _cycle([0, 1, 1]),
        "float": _cycle([0.5, np.nan, 1e300]),
        "float16": np.array(_cycle([0.5, 2.0]), "float16"),
        "date": pd.to_datetime(_cycle(["2020-01-01", "2021-06-01"])),
        "Int8": pd.array(_holes(_cycle([1, 2])), dtype="Int8"),
    }


@table
def few_numbers():
    return {"three": _cycle([10, 20, 40]), "rating": _cycle([1, 2, 3, 4, 5]), "shares": _cycle([0.1, 0.5, 0.7])}


@table
def many_levels():
    rng = _rng()
    words = [f"item {i}" for i in rng.zipf(1.3, 600).clip(0, 10**6)]
    return {
        "word": words,
        "object": pd.Series(_holes(words), dtype=object),
        "category": pd.Categorical(words),
        "singles": [f"once {i // 2 if i < 20 else i}" for i in range(600)],
    }


@table
def identifiers():
    names = [f"customer {i}" for i in range(N)]
    holes = pd.Series(_holes(names), dtype=object)
    return {"id": names, "holes": holes, "category": pd.Categorical(names), "x": range(N)}


@table
def one_record():
    return {"x": [1.5], "n": [3], "word": ["a"], "date": pd.to_datetime(["2020-01-01"]), "none": [None]}


@table
def odd_column_names():
    return pd.DataFrame(
        {1: range(N), 0: _cycle(["a", "b"]), "1": np.arange(N) * 0.5, 2.5: _cycle([True, False]), "": _cycle([1, 2, 3])}
    )


@table
def integer_column_names():
    return pd.DataFrame(_rng().normal(size=(N, 3)))


@table
def named_columns_and_index():
    frame = pd.DataFrame({"b": range(N), "a": _cycle(["x", "y"])}, index=pd.Index(range(1000, 1000 + N), name="id"))
    return frame.rename_axis(columns="feature")


@table
def categorical_column_names():
    return pd.DataFrame(_rng().normal(size=(N, 2)), columns=pd.CategoricalIndex(["b", "a"]))


@table
def odd_indexes():
    return pd.DataFrame({True: range(6), False: list("abcabc")}, index=[1, 1, 2, 2, 3, 3])


# --- images -----------------------------------------------------------------------------------------------------------


def images(**told: Any) -> Callable[[Callable[[], np.ndarray]], Callable[[], np.ndarray]]:
    """Add a case: `make` gives the images, `told` goes to the codec."""

    def add(make: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
        IMAGES[make.__name__] = ImageCase(make, **told)
        return make

    return add


def bars(h: int, w: int, n: int = N) -> np.ndarray:
    """`(n, h, w)` float64 in [0, 1]: a bar that lies where the label is no and stands where it is yes, and noise."""
    rng = _rng()
    grid = np.where(rng.random((n, h, w)) < 0.1, 0.4, 0.0)
    for image, yes, place in zip(grid, labels(n) == "yes", rng.integers(1, min(h, w) - 1, n), strict=True):
        image[(slice(None), place) if yes else place] = 1
    return grid


def _coloured(h: int, w: int, c: int) -> np.ndarray:
    """`(n, h, w, c)`: each channel a paler one."""
    return bars(h, w)[..., None] * np.linspace(1, 0.3, c)


@images()
def grey():
    return (255 * bars(8, 8)).astype("uint8")


@images()
def grey_wide_floats():
    return bars(8, 13).astype("float32")


@images()
def colour():
    return np.asfortranarray((255 * _coloured(12, 9, 3)).astype("uint8"))


@images()
def one_channel_first_doubles():
    return bars(10, 8)[:, None]


@images(value_range=(-1, 1))
def colour_first_signed():
    return (2 * _coloured(9, 11, 3).transpose(0, 3, 1, 2) - 1).astype("float32")


@images(layout="channels_first", value_range=(-20.5, 3000))
def thirteen_bands():
    return 1500 * _coloured(8, 10, 13).transpose(0, 3, 1, 2) - 20


@images(layout="channels_last", value_range=(0, 16))
def eight_bands_of_few_levels():
    return np.round(16 * _coloured(8, 8, 8)).astype("uint8")


@images()
def two_channels_tall():
    return _coloured(40, 8, 2)[:7]


@images()
def one_constant_image():
    return np.full((1, 8, 8, 4), 7, "uint8")


class PixelMeans(GeneratorModule):
    """The smallest generator of grids: the mean image of each class, and noise around it."""

    def __init__(self, spec, n_classes):
        super().__init__(spec, n_classes)
        self.save_hyperparameters()
        self.mean = nn.Parameter(torch.zeros(n_classes, *self.spec.shape))

    def steps_for(self, n_records):
        return 50

    def training_step(self, batch, index):
        x, y = batch
        loss = (self.mean[y] - x).square().sum(dim=(1, 2, 3)).mean()
        self.track(loss=loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    @torch.no_grad()
    def sample(self, y, *, rng):
        return self.mean[y] + 0.5 * torch.randn((len(y), *self.spec.shape), generator=rng)


# --- data sets and their pools ----------------------------------------------------------------------------------------


def _mixable(make_item: Callable[[np.ndarray, int], Any], records: np.ndarray) -> tuple[list[Any], Pool]:
    """Nine items, and a pool of five records."""
    y = np.arange(len(records)) % 2
    pool = Pool.of(records[9:14], y[9:14], Source("by hand", "", 0))
    return [make_item(record, int(label)) for record, label in zip(records[:9], y[:9], strict=True)], pool


def _pixels(*shape: int) -> np.ndarray:
    return _rng().integers(0, 256, (14, *shape), dtype=np.uint8)


DATASETS: dict[str, Callable[[], tuple[list[Any], Pool]]] = {
    "arrays": lambda: _mixable(lambda record, label: (record, label), _pixels(8, 9)),
    "tensors in dicts": lambda: _mixable(
        lambda record, label: {"image": torch.from_numpy(record), "label": torch.tensor(label)},
        _pixels(3, 8, 9).astype(np.float32) / 255,
    ),
}
