"""What is told when something is mixed that was not meant: a pipeline twice, a ratio in percent, a swapped argument."""

import warnings

import albumentations
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from synthaug import MixedDataModule, MixedDataset, Pool, SynthaugWarning, mix_loader
from synthaug.errors import DataTypeError, MismatchWarning, ParameterError
from synthaug.mix.matching import fading
from synthaug.pool import Source
from synthaug.rng import global_states

MADE = Source("by hand", "", 0)
BYTES = np.random.default_rng(0).integers(0, 256, (30, 12, 12, 3)).astype("uint8")
SCALED = (BYTES / 255).astype("float32")
NORMALISED = (SCALED - np.float32(0.45)) / np.float32(0.225)
NORMALIZE = albumentations.Compose([albumentations.Normalize()])


def data(images):
    """A data set and a pool, both of these images."""
    labels = [i % 3 for i in range(len(images))]
    return list(zip(images, labels, strict=True)), Pool.of(images, labels, MADE)


def by_255(image):
    return image / np.float32(255)


def in_place(image):
    image /= 255
    return image


# --- a pipeline twice -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "transform", "share"),
    [
        (NORMALISED, NORMALIZE, "1.74%"),
        (SCALED, albumentations.Normalize(), "1.74%"),
        (SCALED, by_255, "0.39%"),
        (SCALED, in_place, "0.39%"),
        (torch.from_numpy(NORMALISED).permute(0, 3, 1, 2), lambda image: image / 255, "0.39%"),
    ],
    ids=["normalised twice", "scaled, then normalised", "scaled twice", "in place", "tensors"],
)
def test_a_pipeline_that_was_applied_already_is_told(images, transform, share):
    real = [(image.copy() if isinstance(image, np.ndarray) else image.clone(), i % 3) for i, image in enumerate(images)]
    pool = Pool.of(np.asarray(images.tolist(), "float32"), [i % 3 for i in range(30)], MADE)
    with pytest.warns(MismatchWarning) as caught:
        mix_loader(DataLoader(real, batch_size=5), pool, transform=transform, seed=0)
    assert [str(one.message) for one in caught] == [
        "The images of the dataset are floats already (16 were looked at), and `transform` leaves no more than "
        f"{share} of their contrast, as when pixels are divided by 255 twice: let the dataset or `transform` scale "
        "them, not both."
    ]


@pytest.mark.parametrize(
    ("images", "transform"),
    [
        (BYTES, NORMALIZE),
        (BYTES, albumentations.ToFloat(255)),
        (BYTES, by_255),
        (BYTES.astype("float32"), by_255),  # floats that are not scaled yet
        (SCALED, albumentations.Normalize(max_pixel_value=1.0)),
        (SCALED, albumentations.Resize(8, 8)),
        (SCALED, albumentations.RandomCrop(8, 8)),
        (SCALED, albumentations.GaussianBlur(sigma_limit=(3.0, 3.0), p=1.0)),
        (np.full_like(SCALED, 0.5), by_255),
        (np.full_like(SCALED, 0.5), NORMALIZE),
        (SCALED, lambda image: np.uint8(image * 255)),
        (SCALED, np.ravel),
        (SCALED, lambda image: {"pixel_values": image}),
        (SCALED, lambda image: [image, image]),
    ],
)
def test_no_other_pipeline_is_taken_for_one(images, transform):
    real, pool = data(images)
    mix_loader(DataLoader(real, batch_size=5), pool, transform=transform, seed=0)


def test_a_first_item_that_a_crop_leaves_flat_is_not_taken_for_all():
    """Of the first image and the first synthetic one, the crop shows an almost even corner; of others it does not."""
    images = SCALED.copy()
    images[0, :8, :8] = SCALED[0, :8, :8] * np.float32(0.01)
    real, pool = data(images)
    transform = albumentations.Crop(0, 0, 8, 8)
    assert fading([images[0]], [transform(image=images[0])["image"]]) is not None
    mix_loader(DataLoader(real, batch_size=5), pool, transform=transform, seed=0)


@pytest.mark.parametrize("images", [SCALED, NORMALISED])
def test_looking_moves_neither_global_randomness_nor_what_the_pipeline_draws(images):
    """The first item of each kind is drawn with or without the look, so what comes third is the third draw."""
    real, pool = data(images)

    def pipeline():
        return albumentations.Compose(
            [albumentations.Normalize(), albumentations.RandomBrightnessContrast(p=1.0)], seed=3
        )

    before = global_states()
    with pytest.warns(MismatchWarning, match="leaves no more than"):
        mixed = MixedDataset(real, pool, transform=pipeline())
    plain = MixedDataset(real, pool, transform=pipeline(), look=False)
    np.testing.assert_array_equal(mixed[4][0], plain[4][0])
    after = global_states()
    assert before["python"][0] == after["python"][0]
    assert torch.equal(before["python"][1], after["python"][1])
    assert torch.equal(before["numpy"][1], after["numpy"][1])
    assert torch.equal(before["torch"], after["torch"])


