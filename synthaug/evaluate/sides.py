"""The three sets of records that a question of privacy is about, checked: trained on, made, and never seen."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from synthaug.errors import DataError, DataTypeError, SynthaugWarning, raise_problems
from synthaug.evaluate.attacks import column_kind
from synthaug.evaluate.samples import Classes
from synthaug.features import NEEDED, Features, table_features
from synthaug.fingerprint import row_hashes
from synthaug.rng import numpy_rng

__all__ = ["FEWEST", "Sides"]

FEWEST = 20
"""How many records to train on, and never seen, are needed to tell what is given away."""

_KINDS = {"number": "numbers", "time": "times", "level": "levels"}


@dataclass(frozen=True, eq=False)
class Sides:
    """Records of one kind: all three are tables with the same columns, or arrays. Made by `Sides.of`.

    Args:
        train: What the generator was fitted on.
        synthetic: What it made.
        holdout: Real records that it never saw.
        features: Records -> `(n, d)` numbers; None stands for `table_features` of the real records.
        hashes: Equal for equal records, `(n,)` for each of the three.
        labels: Of the real records, by "train" and "holdout", where both are known.
    """

    train: Any
    synthetic: Any
    holdout: Any
    features: Features | None
    hashes: tuple[np.ndarray, ...]
    labels: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        train: Any,
        synthetic: Any,
        holdout: Any,
        features: Features | None,
        labels: Mapping[str, Any] | None = None,
    ) -> Sides:
        """Check the records; what is neither a table nor an array is replaced by its features.

        Raises:
            DataError: too few records, columns that differ, most of the holdout among the training records.
            DataTypeError: records that need `features` to be compared.

        >>> table = pd.DataFrame({"a": range(30)})
        >>> Sides.of(table, table.rename(columns={"a": "b"}), table + 30, None)
        Traceback (most recent call last):
        ...
        synthaug.errors.DataError: 2 problems:
        - `synthetic` lacks column 'a' of `train`: give all three the same columns.
        - `synthetic` has column 'b', which `train` lacks: drop it.
        """
        given = {"train": train, "synthetic": synthetic, "holdout": holdout}
        arrays = {name: hasattr(records, "__array__") for name, records in given.items()}
        if features is not None and len(set(arrays.values())) > 1:
            kinds = ", ".join(type(records).__name__ for records in given.values())
            raise DataTypeError(f"Expected `train`, `synthetic` and `holdout` in the same form, got {kinds}.")
        sides = {name: _as_records(records, name, features) for name, records in given.items()}
        raise_problems([*_size_problems(sides), *_shape_problems(sides)])
        if isinstance(sides["train"], pd.DataFrame):
            columns = list(sides["train"].columns)
            sides = {name: table[columns] for name, table in sides.items()}
        if features is not None and not arrays["train"]:
            features = _as_is
        hashes = tuple(row_hashes(records) for records in sides.values())
        _check_overlap(hashes[0], hashes[2])
        return cls(**sides, features=features, hashes=hashes, labels=labels or {})

    @property
    def is_table(self) -> bool:
        """Whether the records have columns that can be asked about."""
        return isinstance(self.train, pd.DataFrame)

    def draw(self, seed: int, most: int) -> Sides:
        """At most `most` records each in random order, as many trained on as never seen.

        Where labels are known, as many of each class: one that is rarer among those never seen would make the others
        look as if they had been trained on.

        >>> table = pd.DataFrame({"a": range(60)})
        >>> drawn = Sides.of(table[:35], table, table[35:], None).draw(0, 40)
        >>> len(drawn.train), len(drawn.synthetic), len(drawn.holdout)
        (25, 40, 25)
        """
        names = ("train", "synthetic", "holdout")
        orders = {name: numpy_rng(seed, "draw", name).permutation(len(getattr(self, name))) for name in names}
        if self.labels:
            classes, real = Classes.of(self.labels), {name: orders[name] for name in self.labels}
            if FEWEST <= classes.shared.sum() < max(map(len, real.values())):
                orders |= classes.draw(real, most, seed)
        fewest = min(len(orders["train"]), len(orders["holdout"]), most)
        orders = {name: order[: most if name == "synthetic" else fewest] for name, order in orders.items()}
        drawn = {
            name: getattr(self, name).iloc[order] if self.is_table else getattr(self, name)[order]
            for name, order in orders.items()
        }
        hashes = tuple(known[order] for known, order in zip(self.hashes, orders.values(), strict=True))
        return replace(self, **drawn, hashes=hashes, labels={})

    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Features of the synthetic and of the real records (trained on, then never seen), `(n, d)` each.

        By default they are standardised by all real records, so that neither half is told apart better.

        >>> table = pd.DataFrame({"a": range(60)})
        >>> made, real = Sides.of(table[:35], table, table[35:], None).numbers()
        >>> made.shape, real.shape
        ((60, 2), (60, 2))
        """
        made, *real = (getattr(self, name) for name in ("synthetic", "train", "holdout"))
        features = self.features
        if features is None:
            features = table_features(pd.concat([_plain_levels(table) for table in real]))
        made, *real = (_numbers(features(records), len(records)) for records in (made, *real))
        return made, np.concatenate(real)


