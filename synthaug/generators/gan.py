"""A conditional generative adversarial network with a relativistic pairing loss (Goodfellow et al. 2014; Huang et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from synthaug.generators.base import GeneratorModule, averaged
from synthaug.generators.heads import Heads
from synthaug.generators.nets import mlp

__all__ = ["ConditionalGAN"]


class ConditionalGAN(GeneratorModule):
    """placeholder"""

    def __init__(
        self,
        spec: Mapping[str, Any],
        n_classes: int,
        *,
        latent_dim: int = 16,
        width: int = 128,
        depth: int = 2,
        gamma: float = 0.5,
        lr: float = 1e-3,
        ema: float = 0.99,
    ) -> None:
        super().__init__(spec, n_classes)
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.latent_dim, self.gamma, self.lr = latent_dim, gamma, lr
        n = self.spec.width
        self.heads = Heads(self.spec)
        self.generator = nn.ModuleList([nn.Embedding(n_classes, latent_dim), mlp(2 * latent_dim, n, width=width, depth=depth, norm=True)])
        self.critic = nn.ModuleList([nn.Embedding(n_classes, latent_dim), mlp(n + latent_dim, 1, width=width, depth=depth, slope=0.2)])
        self.averaged = averaged(self.generator, ema)

    @staticmethod
    def _forward(network: Any, x: Tensor, y: Tensor) -> Tensor:
        return network[1](torch.cat([x, network[0](y)], 1))

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """One step of the critic, one of the generator, on the same records."""
        real, y = batch
        optimizers: list[Optimizer] = self.optimizers()  # type: ignore[assignment]
        z = torch.randn(len(y), self.latent_dim, device=self.device)
        fake = self.heads.relax(self._forward(self.generator, z, y), rng=torch.default_generator, temperature=0.5)
        critic, generator = optimizers
        a, b = real.clone().requires_grad_(True), fake.detach().requires_grad_(True)
        score_real, score_fake = self._forward(self.critic, a, y), self._forward(self.critic, b, y)
        penalty = sum(torch.autograd.grad(s.sum(), v, create_graph=True)[0].square().sum(1).mean() for s, v in ((score_real, a), (score_fake, b)))
        critic_loss = functional.softplus(score_fake - score_real).mean() + self.gamma / 2 * penalty
        critic.zero_grad()
        self.manual_backward(critic_loss)
        critic.step()
        loss = functional.softplus(self._forward(self.critic, real, y) - self._forward(self.critic, fake, y)).mean()
        generator.zero_grad()
        self.manual_backward(loss)
        generator.step()
        self.averaged.update_parameters(self.generator)
        self.track(loss=loss, critic_loss=critic_loss, penalty=penalty)

    def configure_optimizers(self) -> list[Optimizer]:
        return [Adam(self.critic.parameters(), self.lr, betas=(0.0, 0.99)), Adam(self.generator.parameters(), self.lr, betas=(0.0, 0.99))]

    @torch.no_grad()
    def sample(self, y: Tensor, *, rng: torch.Generator) -> Tensor:
        z = torch.randn((len(y), self.latent_dim), generator=rng)
        return self.heads.emit(self._forward(self.averaged.module, z, y), rng=rng)

    @classmethod
    def steps_for(cls, n_records: int) -> int:
        return 800
