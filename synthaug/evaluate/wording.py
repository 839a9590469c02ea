"""A comparison in words: numbers as people read them, the verdict, and tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from synthaug.errors import listed

__all__ = ["FEWEST", "POOLED", "SURE", "Unit", "markdown_table", "unsettled", "verdict"]

POOLED = "all"
"""The name under which the gains of all estimators together stand beside theirs."""

SURE = 0.05
"""Holm's adjusted p-value below which a gain is told as one."""

FEWEST = 10
"""Rows of each class that have to be tested on, in all splits together, for any gain to be told as one."""

_REMEDY = (
    "Without `amount`, classes only grow to the size of the largest: say how many rows to add, such as 0.5 for half as "
    "many as there are."
)


@dataclass(frozen=True)
class Unit:
    """How scores of a metric are written: in points (hundredths) where they are shares, else as they are.

    Args:
        metric: Its name.
        share: Whether its scores lie in 0 to 1.
        minus: The sign of what is below 0.

    >>> Unit("balanced_accuracy", share=True).signed(0.0213), Unit("neg_log_loss", share=False).signed(0.5)
    ('+2.1', '+0.500')
    """

    metric: str
    share: bool
    minus: str = "-"

    @property
    def name(self) -> str:
        """The metric without underscores."""
        return self.metric.replace("_", " ")

    @property
    def words(self) -> str:
        """What the numbers count, to stand after "in".

        >>> Unit("balanced_accuracy", share=True).words
        'points of balanced accuracy'
        """
        return f"points of {self.name}" if self.share else self.name

    def plain(self, value: float, sign: str = "") -> str:
        """A value without its unit."""
        if not math.isfinite(value):
            return "?" if math.isnan(value) else "∞" if value > 0 else f"{self.minus}∞"
        text = f"{100 * value:{sign}.1f}" if self.share else f"{value:{sign}{'.3f' if abs(value) < 100 else '.3g'}}"
        return text.replace("-", self.minus) if float(text) else text.lstrip("+-")  # no negative zero

    def signed(self, value: float) -> str:
        """A gain or a loss."""
        return self.plain(value, "+")

    def interval(self, low: float, high: float) -> str:
        """Both ends.

        >>> Unit("accuracy", share=True).interval(0.01, float("inf"))
        '[1.0, ∞]'
        """
        return f"[{self.plain(low)}, {self.plain(high)}]"

    def cell(self, row: Mapping[Any, Any]) -> str:
        """A gain with its interval, for a table.

        >>> Unit("accuracy", share=True).cell({"gain": 0.021, "low": 0.012, "high": 0.03, "n": 10})
        '+2.1 [1.2, 3.0]'
        """
        return f"{self.signed(row['gain'])} {self.interval(row['low'], row['high'])}" if row["n"] else "no score"

    def told(self, row: Mapping[Any, Any], *, brief: bool = False) -> str:
        """A gain with its interval, for a sentence; if `brief`, the metric is left out.

        >>> Unit("balanced_accuracy", share=True).told({"gain": 0.021, "low": 0.012, "high": 0.03})
        '2.1 points [1.2, 3.0] of balanced accuracy'
        """
        told = f"{self.plain(row['gain'])}{' points' if self.share else ''} {self.interval(row['low'], row['high'])}"
        return told if brief else f"{told} {'of' if self.share else 'in'} {self.name}"


