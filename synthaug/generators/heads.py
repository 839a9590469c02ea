"""From the raw outputs of a network to the entries of a record, and the likelihood of a record given them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthaug.spec import Spec

__all__ = ["GridHeads", "Heads", "heads_for"]


class Heads(nn.Module):
    """The output side of a network for flat records: one head a field, computed for all fields of a size at once.

    Inside, entries are kept by kind: numbers, then categories by size, then uniform fields, which a network need not
    output. Records have the order of the spec.

    Args:
        spec: The fields of a record; numbers get a Gaussian head, categories a softmax, uniform fields none.

    Attributes:
        width: Outputs that the network must have.

    >>> from synthaug.spec import Field
    >>> heads = Heads(Spec((4,), (Field("age", "number"), Field("digits", "uniform"), Field("sex", "category", 2))))
    >>> heads.width
    3
    >>> heads.emit(torch.tensor([[0.5, 9.0, -9.0]]), rng=torch.Generator().manual_seed(0))
    tensor([[0.5000, 0.7682, 1.0000, 0.0000]])
    """

    order: Tensor
    back: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        entries: dict[tuple[int, int], list[int]] = {}
        ranks = {"number": 0, "category": 1, "uniform": 2}
        for field, place in zip(spec.fields, spec.slices(), strict=True):
            kind = (ranks[field.kind], field.size if field.kind == "category" else 1)
            entries.setdefault(kind, []).extend(range(place.start, place.stop))
        order = torch.tensor([entry for kind in sorted(entries) for entry in entries[kind]])
        self.n_numbers = len(entries.get((0, 1), []))
        self.n_uniforms = len(entries.get((2, 1), []))
        self.width = max(1, len(order) - self.n_uniforms)
        self.sizes = [(size, len(entries[rank, size]) // size) for rank, size in sorted(entries) if rank == 1]
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("back", order.argsort(), persistent=False)

    def _parts(self, by_kind: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The numbers `(n, numbers)` and the categories `(n, fields, size)` for each size."""
        lengths = [self.n_numbers, *(size * fields for size, fields in self.sizes)]
        numbers, *categories = by_kind[:, : sum(lengths)].split(lengths, dim=1)
        shaped = [
            part.unflatten(1, (fields, size)) for part, (size, fields) in zip(categories, self.sizes, strict=True)
        ]
        return numbers, shaped

    def _records(self, numbers: Tensor, categories: list[Tensor], rng: torch.Generator | None) -> Tensor:
        uniforms = torch.rand((len(numbers), self.n_uniforms), generator=rng).to(numbers)
        return torch.cat([numbers, *(part.flatten(1) for part in categories), uniforms], 1)[:, self.back]

    def loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """Negative log-likelihood of each record, `(n,)`: half the squared error of numbers plus cross-entropies."""
        means, logits = self._parts(raw)
        numbers, levels = self._parts(x[:, self.order])
        total = (means - numbers).square().sum(1) / 2
        for part, level in zip(logits, levels, strict=True):
            total = total - (part.log_softmax(-1) * level).sum((1, 2))
        return total

    def residual(self, raw: Tensor, x: Tensor) -> Tensor:
        """Root mean square distance of the numbers of records from their means, `(numbers,)`."""
        return (self._parts(raw)[0] - self._parts(x[:, self.order])[0]).square().mean(0).sqrt()

    def emit(
        self, raw: Tensor, *, rng: torch.Generator, temperature: Tensor | float = 1.0, noise: Tensor | None = None
    ) -> Tensor:
        """Draw records from the heads, `(n, spec.width)`.

        Args:
            raw: Outputs of the network `(n, width)`.
            rng: Source of all randomness.

        Other Arguments:
            temperature: Divides the logits of categories, for all records or for each `(n,)`.
            noise: Standard deviation of numbers around their mean, `(n or 1, numbers)`; `None` emits the mean.
        """
        numbers, logits = self._parts(raw)
        if noise is not None:
            numbers = numbers + noise * torch.randn(numbers.shape, generator=rng).to(raw)
        heat = torch.as_tensor(temperature).to(raw).reshape(-1, 1, 1)
        return self._records(numbers, [_draw(part / heat, rng) for part in logits], rng)

    def soften(self, raw: Tensor, *, temperature: float) -> Tensor:
        """Differentiable records for a critic, `(n, spec.width)`: categories as probabilities."""
        numbers, logits = self._parts(raw)
        return self._records(numbers, [(part / temperature).softmax(-1) for part in logits], None)

    def noised(self, x: Tensor) -> Tensor:
        """Records with noise on their categories alone, so that no critic can tell them by being one-hot."""
        mask = (self.back >= self.n_numbers).to(x)
        return x + NOISE * mask * torch.randn_like(x)


