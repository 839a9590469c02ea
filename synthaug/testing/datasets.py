"""The contract of mixing as checks: run them over your own dataset, or over a way of mixing of your own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from synthaug.mix.dataset import FLAG
from synthaug.mix.loader import mix_loader
from synthaug.pool import Pool
from synthaug.rng import global_states, isolated
from synthaug.testing.asserting import global_state

__all__ = ["DATASET_CHECKS", "check_dataset"]

Mix = Callable[..., DataLoader[Any]]
BATCH = 4


def check_dataset(real: Any, pool: Pool, *, mix: Mix = mix_loader) -> None:
    """Run every check of `DATASET_CHECKS`.

    Args:
        real: A map-style dataset of at least 9 items, tuples or dicts, whose items are the same each time.
        pool: Synthetic records like its items, at least 3, and not all the same.
        mix: What mixes: called like `synthaug.mix_loader`.

    >>> import numpy as np
    >>> from synthaug.pool import Source
    >>> real = [(np.full((8, 8), i, np.uint8), i % 2) for i in range(10)]
    >>> records = np.arange(5, dtype=np.uint8).repeat(64).reshape(5, 8, 8)
    >>> check_dataset(real, Pool.of(records, [0, 1, 1, 0, 1], Source("by hand", "", 0)))
    """
    for check in DATASET_CHECKS:
        check(real, pool, mix)


def check_dataset_plain(real: Any, pool: Pool, mix: Mix) -> None:
    """A ratio of 0 gives the batches of the plain loader, with the same use of randomness."""
    with isolated(0):
        plain = _read(_loader(real)), _read(_loader(real)), global_state()
    with isolated(0):
        mixed = mix(_loader(real), pool, ratio=0.0, seed=0)
        found = _read(mixed), _read(mix(_loader(real), pool, ratio=0.0, seed=0)), global_state()
    assert found[:2] == plain[:2], "with a ratio of 0 the batches are not those of the plain loader"
    assert found[2] == plain[2], "with a ratio of 0 randomness is used in another way than by the plain loader"


def check_dataset_ratio(real: Any, pool: Pool, mix: Mix) -> None:
    """Each batch has its real items, and on top of them its share of synthetic ones, floor or ceil."""
    for ratio in (0.5, 0.3, 1.0, 2.6):
        flags = _flags(mix(_loader(real, shuffle=False), pool, ratio=ratio, seed=0, flag=True))
        for number, batch in enumerate(flags):
            wanted = min(BATCH, len(real) - number * BATCH)
            synthetic = sum(batch)
            assert len(batch) - synthetic == wanted, (
                f"batch {number} has {len(batch) - synthetic} real items, not {wanted}"
            )
            assert abs(synthetic - ratio * wanted) < 1, (
                f"batch {number} has {synthetic} synthetic items at a ratio of {ratio} and {wanted} real items"
            )
        total = sum(map(sum, flags))
        assert abs(total - ratio * len(real)) <= 0.5, f"an epoch has {total} synthetic items at a ratio of {ratio}"


def check_dataset_real_once(real: Any, pool: Pool, mix: Mix) -> None:
    """Each real item comes once an epoch, as it is."""
    found = _contents(_batches(mix(_loader(real), pool, ratio=0.5, seed=0, flag=True)), False)
    wanted = Counter(content for batch in _read(_loader(real, shuffle=False)) for content in batch)
    assert found == wanted, "an epoch does not have each real item once"


def check_dataset_pool_once(real: Any, pool: Pool, mix: Mix) -> None:
    """Each record of the pool is taken once before any twice."""
    ratio = len(pool) / len(real)
    batches = _batches(mix(_loader(real), pool, ratio=2 * ratio, seed=0, flag=True))
    made = [content for batch in batches for content, synthetic in batch if synthetic]
    first, second = Counter(made[: len(pool)]), Counter(made[len(pool) :])
    assert len(made) == 2 * len(pool), f"{len(made)} synthetic items came instead of {2 * len(pool)}"
    assert first == second, "some record of the pool is taken twice before another is taken once"


def check_dataset_deterministic(real: Any, pool: Pool, mix: Mix) -> None:
    """The same seed gives the same batches with 0, 1 and 2 workers, another one others; epochs differ."""

    def read(seed: int, **settings: Any) -> list[Any]:
        with isolated(0):
            loader = mix(_loader(real, **settings), pool, ratio=1.0, seed=seed)
            return [_read(loader), _read(loader)]

    alone = read(0)
    assert read(1) != alone, "another seed gives the same batches"
    assert alone[0] != alone[1], "two epochs have the same batches"
    for workers in (1, 2):
        assert read(0, num_workers=workers) == alone, f"with {workers} workers the batches are others than without"
    lasting = read(0, num_workers=1, persistent_workers=True)[0]
    assert lasting == alone[0], "with workers that persist the batches are others"


def check_dataset_schedule(real: Any, pool: Pool, mix: Mix) -> None:
    """A ratio that changes acts in its own epoch, also with workers that persist."""
    ways: tuple[dict[str, Any], ...] = ({}, {"num_workers": 1, "persistent_workers": True})
    for settings in ways:
        loader = mix(_loader(real, **settings), pool, ratio=lambda epoch: float(epoch == 1), seed=0, flag=True)
        totals = [sum(map(sum, _flags(loader))) for _ in range(3)]
        assert totals == [0, len(real), 0], f"a ratio of 0, 1, 0 gave {totals} synthetic items"


def check_dataset_ranks(real: Any, pool: Pool, mix: Mix) -> None:
    """Two processes have as many batches, other real items and other synthetic ones."""
    even = [real[index] for index in range(len(real) // 2 * 2)]
    parts = []
    for rank in range(2):
        sampler: Any = DistributedSampler(range(len(even)), num_replicas=2, rank=rank)  # type: ignore[arg-type]
        loader = _loader(even, shuffle=False, sampler=sampler)
        ratio = (len(pool) // 2) / (len(even) // 2)
        parts.append(_batches(mix(loader, pool, ratio=ratio, seed=0, flag=True)))
    assert len(parts[0]) == len(parts[1]), f"one process has {len(parts[0])} batches, the other {len(parts[1])}"
    whole = _batches(mix(_loader(even), pool, ratio=len(pool) / len(even), seed=0, flag=True))
    for synthetic, what in ((False, "real"), (True, "synthetic")):
        both = _contents([batch for part in parts for batch in part], synthetic)
        assert both <= _contents(whole, synthetic), f"two processes share {what} items"


def check_dataset_global_state(real: Any, pool: Pool, mix: Mix) -> None:
    """Neither mixing nor reading with a generator of one's own moves global randomness."""
    before = global_states()
    loader = mix(_loader(real, generator=torch.Generator().manual_seed(0)), pool, ratio=1.0, seed=0)
    _read(loader)
    after = global_states()
    same = torch.equal(before["torch"], after["torch"]) and torch.equal(before["numpy"][1], after["numpy"][1])
    assert same, "global randomness was moved"
    assert before["python"][1].equal(after["python"][1]), "global randomness was moved"


