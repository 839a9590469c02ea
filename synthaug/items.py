"""How one item of a user's data set looks: read image and label out of it, and write an item that looks the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from math import isnan
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from synthaug.arrays import DTYPES, SMALLEST, as_array, extent, find_layout, from_grid, is_array, to_grid
from synthaug.errors import DataError, DataTypeError, listed
from synthaug.labels import is_one_hot, scalar

__all__ = ["ImageForm", "ItemForm", "LabelForm", "converted", "entry", "is_swapped"]

_CONVERT = 'convert all, `mode="RGB"` in `read_images`, or in the data set'
_SCALE = (
    "scale the grey values of such images to bytes, in the data set or before they are saved, "
    "`Image.fromarray(np.uint8(np.asarray(image) * (255 / 65535)))`, with the greatest value of yours for 65535"
)

_BILEVEL, _PALETTES = "1", ("P", "PA")
_PLAIN = (("numpy", "ndarray"), ("torch", "Tensor"))
Convert = Callable[[Any], Any]
_NONE = "The item is None: leave it out of the data set."
_TO_ITEM = "pass `to_item`, a function of an image, an array, and a label that makes an item"
_ARGUMENTS = "(arguments of `read_images` and of what mixes)"


def _as_it_is(image: Any) -> Any:
    return image


@dataclass(frozen=True)
class ImageForm:
    """How an image comes: as a PIL image, an array or a Tensor.

    Args:
        kind: `"PIL"`, `"array"` or `"tensor"`.
        shape: Of the array that it is: `(H, W)`, `(H, W, C)` or `(C, H, W)`.
        dtype: Of that array.
        mode: Of a PIL image, such as `"L"` or `"RGB"`.
        subclass: Of `numpy.ndarray` or `torch.Tensor`, which images are, if they are of one.

    >>> form = ImageForm.of(Image.new("RGB", (9, 8)))
    >>> form.mode, form.shape, form.write(np.zeros((8, 9, 3), "uint8")).size
    ('RGB', (8, 9, 3), (9, 8))
    """

    kind: str
    shape: tuple[int, ...]
    dtype: str
    mode: str | None = None
    subclass: Any = None

    @classmethod
    def of(cls, image: Any) -> ImageForm:
        """The form of an image; a `DataError` for what is none, with the remedy."""
        kind = "PIL" if isinstance(image, Image.Image) else "array" if isinstance(image, np.ndarray) else "tensor"
        array = _pixels(image)
        if array.ndim not in (2, 3):
            raise DataError(f"Expected an image of 2 or 3 axes, got shape {array.shape}: return one image an item.")
        if array.dtype.name not in DTYPES or not array.dtype.isnative:
            remedy = _SCALE if kind == "PIL" else "convert it in the data set"
            raise DataTypeError(f"Expected an image of dtype uint8, float32 or float64, got {array.dtype}: {remedy}.")
        if kind == "PIL":
            return cls(kind, array.shape, array.dtype.name, image.mode)
        plain = (type(image).__module__, type(image).__name__) in _PLAIN
        return cls(kind, array.shape, array.dtype.name, subclass=None if plain else type(image))

    def read(self, image: Any) -> np.ndarray:
        """The pixels of an image of this kind and mode, of any shape and dtype."""
        if self.mode is not None and isinstance(image, Image.Image) and image.mode != self.mode:
            remedy = _SCALE if _is_deep(image.mode) or _is_deep(self.mode) else _CONVERT
            raise DataError(f"The image has mode {image.mode!r}, where {self.mode!r} came first: {remedy}.")
        return _pixels(image)

    def write(self, record: np.ndarray) -> Any:
        """An image of this form with the pixels of `record`, of any size, whose axes may be in another order."""
        if record.dtype.name != self.dtype:
            raise DataError(
                f"Expected synthetic images of dtype {self.dtype}, as in the data set, got {record.dtype}: fit the "
                f"generator on what `read_images` makes of this data set, or {_TO_ITEM}."
            )
        array = np.array(_relaid(record, self.shape), order="C")
        if self.kind == "array":
            return array if self.subclass is None else array.view(self.subclass)
        if self.kind == "tensor":
            import torch  # whoever has Tensors in the data set has it

            made = torch.from_numpy(array)
            return made if self.subclass is None else made.as_subclass(self.subclass)
        if self.mode == _BILEVEL:
            return Image.fromarray(array >= 128)
        return Image.frombytes(str(self.mode), (array.shape[1], array.shape[0]), array.tobytes())


def converted(image: Image.Image, mode: str) -> Image.Image:
    """A PIL image in another mode; a `DataTypeError` for grey values beyond bytes, which Pillow would cut off.

    >>> converted(Image.new("L", (9, 8)), "RGB").mode
    'RGB'
    """
    if image.mode == mode:
        return image
    if _is_deep(image.mode):
        pixels = np.asarray(image)
        if ((pixels >= 0) & (pixels <= 255) & (pixels == np.floor(pixels))).all():
            return Image.fromarray(pixels.astype(np.uint8)).convert(mode)
        raise DataTypeError(
            f"The image has mode {image.mode!r}, and a conversion to {mode!r} would round its grey values and cut them "
            f"off at 255: {_SCALE}."
        )
    return image.convert(mode)


def _is_deep(mode: str) -> bool:
    """Whether pixels have more than 8 bits a channel: "I", "I;16", "F" and their like."""
    return mode[0] in "IF"


def _pixels(image: Any) -> np.ndarray:
    if isinstance(image, Image.Image):
        if image.mode in _PALETTES:
            raise DataTypeError(f"The image has mode {image.mode!r}, whose pixels are numbers of colours: {_CONVERT}.")
        array = np.asarray(image)
        return array.astype(np.uint8) * np.uint8(255) if image.mode == _BILEVEL else array
    if is_array(image):
        return as_array(image)
    if image is None:
        raise DataError("The image is None: leave the item out of the data set.")
    if isinstance(image, str | os.PathLike):
        raise DataTypeError(
            f"Expected a PIL image, an array or a Tensor for the image, got {str(image)!r}: open it in the data set, "
            'or read files by a table, `read_images(pd.DataFrame({"image": paths, "label": labels}))`.'
        )
    raise DataTypeError(f"Expected a PIL image, an array or a Tensor for the image, got {type(image).__name__}.")


def _relaid(record: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`record`, of any size, with its axes in the order of an image of `shape`."""
    if record.shape == shape:
        return record
    layout = find_layout(shape)
    grid = to_grid(record[None], find_layout(record.shape))
    if grid.shape[1] != extent(shape, layout)[0]:
        raise DataError(
            f"Expected synthetic images with the channels of those in the data set, of shape {shape}, got "
            f"{record.shape}: fit the generator on what `read_images` makes of this data set, or {_TO_ITEM}."
        )
    return from_grid(grid, layout)[0]


