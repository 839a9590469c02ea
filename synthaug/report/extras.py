"""Sections beyond the scores: how true the generated records are, what they give away, and some of them to look at."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from synthaug.errors import DataError
from synthaug.evaluate.wording import SURE
from synthaug.report.figures import bar, risks
from synthaug.report.parts import Panel, Pictures, Section, Table
from synthaug.report.svg import contact_sheet, png

__all__ = ["examples", "fidelity", "privacy"]

_MOST_ROWS, _MOST_COLUMNS, _MOST_PAIRS, _MOST_ATTACKS = 12, 10, 6, 8
_MOST_BYTES, _ACROSS = 240_000, 12  # of images
_MOST_IMAGES, _MOST_STRIP, _MOST_STRIPS = 60, 8, 24
_LARGE, _SMALL = 640, 64  # pixels of the longer side, alone and among others


def fidelity(found: Any) -> Section | None:
    """How the generated rows differ from the real ones; `found` is one `Fidelity`, or several by name."""
    if found is None:
        return None
    several = found if isinstance(found, Mapping) else {"": found}
    panels: list[Panel] = []
    tables: list[Table] = []
    for name, one in several.items():
        prefix = f"{name}: " if name else ""
        panels += [_overall(prefix, one), *_shifts(prefix, one.columns)]
        tables += _pairs(prefix, one.pairs)
    text = (
        "Whether the generated records look like real ones. It is no proof of use: records made to train a classifier "
        "are often narrower than the data, and some that look perfect add nothing."
    )
    notes = [str(note) for one in several.values() for note in one.notes]
    return Section("fidelity", "How true to the data", text, tuple(panels), tuple(tables), note=" ".join(notes))


_MEASURES = {
    "precision": "generated near real",
    "recall": "real near generated",
    "density": "1 is as dense as real",
    "coverage": "real with one nearby",
    "two_sample_accuracy": "0.5: cannot be told apart",
    "tstr": "learned from generated",
    "trts": "tested on generated",
    "trtr": "learned and tested on real",
}


def _overall(prefix: str, one: Any) -> Panel:
    """Each measure, and what as many real records reach where some were held out."""
    rows = []
    for name, word in _MEASURES.items():
        value, real = getattr(one, name), getattr(one.reference, name, math.nan)
        if not math.isnan(value):
            more = "" if math.isnan(real) else f"real {real:.2f}"
            rows.append(bar(name.replace("_", " "), value, text=f"{value:.2f}", more=more, word=word))
    return Panel(f"{prefix}in all", tuple(rows))


def _shifts(prefix: str, columns: pd.DataFrame) -> list[Panel]:
    known = columns.dropna(subset="shift").sort_values("shift", ascending=False).to_dict("records")
    rows = [
        bar(str(row["column"]), row["shift"], text=f"{row['shift']:.2f}", word=str(row["kind"]))
        for row in known[:_MOST_ROWS]
    ]
    more = f", the {len(rows)} largest of {len(known)}" if len(known) > len(rows) else ""
    return [Panel(f"{prefix}shift of each column, 0 to 1{more}", tuple(rows))] if rows else []


def _pairs(prefix: str, pairs: pd.DataFrame) -> list[Table]:
    """The associations that differ most."""
    worst = pairs.dropna(subset="difference").sort_values("difference", key=abs, ascending=False)
    body = [
        (f"{row['first']}, {row['second']}", str(row["measure"]), f"{row['real']:.2f}", f"{row['synthetic']:.2f}")
        for row in worst.head(_MOST_PAIRS).to_dict("records")
    ]
    head = ("columns", "association", "real", "generated")
    return [Table(head, tuple(body), f"{prefix}associations that differ most")] if body else []


def privacy(found: Any) -> Section | None:
    """What an attacker learns of the training rows; `found` is one `PrivacyRisk`, or several by name."""
    if found is None:
        return None
    several = found if isinstance(found, Mapping) else {"": found}
    panels, tables, told = [], [], []
    for name, one in several.items():
        panels += _memorised(str(name), one.copies)
        worst = one.attacks.loc[one.attacks["risk"].nlargest(_MOST_ATTACKS).index.sort_values()]
        more = f", the {len(worst)} riskiest of {len(one.attacks)}" if len(worst) < len(one.attacks) else ""
        panels.append(risks(f"{name}: attacks{more}" if name else f"Attacks{more}", worst.to_dict("records")))
        tables += [_tries(str(name), worst), _copies(str(name), one.copies)]
        told.append(f"{name}: {one.verdict()}" if name else one.verdict())
    note = (
        "The risk is how much better an attack does on training records than on records that the generator never saw: "
        "0 is no better, 100% is always. Lines are intervals. What gives nothing away here may still fall to an attack "
        "that was not tried."
    )
    return Section("privacy", "What it gives away", " ".join(told), tuple(panels), tuple(tables), note=note, wide=True)


def _memorised(name: str, copies: pd.DataFrame) -> list[Panel]:
    """The share of generated records whose nearest real record was trained on; half of them, if nothing is copied."""
    rows = []
    for row in copies[copies["measure"] == "nearer"].to_dict("records"):
        expected = (row["train"] + row["holdout"]) / 2  # above a half where records are as near to both
        word = "more than by chance" if row["p"] < SURE else "no more than by chance"
        text, more = f"{row['train']:.0%}", f"{expected:.0%} expected"
        rows.append(bar("of the generated records", row["train"], text=text, expected=expected, more=more, word=word))
    title = "Nearer to a training record than to one never seen"
    return [Panel(f"{name}: {title[0].lower()}{title[1:]}" if name else title, tuple(rows))] if rows else []


def _copies(name: str, copies: pd.DataFrame) -> Table:
    named = {"exact": "equal to one of them", "near": "near one of them", "nearer": "nearer to one of them"}
    body = [
        (named.get(row["measure"], str(row["measure"])), _percent(row["train"]), _percent(row["holdout"]))
        for row in copies.to_dict("records")
    ]
    head = ("generated records that are", "training records", "records never seen")
    return Table(head, tuple(body), f"{name}: copies" if name else "Copies")


def _tries(name: str, attacks: pd.DataFrame) -> Table:
    body = [
        (str(row["attack"]), *(_percent(row[key]) for key in ("rate", "control", "baseline")), f"{row['n']:,}")
        for row in attacks.to_dict("records")
    ]
    head = ("right about", "training records", "records never seen", "by chance", "tries")
    return Table(head, tuple(body), f"{name}: how often attacks are right" if name else "How often attacks are right")


def _percent(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.1%}"


def examples(found: Mapping[str, Any] | None) -> Section | None:
    """Some records of each arm: frames with a column `synthetic`, images, or rows of images by name (see `page`)."""
    if not found:
        return None
    tables = [_example_table(str(name), value) for name, value in found.items() if isinstance(value, pd.DataFrame)]
    pictures = {str(name): value for name, value in found.items() if not isinstance(value, pd.DataFrame)}
    rows = [name for name, value in pictures.items() if isinstance(value, Mapping)]
    text = f"Of {rows[0]}." if len(rows) == 1 else ""  # told once
    images: list[Pictures] = []
    for name, value in pictures.items():
        budget = _MOST_BYTES // len(pictures)
        told = "" if text else f"{name}: "
        images += _strips(name, value, budget, told) if isinstance(value, Mapping) else [_sheet(name, value, budget)]
    return Section("examples", "Some records", text, tables=tuple(tables), images=tuple(images), wide=not rows)


def _example_table(name: str, frame: pd.DataFrame) -> Table:
    frame = frame.head(_MOST_ROWS)
    synthetic = frame["synthetic"].astype(bool) if "synthetic" in frame else pd.Series(True, index=frame.index)
    shown = frame.drop(columns="synthetic", errors="ignore")
    cut = shown.iloc[:, :_MOST_COLUMNS]
    body = [
        ("generated" if flag else "real", *(_cell(value) for value in row))
        for flag, row in zip(synthetic, cut.itertuples(index=False, name=None), strict=True)
    ]
    left = shown.shape[1] - cut.shape[1]
    caption = name + (f" (the first {cut.shape[1]} of {shown.shape[1]} columns)" if left else "")
    return Table(("", *map(str, cut.columns)), tuple(body), caption, tuple(map(bool, synthetic)))


def _sheet(name: str, value: Any, budget: int) -> Pictures:
    """Images side by side as one picture: as many as the budget of bytes allows."""
    pixels = _pixels(value)
    pixels = pixels[: max(1, min(_MOST_IMAGES, budget // max(pixels[0].nbytes, 1)))]
    if len(pixels) > _ACROSS:
        pixels = pixels[: len(pixels) // _ACROSS * _ACROSS]  # whole rows
    return Pictures(name, (_address(contact_sheet(pixels, _ACROSS)),), f"A grid of records of {name}")


def _strips(name: str, rows: Mapping[Any, Any], budget: int, told: str) -> list[Pictures]:
    """The images of each row one by one."""
    shown = list(rows.items())[:_MOST_STRIPS]
    strips = []
    for key, value in shown:
        pixels = _pixels(value)
        pixels = pixels[: max(1, min(_MOST_STRIP, budget // len(shown) // max(pixels[0].nbytes, 1)))]
        strips.append(Pictures(f"{told}{key}", tuple(map(_address, pixels)), f"Records of {name}: {key}"))
    return strips


def _pixels(value: Any) -> np.ndarray:
    """Images as bytes `(n, h, w)` or `(n, h, w, 3)`; channels may come first, and one picture stands for itself."""
    array = np.asarray(value)
    if array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 3):
        array = array[None]
    if array.ndim == 4 and array.shape[-1] not in (1, 3) and array.shape[1] in (1, 3):
        array = np.moveaxis(array, 1, -1)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if not len(array) or array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] != 3):
        raise DataError(
            f"Expected `examples` of images of shape (n, h, w), (n, h, w, 3) or (n, 3, h, w), or one picture (h, w) or "
            f"(h, w, 3), got shape {np.shape(value)}."
        )
    step = max(1, max(array.shape[1:3]) // (_SMALL if len(array) > 1 else _LARGE))
    array = array[:, ::step, ::step]
    return array if array.dtype == np.uint8 else (np.clip(array, 0, 1) * 255).astype(np.uint8)


def _address(pixels: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else f"{value:.4g}"
    return "" if value is pd.NA or value is None or value is pd.NaT else str(value)[:40]
