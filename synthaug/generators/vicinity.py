"""Training on the vicinity of the records instead of the records alone (Chapelle et al. 2000).

A network that sees a hundred records again and again learns the records. What a classifier gains from few records is a
smoother picture of each class, and the best simple picture is its shrunk covariance: so every training batch moves its
numbers by noise of that shape. With many records the noise fades and the records speak for themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor

from synthaug.spec import Spec

__all__ = ["Vicinity", "class_means", "correlated", "shrunk_roots"]

WIDE = 512  # numbers up to which whole covariances are used; above it, only their diagonals
PRIOR = 20.0  # how many records' worth the covariance shared by the classes counts


class Vicinity:
    """Noise around the numbers of a record, shaped like the covariance of its class.

    Args:
        x: Training records `(n, width)`.
        y: Their class codes `(n,)`.
        spec: Which entries are numbers; others are left alone.
        n_classes: Number of classes.
        scale: Standard deviation of the noise in those of the class, for classes of up to `fade` records.

    Other Arguments:
        fade: Records from which the noise of a class falls, with the square root of their number.

    >>> from synthaug.spec import Field
    >>> spec = Spec((2,), (Field("a", "number"), Field("b", "number")))
    >>> x, y = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)), torch.zeros(50, dtype=torch.long)
    >>> moved = Vicinity(x, y, spec, 1, scale=0.6).move(x, y, rng=torch.Generator().manual_seed(0))
    >>> bool(0.3 < (moved - x).std() < 0.9)
    True
    """

    def __init__(self, x: Tensor, y: Tensor, spec: Spec, n_classes: int, *, scale: float, fade: float = 200.0) -> None:
        kinds = [field.kind for field in spec.fields for _ in range(field.size)]
        self.numbers = torch.tensor([i for i, kind in enumerate(kinds) if kind == "number"], dtype=torch.long)
        self.counts = torch.bincount(y, minlength=n_classes)
        self.scale = scale * (fade / self.counts.clamp(min=1)).sqrt().clamp(max=1.0)
        values = x[:, self.numbers]
        self._diagonal = len(self.numbers) > WIDE
        self.roots = _shrunk_deviations(values, y, n_classes) if self._diagonal else shrunk_roots(values, y, n_classes)

    def move(self, x: Tensor, y: Tensor, *, rng: torch.Generator) -> Tensor:
        """The records `(n, width)` with fresh noise on their numbers."""
        noise = torch.randn((len(x), len(self.numbers)), generator=rng)
        noise = noise * self.roots[y] if self._diagonal else correlated(noise, y, self.roots)
        x = x.clone()
        x[:, self.numbers] += noise * self.scale[y, None]
        return x


def correlated(noise: Tensor, y: Tensor, roots: Tensor) -> Tensor:
    """White noise `(n, d)` given the covariance of each record's class, by its Cholesky root in `(n_classes, d, d)`.

    >>> correlated(torch.ones(2, 1), torch.tensor([0, 1]), torch.tensor([[[2.0]], [[3.0]]])).tolist()
    [[2.0], [3.0]]
    """
    shaped = torch.empty_like(noise)
    for label in y.unique():
        mask = y == label
        shaped[mask] = noise[mask] @ roots[label].T
    return shaped


def shrunk_roots(
    values: Tensor, y: Tensor, n_classes: int, *, variance: Tensor | None = None, counts: Tensor | None = None
) -> Tensor:
    """Cholesky roots of the covariances of the classes, each shrunk towards the one within all classes.

    The shared covariance counts for 20 records, so a class of one record takes it alone (in the manner of regularised
    discriminant analysis, Friedman 1989).

    Args:
        values: `(n, d)`.
        y: Class codes `(n,)`.
        n_classes: Number of classes.

    Other Arguments:
        variance: `(n, d)`, how uncertain each value is; its mean over the class is added to the diagonal.
        counts: Records of each class, where `values` holds several draws around each record.

    Returns:
        `(n_classes, d, d)` lower triangles.

    >>> roots = shrunk_roots(torch.tensor([[0.0], [2.0], [9.0]]), torch.tensor([0, 0, 1]), 2)
    >>> roots.flatten().tolist()[1] > 0
    True
    """
    centred = values - class_means(values, y, n_classes)[y]
    shared = centred.T @ centred / max(len(y) - len(y.unique()), 1)
    parts = [centred[y == label] for label in range(n_classes)]
    own = torch.stack([part.T @ part / max(len(part) - 1, 1) for part in parts])
    weight = PRIOR / (PRIOR + (torch.bincount(y, minlength=n_classes) if counts is None else counts))
    covariance = (1 - weight)[:, None, None] * own + weight[:, None, None] * shared
    if variance is not None:
        covariance = covariance + torch.diag_embed(class_means(variance, y, n_classes))
    return torch.linalg.cholesky(covariance + 1e-4 * torch.eye(values.shape[1]))


def _shrunk_deviations(values: Tensor, y: Tensor, n_classes: int) -> Tensor:
    """The diagonal of `shrunk_roots`, for records of very many numbers: `(n_classes, d)`."""
    squares = (values - class_means(values, y, n_classes)[y]).square()
    weight = PRIOR / (PRIOR + torch.bincount(y, minlength=n_classes))[:, None]
    return ((1 - weight) * class_means(squares, y, n_classes) + weight * squares.mean(0)).sqrt()


def class_means(values: Tensor, y: Tensor, n_classes: int) -> Tensor:
    """Mean of the values of each class, `(n_classes, d)`; 0 for a class without records.

    >>> class_means(torch.tensor([[1.0], [3.0]]), torch.tensor([0, 0]), 2).tolist()
    [[2.0], [0.0]]
    """
    sums = torch.zeros(n_classes, values.shape[1]).index_add_(0, y, values)
    return sums / torch.bincount(y, minlength=n_classes).clamp(min=1)[:, None]
