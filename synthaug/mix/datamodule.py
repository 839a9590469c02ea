"""Mixing in Lightning: a wrapper for the user's DataModule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch.utils.data import DataLoader

from synthaug.errors import DataTypeError
from synthaug.mix.dataset import ToItem
from synthaug.mix.loader import MixedLoader, mix_loader
from synthaug.mix.ratios import Ratio
from synthaug.mix.trainers import epoch_of, loaders_in, resumed, tell_unknown
from synthaug.mix.validation import Training, check_doubles, check_validation
from synthaug.opened import AnyPool, as_pool

__all__ = ["MixedDataModule"]

_HOOKS = (
    *("prepare_data", "setup", "teardown", "on_exception", "state_dict", "load_state_dict"),
    *("val_dataloader", "test_dataloader", "predict_dataloader"),
    *("transfer_batch_to_device", "on_before_batch_transfer", "on_after_batch_transfer"),
)


class MixedDataModule(pl.LightningDataModule):
    """Your DataModule, with synthetic items on top of each training batch; everything else is as it was.

    It logs nothing: figures and pictures of what is mixed are those of `SyntheticMix`.

    Args:
        datamodule: Yours. It is not changed, and its attributes can be reached through this one.
        pool: The synthetic records: a `Pool`, or the folder of one.
        ratio: Synthetic items for each real one, or a function from the epoch, counted from 0, to that number.
        seed: As all other arguments, see `mix_loader`.

    >>> import numpy as np
    >>> from torch.utils.data import DataLoader
    >>> from synthaug import Pool
    >>> from synthaug.pool import Source
    >>> real = [(np.full((8, 8), i, np.uint8), i % 2) for i in range(8)]
    >>> yours = pl.LightningDataModule()
    >>> yours.train_dataloader = yours.val_dataloader = lambda: DataLoader(real, batch_size=4)
    >>> pool = Pool.of(np.full((3, 8, 8), 99, np.uint8), [0, 1, 1], Source("by hand", "", 0))
    >>> mixed = MixedDataModule(yours, pool, ratio=0.5)
    >>> [len(labels) for _, labels in mixed.train_dataloader()], [len(labels) for _, labels in mixed.val_dataloader()]
    ([6, 6], [4, 4])
    """

    def __init__(
        self,
        datamodule: pl.LightningDataModule,
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
    ) -> None:
        super().__init__()
        if not isinstance(datamodule, pl.LightningDataModule):
            mix = "mix it" if isinstance(datamodule, DataLoader) else "mix the loader that is made of it"
            raise DataTypeError(
                f"Expected a LightningDataModule, got {type(datamodule).__name__}: {mix} with "
                "`mix_loader(loader, pool)`."
            )
        self.datamodule = datamodule
        self.prepare_data_per_node = datamodule.prepare_data_per_node
        self.allow_zero_length_dataloader_with_multiple_devices = (
            datamodule.allow_zero_length_dataloader_with_multiple_devices
        )
        self._log_hyperparams = datamodule._log_hyperparams
        for name in _HOOKS:  # only those that the user's has: Lightning looks which are there
            if is_overridden(name, datamodule):
                setattr(self, name, self._val_dataloader if name == "val_dataloader" else getattr(datamodule, name))
        self._pool, self._reading = pool, {"image": image, "label": label}
        self._real: Any = None  # the training set, once Lightning has asked for it
        self._held_out: list[Any] | None = None  # the validation sets, likewise
        self._unknown = False  # whether something could not be checked, which is told once
        self._seed = seed
        self._mix = partial(
            mix_loader,
            pool=pool,
            ratio=ratio,
            seed=seed,
            to_item=to_item,
            transform=transform,
            flag=flag,
            allocation=allocation,
            labels=labels,
            weights=weights,
            image=image,
            label=label,
        )

    def __getattr__(self, name: str) -> Any:
        """An attribute that this module lacks is that of the user's."""
        if name == "datamodule" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.datamodule, name)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "trainer" and "datamodule" in vars(self):
            self.datamodule.trainer = value

    @property
    def hparams(self) -> Any:
        """The hyper-parameters of the user's module."""
        return self.datamodule.hparams

    @property
    def hparams_initial(self) -> Any:
        """The hyper-parameters that the user's module was made with."""
        return self.datamodule.hparams_initial

    def _val_dataloader(self) -> Any:
        """The user's validation loaders; the first time, see `check_validation` for what is said of them."""
        loaders = self.datamodule.val_dataloader()
        if self._held_out is None:
            held_out, pool = [loader.dataset for loader in loaders_in(loaders)], as_pool(self._pool)
            self._unknown = tell_unknown(self, [check_validation(one, pool, **self._reading) for one in held_out])
            self._held_out = held_out
            self._check_doubles()
        return loaders

    def _check_doubles(self) -> None:
        """See `check_doubles`; which of the two sets Lightning asks for first depends on the run."""
        if self._real is None or self._held_out is None:
            return
        train, pool = Training(self._real, **self._reading), as_pool(self._pool)
        unknown = [check_doubles(one, pool, train) for one in self._held_out]
        if not self._unknown:
            tell_unknown(self, unknown)

    def train_dataloader(self) -> MixedLoader:
        """The user's loader, mixed."""
        loader = self.datamodule.train_dataloader()
        if self.trainer is None:
            return self._mix(loader)
        seed = torch.initial_seed() % 2**63 if self._seed is None else self._seed
        seed = int(self.trainer.strategy.broadcast(seed))  # processes may have been given different ones
        mixed = resumed(self.trainer, self._mix(loader, seed=seed, epoch=epoch_of(self.trainer)))
        if self._real is None:
            self._real = loader.dataset
            self._check_doubles()
        return mixed
