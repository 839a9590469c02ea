"""`synthaug compare` and `synthaug report` as their users meet them."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from synthaug.cli import app
from synthaug.config import StudyConfig, examples
from synthaug.errors import DataError
from synthaug.evaluate.comparison import Comparison
from synthaug.mix.resample import SynthResampler
from synthaug.synthesizer import Synthesizer

FEW = ["--arm", "smote", "--arm", "class_weight", "--estimator", "logistic", "--folds", 3, "--jobs", 1]


def run(*args):
    """Exit code, stdout and stderr; an exception that leaves the command is a failure of the test."""
    result = CliRunner().invoke(app, list(map(str, args)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def refused(*args, match):
    code, out, err = run(*args)
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert match in " ".join(err.split())


def table(n=60):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3 == 0
    return pd.DataFrame(
        {
            "size": rng.normal(size=n) + y,
            "kind": np.where(rng.random(n) < 0.2, None, rng.choice(["u", "v"], n)),
            "when": pd.date_range("2024-01-01", periods=n),
            "patient": np.arange(n) // 4,
            "y": np.where(y, "ill", "well"),
        }
    )


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table().to_csv("train.csv", index=False)
    return tmp_path


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with a finished report, and what the command said."""
    home = tmp_path_factory.mktemp("done")
    table().to_csv(home / "train.csv", index=False)
    return home, run("compare", home / "train.csv", "-t", "y", *FEW, "-o", home / "report")


def test_a_report_is_written_and_the_verdict_is_said(done):
    home, (code, out, err) = done
    assert (code, err) == (0, "")
    assert sorted(path.name for path in (home / "report").iterdir()) == ["comparison.json", "gains.csv", "index.html"]
    found = Comparison.from_json(home / "report" / "comparison.json")
    assert out.startswith(found.verdict())
    assert f"The page is {home / 'report' / 'index.html'}" in out
    assert found.arms == ("real", "smote", "class_weight")
    assert found.data["columns"] == ["size", "kind", "when", "patient"]
    read = pd.read_csv(home / "report" / "gains.csv")
    pd.testing.assert_frame_equal(read, found.gains(), check_dtype=False)
    html = (home / "report" / "index.html").read_text("utf-8")
    assert "Does it help on train.csv?" in html
    assert html.count('<tr class="marked">') in (0, 6)


def test_options_may_be_in_the_plural_like_the_keys(here):
    few = ["--arms", "smote", "--arms", "jitter", "--estimators", "logistic", "--metrics", "roc_auc", "--folds", 2]
    assert run("compare", "train.csv", "-t", "y", *few, "--jobs", 1, "-o", "report")[0] == 0
    found = Comparison.from_json("report/comparison.json")
    assert (found.arms, found.estimators, found.metrics) == (("real", "smote", "jitter"), ("logistic",), ("roc_auc",))


def test_fidelity_and_privacy_are_measured_when_asked_for(here, done):
    few = ["--arm", "class_weight", "--arm", "duplicate", "--estimator", "logistic", "--folds", 2, "--amount", 60]
    code, _, err = run("compare", "train.csv", "-t", "y", *few, "--fidelity", "--privacy", "--jobs", 1, "-o", "report")
    assert (code, err) == (0, "")
    html = (here / "report" / "index.html").read_text("utf-8")
    assert "How true to the data" in html
    assert "What it gives away" in html
    assert "duplicate: Records are copied: 100.0%" in html
    assert "duplicate: in all" in html
    assert "class_weight: in all" not in html
    home, _ = done
    plain = (home / "report" / "index.html").read_text("utf-8")
    assert "How true to the data" not in plain
    assert "What it gives away" not in plain


def test_a_closer_look_that_cannot_be_had_is_told_and_the_rest_is_written(here):
    even = table(90).assign(y=["ill", "well"] * 45)
    even.to_csv("even.csv", index=False)
    (here / "study.yaml").write_text("target: y\narm: smote\nestimator: logistic\nfolds: 3\nprivacy: true\n")
    code, out, err = run("compare", "even.csv", "--config", "study.yaml", "--jobs", 1, "-o", "report")
    assert code == 0
    assert err == "The page has no closer look at smote: DataError: it adds no rows: say how many with `amount`.\n"
    assert out.startswith("Nothing was tried: no arm added rows.")
    assert "What it gives away" not in (here / "report" / "index.html").read_text("utf-8")


