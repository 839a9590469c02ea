"""Pools of images as folders of files, which every other tool reads."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from synthaug.arrays import ArraySchema, extent, from_grid, likely_layout, to_grid
from synthaug.errors import (
    DataError,
    DataTypeError,
    FileExistsSynthaugError,
    ParameterError,
    StorageError,
    listed,
    raise_problems,
)
from synthaug.files import atomic_folder
from synthaug.labels import check_labels
from synthaug.opened import AnyPool, OpenPool, as_pool
from synthaug.pool import Pool, Source
from synthaug.schema import is_whole, plain
from synthaug.shards import MANIFEST

__all__ = ["read_pool", "write_images"]

_MODES = ("L", "LA", "RGB", "RGBA")  # of one to four channels
_FIELD = "synthaug"  # of a file's text
_LONGEST = 200  # bytes of a folder's name
_MOST_TEXT = 2**20  # characters that a file says of itself
_MOST_TEXTS = 2**24  # of all that differ
_MOST_BYTES = 8 * 2**30
_AT_ONCE = 1_000  # images in memory, of a pool that is in none
_DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$"}
_DEVICES |= {f"{port}{number}" for port in ("com", "lpt") for number in "123456789\u00b9\u00b2\u00b3"}

_SILENT = (
    "The file says nothing of what made it, which `write_images` notes in each, so it may be a real image: move it "
    "away. Real images are read with `read_images`."
)
_T = TypeVar("_T")


def write_images(
    pool: AnyPool, folder: str | os.PathLike[str], *, value_range: tuple[float, float] | None = None
) -> None:
    """Write a pool of images as PNG files, `folder/<label>/<place in the pool>.png`, for `read_pool` and other tools.

    Each file says in its text fields that it is synthetic (`Comment`), and what made it (`synthaug`: the name of the
    generator, the fingerprint of its training images, the seed and the `details`, beside what `read_pool` needs, as
    JSON).

    Args:
        pool: The images, of one to four channels: a `Pool` or the folder of one.
        folder: A folder that does not exist yet. It is whole or not there, also if the process is killed.
        value_range: What is black and what is white, of images of floats.

    Raises:
        DataError: labels that name no folder, here or on another system; more than four channels; floats outside of
            `value_range`; a source with more than a megabyte of `details`.
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
    form: dict[str, Any] = {"image": ArraySchema.of(blank.records).to_dict()}
    form |= {} if value_range is None else {"value_range": list(map(float, value_range))}
    raise_problems(_label_problems(list(pool.counts())))
    if folder.exists():
        raise FileExistsSynthaugError(f"{folder} exists: choose another folder.")
    with atomic_folder(folder) as temporary:
        for label in pool.counts():
            (temporary / str(label)).mkdir()
        for place, image, label, source in _each(pool):
            pixels = _as_bytes(image, place, value_range)
            path = temporary / str(label) / f"{place:06}.png"
            Image.fromarray(pixels).save(path, pnginfo=_told(source, {"label": plain(label), **form}))


def read_pool(folder: str | os.PathLike[str], *, max_bytes: int = _MOST_BYTES) -> Pool:
    """Read what is left of the PNG files that `write_images` wrote, after you looked at them and deleted the poor ones.

    Labels are what the folders are called, also of files that you moved to another one, in the type that they had:
    bools, ints, floats or strings. The order is that of the files' names: of places, whatever the label. Axes and dtype
    are those of the pool that was written; floats are within half of 1/255 of their `value_range`. What made each image
    comes back too, but for the digests that `Pool.trained_on` needs: a pool that is not to be sorted by hand is better
    saved, `pool.save(folder)`. Links are followed; hidden files, and those that are not called like images, left out.

    Args:
        folder: Where `write_images` wrote. It may be a stranger's.
        max_bytes: The most memory that the images may take.

    Raises:
        StorageError: files that do not say what made them, such as real images, so that none is taken for a synthetic
            one; files that are damaged, were changed, or differ from the first in shape, dtype, range or type of label;
            folders within those of the classes; no images, or more than `max_bytes` of them.

    >>> import tempfile
    >>> from synthaug import MixedDataset
    >>> real = [(np.zeros((8, 8), np.uint8), 0), (np.ones((8, 8), np.uint8), 7)]
    >>> pool = Pool.of(np.full((3, 8, 8), 200, np.uint8), [0, 7, 7], Source("by hand", "", 0))
    >>> with tempfile.TemporaryDirectory() as home:
    ...     write_images(pool, Path(home, "made"))
    ...     Path(home, "made", "7", "000001.png").unlink()
    ...     left = read_pool(Path(home, "made"))
    >>> left, left.sources[0].name, len(MixedDataset(real, left))
    (<Pool of 2 images of 8 x 8, uint8 (0: 1, 7: 1)>, 'by hand', 4)
    """
    folder = Path(folder)
    paths = _written(folder)
    made = list(_each_of(paths, partial(_Made.of, known={})))
    first = made[0]
    told = [(path, first.differences(one)) for path, one in zip(paths, made, strict=True)]
    raise_problems((f"{path}: {' '.join(differences)}" for path, differences in told if differences), StorageError)
    nbytes = len(paths) * first.schema.bytes
    if nbytes > max_bytes:
        raise StorageError(f"The images in {folder} take {nbytes} bytes, more than the {max_bytes} allowed.")
    records = np.empty((len(paths), *first.schema.shape), first.schema.dtype)
    for place, image in enumerate(_each_of(paths, first.pixels)):
        records[place] = image
    sources: dict[Source, int] = {}
    origin = np.array([sources.setdefault(one.source, len(sources)) for one in made], np.int32)
    return Pool(records, check_labels(pd.Series([one.label for one in made])), origin, tuple(sources))


