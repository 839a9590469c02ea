"""Images: pixels in the user's layout, dtype and range to a grid in [-1, 1], and any grid back to pixels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from math import isfinite
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from sklearn.base import BaseEstimator
from torch.nn.functional import adaptive_avg_pool2d

from synthaug.arrays import ArraySchema, check_images, find_layout, from_grid, to_grid
from synthaug.codecs.base import Codec
from synthaug.errors import (
    DataError,
    NotFittedError,
    ParameterError,
    StorageError,
    SynthaugWarning,
    raise_problems,
)
from synthaug.spec import Spec

__all__ = ["ImageCodec"]

FAINT = 1 / 8  # of the range: images that fill less of it may have another one
_USUAL = ((-1, 1), (0, 255))  # ranges of floats, but for the one from 0 to 1
_POOLED = 8  # pixels a side of which features are made


class ImageCodec(BaseEstimator, Codec):
    """Encodes images as `(C, H, W)` float32 in [-1, 1], and decodes any numbers as images of the same form.

    Images are an array or a Tensor of shape `(n, H, W)`, `(n, H, W, C)` or `(n, C, H, W)`, of dtype uint8, float32 or
    float64; sides are at least 8. uint8 comes back exactly, floats within a millionth of their range.

    Args:
        layout: `"channels_last"` or `"channels_first"`; needed only where a shape can be read both ways.
        value_range: The least and the greatest value of a pixel; by default (0, 255) for uint8 and (0, 1) for floats.

    Attributes:
        spec: The shape of encoded images.
        schema_: Shape and dtype of the images.
        layout_: `"grey"`, `"channels_last"` or `"channels_first"`.
        value_range_: The least and the greatest value.

    >>> images = np.random.default_rng(0).integers(0, 256, (5, 12, 10, 3), "uint8")
    >>> codec = ImageCodec().fit(images)
    >>> codec.spec.shape, bool((codec.decode(codec.encode(images)) == images).all())
    ((3, 12, 10), True)
    >>> codec.decode(torch.full((1, 3, 12, 10), 1e30)).max()
    np.uint8(255)
    """

    schema_: ArraySchema
    layout_: str
    value_range_: tuple[float, float]

    def __init__(self, *, layout: str | None = None, value_range: tuple[float, float] | None = None) -> None:
        self.layout = layout
        self.value_range = value_range

    def fit(self, records: Any) -> Self:
        """Learn shape, layout and dtype from training images, of which there is at least one.

        Raises:
            DataTypeError: no array or Tensor, or of another dtype.
            DataError: no images; a shape that is too small or can be read in two ways; pixels outside the range, or
                not finite, the first one named.
            ParameterError: an argument of the constructor is not allowed.

        Warns:
            SynthaugWarning: no range was stated, and the values fill less than an eighth of the usual one.
        """
        images = check_images(records)
        if not len(images):
            raise DataError("Expected at least one image, got none: pass the training images.")
        self._set(ArraySchema.of(images))
        self.validate(images)
        self._warn_of_faint(images)
        return self

    def _warn_of_faint(self, images: np.ndarray) -> None:
        low, high = self.value_range_
        darkest, brightest = images.min(), images.max()
        if self.value_range is None and 0 < float(brightest) - float(darkest) < FAINT * (high - low):
            warnings.warn(
                f"The images have values from {darkest:g} to {brightest:g}, a small part of {low:g} to {high:g}, and "
                "are learned as faint ones. If they are not, scale them, or pass them as floats with a stated range, "
                f"such as `ImageCodec(value_range=({darkest:g}, {brightest:g}))`.",
                SynthaugWarning,
                stacklevel=3,
            )

    def _set(self, schema: ArraySchema) -> None:
        value_range = _check_range(self.value_range, schema.dtype)
        self.layout_ = find_layout(schema.shape, self.layout)
        self.schema_, self.value_range_ = schema, value_range
        h, w, *c = schema.shape if self.layout_ != "channels_first" else (*schema.shape[1:], schema.shape[0])
        self.spec = Spec((*(c or [1]), h, w))

    def validate(self, records: Any) -> None:
        """Raise one error that names the first pixel that cannot be encoded, its image and the remedy.

        Raises:
            DataTypeError: no array or Tensor, or of a dtype that no images have.
            DataError: another shape or dtype than in `fit`; pixels outside the range, or not finite.
        """
        self._check_fitted()
        images = check_images(records)
        raise_problems(self.schema_.differences(ArraySchema.of(images)))
        low, high = self.value_range_
        if len(images) and not (images.min() >= low and images.max() <= high):  # also for NaN
            raise DataError(_tell_outside(images, low, high))

    def encode(self, records: Any) -> torch.Tensor:
        """Encode images: `(n, C, H, W)` float32 in [-1, 1]. Raises what `validate` raises."""
        self.validate(records)
        images = check_images(records)
        low, high = self.value_range_
        x = images.astype(np.float32 if images.dtype == np.uint8 else images.dtype)  # a copy
        x -= low
        x *= 2 / (high - low)
        x -= 1
        np.clip(x, -1, 1, out=x)
        return torch.from_numpy(np.ascontiguousarray(to_grid(x.astype(np.float32, copy=False), self.layout_)))

    def decode(self, x: torch.Tensor) -> np.ndarray:
        """Decode any finite `(n, C, H, W)` tensor; a `DataError` for another shape or anything not finite."""
        self._check_fitted()
        x = torch.as_tensor(x).detach().cpu()
        if tuple(x.shape[1:]) != self.spec.shape or x.ndim != 4:
            raise DataError(f"Expected encoded images of shape (n, *{self.spec.shape}), got {tuple(x.shape)}.")
        if not torch.isfinite(x).all():
            place = torch.nonzero(~torch.isfinite(x))[0].tolist()
            raise DataError(
                f"Encoded image {place[0]} has {float(x[tuple(place)])} at {tuple(place[1:])}: only finite numbers can "
                "be decoded. Has the generator diverged?"
            )
        low, high = self.value_range_
        wide = torch.float64 if self.schema_.dtype == "float64" else torch.float32
        values = x.clamp(-1, 1).to(wide).numpy()  # a copy
        values += 1
        values *= (high - low) / 2
        values += low
        if self.schema_.dtype == "uint8":
            np.rint(values, out=values)
        np.clip(values, low, high, out=values)
        return np.ascontiguousarray(from_grid(values, self.layout_).astype(self.schema_.dtype, copy=False))

    def features(self, records: Any) -> np.ndarray:
        """Numbers for distances, `(n, 64 C)` float32: each channel averaged over a grid of 8 x 8 fields.

        Raises what `validate` raises.
        """
        x = self.encode(records)
        side = (min(_POOLED, self.spec.shape[1]), min(_POOLED, self.spec.shape[2]))
        pooled: np.ndarray = adaptive_avg_pool2d(x, side).flatten(1).numpy()
        return pooled

    def to_arrow(self, records: Any) -> pa.Table:
        """Images as a table of one column `image` of their bytes. Raises what `validate` raises."""
        self.validate(records)
        return self.schema_.to_table(check_images(records))

    def from_arrow(self, table: pa.Table) -> np.ndarray:
        """The inverse of `to_arrow`; a `StorageError` if the table is none of this codec."""
        self._check_fitted()
        return self.schema_.to_frame(table)

    def to_dict(self) -> dict[str, Any]:
        """The whole fitted state as plain values, fit for JSON."""
        self._check_fitted()
        given = None if self.value_range is None else [float(value) for value in self.value_range]
        return {"layout": self.layout, "value_range": given, **self.schema_.to_dict()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; a `StorageError` if the state is damaged."""
        try:
            given = None if state["value_range"] is None else tuple(state["value_range"])
            codec = cls(layout=state["layout"], value_range=given)
            codec._set(ArraySchema.from_dict(state))
        except StorageError:
            raise
        except Exception as cause:
            raise StorageError(f"The stored state of an ImageCodec is damaged ({cause!r}).") from cause
        return codec

    def _check_fitted(self) -> None:
        if not hasattr(self, "schema_"):
            raise NotFittedError("This ImageCodec is not fitted yet: call `fit` with training images first.")


