"""Pools that stay in their folder."""

import itertools
import pickle
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from synthaug import MixedDataset, OpenPool, Pool, mix_loader, opened, shards
from synthaug.errors import DataError, DataTypeError, ParameterError, StorageError
from synthaug.fingerprint import digests, fingerprint
from synthaug.mix.drawing import Blocks
from synthaug.pool import Source

REAL = [(np.full((8, 8), i, np.uint8), i % 3) for i in range(12)]


def images(n):
    """Images that tell their number, up to 65,536."""
    found = np.zeros((n, 8, 8), np.uint8)
    found[:, 0, 0], found[:, 0, 1] = np.arange(n) % 256, np.arange(n) // 256
    return found


def number(image):
    return int(image[0, 0]) + 256 * int(image[0, 1])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """60 images in 3 files of blocks of 4."""
    monkeypatch.setattr(shards, "_GROUP_BYTES", 4 * 64)
    monkeypatch.setattr(opened, "_LOADED", 0)  # whatever its size, it is opened
    for first in (0, 20, 40):
        source = Source(f"part {first}", "", first)
        scores = {"novelty": np.arange(first, first + 20.0)}
        Pool.of(images(60)[first : first + 20], [i % 3 for i in range(20)], source, scores=scores).append(tmp_path)
    return tmp_path


def small(folder):
    return OpenPool(folder, buffer=12 * 80)


def test_records_are_those_of_the_loaded_pool_whatever_is_asked_for(folder):
    pool, whole = small(folder), Pool.load(folder)
    assert (len(pool), len(pool.starts) - 1, pool.counts()) == (60, 15, whole.counts())
    assert pool.labels.equals(whole.labels)
    assert pool.sources == whole.sources
    assert 2 <= pool.together < 15
    rng = np.random.default_rng(0)
    for size in (0, 1, 7, 200):
        rows = rng.integers(0, 60, size)
        assert np.array_equal(pool.take(rows), whole.records[rows])
        assert pool.keep(rows).equals(whole.keep(rows))
        assert len(pool._cache) <= pool.together
    mask = np.arange(60) % 7 == 0
    assert pool.keep(mask).equals(whole.keep(mask))
    assert pool.load().equals(whole)
    with pytest.raises(ParameterError, match="positions from 0 to 59"):
        pool.take([60])


def test_tables_and_texts_are_read_likewise(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "_ROW_GROUP", 5)
    table = pd.DataFrame({"age": np.arange(23) / 2, "town": pd.Categorical(list("abcab" * 4 + "abc"))})
    whole = Pool.of(table, pd.Series(list("xy" * 11 + "x"), name="group"), Source("by hand", "", 0))
    whole.save(tmp_path)
    pool, rows = OpenPool(tmp_path, buffer=1), [22, 0, 7, 7, 13]
    assert pool.keep(rows).equals(whole.keep(rows))
    assert pool.take(rows).equals(whole.keep(rows).records)
    assert pool.labels.equals(whole.labels)

    def to_item(row, label):
        return torch.tensor(float(row["age"])), label

    real = [(torch.tensor(-1.0), "x")] * 8
    monkeypatch.setattr(opened, "_LOADED", 0)
    mixed = mix_loader(DataLoader(real, batch_size=4), tmp_path, ratio=23 / 8, seed=0, to_item=to_item)
    ages = [age for batch, _ in mixed for age in batch.tolist() if age >= 0]
    assert sorted(ages) == table["age"].tolist()


def test_a_small_pool_is_loaded_and_an_empty_one_has_nothing(tmp_path):
    Pool.of(images(5), [0, 1, 0, 1, 0], Source("by hand", "", 0)).save(tmp_path)
    assert isinstance(opened.as_pool(tmp_path), Pool)
    Pool.load(tmp_path).keep([]).save(tmp_path, overwrite=True)
    empty = OpenPool(tmp_path)
    assert (len(empty), empty.counts(), empty.take([]).shape) == (0, {}, (0, 8, 8))
    with pytest.raises(DataTypeError, match="Expected a Pool or the folder of one, got int"):
        opened.as_pool(3)
    with pytest.raises(StorageError, match="cannot be read as a pool"):
        OpenPool(tmp_path / "none")
    with pytest.raises(ParameterError, match="Expected `buffer` to be a number of bytes"):
        OpenPool(tmp_path, buffer=0)