def _as_is(x: np.ndarray) -> np.ndarray:
    """The features of what was replaced by its features."""
    return x


def _plain_levels(table: pd.DataFrame) -> pd.DataFrame:
    """Categories as objects, so that tables with other categories can be put one below the other."""
    return table.astype({i: object for i, dtype in table.dtypes.items() if isinstance(dtype, pd.CategoricalDtype)})


def _numbers(x: Any, n: int) -> np.ndarray:
    """What `features` gave for `n` records, checked."""
    array = np.asarray(x)
    if array.ndim != 2 or len(array) != n or array.dtype.kind not in "biuf":
        raise DataError(
            f"Expected `features` to turn {n} records into numbers of shape ({n}, d), got {array.dtype} of shape "
            f"{array.shape}."
        )
    if not np.isfinite(array).all():
        raise DataError(f"Expected `features` to give finite numbers, got {array[~np.isfinite(array)][0]}.")
    return array.astype(np.float64)


def _as_records(records: Any, name: str, features: Features | None) -> Any:
    """A table, or an array: two axes of plain numbers or levels are a table, unless their features are given."""
    if isinstance(records, pd.DataFrame):
        return records
    if features is not None and not hasattr(records, "__array__"):
        return _numbers(features(records), len(records)) if len(records) else np.zeros((0, 0))
    array = np.asarray(records)
    if features is not None:
        return array
    if array.ndim == 2:
        return pd.DataFrame(array)
    given = f"{type(records).__name__} of shape {array.shape}"
    raise DataTypeError(f"Expected `{name}` to be a table or an array `(n, d)`, got {given}: {NEEDED}")


def _size_problems(sides: dict[str, Any]) -> list[str]:
    fewest = {"train": FEWEST, "synthetic": 1, "holdout": FEWEST}
    return [
        f"Expected at least {least} records in `{name}`, got {len(sides[name])}."
        for name, least in fewest.items()
        if len(sides[name]) < least
    ]


def _shape_problems(sides: dict[str, Any]) -> list[str]:
    train = sides["train"]
    problems = []
    if isinstance(train, pd.DataFrame):
        problems = [
            f"Column {name!r} is complex: split it into a real and an imaginary column."
            for name, dtype in train.dtypes.items()
            if dtype.kind == "c"
        ]
        problems += ["Expected `train` to have columns, got none."] * (train.shape[1] == 0)
    return problems + [
        problem
        for name in ("synthetic", "holdout")
        for problem in (
            _column_problems(train, sides[name], name)
            if isinstance(train, pd.DataFrame) and isinstance(sides[name], pd.DataFrame)
            else _array_problems(train, sides[name], name)
        )
    ]


def _array_problems(train: Any, other: Any, name: str) -> list[str]:
    if type(train) is type(other) and train.shape[1:] == other.shape[1:]:
        if (train.dtype.kind == "f") == (other.dtype.kind == "f"):
            return []
        told = [f"{records.dtype} from {records.min():g} to {records.max():g}" for records in (train, other)]
        return [f"`train` is {told[0]} and `{name}` {told[1]}: give all three on one scale, in one dtype."]
    kinds = [f"{type(records).__name__} of shape {records.shape}" for records in (train, other)]
    return [f"`train` is a {kinds[0]} and `{name}` a {kinds[1]}: give all three in the same form."]


def _column_problems(train: pd.DataFrame, other: pd.DataFrame, name: str) -> list[str]:
    if not (train.columns.is_unique and other.columns.is_unique):
        return [f"Two columns of `train` or `{name}` have the same name: rename one."]
    problems = [
        f"`{name}` lacks column {column!r} of `train`: give all three the same columns."
        for column in train.columns.difference(other.columns, sort=False)
    ]
    problems += [
        f"`{name}` has column {column!r}, which `train` lacks: drop it."
        for column in other.columns.difference(train.columns, sort=False)
    ]
    for column in train.columns.intersection(other.columns, sort=False):
        ours, theirs = column_kind(train[column]), column_kind(other[column])
        if ours != theirs:
            problems.append(
                f"Column {column!r} holds {_KINDS[ours]} ({train[column].dtype}) in `train` and {_KINDS[theirs]} "
                f"({other[column].dtype}) in `{name}`: convert it with `astype`."
            )
    return problems


def _check_overlap(train: np.ndarray, holdout: np.ndarray) -> None:
    """Refuse a holdout that was mostly trained on; warn where it was in part, beyond what repeated records explain."""
    shared = int(np.isin(holdout, train).sum())
    _, inverse, counts = np.unique(train, return_inverse=True, return_counts=True)
    usual = float((counts[inverse] > 1).mean()) * len(holdout)
    told = f"{shared} of the {len(holdout)} records of `holdout` are in `train` too"
    if shared - usual > len(holdout) / 2:
        raise DataError(f"{told}: give records that the generator was not fitted on.")
    if shared > usual + 3 * np.sqrt(usual):
        warnings.warn(
            f"{told}, more than equal records within `train` explain: risks are told too low. Take them out of "
            "`holdout` if they are the same ones.",
            SynthaugWarning,
            stacklevel=4,
        )
