"""Drawing without a library: elements, scales and ticks.

Across, everything is in percent of the width and text is in pixels, so a figure is sharp and legible on a phone and on
paper. Colours come from the style sheet, so it follows a dark theme.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup, escape

__all__ = ["Scale", "contact_sheet", "figure", "png", "tag", "ticks", "whole"]


def tag(name: str, *children: Any, **attributes: Any) -> Markup:
    """One element; text and values are escaped, `_` in a name is `-`, and a trailing `_` is dropped.

    >>> str(tag("text", "a < b", class_="tick", text_anchor="end"))
    '<text class="tick" text-anchor="end">a &lt; b</text>'
    """
    told = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _short(value))
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, told, Markup("").join(map(escape, children)))


def figure(title: str, *children: Any, height: int, text: str = "", class_: str | None = None) -> Markup:
    """A picture as wide as its place and `height` pixels high, with a title and, where `text` is given, a description.

    >>> str(figure("A dot", tag("circle", cx="50%", cy=5, r=2), height=10)).count("<title>A dot</title>")
    1
    """
    told = [tag("title", title), *([tag("desc", text)] if text else [])]
    return tag("svg", *told, *children, class_=class_, role="img", aria_label=title, width="100%", height=height)


@dataclass(frozen=True)
class Scale:
    """From values to percent of the width (or to pixels): `low` falls on `start`, `high` on `end`.

    >>> Scale(0, 10, 4, 96)(5), Scale(1, 100, 0, 100, math.log)(10)
    (50.0, 50.0)
    """

    low: float
    high: float
    start: float = 4.0
    end: float = 96.0
    bend: Callable[[float], float] = float

    def __call__(self, value: float) -> float:
        """The place of a value; beyond the ends, the end."""
        low, high = self.bend(self.low), self.bend(self.high)
        share = (self.bend(min(max(value, self.low), self.high)) - low) / (high - low) if high > low else 0.5
        return self.start + (self.end - self.start) * share

    def percent(self, value: float) -> str:
        """The place as SVG reads it.

        >>> Scale(0, 1).percent(0.5)
        '50%'
        """
        return f"{_short(self(value))}%"


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """About so many round numbers between two values: steps of 1, 2 or 5 times a power of ten.

    >>> ticks(-1.3, 4.2), ticks(0, 0.6, 3)
    ([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 0.2, 0.4, 0.6])
    """
    rough = (high - low) / about
    if not (math.isfinite(rough) and rough > 0):
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.8)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 10) + 0.0 for i in range(first, last + 1)]


def whole(values: Iterable[float]) -> list[float]:
    """Those that are neither missing nor infinite.

    >>> whole([1.0, float("nan"), float("inf")])
    [1.0]
    """
    return [float(value) for value in values if math.isfinite(value)]


def contact_sheet(images: np.ndarray, columns: int) -> np.ndarray:
    """Pictures `(n, h, w)` or `(n, h, w, 3)` side by side in one `(rows * h, columns * w, ...)`, a pixel apart.

    >>> contact_sheet(np.zeros((5, 8, 8), np.uint8), columns=3).shape
    (17, 26)
    """
    n, height, width = images.shape[:3]
    columns = min(columns, n)
    sheet = np.full((-(-n // columns) * (height + 1), columns * (width + 1), *images.shape[3:]), 255, np.uint8)
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        sheet[row * (height + 1) :, column * (width + 1) :][:height, :width] = image
    return sheet[:-1, :-1]


def png(pixels: np.ndarray) -> bytes:
    r"""A picture `(h, w)` or `(h, w, 3)` of bytes as a PNG file (W3C, Portable Network Graphics, 2003).

    >>> png(np.zeros((2, 3), np.uint8))[:4]
    b'\x89PNG'
    """
    colour = 2 if pixels.ndim == 3 else 0
    height, width = pixels.shape[:2]
    lines = b"".join(b"\0" + line.tobytes() for line in np.ascontiguousarray(pixels, np.uint8))
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def _short(value: Any) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
