import datetime
import decimal
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from synthaug.augmenting import augment
from synthaug.errors import DataError, DataTypeError, ParameterError, StorageError, SynthaugWarning
from synthaug.synthesizer import Synthesizer
from synthaug.tables import CsvForm, read_table, write_table


def row(i):
    day, ok, y = i % 9, str(i % 3 > 0).upper(), "ab"[i % 4 == 0]
    return f"0{day}{day % 5},{i}.50,2024-0{day + 1}-01,2024-01-01T0{day}:30,{ok},{i},{y}"


ROWS = [
    "post,price,seen,at,ok,n,y",
    *(row(i) for i in range(30)),
    "01234,NA,2024-02-03,2024-01-01T00:30,TRUE,NA,a",
]


@pytest.fixture
def path(tmp_path):
    (tmp_path / "in.csv").write_text("\n".join(ROWS) + "\n")
    return tmp_path / "in.csv"


def test_the_cells_of_a_csv_file_get_the_types_of_their_values(path):
    frame = read_table(path).frame
    kinds = frame.dtypes.astype(str).tolist()
    assert kinds[0] == "string"
    assert kinds[1] == "Float64"
    assert all(kind.startswith("datetime64") for kind in kinds[2:4])
    assert kinds[4:6] == ["boolean", "Int64"]
    assert frame["n"].isna().sum() == 1


def test_the_rows_of_a_csv_file_stay_as_they_stand_there(path, tmp_path):
    table = read_table(path)
    grown = augment(table.frame, "y", synthesizer=Synthesizer(max_steps=20), amount=40, flag="made", random_state=0)
    write_table(grown, tmp_path / "out.csv", above=table)
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert [line.removesuffix(",False").removesuffix(",made") for line in lines[: len(ROWS)]] == ROWS
    new = pd.read_csv(tmp_path / "out.csv", dtype=str, keep_default_na=False).iloc[len(ROWS) - 1 :]
    assert new["seen"].str.fullmatch(r"2024-\d\d-\d\d").all()
    assert new["at"].str.fullmatch(r"2024-01-01T\d\d:\d\d:\d\d").all()
    assert set(new["ok"]) <= {"TRUE", "FALSE"}
    assert new["n"].str.fullmatch(r"\d+|NA").all()
    assert set(new["y"]) == {"a", "b"}


def test_what_only_looks_like_a_date_stays_text(tmp_path):
    (tmp_path / "in.csv").write_text("a,b\n2023-02-30,2023-02-28\n2023-01-01,soon\n")
    assert read_table(tmp_path / "in.csv").frame.dtypes.astype(str).tolist() == ["string", "string"]


def test_two_columns_of_one_name_are_refused(tmp_path):
    (tmp_path / "in.csv").write_text("a,b,a\n1,2,3\n")
    with pytest.raises(DataError, match=r"are called 'a': rename one\.$"):
        read_table(tmp_path / "in.csv")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(
        StorageError, match=r"^Expected a \.csv, .* or \.parquet file, got in\.xlsx: convert it first\.$"
    ):
        read_table(type(tmp_path)("in.xlsx"))


