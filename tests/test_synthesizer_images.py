"""Synthesizer over images: whatever they come in, they come out in the user's layout, dtype and range."""

from functools import partial

import cases
import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from cases import PixelMeans
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_digits

import synthaug.synthesizer as module
from synthaug.amounts import synthetic_counts
from synthaug.codecs.image import ImageCodec
from synthaug.errors import (
    CollapseWarning,
    DataError,
    DataTypeError,
    NotFittedError,
    ParameterError,
    StorageError,
    SynthaugWarning,
)
from synthaug.generators.vae import ConditionalVAE
from synthaug.generators.warp import ConditionalWarp
from synthaug.images import read_images
from synthaug.pool import Pool
from synthaug.synthesizer import Synthesizer


def quick(**arguments):
    return Synthesizer(generator=PixelMeans, random_state=0, **arguments)


def digits(n=200):
    images, labels = load_digits(return_X_y=True)
    return (images[:n].reshape(-1, 8, 8) * 15.9).astype("uint8"), labels[:n]


@pytest.fixture(scope="module")
def fitted():
    return quick().fit(*digits())


@pytest.mark.parametrize("name", cases.IMAGES)
def test_images_come_out_as_they_went_in(name):
    case = cases.IMAGES[name]
    images, labels = case()
    codec = ImageCodec(layout=case.layout, value_range=case.value_range)
    pool = quick(codec=codec, max_steps=2).fit(images, labels).sample(5)
    assert isinstance(pool.records, np.ndarray)
    assert (pool.records.dtype, pool.records.shape) == (images.dtype, (5, *images.shape[1:]))
    assert pool.labels.dtype == labels.dtype
    low, high = case.value_range or ((0, 255) if images.dtype == np.uint8 else (0, 1))
    assert low <= pool.records.min() <= pool.records.max() <= high


class Still(ConditionalVAE):
    """Draws nothing but zeros."""

    def sample(self, y, *, rng):
        return super().sample(y, rng=rng) * 0


class Repeats(ConditionalVAE):
    """Draws one and the same image of every class but the first."""

    def sample(self, y, *, rng):
        return super().sample(y, rng=rng) * (y == 0).float()[:, None, None, None]


@pytest.mark.parametrize(("kind", "per_class"), [(Repeats, False), (Still, True)])
def test_a_class_whose_images_repeat_is_called_by_its_label(kind, per_class):
    images, labels = digits(40)
    names, build = np.array(["cat", "dog"])[labels % 2], partial(kind, width=8)
    with pytest.warns(CollapseWarning) as warned:
        Synthesizer(generator=build, per_class=per_class, max_steps=2, random_state=0).fit(images, names)
    assert "'dog' (0%)" in " ".join(str(one.message) for one in warned)


def test_arrays_tensors_data_sets_and_read_images_give_the_same(fitted):
    images, labels = digits()
    expected = fitted.sample(20)
    dataset = [(Image.fromarray(image), int(label)) for image, label in zip(images, labels, strict=True)]
    for arguments in (
        (torch.from_numpy(images), torch.from_numpy(labels)),
        (images, pd.Series(labels, index=range(7, 207))),
        (dataset,),
        (torch.utils.data.TensorDataset(torch.from_numpy(images), torch.from_numpy(labels)),),
        (read_images((images, labels)),),
    ):
        assert quick().fit(*arguments).sample(20).equals(expected)


def test_the_label_is_obeyed(fitted):
    images, labels = digits()
    pool = fitted.sample({3: 50, 0: 50})
    for label in (0, 3):
        drawn = pool.records[(pool.labels == label).to_numpy()].mean(0)
        off = {other: np.abs(images[labels == other].mean(0) - drawn).mean() for other in range(10)}
        assert min(off, key=off.get) == label


def test_one_network_a_class():
    images, labels = digits()
    pool = quick(per_class=True, max_steps=20).fit(images[labels < 3], labels[labels < 3]).sample({2: 2, 1: 1})
    assert pool.labels.tolist() == [2, 2, 1]


def test_the_variational_autoencoder_draws_images():
    images, labels = digits(60)
    pool = Synthesizer(max_steps=15, random_state=0).fit(images, labels).sample({7: 3})
    assert pool.records.shape == (3, 8, 8)
    assert pool.sources[0].name == ConditionalVAE.__name__


def test_a_stream_is_the_sample_in_pieces(fitted, monkeypatch):
    whole = fitted.sample(20_001)
    assert [len(part) for part in fitted.stream(20_001, chunk=8_192)] == [8_192, 8_192, 3_617]
    assert Pool.concat(fitted.stream(20_001, chunk=8_192)).equals(whole)
    assert len(fitted.sample(0)) == 0
    monkeypatch.setattr(module, "CHUNK_BYTES", 70_000)  # 273 encoded images
    assert fitted._at_once == 256
    parts = list(fitted.stream(600, chunk=256))
    assert [len(part) for part in parts] == [256, 256, 88]
    assert Pool.concat(parts).equals(fitted.sample(600))
    with pytest.raises(ParameterError, match="Expected `chunk` to be a multiple of 256, got 300"):
        fitted.stream(600, chunk=300)


def test_a_saved_synthesizer_draws_the_same_images(tmp_path):
    images, labels = digits(60)
    images = np.stack([images, images], 1) / 255
    codec = ImageCodec(layout="channels_first", value_range=(0, 1))
    synthesizer = Synthesizer(codec, max_steps=5, random_state=0).fit(images, labels)
    synthesizer.save(tmp_path / "model")
    here, there = (s.sample(30, random_state=5) for s in (synthesizer, Synthesizer.load(tmp_path / "model")))
    assert there.equals(here)
    assert here.trained_on(images, labels).all()
    here.save(tmp_path / "pool")
    assert Pool.load(tmp_path / "pool").equals(here)


