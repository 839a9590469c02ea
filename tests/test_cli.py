"""The command line as its users meet it: what is written, what is said and where, and the exit code."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import synthaug
from synthaug.cli import app
from synthaug.pool import Pool
from synthaug.synthesizer import Synthesizer


def run(*args):
    """Exit code, stdout and stderr; an exception that leaves the command is a failure of the test."""
    result = CliRunner().invoke(app, list(map(str, args)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def quick(command, *args):
    return run(command, *args, *(["--steps", 3] if command in ("augment", "fit") else []))


def frame(n=40):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"size": rng.normal(size=n).round(3), "y": np.where(np.arange(n) % 4, 0, 1), "kind": rng.choice(["u", "v"], n)}
    )


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, with `train.csv` and `train.parquet`."""
    monkeypatch.chdir(tmp_path)
    frame().to_csv("train.csv", index=False)
    frame().to_parquet("train.parquet")
    return tmp_path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    frame().to_csv(folder / "train.csv", index=False)
    assert quick("fit", folder / "train.csv", "-t", "y", "-o", folder / "model")[0] == 0
    return folder / "model"


def refused(here, *args, code=1, match):
    """A user's mistake: the exit code, one message on stderr, nothing on stdout, nothing written."""
    before = sorted(here.rglob("*"))
    exit_code, out, err = quick(*args)
    assert (exit_code, out) == (code, ""), err
    assert "Error: " in err
    assert "Traceback" not in err
    assert match in " ".join(err.split())
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("command", ["", "augment", "fit", "sample", "inspect", "demo"])
def test_help(command):
    code, out, err = run(*([command] if command else []), "--help")
    assert (code, err) == (0, "")
    assert f"Usage: {'synthaug' if not command else ''}" in out
    assert "--help" in out


def test_the_package_runs_as_the_command_does():
    told = subprocess.run([sys.executable, "-m", "synthaug", "--version"], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout, told.stderr) == (0, f"synthaug {synthaug.__version__}\n", "")


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["nonsense"],
        ["augment"],
        ["augment", "train.csv", "-o", "o.csv"],
        ["augment", "train.csv", "-t", "y", "-o", "o.csv", "--steps", "0"],
        ["augment", "train.csv", "-t", "y", "-o", "o.csv", "--seed", "-1"],
        ["augment", "train.csv", "-t", "y", "-o", "o.csv", "--nonsense"],
        ["sample", "model"],
    ],
)
def test_a_command_that_cannot_be_understood_exits_with_2(here, args):
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert "Usage: " in err


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_augment_keeps_rows_columns_and_dtypes(here, suffix):
    code, out, err = quick("augment", f"train.{suffix}", "-t", "y", "-o", f"grown.{suffix}")
    assert (code, err) == (0, "")
    assert f"grown.{suffix}: 40 rows as they were, 20 generated (1: 20)." in out
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}[suffix]
    grown = read(f"grown.{suffix}")
    pd.testing.assert_frame_equal(grown.iloc[:40], frame(), check_exact=True)
    assert grown["y"].value_counts().to_dict() == {0: 30, 1: 30}
    assert set(grown["kind"]) == {"u", "v"}


def test_augment_marks_selects_and_takes_every_generator(here):
    args = ["augment", "train.csv", "-t", "y", "--amount", 4, "--flag", "made"]
    assert quick(*args, "-o", "gan.csv", "-g", "gan", "--per-class")[0] == 0
    assert pd.read_csv("gan.csv")["made"].tolist() == [False] * 40 + [True] * 4
    assert list(pd.read_csv("gan.csv").columns) == ["size", "y", "kind", "made"]


