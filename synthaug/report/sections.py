"""What the page tells of the scores, in the order in which it tells it; a section without data is None."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from synthaug.errors import listed
from synthaug.evaluate.wording import POOLED, Unit
from synthaug.report.figures import HELPS, bar, curve, forest, meaning, shared_scale
from synthaug.report.parts import MINUS, Panel, Section, Table
from synthaug.report.svg import Scale, whole

__all__ = ["Study"]

_MOST_PANELS = 12
_READING = (
    "A mark is the mean gain over the real data alone, a line its 95% interval. Filled circle: helps. Filled diamond: "
    "harms. Hollow: cannot tell from chance, after Holm's correction over the arms."
)


_ALONE = "Marks are filled where the interval leaves zero out; these are not corrected for how many there are."


class Study:
    """A comparison as the page sees it: its first metric is the one that the page is about.

    Args:
        comparison: A `Comparison`, or anything with its attributes and methods.
    """

    def __init__(self, comparison: Any) -> None:
        self.comparison = comparison
        self.metrics = [str(name) for name in comparison.scores["metric"].unique()]
        self.units = {name: comparison.unit(name, MINUS) for name in self.metrics}
        self.few = comparison.data.get("too_few", {}) if comparison.too_few() else {}
        self.all_gains = _unsure(comparison.gains()) if self.few else comparison.gains()
        self.verdict = str(comparison.verdict())
        self.gains = self._of_metric(self.all_gains, self.metrics[0])
        self.pooled = self.gains[self.gains["estimator"] == POOLED].sort_values("gain", ascending=False, kind="stable")
        self.arms = [str(arm) for arm in self.pooled["arm"]]

    @property
    def unit(self) -> Unit:
        """That of the first metric."""
        return self.units[self.metrics[0]]

    @property
    def noun(self) -> str:
        """What is learned from: tables have rows."""
        return "row" if self.comparison.data.get("columns") else "item"

    @property
    def _everyone(self) -> str:
        names = self.comparison.estimators
        return "All classifiers together" if len(names) > 1 else str(names[0])

    @staticmethod
    def _of_metric(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
        return frame[frame["metric"] == metric] if "metric" in frame else frame

    def advice(self) -> str:
        """What to do now, in a sentence or two."""
        helps = [str(row["arm"]) for row in self.pooled.to_dict("records") if meaning(row) == HELPS]
        if not (self.pooled["n"] > 1).any():
            return "Measure on more splits before you decide."
        if not helps and self.comparison.idle():
            return "Say how many rows to add, and measure again."
        if not helps:
            return f"Leave the data as they are{' until then.' if self.few else f'. {self._needed()}'}".strip()
        best, *others = self.comparison.level(self.metrics[0])
        if others:
            return f"Use {best}, or what costs least: it is not ahead of {listed(others, 3, told=str)} beyond chance."
        simpler = next((arm for arm in _SIMPLE if arm in helps), best)
        if simpler == best:
            return f"Use {best}."
        return f"Use {best}, if it is worth what it costs: {simpler} is simpler and helps as well."

    def _needed(self) -> str:
        """What it would take to see the best arm gain a point, where the unit is points."""
        best, needed = self.arms[0], self._of_metric(self.comparison.splits_needed(0.01), self.metrics[0])
        splits = needed.loc[(needed["estimator"] == POOLED) & (needed["arm"] == best), "splits"].max()
        if not self.unit.share or math.isnan(splits) or splits <= len(self.comparison.splits):
            return ""
        if math.isinf(splits):
            return f"With {self.noun}s as few as these no number of splits would show that {best} adds 1 point."
        return f"It would take {splits:,.0f} splits to show that {best} adds 1 point."

    def standfirst(self) -> str:
        """The size of the study, in a sentence."""
        splits, scores = self.comparison.splits, self.comparison.scores
        estimators = len(self.comparison.estimators)
        n_train = int(splits["n_train"].median())
        n = self.comparison.data.get("n", n_train)
        known = f"{n_train:,} of {n:,} {self.noun}s to train on" if n_train < n / 2 else _count(n, self.noun)
        return (
            f"{_count(len(self.arms), 'way')} to make more of a training set, against the real {self.noun}s alone: "
            f"{known}, {_count(estimators, 'classifier')}, {_count(len(splits), 'paired split')}, "
            f"{len(scores):,} scores, all on {self.noun}s that no arm has seen."
        )

    def forest(self) -> Section:
        """The gain of each arm over all estimators."""
        rows, scale = self.pooled.to_dict("records"), shared_scale(self.gains)
        panels = (forest(self._everyone, rows, scale, self.unit, brief=False),)
        return Section(
            "gains",
            f"What each adds, in {self.unit.words}",
            panels=panels,
            note=_sentences(_READING, _cut(panels), self.comparison.few_tested()),
            wide=True,
        )

    def by_estimator(self) -> Section | None:
        """Small multiples."""
        if len(self.comparison.estimators) < 2:
            return None
        scale = shared_scale(self.gains)
        panels, more = _capped(
            [
                forest(str(name), self._ordered(self.gains[self.gains["estimator"] == name]), scale, self.unit)
                for name in self.comparison.estimators
            ]
        )
        text = f"The same gains, in {self.unit.words}, for each classifier on its own."
        return Section("classifiers", "It depends on the classifier", text, panels, note=_sentences(_cut(panels), more))

    def other_metrics(self) -> Section | None:
        """The pooled gains in each further metric, which has its own scale."""
        panels = []
        for name in self.metrics[1:]:
            rows = self.all_gains[(self.all_gains["metric"] == name) & (self.all_gains["estimator"] == POOLED)]
            panels.append(
                forest(f"in {self.units[name].words}", self._ordered(rows), shared_scale(rows), self.units[name])
            )
        note = "Every metric is turned so that greater is better; scales differ from panel to panel."
        note = _sentences(note, _cut(panels))
        return Section("metrics", "By other measures", note=note, panels=tuple(panels)) if panels else None

    def by_class(self) -> Section | None:
        """The gain in recall of each class."""
        rows = _pooled(self.comparison.gains_by_class())
        if rows.empty:
            return None
        unit, scale = Unit("recall", True, MINUS), shared_scale(rows)
        panels, more = _capped(
            [forest(_class_name(label), self._ordered(part), scale, unit) for label, part in self._by_label(rows)]
        )
        text = "The gain in recall, in points: in the share of the rows of a class that are recognised as such."
        return Section("classes", "Who gains, and who pays", text, panels, note=_sentences(_ALONE, _cut(panels), more))

    def _by_label(self, rows: pd.DataFrame) -> Iterator[tuple[Any, pd.DataFrame]]:
        """The rows of each class, none of them sure where it has too few test rows."""
        for label, part in rows.groupby("label", sort=False):
            yield label, _unsure(part) if str(label) in self.few else part

    def amounts(self, frame: pd.DataFrame | None) -> Section | None:
        """The gain against the amount that is added."""
        if frame is None or frame.empty:
            return None
        text = f"Gain in {self.unit.words} against generated rows for each real row. No amount is right everywhere."
        panels, note = self._curves(frame, "amount", math.sqrt)
        return Section("amounts", "How much to add", text, panels, note=f"{note} Amounts are on a square-root scale.")

    def learning(self, frame: pd.DataFrame | None) -> Section | None:
        """The gain against the number of real rows."""
        if frame is None or frame.empty:
            return None
        text = (
            f"Gain in {self.unit.words} against the number of real training rows; a gain on few often fades with more."
        )
        panels, note = self._curves(frame, "n", math.log)
        return Section("learning", "With more real data", text, panels, note=f"{note} Rows are on a log scale.")

    def _curves(self, frame: pd.DataFrame, x: str, bend: Callable[[float], float]) -> tuple[tuple[Panel, ...], str]:
        """A panel an arm, or an estimator where there is one arm."""
        points = self._of_metric(_unsure(frame) if self.few else frame, self.metrics[0])
        by = "arm" if "arm" in points else "estimator"
        points = _pooled(points) if by == "arm" or points["estimator"].nunique() == 2 else points  # one, and "all"
        scale = shared_scale(points, reach=math.inf)
        across = Scale(float(points[x].min()), float(points[x].max()), 13, 95, bend)
        panels, more = _capped(
            [
                curve("all classifiers" if key == POOLED else str(key), part, x, scale, across, self.unit)
                for key, part in points.groupby(by, sort=False)
            ]
        )
        return panels, _sentences("Bands are 95% intervals.", _ALONE, more)

    def costs(self) -> Section:
        """Seconds and memory beside the gain."""
        gains = dict(zip(self.arms, self.pooled["gain"], strict=True))
        costs = {str(row["arm"]): row for row in self.comparison.costs().to_dict("records")}
        most = max(whole(row["seconds"] for row in costs.values()), default=1.0)
        rows = []
        for arm, gain in gains.items():
            seconds, peak = costs[arm]["seconds"], costs[arm]["peak_mb"]
            if math.isfinite(seconds):
                word = f"gain {self.unit.signed(gain)}"
                rows.append(bar(arm, seconds, most=most, text=_seconds(seconds), more=_memory(peak), word=word))
        text = (
            "Seconds to make the rows of one split, the peak of memory where it was measured, and the gain beside it. "
            "What changes the classifier alone makes no rows, and fitting classifiers is not counted."
        )
        if self.noun == "item":
            text = (
                "Seconds to make the training data of one split, the peak of memory meanwhile where it was measured, "
                "and the gain beside it. What happens while a model is trained and scored is not counted, such as a "
                "SyntheticMix that fits a generator there."
            )
        return Section("cost", "What it costs", text, (Panel("", tuple(rows)),), wide=True)

    def run(self) -> Section:
        """Everything that somebody needs to do it again."""
        found = self.comparison
        data, sizes = found.data, found.splits
        facts = {
            f"{self.noun}s": _told(data.get("n", "")),
            "classes": ", ".join(f"{label}: {n:,}" for label, n in data.get("classes", {}).items()),
            "columns": _told(data.get("columns", "")),
            "fingerprint": _told(data.get("fingerprint", "")),
            "splits": f"{len(sizes)}, with {_range(sizes['n_train'])} training and {_range(sizes['n_test'])} test "
            f"{self.noun}s",
            "arms": ", ".join(map(str, found.arms)),
            "classifiers": ", ".join(map(str, found.estimators)),
            "measures": ", ".join(self.metrics),
            "seed": str(found.seed),
            "versions": _told(found.versions),
            "not run": "; ".join(f"{arm} with {name}: {reason}" for arm, name, reason in found.skipped),
        }
        table = Table(("", ""), tuple((key, value) for key, value in facts.items() if value), "The study")
        return Section("run", "What was run", tables=(table, *self._failed()), wide=True)

    def _failed(self) -> list[Table]:
        rows = [
            (str(arm), str(len(part)), str(part["error"].iloc[0])[:300])
            for arm, part in self.comparison.failures.groupby("arm", sort=False)
        ]
        return [Table(("arm", "times", "first error"), tuple(rows), "What failed")] if rows else []

    def _ordered(self, rows: pd.DataFrame) -> list[dict[Any, Any]]:
        """In the order of the first figure."""
        place = {arm: i for i, arm in enumerate(self.arms)}
        return sorted(rows.to_dict("records"), key=lambda row: place.get(str(row["arm"]), len(place)))


_SIMPLE = ("class_weight", "threshold", "duplicate", "smote", "jitter", "gaussian")  # the simplest first


def _pooled(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that pool the estimators, or those of the first where none do."""
    names = [*rows["estimator"].unique(), POOLED]
    return rows[rows["estimator"] == (POOLED if POOLED in names[:-1] else names[0])]


def _unsure(gains: pd.DataFrame) -> pd.DataFrame:
    """The same, of which none is told as sure."""
    return gains.assign(p_holm=math.nan)


def _class_name(label: Any) -> str:
    """A heading: "0" alone says nothing."""
    return label if isinstance(label, str) and not label.isnumeric() else f"class {label}"


def _capped(panels: Sequence[Panel]) -> tuple[tuple[Panel, ...], str]:
    left = len(panels) - _MOST_PANELS
    return tuple(panels[:_MOST_PANELS]), f"{left} more are in the table of gains." if left > 0 else ""


def _cut(panels: Sequence[Panel]) -> str:
    """What an arrow means, if there is one."""
    arrows = any('class="arrow' in row.picture for panel in panels for row in panel.rows)
    return "An arrow: the interval goes on beyond the figure; its numbers are beside it." if arrows else ""


def _sentences(*told: str) -> str:
    return " ".join(filter(None, told))


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _range(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def _memory(megabytes: float) -> str:
    return f"{megabytes:,.0f} MB" if math.isfinite(megabytes) else ""


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_told(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return listed(value, 30, told=str)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