def test_a_pipeline_of_items_made_by_the_user_is_not_looked_at():
    """With `to_item` nothing was drawn at set-up, and nothing is."""
    calls = []
    real, pool = data(SCALED)
    mix_loader(DataLoader(real), pool, transform=lambda image: calls.append(1) or image, to_item=lambda x, y: (x, y))
    assert not calls


# --- a ratio in percent -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [200, lambda epoch: 200.0], ids=["number", "schedule"])
def test_a_ratio_that_may_be_meant_in_percent_is_told(ratio):
    real, pool = data(BYTES)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mixed = mix_loader(DataLoader(real, batch_size=5), pool, ratio=ratio)
        for _ in range(2 if callable(ratio) else 0):
            next(iter(mixed))
    assert [one.category for one in caught] == [SynthaugWarning]
    assert str(caught[0].message) == (
        "A `ratio` of 200 is 200 synthetic items for each real one, 6,000 an epoch: if 200% was meant, pass `ratio=2`."
    )


@pytest.mark.parametrize(
    ("n", "settings"),
    [
        (30, {"ratio": 20}),
        (3, {"ratio": 40, "allocation": "balance"}),
        (3, {"ratio": 40, "allocation": {0: 1, 1: 9}}),
        (3, {"ratio": 10}),
        (1, {"ratio": 30, "to_item": lambda image, label: (image, label)}),  # each of a large pool once
    ],
)
def test_a_large_ratio_that_is_meant_is_not(n, settings):
    real, pool = data(BYTES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mix_loader(DataLoader(real[:n]), pool, **settings)


# --- one thing for another --------------------------------------------------------------------------------------------

REAL, POOL = data(BYTES)
MAKE = "make one, `DataLoader(dataset, batch_size=32, shuffle=True)`, or take items without batches from a "


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (REAL, f"list: {MAKE}`MixedDataset(dataset, pool)`."),
        (TensorDataset(torch.zeros(3, 8, 8), torch.zeros(3)), f"TensorDataset: {MAKE}`MixedDataset(dataset, pool)`."),
        (pl.LightningDataModule(), "LightningDataModule: wrap it, `MixedDataModule(datamodule, pool)`."),
        (POOL, "Pool: the loader comes first, `mix_loader(loader, pool)`."),
        ([DataLoader(REAL)] * 2, "list: mix each of several by itself, with `mix_loader`."),
        ({"a": DataLoader(REAL)}, "dict: mix each of several by itself, with `mix_loader`."),
        (iter(DataLoader(REAL)), "_SingleProcessDataLoaderIter: pass the loader itself, over a map-style dataset."),
        ((BYTES, [0] * 30), "tuple: pass the loader itself, over a map-style dataset."),
        (None, "NoneType: pass the loader itself, over a map-style dataset."),
    ],
    ids=["items", "dataset", "datamodule", "pool", "loaders", "loaders by name", "iterator", "tuple", "none"],
)
def test_what_is_given_for_a_loader_is_named_with_what_to_do(given, says):
    with pytest.raises(DataTypeError) as error:
        mix_loader(given, REAL if given is POOL else POOL)
    assert str(error.value) == f"Expected a DataLoader, got {says}"


def test_a_mixed_dataset_for_a_loader_is_told_as_it_is_within_one():
    with pytest.raises(ParameterError, match="The dataset is mixed already"):
        mix_loader(MixedDataset(REAL, POOL), POOL)


def test_what_is_given_for_a_datamodule_or_a_dataset_is_named_with_what_to_do():
    for given, says in (
        (DataLoader(REAL), "DataLoader: mix it with `mix_loader(loader, pool)`."),
        (REAL, "list: mix the loader that is made of it with `mix_loader(loader, pool)`."),
    ):
        with pytest.raises(DataTypeError) as error:
            MixedDataModule(given, POOL)
        assert str(error.value) == f"Expected a LightningDataModule, got {says}"
    with pytest.raises(DataTypeError) as error:
        MixedDataset(pl.LightningDataModule(), POOL)
    assert str(error.value) == (
        "Expected a data set, got a LightningDataModule: wrap it, `MixedDataModule(datamodule, pool)`."
    )
