import random
import warnings

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger

from synthaug.errors import TrainingError
from synthaug.generators.batches import BalancedBatches
from synthaug.generators.gan import ConditionalGAN
from synthaug.generators.training import Training
from synthaug.generators.vae import ConditionalVAE
from synthaug.spec import Field, Spec

SPEC = Spec((6,), (Field("a", "number"), Field("b", "number"), Field("c", "category", 3), Field("d", "uniform")))
GENERATORS = [ConditionalVAE, ConditionalGAN]


def records(n=60):
    rng = torch.Generator().manual_seed(0)
    y = (torch.arange(n) % 5 == 0).long()
    x = torch.zeros(n, 6)
    x[:, :2] = torch.randn(n, 2, generator=rng) + 3 * y[:, None]
    x[torch.arange(n), 2 + (torch.arange(n) % 3)] = 1
    return x, y


def fresh(kind):
    torch.manual_seed(0)
    return kind(SPEC.to_dict(), 2)


def same(a, b):
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


class KillAt(pl.Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            raise RuntimeError("killed")


class Poison(pl.Callback):
    """Makes the weights NaN in one epoch, as a diverging fit does."""

    def __init__(self, epoch):
        self.epoch, self.seen = epoch, []

    def on_train_epoch_start(self, trainer, pl_module):
        self.seen.append(trainer.current_epoch)
        if trainer.current_epoch == self.epoch:
            with torch.no_grad():
                next(pl_module.parameters()).fill_(float("nan"))


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_resumed_fit_ends_in_the_same_weights(kind, tmp_path):
    x, y = records()
    whole, cut = fresh(kind), fresh(kind)
    Training(300, seed=1).run(whole, x, y)
    path = tmp_path / "fit.ckpt"
    with pytest.raises(RuntimeError, match="killed"):
        Training(300, seed=1, trainer_kwargs={"callbacks": [KillAt(4)]}).run(cut, x, y, checkpoint=path)
    torch.manual_seed(99)
    resumed = kind(SPEC.to_dict(), 2)
    Training(300, seed=1).run(resumed, x, y, checkpoint=path)
    assert same(whole, resumed)


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_nan_stops_within_an_epoch_with_the_last_good_weights(kind):
    x, y = records()
    good, poisoned = fresh(kind), fresh(kind)
    poison = Poison(epoch=3)
    Training(500, seed=1, trainer_kwargs={"callbacks": [KillAtEnd(3)]}).run(good, x, y)
    with pytest.raises(TrainingError, match=r"^Training stopped in epoch 4: .* no longer finite\. The last good"):
        Training(500, seed=1, trainer_kwargs={"callbacks": [poison]}).run(poisoned, x, y)
    assert poison.seen[-1] == 3
    assert same(good, poisoned)


class KillAtEnd(pl.Callback):
    """Stops a fit in good order after some epochs."""

    def __init__(self, epochs):
        self.epochs = epochs

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


def test_any_logger_and_callback_can_be_passed(tmp_path):
    x, y = records()
    logger = CSVLogger(tmp_path, name="log", version=0)
    seen = KillAtEnd(2)
    Training(200, trainer_kwargs={"logger": logger, "callbacks": seen}).run(fresh(ConditionalVAE), x, y)
    lines = (tmp_path / "log" / "version_0" / "metrics.csv").read_text().splitlines()
    assert len(lines) == 3
    assert {"loss", "reconstruction", "kl"} <= set(lines[0].split(","))


def test_a_large_set_is_held_out_in_part_and_ends_with_the_best_weights():
    x, y = records(2_500)
    losses = []

    class Watch(pl.Callback):
        def on_validation_end(self, trainer, pl_module):
            losses.append(float(trainer.callback_metrics["val_loss"]))

        def on_train_end(self, trainer, pl_module):
            keeper = next(c for c in trainer.callbacks if hasattr(c, "best"))
            assert keeper.best == min(losses)

    Training(600, trainer_kwargs={"callbacks": Watch()}).run(fresh(ConditionalVAE), x, y)
    assert len(losses) == 12


def test_training_is_silent_and_leaves_global_randomness_alone(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    module = fresh(ConditionalVAE)
    before = *before[:2], torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Training(100).run(module, *records())
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()
    assert torch.equal(torch.get_rng_state(), before[2])
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    assert list(tmp_path.iterdir()) == []


def test_batches_are_balanced_and_differ_by_epoch_and_rank():
    x, y = records(100)
    batches = BalancedBatches(x, y, batch_size=1_000, steps=1, seed=0)
    ((_, first),) = batches
    assert 0.45 < first.float().mean() < 0.55
    batches.set_epoch(1)
    ((_, second),) = batches
    ((_, other),) = BalancedBatches(x, y, batch_size=1_000, steps=1, seed=0, rank=1)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)


def test_unbalanced_batches_follow_the_data():
    x, y = records(100)
    ((_, labels),) = BalancedBatches(x, y, batch_size=10_000, steps=1, seed=0, balance=0)
    assert 0.17 < labels.float().mean() < 0.23


def test_training_batches_lie_in_the_vicinity_of_the_records_and_not_on_them():
    x, y = records()
    seen = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append(batch[0][:, :2])

    Training(20, trainer_kwargs={"callbacks": Watch()}).run(fresh(ConditionalVAE), x, y)
    apart = torch.cdist(torch.cat(seen), x[:, :2]).min(1).values
    assert (apart > 0).all()
    assert 0.05 < apart.median() < 0.6
