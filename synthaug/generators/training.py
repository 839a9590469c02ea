"""Training one generator with a Lightning Trainer: repeatable, resumable, and always with the best weights."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import isfinite, prod
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ProgressBar, RichProgressBar
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor

from synthaug.errors import CollapseWarning, ParameterError, TrainingError
from synthaug.generators.base import GeneratorModule
from synthaug.generators.batches import Alter, BalancedBatches, BalancedData
from synthaug.generators.vicinity import Vicinity
from synthaug.generators.watch import LEAST_SHARE, Look, Watch
from synthaug.rng import derive, isolated, numpy_rng, torch_rng

__all__ = ["Training", "quiet"]

EPOCH = 50  # batches between two looks at the state of a fit
HELD_OUT_FROM = 2_000  # records; with fewer, holding some out costs more than it tells
SMALL = 1_000_000  # weights up to which one thread is the fastest
SMALL_GRID = 400  # pixels, likewise: on busy cores a fit to 64 pixels took ten times as long with two threads
LOOKS = 10  # at what a generator of grids draws, in a fit
COLLAPSED = 1e6  # added to a distance for each class that has collapsed
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")  # weights are always float32, as they are saved
LONG = 3_000  # batches from which a fit shows its progress
LONG_GRID = 500_000  # the same of grids, times their pixels: some twenty seconds


@dataclass(frozen=True)
class Training:
    """How to train a generator; the same numbers for each network of a synthesizer.

    Args:
        max_steps: Batches, rounded up to whole epochs of 50 if there are more, or `"auto"` for what the generator deems
            right for the number of records.
        batch_size: Records a batch, or `"auto"` for what the generator deems right.
        trainer_kwargs: Arguments of `pytorch_lightning.Trainer`, which win over ours; callbacks are added to ours.
        seed: Of all randomness.
        alter: Makes altered versions of records, which a generator that `takes_altered` is told of.

    >>> Training().steps(600)
    600
    """

    max_steps: int | str = "auto"
    batch_size: int | str = "auto"
    trainer_kwargs: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    alter: Alter | None = None

    def steps(self, suggested: int) -> int:
        """Batches in all, given what the generator suggests."""
        return suggested if isinstance(self.max_steps, str) else self.max_steps

    def run(
        self,
        module: GeneratorModule,
        x: Tensor,
        y: Tensor,
        *,
        classes: Sequence[Any] | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        """Train `module` in place on records `x` and codes `y`, then let it settle.

        Args:
            module: A fresh network.
            x: Encoded records `(n, *spec.shape)`.
            y: Class codes `(n,)`.
            classes: What messages call them; by default their codes.
            checkpoint: A file for the state of the fit; if it exists, the fit goes on from there.

        Raises:
            TrainingError: the loss or a weight is no longer finite; `module` then has the last good weights.
        """
        train, held_out = (x, y), None
        if (module.is_grid or is_overridden("validation_step", module)) and len(y) >= HELD_OUT_FROM:
            train, rest = _split(x, y, self.seed)
            held_out = rest if len(rest[1]) > 1 else None  # all classes may be too small to spare a record
        module.counts.copy_(torch.bincount(train[1], minlength=module.n_classes))
        module.check_counts(torch.bincount(y, minlength=module.n_classes))
        module.begin(*train, rng=torch_rng(self.seed, "begin"))
        vicinity, watch = None, None
        if module.is_grid:
            watch = Watch(*train, module.n_classes, held_out=held_out, features=module.features, seed=self.seed)
            held_out = None  # looks at it take the place of a loss on it
        else:
            vicinity = Vicinity(*train, module.spec, scale=module.vicinity, counts=module.counts)
        steps = self.steps(module.steps_for(len(y)))
        per_epoch = min(steps, EPOCH if held_out is None else max(EPOCH, steps // 30))
        epochs = -(-steps // per_epoch)
        batches = partial(
            BalancedBatches,
            *train,
            batch_size=module.batch_for(len(y)) if isinstance(self.batch_size, str) else self.batch_size,
            steps=per_epoch,
            seed=self.seed,
            balance=module.balance,
            vicinity=vicinity,
            alter=self.alter,
        )
        keeper = _BestWeights(monitor=None if held_out is None else "val_loss")
        if watch is not None:
            names = range(module.n_classes) if classes is None else classes
            keeper = _BestLook(watch, names, every=max(1, epochs // LOOKS))
        callbacks: list[pl.Callback] = [_Streams(self.seed), keeper]
        if held_out is not None:
            callbacks.append(EarlyStopping("val_loss", patience=max(5, epochs // 3), check_finite=False))
        if checkpoint is not None:
            callbacks.append(_Checkpoint(checkpoint, every=max(1, epochs // 20)))
        long = steps * prod(module.spec.shape[1:]) >= LONG_GRID if module.is_grid else steps >= LONG
        own_bar = has_progress_bar(self.trainer_kwargs)
        if long and not own_bar and "enable_progress_bar" not in self.trainer_kwargs:
            callbacks.append(RichProgressBar(leave=False))
        resume = str(checkpoint) if checkpoint is not None and checkpoint.exists() else None
        with isolated(derive(self.seed, "fit")), quiet(), _threads_for(module):
            trainer = self._trainer(epochs, callbacks, progress=long or own_bar)
            try:
                trainer.fit(
                    module, datamodule=BalancedData(batches, held_out=held_out), ckpt_path=resume, weights_only=True
                )
            except TrainingError:
                self._finish(module, keeper, *train, vicinity)
                raise
            self._finish(module, keeper, *train, vicinity)

    def _finish(
        self, module: GeneratorModule, keeper: _BestWeights, x: Tensor, y: Tensor, vicinity: Vicinity | None
    ) -> None:
        """Put back the best weights and let the module settle; without any, leave it as it is."""
        module.trainer = None  # it holds the training records
        module.cpu().eval()
        if keeper.weights is not None:
            module.load_state_dict(keeper.weights)
            module.settle(*self._draws(x, y, vicinity))
            keeper.report(module)

    def _draws(self, x: Tensor, y: Tensor, vicinity: Vicinity | None) -> tuple[Tensor, Tensor]:
        """Records as the network saw them: draws around the training records, 2,000 in all if these are fewer."""
        if vicinity is None:
            return x, y
        repeats = max(1, min(64, 2_000 // len(y)))
        x, y = x.repeat(repeats, 1), y.repeat(repeats)
        return vicinity.move(x, y, rng=torch_rng(self.seed, "draws")), y

    def _trainer(self, epochs: int, callbacks: list[pl.Callback], *, progress: bool) -> pl.Trainer:
        given = dict(self.trainer_kwargs)
        extra = _as_list(given.pop("callbacks", None))
        defaults = {
            "logger": False,
            "enable_checkpointing": any(isinstance(c, pl.callbacks.ModelCheckpoint) for c in extra),
            "enable_model_summary": False,
            "enable_progress_bar": progress,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": EPOCH,
            "devices": 1,
            "max_epochs": epochs,
        }
        trainer = pl.Trainer(**{**defaults, **given}, callbacks=callbacks + extra)
        if trainer.precision not in PRECISIONS:
            raise ParameterError(
                f'Expected `precision` to be "32-true", "16-mixed" or "bf16-mixed", got "{trainer.precision}".'
            )
        return trainer


def has_progress_bar(trainer_kwargs: Mapping[str, Any]) -> bool:
    """Whether there is a progress bar among the callbacks.

    >>> has_progress_bar({}), has_progress_bar({"callbacks": RichProgressBar()})
    (False, True)
    """
    return any(isinstance(one, ProgressBar) for one in _as_list(trainer_kwargs.get("callbacks")))


def _as_list(callbacks: Any) -> list[pl.Callback]:
    several = isinstance(callbacks, list | tuple)
    return list(callbacks) if several else [] if callbacks is None else [callbacks]


def _split(x: Tensor, y: Tensor, seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Training and held-out records: a tenth are held out, at most 5,000, and none of classes of under 20."""
    share = min(0.1, 5_000 / len(y))
    out = torch.from_numpy(numpy_rng(seed, "held-out").random(len(y)) < share)
    out &= torch.bincount(y)[y] >= 20
    return (x[~out], y[~out]), (x[out], y[out])