def _each(pool: Pool | OpenPool) -> Iterator[tuple[int, np.ndarray, Any, Source]]:
    """Place, image, label and source of each record."""
    for start in range(0, len(pool), _AT_ONCE):
        part = pool.keep(np.arange(start, min(start + _AT_ONCE, len(pool))))
        for i, (image, label, origin) in enumerate(zip(part.records, part.labels, part.origin, strict=True)):
            yield start + i, image, label, part.sources[origin]


def _check_pixels(records: np.ndarray, value_range: Any) -> None:
    shape = records.shape[1:]
    channels, _ = extent(shape, likely_layout(shape))
    if channels > len(_MODES):
        raise DataError(
            f"Expected images of 1 to {len(_MODES)} channels, which a PNG file can have, got {channels}: save the "
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


def _told(source: Source, form: dict[str, Any]) -> PngInfo:
    """What a file says of itself."""
    made = {name: value for name, value in asdict(source).items() if name != "digests"} | form
    text = json.dumps(made)
    if len(text) > _MOST_TEXT:
        raise DataError(f"The `details` of {source.name!r} are too long to be in every file: save the pool instead.")
    info = PngInfo()
    info.add_itxt("Comment", f"A synthetic image, made by {source.name}.")
    info.add_itxt(_FIELD, text)
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
        if name.partition(".")[0].rstrip().casefold() in _DEVICES:
            yield f"No folder can be called {name!r} on Windows: rename the label, for example `labels.replace(...)`."
        other = names.setdefault(name.casefold(), label)
        if other != label:
            yield f"On some systems {name!r} and {str(other)!r} are one folder: rename one of these labels."


def _written(folder: Path) -> list[Path]:
    """The files in the folders of the classes, in the order of their names."""
    if (folder / MANIFEST).exists():
        raise StorageError(f"{folder} holds a pool that was saved, no PNG files: read it with `Pool.load`.")
    if not folder.is_dir():
        raise StorageError(f"{folder} is no folder: name the one that `write_images` wrote.")
    known = Image.registered_extensions()
    top = [path for path in folder.iterdir() if not path.name.startswith(".")]
    inner = [path for one in top if one.is_dir() for path in one.iterdir() if not path.name.startswith(".")]
    stray = [path for path in top if path.suffix.lower() in known and not path.is_dir()]
    problems = [f"Image {path} lies in no folder of a class: move it into one, or away." for path in stray]
    problems += [f"Folder {path} lies in that of a class: move it out of {folder}." for path in inner if path.is_dir()]
    raise_problems(sorted(problems), StorageError)
    paths = [path for path in inner if path.suffix.lower() in known]
    if not paths:
        raise StorageError(f"{folder} holds no images: name the folder that `write_images` wrote.")
    return sorted(paths, key=lambda path: (len(path.stem), path.stem, path))


def _each_of(paths: Iterable[Path], read: Callable[[Path], _T]) -> Iterator[_T]:
    """What `read` makes of each file; at the end one error that names those it refused, by reason."""
    refused: dict[str, list[Path]] = {}
    for path in paths:
        try:
            value = read(path)
        except StorageError as error:
            refused.setdefault(str(error), []).append(path)
        else:
            yield value
    raise_problems((f"{listed(them, 3, told=str)}: {reason}" for reason, them in refused.items()), StorageError)


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    """A PNG file; what is wrong with it as a `StorageError`."""
    if not path.is_file():
        raise StorageError("There is no file, or a link that leads nowhere: mend or remove it.")
    try:
        with Image.open(path, formats=["PNG"]) as file:
            yield file
    except UnidentifiedImageError as error:
        raise StorageError(_SILENT) from error
    except (OSError, SyntaxError, ValueError, IndexError, struct.error, Image.DecompressionBombError) as error:
        raise StorageError(f"The file is damaged ({error}): restore or remove it.") from error


@dataclass(frozen=True)
class _Made:
    """What a file says of its image: what made it, its label, and how it lay in the pool."""

    source: Source
    label: Any
    schema: ArraySchema
    value_range: tuple[float, float] | None

    @classmethod
    def of(cls, path: Path, *, known: dict[tuple[str, str, tuple[int, int]], Any]) -> _Made:
        """Of a file, whose pixels are not read; a `StorageError` for one that `write_images` did not write so.

        `known` keeps what was made of a text, since most files say the same.
        """
        with _open(path) as file:
            text, mode, size = file.info.get(_FIELD), file.mode, file.size[::-1]
            file.verify()  # checksums, which Pillow does not compare when it reads pixels
        if text is None:
            raise StorageError(_SILENT)
        told = text, mode, size
        if told not in known and len(text) + sum(len(one) for one, *_ in known) > _MOST_TEXTS:
            raise StorageError(f"The files say more than {_MOST_TEXTS} characters of themselves, no two the same.")
        try:
            if told not in known:
                known[told] = _parsed(*told)
            source, kind, schema, value_range = known[told]
            channels, expected = extent(schema.shape, likely_layout(schema.shape))
        except (StorageError, LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise StorageError(
                f"What the file says of itself is damaged ({error!s:.200}): restore or remove it."
            ) from error
        if size != expected or mode != dict(enumerate(_MODES, 1)).get(channels):
            raise StorageError(
                f"The file was changed: it has {size[0]} x {size[1]} pixels of mode {mode}, and was written of an "
                f"image of shape {schema.shape}. Restore or remove it."
            )
        return cls(source, _label(path.parent.name, kind), schema, value_range)

    def differences(self, other: _Made) -> list[str]:
        """What `other` has otherwise, one sentence each."""
        found = self.schema.differences(other.schema)
        if self.value_range != other.value_range:
            found.append(f"The range is {other.value_range} where {self.value_range} is expected.")
        ours, theirs = type(self.label).__name__, type(other.label).__name__
        return found + [f"The label is of type {theirs} where {ours} is expected."] * (ours != theirs)

    def pixels(self, path: Path) -> np.ndarray:
        """The image in a file that says the same of how it lay in the pool."""
        with _open(path) as file:
            file.load()
            pixels = np.asarray(file)
        grid = to_grid(pixels.reshape(1, *pixels.shape[:2], -1), "channels_last")
        image = from_grid(grid, likely_layout(self.schema.shape))[0]
        return image if self.value_range is None else _levels(self.schema, self.value_range)[image]


def _parsed(text: str, mode: str, size: tuple[int, int]) -> tuple[Source, type, ArraySchema, Any]:
    """Source, type of the label, schema and range; any error for what `_told` does not write."""
    if len(text) > _MOST_TEXT:
        raise ValueError(f"{len(text)} characters")
    made = json.loads(text)
    source = Source(made["name"], made["fingerprint"], made["seed"], made.get("details", {}))
    kind = type(made.get("label", ""))
    if kind not in (bool, int, float, str):
        raise TypeError(f"a label of type {kind.__name__}")
    if "image" not in made:  # written before files could be read back
        channels = _MODES.index(mode) + 1
        return source, kind, ArraySchema(size if channels == 1 else (*size, channels), "uint8"), None
    schema, value_range = ArraySchema.from_dict(made["image"]), made.get("value_range")
    if (value_range is None) != (schema.dtype == "uint8"):
        raise ValueError(f"pixels of {schema.dtype} with `value_range` {value_range!r}")
    if value_range is not None:
        low, high = value_range
        levels = _levels(schema, (low, high)) if {type(low), type(high)} <= {int, float} else np.empty(0)
        if not levels.size or not np.isfinite(levels).all() or low >= high:
            raise ValueError(f"`value_range` {value_range!r}")
        value_range = float(low), float(high)
    return source, kind, schema, value_range


def _levels(schema: ArraySchema, value_range: tuple[float, float]) -> np.ndarray:
    """`(256,)` what each byte stands for; not finite for a range too large."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.linspace(*value_range, 256).astype(schema.dtype)


def _label(name: str, kind: type) -> Any:
    """The label that gives a folder its name."""
    with suppress(ValueError):
        label = name == "True" if kind is bool else kind(name)
        if str(label) == name and is_whole(name) and (kind is not float or float(label).is_integer()):
            return label
    raise StorageError(
        f"The folder is called {name!r}, and labels are of type {kind.__name__}: move the file into the folder of a "
        "label, or away."
    )
