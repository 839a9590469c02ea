"""What real images that a generator should not know tell of its pool: whether it has seen them, what it memorised."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import cdist
from torch.nn.functional import adaptive_avg_pool2d

from synthaug.arrays import find_layout, from_grid, to_grid
from synthaug.errors import DataError, SynthaugError, SynthaugWarning, listed
from synthaug.items import ItemForm
from synthaug.mix.dataset import find_mixed
from synthaug.opened import OpenPool
from synthaug.pool import Pool
from synthaug.rng import isolated, numpy_rng

__all__ = ["check_validation", "nearer_to_training"]

_CHECKED = 10_000  # validation items that are compared with what the generator saw
_AT_ONCE = 256  # of them
_REFUSED = 0.1  # share of them, beyond which the two sets are no longer apart but for a few doubles
_COMPARED = 1_000  # images of each kind whose distances are taken
_FEWEST = 20
_SIDE = 8  # fields along each side, whose means are compared


def check_validation(dataset: Any, pool: Pool | OpenPool, *, image: Any = None, label: Any = None) -> None:
    """Warn of validation items that the generator of the pool has seen, or that are synthetic.

    Nothing is said of items that cannot be compared. Items of floats from 0 to 1 or from -1 to 1 are compared with
    bytes in the pool.

    Raises:
        DataError: it has seen more than a tenth of the validation set.
    """
    if find_mixed(dataset) is not None:
        _warn(
            "The validation loader holds synthetic items (its dataset is a MixedDataset, or a part of one), so its "
            "scores say little about real ones: validate on real items alone, and mix the training set only."
        )
        return
    blank = pool.blank if isinstance(pool, OpenPool) else pool
    if isinstance(blank.records, pd.DataFrame) or not all(source.digests for source in pool.sources):
        return
    places = _spread(dataset, _CHECKED)
    try:
        parts = [places[i : i + _AT_ONCE] for i in range(0, len(places), _AT_ONCE)]
        seen = np.concatenate(
            [pool.trained_on(_like(_read(dataset, part, image, label), blank.records)) for part in parts]
        )
    except (SynthaugError, ValueError):  # none, items of another kind or of mixed sizes: nothing can be told
        return
    if not seen.any():
        return
    told = f"The generator of the pool was trained on {seen.sum()} of {len(places)} validation items"
    if seen.mean() > _REFUSED:
        raise DataError(
            f"{told} (the first is item {places[seen.argmax()]}), so the validation score would be too good: fit it "
            "on the training set alone, or take these items out of the validation set."
        )
    _warn(
        f"{told}: {listed(places[seen].tolist())}. If they are doubles, take them out of one of the two sets: all "
        "scores on them are too good."
    )


def nearer_to_training(
    pool: Pool | OpenPool, train: Any, held_out: Any, *, seed: int, image: Any = None, label: Any = None
) -> float | None:
    """The share of synthetic images that are nearer to a training image than to any of as many held-out ones.

    Half is what images of a generator that memorised nothing have; 1 is for copies and for training images that were
    deformed. Distances are those of the means over 8 x 8 fields of each channel; at most 1,000 images of each kind are
    compared. None where there are fewer than 20, or where they cannot be compared.

    Args:
        pool: The synthetic images.
        train: The data set that their generator learned.
        held_out: One that it has not seen.
        seed: Of which images are compared.
        image: Where the image is in an item, as in `read_images`.
        label: Likewise.
    """
    n = min(len(train), len(held_out), _COMPARED) if hasattr(held_out, "__len__") else 0
    if n < _FEWEST:
        return None
    rng = numpy_rng(seed, "nearer")
    shown = np.sort(rng.permutation(len(pool))[:_COMPARED])
    synthetic = pool.keep(shown).records
    if isinstance(synthetic, pd.DataFrame):
        return None
    try:
        real = [_read(part, np.sort(rng.permutation(len(part))[:n]), image, label) for part in (train, held_out)]
        made, *known = (_fields(_like(images, synthetic), synthetic.shape) for images in (synthetic, *real))
    except (SynthaugError, ValueError):  # of another kind, or of mixed sizes
        return None
    ours, theirs = (cdist(made, part).min(axis=1) for part in known)
    return float((ours < theirs).mean() + (ours == theirs).mean() / 2)


def _spread(dataset: Any, most: int) -> np.ndarray:
    """Places of at most so many items, evenly spread."""
    n = len(dataset) if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__") else 0
    return np.unique(np.linspace(0, n - 1, min(most, n)).astype(int))


def _read(dataset: Any, places: np.ndarray, image: Any, label: Any) -> np.ndarray:
    with isolated(0):  # items may draw random crops
        form = ItemForm.of(dataset[int(places[0])], image=image, label=label)
        return np.stack([form.read(dataset[int(place)])[0] for place in places])


def _like(images: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Images in the layout of the pool's, and as bytes if these are."""
    if images.shape[1:] != pool.shape[1:]:
        images = from_grid(to_grid(images, find_layout(images.shape[1:])), find_layout(pool.shape[1:]))
    if pool.dtype != np.uint8 or images.dtype.kind != "f":
        return images
    low, high = images.min(), images.max()
    if not (low >= -1 and high <= 1):
        return images
    return np.rint(images * 255 if low >= 0 else (images + 1) * 127.5).astype(np.uint8)


def _fields(images: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if images.shape[1:] != shape[1:]:
        raise DataError(f"Expected images of shape {shape[1:]}, as in the pool, got {images.shape[1:]}.")
    grid = torch.from_numpy(to_grid(images, find_layout(images.shape[1:])).astype(np.float32))
    side = min(_SIDE, grid.shape[2]), min(_SIDE, grid.shape[3])
    found: np.ndarray = adaptive_avg_pool2d(grid, side).flatten(1).numpy()
    return found


def _warn(text: str) -> None:
    warnings.warn(text, SynthaugWarning, stacklevel=4)
