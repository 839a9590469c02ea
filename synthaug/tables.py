"""Tables in files, for the command line: what stands in a CSV file stays as it stands there."""

from __future__ import annotations

import codecs
import csv
import gzip
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from synthaug.errors import DataError, DataTypeError, ParameterError, StorageError, SynthaugWarning, listed, nearest
from synthaug.files import atomic_write

__all__ = [
    "TABLES",
    "CsvForm",
    "TableFile",
    "check_levels",
    "check_unique",
    "find_column",
    "read_table",
    "write_table",
]

TABLES = (".csv", ".csv.gz", ".tsv", ".parquet")
_LEADING_ZERO = r"[+-]?0\d+"  # a code rather than a number: a postcode, an account
_DATE = r"\d{4}-\d\d-\d\d"
_MOMENT = _DATE + r"[ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?"


@dataclass(frozen=True)
class CsvForm:
    """How a CSV file is written.

    Args:
        sep: What separates cells; None for a comma, in .tsv files a tab.
        decimal: What separates the whole part of a number from the rest, "." or ",".
        encoding: The name of the encoding, as Python knows it.

    Raises:
        ParameterError: a value that is not allowed.

    >>> CsvForm(encoding="utf-9")
    Traceback (most recent call last):
    ...
    synthaug.errors.ParameterError: Expected the encoding to be one such as utf-8, latin-1, cp1252 or utf-16, got 'utf-9'.
    """  # noqa: E501

    sep: str | None = None
    decimal: str = "."
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if self.sep is not None and (len(self.sep) != 1 or self.sep.isalnum() or self.sep in '"\r\n'):
            raise ParameterError(f"Expected --sep to be one character such as ';' or '\\t', got {self.sep!r}.")
        if self.decimal not in (".", ","):
            raise ParameterError(f"Expected --decimal to be '.' or ',', got {self.decimal!r}.")
        try:
            "".encode(self.encoding)
        except (LookupError, ValueError):
            raise ParameterError(
                f"Expected the encoding to be one such as utf-8, latin-1, cp1252 or utf-16, got {self.encoding!r}."
            ) from None

    def separator(self, path: Path) -> str:
        """What separates the cells of this file.

        >>> CsvForm().separator(Path("a.csv")), CsvForm(";").separator(Path("a.tsv"))
        (',', ';')
        """
        return self.sep or ("\t" if path.suffix == ".tsv" else ",")


@dataclass(frozen=True)
class TableFile:
    """A table that was read from a file.

    Args:
        frame: The table with the types that its values have.
        text: For a CSV file, every cell as it stands there.
        form: How it is written, if it is a CSV file, and how one is written that is made of it.
        days: The columns of a Parquet file that hold dates without a time, which are moments in `frame`, and the dtypes
            that they had.
    """

    frame: pd.DataFrame
    text: pd.DataFrame | None = None
    form: CsvForm = CsvForm()
    days: Mapping[str, Any] = field(default_factory=dict)


