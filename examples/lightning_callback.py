"""Your own LightningModule and DataModule, and one callback more."""

import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from synthaug import Annealed, Synthesizer, SyntheticMix


class Digits(pl.LightningDataModule):
    """200 images to learn from, 400 to validate."""

    def setup(self, stage):
        images, labels = load_digits(return_X_y=True)
        images = torch.from_numpy(images / 16).float().reshape(-1, 1, 8, 8)
        items = list(zip(images, labels.tolist(), strict=True))
        self.train, self.val = items[:200], items[200:600]

    def train_dataloader(self):
        return DataLoader(self.train, batch_size=32, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.val, batch_size=400)


class Classifier(pl.LightningModule):
    """A small network, written in the usual way."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(1, 16, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(576, 10)
        )

    def training_step(self, batch, index):
        return cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch, index):
        self.log("accuracy", (self.net(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 3e-3)


EPOCHS = 12
pl.seed_everything(0)
mix = SyntheticMix(Synthesizer(max_steps=300), ratio=Annealed(0.5, EPOCHS))
trainer = pl.Trainer(max_epochs=EPOCHS, callbacks=[mix], logger=False, enable_checkpointing=False, accelerator="cpu")
trainer.fit(Classifier(), datamodule=Digits())
print(f"accuracy {trainer.callback_metrics['accuracy']:.3f} with {len(mix.pool_)} synthetic images on top of 200")
