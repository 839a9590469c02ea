"""A column of names: strings, bools, categories, and numbers of which there are only one or two."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from synthaug.codecs.columns import Column, check_values
from synthaug.codecs.dtypes import ColumnType
from synthaug.errors import DataError
from synthaug.schema import is_whole, plain
from synthaug.spec import Field

__all__ = ["LevelColumn"]

_IDENTIFIER = 20  # distinct strings from which a column looks like an identifier
_REPEATED = 0.05  # share of the strings up to which they may repeat others
_RARE_SHARE = 0.1  # of 1 / max_levels: a level below it is pooled when there are more than max_levels levels
_MAX_RARE = 2**20  # levels that a float32 in [0, 1) can tell apart


class LevelColumn(Column):
    """Names: one-hot over the common levels, a state for missing, and one for all rare levels together.

    Which rare level it is stands in a `"uniform"` entry: each has an interval as long as its share, so noise draws the
    rare levels in proportion. A column of one state, such as a constant, needs no entries at all.

    Args:
        name: The name of the column.
        column_type: How pandas holds it.
        levels: The levels, the common ones first, as an array of that type.
        common: How many levels are common.
        counts: How often each rare level was seen.
        missing: Whether missing values were seen.
        dropped: The column was taken for an identifier: whatever it holds is encoded as missing.

    >>> words = pd.Series(["a", "a", "b", "c"], dtype=object)
    >>> column = LevelColumn.fit("word", ColumnType.of(words, "word"), words.to_numpy(), 2, "drop")
    >>> [(field.name, field.kind, field.size) for field in column.fields]
    [('word', 'category', 2), ('word (rare level)', 'uniform', 1)]
    >>> column.decode(np.array([[1, 0, 0.5], [0, 1, 0.2], [0, 1, 0.9]])).tolist()
    ['a', 'b', 'c']
    """

    def __init__(
        self,
        name: Any,
        column_type: ColumnType,
        levels: Any,
        common: int,
        *,
        counts: np.ndarray,
        missing: bool,
        dropped: bool = False,
    ):
        self.name, self.type, self.levels, self.common = name, column_type, levels, common
        self.counts, self.missing, self.dropped = counts, missing, dropped
        self.rare = len(levels) > common
        states = common + self.rare + missing
        fields = [Field(str(name), "category", states)] if states > 1 else []
        self.states = states if states > 1 else 0
        self.fields = (*fields, *([Field(f"{name} (rare level)", "uniform")] if self.rare else []))

    @classmethod
    def fit(cls, name: Any, column_type: ColumnType, values: Any, max_levels: int, identifiers: str) -> LevelColumn:
        """Learn the levels; `identifiers="drop"` forgets the levels of a text column in which hardly one repeats."""
        levels, counts, missing = _levels(name, column_type, values)
        if identifiers == "drop" and _is_identifier(levels, counts):
            return cls(name, column_type, levels[:0], 0, counts=counts[:0], missing=True, dropped=True)
        common = len(levels)
        if common > max_levels:
            enough = max(2, _RARE_SHARE * counts.sum() / max_levels)
            common = min(max_levels, int((counts >= enough).sum()))
        if len(levels) - common > _MAX_RARE:
            raise DataError(
                f"Column {name!r} has {len(levels)} levels, and at most {_MAX_RARE} are supported: drop the column, or "
                "put several levels into one."
            )
        return cls(name, column_type, levels, common, counts=counts[common:], missing=missing)

    @cached_property
    def _ends(self) -> np.ndarray:
        """Where the interval of each rare level ends; none is too short for float32."""
        shares = np.maximum(self.counts / self.counts.sum(), 2.0**-22)
        return np.cumsum(shares) / shares.sum()

    @cached_property
    def _index(self) -> pd.Index:
        keys = self.type.keys(self.levels)
        return pd.Index(keys, dtype=keys.dtype)

    def encode(self, values: Any, out: np.ndarray) -> None:
        """See `Column.encode`; a level that was not there in `fit` is a `DataError`."""
        if self.dropped:
            return
        codes = self._codes(values)
        state = np.minimum(codes, self.common)
        state[codes < 0] = self.common + self.rare
        if self.states:
            out[np.arange(len(codes)), state] = 1.0
        if self.rare:
            rare = codes >= self.common
            code = codes[rare] - self.common
            out[:, -1] = 0.5
            out[rare, -1] = self._ends[code] - np.diff(self._ends, prepend=0.0)[code] / 2

    def _codes(self, values: Any) -> np.ndarray:
        """The number of each value's level; -1 where it is missing."""
        missing = check_values(self.name, self.type, values)
        self._check_missing(missing)
        raw, unique = pd.factorize(self.type.keys(values))
        known = self._index.get_indexer(unique)
        codes = np.append(known, -1)[raw]
        codes[missing] = -1
        unknown = (codes < 0) & ~missing
        if unknown.any() and self.type.is_number and 1 <= len(self.levels) <= 2:
            codes[unknown] = self._nearest(values, unknown)
        elif unknown.any():
            first = int(unknown.argmax())
            level = pd.Series(values[first : first + 1]).tolist()[0]
            raise DataError(
                f"Column {self.name!r} has a level that was not there in `fit`: {level!r} (first at position {first}): "
                "drop those records, map the level to a known one, or fit on records that have it."
            )
        return codes

    def _nearest(self, values: Any, where: np.ndarray) -> np.ndarray:
        """For numbers that were one value or two in `fit`: the nearer, as all numbers move into the observed range."""
        order = np.argsort(self._index.to_numpy())
        known = self._index.to_numpy()[order].astype(np.float64)
        wanted = self.type.numbers(values)[0][where].astype(np.float64)
        return order[np.searchsorted((known[1:] + known[:-1]) / 2, wanted)]

    def decode(self, x: np.ndarray) -> Any:
        """See `Column.decode`."""
        codes = x[:, : self.states].argmax(1) if self.states else np.full(len(x), -1 if not len(self.levels) else 0)
        missing = codes == self.common + self.rare
        if self.rare:
            rare = codes == self.common
            drawn = np.searchsorted(self._ends, x[rare, -1].astype(np.float64), "right")
            codes[rare] = self.common + np.minimum(drawn, len(self.counts) - 1)
        codes[missing] = -1
        return self.type.finish(self.type.take(self.levels, codes))

    def to_dict(self) -> dict[str, Any]:
        """See `Column.to_dict`."""
        return {
            "kind": "levels",
            "type": self.type.to_dict(),
            "levels": self.type.to_plain(self.levels),
            "common": self.common,
            "counts": self.counts.tolist(),
            "missing": self.missing,
            "dropped": self.dropped,
        }

    @classmethod
    def from_dict(cls, name: Any, state: Mapping[str, Any]) -> LevelColumn:
        """See `Column.from_dict`."""
        column_type = ColumnType.from_dict(state["type"])
        levels, counts = column_type.from_plain(state["levels"]), np.array(state["counts"], np.int64)
        common, missing, dropped = int(state["common"]), bool(state["missing"]), bool(state["dropped"])
        if (
            not (0 <= common <= len(levels) == common + len(counts))
            or (counts < 1).any()
            or not (missing or len(levels))
        ):
            raise ValueError(f"the levels of column {name!r} do not fit together")
        return cls(name, column_type, levels, common, counts=counts, missing=missing, dropped=dropped)


