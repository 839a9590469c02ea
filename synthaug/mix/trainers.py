"""What the callback and the DataModule ask of a Lightning Trainer and tell its user."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.connectors.data_connector import _DataLoaderSource
from pytorch_lightning.utilities import CombinedLoader, rank_zero_info
from torch.utils.data import DataLoader

from synthaug.errors import DataError
from synthaug.mix.loader import MixedLoader
from synthaug.opened import OpenPool
from synthaug.pool import Pool

__all__ = ["GivenSource", "epoch_of", "from_first", "loaders_in", "resumed", "tell_unknown", "telling_of_plain"]

_PATIENCE = timedelta(days=365)  # of processes that wait for the first one to fit


@dataclass
class GivenSource(_DataLoaderSource):
    """Gives loaders that were asked for already, and after that those of the user's source."""

    given: Any

    def dataloader(self) -> Any:
        """What Lightning asks for."""
        given, self.given = self.given, None
        return super().dataloader() if given is None else given


def epoch_of(trainer: pl.Trainer) -> int:
    """The epoch that comes next or runs; Lightning's count lags behind while a run goes on from the end of one."""
    loop = trainer.fit_loop
    processed: int = loop.epoch_progress.current.processed  # type: ignore[attr-defined]  # of a wider type
    return max(processed, *(state["epoch"] for state in loop._combined_loader_states_to_load if _is_ours(state)), 0)


def from_first(trainer: pl.Trainer, make: Callable[[], Pool | OpenPool]) -> Pool | OpenPool:
    """What the first process makes, in all; the others wait as long as it takes, which most collectives would not."""
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    patient = torch.distributed.new_group(backend="gloo", timeout=_PATIENCE) if several else None
    try:
        made: Any = make() if trainer.is_global_zero else None
        if patient is not None:
            torch.distributed.barrier(patient)
    finally:  # which ends the waiting of the others if there was an error
        if patient is not None:
            torch.distributed.destroy_process_group(patient)
    shared: Pool | OpenPool = trainer.strategy.broadcast(made)
    return shared


def resumed(trainer: pl.Trainer, loader: MixedLoader) -> MixedLoader:
    """Hand the loader its state from the checkpoint where Lightning does not: at the end of an epoch.

    It is told at which batch the trainer ends an epoch, too.
    """
    loop, most = trainer.fit_loop, trainer.limit_train_batches
    if most is not None and (isinstance(most, int) or most < 1):
        loader.limit = most if isinstance(most, int) else int(len(loader) * most)
    states = loop._combined_loader_states_to_load
    if not loop.restarting and states and _is_ours(states[0]):
        loader.load_state_dict(states[0])
        loop._combined_loader_states_to_load = []
    return loader


def _is_ours(state: Any) -> bool:
    """Whether this is what a `MixedLoader` stored, and not a loader of the user's."""
    return isinstance(state, Mapping) and {"epoch", "batches", "now"} <= set(state)


def tell_unknown(mix: pl.LightningDataModule | pl.Callback, unknown: list[str]) -> bool:
    """Log the first thing that could not be checked; whether there is one."""
    first = next(filter(None, unknown), "")
    if first:
        rank_zero_info(f"{type(mix).__name__}: {first}")
    return bool(first)


@contextmanager
def telling_of_plain(images: np.ndarray) -> Iterator[None]:
    """Add to an error about images that look normalised, in a fit to a training set, that they had better be plain."""
    try:
        yield
    except DataError as error:
        if images.dtype == np.uint8 or not (images.min() < 0 or images.max() > 1):
            raise
        raise type(error)(
            f"{error} Better still, let the training set give plain images, neither normalised nor changed at random, "
            "and pass its pipeline as `transform=`, which is applied to real and synthetic images alike."
        ) from error


def loaders_in(given: Any) -> list[DataLoader[Any]]:
    """The DataLoaders in whatever Lightning takes for loaders."""
    if isinstance(given, DataLoader):
        return [given]
    given = given.flattened if isinstance(given, CombinedLoader) else given
    parts = given.values() if isinstance(given, Mapping) else given if isinstance(given, list | tuple) else ()
    return [loader for part in parts for loader in loaders_in(part)]