def verdict(pooled: pd.DataFrame, unit: Unit, idle: Mapping[str, float] | None = None, few: str = "") -> str:
    """What helps and what harms, beyond chance also after Holm's correction; that nothing does; or that none can tell.

    Args:
        pooled: The gains of each arm over all estimators.
        unit: Of the score.
        idle: Arms that added no rows, or hardly any, and how many; what they gained says nothing of them unless it is
            beyond chance (they may have taken out others).
        few: Classes of which fewer than 10 rows are tested on: nothing can be told then.

    >>> row = {"arm": "vae", "gain": 0.021, "low": 0.012, "high": 0.03, "n": 10, "p_holm": 0.01}
    >>> rows = pd.DataFrame([row, {**row, "arm": "smote", "gain": 0.014}])
    >>> verdict(rows, Unit("balanced_accuracy", share=True))
    'vae adds 2.1 points [1.2, 3.0] of balanced accuracy; smote adds 1.4.'
    >>> print(verdict(rows[:0], Unit("accuracy", share=True), {"smote": 0.0}))
    Nothing was tried: no arm added rows. Without `amount`, classes only grow to the size of the largest: say how many rows to add, such as 0.5 for half as many as there are.
    """  # noqa: E501
    still = idle or {}
    tried = pooled[~pooled["arm"].isin(still.keys()) | (pooled["p_holm"] < SURE)]
    none = max(still.values(), default=0) == 0
    if still and tried.empty:
        return f"Nothing was tried: no arm added {'rows' if none else 'more than a few rows'}. {_REMEDY}"
    known = tried[tried["n"] > 1]
    told = [_too_few(few, unit) if few else _judged(known, unit)]
    if known.empty:
        told = [f"Cannot tell what helps {unit.name}: no arm has scores of 2 splits or more, which an interval needs."]
    told += [f"{', '.join(still)} added {'no' if none else 'hardly any'} rows. {_REMEDY}"] if still else []
    return " ".join(told)


def _too_few(few: str, unit: Unit) -> str:
    return (
        f"Cannot tell what helps {unit.name}: too few of {few} are tested on, so chance passes for a gain or a loss. "
        f"Collect more of them, or judge on a test set that has at least {FEWEST}."
    )


def _judged(known: pd.DataFrame, unit: Unit) -> str:
    sure = known[known["p_holm"] < SURE].sort_values("gain", ascending=False, kind="stable").to_dict("records")
    helps = [row for row in sure if row["gain"] > 0]
    harms = [{**row, "gain": -row["gain"], "low": -row["high"], "high": -row["low"]} for row in sure if row["gain"] < 0]
    if helps:
        told = [f"{helps[0]['arm']} adds {unit.told(helps[0])}", *_listed("adds", helps[1:], unit)]
        return f"{'; '.join(told + _listed('costs', harms[::-1], unit))}."
    told = [f"Nothing tried helps {unit.name} beyond chance ({len(known)} tried{_nearest(known, unit)})"]
    told += [f"{row['arm']} costs {unit.told(row, brief=True)}" for row in harms[::-1]]
    return f"{'; '.join(told)}."


def _listed(verb: str, rows: list[dict[Any, Any]], unit: Unit) -> list[str]:
    """The largest first, without intervals."""
    told = [f"{row['arm']} {unit.plain(row['gain'])}" for row in rows[1:]]
    return [", ".join([f"{row['arm']} {verb} {unit.plain(row['gain'])}" for row in rows[:1]] + told)] if rows else []


def _nearest(known: pd.DataFrame, unit: Unit) -> str:
    """An aside: the arm that would help had it been the only one tried, or else how much may have gone unseen."""
    alone = known[known["low"] > 0].sort_values("gain", ascending=False).to_dict("records")
    if alone:
        best = alone[0]
        same = f" in each of {best['n']} splits, too few to be sure" if best["low"] == best["high"] else ""
        return f"; the nearest, {best['arm']}, adds {unit.told(best, brief=True)}{same}"
    most = known["high"].max()
    unseen = f"{unit.plain(most)}{' points' if unit.share else ''}"
    return f"; a gain of up to {unseen} cannot be ruled out" if most > 0 else ""


def unsettled(best: str, others: Sequence[str]) -> str:
    """That the best arm is not ahead of others that help.

    >>> unsettled("vae", ["smote", "jitter"])
    'vae is not ahead of smote, jitter beyond chance: take what costs least.'
    """
    return f"{best} is not ahead of {listed(others, 3, told=str)} beyond chance: take what costs least."


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
