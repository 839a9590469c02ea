"""Encoded images as a user's own pipeline alters them."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthaug.arrays import as_array, is_array
from synthaug.codecs.base import Codec
from synthaug.errors import DataError
from synthaug.pipelines import is_albumentations, reseed, transformed
from synthaug.rng import isolated

__all__ = ["Altering"]


class Altering:
    """Gives a pipeline the images as the user has them, and encodes what it makes of them.

    The same seed gives the same images, if the pipeline is of albumentations or draws from the global generators of
    Python, numpy and torch; neither these nor the random state of the user's pipeline are moved.

    Args:
        codec: Fitted to the images.
        pipeline: A transform or a pipeline of albumentations, or any callable on one image.

    >>> from synthaug.codecs.image import ImageCodec
    >>> images = np.random.default_rng(0).integers(0, 256, (5, 8, 8), "uint8")
    >>> codec = ImageCodec().fit(images)
    >>> altered = Altering(codec, np.fliplr)(codec.encode(images), 0)
    >>> bool((codec.decode(altered) == images[:, :, ::-1]).all())
    True
    """

    def __init__(self, codec: Codec, pipeline: Callable[..., Any]) -> None:
        self.codec, self.seeded = codec, is_albumentations(pipeline)
        self.pipeline: Any = deepcopy(pipeline) if self.seeded else pipeline

    def __call__(self, x: Tensor, seed: int) -> Tensor:
        """Altered versions of encoded images, `(n, *spec.shape)` to the same.

        Raises:
            DataError: the pipeline changes shape or dtype, or makes pixels that the records cannot have.
        """
        if not len(x):
            return x
        with isolated(seed):
            if self.seeded:
                reseed(self.pipeline, seed)
            images = np.stack([self._altered(image) for image in self.codec.decode(x)])
        try:
            return self.codec.encode(images)
        except DataError as error:
            raise DataError(f"The pipeline given as `augment` makes what the records cannot be: {error}") from error

    def _altered(self, image: np.ndarray) -> np.ndarray:
        first = self.seeded and getattr(self.codec, "layout_", "") == "channels_first"
        made = transformed(self.pipeline, torch.from_numpy(image) if first else image)
        array = as_array(made) if is_array(made) else np.asarray(made)
        if (array.shape, array.dtype) != (image.shape, image.dtype):
            raise DataError(
                f"Expected the pipeline given as `augment` to keep shape {image.shape} and dtype {image.dtype} of an "
                f"image, got {array.shape} and {array.dtype}: leave out of it what crops, resizes or normalises."
            )
        return array
