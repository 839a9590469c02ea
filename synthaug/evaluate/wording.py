"""A comparison in words: the verdict, and tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

__all__ = ["POOLED", "markdown_table", "verdict", "written"]

POOLED = "all"
"""The name under which the gains of all estimators together stand beside theirs."""

_ALPHA = 0.05


def written(row: Mapping[Any, Any], share: bool, sign: str = "") -> str:
    """A gain with its interval; in percentage points where scores are shares.

    >>> written({"gain": 0.021, "low": 0.012, "high": 0.03, "n": 10}, share=True, sign="+")
    '+2.1 [1.2, 3.0]'
    """
    gain, low, high = row["gain"], row["low"], row["high"]
    if row["n"] == 0:
        return "no score"
    if share:
        return f"{100 * gain:{sign}.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{gain:{sign}.3g} [{low:.3g}, {high:.3g}]"


def verdict(pooled: pd.DataFrame, metric: str, share: bool) -> str:
    """What helps and what harms, beyond chance also after Holm's correction; that nothing does; or that none can tell.

    Args:
        pooled: The gains of each arm over all estimators.
        metric: The name of the score.
        share: Whether the score is a share, told in percentage points.

    >>> row = {"arm": "smote", "gain": 0.03, "low": 0.01, "high": 0.05, "n": 10, "p_holm": 0.01}
    >>> verdict(pd.DataFrame([row]), "balanced_accuracy", share=True)
    'smote adds 3.0 [1.0, 5.0], in points of balanced accuracy, over the real data alone.'
    """
    words = metric.replace("_", " ")
    known = pooled[pooled["n"] > 1]
    if known.empty:
        return f"Cannot tell what helps {words}: no arm has scores of 2 splits or more, which an interval needs."
    sure = known[known["p_holm"] < _ALPHA].sort_values("gain", ascending=False).to_dict("records")
    parts = [f"{row['arm']} adds {written(row, share)}" for row in sure if row["gain"] > 0]
    if not parts:
        parts = [f"Nothing tried helps beyond chance ({len(known)} tried{_nearest(known, share)})"]
    lost = [{**row, "gain": -row["gain"], "low": -row["high"], "high": -row["low"]} for row in sure if row["gain"] < 0]
    parts += [f"{row['arm']} costs {written(row, share)}" for row in lost]
    return f"{'; '.join(parts)}, in {f'points of {words}' if share else words}, over the real data alone."


def _nearest(known: pd.DataFrame, share: bool) -> str:
    """An aside: the arm that would help had it been the only one tried, or else how much may have gone unseen."""
    alone = known[known["low"] > 0].sort_values("gain", ascending=False).to_dict("records")
    if alone:
        return f"; the nearest, {alone[0]['arm']}, adds {written(alone[0], share)}"
    most = known["high"].max()
    unseen = f"{100 * most:.1f}" if share else f"{most:.3g}"
    return f"; a gain of up to {unseen} cannot be ruled out" if most > 0 else ""


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    r"""A table in Markdown.

    >>> print(markdown_table(["arm", "gain"], [["a|b", "+1.0"]]))
    | arm | gain |
    | --- | --- |
    | a\|b | +1.0 |
    """
    names = list(header)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)
