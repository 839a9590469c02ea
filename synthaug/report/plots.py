"""The figures of the page for a notebook, drawn by matplotlib, which is imported when the first is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from synthaug.errors import ParameterError
from synthaug.evaluate.wording import POOLED
from synthaug.report.figures import HARMS, HELPS, meaning
from synthaug.report.sections import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_curve", "plot_gains"]

_COLOURS = {HELPS: "#00655c", HARMS: "#a8321a"}
_SHAPES = {HELPS: "o", HARMS: "D"}
_OPEN = "#5f5b53"


def plot_gains(comparison: Any, ax: Axes | None = None, *, estimator: str = POOLED) -> Axes:
    """The gain of each arm with its 95% interval, the largest on top; filled where it is sure after Holm's correction.

    Args:
        comparison: A `Comparison`; its first metric is drawn.
        ax: Where to draw; a new figure by default.
        estimator: Whose gains; those of all pooled by default.

    Raises:
        ParameterError: an unknown estimator.

    >>> from sklearn.datasets import load_wine
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from synthaug import compare
    >>> X, y = load_wine(return_X_y=True)
    >>> plot_gains(compare({"again": None}, GaussianNB(), X, y, random_state=0)).get_xlabel()
    'gain in points of balanced accuracy'
    """
    study = Study(comparison)
    rows = study.gains[study.gains["estimator"] == estimator].sort_values("gain").to_dict("records")
    if not rows:
        known = ", ".join(map(repr, [*comparison.estimators, POOLED]))
        raise ParameterError(f"Expected `estimator` to be one of {known}, got {estimator!r}.")
    ax = ax or _new_axes()
    factor = 100 if study.unit.share else 1
    ax.axvline(0, color="black", linewidth=1)
    for place, row in enumerate(rows):
        word, gain = meaning(row), factor * row["gain"]
        colour = _COLOURS.get(word, _OPEN)
        ax.plot([factor * row["low"], factor * row["high"]], [place, place], color=colour)
        ax.plot(
            [gain],
            [place],
            _SHAPES.get(word, "o"),
            color=colour,
            markerfacecolor=colour if word in _COLOURS else "white",
        )
    ax.set_yticks(range(len(rows)), [str(row["arm"]) for row in rows])
    ax.set_xlabel(f"gain in {study.unit.words}")
    return ax


def plot_curve(frame: pd.DataFrame, ax: Axes | None = None, *, metric: str | None = None) -> Axes:
    """Gains with 95% bands against the amount added or the number of real rows, one line an arm or estimator.

    Args:
        frame: What `amount_curve` or `learning_curve` returned.
        ax: Where to draw; a new figure by default.
        metric: Which metric; the first in the frame by default.

    Raises:
        ParameterError: a metric that the frame has not.

    >>> curve = {"amount": [0, 1], "estimator": "all", "metric": "accuracy", "gain": [0, 0.1], "low": 0, "high": 0.2}
    >>> plot_curve(pd.DataFrame(curve)).get_xlabel()
    'amount'
    """
    metric = metric or str(frame["metric"].iloc[0])
    points = frame[frame["metric"] == metric]
    if points.empty:
        known = ", ".join(map(repr, frame["metric"].unique()))
        raise ParameterError(f"Expected `metric` to be one of {known}, got {metric!r}.")
    ax = ax or _new_axes()
    x = "amount" if "amount" in points else "n"
    if "arm" in points and (points["estimator"] == POOLED).any():
        points = points[points["estimator"] == POOLED]
    ax.axhline(0, color="black", linewidth=1)
    for name, part in points.groupby("arm" if "arm" in points else "estimator", sort=False):
        part = part.sort_values(x)
        (line,) = ax.plot(part[x], part["gain"], marker="o", label=str(name))
        ax.fill_between(part[x], part["low"], part["high"], color=line.get_color(), alpha=0.15)
    if x == "n":
        ax.set_xscale("log")
    ax.set_xlabel("amount" if x == "amount" else "real training rows")
    ax.set_ylabel(f"gain in {metric.replace('_', ' ')}")
    ax.legend()
    return ax


def _new_axes() -> Axes:
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]
