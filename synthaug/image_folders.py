"""Pools of images as folders of files, which every other tool reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from synthaug.arrays import extent, likely_layout, to_grid
from synthaug.errors import DataError, DataTypeError, FileExistsSynthaugError, ParameterError, raise_problems
from synthaug.files import atomic_folder
from synthaug.opened import AnyPool, OpenPool, as_pool
from synthaug.pool import Pool, Source
from synthaug.schema import plain

__all__ = ["write_images"]

_MOST_CHANNELS = 4
_LONGEST = 200  # bytes of a folder's name
_AT_ONCE = 1_000  # images in memory, of a pool that is in none


def write_images(
    pool: AnyPool, folder: str | os.PathLike[str], *, value_range: tuple[float, float] | None = None
) -> None:
    """Write a pool of images as PNG files, `folder/<label>/<place in the pool>.png`: the inverse of `read_images`.

    Each file says in its text fields that it is synthetic (`Comment`), and what made it (`synthaug`: the name of the
    generator, the fingerprint of its training images, and the seed, as JSON).

    Args:
        pool: The images, of one to four channels: a `Pool` or the folder of one.
        folder: A folder that does not exist yet. It is whole or not there, also if the process is killed.
        value_range: What is black and what is white, of images of floats.

    Raises:
        DataError: labels that name no folder; more than four channels; floats outside of `value_range`.
        DataTypeError: a pool of table rows, or floats without `value_range`.
        FileExistsSynthaugError: something is at `folder`.
        ParameterError: a `value_range` that is none.

    >>> import tempfile
    >>> from synthaug import read_images
    >>> pool = Pool.of(np.full((2, 8, 8), 200, np.uint8), ["cat", "dog"], Source("by hand", "", 0))
    >>> with tempfile.TemporaryDirectory() as home:
    ...     write_images(pool, Path(home, "made"))
    ...     read_images(Path(home, "made"))
    <ImageRecords of 2 images of 8 x 8, uint8, 2 classes: 'cat' (1), 'dog' (1)>
    """
    pool, folder = as_pool(pool), Path(folder)
    blank = pool.blank if isinstance(pool, OpenPool) else pool
    if not isinstance(blank.records, np.ndarray):
        raise DataTypeError("Expected a pool of images, got one of table rows: `pool.to_dataframe().to_csv(path)`.")
    _check_pixels(blank.records, value_range)
    raise_problems(_label_problems(list(pool.counts())))
    if folder.exists():
        raise FileExistsSynthaugError(f"{folder} exists: choose another folder.")
    with atomic_folder(folder) as temporary:
        for label in pool.counts():
            (temporary / str(label)).mkdir()
        for place, image, label, source in _each(pool):
            pixels = _as_bytes(image, place, value_range)
            path = temporary / str(label) / f"{place:06}.png"
            Image.fromarray(pixels).save(path, pnginfo=_told(source))


def _each(pool: Pool | OpenPool) -> Iterator[tuple[int, np.ndarray, Any, Source]]:
    """Place, image, label and source of each record."""
    for start in range(0, len(pool), _AT_ONCE):
        part = pool.keep(np.arange(start, min(start + _AT_ONCE, len(pool))))
        for i, (image, label, origin) in enumerate(zip(part.records, part.labels, part.origin, strict=True)):
            yield start + i, image, label, part.sources[origin]


def _check_pixels(records: np.ndarray, value_range: Any) -> None:
    shape = records.shape[1:]
    channels, _ = extent(shape, likely_layout(shape))
    if channels > _MOST_CHANNELS:
        raise DataError(
            f"Expected images of 1 to {_MOST_CHANNELS} channels, which a PNG file can have, got {channels}: save the "
            "pool instead, `pool.save(folder)`."
        )
    if value_range is None:
        if records.dtype != np.uint8:
            raise DataTypeError(
                f"Expected images of bytes, got dtype {records.dtype}: say what is black and what is white, for "
                "example `value_range=(0, 1)`."
            )
        return
    if records.dtype == np.uint8:
        raise ParameterError(f"Expected no `value_range` for images of bytes, got {value_range!r}: leave it out.")
    pair = isinstance(value_range, tuple | list) and len(value_range) == 2
    numbers = pair and all(isinstance(plain(one), int | float) and np.isfinite(one) for one in value_range)
    if not numbers or not value_range[0] < value_range[1]:
        raise ParameterError(f"Expected `value_range` to be two finite numbers, the lower first, got {value_range!r}.")


def _as_bytes(image: np.ndarray, place: int, value_range: tuple[float, float] | None) -> np.ndarray:
    """Pixels as Pillow takes them: `(H, W)` or `(H, W, C)`."""
    if value_range is not None:
        low, high = map(float, value_range)
        if not low <= image.min() <= image.max() <= high:
            raise DataError(
                f"Image {place} has values from {image.min():.4g} to {image.max():.4g}, outside of "
                f"`value_range={value_range}`: name the range of all, or clip `pool.records`."
            )
        image = np.rint((image - low) * (255 / (high - low))).astype(np.uint8)
    grid = to_grid(image[None], likely_layout(image.shape))[0]
    return np.ascontiguousarray(grid[0] if len(grid) == 1 else grid.transpose(1, 2, 0))


def _told(source: Source) -> PngInfo:
    """What a file says of itself."""
    info = PngInfo()
    info.add_itxt("Comment", f"A synthetic image, made by {source.name}.")
    made = {"name": source.name, "fingerprint": source.fingerprint, "seed": source.seed}
    info.add_itxt("synthaug", json.dumps(made))
    return info


def _label_problems(labels: list[Any]) -> Iterator[str]:
    """Which labels cannot be the names of folders here, or elsewhere."""
    names: dict[str, Any] = {}
    for label in labels:
        name = str(label)
        usual = name.isprintable() and name == name.strip() and not name.startswith(".") and not name.endswith(".")
        short = 0 < len(name.encode()) <= _LONGEST
        if not usual or not short or any(sign in name for sign in '/\\:*?"<>|'):
            yield f"No folder can be called {name!r:.50}: rename the label, for example `labels.replace(...)`."
        other = names.setdefault(name.casefold(), label)
        if other != label:
            yield f"On some systems {name!r} and {str(other)!r} are one folder: rename one of these labels."
