"""A pipeline of the user's while a generator of images trains: told to the networks, and not seen in what they draw."""

from functools import partial

import albumentations
import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from cases import PixelMeans
from sklearn.base import clone

from synthaug.codecs.altering import Altering
from synthaug.codecs.image import ImageCodec
from synthaug.errors import DataError, ParameterError, StorageError
from synthaug.generators.batches import BalancedBatches
from synthaug.generators.gan import ConditionalGAN
from synthaug.generators.vae import ConditionalVAE
from synthaug.generators.warp import ConditionalWarp
from synthaug.synthesizer import Synthesizer
from synthaug.testing.asserting import global_state

pytestmark = pytest.mark.filterwarnings("ignore::synthaug.errors.CollapseWarning")  # the fits are short
FRAMED = albumentations.Compose(
    [albumentations.Transpose(p=1), albumentations.Crop(1, 1, 7, 7, p=1), albumentations.Pad(1, fill=255, p=1)]
)
"""Lays an image on its side, and puts a bright frame around it."""
SHADED = albumentations.Compose([albumentations.RandomBrightnessContrast(p=0.5), albumentations.HorizontalFlip(p=0.5)])


def bars(n=200):
    """Upright bars, to the left or to the right; the rest is black."""
    rng, labels = np.random.default_rng(0), np.arange(n) % 2
    images = np.zeros((n, 8, 8), np.uint8)
    for image, label, place, bright in zip(
        images, labels, rng.integers(1, 3, n), rng.integers(120, 256, n), strict=True
    ):
        image[1:-1, place + 3 * label] = bright
    return images, labels


def shares(images):
    """The shares of images that are framed, and of those whose bar lies."""
    sides = [images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]]
    inner = images[:, 1:-1, 1:-1].astype(float)
    framed = np.min([side.mean(1) for side in sides], 0) > 40
    return np.array([framed.mean(), (inner.mean(2).var(1) > inner.mean(1).var(1)).mean()])


def test_what_is_drawn_shows_nothing_of_the_pipeline():
    images, labels = bars()
    framed = np.stack([FRAMED(image=image)["image"] for image in images])
    assert (shares(images).tolist(), shares(framed).tolist()) == ([0, 0], [1, 1])
    build = partial(Synthesizer, generator=partial(ConditionalVAE, width=8), max_steps=100, random_state=0)
    told = build(batch_size=32, augment=FRAMED).fit(images, labels)
    assert shares(told.sample(500).records).max() <= 0.02
    untold = build(batch_size=32).fit(np.concatenate([images, framed]), np.tile(labels, 2))  # and nothing said of them
    assert shares(untold.sample(500).records).min() > 0.2


@pytest.mark.parametrize("kind", [ConditionalVAE, ConditionalGAN])
def test_all_networks_are_told(kind):
    images, labels = bars()
    fits = [
        Synthesizer(generator=partial(kind, width=8), max_steps=8, random_state=0, augment=augment).fit(images, labels)
        for augment in (None, np.fliplr)
    ]
    states = [one.generators_[0].state_dict() for one in fits]
    names = [name for name in states[0] if name.endswith("embedding.altered") and not name.startswith("averaged")]
    assert len(names) == (1 if kind is ConditionalVAE else 2)
    assert all((states[0][name] - states[1][name]).abs().max() > 1e-3 for name in names)


def test_half_of_a_batch_is_altered_and_it_is_said_which():
    x = torch.arange(1.0, 9)[:, None]
    batches = BalancedBatches(
        x, torch.zeros(8, dtype=torch.long), batch_size=50, steps=40, seed=0, alter=lambda x, seed: -x
    )
    drawn = list(batches)
    assert all(torch.equal(x[:, 0] < 0, altered) for x, _, altered in drawn)
    assert 0.45 < torch.cat([altered for *_, altered in drawn]).float().mean() < 0.55
    assert all(
        torch.equal(a, b) for one, two in zip(drawn, batches, strict=True) for a, b in zip(one, two, strict=True)
    )


def noisy(image):
    return np.clip(image + np.random.randint(0, 50, image.shape), 0, 255).astype(image.dtype)