def read_table(path: Path, *, form: CsvForm = CsvForm()) -> TableFile:
    """Read a .csv, .csv.gz or .tsv file, which is written in this form, or a .parquet file.

    In a CSV file whole numbers, decimals, true/false and ISO dates get their types; numbers with leading zeros are
    codes and stay text.

    Raises:
        StorageError: another kind of file, or one that cannot be read.
        DataError: two columns of one name; a CSV file with another separator; a Parquet file with decimals.

    Warns:
        SynthaugWarning: columns of text that are numbers with another decimal mark; a column of row numbers; a Parquet
            file with an index.
    """
    if not path.name.endswith(TABLES):
        raise StorageError(f"Expected a .csv, .csv.gz, .tsv or .parquet file, got {path}: convert it first.")
    reader = _read_parquet if path.suffix == ".parquet" else _read_csv
    try:
        return reader(path, form=form)
    except UnicodeDecodeError as error:
        raise StorageError(
            f"{path} cannot be read as {form.encoding} (byte 0x{error.object[error.start]:02x}): say how it is "
            "encoded, for example with `--encoding latin-1`, `--encoding cp1252` or `--encoding utf-16`."
        ) from None
    except (StorageError, DataError):
        raise
    except FileNotFoundError:
        raise StorageError(f"There is no file {path}: check its name and folder.") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # whatever a parser makes of a damaged file
        raise StorageError(
            f"{path} cannot be read as {_kind(path)[1:]}: {error}. Is it whole, and of that format?"
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


def check_unique(table: pd.DataFrame) -> None:
    """Refuse names that come more than once.

    >>> check_unique(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    Traceback (most recent call last):
    ...
    synthaug.errors.DataError: The column names 'a' come more than once: rename or drop the repeats.
    """
    if not table.columns.is_unique:
        repeated = table.columns[table.columns.duplicated()].unique().tolist()
        raise DataError(f"The column names {listed(repeated)} come more than once: rename or drop the repeats.")


def write_table(df: pd.DataFrame, path: Path, *, above: TableFile | None = None) -> None:
    """Write a table whole or not at all, to a file that `read_table` takes.

    Args:
        df: The table.
        path: Where to.
        above: Where the first rows of `df` come from. From CSV to CSV they are written as they stand there, and the
            other rows in their manner (decimal mark, dates, true and false, the mark of a missing value).
    """
    above = above or TableFile(df)
    if above.days:
        df = df.copy()
        for name, dtype in above.days.items():
            df[name] = df[name].dt.date.astype(object).where(df[name].notna(), None).astype(dtype)
    with atomic_write(path) as temporary:
        if path.suffix != ".parquet":
            text = df if above.text is None else _in_the_manner_of(df, above)
            form = above.form
            written = _encoded(text.to_csv(index=False, sep=form.separator(path), decimal=form.decimal), form, path)
            temporary.write_bytes(gzip.compress(written, mtime=0) if path.suffix == ".gz" else written)
            return
        if df.columns.inferred_type not in ("string", "integer"):
            df = df.set_axis(df.columns.astype(str), axis=1)  # Parquet holds no names of several types
        df.to_parquet(temporary)


def _encoded(text: str, form: CsvForm, path: Path) -> bytes:
    try:
        return text.encode(form.encoding)
    except UnicodeEncodeError as error:
        raise StorageError(
            f"{path} cannot hold {error.object[error.start]!r} as {form.encoding}: write .parquet."
        ) from None


def _kind(path: Path) -> str:
    return next(kind for kind in TABLES if path.name.endswith(kind))


def _read_parquet(path: Path, form: CsvForm) -> TableFile:
    df = pd.read_parquet(path)
    if not isinstance(df.index, pd.RangeIndex):
        warnings.warn(
            f"The index of {path} is left out: store the table with `df.reset_index()` to keep it as a column.",
            SynthaugWarning,
            stacklevel=4,
        )
    check_unique(df)
    held = {name: _held(column) for name, column in df.items()}
    decimals = [name for name, what in held.items() if what == "decimal"]
    if decimals:
        raise DataTypeError(
            f"The columns {listed(decimals)} of {path} hold decimals, which cannot be learned: write them as floats, "
            f'for example with `python -c "import pandas; t = pandas.read_parquet({str(path)!r}); '
            f"t.astype(dict.fromkeys({decimals!r}, float)).to_parquet('floats.parquet')\"`."
        )
    days = {name: df[name].dtype for name, what in held.items() if what == "date"}
    return TableFile(df.astype(dict.fromkeys(days, "datetime64[ms]")), form=form, days=days)


def _held(column: pd.Series) -> str:
    """What a column of objects or of an Arrow type holds, in pandas' words."""
    if isinstance(column.dtype, pd.ArrowDtype) or column.dtype == object:
        return str(pd.api.types.infer_dtype(column, skipna=True))
    return ""


def _read_csv(path: Path, form: CsvForm) -> TableFile:
    how: dict[str, Any] = {"sep": form.separator(path), "encoding": form.encoding}
    names = _header(path, **how)
    _check_separator(path, names)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"Two columns of {path} are called {twice!r}: rename one.")
    text = pd.read_csv(path, **how, dtype=str, keep_default_na=False)
    codes = [name for name in text.columns if text[name].str.fullmatch(_LEADING_ZERO).any()]
    with warnings.catch_warnings():  # from 3.1, pandas reads exactly of itself and warns of the option that says so
        warnings.filterwarnings("ignore", ".*float_precision.*")
        frame = pd.read_csv(
            path,
            **how,
            decimal=form.decimal,
            dtype=dict.fromkeys(codes, "string"),
            dtype_backend="numpy_nullable",
            float_precision="round_trip",
        )
    if not isinstance(text.index, pd.RangeIndex):
        raise DataError(f"Rows of {path} have more cells than its header has names ({len(names)}): name every column.")
    dates = {str(name): _dates(column) for name, column in frame.items() if column.dtype == "string"}
    frame = frame.assign(**dates)
    if "" in names:  # pandas has a name for it
        text.columns = frame.columns = pd.Index(names, dtype=text.columns.dtype)
        _warn_of_row_numbers(path, frame[""])
    _warn_of_decimal_marks(path, frame, form.decimal)
    return TableFile(frame, text, form)


