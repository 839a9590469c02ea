"""Where the latents of each class lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor, nn

from synthaug.generators.vicinity import PRIOR, shrunk_root

__all__ = ["ClassMixtures"]

RECORDS_A_COMPONENT, MOST_COMPONENTS = 200, 32


class ClassMixtures(nn.Module):
    """A small Gaussian mixture a class over latents: its aggregate posterior (Tomczak & Welling 2018, in closed form).

    A class of up to 400 records gets one Gaussian, one of 6,400 gets 32. Covariances are shrunk: the only Gaussian of a
    class towards the covariance within all classes, those of a mixture towards the covariance of their class. So with
    few records latents do not leave the data, as N(0, I) does, and a class of one record has the spread that classes
    share.

    Args:
        n_classes: Number of classes.
        dim: Size of a latent.

    >>> latents = ClassMixtures(2, 3)
    >>> y = torch.tensor([0, 0, 0, 0, 1])
    >>> latents.fit(torch.zeros(5, 3), torch.ones(5, 3), y, torch.bincount(y))
    >>> latents.sample(torch.tensor([0, 1]), torch.ones(2), rng=torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3])
    """

    share: Tensor
    mean: Tensor
    root: Tensor

    def __init__(self, n_classes: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("share", torch.ones(n_classes, 1))
        self.register_buffer("mean", torch.zeros(n_classes, 1, dim))
        self.register_buffer("root", torch.eye(dim).repeat(n_classes, 1, 1, 1))

    def fit(self, mean: Tensor, variance: Tensor, y: Tensor, counts: Tensor) -> None:
        """Learn from posterior means and variances `(n, dim)`, any number of them around each training record.

        Args:
            mean: Posterior means.
            variance: Posterior variances.
            y: Class codes `(n,)`.
            counts: Training records of each class.
        """
        n_classes, dim = len(counts), mean.shape[1]
        components = (counts // RECORDS_A_COMPONENT).clamp(1, MOST_COMPONENTS)
        self.share = torch.zeros(n_classes, int(components.max()))
        self.mean = torch.zeros(*self.share.shape, dim)
        self.root = torch.eye(dim).repeat(*self.share.shape, 1, 1)
        within = torch.cat([mean[y == label] - mean[y == label].mean(0) for label in y.unique()])
        shared = within.T @ within / len(within)
        for label in y.unique():
            m, v, k = mean[y == label], variance[y == label], int(components[label])
            cluster = _clusters(m, k)
            back = shared if k == 1 else (m - m.mean(0)).T @ (m - m.mean(0)) / len(m)
            for j in range(k):
                own = cluster == j
                if not own.any():
                    continue
                records = float(counts[label]) * float(own.float().mean())
                self.share[label, j] = own.float().mean()
                self.mean[label, j] = m[own].mean(0)
                self.root[label, j] = shrunk_root(m[own], back, PRIOR / (PRIOR + records), extra=v[own].mean(0))

    def sample(self, y: Tensor, temperature: Tensor, *, rng: torch.Generator) -> Tensor:
        """One latent for each code.

        Args:
            y: Class codes `(n,)`.
            temperature: For each class, what deviations from the mean of a component are multiplied by.
            rng: Source of all randomness.

        Returns:
            `(n, dim)`.
        """
        noise = torch.randn((len(y), self.mean.shape[2]), generator=rng).to(self.mean) * temperature[y, None]
        u = torch.rand((len(y), 1), generator=rng).to(self.mean)
        cumulative = self.share.cumsum(1)
        component = (cumulative[y] <= u * cumulative[y, -1:]).sum(1)
        z = self.mean[y, component]
        for label, j in (self.share > 0).nonzero().tolist():
            own = (y == label) & (component == j)
            z[own] += noise[own] @ self.root[label, j].T
        return z

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *args: Any) -> None:
        for name in ("share", "mean", "root"):  # their shapes follow from the training records
            if prefix + name in state:
                setattr(self, name, torch.empty_like(state[prefix + name]))
        super()._load_from_state_dict(state, prefix, *args)


def _clusters(x: Tensor, k: int) -> Tensor:
    """Which of `k` clusters each row belongs to, `(n,)`."""
    if k == 1:
        return torch.zeros(len(x), dtype=torch.long)
    found = MiniBatchKMeans(k, random_state=0, n_init=1, max_iter=20).fit_predict(x.numpy())
    return torch.from_numpy(found).long()