def table(n=30):
    town = np.where(np.arange(n) % 3, "Köln", "München")
    return pd.DataFrame({"price": np.arange(n) / 4 + 0.25, "n": np.arange(n), "town": town, "y": ["a", "b"] * (n // 2)})


def grown(read):
    return augment(read.frame, "y", synthesizer=Synthesizer(max_steps=20), amount=20, random_state=0)


@pytest.mark.parametrize("sep", [";", ","])
def test_a_decimal_comma_is_read_and_written(tmp_path, sep):
    table().to_csv(tmp_path / "in.csv", index=False, sep=sep, decimal=",")
    form = CsvForm(sep, ",")
    read = read_table(tmp_path / "in.csv", form=form)
    assert read.frame["price"].tolist() == table()["price"].tolist()
    write_table(grown(read), tmp_path / "out.csv", above=read)
    old, new = ((tmp_path / name).read_text() for name in ("in.csv", "out.csv"))
    assert new.startswith(old)
    assert read_table(tmp_path / "out.csv", form=form).frame["price"].dtype == "Float64"
    write_table(table(), tmp_path / "new.csv", above=read_table(tmp_path / "in.csv", form=form))
    assert (tmp_path / "new.csv").read_text() == old


@pytest.mark.parametrize(("decimal", "mark"), [(".", ","), (",", ".")])
def test_marks_of_thousands_are_no_decimal_marks(tmp_path, decimal, mark):
    table()[["y"]].assign(pop=[f"{i + 1}{mark}{i + 100}" for i in range(30)]).to_csv(
        tmp_path / "in.csv", index=False, sep=";"
    )
    told = "are read as text: write the thousands of 'pop' without a mark."
    with pytest.warns(SynthaugWarning, match=re.escape(told)):
        read_table(tmp_path / "in.csv", form=CsvForm(";", decimal))


@pytest.mark.parametrize(("decimal", "mark"), [(".", ","), (",", ".")])
def test_numbers_with_another_decimal_mark_are_told(tmp_path, decimal, mark):
    cells = [f"{i}{mark}5" if i % 3 else "?" if i % 2 else i for i in range(30)]
    kind = [f"u{mark}{i}" for i in range(30)]
    pd.DataFrame({"price": cells, "kind": kind, "y": 1}).to_csv(tmp_path / "in.csv", index=False, sep=";")
    told = (
        f"The columns 'price' of {tmp_path / 'in.csv'} hold numbers with '{mark}', and are read as text: if '{mark}' "
        f"is the decimal mark, say so with `--decimal {mark}`."
    )
    with pytest.warns(SynthaugWarning, match=f"^{re.escape(told)}$"):
        read_table(tmp_path / "in.csv", form=CsvForm(";", decimal))


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"sep": ""}, "Expected --sep to be one character such as ';' or '\\t', got ''."),
        ({"decimal": ";"}, "Expected --decimal to be '.' or ',', got ';'."),
        ({"encoding": "hex"}, "Expected the encoding to be one such as utf-8, latin-1, cp1252 or utf-16, got 'hex'."),
    ],
)
def test_forms_that_are_refused(form, told):
    with pytest.raises(ParameterError, match=f"^{re.escape(told)}$"):
        CsvForm(**form)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig", "UTF8"])
def test_text_is_read_and_written_as_it_is_encoded(tmp_path, encoding):
    table().to_csv(tmp_path / "in.csv", index=False, encoding=encoding)
    read = read_table(tmp_path / "in.csv", form=CsvForm(encoding=encoding))
    assert read.frame["town"].tolist() == table()["town"].tolist()
    write_table(grown(read), tmp_path / "out.csv", above=read)
    assert (tmp_path / "out.csv").read_bytes().startswith((tmp_path / "in.csv").read_bytes())


def test_text_in_another_encoding_is_refused(tmp_path):
    table().to_csv(tmp_path / "in.csv", index=False, encoding="latin-1")
    told = (
        f"{tmp_path / 'in.csv'} cannot be read as utf-8 (byte 0xfc): say how it is encoded, for example with "
        "`--encoding latin-1`, `--encoding cp1252` or `--encoding utf-16`."
    )
    with pytest.raises(StorageError, match=f"^{re.escape(told)}$"):
        read_table(tmp_path / "in.csv")


def test_text_that_an_encoding_cannot_write_is_refused(tmp_path):
    table().to_csv(tmp_path / "in.csv", index=False, encoding="latin-1")
    read = read_table(tmp_path / "in.csv", form=CsvForm(encoding="latin-1"))
    with pytest.raises(StorageError, match=r"out\.csv cannot hold 'ж' as latin-1: write \.parquet\.$"):
        write_table(read.frame.assign(ж=True), tmp_path / "out.csv", above=read)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_mark_at_the_beginning_of_the_file_is_part_of_no_name(tmp_path):
    pd.DataFrame({"a": [1, 2], "a b": [3, 4]}).to_csv(tmp_path / "in.csv", index=False, encoding="utf-8-sig")
    assert list(read_table(tmp_path / "in.csv").frame.columns) == ["a", "a b"]
    (tmp_path / "in.csv").write_bytes("\ufeffa,a\n1,2\n".encode())
    with pytest.raises(DataError, match="are called 'a': rename one"):
        read_table(tmp_path / "in.csv")


