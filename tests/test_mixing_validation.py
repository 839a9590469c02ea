"""What is told of validation items that a generator has seen, and of what it memorised."""

import warnings

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader

from synthaug import MixedDataModule, Pool
from synthaug.errors import DataError, SynthaugWarning
from synthaug.fingerprint import digests, fingerprint
from synthaug.mix.validation import check_validation, nearer_to_training
from synthaug.pool import Source

DIGITS = load_digits()
X, Y = np.rint(DIGITS.images * 255 / 16).astype(np.uint8), DIGITS.target
SEEN = Source("copier", fingerprint(X[:100], Y[:100]), 0, digests=digests(X[:100], Y[:100]))
POOL = Pool.of(X[:60], Y[:60], SEEN)


def items(places, change=lambda image: image):
    return [(change(X[i]), int(Y[i])) for i in places]


def as_floats(image):
    return torch.from_numpy(image)[None].float().div(255)


def centred(image):
    return as_floats(image) * 2 - 1


@pytest.mark.parametrize("change", [np.asarray, as_floats, centred])
def test_doubles_are_warned_of_and_named(change):
    with pytest.warns(SynthaugWarning, match=r"trained on 2 of 40 validation items: 0, 1\. If they are doubles"):
        check_validation(items(range(98, 138), change), POOL)


@pytest.mark.parametrize("change", [np.asarray, as_floats, centred])
def test_a_set_that_was_seen_is_refused(change):
    with pytest.raises(DataError, match=r"trained on 20 of 40 validation items \(the first is item 0\)"):
        check_validation(items(range(80, 120), change), POOL)


@pytest.mark.parametrize(
    "dataset",
    [items(range(100, 140)), items(range(100, 140), as_floats), [], items([0], lambda image: image.astype(int) * 300)],
)
def test_nothing_is_said_of_others(dataset):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_validation(dataset, POOL)


def test_a_datamodule_is_checked():
    yours = pl.LightningDataModule()
    yours.train_dataloader = lambda: DataLoader(items(range(60)), batch_size=20)
    yours.val_dataloader = lambda: DataLoader(items(range(50, 70)), batch_size=20)
    with pytest.raises(DataError, match="trained on 20 of 20 validation items"):
        MixedDataModule(yours, POOL).val_dataloader()


@pytest.mark.parametrize("change", [np.asarray, as_floats])
def test_copies_are_nearer_to_training_images_and_other_images_are_not(change, tmp_path):
    train, held_out = items(range(300)), items(range(300, 600), change)
    of = lambda places: Pool.of(X[places], Y[places], Source("real", "", 0))  # noqa: E731
    assert nearer_to_training(of(slice(0, 300)), train, held_out, seed=0) > 0.99
    assert nearer_to_training(of(slice(300, 600)), train, held_out, seed=0) < 0.01
    assert 0.42 < nearer_to_training(of(slice(600, 1600)), train, held_out, seed=0) < 0.58


def test_too_few_or_other_images_are_not_compared():
    train = items(range(300))
    assert nearer_to_training(POOL, train, items(range(300, 310)), seed=0) is None
    tall = items(range(300, 400), lambda image: image.repeat(2, 0))
    assert nearer_to_training(POOL, train, tall, seed=0) is None
