"""Training images deformed towards others of their class: sharp where few images are all there is."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from synthaug.errors import ParameterError
from synthaug.generators.base import GeneratorModule

__all__ = ["ConditionalWarp", "blur", "displaced"]


class ConditionalWarp(GeneratorModule):
    """Real images, each deformed part of the way to others of its class: SMOTE in the space of deformations.

    Training registers pairs of images of one class: a smooth displacement of each is sought by gradient descent, coarse
    to fine, that makes it look like the other (as Balakrishnan et al. 2019, equation 2, pair by pair instead of by a
    network). A new image is a real one, moved along a random part of a random mean of two of its displacements (Chawla
    et al. 2002 do so with the pixels themselves). Nothing is blended, so nothing is blurred; and nothing comes that
    does not resemble a training image. An image without a displacement of its own, such as the only one of a class,
    borrows those of its class, or else those of all. For grids only.

    It keeps the training images: whoever has a saved one has them.

    Args:
        spec: `Spec.to_dict()` of the records.
        n_classes: Number of classes.

    Other Arguments:
        anchors: Images of a class that are registered.
        partners: Others that each of them is registered to.
        reach: The largest part of the way.
        smooth: Weight of the roughness of displacements.
        lr: Of the registration, in halves of a side.

    >>> from synthaug.spec import Spec
    >>> warp = ConditionalWarp(Spec((1, 8, 8)).to_dict(), 2)
    >>> x, y = torch.rand(6, 1, 8, 8), torch.tensor([0, 0, 0, 1, 1, 1])
    >>> warp.begin(x, y, rng=torch.Generator().manual_seed(0))
    >>> warp.sample(torch.tensor([0, 1]), rng=torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 8, 8])
    """

    images: Tensor
    codes: Tensor
    pairs: Tensor
    kept: Tensor

    def __init__(
        self,
        spec: Mapping[str, Any],
        n_classes: int,
        *,
        anchors: int = 10,
        partners: int = 6,
        reach: float = 0.7,
        smooth: float = 0.02,
        lr: float = 0.04,
    ) -> None:
        super().__init__(spec, n_classes)
        self.save_hyperparameters()
        if not self.is_grid:
            raise ParameterError("ConditionalWarp takes grids such as images: take ConditionalVAE for flat records.")
        self.anchors, self.partners, self.reach, self.smooth, self.lr = anchors, partners, reach, smooth, lr
        self.register_buffer("images", torch.zeros(0, *self.spec.shape))
        self.register_buffer("codes", torch.zeros(0, dtype=torch.long))
        self.register_buffer("pairs", torch.zeros(0, 2, dtype=torch.long))
        self.register_buffer("kept", torch.zeros(0, dtype=torch.bool))
        self.displacement = nn.Parameter(torch.zeros(0, 2, GRID, GRID))
        self.affine = nn.Parameter(torch.zeros(0, 2, 3))

    def begin(self, x: Tensor, y: Tensor, *, rng: torch.Generator) -> None:
        """Keep the images, class by class, and choose the pairs to register."""
        order = y.argsort(stable=True)
        self.images, self.codes = x[order].clone(), y[order].clone()
        pairs = []
        for code in y.unique().tolist():
            places = (self.codes == code).nonzero()[:, 0]
            some = places[torch.randperm(len(places), generator=rng)[: self.anchors]].sort().values.tolist()
            for image in some:
                others = [other for other in some if other != image]
                picked = torch.randperm(len(others), generator=rng)[: self.partners].tolist()
                pairs += [(image, others[place]) for place in picked]
        self.pairs = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)
        self.kept = torch.ones(len(pairs), dtype=torch.bool)
        self.displacement = nn.Parameter(torch.zeros(len(pairs), 2, GRID, GRID))
        self.affine = nn.Parameter(torch.zeros(len(pairs), 2, 3))

    def displacements(self) -> Tensor:
        """Of each pair, on a coarse grid `(pairs, 2, GRID, GRID)`, in halves of a side."""
        line = torch.linspace(-1, 1, GRID, device=self.affine.device)
        place = torch.stack(
            [line.repeat(GRID, 1), line[:, None].repeat(1, GRID), torch.ones_like(line).repeat(GRID, 1)]
        )
        return self.displacement + torch.einsum("bij,jhw->bihw", self.affine, place)

    def loss(self, sigma: float) -> Tensor:
        """Squared difference that is left, plus roughness; the sum over pairs, each of which has its own optimum."""
        whole = self.displacements()
        rough = sum((self.displacement.diff(dim=axis) ** 2).mean((1, 2, 3)) for axis in (2, 3))
        penalty = self.smooth * (GRID**2 * rough + 0.05 * self.affine.square().sum((1, 2)))
        used, at = self.pairs.unique(return_inverse=True)
        soft = blur(self.images[used], sigma)
        left = displaced(soft[at[:, 0]], whole) - soft[at[:, 1]]
        return (left.square().mean((1, 2, 3)) + penalty).sum()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """One step of the registration of all pairs, with images ever less blurred."""
        level = min(len(BLURS) - 1, len(BLURS) * self.global_step // self.total_steps)
        for group in self.optimizers().param_groups:  # type: ignore[union-attr]  # there is one
            group["lr"] = self.lr / (1 + level)
        loss = self.loss(self.spec.shape[1] * BLURS[level])
        self.track(loss=loss.detach() / max(1, len(self.pairs)))
        return loss

    def configure_optimizers(self) -> Optimizer:
        """Adam."""
        return Adam([self.displacement, self.affine], self.lr)

    @torch.no_grad()
    def settle(self, x: Tensor, y: Tensor) -> None:
        """Leave out the pairs that did not come near each other."""
        source, target = (self.images[side] for side in self.pairs.T)
        left = (displaced(source, self.displacements()) - target).square().mean((1, 2, 3))
        self.kept = left <= GOOD * (source - target).square().mean((1, 2, 3))

    @torch.no_grad()
    def sample(self, y: Tensor, *, rng: torch.Generator) -> Tensor:
        """Draw images of each class, and move them."""
        u = torch.rand((len(y), 6), generator=rng).to(self.device)
        y = y.to(self.device)
        base = _pick(self.codes, y, u[:, 0])
        sources = self.pairs[self.kept, 0]
        moves = self.displacements()[self.kept]
        # Displacements of the image itself, or else of its class, or else of any.
        keys = (sources, base), (self.codes[sources], y), (torch.zeros_like(sources), torch.zeros_like(y))
        share = -(u[:, 1:3] + 1e-9).log()
        share = u[:, 3:4] * self.reach * share / share.sum(1, keepdim=True)
        flow = torch.zeros((len(y), 2, GRID, GRID), device=self.device)
        for i in range(2):
            row = torch.full_like(y, -1)
            for known, wanted in keys:
                row = torch.where(row >= 0, row, _pick(known, wanted, u[:, 4 + i]))
            there = row >= 0
            flow[there] += share[there, i, None, None, None] * moves[row[there]]
        known = base >= 0
        out = torch.zeros((len(y), *self.spec.shape), device=self.device)
        out[known] = self.in_parts(displaced, self.images[base[known]], flow[known]) if known.any() else out[known]
        return out

    @property
    def copies(self) -> bool:
        """There is no displacement, of whatever class."""
        return not bool(self.kept.any())

    def steps_for(self, n_records: int) -> int:
        """100 steps for all pairs together."""
        return 100

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        """Take the sizes that the state has, which depend on the training images."""
        for name in ("images", "codes", "pairs", "kept"):
            setattr(self, name, torch.empty_like(state_dict[prefix + name], device=getattr(self, name).device))
        for name in ("displacement", "affine"):
            like = torch.empty_like(state_dict[prefix + name], device=getattr(self, name).device)
            setattr(self, name, nn.Parameter(like))
        super()._load_from_state_dict(state_dict, prefix, *args)


GRID = 6  # places of a displacement along each side
GOOD = 0.5  # the share of the squared difference that a registration may leave
BLURS = (1 / 12, 1 / 24, 1 / 60)  # of the height


def _pick(sorted_keys: Tensor, wanted: Tensor, u: Tensor) -> Tensor:
    """For each key wanted, the place of one of those equal to it, chosen by `u` in [0, 1); -1 if there is none."""
    first = torch.searchsorted(sorted_keys, wanted)
    count = torch.searchsorted(sorted_keys, wanted, right=True) - first
    return torch.where(count > 0, first + (u * count).long(), -1)


def displaced(x: Tensor, flow: Tensor) -> Tensor:
    """Pull grids back along displacements (Jaderberg et al. 2015).

    Args:
        x: `(n, channels, height, width)`.
        flow: `(n, 2, rows, columns)`, along the width and along the height, in halves of a side.

    >>> x = torch.rand(2, 1, 9, 14)
    >>> bool((displaced(x, torch.zeros(2, 2, 6, 6)) - x).abs().max() < 1e-5)
    True
    """
    size = list(x.shape[2:])
    here = functional.affine_grid(torch.eye(2, 3).to(x)[None], [1, 1, *size], align_corners=False)
    fine = functional.interpolate(flow, size, mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    return functional.grid_sample(x, here + fine, padding_mode="border", align_corners=False)


def blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of grids `(n, channels, height, width)` with a standard deviation of `sigma` pixels.

    >>> blur(torch.ones(1, 1, 8, 8), 2.0).std() < 1e-6
    tensor(True)
    """
    reach = min(max(1, ceil(3 * sigma - 0.5)), min(x.shape[2:]) - 1)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).to(x) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    x = functional.pad(x, [reach] * 4, mode="replicate")
    x = functional.conv2d(x, kernel.mT, groups=x.shape[1])
    return functional.conv2d(x, kernel, groups=x.shape[1])
