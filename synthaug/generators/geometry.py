"""Small differentiable changes of grids: how a network sees more than the few images there are."""

from __future__ import annotations

from math import radians

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["MOVES", "draw_moves", "moved", "shade"]

MOVES = 5  # numbers that a move has: angle, growth, stretch, shift along the width, shift along the height


def draw_moves(n: int, *, strength: float | Tensor, share: float = 1.0) -> Tensor:
    """Random moves `(n, MOVES)` in standard units, from the global random stream of the fit.

    Args:
        n: How many.
        strength: Their standard deviation, for all or for each.
        share: Of them that move at all; the others are zero.

    >>> draw_moves(3, strength=0.0).abs().max()
    tensor(0.)
    """
    moves = torch.randn(n, MOVES).clamp(-2, 2)
    return moves * (torch.rand(n, 1) < share) * torch.as_tensor(strength).reshape(-1, 1)


def moved(x: Tensor, moves: Tensor) -> Tensor:
    """Turn, scale and shift each grid by its move: one unit is 7 degrees, 7% of size and 4% of a side.

    What comes in over the edge is the mirror image of what is beside it, so no border shows.

    Args:
        x: Grids `(n, channels, height, width)`.
        moves: `(n, MOVES)`; a move of zeros changes nothing.

    >>> x = torch.rand(2, 1, 9, 14)
    >>> bool((moved(x, torch.zeros(2, MOVES)) - x).abs().max() < 1e-5)
    True
    """
    angle, growth, stretch, right, down = moves.to(x).unbind(1)
    angle, across, along = (
        radians(7) * angle,
        (0.07 * (growth + stretch / 2)).exp(),
        (0.07 * (growth - stretch / 2)).exp(),
    )
    height, width = x.shape[2:]
    cos, sin, ratio = angle.cos(), angle.sin(), height / width
    rows = [
        torch.stack([cos / across, -sin * ratio / across, 0.08 * right], 1),
        torch.stack([sin / ratio / along, cos / along, 0.08 * down], 1),
    ]
    grid = functional.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def shade(x: Tensor, changes: Tensor) -> Tensor:
    """Change brightness and contrast of each grid.

    Args:
        x: Grids `(n, channels, height, width)`.
        changes: `(n, 2)`: what is added, and the logarithm of what deviations from the mean are multiplied by.

    >>> x = torch.rand(2, 1, 8, 8)
    >>> bool(torch.allclose(shade(x, torch.zeros(2, 2)), x))
    True
    """
    added, contrast = (part[:, None, None, None] for part in changes.to(x).unbind(1))
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * contrast.exp() + mean + added
