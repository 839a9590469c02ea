"""Everything that the documents tell people to run, run."""

import re
import shlex
from pathlib import Path

import pytest
from sklearn.datasets import load_wine
from typer.testing import CliRunner

from synthaug.cli import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"^### (.+?)$.*?```python\n(.*?)```", README, re.DOTALL | re.MULTILINE)
COMMANDS = re.findall(r"^synthaug .+$", README, re.MULTILINE)
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(code, name, capsys):
    exec(compile(code, name, "exec"), {"__name__": "__main__"})
    return capsys.readouterr().out


@pytest.mark.parametrize(("title", "code"), SNIPPETS, ids=[title for title, _ in SNIPPETS])
def test_a_snippet_of_the_readme_runs_as_it_stands(title, code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(code, title, capsys)


def test_the_readme_has_eight_snippets_and_the_command_line():
    assert len(SNIPPETS) == 8
    assert len(COMMANDS) >= 6


def test_the_commands_of_the_readme_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load_wine(as_frame=True).frame.rename(columns={"target": "y"}).iloc[::2].to_csv("train.csv", index=False)
    for command in COMMANDS:
        result = CliRunner().invoke(app, shlex.split(command)[1:])
        assert result.exit_code == 0, f"{command}: {result.output}"
        assert result.output


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_tells_something(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert len(path.read_text().splitlines()) < 60
    assert run(path.read_text(), path.name, capsys)
