"""Batches with synthetic items on top of the real ones, and the user's loader with such batches."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import floor, isfinite
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Sampler, SequentialSampler, default_collate
from torch.utils.data.distributed import DistributedSampler

from synthaug.errors import DataError, DataTypeError, ParameterError, raise_problems
from synthaug.items import ItemForm
from synthaug.mix.dataset import Batch, MixedDataset, ToItem, check_real, is_datamodule
from synthaug.mix.drawing import Allocation, Blocks, draw_weighted, permuted
from synthaug.mix.ratios import Ratio, ratio_in, warn_of_percent
from synthaug.opened import AnyPool, OpenPool, as_pool
from synthaug.pool import Pool
from synthaug.rng import as_seed, global_states, isolated, numpy_rng, restore_globals
from synthaug.schema import plain

__all__ = ["MixedBatchSampler", "MixedLoader", "check_loader", "mix_loader"]

_SETTINGS = (
    *("num_workers", "persistent_workers", "prefetch_factor", "multiprocessing_context", "worker_init_fn", "timeout"),
    *("collate_fn", "pin_memory", "pin_memory_device", "generator", "in_order"),
)


class MixedBatchSampler(BatchSampler):
    """Batches of real positions, and after them the positions of synthetic items in a `MixedDataset`.

    A batch of `b` real items gets `ratio * b` synthetic ones on top, rounded so that the sum over the epoch is right.

    Args:
        sampler: Gives real positions; with a `batch_size` of None, whole batches of them.
        batch_size: Real items in a batch.
        drop_last: Whether to leave out a last batch that is short of real items.
        n_real: Real items in the dataset.
        n_synthetic: Synthetic items after them.
        ratio: Synthetic items for each real one, or a function from the epoch, counted from 0, to that number.
        seed: Which synthetic items are taken depends on it and the epoch, and on nothing else.

    Other Arguments:
        weights: How often each synthetic item is taken, `(n_synthetic,)`; by default each once before any twice.
        allocation: How many of each class are taken.
        blocks: Which synthetic items lie together on disk, so that few of these blocks are read at a time.
        epoch: The epoch with which to begin. Each iteration is one epoch on, unless `set_epoch` says otherwise.

    Several processes, of a `DistributedSampler` or of `torch.distributed`, take synthetic items in turn, each its own.

    Raises:
        ParameterError: arguments outside of what is allowed, all at once.

    >>> batches = MixedBatchSampler(range(5), 2, False, n_real=5, n_synthetic=3, ratio=0.5, seed=0)
    >>> [[position if position < 5 else "new" for position in batch] for batch in batches]
    [[0, 1, 'new'], [2, 3, 'new'], [4, 'new']]
    """

    def __init__(
        self,
        sampler: Sampler[Any] | Iterable[Any],
        batch_size: int | None,
        drop_last: bool,
        *,
        n_real: int,
        n_synthetic: int,
        ratio: Ratio,
        seed: int,
        weights: np.ndarray | None = None,
        allocation: Allocation | None = None,
        blocks: Blocks | None = None,
        epoch: int = 0,
    ) -> None:
        raise_problems(_problems(n_real, n_synthetic, ratio, weights, allocation), ParameterError)
        sampler = _aimed(sampler, n_real, whole_batches=batch_size is None)
        if batch_size is None:
            self.sampler, self.batch_size, self.drop_last = sampler, 0, drop_last
        else:
            super().__init__(sampler, batch_size, drop_last)
        self.n_real, self.n_synthetic, self.ratio = n_real, n_synthetic, ratio
        self.seed = as_seed(seed)
        self.weights = None if weights is None else np.asarray(weights, np.float64)
        self.allocation, self.blocks = allocation, blocks
        self.epoch = epoch
        self._told = False  # whether the ratio was warned of
        self.taken = 0  # synthetic items in the last iteration
        self.running: int | None = None  # the epoch of the last iteration
        self.started: dict[str, Any] | None = None  # randomness when it began
        self.resumed: Mapping[str, Any] | None = None  # where the next iteration begins

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; it is passed on to the sampler, if that wants to know."""
        self.epoch = epoch
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def tell_percent(self, ratio: float) -> None:
        """Warn once of a ratio above 20 for which the pool is too small, unless it is said what is taken how often."""
        named = self.weights is not None or self.allocation is not None
        if not named and not self._told and ratio * self.n_real > self.n_synthetic:
            self._told = warn_of_percent(ratio, self.n_real)

    @property
    def generators(self) -> list[torch.Generator]:
        """The generators that the samplers draw from, if they have their own."""
        found = (getattr(one, "generator", None) for one in (self.sampler, getattr(self.sampler, "sampler", None)))
        return [one for one in found if isinstance(one, torch.Generator)]

    @property
    def rank(self) -> int:
        """Which of several processes this is."""
        return self._place()[0]

    def __iter__(self) -> Iterator[Batch]:
        self.running, self.epoch = self.epoch, self.epoch + 1
        resumed, self.resumed = self.resumed, None
        if resumed is not None and self.rank == 0:  # whose states they are
            _put_back(resumed["start"], self.generators)
        self.started = _random(self.generators)
        batches = self._mixed(self.running)
        if resumed is not None:
            for _ in range(resumed["batches"]):
                next(batches, None)
            if self.rank == 0:
                _put_back(resumed["now"], [])  # generators of samplers are where they belong
        yield from batches

    def _mixed(self, epoch: int) -> Iterator[Batch]:
        ratio = ratio_in(self.ratio, epoch)
        if ratio > 0 and self.n_synthetic == 0:
            raise ParameterError(f"Expected a pool of at least one record for a ratio of {ratio}, got an empty one.")
        if callable(self.ratio):
            self.tell_percent(ratio)
        synthetic = self._synthetic(epoch, ratio)
        seen = given = self.taken = 0
        batches: Iterator[Any] = super().__iter__() if self.batch_size else iter(self.sampler)
        within, rank = _is_within(self.sampler, self.n_real), self.rank
        for number, batch in enumerate(batches):
            if not within and max(batch, default=0) >= self.n_real:
                raise DataError(
                    f"The sampler gives position {max(batch)}, and there are {self.n_real} real items: let it draw "
                    "from the real dataset alone, synthetic items come on top."
                )
            seen += len(batch)
            due = floor(ratio * seen + 0.5) - given
            given = self.taken = given + due
            mixed = Batch(batch, self.seed, (epoch, rank, number))
            if due:
                mixed.extend(itertools.islice(synthetic, due))
            yield mixed

    def _synthetic(self, epoch: int, ratio: float) -> Iterator[int]:
        """Positions without end; each process has every so-manieth of them."""
        size = max(1, floor(ratio * self.n_real + 0.5)) if self.n_synthetic else 0
        rngs = (numpy_rng(self.seed, "mix", epoch, number) for number in itertools.count())
        parts = itertools.chain.from_iterable(self._parts(size, rng) for rng in rngs)
        rank, ranks = self._place()
        positions = itertools.chain.from_iterable((part + self.n_real).tolist() for part in parts)
        return positions if ranks == 1 else itertools.islice(positions, rank, None, ranks)

    def _parts(self, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """What is taken, or all if each is to be once: at once, or bit by bit from a pool on disk."""
        if self.weights is not None:
            places = draw_weighted(self.weights, size, rng)
        elif self.allocation is not None:
            places = self.allocation.draw(size, rng)
        elif self.blocks is not None:
            return self.blocks.passes(rng)
        else:
            places = permuted(self.n_synthetic, self.n_synthetic, rng)
        return iter([places if self.blocks is None else self.blocks.arrange(places, rng)])

    def _place(self) -> tuple[int, int]:
        """Which process this is, and of how many."""
        if isinstance(self.sampler, DistributedSampler):
            return self.sampler.rank, self.sampler.num_replicas
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        return 0, 1

    def __len__(self) -> int:
        return super().__len__() if self.batch_size else len(self.sampler)  # type: ignore[arg-type]


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
                here = _random(self._mixing.generators)
                self._mixing.resumed = {"batches": 0, "start": here, "now": here}
            batches = super().__iter__()
        self._seen, self._skipped, self._begun = self._skipped, 0, None
        state = vars(self)  # a DataLoader looks at each attribute that is set
        for batch in batches:
            state["_seen"] += 1
            yield batch
            del batch  # its memory, still in the cache, can serve the next one

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
            return {**self._loaded, "now": _random(self._generators)}
        if self._begun is not None:
            return self._begun
        running = self._mixing.running
        ends = len(self) if self.limit is None else min(self.limit, len(self))
        at_start = running is None or self._seen >= ends
        return self._state(at_start, self._mixing.epoch if running is None else running + at_start)

    def _state(self, at_start: bool, epoch: int) -> dict[str, Any]:
        now = _random(self._generators)
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
            _put_back(state_dict["now"], self._generators)
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
        labels: The labels of your dataset, for "balance"; by default they are read from it, once.
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
    counts = None if labels is None else {plain(value): int(n) for value, n in pd.Series(labels).value_counts().items()}
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
    with isolated(0):  # items may draw random crops
        form = ItemForm.of(real[0], image=image, label=label)
        return [plain(form.read(real[index])[1]) for index in range(len(real))]


def _aimed(sampler: Any, n_real: int, *, whole_batches: bool) -> Any:
    """A sampler of real positions, where Lightning has made one for all positions of a `MixedDataset`."""
    if isinstance(sampler, DistributedSampler) and whole_batches:
        raise ParameterError(
            "A batch sampler of your own cannot be split over processes for you: split it yourself, and pass "
            "`use_distributed_sampler=False` to the Trainer."
        )
    if isinstance(sampler, DistributedSampler) and isinstance(sampler.dataset, MixedDataset):
        return DistributedSampler(
            range(n_real),  # type: ignore[arg-type]
            num_replicas=sampler.num_replicas,
            rank=sampler.rank,
            shuffle=sampler.shuffle,
            seed=sampler.seed,
            drop_last=sampler.drop_last,
        )
    if isinstance(sampler, SequentialSampler) and isinstance(sampler.data_source, MixedDataset):
        return SequentialSampler(range(n_real))
    if isinstance(sampler, RandomSampler) and isinstance(sampler.data_source, MixedDataset):
        raise ParameterError(
            "The sampler draws from all items of a MixedDataset, and is to draw from the real ones: use "
            "`RandomSampler(range(dataset.n_real))`."
        )
    return sampler


def _is_within(sampler: Any, n_real: int) -> bool:
    """Whether it is known that a sampler gives positions of real items only."""
    if type(sampler) in (RandomSampler, SequentialSampler):
        return len(sampler.data_source) <= n_real
    return type(sampler) is DistributedSampler and len(sampler.dataset) <= n_real  # type: ignore[arg-type]


def _problems(n_real: Any, n_synthetic: Any, ratio: Any, weights: Any, allocation: Any) -> Iterator[str]:
    for name, value in (("n_real", n_real), ("n_synthetic", n_synthetic)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            yield f"Expected `{name}` to be an int of at least 0, got {value!r}."
            return
    if not callable(ratio) and ratio_in(ratio, 0) > 0 and n_synthetic == 0:
        yield f"Expected a pool of at least one record for a `ratio` of {ratio}, got an empty one."
    if weights is not None and allocation is not None:
        yield "Expected `weights` or an `allocation`, got both: multiply the shares into the weights."
    if weights is None:
        return
    numbers = np.asarray(weights)
    if numbers.shape != (n_synthetic,) or numbers.dtype.kind not in "iuf":
        yield f"Expected `weights` to be {n_synthetic} numbers, one a synthetic item, got shape {numbers.shape}."
    elif not all(map(isfinite, numbers)) or numbers.min(initial=0) < 0 or not numbers.sum() > 0:
        yield "Expected `weights` of at least 0, finite, and not all 0."


def _random(generators: list[torch.Generator]) -> dict[str, Any]:
    return {"global": global_states(), "generators": [one.get_state() for one in generators]}


def _put_back(states: Mapping[str, Any], generators: list[torch.Generator]) -> None:
    restore_globals(states["global"])
    for generator, state in zip(generators, states["generators"], strict=False):
        generator.set_state(state)
