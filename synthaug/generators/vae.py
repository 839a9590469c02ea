"""A conditional variational autoencoder (Kingma & Welling 2014; Sohn et al. 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import AdamW

from synthaug.generators.base import AT_ONCE, Features, GeneratorModule, largeness, one_cycle
from synthaug.generators.geometry import MOVES, draw_moves, moved
from synthaug.generators.heads import Heads, heads_for
from synthaug.generators.latents import ClassMixtures
from synthaug.generators.nets import ConvDecoder, ConvEncoder, GridCode, mlp
from synthaug.generators.sharpness import Sharpening, steepness
from synthaug.generators.vicinity import smallness
from synthaug.rng import torch_rng

__all__ = ["ConditionalVAE"]


class ConditionalVAE(GeneratorModule):
    """A conditional VAE that draws latents where the data of each class lies.

    Arguments that are `None` are chosen for the kind of record, flat or grid.

    Args:
        spec: `Spec.to_dict()` of the records.
        n_classes: Number of classes.

    Other Arguments:
        latent_dim: Size of a latent: 16 for flat records, 32 for grids.
        width: Of the hidden layers (128), or channels at half resolution (24).
        depth: Number of hidden layers of the encoder and of the decoder (2), or residual convolutions a size (1).
        beta: Weight of the Kullback-Leibler term (Higgins et al. 2017): 0.03, or 0.2.
        lr: Peak learning rate of the one-cycle schedule.
        vicinity: Flat records move by noise of so many standard deviations of their class (0.6; see `Vicinity`). Grids
            turn, scale and shift by so many units (1; see `moved`), and the networks are told the move, so that what
            they draw is not moved. Both fade as classes grow.
        temperature: Multiplies the deviation of a latent from the mean of a small class: 0.8, or 0.9.
        category_temperature: Divides the logits of categories of a small class.
        features: By which drawn grids are compared with real ones while training: from `(n, channels, height, width)`
            in [-1, 1] to `(n, d)`. They tell whether a class collapses and, from 2,000 records on, of which some are
            then held out, which weights are the best. It is not saved.

    >>> from synthaug.spec import Field, Spec
    >>> spec = Spec((3,), (Field("age", "number"), Field("sex", "category", 2)))
    >>> vae = ConditionalVAE(spec.to_dict(), 2)
    >>> vae.sample(torch.tensor([0, 1]), rng=torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3])
    """

    residual: Tensor
    takes_altered = True

    def __init__(
        self,
        spec: Mapping[str, Any],
        n_classes: int,
        *,
        latent_dim: int | None = None,
        width: int | None = None,
        depth: int | None = None,
        beta: float | None = None,
        lr: float = 3e-3,
        vicinity: float | None = None,
        temperature: float | None = None,
        category_temperature: float = 0.5,
        features: Features | None = None,
    ) -> None:
        super().__init__(spec, n_classes)
        self.save_hyperparameters(ignore="features")
        vars(self)["features"] = features  # a Module among them is no part of this one
        self.latent_dim = latent_dim = self.chosen(latent_dim, flat=16, grid=32)
        self.beta, self.lr = self.chosen(beta, flat=0.03, grid=0.2), lr
        self.vicinity = self.chosen(vicinity, flat=0.6, grid=1.0)
        self.temperature = self.chosen(temperature, flat=0.8, grid=0.9)
        self.category_temperature = category_temperature
        width, depth = self.chosen(width, flat=128, grid=24), self.chosen(depth, flat=2, grid=1)
        self.heads = heads_for(self.spec)
        self.embedding = (GridCode if self.is_grid else nn.Embedding)(n_classes, latent_dim)
        self.encoder: nn.Module
        self.decoder: nn.Module
        self.sharpening: Sharpening | None = None
        if self.is_grid:
            self.sharpening = Sharpening(n_classes)
            code = latent_dim + MOVES
            self.encoder = ConvEncoder(self.spec.shape, code, 2 * latent_dim, width=width, depth=depth)
            self.decoder = ConvDecoder(latent_dim, code, self.spec.shape, width=width, depth=depth)
        else:
            assert isinstance(self.heads, Heads)
            self.encoder = mlp(self.spec.width + latent_dim, 2 * latent_dim, width=width, depth=depth)
            self.decoder = mlp(2 * latent_dim, self.heads.width, width=width, depth=depth)
        self.register_buffer("residual", torch.zeros(self.heads.n_numbers))
        self.latents = ClassMixtures(n_classes, latent_dim)

    def _code(self, y: Tensor, moves: Tensor | None) -> Tensor:
        """What the networks are told beside their input: the class, and for grids how they were changed."""
        if not self.is_grid:
            code: Tensor = self.embedding(y)
            return code
        if moves is None:
            moves = self.embedding.weight.new_zeros(len(y), MOVES + 1)
        return torch.cat([self.embedding(y, moves[:, MOVES]), moves[:, :MOVES]], 1)

    def encode(self, x: Tensor, y: Tensor, moves: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latent of each record: `(n, latent_dim)` each."""
        mean, logvar = self.encoder(x, self._code(y, moves)).float().chunk(2, 1)
        return mean, logvar.clamp(-10, 10)

    def decode(self, z: Tensor, y: Tensor, moves: Tensor | None = None) -> Tensor:
        """Raw outputs `(n, *shape)` for latents `(n, latent_dim)`."""
        raw: Tensor = self.decoder(z, self._code(y, moves))
        return raw

    def loss(
        self, x: Tensor, y: Tensor, *, noise: Tensor | None = None, moves: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Reconstruction error and Kullback-Leibler divergence from N(0, I), both the mean over records.

        Args:
            x: Records.
            y: Their codes.

        Other Arguments:
            noise: From N(0, I), `(n, latent_dim)`; `None` takes the mean latent.
            moves: How grids were changed, `(n, MOVES + 1)`: their move, and 1 where a pipeline altered them, else 0.
        """
        mean, logvar = self.encode(x, y, moves)
        z = mean if noise is None else mean + (logvar / 2).exp() * noise
        kl = mean.square() + logvar.exp() - logvar - 1
        divergence = _free(kl / 2) if self.is_grid else (kl.sum(1) / 2).mean()
        return self.heads.loss(self.decode(z, y, moves), x).mean(), divergence

    def training_step(self, batch: tuple[Tensor, ...], index: int) -> Tensor:
        """One step down the negative evidence lower bound."""
        x, y, *altered = batch
        moves = None
        if self.is_grid:
            moves = draw_moves(len(y), strength=self.vicinity * smallness(self.counts)[y].cpu(), share=0.5)
            x, moves = moved(x, moves), moves.to(x)
            moves = torch.cat([moves, altered[0][:, None].to(x) if altered else moves.new_zeros(len(y), 1)], 1)
        noise = torch.randn(len(x), self.latent_dim, device=x.device)
        reconstruction, kl = self.loss(x, y, noise=noise, moves=moves)
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
        """Find where latents of a class lie, how far numbers are from their decoded mean, and how blurred grids are."""
        many = AT_ONCE if self.is_grid else 8192
        parts = [self.encode(*part) for part in zip(x.split(many), y.split(many), strict=True)]
        mean, logvar = (torch.cat(part) for part in zip(*parts, strict=True))
        self.latents.fit(mean.cpu(), logvar.exp().cpu(), y.cpu(), self.counts.cpu())
        self.latents.to(self.device)
        if self.sharpening is not None:
            codes = y.unique()
            of = codes.repeat_interleave(max(4, SHARPENED // len(codes)))
            drawn = self._drawn(of, rng=torch_rng(0, "sharpness"))
            self.sharpening.fit(self.in_parts(steepness, x), y, self.in_parts(steepness, drawn), of)
        if isinstance(self.heads, Heads):
            some = torch.arange(min(len(x), 20_000))
            self.residual.copy_(self.heads.residual(self.decode(mean[some], y[some]), x[some]))

    @torch.no_grad()
    def sample(self, y: Tensor, *, rng: torch.Generator) -> Tensor:
        """Draw latents of each class, decode them, draw categories and emit numbers.

        Where a class is small, latents and categories are colder and numbers are the decoded mean, since noise only
        blurs what little is known of the class; the larger it is, the more of all three noises its records have, since
        then something can be learned from them.
        """
        y = y.to(self.device)
        return self._sharp(self._drawn(y, rng=rng), y)

    def _sharp(self, x: Tensor, y: Tensor) -> Tensor:
        """Drawn records; grids as sharp as those of their class."""
        return x if self.sharpening is None else self.in_parts(self.sharpening, x, y)

    def _drawn(self, y: Tensor, *, rng: torch.Generator) -> Tensor:
        """Draws as they are decoded."""
        small = smallness(self.counts)
        z = self.latents.sample(y, 1 - (1 - self.temperature) * small, rng=rng)
        colder = 1 - (1 - self.category_temperature) * small
        noise = (1 - small)[y, None] * self.residual
        return self.heads.emit(self.in_parts(self.decode, z, y), rng=rng, temperature=colder[y], noise=noise)

    @torch.no_grad()
    def transfer(self, x: Tensor, y: Tensor, to_y: Tensor, *, rng: torch.Generator) -> Tensor:
        """Records of other classes that keep what is not of the class: encoded under one code, decoded under another.

        Args:
            x: Records `(n, *spec.shape)`.
            y: Their codes `(n,)`.
            to_y: The codes to give them `(n,)`.
            rng: Source of all randomness.

        Returns:
            `(n, *spec.shape)`.
        """
        x, y, to_y = x.to(self.device), y.to(self.device), to_y.to(self.device)
        raw = self.in_parts(lambda *part: self.decode(self.encode(*part[:2])[0], part[2]), x, y, to_y)
        return self._sharp(self.heads.emit(raw, rng=rng, temperature=self.category_temperature), to_y)

    def steps_for(self, n_records: int) -> int:
        """320 batches for small sets, up to 3,000 for large ones; 2,000 to 6,000 for grids."""
        return round(2_000 * 3 ** largeness(n_records) if self.is_grid else 320 * 9.375 ** largeness(n_records))


SHARPENED = 1_000  # draws, at least 4 of a class, by which it is learned how blurred they are
FREE_BITS = 0.05  # nats a latent entry may carry at no cost


def _free(kl: Tensor) -> Tensor:
    """Divergence of a batch from the one of each entry `(n, latent_dim)`, with free bits (Kingma et al. 2016)."""
    return kl.mean(0).clamp(min=FREE_BITS).sum()
