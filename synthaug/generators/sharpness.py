"""How sharp grids are, and drawn ones as sharp as real ones: a decoder that may not know each detail blurs them all."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthaug.generators.vicinity import PRIOR

__all__ = ["Sharpening", "steepness", "unsharp"]


class Sharpening(nn.Module):
    """Sharpens each drawn grid until its edges are as steep as those of its class.

    Among the grids of a class some are sharper than others, drawn or real; a drawn grid takes the steepness of the real
    one of the same rank, as far as mean and deviation tell. How far a class is off is shrunk towards how far all are,
    as `PRIOR` records; the deviation is that within all classes. Nothing is blurred, and before `fit` nothing changes.

    Args:
        n_classes: Number of classes.

    >>> x, y = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 2
    >>> sharpening, soft = Sharpening(2), unsharp(x, torch.full((60,), -0.7))
    >>> bool((sharpening(soft, y) == soft).all())
    True
    >>> sharpening.fit(steepness(x), y, steepness(soft), y)
    >>> off = steepness(sharpening(soft, y)) - steepness(x)
    >>> bool(off.mean().abs() < 0.05 < (steepness(soft) - steepness(x)).mean().abs())
    True
    """

    off: Tensor
    mean: Tensor
    slope: Tensor

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("off", torch.zeros(n_classes))
        self.register_buffer("mean", torch.zeros(n_classes))
        self.register_buffer("slope", torch.ones(()))

    def fit(self, real: Tensor, y: Tensor, drawn: Tensor, drawn_y: Tensor) -> None:
        """Learn how far drawn grids are off.

        Args:
            real: Steepness of real grids.
            y: Their codes.
            drawn: Steepness of drawn grids.
            drawn_y: Their codes, those of `y` all among them.
        """
        n = torch.bincount(y, minlength=len(self.off)).to(real)
        self.mean.copy_(_means(drawn, drawn_y, len(n)))
        own = _means(real, y, len(n)) - self.mean
        overall = (own * n).sum() / n.sum().clamp(min=1)
        self.off.copy_((own * n + overall * PRIOR) / (n + PRIOR))
        sides = (real, y), (drawn, drawn_y)
        spread = [(s - _means(s, codes, len(n))[codes]).square().mean().sqrt() for s, codes in sides]
        self.slope.copy_((spread[0] / spread[1].clamp(min=1e-3)).clamp(1 / STEEPER, STEEPER))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Grids `(n, channels, height, width)` in [-1, 1] of codes `y`, sharpened; the strengths by bisection."""
        mean, mask = self.mean[y], _mask(x)
        wanted = mean + self.off[y] + self.slope * (steepness(x) - mean)
        low = torch.zeros_like(wanted)
        high = low + STRONGEST
        for _ in range(HALVINGS):
            strength = (low + high) / 2
            less = steepness(_masked(x, mask, strength)) < wanted
            low, high = torch.where(less, strength, low), torch.where(less, high, strength)
        return _masked(x, mask, low)


STRONGEST, HALVINGS = 8.0, 9  # weight of the mask, and halvings of its range: to 0.02
STEEPER = 3.0  # the most by which the spread of steepness is changed: draws may be nearly alike


def unsharp(x: Tensor, strength: Tensor) -> Tensor:
    """Add to each grid what a 3x3 binomial blur takes from it, and cut it to [-1, 1].

    Args:
        x: Grids `(n, channels, height, width)` in [-1, 1].
        strength: Times that it is added, `(n,)`.

    >>> x = torch.rand(2, 3, 8, 9)
    >>> torch.equal(unsharp(x, torch.zeros(2)), x)
    True
    """
    return _masked(x, _mask(x), strength)


def _mask(x: Tensor) -> Tensor:
    blurred = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    for _ in range(2):  # the mean of two neighbours, twice, along both axes
        blurred = functional.avg_pool2d(blurred, 2, stride=1)
    return x - blurred


def _masked(x: Tensor, mask: Tensor, strength: Tensor) -> Tensor:
    return torch.addcmul(x, strength[:, None, None, None], mask).clamp(-1, 1)


def steepness(x: Tensor) -> Tensor:
    """Logarithm of the mean length of the gradient, weighted by itself: of edges, however many there are.

    Args:
        x: Grids `(n, channels, height, width)`.

    Returns:
        `(n,)`; blur lowers it, shifts and more strokes do not change it.

    >>> edge = torch.ones(1, 1, 8, 8)
    >>> edge[..., 4:] = -1
    >>> steepness(edge), steepness(unsharp(edge, torch.tensor([-1.0])))
    (tensor([0.6931]), tensor([-0.2877]))
    """
    squared = x.diff(dim=3)[:, :, 1:].square() + x.diff(dim=2)[:, :, :, 1:].square()
    total, length = squared.sum((1, 2, 3)), squared.sqrt().sum((1, 2, 3))
    return ((total + 1e-6) / (length + 1e-6)).log()


def _means(values: Tensor, codes: Tensor, n_classes: int) -> Tensor:
    """The mean of the values of each class `(n_classes,)`; 0 for those of no record."""
    sums = values.new_zeros(n_classes).index_add(0, codes, values)
    return sums / torch.bincount(codes, minlength=n_classes).clamp(min=1)
