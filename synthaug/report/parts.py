"""What the page is made of: sections with panels and tables; and how numbers are written in them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

__all__ = ["DASH", "MINUS", "Panel", "Row", "Section", "Table", "Unit"]

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


@dataclass(frozen=True)
class Unit:
    """How scores of a metric are written: in points (hundredths) where they are shares, else as they are.

    >>> Unit("balanced_accuracy", share=True).signed(0.0213), Unit("neg_log_loss", share=False).signed(0.5)
    ('+2.1', '+0.500')
    """

    metric: str
    share: bool

    @property
    def words(self) -> str:
        """What the numbers count, to stand after "in".

        >>> Unit("balanced_accuracy", share=True).words
        'points of balanced accuracy'
        """
        name = self.metric.replace("_", " ")
        return f"points of {name}" if self.share else name

    def plain(self, value: float, sign: str = "") -> str:
        """A value without its unit."""
        if not math.isfinite(value):
            return "?" if math.isnan(value) else "∞" if value > 0 else f"{MINUS}∞"
        text = f"{100 * value:{sign}.1f}" if self.share else f"{value:{sign}{'.3f' if abs(value) < 100 else '.3g'}}"
        return text.replace("-", MINUS) if float(text) else text.lstrip("+-")  # no negative zero

    def signed(self, value: float) -> str:
        """A gain or a loss."""
        return self.plain(value, "+")

    def interval(self, low: float, high: float) -> str:
        """Both ends.

        >>> Unit("accuracy", share=True).interval(0.01, float("inf"))
        '[1.0, ∞]'
        """
        return f"[{self.plain(low)}, {self.plain(high)}]"


@dataclass(frozen=True)
class Row:
    """One line of a figure: a name, a picture, the numbers of the picture, and what they mean in a word."""

    label: str
    picture: Markup
    text: str
    more: str = ""
    word: str = ""


@dataclass(frozen=True)
class Panel:
    """Rows or a picture under one heading, with an axis below."""

    title: str
    rows: tuple[Row, ...] = ()
    axis: Markup | None = None
    picture: Markup | None = None


@dataclass(frozen=True)
class Table:
    """Plain rows of text; `marked` are told apart by colour, an edge and the word in their first cell."""

    head: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    caption: str = ""
    marked: tuple[bool, ...] = ()


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it."""

    name: str
    heading: str
    text: str = ""
    panels: tuple[Panel, ...] = ()
    tables: tuple[Table, ...] = ()
    images: tuple[tuple[str, str], ...] = ()
    note: str = ""
    wide: bool = False
