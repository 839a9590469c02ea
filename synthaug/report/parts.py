"""What the page is made of: sections with panels and tables."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

__all__ = ["DASH", "MINUS", "Panel", "Pictures", "Row", "Section", "Table"]

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


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
class Pictures:
    """Images in `data:` addresses under one caption; `alt` tells what they show. A single one is large."""

    caption: str
    addresses: tuple[str, ...]
    alt: str


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it."""

    name: str
    heading: str
    text: str = ""
    panels: tuple[Panel, ...] = ()
    tables: tuple[Table, ...] = ()
    images: tuple[Pictures, ...] = ()
    note: str = ""
    wide: bool = False