class Kill(pl.Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            raise KeyError("killed")


@pytest.mark.parametrize("pipeline", [SHADED, noisy])
def test_a_resumed_fit_sees_the_same_images_and_randomness_is_left_alone(pipeline, tmp_path):
    images, labels = bars(40)

    def states():
        return global_state(), pipeline.py_random.getstate() if pipeline is SHADED else None

    def build(**arguments):
        generator = partial(ConditionalVAE, width=8)
        return Synthesizer(generator=generator, max_steps=80, batch_size=16, random_state=0, **arguments)

    before = states()
    whole = build(augment=pipeline).fit(images, labels)
    with pytest.raises(KeyError):
        build(augment=pipeline, trainer_kwargs={"callbacks": [Kill()]}).fit(images, labels, checkpoint=tmp_path)
    assert build(augment=pipeline).fit(images, labels, checkpoint=tmp_path).sample(50).equals(whole.sample(50))
    assert states() == before
    with pytest.raises(StorageError, match="holds the state of another fit"):
        build(augment=FRAMED).fit(images, labels, checkpoint=tmp_path)


@pytest.mark.parametrize(("shape", "axis"), [((9, 8), 1), ((9, 8, 3), 1), ((3, 9, 8), 2)])
def test_the_pipeline_gets_an_image_as_it_is_used_to(shape, axis):
    images, seen = np.random.default_rng(0).random((4, *shape), np.float32), []
    codec = ImageCodec().fit(images)
    altering = Altering(codec, albumentations.HorizontalFlip(p=1))
    made = codec.decode(altering(codec.encode(images), 0))
    np.testing.assert_allclose(made, np.flip(images, axis + 1), atol=1e-6)

    def look(image):
        seen.append((image.shape, image.dtype))
        return torch.from_numpy(image)

    assert torch.equal(Altering(codec, look)(codec.encode(images), 0), codec.encode(codec.decode(codec.encode(images))))
    assert set(seen) == {(shape, images.dtype)}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"augment": albumentations.Resize(16, 9)},
            DataError,
            r"^Expected the pipeline given as `augment` to keep shape \(8, 8\) and dtype uint8 of an image, got "
            r"\(16, 9\) and uint8: leave out of it what crops, resizes or normalises\.$",
        ),
        (
            {"augment": lambda image: image / 255},
            DataError,
            r"dtype uint8 of an image, got \(8, 8\) and float64: leave",
        ),
        (
            {"augment": lambda image: image, "generator": ConditionalWarp},
            ParameterError,
            "^ConditionalWarp cannot be told which images `augment` altered, and would draw such: take ConditionalVAE",
        ),
        ({"augment": lambda image: image, "generator": PixelMeans}, ParameterError, "^PixelMeans cannot be told"),
        (
            {"augment": "flip"},
            ParameterError,
            "^Expected `augment` to be an albumentations pipeline, another callable on one image, or None, got 'flip'",
        ),
        (
            {"augment": lambda image: image + np.uint8(255), "codec": ImageCodec(value_range=(0, 254))},
            DataError,
            r"^The pipeline given as `augment` makes what the records cannot be: Expected pixels in \[0, 254\], got",
        ),
    ],
)
def test_what_cannot_be_told_is_refused(arguments, error, message):
    images, labels = bars(60)
    with pytest.raises(error, match=message):
        Synthesizer(max_steps=2, random_state=0, **arguments).fit(images, labels)


def test_a_table_has_no_pipeline():
    table = pd.DataFrame({"x": range(8)})
    with pytest.raises(ParameterError, match="^`augment` takes a pipeline for images, and the records are rows of a t"):
        Synthesizer(augment=FRAMED).fit(table, [0, 1] * 4)


def test_a_pipeline_is_cloned_and_not_saved(tmp_path):
    synthesizer = Synthesizer(max_steps=2, random_state=0, augment=FRAMED)
    assert repr(clone(synthesizer)) == repr(synthesizer)
    synthesizer.fit(*bars(20)).save(tmp_path / "model")
    loaded = Synthesizer.load(tmp_path / "model")
    assert loaded.augment is None
    assert loaded.sample(9).equals(synthesizer.sample(9))
