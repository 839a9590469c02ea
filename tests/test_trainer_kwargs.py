"""What a user can ask of the Trainer of a generator of images: half precision, compiled networks."""

import gc
import threading
from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import TQDMProgressBar
from sklearn.datasets import load_digits

from synthaug.errors import ParameterError
from synthaug.generators import training
from synthaug.generators.gan import ConditionalGAN
from synthaug.generators.vae import ConditionalVAE
from synthaug.synthesizer import Synthesizer

pytestmark = [
    pytest.mark.filterwarnings("ignore::synthaug.errors.CollapseWarning"),  # the fits are short
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning"),  # of torch.compile itself
]
KINDS = [ConditionalVAE, ConditionalGAN]


def digits():
    images, labels = load_digits(n_class=2, return_X_y=True)
    return (images.reshape(-1, 8, 8) * 15.9).astype("uint8"), labels


def fit(kind, steps=40, **kwargs):
    build = partial(kind, width=8)
    return Synthesizer(generator=build, max_steps=steps, random_state=0, trainer_kwargs=kwargs).fit(*digits())


class Losses(pl.Callback):
    def __init__(self):
        self.seen = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.seen += pl_module.tracked().values()


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_trains(kind, tmp_path):
    losses = Losses()
    fitted = fit(kind, precision="bf16-mixed", callbacks=[losses])
    assert losses.seen
    assert np.isfinite(losses.seen).all()
    drawn = fitted.sample({0: 200, 1: 200})
    assert abs(drawn.records.mean() - digits()[0].mean()) < 25
    fitted.save(tmp_path / "model")
    assert Synthesizer.load(tmp_path / "model").sample({0: 200, 1: 200}).equals(drawn)


@pytest.mark.parametrize("steps", [2, 300], ids=["short", "long"])
def test_a_progress_bar_of_your_own_takes_the_place_of_ours(steps, monkeypatch):
    monkeypatch.setattr(training, "LONG_GRID", 100 * 64)
    bars = []

    class Notes(Losses):
        def on_train_start(self, trainer, pl_module):
            bars.append(trainer.progress_bar_callback)

    own = TQDMProgressBar()
    fit(ConditionalVAE, steps, callbacks=[own, Notes()])
    assert bars == [own]


def test_whole_networks_of_another_precision_are_refused():
    with pytest.raises(
        ParameterError, match='^Expected `precision` to be "32-true", "16-mixed" or "bf16-mixed", got "b'
    ):
        fit(ConditionalVAE, precision="bf16-true")


class Compiled(pl.Callback):
    def on_fit_start(self, trainer, pl_module):
        parts = [pl_module.encoder, pl_module.decoder] if hasattr(pl_module, "encoder") else [pl_module.generator]
        for part in parts:
            part.compile(backend="eager")  # any other needs a compiler of C++


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_networks_are_those_that_are_saved(kind, tmp_path):
    torch._dynamo.utils.counters.clear()  # they outlive the networks of another test
    plain, fitted = fit(kind, 4), fit(kind, 4, callbacks=[Compiled()])
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= (2 if kind is ConditionalVAE else 1)
    torch._dynamo.reset()
    states = [one.generators_[0].state_dict() for one in (plain, fitted)]
    assert list(states[0]) == list(states[1])
    assert all(torch.allclose(states[0][name], states[1][name], atol=1e-3) for name in states[0])
    fitted.save(tmp_path / "model")
    assert Synthesizer.load(tmp_path / "model").sample(20).equals(fitted.sample(20))


class Epochs(pl.Callback):
    """Leaves the number of epochs with the network."""

    def on_train_end(self, trainer, pl_module):
        pl_module.epochs = trainer.current_epoch


def test_networks_of_single_classes_share_no_state_of_callbacks():
    def fit_with(*callbacks):
        return Synthesizer(
            generator=partial(ConditionalVAE, width=8),
            per_class=True,
            max_steps=200,
            random_state=0,
            trainer_kwargs={"callbacks": list(callbacks)},
        ).fit(*digits())

    stopping = pl.callbacks.EarlyStopping("loss", min_delta=1e9, patience=1)  # nothing is an improvement: 2 epochs
    first, again = fit_with(stopping, Epochs()), fit_with(stopping, Epochs())
    assert stopping.wait_count == 0
    assert [int(module.epochs) for module in first.generators_] == [2, 2]
    assert first.sample(20).equals(again.sample(20))


def test_a_callback_that_cannot_be_copied_is_told():
    stuck = Epochs()
    stuck.lock = threading.Lock()
    with pytest.raises(ParameterError, match=r"callback in `trainer_kwargs` cannot be copied.*lock.*on_fit_start"):
        Synthesizer(per_class=True, max_steps=2, trainer_kwargs={"callbacks": [stuck]}).fit(*digits())


def test_a_fitted_generator_holds_no_training_images():
    fitted = fit(ConditionalVAE, steps=2)
    assert fitted.generators_[0]._trainer is None
    n = len(digits()[0])
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is torch.Tensor and one.shape == (n, 1, 8, 8)]
