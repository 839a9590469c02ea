"""The scores of a comparison and what can be said from them: gains with intervals, a verdict, costs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from synthaug.errors import DataError, ParameterError, StorageError, SynthaugWarning
from synthaug.evaluate import stats
from synthaug.evaluate.wording import POOLED, markdown_table, verdict, written
from synthaug.files import read_json, write_json
from synthaug.schema import plain

__all__ = ["Comparison", "collect"]

_SCORES = ["arm", "estimator", "split", "metric", "score", "seconds", "peak_mb"]
_RECALLS = ["arm", "estimator", "split", "label", "recall", "support"]
_SPLITS = ["split", "n_train", "n_test"]
_FAILURES = ["arm", "estimator", "split", "error"]
_GAINS = ["arm", "estimator", "metric", "gain", "low", "high", "wins", "n", "p", "p_holm"]
_BY_CLASS = ["arm", "estimator", "label", "gain", "low", "high", "n", "support"]
_KIND = "synthaug comparison"
_TESTS: dict[str, Callable[..., stats.Gain]] = {"t": stats.corrected_resampled_t, "bootstrap": stats.bootstrap}


@dataclass(frozen=True, eq=False)
class Comparison:
    """The scores of every arm, and what can be said from them. Made by `compare` and `compare_training`.

    Args:
        scores: One row a score: arm, estimator, split, metric, score, and what the arm took to make its rows: seconds,
            peak_mb (growth of memory; NaN where it cannot be measured).
        recalls: One row a class and model: arm, estimator, split, label, recall, support (test rows of the class).
        splits: One row a split: split, n_train, n_test (real rows).
        failures: One row for every (arm, estimator, split) that lacks a score: arm, estimator, split, error.
        skipped: (arm, estimator, reason) that do not go together, such as class weights for nearest neighbours.
        arms: Names in order, "real" first.
        estimators: Names in order.
        seed: What to pass as `random_state` to get the same scores.
        data: What was compared on: fingerprint, n (rows), columns (names), classes (label to count).
        versions: Of Python and packages.

    >>> from sklearn.datasets import make_classification
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from synthaug import compare
    >>> X, y = make_classification(400, weights=[0.9], random_state=0)
    >>> found = compare({"again": None}, KNeighborsClassifier(), X, y, random_state=0)
    >>> print(found.to_markdown())
    Nothing tried helps beyond chance (1 tried), in points of balanced accuracy, over the real data alone.
    <BLANKLINE>
    | gain in balanced_accuracy (points) | KNeighborsClassifier |
    | --- | --- |
    | again | +0.0 [0.0, 0.0] |
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
        rows = []
        for metric in self.metrics:
            table = self._table(metric)
            for name in (*self.estimators, POOLED):
                found = [{**row, "metric": metric} for row in self._gains(table, name, versus, level, _TESTS[interval])]
                for row, adjusted in zip(found, stats.holm([row["p"] for row in found]), strict=True):
                    rows.append({**row, "p_holm": float(adjusted)})
        return pd.DataFrame(rows, columns=_GAINS)

    def gains_by_class(self, level: float = 0.95) -> pd.DataFrame:
        """What each arm adds to the recall of each class over the real data alone.

        Returns:
            One row an arm, estimator ("all" pools them) and label: `gain` with `low` and `high` as in `gains`; `n`, the
            number of splits; `support`, the mean number of test rows of the class in a split. No rows where models were
            not asked for classes, as by `compare_training`.
        """
        support = self.recalls.groupby("label")["support"].mean()
        rows = []
        for label, recalls in self.recalls.groupby("label", sort=True):
            table = self._wide(recalls, "recall")
            for name in (*self.estimators, POOLED):
                found = self._gains(table, name, "real", level, stats.corrected_resampled_t)
                rows += [{**row, "label": label, "support": float(support[label])} for row in found]
        return pd.DataFrame(rows, columns=_BY_CLASS)

    def costs(self) -> pd.DataFrame:
        """What the arms took to make their rows: one row an arm, with mean `seconds` and largest `peak_mb` of a split.

        An arm that changes the classifier makes no rows; its cost is in the fits.
        """
        costs = self.scores.groupby("arm")[["seconds", "peak_mb"]].agg({"seconds": "mean", "peak_mb": "max"})
        return costs.reindex(list(self.arms)).rename_axis("arm").reset_index()

    def splits_needed(self, gain: float = 0.01) -> pd.DataFrame:
        """How many splits it takes to see a gain of this size; see `stats.splits_needed`.

        Returns:
            One row an arm, estimator and metric: `splits` (inf: no number of splits of these rows shows it; NaN: fewer
            than two splits cannot tell) and `smallest`, the gain that many splits could show.
        """
        rows = []
        for metric in self.metrics:
            table = self._table(metric)
            for arm in self.arms[1:]:
                for name in (*self.estimators, POOLED):
                    values = self._differences(table, arm, name, "real")
                    if values is not None:
                        found = stats.splits_needed(values, *self._sizes(values), gain=gain)
                        rows.append([arm, name, metric, found.splits, found.smallest])
        return pd.DataFrame(rows, columns=["arm", "estimator", "metric", "splits", "smallest"])

    def verdict(self, metric: str | None = None) -> str:
        """One sentence: which arms help or harm beyond chance, that none does, or that this cannot be told.

        Args:
            metric: The name of a score; by default the first.
        """
        metric = self.metrics[0] if metric is None else metric
        if metric not in self.metrics:
            raise ParameterError(f"Expected `metric` to be one of {', '.join(self.metrics)}, got {metric!r}.")
        gains = self.gains()
        pooled = gains[(gains["metric"] == metric) & (gains["estimator"] == POOLED)]
        return verdict(pooled, metric, self._is_share(metric))

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
            share, rows = self._is_share(metric), gains[gains["metric"] == metric].to_dict("records")
            columns = [*self.estimators, POOLED] if len(self.estimators) > 1 else list(self.estimators)
            cells = {(row["arm"], row["estimator"]): written(row, share, sign="+") for row in rows}
            header = [f"gain in {metric}{' (points)' if share else ''}", *columns]
            lines = [[arm, *(cells.get((arm, name), "") for name in columns)] for arm in self.arms[1:]]
            blocks += [self.verdict(metric), markdown_table(header, lines)]
        return "\n\n".join(blocks + self.notes())

    def notes(self) -> list[str]:
        """What was left out and what failed, a sentence each."""
        notes = [f"{arm} was not run with {name}: {reason}." for arm, name, reason in self.skipped]
        for arm, rows in self.failures.groupby("arm", sort=False):
            notes.append(f"{arm} failed {len(rows)} times, first with {rows['error'].iloc[0]}")
        return notes

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

    def _is_share(self, metric: str) -> bool:
        return bool(self.scores.loc[self.scores["metric"] == metric, "score"].between(0, 1).all())

    def _table(self, metric: str) -> pd.DataFrame:
        return self._wide(self.scores[self.scores["metric"] == metric], "score")

    def _wide(self, rows: pd.DataFrame, value: str) -> pd.DataFrame:
        """Values `(splits, arms x estimators)`, NaN where there is none; seeds are averaged where all have a score."""
        cells = rows.groupby(["split", "arm", "estimator"], as_index=False)[value].agg(["mean", "count"])
        whole = cells[cells["count"] == cells["count"].max()]
        columns = pd.MultiIndex.from_product([self.arms, self.estimators])
        table = whole.pivot_table("mean", "split", ["arm", "estimator"])
        return table.reindex(index=self.splits["split"], columns=columns)

    def _differences(self, table: pd.DataFrame, arm: str, name: str, versus: str) -> pd.Series | None:
        """Paired differences of one arm by split; None where it goes with no estimator that is asked for."""
        apart = {(one, model) for one, model, _ in self.skipped}
        names = [model for model in self.estimators if name in (model, POOLED) and (arm, model) not in apart]
        if not names:
            return None
        differences = pd.DataFrame(table.xs(arm, axis=1) - table.xs(versus, axis=1))[names]
        return differences.dropna(axis=1, how="all").mean(axis=1, skipna=False).dropna()

    def _sizes(self, values: pd.Series) -> tuple[pd.Series, pd.Series]:
        sizes = self.splits.set_index("split").loc[values.index]
        return sizes["n_train"], sizes["n_test"]

    def _gains(
        self, table: pd.DataFrame, name: str, versus: str, level: float, test: Callable[..., stats.Gain]
    ) -> list[dict[str, Any]]:
        rows = []
        for arm in self.arms:
            values = self._differences(table, arm, name, versus)
            if arm != versus and values is not None:
                wins = float((values > 0).mean()) if len(values) else np.nan
                found = vars(test(values.to_numpy(), *self._sizes(values), level))
                rows.append({"arm": arm, "estimator": name, **found, "wins": wins, "n": len(values)})
        return rows


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
        costs = result["seconds"], result["peak_mb"]
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
    return frame.astype({name: float for name in ("seconds", "peak_mb", "score", "recall") if name in columns})


def _plain(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        rows = value.astype(object).where(value.notna(), None).itertuples(index=False, name=None)
        return [[plain(entry) for entry in row] for row in rows]
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value


def _frozen(value: Any) -> Any:
    """Lists as the tuples they were."""
    return tuple(_frozen(entry) for entry in value) if isinstance(value, list) else value
