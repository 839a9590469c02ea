"""Training on the vicinity of the records instead of the records alone (Chapelle et al. 2000).

A network that sees a hundred records again and again learns the records. What a classifier gains from few records is a
smoother picture of each class, and the best simple picture is its shrunk covariance: so every training batch moves its
numbers by noise of that shape. With many records the noise fades and the records speak for themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor

from synthaug.spec import Spec

__all__ = ["PRIOR", "Vicinity", "shrunk_root", "smallness"]

WIDE = 512  # numbers up to which whole covariances are used; above it, only their diagonals
PRIOR = 20.0  # how many records' worth a shared covariance counts
FEW = 200  # records of a class up to which it counts as small


def smallness(counts: Tensor) -> Tensor:
    """1 for classes of up to 200 records, then falling with the square root of their number.

    >>> smallness(torch.tensor([1, 200, 800])).tolist()
    [1.0, 1.0, 0.5]
    """
    return (FEW / counts.clamp(min=1)).sqrt().clamp(max=1.0)


class Vicinity:
    """Noise around the numbers of a record, shaped like the covariance of its class, shrunk towards that of all.

    The shared covariance counts for 20 records, so a class of one record takes it alone (in the manner of regularised
    discriminant analysis, Friedman 1989).

    Args:
        x: Training records `(n, width)`.
        y: Their class codes `(n,)`.
        spec: Which entries are numbers; others are left alone.
        scale: Standard deviation of the noise in those of a small class; it falls with `smallness`.
        counts: Training records of each class.

    >>> from synthaug.spec import Field
    >>> spec = Spec((2,), (Field("a", "number"), Field("b", "number")))
    >>> x, y = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)), torch.zeros(50, dtype=torch.long)
    >>> moved = Vicinity(x, y, spec, scale=0.6, counts=torch.bincount(y)).move(x, y, rng=torch.Generator())
    >>> bool(0.3 < (moved - x).std() < 0.9)
    True
    """

    def __init__(self, x: Tensor, y: Tensor, spec: Spec, *, scale: float, counts: Tensor) -> None:
        kinds = [field.kind for field in spec.fields for _ in range(field.size)]
        self.numbers = torch.tensor([i for i, kind in enumerate(kinds) if kind == "number"], dtype=torch.long)
        self.scale = scale * smallness(counts)
        self._whole = len(self.numbers) <= WIDE
        values = x[:, self.numbers]
        parts = [values[y == label] for label in range(len(counts))]
        within = torch.cat([part - part.mean(0) for part in parts if len(part)])
        shared = within.T @ within / len(within) if self._whole else within.square().mean(0)
        root = shrunk_root if self._whole else _shrunk_deviation
        self.roots = torch.stack([root(part, shared, PRIOR / (PRIOR + len(part))) for part in parts])

    def move(self, x: Tensor, y: Tensor, *, rng: torch.Generator) -> Tensor:
        """The records `(n, width)` with fresh noise on their numbers."""
        noise = torch.randn((len(x), len(self.numbers)), generator=rng) * self.scale[y, None]
        x = x.clone()
        if self._whole:
            for label in y.unique():
                own = y == label
                noise[own] = noise[own] @ self.roots[label].T
        else:
            noise *= self.roots[y]
        x[:, self.numbers] += noise
        return x


def shrunk_root(values: Tensor, shared: Tensor, weight: float, *, extra: Tensor | None = None) -> Tensor:
    """Cholesky root `(d, d)` of the covariance of `values` `(n, d)`, with a `weight` for the `shared` one.

    Args:
        values: `(n, d)`; none or one have no covariance of their own.
        shared: `(d, d)`.
        weight: Of the shared covariance, in [0, 1].

    Other Arguments:
        extra: Variances `(d,)` to add.

    >>> round(float(shrunk_root(torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0]]), 0.5)), 2)
    1.73
    """
    centred = values - values.mean(0) if len(values) else values
    own = centred.T @ centred / max(len(values) - 1, 1)
    covariance = (1 - weight) * own + weight * shared + 1e-4 * torch.eye(values.shape[1])
    return torch.linalg.cholesky(covariance if extra is None else covariance + torch.diag(extra))


def _shrunk_deviation(values: Tensor, shared: Tensor, weight: float) -> Tensor:
    """The same for records of very many numbers, the diagonal alone: `(d,)`."""
    own = values.var(0, correction=0) if len(values) else torch.zeros_like(shared)
    return ((1 - weight) * own + weight * shared).sqrt()
