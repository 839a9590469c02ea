"""What real images that a generator should not know tell of its pool: whether it has seen them, what it memorised."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import cdist
from torch.nn.functional import adaptive_avg_pool2d

from synthaug.arrays import LAYOUTS, find_layout, from_grid, to_grid
from synthaug.errors import DataError, SynthaugError, SynthaugWarning, listed
from synthaug.fingerprint import identified
from synthaug.image_sources import check_map_style
from synthaug.images import ImageRecords, read_images
from synthaug.mix.dataset import find_mixed
from synthaug.mix.doubles import find_doubles
from synthaug.mix.drawing import spread
from synthaug.opened import OpenPool
from synthaug.pool import Pool, Source
from synthaug.rng import derive, isolated, numpy_rng

__all__ = ["Training", "check_apart", "check_doubles", "check_validation", "nearer_to_training"]

_CHECKED = 10_000  # validation items that are compared with what the generator saw
_AT_ONCE = 256  # items that are read
_REFUSED = 0.1  # share of them, beyond which the two sets are no longer apart but for a few doubles
_TRAINING = 10_000  # training images to which distances are taken
_COMPARED = 1_000  # synthetic and held-out images whose distances are taken
_LEARNED, _HELD_OUT = 0, 1  # seeds of the readings: items that are drawn at random are others in the two sets
_FEWEST = 20  # held-out or training images
_SIDE = 8  # fields along each side, whose means are compared
_CROPPED = 2 / 3  # of a side: the least that a crop leaves


class Training:
    """A training set whose images are read once, and only if they are needed; once more if others may be crops of them.

    Args:
        dataset: The data set, of which 10,000 items at most are read.
        layout: Of its images and those of the pool, where their shape can be read in two ways.
        reading: `image`, `label` and `size`, as in `read_images`.

    >>> train = Training([(np.full((16, 16), i, np.uint8), 0) for i in range(3)])
    >>> train.fields.means[:, 0, 0, 0].tolist()
    [0.0, 1.0, 2.0]
    """

    def __init__(self, dataset: Any, *, layout: str | None = None, **reading: Any) -> None:
        self.dataset, self.layout, self.reading = dataset, layout, reading
        self._found: dict[tuple[int, ...] | None, _Fields] = {}

    @property
    def fields(self) -> _Fields:
        """What is compared of the images."""
        return self.within(None)

    def within(self, crop: tuple[int, ...] | None) -> _Fields:
        """The same of their middle, of the height and width of `crop`."""
        if crop not in self._found:
            parts = _parts(self.dataset, spread(len(self.dataset), _TRAINING), self.reading, _LEARNED)
            self._found[crop] = _Fields.of((images for _, images in parts), self.layout, crop=crop)
        return self._found[crop]


def check_apart(datasets: Sequence[Any], images: ImageRecords, *, layout: str | None = None, **reading: Any) -> None:
    """Refuse a validation set of which the training set holds much, before a generator learns that.

    Args:
        datasets: Validation sets; nothing is said of those that cannot be compared.
        images: The training set.
        layout: Of its images, where their shape can be read in two ways.
        reading: `image`, `label` and `size`, as in `read_images`.

    Raises:
        DataError: the training set holds more than a tenth of the validation set.

    >>> train = read_images((np.zeros((2, 8, 8), np.uint8), [0, 1]))
    >>> check_apart([[(np.ones((8, 8), np.uint8), 0)]], train)
    """
    if not datasets:
        return
    records, labels = images.records, images.labels
    key, known = identified(records, labels)
    source = Source("training set", key, 0, digests=known)
    training = Pool.of(records[:1], labels[:1], source)
    for dataset in datasets:
        if find_mixed(dataset) is not None or not source.digests:
            continue
        places, seen, _ = _look(dataset, training, layout, reading)
        if seen.any() and seen.mean() > _REFUSED:
            raise DataError(
                f"The training set holds {seen.sum()} of {len(places)} validation items (the first is item "
                f"{places[seen.argmax()]}), so the validation score would be too good: take them out of one of the two."
            )


def check_validation(dataset: Any, pool: Pool | OpenPool, *, layout: str | None = None, **reading: Any) -> str:
    """Warn of validation items that the generator of the pool has seen, or that are synthetic.

    Items of floats from 0 to 1 or from -1 to 1 are compared with bytes in the pool.

    Args:
        dataset: The validation set.
        pool: The synthetic images; nothing is said of tables.
        layout: Of the pool's images, where their shape can be read in two ways.
        reading: `image`, `label` and `size`, as in `read_images`.

    Returns:
        What is not known and why, if the items cannot be compared; empty otherwise.

    Raises:
        DataError: it has seen more than a tenth of the validation set.

    >>> from synthaug.pool import Source
    >>> images = np.zeros((2, 8, 8), np.uint8)
    >>> check_validation([(images[0], 0)], Pool.of(images, [0, 1], Source("by hand", "", 0)))
    "whether the generator has seen validation items is not known: it was not noted what 'by hand' was trained on."
    """
    if find_mixed(dataset) is not None:
        _warn(
            "The validation loader holds synthetic items (its dataset is a MixedDataset, or a part of one), so its "
            "scores say little about real ones: validate on real items alone, and mix the training set only."
        )
        return ""
    if _is_table(pool):
        return ""
    unknown = "whether the generator has seen validation items is not known: "
    unnoted = [source.name for source in pool.sources if not source.digests]
    if unnoted:
        return f"{unknown}it was not noted what {listed(unnoted)} was trained on."
    places, seen, error = _look(dataset, pool, layout, reading)
    reason = "" if error is None else unknown + _reason(error)
    if not seen.any():
        return reason
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
    return reason


def check_doubles(dataset: Any, pool: Pool | OpenPool, train: Training) -> str:
    """Warn of validation images that are training images but for a change, if there are more than are usual.

    See `find_doubles`. Up to 1,000 validation and 10,000 training images are compared. Those that `check_validation`
    tells of are left out. Where validation images are smaller by up to a third of each side, they are also compared
    with the middle of training images, of which they may be crops.

    Args:
        dataset: The validation set.
        pool: The synthetic images; nothing is said of tables.
        train: The training set.

    Returns:
        What is not known and why, if the images cannot be compared; empty otherwise.

    >>> from synthaug.pool import Source
    >>> images = np.random.default_rng(0).integers(0, 256, (90, 8, 8)).astype(np.uint8)
    >>> train, held_out = Training([(image, 0) for image in images[:60]]), [(image, 0) for image in images[60:]]
    >>> check_doubles(held_out, Pool.of(images, [0] * 90, Source("by hand", "", 0)), train)
    ''
    """
    if find_mixed(dataset) is not None or _is_table(pool):
        return ""
    try:
        if len(train.dataset) < _FEWEST:
            return ""
        places, read = spread(len(dataset), _COMPARED), []
        told = np.zeros(len(places), bool)
        for part, images in _parts(dataset, places, train.reading, _HELD_OUT):
            read.append(_Fields.of([images], train.layout, _blank(pool).records))
            told[part] = _told(images, pool, train.layout)
        if told.all():
            return ""
        theirs, ours = np.concatenate([one.means for one in read])[~told], train.fields.means
        if theirs.shape[1] != ours.shape[1]:
            raise DataError(f"they have {theirs.shape[1]} channels, and training images have {ours.shape[1]}.")
        crop = _crop(train.fields.size, *{one.size for one in read})
        middles = ours if crop is None else train.within(crop).means
    except Exception as error:  # as above
        return f"whether validation images are changed training images is not known: {_reason(error)}"
    share, changed = len(ours) / len(train.dataset), "resized, normalised"
    found = find_doubles(theirs, ours, share=share)
    if crop is not None and not found.telling:
        found, changed = find_doubles(theirs, middles, share=share), "cropped, normalised"
    if found.telling:
        near = places[~told][found.near].tolist()
        _warn(
            f"{len(near)} of {len(found.near)} validation images look like training images that were changed "
            f"({changed}, flipped, turned): {listed(near)}. Among training images themselves, {found.usual.sum()} of "
            f"{len(found.usual)} are so near to another. Look at some beside the training images; if they are the same "
            "pictures, all scores on them are too good: split the images first, each with all its versions, and change "
            "them afterwards."
        )
    return ""


def nearer_to_training(pool: Pool | OpenPool, train: Training, *, held_out: Any, seed: int) -> tuple[float | None, str]:
    """How often a synthetic image is nearer to the training set than a held-out image of its class is.

    The area under the curve that tells the two apart by their distance to the nearest training image, by class, and
    weighted by the synthetic images of a class: half if they are as near as images that the generator never saw, 1 for
    copies. Training images that were deformed, and smooth images, are near as well. Far below a half, synthetic images
    stray from the data, or the held-out set holds training images. Distances are those of the means over 8 x 8 fields
    of each channel; up to 1,000 synthetic and held-out and 10,000 training images are compared. Where held-out images
    are smaller by up to a third of each side, and most of them are nearer to the middle of a training image than to a
    whole one, they are crops: then all distances are those of the middle.

    Args:
        pool: The synthetic images.
        train: The data set that their generator learned.
        held_out: One that it has not seen.
        seed: Of which images are compared.

    Returns:
        From 0 to 1, or None and the reason, where there are fewer than 20 held-out images or none of a class that is
        drawn, or where they cannot be compared.

    Source:
        Meehan, Chaudhuri and Dasgupta, "A non-parametric test to detect data-copying in generative models", AISTATS
        2020, section 3, with classes for cells.

    >>> from synthaug.pool import Source
    >>> images = np.random.default_rng(0).integers(0, 256, (60, 8, 8)).astype(np.uint8)
    >>> train, held_out = [(image, 0) for image in images[:30]], [(image, 0) for image in images[30:]]
    >>> copies = Pool.of(images[:30], [0] * 30, Source("copier", "", 0))
    >>> nearer_to_training(copies, Training(train), held_out=held_out, seed=0)
    (1.0, '')
    """
    rng, unknown = numpy_rng(seed, "nearer"), "`synthetic/nearer_to_training` is not logged: "
    if _is_table(pool):
        return None, ""
    try:
        check_map_style(held_out)
        if len(held_out) < _FEWEST:
            return None, f"{unknown}there are {len(held_out)} held-out images, and {_FEWEST} are needed."
        shown = pool.keep(np.sort(rng.permutation(len(pool))[:_COMPARED]))
        theirs = _read(held_out, np.sort(rng.permutation(len(held_out))[:_COMPARED]), train.reading, _HELD_OUT)
        made = _Fields.of([shown.records], train.layout)
        others = _Fields.of([theirs.records], train.layout, shown.records)
        near, far = _to_nearest(made, others, train.fields)
        crop = _crop(train.fields.size, others.size)
        if crop is not None and made.size == train.fields.size:
            middles = _Fields.of([shown.records], train.layout, crop=crop)
            of_middles = _to_nearest(middles, others, train.within(crop))
            if (of_middles[1] < far).mean() > 0.5:
                near, far = of_middles
    except SynthaugError as error:
        return None, unknown + _reason(error)
    areas, sizes = [], []
    for label in shown.labels.unique():
        mine, real = near[shown.labels == label], far[theirs.labels == label]
        if len(real):
            areas.append(float((mine[:, None] < real).mean() + (mine[:, None] == real).mean() / 2))
            sizes.append(len(mine))
    if not areas:
        return None, f"{unknown}no held-out image is of a class that is drawn."
    return float(np.average(areas, weights=sizes)), ""


def _look(
    dataset: Any, pool: Pool | OpenPool, layout: str | None, reading: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray, Exception | None]:
    """Places of items, as far as they can be compared, which of them the generator has seen, and what ended this."""
    places, seen = np.zeros(0, int), np.zeros(0, bool)
    try:
        check_map_style(dataset)
        places = spread(len(dataset), _CHECKED)
        for _, images in _parts(dataset, places, reading, _HELD_OUT):
            seen = np.append(seen, _seen(images, pool, layout))
    except Exception as error:  # items that raise, of another kind or of mixed sizes
        return places[: len(seen)], seen, error
    return places, seen, None


def _is_table(pool: Pool | OpenPool) -> bool:
    return isinstance(_blank(pool).records, pd.DataFrame)


def _blank(pool: Pool | OpenPool) -> Pool:
    """A pool whose records are of the same shape and type, and few if they lie in a folder."""
    return pool.blank if isinstance(pool, OpenPool) else pool


def _seen(images: np.ndarray, pool: Pool | OpenPool, layout: str | None) -> np.ndarray:
    """Which of the images the generator was trained on; a `DataError` if this is not known."""
    seen, known = np.zeros(len(images), bool), _blank(pool).records
    for same in _readings(images, known, layout):
        if (same.shape[1:], same.dtype) != (known.shape[1:], known.dtype):
            raise DataError(
                f"they have shape {same.shape[1:]} and dtype {same.dtype}, and images of the pool {known.shape[1:]} "
                f"and {known.dtype}, so they cannot be compared; `pool.trained_on(images)` of the plain validation "
                "images tells it."
            )
        seen |= pool.trained_on(same)
    return seen


def _told(images: np.ndarray, pool: Pool | OpenPool, layout: str | None) -> np.ndarray:
    """Those of which `check_validation` tells."""
    try:
        return _seen(images, pool, layout)
    except DataError:
        return np.zeros(len(images), bool)


def _reason(error: Exception) -> str:
    """Why items could not be read, without their places, which are those in a part."""
    cause = error.__cause__ or error
    return str(cause) if isinstance(cause, SynthaugError) else f"the data set raised {cause!r}."


def _parts(dataset: Any, places: np.ndarray, reading: dict[str, Any], seed: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Parts of the places, and the images there."""
    for start in range(0, len(places), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        yield part, _read(dataset, places[part], reading, derive(seed, "part", start)).records


def _read(dataset: Any, places: np.ndarray, reading: dict[str, Any], seed: int) -> ImageRecords:
    try:
        with isolated(seed):  # items may draw random crops
            items = [dataset[place] for place in places.tolist()]
    except Exception as error:  # whatever the user's data set raises
        raise DataError(f"The data set raised {error!r}.") from error
    return read_images(items, **reading)


def _axes(images: np.ndarray, layout: str | None, pool: np.ndarray | None = None) -> str:
    """How the axes of images are meant: if there are two ways, with the channels of the pool, else as `layout` says."""
    shape = images.shape[1:]
    try:
        return find_layout(shape)
    except DataError:  # it can be read in two ways, or in none
        if pool is None or len(shape) != 3:
            return find_layout(shape, layout)
        channels = to_grid(pool, _axes(pool, layout)).shape[1]
        fitting = [one for one in LAYOUTS if to_grid(images, one).shape[1] == channels]
        return find_layout(shape, fitting[0] if len(fitting) == 1 else layout)


def _readings(images: np.ndarray, pool: np.ndarray, layout: str | None) -> Iterator[np.ndarray]:
    """Images in the layout of the pool's; floats also as the bytes that they may have been, if these are bytes."""
    if images.shape[1:] != pool.shape[1:]:
        images = from_grid(to_grid(images, _axes(images, layout, pool)), _axes(pool, layout))
    low, high = images.min(), images.max()
    if pool.dtype != np.uint8 or images.dtype.kind != "f" or not (low >= -1 and high <= 1):
        yield images
        return
    if low >= 0:
        yield np.rint(images * 255).astype(np.uint8)
    yield np.rint((images + 1) * 127.5).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class _Fields:
    """Means over fields of images, and what tells on which scale they are.

    Args:
        means: `(n, C, 8, 8)`.
        dtype: Of the images.
        low: The least value of all.
        high: The greatest.
        size: Height and width of the images.
    """

    means: np.ndarray
    dtype: np.dtype
    low: float
    high: float
    size: tuple[int, ...]

    @classmethod
    def of(
        cls,
        parts: Iterable[np.ndarray],
        layout: str | None,
        pool: np.ndarray | None = None,
        *,
        crop: tuple[int, ...] | None = None,
    ) -> _Fields:
        means, low, high = [], np.inf, -np.inf
        for images in parts:
            grid = to_grid(images, _axes(images, layout, pool))
            means.append(_means(grid if crop is None else _middle(grid, crop)))
            low, high = min(low, images.min()), max(high, images.max())
        return cls(np.concatenate(means), images.dtype, float(low), float(high), grid.shape[2:])

    def like(self, pool: _Fields) -> np.ndarray:
        """The means, `(n, C * 64)`, on the scale of a pool, see `_readings`."""
        if self.means.shape[1] != pool.means.shape[1]:
            known, found = pool.means.shape[1], self.means.shape[1]
            raise DataError(f"Expected images of {known} channel{'s'[: known > 1]}, as in the pool, got {found}.")
        flat = self.means.reshape(len(self.means), -1)
        if pool.dtype != np.uint8 or self.dtype.kind != "f" or not (self.low >= -1 and self.high <= 1):
            return flat
        return flat * 255 if self.low >= 0 else (flat + 1) * 127.5


def _to_nearest(made: _Fields, others: _Fields, known: _Fields) -> tuple[np.ndarray, np.ndarray]:
    """Distances of synthetic and of other images to the nearest one that is known, on the scale of synthetic ones."""
    base = known.like(made)
    return cdist(made.like(made), base).min(axis=1), cdist(others.like(made), base).min(axis=1)


def _crop(size: tuple[int, ...], *others: tuple[int, ...]) -> tuple[int, ...] | None:
    """The size of other images, if it is one and they may be crops of those of `size`."""
    if len(others) != 1 or others[0] == size:
        return None
    fits = all(_CROPPED * whole <= part <= whole for whole, part in zip(size, others[0], strict=True))
    return others[0] if fits else None


def _middle(grid: np.ndarray, crop: tuple[int, ...]) -> np.ndarray:
    """As `CenterCrop` of torchvision."""
    top, left = (round((whole - part) / 2) for whole, part in zip(grid.shape[2:], crop, strict=True))
    return grid[:, :, top : top + crop[0], left : left + crop[1]]


def _means(grid: np.ndarray) -> np.ndarray:
    """Of each channel over 8 x 8 fields, `(n, C, 8, 8)`."""
    means: np.ndarray = adaptive_avg_pool2d(torch.from_numpy(grid.astype(np.float32)), _SIDE).numpy()
    if not np.isfinite(means).all():
        raise DataError("The images hold values that are not finite: mend them in the data set.")
    return means


def _warn(text: str) -> None:
    warnings.warn(text, SynthaugWarning, stacklevel=4)