@pytest.mark.parametrize(("suffix", "sep"), [("tsv", "\t"), ("csv.gz", ",")])
def test_tabs_and_packed_files(tmp_path, suffix, sep):
    table().to_csv(tmp_path / f"in.{suffix}", index=False, sep=sep)
    read = read_table(tmp_path / f"in.{suffix}")
    assert list(read.frame.columns) == list(table().columns)
    made = grown(read)
    for name in (f"out.{suffix}", f"again.{suffix}", "out.csv"):
        write_table(made, tmp_path / name, above=read)
    assert (tmp_path / f"out.{suffix}").read_bytes() == (tmp_path / f"again.{suffix}").read_bytes()
    pd.testing.assert_frame_equal(read_table(tmp_path / f"out.{suffix}").frame, read_table(tmp_path / "out.csv").frame)
    assert (tmp_path / "out.csv").read_text().splitlines()[:31] == table().to_csv(index=False).splitlines()


def test_an_index_in_a_csv_file_keeps_its_empty_name_and_is_told(tmp_path):
    table().to_csv(tmp_path / "in.csv")
    with pytest.warns(SynthaugWarning) as told:
        read = read_table(tmp_path / "in.csv")
    assert [str(warning.message) for warning in told] == [
        f"The column without a name in {tmp_path / 'in.csv'} seems to number the rows, and is learned like any other: "
        "leave it out, for example by writing the table with `df.to_csv(..., index=False)`."
    ]
    write_table(grown(read), tmp_path / "out.csv", above=read)
    assert (tmp_path / "out.csv").read_text().startswith((tmp_path / "in.csv").read_text())


def days(dtype):
    cells = [None if i % 7 == 0 else datetime.date(2020, 1, 1) + datetime.timedelta(days=i) for i in range(30)]
    return table().assign(d=pd.Series(cells, dtype=dtype))


@pytest.mark.parametrize("dtype", [object, pd.ArrowDtype(pa.date32())])
def test_dates_in_a_parquet_file_come_back_as_dates(tmp_path, dtype):
    days(dtype).to_parquet(tmp_path / "in.parquet")
    read = read_table(tmp_path / "in.parquet")
    made = grown(read)
    write_table(made, tmp_path / "out.parquet", above=read)
    write_table(made, tmp_path / "out.csv", above=read)
    found = pd.read_parquet(tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(found.iloc[:30], pd.read_parquet(tmp_path / "in.parquet"))
    assert pa.parquet.read_schema(tmp_path / "out.parquet").field("d").type == pa.date32()
    assert pd.read_csv(tmp_path / "out.csv")["d"].dropna().str.fullmatch(r"2020-0\d-\d\d").all()


def test_decimals_in_a_parquet_file_are_refused_with_what_a_shell_can_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table().assign(dec=[decimal.Decimal(i) / 100 for i in range(30)]).to_parquet("in.parquet")
    with pytest.raises(DataTypeError) as refused:
        read_table(type(tmp_path)("in.parquet"))
    code = "import pandas; t = pandas.read_parquet('in.parquet'); "
    code += "t.astype(dict.fromkeys(['dec'], float)).to_parquet('floats.parquet')"
    assert str(refused.value) == (
        "The columns 'dec' of in.parquet hold decimals, which cannot be learned: write them as floats, for example "
        f'with `python -c "{code}"`.'
    )
    exec(code)
    assert read_table(type(tmp_path)("floats.parquet")).frame["dec"].tolist() == [i / 100 for i in range(30)]
