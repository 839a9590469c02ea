import pandas as pd
import pytest

from synthaug.augmenting import augment
from synthaug.errors import DataError, StorageError
from synthaug.synthesizer import Synthesizer
from synthaug.tables import read_table, write_table


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
    with pytest.raises(StorageError, match=r"^Expected a \.csv or \.parquet file, got in\.xlsx: convert it first\.$"):
        read_table(type(tmp_path)("in.xlsx"))
