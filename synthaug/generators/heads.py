"""From the raw outputs of a network to the entries of a flat record, and the likelihood of a record given them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthaug.spec import Spec

__all__ = ["Heads"]


class Heads(nn.Module):
    """The output side of a network for flat records: one head a field, computed for all fields of a size at once.

    Args:
        spec: The fields of a record; numbers get a Gaussian head, categories a softmax, uniform fields none.

    >>> from synthaug.spec import Field
    >>> heads = Heads(Spec((3,), (Field("age", "number"), Field("sex", "category", 2))))
    >>> raw = torch.tensor([[0.5, 9.0, -9.0]])
    >>> heads.emit(raw, rng=torch.Generator().manual_seed(0))
    tensor([[0.5000, 1.0000, 0.0000]])
    """

    numbers: Tensor
    uniforms: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        groups: dict[int, list[list[int]]] = {}
        kinds: dict[str, list[int]] = {"number": [], "uniform": []}
        for field, place in zip(spec.fields, spec.slices(), strict=True):
            entries = list(range(place.start, place.stop))
            if field.kind == "category":
                groups.setdefault(field.size, []).append(entries)
            else:
                kinds[field.kind] += entries
        self.n_groups = len(groups)
        self.n_fields = sum(field.kind != "uniform" for field in spec.fields)
        self.register_buffer("numbers", torch.tensor(kinds["number"], dtype=torch.long), persistent=False)
        self.register_buffer("uniforms", torch.tensor(kinds["uniform"], dtype=torch.long), persistent=False)
        for i, group in enumerate(groups.values()):
            self.register_buffer(f"group{i}", torch.tensor(group), persistent=False)

    def _groups(self) -> list[Tensor]:
        """The entries of the categories: one `(fields, size)` index for each size."""
        return [self.get_buffer(f"group{i}") for i in range(self.n_groups)]

    def loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """Negative log-likelihood of each record, `(n,)`: half the squared error of numbers plus cross-entropies."""
        total = (raw[:, self.numbers] - x[:, self.numbers]).square().sum(1) / 2
        for entries in self._groups():
            total = total - (raw[:, entries].log_softmax(-1) * x[:, entries]).sum((1, 2))
        return total

    def emit(
        self, raw: Tensor, *, rng: torch.Generator, temperature: float = 1.0, noise: Tensor | None = None
    ) -> Tensor:
        """Draw records from the heads.

        Args:
            raw: Outputs of the network `(n, width)`.
            rng: Source of all randomness.

        Other Arguments:
            temperature: Divides the logits of categories; 0 takes the likeliest level.
            noise: Standard deviation of each number around its mean, `(numbers,)`; `None` emits the mean.
        """
        x = torch.zeros_like(raw)
        numbers = raw[:, self.numbers]
        if noise is not None:
            numbers = numbers + noise * torch.randn(numbers.shape, generator=rng)
        x[:, self.numbers] = numbers
        x[:, self.uniforms] = torch.rand((len(raw), len(self.uniforms)), generator=rng)
        for entries in self._groups():
            x[:, entries] = _draw(raw[:, entries], rng, temperature)
        return x

    def soften(self, raw: Tensor, *, temperature: float = 0.7) -> Tensor:
        """Differentiable records for a critic, `(n, width)`: categories as probabilities, uniform fields drawn."""
        x = raw.clone()
        x[:, self.uniforms] = torch.rand((len(raw), len(self.uniforms)), device=raw.device)
        for entries in self._groups():
            x[:, entries] = (raw[:, entries] / temperature).softmax(-1)
        return x


def _draw(logits: Tensor, rng: torch.Generator, temperature: float) -> Tensor:
    """One-hot levels for logits `(n, fields, size)`: by inverse CDF, one uniform number a field."""
    size = logits.shape[-1]
    if temperature == 0:
        return functional.one_hot(logits.argmax(-1), size).to(logits.dtype)
    cumulative = (logits / temperature).softmax(-1).cumsum(-1)
    u = torch.rand((*logits.shape[:-1], 1), generator=rng) * cumulative[..., -1:]
    level = (cumulative <= u).sum(-1).clamp_(max=size - 1)
    return functional.one_hot(level, size).to(logits.dtype)
