"""Mixing in Lightning: a callback for the user's own module and data."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.trainer.connectors.data_connector import _DataLoaderSource, _request_dataloader
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.seed import isolate_rng
from sklearn.base import clone

from synthaug.errors import ParameterError, StorageError, SynthaugWarning, raise_problems
from synthaug.fingerprint import fingerprint
from synthaug.generators.training import has_progress_bar
from synthaug.images import ImageRecords, read_images, size_problems
from synthaug.labels import by_label
from synthaug.mix.accepting import draw_accepted
from synthaug.mix.batches import MixedBatchSampler
from synthaug.mix.dataset import MixedDataset, ToItem, find_mixed
from synthaug.mix.drawing import Allocation, apportion
from synthaug.mix.grid import log_grid
from synthaug.mix.loader import MixedLoader, check_loader, mix_loader
from synthaug.mix.ratios import Ratio, ratio_in, warn_of_percent
from synthaug.mix.together import Together
from synthaug.mix.trainers import GivenSource, epoch_of, from_first, loaders_in, resumed, tell_unknown, telling_of_plain
from synthaug.mix.validation import Training, check_apart, check_doubles, check_validation, nearer_to_training
from synthaug.opened import AnyPool, OpenPool, as_pool
from synthaug.pool import Pool, Source
from synthaug.rng import as_seed, derive, isolated
from synthaug.schema import plain
from synthaug.selection import Criterion, check_criteria
from synthaug.shards import MANIFEST, changing
from synthaug.synthesizer import Synthesizer

__all__ = ["SyntheticMix"]

_GLANCED = 8  # training images that are read twice
_FAR = 1_000  # epochs that are asked for their ratio if there is no end to them


class SyntheticMix(pl.Callback):
    """Mixes synthetic items into the training of your own LightningModule: `Trainer(callbacks=[SyntheticMix()])`.

    It fits a `Synthesizer` on the images of your training set before training begins, or takes a pool that you give,
    and puts synthetic items on top of each batch of your training loader, which may come from a DataModule, from your
    module or straight from `fit`. Validation and test loaders are left alone.

    It fits on items as your training set gives them: after the set's own random transforms, if it has any, and draws
    images that look cropped, turned or noisy as those do. So let your set give plain images, and pass the pipeline
    here, as `transform`: then it acts on real and synthetic images alike, anew each time. Each item is read once for
    the fit. Before the first epoch up to 10,000 are read again to compare validation with them, twice if its images may
    be crops; a few are looked at besides, and some for each picture of `grid_every`.

    Args:
        synthesizer: What makes the images; by default `Synthesizer()`, which takes minutes to fit images of 28 x 28 and
            more. One that is fitted is taken as it is. Of several, each draws an equal share (before `criteria`, which
            may accept less of one): `[Synthesizer(generator=ConditionalWarp), Synthesizer()]` is what helps most where
            classes are rare. Where your trainer shows no progress bar, their fit shows none, unless their
            `trainer_kwargs` ask for one.
        pool: A pool to take in place of a synthesizer, or the folder of one, read as it is needed if it is large (see
            `OpenPool`; all processes must see it); a folder that does not exist yet is filled.
        ratio: Synthetic items for each real one, or a function from the epoch, counted from 0, to that number, such as
            `Annealed`.
        criteria: What drawn images must pass, such as `[Agreement(), Distance()]` (see `synthaug.select`); those that
            do not are replaced by others. The share accepted is logged. Where a class has too few, there is a warning,
            and those that it has come more often.
        refresh_every: Epochs after which the pool is drawn anew; by default never.
        seed: Of everything that is drawn here; by default the seed that torch was given (`seed_everything`). A run that
            goes on from a checkpoint has that of the checkpoint.
        to_item: Makes an item of a record and its label; by default an item that looks like your first one.
        transform: Applied to the image of real and synthetic items alike: any callable, or an albumentations pipeline.
        flag: Whether to say in each item if it is synthetic: at the end of a tuple, or as "is_synthetic" in a dict.
        allocation: How many items of each class: "pool" for as many of each, "balance" for rare classes first, or a
            dict of label to share. Shares need not add up to 1, and a class without one, or with 0, gets none: so
            `{label: 1 - recall[label] for label in recall}`, by the recall of an earlier run, puts hard classes first.

    Other Arguments:
        image: Where the image is in an item; by default 0 in a tuple and "image" in a dict.
        label: Where the label is in an item; by default 1 in a tuple and "label" in a dict.
        size: `(height, width)` to which images are resized for the synthesizer, where they differ in size; let
            `transform` bring all items to one size.
        grid_every: Epochs after which a picture of synthetic images, each beside the nearest real one, goes to your
            loggers, or as a PNG file into their folder; without any, into a new one,
            `lightning_logs/version_0` or so, in the trainer's `default_root_dir`. By default never.

    Attributes:
        pool_: The synthetic records in use.
        synthesizers_: What they were drawn from, in the first process.

    Your loggers get, each epoch: `synthetic/ratio`; `synthetic/pool_age`, in epochs; `synthetic/items`, how many were
    trained on; `synthetic/accepted`, the share of drawn images that the criteria accept; and
    `synthetic/nearer_to_training`, how often an image of the pool that training began with is nearer to the training
    set than a validation image of its class is: half is as if it had seen none, 1 is for copies.

    A run that goes on from a checkpoint (`fit(ckpt_path=...)`) sees the batches that it would have seen, from the end
    of an epoch, from validation or from the middle of an epoch, and ends in the same weights. A `transform` of
    albumentations draws what it would have drawn; other random code in workers, and in all processes but the first of
    several, is beyond reach.

    Raises:
        DataError: the training set holds more than a tenth of the validation set (before the fit), or a generator that
            was given has seen as much (of less there is a warning); or it makes no image of some class that the
            `criteria` accept (when training starts).
        ParameterError: arguments outside of what is allowed, all at once.

    Warns:
        SynthaugWarning: validation items that the generator has seen, or many that look like training images that were
            resized, cropped to their middle, normalised, flipped or turned; a training set that changes its images each
            time that it is read, where it is learned; a `ratio` above 20, which may be meant in percent.

    >>> SyntheticMix(ratio=-1.0)
    Traceback (most recent call last):
    ...
    synthaug.errors.ParameterError: Expected `ratio` to be a finite number of at least 0, got -1.0.
    """

    pool_: Pool | OpenPool | None = None
    synthesizers_: tuple[Synthesizer, ...] = ()

    def __init__(
        self,
        synthesizer: Synthesizer | Sequence[Synthesizer] | None = None,
        *,
        pool: AnyPool | None = None,
        ratio: Ratio = 0.5,
        criteria: Sequence[Criterion] = (),
        refresh_every: int | None = None,
        seed: int | None = None,
        to_item: ToItem | None = None,
        transform: Callable[..., Any] | None = None,
        flag: bool = False,
        allocation: str | Mapping[Any, float] = "pool",
        image: Any = None,
        label: Any = None,
        size: tuple[int, int] | None = None,
        grid_every: int | None = None,
    ) -> None:
        check_criteria(criteria)
        problems = _problems(synthesizer, pool, ratio, criteria, refresh_every, grid_every)
        raise_problems([*problems, *size_problems(size)], ParameterError)
        self.synthesizer, self.pool, self.ratio, self.refresh_every = synthesizer, pool, ratio, refresh_every
        self.seed, self.image, self.label, self.grid_every = seed, image, label, grid_every
        self.allocation, self.criteria, self.size = allocation, criteria, size
        self.seed_ = self._own_seed = None if seed is None else as_seed(seed)
        self._loaded_seed: int | None = None  # of the run that goes on
        self._mix = partial(
            mix_loader,
            ratio=ratio,
            to_item=to_item,
            transform=transform,
            flag=flag,
            image=image,
            label=label,
        )
        self._source: _DataLoaderSource | None = None
        self._val_source: _DataLoaderSource | None = None
        self._files: CSVLogger | None = None  # whose folder takes pictures where no logger does
        self._requested: Any = None  # the user's loader, if it was needed before Lightning asked for it
        self._read: tuple[Any, Any] = ((), ())  # the training set whose labels were read, and these
        self._counts: Mapping[Any, int] = {}
        self._images: ImageRecords | None = None  # of the training set, for the criteria
        self._accepted: float | None = None  # the share of what was drawn last, in the first process
        self._looked = True  # whether validation was looked at in this run
        self._nearer: float | None = None  # what `nearer_to_training` says of the first pool
        self._drawn = 0  # which drawing of the pool is in use

    # --- the run ------------------------------------------------------------------------------------------------------

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make the pool ready, and stand between Lightning and the training loader."""
        self._source, self._files = trainer.fit_loop._data_source, CSVLogger(trainer.default_root_dir)
        seeds = self._loaded_seed, self._own_seed, torch.initial_seed() % 2**63
        self.seed_ = int(trainer.strategy.broadcast(next(one for one in seeds if one is not None)))
        self.pool_, self._drawn = self.pool if isinstance(self.pool, Pool | OpenPool) else None, 0
        if self.pool_ is None and self._most(trainer) > 0:
            self._requested, held_out = _request_dataloader(self._source), self._held_out(trainer)
            self.pool_ = from_first(trainer, lambda: self._first_pool(trainer, self._requested, held_out))
        trainer.fit_loop._data_source = _MixedSource(self._source.instance, self._source.name, self, trainer)

    def mixed(self, trainer: pl.Trainer, loader: Any) -> Any:
        """The user's loader, mixed from the epoch on in which the trainer is."""
        self._draw_for(trainer)
        pool = self.pool_
        if pool is None:  # of a ratio that is always 0
            if self._mix.keywords["transform"] is None:
                return loader
            pool = _nothing(loader.dataset, self._reading)
        (real, labels), allocation = self._read, self._allocation(pool)
        known = allocation == "balance" and len(labels) == len(real) and getattr(loader, "dataset", None) is real
        labels, epoch = labels if known else None, epoch_of(trainer)
        mixed = self._mix(loader, pool, seed=self.seed_, epoch=epoch, allocation=allocation, labels=labels)
        if mixed.labels is not None:
            self._read = loader.dataset, mixed.labels
        return resumed(trainer, mixed)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look whether validation is what it should be, and how much of the training images the pool has memorised."""
        self._nearer, self._looked = None, False
        self._look(trainer)
        if self.pool_ is not None and not trainer.enable_validation:
            rank_zero_info("SyntheticMix: without validation images, what the pool has memorised is not known.")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The same, where Lightning asks for validation loaders only now."""
        if not self._looked and not trainer.sanity_checking:
            self._look(trainer)

    def _look(self, trainer: pl.Trainer) -> None:
        loader = trainer.train_dataloader
        self._looked = trainer.val_dataloaders is not None
        if self.pool_ is None or not isinstance(loader, MixedLoader) or not self._looked:
            return
        assert isinstance(loader.dataset, MixedDataset)
        assert self.seed_ is not None
        train, unknown, reason = Training(loader.dataset.real, layout=self._layout, **self._reading), [], ""
        for held_out in (one.dataset for one in loaders_in(trainer.val_dataloaders)):
            unknown.append(check_validation(held_out, self.pool_, layout=self._layout, **self._reading))
            unknown.append(check_doubles(held_out, self.pool_, train))
            if self._nearer is None and find_mixed(held_out) is None:
                self._nearer, reason = nearer_to_training(self.pool_, train, held_out=held_out, seed=self.seed_)
        tell_unknown(self, unknown)
        tell_unknown(self, [reason])

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw a new pool if it is time to, and say which epoch it is."""
        loader = trainer.train_dataloader
        if not isinstance(loader, MixedLoader):
            return
        dataset, sampler = loader.dataset, loader.batch_sampler
        assert isinstance(dataset, MixedDataset)
        assert isinstance(sampler, MixedBatchSampler)
        if self._draw_for(trainer):
            assert isinstance(self.pool_, Pool)  # a folder is not drawn anew
            dataset.refresh(self.pool_)
        sampler.set_epoch(trainer.current_epoch)
        due = self.grid_every is not None and trainer.current_epoch % self.grid_every == 0
        if due and self.pool_ is not None and trainer.is_global_zero:
            with isolated(0):
                assert self._files is not None
                log_grid(trainer, self.pool_, dataset.real, files=self._files, **self._reading)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the ratio, the age of the pool in epochs, the synthetic items of the epoch, and shares of the pool."""
        loader = trainer.train_dataloader
        if not isinstance(loader, MixedLoader):
            return
        epoch = trainer.current_epoch
        figures = {
            "synthetic/ratio": ratio_in(self.ratio, epoch),
            "synthetic/pool_age": float(epoch if self.refresh_every is None else epoch % self.refresh_every),
            "synthetic/items": float(loader.taken),
        }
        if self._accepted is not None:
            figures["synthetic/accepted"] = self._accepted
        if self._nearer is not None:
            figures["synthetic/nearer_to_training"] = self._nearer
        pl_module.log_dict(figures, on_step=False, on_epoch=True, batch_size=1)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give back the user's loader."""
        if self._source is not None:
            trainer.fit_loop._data_source = self._source
        if self._val_source is not None:
            trainer.fit_loop.epoch_loop.val_loop._data_source = self._val_source
        self._source = self._val_source = self._requested = self._loaded_seed = None
        self._read = (), ()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give back the user's loader, whatever went wrong."""
        self.teardown(trainer, pl_module, "fit")

    def state_dict(self) -> dict[str, Any]:
        """The seed; where the loader is, it says itself."""
        return {"seed": self.seed_}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the seed of the run that goes on."""
        self.seed_ = self._loaded_seed = state_dict["seed"]

    # --- the pool -----------------------------------------------------------------------------------------------------

    @property
    def _reading(self) -> dict[str, Any]:
        """How items are read, see `read_images`."""
        return {"image": self.image, "label": self.label, "size": self.size}

    @property
    def _given(self) -> Sequence[Synthesizer]:
        """The synthesizers that make the pool, as they were given."""
        return self.synthesizer if isinstance(self.synthesizer, Sequence) else [self.synthesizer or Synthesizer()]

    @property
    def _layout(self) -> str | None:
        """How the axes of images are meant, where a codec had to be told."""
        codecs = (getattr(one, "codec_", one.codec) for one in self._given)
        return next(filter(None, (getattr(codec, "layout", None) for codec in codecs)), None)

    def _allocation(self, pool: Pool | OpenPool) -> str | Mapping[Any, float]:
        """Without the classes of which none was drawn, since their share is 0 or too small for one image."""
        if not len(pool):
            return "pool"
        given = self.synthesizer is None and self.pool is not None
        if given or not isinstance(self.allocation, Mapping):
            return self.allocation
        there = pool.counts()
        return {label: share for label, share in by_label(self.allocation).items() if label in there}

    def _most(self, trainer: pl.Trainer) -> float:
        """The highest ratio of all epochs, as far as their number is known."""
        if not callable(self.ratio):
            return ratio_in(self.ratio, 0)
        epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs > 0 else _FAR
        return max(ratio_in(self.ratio, epoch) for epoch in range(epochs))

    @property
    def _is_filled(self) -> bool:
        """Whether there is a pool in the folder that is to take it."""
        return isinstance(self.pool, str | os.PathLike) and Path(self.pool, MANIFEST).exists()

    @property
    def _learns(self) -> bool:
        """Whether some synthesizer is still to be fitted."""
        return not all(hasattr(one, "generators_") for one in self._given)

    def _held_out(self, trainer: pl.Trainer) -> list[Any]:
        """The validation sets, if there is a fit to come; their loaders are kept until Lightning asks for them.

        They are asked for only where Lightning soon would for its sanity check, and likewise randomness is put back.
        """
        loop = trainer.fit_loop.epoch_loop.val_loop
        checked = trainer.enable_validation and trainer.num_sanity_val_steps > 0 and not loop.restarting
        if not self._learns or self._is_filled or not checked:
            return []
        source = loop._data_source
        try:
            with isolate_rng():
                loaders = _request_dataloader(source)
        except Exception:  # of a hook that needs what comes later: Lightning asks again, and raises what is wrong
            return []
        self._val_source = source
        loop._data_source = GivenSource(source.instance, source.name, loaders)
        return [loader.dataset for loader in loaders_in(loaders)]

    def _first_pool(self, trainer: pl.Trainer, loader: Any, held_out: Sequence[Any]) -> Pool | OpenPool:
        """A pool from a folder, or from a synthesizer that is fitted now if it is not yet."""
        folder = Path(self.pool) if isinstance(self.pool, str | os.PathLike) else None
        there = self._is_filled
        if folder is not None and there and self.synthesizer is None:
            return as_pool(folder)
        check_loader(loader)
        if folder is not None and not there and folder.exists():  # what is no place for a pool is told before the fit
            with changing(folder):
                pass
        images = read_images(loader.dataset, **self._reading)
        self._read = loader.dataset, images.labels
        if self._mix.keywords["to_item"] is None:  # so that it is known before minutes of fitting
            images.form.write(images.records[0], images.labels.iloc[0])
        if self.allocation != "pool" and (there or not any(hasattr(one, "generators_") for one in self._given)):
            Allocation.of(images.labels, self.allocation)  # likewise
        if folder is not None and there:
            return _load_matching(folder, images)
        if self.allocation == "pool":
            warn_of_percent(self._most(trainer), len(images))
        if self._learns:
            _warn_of_random(loader.dataset, self._reading)
            check_apart(held_out, images, layout=self._layout, **self._reading)
        self.synthesizers_ = self._fitted(images, shown=trainer.progress_bar_callback is not None)
        size = math.ceil(self._most(trainer) * len(images))
        self._counts = _counts(self.synthesizers_[0].labels_.classes, images.labels, self.allocation, size)
        self._images = images if self.criteria else None
        pool = self._sample(0)
        if folder is None:
            return pool
        pool.save(folder)
        return as_pool(folder)  # as a run that finds it does

    def _fitted(self, images: ImageRecords, *, shown: bool) -> tuple[Synthesizer, ...]:
        given = self._given
        if self._learns:
            rank_zero_info(f"SyntheticMix: learning {len(images):,} training images first, which can take minutes.")
        return tuple(self._fit(one, images, place, shown=shown) for place, one in enumerate(given))

    def _fit(self, given: Synthesizer, images: ImageRecords, place: int, *, shown: bool) -> Synthesizer:
        if hasattr(given, "generators_"):
            return given
        assert self.seed_ is not None
        synthesizer = clone(given)
        if synthesizer.random_state is None:
            seed = derive(self.seed_, "fit", place) if place else derive(self.seed_, "fit")
            synthesizer.set_params(random_state=seed)
        yours = synthesizer.trainer_kwargs
        if not shown and isinstance(yours, Mapping | None):  # whatever else it is, `fit` refuses
            quiet = {"enable_progress_bar": has_progress_bar(yours or {}), **(yours or {})}
            synthesizer.set_params(trainer_kwargs=quiet)
        with telling_of_plain(images.records):
            synthesizer.fit(images.records, images.labels)
        synthesizer.set_params(trainer_kwargs=yours)
        return synthesizer

    def _sample(self, drawing: int) -> Pool:
        assert self.seed_ is not None
        seed, together = derive(self.seed_, "pool", drawing), Together(self.synthesizers_)
        if self._images is None:
            return together.sample(self._counts, random_state=seed)
        drawn = draw_accepted(together, self._counts, self._images, self.criteria, seed=seed)
        self._accepted = drawn.accepted
        return drawn.pool

    def _draw_for(self, trainer: pl.Trainer) -> bool:
        """Draw the pool of the present epoch, unless it is in use; whether it was drawn."""
        if self.refresh_every is None or self.pool_ is None or epoch_of(trainer) // self.refresh_every == self._drawn:
            return False
        self._drawn = epoch_of(trainer) // self.refresh_every
        self.pool_ = from_first(trainer, lambda: self._sample(self._drawn))
        return True


@dataclass
class _MixedSource(_DataLoaderSource):
    """Where Lightning asks for the training loader: the user's own source, mixed."""

    mix: SyntheticMix
    trainer: pl.Trainer

    def dataloader(self) -> Any:
        loader, self.mix._requested = self.mix._requested, None
        return self.mix.mixed(self.trainer, super().dataloader() if loader is None else loader)


