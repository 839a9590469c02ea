"""The scores of a comparison and what can be said from them: gains with intervals, a verdict, costs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from synthaug.errors import DataError, ParameterError, StorageError, SynthaugWarning, listed
from synthaug.evaluate import stats
from synthaug.evaluate.metrics import UNBOUNDED
from synthaug.evaluate.wording import POOLED, SURE, Unit, markdown_table, unsettled, verdict
from synthaug.files import read_json, write_json
from synthaug.schema import plain

__all__ = ["Comparison", "collect"]

_SCORES = ["arm", "estimator", "split", "metric", "score", "seconds", "peak_mb", "added"]
_RECALLS = ["arm", "estimator", "split", "label", "recall", "support"]
_SPLITS = ["split", "n_train", "n_test"]
_FAILURES = ["arm", "estimator", "split", "error"]
_GAINS = ["arm", "estimator", "metric", "gain", "low", "high", "wins", "n", "p", "p_holm"]
_BY_CLASS = ["arm", "estimator", "label", "gain", "low", "high", "n", "support"]
_KIND = "synthaug comparison"
_IDLE = 0.01
_BY_ROW = ("accuracy", "f1_micro", "f1_weighted")
_TESTS: dict[str, Callable[..., np.ndarray]] = {
    "t": stats.resampled_t_columns,
    "bootstrap": partial(stats.each_column, stats.bootstrap),
}


@dataclass(frozen=True, eq=False)
class Comparison:
    """The scores of every arm, and what can be said from them. Made by `compare` and `compare_training`.

    Args:
        scores: One row a score: arm, estimator, split, metric, score, and what the arm took to make its rows: seconds,
            peak_mb (growth of memory; NaN where it cannot be measured), and how many rows it added (NaN where it makes
            none, or this is not known).
        recalls: One row a class and model: arm, estimator, split, label, recall, support (test rows of the class).
        splits: One row a split: split, n_train, n_test (real rows).
        failures: One row for every (arm, estimator, split) that lacks a score: arm, estimator, split, error.
        skipped: (arm, estimator, reason) that do not go together, such as class weights for nearest neighbours.
        arms: Names in order, "real" first.
        estimators: Names in order.
        seed: What to pass as `random_state` to get the same scores.
        data: What was compared on: fingerprint, n (rows), columns (names), classes (label to count), and
            few_tested: of classes of which a split tests fewer than 3 on average, the fewest and the most; too_few: of
            classes of which all splits together test fewer than 10 rows, how many.
        versions: Of Python and packages.

    >>> from sklearn.datasets import make_classification
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from synthaug import compare
    >>> X, y = make_classification(400, weights=[0.9], random_state=0)
    >>> found = compare({"again": None}, KNeighborsClassifier(), X, y, random_state=0)
    >>> print(found)
    Nothing tried helps balanced accuracy beyond chance (1 tried).
    <BLANKLINE>
    | gain in balanced_accuracy (points) | KNeighborsClassifier |
    | --- | --- |
    | (score of real alone) | 60.1 |
    | again | 0.0 [0.0, 0.0] |
    """

    scores: pd.DataFrame
    recalls: pd.DataFrame
    splits: pd.DataFrame
    failures: pd.DataFrame
    skipped: tuple[tuple[str, str, str], ...]
    arms: tuple[str, ...]
    estimators: tuple[str, ...]
    seed: int
    data: Mapping[str, Any]
    versions: Mapping[str, str]

    def __repr__(self) -> str:
        return (
            f"Comparison({len(self.arms) - 1} arms beside real, {len(self.estimators)} estimators, "
            f"{len(self.splits)} splits)"
        )

    def __str__(self) -> str:
        """As `to_markdown`."""
        return self.to_markdown()

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(self.scores["metric"].unique())

    def gains(
        self, versus: str = "real", level: float = 0.95, interval: Literal["t", "bootstrap"] = "t"
    ) -> pd.DataFrame:
        """Mean differences from the arm `versus`, paired by split, in points of the score.

        Rows of the estimator "all" pool the estimators: their differences are averaged within each split (of which
        only those count where all of them have a score).

        Args:
            versus: The arm to compare with.
            level: Of the intervals, in (0, 1).
            interval: "t" for `stats.corrected_resampled_t`, "bootstrap" for `stats.bootstrap`.

        Returns:
            One row an arm, estimator and metric: `gain`, with `low` and `high` of its interval; `wins`, the share of
            splits with a gain above 0; `n`, the number of splits; `p`, two-sided; `p_holm`, adjusted over the arms.
            Intervals are not adjusted.

        Raises:
            ParameterError: an unknown arm or interval, or a level outside (0, 1).
        """
        if versus not in self.arms:
            raise ParameterError(f"Expected `versus` to be one of {', '.join(self.arms)}, got {versus!r}.")
        if interval not in _TESTS:
            raise ParameterError(f"Expected `interval` to be one of {', '.join(_TESTS)}, got {interval!r}.")
        tables = []
        for metric in self.metrics:
            rows = self.scores[self.scores["metric"] == metric]
            found = self._gains(rows, "score", versus, level, _TESTS[interval]).assign(metric=metric)
            found["p_holm"] = found.groupby("estimator", sort=False)["p"].transform(stats.holm)
            tables.append(found[_GAINS])
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=_GAINS)

    def gains_by_class(self, level: float = 0.95) -> pd.DataFrame:
        """What each arm adds to the recall of each class over the real data alone.

        Returns:
            One row an arm, estimator ("all" pools them) and label: `gain` with `low` and `high` as in `gains`; `n`, the
            number of splits; `support`, the mean number of test rows of the class in a split. No rows where models were
            not asked for classes, as by `compare_training`.
        """
        tables = []
        for label, recalls in self.recalls.groupby("label", sort=True):
            found = self._gains(recalls, "recall", "real", level, stats.resampled_t_columns)
            tables.append(found.assign(label=label, support=float(recalls["support"].mean()))[_BY_CLASS])
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=_BY_CLASS)

    def costs(self) -> pd.DataFrame:
        """What the arms took to make their rows, and how many these were.

        An arm that changes the classifier makes no rows; its cost is in the fits. These are not counted, nor what else
        happens while a model is trained and scored, such as a `SyntheticMix` that fits a generator there.

        Returns:
            One row an arm: `seconds` (mean of the splits), `peak_mb` (their largest) and `added` rows (mean; NaN where
            the arm makes none, or this is not known, as in `compare_training`).
        """
        how = {"seconds": "mean", "peak_mb": "max", "added": "mean"}
        costs = self.scores.groupby("arm")[list(how)].agg(how)
        return costs.reindex(list(self.arms)).rename_axis("arm").reset_index()

    def idle(self) -> dict[str, float]:
        """Arms that make rows and added fewer than one for 100 real ones, and how many in a split on average.

        So it is where the classes are balanced and no `amount` was given: what such an arm gained says nothing of it.
        One that adds none and has other scores than the real data alone is not idle: it changes the rows.
        """
        added = self.costs().set_index("arm")["added"]
        few = added[(added >= 0) & (added < _IDLE * self.splits["n_train"].mean())]
        return {str(arm): float(n) for arm, n in few.items() if n or not self._moved(str(arm))}

    def _moved(self, arm: str) -> bool:
        """Whether any score of an arm is not that of the real data alone."""
        wide = self.scores.pivot_table("score", ["metric", "estimator", "split"], "arm")
        return bool((wide[arm] - wide["real"]).fillna(0).any())

    def splits_needed(self, gain: float = 0.01) -> pd.DataFrame:
        """How many splits it takes to see a gain of this size; see `stats.splits_needed`.

        Returns:
            One row an arm, estimator and metric: `splits` (inf: no number of splits of these rows shows it; NaN: fewer
            than two splits cannot tell) and `smallest`, the gain that many splits could show.
        """
        rows = []
        for metric in self.metrics:
            differences = self._differences(self.scores[self.scores["metric"] == metric], "score", "real")
            for arm, model in zip(*np.nonzero(self._together("real")), strict=True):
                known = ~np.isnan(differences[:, arm, model])
                sizes = self.splits.loc[known, "n_train"], self.splits.loc[known, "n_test"]
                found = stats.splits_needed(differences[known, arm, model], *sizes, gain=gain)
                rows.append([self.arms[arm], [*self.estimators, POOLED][model], metric, found.splits, found.smallest])
        return pd.DataFrame(rows, columns=["arm", "estimator", "metric", "splits", "smallest"])

    def verdict(self, metric: str | None = None) -> str:
        """One sentence: which arms help or harm beyond chance, that none does, or that this cannot be told.

        It cannot where fewer than 10 rows of a class are tested on.

        Args:
            metric: The name of a score; by default the first.
        """
        metric = self.metrics[0] if metric is None else metric
        if metric not in self.metrics:
            raise ParameterError(f"Expected `metric` to be one of {', '.join(self.metrics)}, got {metric!r}.")
        return self._verdict(self.gains(), metric)

    def _verdict(self, gains: pd.DataFrame, metric: str) -> str:
        return verdict(self._pooled(gains, metric), self.unit(metric), self.idle(), self.too_few(metric))

    @staticmethod
    def _pooled(gains: pd.DataFrame, metric: str) -> pd.DataFrame:
        return gains[(gains["metric"] == metric) & (gains["estimator"] == POOLED)]

    def level(self, metric: str | None = None) -> tuple[str, ...]:
        """The arm that helps most, then those that help and that it does not surpass beyond chance.

        Args:
            metric: The name of a score; by default the first.

        Returns:
            Names; none where no arm helps beyond chance, or where this cannot be told.
        """
        metric = self.metrics[0] if metric is None else metric
        helps = self._pooled(self.gains(), metric)
        helps = helps[(helps["p_holm"] < SURE) & (helps["gain"] > 0)]
        if helps.empty or self.too_few(metric):
            return ()
        best, *others = helps.sort_values("gain", ascending=False, kind="stable")["arm"]
        behind = self._pooled(self.gains(versus=best), metric).set_index("arm")["high"] if others else {}
        return (best, *(arm for arm in others if behind[arm] >= 0))

    def to_dataframe(self) -> pd.DataFrame:
        """The gains over the real data alone; see `gains`."""
        return self.gains()

    def to_markdown(self) -> str:
        """A verdict and a table of gains with 95% intervals; percentage points where scores lie in 0 to 1.

        The verdict names the arms whose pooled gain or loss is beyond chance after Holm's correction.
        """
        gains = self.gains()
        blocks = []
        for metric in self.metrics:
            unit, rows = self.unit(metric), gains[gains["metric"] == metric].to_dict("records")
            columns = [*self.estimators, POOLED] if len(self.estimators) > 1 else list(self.estimators)
            cells = {(row["arm"], row["estimator"]): unit.cell(row) for row in rows}
            header = [f"gain in {metric}{' (points)' if unit.share else ''}", *columns]
            real = self._real_scores(metric)
            lines = [["(score of real alone)", *(unit.plain(real[name]) for name in columns)]]
            lines += [[arm, *(cells.get((arm, name), "") for name in columns)] for arm in self.arms[1:]]
            blocks += [self._verdict(gains, metric), markdown_table(header, lines), *self._unsettled(metric)]
        return "\n\n".join(blocks + self.notes())

    def _real_scores(self, metric: str) -> dict[str, float]:
        """The mean score of the real data alone, of each estimator and, as in the gains, of all."""
        rows = self.scores[(self.scores["metric"] == metric) & (self.scores["arm"] == "real")]
        means = rows.groupby("estimator")["score"].mean().reindex(list(self.estimators))
        return {**means.to_dict(), POOLED: float(means.mean())}

    def _unsettled(self, metric: str) -> list[str]:
        best, *others = self.level(metric) or ("",)
        return [unsettled(best, others)] if others else []

    def notes(self) -> list[str]:
        """Which classes are hardly tested, what was left out and what failed."""
        notes = [self.few_tested()] if self.few_tested() else []
        notes += [f"{arm} was not run with {name}: {reason}." for arm, name, reason in self.skipped]
        for arm, rows in self.failures.groupby("arm", sort=False):
            notes.append(f"{arm} failed {len(rows)} times, first with {rows['error'].iloc[0]}")
        return notes

    def few_tested(self) -> str:
        """Of which classes a split tests so few that one of them sways the score, and what to do; else nothing."""
        few = self.data.get("few_tested", {})
        if not few:
            return ""
        noun = self._noun
        told = [f"{label} ({least if least == most else f'{least} to {most}'})" for label, (least, most) in few.items()]
        step = 100 / max(1, min(least for least, _ in few.values()))
        swing = step / len(self.data["classes"])
        return (
            f"Few test {noun}s a split, by class: {listed(told, 5, told=str)}. In such a split one {noun} moves the "
            f"recall of its class by up to {step:.0f} points, scores that weigh classes alike by up to {swing:.1f}: "
            "test more of them with larger test parts, collect more, or merge classes."
        )

    def too_few(self, metric: str | None = None) -> str:
        """Of which classes too few are tested for anything to be told, such as "class yes (5 rows)"; else nothing.

        Scores in which every row counts alike, such as accuracy, are not swayed by a rare class.

        Args:
            metric: The name of a score; by default the first.
        """
        by_row = (self.metrics[0] if metric is None else metric) in _BY_ROW
        few = {} if by_row else self.data.get("too_few", {})
        told = [f"{label} ({n} {self._noun}{'' if n == 1 else 's'})" for label, n in few.items()]
        return f"class {listed(told, 5, told=str)}" if told else ""

    @property
    def _noun(self) -> str:
        return "row" if self.data.get("columns") else "item"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"kind": _KIND, **{name: _plain(value) for name, value in found.items()}}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; a `StorageError` for anything else."""
        columns = {"scores": _SCORES, "recalls": _RECALLS, "splits": _SPLITS, "failures": _FAILURES}
        names = [field.name for field in fields(cls)]
        try:
            if state["kind"] != _KIND:
                raise ValueError(f"it is of kind {state['kind']!r}")
            found: dict[str, Any] = {
                name: _frame(state[name], columns[name]) if name in columns else _frozen(state[name]) for name in names
            }
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(f"This is no comparison as `to_dict` writes it ({error}): make it again.") from error
        return cls(**found)

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file, whole or not at all."""
        write_json(Path(path), self.to_dict())

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> Self:
        """The inverse of `to_json`; a `StorageError` for a file that is missing, damaged or not one of ours."""
        return cls.from_dict(read_json(Path(path), max_bytes=2**30))

    def to_html(self, path: str | os.PathLike[str], **extras: Any) -> None:
        """Write one self-contained page; `extras` are those of `synthaug.report.page`, such as `fidelity`."""
        from synthaug import report

        report.write(path, self, **extras)

    def unit(self, metric: str, minus: str = "-") -> Unit:
        """How scores of this metric are written."""
        share = self.scores.loc[self.scores["metric"] == metric, "score"].between(0, 1).all()
        return Unit(metric, bool(share) and metric not in UNBOUNDED, minus)

    def _gains(
        self, rows: pd.DataFrame, value: str, versus: str, level: float, test: Callable[..., np.ndarray]
    ) -> pd.DataFrame:
        """Arm, estimator, gain, low, high, p, wins and n: estimator by estimator, of all arms that go with it."""
        models, arms = np.nonzero(self._together(versus).T)
        columns = self._differences(rows, value, versus)[:, arms, models]
        n, wins = (~np.isnan(columns)).sum(axis=0), (columns > 0).sum(axis=0)
        found = test(columns, self.splits["n_train"], self.splits["n_test"], level)
        return pd.DataFrame(
            {
                "arm": [self.arms[i] for i in arms],
                "estimator": [[*self.estimators, POOLED][i] for i in models],
                **dict(zip(["gain", "low", "high", "p"], found.T, strict=True)),
                "wins": np.where(n > 0, wins / np.maximum(n, 1), np.nan),
                "n": n,
            }
        )

    def _together(self, versus: str) -> np.ndarray:
        """Which arms other than `versus` go with which estimators, and last with any of them: bool, as the cube is."""
        apart = {(arm, model) for arm, model, _ in self.skipped}
        fits = np.array([[(arm, model) not in apart for model in self.estimators] for arm in self.arms])
        fits = np.column_stack([fits, fits.any(axis=1)])
        fits[self.arms.index(versus)] = False
        return fits

    def _differences(self, rows: pd.DataFrame, value: str, versus: str) -> np.ndarray:
        """Paired differences `(splits, arms, estimators + 1)`, NaN where there is none; the last pool the others."""
        cube, at = self._cube(rows, value), self.arms.index(versus)
        differences = cube - cube[:, at : at + 1]
        pooled = self._together(versus)[:, :-1] & ~np.isnan(differences).all(axis=0)
        n = pooled.sum(axis=1)
        mean = np.where(pooled, differences, 0.0).sum(axis=2) / np.maximum(n, 1)
        return np.concatenate([differences, np.where(n > 0, mean, np.nan)[:, :, None]], axis=2)

    def _cube(self, rows: pd.DataFrame, value: str) -> np.ndarray:
        """Values `(splits, arms, estimators)`, NaN where there is none; seeds are averaged where all have a score."""
        axes: dict[str, Any] = {"split": self.splits["split"], "arm": self.arms, "estimator": self.estimators}
        places = tuple(pd.Index(names).get_indexer(rows[name]) for name, names in axes.items())
        sums, counts = np.zeros([len(names) for names in axes.values()]), np.zeros([len(n) for n in axes.values()])
        np.add.at(sums, places, rows[value].to_numpy(float))
        np.add.at(counts, places, 1)
        return np.where(counts == counts.max(initial=1), sums / np.maximum(counts, 1), np.nan)


def collect(
    cells: Iterable[tuple[str, int]],
    results: Iterable[Mapping[str, Any]],
    *,
    sizes: Iterable[tuple[int, int]],
    **others: Any,
) -> Comparison:
    """A comparison from the results of its cells (arm, split), as `paired.score_cell` makes them.

    Args:
        cells: Arm and split of each result.
        results: See there.
        sizes: Real training and test rows of each split.
        others: The other fields of `Comparison`.

    Raises:
        DataError: "real" has no score at all.

    Warns:
        SynthaugWarning: once, where scores are missing.
    """
    scores: list[tuple[Any, ...]] = []
    recalls: list[tuple[Any, ...]] = []
    failures: list[tuple[Any, ...]] = []
    n_cells = dict.fromkeys(others["arms"], 0)
    for (arm, split), result in zip(cells, results, strict=True):
        n_cells[arm] += len(others["estimators"])
        costs = result["seconds"], result["peak_mb"], result["added"]
        scores += [(arm, name, split, metric, score, *costs) for name, metric, score in result["scores"]]
        recalls += [(arm, name, split, *row) for name, *row in result["recalls"]]
        failures += [(arm, name, split, error) for name, error in result["failures"]]
    for arm, *_ in others["skipped"]:
        n_cells[arm] -= n_cells[arm] // len(others["estimators"])
    found = Comparison(
        scores=_frame(scores, _SCORES),
        recalls=_frame(recalls, _RECALLS),
        splits=_frame([(i, *size) for i, size in enumerate(sizes)], _SPLITS),
        failures=_frame(failures, _FAILURES),
        **others,
    )
    _tell(found, n_cells)
    return found


def _tell(found: Comparison, n_cells: Mapping[str, int]) -> None:
    """Stop where the real data alone gave no score at all; warn, once, where scores are missing."""
    failures = found.failures.groupby("arm", sort=False)["error"].agg(["size", "first"])
    if "real" not in found.scores["arm"].unique():
        raise DataError(f"The real data alone gave no score at all; the first error was {failures['first']['real']}")
    if len(failures):
        told = "; ".join(
            f"{arm!r} in {row['size']} of {n_cells[str(arm)]} cells, first with {row['first']}"
            for arm, row in failures.iterrows()
        )
        warnings.warn(f"Without a score: {told}", SynthaugWarning, stacklevel=4)


def _frame(rows: Iterable[Iterable[Any]], columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame([tuple(row) for row in rows], columns=columns)
    return frame.astype({name: float for name in ("seconds", "peak_mb", "added", "score", "recall") if name in columns})


def _plain(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        rows = value.astype(object).where(value.notna(), None).itertuples(index=False, name=None)
        return [[plain(entry) for entry in row] for row in rows]
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value


def _frozen(value: Any) -> Any:
    """Lists as the tuples they were."""
    return tuple(_frozen(entry) for entry in value) if isinstance(value, list) else value
