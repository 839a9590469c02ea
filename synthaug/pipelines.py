"""A user's pipeline on one image: a transform of albumentations, or any callable."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

__all__ = ["is_albumentations", "reseed", "transformed"]


def is_albumentations(pipeline: Any) -> bool:
    """Whether this is a transform or a pipeline of albumentations (told without importing it).

    >>> is_albumentations(np.fliplr)
    False
    """
    return any(kind.__module__.partition(".")[0] == "albumentations" for kind in type(pipeline).__mro__)


def reseed(pipeline: Any, seed: int) -> None:
    """Let all transforms of an albumentations pipeline draw from one stream that begins with `seed`.

    Its own `set_random_seed` begins a stream of the same numbers in each of them, so that one flips whenever another
    does.

    >>> import albumentations
    >>> flips = albumentations.Compose([albumentations.HorizontalFlip(), albumentations.VerticalFlip()])
    >>> reseed(flips, 0)
    >>> len({transformed(flips, np.arange(4.0).reshape(2, 2)).tobytes() for _ in range(40)})
    4
    """
    pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))


def transformed(pipeline: Callable[..., Any], image: Any) -> Any:
    """What the pipeline makes of one image.

    Args:
        pipeline: A transform or a pipeline of albumentations, or any callable on one image.
        image: As the user has it. To albumentations it goes as an array `(H, W)` or `(H, W, C)`; a Tensor, which has
            its channels first, comes back as one.

    >>> transformed(np.fliplr, np.eye(2)).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    if not is_albumentations(pipeline):
        return pipeline(image)
    if not isinstance(image, torch.Tensor):
        array = image if isinstance(image, np.ndarray) else np.array(image)  # that of a PIL image cannot be written to
        return pipeline(image=array)["image"]
    array = image.numpy()  # channels first, where albumentations wants them last
    out = pipeline(image=np.moveaxis(array, 0, -1) if array.ndim == 3 else array)["image"]
    if isinstance(out, torch.Tensor):
        return out
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(out, -1, 0) if out.ndim == 3 else out))
