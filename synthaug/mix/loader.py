"""The user's loader, with synthetic items on top of each batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import pandas as pd
import torch
from torch.utils.data import BatchSampler, DataLoader, default_collate
from torch.utils.data.distributed import DistributedSampler

from synthaug.errors import DataError, DataTypeError
from synthaug.items import ItemForm
from synthaug.labels import check_labels, scalar
from synthaug.mix.batches import MixedBatchSampler, put_back, random_states
from synthaug.mix.dataset import MixedDataset, ToItem, check_real, is_datamodule
from synthaug.mix.drawing import Allocation, Blocks
from synthaug.mix.matching import glance, known_labels
from synthaug.mix.ratios import Ratio
from synthaug.opened import AnyPool, OpenPool, as_pool
from synthaug.pool import Pool
from synthaug.rng import isolated
from synthaug.schema import plain

__all__ = ["MixedLoader", "check_loader", "mix_loader"]

_LOOKS = 100  # at items, before labels that lie beside them are trusted
_SETTINGS = (
    *("num_workers", "persistent_workers", "prefetch_factor", "multiprocessing_context", "worker_init_fn", "timeout"),
    *("collate_fn", "pin_memory", "pin_memory_device", "generator", "in_order"),
)


@runtime_checkable
class _Stateful(Protocol):
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...


class MixedLoader(DataLoader[Any]):
    """A DataLoader of mixed batches that can say where it is, and go on from there.

    Lightning stores and restores this by itself, so that a run that was killed goes on with the batches that it would
    have had. In a loop of your own, put `state_dict()` into your checkpoint and give it back before the next epoch; one
    that leaves each epoch early says after how many batches, in `limit`, or goes on with the others of that epoch.

    What it holds: the epoch, the batches seen, the seed, and the states of global randomness in the main process, which
    is put back, and of a `collate_fn` that has a `state_dict`, such as `Mixup`. A `transform` of albumentations draws
    what it would have drawn, in workers too; other random code in workers is beyond reach.

    Args: those of a DataLoader, with a `MixedDataset` and a `MixedBatchSampler`; made by `mix_loader`.
    """

    limit: int | None = None
    """After how many batches an epoch ends, if not with the last one."""

    labels: Any = None
    """The labels of the real items, if they were given, or read for "balance"."""

    _seen = 0  # batches of the epoch that were handed out
    _skipped = 0  # batches that the next iteration leaves out
    _loaded: Mapping[str, Any] | None = None  # the state from which the next iteration goes on
    _begun: dict[str, Any] | None = None  # the state before an iteration that has given no batch so far

    def __iter__(self) -> Any:  # a DataLoader draws at once; where Lightning goes on, it may ask in vain and ask again
        if self._loaded is not None:
            return self._counted(None)
        self._begun = self._state(at_start=True, epoch=self._mixing.epoch)
        return self._counted(super().__iter__())

    def _counted(self, batches: Iterator[Any] | None) -> Iterator[Any]:
        if batches is None:
            loaded, self._loaded = self._loaded, None
            had_workers = loaded is not None and loaded.get("workers", self.persistent_workers)
            if had_workers and not self._skipped:  # they start anew now, and draw a seed for it
                here = random_states(self._mixing.generators)
                self._mixing.resumed = {"batches": 0, "start": here, "now": here}
            batches = super().__iter__()
        self._seen, self._skipped, self._begun = self._skipped, 0, None
        state = vars(self)  # a DataLoader looks at each attribute that is set
        for batch in batches:
            state["_seen"] += 1
            yield batch
            del batch  # its memory, still in the cache, can serve the next one

    @property
    def taken(self) -> int:
        """Synthetic items in the batches of the epoch that were handed out; workers may be ahead of them."""
        return self._mixing.taken[: self._seen + 1][-1]

    @property
    def _mixing(self) -> MixedBatchSampler:
        assert isinstance(self.batch_sampler, MixedBatchSampler)
        return self.batch_sampler

    @property
    def _generators(self) -> list[torch.Generator]:
        """The generators of the sampler, then that of the loader if it is another."""
        of_sampler, own = self._mixing.generators, self.generator
        return of_sampler if own is None or any(one is own for one in of_sampler) else [*of_sampler, own]

    def state_dict(self) -> dict[str, Any]:
        """Where the iteration is, in plain values and tensors."""
        if self._loaded is not None:
            return {**self._loaded, "now": random_states(self._generators)}
        if self._begun is not None:
            return self._begun
        running = self._mixing.running
        ends = len(self) if self.limit is None else min(self.limit, len(self))
        at_start = running is None or self._seen >= ends
        return self._state(at_start, self._mixing.epoch if running is None else running + at_start)

    def _state(self, at_start: bool, epoch: int) -> dict[str, Any]:
        now = random_states(self._generators)
        return {
            "epoch": epoch,
            "batches": 0 if at_start else self._seen,
            "start": now if at_start else self._mixing.started,
            "now": now,
            "workers": self._iterator is not None,  # those that persist
            "seed": self._mixing.seed,
            "collate": self.collate_fn.state_dict() if isinstance(self.collate_fn, _Stateful) else None,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Let the next iteration go on from where `state_dict` was taken; global randomness goes back to then.

        A loader that was made for a later epoch, because the epoch was cut short, begins there.
        """
        sampler, epoch, skipped = self._mixing, state_dict["epoch"], state_dict["batches"]
        if sampler.running is None and sampler.epoch > epoch:
            epoch, skipped = sampler.epoch, 0
        sampler.set_epoch(epoch)
        sampler.seed = state_dict.get("seed", sampler.seed)
        self._skipped, self._loaded = skipped, {**state_dict, "epoch": epoch, "batches": skipped}
        if sampler.rank == 0:
            put_back(state_dict["now"], self._generators)
            if state_dict.get("collate") is not None and isinstance(self.collate_fn, _Stateful):
                self.collate_fn.load_state_dict(state_dict["collate"])
        states = {"start": state_dict["start"], "now": state_dict["now"]}
        sampler.resumed = {"batches": skipped, **states} if skipped else None


