"""Columns on disk: as Arrow arrays that any tool reads, and back to the very dtype they had."""

from __future__ import annotations

import json
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from synthaug.codecs.columns import Column
from synthaug.codecs.dtypes import ColumnType, plain
from synthaug.codecs.levels import LevelColumn

__all__ = ["column_from_arrow", "column_to_arrow"]

_OBJECT = np.dtype(object)
_PLAIN = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}


def column_to_arrow(column: Column, values: Any) -> pa.Array:
    """The dense values of one column as an Arrow array; objects of several types are written as JSON."""
    if column.type.dtype == _OBJECT:
        return _objects_to_arrow(column, values)
    return _to_arrow(column.type, values)


def column_from_arrow(column: Column, array: pa.ChunkedArray) -> Any:
    """The inverse of `column_to_arrow`: the array that goes into the DataFrame."""
    if column.type.dtype == _OBJECT:
        return column.type.finish(_objects_from_arrow(column, array))
    return column.type.finish(_from_arrow(column.type, array))


def _to_arrow(column_type: ColumnType, values: Any) -> pa.Array:
    dtype = column_type.dense_dtype
    missing = np.asarray(pd.isna(values))
    if isinstance(values, pd.Categorical):
        inner = ColumnType(values.categories.dtype)
        categories = inner.dense(values.categories.to_series())
        if categories.dtype == _OBJECT:
            categories = pa.array([_written(category) for category in categories], pa.string())
        else:
            categories = _to_arrow(inner, categories)
        codes = pa.array(np.asarray(values.codes, np.int32), mask=missing)
        return pa.DictionaryArray.from_arrays(codes, categories, ordered=bool(values.ordered))
    if isinstance(dtype, pd.ArrowDtype):
        return pa.chunked_array(values.__arrow_array__()).combine_chunks()
    if isinstance(dtype, pd.StringDtype):
        return pa.array(values, pa.large_string(), from_pandas=True)
    if column_type.is_number:
        numbers = column_type.numbers(values)[0]
        narrow = numbers.astype(getattr(dtype, "numpy_dtype", dtype)) if not column_type.is_time else numbers
        return pa.array(narrow, mask=missing).cast(_number_type(column_type))
    return pa.array(np.where(missing, False, values).astype(bool), mask=missing)


def _from_arrow(column_type: ColumnType, array: pa.ChunkedArray) -> Any:
    dtype = column_type.dense_dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _category_from_arrow(dtype, array)
    if isinstance(dtype, pd.ArrowDtype):
        return pd.arrays.ArrowExtensionArray(array.cast(dtype.pyarrow_dtype))
    if isinstance(dtype, pd.StringDtype):
        return cast(Any, dtype).__from_arrow__(array.cast(pa.large_string()))
    missing = array.is_null().to_numpy()
    if column_type.is_number:
        typed = array.cast(_number_type(column_type))
        wide = pa.from_numpy_dtype(column_type.wide)
        numbers = typed.to_numpy() if pa.types.is_float16(typed.type) else typed.cast(wide).fill_null(0).to_numpy()
        return column_type.from_numbers(numbers.astype(column_type.wide), missing)
    flags = array.cast(pa.bool_()).fill_null(False).to_numpy()
    return flags.astype(bool) if isinstance(dtype, np.dtype) else pd.arrays.BooleanArray(flags.astype(bool), missing)


def _number_type(column_type: ColumnType) -> pa.DataType:
    dtype = column_type.dense_dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        return pa.timestamp(dtype.unit, str(dtype.tz))
    return pa.from_numpy_dtype(getattr(dtype, "numpy_dtype", dtype))


def _category_from_arrow(dtype: pd.CategoricalDtype, array: pa.ChunkedArray) -> pd.Categorical:
    # A Parquet file may keep the categories in another order, or only those in use.
    codes, values = _dictionary(array)
    inner = ColumnType(dtype.categories.dtype)
    if dtype.categories.dtype == _OBJECT:
        known = {_written(category): code for code, category in enumerate(dtype.categories)}
        places = np.array([known[value.as_py()] for value in values], np.int64)
    else:
        places = dtype.categories.get_indexer(pd.Index(_from_arrow(inner, pa.chunked_array([values]))))
    return pd.Categorical.from_codes(np.append(places, -1)[codes], dtype=dtype)


def _objects_to_arrow(column: Column, values: np.ndarray) -> pa.Array:
    missing = np.asarray(pd.isna(values))
    if _object_type(column) is None:
        return pa.array(
            [None if absent else _written(value) for value, absent in zip(values, missing, strict=True)], pa.string()
        )
    return pa.array(values, _object_type(column), mask=missing)


def _objects_from_arrow(column: Column, array: pa.ChunkedArray) -> np.ndarray:
    codes, values = _dictionary(array)
    read = json.loads if _object_type(column) is None else lambda value: value
    levels = np.empty(len(values), object)
    levels[:] = [read(value) for value in values.to_pylist()]
    return column.type.take(levels, codes)


def _object_type(column: Column) -> pa.DataType | None:
    """The Arrow type of an object column; `None` if its levels are of several types, which are written as JSON."""
    assert isinstance(column, LevelColumn)
    kinds = {type(level) for level in column.levels}
    small = all(abs(level) < 2**63 for level in column.levels if isinstance(level, int))
    return _PLAIN[kinds.pop()] if len(kinds) == 1 and small else None if kinds else pa.string()


def _dictionary(array: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    encoded = encoded.unify_dictionaries().combine_chunks()
    encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    return encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False), encoded.dictionary


def _written(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False)
