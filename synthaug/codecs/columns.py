"""What the kinds of columns of a table have in common, and what none of them can hold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd

from synthaug.codecs.dtypes import SECONDS, ColumnType
from synthaug.errors import DataError, DataTypeError
from synthaug.schema import plain
from synthaug.spec import Field

__all__ = ["Column", "check_finite", "check_values"]

_OBJECT = np.dtype(object)
_REMEDIES = {
    "bytes": "`{column}.str.decode('utf-8')`",
    "decimal": "`{column}.astype(float)`",
    "date": "`pandas.to_datetime({column})`",
    "datetime": "`pandas.to_datetime({column})`",
    "datetime64": "`pandas.to_datetime({column})`",
    "period": "`{column}.map(lambda period: period.to_timestamp(), na_action='ignore')`",
    "time": f"`{SECONDS}`",
    "timedelta": "`pandas.to_timedelta({column})`",
    "timedelta64": "`pandas.to_timedelta({column})`",
}


class Column(ABC):
    """Encodes and decodes one column; `type` says how pandas holds it, `fields` which entries it fills."""

    name: Any
    type: ColumnType
    fields: tuple[Field, ...]
    missing: bool

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

    def _check_missing(self, missing: np.ndarray) -> None:
        if missing.any() and not self.missing:
            raise DataError(
                f"Column {self.name!r} has missing values (first at position {missing.argmax()}), but had none in "
                "`fit`: fill them, drop those records, or fit on records that have some."
            )


def check_finite(name: Any, numbers: np.ndarray) -> None:
    """Raise a `DataError` naming the column and the first infinite value's position, if there is one."""
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        position = int((~np.isfinite(numbers)).argmax())
        raise DataError(
            f"Column {name!r} holds {numbers[position]} (first at position {position}): replace it by a missing value "
            "or by the largest number that makes sense."
        )


def check_values(name: Any, column_type: ColumnType, values: Any) -> np.ndarray:
    """Where values are missing; a `DataError` if any is one that no level can be."""
    missing = np.asarray(pd.isna(values))
    if column_type.is_number:
        check_finite(name, column_type.numbers(values)[0])
    if column_type.dtype == _OBJECT:
        _check_objects(name, values, missing)
    return missing


def _check_objects(name: Any, values: np.ndarray, missing: np.ndarray) -> None:
    """An object column may hold strings, bools, ints and finite floats; equal ones must be of one type."""
    found = pd.api.types.infer_dtype(values, skipna=True)
    if found in ("string", "boolean", "integer", "empty"):
        return
    types: dict[Any, type] = {}
    for position in np.flatnonzero(~missing):
        value = plain(values[position])
        if not isinstance(value, str | bool | int | float):
            remedy = _REMEDIES.get(found, "`{column}.astype(str)`, or columns of their own")
            remedy = remedy.format(column=f"records[{name!r}]")
            raise DataTypeError(
                f"Column {name!r} holds {type(value).__name__} (first at position {position}): turn it into {remedy}."
            )
        if value in (np.inf, -np.inf):
            raise DataError(
                f"Column {name!r} holds {value} (first at position {position}): replace it by a missing value."
            )
        if types.setdefault(value, type(value)) is not type(value):
            raise DataTypeError(
                f"Column {name!r} holds {value!r} as {type(value).__name__} and the equal {types[value].__name__} "
                f"(at position {position}): use one type, for example `records[{name!r}].astype(str)`."
            )
