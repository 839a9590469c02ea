"""How pandas holds a column: any supported dtype to plain numpy arrays and back, exactly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.extensions import take

from synthaug.errors import DataTypeError, StorageError
from synthaug.schema import dtype_name, named_dtype, plain

__all__ = ["SECONDS", "ColumnType"]

_MARKERS = {"None": None, "nan": np.nan, "NA": pd.NA, "NaT": pd.NaT}
# The only dtype names that a stored state may ask for.
_NAME = re.compile(
    r"(u?int(8|16|32|64)|float(16|32|64)|bool|object|str)|(U?Int(8|16|32|64)|Float(32|64)|boolean)"
    r"|string\[(python|pyarrow)\]"
    r"|(datetime64|timedelta64)\[(s|ms|us|ns)(, ((zoneinfo )?[\w/+:\-]{1,64}|pytz\.FixedOffset\(-?\d{1,4}\)))?\]"
    r"|((u?int(8|16|32|64))|halffloat|float|double|bool|string|large_string"
    r"|(timestamp|duration)\[(s|ms|us|ns)(, tz=[\w/+:\-]{1,64})?\])\[arrow\]"
)
_OBJECT = np.dtype(object)
SECONDS = "pandas.to_timedelta({column}.astype('string')).dt.total_seconds()"
"""What makes of times of the day their seconds."""
_SCALARS = (str, bool, int, float)


@dataclass(frozen=True)
class ColumnType:
    """The dtype of a column, and what it uses for a missing value.

    Args:
        dtype: The pandas or numpy dtype.
        marker: The missing value of an object column (`None`, `nan`, `pandas.NA` or `pandas.NaT`).

    >>> kind = ColumnType.of(pd.Series([1, None], dtype="Int8"), "age")
    >>> values, missing = kind.numbers(kind.dense(pd.Series([1, None], dtype="Int8")))
    >>> values.tolist(), missing.tolist()
    ([1, 0], [False, True])
    >>> kind.from_numbers(values, missing)
    <IntegerArray>
    [1, <NA>]
    Length: 2, dtype: Int8
    """

    dtype: Any
    marker: Any = np.nan

    @classmethod
    def of(cls, series: pd.Series, name: Any) -> ColumnType:
        """The type of a column, or a `DataTypeError` naming it and the remedy."""
        dtype = series.dtype
        absent = series[series.isna().to_numpy()].iloc[:1].tolist() if dtype == _OBJECT else []
        column_type = cls(
            dtype, next((marker for marker in _MARKERS.values() if absent and _same(marker, absent[0])), np.nan)
        )
        try:
            supported = column_type.is_number or column_type.is_level
            supported = supported and cls.from_dict(column_type.to_dict()).dtype == dtype
        except (StorageError, TypeError, ValueError):
            supported = False
        if not supported:
            described = f"category of {dtype.categories.dtype}" if isinstance(dtype, pd.CategoricalDtype) else dtype
            raise DataTypeError(
                f"Column {name!r} has dtype {described}, which is not supported: turn it into numbers, dates or "
                f"strings, for example `{_remedy(dtype).format(column=f'records[{name!r}]')}`, or drop it."
            )
        return column_type

    # What it is.

    @property
    def dense_dtype(self) -> Any:
        """The dtype without sparsity."""
        return self.dtype.subtype if isinstance(self.dtype, pd.SparseDtype) else self.dtype

    @property
    def _code(self) -> str:
        return self.dense_dtype.kind  # as numpy has it: one of `iufMmb`, or another letter for everything else

    @property
    def is_number(self) -> bool:
        """Whether values have an order and a distance: integers, floats, dates, durations."""
        return self._code in "iufMm"

    @property
    def is_time(self) -> bool:
        """Whether values are dates or durations."""
        return self._code in "Mm"

    @property
    def is_float(self) -> bool:
        """Whether values are floats."""
        return self._code == "f"

    @property
    def wide(self) -> Any:
        """The numpy type that holds every number of this type: int64, uint64 or float64."""
        return {"u": np.uint64, "f": np.float64}.get(self._code, np.int64)

    @property
    def is_level(self) -> bool:
        """Whether values are names: bools, strings, categories, objects."""
        dtype = self.dense_dtype
        if isinstance(dtype, pd.CategoricalDtype):
            return ColumnType(dtype.categories.dtype).is_number or ColumnType(dtype.categories.dtype).is_level
        return self._code == "b" or isinstance(dtype, pd.StringDtype) or (self._code in "OU" and self._is_text)

    @property
    def _is_text(self) -> bool:
        if isinstance(self.dtype, pd.ArrowDtype):
            return pa.types.is_string(self.dtype.pyarrow_dtype) or pa.types.is_large_string(self.dtype.pyarrow_dtype)
        return self.dtype == _OBJECT

    # Arrays of it.

    def dense(self, series: pd.Series) -> Any:
        """The values of a column: a numpy array, or pandas' own where the dtype is pandas' own."""
        if isinstance(self.dtype, pd.SparseDtype):
            return series.array.to_dense()
        return series.to_numpy() if isinstance(self.dtype, np.dtype) else series.array

    def finish(self, values: Any) -> Any:
        """The inverse of `dense`: the array that goes into the DataFrame."""
        if isinstance(self.dtype, pd.SparseDtype):
            return pd.arrays.SparseArray(values, dtype=self.dtype)
        # Said aloud, because pandas would turn an array of Python strings into its own string type.
        return pd.Series(values, dtype=object) if self.dtype == _OBJECT else values

    def numbers(self, values: Any) -> tuple[np.ndarray, np.ndarray]:
        """Numbers, dates and durations as `(n,)` int64, uint64 or float64 (0 where missing), and where they miss."""
        missing = np.asarray(pd.isna(values))
        wide = self.wide
        if isinstance(values, pd.arrays.ArrowExtensionArray):
            array = pa.chunked_array(values.__arrow_array__())
            numbers = array.cast(pa.from_numpy_dtype(wide)).fill_null(0).to_numpy()
        elif self.is_time:
            numbers = values.view("i8")
        elif isinstance(values, np.ndarray):
            numbers = values.astype(wide, copy=False)
        else:
            numbers = values.to_numpy(dtype=wide, na_value=0)
        return (np.where(missing, wide(0), numbers) if missing.any() else numbers), missing

    def from_numbers(self, numbers: np.ndarray, missing: np.ndarray) -> Any:
        """The inverse of `numbers`."""
        dtype = self.dense_dtype
        if isinstance(dtype, pd.ArrowDtype):
            array = pa.array(numbers, mask=missing, from_pandas=False)
            return pd.arrays.ArrowExtensionArray(array.cast(dtype.pyarrow_dtype))
        if self.is_time:
            stamps = np.where(missing, np.iinfo(np.int64).min, numbers).astype(np.int64, copy=False)
            if isinstance(dtype, pd.DatetimeTZDtype):
                index = pd.DatetimeIndex(stamps.view(f"M8[{dtype.unit}]"))
                return index.tz_localize("UTC").tz_convert(dtype.tz).array
            return stamps.view(dtype)
        if isinstance(dtype, np.dtype):
            narrow = numbers.astype(dtype)
            if missing.any():
                narrow[missing] = np.nan
            return narrow
        make = pd.arrays.FloatingArray if self.is_float else pd.arrays.IntegerArray
        return make(numbers.astype(dtype.numpy_dtype), missing)

    def keys(self, values: Any) -> Any:
        """Values in a form that can be hashed and compared quickly."""
        if isinstance(values, pd.Categorical):
            return np.asarray(values.codes, np.int64)
        return self.numbers(values)[0] if self.is_number else values

    def take(self, levels: Any, codes: np.ndarray) -> Any:
        """The levels at `codes`; a missing value where the code is -1."""
        if not (codes < 0).any():
            return levels.take(codes)
        if isinstance(levels, np.ndarray) and levels.dtype == _OBJECT:
            return np.append(levels, np.array([self.marker], object)).take(codes)
        return take(levels, codes, allow_fill=True)

    # Plain values.

    def to_plain(self, levels: Any) -> list[Any]:
        """Levels as values fit for JSON."""
        if isinstance(levels, pd.Categorical) or self.is_number:
            return self.keys(levels).tolist()
        return [plain(level) for level in levels]

    def from_plain(self, levels: list[Any]) -> Any:
        """The inverse of `to_plain`; a `StorageError` if they are none of this type."""
        dtype = self.dense_dtype
        try:
            if isinstance(dtype, pd.CategoricalDtype):
                return pd.Categorical.from_codes(np.array(levels, np.int64), dtype=dtype)
            if self.is_number:
                return self.from_numbers(np.array(levels, self.wide), np.zeros(len(levels), bool))
            if not all(isinstance(level, _SCALARS) for level in levels):
                raise ValueError("a level is no scalar")
            if dtype == _OBJECT:
                array = np.empty(len(levels), object)
                array[:] = levels
                return array
            return np.array(levels, dtype) if isinstance(dtype, np.dtype) else pd.array(levels, dtype=dtype)
        except (TypeError, ValueError, OverflowError, pa.ArrowException) as cause:
            raise StorageError(f"The stored levels of a column of dtype {dtype} are damaged ({cause}).") from cause

    def to_dict(self) -> dict[str, Any]:
        """The type as plain values."""
        dtype = self.dense_dtype
        state: dict[str, Any] = {"dtype": _name(dtype)}
        if isinstance(dtype, pd.CategoricalDtype):
            inner = ColumnType(dtype.categories.dtype)
            categories = inner.to_plain(inner.dense(dtype.categories.to_series()))
            state |= {"categories": categories, "of": inner.to_dict(), "ordered": bool(dtype.ordered)}
        if isinstance(self.dtype, pd.SparseDtype):
            fill = plain(self.dtype.fill_value)
            state["sparse"] = None if pd.isna(fill) else fill
        if dtype == _OBJECT:
            state["marker"] = next(name for name, marker in _MARKERS.items() if _same(marker, self.marker))
        return state

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> ColumnType:
        """The inverse of `to_dict`; only the dtypes that `fit` supports, or a `StorageError`."""
        name = state["dtype"]
        if name == "category":
            inner = cls.from_dict(state["of"])
            categories = pd.Index(inner.from_plain(state["categories"]), dtype=inner.dtype)
            return cls(pd.CategoricalDtype(categories, bool(state["ordered"])))
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise StorageError(f"The stored dtype {name!r} is not one that a codec can have written.")
        dtype = _dtype(name)
        if "sparse" in state:
            fill = np.nan if state["sparse"] is None else state["sparse"]
            return cls(pd.SparseDtype(dtype, np.dtype(dtype).type(fill)))
        return cls(dtype, _MARKERS[state.get("marker", "nan")])


def _remedy(dtype: Any) -> str:
    """What makes of a column of an unsupported dtype one that keeps its order and distances, if it has any."""
    if isinstance(dtype, pd.PeriodDtype):
        return "{column}.dt.to_timestamp()"
    if isinstance(dtype, pd.ArrowDtype):
        kind = dtype.pyarrow_dtype
        if pa.types.is_date(kind):
            return "pandas.to_datetime({column})"
        if pa.types.is_time(kind):
            return SECONDS
        if pa.types.is_decimal(kind):
            return "{column}.astype(float)"
    return "{column}.astype(str)"


def _same(a: Any, b: Any) -> bool:
    return a is b or (isinstance(a, float) and isinstance(b, float) and a != a and b != b)


def _name(dtype: Any) -> str:
    if isinstance(dtype, pd.ArrowDtype):
        return f"{dtype.pyarrow_dtype}[arrow]"
    if isinstance(dtype, pd.StringDtype) and dtype.na_value is pd.NA:
        return f"string[{dtype.storage}]"
    return dtype_name(dtype)


def _dtype(name: str) -> Any:
    if name == "str":
        return pd.StringDtype(na_value=np.nan)
    if not name.endswith("[arrow]"):
        return named_dtype(name)
    name = name.removesuffix("[arrow]")
    match = re.fullmatch(r"(timestamp|duration)\[(\w+)(?:, tz=(.+))?\]", name)
    if match is None:
        return pd.ArrowDtype(pa.type_for_alias(name))
    make, unit, tz = match.groups()
    return pd.ArrowDtype(pa.timestamp(unit, tz) if make == "timestamp" else pa.duration(unit))
