"""What does `SyntheticMix` gain for your LightningModule? The same folds and seeds, without and with the callback."""

import logging
import warnings

import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset

from synthaug import ConditionalWarp, Synthesizer, SyntheticMix, compare_training

images, labels = (torch.from_numpy(part[:200]) for part in load_digits(return_X_y=True))
data = list(zip(images.view(-1, 1, 8, 8).float() / 16, labels.tolist(), strict=True))  # any map-style Dataset
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # it trains many times
warnings.filterwarnings("ignore", module="pytorch_lightning")


class Classifier(pl.LightningModule):
    """Yours, as it is."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))

    def training_step(self, batch, index):
        return cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch, index):
        self.log("accuracy", (self.net(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 3e-3)


def trainer(*callbacks):
    quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    return pl.Trainer(max_epochs=10, callbacks=list(callbacks), accelerator="cpu", **quiet)


def train(given, seed):
    """Fit on the training items of a fold, which an arm gives together with a callback."""
    items, *callbacks = given if isinstance(given, tuple) else (given,)
    pl.seed_everything(seed, verbose=False)
    trainer(*callbacks).fit(model := Classifier(), DataLoader(items, batch_size=32, shuffle=True))
    return model


def score(model, items):
    """A figure that your module logs, on the other items; greater is better, so of a loss its negative."""
    return {"accuracy": trainer().validate(model, DataLoader(items, batch_size=500), verbose=False)[0]["accuracy"]}


def mix(dataset, indices, seed):
    return Subset(dataset, indices), SyntheticMix(Synthesizer(generator=ConditionalWarp), ratio=1.0, seed=seed)


print(compare_training({"mix": mix}, train, score, data, splits=5, labels=labels, random_state=0))