@dataclass(frozen=True)
class LabelForm:
    """How a label comes: as a plain bool, int or string, a numpy scalar, or an array or Tensor of one value.

    Whole floats, as a loss on logits wants them, name classes as ints do.

    Args:
        type: `"bool"`, `"int"` or `"str"`: what it is as a plain value.
        kind: `"plain"`, `"float"`, `"scalar"`, `"array"` or `"tensor"`.
        dtype: Of the last three.
        shape: Of an array or Tensor: `()` or `(1,)`.

    >>> form = LabelForm.of(np.array([3.0]))
    >>> form.read(np.array([4.0])), form.write(4)
    (4, array([4.]))
    """

    type: str
    kind: str = "plain"
    dtype: str = ""
    shape: tuple[int, ...] = ()

    @classmethod
    def of(cls, label: Any) -> LabelForm:
        """The form of a label; a `DataError` for what is none, with the remedy."""
        name = type(_plain(label)).__name__
        if is_array(label):
            if isinstance(label, np.ndarray):
                return cls(name, "array", label.dtype.type.__name__, label.shape)  # of a string, whatever its length
            return cls(name, "tensor", str(label.dtype).removeprefix("torch."), tuple(label.shape))
        if isinstance(label, np.generic) and name != "str":
            return cls(name, "scalar", label.dtype.name)
        return cls(name, "float" if isinstance(label, float) else "plain")

    def read(self, label: Any) -> bool | int | str:
        """The plain label; a `DataError` for one of another type than the first."""
        value = _plain(label)
        if type(value).__name__ != self.type:
            raise DataError(f"The label is {value!r}, where a label of type {self.type} came first: use one type.")
        return value

    def write(self, label: Any) -> Any:
        """A label of this form."""
        value = {"bool": bool, "int": int, "str": str}[self.type](label)
        if self.kind in ("plain", "float"):
            return float(value) if self.kind == "float" else value
        if self.kind == "tensor":
            import torch  # whoever has Tensors in the data set has it

            return torch.tensor(value, dtype=getattr(torch, self.dtype)).reshape(self.shape)
        if self.kind == "array":
            return np.array(value, self.dtype).reshape(self.shape)
        return np.dtype(self.dtype).type(value)


