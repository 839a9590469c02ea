"""The figures of the page: rows with an interval or a bar and their numbers beside, and curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from markupsafe import Markup

from synthaug.evaluate.wording import SURE, Unit
from synthaug.report.parts import DASH, MINUS, Panel, Row
from synthaug.report.svg import Scale, figure, tag, ticks, whole

__all__ = ["HARMS", "HELPS", "bar", "curve", "forest", "meaning", "risks", "shared_scale"]

_ROW, _AXIS, _CURVE = 36, 24, 190  # heights in pixels
HELPS, HARMS, OPEN, SAME, NONE = "helps", "harms", "cannot tell", "no change", "no score"


def shared_scale(frame: pd.DataFrame, reach: float = 3) -> Scale:
    """One scale for all panels of a figure: zero, all gains, and intervals up to `reach` times the largest gain.

    >>> wide = pd.DataFrame({"gain": [0.01, 0.02], "low": [-0.01, -float("inf")], "high": [0.03, float("inf")]})
    >>> scale = shared_scale(wide)
    >>> round(scale.low, 4), round(scale.high, 4)
    (-0.01, 0.03)
    """
    gains = [0.0, *whole(frame["gain"])]
    far = reach * max(max(map(abs, gains)), 0.01)
    low = min([*gains, *(max(value, -far) for value in whole(frame["low"]))])
    high = max([*gains, *(min(value, far) for value in whole(frame["high"]))])
    return Scale(low, high) if high > low else Scale(-0.01, 0.01)


def forest(title: str, rows: Iterable[Mapping[Any, Any]], scale: Scale, unit: Unit, *, brief: bool = True) -> Panel:
    """Gains with their intervals, one row an arm.

    A gain that is sure after Holm's correction is a filled circle, a sure loss a filled diamond, all else is hollow.
    If `brief`, the word for what cannot be told is left to the hollow mark.
    """
    steps = _steps(scale, unit, 5 if brief else 6)
    made = [_gain_row(row, scale, unit, steps) for row in rows]
    shown = [replace(row, word="") if brief and row.word in (OPEN, NONE) else row for row in made]
    return Panel(title, tuple(shown), _axis(scale, steps))


def meaning(row: Mapping[Any, Any]) -> str:
    """What a gain with its interval says, in a word or two.

    >>> meaning({"gain": 0.02, "low": 0.01, "high": 0.03, "p_holm": 0.04, "n": 10})
    'helps'
    """
    gain, low, high = row["gain"], row["low"], row["high"]
    if row.get("n", 1) == 0 or math.isnan(gain):
        return NONE
    if gain == low == high == 0:
        return SAME
    sure = row["p_holm"] < SURE if "p_holm" in row else low > 0 or high < 0
    return OPEN if not sure else HELPS if gain > 0 else HARMS


def _gain_row(row: Mapping[Any, Any], scale: Scale, unit: Unit, steps: Sequence[tuple[float, str]]) -> Row:
    name, word = str(row["arm"]), meaning(row)
    if word == NONE:
        return Row(name, figure(f"{name}: no score", *_grid(scale, steps), height=_ROW), DASH, word=NONE)
    gain, low, high = row["gain"], row["low"], row["high"]
    text, more = unit.signed(gain), unit.interval(low, high)
    kind = {HELPS: "gain", HARMS: "loss"}.get(word, "open")
    shapes = [*_grid(scale, steps), *_span(scale, low, high, kind), _mark(scale.percent(gain), kind)]
    title = f"{name}: {text} {more} {unit.words}, {word}"
    return Row(name, figure(title, *shapes, height=_ROW), text, more, word)


def _span(scale: Scale, low: float, high: float, kind: str) -> list[Markup]:
    """The interval as a line, with an arrow where it leaves the figure."""
    middle = _ROW / 2
    line = tag("line", x1=scale.percent(low), x2=scale.percent(high), y1=middle, y2=middle, class_=f"span {kind}")
    arrows = [
        tag(
            "svg",
            tag("path", d=f"M{-9 * side},{middle - 5}L0,{middle}L{-9 * side},{middle + 5}Z", class_=f"arrow {kind}"),
            x=scale.percent(end),
            overflow="visible",
        )
        for end, side, out in ((low, -1, low < scale.low), (high, 1, high > scale.high))
        if out
    ]
    return [line, *arrows]


def _mark(x: str, kind: str, y: float = _ROW / 2) -> Markup:
    """A shape at a place: a circle for gains, a diamond for losses, hollow where nothing is sure."""
    if kind == "loss":
        shape = tag("path", d=f"M0,{y - 6}L6,{y}L0,{y + 6}L-6,{y}Z", class_="mark loss")
        return tag("svg", shape, x=x, overflow="visible")
    return tag("circle", cx=x, cy=y, r=4.5, class_=f"mark {kind}")


def _steps(scale: Scale, unit: Unit | None, about: int = 4) -> list[tuple[float, str]]:
    """Places and labels of the ticks."""
    factor = 100 if unit and unit.share else 1
    places = ticks(scale.low * factor, scale.high * factor, about)
    return [(place / factor, f"{place:+g}".replace("-", MINUS) if place else "0") for place in places]


def _grid(scale: Scale, steps: Sequence[tuple[float, str]]) -> list[Markup]:
    return [
        tag("line", x1=scale.percent(at), x2=scale.percent(at), y1=0, y2=_ROW, class_="grid" if at else "zero")
        for at, _ in steps
    ]


def _axis(scale: Scale, steps: Sequence[tuple[float, str]]) -> Markup:
    texts = [tag("text", text, x=scale.percent(at), y=15, text_anchor="middle", class_="tick") for at, text in steps]
    return figure("Scale from " + " to ".join([steps[0][1], steps[-1][1]]), *texts, height=_AXIS)


def bar(
    label: str,
    value: float,
    *,
    text: str,
    most: float = 1.0,
    expected: float | None = None,
    more: str = "",
    word: str = "",
) -> Row:
    """A value from 0 to `most` as the length of a bar, with a line where it is `expected` to end.

    >>> bar("age", 0.25, text="0.25").text
    '0.25'
    """
    scale = Scale(0, most or 1.0, 0, 100)
    shapes = [
        tag("rect", x=0, y=_ROW / 2 - 4, width="100%", height=8, class_="trough"),
        tag(
            "rect",
            x=0,
            y=_ROW / 2 - 4,
            width=scale.percent(value if math.isfinite(value) else 0),
            height=8,
            class_="bar",
        ),
    ]
    if expected is not None:
        at = scale.percent(expected)
        shapes.append(tag("line", x1=at, x2=at, y1=_ROW / 2 - 9, y2=_ROW / 2 + 9, class_="zero"))
    return Row(label, figure(f"{label}: {text}", *shapes, height=_ROW), text, more, word)


def risks(title: str, rows: Iterable[Mapping[Any, Any]]) -> Panel:
    """Risks of attacks, from 0 (as against records never seen) to 1, with their intervals."""
    scale = Scale(0, 1)
    steps = [(0.0, "0"), (0.25, "25%"), (0.5, "50%"), (0.75, "75%"), (1.0, "100%")]
    return Panel(title, tuple(_risk_row(row, scale, steps) for row in rows), _axis(scale, steps))


def _risk_row(row: Mapping[Any, Any], scale: Scale, steps: Sequence[tuple[float, str]]) -> Row:
    name = str(row["attack"]).replace("_", " ")
    risk, low, high = (float(row[key]) for key in ("risk", "low", "high"))
    if math.isnan(risk):
        return Row(name, figure(f"{name}: not tried", *_grid(scale, steps), height=_ROW), DASH, word="not tried")
    text, more = f"{100 * risk:.0f}%", f"[{100 * low:.0f}, {100 * high:.0f}]"
    shapes = [*_grid(scale, steps), *_span(scale, low, high, "open"), _mark(scale.percent(risk), "risk")]
    return Row(name, figure(f"{name}: risk {text} {more}", *shapes, height=_ROW), text, more)


def curve(title: str, points: pd.DataFrame, x: str, scale: Scale, across: Scale, unit: Unit) -> Panel:
    """A gain with its interval against `x`; `scale` is that of the gains and `across` that of `x`."""
    points = points.sort_values(x)
    up = Scale(scale.low, scale.high, _CURVE - 26, 14)
    steps = _steps(scale, unit)
    grid = [
        shape
        for at, text in steps
        for shape in (
            tag("line", x1=0, x2="100%", y1=up(at), y2=up(at), class_="grid" if at else "zero"),
            tag("text", text, x=0, y=up(at) - 4, class_="tick"),
        )
    ]
    places = [(across(row[x]), row) for row in points.to_dict("records") if math.isfinite(row["gain"])]
    known = [(at, row) for at, row in places if math.isfinite(row["low"]) and math.isfinite(row["high"])]
    band = [(at, up(row["low"])) for at, row in known] + [(at, up(row["high"])) for at, row in reversed(known)]
    stretched = tag(
        "svg",
        tag("polygon", points=_path(band), class_="band"),
        tag("polyline", points=_path([(at, up(row["gain"])) for at, row in places]), class_="line"),
        viewBox=f"0 0 100 {_CURVE}",
        preserveAspectRatio="none",
        width="100%",
        height=_CURVE,
    )
    dots = [
        _mark(f"{at:.2f}%", {HELPS: "gain", HARMS: "loss"}.get(meaning(row), "open"), up(row["gain"]))
        for at, row in places
    ]
    below = [
        tag("text", f"{row[x]:g}", x=f"{at:.2f}%", y=_CURVE - 6, text_anchor="middle", class_="tick")
        for at, row in places
    ]
    told = "; ".join(
        f"{row[x]:g}: {unit.signed(row['gain'])} {unit.interval(row['low'], row['high'])}" for _, row in places
    )
    return Panel(
        title, picture=figure(f"{title}: gain against {x}", *grid, stretched, *dots, *below, height=_CURVE, text=told)
    )


def _path(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{at:.2f},{height:.2f}" for at, height in points)
