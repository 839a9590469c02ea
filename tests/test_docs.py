"""What the documents say is what was measured."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHECK = ROOT / "benchmarks" / "check.py"


def test_the_figures_in_the_readme_are_those_of_the_results():
    assert (ROOT / "README.md").exists()
    found = subprocess.run([sys.executable, str(CHECK), "--figures"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_stale_figure_is_found(tmp_path):
    """The same checker, beside a README with a figure that nobody measured."""
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "benchmarks" / "check.py").write_text(CHECK.read_text())
    (tmp_path / "benchmarks" / "results" / "speed.json").write_text('{"fit_and_sample_seconds": {"vae": {"pima": 2}}}')
    readme = tmp_path / "README.md"
    readme.write_text("<!-- bench:speed -->\n\nA thousand times faster.\n\n<!-- /bench -->\n")
    check = [sys.executable, str(tmp_path / "benchmarks" / "check.py")]
    assert subprocess.run([*check, "--figures"], check=False).returncode == 1
    subprocess.run([*check, "--write"], check=True)
    assert "| vae | 2.00 |" in readme.read_text()
    assert subprocess.run([*check, "--figures"], check=False).returncode == 0
