"""What real images that a generator should not know tell of its pool: whether it has seen them, what it memorised."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import cdist
from torch.nn.functional import adaptive_avg_pool2d
from torch.utils.data import Subset

from synthaug.arrays import find_layout, from_grid, to_grid
from synthaug.errors import DataError, SynthaugWarning, listed
from synthaug.images import ImageRecords, read_images
from synthaug.mix.dataset import find_mixed
from synthaug.mix.drawing import spread
from synthaug.opened import OpenPool
from synthaug.pool import Pool
from synthaug.rng import isolated, numpy_rng

__all__ = ["check_validation", "nearer_to_training"]

_CHECKED = 10_000  # validation items that are compared with what the generator saw
_AT_ONCE = 256  # of them
_REFUSED = 0.1  # share of them, beyond which the two sets are no longer apart but for a few doubles
_TRAINING = 10_000  # training images to which distances are taken
_COMPARED = 1_000  # synthetic and held-out images whose distances are taken
_FEWEST = 20
_SIDE = 8  # fields along each side, whose means are compared


def check_validation(dataset: Any, pool: Pool | OpenPool, **reading: Any) -> None:
    """Warn of validation items that the generator of the pool has seen, or that are synthetic.

    Nothing is said of items that cannot be compared. Items of floats from 0 to 1 or from -1 to 1 are compared with
    bytes in the pool.

    Args:
        dataset: The validation set.
        pool: The synthetic images.
        reading: `image`, `label` and `size`, as in `read_images`.

    Raises:
        DataError: it has seen more than a tenth of the validation set.

    >>> from synthaug.pool import Source
    >>> images = np.zeros((2, 8, 8), np.uint8)
    >>> check_validation([(images[0], 0)], Pool.of(images, [0, 1], Source("by hand", "", 0)))
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
    try:
        places = spread(len(dataset), _CHECKED)
        seen = np.zeros(len(places), bool)
        for start in range(0, len(places), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            images = _read(dataset, places[part], reading).records
            for same in _readings(images, blank.records):
                seen[part] |= pool.trained_on(same)
    except Exception:  # items that raise, of another kind or of mixed sizes, none at all: nothing can be told
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


def nearer_to_training(pool: Pool | OpenPool, train: Any, *, held_out: Any, seed: int, **reading: Any) -> float | None:
    """How often a synthetic image is nearer to the training set than a held-out image of its class is.

    The area under the curve that tells the two apart by their distance to the nearest training image, by class, and
    weighted by the synthetic images of a class: half if they are as near as images that the generator never saw, 1 for
    copies. Training images that were deformed, and smooth images, are near as well. Distances are those of the means
    over 8 x 8 fields of each channel; up to 1,000 synthetic and held-out and 10,000 training images are compared.

    Args:
        pool: The synthetic images.
        train: The data set that their generator learned.
        held_out: One that it has not seen.
        seed: Of which images are compared.
        reading: `image`, `label` and `size`, as in `read_images`.

    Returns:
        From 0 to 1, or None where there are fewer than 20 held-out images, or where they cannot be compared.

    Source:
        Meehan, Chaudhuri and Dasgupta, "A non-parametric test to detect data-copying in generative models", AISTATS
        2020, section 3, with classes for cells.

    >>> from synthaug.pool import Source
    >>> images = np.random.default_rng(0).integers(0, 256, (60, 8, 8)).astype(np.uint8)
    >>> train, held_out = [(image, 0) for image in images[:30]], [(image, 0) for image in images[30:]]
    >>> copies = Pool.of(images[:30], [0] * 30, Source("copier", "", 0))
    >>> nearer_to_training(copies, train, held_out=held_out, seed=0)
    1.0
    """
    rng = numpy_rng(seed, "nearer")
    shown = pool.keep(np.sort(rng.permutation(len(pool))[:_COMPARED]))
    if isinstance(shown.records, pd.DataFrame):
        return None
    try:
        if len(held_out) < _FEWEST:
            return None
        theirs = _read(held_out, np.sort(rng.permutation(len(held_out))[:_COMPARED]), reading)
        ours = _read(train, spread(len(train), _TRAINING), reading)
        made, there, known = (
            _fields(next(_readings(images, shown.records)), shown.records.shape)
            for images in (shown.records, theirs.records, ours.records)
        )
    except Exception:  # as above
        return None
    near, far = cdist(made, known).min(axis=1), cdist(there, known).min(axis=1)
    areas, sizes = [], []
    for label in shown.labels.unique():
        mine, others = near[shown.labels == label], far[theirs.labels == label]
        if len(others):
            areas.append(float((mine[:, None] < others).mean() + (mine[:, None] == others).mean() / 2))
            sizes.append(len(mine))
    return float(np.average(areas, weights=sizes)) if areas else None


def _read(dataset: Any, places: np.ndarray, reading: dict[str, Any]) -> ImageRecords:
    with isolated(0):  # items may draw random crops
        return read_images(Subset(dataset, places.tolist()), **reading)


def _readings(images: np.ndarray, pool: np.ndarray) -> Iterator[np.ndarray]:
    """Images in the layout of the pool's; floats also as the bytes that they may have been, if these are bytes."""
    if images.shape[1:] != pool.shape[1:]:
        images = from_grid(to_grid(images, find_layout(images.shape[1:])), find_layout(pool.shape[1:]))
    low, high = images.min(), images.max()
    if pool.dtype != np.uint8 or images.dtype.kind != "f" or not (low >= -1 and high <= 1):
        yield images
        return
    if low >= 0:
        yield np.rint(images * 255).astype(np.uint8)
    yield np.rint((images + 1) * 127.5).astype(np.uint8)


def _fields(images: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if images.shape[1:] != shape[1:]:
        raise DataError(f"Expected images of shape {shape[1:]}, as in the pool, got {images.shape[1:]}.")
    grid = torch.from_numpy(to_grid(images, find_layout(images.shape[1:])).astype(np.float32))
    side = min(_SIDE, grid.shape[2]), min(_SIDE, grid.shape[3])
    found: np.ndarray = adaptive_avg_pool2d(grid, side).flatten(1).numpy()
    return found


def _warn(text: str) -> None:
    warnings.warn(text, SynthaugWarning, stacklevel=4)
