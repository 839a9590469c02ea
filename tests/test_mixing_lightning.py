"""Mixing in Lightning: the user's own module and data, two lines added."""

import hashlib
import json
import logging
import multiprocessing
import os
import subprocess
import sys
import time
import warnings
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace

import albumentations
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import LambdaCallback, ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities import CombinedLoader
from sklearn.datasets import load_digits
from torch.distributed.distributed_c10d import _set_pg_timeout
from torch.utils.data import BatchSampler, DataLoader, Dataset, Subset
from torch.utils.data.distributed import DistributedSampler

from synthaug import (
    Annealed,
    ImageCodec,
    MixedDataModule,
    MixedDataset,
    OpenPool,
    Pool,
    SynthaugWarning,
    Synthesizer,
    SyntheticMix,
    opened,
)
from synthaug.errors import DataError, DataTypeError, FileExistsSynthaugError, ParameterError, StorageError
from synthaug.fingerprint import digests, fingerprint
from synthaug.generators import training
from synthaug.generators.warp import ConditionalWarp
from synthaug.mix.loader import MixedLoader
from synthaug.mix.trainers import from_first
from synthaug.pool import Source
from synthaug.rng import derive

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning_fabric.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`"),  # resumed without a ModelCheckpoint
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),  # that a resumed run finds what it has written
]
X, Y = load_digits(return_X_y=True)
X = (X.reshape(-1, 8, 8) * 15).astype(np.uint8)


def items(start, stop):
    return [(x, int(y)) for x, y in zip(X[start:stop], Y[start:stop], strict=True)]


TRAIN, VAL = items(0, 120), items(120, 160)
POOL = Pool.of(X[200:260], Y[200:260], Source("other digits", "", 0))


class Classifier(pl.LightningModule):
    """As anybody writes it."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 16), torch.nn.Dropout(0.2))
        self.head = torch.nn.Linear(16, 10)
        self.sizes, self.val_sizes = [], []

    def training_step(self, batch, index):
        x, y = batch
        self.sizes.append(len(y))
        return torch.nn.functional.cross_entropy(self.head(self.net(x.float() / 255)), y)

    def validation_step(self, batch, index):
        self.val_sizes.append(len(batch[1]))
        self.log("val", torch.nn.functional.cross_entropy(self.head(self.net(batch[0].float() / 255)), batch[1]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 1e-3)


class Digits(pl.LightningDataModule):
    def __init__(self, workers=0):
        super().__init__()
        self.save_hyperparameters()
        self.classes, self.workers, self.calls = 10, workers, Counter()

    def setup(self, stage):
        self.calls["setup"] += 1

    def train_dataloader(self):
        self.calls["train"] += 1
        return DataLoader(TRAIN, batch_size=32, shuffle=True, num_workers=self.workers)

    def val_dataloader(self):
        self.calls["val"] += 1
        return DataLoader(VAL, batch_size=40)


def trainer(folder, *callbacks, epochs=4, **settings):
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    return pl.Trainer(
        max_epochs=epochs,
        callbacks=list(callbacks),
        accelerator="cpu",
        default_root_dir=folder,
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(one, ModelCheckpoint) for one in callbacks),
        **{"logger": False, "enable_progress_bar": False, **settings},
    )


def fit(folder, *callbacks, datamodule=None, epochs=4, resume=None, **settings):
    pl.seed_everything(0, verbose=False)
    model = Classifier()
    run = trainer(folder, *callbacks, epochs=epochs, **settings)
    run.fit(model, datamodule=datamodule or Digits(), ckpt_path=resume, weights_only=True)
    return model


def weights(model):
    return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest()


# --- the two lines ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["datamodule", "loader", "module"])
def test_a_callback_mixes_wherever_the_loader_comes_from(source, tmp_path):
    model, run = Classifier(), trainer(tmp_path, SyntheticMix(pool=POOL, ratio=0.5), epochs=1)
    loaders = DataLoader(TRAIN, batch_size=32, shuffle=True), DataLoader(VAL, batch_size=40)
    if source == "datamodule":
        run.fit(model, datamodule=Digits())
    elif source == "loader":
        run.fit(model, *loaders)
    else:
        model.train_dataloader, model.val_dataloader = (lambda: loaders[0]), (lambda: loaders[1])
        run.fit(model)
    assert model.sizes == [48, 48, 48, 36]
    assert set(model.val_sizes) == {40}
    assert type(loaders[0]) is DataLoader
    assert loaders[0].dataset is TRAIN
    assert type(run.fit_loop._data_source).__name__ == "_DataLoaderSource"


def test_a_wrapped_datamodule_is_the_users_in_everything_else(tmp_path):
    yours = Digits()
    mixed = MixedDataModule(yours, POOL, ratio=0.5)
    model = fit(tmp_path, datamodule=mixed, epochs=2)
    assert model.sizes == [48, 48, 48, 36] * 2
    assert set(model.val_sizes) == {40}
    assert yours.calls == {"setup": 1, "train": 1, "val": 1}
    assert mixed.classes == 10
    assert mixed.hparams == yours.hparams == {"workers": 0}
    assert yours.trainer is mixed.trainer is not None
    assert type(yours.train_dataloader()) is DataLoader
    with pytest.raises(AttributeError, match="colour"):
        _ = mixed.colour


def test_a_ratio_of_nothing_transforms_real_items_as_any_other(tmp_path):
    seen = []

    def darker(image):
        seen.append(image.dtype)
        return image // 2

    half = {"ratio": 0.0, "transform": darker}
    plain = weights(fit(tmp_path, SyntheticMix(pool=POOL, **half), epochs=2))
    assert len(seen) >= 2 * 120
    for mix in (SyntheticMix(quick(), refresh_every=1, grid_every=1, **half), SyntheticMix(**half)):
        assert weights(fit(tmp_path, mix, epochs=2)) == plain
        assert mix.pool_ is None
    assert len(seen) >= 6 * 120


def test_a_ratio_of_nothing_trains_as_without(tmp_path):
    plain = weights(fit(tmp_path))
    assert weights(fit(tmp_path, SyntheticMix(pool=POOL, ratio=0.0))) == plain
    assert weights(fit(tmp_path, SyntheticMix(ratio=lambda epoch: 0.0))) == plain
    assert weights(fit(tmp_path, datamodule=MixedDataModule(Digits(), POOL, ratio=0.0))) == plain


def test_a_schedule_acts_in_its_epoch_and_is_logged(tmp_path):
    logger = CSVLogger(tmp_path, name="", version="")
    model = fit(tmp_path, SyntheticMix(pool=POOL, ratio=Annealed(1.0, 4, last=0.5)), logger=logger, log_every_n_steps=1)
    assert model.sizes == [64, 64, 64, 48] * 2 + [48, 48, 48, 36] + [32, 32, 32, 24]
    logged = np.genfromtxt(tmp_path / "metrics.csv", delimiter=",", names=True, missing_values="", deletechars="")
    for name, wanted in (("ratio", [1, 1, 0.5, 0]), ("items", [120, 120, 60, 0]), ("pool_age", [0, 1, 2, 3])):
        column = logged[f"synthetic/{name}"]
        assert column[~np.isnan(column)].tolist() == wanted


@pytest.mark.parametrize("limit", [2, 0.5])
def test_items_that_workers_fetch_ahead_are_not_counted(limit, tmp_path):
    run = trainer(tmp_path, SyntheticMix(pool=POOL, ratio=1.0), epochs=2, limit_train_batches=limit)
    model = Classifier()
    run.fit(model, datamodule=Digits(workers=2))
    assert float(run.callback_metrics["synthetic/items"]) == sum(model.sizes) / 4


class Whole(BatchSampler):
    """A batch sampler of the user's own, within which there is a sampler that wants to know the epoch."""


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_order_of_a_batch_sampler_of_ones_own_changes_with_the_epoch(wrapped, tmp_path):
    class Order(Classifier):
        def training_step(self, batch, index):
            if index == 0:
                orders[-1].append(batch[0][:8].tolist())
            return super().training_step(batch, index)

    def data():
        made = Digits()
        sampler = DistributedSampler(TRAIN, num_replicas=1, rank=0, shuffle=True, seed=0)
        made.train_dataloader = lambda: DataLoader(TRAIN, batch_sampler=Whole(sampler, 8, False))
        return made

    orders = []
    given = [], [] if wrapped else [SyntheticMix(pool=POOL)]
    for callbacks, source in zip(given, (data(), MixedDataModule(data(), POOL) if wrapped else data()), strict=True):
        orders.append([])
        run = trainer(tmp_path, *callbacks, epochs=3, use_distributed_sampler=False)
        run.fit(Order(), datamodule=source)
    assert orders[0] == orders[1]
    assert orders[0][0] != orders[0][1]


# --- the seed ---------------------------------------------------------------------------------------------------------


def test_a_callback_that_is_used_again_takes_the_seed_of_its_run(tmp_path):
    def run(mix, seed, **settings):
        pl.seed_everything(seed, verbose=False)
        one = trainer(tmp_path, mix, epochs=settings.pop("epochs", 1))
        one.fit(Classifier(), datamodule=Digits(), weights_only=True, **settings)
        if not settings:
            one.save_checkpoint(tmp_path / "last.ckpt")
        return mix.seed_

    mix, given = SyntheticMix(pool=POOL), SyntheticMix(pool=POOL, seed=7)
    assert [run(mix, 1), run(mix, 2), run(given, 3)] == [1, 2, 7]
    assert run(mix, 4) == 4
    for one in (mix, SyntheticMix(pool=POOL), given):
        assert run(one, 5, epochs=2, ckpt_path=tmp_path / "last.ckpt") == 4  # of the run that goes on
    assert [run(mix, 6), run(given, 6)] == [6, 7]


def test_the_seed_of_a_checkpoint_that_was_only_looked_at_is_not_kept(tmp_path):
    mix = SyntheticMix(pool=POOL)
    pl.seed_everything(1, verbose=False)
    first = trainer(tmp_path, mix, epochs=1)
    first.fit(Classifier(), datamodule=Digits())
    first.save_checkpoint(tmp_path / "last.ckpt")
    trainer(tmp_path, mix).validate(Classifier(), datamodule=Digits(), ckpt_path=tmp_path / "last.ckpt", verbose=False)
    pl.seed_everything(2, verbose=False)
    trainer(tmp_path, mix, epochs=1).fit(Classifier(), datamodule=Digits())
    assert mix.seed_ == 2


# --- the pool ---------------------------------------------------------------------------------------------------------


def quick(**settings):
    return Synthesizer(max_steps=2, **settings)


def test_the_synthesizer_is_fitted_on_the_training_set_and_drawn_anew(tmp_path):
    class Looks(pl.Callback):
        def __init__(self):
            self.pools = []

        def on_train_epoch_end(self, trainer, pl_module):
            self.pools.append(trainer.train_dataloader.dataset.records.copy())

    mix, looks, yours = SyntheticMix(quick(), ratio=0.5, refresh_every=2), Looks(), Digits()
    model = fit(tmp_path, mix, looks, datamodule=yours)
    assert yours.calls["train"] == 1
    assert model.sizes == [48, 48, 48, 36] * 4
    assert len(mix.pool_) == 60
    assert mix.pool_.trained_on(X[:120]).all()
    assert not mix.pool_.trained_on(X[120:160]).any()
    same = [np.array_equal(looks.pools[0], pool) for pool in looks.pools]
    assert same == [True, True, False, False]
    assert not hasattr(mix.synthesizer, "generators_")
    (fitted,) = mix.synthesizers_
    expected = fitted.sample(dict.fromkeys(range(10), 6), random_state=derive(mix.seed_, "pool", 1))
    assert mix.pool_.equals(expected)
    again = SyntheticMix(quick(), ratio=0.5, refresh_every=2)
    assert weights(fit(tmp_path, again)) == weights(model)


class Bars(pl.Callback):
    """Notes whether the fit that it is in shows its progress; the library copies it."""

    found = []  # noqa: RUF012  # of all copies

    def on_fit_start(self, trainer, pl_module):
        self.found.append(trainer.progress_bar_callback is not None)


@pytest.mark.parametrize(
    ("shown", "asks", "expected"),
    [
        (False, {}, False),
        (True, {}, True),
        (False, {"enable_progress_bar": True}, True),
        (True, {"enable_progress_bar": False}, False),
        (False, {"callbacks": [Bars(), RichProgressBar(leave=False)]}, True),
    ],
)
def test_the_fit_within_shows_its_progress_as_the_users_trainer_does(shown, asks, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "LONG_GRID", 0)
    monkeypatch.setattr(Bars, "found", [])
    asks = {"callbacks": [Bars()], **asks}
    mix = SyntheticMix(quick(trainer_kwargs=asks), seed=0)
    run = trainer(tmp_path, mix, epochs=1, enable_progress_bar=shown)
    run.fit(Classifier(), datamodule=Digits())
    assert Bars.found == [expected]
    assert mix.synthesizers_[0].trainer_kwargs.keys() == asks.keys()
    alone = SyntheticMix(quick(), seed=0)
    trainer(tmp_path, alone, epochs=1).fit(Classifier(), datamodule=Digits())
    assert alone.pool_.equals(mix.pool_)


def test_several_synthesizers_make_equal_shares_of_each_class(tmp_path):
    several = [Synthesizer(generator=ConditionalWarp), quick(), quick()]
    mix = SyntheticMix(several, ratio=0.5, criteria=[Rejects(3, 0.0)], refresh_every=1)
    first = fit(tmp_path, mix, epochs=2)
    assert mix.pool_.counts() == dict.fromkeys(range(10), 6)
    names = [source.name for source in mix.pool_.sources]
    assert np.bincount(mix.pool_.origin).tolist() == [20, 20, 20]
    assert names[0] != names[1] == names[2]
    warped, *made = (mix.pool_.keep(mix.pool_.origin == place) for place in range(3))
    assert not np.array_equal(*(pool.records for pool in made))  # nor do two that are alike draw the same
    assert warped.trained_on(X[:120]).all()
    again = SyntheticMix(several, ratio=0.5, criteria=[Rejects(3, 0.0)], refresh_every=1)
    assert weights(fit(tmp_path, again, epochs=2)) == weights(first)
    for none in ([], [quick(), None], [quick(), POOL]):
        with pytest.raises(ParameterError, match="Expected a Synthesizer, a list of them, or None, got"):
            SyntheticMix(none)


class Counted(Dataset):
    """Items that are counted as they are read, with their labels in them alone."""

    def __init__(self):
        self.items, self.reads = list(TRAIN), 0

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        self.reads += 1
        return self.items[index]


@pytest.mark.parametrize("fitted", [True, False])
def test_labels_are_read_once_for_balance(fitted, tmp_path):
    def reads(allocation, grow=False):
        found, data = [], Digits()
        real = Counted()

        def loader():
            if grow and found:
                real.items += TRAIN[:40]
            found.append(real.reads)
            return DataLoader(real, batch_size=32)

        data.train_dataloader = loader
        given = {"synthesizer": quick()} if fitted else {"pool": POOL}
        fit(tmp_path, SyntheticMix(allocation=allocation, **given), datamodule=data, epochs=3,
            reload_dataloaders_every_n_epochs=1, num_sanity_val_steps=0)  # fmt: skip
        return np.diff([*found, real.reads])

    extra, looked = reads("balance") - reads("pool"), 1
    assert extra.tolist() == ([0, 0, 0] if fitted else [120 + looked, 0, 0])
    if not fitted:
        extra = reads("balance", grow=True) - reads("pool", grow=True)
        assert extra.tolist() == [120 + looked, 160 + looked, 200 + looked]


def test_a_folder_is_filled_once_and_must_match(tmp_path):
    folder = tmp_path / "pool"
    first = fit(tmp_path, SyntheticMix(quick(), pool=folder, allocation="balance"), epochs=1)
    made = Pool.load(folder)
    assert weights(fit(tmp_path, SyntheticMix(quick(), pool=folder, allocation="balance"), epochs=1)) == weights(first)
    assert Pool.load(folder).equals(made)
    assert fit(tmp_path, SyntheticMix(pool=folder), epochs=1).sizes == [48, 48, 48, 36]
    other = Digits()
    other.train_dataloader = lambda: DataLoader(items(0, 100), batch_size=50)
    with pytest.raises(StorageError, match="was made from other images than those of this training set"):
        fit(tmp_path, SyntheticMix(quick(), pool=folder), datamodule=other)


@pytest.mark.parametrize(("name", "says"), [("a.zip", "is a file: choose a folder"), ("other", "not a pool's")])
def test_what_is_no_place_for_a_pool_is_told_before_the_fit(name, says, tmp_path, monkeypatch):
    (tmp_path / "a.zip").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.docx").touch()
    monkeypatch.setattr(Synthesizer, "fit", None)
    with pytest.raises(FileExistsSynthaugError, match=says):
        fit(tmp_path, SyntheticMix(quick(), pool=tmp_path / name))


RECALL = {**dict.fromkeys(range(8), 0.5), 8: 0.0, 9: 1.0}


def hard_first(**settings):
    shares = {label: 1 - recall for label, recall in RECALL.items()}
    return SyntheticMix(quick(), ratio=0.5, allocation=shares, **settings)


def test_hard_classes_come_first_and_those_without_an_error_get_nothing(tmp_path):
    mix, folder = hard_first(refresh_every=1), tmp_path / "pool"
    model = fit(tmp_path, mix, epochs=2)
    assert model.sizes == [48, 48, 48, 36] * 2
    assert mix.pool_.counts() == {**dict.fromkeys(range(8), 6), 8: 12}
    for _ in range(2):  # the second finds the pool of the first
        mix = hard_first(pool=folder)
        fit(tmp_path, mix, epochs=1)
        assert mix.pool_.counts() == {**dict.fromkeys(range(8), 6), 8: 12}
    mix = SyntheticMix(quick(), ratio=0.5, allocation={label: 0.001 if label == 9 else 1 for label in range(10)})
    fit(tmp_path, mix, epochs=1)
    assert 9 not in mix.pool_.counts()
    fit(tmp_path, SyntheticMix(ratio=0, transform=np.copy, allocation={0: 1}), epochs=1)


def test_shares_may_be_tensors_by_the_recall_of_torchmetrics(tmp_path):
    recall = dict(zip(torch.arange(10), torch.tensor(list(RECALL.values())), strict=True))
    mix = SyntheticMix(quick(), ratio=0.5, allocation={label: 1 - recall[label] for label in recall})
    assert fit(tmp_path, mix, epochs=1).sizes == [48, 48, 48, 36]
    assert mix.pool_.counts() == {**dict.fromkeys(range(8), 6), 8: 12}


@pytest.mark.parametrize(
    ("shares", "problem"),
    [({77: 1}, "Expected shares of labels in the pool"), (dict.fromkeys(range(10), 0), "at least one share above 0")],
)
def test_shares_that_cannot_be_are_told_before_the_fit(shares, problem, tmp_path):
    mix = SyntheticMix(quick(), allocation=shares)
    with pytest.raises(ParameterError, match=problem):
        fit(tmp_path, mix, epochs=1)
    assert not mix.synthesizers_
    fit(tmp_path, SyntheticMix(quick(), pool=tmp_path / "pool"), epochs=1)
    with pytest.raises(ParameterError, match=problem):
        fit(tmp_path, SyntheticMix(quick(), pool=tmp_path / "pool", allocation=shares), epochs=1)


def test_images_whose_axes_the_codec_was_told_of_are_compared_with_validation(tmp_path):
    class Deep(Classifier):
        def training_step(self, batch, index):
            return super().training_step((batch[0][:, 0, :8, :8], batch[1]), index)

        def validation_step(self, batch, index):
            pass

    deep = [(np.repeat(np.kron(x, np.ones((2, 2), np.uint8))[None], 64, 0), y) for x, y in items(0, 100)]
    last = [(image.transpose(1, 2, 0), y) for image, y in deep]
    figures = []
    for held_out in (deep[60:], last[60:]):
        mix = SyntheticMix(Synthesizer(ImageCodec(layout="channels_first"), ConditionalWarp), seed=0)
        trainer(tmp_path, mix, epochs=1).fit(Deep(), DataLoader(deep[:60], 30), DataLoader(held_out, 40))
        figures.append(mix._nearer)
    assert 0 < figures[0] == figures[1] < 1


def test_why_there_is_no_figure_of_nearness_is_said_whatever_else_is_not_known(tmp_path, caplog):
    loaders = DataLoader(TRAIN, batch_size=32), DataLoader(VAL[:19], batch_size=19)
    run = trainer(tmp_path, SyntheticMix(pool=POOL), epochs=2)
    with caplog.at_level(logging.INFO, "pytorch_lightning.utilities.rank_zero"):
        run.fit(Classifier(), *loaders)
    texts = [record.getMessage() for record in caplog.records]
    assert (
        sum("`synthetic/nearer_to_training` is not logged: there are 19 held-out images" in one for one in texts) == 1
    )
    assert sum("it was not noted what 'other digits' was trained on" in one for one in texts) == 1


class Rejects:
    """A criterion that rejects a share of the images of one class."""

    def __init__(self, label, share):
        self.label, self.share = label, share

    def score(self, real, pool, seed):
        u = np.random.default_rng(seed).random(len(pool.y))
        return {"luck": np.where(pool.y == self.label, u, 9.0)}

    def reasons(self, scores):
        return {"unlucky": scores["luck"] < self.share}


def test_what_the_criteria_reject_is_drawn_anew_and_the_share_accepted_is_logged(tmp_path):
    logger = CSVLogger(tmp_path, name="", version="")
    mix = SyntheticMix(quick(), ratio=0.5, criteria=[Rejects(3, 0.5)], refresh_every=1)
    first = fit(tmp_path, mix, epochs=2, logger=logger, log_every_n_steps=1)
    assert mix.pool_.counts() == dict.fromkeys(range(10), 6)
    assert (mix.pool_.scores["luck"] >= 0.5).all()
    logged = np.genfromtxt(tmp_path / "metrics.csv", delimiter=",", names=True, missing_values="", deletechars="")
    shares = logged["synthetic/accepted"][~np.isnan(logged["synthetic/accepted"])]
    assert len(shares) == 2
    assert (shares > 0.8).all()
    assert (shares < 1).all()
    again = SyntheticMix(quick(), ratio=0.5, criteria=[Rejects(3, 0.5)], refresh_every=1)
    assert weights(fit(tmp_path, again, epochs=2)) == weights(first)


def test_a_class_of_which_too_few_are_accepted_is_named(tmp_path):
    mix = SyntheticMix(quick(), ratio=0.5, criteria=[Rejects(3, 0.96)])
    with pytest.warns(SynthaugWarning, match=r"too few synthetic records of 3 \(\d of \d+ accepted\); those accepted"):
        fit(tmp_path, mix, epochs=1)
    assert mix.pool_.counts() == dict.fromkeys(range(10), 6)
    with pytest.raises(DataError, match=r"accept no synthetic record of 3 \(0 of \d+ accepted\): look at"):
        fit(tmp_path, SyntheticMix(quick(), ratio=0.5, criteria=[Rejects(3, 2.0)]), epochs=1)
    with pytest.raises(ParameterError, match="Expected a synthesizer for `criteria`, got a pool"):
        SyntheticMix(pool=POOL, criteria=[Rejects(3, 0.5)])
    with pytest.raises(ParameterError, match="Expected `criteria` to be a list"):
        SyntheticMix(criteria=Rejects(3, 0.5))


def test_a_large_pool_stays_in_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(opened, "_LOADED", 0)
    seen = Source("copier", fingerprint(X[:140], Y[:140]), 0, digests=digests(X[:140], Y[:140]))
    Pool.of(X[200:260], Y[200:260], Source("other digits", "", 0)).save(tmp_path / "pool")
    mix = SyntheticMix(pool=tmp_path / "pool", grid_every=1)
    in_memory = fit(tmp_path, SyntheticMix(pool=POOL), epochs=2)
    logger = CSVLogger(tmp_path / "log", name="", version="")
    assert weights(fit(tmp_path, mix, epochs=2, logger=logger, log_every_n_steps=1)) == weights(in_memory)
    assert isinstance(mix.pool_, OpenPool)
    assert (tmp_path / "log" / "synthetic_beside_nearest_real-1.png").exists()
    Pool.of(X[:60], Y[:60], seen).save(tmp_path / "leaky")
    with pytest.raises(DataError, match="was trained on 20 of 40 validation items"):
        fit(tmp_path, SyntheticMix(pool=tmp_path / "leaky"), epochs=1)


@pytest.mark.parametrize("several", [list, lambda pair: dict(zip("ab", pair, strict=True)), CombinedLoader])
def test_several_training_loaders_are_refused_with_the_reason(several, tmp_path):
    loaders = several([DataLoader(TRAIN, batch_size=32), DataLoader(TRAIN, batch_size=32)])
    run = trainer(tmp_path, SyntheticMix(pool=POOL), epochs=1)
    with pytest.raises(DataTypeError, match=r"Expected a DataLoader, got \w+: mix each of several by itself"):
        run.fit(Classifier(), loaders)


def test_images_of_several_sizes_are_resized_for_the_synthesizer_and_by_the_transform(tmp_path):
    """As photographs in a folder come: each of its own size, and resized on the way into a batch."""
    photographs = [
        (Image.fromarray(image).resize((8 + i % 3, 9)), int(y)) for i, (image, y) in enumerate(zip(X, Y, strict=True))
    ]
    transform = albumentations.Compose([albumentations.Resize(8, 8), albumentations.HorizontalFlip()])
    mix = SyntheticMix(quick(), size=(8, 8), transform=transform)
    model = Classifier()
    trainer(tmp_path, mix, epochs=1).fit(model, DataLoader(photographs[:64], batch_size=32))
    assert mix.pool_.records.shape == (32, 8, 8)
    assert model.sizes == [48, 48]
    with pytest.raises(DataError, match=r"`size=\(9, 8\)` in `read_images`, or in `SyntheticMix`"):
        trainer(tmp_path, SyntheticMix(quick(), transform=transform)).fit(model, DataLoader(photographs, batch_size=32))


def test_a_pool_that_saw_validation_items_is_refused(tmp_path):
    seen = Source("copier", fingerprint(X[:140], Y[:140]), 0, digests=digests(X[:140], Y[:140]))
    leaky = SyntheticMix(pool=Pool.of(X[:60], Y[:60], seen))
    run = trainer(tmp_path, leaky)
    with pytest.raises(DataError, match=r"was trained on 20 of 40 validation items \(the first is item 0\)"):
        run.fit(Classifier(), datamodule=Digits())
    assert type(run.fit_loop._data_source).__name__ == "_DataLoaderSource"


def test_synthetic_items_in_validation_are_warned_of(tmp_path):
    part = Subset(MixedDataset(VAL, POOL), range(50))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, run = Classifier(), trainer(tmp_path, SyntheticMix(pool=POOL), epochs=1)
        run.fit(model, DataLoader(TRAIN, batch_size=32), DataLoader(part, batch_size=50))
    assert any(
        one.category is SynthaugWarning and "validation loader holds synthetic" in str(one.message) for one in caught
    )


def test_what_cannot_be_is_told_at_once(tmp_path):
    with pytest.raises(
        ParameterError, match=r"3 problems:\n- Expected a Synthesizer, a list of .*\n- Expected `pool` to be"
    ):
        SyntheticMix(POOL, pool=3, grid_every=0)
    with pytest.raises(ParameterError, match=r"Expected `size` to be \(height, width\) in pixels, got 'big'\."):
        SyntheticMix(size="big")
    with pytest.raises(ParameterError, match="Expected a synthesizer for `refresh_every`, got a pool"):
        SyntheticMix(pool=POOL, refresh_every=1)


def test_a_grid_shows_synthetic_images_beside_real_ones(tmp_path):
    images = []

    class Board(CSVLogger):
        @property
        def experiment(self):
            return self

        def add_image(self, tag, picture, step, dataformats):
            images.append((tag, picture.shape[::2], step, dataformats))

        def log_hyperparams(self, params):
            pass

        def log_metrics(self, metrics, step=None):
            pass

        def save(self):
            pass

    board = Board(tmp_path, name="board")
    fit(
        tmp_path,
        SyntheticMix(pool=POOL, grid_every=3),
        logger=[CSVLogger(tmp_path, name="", version=""), board],
        log_every_n_steps=1,
    )
    with Image.open(tmp_path / "synthetic_beside_nearest_real-3.png") as picture:
        assert picture.height == 1072
    name = "synthetic_beside_nearest_real"
    assert images == [(name, (1072, 3), 0, "HWC"), (name, (1072, 3), 3, "HWC")]


class Homeless(CSVLogger):
    log_dir = save_dir = None

    @property
    def experiment(self):
        return None

    def log_hyperparams(self, params):
        pass

    def log_metrics(self, metrics, step=None):
        pass

    def save(self):
        pass


@pytest.mark.parametrize("logger", [False, Homeless("unused")], ids=["none", "without a folder"])
def test_a_grid_that_no_logger_takes_is_a_file_in_a_folder_of_each_run(logger, tmp_path):
    for run in range(2):
        fit(tmp_path, SyntheticMix(pool=POOL, grid_every=2), logger=logger)
        folder = tmp_path / "lightning_logs" / f"version_{run}"
        assert sorted(path.name for path in folder.iterdir()) == [
            f"synthetic_beside_nearest_real-{epoch}.png" for epoch in (0, 2)
        ]


class Loses(CSVLogger):
    def log_image(self, key, images):
        raise OSError("disk full")


def test_a_grid_that_cannot_be_drawn_ends_no_training(tmp_path):
    class Sizes(Digits):
        def train_dataloader(self):
            larger = [(image.repeat(2, 0).repeat(2, 1), label) for image, label in TRAIN]
            return DataLoader([*TRAIN[:60], *larger[60:]], batch_size=12)

    mix = SyntheticMix(pool=POOL, grid_every=1, transform=albumentations.Resize(8, 8))
    fit(tmp_path, mix, epochs=1, datamodule=Sizes(), logger=CSVLogger(tmp_path, name="", version=""))
    assert (tmp_path / "synthetic_beside_nearest_real-0.png").exists()
    with pytest.warns(SynthaugWarning, match="No grid is drawn: OSError: disk full"):
        fit(tmp_path, mix, epochs=1, logger=Loses(tmp_path, name="lost"))


# --- going on ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_run_that_goes_on_ends_in_the_same_weights(workers, wrapped, tmp_path):
    """From the end of an epoch and from the middle of one; four batches an epoch."""

    def run(*callbacks, resume=None):
        ratio = Annealed(0.5, 4)
        if wrapped:
            return fit(
                tmp_path, *callbacks, datamodule=MixedDataModule(Digits(workers), POOL, ratio=ratio), resume=resume
            )
        return fit(
            tmp_path, SyntheticMix(pool=POOL, ratio=ratio), *callbacks, datamodule=Digits(workers), resume=resume
        )

    whole = run(
        ModelCheckpoint(tmp_path, save_top_k=-1, filename="{epoch}"),
        ModelCheckpoint(tmp_path, save_top_k=-1, every_n_train_steps=5, filename="{step}"),
    )
    for name in ("epoch=1", "step=10"):
        path = tmp_path / f"{name}.ckpt"
        again = run(resume=path)
        assert weights(again) == weights(whole), name
        assert 0 < len(again.sizes) < len(whole.sizes)


def test_a_refreshing_run_goes_on(tmp_path):
    def run(resume=None):
        mix = SyntheticMix(quick(), ratio=0.5, refresh_every=1)
        return fit(tmp_path, mix, ModelCheckpoint(tmp_path, save_top_k=-1, filename="{epoch}"), epochs=3, resume=resume)

    assert weights(run()) == weights(run(tmp_path / "epoch=1.ckpt"))


@pytest.mark.parametrize(
    "saved", [{"save_on_train_epoch_end": False}, {"every_n_train_steps": 4}], ids=["in validation", "at the last step"]
)
@pytest.mark.parametrize("persistent", [False, True])
def test_a_run_goes_on_from_any_end_of_an_epoch(saved, persistent, tmp_path):
    settings = {"num_workers": 1, "persistent_workers": True} if persistent else {}
    data = Digits()
    data.train_dataloader = lambda: DataLoader(TRAIN, batch_size=32, shuffle=True, **settings)

    def run(resume=None):
        mix = SyntheticMix(quick(), refresh_every=1, transform=albumentations.Compose([albumentations.Affine(p=1)]))
        keep = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{step}", **saved)
        return fit(tmp_path, mix, keep, datamodule=data, epochs=3, resume=resume)

    assert weights(run()) == weights(run(tmp_path / "step=4.ckpt"))


@pytest.mark.parametrize("limit", [3, 0.8])
def test_a_run_that_leaves_its_epochs_early_goes_on_with_the_next_one(limit, tmp_path):
    """Three of four batches an epoch, saved in validation."""

    def run(resume=None):
        keep = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{step}", save_on_train_epoch_end=False)
        mix = SyntheticMix(pool=POOL, seed=0)
        return fit(tmp_path, mix, keep, epochs=3, resume=resume, limit_train_batches=limit)

    assert weights(run()) == weights(run(tmp_path / "step=3.ckpt"))


class Augmented(Dataset):
    """Images that are noisy in another way each time."""

    def __len__(self):
        return len(TRAIN)

    def __getitem__(self, index):
        image, label = TRAIN[index]
        return image // 2 + np.uint8(torch.randint(9, ())), label


def test_a_training_set_that_changes_its_images_is_warned_of(tmp_path):
    data = Digits()
    data.train_dataloader = lambda: DataLoader(Augmented(), batch_size=32)
    with pytest.warns(SynthaugWarning, match="training set change each time that they are read"):
        fit(tmp_path, SyntheticMix(quick()), datamodule=data, epochs=1)
    fitted = quick().fit(TRAIN)  # which learns nothing of it
    fit(tmp_path, SyntheticMix(fitted, to_item=lambda image, label: (image, label)), datamodule=data, epochs=1)


def test_a_training_set_that_normalises_is_told_to_give_plain_images(tmp_path):
    data = Digits()
    data.train_dataloader = lambda: DataLoader([(x / np.float32(128) - 1, y) for x, y in TRAIN], batch_size=32)
    with pytest.raises(DataError) as caught:
        fit(tmp_path, SyntheticMix(quick()), datamodule=data, epochs=1)
    says = str(caught.value)
    assert says == (
        f"{caught.value.__cause__} Better still, let the training set give plain images, neither normalised nor "
        "changed at random, and pass its pipeline as `transform=`, which is applied to real and synthetic images alike."
    )
    assert says.startswith("Expected pixels in [0, 1], got -1 in image 0")
    dim = Synthesizer(ImageCodec(value_range=(0, 200)), ConditionalWarp)  # of bytes, which are plain
    with pytest.raises(DataError, match=r"`Synthesizer\(ImageCodec\(value_range=\(0, 255\)\)\)`\.$"):
        fit(tmp_path, SyntheticMix(dim), epochs=1)


@pytest.mark.parametrize("source", ["loader", "datamodule", "combined"])
def test_validation_within_the_training_set_is_told_before_the_fit(source, tmp_path):
    held_out = DataLoader([*VAL, *TRAIN[:20]], batch_size=40)
    data, mix = Digits(), SyntheticMix(quick())
    data.val_dataloader = lambda: [held_out] if source == "combined" else held_out
    run = trainer(tmp_path, mix, epochs=1)
    loaders = {"train_dataloaders": data.train_dataloader(), "val_dataloaders": held_out}
    with pytest.raises(DataError) as error:
        run.fit(Classifier(), **(loaders if source == "loader" else {"datamodule": data}))
    assert str(error.value) == (
        "The training set holds 20 of 60 validation items (the first is item 40), so the validation score would be too "
        "good: take them out of one of the two."
    )
    assert not mix.synthesizers_
    assert type(run.fit_loop.epoch_loop.val_loop._data_source).__name__ == "_DataLoaderSource"


def test_validation_loaders_are_asked_for_as_often_as_without(tmp_path):
    calls = []
    for callbacks in ((), (SyntheticMix(quick()),), (SyntheticMix(quick().fit(TRAIN)),)):
        data = Digits()
        trainer(tmp_path, *callbacks, epochs=3, reload_dataloaders_every_n_epochs=1).fit(Classifier(), datamodule=data)
        calls.append(data.calls["val"])
    assert calls[0] == calls[1] == calls[2]


@pytest.mark.parametrize("settings", [{}, {"num_sanity_val_steps": 0}], ids=str)
def test_asking_for_validation_early_draws_nothing(settings, tmp_path):
    """A hook that draws, as `random_split` does."""
    states, data = [], Digits()
    data.val_dataloader = lambda: DataLoader(VAL[: torch.randint(20, 40, ()).item()], batch_size=40)
    note = LambdaCallback(on_train_start=lambda *_: states.append(torch.get_rng_state()))
    for callbacks in ((), (SyntheticMix(quick()),)):
        fit(tmp_path, *callbacks, note, datamodule=data, epochs=1, **settings)
    assert torch.equal(*states)


def test_validation_that_a_module_makes_when_its_fit_starts_is_not_asked_for_too_early(tmp_path):
    class Late(Classifier):
        def on_fit_start(self):
            self.held_out = VAL

        def train_dataloader(self):
            return DataLoader(TRAIN, batch_size=32)

        def val_dataloader(self):
            return DataLoader(self.held_out, batch_size=40)

    model = Late()
    trainer(tmp_path, SyntheticMix(quick()), epochs=1).fit(model)
    assert model.val_sizes


def test_validation_is_asked_for_by_lightning_where_there_is_a_pool(tmp_path):
    POOL.save(tmp_path / "pool")
    checking, data = [], Digits()
    run = trainer(tmp_path, SyntheticMix(pool=tmp_path / "pool"), epochs=1)
    data.val_dataloader = lambda: checking.append(run.sanity_checking) or DataLoader(VAL, batch_size=40)
    run.fit(Classifier(), datamodule=data)
    assert checking == [True]


def test_a_ratio_that_may_be_meant_in_percent_is_told_before_the_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(Synthesizer, "fit", lambda *_: pytest.fail("it was fitted"))
    with pytest.raises(SynthaugWarning, match=r"^A `ratio` of 50 is 50 .* 6,000 an epoch: if 50% was meant, pass `rat"):
        fit(tmp_path, SyntheticMix(quick(), ratio=lambda epoch: 50.0 * (epoch == 1)), epochs=2)