def _check_range(given: Any, dtype: str) -> tuple[float, float]:
    """The least and the greatest value of a pixel."""
    if given is None:
        return (0, 255) if dtype == "uint8" else (0, 1)
    try:
        low, high = (float(value) for value in given)
    except (TypeError, ValueError):
        low, high = 0.0, 0.0
    wide = np.float64 if dtype == "float64" else np.float32
    if not (low < high and max(-low, high) < np.finfo(wide).max / 4 and high - low > 1e-30 + 1e-4 * max(-low, high)):
        raise ParameterError(
            f"Expected `value_range` to be (low, high), finite and low well below high, got {given!r}."
        )
    if dtype == "uint8" and not (low >= 0 and high <= 255 and low.is_integer() and high.is_integer()):
        raise ParameterError(f"Expected a `value_range` of whole numbers in 0 to 255 for uint8, got {given!r}.")
    return low, high


def _tell_outside(images: np.ndarray, low: float, high: float) -> str:
    outside = ~((images >= low) & (images <= high))
    place = tuple(np.argwhere(outside)[0].tolist())
    n, value = int(outside.reshape(len(images), -1).any(1).sum()), images[place].item()
    finite = images[np.isfinite(images)]
    if not isfinite(value) or not len(finite) or len(finite) < images.size:
        remedy = "drop these images or mend their pixels"
    else:
        least, most = finite.min().item(), finite.max().item()
        usual = next(((a, b) for a, b in _USUAL if a <= least and most <= b), (least, most))
        remedy = f"all lie in [{least:g}, {most:g}]; scale them, or give the range that pixels can have, such as "
        remedy += f"`Synthesizer(ImageCodec(value_range=({usual[0]:g}, {usual[1]:g})))`"
    return (
        f"Expected pixels in [{low:g}, {high:g}], got {value:g} in image {place[0]} at {place[1:]}, "
        f"and {n} of {len(images)} images have such pixels: {remedy}."
    )
