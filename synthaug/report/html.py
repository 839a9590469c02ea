"""The page: one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from synthaug.errors import DataError
from synthaug.files import atomic_write
from synthaug.report import extras
from synthaug.report.sections import Study

__all__ = ["page", "write"]


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
        examples: Some records by arm: data frames with a column `synthetic` that is true for generated rows, or images
            `(n, h, w)` or `(n, h, w, 3)`, bytes or floats in 0 to 1.
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
    if comparison.scores.empty:
        raise DataError("Expected a comparison with scores, got one without: every cell failed, see its `failures`.")
    study = Study(comparison)
    found = [
        study.forest(),
        study.by_estimator(),
        study.other_metrics(),
        study.by_class(),
        study.amounts(amounts),
        study.learning(learning),
        extras.fidelity(fidelity),
        extras.privacy(privacy),
        study.costs(),
        extras.examples(examples),
        study.run(),
    ]
    return _template().render(
        title=title or "Does more training data help?",
        verdict=study.headline(),
        advice=study.advice(),
        standfirst=study.standfirst(),
        sections=[section for section in found if section is not None],
        style=_style(),
    )


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
    text = page(comparison, **more)
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
