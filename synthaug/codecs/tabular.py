"""Tables: a pandas DataFrame of any mix of columns to numbers, and any numbers back to a legal DataFrame."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from sklearn.base import BaseEstimator

from synthaug.codecs.base import Codec
from synthaug.codecs.columns import Column
from synthaug.codecs.dtypes import ColumnType
from synthaug.codecs.frames import check_frame, check_names, dense_values, names_from_dict, names_to_dict
from synthaug.codecs.levels import LevelColumn
from synthaug.codecs.numbers import NumberColumn
from synthaug.codecs.numerals import numerals, tell_numerals
from synthaug.errors import (
    DataError,
    DataTypeError,
    NotFittedError,
    ParameterError,
    StorageError,
    SynthaugWarning,
    listed,
    raise_problems,
)
from synthaug.schema import Schema, plain
from synthaug.spec import Field, Spec

__all__ = ["TableCodec"]

_LARGEST = float(np.finfo(np.float32).max)
_PLACEHOLDER = Field("(nothing varies)", "uniform")


class TableCodec(BaseEstimator, Codec):
    """Encodes a DataFrame as a flat record of numbers, and decodes any numbers as a DataFrame of the same form.

    `decode(encode(records))` equals `records` exactly (fresh index), but for floats that lie on no decimal grid, which
    come back within a millionth of their column's range. Whatever is decoded lies in the observed range, on the
    observed grid (step of integers and dates, decimals of floats) and at an observed level; missing values are modelled
    as such, and come back as the first kind seen in their column (`None`, `nan`, ...). The noise in `"uniform"` fields
    decides what a float32 cannot: the fine digits of long integers and dates, and which rare level it is.

    Args:
        column_types: For chosen columns, `"number"` or `"category"` instead of what their dtype says.
        identifiers: `"drop"` leaves a text column of 20 or more values, of which at most 5% repeat others, out of the
            model, with a warning: synthetic records miss it. `"keep"` models it as a column of rare levels.
        max_levels: The most levels of a column that are modelled one by one; above it, the rare ones are pooled.

    Attributes:
        spec: The shape and fields of encoded records.
        columns_: The fitted columns, in order.
        identifiers_: The names of the columns left out as identifiers.

    >>> records = pd.DataFrame({"age": [30, 40, None, 50], "job": ["nurse", "cook", "nurse", None]})
    >>> codec = TableCodec().fit(records)
    >>> codec.decode(codec.encode(records)).equals(records)
    True
    >>> codec.decode(torch.full((1, codec.spec.width), 1e30))
        age    job
    0  50.0  nurse
    """

    columns_: list[Column]

    def __init__(
        self,
        *,
        column_types: Mapping[Any, str] | None = None,
        identifiers: str = "drop",
        max_levels: int = 100,
    ):
        self.column_types = column_types
        self.identifiers = identifiers
        self.max_levels = max_levels

    def fit(self, records: pd.DataFrame) -> Self:
        """Learn the columns from training records `(n, any)`, `n` of at least 1.

        Raises:
            DataTypeError: not a DataFrame, or a column of a type that is not supported.
            DataError: no rows or columns; repeated column names; infinite values.
            ParameterError: an argument of the constructor is not allowed.

        Warns:
            SynthaugWarning: columns that are left out as identifiers; numbers as text or objects, unless `column_types`
                names them or they look like codes: of one number of digits, or with a leading zero.
        """
        check_frame(records)
        self._check_parameters(records)
        if not records.size:
            raise DataError(
                f"Expected at least one record and one column, got {len(records)} records and {records.shape[1]} "
                "columns: pass the training records."
            )
        wanted = self.column_types or {}
        columns: list[Column] = []
        problems = []
        for name, series in records.items():
            try:
                columns.append(
                    _fit_column(
                        name,
                        series,
                        wanted=wanted.get(name),
                        max_levels=self.max_levels,
                        identifiers=self.identifiers,
                    )
                )
            except DataError as error:
                problems.append(error)
        _raise(problems)
        self._set(columns, records.columns)
        numbers = {name: n for name, series in records.items() if name not in wanted and (n := numerals(series))}
        told = [tell_numerals(numbers, len(records))] if numbers else []
        if len(self.identifiers_) == len(columns):
            nothing = f"{_identifier_message(self.identifiers_)} Nothing else is left to learn."
            raise DataError(" ".join([nothing, *told]))
        named = [name for name in self.identifiers_ if name not in numbers]
        if named:
            told.insert(0, _identifier_message(named))
        for text in told:
            warnings.warn(text, SynthaugWarning, stacklevel=2)
        return self

    def _set(self, columns: list[Column], names: pd.Index) -> None:
        self.columns_, self._names = columns, names
        self.identifiers_ = [column.name for column in columns if isinstance(column, LevelColumn) and column.dropped]
        fields = tuple(field for column in columns for field in column.fields) or (_PLACEHOLDER,)
        self.spec = Spec((sum(field.size for field in fields),), fields)
        ends = np.cumsum([0, *(column.width for column in columns)])
        self._slices = [slice(*pair) for pair in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]

    def validate(self, records: pd.DataFrame) -> None:
        """Raise one error that names every column that cannot be encoded, with value and remedy.

        A number outside the range seen in `fit` is no problem: it is encoded as the nearer end of the range.

        Raises:
            DataError: columns missing, unknown or repeated; dtypes other than in `fit`; unknown levels; infinite
                values; missing values where there were none in `fit`.
        """
        self.encode(records)

    def encode(self, records: pd.DataFrame) -> torch.Tensor:
        """Encode records: `(n, spec.width)` float32. Raises what `validate` raises."""
        self._check_fitted()
        check_frame(records)
        check_names(records, self._names)
        out = np.zeros((len(records), self.spec.width), np.float32)
        problems = []
        for column, where in zip(self.columns_, self._slices, strict=True):
            try:
                column.encode(dense_values(column, records[column.name]), out[:, where])
            except DataError as error:
                problems.append(error)
        _raise(problems)
        return torch.from_numpy(out)

    def decode(self, x: torch.Tensor) -> pd.DataFrame:
        """Decode any finite `(n, spec.width)` tensor; a `DataError` for another shape or anything not finite."""
        self._check_fitted()
        x = torch.as_tensor(x).detach().cpu()
        array = (x if x.dtype == torch.float64 else x.float()).numpy()
        if array.shape[1:] != self.spec.shape:
            raise DataError(f"Expected encoded records of shape (n, {self.spec.width}), got {array.shape}.")
        if not np.isfinite(array).all():
            row, entry = np.argwhere(~np.isfinite(array))[0]
            raise DataError(
                f"Encoded record {row} has {array[row, entry]} at entry {entry}: only finite numbers can be decoded. "
                "Has the generator diverged?"
            )
        array = np.clip(array, -_LARGEST, _LARGEST) if array.dtype == np.float64 else array
        arrays = [column.decode(array[:, where]) for column, where in zip(self.columns_, self._slices, strict=True)]
        return self._frame(arrays, len(array))

    def features(self, records: pd.DataFrame) -> np.ndarray:
        """Numbers for distances, `(n, d)` float32: standardised numbers, and levels that lie at distance 1.

        Entries that are noise by construction (see `Field`) are left out. Raises what `validate` raises.
        """
        x = self.encode(records).numpy()
        parts = [
            x[:, where] * (np.float32(np.sqrt(0.5)) if field.kind == "category" else np.float32(1))
            for field, where in zip(self.spec.fields, self.spec.slices(), strict=True)
            if field.kind != "uniform"
        ]
        return np.concatenate(parts, 1) if parts else np.zeros((len(x), 1), np.float32)

    def to_arrow(self, records: pd.DataFrame) -> pa.Table:
        """Records as a table with the names of the columns as strings. Raises what `validate` raises."""
        self.validate(records)
        return Schema.of(records).to_table(records)

    def from_arrow(self, table: pa.Table) -> pd.DataFrame:
        """The inverse of `to_arrow`; a `StorageError` if the table is none of this codec."""
        self._check_fitted()
        schema = Schema.of(self.decode(torch.zeros((0, self.spec.width))))
        if table.column_names != list(schema.columns):
            raise StorageError(f"Expected the columns {list(schema.columns)}, got {table.column_names}.")
        return schema.to_frame(table)

    def to_dict(self) -> dict[str, Any]:
        """The whole fitted state as plain values, fit for JSON: of the records, only levels and ranges."""
        self._check_fitted()
        types = None if self.column_types is None else [[plain(name), kind] for name, kind in self.column_types.items()]
        return {
            "column_types": types,
            "identifiers": self.identifiers,
            "max_levels": self.max_levels,
            "names": names_to_dict(self._names),
            "columns": [column.to_dict() for column in self.columns_],
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; a `StorageError` if the state is damaged."""
        try:
            types = None if state["column_types"] is None else dict(state["column_types"])
            codec = cls(column_types=types, identifiers=state["identifiers"], max_levels=state["max_levels"])
            names = names_from_dict(state["names"])
            columns: list[Column] = [
                (LevelColumn if column["kind"] == "levels" else NumberColumn).from_dict(name, column)
                for name, column in zip(names, state["columns"], strict=True)
            ]
        except StorageError:
            raise
        except Exception as cause:
            raise StorageError(f"The stored state of a TableCodec is damaged ({cause!r}).") from cause
        codec._set(columns, names)
        return codec

    def _frame(self, arrays: list[Any], n: int) -> pd.DataFrame:
        frame = pd.DataFrame(dict(enumerate(arrays)), index=pd.RangeIndex(n))
        frame.columns = self._names
        return frame

    def _check_fitted(self) -> None:
        if not hasattr(self, "columns_"):
            raise NotFittedError("This TableCodec is not fitted yet: call `fit` with training records first.")

    def _check_parameters(self, records: pd.DataFrame) -> None:
        problems = []
        column_types = {} if self.column_types is None else self.column_types
        if not isinstance(column_types, Mapping):
            problems.append(f"Expected `column_types` to map names of columns to types, got {column_types!r}.")
            column_types = {}
        for name, kind in column_types.items():
            if name not in records.columns:
                problems.append(f"`column_types` names {name!r}, which is none of the columns: correct or remove it.")
            if kind not in ("number", "category"):
                problems.append(f"Expected `column_types[{name!r}]` to be 'number' or 'category', got {kind!r}.")
        if self.identifiers not in ("drop", "keep"):
            problems.append(f"Expected `identifiers` to be 'drop' or 'keep', got {self.identifiers!r}.")
        if not isinstance(self.max_levels, int | np.integer) or self.max_levels < 2:
            problems.append(f"Expected `max_levels` to be an integer of at least 2, got {self.max_levels!r}.")
        raise_problems(problems, ParameterError)


