"""Numbers in which distances between the rows of a table mean something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from synthaug.arrays import as_array, is_array, likely_layout, to_grid
from synthaug.errors import DataError, raise_problems

__all__ = ["NEEDED", "Features", "image_features", "table_features", "usual_features"]

Features = Callable[[Any], np.ndarray]
"""Records -> `(n, d)` numbers in which distances mean something."""

NEEDED = "give `features`, which turn such records into numbers."
"""What to do about records that are neither tables, nor arrays of two axes, nor images."""

_FIELDS = 8  # along each side of an image
_LEVELS = 64
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def usual_features(records: Any) -> Features | None:
    """`image_features` for images, None for anything else, such as a table.

    >>> usual_features(np.zeros((3, 28, 28), "uint8")) is image_features, usual_features(np.zeros((3, 28)))
    (True, None)
    """
    if not is_array(records) or len(records.shape) not in (3, 4):
        return None
    try:
        likely_layout(tuple(records.shape[1:]))
    except DataError:
        return None
    return image_features


def image_features(images: Any) -> np.ndarray:
    """Means over 8 x 8 fields of each channel, `(n, 64 C)` float64: numbers in which images can be compared.

    Bytes are brought to 0 to 1, so that images have about the same features as bytes and as floats.

    Args:
        images: `(n, H, W)`, `(n, H, W, C)` or `(n, C, H, W)`, of at least 8 x 8 pixels.

    >>> image_features(np.arange(64.0).reshape(1, 8, 8)).tolist() == [list(range(64))]
    True
    """
    array = as_array(images)
    means = to_grid(array, likely_layout(array.shape[1:])).astype(np.float64)
    if array.dtype == np.uint8:
        means /= 255
    for axis in (2, 3):
        fields, n = np.arange(_FIELDS), means.shape[axis]
        starts, ends = fields * n // _FIELDS, -(-(fields + 1) * n // _FIELDS)
        summed = np.insert(means.cumsum(axis), 0, 0, axis)
        total = summed.take(ends, axis) - summed.take(starts, axis)
        means = total / (ends - starts).reshape(-1, 1) if axis == 2 else total / (ends - starts)
    return means.reshape(len(means), -1)


def table_features(reference: pd.DataFrame) -> Features:
    """A function that turns tables like `reference` into `(n, d)` float64 numbers in which distances mean something.

    Numbers and times are standardised by the reference; two different levels of a category are 1 apart; to be missing
    is a level of its own. Only the 64 commonest levels are told apart.

    Raises:
        DataError: (also of the function) columns of complex numbers, or whose values cannot be read as text, such as
            bytes; all are named.

    >>> table = pd.DataFrame({"a": [1.0, 3.0, None], "b": ["x", "y", "x"]})
    >>> table_features(table)(table).round(2).tolist()
    [[-1.0, 0.0, 0.71, 0.0], [1.0, 0.0, 0.0, 0.71], [0.0, 1.0, 0.71, 0.0]]
    """
    parts = _of_each(reference, [_column_features] * reference.shape[1])

    def features(records: pd.DataFrame) -> np.ndarray:
        blocks = _of_each(records, parts)
        return np.hstack(blocks) if blocks else np.zeros((len(records), 0))

    return features


def _of_each(table: pd.DataFrame, functions: Sequence[Callable[[pd.Series], Any]]) -> list[Any]:
    """What each function makes of its column; one error for all columns that cannot be read."""
    found, problems = [], []
    for i, function in enumerate(functions):
        column = table.iloc[:, i]
        try:
            if column.dtype.kind == "c":
                raise TypeError("it holds complex numbers")
            found.append(function(column))
        except (AttributeError, TypeError, ValueError) as error:  # such as bytes, broken texts, dates of Arrow
            problems.append(
                f"Column {table.columns[i]!r}, of dtype {column.dtype}, cannot be read ({error}): convert it, for "
                "example with `.map(repr)`, or drop it."
            )
    raise_problems(problems)
    return found


def _column_features(reference: pd.Series) -> Callable[[pd.Series], np.ndarray]:
    numbers = _numbers(reference)
    if numbers is None:
        return _level_features(reference)
    finite = numbers[np.isfinite(numbers)]
    size = np.abs(finite).max(initial=0.0) or 1.0  # so that no square overflows
    mean, spread = ((finite / size).mean(), (finite / size).std() or 1.0) if len(finite) else (0.0, 1.0)

    def features(column: pd.Series) -> np.ndarray:
        values = _numbers(column)
        assert values is not None
        missing = np.isnan(values)
        standard = np.clip((np.where(missing, mean, values / size) - mean) / spread, -1e6, 1e6)
        return np.column_stack([standard, missing])

    return features


def _level_features(reference: pd.Series) -> Callable[[pd.Series], np.ndarray]:
    levels = _texts(reference).value_counts().index[:_LEVELS].sort_values()

    def features(column: pd.Series) -> np.ndarray:
        codes = levels.get_indexer(pd.Index(_texts(column)))
        return np.sqrt(0.5) * (codes[:, None] == np.arange(len(levels)))

    return features


def _texts(column: pd.Series) -> pd.Series:
    missing = column.isna().to_numpy(bool)
    texts = column.astype(object).astype(str)
    return texts.mask(missing, "\0missing")


def _numbers(column: pd.Series) -> np.ndarray | None:
    """`(n,)` float64, or None for a column that is neither of numbers nor of times."""
    types = pd.api.types
    if types.is_bool_dtype(column.dtype) or isinstance(column.dtype, pd.CategoricalDtype):
        return None
    if types.is_datetime64_any_dtype(column.dtype) or types.is_timedelta64_dtype(column.dtype):
        return _seconds(column)
    return column.to_numpy(np.float64, na_value=np.nan) if types.is_numeric_dtype(column.dtype) else None


def _seconds(column: pd.Series) -> np.ndarray:
    """Times and durations as seconds, NaN where they are missing."""
    if isinstance(column.dtype, pd.ArrowDtype):
        unit = column.dtype.pyarrow_dtype.unit
        ticks = pa.chunked_array(pa.array(column)).cast(pa.int64()).fill_null(0).to_numpy()
    else:
        unit, ticks = column.array.unit, column.array.asi8
    return np.where(column.isna(), np.nan, ticks / _PER_SECOND[unit])
