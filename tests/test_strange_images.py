"""Every strange set of images through every way in: a right result, or an error of ours that names the item."""

import contextlib
import logging
from math import ceil

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from cases import PixelMeans
from sklearn.base import clone
from strange_images import STRANGE, WORKS, N, Y, a_class_of_one_image, an_item_that_raises, pixels
from torch.utils.data import DataLoader

from synthaug import SyntheticMix, mix_loader
from synthaug.arrays import as_array, is_array
from synthaug.errors import SynthaugError
from synthaug.images import read_images
from synthaug.items import ItemForm
from synthaug.pool import Pool, Source
from synthaug.synthesizer import Synthesizer

QUICK = Synthesizer(generator=PixelMeans, max_steps=2, random_state=0)


def told(expected):
    return contextlib.nullcontext() if expected == WORKS else pytest.raises(SynthaugError, match=expected)


@pytest.mark.parametrize("name", STRANGE)
def test_read_images(name):
    source = STRANGE[name].make()
    with told(STRANGE[name].read):
        found = read_images(source)
        assert len(found) == len(found.labels) == (1 if name == "one_image" else N)
        if isinstance(source, tuple) and is_array(source[0]):
            np.testing.assert_array_equal(found.records, as_array(source[0]))
            assert found.records.dtype == as_array(source[0]).dtype


@pytest.mark.parametrize("name", STRANGE)
def test_fit(name):
    source = STRANGE[name].make()
    with told(STRANGE[name].fit):
        QUICK.fit(*source) if isinstance(source, tuple) and not isinstance(source[0], list) else QUICK.fit(source)
        pool = QUICK.sample(7)
        assert len(pool) == 7
        real = source[0] if isinstance(source, tuple) else read_images(source).records
        assert pool.records.shape[1:] == tuple(real.shape[1:])
        assert pool.records.dtype == as_array(real).dtype
        assert pool.trained_on(real).all()


def test_the_error_that_an_item_raised_is_the_cause():
    with pytest.raises(SynthaugError) as error:
        read_images(an_item_that_raises())
    assert repr(error.value.__cause__) == "RuntimeError('no such shard')"


def test_a_class_of_one_image_is_drawn():
    QUICK.fit(a_class_of_one_image())
    assert QUICK.sample({"once": 3}).counts() == {"once": 3}


def test_a_duplicate_across_splits_is_found_by_the_pool():
    """`read_images` sees one split and cannot know of another; the pool remembers what the generator saw."""
    train, test = read_images((pixels(), ["a", "b"] * 6)), 255 - pixels()
    test[3] = train.records[5]
    leak = QUICK.fit(train).sample(2).trained_on(test, pd.Series(["b"] * N))
    assert np.flatnonzero(leak).tolist() == [3]
    assert not QUICK.sample(2).trained_on(test, ["a"] * N).any()


# --- mixing -----------------------------------------------------------------------------------------------------------


SETS = [name for name in STRANGE if name != "too_few_labels"]  # which no data set of items can have


def loader(name):
    """Four items a batch, as they are."""
    source = STRANGE[name].make()
    items = list(zip(*source, strict=True)) if isinstance(source, tuple) else source
    return DataLoader(items, batch_size=4, collate_fn=list)


def made(name):
    """A pool of three records of the set, or, if it cannot be read, of the images that it was made of."""
    found = read_images(STRANGE[name].make() if STRANGE[name].read == WORKS else (pixels(), Y))
    records, labels = found.records[-3:], found.labels[-3:].reset_index(drop=True)
    return Pool(records, labels, np.zeros(len(labels), np.int32), (Source("by hand", "", 0),))


def epoch(batches):
    """The batches, and the error of the data set that ended them."""
    found = []
    try:
        found.extend(batches())
    except SynthaugError:
        raise
    except Exception as error:
        return found, repr(error)
    return found, None


def synthetic(mixed, plain):
    """The items that a mixed epoch has on top of the real ones, which are as they were, and look like the first."""
    assert [repr(batch[: len(real)]) for batch, real in zip(mixed, plain, strict=True)] == list(map(repr, plain))
    found = [item for batch, real in zip(mixed, plain, strict=True) for item in batch[len(real) :]]
    assert len(found) == ceil(sum(map(len, plain)) / 2)
    assert all(ItemForm.of(item) == ItemForm.of(plain[0][0]) for item in found)
    return found


def contents(images, labels, times=1):
    pairs = [(image.tobytes(), str(label)) for image, label in zip(images, labels, strict=True)]
    return sorted(times * pairs)


def check_synthetic(items, images, labels):
    """They are these, each as often as any other."""
    found = read_images(items)
    assert contents(found.records, found.labels) == contents(images, labels, times=len(found) // len(images))


@pytest.mark.parametrize("name", SETS)
def test_mix_loader(name):
    plain, pool = loader(name), made(name)
    with told(STRANGE[name].mix):
        mixed, error = epoch(lambda: mix_loader(plain, pool, ratio=0.5, seed=0))
        batches, own_error = epoch(lambda: plain)
        assert error == own_error
        made_of = synthetic(mixed, batches)
        if error is None:
            check_synthetic(made_of, pool.records, pool.labels)


class Notes(pl.LightningModule):
    """Notes the batches that it is given."""

    def __init__(self):
        super().__init__()
        self.weight, self.batches = torch.nn.Parameter(torch.zeros(())), []

    def training_step(self, batch, index):
        self.batches.append(batch)
        return 1.0 * self.weight

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.filterwarnings("ignore::lightning_fabric.utilities.warnings.PossibleUserWarning")
@pytest.mark.parametrize("name", SETS)
def test_a_training_in_lightning(name, tmp_path):
    """The generator is fitted on what `read_images` makes of the items, which is where most is told."""
    strange, plain = STRANGE[name], loader(name)
    fit = WORKS if name == "a_column_of_labels" else strange.fit  # in an item it is one label
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    mix, module = SyntheticMix(clone(QUICK), ratio=0.5, seed=0), Notes()
    quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    trainer = pl.Trainer(max_epochs=1, callbacks=[mix], accelerator="cpu", default_root_dir=tmp_path, **quiet)
    with told(next((says for says in (strange.read, fit, strange.mix) if says != WORKS), WORKS)):
        trainer.fit(module, plain)
        images = mix.pool_.records
        if name == "bilevel_and_other_modes":  # items are black and white, and what a generator draws is not
            images = np.where(images >= 128, 255, 0).astype("uint8")
        check_synthetic(synthetic(module.batches, list(plain)), images, mix.pool_.labels)
