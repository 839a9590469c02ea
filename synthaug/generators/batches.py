"""Training batches out of tensors that lie in memory: balanced over the classes, repeatable, resumable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from synthaug.generators.vicinity import Vicinity
from synthaug.rng import torch_rng

__all__ = ["Alter", "BalancedBatches", "BalancedData"]

Alter = Callable[[Tensor, int], Tensor]
"""From encoded records `(n, ...)` and a seed to altered versions of them."""
AT_ONCE = 16  # batches drawn together, since each draw has a cost of its own
ALTERED = 0.5  # the share of the records of a batch, if any are altered


class BalancedBatches:
    """Batches in which every class has the same expected share, whatever its size.

    Each epoch draws from a stream of its own, so an interrupted fit that resumes at an epoch sees the same batches.

    Args:
        x: Encoded records `(n, ...)`.
        y: Class codes `(n,)`.
        batch_size: Records a batch.
        steps: Batches an epoch.
        seed: Names the stream, together with the epoch and the rank of the process.
        rank: Which process this is, so that no two draw the same batches.
        balance: 1 gives every class the same share, 0 its share in the data, between them a geometric blend.
        vicinity: Moves the records of each batch, if given.
        alter: Makes altered versions of records, if given: they take the place of about half of each batch, and a third
            tensor `(n,)` says which they are.

    >>> batches = BalancedBatches(torch.eye(4), torch.tensor([0, 0, 0, 1]), batch_size=100, steps=3, seed=0)
    >>> len(batches), sum(float(y.float().mean()) for _, y in batches) / 3 > 0.4
    (3, True)
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        *,
        batch_size: int,
        steps: int,
        seed: int,
        rank: int = 0,
        balance: float = 1.0,
        vicinity: Vicinity | None = None,
        alter: Alter | None = None,
    ) -> None:
        self.vicinity, self.alter = vicinity, alter
        self.x, self.y, self.batch_size, self.steps, self.seed, self.rank = x, y, batch_size, steps, seed, rank
        counts, self._order = torch.bincount(y), y.argsort(stable=True)
        self._counts, self._starts = counts, counts.cumsum(0) - counts
        self._share = (counts > 0) * counts.to(torch.float64) ** (1 - balance)
        self.epoch = 0

    @property
    def sampler(self) -> BalancedBatches:
        """Where Lightning looks for `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the stream of the epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        rng = torch_rng(self.seed, "batches", self.epoch, self.rank)
        for first in range(0, self.steps, AT_ONCE):
            steps = min(AT_ONCE, self.steps - first)
            drawn = self._draw(steps * self.batch_size, rng)
            yield from zip(*(each.split(self.batch_size) for each in drawn), strict=True)

    def _draw(self, n: int, rng: torch.Generator) -> tuple[Tensor, ...]:
        """Records and codes, `n` of each: first the class, then a record of it, then a place in its vicinity."""
        label = torch.multinomial(self._share, n, replacement=True, generator=rng)
        u = torch.rand(n, generator=rng, dtype=torch.float64)
        rows = self._order[self._starts[label] + (u * self._counts[label]).long()]
        x, y = self.x[rows], self.y[rows]
        if self.vicinity is not None:
            x = self.vicinity.move(x, y, rng=rng)
        if self.alter is None:
            return x, y
        altered = torch.rand(n, generator=rng) < ALTERED
        x[altered] = self.alter(x[altered], int(torch.randint(2**62, (), generator=rng)))
        return x, y, altered


class BalancedData(LightningDataModule):
    """Balanced training batches, and a held-out part in plain order when there is one.

    Args:
        batches: Makes the `BalancedBatches` of a process, given its `rank`: a partial with everything else in it.
        held_out: Records and codes to look at after each epoch.

    >>> from functools import partial
    >>> batches = partial(BalancedBatches, torch.eye(2), torch.tensor([0, 1]), batch_size=4, steps=5, seed=0)
    >>> data = BalancedData(batches)
    >>> len(data.train_dataloader()), data.val_dataloader()
    (5, [])
    """

    def __init__(
        self, batches: Callable[..., BalancedBatches], *, held_out: tuple[Tensor, Tensor] | None = None
    ) -> None:
        super().__init__()
        self.batches, self.held_out = batches, held_out

    def train_dataloader(self) -> BalancedBatches:
        """The batches of this process."""
        return self.batches(rank=self.trainer.global_rank if self.trainer is not None else 0)

    def val_dataloader(self) -> list[Any] | DataLoader:
        """The held-out part in batches of 4096; none when nothing is held out."""
        if self.held_out is None:
            return []
        batches: Any = list(zip(self.held_out[0].split(4096), self.held_out[1].split(4096), strict=True))
        return DataLoader(batches, batch_size=None)