def _plain(label: Any) -> bool | int | str:
    """A label as a bool, int or string."""
    label = scalar(label)
    if is_array(label) or isinstance(label, list | tuple):
        raise DataTypeError(_several(label))
    for kind in (bool, int, str):
        if isinstance(label, kind):
            return kind(label)
    if label is None or label is pd.NA or label is pd.NaT or (isinstance(label, float) and isnan(label)):
        raise DataError(f"The label is {label!r}: leave the item out, or give such items a class of their own.")
    if isinstance(label, float) and label.is_integer():
        return int(label)
    if isinstance(label, float):
        raise DataTypeError(f"The label is {label!r}: bin such values, or use whole numbers that name classes.")
    raise DataTypeError(f"Expected a bool, an int or a string for the label, got {type(label).__name__} {label!r}.")


def _several(label: Any) -> str:
    """What is wrong with an array, a Tensor, a list or a tuple for a label, and what to do about it."""
    array = is_array(label)
    shape = tuple(label.shape) if array else (len(label),)
    told = f"Expected one class for the label, got shape {shape}"
    if set(shape) == {1}:
        return f"{told}: return {'`label.item()`' if array else '`label[0]`'}."
    if is_one_hot(label, axis=None):
        return f"{told}: return `{'int(label.argmax())' if array else 'label.index(1)'}` if every label is one-hot."
    return (
        f"{told}, and not one-hot: each item needs exactly one class; several labels an item (multi-label) and soft "
        "labels are not supported."
    )


@dataclass(frozen=True)
class ItemForm:
    """How an item looks: a tuple, list, named tuple, dict or object with an image and a label.

    Args:
        container: The class of items.
        keys: Everything that an item holds: places, keys or attributes, as far as it is known.
        image: Which of them is the image.
        label: Which of them is the label.
        picture: How images come.
        target: How labels come.

    >>> form = ItemForm.of((Image.new("L", (8, 8)), 7))
    >>> array, label = form.read((Image.new("L", (8, 8), 255), 3))
    >>> array.shape, label
    ((8, 8), 3)
    >>> form.write(array, 3)[1], form.write(array, 3)[0].getextrema()
    (3, (255, 255))
    """

    container: Any
    keys: tuple[Any, ...]
    image: Any
    label: Any
    picture: ImageForm
    target: LabelForm

    @classmethod
    def of(cls, item: Any, *, image: Any = None, label: Any = None, convert: Convert = _as_it_is) -> ItemForm:
        """The form of an item.

        Args:
            item: One item of the data set.
            image: Place, key or attribute of the image; by default 0 in a tuple or list, else "image".
            label: Likewise of the label; by default 1, else "label".
            convert: Applied to the image first.

        Raises:
            DataError: no image or no label there, or of a type that is none.
        """
        keys = _keys(item)
        image, label = _key(item, keys, image, "image", 0), _key(item, keys, label, "label", 1)
        if image == label:
            raise DataError(
                f"Expected two places for image and label, got {image!r} for both: say both, `image=..., label=...`."
            )
        _check_places(item, keys, image, label)
        picture, target = ImageForm.of(convert(entry(item, image))), LabelForm.of(entry(item, label))
        return cls(type(item), keys, image, label, picture, target)

    def read(self, item: Any, *, convert: Convert = _as_it_is) -> tuple[np.ndarray, bool | int | str]:
        """The pixels and the plain label of an item; a `DataError` if it looks otherwise (its size is not compared)."""
        if item is None:
            raise DataError(_NONE)
        try:
            image, label = entry(item, self.image), entry(item, self.label)
        except (LookupError, AttributeError, TypeError) as error:
            raise DataError(
                f"Expected a {self.container.__name__} with {self.image!r} and {self.label!r}, as came first, got a "
                f"{type(item).__name__}: return items of one kind."
            ) from error
        return self.picture.read(convert(image)), self.target.read(label)

    def write(self, record: np.ndarray, label: Any) -> Any:
        """An item of this form with a synthetic image and its label.

        Raises:
            DataError: items hold more than an image and a label; `record` has another dtype or number of channels.
        """
        if not self.keys:
            raise DataError(f"How to make a {self.container.__name__} is not known: {_TO_ITEM}.")
        others = [key for key in self.keys if key not in (self.image, self.label)]
        if others:
            raise DataError(
                f"Items also hold {', '.join(map(repr, others))}, and what a synthetic one has there is not known: "
                f"{_TO_ITEM}, such as `lambda image, label: {self._sketch()}` "
                "with a value of yours, of the type of those there, for each `-1`."
            )
        values = {self.image: self.picture.write(record), self.label: self.target.write(label)}
        ordered = {key: values[key] for key in self.keys}
        if issubclass(self.container, Mapping):
            return self.container(ordered)
        if not issubclass(self.container, tuple | list):
            return self.container(**ordered)
        if hasattr(self.container, "_fields"):
            return self.container(*ordered.values())
        return self.container(ordered.values())

    def _sketch(self) -> str:
        """How a function makes an item, in Python."""
        made = {"array": "image", "tensor": "torch.from_numpy(image)", "PIL": "Image.fromarray(image)"}
        target = {"tensor": f"torch.tensor(label, dtype=torch.{self.target.dtype})", "array": "np.array(label)"}
        label = target.get(self.target.kind, "label")
        names = {self.image: made[self.picture.kind], self.label: label}
        values = {key: names.get(key, "-1") for key in self.keys}
        if issubclass(self.container, Mapping):
            return f"{{{', '.join(f'{key!r}: {value}' for key, value in values.items())}}}"
        if issubclass(self.container, list):
            return f"[{', '.join(values.values())}]"
        name = "" if self.container is tuple else self.container.__name__
        named = () if issubclass(self.container, tuple) else values
        return f"{name}({', '.join(f'{key}={value}' if key in named else value for key, value in values.items())})"