def mix_loader(
    loader: DataLoader[Any],
    pool: AnyPool,
    *,
    ratio: Ratio = 0.5,
    seed: int | None = None,
    to_item: ToItem | None = None,
    transform: Callable[..., Any] | None = None,
    flag: bool = False,
    allocation: str | Mapping[Any, float] = "pool",
    labels: Any = None,
    weights: Any = None,
    image: Any = None,
    label: Any = None,
    epoch: int = 0,
) -> MixedLoader:
    """Your loader, with synthetic items on top of each batch of real ones; every setting of it stays.

    With a `ratio` of 0 its batches are those of your loader, bit for bit, with the same use of randomness. (A dataset
    that draws from a generator of its own is an item ahead: the first item is looked at.)

    Args:
        loader: A DataLoader over a map-style dataset.
        pool: The synthetic records: a `Pool`, or the folder of one, which may be larger than memory (see `OpenPool`):
            then blocks of records come in random order, some of them at a time, shuffled among themselves.
        ratio: Synthetic items for each real one, or a function from the epoch, counted from 0, to that number, such as
            `Annealed`.
        seed: Which synthetic items are taken, in which order, and what an albumentations `transform` draws; by default
            the seed that torch was given, and in training over several processes, which may have been given different
            ones, that of the `DistributedSampler` of your loader, or 0.
        to_item: Makes an item of a record and its label; by default an item that looks like your first one.
        transform: Applied to the image of real and synthetic items alike: any callable, or an albumentations pipeline,
            which draws anew in each batch of each epoch, the same with any number of workers. If it was given a seed
            of its own, this fixes it; that of torch, or `seed`, otherwise.
        flag: Whether to say in each item if it is synthetic: at the end of a tuple, or as "is_synthetic" in a dict.
        allocation: "pool" takes each record once before any twice; "balance" fills up rare classes first, so that real
            and synthetic items together are balanced; a dict of label to share takes these shares.

    Other Arguments:
        labels: The labels of your dataset, for "balance"; by default those in its `targets` or `labels`, if the items
            that are looked at have them too (100 at most), else each item is read for its label, once.
        weights: How often each record of the pool is taken, in place of `allocation`.
        image: Where the image is in an item; by default 0 in a tuple and "image" in a dict.
        label: Where the label is in an item; by default 1 in a tuple and "label" in a dict.
        epoch: The epoch with which the loader begins, for a run that goes on.

    Raises:
        DataTypeError: an iterable dataset, a loader without batches, or one of a class that iterates in its own way.
        DataError: synthetic items that would not fit in a batch with the real ones.
        ParameterError: arguments outside of what is allowed.

    Warns:
        MismatchWarning: the pool has images of another range of values, or labels that your dataset is known to lack;
            `transform` scales images of floats as if they were bytes. At most 16 items are looked at for it, none with
            a `ratio` of 0.
        SynthaugWarning: a `ratio` above 20, which may be meant in percent (of a function, in its epoch), unless the
            pool has a record for each item or an `allocation` or `weights` are given.

    >>> import numpy as np
    >>> from synthaug import Pool
    >>> from synthaug.pool import Source
    >>> real = [(np.full((8, 8), i, np.uint8), i % 2) for i in range(8)]
    >>> pool = Pool.of(np.full((3, 8, 8), 99, np.uint8), [0, 1, 1], Source("by hand", "", 0))
    >>> for images, _ in mix_loader(DataLoader(real, batch_size=4), pool, ratio=0.5):
    ...     print(images[:, 0, 0].tolist())
    [0, 1, 2, 3, 99, 99]
    [4, 5, 6, 7, 99, 99]
    """
    check_loader(loader)
    pool = as_pool(pool)
    shared = loader.persistent_workers and isinstance(pool, Pool) and not isinstance(pool.records, pd.DataFrame)
    dataset = MixedDataset(
        loader.dataset,
        pool,
        to_item=to_item,
        transform=transform,
        flag=flag,
        image=image,
        label=label,
        shared=shared,
        look=False,
    )
    if labels is None and isinstance(allocation, str) and allocation == "balance":
        labels = _read_labels(dataset.real, image, label)
    if labels is not None and len(labels) != dataset.n_real:
        raise DataError(f"Expected one label an item in `labels`, got {len(labels)} and {dataset.n_real} items.")
    counts = None if labels is None else _counts(labels)
    dataset.collated = loader.collate_fn is default_collate
    batches = loader.batch_sampler
    own = type(batches) is not BatchSampler
    sampler = MixedBatchSampler(
        batches if own else batches.sampler,  # type: ignore[union-attr, arg-type]
        None if own else batches.batch_size,  # type: ignore[union-attr]
        False if own else batches.drop_last,  # type: ignore[union-attr]
        n_real=dataset.n_real,
        n_synthetic=dataset.n_synthetic,
        ratio=ratio,
        seed=_default_seed(loader) if seed is None else seed,
        weights=weights,
        allocation=None if allocation == "pool" else Allocation.of(pool.labels, allocation, counts),
        blocks=Blocks(pool.starts, pool.together) if isinstance(pool, OpenPool) else None,
        epoch=epoch,
    )
    if not callable(ratio):
        sampler.tell_percent(ratio)
    if callable(ratio) or ratio > 0:
        dataset.warn_of_misfit(None if counts is None else set(counts))
    settings = {name: getattr(loader, name) for name in _SETTINGS if hasattr(loader, name)}
    mixed = MixedLoader(dataset, batch_sampler=sampler, **settings)
    mixed.labels = labels
    object.__setattr__(mixed, "sampler", loader.sampler)  # `loader.sampler.set_epoch(epoch)` goes on working
    return mixed


