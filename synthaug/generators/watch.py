"""Looks at a generator of grids while it trains: how near what it draws is to held-out records, and how varied.

The distance is a kernel distance on features of our own or the user's. It is no FID and not comparable with one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from synthaug.generators.base import Features, GeneratorModule
from synthaug.rng import torch_rng

__all__ = ["Look", "Watch", "diversity", "kernel_distance", "plain_features"]

LEAST_SHARE = 0.25  # of the diversity of real records, below which a class counts as collapsed
PER_CLASS, COMPARED, SETTLED = 24, 500, 2_000  # records a look draws for a class and for the distance, and settles on
SAME = 1e-3  # deviations by which records differ that are the same but for rounding
FROM = 5  # records of a class from which it is said how varied they are


@dataclass(frozen=True)
class Look:
    """What one look saw.

    Args:
        distance: Kernel distance of drawn from held-out records; `None` when nothing is held out.
        shares: For each class, the diversity of drawn records as a share of that of real ones; NaN for classes of too
            few records.

    >>> Look(None, (1.0, 0.1)).collapsed
    (1,)
    """

    distance: float | None
    shares: tuple[float, ...]

    @property
    def collapsed(self) -> tuple[int, ...]:
        """Codes of the classes whose drawn records are too much alike."""
        return tuple(code for code, share in enumerate(self.shares) if share < LEAST_SHARE)


class Watch:
    """Compares what a generator draws with real records, always by the same draws of the same rng.

    Args:
        x: Training records.
        y: Their codes.
        n_classes: Number of classes.

    Other Arguments:
        held_out: Records and codes that the generator does not train on.
        features: What to compare; `plain_features` by default.
        seed: Of the draws.
    """

    @torch.no_grad()
    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        n_classes: int,
        *,
        held_out: tuple[Tensor, Tensor] | None = None,
        features: Features | None = None,
        seed: int = 0,
    ) -> None:
        self.features = plain_features if features is None else features
        self.seed = seed
        order = torch.randperm(len(y), generator=torch_rng(seed, "watch"))
        some = torch.cat([order[y[order] == code][:PER_CLASS] for code in range(n_classes)])
        place = torch.cat([some, order[~torch.isin(order, some)]])[: max(SETTLED, len(some))]  # with every class
        self.settled = x[place], y[place]
        counts = torch.bincount(y, minlength=n_classes)
        real = self.features(x[some])
        self.centre, self.scale = real.mean(0), real.var(0, correction=0).mean().sqrt().clamp(min=1e-3)
        self.real = diversity(self._scaled(real), y[some], n_classes)
        self.real[(counts < FROM) | (self.real < SAME)] = torch.nan
        self.wanted = (self.real > 0).nonzero()[:, 0].repeat_interleave(PER_CLASS)
        self.held_out = None
        if held_out is not None:
            place = torch.randperm(len(held_out[1]), generator=torch_rng(seed, "watch"))[:COMPARED]
            self.held_out = self._scaled(self.features(held_out[0][place])), held_out[1][place]

    @torch.no_grad()
    def look(self, module: GeneratorModule) -> Look:
        """Draw records of every class and compare them. The generator settles on some training records first."""
        training = module.training
        module.eval().settle(*(part.to(module.device) for part in self.settled))
        shares = self.shares(module)
        distance = None
        if self.held_out is not None:
            real, y = self.held_out
            distance = kernel_distance(real, self._drawn(module, y))
        module.train(training)
        return Look(distance, shares)

    @torch.no_grad()
    def shares(self, module: GeneratorModule) -> tuple[float, ...]:
        """For each class, the diversity of drawn records as a share of that of real ones; NaN where it is not known."""
        if not len(self.wanted):
            return tuple(self.real.tolist())
        drawn = diversity(self._drawn(module, self.wanted), self.wanted, len(self.real))
        return tuple((drawn / self.real).tolist())

    def _drawn(self, module: GeneratorModule, y: Tensor) -> Tensor:
        x = module.sample(y.to(module.device), rng=torch_rng(self.seed, "look"))
        return self._scaled(self.features(x.float().cpu()))

    def _scaled(self, features: Tensor) -> Tensor:
        """Centred, and by one scale for all: each by its own would let pixels that hardly vary outweigh the others."""
        return (features - self.centre) / self.scale


def plain_features(x: Tensor) -> Tensor:
    """Features that need no training: pixels averaged to at most 8x8, and a small convolutional network of fixed
    random weights, whose responses tell textures and edges apart (Jarrett et al. 2009).

    Args:
        x: Grids `(n, channels, height, width)`.

    Returns:
        `(n, d)`, float32.

    >>> plain_features(torch.zeros(2, 3, 9, 14)).shape
    torch.Size([2, 320])
    """  # noqa: D205
    rng = torch_rng(0, "features")
    pixels = functional.adaptive_avg_pool2d(x, (min(8, x.shape[2]), min(8, x.shape[3]))).flatten(1)
    wide = x
    for width in (16, 32):
        weight = torch.randn(width, wide.shape[1], 3, 3, generator=rng) * (2 / (9 * wide.shape[1])) ** 0.5
        wide = functional.relu(functional.conv2d(wide, weight, stride=2, padding=1))
    return torch.cat([pixels, functional.adaptive_avg_pool2d(wide, 2).flatten(1)], 1)


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Squared maximum mean discrepancy with a cubic kernel, without bias: about 0 for two draws of one distribution.

    Binkowski et al. 2018, "Demystifying MMD GANs", section 3; Gretton et al. 2012, lemma 6.

    Args:
        a: Features `(n, d)`, n of at least 2.
        b: Features `(m, d)`, m of at least 2.

    >>> rng = torch.Generator().manual_seed(0)
    >>> a, b = torch.randn(200, 4, generator=rng), torch.randn(200, 4, generator=rng)
    >>> abs(kernel_distance(a, b)) < 0.1 < kernel_distance(a, b + 1)
    True
    """
    a, b = a.double(), b.double()

    def kernel(u: Tensor, v: Tensor) -> Tensor:
        return (u @ v.T / u.shape[1] + 1) ** 3

    def within(u: Tensor) -> Tensor:
        values = kernel(u, u)
        return (values.sum() - values.diagonal().sum()) / (len(u) * (len(u) - 1))

    return float(within(a) + within(b) - 2 * kernel(a, b).mean())


def diversity(features: Tensor, y: Tensor, n_classes: int) -> Tensor:
    """Mean distance of two records of a class, for each class `(n_classes,)`; NaN for classes of under two records.

    >>> diversity(torch.tensor([[0.0], [2.0], [5.0]]), torch.tensor([0, 0, 1]), 2)
    tensor([2., nan])
    """
    means = [functional.pdist(features[y == code]).mean() for code in range(n_classes)]
    return torch.stack(means)