def test_the_same_seed_gives_the_same_bytes(here):
    for name, seed in [("a", 1), ("b", 1), ("c", 2)]:
        assert quick("augment", "train.csv", "-t", "y", "-o", f"{name}.csv", "--seed", seed)[0] == 0
    a, b, c = ((here / f"{name}.csv").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize(
    ("amount", "added"),
    [("7", {0: 4, 1: 3}), ("0.25", {0: 5, 1: 5}), ("1=3", {1: 3}), ("1=3,0=2", {0: 2, 1: 3}), ("0", {}), ("1=0,", {})],
)
def test_amount_forms(here, amount, added):
    assert quick("augment", "train.csv", "-t", "y", "-o", "o.csv", "--amount", amount)[0] == 0
    assert pd.read_csv("o.csv")["y"].iloc[40:].value_counts().to_dict() == added


@pytest.mark.parametrize(
    ("amount", "match"),
    [
        ("many", "Expected --amount to be a number or label=number,..., got 'many'"),
        ("-3", "none below 0 or above 1,000,000,000,000, got -3"),
        ("nan", "got nan"),
        ("inf", "got inf"),
        ("1=x", "the count for '1'"),
        ("1=-2", "at least 0 in `amount`, got -2 for label 1"),
        ("1=2.5", "got 2.5 for label 1"),
        ("2=3", "Unknown label '2': known are '0', '1'"),
        ("1=3,1=4", "'1' comes twice"),
        ("1=3,0", "Expected label=number"),
        ("", "number"),
    ],
)
def test_amounts_that_are_none(here, amount, match):
    refused(here, "augment", "train.csv", "-t", "y", "-o", "o.csv", "--amount", amount, match=match)


@pytest.mark.parametrize(
    ("labels", "amount", "added"),
    [
        (["yes", "no"], "yes=2", ["yes", "yes"]),
        ([True, False], "True=2", [True, True]),
        (["a=1", "b,c"], "b,c=1,a=1=1", ["b,c", "a=1"]),
        (["nan", "x"], "x=1", ["x"]),
        ([2**53 + 1, 0], f"{2**53 + 1}=1", [2**53 + 1]),
        ([1.0, 2.0], "1.0=1", [1.0]),
    ],
)
def test_labels_of_every_type_are_told_by_their_text(here, labels, amount, added):
    df = pd.DataFrame({"size": np.arange(20) % 7, "y": labels * 10})
    df.to_parquet("t.parquet")
    assert quick("augment", "t.parquet", "-t", "y", "-o", "o.parquet", "--amount", amount)[0] == 0
    grown = pd.read_parquet("o.parquet")
    assert grown["y"].dtype == df["y"].dtype
    assert sorted(grown["y"].iloc[20:]) == sorted(added)


def test_numbers_for_names(here):
    frame().set_axis([0, 1, 2], axis=1).to_parquet("t.parquet")
    assert quick("augment", "t.parquet", "-t", "1", "-o", "o.parquet", "--amount", 2)[0] == 0
    assert pd.read_parquet("o.parquet").columns.tolist() == [0, 1, 2]
    assert quick("augment", "t.parquet", "-t", "1", "-o", "f.parquet", "--amount", 2, "--flag", "made")[0] == 0
    assert pd.read_parquet("f.parquet").columns.tolist() == ["0", "1", "2", "made"]
    assert quick("fit", "t.parquet", "-t", "0", "-o", "m")[0] == 1  # it is continuous
    assert quick("fit", "t.parquet", "-t", "1", "-o", "m")[0] == 0
    assert quick("sample", "m", "-n", 2, "-o", "s.parquet")[0] == 0
    assert pd.read_parquet("s.parquet").columns.tolist() == [0, 2, 1]


@pytest.mark.parametrize("command", ["augment", "fit"])
def test_targets_tables_and_outputs_that_are_not_there(here, command):
    output = "o.csv" if command == "augment" else "o"
    refused(here, command, "train.csv", "-t", "z", "-o", output, match="There is no column 'z': known are size,")
    refused(
        here,
        command,
        "none.csv",
        "-t",
        "y",
        "-o",
        output,
        match="There is no file none.csv: check its name and folder.",
    )
    refused(here, command, "train.csv", "-t", "y", "-o", f"none/{output}", match="There is no folder none")
    refused(
        here, command, "train.txt", "-t", "y", "-o", output, match="Expected a .csv, .csv.gz, .tsv or .parquet file"
    )
    refused(here, command, "train.csv", "-t", "y", "-o", output, "-g", "foo", match="vae or gan, got 'foo'")
    refused(here, command, "train.csv", "-t", "size", "-o", output, match="('size') hold")
    refused(here, command, ".", "-t", "y", "-o", output, match="Expected a .csv, .csv.gz, .tsv or .parq")


def test_an_output_of_another_kind_is_refused_before_any_work(here):
    refused(
        here,
        "augment",
        "none.csv",
        "-t",
        "y",
        "-o",
        "o.txt",
        match="ends in .csv, .csv.gz, .tsv or .parquet, got o.txt",
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b""),
        ("a.csv", b"a,y\n1,2,3,4\n5"),
        ("a.csv", b'a,y\n"1,2\n'),
        ("a.csv", b"a,y\n\xff\xfe,1\n"),
        ("a.parquet", b""),
        ("a.parquet", b"PAR1 and no more"),
        ("a.parquet", b"a,y\n1,2\n"),
    ],
)
def test_damaged_tables(here, name, content):
    (here / name).write_bytes(content)
    refused(here, "augment", name, "-t", "y", "-o", "o.csv", match=name)