def _keys(item: Any) -> tuple[Any, ...]:
    """Places, keys or attributes of an item; none for an object that does not tell."""
    if isinstance(item, Mapping):
        return tuple(item)
    if isinstance(item, tuple | list):
        return tuple(range(len(item)))
    if item is None:
        raise DataError(_NONE)
    if is_array(item) or isinstance(item, Image.Image):
        raise DataError("The item is an image without a label: return `(image, label)`, or pass `(images, labels)`.")
    return tuple(field.name for field in fields(item)) if is_dataclass(item) else ()


def _key(item: Any, keys: tuple[Any, ...], given: Any, name: str, place: int) -> Any:
    """Where the image or the label of an item is."""
    names = getattr(item, "_fields", ())
    key = given if given is not None else place if isinstance(item, tuple | list) and name not in names else name
    if key in names:
        return names.index(key)
    if isinstance(item, tuple | list) and isinstance(key, int) and -len(keys) <= key < 0:
        return key % len(keys)
    there = key in keys if isinstance(item, Mapping | tuple | list) else hasattr(item, str(key))
    if not there:
        raise DataError(
            f"The item is a {type(item).__name__} without {key!r}: say where its {name} is, `{name}=...`"
            f"{f', one of {list(names or keys)}' if keys else ''} (an argument of `read_images` and of what mixes)."
        )
    return key


def _check_places(item: Any, keys: tuple[Any, ...], image: Any, label: Any) -> None:
    """Refuse an image in the place of the label, or none in its own while there is one elsewhere."""
    here = entry(item, image)
    if not _is_picture(entry(item, label)) and (here is None or is_array(here) or isinstance(here, Image.Image)):
        return
    entries = {key: entry(item, key) for key in (*keys, image, label)}
    pictures = [key for key, value in entries.items() if _is_picture(value)]
    if not pictures:
        return
    wrong = f"{image!r} of the item, where its image is looked for, is of type {type(here).__name__}"
    if label in pictures:
        wrong = f"{label!r} of the item, where its label is looked for, is an image"
    labels = [key for key, value in entries.items() if key not in pictures and _is_class(value)]
    if not labels:
        raise DataTypeError(f"Entry {wrong}, and no entry is a class: return one class an image; a mask is none.")
    places = ([image] if image in pictures else pictures), ([label] if label in labels else labels)
    one = [repr(keys[0]) if len(keys) == 1 else "..." for keys in places]
    raise DataError(
        f"Entry {wrong}. Images are at {listed(pictures)}, classes at {listed(labels)}: pass `image={one[0]}, "
        f"label={one[1]}` {_ARGUMENTS}."
    )


def is_swapped(pair: tuple[Any, Any]) -> bool:
    """Whether an image comes second in a pair, and a label first.

    >>> is_swapped((3, np.zeros((8, 8)))), is_swapped((np.zeros((8, 8)), 3))
    (True, False)
    """
    return _is_picture(pair[1]) and _is_class(pair[0])


def _is_picture(value: Any) -> bool:
    """Whether this can only be an image, no label."""
    sides = sorted(value.shape) if is_array(value) else []
    return isinstance(value, Image.Image) or (len(sides) in (2, 3) and sides[-2] >= SMALLEST)


def _is_class(value: Any) -> bool:
    try:
        _plain(value)
    except DataError:
        return False
    return True


def entry(item: Any, key: Any) -> Any:
    """What an item holds at a place, key or attribute.

    >>> entry(("a", 3), 1), entry({"label": 4}, "label")
    (3, 4)
    """
    return item[key] if isinstance(item, Mapping | tuple | list) else getattr(item, key)