class GridHeads(nn.Module):
    """The output side of a network for grids, with the verbs of `Heads`: every pixel is its own output.

    Args:
        spec: Of the grid, `(channels, height, width)` in [-1, 1].

    >>> heads = GridHeads(Spec((1, 8, 8)))
    >>> float(heads.emit(torch.full((1, 1, 8, 8), 3.0), rng=torch.Generator()).max())
    1.0
    """

    n_numbers = 0  # of the kind that is drawn with noise: noise of its own in every pixel would only be seen as noise

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape = spec.shape
        self.entries = spec.width

    def loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """Negative log-likelihood of each record, `(n,)`: Laplace, of pixels and of edges at three sizes.

        Absolute errors blur less than squared ones, and errors of edges count what is left of the blur. The scale of
        the Laplace distribution is the one that fits the batch best (Rybkin et al. 2021, "Simple and effective VAE
        training with calibrated decoders"), but no less than `FINEST`, below which details are noise.
        """
        error = _edge_error(raw.float(), x.float())
        scale = error.detach().mean().clamp(min=FINEST)
        return self.entries * (error / scale + scale.log())

    def emit(
        self, raw: Tensor, *, rng: torch.Generator, temperature: Tensor | float = 1.0, noise: Tensor | None = None
    ) -> Tensor:
        """Legal records `(n, *shape)`: the outputs, cut to [-1, 1]. The other arguments are those of `Heads`."""
        return raw.clamp(-1, 1)

    def soften(self, raw: Tensor, *, temperature: float) -> Tensor:
        """Differentiable records for a critic: the outputs as they are.

        To cut them as `emit` does, with gradients passed as if they were not cut, was measured on digits (1,500 steps):
        a small network then told 98% of them from real ones, and 69% without.
        """
        return raw

    def noised(self, x: Tensor) -> Tensor:
        """The records as they are: pixels have no form that gives them away."""
        return x


NOISE = 0.1  # on categories, standard deviation
BEYOND = 0.02  # the range, where a pixel at its end shall lie
FINEST = 0.02  # of [-1, 1]: two and a half steps of eight bits


def heads_for(spec: Spec) -> Heads | GridHeads:
    """The heads for a kind of record: `Heads` if it has fields, else `GridHeads`.

    >>> type(heads_for(Spec((1, 8, 8)))).__name__
    'GridHeads'
    """
    return Heads(spec) if spec.fields else GridHeads(spec)


def _edge_error(raw: Tensor, x: Tensor) -> Tensor:
    """Mean absolute error of pixels plus those of the differences of neighbours at full, half and quarter size.

    A pixel at an end of the range may lie anywhere beyond it (censored, Tobin 1958), and shall lie a little beyond, so
    that an empty background comes out empty and not as faint noise.
    """
    off = raw - x
    off = torch.where(x >= 1, -functional.relu(BEYOND - off), off)
    off = torch.where(x <= -1, functional.relu(BEYOND + off), off)
    total = off.abs().mean((1, 2, 3))
    for _ in range(3):
        for axis in (2, 3):
            if off.shape[axis] > 1:
                total = total + off.diff(dim=axis).abs().mean((1, 2, 3)) / 2
        off = functional.avg_pool2d(off, 2, ceil_mode=True)
    return total


def _draw(logits: Tensor, rng: torch.Generator) -> Tensor:
    """One-hot levels for logits `(n, fields, size)`: by inverse CDF, one uniform number a field."""
    size = logits.shape[-1]
    cumulative = logits.softmax(-1).cumsum(-1)
    u = torch.rand((*logits.shape[:-1], 1), generator=rng).to(logits) * cumulative[..., -1:]
    level = (cumulative <= u).sum(-1).clamp_(max=size - 1)
    return functional.one_hot(level, size).to(logits.dtype)