def _fit_column(name: Any, series: pd.Series, *, wanted: str | None, max_levels: int, identifiers: str) -> Column:
    """Learn the kind of column that fits the dtype and the values; a `DataError` naming the column if none does."""
    column_type = ColumnType.of(series, name)
    values = column_type.dense(series)
    if wanted == "number" and not column_type.is_number:
        raise DataTypeError(
            f"Column {name!r} has dtype {series.dtype}, but `column_types` says it is a number: convert it, for "
            f"example `pandas.to_numeric(records[{name!r}])`, or leave it out of `column_types`."
        )
    if column_type.is_number and wanted != "category":
        number = NumberColumn.fit(name, column_type, values)
        if number is not None:
            return number
    return LevelColumn.fit(name, column_type, values, max_levels, "keep" if wanted == "category" else identifiers)


def _raise(problems: list[DataError]) -> None:
    kind = DataTypeError if problems and all(isinstance(error, DataTypeError) for error in problems) else DataError
    raise_problems(map(str, problems), kind)


def _identifier_message(names: list[Any]) -> str:
    return (
        f"The columns {listed(names)} look like identifiers (text in which hardly a value comes twice) and are left "
        "out of the model: synthetic records miss them. Keep them with `TableCodec(identifiers='keep')` or "
        f"`TableCodec(column_types={{{names[0]!r}: 'category'}})`."
    )