def test_what_cannot_be_measured_is_refused_before_anything_is_fitted_in_few_lines(here, monkeypatch):
    wanted = "at least 20 training and 20 test rows in the first split for `privacy`, got 48 and 12: take fewer folds"
    with monkeypatch.context() as patched:
        patched.setattr("synthaug.config.compare", lambda *args, **kwargs: pytest.fail("a study was begun"))
        refused("compare", "train.csv", "-t", "y", "--fidelity", "--privacy", "-o", "report", match=wanted)
    table().assign(id=range(1000, 1060)).to_csv("numbers.csv", index=False)
    code, _, err = run("compare", "numbers.csv", "-t", "id", "-o", "report")
    assert (code, len(err.splitlines())) == (1, 12)
    assert err.startswith("Error: 60 problems:\n- Class 1000 has 1 row, and at least 2 are needed")
    assert err.endswith("- And 50 more.\n")


def test_identifiers_are_told_once_for_all_folds(here, monkeypatch):
    quick = SynthResampler(Synthesizer(max_steps=5), random_state=0)
    monkeypatch.setattr(StudyConfig, "_ours", lambda self, name: quick)
    table().assign(id=[f"id-{i}" for i in range(60)]).to_csv("ids.csv", index=False)
    arms = ["--arm", "vae", "--estimator", "logistic", "--folds", 2]
    code, _, err = run("compare", "ids.csv", "-t", "y", *arms, "--jobs", 1, "-o", "report")
    assert code == 0
    assert err == (
        "Warning: The columns 'id' look like identifiers (text in which hardly a value comes twice) and are left out "
        "of the model: synthetic records miss them. Drop them from the table.\n"
    )


def test_a_page_is_made_again_from_what_was_measured(done, tmp_path):
    home, _ = done
    code, out, _ = run("report", home / "report" / "comparison.json", "-o", tmp_path / "page.html", "--title", "Again")
    assert code == 0
    assert f"The page is {tmp_path / 'page.html'}." in out
    found = Comparison.from_json(home / "report" / "comparison.json")
    assert found.verdict() in out
    found.to_html(tmp_path / "same.html", title="Again")
    assert (tmp_path / "page.html").read_bytes() == (tmp_path / "same.html").read_bytes()


def test_nothing_is_overwritten_unasked(done, tmp_path):
    home, _ = done
    json_file, page = home / "report" / "comparison.json", tmp_path / "page.html"
    page.write_text("mine")
    refused("report", json_file, "-o", page, match="exists: choose another output, or overwrite it with --force.")
    assert page.read_text() == "mine"
    assert run("report", json_file, "-o", page, "--force")[0] == 0
    assert page.read_text().startswith("<!doctype html>")
    before = json_file.read_bytes()
    compare = ["compare", home / "train.csv", "-t", "y", *FEW]
    refused(*compare, "-o", home / "report", match="exists")
    (tmp_path / "thesis").mkdir()
    refused(*compare, "-o", tmp_path / "thesis", "--force", match="--force spares it")
    assert json_file.read_bytes() == before


def test_a_config_says_what_the_command_does_not(here):
    (here / "study.yaml").write_text("target: y\narms: [jitter]\nestimators: [forest]\nfolds: 3\ngroups: patient\n")
    code, out, _ = run("compare", "train.csv", "--config", "study.yaml", "--arm", "smote", "--jobs", 1, "-o", "report")
    assert code == 0, out
    found = Comparison.from_json("report/comparison.json")
    assert (found.arms, found.estimators) == (("real", "smote"), ("forest",))
    assert found.data["columns"] == ["size", "kind", "when"]


