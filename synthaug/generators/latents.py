"""Where the latents of each class lie."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ClassGaussians"]


class ClassGaussians(nn.Module):
    """One Gaussian a class over latents: the aggregate posterior, its covariance shrunk towards the one all classes share.

    With few records N(0, I) leaves the data; a class of one record takes the shared covariance alone.

    Args:
        n_classes: Number of classes.
        dim: Size of a latent.
        prior_records: How many records' worth the shared covariance counts.

    >>> latents = ClassGaussians(2, 3)
    >>> latents.fit(torch.zeros(5, 3), torch.ones(5, 3), torch.tensor([0, 0, 0, 0, 1]))
    >>> latents.sample(torch.tensor([0, 1]), rng=torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3])
    """

    mean: Tensor
    root: Tensor

    def __init__(self, n_classes: int, dim: int, *, prior_records: float = 10.0) -> None:
        super().__init__()
        self.prior_records = prior_records
        self.register_buffer("mean", torch.zeros(n_classes, dim))
        self.register_buffer("root", torch.eye(dim).repeat(n_classes, 1, 1))

    def fit(self, mean: Tensor, variance: Tensor, y: Tensor) -> None:
        """From the posterior means and variances `(n, dim)` of the training records."""
        classes = [y == label for label in range(len(self.mean))]
        present = [mask for mask in classes if mask.any()]
        scatter = sum(_scatter(mean[mask], variance[mask]) for mask in present)
        shared = scatter / len(mean)
        for label, mask in enumerate(classes):
            n = int(mask.sum())
            own = _scatter(mean[mask], variance[mask]) if n else torch.zeros_like(shared)
            covariance = (own + self.prior_records * shared) / (n + self.prior_records)
            jitter = 1e-6 * torch.eye(len(covariance))
            self.mean[label] = mean[mask].mean(0) if n else mean.mean(0)
            self.root[label] = torch.linalg.cholesky(covariance + jitter)

    def sample(self, y: Tensor, *, rng: torch.Generator) -> Tensor:
        """One latent for each code: `(n,)` to `(n, dim)`."""
        noise = torch.randn((len(y), self.mean.shape[1]), generator=rng).to(self.mean)
        return self.mean[y] + torch.einsum("nij,nj->ni", self.root[y], noise)


def _scatter(mean: Tensor, variance: Tensor) -> Tensor:
    """Sum over records of the outer product of centred means plus the posterior variances."""
    centred = mean - mean.mean(0)
    return centred.T @ centred + torch.diag(variance.sum(0))
