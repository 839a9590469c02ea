"""Images that are in two sets but for a change: resized, normalised, flipped, turned, stored as JPEG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import hypergeom
from torch.nn.functional import avg_pool2d

from synthaug.mix.drawing import spread

__all__ = ["Doubles", "find_doubles"]

_NEAR = 1 / 3  # of the distance to the second-nearest image: from here on the nearest one stands alone
_USUAL = 1_000  # training images of which it is found how often that is so without a leak
_CHANCE = 0.001
_FEWEST, _LEAST = 3, 0.02  # doubles, and share of them, of which it is worth telling
_FLAT = 0.02  # of the usual contrast: what is left of a channel without any
_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Doubles:
    """Near doubles of training images in another set, and how many there are among training images themselves.

    Args:
        near: `(n,)` which images of the other set are near doubles.
        usual: `(m,)` which of the training images have one among the others.
        share: Of the training images that were compared.
    """

    near: np.ndarray
    usual: np.ndarray
    share: float

    @property
    def telling(self) -> bool:
        """Whether there are clearly more than among training images, by Fisher's exact test."""
        found, among = int(self.near.sum()), len(self.near)
        if found < max(_FEWEST, _LEAST * among * self.share):
            return False
        both = found + int(self.usual.sum())
        return bool(hypergeom.sf(found - 1, among + len(self.usual), both, among) < _CHANCE)


def find_doubles(means: np.ndarray, train: np.ndarray, *, share: float = 1.0) -> Doubles:
    """Which images have a near double among training images.

    An image is one if it is less than a third as far from one training image as from any other. Where sets are honest,
    this is as rare as for a training image among the others. Distances are those of means over 3 x 3 fields, without
    brightness and contrast of each channel, at the best of the eight flips and turns. Crops (of which
    `check_doubles` knows those of the middle) and small turns are not known again, nor is anything where most training
    images have near doubles among themselves.

    Args:
        means: Over 8 x 8 fields of each image, `(n, C, 8, 8)`.
        train: The same of the training images, two or more.
        share: Of all training images that these are.

    Source:
        Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 2004, section 7.1: the ratio of the two
        nearest distances, which needs no scale.

    >>> images = np.random.default_rng(0).random((60, 1, 8, 8))
    >>> found = find_doubles(np.rot90(images[20:], axes=(2, 3)) * 2 - 1, images[:40])
    >>> found.near.sum(), found.near[:20].all(), found.usual.any(), found.telling
    (np.int64(20), np.True_, np.False_, True)
    """
    known = _outlines(train)
    some = spread(len(known), _USUAL)
    return Doubles(_stand_out(_outlines(means), known), _stand_out(known[some], known, leave_out=some), share)


def _outlines(means: np.ndarray) -> torch.Tensor:
    """Overlapping fields, `(n, C, 6, 6)`, each channel at mean 0 and deviation 1, each image of length 1."""
    fields = avg_pool2d(torch.as_tensor(np.ascontiguousarray(means), dtype=torch.float64), 3, 1)
    fields = fields - fields.mean((2, 3), keepdim=True)
    contrast = fields.square().mean((2, 3), keepdim=True).sqrt()
    flat = contrast <= _FLAT * contrast.square().mean(0, keepdim=True).sqrt()
    fields = torch.where(flat, 0.0, fields / contrast)
    return torch.nn.functional.normalize(fields.flatten(1), dim=1).view_as(fields).float()


def _stand_out(images: torch.Tensor, known: torch.Tensor, leave_out: np.ndarray | None = None) -> np.ndarray:
    """Which images have one among the known ones that is far nearer than the next; image i without `leave_out[i]`."""
    found = []
    for start in range(0, len(images), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        turned = torch.stack([one.flatten(1) for one in _turns(images[part])])
        alike = (turned @ known.flatten(1).T).amax(0)
        if leave_out is not None:
            alike[torch.arange(len(alike)), torch.from_numpy(leave_out[part])] = -torch.inf
        nearest, second = (2 - 2 * alike.topk(2).values).clamp(min=0).sqrt().T
        found.append(nearest < _NEAR * second)
    return torch.cat(found).numpy() if found else np.zeros(0, bool)


def _turns(images: torch.Tensor) -> Iterator[torch.Tensor]:
    for quarter in range(4):
        turned = images.rot90(quarter, (2, 3))
        yield turned
        yield turned.flip(3)
