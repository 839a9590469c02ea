"""Arrays of images: which ones are taken, how their axes are read, and how they lie in a table on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa

from synthaug.errors import DataError, DataTypeError, ParameterError, StorageError

__all__ = [
    "DTYPES",
    "LAYOUTS",
    "SMALLEST",
    "ArraySchema",
    "as_array",
    "check_images",
    "extent",
    "find_layout",
    "from_grid",
    "is_array",
    "likely_layout",
    "to_grid",
]

LAYOUTS = ("channels_last", "channels_first")
"""How the axes of an image of three axes can be meant: `(H, W, C)` or `(C, H, W)`."""
DTYPES = ("uint8", "float32", "float64")
SMALLEST = 8
"""The least height and width of an image, in pixels."""

_COLUMN = "image"
_LARGEST = 2**31 - 1  # bytes of one image: the widest value that Arrow knows


def is_array(value: Any) -> bool:
    """Whether this is a numpy array or a torch Tensor (told without importing torch).

    >>> is_array(np.zeros(3)), is_array([0, 0, 0])
    (True, False)
    """
    return isinstance(value, np.ndarray) or _is_tensor(value)


def _is_tensor(value: Any) -> bool:
    return any(kind.__module__ == "torch" and kind.__name__ == "Tensor" for kind in type(value).__mro__)


def as_array(value: Any) -> np.ndarray:
    """A numpy array as it is, and a torch Tensor as the array it is.

    Raises:
        DataTypeError: anything else.
        DataError: a masked array in which something is masked.

    >>> as_array(np.zeros((2, 8, 8))).shape
    (2, 8, 8)
    """
    if isinstance(value, np.ma.MaskedArray):
        return _unmasked(value)
    if isinstance(value, np.ndarray):
        return value
    if not _is_tensor(value):
        raise DataTypeError(f"Expected a numpy array or a torch Tensor, got {type(value).__name__}.")
    try:
        array: np.ndarray = value.detach().cpu().numpy()
    except (TypeError, RuntimeError) as error:  # bfloat16, sparse, quantised
        raise DataTypeError(
            f"A Tensor of dtype {value.dtype} has no counterpart in numpy ({error}): convert it, for example "
            "`images.float()`."
        ) from error
    return array


def _unmasked(value: np.ma.MaskedArray[Any, Any]) -> np.ndarray:
    masked = int(np.ma.getmaskarray(value).sum())
    if masked:
        raise DataError(
            f"Expected a value everywhere, got a masked array of shape {value.shape} in which {masked} of {value.size} "
            "are masked: say what is there instead, for example `array.filled(0)`, or leave out what is masked."
        )
    return np.ma.getdata(value)


def check_images(value: Any) -> np.ndarray:
    """Images as an array `(n, H, W)`, `(n, H, W, C)` or `(n, C, H, W)`; pixels and sizes are not looked at.

    Raises:
        DataTypeError: neither an array nor a Tensor, or of a dtype other than uint8, float32 and float64.
        DataError: another number of axes; or values that are masked.

    >>> check_images(np.zeros((2, 8, 8), "int64"))
    Traceback (most recent call last):
    ...
    synthaug.errors.DataTypeError: Expected images of dtype uint8, float32 or float64, got int64: if the pixels lie in 0 to 255, convert them by `images.astype("uint8")`.
    """  # noqa: E501
    array = as_array(value)
    if array.dtype == object:
        raise DataTypeError(
            "Expected an array of pixels, got an array of objects: `numpy.stack(list(images))` makes one of images of "
            "one size; `synthaug.read_images((list(images), labels), size=(height, width))` takes several sizes."
        )
    if array.dtype not in map(np.dtype, DTYPES):
        raise DataTypeError(f"Expected images of dtype uint8, float32 or float64, got {array.dtype}: {_remedy(array)}.")
    if array.ndim not in (3, 4):
        raise DataError(
            f"Expected images in an array of 3 or 4 axes, (n, H, W), (n, H, W, C) or (n, C, H, W), got shape "
            f"{array.shape}{': one image goes in as `image[None]`' if array.ndim == 2 else ''}."
        )
    return array


def _remedy(array: np.ndarray) -> str:
    if array.dtype == bool:
        return "write them as `255 * images.astype('uint8')`"
    if array.dtype.kind in "iu":
        return 'if the pixels lie in 0 to 255, convert them by `images.astype("uint8")`'
    return 'convert them by `images.astype("float32")`'


def find_layout(shape: tuple[int, ...], layout: str | None = None) -> str:
    """How the axes of one image are meant: `"grey"` (H, W), `"channels_last"` or `"channels_first"`.

    Height and width are at least 8, so that most shapes can be meant in one way only; any others must be told.

    Args:
        shape: Of one image.
        layout: What the user says of images of three axes.

    Raises:
        DataError: no reading, or two.
        ParameterError: `layout` is none.

    >>> find_layout((28, 28)), find_layout((3, 32, 48)), find_layout((32, 48, 3))
    ('grey', 'channels_first', 'channels_last')
    >>> find_layout((13, 32, 32))
    Traceback (most recent call last):
    ...
    synthaug.errors.DataError: Images of shape (13, 32, 32) can be read in two ways: as 32 channels of 13 x 32 pixels, channels last, or as 13 channels of 32 x 32 pixels, channels first. Say which: `ImageCodec(layout="channels_last")` or `ImageCodec(layout="channels_first")`.
    """  # noqa: E501
    if layout not in (None, *LAYOUTS):
        raise ParameterError(f"Expected `layout` to be None, {' or '.join(map(repr, LAYOUTS))}, got {layout!r}.")
    if len(shape) == 2 and min(shape) >= SMALLEST:
        return "grey"
    possible = [one for one in LAYOUTS if len(shape) == 3 and min(extent(shape, one)[1]) >= SMALLEST and min(shape) > 0]
    if layout in possible:
        return layout
    if not possible:
        raise DataError(
            f"Expected images of at least {SMALLEST} x {SMALLEST} pixels, got shape {shape}: enlarge them, for example "
            f"`read_images(..., size=(16, 16))`{', or mend the order of the axes' if len(shape) == 3 else ''}."
        )
    if layout is not None:
        raise DataError(
            f'With `layout="{layout}"`, images of shape {shape} are {_tell(shape, layout)}, and '
            f'{SMALLEST} x {SMALLEST} is the least: say `layout="{possible[0]}"`, or mend the order of the axes.'
        )
    if len(possible) == 2:
        raise DataError(
            f"Images of shape {shape} can be read in two ways: as {_tell(shape, LAYOUTS[0])}, channels last, or as "
            f'{_tell(shape, LAYOUTS[1])}, channels first. Say which: `ImageCodec(layout="{LAYOUTS[0]}")` or '
            f'`ImageCodec(layout="{LAYOUTS[1]}")`.'
        )
    return possible[0]


def likely_layout(shape: tuple[int, ...]) -> str:
    """Like `find_layout`; of two readings the one with fewer channels, which is enough for a picture or a distance.

    >>> likely_layout((13, 32, 32)), likely_layout((28, 28))
    ('channels_first', 'grey')
    """
    try:
        return find_layout(shape)
    except DataError:
        if len(shape) != 3 or min(shape) < SMALLEST:
            raise
        return "channels_first" if shape[0] < shape[-1] else "channels_last"


def extent(shape: tuple[int, ...], layout: str) -> tuple[int, tuple[int, ...]]:
    """The number of channels of an image in this layout, and its height and width.

    >>> extent((8, 9), "grey"), extent((8, 9, 3), "channels_last"), extent((3, 8, 9), "channels_first")
    ((1, (8, 9)), (3, (8, 9)), (3, (8, 9)))
    """
    if layout == "channels_first":
        return shape[0], shape[1:]
    return (shape[2] if len(shape) == 3 else 1), shape[:2]


def _tell(shape: tuple[int, ...], layout: str) -> str:
    channels, size = extent(shape, layout)
    return f"{channels} channels of {' x '.join(map(str, size))} pixels"


def to_grid(images: np.ndarray, layout: str) -> np.ndarray:
    """Images in the `layout` that `find_layout` found as `(n, C, H, W)`, a view.

    >>> to_grid(np.zeros((5, 9, 8, 3)), "channels_last").shape
    (5, 3, 9, 8)
    """
    if layout == "grey":
        return images[:, None]
    return images if layout == "channels_first" else images.transpose(0, 3, 1, 2)


def from_grid(grid: np.ndarray, layout: str) -> np.ndarray:
    """The inverse of `to_grid`, a view.

    >>> from_grid(np.zeros((5, 1, 9, 8)), "grey").shape
    (5, 9, 8)
    """
    if layout == "grey":
        return grid[:, 0]
    return grid if layout == "channels_first" else grid.transpose(0, 2, 3, 1)


@dataclass(frozen=True)
class ArraySchema:
    """Shape and dtype of the images in an array: what `Schema` is to a table.

    On disk they are one column `image` of their bytes, in the order of the array (C order, little-endian).

    Args:
        shape: Of one image: `(H, W)`, `(H, W, C)` or `(C, H, W)`.
        dtype: `"uint8"`, `"float32"` or `"float64"`.

    >>> images = np.arange(128, dtype="uint8").reshape(2, 8, 8)
    >>> schema = ArraySchema.of(images)
    >>> bool((schema.to_frame(schema.to_table(images)) == images).all())
    True
    >>> ArraySchema.from_dict(schema.to_dict()) == schema
    True
    """

    shape: tuple[int, ...]
    dtype: str

    columns = (_COLUMN,)
    """What the columns are called on disk."""

    @classmethod
    def of(cls, images: np.ndarray) -> ArraySchema:
        """The schema of `images` (see `check_images` for what is raised)."""
        array = check_images(images)
        return cls(array.shape[1:], array.dtype.name)

    @property
    def bytes(self) -> int:
        """What one image takes."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def differences(self, other: Any) -> list[str]:
        """What `other`, a schema of images or of a table, has otherwise, one sentence each.

        >>> ArraySchema((8, 8), "uint8").differences(ArraySchema((8, 9), "uint8"))
        ['The images have shape (8, 9) where (8, 8) is expected.']
        """
        if not isinstance(other, ArraySchema):
            return [f"There is a table where images of shape {self.shape} are expected."]
        return [
            f"The images have {name} {theirs} where {ours} is expected."
            for name, ours, theirs in (("shape", self.shape, other.shape), ("dtype", self.dtype, other.dtype))
            if ours != theirs
        ]

    def to_table(self, images: np.ndarray, like: pa.Schema | None = None) -> pa.Table:
        """`images`, which have this schema, as an Arrow table of one column of fixed-size binary."""
        array = np.ascontiguousarray(images, np.dtype(self.dtype).newbyteorder("<"))
        buffers = [None, pa.py_buffer(array.reshape(-1).view("uint8"))]
        return pa.table({_COLUMN: pa.FixedSizeBinaryArray.from_buffers(pa.binary(self.bytes), len(array), buffers)})

    def to_frame(self, table: pa.Table) -> np.ndarray:
        """The inverse of `to_table`; `table` may hold more columns. A `StorageError` if it does not fit."""
        column = table.column(_COLUMN) if _COLUMN in table.column_names else None
        if column is None or column.type != pa.binary(self.bytes) or column.null_count:
            raise StorageError(
                f"Column {_COLUMN!r} cannot be read as images of shape {self.shape} and dtype {self.dtype}."
            )
        out, start = np.empty((len(column), self.bytes), np.uint8), 0
        for chunk in column.chunks:
            flat = np.frombuffer(chunk.buffers()[1] or b"", np.uint8)
            part = flat[chunk.offset * self.bytes : (chunk.offset + len(chunk)) * self.bytes]
            out[start : start + len(chunk)] = part.reshape(len(chunk), self.bytes)
            start += len(chunk)
        dtype = np.dtype(self.dtype)
        return out.view(dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(len(out), *self.shape)

    def empty(self) -> np.ndarray:
        """An array of this schema without images."""
        return np.empty((0, *self.shape), self.dtype)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {"shape": list(self.shape), "dtype": self.dtype}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> ArraySchema:
        """The inverse of `to_dict`; a `StorageError` for anything that `to_dict` cannot have written."""
        try:
            shape, dtype = tuple(state["shape"]), state["dtype"]
        except (KeyError, TypeError) as error:
            raise StorageError(f"The description of the images is damaged: {error!r}") from error
        whole = len(shape) in (2, 3) and all(type(side) is int and side > 0 for side in shape)
        if not whole or dtype not in DTYPES or prod(shape) * np.dtype(dtype).itemsize > _LARGEST:
            raise StorageError(f"The description of the images is damaged: shape {shape!r}, dtype {dtype!r}.")
        return cls(shape, dtype)
