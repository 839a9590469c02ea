"""Balanced sampling, logit adjustment and mixup, against their definitions."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader

from synthaug import Pool, mix_loader
from synthaug.errors import DataError, ParameterError
from synthaug.mix.baselines import LogitAdjustedLoss, Mixup, balanced_sampler
from synthaug.pool import Source


def test_the_sampler_draws_classes_evenly_and_repeatably():
    labels = ["often"] * 95 + ["rare"] * 5
    drawn = list(balanced_sampler(labels, size=2_000, random_state=0))
    assert 0.45 < np.mean(np.array(drawn) >= 95) < 0.55
    assert drawn == list(balanced_sampler(labels, size=2_000, random_state=0))
    assert len(balanced_sampler(labels)) == 100
    with pytest.raises(DataError):
        balanced_sampler([])


def test_the_loss_is_that_of_raised_logits():
    logits, target = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 3
    shares = torch.tensor([0.5, 0.3, 0.2])
    found = LogitAdjustedLoss([50, 30, 20], 0.2)(logits, target)
    assert torch.allclose(found, functional.cross_entropy(logits + 0.2 * shares.log(), target))
    assert torch.equal(LogitAdjustedLoss([7, 7, 7], 0.0)(logits, target), functional.cross_entropy(logits, target))


@pytest.mark.parametrize("counts", [[], [5, 0], [1.5, 2], {"a": 5, "b": 6}, "55"])
def test_counts_that_are_none(counts):
    with pytest.raises(ParameterError, match="^Expected `counts` to list the training items of each class"):
        LogitAdjustedLoss(counts)
    with pytest.raises(ParameterError, match="Expected `tau` to be a number"):
        LogitAdjustedLoss([5, 5], "a")


def test_logits_of_other_classes_and_the_loss_of_each_item():
    with pytest.raises(ParameterError, match=r"Expected logits of 2 classes, .* got shape \(4, 3\): count each class"):
        LogitAdjustedLoss([5, 5])(torch.zeros(4, 3), torch.zeros(4, dtype=torch.long))
    losses = LogitAdjustedLoss([5, 5], reduction="none")(torch.eye(2), torch.tensor([0, 0]))
    assert losses.shape == (2,)
    assert losses[0] < losses[1]


def test_mixup_goes_on_where_it_was():
    def loader():
        real = [(np.full((8, 8), i, np.uint8), i % 2) for i in range(8)]
        pool = Pool.of(np.full((3, 8, 8), 99, np.uint8), [0, 1, 1], Source("by hand", "", 0))
        return mix_loader(DataLoader(real, 2, collate_fn=Mixup(2, 1.0, random_state=0)), pool, ratio=0.5, seed=0)

    whole, states, batches = loader(), [], []
    for images, _ in whole:
        states.append(whole.state_dict())
        batches.append(images)
    for seen in (2, 4):
        again = loader()
        again.load_state_dict(states[seen - 1])
        for wanted, (images, _) in zip(batches[seen:] or [images for images, _ in whole], again, strict=True):
            assert torch.equal(images, wanted)


@pytest.mark.parametrize("workers", [0, 2])
def test_mixup_is_drawn_anew_in_every_worker_and_epoch(workers):
    items = [(torch.full((1,), float(i)), i % 2) for i in range(8)]

    def epochs():
        rng = torch.Generator().manual_seed(0)
        loader = DataLoader(
            items, 4, collate_fn=Mixup(2, 1.0, random_state=0), num_workers=workers, generator=rng, shuffle=False
        )
        return [torch.cat([images for images, _ in loader]) for _ in range(2)]

    first, second = epochs()
    assert not torch.equal(first, second)
    assert not torch.equal(first[:4], first[4:] - 4)
    assert all(torch.equal(a, b) for a, b in zip(epochs(), (first, second), strict=True))