def _problems(
    synthesizer: Any, pool: Any, ratio: Any, criteria: Any, refresh_every: Any, grid_every: Any
) -> Iterator[str]:
    several = synthesizer if isinstance(synthesizer, list | tuple) else [synthesizer]
    if not several or not all(isinstance(one, Synthesizer) or one is synthesizer is None for one in several):
        yield f"Expected a Synthesizer, a list of them, or None, got {synthesizer!r}: a pool goes in as `pool=`."
    if not isinstance(pool, Pool | OpenPool | str | os.PathLike | None):
        yield f"Expected `pool` to be a Pool, the folder of one, or None, got {pool!r}."
    if not callable(ratio):
        ratio_in(ratio, 0)
    if isinstance(pool, Pool | OpenPool) and criteria:
        yield "Expected a synthesizer for `criteria`, got a pool: pass what `synthaug.select` keeps of it."
    if isinstance(pool, Pool | OpenPool) and synthesizer is not None:
        yield "Expected a synthesizer or a pool, got both: leave out one."
    if pool is not None and refresh_every is not None:
        yield "Expected a synthesizer for `refresh_every`, got a pool, which cannot be drawn anew: leave out one."
    for name, value in (("refresh_every", refresh_every), ("grid_every", grid_every)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            yield f"Expected `{name}` to be an int of at least 1 or None, got {value!r}."


def _nothing(dataset: Any, reading: Mapping[str, Any]) -> Pool:
    """A pool without records, for a transform of the real ones alone."""
    with isolated(0):
        first = read_images([dataset[0]], **reading)
    return Pool.of(first.records[:0], first.labels[:0], Source("nothing", "", 0))


def _warn_of_random(dataset: Any, reading: Mapping[str, Any]) -> None:
    """Warn of a data set whose images change from one reading to the next, as those that it crops at random do."""
    with isolated(0):
        once, again = ([dataset[i] for i in range(min(_GLANCED, len(dataset)))] for _ in range(2))
    first, second = (read_images(items, **reading).records for items in (once, again))
    if not np.array_equal(first, second, equal_nan=True):
        warnings.warn(
            "The images of the training set change each time that they are read, and the generator learns one changed "
            "version of each: take what changes them out of the data set, and pass it as `transform=` instead, which "
            "is applied to real and synthetic images alike.",
            SynthaugWarning,
            stacklevel=2,
        )


def _load_matching(folder: Path, images: ImageRecords) -> Pool | OpenPool:
    """The pool in `folder`, provided that it was made from these images."""
    pool = as_pool(folder)
    if {source.fingerprint for source in pool.sources} != {fingerprint(images.records, images.labels)}:
        raise StorageError(
            f"The pool in {folder} was made from other images than those of this training set: choose another folder, "
            "delete it, or leave out the synthesizer to take it as it is."
        )
    return pool


def _counts(classes: Sequence[Any], labels: pd.Series, allocation: Any, size: int) -> dict[Any, int]:
    """How many records of each class to draw, so that an epoch can have each of them once."""
    if isinstance(allocation, str) and allocation == "pool":
        budget = apportion(np.ones(len(classes)), size)
    else:
        real = {plain(value): int(n) for value, n in labels.value_counts().items()}
        budget = Allocation.of(pd.Series(list(classes)), allocation, real).budget(size)
    return {label: int(n) for label, n in zip(classes, budget, strict=True)}
