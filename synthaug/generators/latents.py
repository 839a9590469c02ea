"""Where the latents of each class lie."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synthaug.generators.vicinity import class_means, correlated, shrunk_roots

__all__ = ["ClassGaussians"]


class ClassGaussians(nn.Module):
    """One Gaussian a class over latents: the aggregate posterior, shrunk towards the covariance that classes share.

    With few records N(0, I) leaves the data; a class of one record takes the shared covariance alone.

    Args:
        n_classes: Number of classes.
        dim: Size of a latent.

    >>> latents = ClassGaussians(2, 3)
    >>> y = torch.tensor([0, 0, 0, 0, 1])
    >>> latents.fit(torch.zeros(5, 3), torch.ones(5, 3), y, torch.bincount(y))
    >>> latents.sample(torch.tensor([0, 1]), rng=torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3])
    """

    mean: Tensor
    root: Tensor

    def __init__(self, n_classes: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_classes, dim))
        self.register_buffer("root", torch.eye(dim).repeat(n_classes, 1, 1))

    def fit(self, mean: Tensor, variance: Tensor, y: Tensor, counts: Tensor) -> None:
        """Learn from posterior means and variances `(n, dim)`, any number of them around each training record.

        Args:
            mean: Posterior means.
            variance: Posterior variances.
            y: Class codes `(n,)`.
            counts: Training records of each class.
        """
        n_classes = len(self.mean)
        self.mean.copy_(class_means(mean, y, n_classes))
        self.root.copy_(shrunk_roots(mean, y, n_classes, variance=variance, counts=counts))

    def sample(self, y: Tensor, *, rng: torch.Generator, temperature: float = 1.0) -> Tensor:
        """One latent for each code: `(n,)` to `(n, dim)`, deviations from the mean multiplied by `temperature`."""
        noise = torch.randn((len(y), self.mean.shape[1]), generator=rng).to(self.mean)
        return self.mean[y] + temperature * correlated(noise, y, self.root)
