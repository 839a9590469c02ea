"""Whether a pool fits the data set that it is mixed into, as far as a few looks tell: values of pixels, and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Any

import numpy as np
from torch.utils.data import Subset, TensorDataset

from synthaug.arrays import as_array, find_layout, is_array, to_grid
from synthaug.errors import DataError, listed
from synthaug.items import ImageForm, ItemForm, LabelForm, entry
from synthaug.mix.drawing import spread

__all__ = [
    *("LOOKS", "fading", "glance", "images_in", "known_labels", "label_problem", "type_problem", "value_problem"),
]

LOOKS = 16
"""The most items of a kind that are looked at."""
_RANGES = ((0, 1), (-1, 1), (0, 255))  # of pixels, the narrower ones first
_FACTOR, _BYTES = 1.75, 8.0  # between two spans: of [-1, 1] and [0, 1], of which few looks miss the ends; of two uint8
_SCALED, _LEFT = 10.0, 0.05  # floats beyond it are yet to be scaled; a share of contrast that is hardly any


def glance(take: Callable[[int], Any], n: int, looks: int = LOOKS) -> dict[int, Any]:
    """At most 16 (or `looks`) of `n` items, from the first to the last, by their place; those that raise are left out.

    They need not be of any use: it may be for them that the user has a sampler.

    >>> list(glance([5, 6, 7].__getitem__, 4))
    [0, 1, 2]
    """
    found = {}
    for place in spread(n, looks).tolist():
        with suppress(Exception):
            found[place] = take(place)
    return found


def images_in(items: Iterable[Any], place: Any) -> list[np.ndarray]:
    """The pixels of the images at `place` in items, as far as there are any.

    >>> [image.shape for image in images_in([(np.zeros((8, 9)), 1), ("a.png", 0)], 0)]
    [(8, 9)]
    """
    found = []
    for item in items:
        with suppress(Exception):
            image = entry(item, place)
            found.append(ImageForm.of(image).read(image))
    return found


def value_problem(real: Sequence[np.ndarray], made: Sequence[np.ndarray]) -> str | None:
    """How the values of real and synthetic images differ, if they cannot be of one scale; None if they may be.

    The usual image of one kind is compared with all that were looked at of the other, so that neither an outlier nor
    a class that is darker than others counts.

    Args:
        real: Some images of the data set.
        made: Some of the pool.

    >>> grey = [np.linspace(0, 1, 64).reshape(8, 8)] * 3
    >>> value_problem(grey, grey), value_problem(grey, [255 * image for image in grey])
    (None, 'values in [0, 1], those of the pool in [0, 255]')
    """
    ours, theirs = _ends(real), _ends(made)
    if not len(ours) or not len(theirs):
        return None
    bytes_only = all(image.dtype == np.uint8 for image in (*real, *made))
    factor = _BYTES if bytes_only else _FACTOR
    (low, high), (least, most) = _whole(ours), _whole(theirs)
    usual, (lower, upper) = np.median(ours, axis=0), np.median(theirs, axis=0)
    wider = 0 < factor * (high - low) < upper - lower
    narrower = usual[1] - usual[0] > factor * (most - least)
    elsewhere = 0 < high - low < max(lower - high, low - upper) and not bytes_only
    if not wider and not narrower and not elsewhere:
        return None
    known, other = _usual_range(low, high), _usual_range(least, most)
    same = known == other  # which would tell nothing
    here = f"from {low:.4g} to {high:.4g}" if known is None or same else f"in {known}"
    there = f"from {least:.4g} to {most:.4g}" if other is None or same else f"in {other}"
    return f"values {here}, those of the pool {there}"


def fading(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> float | None:
    """Which share of their contrast a transform leaves to images of scaled floats, if it is hardly any; else None.

    Contrast is the standard deviation over the pixels of a channel of an image.

    Args:
        before: Some images.
        after: What the transform made of them.

    >>> scaled = [np.linspace(0, 1, 64).reshape(8, 8)] * 3
    >>> share = fading(scaled, [image / 255 for image in scaled])
    >>> round(255 * share, 3), fading(scaled, [image / 2 for image in scaled])
    (1.0, None)
    """
    if not before or len(after) != len(before):  # what comes out is no image
        return None
    if any(image.dtype.kind != "f" or abs(image).max(initial=0) > _SCALED for image in before):
        return None
    try:
        had, left = _contrast(before), _contrast(after)
    except DataError:  # the axes can be meant in two ways, or in none
        return None
    return left / had if had > 1e-6 and left < _LEFT * had else None


def known_labels(real: Any, form: ItemForm, looked: Mapping[int, Any]) -> list[Any] | None:
    """The label of each item of a data set of this form, where they are at hand; None where they are not.

    They are in a `TensorDataset`, in a list of items, or in an attribute `targets` or `labels`, of a part of such a
    data set too. Where an item that was looked at has another label than is there, they are not trusted.

    >>> items = [(np.zeros((8, 8)), 3), (np.zeros((8, 8)), 5)]
    >>> known_labels(Subset(items, [1, 0, 1]), ItemForm.of(items[0]), {})
    [5, 3, 5]
    """
    try:
        found = _labels_of(real, form.label)
        if found is None or len(found) != len(real):
            return None
        if any(form.target.read(found[place]) != form.read(item)[1] for place, item in looked.items()):
            return None
        read = {value: form.target.read(value) for value in set(found)}
        return [read[value] for value in found]
    except Exception:  # whatever the attributes of the user's data set hold
        return None


def label_problem(known: set[Any], labels: Mapping[Any, int]) -> str | None:
    """Which labels of the pool, with their counts, are not `known` of the data set.

    >>> label_problem({0, 1}, {0: 5, 2: 3})
    'no item with the label 2, and the pool has 3 records with it'
    """
    odd = [label for label in labels if label not in known]
    if not odd:
        return None
    several = len(odd) > 1
    records = sum(labels[label] for label in odd)
    them = "them" if several else "it"
    return f"no item with the label{'s' * several} {listed(odd)}, and the pool has {records} records with {them}"


def type_problem(real: Iterable[Any], made: Iterable[Any], place: Any) -> str | None:
    """How the labels at `place` in real and synthetic items differ, if those of one kind alone are strings.

    Which labels occur in a few items tells nothing: a pool may be of the rarest classes alone.

    >>> type_problem([("x", "cat")], [("x", 3)], 1)
    "labels that are strings, such as 'cat', and those of synthetic items are numbers, such as 3"
    >>> type_problem([("x", True)], [("x", 1)], 1)
    """
    ours, theirs = (_plain_labels(items, place) for items in (real, made))
    if not ours or not theirs or {type(label) is str for label in ours} & {type(label) is str for label in theirs}:
        return None
    names = "strings", "numbers"
    here, there = names if type(ours[0]) is str else names[::-1]
    return (
        f"labels that are {here}, such as {ours[0]!r}, and those of synthetic items are {there}, such as {theirs[0]!r}"
    )


def _plain_labels(items: Iterable[Any], place: Any) -> list[Any]:
    found = []
    for item in items:
        with suppress(Exception):  # what is no label
            label = entry(item, place)
            found.append(LabelForm.of(label).read(label))
    return found


def _contrast(images: Sequence[np.ndarray]) -> float:
    grids = (to_grid(image[None], find_layout(image.shape)) for image in images)
    with np.errstate(invalid="ignore", over="ignore"):  # not finite, which compares as False
        return float(np.sqrt(np.mean([grid.var(axis=(2, 3), dtype=np.float64).mean() for grid in grids])))


def _ends(images: Sequence[np.ndarray]) -> np.ndarray:
    """`(n, 2)` the least and the greatest finite value of each image."""
    finite = (image[np.isfinite(image)] for image in images)
    return np.array([(float(values.min()), float(values.max())) for values in finite if values.size]).reshape(-1, 2)


def _whole(ends: np.ndarray) -> tuple[float, float]:
    return float(ends[:, 0].min()), float(ends[:, 1].max())


def _usual_range(low: float, high: float) -> str | None:
    """The first of the usual ranges of pixels that holds all values, if they fill half of it."""
    least, most = next((ends for ends in _RANGES if ends[0] <= low and high <= ends[1]), (-inf, inf))
    return f"[{least}, {most}]" if high - low >= (most - least) / 2 else None


def _labels_of(real: Any, place: Any) -> Sequence[Any] | None:
    if isinstance(real, Subset):
        whole = _labels_of(real.dataset, place)
        return None if whole is None else [whole[index] for index in real.indices]
    if isinstance(real, list):
        return [entry(item, place) for item in real]
    if isinstance(real, TensorDataset):
        return list(real.tensors[place].flatten().tolist())
    found = next((getattr(real, name) for name in ("targets", "labels") if hasattr(real, name)), None)
    return as_array(found).ravel().tolist() if is_array(found) else found
