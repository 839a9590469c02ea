"""Batches with synthetic items on top of the real ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from math import floor, isfinite
from typing import Any

import numpy as np
import torch
from torch.utils.data import BatchSampler, RandomSampler, Sampler, SequentialSampler
from torch.utils.data.distributed import DistributedSampler

from synthaug.errors import DataError, ParameterError, raise_problems
from synthaug.mix.dataset import Batch, MixedDataset
from synthaug.mix.drawing import Allocation, Blocks, draw_weighted, permuted
from synthaug.mix.ratios import Ratio, ratio_in, warn_of_percent
from synthaug.rng import as_seed, global_states, numpy_rng, restore_globals

__all__ = ["MixedBatchSampler", "put_back", "random_states"]


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
    Who is first is drawn for each round of turns, so that no process always meets the same class of an `allocation`.

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
        self._whole = sampler if batch_size is None else None  # gives batches itself
        if batch_size is None:
            told = hasattr(sampler, "set_epoch")  # by whoever tells `sampler` of the epoch, as Lightning does
            self.sampler = sampler if told else getattr(sampler, "sampler", sampler)
            self.batch_size, self.drop_last = 0, drop_last
        else:
            super().__init__(sampler, batch_size, drop_last)
        self.n_real, self.n_synthetic, self.ratio = n_real, n_synthetic, ratio
        self.seed = as_seed(seed)
        self.weights = None if weights is None else np.asarray(weights, np.float64)
        self.allocation, self.blocks = allocation, blocks
        self.epoch = epoch
        self._told = False  # whether the ratio was warned of
        self.taken = [0]  # synthetic items in the first batches of the last iteration: none, one, two, ...
        self.running: int | None = None  # the epoch of the last iteration
        self.started: dict[str, Any] | None = None  # randomness when it began
        self.resumed: Mapping[str, Any] | None = None  # where the next iteration begins

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; it is passed on to the sampler, and to one within it, if they want to know."""
        self.epoch = epoch
        for one in self._samplers:
            if hasattr(one, "set_epoch"):
                one.set_epoch(epoch)

    def tell_percent(self, ratio: float) -> None:
        """Warn once of a ratio above 20 for which the pool is too small, unless it is said what is taken how often."""
        named = self.weights is not None or self.allocation is not None
        if not named and not self._told and ratio * self.n_real > self.n_synthetic:
            self._told = warn_of_percent(ratio, self.n_real)

    @property
    def _source(self) -> Any:
        """What gives positions, or whole batches of them."""
        return self.sampler if self._whole is None else self._whole

    @property
    def _samplers(self) -> tuple[Any, Any]:
        """That, and a sampler within it."""
        return self._source, getattr(self._source, "sampler", None)

    @property
    def generators(self) -> list[torch.Generator]:
        """The generators that the samplers draw from, if they have their own."""
        found = (getattr(one, "generator", None) for one in self._samplers)
        return [one for one in found if isinstance(one, torch.Generator)]

    @property
    def rank(self) -> int:
        """Which of several processes this is."""
        return self._place()[0]

    def __iter__(self) -> Iterator[Batch]:
        self.running, self.epoch = self.epoch, self.epoch + 1
        resumed, self.resumed = self.resumed, None
        if resumed is not None and self.rank == 0:  # whose states they are
            put_back(resumed["start"], self.generators)
        self.started = random_states(self.generators)
        batches = self._mixed(self.running)
        if resumed is not None:
            for _ in range(resumed["batches"]):
                next(batches, None)
            if self.rank == 0:
                put_back(resumed["now"], [])  # generators of samplers are where they belong
        yield from batches

    def _mixed(self, epoch: int) -> Iterator[Batch]:
        ratio = ratio_in(self.ratio, epoch)
        if ratio > 0 and self.n_synthetic == 0:
            raise ParameterError(f"Expected a pool of at least one record for a ratio of {ratio}, got an empty one.")
        if callable(self.ratio):
            self.tell_percent(ratio)
        synthetic = self._synthetic(epoch, ratio)
        seen, taken = 0, [0]
        self.taken = taken
        batches: Iterator[Any] = super().__iter__() if self._whole is None else iter(self._whole)
        within, rank = _is_within(self._source, self.n_real), self.rank
        for number, batch in enumerate(batches):
            if not within and max(batch, default=0) >= self.n_real:
                raise DataError(
                    f"The sampler gives position {max(batch)}, and there are {self.n_real} real items: let it draw "
                    "from the real dataset alone, synthetic items come on top."
                )
            seen += len(batch)
            taken.append(floor(ratio * seen + 0.5))
            due = taken[-1] - taken[-2]
            mixed = Batch(batch, self.seed, (epoch, rank, number))
            if due:
                mixed.extend(itertools.islice(synthetic, due))
            yield mixed

    def _synthetic(self, epoch: int, ratio: float) -> Iterator[int]:
        """Positions without end; each process takes one of every so many."""
        size = max(1, floor(ratio * self.n_real + 0.5)) if self.n_synthetic else 0
        rngs = (numpy_rng(self.seed, "mix", epoch, number) for number in itertools.count())
        parts = itertools.chain.from_iterable(self._parts(size, rng) for rng in rngs)
        rank, ranks = self._place()
        positions = itertools.chain.from_iterable((part + self.n_real).tolist() for part in parts)
        if ranks == 1:
            return positions
        firsts = numpy_rng(self.seed, "turns", epoch)
        turns = iter(lambda: list(itertools.islice(positions, ranks)), [])
        return (each[(rank + int(firsts.integers(ranks))) % ranks] for each in turns)

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
        for one in self._samplers:
            if isinstance(one, DistributedSampler):
                return one.rank, one.num_replicas
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        return 0, 1

    def __len__(self) -> int:
        return super().__len__() if self._whole is None else len(self._whole)  # type: ignore[arg-type]


def random_states(generators: list[torch.Generator]) -> dict[str, Any]:
    """The states of all global random generators, and of those given.

    >>> sorted(random_states([]))
    ['generators', 'global']
    """
    return {"global": global_states(), "generators": [one.get_state() for one in generators]}


def put_back(states: Mapping[str, Any], generators: list[torch.Generator]) -> None:
    """Put all global random generators, and those given, back into these states.

    >>> states = random_states([])
    >>> first = torch.rand(1)
    >>> put_back(states, [])
    >>> bool(first == torch.rand(1))
    True
    """
    restore_globals(states["global"])
    for generator, state in zip(generators, states["generators"], strict=False):
        generator.set_state(state)


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
