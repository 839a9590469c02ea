"""A column of numbers, dates or durations: with holes, with one value over and over, on a grid or on none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from synthaug.codecs.columns import Column, check_finite
from synthaug.codecs.dtypes import ColumnType
from synthaug.codecs.scales import Reals, Steps
from synthaug.spec import Field

__all__ = ["NumberColumn"]

_SPIKE = 0.2  # share of the records from which one value of a number column gets a state of its own
_DECIMALS = 6
_BELIEVED = 10  # distinct values from which a common step is no accident


class NumberColumn(Column):
    """Numbers, dates and durations: a state (regular, missing, or a value that a large share has), and a scaled number.

    Args:
        name: The name of the column.
        column_type: How pandas holds it.
        scale: What encodes regular numbers; `Steps` for integers, dates and decimals, `Reals` for other floats.
        decimals: For floats with few decimals, how many: they are integers of `10 ** -decimals`.
        missing: Whether missing values were seen.
        spikes: The values with a state of their own.
        bounds: The lowest and highest regular value.

    >>> import pandas as pd
    >>> hours = pd.Series([40, 38, 40, 20, 60, 41, 37, None], dtype="Int64")
    >>> column = NumberColumn.fit("hours", ColumnType.of(hours, "hours"), hours.array)
    >>> [(field.name, field.kind, field.size) for field in column.fields]
    [('hours (state)', 'category', 3), ('hours', 'number', 1)]
    >>> column.decode(np.array([[1, 0, 0, 9.0], [0, 1, 0, 0], [0, 0, 1, 0]])).tolist()
    [60, <NA>, 40]
    """

    def __init__(
        self,
        name: Any,
        column_type: ColumnType,
        scale: Reals | Steps,
        *,
        decimals: int | None,
        missing: bool,
        spikes: tuple[int | float, ...],
        bounds: tuple[int | float, int | float],
    ):
        self.name, self.type, self.scale, self.decimals = name, column_type, scale, decimals
        self.missing, self.spikes, self.bounds = missing, spikes, bounds
        states = 1 + missing + len(spikes)
        self.states = states if states > 1 else 0
        self.fields = (
            *([Field(f"{name} (state)", "category", states)] if states > 1 else []),
            Field(str(name), "number"),
            *([Field(f"{name} (digits)", "uniform", scale.noise)] if scale.noise else []),
        )

    @classmethod
    def fit(cls, name: Any, column_type: ColumnType, values: Any) -> NumberColumn | None:
        """Learn range, grid and scale; `None` for two distinct values or fewer, which are levels."""
        numbers, missing = column_type.numbers(values)
        check_finite(name, numbers)
        distinct, counts = np.unique(numbers[~missing], return_counts=True)
        if len(distinct) <= 2:
            return None
        frequent = counts >= _SPIKE * len(numbers)
        spikes = distinct[frequent] if len(distinct) > 5 else distinct[:0]
        regular = numbers[~missing & ~np.isin(numbers, spikes)]
        decimals = _decimals(distinct, column_type) if column_type.is_float else None
        scale: Reals | Steps
        if column_type.is_float and decimals is None:
            scale = Reals.of(regular)
        else:
            whole = distinct if decimals is None else _whole(distinct, decimals)
            step = _step(whole) if column_type.is_time or len(whole) >= _BELIEVED else 1
            scale = Steps.of(regular if decimals is None else _whole(regular, decimals), step)
        bounds = (regular.min().item(), regular.max().item())
        return cls(
            name, column_type, scale,
            decimals=decimals, missing=bool(missing.any()), spikes=tuple(spikes.tolist()), bounds=bounds,
        )  # fmt: skip

    def encode(self, values: Any, out: np.ndarray) -> None:
        """See `Column.encode`; a number outside the observed range moves to its nearer end."""
        numbers, missing = self.type.numbers(values)
        check_finite(self.name, numbers)
        self._check_missing(missing)
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
        column_type, decimals = ColumnType.from_dict(state["type"]), state["decimals"]
        scale = (Steps if state["kind"] == "steps" else Reals).from_dict(state["scale"])
        values = np.array([*state["bounds"], *state["spikes"]], column_type.wide)
        real = column_type.is_float and decimals is None
        sound = len(state["bounds"]) == 2 and decimals in (None, *range(_DECIMALS + 1)) and np.isfinite(values).all()
        if not (column_type.is_number and sound and isinstance(scale, Reals) == real):
            raise ValueError(f"the scale of column {name!r} does not fit its type")
        low, high, *spikes = values.tolist()
        return cls(
            name, column_type, scale,
            decimals=decimals, missing=bool(state["missing"]), spikes=tuple(spikes), bounds=(low, high),
        )  # fmt: skip


def _whole(values: np.ndarray, decimals: int) -> np.ndarray:
    return np.rint(values * 10.0**decimals).astype(np.int64)


def _decimals(values: np.ndarray, column_type: ColumnType) -> int | None:
    """The fewest decimals that write every value exactly, or `None`."""
    narrow = getattr(column_type.dense_dtype, "numpy_dtype", column_type.dense_dtype)
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
