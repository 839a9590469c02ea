"""A conditional generative adversarial network (Goodfellow et al. 2014) with a relativistic pairing loss.

The loss and its two zero-centred penalties follow Huang et al., "The GAN is dead; long live the GAN!" (2024).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from synthaug.generators.base import GeneratorModule, averaged, largeness, one_cycle
from synthaug.generators.heads import Heads
from synthaug.generators.nets import mlp

__all__ = ["ConditionalGAN"]


class ConditionalGAN(GeneratorModule):
    """A conditional GAN whose generator and critic are both told the class; the averaged generator draws the records.

    Args:
        spec: `Spec.to_dict()` of the records.
        n_classes: Number of classes.

    Other Arguments:
        latent_dim: Size of a latent.
        width: Of the hidden layers.
        depth: Number of hidden layers of the generator and of the critic.
        gamma: Weight of the gradient penalties.
        lr: Peak learning rate of both networks.
        ema: Decay of the average of the generator's weights.
        vicinity: Noise around the training records in standard deviations of their class; see `Vicinity`.
        temperature: Multiplies the latents when records are drawn.

    >>> from synthaug.spec import Field, Spec
    >>> spec = Spec((3,), (Field("age", "number"), Field("sex", "category", 2)))
    >>> gan = ConditionalGAN(spec.to_dict(), 2)
    >>> gan.sample(torch.tensor([0, 1]), rng=torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        n_classes: int,
        *,
        latent_dim: int = 16,
        width: int = 64,
        depth: int = 2,
        gamma: float = 0.5,
        lr: float = 1e-3,
        ema: float = 0.98,
        vicinity: float = 0.6,
        temperature: float = 0.8,
    ) -> None:
        super().__init__(spec, n_classes)
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.latent_dim, self.gamma, self.lr = latent_dim, gamma, lr
        self.vicinity, self.temperature = vicinity, temperature
        n = self.spec.width
        self.heads = Heads(self.spec)
        self.generator = _Conditioned(
            n_classes, latent_dim, mlp(2 * latent_dim, self.heads.width, width=width, depth=depth)
        )
        self.critic = _Conditioned(n_classes, latent_dim, mlp(n + latent_dim, 1, width=width, depth=depth, slope=0.2))
        self.averaged = averaged(self.generator, ema)

    def generate(self, y: Tensor) -> Tensor:
        """Soft records `(n, width)` for codes `(n,)`, through which gradients flow."""
        z = torch.randn(len(y), self.latent_dim, device=y.device)
        return self.heads.soften(self.generator(z, y), temperature=SOFTNESS)

    def critic_loss(self, real: Tensor, fake: Tensor, y: Tensor, *, penalise: bool) -> Tensor:
        """The critic's: real records shall score above fake ones of their class, with small gradients at both."""
        x = torch.cat([self.heads.blur(real), self.heads.blur(fake)]).requires_grad_(penalise)
        scores = self.critic(x, torch.cat([y, y]))
        of_real, of_fake = scores.chunk(2)
        loss = functional.softplus(of_fake - of_real).mean()
        if not penalise:
            return loss
        (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
        return loss + PENALTY_EVERY * self.gamma * gradient.square().sum(1).mean()

    def generator_loss(self, real: Tensor, fake: Tensor, y: Tensor) -> Tensor:
        """The generator's: the same pairs, the other way round."""
        x = torch.cat([self.heads.blur(real), self.heads.blur(fake)])
        of_real, of_fake = self.critic(x, torch.cat([y, y])).chunk(2)
        return functional.softplus(of_real - of_fake).mean()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """One step of the critic, then one of the generator, on the same real records."""
        real, y = batch
        critic, generator = self._optimizers()
        critic_loss = self.critic_loss(real, self.generate(y).detach(), y, penalise=index % PENALTY_EVERY == 0)
        critic.zero_grad()
        self.manual_backward(critic_loss)
        critic.step()
        self.critic.requires_grad_(False)
        generator_loss = self.generator_loss(real, self.generate(y), y)
        generator.zero_grad()
        self.manual_backward(generator_loss)
        generator.step()
        self.critic.requires_grad_(True)
        self.averaged.update_parameters(self.generator)
        for schedule in self._schedules():
            schedule.step()
        self.track(critic_loss=critic_loss, generator_loss=generator_loss)

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
        return self.heads.emit(self.averaged(z, y), rng=rng, temperature=SOFTNESS)

    @classmethod
    def steps_for(cls, n_records: int) -> int:
        """400 batches for small sets, up to 5,000 for large ones."""
        return round(400 * 12.5 ** largeness(n_records))


SOFTNESS = 0.7  # temperature of the categories, in training and in sampling
PENALTY_EVERY = 4  # batches: the gradients that the penalties need cost as much as the rest of the step


class _Conditioned(nn.Module):
    """A network that is told the class by an embedding beside its input."""

    def __init__(self, n_classes: int, dim: int, body: nn.Module) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_classes, dim)
        self.body = body

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        out: Tensor = self.body(torch.cat([x, self.embedding(y)], 1))
        return out
