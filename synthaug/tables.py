"""Tables in files, for the command line: what stands in a CSV file stays as it stands there."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from synthaug.errors import DataError, DataTypeError, StorageError, SynthaugWarning, nearest
from synthaug.files import atomic_write

__all__ = ["TableFile", "check_levels", "find_column", "read_table", "write_table"]

_LEADING_ZERO = r"[+-]?0\d+"  # a code rather than a number: a postcode, an account
_DATE = r"\d{4}-\d\d-\d\d"
_MOMENT = _DATE + r"[ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?"


@dataclass(frozen=True)
class TableFile:
    """A table that was read from a file.

    Args:
        frame: The table with the types that its values have.
        text: For a CSV file, every cell as it stands there.
        sep: What separates its cells.
    """

    frame: pd.DataFrame
    text: pd.DataFrame | None = None
    sep: str = ","


def read_table(path: Path, *, sep: str = ",") -> TableFile:
    """Read a .csv file, its cells separated by `sep`, or a .parquet file.

    In a CSV file whole numbers, decimals, true/false and ISO dates get their types; numbers with leading zeros are
    codes and stay text.

    Raises:
        StorageError: another kind of file, or one that cannot be read.
        DataError: two columns of one name; a CSV file with another separator.
    """
    readers: dict[str, Callable[[Path], TableFile]] = {".csv": partial(_read_csv, sep=sep), ".parquet": _read_parquet}
    if path.suffix not in readers:
        raise StorageError(f"Expected a .csv or .parquet file, got {path}: convert it first.")
    try:
        return readers[path.suffix](path)
    except (StorageError, DataError):
        raise
    except FileNotFoundError:
        raise StorageError(f"There is no file {path}: check its name and folder.") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # whatever a parser makes of a damaged file
        raise StorageError(
            f"{path} cannot be read as {path.suffix[1:]}: {error}. Is it whole, and of that format?"
        ) from error


def find_column(table: pd.DataFrame, name: str) -> Any:
    """The column called `name`, also where its name is no string.

    Raises:
        DataError: there is none.

    >>> find_column(pd.DataFrame({7: [1]}), "7")
    7
    """
    check_levels(table)
    found = [column for column in table.columns if str(column) == name]
    if not found:
        raise DataError(f"There is no column {name!r}: {nearest(name, table.columns)}")
    return found[0]


def check_levels(table: pd.DataFrame) -> None:
    """Refuse names of several levels.

    >>> check_levels(pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])))
    Traceback (most recent call last):
    ...
    synthaug.errors.DataTypeError: The column names have several levels: join them first, for example `records.columns = ['_'.join(map(str, name)) for name in records.columns]`.
    """  # noqa: E501
    if isinstance(table.columns, pd.MultiIndex):
        raise DataTypeError(
            "The column names have several levels: join them first, for example "
            "`records.columns = ['_'.join(map(str, name)) for name in records.columns]`."
        )


def write_table(df: pd.DataFrame, path: Path, *, above: TableFile | None = None) -> None:
    """Write a table whole or not at all, to .csv or .parquet.

    Args:
        df: The table.
        path: Where to.
        above: Where the first rows of `df` come from. From CSV to CSV they are written as they stand there, and the
            other rows in their manner (separator, dates, true and false, the mark of a missing value).
    """
    with atomic_write(path) as temporary:
        if path.suffix == ".csv":
            above = above or TableFile(df)
            text = df if above.text is None else _in_the_manner_of(df, above)
            text.to_csv(temporary, index=False, sep=above.sep)
            return
        if df.columns.inferred_type not in ("string", "integer"):
            df = df.set_axis(df.columns.astype(str), axis=1)  # Parquet holds no names of several types
        df.to_parquet(temporary)


def _read_parquet(path: Path) -> TableFile:
    df = pd.read_parquet(path)
    if not isinstance(df.index, pd.RangeIndex):
        warnings.warn(
            f"The index of {path} is left out: store the table with `df.reset_index()` to keep it as a column.",
            SynthaugWarning,
            stacklevel=4,
        )
    return TableFile(df)


def _read_csv(path: Path, sep: str) -> TableFile:
    with path.open(newline="", encoding="utf-8") as file:
        names = next(csv.reader(file, delimiter=sep), [])
    _check_separator(path, names)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"Two columns of {path} are called {twice!r}: rename one.")
    text = pd.read_csv(path, sep=sep, dtype=str, keep_default_na=False)
    codes = [name for name in text.columns if text[name].str.fullmatch(_LEADING_ZERO).any()]
    with warnings.catch_warnings():  # from 3.1, pandas reads exactly of itself and warns of the option that says so
        warnings.filterwarnings("ignore", ".*float_precision.*")
        frame = pd.read_csv(
            path,
            sep=sep,
            dtype=dict.fromkeys(codes, "string"),
            dtype_backend="numpy_nullable",
            float_precision="round_trip",
        )
    if not isinstance(text.index, pd.RangeIndex):
        raise DataError(f"Rows of {path} have more cells than its header has names ({len(names)}): name every column.")
    dates = {str(name): _dates(column) for name, column in frame.items() if column.dtype == "string"}
    frame = frame.assign(**dates)
    return TableFile(frame, text, sep)


def _check_separator(path: Path, names: list[str]) -> None:
    """Refuse a header that is one name, and several once it is split otherwise."""
    if len(names) != 1:
        return
    widths = {other: len(next(csv.reader(names, delimiter=other), [])) for other in ",;\t|"}
    other = max(widths, key=lambda one: widths[one])
    if widths[other] > 1:
        raise DataError(
            f"{path} has one column, {names[0]!r}: its cells seem to be separated by {other!r}. Say so with "
            f"`--sep {other!r}`."
        )


def _dates(column: pd.Series) -> pd.Series:
    """Dates where every value is one in ISO form, else the column as it is."""
    known = column.dropna()
    if known.empty or not known.str.fullmatch(f"{_DATE}|{_MOMENT}").all():
        return column
    try:
        return pd.to_datetime(column, format="ISO8601")
    except ValueError:  # such as 2023-02-30
        return column


def _in_the_manner_of(df: pd.DataFrame, above: TableFile) -> pd.DataFrame:
    assert above.text is not None
    n = len(above.text)
    columns: dict[str, pd.Series] = {}
    for name in list(df.columns):
        new = df[name].iloc[n:]
        if name not in above.text:
            columns[name] = df[name]
            continue
        old, missing = above.text[name], above.frame[name].isna().to_numpy()
        written = _written(new, old[~missing])
        marks = old[missing]
        written[new.isna()] = marks.iloc[0] if len(marks) else ""
        columns[name] = pd.concat([old, written], ignore_index=True)
    return pd.DataFrame(columns)


def _written(new: pd.Series, old: pd.Series) -> pd.Series:
    """New values as text, in the manner of the old ones."""
    if new.dtype.kind == "M":
        if old.str.fullmatch(_DATE).all():
            return new.dt.strftime("%Y-%m-%d").astype(object)
        return new.map(lambda moment: moment.isoformat(sep="T" if "T" in old.iloc[0] else " "), na_action="ignore")
    text = new.astype(object).map(str, na_action="ignore")
    if new.dtype.kind == "b" and len(old):
        return text.str.upper() if old.iloc[0].isupper() else text.str.lower() if old.iloc[0].islower() else text
    return text
