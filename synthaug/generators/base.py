"""The contract every generator keeps (checked by `synthaug.testing.check_generator`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from math import cos, log, pi
from typing import Any, TypeVar

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from synthaug.errors import ParameterError
from synthaug.spec import Spec

__all__ = ["Features", "GeneratorModule", "averaged", "largeness", "one_cycle"]

Number = TypeVar("Number", int, float)
Features = Callable[[Tensor], Tensor]
"""From encoded grids `(n, channels, height, width)` in [-1, 1] to features `(n, d)`."""


class GeneratorModule(LightningModule, ABC):
    """A network that learns encoded records and draws new ones for given classes.

    Args:
        spec: `Spec.to_dict()` of the records, as plain values so that checkpoints load with `weights_only=True`.
        n_classes: Number of classes; labels are codes below it.

    A child trains in `training_step((x, y), index)` on records `x` of shape `(n, *spec.shape)` and codes `y` of shape
    `(n,)`, and says in `steps_for` how many batches a data set of a size deserves. One that `takes_altered` may get
    `(x, y, altered)`, where `altered` `(n,)` says which records a pipeline of the user altered; it draws and settles
    on the others.
    """

    counts: Tensor
    """Training records of each class; there after training."""
    features: Features | None = None
    """By which what is drawn as grids is compared with real records; `None` takes `plain_features`."""
    takes_altered: bool = False
    """Whether it can be told which records are altered, so that what it draws is not."""
    balance: float = 1.0
    """Share of the classes in a batch; see `BalancedBatches`."""
    vicinity: float = 0.6
    """Noise around flat training records; see `Vicinity`."""

    def __init__(self, spec: Mapping[str, Any], n_classes: int) -> None:
        super().__init__()
        self.spec = Spec.from_dict(spec)
        self.n_classes = n_classes
        self.register_buffer("counts", torch.zeros(n_classes))
        self._sums: dict[str, Tensor] = {}
        self._batches = 0
        if self.is_grid and (len(self.spec.shape) != 3 or min(self.spec.shape[1:]) < 8 or self.spec.shape[0] < 1):
            raise ParameterError(
                f"{type(self).__name__} takes flat records with fields, or grids of shape (channels, height, width) "
                f"with sides of at least 8; got the shape {self.spec.shape} without fields."
            )

    @abstractmethod
    def steps_for(self, n_records: int) -> int:
        """How many training batches `n_records` records deserve."""

    def batch_for(self, n_records: int) -> int:
        """How many records a training batch has: 128 for small sets, up to 256 for large ones; 64 grids always."""
        return 64 if self.is_grid else round(128 * 2 ** largeness(n_records))

    @property
    def copies(self) -> bool:
        """Whether all that it can draw are its training records as they are."""
        return False

    @property
    def is_grid(self) -> bool:
        """Whether records are grids, `(channels, height, width)`, and not flat."""
        return not self.spec.fields

    def chosen(self, given: Number | None, *, flat: Number, grid: Number) -> Number:
        """An argument as given, or else what suits the kind of record."""
        if given is not None:
            return given
        return grid if self.is_grid else flat

    def in_parts(self, network: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """What `network` gives for many inputs; for grids 256 at a time, which is faster and bounds memory."""
        many = AT_ONCE if self.is_grid else max(1, len(inputs[0]))
        parts = zip(*(each.split(many) for each in inputs), strict=True)
        return torch.cat([network(*part) for part in parts])

    def check_counts(self, counts: Tensor) -> None:
        """Refuse data that this generator cannot learn from.

        Args:
            counts: Records of each class `(n_classes,)`.

        Raises:
            DataError: the message says why, and which generator to take instead.
        """

    @abstractmethod
    def sample(self, y: Tensor, *, rng: torch.Generator) -> Tensor:
        """Draw one encoded record for each code: `(n,)` to `(n, *spec.shape)`, all randomness from `rng`."""

    def begin(self, x: Tensor, y: Tensor, *, rng: torch.Generator) -> None:
        """Before training, take from the records `x` and codes `y` what the weights depend on, such as their number."""

    def settle(self, x: Tensor, y: Tensor) -> None:
        """After training, learn what no gradient teaches (such as where latents lie).

        Args:
            x: Records as the network saw them in training, one or more draws around each training record.
            y: Their class codes.
        """

    def track(self, **losses: Tensor) -> None:
        """Note the losses of a batch; their means over the epoch are logged (to log a batch costs more than a step)."""
        self._batches += 1
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach()

    def tracked(self) -> dict[str, float]:
        """The mean losses of the epoch so far."""
        return {name: float(total) / self._batches for name, total in self._sums.items()}

    def on_train_epoch_end(self) -> None:
        """Log the mean losses to whichever logger there is."""
        self.log_dict(self.tracked())
        self._sums, self._batches = {}, 0

    @property
    def total_steps(self) -> int:
        """Batches of the whole fit, whatever the number of optimizers."""
        return max(1, int(self.trainer.estimated_stepping_batches))


AT_ONCE = 256  # grids in one pass


def largeness(n_records: int) -> float:
    """0 for up to 1,000 records, 1 from 20,000, log-linear between them.

    >>> largeness(100), largeness(20_000)
    (0.0, 1.0)
    """
    return min(1.0, max(0.0, log(max(n_records, 1) / 1_000) / log(20)))


def one_cycle(optimizer: Optimizer, total_steps: int, *, warm: float = 0.2) -> LambdaLR:
    """Raise the learning rate along a cosine for a share `warm` of the steps, then lower it to 0 (Smith & Topin 2018).

    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    >>> round(one_cycle(optimizer, 10).get_last_lr()[0], 2)
    0.04
    """

    def factor(step: int) -> float:
        done = min(1.0, step / total_steps)
        if done < warm:
            return 0.04 + 0.48 * (1 - cos(pi * done / warm))
        return 0.5 * (1 + cos(pi * (done - warm) / (1 - warm)))

    return LambdaLR(optimizer, factor)


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of the weights of `network`; call its `update_parameters` after each step."""
    model = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))
    return model.requires_grad_(False)