def _levels(name: Any, column_type: ColumnType, values: Any) -> tuple[Any, np.ndarray, bool]:
    """Distinct values, the most frequent first, their counts, and whether any is missing."""
    missing = check_values(name, column_type, values)
    present = values[~missing]
    raw, unique = pd.factorize(column_type.keys(present))
    _check_text(name, unique)
    counts = np.bincount(raw, minlength=len(unique))
    first = np.empty(len(unique), np.int64)
    first[raw[::-1]] = np.arange(len(raw))[::-1]
    # Ties by value: the order of the records must not matter.
    ranks = [(-count, type(plain(level)).__name__, plain(level)) for level, count in zip(unique, counts, strict=True)]
    order = np.array(sorted(range(len(unique)), key=ranks.__getitem__), np.int64)
    levels = present.take(first[order])
    if isinstance(levels, np.ndarray) and levels.dtype == np.dtype(object):
        levels = column_type.from_plain([plain(level) for level in levels])
    return levels, counts[order], bool(missing.any())


def _check_text(name: Any, levels: Any) -> None:
    broken = next((level for level in levels if isinstance(level, str) and not is_whole(level)), None)
    if broken is not None:
        raise DataError(
            f"Column {name!r} holds {broken!r} with half a surrogate pair: correct how the text was read, for example "
            "with `pandas.read_csv(..., encoding='utf-8')`, or drop the column."
        )


def _is_identifier(levels: Any, counts: np.ndarray) -> bool:
    if len(counts) < _IDENTIFIER or len(counts) < (1 - _REPEATED) * counts.sum():
        return False
    return all(isinstance(level, str) for level in levels)
