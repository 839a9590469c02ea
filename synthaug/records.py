"""Records of either kind, tables and arrays of images, handled alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from synthaug.arrays import ArraySchema, check_images, is_array
from synthaug.errors import DataTypeError
from synthaug.schema import Schema

__all__ = ["as_records", "describe", "join", "same", "schema_from_dict", "schema_of", "take", "tell_columns"]


def as_records(value: Any) -> Any:
    """A DataFrame as it is, images as an array; a `DataTypeError` for anything else.

    >>> as_records([1, 2])
    Traceback (most recent call last):
    ...
    synthaug.errors.DataTypeError: Expected records in a pandas DataFrame or images in an array, got list.
    """
    if isinstance(value, pd.DataFrame):
        return value
    if is_array(value):
        return check_images(value)
    raise DataTypeError(f"Expected records in a pandas DataFrame or images in an array, got {type(value).__name__}.")


def schema_of(records: Any) -> Schema | ArraySchema:
    """The schema of records: a `Schema` for a table, an `ArraySchema` for images.

    >>> schema_of(pd.DataFrame({"age": [30]})).columns, schema_of(np.zeros((1, 8, 8))).columns
    (('age',), ('image',))
    """
    return Schema.of(records) if isinstance(records, pd.DataFrame) else ArraySchema.of(records)


def schema_from_dict(state: Mapping[str, Any]) -> Schema | ArraySchema:
    """The schema that `to_dict` of either kind has written.

    >>> schema_from_dict({"shape": [8, 8], "dtype": "uint8"})
    ArraySchema(shape=(8, 8), dtype='uint8')
    """
    return ArraySchema.from_dict(state) if "shape" in state else Schema.from_dict(state)


def take(records: Any, rows: np.ndarray) -> Any:
    """The records at the positions `rows`, a table under a fresh index.

    >>> take(pd.DataFrame({"age": [30, 40]}), np.array([1]))["age"].tolist()
    [40]
    """
    return records.iloc[rows].reset_index(drop=True) if isinstance(records, pd.DataFrame) else records[rows]


def join(parts: Sequence[Any]) -> Any:
    """Records of one schema after each other, a table under a fresh index; of one part, that part.

    >>> join([np.zeros((1, 8, 8)), np.zeros((2, 8, 8))]).shape
    (3, 8, 8)
    """
    if len(parts) == 1:
        return parts[0]
    return pd.concat(parts, ignore_index=True) if isinstance(parts[0], pd.DataFrame) else np.concatenate(parts)


def same(ours: Any, theirs: Any) -> bool:
    """Whether both are of one kind and equal, dtypes included.

    >>> same(np.zeros((1, 8, 8)), np.zeros((1, 8, 8), "float32"))
    False
    """
    if isinstance(ours, pd.DataFrame) or isinstance(theirs, pd.DataFrame):
        return isinstance(ours, pd.DataFrame) and bool(ours.equals(theirs))
    return bool(ours.dtype == theirs.dtype and np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f"))


def describe(records: Any, *, rows: str = "records") -> str:
    """What the records are, for people; `rows` is what to call those of a table.

    >>> describe(pd.DataFrame({"age": [30]})), describe(np.zeros((1, 8, 8), "uint8"))
    ('records, 1 columns', 'images of 8 x 8, uint8')
    """
    if isinstance(records, pd.DataFrame):
        return f"{rows}, {records.shape[1]} columns"
    return f"images of {' x '.join(map(str, records.shape[1:]))}, {records.dtype}"


def tell_columns(records: Any) -> str:
    """The columns of records on disk with their dtypes, for people.

    >>> tell_columns(pd.DataFrame({"age": [30]})), tell_columns(np.zeros((1, 8, 8), "uint8"))
    ('age (int64)', 'image (uint8)')
    """
    if isinstance(records, pd.DataFrame):
        return ", ".join(f"{name} ({dtype})" for name, dtype in records.dtypes.items())
    return f"image ({records.dtype})"
