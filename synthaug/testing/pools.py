"""The contract of a pool as checks."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from synthaug.errors import StorageError
from synthaug.pool import Pool, Source
from synthaug.records import join, schema_of, take
from synthaug.testing.asserting import assert_equal, assert_raises

__all__ = ["POOL_CHECKS", "check_pool"]


def check_pool(pool: Pool) -> None:
    """Run every check of `POOL_CHECKS`.

    Args:
        pool: A pool of at least 3 records.

    >>> from synthaug.pool import Source
    >>> check_pool(Pool.of(pd.DataFrame({"age": [30, 40, 50]}), ["a", "b", "a"], Source("by hand", "", 0)))
    """
    for check in POOL_CHECKS:
        check(pool)


def check_pool_keep(pool: Pool) -> None:
    """`keep` takes label, origin and scores along with each record, for bools and for positions."""
    backwards = np.arange(len(pool))[::-1]
    odd = np.arange(len(pool)) % 2 == 1
    for which, rows in ((backwards, backwards), (odd, np.flatnonzero(odd)), (backwards[:0], backwards[:0])):
        kept = pool.keep(which)
        assert_equal(kept.records, take(pool.records, rows), "keep takes other records")
        assert kept.labels.tolist() == pool.labels.iloc[rows].tolist(), "keep takes other labels"
        assert _sources(kept) == [_sources(pool)[row] for row in rows], "keep takes other origins"
        for name, score in pool.scores.items():
            assert np.array_equal(kept.scores[name], score[rows], equal_nan=True), f"keep takes other scores {name!r}"


def check_pool_add(pool: Pool) -> None:
    """`+` puts one after the other, with equal sources as one."""
    added = pool + pool.keep([1])
    assert_equal(added.records, join([pool.records, pool.records[1:2]]), "+ changes records")
    assert added.labels.tolist() == [*pool.labels, pool.labels[1]], "+ changes labels"
    assert _sources(added) == [*_sources(pool), _sources(pool)[1]], "+ changes origins"
    assert len(added.sources) == len(pool.sources), "+ counts equal sources twice"


def check_pool_unchanged(pool: Pool) -> None:
    """Whatever is asked of a pool, it stays as it is."""
    before = copy.deepcopy(pool)
    with tempfile.TemporaryDirectory() as folder:
        pool.save(folder)
        pool.append(folder)
    if isinstance(pool.records, pd.DataFrame):
        pool.keep([0]).to_dataframe("the label", "the flag")
    pool + pool
    pool.counts()
    assert pool.equals(before), "the pool was changed"


def check_pool_save(pool: Pool) -> None:
    """What is saved comes back: records with their dtypes, labels, origins, sources, scores."""
    with tempfile.TemporaryDirectory() as folder:
        pool.save(folder)
        _assert_equal_pools(type(pool).load(folder), pool, "what was saved comes back changed")


def check_pool_append(pool: Pool) -> None:
    """Appended records come after those that are there, and files that are there stay."""
    with tempfile.TemporaryDirectory() as folder:
        pool.save(folder)
        before = {path: path.read_bytes() for path in Path(folder).glob("*.parquet")}
        pool.keep([1]).append(folder)
        after = {path: path.read_bytes() for path in Path(folder).glob("*.parquet")}
        assert before.items() <= after.items(), "append rewrites what is there"
        _assert_equal_pools(type(pool).load(folder), pool + pool.keep([1]), "what was appended comes back changed")
        parts = list(type(pool).iter(folder))
        _assert_equal_pools(Pool.concat(parts), pool + pool.keep([1]), "read file by file, the pool is another")


def check_pool_refuses_damage(pool: Pool) -> None:
    """A file cut short, with a bit flipped or missing, is a `StorageError`."""
    with tempfile.TemporaryDirectory() as folder:
        pool.save(folder)
        (path,) = Path(folder).glob("*.parquet")
        whole = path.read_bytes()
        for place in range(0, len(whole), len(whole) // 20):
            flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
            for content, what in ((whole[:place], f"a file cut at {place}"), (flipped, f"a bit flipped at {place}")):
                path.write_bytes(content)
                assert_raises(StorageError, lambda: type(pool).load(folder), what)
        path.unlink()
        assert_raises(StorageError, lambda: type(pool).load(folder), "a missing file")


def check_pool_files(pool: Pool) -> None:
    """There are but Parquet and JSON files, no pickle; pandas reads the folder."""
    with tempfile.TemporaryDirectory() as folder:
        pool.save(folder)
        for path in Path(folder).iterdir():
            content = path.read_bytes()
            ends = content[:4] + content[-4:]
            assert not content or ends == b"PAR1PAR1" or (ends[:1] == b"{" and ends[-2:] == b"}\n"), (
                f"{path.name} is neither Parquet nor JSON"
            )
        frame = pd.read_parquet(folder)
        assert len(frame) == len(pool), f"pandas reads {len(frame)} of {len(pool)} records"
        assert set(schema_of(pool.records).columns) <= set(frame.columns), "pandas does not find all columns"


def check_pool_overwrites_nothing(pool: Pool) -> None:
    """A pool that is there is replaced only when told to, and files of another kind never are."""
    with tempfile.TemporaryDirectory() as folder:
        pool.save(folder)
        assert_raises(FileExistsError, lambda: pool.save(folder), "saving over a pool")
        pool.keep([0]).save(folder, overwrite=True)
        _assert_equal_pools(type(pool).load(folder), pool.keep([0]), "overwriting leaves another pool")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "mine.txt").touch()
        assert_raises(FileExistsError, lambda: pool.save(folder, overwrite=True), "saving beside a file of mine")


POOL_CHECKS: tuple[Callable[[Pool], None], ...] = (
    check_pool_keep,
    check_pool_add,
    check_pool_unchanged,
    check_pool_save,
    check_pool_append,
    check_pool_refuses_damage,
    check_pool_files,
    check_pool_overwrites_nothing,
)


def _sources(pool: Pool) -> list[Source]:
    return [pool.sources[place] for place in pool.origin]


def _assert_equal_pools(found: Pool, expected: Pool, what: str) -> None:
    assert_equal(found.records, expected.records, what)
    assert found.equals(expected), what
