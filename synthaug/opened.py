"""A pool that stays in its folder: records are read when they are asked for, a block at a time."""

from __future__ import annotations

import mmap
import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthaug import shards
from synthaug.errors import DataTypeError, ParameterError
from synthaug.pool import LABEL, Pool, Source, blank_pool, find_rows, labels_from_table, pool_from_table, read_manifest
from synthaug.records import describe, join, take
from synthaug.schema import plain

__all__ = ["AnyPool", "OpenPool", "as_pool"]

_BUFFER = 64 * 2**20
_LOADED = 256 * 2**20  # a pool in a folder is loaded if it takes no more
_MOST = 8 * 2**30


class OpenPool:
    """A pool in a folder whose records are read when they are asked for, so that it may be larger than memory.

    Records lie in blocks (the row groups of the Parquet files, of one MiB for images). The blocks that were used last
    are kept, up to `buffer` bytes, in each process; of all other records the labels alone are in memory. The SHA-256
    of a file is compared when the first of its blocks is read, checksums of pages each time. What is appended to the
    folder later is not seen.

    Args:
        folder: Where `Pool.save` or `Pool.append` wrote it.
        buffer: Bytes of records to keep in memory; two blocks at least.
        verify: Whether to compare the SHA-256 of each file.

    Attributes:
        blank: A pool without records, which has the columns, or the shape of images, and the sources.
        labels: The labels of all records.
        starts: `(n_blocks + 1,)` where each block begins, and where the last ends.
        together: Blocks that fit into the buffer.
        nbytes: What all records would take in memory.

    Raises:
        StorageError: a file that is missing, damaged, altered, or no pool's.

    >>> import tempfile
    >>> pool = Pool.of(np.arange(3, dtype="uint8").repeat(64).reshape(3, 8, 8), list("aba"), Source("by hand", "", 0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pool.save(folder)
    ...     opened = OpenPool(folder)
    ...     opened.take([2, 0])[:, 0, 0].tolist(), opened.counts(), len(opened)
    ([2, 0], {'a': 2, 'b': 1}, 3)
    """

    def __init__(self, folder: str | os.PathLike[str], *, buffer: int = _BUFFER, verify: bool = True) -> None:
        if isinstance(buffer, bool) or not isinstance(buffer, int) or buffer < 1:
            raise ParameterError(f"Expected `buffer` to be a number of bytes of at least 1, got {buffer!r}.")
        self.folder, self.buffer, self.verify = Path(folder), buffer, bool(verify)
        manifest = read_manifest(self.folder)
        self.blank, self._shards = blank_pool(manifest, self.folder), manifest.shards
        groups = [
            (place, number, *sizes)
            for place, shard in enumerate(self._shards)
            for number, sizes in enumerate(shards.list_groups(self.folder, shard))
            if sizes[0]
        ]
        self._groups = [group[:2] for group in groups]
        self.starts = np.cumsum([0, *(rows for _, _, rows, _ in groups)])
        sizes = [size for *_, size in groups]
        self.nbytes = sum(sizes)
        self.together = max(2, min(len(sizes), buffer // max(sizes, default=1)))
        self.labels = self._read_labels()
        self._cache: OrderedDict[int, Pool] = OrderedDict()
        self._verified = _shared(bytes(len(self._shards)))

    def _read_labels(self) -> pd.Series:
        tables = (shards.read_columns(self.folder, one, [LABEL], max_bytes=_MOST) for one in self._shards)
        parts = [labels_from_table(table, self.blank, self.folder) for table in tables]
        return pd.concat(parts or [self.blank.labels], ignore_index=True)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __repr__(self) -> str:
        return f"<OpenPool of {len(self)} {describe(self.blank.records)} in {self.folder}>"

    def __getstate__(self) -> dict[str, Any]:
        """For a process of its own: it reads its blocks itself, and trusts the files that were verified here."""
        return {**vars(self), "_cache": OrderedDict(), "_verified": bytes(self._verified)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._verified = _shared(state["_verified"])

    @property
    def sources(self) -> tuple[Source, ...]:
        """What made the records."""
        return self.blank.sources

    def counts(self) -> dict[Any, int]:
        """The number of records of each label that is there, in the labels' order."""
        return dict(sorted((plain(label), int(n)) for label, n in self.labels.value_counts().items() if n))

    def take(self, rows: Any) -> Any:
        """The records at the positions `rows`: rows of a table under a fresh index, or images."""
        parts, back = self._gather(find_rows(rows, len(self)))
        return take(join([take(block.records, places) for block, places in parts]), back)

    def keep(self, which: Any) -> Pool:
        """The records at `which`, bools or positions, as a pool in memory, with their labels, origins and scores."""
        parts, back = self._gather(find_rows(which, len(self)))
        return Pool.concat([block.keep(places) for block, places in parts]).keep(back)

    def load(self) -> Pool:
        """All records, in memory."""
        return Pool.load(self.folder, verify=self.verify)

    def trained_on(self, records: Any, labels: Any = None) -> np.ndarray:
        """Which of the given records some generator of this pool was trained on (see `Pool.trained_on`)."""
        each = np.arange(len(self.sources) if len(self) else 0, dtype=np.int32)
        one = self.keep(np.zeros(len(each), np.int64))
        return Pool(one.records, one.labels, each, one.sources).trained_on(records, labels)

    def _gather(self, rows: np.ndarray) -> tuple[Iterator[tuple[Pool, np.ndarray]], np.ndarray]:
        """Blocks, each with the positions wanted in it, and the order that puts these records as in `rows`."""
        if not len(rows):
            return iter([(self.blank, rows)]), rows
        blocks = np.searchsorted(self.starts, rows, side="right") - 1
        order = np.argsort(blocks, kind="stable")
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        wanted, ends = np.unique(blocks[order], return_index=True)
        places = np.split(rows[order] - self.starts[blocks[order]], ends[1:])
        return ((self._block(number), some) for number, some in zip(wanted.tolist(), places, strict=True)), back

    def _block(self, number: int) -> Pool:
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        place, group = self._groups[number]
        shard = self._shards[place]
        if self.verify and not self._verified[place]:
            shards.verify_shard(self.folder, shard)
            self._verified[place] = 1
        while len(self._cache) >= self.together:
            self._cache.popitem(last=False)
        table = shards.read_group(self.folder, shard, group, max_bytes=_MOST)
        self._cache[number] = pool_from_table(table, self.blank, self.folder)
        return self._cache[number]


AnyPool = Pool | OpenPool | str | os.PathLike[str]
"""A pool, or the folder of one."""


def as_pool(pool: Any) -> Pool | OpenPool:
    """A pool as it is; of a folder the pool in it, loaded if it takes at most 256 MiB, opened otherwise.

    Raises:
        DataTypeError: neither.
        StorageError: a folder without a pool, or with a damaged one.

    >>> as_pool([1, 2])
    Traceback (most recent call last):
    ...
    synthaug.errors.DataTypeError: Expected a Pool or the folder of one, got list: draw one with `Synthesizer.sample`.
    """
    if isinstance(pool, Pool | OpenPool):
        return pool
    if not isinstance(pool, str | os.PathLike):
        raise DataTypeError(
            f"Expected a Pool or the folder of one, got {type(pool).__name__}: draw one with `Synthesizer.sample`."
        )
    opened = OpenPool(pool)
    return opened.load() if opened.nbytes <= _LOADED else opened


def _shared(content: bytes) -> mmap.mmap:
    """Bytes that forked processes share."""
    memory = mmap.mmap(-1, max(1, len(content)))
    memory[: len(content)] = content
    return memory
