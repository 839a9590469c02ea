"""One column of a table as entries of an encoded record: numbers, and names (levels)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd

from synthaug.codecs.dtypes import ColumnType, plain
from synthaug.codecs.scales import Reals, Steps
from synthaug.errors import DataError, DataTypeError
from synthaug.spec import Field

__all__ = ["Column", "LevelColumn", "NumberColumn", "fit_column"]

_SPIKE = 0.2  # share of the records from which one value of a number column gets a state of its own
_DECIMALS = 6
_BELIEVED = 10  # distinct values from which a common step is no accident
_IDENTIFIER = 20  # distinct strings, none twice, from which a column looks like an identifier
_RARE_SHARE = 0.1  # of 1 / max_levels: a level below it is pooled when there are more than max_levels levels
_MAX_RARE = 2**20  # levels that a float32 in [0, 1) can tell apart
_REMEDIES = {
    "decimal": "`records[{name!r}].astype(float)`",
    "date": "`pandas.to_datetime(records[{name!r}])`",
    "datetime": "`pandas.to_datetime(records[{name!r}])`",
    "datetime64": "`pandas.to_datetime(records[{name!r}])`",
    "timedelta": "`pandas.to_timedelta(records[{name!r}])`",
    "timedelta64": "`pandas.to_timedelta(records[{name!r}])`",
}


class Column(ABC):
    """Encodes and decodes one column; `type` says how pandas holds it, `fields` which entries it fills."""

    name: Any
    type: ColumnType
    fields: tuple[Field, ...]

    @abstractmethod
    def encode(self, values: Any, out: np.ndarray) -> None:
        """Write dense `values` to `out` `(n, width)`, or raise a `DataError` naming the column."""

    @abstractmethod
    def decode(self, x: np.ndarray) -> Any:
        """Any finite `x` `(n, width)` as the array that goes into the DataFrame."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The fitted state as plain values."""

    @classmethod
    @abstractmethod
    def from_dict(cls, name: Any, state: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""

    @property
    def width(self) -> int:
        """The number of entries."""
        return sum(field.size for field in self.fields)


class LevelColumn(Column):
    """Names: one-hot over the common levels, a state for missing, and one for all rare levels together.

    Which rare level it is stands in a `"uniform"` entry: each has an interval as long as its share, so noise draws the
    rare levels in proportion. A column of one state, such as a constant, needs no entries at all.

    Args:
        name: The name of the column.
        type: How pandas holds it.
        levels: The levels, the common ones first, as an array of that type.
        common: How many levels are common.
        counts: How often each rare level was seen.
        missing: Whether missing values were seen.
        dropped: The column was taken for an identifier: whatever it holds is encoded as missing.
    """

    def __init__(
        self,
        name: Any,
        type: ColumnType,  # noqa: A002
        levels: Any,
        common: int,
        *,
        counts: np.ndarray,
        missing: bool,
        dropped: bool = False,
    ):
        self.name, self.type, self.levels, self.common = name, type, levels, common
        self.counts, self.missing, self.dropped = counts, missing, dropped
        self.rare = len(levels) > common
        states = common + self.rare + missing
        fields = [Field(str(name), "category", states)] if states > 1 else []
        self.states = states if states > 1 else 0
        self.fields = (*fields, *([Field(f"{name} (rare level)", "uniform")] if self.rare else []))

    @classmethod
    def fit(cls, name: Any, kind: ColumnType, values: Any, max_levels: int, identifiers: str) -> LevelColumn:
        """Learn the levels; `identifiers="drop"` forgets the levels of a text column in which none comes twice."""
        levels, counts, missing = _levels(name, kind, values)
        if identifiers == "drop" and _is_identifier(levels, counts):
            return cls(name, kind, levels[:0], 0, counts=counts[:0], missing=True, dropped=True)
        common = len(levels)
        if common > max_levels:
            enough = max(2, _RARE_SHARE * counts.sum() / max_levels)
            common = min(max_levels, int((counts >= enough).sum()))
        if len(levels) - common > _MAX_RARE:
            raise DataError(
                f"Column {name!r} has {len(levels)} levels, and at most {_MAX_RARE} are supported: drop the column, or "
                "put several levels into one."
            )
        return cls(name, kind, levels, common, counts=counts[common:], missing=missing)

    @cached_property
    def _ends(self) -> np.ndarray:
        """Where the interval of each rare level ends; none is too short for float32."""
        shares = np.maximum(self.counts / self.counts.sum(), 2.0**-22)
        return np.cumsum(shares) / shares.sum()

    @cached_property
    def _index(self) -> pd.Index:
        keys = self.type.keys(self.levels)
        return pd.Index(keys, dtype=keys.dtype)

    def encode(self, values: Any, out: np.ndarray) -> None:
        """See `Column.encode`; a level that was not there in `fit` is a `DataError`."""
        if self.dropped:
            return
        codes = self._codes(values)
        state = np.minimum(codes, self.common)
        state[codes < 0] = self.common + self.rare
        if self.states:
            out[np.arange(len(codes)), state] = 1.0
        if self.rare:
            rare = codes >= self.common
            code = codes[rare] - self.common
            out[:, -1] = 0.5
            out[rare, -1] = self._ends[code] - np.diff(self._ends, prepend=0.0)[code] / 2

    def _codes(self, values: Any) -> np.ndarray:
        """The number of each value's level; -1 where it is missing."""
        missing = np.asarray(pd.isna(values))
        if missing.any() and not self.missing:
            raise DataError(
                f"Column {self.name!r} has missing values (first at position {missing.argmax()}), but had none in "
                "`fit`: fill them, drop those records, or fit on records that have some."
            )
        raw, unique = pd.factorize(self.type.keys(values))
        known = self._index.get_indexer(unique)
        codes = np.append(known, -1)[raw]
        codes[missing] = -1
        unknown = (codes < 0) & ~missing
        if unknown.any() and self.type.is_number and len(self.levels):
            codes[unknown] = self._nearest(values, unknown)
        elif unknown.any():
            first = int(unknown.argmax())
            raise DataError(
                f"Column {self.name!r} has a level that was not there in `fit`: {plain(values[first])!r} (first at "
                f"position {first}): drop those records, map the level to a known one, or fit on records that have it."
            )
        return codes

    def _nearest(self, values: Any, where: np.ndarray) -> np.ndarray:
        """For numbers with few values: the closest one, as number columns also move a number into their range."""
        order = np.argsort(self._index.to_numpy())
        known = self._index.to_numpy()[order].astype(np.float64)
        wanted = self.type.numbers(values)[0][where].astype(np.float64)
        return order[np.searchsorted((known[1:] + known[:-1]) / 2, wanted)]

    def decode(self, x: np.ndarray) -> Any:
        """See `Column.decode`."""
        common, n = self.common, len(x)
        codes = x[:, : self.states].argmax(1) if self.states else np.full(n, -1 if self.missing else 0)
        if self.rare:
            rare = codes == common if self.states else np.ones(n, bool)
            drawn = np.searchsorted(self._ends, x[rare, -1].astype(np.float64), "right")
            codes[rare] = common + np.minimum(drawn, len(self.counts) - 1)
        if self.missing and self.states:
            codes[x[:, : self.states].argmax(1) == common + self.rare] = -1
        return self.type.finish(self.type.take(self.levels, codes))

    def to_dict(self) -> dict[str, Any]:
        """See `Column.to_dict`."""
        return {
            "kind": "levels",
            "type": self.type.to_dict(),
            "levels": self.type.to_plain(self.levels),
            "common": self.common,
            "counts": self.counts.tolist(),
            "missing": self.missing,
            "dropped": self.dropped,
        }

    @classmethod
    def from_dict(cls, name: Any, state: Mapping[str, Any]) -> LevelColumn:
        """See `Column.from_dict`."""
        kind = ColumnType.from_dict(state["type"])
        levels, counts = kind.from_plain(state["levels"]), np.array(state["counts"], np.int64)
        common, missing, dropped = int(state["common"]), bool(state["missing"]), bool(state["dropped"])
        if (
            not (0 <= common <= len(levels) == common + len(counts))
            or (counts < 1).any()
            or not (missing or len(levels))
        ):
            raise ValueError(f"the levels of column {name!r} do not fit together")
        return cls(name, kind, levels, common, counts=counts, missing=missing, dropped=dropped)


class NumberColumn(Column):
    """Numbers, dates and durations: a state (regular, missing, or a value that a large share has), and a scaled number.

    Args:
        name: The name of the column.
        type: How pandas holds it.
        scale: What encodes regular numbers; `Steps` for integers, dates and decimals, `Reals` for other floats.
        decimals: For floats with few decimals, how many: they are integers of `10 ** -decimals`.
        missing: Whether missing values were seen.
        spikes: The values with a state of their own.
        bounds: The lowest and highest value.
    """

    def __init__(
        self,
        name: Any,
        type: ColumnType,  # noqa: A002
        scale: Reals | Steps,
        *,
        decimals: int | None,
        missing: bool,
        spikes: tuple[int | float, ...],
        bounds: tuple[int | float, int | float],
    ):
        self.name, self.type, self.scale, self.decimals = name, type, scale, decimals
        self.missing, self.spikes, self.bounds = missing, spikes, bounds
        states = 1 + missing + len(spikes)
        self.states = states if states > 1 else 0
        self.fields = (
            *([Field(f"{name} (state)", "category", states)] if states > 1 else []),
            Field(str(name), "number"),
            *([Field(f"{name} (digits)", "uniform", scale.noise)] if scale.noise else []),
        )

    @classmethod
    def fit(cls, name: Any, kind: ColumnType, values: Any) -> NumberColumn | None:
        """Learn range, grid and scale; `None` for two distinct values or fewer, which are levels."""
        numbers, missing = kind.numbers(values)
        _check_finite(name, numbers)
        distinct, counts = np.unique(numbers[~missing], return_counts=True)
        if len(distinct) <= 2:
            return None
        frequent = counts >= _SPIKE * len(numbers)
        spikes = distinct[frequent] if len(distinct) > 5 else distinct[:0]
        regular = numbers[~missing & ~np.isin(numbers, spikes)]
        decimals = _decimals(distinct, kind) if kind.is_float else None
        scale: Reals | Steps
        if kind.is_float and decimals is None:
            scale = Reals.of(regular)
        else:
            whole = distinct if decimals is None else _whole(distinct, decimals)
            step = _step(whole) if kind.is_time or len(whole) >= _BELIEVED else 1
            scale = Steps.of(regular if decimals is None else _whole(regular, decimals), step)
        bounds = (regular.min().item(), regular.max().item())
        return cls(
            name, kind, scale, decimals=decimals, missing=bool(missing.any()), spikes=tuple(spikes.tolist()), bounds=bounds
        )  # fmt: skip

    def encode(self, values: Any, out: np.ndarray) -> None:
        """See `Column.encode`; a number outside the observed range moves to its nearer end."""
        numbers, missing = self.type.numbers(values)
        _check_finite(self.name, numbers)
        if missing.any() and not self.missing:
            raise DataError(
                f"Column {self.name!r} has missing values (first at position {missing.argmax()}), but had none in "
                "`fit`: fill them, drop those records, or fit on records that have some."
            )
        state = missing.astype(np.int64)
        for i, spike in enumerate(self.spikes, 1 + self.missing):
            state[~missing & (numbers == spike)] = i
        regular = state == 0
        if self.states:
            out[np.arange(len(state)), state] = 1.0
        out[~regular, self.states + 1 :] = 0.5
        numbers = np.clip(numbers[regular], *map(numbers.dtype.type, self.bounds))
        out[regular, self.states :] = self.scale.encode(
            numbers if self.decimals is None else _whole(numbers, self.decimals)
        )

    def decode(self, x: np.ndarray) -> Any:
        """See `Column.decode`."""
        numbers = self._regular(x[:, self.states :])
        missing = np.zeros(len(x), bool)
        if self.states:
            state = x[:, : self.states].argmax(1)
            if self.missing:
                missing = state == 1
            for i, spike in enumerate(self.spikes, 1 + self.missing):
                numbers[state == i] = spike
        return self.type.finish(self.type.from_numbers(numbers, missing))

    def _regular(self, x: np.ndarray) -> np.ndarray:
        if isinstance(self.scale, Reals):
            return self.scale.decode(x)
        if self.decimals is not None:
            return self.scale.decode(x, np.int64) / 10.0**self.decimals
        return self.scale.decode(x, self.type.wide)

    def to_dict(self) -> dict[str, Any]:
        """See `Column.to_dict`."""
        return {
            "kind": "steps" if isinstance(self.scale, Steps) else "reals",
            "type": self.type.to_dict(),
            "scale": self.scale.to_dict(),
            "decimals": self.decimals,
            "missing": self.missing,
            "spikes": list(self.spikes),
            "bounds": list(self.bounds),
        }

    @classmethod
    def from_dict(cls, name: Any, state: Mapping[str, Any]) -> NumberColumn:
        """See `Column.from_dict`."""
        scale = {"steps": Steps, "reals": Reals}[state["kind"]].from_dict(state["scale"])
        low, high = state["bounds"]
        return cls(
            name, ColumnType.from_dict(state["type"]), scale, decimals=state["decimals"],
            missing=bool(state["missing"]), spikes=tuple(state["spikes"]), bounds=(low, high),
        )  # fmt: skip


def fit_column(
    name: Any, series: pd.Series, *, wanted: str | None, max_levels: int, identifiers: str
) -> LevelColumn | NumberColumn:
    """Learn the kind of column that fits the dtype and the values; a `DataError` naming the column if none does."""
    kind = ColumnType.of(series, name)
    values = kind.dense(series)
    if wanted == "number" and not kind.is_number:
        raise DataTypeError(
            f"Column {name!r} has dtype {series.dtype}, but `column_types` says it is a number: convert it, for "
            f"example `pandas.to_numeric(records[{name!r}])`, or leave it out of `column_types`."
        )
    if kind.is_number and wanted != "category":
        number = NumberColumn.fit(name, kind, values)
        if number is not None:
            return number
    return LevelColumn.fit(name, kind, values, max_levels, "keep" if wanted == "category" else identifiers)


def _check_finite(name: Any, numbers: np.ndarray) -> None:
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        first = int((~np.isfinite(numbers)).argmax())
        raise DataError(
            f"Column {name!r} has an infinite value (first at position {first}): replace it by a missing value or by "
            "the largest number that makes sense."
        )


def _levels(name: Any, kind: ColumnType, values: Any) -> tuple[Any, np.ndarray, bool]:
    """Distinct values, the most frequent first, their counts, and whether any is missing."""
    missing = np.asarray(pd.isna(values))
    if kind.is_number:
        _check_finite(name, kind.numbers(values)[0])
    if isinstance(values, np.ndarray) and values.dtype == object:
        _check_objects(name, values, missing)
    present = values[~missing]
    raw, unique = pd.factorize(kind.keys(present))
    counts = np.bincount(raw, minlength=len(unique))
    first = np.empty(len(unique), np.int64)
    first[raw[::-1]] = np.arange(len(raw))[::-1]
    ranks = [(type(level).__name__, level) for level in map(plain, unique)]
    order = np.array(sorted(range(len(unique)), key=lambda i: (-counts[i], ranks[i])), np.int64)
    levels = present.take(first[order])
    if isinstance(levels, np.ndarray) and levels.dtype == object:
        levels = kind.from_plain([plain(level) for level in levels])
    return levels, counts[order], bool(missing.any())


def _check_objects(name: Any, values: np.ndarray, missing: np.ndarray) -> None:
    """An object column may hold strings, bools, ints and finite floats, no two of them equal."""
    found = pd.api.types.infer_dtype(values, skipna=True)
    if found in ("string", "boolean", "integer", "empty"):
        return
    kinds: dict[Any, type] = {}
    for position in np.flatnonzero(~missing):
        value = plain(values[position])
        if not isinstance(value, str | bool | int | float):
            remedy = _REMEDIES.get(found, "`records[{name!r}].astype(str)`, or columns of their own").format(name=name)
            raise DataTypeError(
                f"Column {name!r} holds {type(value).__name__} (first at position {position}): turn it into {remedy}."
            )
        if value in (np.inf, -np.inf):
            _check_finite(name, np.array([0.0 if i < position else np.inf for i in range(position + 1)]))
        if kinds.setdefault(value, type(value)) is not type(value):
            raise DataTypeError(
                f"Column {name!r} holds {value!r} both as {kinds[value].__name__} and as {type(value).__name__} (at "
                f"position {position}), which are equal: use one type, for example `records[{name!r}].astype(str)`."
            )


def _is_identifier(levels: Any, counts: np.ndarray) -> bool:
    if len(counts) < _IDENTIFIER or counts.max() > 1:
        return False
    return all(isinstance(level, str) for level in levels)


def _whole(values: np.ndarray, decimals: int) -> np.ndarray:
    return np.rint(values * 10.0**decimals).astype(np.int64)


def _decimals(values: np.ndarray, kind: ColumnType) -> int | None:
    """The fewest decimals that write every value exactly, or `None`."""
    narrow = getattr(kind.dense_dtype, "numpy_dtype", kind.dense_dtype)
    for decimals in range(_DECIMALS + 1):
        scaled = values * 10.0**decimals
        if np.abs(scaled).max() >= 2.0**53:
            return None
        if ((np.rint(scaled) / 10.0**decimals).astype(narrow) == values.astype(narrow)).all():
            return decimals
    return None


def _step(values: np.ndarray) -> int:
    """The greatest common divisor of the distances of sorted distinct 64-bit integers."""
    return int(np.gcd.reduce(np.diff(values.view(np.uint64))))