DATASET_CHECKS: tuple[Callable[[Any, Pool, Mix], None], ...] = (
    check_dataset_plain,
    check_dataset_ratio,
    check_dataset_real_once,
    check_dataset_pool_once,
    check_dataset_deterministic,
    check_dataset_schedule,
    check_dataset_ranks,
    check_dataset_global_state,
)


def _loader(real: Any, *, shuffle: bool = True, **settings: Any) -> DataLoader[Any]:
    return DataLoader(real, batch_size=BATCH, shuffle=shuffle, **settings)


def _bytes(value: Any) -> bytes:
    return value.numpy().tobytes() if isinstance(value, torch.Tensor) else repr(value).encode()


def _split(batch: Any) -> list[tuple[bytes, ...]]:
    """The items of a batch, each as its bytes."""
    parts: Iterable[Any] = batch.values() if isinstance(batch, dict) else batch
    return list(zip(*([_bytes(value) for value in part] for part in parts), strict=True))


def _read(loader: Iterable[Any]) -> list[list[tuple[bytes, ...]]]:
    return [_split(batch) for batch in loader]


def _batches(loader: Iterable[Any]) -> list[list[tuple[tuple[bytes, ...], bool]]]:
    """The items of each batch, and whether they are synthetic, of a loader with flags."""
    found = []
    for batch in loader:
        flags = batch.pop(FLAG) if isinstance(batch, dict) else batch[-1]
        rest = batch if isinstance(batch, dict) else batch[:-1]
        found.append(list(zip(_split(rest), flags.tolist(), strict=True)))
    return found


def _contents(batches: list[list[tuple[tuple[bytes, ...], bool]]], synthetic: bool) -> Counter[tuple[bytes, ...]]:
    return Counter(content for batch in batches for content, flag in batch if flag == synthetic)


def _flags(loader: Iterable[Any]) -> list[list[bool]]:
    return [[flag for _, flag in batch] for batch in _batches(loader)]