def test_a_file_that_was_altered_is_found_when_it_is_first_read(folder):
    pool = small(folder)
    assert number(pool.take([0])[0]) == 0
    pool._cache.clear()
    victim = folder / pool._shards[1].file
    content = bytearray(victim.read_bytes())
    content[len(content) // 3] ^= 1
    victim.write_bytes(content)
    assert number(pool.take([1])[0]) == 1
    with pytest.raises(StorageError, match="its SHA-256 differs"):
        pool.take([25])
    victim.unlink()
    with pytest.raises(StorageError, match="There is no file"):
        pool.take([25])


def test_a_copy_in_another_process_reads_for_itself(folder):
    pool = small(folder)
    pool.take(range(60))
    content = pickle.dumps(pool)
    again = pickle.loads(content)
    assert not again._cache
    assert np.array_equal(again.take([59, 3]), pool.take([59, 3]))
    assert len(content) < len(pickle.dumps(Pool.load(folder))) + 5000


def test_the_training_rows_of_all_its_generators_are_known(tmp_path):
    table, y = images(6), [0, 1] * 3
    for part in (slice(0, 3), slice(3, 6)):
        source = Source("copier", fingerprint(table[part], y[part]), 0, digests=digests(table[part], y[part]))
        Pool.of(table[part], y[part], source).append(tmp_path)
    assert OpenPool(tmp_path).trained_on(images(8)).tolist() == [True] * 6 + [False] * 2


# --- mixing -----------------------------------------------------------------------------------------------------------


def epoch(loader):
    return [[number(image) for image in batch] for batch, _ in loader]


def mixed(pool, ratio=5.0, workers=0, **settings):
    loader = DataLoader(REAL, batch_size=4, num_workers=workers)
    return mix_loader(loader, pool, ratio=ratio, seed=0, **settings)


def test_each_record_comes_once_and_blocks_come_together(folder):
    pool = small(folder)
    loader = mixed(pool)
    first, second = epoch(loader), epoch(loader)
    assert [[n % 256 for n in batch[:4]] for batch in first] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    made = [n for batch in first for n in batch[4:]]
    assert sorted(made) == list(range(60))
    assert made != [n for batch in second for n in batch[4:]]
    at_once = 4 * pool.together
    blocks = [{n // 4 for n in made[start : start + at_once]} for start in range(0, 60, at_once)]
    assert max(map(len, blocks)) <= pool.together
    assert any(a > b for a, b in itertools.pairwise(made))


def test_batches_are_the_same_with_workers_and_after_a_stop(folder):
    alone = mixed(small(folder))
    wanted = [epoch(alone), epoch(alone)]
    for workers in (1, 2):
        loader = mixed(small(folder), workers=workers)
        assert [epoch(loader), epoch(loader)] == wanted
    stopped = mixed(small(folder))
    batches = iter(stopped)
    next(batches)
    again = mixed(small(folder))
    again.load_state_dict(stopped.state_dict())
    assert [epoch(again), epoch(again)] == [wanted[0][1:], wanted[1]]


def test_a_pool_that_fits_into_the_buffer_comes_as_one_in_memory(folder):
    assert epoch(mixed(OpenPool(folder))) == epoch(mixed(Pool.load(folder)))
    whole = MixedDataset(REAL, Pool.load(folder))
    lazy = MixedDataset(REAL, folder, flag=True)
    assert (lazy[30][0] == whole[30][0]).all()
    assert lazy[30][2]
    assert lazy.labels == whole.labels
    assert np.array_equal(lazy.records, whole.records)
    with pytest.raises(ParameterError, match="Expected a pool in memory to refresh"):
        lazy.refresh(Pool.load(folder))


def test_shares_of_classes_and_weights_hold(folder):
    drawn = [label for _, y in mixed(small(folder), allocation={0: 2, 1: 1}) for label in y[4:].tolist()]
    assert Counter(drawn) == {0: 40, 1: 20}
    weights = np.arange(60) % 2
    made = [n for batch in epoch(mixed(small(folder), weights=weights)) for n in batch[4:]]
    assert Counter(made) == dict.fromkeys(range(1, 60, 2), 2)


def test_what_does_not_fit_is_refused_as_of_a_pool_in_memory(folder):
    with pytest.raises(DataError, match="A synthetic item .* does not fit in a batch with a real one"):
        MixedDataset([(np.zeros((9, 9), np.uint8), 0)], folder)
    with pytest.raises(DataError, match="Expected synthetic labels of type str"):
        MixedDataset([(np.zeros((8, 8), np.uint8), "a")], folder)


def test_an_order_of_blocks_is_exact():
    rng = np.random.default_rng(0)
    for _ in range(100):
        starts = np.cumsum([0, *rng.integers(1, 6, rng.integers(1, 9))])
        blocks = Blocks(starts, int(rng.integers(1, 5)))
        passed = np.concatenate(list(blocks.passes(rng)))
        assert sorted(passed) == list(range(starts[-1]))
        places = rng.integers(0, starts[-1], 30)
        arranged = blocks.arrange(places, rng)
        assert sorted(arranged) == sorted(places)
        block = np.searchsorted(starts, arranged, side="right") - 1
        if len(starts) - 1 > blocks.together:
            spans = [(np.flatnonzero(block == b)[0], np.flatnonzero(block == b)[-1]) for b in set(block)]
            in_use = [sum(first <= i <= last for first, last in spans) for i in range(30)]
            assert max(in_use) <= blocks.together