class _Streams(pl.Callback):
    """Gives every epoch, in every process, a global random stream of its own, so that a resumed fit draws the same."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        torch.manual_seed(derive(self.seed, "epoch", trainer.current_epoch, trainer.global_rank))


class _BestWeights(pl.Callback):
    """Keeps the best weights (the last finite ones when nothing is held out) and stops a fit that has gone wrong."""

    def __init__(self, monitor: str | None) -> None:
        self.monitor = monitor
        self.best = float("inf")
        self.weights: dict[str, Tensor] | None = None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, GeneratorModule)
        held_out = {name: float(value) for name, value in trainer.callback_metrics.items() if name == self.monitor}
        bad = [name for name, value in {**pl_module.tracked(), **held_out}.items() if not isfinite(value)]
        bad += [name for name, weight in pl_module.named_parameters() if not bool(weight.isfinite().all())]
        if bad:
            raise TrainingError(
                f"Training stopped in epoch {trainer.current_epoch + 1}: {', '.join(bad[:3])} no longer finite. The "
                f"last good weights are kept{' (there are none yet)' if self.weights is None else ''}. Lower the "
                "learning rate, for example `generator=partial(ConditionalVAE, lr=5e-4)`, and look for extreme values."
            )
        self.keep(pl_module, self.judge(trainer, pl_module))

    def keep(self, module: GeneratorModule, value: float | None) -> None:
        """Take the weights if they are as good as the best."""
        if value is not None and value <= self.best:
            self.best = value
            self.weights = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}

    def judge(self, trainer: pl.Trainer, module: GeneratorModule) -> float | None:
        """How bad the weights are; as good as the best when there is nothing to judge by; `None` keeps the best."""
        return float(trainer.callback_metrics.get(self.monitor or "", self.best))

    def report(self, module: GeneratorModule) -> None:
        """Say what the user should know of the weights that were kept."""

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.weights = state_dict["best"], state_dict["weights"]


class _BestLook(_BestWeights):
    """Keeps the weights of the best look, one at which no class had collapsed if there was any."""

    def __init__(self, watch: Watch, classes: Sequence[Any], *, every: int) -> None:
        super().__init__(monitor=None)
        self.watch, self.classes, self.every, self.steps, self.due = watch, classes, every, 0, False

    def judge(self, trainer: pl.Trainer, module: GeneratorModule) -> float | None:
        self.steps = trainer.fit_loop.total_batch_idx + 1
        done = trainer.current_epoch + 1
        self.due = bool(done % self.every) and not trainer.fit_loop.done and not trainer.should_stop
        if self.due:
            return None
        look = self.watch.look(module)
        if look.distance is not None:
            module.log("kernel_distance", look.distance)
        return _badness(look)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look once more where a callback of the user's has stopped the fit between two looks."""
        assert isinstance(pl_module, GeneratorModule)
        if self.due:
            self.keep(pl_module, _badness(self.watch.look(pl_module)))

    def report(self, module: GeneratorModule) -> None:
        shares = self.watch.shares(module)
        collapsed = Look(None, shares).collapsed
        if collapsed:
            said = ", ".join(f"{self.classes[code]!r} ({shares[code]:.0%})" for code in collapsed)
            warnings.warn(
                f"{type(module).__name__} draws records of {len(collapsed)} of {len(shares)} classes that differ from "
                f"each other less than {LEAST_SHARE:.0%} as much as real ones: {said}. The best weights seen "
                f"are kept. Give these classes more records, or train more steps than {self.steps}.",
                CollapseWarning,
                stacklevel=2,
            )

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.steps = state_dict["steps"]


def _badness(look: Look) -> float:
    """The distance, and far more for each class that has collapsed."""
    return (look.distance or 0.0) + COLLAPSED * len(look.collapsed)


class _Checkpoint(pl.Callback):
    """Writes the whole state of a fit now and then: to a temporary name beside the file, then renamed."""

    def __init__(self, path: Path, *, every: int) -> None:
        self.path, self.every = path, every

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if (trainer.current_epoch + 1) % self.every:
            return
        temporary = self.path.with_suffix(".tmp")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            temporary.replace(self.path)


@contextmanager
def _threads_for(module: GeneratorModule) -> Iterator[None]:
    """One thread while a network is small: to hand its matrices to several costs more than it saves."""
    threads = torch.get_num_threads()
    small = sum(weight.numel() for weight in module.parameters()) < SMALL
    small &= not module.is_grid or prod(module.spec.shape[1:]) <= SMALL_GRID
    try:
        torch.set_num_threads(1 if small else threads)
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back what Lightning tells about the machine and about loaders that are not ours."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            warnings.filterwarnings("ignore", message=".*isinstance.treespec.*")
            yield
    finally:
        logger.setLevel(level)