def test_what_no_item_can_be_made_of_is_told_before_the_fit(tmp_path):
    data = Digits()
    named = [{"image": image, "label": torch.tensor(label), "name": "a"} for image, label in TRAIN]
    data.train_dataloader = lambda: DataLoader(named, batch_size=32)
    mix = SyntheticMix(quick())
    with pytest.raises(DataError, match=r"also hold 'name'.*'label': torch\.tensor\(label, dtype=torch\.int64\)"):
        fit(tmp_path, mix, datamodule=data, epochs=1)
    assert not mix.synthesizers_


def test_validation_that_is_loaded_late_or_combined_is_looked_at(tmp_path):
    seen = DataLoader([*TRAIN[:40]], batch_size=40)
    noted = Synthesizer(max_steps=2, random_state=0).fit(TRAIN).sample(20)
    data = Digits()
    data.val_dataloader = lambda: CombinedLoader([seen], "sequential")
    with pytest.raises(DataError, match="trained on 40 of 40 validation items"):
        fit(
            tmp_path, SyntheticMix(pool=noted), datamodule=data, epochs=2,
            check_val_every_n_epoch=2, num_sanity_val_steps=0,
        )  # fmt: skip
    with pytest.raises(DataError, match="trained on 40 of 40 validation items"):
        MixedDataModule(data, noted).val_dataloader()


