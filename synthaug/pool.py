"""Synthetic records with their labels, where each came from and how it was judged: in memory, and in a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa

import synthaug
from synthaug import shards
from synthaug.arrays import ArraySchema, is_array
from synthaug.errors import (
    DataError,
    DataTypeError,
    FileExistsSynthaugError,
    ParameterError,
    StorageError,
    listed,
    raise_problems,
)
from synthaug.fingerprint import are_digests, is_digested
from synthaug.images import read_images
from synthaug.labels import check_labels
from synthaug.records import as_records, describe, join, same, schema_from_dict, schema_of, take
from synthaug.schema import Schema, is_storable, plain

__all__ = [
    "LABEL",
    "Pool",
    "Source",
    "blank_pool",
    "find_rows",
    "labels_from_table",
    "pool_from_table",
    "read_manifest",
]

LABEL = "__label__"
"""What the column of labels is called on disk."""

_ORIGIN, _SCORE = "__origin__", "__score__"
_MAX_BYTES = 8 * 2**30
_SHARD_ROWS = 2**20
_SHARD_BYTES = 64 * 2**20  # of images
_DIGESTS = 2**25  # the most characters of digests in a manifest
_KIND = "synthaug pool"


@dataclass(frozen=True)
class Source:
    """What made a record.

    Args:
        name: The generator, for people.
        fingerprint: Of the training rows (see `synthaug.fingerprint.fingerprint`), so that a measurement can tell
            what the generator saw.
        seed: What its sampling was seeded with.
        details: Anything else worth keeping, as plain JSON.
        digests: Of the training rows (see `synthaug.fingerprint.digests`), for `Pool.trained_on`; empty if unknown.

    Raises:
        ParameterError: a name, fingerprint, seed or digests of another type; details that JSON cannot write.

    >>> Source("vae", "", 0) == Source("vae", "", 0)
    True
    """

    name: str
    fingerprint: str
    seed: int
    details: Mapping[str, Any] = field(default_factory=dict)
    digests: str = field(default="", repr=False, compare=False)  # what they are made of has its fingerprint

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", plain(self.seed))
        if [type(value) for value in (self.name, self.fingerprint, self.seed)] != [str, str, int]:
            raise ParameterError(
                f"Expected a string, a string and an int for `name`, `fingerprint` and `seed`, got {self.name!r}, "
                f"{self.fingerprint!r} and {self.seed!r}."
            )
        if self.digests != "" and not are_digests(self.digests, self.fingerprint):
            raise ParameterError(
                "Expected `digests` with the `fingerprint` of the same rows: see `synthaug.fingerprint`."
            )
        try:
            object.__setattr__(self, "details", json.loads(json.dumps(dict(self.details), allow_nan=False)))
        except (TypeError, ValueError) as error:
            raise ParameterError(f"Expected `details` that JSON can write, got {self.details!r}: {error}.") from error

    def __hash__(self) -> int:
        return hash((self.name, self.fingerprint, self.seed))


@dataclass(frozen=True, eq=False, repr=False)
class Pool:
    """Synthetic records, decoded as the user knows them, each with its label and origin.

    Pools are never changed: `keep` and `+` make new ones.

    Args:
        records: `n` rows of a DataFrame with a fresh index, or an array of `n` images (a Tensor becomes an array).
        labels: `n` labels with a fresh index.
        origin: `(n,)` int32, for each record its place in `sources`.
        sources: What made the records.
        scores: Criterion name -> `(n,)` float64, as `synthaug.select` fills them; NaN where a record has none.

    Raises:
        DataError: lengths, indexes or origins that disagree (all problems at once).

    >>> records = pd.DataFrame({"age": [30, 40, 50]})
    >>> pool = Pool.of(records, ["a", "b", "a"], Source("by hand", "", 0))
    >>> len(pool), pool.counts()
    (3, {'a': 2, 'b': 1})
    >>> (pool.keep([True, False, True]) + pool).counts()
    {'a': 4, 'b': 1}
    """

    records: Any
    labels: pd.Series
    origin: np.ndarray
    sources: tuple[Source, ...]
    scores: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "records", as_records(self.records))
        n = len(self.records)
        lengths: dict[str, Any] = {"labels": self.labels, "origin": self.origin}
        lengths |= {f"scores[{name!r}]": score for name, score in self.scores.items()}
        problems = [
            f"Expected a string for the name of a score, got {name!r}." for name in self.scores if type(name) is not str
        ]
        problems += [
            f"Expected {n} entries in `{name}`, one a record, got {len(values)}."
            for name, values in lengths.items()
            if len(values) != n
        ]
        fresh = pd.RangeIndex(n)
        problems += [
            f"Expected `{name}` with a fresh index: use `Pool.of`, or `reset_index(drop=True)`."
            for name, values in (("records", self.records), ("labels", self.labels))
            if hasattr(values, "index") and len(values) == n and not values.index.equals(fresh)
        ]
        if len(self.origin) and not 0 <= self.origin.min() <= self.origin.max() < len(self.sources):
            problems.append(f"Expected `origin` within 0 and {len(self.sources) - 1}, the places in `sources`.")
        raise_problems(problems)

    @classmethod
    def of(cls, records: Any, labels: Any, source: Source, *, scores: Mapping[str, np.ndarray] | None = None) -> Self:
        """A pool of records that all have one source; the index of `records`, if they have one, is dropped.

        Raises:
            DataError: labels that are missing or too few, images with pixels that are NaN or infinite.
        """
        records = as_records(records)
        raise_problems(_pixel_problems(records))
        labels = check_labels(labels, records)
        origin = np.zeros(len(records), np.int32)
        records = records.reset_index(drop=True) if isinstance(records, pd.DataFrame) else records
        return cls(records, labels, origin, (source,), scores or {})

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        counts = ", ".join(f"{label!r}: {n}" for label, n in self.counts().items())
        return f"<Pool of {len(self)} {describe(self.records)} ({counts})>"

    def keep(self, which: Any) -> Pool:
        """The records at `which`: `(n,)` bools, or positions in the order wanted.

        Raises:
            ParameterError: bools of another length, or positions that are not there.
        """
        rows = find_rows(which, len(self))
        return replace(
            self,
            records=take(self.records, rows),
            labels=self.labels.iloc[rows].reset_index(drop=True),
            origin=self.origin[rows],
            scores={name: score[rows] for name, score in self.scores.items()},
        )

    def __add__(self, other: Pool) -> Pool:
        """The records of both (see `concat`)."""
        return Pool.concat([self, other]) if isinstance(other, Pool) else NotImplemented

    @staticmethod
    def concat(pools: Iterable[Pool]) -> Pool:
        """The records of all `pools`, of which there is at least one, in their order.

        Equal sources become one; a score that a pool lacks is NaN in its records.

        Raises:
            DataError: columns that differ from those of the first pool, each named; images that do.
        """
        first, *others = pools = list(pools)
        if not others:
            return first
        raise_problems(problem for other in others for problem in _differences(first, other))
        sources, origins = _merge(pools)
        names = {name: None for pool in pools for name in pool.scores}
        return Pool(
            join([pool.records for pool in pools]),
            pd.concat([pool.labels for pool in pools], ignore_index=True),
            np.concatenate(origins),
            sources,
            {name: np.concatenate([_score(pool, name) for pool in pools]) for name in names},
        )

    def equals(self, other: Pool) -> bool:
        """Whether both hold the same records, labels, origins, sources and scores, bit for bit."""
        return (
            same(self.records, other.records)
            and self.labels.equals(other.labels)
            and np.array_equal(self.origin, other.origin)
            and self.sources == other.sources
            and self.scores.keys() == other.scores.keys()
            and all(np.array_equal(score, other.scores[name], equal_nan=True) for name, score in self.scores.items())
        )

    def counts(self) -> dict[Any, int]:
        """The number of records of each label that is there, in the labels' order."""
        counts = {plain(label): int(n) for label, n in self.labels.value_counts().items() if n}
        return dict(sorted(counts.items()))

    def trained_on(self, records: Any, labels: Any = None) -> np.ndarray:
        """Which of the given records some generator of this pool was trained on: test records must not be among them.

        Rows are the same if their values are, whatever their dtype and order; images, if their pixels are, in the shape
        and dtype of the pool. Only their digests are stored.

        Args:
            records: Rows with the columns of the pool, and possibly more, which are left aside; or images: an array, or
                what `read_images` takes, whose labels are not looked at.
            labels: If given, a record counts only with the label it had in training.

        Returns:
            `(n,)` bool.

        Raises:
            DataError: columns that are missing, images of another shape or dtype, or a generator whose training records
                were not noted, as with more than 262,144 of them.

        >>> from synthaug.fingerprint import digests, fingerprint
        >>> table, y = pd.DataFrame({"age": [30, 40, 50]}), ["a", "b", "a"]
        >>> source = Source("copier", fingerprint(table, y), 0, digests=digests(table, y))
        >>> Pool.of(table, y, source).trained_on(pd.DataFrame({"age": [50.0, 60.0]})).tolist()
        [True, False]
        """
        records = self._like_ours(records)
        labels = None if labels is None else check_labels(labels, records)
        known = np.zeros(len(records), bool)
        for source in {self.sources[place] for place in np.unique(self.origin)}:
            if not source.digests:
                raise DataError(
                    f"It was not noted which rows the source {source.name!r} was trained on, so nothing can be said. "
                    "`Synthesizer.sample` notes up to 262,144 of them."
                )
            known |= is_digested(source.digests, source.fingerprint, records, labels)
        return known

    def _like_ours(self, records: Any) -> Any:
        """Those columns that the pool has, or images; an error if they cannot be compared with the pool's."""
        if not isinstance(self.records, pd.DataFrame):
            known = is_array(records) or isinstance(records, pd.DataFrame)
            records = as_records(records) if known else read_images(records).records
            raise_problems(schema_of(self.records).differences(schema_of(records)))
            return records
        if not isinstance(records, pd.DataFrame):
            raise DataTypeError(f"Expected a DataFrame with the columns of the pool, got {type(records).__name__}.")
        here = list(records.columns)
        raise_problems(
            f"Expected one column {name!r} in the records, as in the pool, got {here.count(name)}."
            for name in self.records.columns
            if here.count(name) != 1
        )
        return records[list(self.records.columns)]

    def to_dataframe(self, target: str | None = None, flag: str | None = None) -> pd.DataFrame:
        """The records, then a column of labels, then, if asked for, one that says they are synthetic.

        Args:
            target: What to call the label column; by default the name of the labels, or else "label".
            flag: What to call the column of True; none by default.

        Raises:
            ParameterError: a name that a column has already.
            DataTypeError: a pool of images.

        >>> pool = Pool.of(pd.DataFrame({"age": [30]}), ["a"], Source("by hand", "", 0))
        >>> pool.to_dataframe("group", flag="synthetic").to_dict("records")
        [{'age': 30, 'group': 'a', 'synthetic': True}]
        """
        if not isinstance(self.records, pd.DataFrame):
            raise DataTypeError(
                f"A pool of {describe(self.records)} makes no DataFrame: take `pool.records`, an array, and "
                "`pool.labels`; or `save` it, for a folder of Parquet files that pandas reads."
            )
        name = next((n for n in (target, self.labels.name) if n is not None), "label")
        frame = self.records.copy()
        for column, values in [(name, self.labels)] + ([(flag, True)] if flag is not None else []):
            if column in frame.columns:
                raise ParameterError(f"There is a column {column!r} already: choose another name.")
            frame[column] = values
        return frame

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the pool to `folder`: Parquet files that any tool reads, and a manifest.

        Beside the records' own columns (for images, `image`, their bytes; the manifest tells shape and dtype) there are
        `__label__`, `__origin__` (a place among the manifest's sources) and one `__score__<name>` a score.
        `pandas.read_parquet(folder)` and a glob over `*.parquet` both work.

        Args:
            folder: A new or empty folder, or a pool's.
            overwrite: Whether a pool that is there already may be replaced.

        Raises:
            FileExistsSynthaugError: a pool is there and `overwrite` is False; or there are files of another kind.
            DataError: columns that cannot be stored, each with its remedy.
        """
        folder = Path(folder)
        with shards.changing(folder) as old:
            if old is not None and not overwrite:
                raise FileExistsSynthaugError(
                    f"{folder} holds a pool already: pass `overwrite=True`, use `append`, or choose another folder."
                )
            shards.write(folder, _tables(self), shards.Manifest(_meta(self)))

    def append(self, folder: str | os.PathLike[str]) -> None:
        """Add the pool to the one in `folder`, as new files (what is there is not rewritten); without one, `save` it.

        Several processes may do so at a time: each waits for its turn. A process killed half-way adds nothing.

        Raises:
            DataError: columns that differ from those of the pool in the folder, each named, or images that do.
        """
        folder = Path(folder)
        with shards.changing(folder) as old:
            if old is None:
                shards.write(folder, _tables(self), shards.Manifest(_meta(self)))
                return
            joined = blank_pool(old, folder) + self  # compares columns, and gives origins places among all sources
            like = shards.read_schema(folder, old.shards[0]) if old.shards else None
            shards.write(folder, _tables(joined, like), shards.Manifest(_meta(joined, old.meta), old.shards))

    @staticmethod
    def load(folder: str | os.PathLike[str], *, verify: bool = True, max_bytes: int = _MAX_BYTES) -> Pool:
        """Read the whole pool in `folder`.

        Args:
            folder: Where `save` wrote it.
            verify: Whether to compare the SHA-256 of each file. The page checksums are always compared.
            max_bytes: The most memory that the records may take.

        Raises:
            StorageError: a file that is missing, damaged, altered, no pool's, or opens out to more than `max_bytes`.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        pool, tables = blank_pool(manifest, folder), []
        for shard in manifest.shards:
            tables.append(shards.read_shard(folder, shard, verify=verify, max_bytes=max_bytes))
            max_bytes -= tables[-1].nbytes
        return Pool.concat([pool_from_table(table, pool, folder) for table in tables] or [pool])

    @staticmethod
    def iter(folder: str | os.PathLike[str], *, verify: bool = True, max_bytes: int = _MAX_BYTES) -> Iterator[Pool]:
        """Read the pool in `folder` one file at a time, each within `max_bytes` of memory; otherwise like `load`."""
        folder = Path(folder)
        manifest = read_manifest(folder)
        empty = blank_pool(manifest, folder)
        for shard in manifest.shards:
            yield pool_from_table(shards.read_shard(folder, shard, verify=verify, max_bytes=max_bytes), empty, folder)


def find_rows(which: Any, n: int) -> np.ndarray:
    """Positions among `n` records, of bools or positions; a `ParameterError` for others.

    >>> find_rows([True, False, True], 3)
    array([0, 2])
    """
    rows = np.asarray(which)
    if rows.dtype == bool:
        if rows.shape != (n,):
            raise ParameterError(f"Expected one bool a record ({n}), got shape {rows.shape}.")
        rows = np.flatnonzero(rows)
    rows = rows.astype(np.int64) if rows.size == 0 else rows
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or (rows.size and not 0 <= rows.min() <= rows.max() < n):
        raise ParameterError(f"Expected bools or positions from 0 to {n - 1} in one dimension, got {which!r}.")
    return rows


def _pixel_problems(records: Any) -> Iterator[str]:
    if isinstance(records, pd.DataFrame) or records.dtype.kind != "f" or not records.size:
        return
    if not np.isfinite([records.min(), records.max()]).all():
        bad = [place for place, image in enumerate(records) if not np.isfinite(image).all()]
        yield (
            f"Expected finite pixels, got NaN or infinite ones in {len(bad)} of {len(records)} images (at "
            f"{listed(bad)}): leave them out, with their labels, or mend what made them."
        )


def _differences(ours: Pool, theirs: Pool) -> list[str]:
    columns = schema_of(ours.records).differences(schema_of(theirs.records))
    if ours.labels.dtype != theirs.labels.dtype:
        columns.append(f"The labels have dtype {theirs.labels.dtype} where {ours.labels.dtype} is expected.")
    return columns


def _merge(pools: list[Pool]) -> tuple[tuple[Source, ...], list[np.ndarray]]:
    """All sources, each once, and the origins of each pool's records among them."""
    places: dict[Source, int] = {}
    maps = [np.array([places.setdefault(s, len(places)) for s in pool.sources], np.int32) for pool in pools]
    return tuple(places), [place[pool.origin] for place, pool in zip(maps, pools, strict=True)]


def _score(pool: Pool, name: str) -> np.ndarray:
    return np.asarray(pool.scores[name], np.float64) if name in pool.scores else np.full(len(pool), np.nan)


def _tables(pool: Pool, like: pa.Schema | None = None) -> Iterator[pa.Table]:
    """The pool as Arrow tables, one a file."""
    schema = schema_of(pool.records)
    problems = [
        f"Column {name!r} has a name that pools keep for themselves: rename it."
        for name in schema.columns
        if name in (LABEL, _ORIGIN) or name.startswith(_SCORE)
    ]
    if not is_storable(plain(pool.labels.name)):
        problems.append(f"The labels are called {pool.labels.name!r}: rename them to a string.")
    raise_problems(problems)
    labels = pool.labels.to_frame(LABEL)
    table = schema.to_table(pool.records, like)
    table = table.append_column(LABEL, Schema.of(labels).to_table(labels, like).column(LABEL))
    table = table.append_column(_ORIGIN, pa.array(pool.origin, pa.int32()))
    for name in pool.scores:
        table = table.append_column(_SCORE + name, pa.array(_score(pool, name)))
    rows = _SHARD_ROWS
    if isinstance(schema, ArraySchema):
        rows = max(1, min(rows, _SHARD_BYTES // schema.bytes))
    for start in range(0, max(1, len(pool)), rows):
        yield table.slice(start, rows)


def _meta(pool: Pool, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the manifest says of the pool, added to what it said `before`."""
    before = before or {"rows": 0, "counts": []}
    counts = dict(before["counts"])
    for label, n in pool.counts().items():
        counts[label] = counts.get(label, 0) + n
    return {
        "kind": _KIND,
        "library": synthaug.__version__,
        "rows": before["rows"] + len(pool),
        "counts": [[label, n] for label, n in counts.items()],
        "columns": schema_of(pool.records).to_dict(),
        "label": Schema.of(pool.labels.to_frame(LABEL)).to_dict(),
        "label_name": plain(pool.labels.name),
        "scores": list(pool.scores),
        "sources": [{name: value for name, value in asdict(s).items() if name != "digests"} for s in pool.sources],
        "digests": _all_digests(pool.sources),
    }


def _all_digests(sources: tuple[Source, ...]) -> dict[str, str]:
    """Fingerprint -> digests, each once, as far as there is room for them in a manifest."""
    found: dict[str, str] = {}
    for source in sources:
        if source.digests and sum(map(len, found.values())) + len(source.digests) <= _DIGESTS:
            found[source.fingerprint] = source.digests
    return found


def _check_meta(meta: Mapping[str, Any], rows: int) -> None:
    """Raise a `ValueError` for values of types that `_meta` does not write."""
    if meta["kind"] != _KIND:
        raise ValueError(f"it is of kind {meta['kind']!r}")
    if type(meta["rows"]) is not int or meta["rows"] != rows:
        raise ValueError(f"it says {meta['rows']!r} rows, and {rows} in its files")
    for label, n in meta["counts"]:
        if type(n) is not int or not isinstance(label, bool | int | float | str):
            raise ValueError(f"it counts {n!r} of {label!r}")
    if not all(isinstance(name, str) for name in meta["scores"]):
        raise ValueError(f"it has the scores {meta['scores']!r}")


def read_manifest(folder: Path) -> shards.Manifest:
    """The manifest of the pool in `folder`; a `StorageError` if there is none, which tells PNG files."""
    if not (folder / shards.MANIFEST).exists() and any(folder.glob("*/*.png")):
        raise StorageError(
            f"{folder} holds PNG files and no saved pool: if `write_images` wrote them, pass `read_pool(folder)`."
        )
    return shards.read_manifest(folder)


def blank_pool(manifest: shards.Manifest, folder: Path) -> Pool:
    """The pool that `manifest` tells of, without its records; a `StorageError` if `_meta` cannot have said so."""
    meta = manifest.meta
    try:
        _check_meta(meta, sum(shard.rows for shard in manifest.shards))
        digests = dict(meta.get("digests", {}))
        sources = tuple(Source(**source, digests=digests.get(source["fingerprint"], "")) for source in meta["sources"])
        labels = Schema.from_dict(meta["label"]).empty()[LABEL].rename(meta["label_name"])
        scores = {str(name): np.empty(0) for name in meta["scores"]}
        return Pool(schema_from_dict(meta["columns"]).empty(), labels, np.empty(0, np.int32), sources, scores)
    except (StorageError, LookupError, TypeError, ValueError) as error:
        raise StorageError(
            f"{folder / shards.MANIFEST} is damaged or not a pool's ({error}): restore it, or make the pool again."
        ) from error


def labels_from_table(table: pa.Table, blank: Pool, folder: Path) -> pd.Series:
    """The labels in a table from `folder`, which may have no other column, as those of `blank` are."""
    with _telling(folder):
        name: Any = blank.labels.name
        return Schema.of(blank.labels.to_frame(LABEL)).to_frame(table)[LABEL].rename(name)


def pool_from_table(table: pa.Table, blank: Pool, folder: Path) -> Pool:
    """The records in a table from `folder`, of a pool whose columns, labels and sources are those of `blank`."""
    labels = labels_from_table(table, blank, folder)
    with _telling(folder):
        scores = {
            score: table.column(_SCORE + score).to_numpy().astype(np.float64)
            if _SCORE + score in table.column_names
            else np.full(table.num_rows, np.nan)
            for score in blank.scores
        }
        origin = table.column(_ORIGIN).to_numpy().astype(np.int32)
        return Pool(schema_of(blank.records).to_frame(table), labels, origin, blank.sources, scores)


@contextmanager
def _telling(folder: Path) -> Iterator[None]:
    """Whatever goes wrong with a table of another form than the manifest's, as one of our errors."""
    try:
        yield
    except (StorageError, DataError, LookupError, TypeError, ValueError) as error:
        raise StorageError(f"A file in {folder} does not fit its manifest ({error}): make the pool again.") from error
