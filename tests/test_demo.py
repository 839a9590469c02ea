"""The images of the demo, on one of their splits."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset

from synthaug.demo_images import COUNTS, copies, pairs, score, split, train
from synthaug.evaluate.training import Rows
from synthaug.images import read_images


def test_a_classifier_learns_rare_digits_with_images_on_top():
    digits = load_digits()
    dataset = TensorDataset(torch.from_numpy(digits.images / 16).float()[:, None], torch.from_numpy(digits.target))
    seen, tested, _ = split(digits.target, 0)
    before = torch.get_rng_state()
    images, mix = copies(dataset, seen.tolist(), 0)
    model = train((images, mix), 0)
    assert len(mix.pool_) == len(seen)
    assert torch.equal(torch.get_rng_state(), before)
    found = score(model, Rows(dataset, tested))
    assert found["balanced_accuracy"] > 0.85
    assert found["rare_recall"] > 0.7
    rows = pairs(mix.pool_, read_images(images))
    assert list(rows) == [f"class {label}, beside {', '.join([str(label)] * 4)}" for label in COUNTS]
    assert all(np.array_equal(row[..., :8], row[..., 9:]) for row in rows.values())