def test_a_parquet_file_cut_short(here):
    whole = (here / "train.parquet").read_bytes()
    (here / "a.parquet").write_bytes(whole[: len(whole) // 2])
    refused(here, "augment", "a.parquet", "-t", "y", "-o", "o.csv", match="a.parquet cannot be read as parquet")


def test_nothing_is_overwritten_without_force(here, model):
    (here / "o.csv").write_text("mine")
    refused(here, "augment", "train.csv", "-t", "y", "-o", "o.csv", match="o.csv exists")
    refused(here, "sample", model, "-n", 3, "-o", "o.csv", match="--force")
    refused(here, "fit", "train.csv", "-t", "y", "-o", ".", match=". exists")
    assert (here / "o.csv").read_text() == "mine"
    assert quick("sample", model, "-n", 3, "-o", "o.csv", "--force")[0] == 0
    assert len(pd.read_csv("o.csv")) == 3


def test_force_spares_what_synthaug_did_not_write(here, model):
    (here / "thesis").mkdir()
    (here / "thesis" / "chapter").write_text("mine")
    for path in ("thesis", "train.csv"):
        refused(here, "fit", "train.csv", "-t", "y", "-o", path, "--force", match="--force spares it")
    refused(here, "sample", model, "-n", 3, "-o", "thesis", "--force", match="--force spares it")
    assert (here / "thesis" / "chapter").read_text() == "mine"
    assert quick("sample", model, "-n", 3, "-o", "pool")[0] == 0
    assert quick("sample", model, "-n", 5, "-o", "pool", "--force")[0] == 0
    assert len(Pool.load("pool")) == 5


def test_a_model_a_sample_and_a_pool(here, model):
    code, out, err = run("inspect", model)
    assert (code, err) == (0, "")
    assert all(part in out for part in ("ConditionalVAE", "0 (30 rows), 1 (10 rows)", "fingerprint", "seed"))
    code, out, err = run("sample", model, "-n", "1=3", "-o", "s.csv")
    assert (code, out, err) == (0, "s.csv: 3 rows.\n", "")
    assert pd.read_csv("s.csv")["y"].tolist() == [1, 1, 1]
    assert run("sample", model, "-n", "6", "-o", "pool")[0] == 0
    expected = Synthesizer.load(model).sample(6, random_state=0)
    assert Pool.load("pool").equals(expected)
    code, out, err = run("inspect", "pool")
    assert (code, err) == (0, "")
    assert all(
        part in out for part in ("pool of 6 generated rows, 2 columns", "0 (3 rows), 1 (3 rows)", "kind (string)")
    )


@pytest.mark.parametrize(
    ("counts", "match"), [("-3", "at least 0"), ("0.5", "0.5"), ("5=3", "Unknown label '5'"), ("x", "got 'x'")]
)
def test_counts_that_are_none(here, model, counts, match):
    refused(here, "sample", model, "-n", counts, "-o", "o.csv", match=match)


def test_damaged_models_and_pools(here, model):
    refused(here, "inspect", ".", match="neither a synthesizer")
    refused(here, "inspect", "nowhere", match="neither a synthesizer")
    refused(here, "sample", "nowhere", "-n", 3, "-o", "o.csv", match="nowhere/synthesizer.json")
    assert run("sample", model, "-n", 3, "-o", "pool")[0] == 0
    shard = next((here / "pool").glob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    refused(here, "inspect", "pool", match=shard.name)
    (here / "pool" / "_manifest.json").write_text("{")
    refused(here, "inspect", "pool", match="_manifest.json")
    (here / "m").mkdir()
    for file in model.iterdir():
        (here / "m" / file.name).write_bytes(file.read_bytes())
    (here / "m" / "weights.safetensors").write_bytes(b"\0" * 100)
    refused(here, "inspect", "m", match="weights.safetensors was damaged or altered")


def test_a_fit_with_a_checkpoint_goes_on_and_refuses_another_fit(here):
    args = ["fit", "train.csv", "-t", "y", "--checkpoint", "state"]
    assert quick(*args, "-o", "a")[0] == 0
    assert quick(*args, "-o", "b")[0] == 0
    assert (here / "a" / "weights.safetensors").read_bytes() == (here / "b" / "weights.safetensors").read_bytes()
    refused(here, *args, "-o", "c", "--seed", 1, match="state of another fit")


def test_warnings_are_one_line_on_stderr(here):
    frame().assign(id=[f"id-{i}" for i in range(40)]).set_index("size").to_parquet("t.parquet")
    code, out, err = quick("augment", "t.parquet", "-t", "y", "-o", "o.parquet")
    assert (code, "Warning" in out) == (0, False)
    first, second = err.splitlines()
    assert first.startswith("Warning: The index of t.parquet is left out")
    assert second.startswith("Warning: The columns 'id' look like identifiers")
    assert pd.read_parquet("o.parquet").columns.tolist() == ["y", "kind", "id"]


def test_a_folder_that_cannot_be_written_to(here):
    if os.getuid() == 0:
        (here / "train.csv").rename(here / "o.csv")  # root may write anywhere: a file for a folder will do
        refused(here, "augment", "o.csv", "-t", "y", "-o", "o.csv/p.csv", match="no folder o.csv")
    else:
        here.chmod(0o500)
        refused(here, "augment", "train.csv", "-t", "y", "-o", "o.csv", match="o.csv could not be written")
        here.chmod(0o700)


def test_an_interrupt_leaves_nothing_and_exits_with_130(here):
    code = "import os, signal, sys; from synthaug import cli; cli.typer.echo('ready'); cli.main()"
    args = ["augment", "train.csv", "-t", "y", "-o", "o.csv", "--steps", "1000000"]
    before = sorted(here.iterdir())
    process = subprocess.Popen(
        [sys.executable, "-c", code, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert sorted(here.iterdir()) == before


def test_it_starts_without_loading_torch():
    code = "import sys, synthaug.cli; sys.exit(any(m in sys.modules for m in ('torch', 'pandas', 'sklearn')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_version_is_told():
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output == f"synthaug {synthaug.__version__}\n"


def test_a_name_with_another_suffix_is_no_pool(here):
    exit_code, _, err = quick("sample", "model", "-n", "5", "-o", "rows.xlsx")
    assert exit_code == 1
    assert "Expected an output that ends in .csv, .csv.gz, .tsv or .parquet, got rows.xlsx." in " ".join(err.split())


def test_select_tells_how_many_rows_were_dropped_and_why(here):
    code, out, _ = run("augment", "train.csv", "-t", "y", "-o", "o.csv", "--select", "--steps", 30)
    assert code == 0
    told = re.search(r"^(\d+) rows were drawn to choose from, (\d+) of them dropped(: .*)?\.$", out, re.MULTILINE)
    drawn, dropped = int(told[1]), int(told[2])
    assert drawn - dropped >= 20
    reasons = [
        int(n) for n in re.findall(r"(\d+) for (?:disagreement \(Agreement\)|(?:memorised|far) \(Distance\))", out)
    ]
    assert (dropped == 0 and not reasons) or max(reasons) <= dropped <= sum(reasons)
    assert len(pd.read_csv("o.csv")) == 60


def test_identifiers_are_kept_when_told_to(here):
    frame().assign(id=[f"id-{i}" for i in range(40)]).to_csv("t.csv", index=False)
    code, _, err = quick("augment", "t.csv", "-t", "y", "-o", "o.csv")
    assert (code, err.endswith("synthetic records miss them. Keep them with --keep-identifiers.\n")) == (0, True)
    assert pd.read_csv("o.csv")["id"].iloc[40:].isna().all()
    assert quick("augment", "t.csv", "-t", "y", "-o", "k.csv", "--keep-identifiers")[::2] == (0, "")
    assert set(pd.read_csv("k.csv")["id"].iloc[40:]) <= {f"id-{i}" for i in range(40)}
    frame()[["y"]].assign(id=[f"id-{i}" for i in range(40)]).to_csv("i.csv", index=False)
    refused(here, "fit", "i.csv", "-t", "y", "-o", "m", match="Keep them with --keep-identifiers. Nothing else is left")


@pytest.mark.parametrize(("sep", "option"), [(";", ";"), ("\t", "\\t"), ("\t", "\t"), ("|", "|")])
def test_a_csv_file_with_another_separator(here, sep, option):
    frame().to_csv("t.csv", index=False, sep=sep)
    told = f"t.csv has one column, {sep.join(frame())!r}: its cells seem to be separated by {sep!r}. Say so with `--sep"
    refused(here, "augment", "t.csv", "-t", "y", "-o", "o.csv", match=told)
    refused(here, "fit", "t.csv", "-t", "y", "-o", "m", match=told)
    assert quick("fit", "t.csv", "-t", "y", "-o", "m", "--sep", option)[0] == 0
    assert quick("augment", "t.csv", "-t", "y", "-o", "o.csv", "--sep", option)[0] == 0
    grown = (here / "o.csv").read_text()
    assert grown.startswith((here / "t.csv").read_text())
    pd.testing.assert_frame_equal(pd.read_csv("o.csv", sep=sep).iloc[:40], frame(), check_exact=True)


def test_separators_that_are_none(here):
    for sep in ("", ";;", "a", "1", '"'):
        refused(
            here, "fit", "train.csv", "-t", "y", "-o", "m", "--sep", sep, match="Expected --sep to be one character"
        )
    refused(here, "fit", "train.csv", "-t", "y", "-o", "m", "--sep", ";", match="separated by ','")


def test_a_pool_is_no_model(here, model):
    assert run("sample", model, "-n", 3, "-o", "pool")[0] == 0
    refused(here, "sample", "pool", "-n", 3, "-o", "o.csv", match="pool is a pool, records that are drawn already")


def test_numbers_beyond_all_bounds(here, model):
    many = 10**30
    refused(here, "augment", "train.csv", "-t", "y", "-o", "o.csv", "--amount", many, match=f"got {many}")
    refused(here, "augment", "train.csv", "-t", "y", "-o", "o.csv", "--amount", f"1={many}", match=f"got {many}")
    refused(here, "sample", model, "-n", many, "-o", "o.csv", match=f"got {many}: draw fewer")


@pytest.mark.parametrize("command", ["augment", "fit"])
def test_a_target_that_is_no_class(here, command):
    frame().assign(age=range(40)).to_csv("t.csv", index=False)
    code, _, err = quick(command, "t.csv", "-t", "age", "-o", "o.csv" if command == "augment" else "m")
    assert code == 0
    assert "Warning: The labels ('age') have 40 values in 40 records, 40 of them once" in err


def test_a_decimal_comma_and_an_encoding_are_told_by_options(here):
    options = {"sep": ";", "decimal": ",", "encoding": "latin-1"}
    frame().replace({"kind": {"u": "Köln"}}).to_csv("t.csv", index=False, **options)
    told = [part for key, value in options.items() for part in (f"--{key}", value)]
    code, _, err = quick("augment", "t.csv", "-t", "y", "-o", "o.csv", *told)
    assert (code, err) == (0, "")
    found = pd.read_csv("o.csv", **options)
    assert (found["size"].dtype, set(found["kind"])) == (float, {"Köln", "v"})
    assert quick("fit", "t.csv", "-t", "y", "-o", "m", *told)[0] == 0
    args = ["compare", "t.csv", "-t", "y", "--arm", "duplicate", "--estimator", "logistic", "--folds", 2, "-o", "r"]
    assert run(*args, *told, "--jobs", 1)[0] == 0
    code, _, err = quick("augment", "t.csv", "-t", "y", "-o", "p.csv", "--sep", ";", "--encoding", "latin-1")
    assert code == 0
    assert "Warning: The columns 'size' of t.csv hold numbers with ',', and are read as text" in err


def test_a_model_of_dates_says_that_it_draws_moments(here):
    days = pd.date_range("2020", periods=40).date
    frame().assign(day=days).to_parquet("days.parquet")
    code, _, err = quick("fit", "days.parquet", "-t", "y", "-o", "m")
    assert (code, err) == (
        0,
        "Warning: The columns 'day' hold dates: `synthaug sample` gives them a time, 00:00, in .parquet files.\n",
    )
    assert quick("augment", "days.parquet", "-t", "y", "-o", "o.parquet")[::2] == (0, "")
    assert set(map(type, pd.read_parquet("o.parquet")["day"])) == {type(days[0])}


def test_numbers_as_text_are_told_with_what_a_shell_can_do(here):
    frame().assign(size=[f"{i}.5" if i % 9 else "?" for i in range(40)]).to_csv("t.csv", index=False)
    code, _, err = quick("augment", "t.csv", "-t", "y", "-o", "o.csv")
    assert (code, err) == (
        0,
        "Warning: The columns 'size' hold numbers as text or objects ('size' in 35 of 40 records) and are not modelled "
        "as numbers: synthetic records repeat their values or miss them. If they are numbers, leave the cells that "
        "hold none empty in the file.\n",
    )


@pytest.mark.parametrize("output", ["o.tsv", "o.csv.gz"])
def test_every_ending_is_written(here, model, output):
    assert quick("augment", "train.csv", "-t", "y", "-o", output)[0] == 0
    assert quick("sample", model, "-n", 5, "-o", f"drawn.{output}")[0] == 0
    sep = "\t" if output.endswith("tsv") else ","
    assert list(pd.read_csv(output, sep=sep).columns) == list(frame().columns)
    assert len(pd.read_csv(f"drawn.{output}", sep=sep)) == 5
