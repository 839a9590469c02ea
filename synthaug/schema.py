"""The columns of a DataFrame, kept so exactly that a table on disk comes back as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from synthaug.errors import DataError, StorageError, raise_problems

__all__ = ["Schema"]

_NAN = {b"missing": b"NaN"}
_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class Schema:
    """Names and dtypes of a table's columns, in order.

    Arrow and Parquet know only text as names and no levels but strings; pandas knows more. A schema holds the rest.

    Args:
        names: The names, of any plain type (string, int, float, bool, None).
        dtypes: The pandas dtypes, categories with all their levels.
        names_dtype: The dtype of the index of names.
        names_name: The name of the index of names.

    >>> frame = pd.DataFrame({1: [0.5], 2: pd.Categorical([3], [4, 3])})
    >>> schema = Schema.of(frame)
    >>> bool(schema.to_frame(schema.to_table(frame)).equals(frame)), Schema.from_dict(schema.to_dict()) == schema
    (True, True)
    """

    names: tuple[Any, ...]
    dtypes: tuple[Any, ...]
    names_dtype: str
    names_name: Any = None

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Schema:
        """The schema of `frame`; a `DataError` lists every column that cannot be stored."""
        schema = cls(
            tuple(map(_plain, frame.columns)), tuple(frame.dtypes), str(frame.columns.dtype), frame.columns.name
        )
        raise_problems(schema._problems())
        return schema

    def _problems(self) -> list[str]:
        problems, seen = [], set()
        for name, dtype in zip(self.names, self.dtypes, strict=True):
            if not isinstance(name, _PLAIN):
                problems.append(f"Column name {name!r} is a {type(name).__name__}: rename it to a string.")
            elif str(name) in seen:
                problems.append(f"Two columns are called {str(name)!r}: rename one.")
            elif not _storable(dtype):
                problems.append(f"Column {name!r} has dtype {dtype}, which Parquet cannot hold: {_remedy(dtype)}.")
            seen.add(str(name))
        return problems

    def differences(self, other: Schema) -> list[str]:
        """What `other` has otherwise, one sentence a column.

        >>> a, b = pd.DataFrame({"x": [1]}), pd.DataFrame({"x": ["1"]})
        >>> Schema.of(a).differences(Schema.of(b))
        ["Column 'x' has dtype str where int64 is expected."]
        """
        mine, theirs = (
            dict(zip(self.names, self.dtypes, strict=True)),
            dict(zip(other.names, other.dtypes, strict=True)),
        )
        problems = [f"Column {name!r} is missing." for name in mine if name not in theirs]
        problems += [f"Column {name!r} is not expected." for name in theirs if name not in mine]
        if not problems and self.names != other.names:
            problems = [f"The columns are in the order {list(other.names)} where {list(self.names)} is expected."]
        shared = [name for name in mine if name in theirs and mine[name] != theirs[name]]
        return problems + [
            f"Column {name!r} has dtype {_tell(theirs[name])} where {_tell(mine[name])} is expected." for name in shared
        ]

    def to_table(self, frame: pd.DataFrame, like: pa.Schema | None = None) -> pa.Table:
        """`frame`, which has this schema, as an Arrow table with strings for names.

        Args:
            frame: A table with this schema.
            like: If given, what Arrow must make of object columns, whose dtype does not say what they hold.

        Raises:
            DataError: object columns that mix types, or hold others than `like`, each named.
        """
        text = frame.set_axis(list(map(str, self.names)), axis=1)
        text.attrs = {}  # pyarrow would write them down
        for name, dtype in zip(text.columns, self.dtypes, strict=True):
            if isinstance(dtype, pd.SparseDtype):
                text[name] = text[name].astype(dtype.subtype)
            elif _is_object(dtype) and text[name].isna().all():  # Arrow cannot tell of what type
                text[name] = text[name].astype("string")
        try:
            table = pa.Table.from_pandas(text, preserve_index=False)
        except (pa.ArrowException, TypeError, ValueError):
            raise_problems(filter(None, (_conversion_problem(text[name]) for name in text)))
            raise
        table = _note_nan(table, frame)
        return table if like is None else _same_types(table, like)

    def to_frame(self, table: pa.Table) -> pd.DataFrame:
        """The inverse of `to_table`; `table` may hold more columns. A `StorageError` if it does not fit."""
        columns = {}
        for position, (name, dtype) in enumerate(zip(self.names, self.dtypes, strict=True)):
            try:
                columns[position] = _restore(table.column(str(name)), table.field(str(name)), dtype)
            except (pa.ArrowException, LookupError, OverflowError, TypeError, ValueError) as error:
                raise StorageError(f"Column {name!r} cannot be read as {dtype}: {error}") from error
        frame = pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows))
        return frame.set_axis(self._index(), axis=1)

    def empty(self) -> pd.DataFrame:
        """A table of this schema without rows."""
        frame = pd.DataFrame({i: pd.Series([], dtype=dtype) for i, dtype in enumerate(self.dtypes)})
        return frame.set_axis(self._index(), axis=1)

    def _index(self) -> pd.Index:
        return pd.Index(list(self.names), dtype=_dtype_from_plain(self.names_dtype), name=self.names_name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {
            "names": list(self.names),
            "dtypes": list(map(_dtype_to_plain, self.dtypes)),
            "names_dtype": self.names_dtype,
            "names_name": self.names_name,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Schema:
        """The inverse of `to_dict`; a `StorageError` for anything that `to_dict` cannot have written."""
        try:
            dtypes = tuple(map(_dtype_from_plain, state["dtypes"]))
            schema = cls(tuple(state["names"]), dtypes, state["names_dtype"], state["names_name"])
            schema._index()
            raise_problems(schema._problems())
            return schema
        except (DataError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise StorageError(f"The description of the columns is damaged: {error!r}") from error


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _storable(dtype: Any) -> bool:
    if isinstance(dtype, pd.CategoricalDtype):
        return dtype.categories is not None and _level_kind(dtype.categories.dtype) in "ObiufMS"
    if isinstance(dtype, pd.SparseDtype):
        return _storable(dtype.subtype)
    if isinstance(dtype, pd.ArrowDtype):
        return not pa.types.is_dictionary(dtype.pyarrow_dtype)
    return isinstance(dtype, pd.api.extensions.ExtensionDtype) or dtype.kind in "biufmMO"


def _is_object(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def _level_kind(dtype: Any) -> str:
    if isinstance(dtype, pd.StringDtype):
        return "S"
    if isinstance(dtype, pd.DatetimeTZDtype):
        return "M"
    return dtype.kind if isinstance(dtype, np.dtype) else "?"


def _remedy(dtype: Any) -> str:
    if isinstance(dtype, pd.CategoricalDtype):
        return "name its levels by strings, `column.cat.rename_categories(str)`"
    if isinstance(dtype, np.dtype) and dtype.kind == "c":
        return "split it into a real and an imaginary column"
    return "turn it into numbers or strings, for example `column.astype(str)`"


def _tell(dtype: Any) -> str:
    return f"{dtype} {list(dtype.categories)}" if isinstance(dtype, pd.CategoricalDtype) else str(dtype)


def _conversion_problem(column: pd.Series) -> str | None:
    try:
        pa.Array.from_pandas(column)
    except (pa.ArrowException, TypeError, ValueError):
        kinds = sorted({type(value).__name__ for value in column[column.notna()]})
        return (
            f"Column {column.name!r} holds {', '.join(kinds)}, which Parquet cannot hold in one column: "
            "use one type, for example `column.astype(str)`."
        )
    return None


def _note_nan(table: pa.Table, frame: pd.DataFrame) -> pa.Table:
    """Note by each object column that marks what is missing by NaN (at first), where Arrow has but null."""
    fields = list(table.schema)
    for position, dtype in enumerate(frame.dtypes):
        if _is_object(dtype) and table.column(position).null_count:
            column = frame.iloc[:, position]
            if isinstance(column[column.isna()].iloc[0], float):
                fields[position] = fields[position].with_metadata(_NAN)
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields, table.schema.metadata))


def _same_types(table: pa.Table, like: pa.Schema) -> pa.Table:
    """`table` with the types of `like`, if only columns of nothing but nulls need a change."""
    problems = []
    for position, column in enumerate(table.columns):
        name, expected = table.field(position).name, like.field(table.field(position).name).type
        if column.type != expected and column.null_count == len(column):
            table = table.set_column(
                position, table.field(position).with_type(expected), pa.chunked_array([pa.nulls(len(column), expected)])
            )
        elif column.type != expected:
            problems.append(f"Column {name!r} holds {column.type} where {expected} is expected.")
    raise_problems(problems)
    return table


def _restore(column: pa.ChunkedArray, field: pa.Field, dtype: Any) -> Any:
    """An Arrow column as a pandas one of `dtype`."""
    if isinstance(dtype, pd.CategoricalDtype):
        plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        values = pd.Categorical(plain.to_pandas(integer_object_nulls=True).to_numpy(), dtype=dtype)
        if (values.codes < 0).sum() != column.null_count:
            raise ValueError("it holds values that are not among its levels")
        return values
    if isinstance(dtype, pd.SparseDtype):
        return column.to_pandas().astype(dtype)
    if _is_object(dtype):
        found = pd.Series(column.to_pylist(), dtype=object)
        return found.where(found.notna(), np.nan) if _NAN.items() <= (field.metadata or {}).items() else found
    if hasattr(dtype, "__from_arrow__"):
        return dtype.__from_arrow__(column)
    return column.to_pandas().to_numpy().astype(dtype)


def _dtype_to_plain(dtype: Any) -> Any:
    if isinstance(dtype, pd.CategoricalDtype):
        levels = dtype.categories
        values = [value.isoformat() if hasattr(value, "isoformat") else _plain(value) for value in levels]
        return {"levels": values, "dtype": _dtype_to_plain(levels.dtype), "ordered": bool(dtype.ordered)}
    if isinstance(dtype, pd.StringDtype) and dtype.na_value is pd.NA:
        return f"string[{dtype.storage}]"
    return str(dtype)


def _dtype_from_plain(state: Any) -> Any:
    if isinstance(state, dict):
        levels = pd.Index(state["levels"], dtype=_dtype_from_plain(state["dtype"]))
        return pd.CategoricalDtype(levels, ordered=bool(state["ordered"]))
    if not isinstance(state, str):
        raise TypeError(f"expected the name of a dtype, got {state!r}")
    return pd.api.types.pandas_dtype(state)
