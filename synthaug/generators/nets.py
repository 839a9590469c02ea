"""Trunks: the bodies of the networks, one a kind of record. Each is told a code (of the class) beside its input."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from synthaug.rng import torch_rng

__all__ = ["ConvDecoder", "ConvEncoder", "GridCode", "mlp", "pyramid"]

SMALLEST = 7  # pixels: a grid is halved until neither side is longer


class _Beside(nn.Sequential):
    """Layers over everything they are given, side by side."""

    def forward(self, *parts: Tensor) -> Tensor:
        out: Tensor = super().forward(torch.cat(parts, 1))
        return out


def mlp(n_in: int, n_out: int, *, width: int, depth: int, slope: float = 0.0) -> nn.Sequential:
    """A plain multi-layer perceptron for flat records; called with several tensors it takes them side by side.

    Args:
        n_in: Entries in.
        n_out: Entries out.
        width: Of every hidden layer.
        depth: Number of hidden layers.

    Other Arguments:
        slope: Of the leaky rectifier; 0 takes SiLU (Elfwing et al. 2018) instead.

    >>> [type(layer).__name__ for layer in mlp(3, 2, width=8, depth=1)]
    ['Linear', 'SiLU', 'Linear']
    """
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(width if i else n_in, width), _activation(slope)]
    return _Beside(*layers, nn.Linear(width if depth else n_in, n_out))


def pyramid(height: int, width: int) -> list[tuple[int, int]]:
    """The sizes of a grid from full resolution down, each the half of the one before, rounded up.

    >>> pyramid(28, 28), pyramid(9, 14)
    ([(28, 28), (14, 14), (7, 7)], [(9, 14), (5, 7)])
    """
    sizes = [(height, width)]
    while len(sizes) < 2 or max(sizes[-1]) > SMALLEST:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


class GridCode(nn.Embedding):
    """What networks are told of a grid: its class, and whether a pipeline of the user altered it.

    The flag adds a vector to that of the class, as augmentations are told in Karras et al. 2022, "Elucidating the
    design space of diffusion-based generative models", section 5. From the start it is as long as that of a class: from
    zero on, a GAN took no notice of it in 600 steps.

    Args:
        n_classes: Number of classes.
        dim: Size of a code.

    >>> code = GridCode(2, 3)
    >>> code(torch.tensor([0, 1]), torch.tensor([False, True])).shape
    torch.Size([2, 3])
    """

    def __init__(self, n_classes: int, dim: int) -> None:
        super().__init__(n_classes, dim)
        self.altered = nn.Parameter(torch.randn(dim, generator=torch_rng(0, "altered"), device="cpu"))

    def forward(self, y: Tensor, altered: Tensor | None = None) -> Tensor:
        """Codes `(n, dim)` of classes `(n,)`; none is altered if it is not said which are `(n,)`."""
        code: Tensor = super().forward(y)
        return code if altered is None else code + altered[:, None] * self.altered


class ConvEncoder(nn.Module):
    """Plain 3x3 convolutions from a grid down to a few numbers.

    Full resolution is left at once, since there a convolution costs four times as much as after it.

    Args:
        shape: Of the grid, `(channels, height, width)`.
        n_code: Entries of the code beside the grid.
        n_out: Entries out.
        width: Channels after the first halving; twice as many after the second, three times after the third.

    Other Arguments:
        depth: Residual convolutions at each size below full resolution.
        slope: Of the leaky rectifier; 0 takes SiLU instead.
        project: False puts the code beside the features of the grid. True gives instead, for each output, a score of
            the features plus their inner product with a map of the code (Miyato & Koyama 2018).

    >>> encoder = ConvEncoder((1, 9, 14), 3, 2, width=8)
    >>> encoder(torch.zeros(5, 1, 9, 14), torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        shape: Sequence[int],
        n_code: int,
        n_out: int,
        *,
        width: int,
        depth: int = 1,
        slope: float = 0.0,
        project: bool = False,
    ) -> None:
        super().__init__()
        channels, *size = shape
        layers: list[nn.Module] = []
        n = channels
        for level, _ in enumerate(pyramid(size[0], size[1])[1:], 1):
            layers += [_conv(n, level * width, stride=2), _activation(slope)]
            layers += [_Residual(level * width, slope) for _ in range(depth)]
            n = level * width
        self.body = nn.Sequential(*layers)
        features = n * prod(pyramid(size[0], size[1])[-1])
        self.project = project
        hidden = 4 * width
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(features, hidden), _activation(slope))
        self.out = nn.Linear(hidden if project else hidden + n_code, n_out)
        if project:
            self.code = nn.Linear(n_code, hidden, bias=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Numbers `(n, n_out)` for grids `(n, *shape)` and codes `(n, n_code)`."""
        features = self.features(self.body(x.contiguous(memory_format=torch.channels_last)))
        out: Tensor
        if self.project:
            out = self.out(features) + (features * self.code(code)).sum(1, keepdim=True) / features.shape[1] ** 0.5
        else:
            out = self.out(torch.cat([features, code], 1))
        return out


class ConvDecoder(nn.Module):
    """Plain 3x3 convolutions from a latent and a code up to a grid.

    Resolution is doubled by sub-pixel convolutions (Shi et al. 2016) and cropped where a size is odd. At full
    resolution there is one narrow convolution alone.

    Args:
        n_in: Entries of a latent.
        n_code: Entries of the code beside it.
        shape: Of the grid, `(channels, height, width)`.
        width: As in `ConvEncoder`; full resolution has half of it.

    Other Arguments:
        depth: Residual convolutions at each size below full resolution.
        slope: Of the leaky rectifier; 0 takes SiLU instead.

    >>> decoder = ConvDecoder(4, 3, (2, 9, 14), width=8)
    >>> decoder(torch.zeros(5, 4), torch.zeros(5, 3)).shape
    torch.Size([5, 2, 9, 14])
    """

    def __init__(
        self, n_in: int, n_code: int, shape: Sequence[int], *, width: int, depth: int = 1, slope: float = 0.0
    ) -> None:
        super().__init__()
        channels, *size = shape
        self.sizes = pyramid(size[0], size[1])[::-1]
        levels = len(self.sizes) - 1
        n = levels * width
        self.first = (n, *self.sizes[0])
        hidden = 4 * width
        self.start = nn.Sequential(
            nn.Linear(n_in + n_code, hidden),
            _activation(slope),
            nn.Linear(hidden, prod(self.first)),
            _activation(slope),
        )
        self.levels, self.codes = nn.ModuleList(), nn.ModuleList()
        for level in range(levels, 0, -1):
            after = (level - 1) * width or max(width // 2, channels)
            self.codes.append(nn.Linear(n_in + n_code, level * width))
            self.levels.append(
                nn.Sequential(
                    *(_Residual(level * width, slope) for _ in range(depth)),
                    nn.Conv2d(level * width, 4 * after, 1),
                    nn.PixelShuffle(2),
                    _activation(slope),
                )
            )
            n = after
        self.out = _conv(n, channels)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, z: Tensor, code: Tensor) -> Tensor:
        """Grids `(n, *shape)` for latents `(n, n_in)` and codes `(n, n_code)`."""
        told = torch.cat([z, code], 1)
        x = self.start(told).unflatten(1, self.first).contiguous(memory_format=torch.channels_last)
        for level, shift, (height, width) in zip(self.levels, self.codes, self.sizes[1:], strict=True):
            x = level(x + shift(told)[:, :, None, None])[:, :, :height, :width]
        out: Tensor = self.out(x)
        return out


class _Residual(nn.Module):
    """What a convolution adds to its input."""

    def __init__(self, width: int, slope: float) -> None:
        super().__init__()
        self.conv, self.activation = _conv(width, width), _activation(slope)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.activation(self.conv(x))
        return out


def _conv(n_in: int, n_out: int, *, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1)


def _activation(slope: float) -> nn.Module:
    return nn.LeakyReLU(slope) if slope else nn.SiLU()
