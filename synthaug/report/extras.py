"""Sections beyond the scores: how true the generated records are, what they give away, and some of them to look at."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from synthaug.report.figures import bar, risks
from synthaug.report.parts import Panel, Section, Table
from synthaug.report.svg import contact_sheet, png

__all__ = ["examples", "fidelity", "privacy"]

_MOST_ROWS, _MOST_COLUMNS, _MOST_PAIRS, _MOST_ATTACKS = 12, 10, 6, 8
_MOST_BYTES, _ACROSS = 240_000, 12  # of images


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
    """Some records of each arm: frames with a column `synthetic`, or images `(n, h, w)` or `(n, h, w, 3)`."""
    if not found:
        return None
    tables = [_example_table(str(name), value) for name, value in found.items() if isinstance(value, pd.DataFrame)]
    arrays = {str(name): np.asarray(value) for name, value in found.items() if not isinstance(value, pd.DataFrame)}
    images = tuple((name, _inline(array, _MOST_BYTES // len(arrays))) for name, array in arrays.items())
    return Section("examples", "Some records", tables=tuple(tables), images=images, wide=True)


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


def _inline(array: np.ndarray, budget: int) -> str:
    """Images as one PNG in a `data:` address: as many as the budget of bytes allows, large ones coarser."""
    pixels = array if array.dtype == np.uint8 else (np.clip(array, 0, 1) * 255).astype(np.uint8)
    if pixels.ndim == 4 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    step = max(1, max(pixels.shape[1:3]) // 64)
    pixels = pixels[:, ::step, ::step]
    pixels = pixels[: max(1, min(60, budget // max(pixels[0].nbytes, 1)))]
    if len(pixels) > _ACROSS:
        pixels = pixels[: len(pixels) // _ACROSS * _ACROSS]  # whole rows
    return "data:image/png;base64," + base64.b64encode(png(contact_sheet(pixels, _ACROSS))).decode()


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else f"{value:.4g}"
    return "" if value is pd.NA or value is None or value is pd.NaT else str(value)[:40]