def _header(path: Path, sep: str, encoding: str) -> list[str]:
    if codecs.lookup(encoding).name == "utf-8":
        encoding = "utf-8-sig"  # pandas, too, passes over the mark at the beginning
    lend = gzip.open if path.suffix == ".gz" else open
    with lend(path, "rt", newline="", encoding=encoding) as file:
        return next(csv.reader(file, delimiter=sep), [])


def _warn_of_row_numbers(path: Path, column: pd.Series) -> None:
    if column.dtype == "Int64" and column.is_unique:
        warnings.warn(
            f"The column without a name in {path} seems to number the rows, and is learned like any other: leave it "
            "out, for example by writing the table with `df.to_csv(..., index=False)`.",
            SynthaugWarning,
            stacklevel=4,
        )


def _warn_of_decimal_marks(path: Path, frame: pd.DataFrame, mark: str) -> None:
    """Warn of columns that are text since their numbers have another decimal mark than was said."""
    other = "." if mark == "," else ","
    number, marked = rf"\s*[+-]?\d*[{other}]?\d+([eE][+-]?\d+)?\s*", rf"\d[{other}]\d"
    grouped = rf"\s*[+-]?\d{{1,3}}([{other}]\d{{3}})+\s*"
    found: list[str] = []
    thousands: list[str] = []
    for name in frame.columns[frame.dtypes == "string"]:
        cells = frame[name].dropna()
        with_mark = cells[cells.str.contains(marked)]
        if cells.str.fullmatch(number).mean() > 1 / 2 and len(with_mark):
            (thousands if with_mark.str.fullmatch(grouped).all() else found).append(name)
    if found or thousands:
        remedies = [f"if {other!r} is the decimal mark, say so with `--decimal {other}`"] * bool(found)
        remedies += [f"write the thousands of {listed(thousands)} without a mark"] * bool(thousands)
        warnings.warn(
            f"The columns {listed(found + thousands)} of {path} hold numbers with {other!r}, and are read as text: "
            f"{'; '.join(remedies)}.",
            SynthaugWarning,
            stacklevel=4,
        )


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
        written = _written(new, old[~missing], above.form.decimal)
        marks = old[missing]
        written[new.isna()] = marks.iloc[0] if len(marks) else ""
        columns[name] = pd.concat([old, written], ignore_index=True)
    return pd.DataFrame(columns)


def _written(new: pd.Series, old: pd.Series, decimal: str) -> pd.Series:
    """New values as text, in the manner of the old ones."""
    if new.dtype.kind == "M":
        if old.str.fullmatch(_DATE).all():
            return new.dt.strftime("%Y-%m-%d").astype(object)
        return new.map(lambda moment: moment.isoformat(sep="T" if "T" in old.iloc[0] else " "), na_action="ignore")
    text = new.astype(object).map(str, na_action="ignore")
    if new.dtype.kind == "b" and len(old):
        return text.str.upper() if old.iloc[0].isupper() else text.str.lower() if old.iloc[0].islower() else text
    return text.str.replace(".", decimal, regex=False) if new.dtype.kind == "f" else text