# --- two processes ----------------------------------------------------------------------------------------------------

SCRIPT = """
import json, sys, warnings
from pathlib import Path

import numpy as np, pytorch_lightning as pl, torch
from torch.utils.data import DataLoader
from synthaug import ConditionalWarp, Pool, Synthesizer, SyntheticMix, MixedDataModule
from synthaug.pool import Source

warnings.simplefilter("ignore")
mode, workers = sys.argv[1], int(sys.argv[2])

def records(start, n):
    return np.stack([np.full((8, 8), start + i, np.uint8) for i in range(n)])

train = [(x, i % 2) for i, x in enumerate(records(0, 40))]
pool = Pool.of(records(100, 20), [i % 2 for i in range(20)], Source("by hand", "", 0))

class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(64, 2)
        self.seen = [[]]
    def training_step(self, batch, index):
        self.seen[-1].append([int(v) for v in batch[0][:, 0, 0]])
        return torch.nn.functional.cross_entropy(self.net(batch[0].flatten(1).float()), batch[1])
    def on_train_epoch_end(self):
        self.seen.append([])
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-6)

class Data(pl.LightningDataModule):
    def train_dataloader(self):
        return DataLoader(train, batch_size=5, shuffle=True, num_workers=workers, persistent_workers=workers > 0)

pl.seed_everything(0)
model, data, callbacks = Model(), Data(), []
if mode == "wrapped":
    data = MixedDataModule(data, pool, ratio=0.5)
else:
    one, two = Synthesizer(max_steps=2), Synthesizer(generator=ConditionalWarp)
    given = {"synthesizer": one if mode == "fitted" else [one, two], "refresh_every": 1}
    given = {"pool": pool} if mode == "pool" else given
    callbacks = [SyntheticMix(ratio=0.5, **given)]
trainer = pl.Trainer(max_epochs=2, strategy="ddp", devices=2, accelerator="cpu", callbacks=callbacks, logger=False,
                     enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
trainer.fit(model, datamodule=data)
told = {"seen": model.seen[:2]}
if callbacks:
    told["pool"] = callbacks[0].pool_.records[:, 0].astype(int).tolist()
Path(f"rank-{trainer.global_rank}.json").write_text(json.dumps(told))
"""