def test_a_generator_of_ones_own_is_loaded_by_its_class(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    with pytest.raises(StorageError, match="'PixelMeans' is not one of ours"):
        Synthesizer.load(tmp_path / "model")
    assert Synthesizer.load(tmp_path / "model", generator=PixelMeans).sample(9).equals(fitted.sample(9))


class Kill(pl.Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            raise RuntimeError("killed")


def test_an_interrupted_fit_goes_on_from_its_checkpoint(tmp_path):
    images, labels = digits()
    with pytest.raises(RuntimeError, match="killed"):
        quick(max_steps=120, trainer_kwargs={"callbacks": [Kill()]}).fit(images, labels, checkpoint=tmp_path)
    assert (tmp_path / "fit-0.ckpt").exists()
    resumed = quick(max_steps=120).fit(images, labels, checkpoint=tmp_path)
    assert resumed.sample(50).equals(quick(max_steps=120).fit(images, labels).sample(50))
    for other, codec in ((images[::-1].copy(), None), (images, ImageCodec(value_range=(0, 254)))):
        with pytest.raises(StorageError, match="holds the state of another fit"):
            quick(codec=codec, max_steps=120).fit(other, labels, checkpoint=tmp_path)


def test_what_labels_are_needed():
    images, labels = digits(20)
    with pytest.raises(DataTypeError, match="^Expected one label a record, got none: pass them as the second argument"):
        quick().fit(images)
    with pytest.raises(DataTypeError, match="^Expected one label a record, got none"):
        quick().fit(pd.DataFrame({"x": range(20)}))
    with pytest.raises(DataTypeError, match="^Expected no labels beside ImageRecords, which have their own"):
        quick().fit(read_images((images, labels)), labels)
    with pytest.raises(
        DataTypeError, match=r"got list: .*make an array of images with `read_images\(\(images, labels\)\)`"
    ):
        quick().fit(list(images), labels)
    with pytest.raises(DataError, match="as many labels as records, got 20 labels and 19 records"):
        quick().fit(images[1:], labels)


def test_a_codec_clones_with_what_it_was_told():
    codec = ImageCodec(layout="channels_last", value_range=(0, 9))
    assert repr(clone(codec)) == repr(codec) == "ImageCodec(layout='channels_last', value_range=(0, 9))"


def test_the_only_image_of_a_class_is_warped_like_those_of_others_and_copies_are_warned_of():
    images, labels = digits(60)
    kept = [*np.flatnonzero(labels < 2), np.flatnonzero(labels == 7)[0]]
    images, labels = images[kept], labels[kept]
    drawn = Synthesizer(generator=ConditionalWarp, random_state=0).fit(images, labels).sample({7: 20}).records
    assert len(np.unique(drawn, axis=0)) == 20
    distances = np.abs(drawn[:, None].astype(int) - images).mean((2, 3))
    assert (distances.argmin(1) == len(images) - 1).mean() > 0.9  # and still look like it
    with pytest.warns(SynthaugWarning, match=r"^ConditionalWarp draws copies of the training records of 7: there are"):
        Synthesizer(generator=ConditionalWarp, per_class=True, max_steps=5, random_state=0).fit(images, labels)


def test_transfer_keeps_the_record_and_gives_it_another_label():
    """On rule-made images: the class is the half that is bright, the rest of a record its brightness."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    level = rng.integers(60, 256, 200)
    images = np.zeros((200, 8, 8), np.uint8)
    for i in range(200):
        images[i, :, 4 * labels[i] : 4 * labels[i] + 4] = level[i]
    fitted = Synthesizer(max_steps=150, random_state=0).fit(images, labels)
    pool = fitted.transfer(images, labels, 1 - labels)
    halves = pool.records.reshape(200, 8, 2, 4).mean((1, 3))
    assert np.mean(halves.argmax(1) == 1 - labels) > 0.95
    assert np.corrcoef(halves.max(1), level)[0, 1] > 0.8
    assert pool.labels.tolist() == (1 - labels).tolist()
    assert pool.trained_on(images).all()
    assert fitted.transfer(images[:3], labels[:3], 1).labels.tolist() == [1, 1, 1]
    dataset = [(Image.fromarray(image), int(label)) for image, label in zip(images, labels, strict=True)]
    for source in (dataset, read_images(dataset)):
        assert fitted.transfer(source, to_labels=1 - labels).equals(pool)
    with pytest.raises(ParameterError, match="Expected the labels to give to the records, got none: pass `to_labels="):
        fitted.transfer(dataset)


def test_transfer_is_refused_where_no_network_knows_all_classes():
    images, labels = np.zeros((6, 8, 8), np.uint8), [0, 1] * 3
    with pytest.raises(NotFittedError):
        Synthesizer().transfer(images, labels, 0)
    fitted = Synthesizer(max_steps=1, per_class=True, random_state=0).fit(images, labels)
    with pytest.raises(ParameterError, match="Only a generator that encodes all classes with one network"):
        fitted.transfer(images, labels, 0)


def test_counts_may_be_tensors(fitted):
    counts = {torch.tensor(label): torch.tensor(n) for label, n in {0: 3, 1: 2}.items()}
    drawn = fitted.sample(counts)
    assert drawn.labels.value_counts().to_dict() == {0: 3, 1: 2}
    assert synthetic_counts([0, 0, 1], amount=counts) == {0: 3, 1: 2}
    assert synthetic_counts([0, 0, 1], sampling_strategy={torch.tensor(1): 4}) == {0: 0, 1: 3}