def check_loader(loader: Any) -> None:
    """Refuse what `mix_loader` cannot mix.

    >>> check_loader(set())
    Traceback (most recent call last):
    ...
    synthaug.errors.DataTypeError: Expected a DataLoader, got set: pass the loader itself, over a map-style dataset.
    """
    if isinstance(loader, MixedDataset):
        check_real(loader)
    if not isinstance(loader, DataLoader):
        raise DataTypeError(f"Expected a DataLoader, got {type(loader).__name__}: {_instead(loader)}.")
    check_real(loader.dataset)
    if loader.batch_sampler is None:
        raise DataTypeError(
            "Expected a loader that makes batches: this one has `batch_size=None`, so its dataset does. Give it a "
            "`batch_size`, or mix within your dataset with `MixedDataset`."
        )
    if type(loader).__iter__ is not DataLoader.__iter__:
        raise DataTypeError(
            f"A {type(loader).__name__} iterates in its own way, which a mixed loader would lose: give it a "
            "`MixedDataset` and a `MixedBatchSampler` yourself."
        )


def _instead(given: Any) -> str:
    """What to do with something that is no DataLoader."""
    if is_datamodule(given):
        return "wrap it, `MixedDataModule(datamodule, pool)`"
    if isinstance(given, Pool | OpenPool | str | os.PathLike):
        return "the loader comes first, `mix_loader(loader, pool)`"
    parts = [*given.values()] if isinstance(given, Mapping) else getattr(given, "flattened", given)  # of Lightning
    if isinstance(parts, list | tuple) and any(isinstance(part, DataLoader) for part in parts):
        return "mix each of several by itself, with `mix_loader`"
    if hasattr(given, "__getitem__") and hasattr(given, "__len__") and not isinstance(given, tuple):
        return (
            "make one, `DataLoader(dataset, batch_size=32, shuffle=True)`, or take items without batches from a "
            "`MixedDataset(dataset, pool)`"
        )
    return "pass the loader itself, over a map-style dataset"


def _default_seed(loader: DataLoader[Any]) -> int:
    """The seed of torch; over several processes one that is sure to be the same in each."""
    sampler = getattr(loader.batch_sampler, "sampler", loader.sampler)
    if isinstance(sampler, DistributedSampler):
        return sampler.seed
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    return 0 if several and torch.distributed.get_world_size() > 1 else torch.initial_seed() % 2**63


def _read_labels(real: Any, image: Any, label: Any) -> list[Any]:
    try:
        with isolated(0):  # items may draw random crops
            form = ItemForm.of(real[0], image=image, label=label)
            looked = glance(real.__getitem__, len(real), _LOOKS)
            items = (looked[index] if index in looked else real[index] for index in range(len(real)))
            return known_labels(real, form, looked) or [form.read(item)[1] for item in items]
    except DataError as error:
        raise type(error)(
            f'{error} Labels are read for "balance" alone: you can pass them, `labels=` in `mix_loader`, instead.'
        ) from error


def _counts(labels: Any) -> dict[Any, int]:
    """How many items have each label."""
    labels = [*map(scalar, labels)] if isinstance(labels, list | tuple) else labels
    return {plain(value): int(n) for value, n in check_labels(labels).value_counts().items()}
