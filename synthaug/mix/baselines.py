"""What any gain on images stands beside: balanced sampling, logit adjustment and mixup, for any training loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import WeightedRandomSampler, default_collate, get_worker_info

from synthaug.errors import ParameterError
from synthaug.labels import check_target
from synthaug.rng import RandomState, as_seed, numpy_rng, torch_rng

__all__ = ["LogitAdjustedLoss", "Mixup", "balanced_sampler"]


def balanced_sampler(
    labels: Any, *, size: int | None = None, random_state: RandomState = None
) -> WeightedRandomSampler:
    """A sampler that draws every class equally often, with replacement.

    Args:
        labels: `(n,)` classes of the training items, in their order.
        size: Items in an epoch; by default `n`.
        random_state: A seed or generator.

    Raises:
        DataError: labels that are missing, or none at all.

    >>> sampler = balanced_sampler([0] * 90 + [1] * 10, size=1000, random_state=0)
    >>> 400 < sum(place >= 90 for place in sampler) < 600
    True
    """
    codes, counts = np.unique(check_target(labels).to_numpy(), return_inverse=True, return_counts=True)[1:]
    weights = 1.0 / counts[codes]
    rng = torch_rng(as_seed(random_state), "balanced")
    return WeightedRandomSampler(weights.tolist(), len(codes) if size is None else size, generator=rng)


class LogitAdjustedLoss(nn.Module):
    """Cross-entropy in which rare classes must win by more: logits are raised by `tau` log shares of the classes.

    Menon et al. 2021, equation 10. With a `tau` of 1 and a plain sampler it is the balanced softmax of Ren et al. 2020;
    beside a balanced sampler a small `tau` such as 0.2 makes up for what few images leave unlearned. In training only:
    test with the plain logits.

    Args:
        counts: Training items of each class, by code.
        tau: Strength.

    Other Arguments:
        label_smoothing: As in `torch.nn.CrossEntropyLoss`.
        reduction: Likewise; with "none", each item's loss can be weighted, such as those of synthetic items by less.

    Raises:
        ParameterError: counts that are no list of whole numbers of at least 1; (when called) logits of another number
            of classes.

    >>> loss = LogitAdjustedLoss([90, 10])
    >>> round(loss(torch.zeros(1, 2), torch.tensor([1])).item(), 3)
    2.303
    """

    margin: Tensor

    def __init__(
        self, counts: Sequence[int], tau: float = 1.0, *, label_smoothing: float = 0.0, reduction: str = "mean"
    ) -> None:
        super().__init__()
        given = [] if isinstance(counts, Mapping | str) or not hasattr(counts, "__len__") else [*map(float, counts)]
        if not given or not all(count >= 1 and count.is_integer() for count in given):
            raise ParameterError(
                "Expected `counts` to list the training items of each class in the order of their codes, at least 1 of "
                f"each, got {counts!r:.80}."
            )
        if isinstance(tau, bool) or not isinstance(tau, int | float):
            raise ParameterError(f"Expected `tau` to be a number, got {tau!r}.")
        self.register_buffer("margin", tau * (torch.tensor(given) / sum(given)).log())
        self.label_smoothing, self.reduction = label_smoothing, reduction

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss for logits `(n, classes)` and codes `(n,)`, or shares of classes `(n, classes)`."""
        if logits.shape[-1] != len(self.margin):
            raise ParameterError(
                f"Expected logits of {len(self.margin)} classes, as many as `counts` has, got shape "
                f"{tuple(logits.shape)}: count each class that the model knows."
            )
        return functional.cross_entropy(
            logits + self.margin, target, label_smoothing=self.label_smoothing, reduction=self.reduction
        )


class Mixup:
    """A collate function whose batches hold convex mixtures of items, with mixed labels (Zhang et al. 2018).

    Args:
        n_classes: Labels are codes below it.
        alpha: Of the Beta distribution of the share of the first item.

    Other Arguments:
        random_state: A seed or generator.

    Batches are `(images float32, labels (n, n_classes))`; `torch.nn.CrossEntropyLoss` takes such labels. In the loader
    of `mix_loader` or `SyntheticMix`, a run that goes on draws what it would have drawn, unless workers collate.

    Raises:
        ParameterError: an `alpha` that is not positive.

    >>> images, labels = Mixup(2, random_state=0)([(torch.zeros(1), 0), (torch.ones(1), 1)])
    >>> bool((labels.sum(1) == 1).all()), torch.equal(images[:, 0], labels[:, 1])
    (True, True)
    """

    def __init__(self, n_classes: int, alpha: float = 0.2, *, random_state: RandomState = None) -> None:
        if not alpha > 0:
            raise ParameterError(f"Expected `alpha` to be a number above 0, got {alpha!r}.")
        self.n_classes, self.alpha, self._seed = n_classes, alpha, as_seed(random_state)
        self._rng, self._worker = numpy_rng(self._seed, "mixup"), 0

    def state_dict(self) -> dict[str, Any]:
        """Where its stream is, in plain values."""
        return dict(self._rng.bit_generator.state)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self._rng.bit_generator.state = dict(state_dict)

    def __call__(self, items: Sequence[tuple[Any, int]]) -> tuple[Tensor, Tensor]:
        """Mix each item with another of the batch."""
        worker = get_worker_info()
        if worker is not None and worker.seed != self._worker:  # every worker of every epoch has a stream of its own
            self._rng, self._worker = numpy_rng(self._seed, "mixup", worker.seed), worker.seed
        images, codes = default_collate([tuple(item) for item in items])
        share = torch.tensor(self._rng.beta(self.alpha, self.alpha), dtype=torch.float32)
        other = torch.from_numpy(self._rng.permutation(len(codes)))
        labels = functional.one_hot(codes, self.n_classes).float()
        images = images.float()
        return share * images + (1 - share) * images[other], share * labels + (1 - share) * labels[other]