@pytest.mark.long
@pytest.mark.parametrize(("mode", "workers"), [("pool", 0), ("wrapped", 1), ("fitted", 1), ("several", 0)])
def test_two_processes_share_neither_real_nor_synthetic_items(mode, workers, tmp_path):
    (tmp_path / "fit.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "fit.py", mode, str(workers)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2)]
    for epoch in range(2):
        batches = [one["seen"][epoch] for one in told]
        assert [len(batch) for batch in batches[0]] == [len(batch) for batch in batches[1]] == [8, 7, 8, 7]
        real = [value for part in batches for batch in part for value in batch[:5]]
        assert sorted(real) == list(range(40))
        if mode in ("pool", "wrapped"):
            made = [value for part in batches for batch in part for value in batch[5:]]
            assert sorted(made) == list(range(100, 120))
    assert told[0]["seen"][0] != told[0]["seen"][1]
    assert told[0].get("pool") == told[1].get("pool")


def fit_slowly(rank, folder, ready, told):
    """Rank 0 takes longer than the processes have for a collective."""
    ready.wait()
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.distributed.barrier()  # both are there, however long it took
    _set_pg_timeout(timedelta(seconds=2))

    def broadcast(value):
        values = [value]
        torch.distributed.broadcast_object_list(values)
        return values[0]

    trainer = SimpleNamespace(is_global_zero=rank == 0, strategy=SimpleNamespace(broadcast=broadcast))
    told.put(from_first(trainer, lambda: time.sleep(2.5) or "pool"))
    torch.distributed.destroy_process_group()


def test_processes_wait_for_a_fit_that_takes_long(tmp_path):
    context = multiprocessing.get_context("fork")
    shared = context.Barrier(2), context.Queue()
    ranks = [context.Process(target=fit_slowly, args=(rank, tmp_path, *shared)) for rank in range(2)]
    for one in ranks:
        one.start()
    for one in ranks:
        one.join()
    assert [one.exitcode for one in ranks] == [0, 0]
    assert [shared[1].get() for _ in ranks] == ["pool", "pool"]


def test_a_loader_in_the_trainer_is_a_mixed_one(tmp_path):
    run = trainer(tmp_path, SyntheticMix(pool=POOL), epochs=1)
    run.fit(Classifier(), datamodule=Digits())
    assert isinstance(run.train_dataloader, MixedLoader)