def test_the_same_seed_gives_the_same_scores_and_a_store_spares_the_work(here):
    seen = []
    for name in ("a", "b"):
        args = ["compare", "train.csv", "-t", "y", *FEW, "--seed", 5, "--store", "cells", "-o", name]
        assert run(*args)[0] == 0
        seen.append({path: path.stat().st_mtime_ns for path in (here / "cells").rglob("*.json")})
    assert seen[0] == seen[1]
    assert len(seen[0]) == 9
    assert (here / "a" / "comparison.json").read_bytes() == (here / "b" / "comparison.json").read_bytes()


def test_an_arm_that_fails_is_told_by_the_exit_code_and_the_rest_is_written(here, monkeypatch):
    class Broken:
        def fit_resample(self, X, y):
            raise RuntimeError("no luck")

    built = StudyConfig.build_arms
    monkeypatch.setattr(StudyConfig, "build_arms", lambda self: {**built(self), "broken": Broken()})
    code, out, err = run("compare", "train.csv", "-t", "y", *FEW, "-o", "report")
    assert code == 1
    assert "broken failed 3 times, first with RuntimeError: no luck" in out
    assert "Warning: Without a score: 'broken' in 3 of 3 cells" in err
    assert err.endswith("Error: 'broken' failed in some cells: see above.\n")
    assert "RuntimeError: no luck" in (here / "report" / "index.html").read_text()


@pytest.mark.parametrize(
    ("args", "match"),
    [
        (["--target", "z"], "There is no column 'z': known are size, kind, when, patient, y."),
        ([], "Expected the column that holds the class: give --target, or `target` in the file."),
        (["-t", "y", "--arm", "vea"], "Unknown arm 'vea': did you mean 'vae'?"),
        (["-t", "y", "--estimator", "tree"], "Unknown estimator 'tree': known are logistic,"),
        (["-t", "y", "--metric", "acuracy"], "did you mean 'accuracy'?"),
        (
            ["-t", "y", "--amount", "many"],
            "Expected --amount to be a number of rows or a share such as 0.5, got 'many'.",
        ),
        (["-t", "y", "--amount", "0=5"], "Expected --amount to be a number of rows or a share such as 0.5, got '0=5'."),
        (["-t", "y", "--amount", "500.0"], "Expected --amount to be a whole number of rows or a share such as 0.5"),
        (["-t", "y", "--config", "none.yaml"], "There is no file none.yaml."),
        (["-t", "y", "--arm", "smote", "--folds", "50"], "Expected `cv` from 2 to 20"),
        (["-t", "when", *FEW], "The labels ('when') hold Timestamp"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(here, args, match):
    refused("compare", "train.csv", *args, "--jobs", 1, "-o", "report", match=match)
    assert [path.name for path in here.iterdir()] == ["train.csv"]


@pytest.mark.parametrize("content", ["{}", "[1]", "{", '{"kind": "synthaug pool"}'])
def test_a_file_that_is_no_comparison_is_refused(here, content):
    (here / "c.json").write_text(content)
    refused("report", "c.json", "-o", "p.html", match=".json" if content in ("[1]", "{") else "no comparison")
    assert not (here / "p.html").exists()


def test_a_changed_comparison_is_shown_as_text(done, tmp_path):
    home, _ = done
    state = json.loads((home / "report" / "comparison.json").read_text())
    state["versions"]["<img src=x>"] = "<script>1</script>"
    (tmp_path / "c.json").write_text(json.dumps(state))
    assert run("report", tmp_path / "c.json", "-o", tmp_path / "p.html")[0] == 0
    html = (tmp_path / "p.html").read_text("utf-8")
    assert "<img src=x>" not in html
    assert "<script" not in html


def test_examples_are_real_rows_and_made_ones():
    df = table()
    found = examples(StudyConfig(target="y", groups="patient"), df, "smote", n=3)
    assert found["synthetic"].tolist() == [False] * 3 + [True] * 3
    assert list(found.columns) == ["size", "kind", "when", "y", "synthetic"]
    real = found[~found["synthetic"]]
    assert real["size"].isin(df["size"]).all()
    assert examples(StudyConfig(target="y"), df, "class_weight").empty
    with pytest.raises(DataError, match="There is no column 'z'"):
        examples(StudyConfig(target="z"), df, "smote")
