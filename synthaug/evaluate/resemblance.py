"""Do synthetic records look like the real ones? Beside the gain, which this neither implies nor excludes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from synthaug.evaluate import likeness
from synthaug.evaluate.columnwise import align_columns, pair_table, shift_table
from synthaug.evaluate.metrics import class_recalls
from synthaug.evaluate.samples import FEWEST, Samples, opened, records_in
from synthaug.evaluate.wording import markdown_table
from synthaug.features import Features, table_features, usual_features
from synthaug.rng import RandomState, as_seed, derive, numpy_rng
from synthaug.schema import plain

__all__ = ["Fidelity", "fidelity"]

_FOLDS = 5
_MOST_PAIRED = 50
_MEASURES = {
    "precision": "share of synthetic records near real ones",
    "recall": "share of real records near synthetic ones",
    "density": "real neighbours of a synthetic record, 1 as dense as real",
    "coverage": "share of real records with a synthetic one nearby",
    "two_sample_accuracy": "a classifier tells them apart; 0.5 is chance, less means repeated records",
    "kernel_distance": "squared distance of the means under a kernel; 0 is the same",
    "tstr": "balanced accuracy, trained on synthetic, tested on real",
    "trts": "balanced accuracy, trained on real, tested on synthetic",
    "trtr": "balanced accuracy, trained on real, tested on other real records",
}
_UNLIKE_TESTS = (
    "`tstr` is tested on the very real records that the synthetic ones were made from, `trtr` on others: with a "
    "`holdout` both are tested on it, and can be compared."
)
_BOUNDS = {"two_sample_accuracy": "two_sample", "kernel_distance": "kernel"}


def fidelity(
    real: Any,
    synthetic: Any,
    *,
    target: Any = None,
    holdout: Any = None,
    labels: Sequence[Any] | None = None,
    features: Features | None = None,
    max_rows: int = 2000,
    random_state: RandomState = None,
) -> Fidelity:
    """Compare synthetic records with the real ones, column by column, pair by pair, and as a whole.

    Where all sides have labels (given, or those of pools and data sets) and classes have other shares beyond chance, as
    where rare classes were grown, all figures but `columns`, `tstr` and its kind are of as many records of each class,
    if 20 are left then, and a note says so.

    Args:
        real: The records that the generator was fitted on: a table, an array `(n, d)`, images, also as a PyTorch data
            set or a list of items, or with `features` anything.
        synthetic: What it made, of the same kind; a `Pool` will do, whose labels are the column `target`.
        target: The column of classes, to train on the one and test on the other.
        holdout: Real records that the generator never saw. They stand in the place of the synthetic ones once, so that
            every figure has beside it what as many real records reach; and classifiers are tested on them.

    Other Arguments:
        labels: For records without a column `target`, the labels of the real, the synthetic, and the held out.
        features: Records to numbers `(n, d)` in which distances mean something; by default
            `synthaug.features.table_features(real)`, or `image_features`. For a table, `tstr` and its kind do not use
            it.
        max_rows: How many records of each are drawn where all pairs of them are looked at: everywhere but in
            `columns`. Always as many real as synthetic ones.
        random_state: A seed for draws, folds and classifiers.

    Returns:
        The figures; one that cannot be had is NaN, and `notes` say why. `pairs` are those of at most 50 columns.

    Raises:
        DataError: no records, columns that differ in name or kind, features that are not finite numbers, labels that do
            not fit the records or are unknown to the real ones.
        DataTypeError: records of two types, or that need `features`.
        ParameterError: `max_rows` below 20, a target that is no column, or labels for a part that is not there.

    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame({"age": rng.normal(40, 9, 200), "town": rng.choice(["Ulm", "Bonn"], 200)})
    >>> found = fidelity(table[:100], table[100:].assign(age=99.0), random_state=0)
    >>> found.columns[["column", "kind"]].to_dict("records")
    [{'column': 'age', 'kind': 'number'}, {'column': 'town', 'kind': 'category'}]
    >>> float(found.columns["shift"][0]), found.precision, found.two_sample_accuracy
    (1.0, 0.0, 1.0)
    """
    seed = as_seed(random_state)
    real, synthetic = opened(real, "real", features), opened(synthetic, "synthetic", features)
    holdout = None if holdout is None else opened(holdout, "holdout", features)
    features = usual_features(records_in(real, target)) if features is None else features
    drawn = Samples.of(real, synthetic, holdout, features, target, labels).draw(max_rows, seed)
    samples = drawn.alike(max_rows, seed)
    features = features or table_features(drawn.parts["real"])
    x = samples.features(features)
    found = {name: _compared(samples, x, name, seed) for name in samples.parts if name != "real"}
    whole, learned = found["synthetic"], dict[str, Any](notes=())
    if drawn.codes:
        if target is not None:
            inputs = drawn.without(target)
            learnable = inputs.features(table_features(inputs.parts["real"]))
        else:
            learnable = x if samples.rows is drawn.rows else drawn.features(features)
        learned = _learned(learnable, drawn.drawn_codes, derive(seed, "learn"))
    return replace(whole, **{**learned, "notes": whole.notes + learned["notes"]}, reference=found.get("holdout"))


@dataclass(frozen=True, eq=False, repr=False)
class Fidelity:
    """How synthetic records differ from real ones. Made by `fidelity`; see `synthaug.evaluate.likeness` for sources.

    Args:
        columns: One row a column: column, kind, shift (Kolmogorov-Smirnov distance of numbers and times, total
            variation of categories, of what is not missing; 0 is none, 1 is apart), missing_real and
            missing_synthetic (shares).
        pairs: One row a pair of columns and measure: first, second, measure (pearson and spearman of numbers and
            times, cramers_v of categories, correlation_ratio of one of each), real, synthetic, difference.
        precision: The share of synthetic records near real ones.
        recall: The share of real records near synthetic ones.
        density: How many real records a synthetic one is near to, 1 where it is as dense as real.
        coverage: The share of real records with a synthetic one nearby.
        two_sample_accuracy: How often a classifier tells real from synthetic, with `two_sample_low` and
            `two_sample_high`; 0.5 is chance.
        kernel_distance: The squared maximum mean discrepancy, with `kernel_low` and `kernel_high`; unbiased, so it
            may be below 0.
        tstr: Balanced accuracy of a classifier trained on synthetic and tested on real records (held out if given).
        trts: The same, trained on real and tested on synthetic records.
        trtr: The same, trained on real and tested on other real records (held out if given, else out of fold).
        n_real: The number of real records.
        n_synthetic: The number of synthetic records.
        n_used: How many of each were drawn for all but `columns`, `tstr` and its kind.
        notes: Why figures are NaN, and what else to know of them.
        reference: The same figures of the held-out records in the place of the synthetic ones.

    >>> table = pd.DataFrame({"age": range(10)})
    >>> found = fidelity(table, table + 1)
    >>> found, found.notes
    (Fidelity(mean shift 0.1; see `notes`), ('10 records a side are too few to compare as a whole: 20 are needed.',))
    """

    columns: pd.DataFrame
    pairs: pd.DataFrame
    n_real: int
    n_synthetic: int
    n_used: int
    precision: float = np.nan
    recall: float = np.nan
    density: float = np.nan
    coverage: float = np.nan
    two_sample_accuracy: float = np.nan
    two_sample_low: float = np.nan
    two_sample_high: float = np.nan
    kernel_distance: float = np.nan
    kernel_low: float = np.nan
    kernel_high: float = np.nan
    tstr: float = np.nan
    trts: float = np.nan
    trtr: float = np.nan
    notes: tuple[str, ...] = ()
    reference: Fidelity | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON: a table is a list of rows, NaN is None."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    def to_markdown(self) -> str:
        """The figures, the columns and pairs that differ most, and the notes."""
        blocks = [
            f"{self.n_synthetic} synthetic records against {self.n_real} real ones; {self.n_used} of each for all but "
            "the columns.",
            markdown_table(["", "synthetic", *(["held out"] if self.reference else []), "what it is"], self._rows()),
        ]
        worst = self.columns.sort_values("shift", ascending=False, na_position="last").head(10)
        if len(worst):
            blocks.append(markdown_table([*worst.columns], [_texts(row) for row in worst.to_numpy(object)]))
        order = self.pairs["difference"].abs().sort_values(ascending=False, na_position="last").index[:10]
        if len(order):
            blocks.append(
                markdown_table([*self.pairs.columns], [_texts(row) for row in self.pairs.loc[order].to_numpy(object)])
            )
        return "\n\n".join([*blocks, *self.notes])

    def _rows(self) -> list[list[str]]:
        sides = [self] if self.reference is None else [self, self.reference]
        known = [name for name in _MEASURES if np.isfinite(getattr(self, name))]
        return [[name, *(_written(side, name) for side in sides), _MEASURES[name]] for name in known]

    def __repr__(self) -> str:
        shift = self.columns["shift"].mean()
        told = [f"mean shift {shift:.3g}"] if np.isfinite(shift) else []
        told += [f"{name} {_written(self, name)}" for name in _MEASURES if np.isfinite(getattr(self, name))]
        noted = "; see `notes`" if self.notes else ""
        return f"Fidelity({', '.join(told) or 'nothing can be told'}{noted})"


def _compared(samples: Samples, x: Mapping[str, np.ndarray], other: str, seed: int) -> Fidelity:
    """Everything but what classifiers learn, of the part `other` against the real one."""
    real = samples.parts["real"]
    columns = align_columns(real, samples.parts[other]) if samples.is_table else []
    shifts = shift_table(columns)
    chosen = np.sort(numpy_rng(seed, "pairs").permutation(len(columns))[:_MOST_PAIRED])
    pairs = pair_table([columns[i].take(samples.rows["real"], samples.rows[other]) for i in chosen])
    notes = [
        *samples.notes,
        *(
            f"Column {name!r} has no shift: all its values are missing on one side."
            for name in shifts.loc[shifts["shift"].isna(), "column"]
        ),
    ]
    if len(chosen) < len(columns):
        notes.append(f"Pairs are those of {len(chosen)} of the {len(columns)} columns, drawn by the seed.")
    unknown = int(pairs["difference"].isna().sum())
    if unknown:
        notes.append(
            f"{unknown} of {len(pairs)} associations are unknown: a column is constant, missing, or another level in "
            "every row."
        )
    whole: dict[str, Any] = {}
    if samples.n_used < FEWEST:
        notes.append(f"{samples.n_used} records a side are too few to compare as a whole: {FEWEST} are needed.")
    else:
        whole = _whole(x["real"], x[other], derive(seed, "whole"))
    n_real, n_other = len(real), len(samples.parts[other])
    return Fidelity(shifts, pairs, n_real, n_other, samples.n_used, **whole, notes=tuple(notes))


def _whole(real: np.ndarray, other: np.ndarray, seed: int) -> dict[str, float]:
    precision, recall = likeness.precision_recall(real, other)
    density, coverage = likeness.density_coverage(real, other)
    told = likeness.two_sample_accuracy(real, other, seed)
    kernel = likeness.kernel_distance(real, other)
    return {
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "two_sample_accuracy": told.value,
        "two_sample_low": told.low,
        "two_sample_high": told.high,
        "kernel_distance": kernel.value,
        "kernel_low": kernel.low,
        "kernel_high": kernel.high,
    }


def _learned(x: Mapping[str, np.ndarray], y: Mapping[str, np.ndarray], seed: int) -> dict[str, Any]:
    """Train on the one, test on the other, both ways; and on real records alone, for comparison."""
    tested = "holdout" if "holdout" in x else "real"
    problems = {name: problem for name in ("real", "synthetic") if (problem := _class_problem(name, y[name]))}
    notes = list(problems.values())

    def score(train: str, test: str) -> float:
        if train in problems:
            return np.nan
        return _balanced(y[test], likeness.forest(seed).fit(x[train], y[train]).predict(x[test]))

    scores = {"tstr": score("synthetic", tested), "trts": score("real", "synthetic")}
    fewest = int(np.unique(y["real"], return_counts=True)[1].min())
    if tested == "holdout":
        scores["trtr"] = score("real", "holdout")
    elif fewest >= 2 and "real" not in problems:
        folds = StratifiedKFold(min(_FOLDS, fewest), shuffle=True, random_state=seed % 2**32)
        guesses = cross_val_predict(likeness.forest(seed), x["real"], y["real"], cv=folds)
        scores["trtr"] = _balanced(y["real"], guesses)
    elif "real" not in problems:
        notes.append("A class has a single real record drawn: `trtr` needs two, or a holdout.")
    if tested == "real" and np.isfinite([scores["tstr"], scores.get("trtr", np.nan)]).all():
        notes.append(_UNLIKE_TESTS)
    return {**scores, "notes": tuple(notes)}


def _class_problem(name: str, y: np.ndarray) -> str | None:
    """Why nothing can be learned from records of these classes."""
    n, k = len(y), len(np.unique(y))
    if k == 1:
        return f"All {n} {name} records drawn are of one class: nothing can be learned from them."
    if 3 * k > n:
        return f"The {n} {name} records drawn are of {k} classes: too few of each to learn from."
    return None


def _balanced(y: np.ndarray, guesses: np.ndarray) -> float:
    return float(np.mean(list(class_recalls(y, guesses).values())))


def _written(found: Fidelity, name: str) -> str:
    value, bound = getattr(found, name), _BOUNDS.get(name)
    if not np.isfinite(value):
        return ""
    interval = f" [{getattr(found, f'{bound}_low'):.3g}, {getattr(found, f'{bound}_high'):.3g}]" if bound else ""
    return f"{value:.3g}{interval}"


def _texts(row: Any) -> list[str]:
    return [f"{value:.3g}" if isinstance(value, float) else str(value) for value in row]


def _plain(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        return [{name: _plain(cell) for name, cell in row.items()} for row in value.to_dict("records")]
    if isinstance(value, Fidelity):
        return value.to_dict()
    if isinstance(value, tuple):
        return list(value)
    value = plain(value)
    return None if isinstance(value, float) and np.isnan(value) else value
