"""The images of `synthaug demo`: a Lightning classifier of digits, half of them rare, with and without `SyntheticMix`.

The digits come with scikit-learn (Alpaydin and Kaynak 1998), 8 x 8 pixels: 80 images each of 0 to 4, and 5 of 5 to 9.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import recall_score
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample
from torch.utils.data import DataLoader, TensorDataset

from synthaug.evaluate.privacy import privacy_risk
from synthaug.evaluate.resemblance import fidelity
from synthaug.evaluate.training import Rows, compare_training
from synthaug.generators.training import quiet
from synthaug.generators.vae import ConditionalVAE
from synthaug.generators.warp import ConditionalWarp
from synthaug.images import ImageRecords, read_images
from synthaug.mix.baselines import balanced_sampler
from synthaug.mix.grid import find_nearest
from synthaug.mix.lightning import SyntheticMix
from synthaug.pool import Pool, Source
from synthaug.report import Findings
from synthaug.rng import isolated, numpy_rng
from synthaug.synthesizer import Synthesizer

__all__ = ["TITLE", "measure"]

COUNTS = dict.fromkeys(range(5), 80) | dict.fromkeys(range(5, 10), 5)
TEST, SPLITS = 40, 5  # test images of each class
EPOCHS, BATCHES, BATCH = 8, 50, 32
TITLE = "Digits, five classes of 80 images and five of 5"
_SHOWN = "vae, each at the left of the training image that is nearest to it"


class Classifier(pl.LightningModule):
    """A small network on lightly augmented images, written in the usual way: it knows nothing of synthetic images."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 10)),
        )

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """The loss of a batch, each image turned, scaled and shifted a little."""
        images, labels = batch
        turn, scale = torch.randn(2, len(images)) / torch.tensor([[8], [16]]) + torch.tensor([[0], [1]])
        cos, sin, shift = scale * turn.cos(), scale * turn.sin(), torch.randn(2, len(images)) / 12
        matrices = torch.stack([cos, -sin, shift[0], sin, cos, shift[1]], dim=1).reshape(-1, 2, 3)
        moved = grid_sample(images, affine_grid(matrices, list(images.shape), False), align_corners=False)
        return cross_entropy(self.net(moved), labels)

    def configure_optimizers(self) -> Any:
        """Adam, its rate annealed to zero."""
        optimizer = torch.optim.Adam(self.parameters(), 3e-3)
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)]


def train(data: Any, seed: int) -> Classifier:
    """As many steps in every arm, on batches balanced over the classes; `data` is images alone, or with a callback."""
    images, *callbacks = data if isinstance(data, tuple) else (data,)
    with isolated(seed), quiet():
        sampler = balanced_sampler([int(label) for _, label in images], size=BATCHES * BATCH, random_state=seed)
        model = Classifier()
        trainer = pl.Trainer(
            accelerator="cpu", max_epochs=EPOCHS, callbacks=callbacks, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(model, DataLoader(images, BATCH, sampler=sampler))
    return model.eval()


@torch.no_grad()
def score(model: Classifier, test: Any) -> dict[str, float]:
    """The mean recall of all classes, and that of the rare ones."""
    images, labels = map(torch.stack, zip(*test, strict=True))
    recalls = recall_score(labels, model.net(images).argmax(1), average=None)
    return {"balanced_accuracy": float(recalls.mean()), "rare_recall": float(recalls[5:].mean())}


def copies(dataset: Any, indices: list[int], seed: int) -> tuple[Rows, SyntheticMix]:
    """Real images once more in place of synthetic ones: what larger batches bring by themselves."""
    found = read_images(Rows(dataset, indices))
    places = list(balanced_sampler(found.labels, random_state=seed))
    pool = Pool.of(found.records[places], found.labels.iloc[places], Source("copies", "", seed))
    return Rows(dataset, indices), SyntheticMix(pool=pool, ratio=1.0, seed=seed)


def drawn(generator: Any, dataset: Any, indices: list[int], seed: int) -> tuple[Rows, SyntheticMix]:
    """A synthetic image on top of each real one, drawn anew each epoch. `SyntheticMix()` alone would fit it as well."""
    images = Rows(dataset, indices)
    synthesizer = Synthesizer(generator=generator, random_state=seed).fit(images)
    return images, SyntheticMix(synthesizer, ratio=1.0, refresh_every=1, seed=seed)


def measure(*, seed: int, echo: Callable[[str], object]) -> Findings:
    """Train and test with each arm, and look at what a generator of the first split makes.

    >>> train, test, rest = split(np.repeat(range(10), 170), 0)
    >>> len(train), len(test), len(rest), len(set(train) & (set(test) | set(rest)))
    (425, 400, 425, 0)
    """
    digits = load_digits()
    dataset = TensorDataset(torch.from_numpy(digits.images / 16).float()[:, None], torch.from_numpy(digits.target))
    splits = [split(digits.target, seed + i) for i in range(SPLITS)]
    echo(f"{len(splits[0][0])} digits of 8 x 8 pixels: 80 each of 0 to 4, and 5 each of 5 to 9. A small network on")
    echo(f"{SPLITS} paired splits, without and with as many images on top; a minute or two ...")
    found = compare_training(
        {"copies": copies, "vae": partial(drawn, ConditionalVAE), "warp": partial(drawn, ConditionalWarp)},
        {"small network": train}, score, dataset,
        [places[:2] for places in splits], random_state=seed, n_jobs=2,
    )  # fmt: skip
    seen, _, unseen = (read_images(Rows(dataset, places)) for places in splits[0])
    pool = Synthesizer(random_state=seed).fit(seen).sample(len(seen.labels))
    risk = privacy_risk(seen, pool, unseen, random_state=seed)
    truth = fidelity(seen, pool, holdout=unseen, random_state=seed)
    return Findings(found, fidelity={"vae": truth}, privacy={"vae": risk}, examples={_SHOWN: pairs(pool, seen)})


def split(labels: np.ndarray, seed: int) -> list[np.ndarray]:
    """Places of training images, of test images, and of as many as the training images that are not among these."""
    rng, parts = numpy_rng(seed, "split"), []
    for label, n in COUNTS.items():
        places = rng.permutation(np.flatnonzero(labels == label))
        parts.append([places[:n], places[n : n + TEST], places[n : 2 * n]])
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def pairs(pool: Pool, real: ImageRecords) -> dict[str, np.ndarray]:
    """Four synthetic images of each class, each with the nearest training image at its right."""
    rows = {}
    for label in COUNTS:
        made = pool.records[pool.labels == label][:4]
        places = find_nearest(made, real.records)
        beside = np.concatenate([made, np.full((4, 1, 8, 1), 0.6, "float32"), real.records[places]], axis=3)
        rows[f"class {label}, beside {', '.join(map(str, real.labels.iloc[places]))}"] = beside
    return rows
