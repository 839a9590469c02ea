"""The columns of a DataFrame, kept so exactly that a table on disk comes back as it was."""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

from synthaug.errors import DataError, StorageError, raise_problems

__all__ = [
    "Schema",
    "dtype_from_plain",
    "dtype_name",
    "dtype_to_plain",
    "is_storable",
    "is_whole",
    "named_dtype",
    "plain",
]

_MISSING = {str(value).encode(): value for value in (np.nan, pd.NA, pd.NaT)}  # any other is None
_JSON = {b"written as": b"JSON"}
_ZONED = re.compile(r"datetime64\[(s|ms|us|ns), (?:pytz\.FixedOffset\((-?\d{1,4})\)|zoneinfo ([\w/+\-]{1,64}))\]")
_PLAIN = (str, int, float, bool, type(None))
"""What a column may be called: what JSON can write."""


def plain(value: Any) -> Any:
    """A numpy scalar as the Python value it holds; anything else as it is.

    >>> plain(np.int64(3)), plain("a")
    (3, 'a')
    """
    return value.item() if isinstance(value, np.generic) else value


def is_whole(text: str) -> bool:
    r"""Whether no character is half of a surrogate pair, which can be neither hashed nor stored.

    >>> is_whole("😀"), is_whole("\ud83d")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_storable(value: Any) -> bool:
    r"""Whether a name or level can be stored: a plain value, no number that is not finite, no broken text.

    >>> is_storable(0.5), is_storable(float("nan")), is_storable("\ud83d"), is_storable(("a", "b"))
    (True, False, False, False)
    """
    if isinstance(value, float):
        return math.isfinite(value)
    return is_whole(value) if isinstance(value, str) else isinstance(value, _PLAIN)


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
            tuple(map(plain, frame.columns)), tuple(frame.dtypes), str(frame.columns.dtype), plain(frame.columns.name)
        )
        raise_problems(schema._problems())
        return schema

    def _problems(self) -> list[str]:
        problems, seen = [], set()
        if not is_storable(self.names_name):
            problems.append(f"The index of columns is called {self.names_name!r}: rename it to a string.")
        for name, dtype in zip(self.names, self.dtypes, strict=True):
            if not isinstance(name, _PLAIN):
                problems.append(f"Column name {name!r} is a {type(name).__name__}: rename it to a string.")
            elif not is_storable(name):
                problems.append(f"Column name {name!r} cannot be stored: rename it to a string.")
            elif name in seen:
                problems.append(f"Two columns are called {name!r}: rename one.")
            elif not _storable(dtype):
                problems.append(f"Column {name!r} has dtype {dtype}, which Parquet cannot hold: {_remedy(dtype)}.")
            seen.add(name)
        return problems

    @property
    def columns(self) -> tuple[str, ...]:
        """What the columns are called on disk: their names as strings, told apart by underscores where need be.

        >>> Schema.of(pd.DataFrame({1: [0], "1": [0]})).columns
        ('1', '1_')
        """
        texts: list[str] = []
        for name in self.names:
            text = str(name)
            while text in texts:
                text += "_"
            texts.append(text)
        return tuple(texts)

    def differences(self, other: Any) -> list[str]:
        """What `other`, a schema of a table or of images, has otherwise, one sentence a column.

        >>> a, b = pd.DataFrame({"x": [1]}), pd.DataFrame({"x": [1.0]})
        >>> Schema.of(a).differences(Schema.of(b))
        ["Column 'x' has dtype float64 where int64 is expected."]
        """
        if not isinstance(other, Schema):
            return [f"There are images where a table with the columns {list(self.names)} is expected."]
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
        text = frame.set_axis(list(self.columns), axis=1)
        text.attrs = {}  # pyarrow would write them down
        raise_problems(filter(None, (_object_problem(text[name]) for name in text if _is_object(text[name].dtype))))
        notes: dict[str, dict[bytes, bytes]] = {}
        for name, dtype in zip(self.columns, self.dtypes, strict=True):
            if isinstance(dtype, pd.SparseDtype):
                text[name] = text[name].astype(dtype.subtype)
            elif isinstance(dtype, pd.CategoricalDtype) and len(_kinds(dtype.categories)) > 1:
                text[name], notes[name] = (
                    text[name].cat.rename_categories(lambda level: json.dumps(plain(level))),
                    _JSON,
                )
            elif _is_object(dtype):
                text[name], notes[name] = _objects(text[name], like is not None and _has(like.field(name), _JSON))
        table = pa.Table.from_pandas(text, preserve_index=False)
        fields = [field.with_metadata(notes[field.name]) if field.name in notes else field for field in table.schema]
        table = pa.Table.from_arrays(table.columns, schema=pa.schema(fields, table.schema.metadata))
        return table if like is None else _same_types(table, self.dtypes, like)

    def to_frame(self, table: pa.Table) -> pd.DataFrame:
        """The inverse of `to_table`; `table` may hold more columns. A `StorageError` if it does not fit."""
        columns = {}
        for position, (name, dtype) in enumerate(zip(self.columns, self.dtypes, strict=True)):
            try:
                columns[position] = _restore(table.column(name), table.field(name), dtype)
            except (pa.ArrowException, LookupError, OverflowError, TypeError, ValueError) as error:
                raise StorageError(f"Column {name!r} cannot be read as {dtype}: {error}") from error
        frame = pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows))
        return frame.set_axis(self._index(), axis=1)

    def empty(self) -> pd.DataFrame:
        """A table of this schema without rows."""
        frame = pd.DataFrame({i: pd.Series([], dtype=dtype) for i, dtype in enumerate(self.dtypes)})
        return frame.set_axis(self._index(), axis=1)

    def _index(self) -> pd.Index:
        return pd.Index(list(self.names), dtype=dtype_from_plain(self.names_dtype), name=self.names_name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {
            "names": list(self.names),
            "dtypes": list(map(dtype_to_plain, self.dtypes)),
            "names_dtype": self.names_dtype,
            "names_name": self.names_name,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Schema:
        """The inverse of `to_dict`; a `StorageError` for anything that `to_dict` cannot have written."""
        try:
            dtypes = tuple(map(dtype_from_plain, state["dtypes"]))
            schema = cls(tuple(state["names"]), dtypes, state["names_dtype"], state["names_name"])
            schema._index()
            raise_problems(schema._problems())
            return schema
        except (DataError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise StorageError(f"The description of the columns is damaged: {error!r}") from error


def _storable(dtype: Any) -> bool:
    """Whether Parquet can hold the values, and the manifest the dtype."""
    if isinstance(dtype, np.dtype):
        return dtype.kind in "biufmMO"
    if isinstance(dtype, pd.CategoricalDtype) and (dtype.categories is None or not _plain_levels(dtype.categories)):
        return False
    try:
        return bool(dtype_from_plain(dtype_to_plain(dtype)) == dtype)
    except (TypeError, ValueError):
        return False


def _plain_levels(levels: pd.Index) -> bool:
    if _is_object(levels.dtype) or isinstance(levels.dtype, pd.StringDtype) or levels.dtype.kind == "f":
        return all(is_storable(plain(level)) for level in levels)
    return isinstance(levels.dtype, pd.DatetimeTZDtype) or levels.dtype.kind in "biuM"


def _is_object(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def _remedy(dtype: Any) -> str:
    if isinstance(dtype, pd.CategoricalDtype):
        return "name its levels by strings, `column.cat.rename_categories(str)`"
    if isinstance(dtype, np.dtype) and dtype.kind == "c":
        return "split it into a real and an imaginary column"
    return "turn it into numbers or strings, for example `column.astype(str)`"


def _tell(dtype: Any) -> str:
    return f"{dtype} {list(dtype.categories)}" if isinstance(dtype, pd.CategoricalDtype) else str(dtype)


def _kinds(values: Any) -> set[type]:
    """The types of the values of an object column or index; none of any other."""
    return {type(plain(value)) for value in values} if _is_object(values.dtype) else set()


def _object_problem(column: pd.Series) -> str | None:
    """What keeps an object column from being stored."""
    present = column[column.notna()]
    kinds = _kinds(present)
    if kinds <= set(_PLAIN):
        broken = next((value for value in present if isinstance(value, str) and not is_whole(value)), None)
        what = f"Column {column.name!r} holds {broken!r} with half a surrogate pair: correct how the text was read."
        return None if broken is None else what
    try:
        array = pa.Array.from_pandas(present)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        pass
    else:
        if len(kinds) == 1 and not pa.types.is_nested(array.type):
            return None
    return (
        f"Column {column.name!r} holds {', '.join(sorted(kind.__name__ for kind in kinds))}, which Parquet cannot hold "
        "in one column: use one plain type, for example `column.astype(str)`."
    )


def _objects(column: pd.Series, as_json: bool) -> tuple[pd.Series, dict[bytes, bytes]]:
    """An object column, which has no `_object_problem`, as one that Arrow can hold, and notes for the way back.

    Arrow knows but one way to be missing: the first one found is noted. Plain values of several types, and integers
    too long for Arrow, are written as JSON.
    """
    missing = column.isna()
    first = column[missing].iloc[0] if missing.any() else None
    notes = {b"missing": str(first).encode()}
    present = column[~missing]
    kinds = _kinds(present)
    if as_json or len(kinds) > 1 or (kinds == {int} and not -(2**63) <= min(present) <= max(present) < 2**63):
        written = [None if absent else json.dumps(plain(v)) for v, absent in zip(column, missing, strict=True)]
        return pd.Series(written, column.index, dtype="string"), notes | _JSON
    return (column if kinds else column.astype("string")), notes  # Arrow could not tell the type of nothing


def _has(field: pa.Field, note: dict[bytes, bytes]) -> bool:
    return note.items() <= (field.metadata or {}).items()


def _same_types(table: pa.Table, dtypes: tuple[Any, ...], like: pa.Schema) -> pa.Table:
    """`table`, its object columns of the types in `like`: those that hold but nulls are made so, others must be."""
    problems = []
    for position, dtype in enumerate(dtypes):
        field, column = table.field(position), table.column(position)
        expected = like.field(field.name).type
        if not _is_object(dtype) or column.type == expected:
            continue
        if column.null_count < len(column):
            problems.append(f"Column {field.name!r} holds {column.type} where {expected} is expected.")
        nulls = pa.chunked_array([pa.nulls(len(column), expected)])
        table = table.set_column(position, field.with_type(expected), nulls)
    raise_problems(problems)
    return table


def _restore(column: pa.ChunkedArray, field: pa.Field, dtype: Any) -> Any:
    """An Arrow column as a pandas one of `dtype`."""
    if isinstance(dtype, pd.CategoricalDtype):
        dense = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        levels = pd.Index([json.dumps(plain(v)) for v in dtype.categories]) if _has(field, _JSON) else dtype.categories
        codes = levels.get_indexer(pd.Index(dense.to_pandas(integer_object_nulls=True)))
        if (codes < 0).sum() != column.null_count:
            raise ValueError("it holds values that are not among its levels")
        return pd.Categorical.from_codes(codes, dtype=dtype)
    if isinstance(dtype, pd.SparseDtype):
        return column.to_pandas().astype(dtype)
    if _is_object(dtype):
        read = json.loads if _has(field, _JSON) else lambda value: value
        missing = _MISSING.get((field.metadata or {}).get(b"missing", b""))
        return pd.Series([missing if value is None else read(value) for value in column.to_pylist()], dtype=object)
    if hasattr(dtype, "__from_arrow__"):
        return dtype.__from_arrow__(column)
    values = column.to_pandas().to_numpy()
    if values.dtype.kind != dtype.kind:
        raise ValueError(f"it holds {values.dtype}")
    return values.astype(dtype)


def dtype_to_plain(dtype: Any) -> Any:
    """A pandas dtype as plain values, fit for JSON; categories with all their levels.

    >>> dtype_to_plain(pd.CategoricalDtype([2, 1]))
    {'levels': [2, 1], 'dtype': 'int64', 'ordered': False}
    """
    if isinstance(dtype, pd.CategoricalDtype):
        levels = dtype.categories
        values = [value.isoformat() if hasattr(value, "isoformat") else plain(value) for value in levels]
        return {"levels": values, "dtype": dtype_to_plain(levels.dtype), "ordered": bool(dtype.ordered)}
    if isinstance(dtype, pd.SparseDtype):
        fill = None if pd.isna(dtype.fill_value) else plain(dtype.fill_value)
        return {"sparse": dtype_to_plain(dtype.subtype), "fill": fill}
    if isinstance(dtype, pd.ArrowDtype):
        return {"arrow": str(dtype.pyarrow_dtype)}
    if isinstance(dtype, pd.StringDtype) and dtype.na_value is pd.NA:
        return f"string[{dtype.storage}]"
    return dtype_name(dtype)


def dtype_from_plain(state: Any) -> Any:
    """The inverse of `dtype_to_plain`; a `TypeError` or `ValueError` for what is none.

    >>> dtype_from_plain("Int8")
    Int8Dtype()
    """
    match state:
        case {"levels": list(levels), "dtype": dtype, "ordered": bool(ordered)}:
            return pd.CategoricalDtype(pd.Index(levels, dtype=dtype_from_plain(dtype)), ordered=ordered)
        case {"sparse": dtype, "fill": fill}:
            return pd.SparseDtype(dtype_from_plain(dtype), fill)
        case {"arrow": "string"}:  # which pandas would take for its own
            return pd.ArrowDtype(pa.string())
        case {"arrow": str(name)}:
            return pd.api.types.pandas_dtype(f"{name}[pyarrow]")
        case str(name) if "dateutil" not in name:  # whose zones are files, opened by their path
            return named_dtype(name)
    raise TypeError(f"{state!r} is no dtype")


def dtype_name(dtype: Any) -> str:
    """The name by which `named_dtype` finds a dtype: pandas' own, unless that is the name of another.

    >>> dtype_name(pd.DatetimeTZDtype("ns", "Europe/Berlin"))
    'datetime64[ns, Europe/Berlin]'
    """
    if (
        isinstance(dtype, pd.DatetimeTZDtype)
        and isinstance(dtype.tz, ZoneInfo)
        and pd.DatetimeTZDtype.construct_from_string(str(dtype)) != dtype
    ):
        return f"datetime64[{dtype.unit}, zoneinfo {dtype.tz.key}]"
    return str(dtype)


def named_dtype(name: str) -> Any:
    """The dtype of this name, as `dtype_name` gives it, also of the fixed offsets that pandas 2 reads from Parquet.

    >>> named_dtype("datetime64[ns, pytz.FixedOffset(330)]").tz.utcoffset(None)
    datetime.timedelta(seconds=19800)
    """
    zoned = _ZONED.fullmatch(name)
    if zoned is None:
        return pd.api.types.pandas_dtype(name)
    unit: Any
    unit, minutes, key = zoned.groups()
    return pd.DatetimeTZDtype(unit, ZoneInfo(key) if key else _offset(int(minutes)))


def _offset(minutes: int) -> tzinfo:
    try:
        offset: tzinfo = importlib.import_module("pytz").FixedOffset(minutes)
        return offset
    except ImportError:  # it came with pandas 2
        return timezone(timedelta(minutes=minutes))
