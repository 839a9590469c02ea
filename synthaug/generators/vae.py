"""A conditional variational autoencoder (Kingma & Welling 2014; Sohn et al. 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import AdamW

from synthaug.generators.base import GeneratorModule, largeness, one_cycle
from synthaug.generators.heads import Heads
from synthaug.generators.latents import ClassMixtures
from synthaug.generators.nets import mlp
from synthaug.generators.vicinity import smallness

__all__ = ["ConditionalVAE"]


class ConditionalVAE(GeneratorModule):
    """A conditional VAE that draws latents where the data of each class lies.

    Args:
        spec: `Spec.to_dict()` of the records.
        n_classes: Number of classes.

    Other Arguments:
        latent_dim: Size of a latent.
        width: Of the hidden layers.
        depth: Number of hidden layers of the encoder and of the decoder.
        beta: Weight of the Kullback-Leibler term (Higgins et al. 2017).
        lr: Peak learning rate of the one-cycle schedule.
        vicinity: Noise around the training records in standard deviations of their class; see `Vicinity`.
        temperature: Multiplies the deviation of a latent from the mean of a small class.
        category_temperature: Divides the logits of categories of a small class.

    >>> from synthaug.spec import Field, Spec
    >>> spec = Spec((3,), (Field("age", "number"), Field("sex", "category", 2)))
    >>> vae = ConditionalVAE(spec.to_dict(), 2)
    >>> vae.sample(torch.tensor([0, 1]), rng=torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3])
    """

    residual: Tensor

    def __init__(
        self,
        spec: Mapping[str, Any],
        n_classes: int,
        *,
        latent_dim: int = 16,
        width: int = 128,
        depth: int = 2,
        beta: float = 0.03,
        lr: float = 3e-3,
        vicinity: float = 0.6,
        temperature: float = 0.8,
        category_temperature: float = 0.5,
    ) -> None:
        super().__init__(spec, n_classes)
        self.save_hyperparameters()
        self.latent_dim, self.beta, self.lr, self.vicinity = latent_dim, beta, lr, vicinity
        self.temperature, self.category_temperature = temperature, category_temperature
        n = self.spec.width
        self.heads = Heads(self.spec)
        self.embedding = nn.Embedding(n_classes, latent_dim)
        self.encoder = mlp(n + latent_dim, 2 * latent_dim, width=width, depth=depth)
        self.decoder = mlp(2 * latent_dim, self.heads.width, width=width, depth=depth)
        self.register_buffer("residual", torch.zeros(self.heads.n_numbers))
        self.latents = ClassMixtures(n_classes, latent_dim)

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latent of each record: `(n, latent_dim)` each."""
        mean, logvar = self.encoder(torch.cat([x, self.embedding(y)], 1)).chunk(2, 1)
        return mean, logvar.clamp(-10, 10)

    def decode(self, z: Tensor, y: Tensor) -> Tensor:
        """Raw outputs `(n, width)` for latents `(n, latent_dim)`."""
        return self.decoder(torch.cat([z, self.embedding(y)], 1))

    def loss(self, x: Tensor, y: Tensor, *, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Reconstruction error and Kullback-Leibler divergence from N(0, I), both the mean over records."""
        mean, logvar = self.encode(x, y)
        z = mean if noise is None else mean + (logvar / 2).exp() * noise
        kl = (mean.square() + logvar.exp() - logvar - 1).sum(1) / 2
        return self.heads.loss(self.decode(z, y), x).mean(), kl.mean()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """One step down the negative evidence lower bound."""
        x, y = batch
        reconstruction, kl = self.loss(x, y, noise=torch.randn(len(x), self.latent_dim, device=x.device))
        loss = reconstruction + self.beta * kl
        self.track(loss=loss, reconstruction=reconstruction, kl=kl)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """The bound on held-out records, at the mean latent."""
        reconstruction, kl = self.loss(*batch)
        self.log("val_loss", reconstruction + self.beta * kl, batch_size=len(batch[1]), sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with a one-cycle schedule."""
        optimizer = AdamW(self.parameters(), lr=self.lr, betas=(0.9, 0.99), fused=True)
        schedule = one_cycle(optimizer, self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @torch.no_grad()
    def settle(self, x: Tensor, y: Tensor) -> None:
        """Find where the latents of each class lie, and how far numbers lie from their decoded mean."""
        parts = [self.encode(*part) for part in zip(x.split(8192), y.split(8192), strict=True)]
        mean, logvar = (torch.cat(part) for part in zip(*parts, strict=True))
        self.latents.fit(mean, logvar.exp(), y, self.counts)
        some = torch.arange(min(len(x), 20_000))
        self.residual.copy_(self.heads.residual(self.decode(mean[some], y[some]), x[some]))

    @torch.no_grad()
    def sample(self, y: Tensor, *, rng: torch.Generator) -> Tensor:
        """Draw latents of each class, decode them, draw categories and emit numbers.

        Where a class is small, latents and categories are colder and numbers are the decoded mean, since noise only
        blurs what little is known of the class; the larger it is, the more of all three noises its records have, since
        then something can be learned from them.
        """
        small = smallness(self.counts)
        z = self.latents.sample(y, 1 - (1 - self.temperature) * small, rng=rng)
        colder = 1 - (1 - self.category_temperature) * small
        noise = (1 - small)[y, None] * self.residual
        return self.heads.emit(self.decode(z, y), rng=rng, temperature=colder[y], noise=noise)

    @classmethod
    def steps_for(cls, n_records: int) -> int:
        """320 batches for small sets, up to 3,000 for large ones."""
        return round(320 * 9.375 ** largeness(n_records))
