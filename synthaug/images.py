"""Images with their labels, out of whatever the user has: a Dataset, arrays, a tree of folders, a table of paths."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from synthaug.arrays import DTYPES, as_array, extent, from_grid, is_array, to_grid
from synthaug.errors import DataError, DataTypeError, ParameterError, listed, raise_problems
from synthaug.image_sources import Files, Pairs, check_map_style
from synthaug.items import ItemForm, converted, is_swapped
from synthaug.labels import check_labels
from synthaug.records import describe
from synthaug.rng import isolated

__all__ = ["ImageRecords", "ItemForm", "read_images", "size_problems"]

MODES = ("L", "LA", "RGB", "RGBA")
_BILINEAR = Image.Resampling.BILINEAR
_MOST = 10  # bad items after which no more are read
_NAMED = 3  # of them that are named


@dataclass(frozen=True, eq=False, repr=False)
class ImageRecords:
    """Images as `Synthesizer.fit` takes them, and how an item of the user's data set looks.

    Args:
        records: `(n, H, W)`, `(n, H, W, C)` or `(n, C, H, W)`, uint8, float32 or float64.
        labels: `n` bools, ints or strings.
        form: Of the items that they were read from.

    >>> images, labels = np.zeros((2, 8, 9), "uint8"), ["a", "b"]
    >>> read_images((images, labels))
    <ImageRecords of 2 images of 8 x 9, uint8, 2 classes: 'a' (1), 'b' (1)>
    """

    records: np.ndarray
    labels: pd.Series
    form: ItemForm

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        counts = self.labels.value_counts(sort=False)
        told = listed([f"{label!r} ({n})" for label, n in counts.items()], _NAMED, told=str)
        return f"<ImageRecords of {len(self)} {describe(self.records)}, {len(counts)} classes: {told}>"


def read_images(
    source: Any,
    *,
    image: Any = None,
    label: Any = None,
    size: tuple[int, int] | None = None,
    mode: str | None = None,
) -> ImageRecords:
    """Read every image and label of a source into memory, in the layout and dtype that they have.

    Args:
        source: A map-style Dataset (anything with a length whose items are found by position) of tuples, dicts or
            objects; a tuple `(images, labels)` of arrays or lists; a folder with one sub-folder a class, whose name is
            the label (links are followed, hidden folders left out); or a DataFrame with a column of paths. Images are
            PIL images, arrays or Tensors.
        image: Where the image is in an item: place, key or attribute, or the column of paths. By default 0 in tuples,
            else "image".
        label: Where the label is. By default 1 in tuples, else "label".

    Other Arguments:
        size: `(height, width)` to which all are resized (bilinear, by Pillow).
        mode: What PIL images and files are converted to: "L", "LA", "RGB" or "RGBA". Images of more than 8 bits are
            refused: they have to be scaled.

    Raises:
        DataError: no items; items that raise, that are None, or that have another size, mode or type than the first,
            by their index, and their file where the source tells (up to ten items at once); labels that are none; in
            the place of classes the parts of a data set, such as `train` and `test`, which hold the folders of classes;
            masked values.
        DataTypeError: a source of another kind, such as one that can only be iterated.
        ParameterError: a `size` or `mode` that is none.

    Warns:
        SynthaugWarning: all folders of a tree hold folders of the same names, which may be the classes.

    >>> read_images([(np.zeros((9, 8), "uint8"), 0), (None, 1)])
    Traceback (most recent call last):
    ...
    synthaug.errors.DataError: Item 1: The image is None: leave the item out of the data set.
    """
    _check_arguments(source, image, label, size, mode)
    if isinstance(source, ImageRecords):
        return source
    if isinstance(source, pd.DataFrame):
        image, label = "image" if image is None else image, "label" if label is None else label
        return _Reader(Files.of_frame(source, image, label), None, None, size, mode).read(label)
    if isinstance(source, str | os.PathLike):
        return _Reader(Files.of_tree(Path(source)), None, None, size, mode).read()
    if isinstance(source, tuple):
        pairs = Pairs.of(source)
        if len(pairs) and is_swapped(pairs[0]):
            raise DataError("Expected a tuple (images, labels), got (labels, images): swap them.")
        return _Reader(pairs, None, None, size, mode).read(pairs.name)
    if is_array(source):
        raise DataTypeError("Expected images with labels, got an array alone: pass `(images, labels)`.")
    check_map_style(source)
    with isolated(0):  # the user's data set may draw random crops
        return _Reader(source, image, label, size, mode).read()


def _check_arguments(source: Any, image: Any, label: Any, size: Any, mode: Any) -> None:
    problems = []
    given = {"image": image, "label": label, "size": size, "mode": mode}
    folder = isinstance(source, str | os.PathLike) and Path(source).is_dir()  # anything else is refused later
    useless = ["image", "label"] if isinstance(source, tuple) or folder else []
    useless = list(given) if isinstance(source, ImageRecords) else useless
    problems += [
        f"Expected no `{name}` for a source of type {type(source).__name__}, got {given[name]!r}: leave it out."
        for name in useless
        if given[name] is not None
    ]
    problems += size_problems(size)
    if mode not in (None, *MODES):
        problems.append(f"Expected `mode` to be one of {', '.join(MODES)}, got {mode!r}.")
    raise_problems(problems, ParameterError)


def size_problems(size: Any) -> list[str]:
    """What is wrong with a `size` to which images are to be resized; None is for none.

    >>> size_problems((28, 28)), size_problems(28)
    ([], ['Expected `size` to be (height, width) in pixels, got 28.'])
    """
    sides = size if isinstance(size, tuple | list) and len(size) == 2 else (0,)
    whole = all(isinstance(side, int | np.integer) and not isinstance(side, bool) and side > 0 for side in sides)
    return [] if size is None or whole else [f"Expected `size` to be (height, width) in pixels, got {size!r}."]


class _Reader:
    """Reads items one by one, and collects what is wrong with them."""

    def __init__(self, items: Any, image: Any, label: Any, size: tuple[int, int] | None, mode: str | None) -> None:
        self.items, self.image, self.label, self.size, self.mode = items, image, label, size, mode
        self.form: ItemForm | None = None

    def read(self, name: Any = None) -> ImageRecords:
        n = len(self.items)
        if n == 0:
            raise DataError("Expected at least one image with its label, got a data set of length 0.")
        records: Any = None
        labels: list[Any] = [None] * n
        problems: dict[str, list[int]] = {}
        cause: Exception | None = None
        for i in range(n):
            try:
                array, labels[i] = self._item(i)
            except Exception as error:  # whatever the user's data set raises
                ours = isinstance(error, DataError)
                text = str(error) if ours else f"The data set raised {error!r}: mend it, or leave the item out."
                problems.setdefault(text, []).append(i)
                cause = cause or error
                if sum(map(len, problems.values())) == _MOST:
                    break
            else:
                records = np.empty((n, *array.shape), array.dtype) if records is None else records
                records[i] = array
        _raise(problems, cause, n, self._file_of)
        assert self.form is not None
        return ImageRecords(records, check_labels(pd.Series(labels, name=name)), self.form)

    def _item(self, i: int) -> tuple[np.ndarray, Any]:
        """Pixels and label of an item, compared with those of the first."""
        item = self.items[i]
        if self.form is None:
            self.form = ItemForm.of(item, image=self.image, label=self.label, convert=self._convert)
        array, label = self.form.read(item, convert=self._convert)
        picture = self.form.picture
        if array.dtype.name != picture.dtype:
            raise DataError(
                f"The image has dtype {array.dtype}, where {picture.dtype} came first: convert all to one dtype."
            )
        if array.shape != picture.shape:
            raise DataError(
                f"The image has shape {array.shape}, where {picture.shape} came first: "
                f"{_remedy(array.shape, picture.shape, picture.kind)}."
            )
        return array, label

    def _file_of(self, i: int) -> str | None:
        """The file of an item, if the source tells."""
        with suppress(Exception):  # whatever the attributes of the user's data set hold
            return _file_of(self.items, i)
        return None

    def _convert(self, image: Any) -> Any:
        """The image in the mode and size asked for."""
        if isinstance(image, Image.Image):
            image = image if self.mode is None else converted(image, self.mode)
            return image if self.size is None else image.resize(self.size[::-1], _BILINEAR)
        if self.size is None or not is_array(image):
            return image
        resized = _resized(as_array(image), self.size)
        return resized if isinstance(image, np.ndarray) else image.new_tensor(resized)


def _file_of(items: Any, i: int) -> str | None:
    """The file of an item of ours, or of a data set with pairs of path and label, as an `ImageFolder`; or of a part."""
    if type(items).__name__ == "Subset":
        return _file_of(items.dataset, items.indices[i])
    if isinstance(items, Files):
        path = items.paths[i]
    else:
        pairs = items.samples if hasattr(items, "samples") else items.imgs
        path = pairs[i][0] if len(pairs) == len(items) and isinstance(pairs[i], tuple | list) else None
    return str(path) if isinstance(path, str | os.PathLike) else None


def _raise(
    problems: dict[str, list[int]], cause: Exception | None, n: int, file_of: Callable[[int], str | None]
) -> None:
    """Raise all problems, each with its items, as one error, with the first as its cause."""

    def named(text: str, i: int) -> str:
        file = file_of(i)
        return str(i) if file is None or file in text else f"{i} ({file})"

    told = [
        f"Item{'s' * (len(items) > 1)} {listed(items, _NAMED, told=partial(named, text))}: {text}"
        for text, items in problems.items()
    ]
    read = 1 + max((items[-1] for items in problems.values()), default=0)
    if sum(map(len, problems.values())) == _MOST and read < n:
        told.append(f"The {n - read} items from {read} on were not read.")
    try:
        raise_problems(told)
    except DataError as error:
        raise error from cause


def _remedy(shape: tuple[int, ...], first: tuple[int, ...], kind: str) -> str:
    """What to do about two shapes."""
    try:
        last = kind == "PIL" and shape[2:] == first[2:]  # of whatever size, as small ones could be read in two ways
        here, there = ("channels_last",) * 2 if last else (_layout(shape), _layout(first))
    except DataError:
        return "bring all to one size, one order of the axes and one number of channels in the data set"
    (channels, size), (first_channels, first_size) = extent(shape, here), extent(first, there)
    remedies = []
    if channels != first_channels:
        remedies.append("convert all to one number of channels")
    elif len(shape) != len(first):
        remedies.append("give all an axis of channels, or none")
    if "grey" not in (here, there) and here != there:
        order = (1, 2, 0) if there == "channels_last" else (2, 0, 1)
        turn = f"image.{'permute' if kind == 'tensor' else 'transpose'}{order}"
        remedies.append(f"bring the axes of all into one order, `{turn}` for those of this shape")
    if size != first_size:
        remedies.append(
            f"resize all, `size={first_size}` in `read_images`, or in `SyntheticMix` with a resizing `transform`"
        )
    return "; ".join(remedies)


def _resized(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image resized channel by channel."""
    layout = _layout(array.shape)
    planes = to_grid(array[None], layout)[0]
    if array.dtype.name not in DTYPES:
        return array  # to be refused for its dtype
    flat = planes if array.dtype == np.uint8 else planes.astype(np.float32)
    new = [np.asarray(Image.fromarray(np.ascontiguousarray(one)).resize(size[::-1], _BILINEAR)) for one in flat]
    grid = np.clip(np.stack(new).astype(array.dtype), array.min(), array.max())
    return from_grid(grid[None], layout)[0]


def _layout(shape: tuple[int, ...]) -> str:
    """The axes of an image that may be smaller than a record: channels are one to four."""
    few = [len(shape) == 3 and 1 <= shape[axis] <= 4 for axis in (-1, 0)]
    if len(shape) != 2 and few[0] == few[1]:
        raise DataError(f"How to resize an image of shape {shape} is not known: resize it in the data set.")
    return "grey" if len(shape) == 2 else "channels_last" if few[0] else "channels_first"
