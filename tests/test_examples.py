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
MEASURING = (ROOT / "docs" / "measuring.md").read_text()


def snippets_of(text):
    """The code of each section, whole: later parts of it use names of earlier ones."""
    sections = {one.partition("\n")[0]: one for one in re.split(r"^##+ ", text, flags=re.MULTILINE)}
    code = {title: "\n".join(re.findall(r"```python\n(.*?)```", one, re.DOTALL)) for title, one in sections.items()}
    return [(title, one) for title, one in code.items() if one]


SNIPPETS = snippets_of(README) + snippets_of(MEASURING)
COMMANDS = re.findall(r"^synthaug .+$", README, re.MULTILINE)
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(code, name, capsys):
    exec(compile(code, name, "exec"), {"__name__": "__main__"})
    return capsys.readouterr().out


@pytest.mark.parametrize(("title", "code"), SNIPPETS, ids=[title for title, _ in SNIPPETS])
def test_a_snippet_of_the_documents_runs_as_it_stands(title, code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(code, title, capsys)


def test_the_documents_have_snippets_and_the_command_line():
    assert [len(snippets_of(README)), len(snippets_of(MEASURING))] == [8, 2]
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
