"""Synthetic images inside an albumentations pipeline."""

from __future__ import annotations

import os
import warnings
from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info

from synthaug.errors import DataError, DependencyError, MismatchWarning, ParameterError, raise_problems
from synthaug.mix.matching import LOOKS, value_problem
from synthaug.opened import AnyPool, as_pool
from synthaug.pipelines import reseed
from synthaug.pool import Pool, find_rows
from synthaug.rng import derive
from synthaug.schema import plain

try:
    from albumentations.core.transforms_interface import ImageOnlyTransform
except ImportError as error:  # the one module that needs it
    raise DependencyError(
        "SyntheticMixTransform is a transform of albumentations, which is not installed: "
        '`pip install "albumentations>=2.0,<=2.0.8"`.'
    ) from error

__all__ = ["SyntheticMixTransform"]


class SyntheticMixTransform(ImageOnlyTransform):
    """Mixes an image with a synthetic one of its class, inside an `albumentations.Compose`.

    The result is `(1 - w) * image + w * synthetic`, with `w` uniform in `alpha`. The label goes in beside the image,
    `pipeline(image=image, label=label)`, and comes out as it is, since both images are of its class (as metadata goes
    in for `Mosaic` of albumentations; mixing of images is Zhang et al., "mixup", ICLR 2018, here within a class).

    It draws from the generators of the pipeline, so that `Compose(..., seed=...)` fixes it; in a worker of a DataLoader
    by the seed that torch gave the worker, since a pipeline of albumentations repeats itself in each worker and epoch.
    `to_dict`, `from_dict` and `ReplayCompose` work if the pool is given by its folder, by which it is named there; a
    replay mixes in the record and the weight that were drawn, whatever the label.

    Args:
        pool: The synthetic images, of the shape and dtype of the real ones: a `Pool` or the folder of one. Of a large
            pool in a folder, which is read as it is needed, each image costs the reading of a block of records.
        alpha: The range of the weight of the synthetic image, two numbers from 0 to 1.
        metadata_key: What the label is called in the call.
        p: How often it is applied.

    Raises:
        DataError: a label that the pool lacks, or an image of another shape or dtype (when it is applied).
        DataTypeError: neither a pool nor a folder.
        ParameterError: arguments outside of what is allowed.

    Warns:
        MismatchWarning: the first 16 images that it mixes have another range of values than what is mixed in.

    >>> import albumentations as A
    >>> from synthaug.pool import Source
    >>> pool = Pool.of(np.full((3, 8, 8), 200, np.uint8), [0, 1, 1], Source("by hand", "", 0))
    >>> pipeline = A.Compose([SyntheticMixTransform(pool, alpha=(0.5, 0.5), p=1)], seed=0)
    >>> out = pipeline(image=np.full((8, 8), 100, np.uint8), label=1)
    >>> int(out["image"][0, 0]), out["label"]
    (150, 1)
    """

    def __init__(
        self,
        pool: AnyPool,
        alpha: tuple[float, float] = (0.1, 0.5),
        metadata_key: str = "label",
        p: float = 0.5,
    ) -> None:
        raise_problems(_problems(alpha, metadata_key, p), ParameterError)
        super().__init__(p=p)
        self.alpha = float(alpha[0]), float(alpha[1])
        self.metadata_key = metadata_key
        self._worker: int | None = None  # the seed of the worker in which it was used last
        self.pool = os.fspath(pool) if isinstance(pool, str | os.PathLike) else pool
        self._pool = as_pool(pool)
        records = self._pool.records if isinstance(self._pool, Pool) else self._pool.blank.records
        if not isinstance(records, np.ndarray):
            raise DataError("Expected a pool of images, got one of table rows.")
        self._shape, self._dtype = records.shape[1:], records.dtype
        labels = self._pool.labels
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = []  # the first images, and what was mixed into each
        self._looked = torch.zeros(1, dtype=torch.bool).share_memory_()  # in any worker
        self._places = {plain(label): places for label, places in labels.groupby(labels, observed=True).indices.items()}

    @property
    def available_keys(self) -> set[str]:
        """What a strict `Compose` lets through."""
        return {*super().available_keys, self.metadata_key}

    def should_apply(self, force_apply: bool = False) -> bool:
        """Whether to mix this time."""
        worker = get_worker_info()
        if worker is not None and worker.seed != self._worker:
            reseed(self, derive(worker.seed, "mix"))
            self._worker = worker.seed
        return bool(super().should_apply(force_apply))

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Which record, and with which weight."""
        if self.metadata_key not in data:
            raise ParameterError(
                f"Expected the label of the image as `{self.metadata_key}=`, got {', '.join(map(repr, data))}: call "
                f"`pipeline(image=image, {self.metadata_key}=label)`, or name it by `metadata_key`."
            )
        label = _plain(data[self.metadata_key])
        if not isinstance(label, Hashable) or label not in self._places:
            raise DataError(f"Expected a label in the pool ({', '.join(map(repr, self._places))}), got {label!r:.80}.")
        places = self._places[label]
        return {
            "record": int(places[self.py_random.randrange(len(places))]),
            "weight": self.py_random.uniform(*self.alpha),
        }

    def apply(self, img: np.ndarray, record: int = 0, weight: float = 0.0, **params: Any) -> np.ndarray:
        """The image `(H, W)` or `(H, W, C)`, mixed."""
        pool = self._pool
        found = pool.records[find_rows([record], len(pool))[0]] if isinstance(pool, Pool) else pool.take([record])[0]
        if img.dtype != self._dtype or (img.shape != found.shape and img.shape != (*found.shape, 1)):
            raise DataError(
                f"Expected an image of shape {self._shape} and dtype {self._dtype}, as in the pool, got {img.shape} "
                f"and {img.dtype}: {_remedy(img.shape, self._shape)}."
            )
        if not self._looked:
            self._look(img, found)
        found = found.reshape(img.shape)
        mixed = img.astype(np.float32) * (1 - weight) + found.astype(np.float32) * weight
        return np.rint(mixed).astype(img.dtype) if img.dtype == np.uint8 else mixed.astype(img.dtype)

    def _look(self, img: np.ndarray, found: np.ndarray) -> None:
        """Compare the first images with what was mixed into each: of one class, neither is fainter by nature."""
        self._pairs.append((img.copy(), found))
        if len(self._pairs) < LOOKS:
            return
        values = value_problem(*zip(*self._pairs, strict=True))
        self._pairs, self._looked[0] = [], True
        if values is not None:
            warnings.warn(
                f"The images that come in have {values} ({LOOKS} of each were looked at), and are mixed as they are: "
                "put this transform before those that change the values, such as `Normalize`, or bring the pool to "
                "their range, `dataclasses.replace(pool, records=...)`.",
                MismatchWarning,
                stacklevel=2,
            )

    def to_dict_private(self) -> dict[str, Any]:
        """Plain values: the folder of the pool among them."""
        if not isinstance(self.pool, str):
            raise ParameterError(
                "A pool in memory cannot be written into the description of a pipeline: save it, `pool.save(folder)`, "
                "and give the folder, `SyntheticMixTransform(folder)`."
            )
        state: dict[str, Any] = super().to_dict_private()
        return state


def _plain(label: Any) -> Any:
    """A label as pools have it, of an array or Tensor without axes too."""
    return plain(label.item() if getattr(label, "ndim", None) == 0 and hasattr(label, "item") else label)


def _remedy(shape: tuple[int, ...], pool: tuple[int, ...]) -> str:
    """What to do about an image of another shape or dtype than in the pool."""
    grey, last = len(shape) == 2 and pool == (1, *shape), (*pool[1:], pool[0])
    if not grey and (shape != last or len(shape) != 3):
        return "mix before you crop, resize or normalise"
    axes = "[:, 0]" if grey else ".transpose(0, 2, 3, 1)"
    return (
        "images in albumentations have their channels last, so give "
        f"`dataclasses.replace(pool, records=pool.records{axes})`"
    )


def _problems(alpha: Any, metadata_key: Any, p: Any) -> list[str]:
    problems = []
    pair = isinstance(alpha, tuple | list) and len(alpha) == 2
    numbers = pair and all(isinstance(one, int | float) and not isinstance(one, bool) for one in alpha)
    if not numbers or not 0 <= alpha[0] <= alpha[1] <= 1:
        problems.append(f"Expected `alpha` to be two numbers from 0 to 1, the lower first, got {alpha!r}.")
    if not isinstance(metadata_key, str) or not metadata_key.isidentifier() or metadata_key == "image":
        problems.append(f"Expected `metadata_key` to be a name other than 'image', got {metadata_key!r}.")
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p <= 1:
        problems.append(f"Expected `p` to be a probability from 0 to 1, got {p!r}.")
    return problems
