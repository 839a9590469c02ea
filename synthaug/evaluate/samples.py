"""Real and synthetic records that are to be compared, checked, and as many drawn of each."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency

from synthaug.arrays import is_array
from synthaug.errors import DataError, DataTypeError, ParameterError, listed, raise_problems
from synthaug.evaluate.attacks import column_kind
from synthaug.features import NEEDED, Features, table_features
from synthaug.images import read_images
from synthaug.labels import Labels, check_target
from synthaug.rng import numpy_rng
from synthaug.schema import plain

__all__ = ["FEWEST", "Classes", "Samples", "is_labelled", "opened", "records_in"]

FEWEST = 20
"""How many records of each are needed to compare them as a whole."""

_UNLIKE = 0.001  # p-value
_FEW_ALIKE = (
    "Classes have unlike shares, which alone may tell the records apart: with as many of each class, fewer than "
    f"{FEWEST} would be left to compare."
)
_WORDS = {"number": "numbers", "time": "times", "level": "categories"}
_REMEDIES = {
    "DataLoader": "its data set, `loader.dataset`",
    "LightningDataModule": "one of its data sets, such as `module.train_dataloader().dataset`",
}


@dataclass(frozen=True, eq=False)
class Samples:
    """Records of one kind by name: "real", "synthetic" and perhaps "holdout". Made by `Samples.of`.

    Args:
        parts: The records; tables have the same columns in the same order.
        codes: Codes of their labels, in the classes of the real ones; empty where no labels were given.
        labels: Their labels, of those that have any, also of those that came with them unasked.
        rows: The positions drawn of each.
        notes: What is to be known of the draw.
    """

    parts: Mapping[str, Any]
    codes: Mapping[str, np.ndarray]
    labels: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    rows: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, real: Any, synthetic: Any, holdout: Any, features: Features | None, target: Any, labels: Sequence | None
    ) -> Samples:
        """Check what `fidelity` was given and has `opened`; see there for what is raised.

        >>> table = pd.DataFrame({"a": [1, 2]})
        >>> Samples.of(table, table.rename(columns={"a": "b"}), None, None, None, None)
        Traceback (most recent call last):
        ...
        synthaug.errors.DataError: 2 problems:
        - `synthetic` lacks column 'a'.
        - `synthetic` has column 'b', which `real` lacks: drop it.
        """
        given = {"real": real, "synthetic": synthetic} | ({} if holdout is None else {"holdout": holdout})
        known = {name: part.labels for name, part in given.items() if is_labelled(part)}
        given = {name: records_in(part, target) for name, part in given.items()}
        if features is None:
            given = {
                name: pd.DataFrame(part) if getattr(part, "ndim", 0) == 2 else part for name, part in given.items()
            }
        _check_kinds(given, features)
        if isinstance(given["real"], pd.DataFrame):
            raise_problems(_name_problems(given))
            raise_problems(problem for name, part in given.items() for problem in _unreadable(name, part))
            given = {name: _like(part[given["real"].columns], given["real"]) for name, part in given.items()}
            raise_problems(_column_problems(given))
        asked = _asked(given, target, labels)
        coding = Labels.of(asked["real"]) if asked else None
        codes = {name: coding.encode(values) for name, values in asked.items()} if coding else {}
        return cls(given, codes, asked or known)

    @property
    def is_table(self) -> bool:
        """Whether the records have columns."""
        return isinstance(self.parts["real"], pd.DataFrame)

    @property
    def n_used(self) -> int:
        """How many records of each were drawn."""
        return len(self.rows["real"])

    @property
    def drawn_codes(self) -> dict[str, np.ndarray]:
        """Codes of the labels of the records drawn, of each part."""
        return {name: codes[self.rows[name]] for name, codes in self.codes.items()}

    def draw(self, most: int, seed: int) -> Samples:
        """As many records of each in random order, at most `most`.

        >>> array = np.arange(60).reshape(30, 2)
        >>> Samples.of(array, array[:25], None, None, None, None).draw(100, 0).n_used
        25
        """
        if most < FEWEST:
            raise ParameterError(f"Expected `max_rows` of at least {FEWEST}, got {most!r}.")
        n = min(most, *map(len, self.parts.values()))
        return replace(self, rows={name: order[:n] for name, order in self._orders(seed).items()})

    def alike(self, most: int, seed: int) -> Samples:
        """The same draw; with as many of each class where shares are unlike and 20 records or more are left.

        >>> array, labels = np.arange(120).reshape(60, 2), ([0] * 50 + [1] * 10, [0] * 10 + [1] * 50)
        >>> alike = Samples.of(array, array, None, None, None, labels).draw(100, 0).alike(100, 0)
        >>> {name: np.bincount(codes).tolist() for name, codes in alike.drawn_codes.items()}
        {'real': [10, 10], 'synthetic': [10, 10]}
        """
        if self.labels.keys() != self.parts.keys():
            return replace(self, notes=self._unlabelled())
        classes = Classes.of(self.labels)
        if not classes.unlike:
            return self
        if classes.shared.sum() < FEWEST:
            return replace(self, notes=(_FEW_ALIKE,))
        aside = " but for `columns`, `tstr` and its kind," if self.is_table or self.codes else ""
        return replace(self, rows=classes.draw(self._orders(seed), most, seed), notes=classes.notes(aside))

    def _orders(self, seed: int) -> dict[str, np.ndarray]:
        return {name: numpy_rng(seed, "rows", name).permutation(len(part)) for name, part in self.parts.items()}

    def _unlabelled(self) -> tuple[str, ...]:
        if len(set(self.labels.get("synthetic", ()))) < 2:
            return ()
        return (
            "The synthetic records have labels and others have none here: classes of unlike shares alone tell them "
            "apart. Pass `target` or `labels`, and as many records of each class are compared.",
        )

    def without(self, column: Any) -> Samples:
        """The same tables without one column."""
        return replace(self, parts={name: part.drop(columns=[column]) for name, part in self.parts.items()})

    def features(self, features: Features) -> dict[str, np.ndarray]:
        """Features of the records drawn, of each part, `(n_used, d)` and finite.

        >>> array = np.arange(60).reshape(30, 2)
        >>> samples = Samples.of(array, array, None, None, None, None).draw(100, 0)
        >>> samples.features(lambda table: table)["real"].shape
        (30, 2)
        """
        found = {name: np.asarray(features(_take(part, self.rows[name]))) for name, part in self.parts.items()}
        wanted = (self.n_used, *found["real"].shape[1:])
        for name, x in found.items():
            if x.ndim != 2 or x.shape != wanted or x.dtype.kind not in "biuf":
                raise DataError(
                    f"Expected `features` to turn the {self.n_used} records of `{name}` into numbers of shape "
                    f"({self.n_used}, d), as many columns for all, got {x.dtype} of shape {x.shape}."
                )
            if not np.isfinite(x).all():
                raise DataError(
                    f"Expected `features` to give finite numbers, got {x[~np.isfinite(x)][0]} for `{name}`."
                )
        return {name: x.astype(float) for name, x in found.items()}


@dataclass(frozen=True, eq=False)
class Classes:
    """Labels of several sets of records, of which as many of each class are to be compared. Made by `Classes.of`.

    Args:
        names: The classes of them all.
        codes: By set, the place of each label in `names`.
    """

    names: Sequence[Any]
    codes: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, labels: Mapping[str, Sequence[Any]]) -> Classes:
        """Of the labels of each set.

        >>> Classes.of({"real": ["a", "a", "b"], "synthetic": ["b", "c"]}).shared.tolist()
        [0, 1, 0]
        """
        values = [np.asarray(part, object) for part in labels.values()]
        codes, names = pd.factorize(np.concatenate(values))
        parts = np.split(codes, np.cumsum([len(part) for part in values])[:-1])
        return cls(names, dict(zip(labels, parts, strict=True)))

    @cached_property
    def counts(self) -> np.ndarray:
        """`(parts, classes)`."""
        return np.array([np.bincount(codes, minlength=len(self.names)) for codes in self.codes.values()])

    @property
    def shared(self) -> np.ndarray:
        """How many of each class all parts have."""
        return np.asarray(self.counts.min(axis=0))

    @property
    def unlike(self) -> bool:
        """Whether shares of classes differ beyond chance, by the chi-squared test."""
        return bool(chi2_contingency(self.counts).pvalue < _UNLIKE)

    def draw(self, orders: Mapping[str, np.ndarray], most: int, seed: int) -> dict[str, np.ndarray]:
        """The first rows of each class in these orders, as many in all of them, at most `most`.

        They are shuffled: those of common classes come early.
        """
        counts = numpy_rng(seed, "classes").multivariate_hypergeometric(self.shared, min(most, self.shared.sum()))
        rows = {}
        for name, order in orders.items():
            codes = pd.Series(self.codes[name][order])
            first = order[codes.groupby(codes).cumcount().to_numpy() < counts[codes]]
            rows[name] = np.asarray(numpy_rng(seed, "shuffled", name).permutation(first))
        return rows

    def notes(self, aside: str) -> tuple[str, ...]:
        """That as many of each class are compared; `aside` names the figures for which they are not."""
        lost = [plain(name) for name, n in zip(self.names, self.shared, strict=True) if not n]
        without = f" and none of class {listed(lost)}, which a side lacks" if lost else ""
        return (
            f"Classes have unlike shares, which alone would tell the records apart:{aside} as many records of each "
            f"class are compared{without}.",
        )


def opened(part: Any, name: str, features: Features | None = None) -> Any:
    """What a pool in a folder or a data set of images holds, or without `features` a list of items with images.

    Anything else is left as it is.

    Raises:
        DataTypeError: a path, a loader or a data module in the argument `name`.

    >>> opened([1, 2], "real")
    [1, 2]
    """
    kinds = [kind.__name__ for kind in type(part).__mro__]  # torch is not imported here
    raise_problems(
        (
            f"Expected `{name}` to hold records, got a {type(part).__name__}: pass {_REMEDIES[kind]}."
            for kind in kinds
            if kind in _REMEDIES
        ),
        DataTypeError,
    )
    if isinstance(part, str | os.PathLike):
        raise DataTypeError(
            f"Expected `{name}` to hold records, got a path: read it, such as with `read_images` or `Pool.load`."
        )
    if hasattr(part, "blank"):  # of a pool in a folder
        part = part.load()
    images = "Dataset" in kinds or (features is None and _has_image_items(part))
    return read_images(part) if images else part


def _has_image_items(part: Any) -> bool:
    """Whether this is a list of items, tuples or dicts, that hold an image each."""
    item = part[0] if isinstance(part, list) and part else None
    values = item.values() if isinstance(item, Mapping) else item if isinstance(item, tuple) else ()
    return any(len(getattr(value, "shape", ())) >= 2 or hasattr(value, "getbands") for value in values)


def is_labelled(part: Any) -> bool:
    """Whether this is a pool, or what `read_images` gives, with labels of its own.

    >>> is_labelled(pd.DataFrame({"labels": [1]}))
    False
    """
    return not isinstance(part, pd.DataFrame) and hasattr(part, "records") and hasattr(part, "labels")


def records_in(part: Any, target: Any = None) -> Any:
    """The records of a pool, or of what `read_images` gives.

    With a `target`, a table of a pool gets that column of its labels. Anything else is left as it is.

    >>> records_in([1, 2])
    [1, 2]
    """
    if not is_labelled(part):
        return part
    return part.records if target is None or is_array(part.records) else part.to_dataframe(target)


def _check_kinds(parts: Mapping[str, Any], features: Features | None) -> None:
    real = parts["real"]
    for name, part in parts.items():
        if not hasattr(part, "__len__"):
            raise DataTypeError(f"Expected `{name}` to be a table, an array or a list, got a {type(part).__name__}.")
        if isinstance(part, pd.DataFrame) != isinstance(real, pd.DataFrame):
            raise DataTypeError(
                f"Expected `{name}` to be of the kind of `real`, a {type(real).__name__}, got a {type(part).__name__}."
            )
        if is_array(part) and is_array(real) and len(real.shape) > 2:
            forms = [(tuple(one.shape[1:]), "f" in str(one.dtype)) for one in (real, part)]
            if forms[0] != forms[1] and len(part):
                told = [f"{one.dtype} {tuple(one.shape)}" for one in (real, part)]
                raise DataError(f"`real` is {told[0]} and `{name}` {told[1]}: give both in one form, on one scale.")
    if features is None and not isinstance(real, pd.DataFrame):
        raise DataTypeError(f"Expected `real` to be a table or an array (n, d), got a {type(real).__name__}: {NEEDED}")
    raise_problems(
        f"Expected at least one record in `{name}`, got none." for name, part in parts.items() if not len(part)
    )


def _name_problems(parts: Mapping[str, pd.DataFrame]) -> list[str]:
    real, problems = parts["real"], []
    if real.shape[1] == 0:
        problems.append("Expected at least one column in `real`, got none.")
    for name, part in parts.items():
        twice = part.columns[part.columns.duplicated()].tolist()
        problems += [f"Two columns of `{name}` are called {column!r}: rename one." for column in twice[:1]]
        problems += [f"`{name}` lacks column {column!r}." for column in real.columns if column not in part.columns]
        extra = [column for column in part.columns if column not in real.columns]
        problems += [f"`{name}` has column {column!r}, which `real` lacks: drop it." for column in extra]
    return problems


def _unreadable(name: str, part: pd.DataFrame) -> list[str]:
    """Columns that are neither numbers nor times and whose values cannot be told apart as texts."""
    problems = []
    for column in part.columns:
        try:
            table_features(part[[column]])
        except DataError as error:
            problems.append(f"`{name}`: {error}")
    return problems


def _like(part: pd.DataFrame, real: pd.DataFrame) -> pd.DataFrame:
    """`part` with a fresh index; a column without any value is of the kind that the real one has."""
    part = part.reset_index(drop=True)
    for name in real.columns:
        kind = column_kind(real[name])
        if part[name].isna().all() and column_kind(part[name]) != kind:
            dtype = {"number": np.dtype(float), "level": np.dtype(object)}.get(kind, real[name].dtype)
            part[name] = pd.Series([None] * len(part), dtype=dtype)
    return part


def _column_problems(parts: Mapping[str, pd.DataFrame]) -> list[str]:
    real = parts["real"]
    kinds = {name: column_kind(real[name]) for name in real.columns}
    return [
        f"Column {name!r} holds {_WORDS[column_kind(part[name])]} in `{which}` and {_WORDS[kind]} in `real`: give it "
        "the same dtype in both."
        for which, part in parts.items()
        for name, kind in kinds.items()
        if column_kind(part[name]) != kind
    ]


def _asked(parts: Mapping[str, Any], target: Any, labels: Sequence | None) -> dict[str, pd.Series]:
    """Labels of every part, checked; nothing where none were given."""
    if target is None and labels is None:
        return {}
    if target is not None and labels is not None:
        raise ParameterError("Expected `target` or `labels`, got both.")
    if labels is not None:
        if len(labels) != len(parts):
            raise ParameterError(f"Expected {len(parts)} `labels`, of {', '.join(parts)}, got {len(labels)}.")
        given = dict(zip(parts, labels, strict=True))
    else:
        if not isinstance(parts["real"], pd.DataFrame) or target not in parts["real"].columns:
            raise ParameterError(f"Expected `target` to be a column of the tables, got {target!r}.")
        if parts["real"].shape[1] == 1:
            raise ParameterError(f"Expected a column beside the target {target!r} to learn from, got none.")
        given = {name: part[target] for name, part in parts.items()}
    series = {name: check_target(values) for name, values in given.items()}
    raise_problems(
        f"Expected as many labels as records in `{name}`, got {len(values)} and {len(parts[name])}."
        for name, values in series.items()
        if len(values) != len(parts[name])
    )
    return series


def _take(records: Any, rows: np.ndarray) -> Any:
    if isinstance(records, pd.DataFrame):
        return records.iloc[rows].reset_index(drop=True)
    return records[rows] if hasattr(records, "__array__") else [records[i] for i in rows]
