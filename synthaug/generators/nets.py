"""Trunks: the bodies of the networks, one a kind of record."""

from __future__ import annotations

from torch import nn

__all__ = ["mlp"]


def mlp(n_in: int, n_out: int, *, width: int, depth: int, norm: bool = False, slope: float = 0.0) -> nn.Sequential:
    """A plain multi-layer perceptron for flat records.

    Args:
        n_in: Entries in.
        n_out: Entries out.
        width: Of every hidden layer.
        depth: Number of hidden layers.

    Other Arguments:
        norm: Layer normalisation after every hidden linear map (Ba et al. 2016).
        slope: Of the leaky rectifier; 0 takes SiLU (Elfwing et al. 2018) instead.

    >>> [type(layer).__name__ for layer in mlp(3, 2, width=8, depth=1)]
    ['Linear', 'SiLU', 'Linear']
    """
    layers: list[nn.Module] = []
    for i in range(depth):
        layers.append(nn.Linear(width if i else n_in, width))
        if norm:
            layers.append(nn.LayerNorm(width))
        layers.append(nn.LeakyReLU(slope) if slope else nn.SiLU())
    return nn.Sequential(*layers, nn.Linear(width if depth else n_in, n_out))
