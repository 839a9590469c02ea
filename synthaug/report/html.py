"""The page: one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from synthaug.errors import DataError
from synthaug.files import atomic_write
from synthaug.report import extras
from synthaug.report.parts import Section
from synthaug.report.sections import Study

__all__ = ["Findings", "page", "write", "write_page"]

_TITLE = "Does more training data help?"


@dataclass(frozen=True, eq=False)
class Findings:
    """A comparison and what else is known of it, for a page of several (`write_page`).

    Args:
        comparison: What `compare` or `compare_training` returned.
        fidelity: As the others, see `page`.

    >>> Findings("no comparison").examples is None
    True
    """

    comparison: Any
    fidelity: Any = None
    privacy: Any = None
    amounts: Any = None
    learning: Any = None
    examples: Mapping[str, Any] | None = None

    def shown(self, title: str, prefix: str = "") -> dict[str, Any]:
        """What the template tells of it; `prefix` keeps its sections apart from those of others."""
        if self.comparison.scores.empty:
            raise DataError(
                "Expected a comparison with scores, got one without: every cell failed, see its `failures`."
            )
        study = Study(self.comparison)
        found: list[Section | None] = [
            study.forest(),
            study.by_estimator(),
            study.other_metrics(),
            study.by_class(),
            study.amounts(self.amounts),
            study.learning(self.learning),
            extras.fidelity(self.fidelity),
            extras.privacy(self.privacy),
            study.costs(),
            extras.examples(self.examples),
            study.run(),
        ]
        return {
            "title": title,
            "prefix": prefix,
            "verdict": study.verdict,
            "advice": study.advice(),
            "standfirst": study.standfirst(),
            "sections": [section for section in found if section is not None],
        }


def page(
    comparison: Any,
    *,
    fidelity: Any = None,
    privacy: Any = None,
    amounts: Any = None,
    learning: Any = None,
    examples: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> str:
    """A comparison as one HTML page, under 1 MB: the verdict first, then the figures, then what was run.

    It reads in light and dark, on a phone and on paper. Sections without data are left out.

    Args:
        comparison: What `compare` or `compare_training` returned.

    Other Arguments:
        fidelity: What `fidelity` returned, or several by name.
        privacy: What `privacy_risk` returned, or several by name.
        amounts: What `amount_curve` returned: columns amount, estimator, metric, gain, low, high.
        learning: What `learning_curve` returned: columns n, arm, estimator, metric, gain, low, high.
        examples: Some records by arm: data frames with a column `synthetic` that is true for generated rows; or images
            `(n, h, w)`, `(n, h, w, 3)` or `(n, 3, h, w)`, or one picture `(h, w)` or `(h, w, 3)`, bytes or floats in 0
            to 1; or a mapping of captions to such images, which are shown row by row.
        title: The line above the verdict.

    Raises:
        DataError: a comparison without scores.

    >>> from sklearn.datasets import load_wine
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from synthaug import compare
    >>> X, y = load_wine(return_X_y=True)
    >>> html = page(compare({"again": None}, GaussianNB(), X, y, random_state=0), title="Wine")
    >>> html[:15], "<script" in html, len(html) < 1_000_000
    ('<!doctype html>', False, True)
    """
    found = Findings(comparison, fidelity, privacy, amounts, learning, examples)
    return _rendered([found.shown(title or _TITLE)], title or _TITLE)


def write(path: str | os.PathLike[str], comparison: Any, **more: Any) -> None:
    """Write `page(comparison, **more)` to a file, whole or not at all.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from synthaug import compare
    >>> X, y = load_wine(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder, "wine.html"), compare({"again": None}, GaussianNB(), X, y, random_state=0))
    ...     Path(folder, "wine.html").stat().st_size < 1_000_000
    True
    """
    _write(path, page(comparison, **more))


def write_page(path: str | os.PathLike[str], studies: Mapping[str, Any], *, title: str | None = None) -> None:
    """Write several comparisons as one page, as `page` does one: all verdicts first, then one study after another.

    Args:
        path: A file, written whole or not at all.
        studies: By title, what `compare` or `compare_training` returned, or `Findings`.
        title: The line above the verdicts.

    Raises:
        DataError: no studies, or one without scores.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris, load_wine
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from synthaug import compare
    >>> studies = {
    ...     load.__name__: compare({"again": None}, GaussianNB(), *load(return_X_y=True), random_state=0)
    ...     for load in (load_iris, load_wine)
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_page(Path(folder, "flowers_and_wine.html"), studies)
    ...     Path(folder, "flowers_and_wine.html").read_text("utf-8").count("<article")
    2
    """
    if not studies:
        raise DataError("Expected at least one comparison, got none.")
    found = [one if isinstance(one, Findings) else Findings(one) for one in studies.values()]
    shown = [one.shown(name, f"study-{i}-") for i, (name, one) in enumerate(zip(studies, found, strict=True), 1)]
    _write(path, _rendered(shown, title or _TITLE))


def _rendered(studies: list[dict[str, Any]], title: str) -> str:
    return _template().render(title=title, studies=studies, style=_style())


def _write(path: str | os.PathLike[str], text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("synthaug.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


@cache
def _style() -> Markup:
    return Markup(resources.files("synthaug.report").joinpath("page.css").read_text("utf-8"))
