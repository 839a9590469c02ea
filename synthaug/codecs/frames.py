"""What a DataFrame must look like before its columns are looked at, and like the one in `fit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from synthaug.codecs.columns import Column
from synthaug.errors import DataTypeError, listed, raise_problems
from synthaug.schema import plain
from synthaug.tables import check_levels, check_unique

__all__ = ["check_frame", "check_names", "dense_values", "names_from_dict", "names_to_dict"]

_NAMES = (str, int, float, bool)


def check_frame(records: Any) -> None:
    """Raise a `DataError` if this is no DataFrame with one row of distinct names that can be stored.

    >>> check_frame(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    Traceback (most recent call last):
    ...
    synthaug.errors.DataError: The column names 'a' come more than once: rename or drop the repeats.
    """
    if not isinstance(records, pd.DataFrame):
        raise DataTypeError(
            f"Expected a pandas DataFrame, got {type(records).__name__}: for example `pandas.DataFrame(records)`."
        )
    check_levels(records)
    problems = [
        f"The column name {name!r} ({type(name).__name__}) is not supported: use strings or numbers, for example "
        "`records.columns = records.columns.astype(str)`."
        for name in records.columns
        if not isinstance(plain(name), _NAMES) or plain(name) in (np.inf, -np.inf) or name != name
    ]
    raise_problems(problems, DataTypeError)
    check_unique(records)


def dense_values(column: Column, series: pd.Series) -> Any:
    """The dense values of a column, if it has the dtype that it had in `fit`."""
    column_type = column.type
    if series.dtype != column_type.dtype:
        remedy = f"records.astype({{{column.name!r}: '{column_type.dtype}'}})"
        if isinstance(column_type.dtype, pd.CategoricalDtype):
            remedy = f"records[{column.name!r}].astype(training[{column.name!r}].dtype)"
        given, wanted = _described(series.dtype), _described(column_type.dtype)
        raise DataTypeError(
            f"Column {column.name!r} has dtype {given}, but had {wanted} in `fit`: convert it, for example `{remedy}`."
        )
    values = column_type.dense(series)
    if isinstance(values, pd.Categorical) and not values.categories.equals(column_type.dtype.categories):
        values = values.set_categories(column_type.dtype.categories)  # the same ones in another order
    return values


def _described(dtype: Any) -> str:
    if isinstance(dtype, pd.CategoricalDtype):
        return f"{'ordered ' if dtype.ordered else ''}category of {listed(dtype.categories.tolist())}"
    return str(dtype)


def check_names(records: pd.DataFrame, expected: pd.Index) -> None:
    """Raise a `DataError` naming the columns that are missing and those that are new."""
    absent = [name for name in expected if name not in records.columns]
    extra = [plain(name) for name in records.columns if name not in expected]
    problems = []
    if absent:
        problems.append(f"The columns {listed(absent)} of `fit` are missing: add them.")
    if extra:
        remedy = f"remove them, for example `records.drop(columns={extra[:5]!r})`"
        problems.append(f"The columns {listed(extra)} were not there in `fit`: {remedy}.")
    raise_problems(problems)


def names_to_dict(names: pd.Index) -> dict[str, Any]:
    """The column names, their dtype and their own name as plain values."""
    return {"values": [plain(name) for name in names], "dtype": str(names.dtype), "name": plain(names.name)}


def names_from_dict(state: Mapping[str, Any]) -> pd.Index:
    """The inverse of `names_to_dict`.

    >>> names_from_dict(names_to_dict(pd.Index([3, 4], name="feature")))
    Index([3, 4], dtype='int64', name='feature')
    """
    names, dtype, name = state["values"], state["dtype"], state["name"]
    if not all(isinstance(value, _NAMES) for value in names) or not isinstance(name, str | int | float | None):
        raise ValueError("a column name is no scalar")
    return pd.Index(
        names, dtype=dtype if dtype in ("str", "int64", "float64", "bool", "category") else "object", name=name
    )
