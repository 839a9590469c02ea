"""A conditional generative adversarial network (Goodfellow et al. 2014) with a relativistic pairing loss.

The loss and its two zero-centred penalties follow Huang et al., "The GAN is dead; long live the GAN!" (2024).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import get_ema_multi_avg_fn

from synthaug.errors import DataError
from synthaug.generators.base import Features, GeneratorModule, averaged, largeness, one_cycle
from synthaug.generators.geometry import draw_moves, moved, shade
from synthaug.generators.heads import Heads, heads_for
from synthaug.generators.nets import ConvDecoder, ConvEncoder, GridCode, mlp

__all__ = ["ConditionalGAN"]


class ConditionalGAN(GeneratorModule):
    """A conditional GAN whose generator and critic are both told the class; the averaged generator draws the records.

    Arguments that are `None` are chosen for the kind of record, flat or grid. With grids the class is phased in, since
    small sets with a class from the start collapse (Shahbazi et al. 2022), the critic sees a growing share of small
    sets turned, shifted and shaded (Zhao et al. 2020; Karras et al. 2020), and it scores a class by projection.

    Args:
        spec: `Spec.to_dict()` of the records.
        n_classes: Number of classes.

    Other Arguments:
        latent_dim: Size of a latent: 16 for flat records, 32 for grids.
        width: Of the hidden layers (64), or channels at half resolution (32).
        depth: Number of hidden layers of the generator and of the critic (2), or residual convolutions a size (1).
        gamma: Weight of the gradient penalties: 0.5, or 0.1.
        lr: Peak learning rate of both networks.
        ema: Decay of the average of the generator's weights, 0.98 for flat records; for grids `None` halves the past
            every 10,000 records.
        vicinity: Noise around flat training records in standard deviations of their class; see `Vicinity`.
        augment: The share of grids that the critic sees changed in the end, when there are up to 5,000; fewer if more.
        temperature: Multiplies the latents when records are drawn: 0.8, or 1.
        features: By which drawn grids are compared with real ones while training: from `(n, channels, height, width)`
            in [-1, 1] to `(n, d)`. They tell whether a class collapses and, from 2,000 records on, of which some are
            then held out, which weights are the best. It is not saved.

    >>> from synthaug.spec import Field, Spec
    >>> spec = Spec((3,), (Field("age", "number"), Field("sex", "category", 2)))
    >>> gan = ConditionalGAN(spec.to_dict(), 2)
    >>> gan.sample(torch.tensor([0, 1]), rng=torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3])
    """

    takes_altered = True

    def __init__(
        self,
        spec: Mapping[str, Any],
        n_classes: int,
        *,
        latent_dim: int | None = None,
        width: int | None = None,
        depth: int | None = None,
        gamma: float | None = None,
        lr: float = 1e-3,
        ema: float | None = None,
        vicinity: float = 0.6,
        augment: float = 0.5,
        temperature: float | None = None,
        features: Features | None = None,
    ) -> None:
        super().__init__(spec, n_classes)
        self.save_hyperparameters(ignore="features")
        self.automatic_optimization = False
        vars(self)["features"] = features  # a Module among them is no part of this one
        self.lr, self.vicinity, self.augment, self.ema = lr, vicinity, augment, ema
        self.latent_dim = latent_dim = self.chosen(latent_dim, flat=16, grid=32)
        self.gamma = self.chosen(gamma, flat=0.5, grid=0.1)
        self.temperature = self.chosen(temperature, flat=0.8, grid=1.0)
        width, depth = self.chosen(width, flat=64, grid=32), self.chosen(depth, flat=2, grid=1)
        self.heads = heads_for(self.spec)
        code = GridCode if self.is_grid else nn.Embedding
        if isinstance(self.heads, Heads):
            generator: nn.Module = mlp(2 * latent_dim, self.heads.width, width=width, depth=depth)
            self.generator = _Conditioned(code(n_classes, latent_dim), generator)
            critic: nn.Module = mlp(self.spec.width + latent_dim, 1, width=width, depth=depth, slope=0.2)
        else:
            generator = ConvDecoder(latent_dim, latent_dim, self.spec.shape, width=width, depth=depth, slope=0.2)
            self.generator = _Conditioned(code(n_classes, latent_dim), generator)
            critic = ConvEncoder(self.spec.shape, latent_dim, 1, width=width, depth=depth, slope=0.2, project=True)
        self.critic = _Conditioned(code(n_classes, latent_dim), critic)
        self.averaged = averaged(self.generator, 0.98 if ema is None else ema)  # for grids see `_average`

    def generate(self, y: Tensor, *altered: Tensor) -> Tensor:
        """Soft records `(n, *shape)` for codes `(n,)` and whether to alter them, through which gradients flow."""
        z = torch.randn(len(y), self.latent_dim, device=y.device)
        return self.heads.soften(self.generator(z, y, *altered, told=self._told()), temperature=SOFTNESS)

    def _done(self) -> float:
        """The share of the fit that is done."""
        return self.trainer.global_step / (2 * self.total_steps)  # two optimizers: each counts

    def _told(self) -> float:
        """How loudly both networks are told the class: grids not at all at first, then more and more."""
        return min(1.0, max(0.0, (self._done() - 0.05) / 0.2)) if self.is_grid else 1.0

    def _seen(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the critic sees: both, as no critic can tell them by their form; grids changed now and then."""
        x = torch.cat([self.heads.noised(real), self.heads.noised(fake)])
        share = self.augment * min(1.0, AUGMENTED / max(1.0, float(self.counts.sum())), self._done() / 0.5)
        if not self.is_grid or share == 0:
            return x
        x = moved(x, draw_moves(len(x), strength=1.5, share=share))
        return shade(x, draw_moves(len(x), strength=0.15, share=share)[:, :2])

    def critic_loss(self, real: Tensor, fake: Tensor, *code: Tensor, penalise: bool) -> Tensor:
        """The critic's: real records shall score above fake ones of their class, with small gradients at both."""
        x = self._seen(real, fake).requires_grad_(penalise)
        scores = self.critic(x, *_twice(code), told=self._told())
        of_real, of_fake = scores.chunk(2)
        loss = functional.softplus(of_fake - of_real).mean()
        if not penalise:
            return loss
        (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
        return loss + PENALTY_EVERY * self.gamma * gradient.square().flatten(1).sum(1).mean()

    def generator_loss(self, real: Tensor, fake: Tensor, *code: Tensor) -> Tensor:
        """The generator's: the same pairs, the other way round."""
        of_real, of_fake = self.critic(self._seen(real, fake), *_twice(code), told=self._told()).chunk(2)
        return functional.softplus(of_real - of_fake).mean()

    def training_step(self, batch: tuple[Tensor, ...], index: int) -> None:
        """One step of the critic, then one of the generator, on the same real records."""
        real, *code = batch
        critic, generator = self._optimizers()
        fake = self.generate(*code).detach()
        critic_loss = self.critic_loss(real, fake, *code, penalise=index % PENALTY_EVERY == 0)
        critic.zero_grad()
        self.manual_backward(critic_loss)
        critic.step()
        self.critic.requires_grad_(False)
        generator_loss = self.generator_loss(real, self.generate(*code), *code)
        generator.zero_grad()
        self.manual_backward(generator_loss)
        generator.step()
        self.critic.requires_grad_(True)
        self._average(len(real))
        for schedule in self._schedules():
            schedule.step()
        self.track(critic_loss=critic_loss, generator_loss=generator_loss)

    def _average(self, n: int) -> None:
        """Take the generator of this batch of `n` records into the average; at first grids forget the past faster."""
        if self.is_grid and self.ema is None:
            seen = self.trainer.global_step / 2 * n
            self.averaged.multi_avg_fn = get_ema_multi_avg_fn(0.5 ** (n / min(HALF_LIFE, 0.05 * seen + n)))
        self.averaged.update_parameters(self.generator)

    def configure_optimizers(self) -> Any:
        """Adam without momentum for both networks, each with a one-cycle schedule."""
        optimizers = [
            Adam(network.parameters(), self.lr, betas=(0.0, 0.99), fused=True)
            for network in (self.critic, self.generator)
        ]
        return optimizers, [one_cycle(optimizer, self.total_steps, warm=0.05) for optimizer in optimizers]

    def _optimizers(self) -> list[Optimizer]:
        found = self.optimizers()
        assert isinstance(found, list)
        return found  # type: ignore[return-value]  # Lightning wraps them; they step and count alike

    def _schedules(self) -> list[LRScheduler]:
        found = self.lr_schedulers()
        assert isinstance(found, list)
        return found

    @torch.no_grad()
    def sample(self, y: Tensor, *, rng: torch.Generator) -> Tensor:
        """Draw latents from N(0, I) and generate with the averaged weights."""
        z = self.temperature * torch.randn((len(y), self.latent_dim), generator=rng).to(self.device)
        return self.heads.emit(self.in_parts(self.averaged, z, y.to(self.device)), rng=rng, temperature=SOFTNESS)

    def steps_for(self, n_records: int) -> int:
        """400 batches for small sets, up to 5,000 for large ones; 3,000 to 9,000 for grids."""
        return round(3_000 * 3 ** largeness(n_records) if self.is_grid else 400 * 12.5 ** largeness(n_records))

    def check_counts(self, counts: Tensor) -> None:
        """Refuse fewer grids than a critic can learn from without learning them by heart."""
        fewest, average = int(counts.min()), float(counts.float().mean())
        if self.is_grid and (average < FEWEST_ON_AVERAGE or fewest < FEWEST):
            raise DataError(
                f"ConditionalGAN needs {FEWEST_ON_AVERAGE} images a class on average and {FEWEST} of each; got "
                f"{average:.1f} on average and {fewest} of the rarest class. With fewer, the critic learns the images "
                "by heart and the generator repeats them. Take `generator=ConditionalVAE`, which works from one image "
                "a class."
            )


SOFTNESS = 0.7  # temperature of the categories, in training and in sampling
PENALTY_EVERY = 4  # batches: the gradients that the penalties need cost as much as the rest of the step
AUGMENTED = 5_000  # grids up to which the critic sees them changed as often as it is set
HALF_LIFE = 10_000  # grids after which what the average has seen counts half
FEWEST_ON_AVERAGE, FEWEST = 30, 5  # grids of a class


class _Conditioned(nn.Module):
    """A network that is told the class, and of altered grids that they are, by an embedding beside its input."""

    def __init__(self, embedding: nn.Module, body: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding
        self.body = body

    def forward(self, x: Tensor, *code: Tensor, told: float = 1.0) -> Tensor:
        out: Tensor = self.body(x, told * self.embedding(*code))
        return out


def _twice(code: Sequence[Tensor]) -> list[Tensor]:
    """What is told of the real records, for the fake ones as well."""
    return [torch.cat([part, part]) for part in code]
