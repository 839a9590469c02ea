"""The user's dataset with synthetic items after the real ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import fields, is_dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset, get_worker_info

from synthaug.errors import DataError, DataTypeError, MismatchWarning, ParameterError, SynthaugError
from synthaug.image_sources import check_map_style
from synthaug.items import ItemForm, LabelForm
from synthaug.mix.matching import fading, glance, images_in, known_labels, label_problem, type_problem, value_problem
from synthaug.opened import AnyPool, OpenPool, as_pool
from synthaug.pipelines import is_albumentations, reseed, transformed
from synthaug.pool import Pool
from synthaug.rng import derive, isolated
from synthaug.schema import plain

__all__ = ["FLAG", "Batch", "MixedDataset", "check_real", "find_mixed", "is_datamodule"]

FLAG = "is_synthetic"
ToItem = Callable[[Any, Any], Any]


class Batch(list[int]):
    """The positions of a batch, with what fixes its random transforms in whatever process they run.

    Args:
        positions: Of items in a `MixedDataset`.
        seed: Of the run.
        which: The epoch, the process of several that train, and the number of the batch.

    >>> batch = Batch([3, 1], 0, (2, 0, 7))
    >>> batch, batch.which
    ([3, 1], (2, 0, 7))
    """

    def __init__(self, positions: Iterable[int], seed: int, which: tuple[int, ...]) -> None:
        super().__init__(positions)
        self.seed, self.which = seed, which


class MixedDataset(Dataset[Any]):
    """A dataset and a pool as one: real items first, as they are, then one item for each record of the pool.

    Args:
        real: Any map-style dataset.
        pool: Synthetic records like those of `real`: a `Pool`, or the folder of one, which is read as it is needed if
            it is large (see `OpenPool`).
        to_item: Makes an item of a record and its label; by default an item that looks like the first real one.
        transform: Applied to the image of real and synthetic items alike: any callable, or an albumentations pipeline,
            which draws anew in each epoch of each worker; a `mix_loader` also makes what it draws repeatable.
        flag: Whether to say in each item if it is synthetic: at the end of a tuple, or as "is_synthetic" in a dict.

    Other Arguments:
        image: Where the image is in an item; by default 0 in a tuple and "image" in a dict.
        label: Where the label is in an item; by default 1 in a tuple and "label" in a dict.
        shared: Whether to keep the records in shared memory, so that `refresh` reaches workers that persist.
        look: Whether to look at some items, at most 16 of each kind, and warn where the pool does not fit.

    Raises:
        DataError: an empty dataset, or synthetic items that would not fit in a batch with the real ones.
        DataTypeError: an iterable dataset, or something that is no dataset or no pool.

    Warns:
        MismatchWarning: the pool has images of another range of values, or labels that the dataset is known to lack, or
            `to_item` makes strings for labels where the dataset has numbers, or the other way round; `transform` scales
            images of floats as if they were bytes (not looked for with `to_item`).

    >>> from synthaug import Pool
    >>> from synthaug.pool import Source
    >>> real = [(np.full((8, 8), i, np.uint8), i % 2) for i in range(4)]
    >>> pool = Pool.of(np.full((3, 8, 8), 9, np.uint8), [0, 1, 1], Source("by hand", "", 0))
    >>> mixed = MixedDataset(real, pool, flag=True)
    >>> len(mixed), mixed[0][1:], mixed[6][1:]
    (7, (0, False), (1, True))
    """

    collated = False
    """Whether batches, real items first, go into `default_collate`: it is quicker with Tensors, and takes both."""

    def __init__(
        self,
        real: Any,
        pool: AnyPool,
        *,
        to_item: ToItem | None = None,
        transform: Callable[..., Any] | None = None,
        flag: bool = False,
        image: Any = None,
        label: Any = None,
        shared: bool = False,
        look: bool = True,
    ) -> None:
        check_real(real)
        pool = as_pool(pool)
        blank = pool.records if isinstance(pool, Pool) else pool.blank.records
        _check(blank, to_item, transform, flag, shared)
        self.real, self.transform, self.flag = real, transform, bool(flag)
        self.n_real, self.n_synthetic = len(real), len(pool)
        self._codes, self._levels = _coded(pool.labels)
        self._shared = bool(shared)
        self._records = _hold(pool, shared=self._shared)
        self._seeds = is_albumentations(transform)
        self._begun: int | None = None  # with which seed of torch the transform began in this process
        with isolated(0):  # the user's item may draw a random crop
            first = real[0]
            self._form = form = None if to_item is not None else _form(first, self._levels, image, label)
            self._to_item: ToItem | None = to_item if form is None else form.write
            self._place = _place_of(first, image, "image", 0) if form is None else form.image
            self._target = None if form is not None or _is_longer(first, label) else _place_of(first, label, "label", 1)
            self._written = _written(form, blank, self._levels)
            self._fades = False  # whether the transform leaves the first image hardly any contrast
            if len(pool) and to_item is None:
                before = _copies([first], self._place)
                shown = self._finish(first, False)
                _check_alike(shown, self._finish(self._synthetic([0])[0], True))
                self._fades = transform is not None and fading(before, images_in([shown], self._place)) is not None
        if look:
            self.warn_of_misfit()

    @property
    def pool(self) -> OpenPool | None:
        """The pool, if its records are read from a folder as they are needed."""
        return self._records if isinstance(self._records, OpenPool) else None

    @property
    def records(self) -> Any:
        """The records of the pool, a DataFrame or an image array; all are read now if they are in a folder."""
        if isinstance(self._records, OpenPool):
            return self._records.load().records
        return self._records.numpy() if isinstance(self._records, torch.Tensor) else self._records

    @property
    def labels(self) -> list[Any]:
        """The label of each record of the pool."""
        return [self._levels[code] for code in self._codes.tolist()]

    def __len__(self) -> int:
        return self.n_real + self.n_synthetic

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"Expected an index below {len(self)}, got {index}.")
        index = index % len(self)
        self._begin(None)
        if index < self.n_real:
            return self._finish(self.real[index], False)
        return self._finish(self._synthetic([index - self.n_real])[0], True)

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """A batch at once, as the DataLoader asks for it."""
        n = self.n_real
        made = [index - n for index in indices if index >= n]
        first = len(indices) - len(made)
        ordered = min(indices[first:], default=n) >= n  # real first, as the batch sampler has it
        if ordered:
            items = self._real(indices[:first])
            synthetic = self._synthetic(made, as_tensors=self.collated and first > 0)
        else:
            items, synthetic = self._real([index for index in indices if index < n]), self._synthetic(made)
        if self.flag or self.transform is not None:
            self._begin(indices)
            items = [self._finish(item, False) for item in items]
            synthetic = [self._finish(item, True) for item in synthetic]
        if ordered:
            return items + synthetic
        parts = iter(items), iter(synthetic)
        return [next(parts[index >= n]) for index in indices]

    def warn_of_misfit(self, labels: set[Any] | None = None) -> None:
        """Look at some items of either kind, and warn where the pool does not fit the dataset.

        Args:
            labels: Those that the dataset has, if they are known; by default it is seen whether they are at hand.

        Warns:
            MismatchWarning: images of another range of values, or labels of another type or that the dataset lacks; a
                transform that leaves images of floats hardly any contrast.
        """
        with isolated(0):  # items may draw random crops
            real = glance(self.real.__getitem__, self.n_real if self.n_synthetic else 0)
            made = glance(lambda place: self._synthetic([place])[0], self.n_synthetic)
            values = value_problem(*(images_in(items.values(), self._place) for items in (real, made)))
            types = None if self._target is None else type_problem(real.values(), made.values(), self._target)
            if labels is None and self._form is not None:
                labels = set(known_labels(self.real, self._form, real) or ()) or None
            left = self._left(list(real.values())) if self._fades else None
        counts = dict(zip(self._levels, np.bincount(self._codes, minlength=len(self._levels)).tolist(), strict=True))
        odd = None if labels is None else label_problem(labels, counts)
        if values is not None:
            _warn(
                f"The images of the dataset have {values} ({len(real)} and {len(made)} were looked at), and are mixed "
                "as they are. Draw the pool from a generator that was fitted on what `read_images` makes of this "
                "dataset, trained long enough to draw its contrasts, or scale the records in `to_item`."
            )
        if left is not None:
            _warn(
                f"The images of the dataset are floats already ({len(real)} were looked at), and `transform` leaves no "
                f"more than {left:.2%} of their contrast, as when pixels are divided by 255 twice: let the dataset or "
                "`transform` scale them, not both."
            )
        if types is not None:
            _warn(f"The dataset has {types}: let `to_item` write labels as the dataset does.")
        if odd is not None:
            _warn(
                f"The dataset has {odd}: they may count classes in another way. If they do not belong in, leave them "
                "out with `pool.keep(pool.labels.isin(labels_of_the_dataset))`."
            )

    def refresh(self, pool: Pool) -> None:
        """Put other records in the place of those of the pool, each where one of its label was.

        Workers that persist see them if the dataset is `shared`; all others from their next epoch on.

        Args:
            pool: As many records of each label as in the pool now, of the same shape and dtype.

        Raises:
            DataError: another number of records of some label, another shape, columns or dtype.
        """
        if isinstance(self._records, OpenPool):
            raise ParameterError("Expected a pool in memory to refresh, got one in a folder: `Pool.load` it first.")
        old, new = self.records, pool.records
        if _shape(new) != _shape(old):
            raise DataError(f"Expected records as in the pool now ({_shape(old)}), got {_shape(new)}.")
        labels = np.array([plain(value) for value in pool.labels], object)
        here = np.array(self.labels, object)
        if sorted(map(repr, labels)) != sorted(map(repr, here)):
            raise DataError(
                f"Expected as many records of each label as in the pool now ({_counts(here)}), got {_counts(labels)}: "
                "draw the new pool with the counts of the old, `synthesizer.sample(pool.counts())`."
            )
        order = np.empty(len(here), np.int64)
        for value in self._levels:
            order[here == value] = np.flatnonzero(labels == value)
        if isinstance(new, pd.DataFrame):
            self._records = new.iloc[order].reset_index(drop=True)
        elif self._shared:
            self._records.copy_(torch.from_numpy(np.ascontiguousarray(new[order])))
        else:
            self._records = new[order]

    def _left(self, items: list[Any]) -> float | None:
        """Which share of their contrast the transform leaves to items, see `fading`; a copy of it draws for this."""
        with suppress(Exception):  # what can be neither copied nor transformed
            transform = deepcopy(self.transform)
            assert transform is not None
            finished = [_with_image(deepcopy(item), self._place, transform) for item in items]
            return fading(images_in(items, self._place), images_in(finished, self._place))
        return None

    def _real(self, indices: Sequence[int]) -> list[Any]:
        fetch = getattr(self.real, "__getitems__", None)
        if fetch is not None and indices:
            return list(fetch(indices))
        real = self.real
        return [real[index] for index in indices]

    def _synthetic(self, places: list[int], *, as_tensors: bool = False) -> list[Any]:
        to_item, written = self._to_item, self._written
        assert to_item is not None
        if not places:
            return []
        rows = np.array(places)
        codes, block = self._codes[rows].tolist(), self._copied(rows)  # so the pool stays as it is
        if written is not None:
            as_tensors = written.tensors or (as_tensors and self.transform is None)
            images = torch.from_numpy(block).unbind() if as_tensors else block
            return list(zip(images, [written.labels[code] for code in codes], strict=True))
        each = map(block.iloc.__getitem__, range(len(block))) if isinstance(block, pd.DataFrame) else block
        return [to_item(record, self._levels[code]) for record, code in zip(each, codes, strict=True)]

    def _copied(self, rows: np.ndarray) -> Any:
        if isinstance(self._records, OpenPool):
            return self._records.take(rows)
        records = self.records
        return records.iloc[rows] if isinstance(records, pd.DataFrame) else records[rows]

    def _begin(self, indices: Any) -> None:
        """Give an albumentations pipeline its randomness: alone, it repeats itself in every worker and epoch."""
        if not self._seeds:
            return
        own, process = getattr(self.transform, "seed", None), torch.initial_seed()
        if isinstance(indices, Batch):
            seed = derive(indices.seed if own is None else own, "transform", *indices.which)
        elif process == self._begun or (own is not None and get_worker_info() is None):
            return
        else:
            seed, self._begun = derive(process, "transform"), process
        reseed(self.transform, seed)

    def _finish(self, item: Any, synthetic: bool) -> Any:
        """Transform and flag an item."""
        if self.transform is not None:
            item = _with_image(item, self._place, self.transform)
        return _flagged(item, synthetic) if self.flag else item


def check_real(real: Any) -> None:
    """Refuse what cannot be read by position, is empty, or is mixed already.

    >>> check_real([])
    Traceback (most recent call last):
    ...
    synthaug.errors.DataError: Expected a dataset of at least one item, got an empty one.
    """
    if is_datamodule(real):
        raise DataTypeError(
            "Expected a data set, got a LightningDataModule: wrap it, `MixedDataModule(datamodule, pool)`."
        )
    check_map_style(real)
    if isinstance(real, MixedDataset):
        raise ParameterError("The dataset is mixed already: join the pools with `+` and mix them once.")
    if not len(real):
        raise DataError("Expected a dataset of at least one item, got an empty one.")


def is_datamodule(given: Any) -> bool:
    """Whether this is a LightningDataModule (told without importing Lightning).

    >>> is_datamodule([])
    False
    """
    return any(kind.__name__ == "LightningDataModule" for kind in type(given).__mro__)


def find_mixed(dataset: Any) -> MixedDataset | None:
    """The mixed dataset within `dataset`, through subsets and concatenations, if there is one.

    >>> find_mixed([1, 2])
    """
    if isinstance(dataset, MixedDataset):
        return dataset
    inner = [getattr(dataset, "dataset", None), *getattr(dataset, "datasets", ())]
    return next((found for one in inner if one is not None and (found := find_mixed(one)) is not None), None)


def _check(records: Any, to_item: Any, transform: Any, flag: Any, shared: Any) -> None:
    for name, value in (("to_item", to_item), ("transform", transform)):
        if value is not None and not callable(value):
            raise ParameterError(f"Expected `{name}` to be a callable or None, got {value!r}.")
    for name, value in (("flag", flag), ("shared", shared)):
        if not isinstance(value, bool | np.bool_):
            raise ParameterError(f"Expected `{name}` to be True or False, got {value!r}.")
    if isinstance(records, pd.DataFrame) and to_item is None:
        raise ParameterError(
            "The pool holds table rows: pass `to_item`, which makes an item of a row and its label, for example "
            "`lambda row, label: (torch.tensor(row.to_numpy(dtype='float32')), label)`."
        )


def _coded(labels: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """`(n,)` small ints, and the plain labels that they stand for."""
    codes, levels = pd.factorize(labels)
    return codes.astype(np.min_scalar_type(max(len(levels), 1))), [plain(level) for level in levels]


def _hold(pool: Pool | OpenPool, *, shared: bool) -> Any:
    """Records as they are kept: a DataFrame, an image array, a tensor in shared memory, or the folder that has them."""
    if isinstance(pool, OpenPool) or not shared:
        return pool.records if isinstance(pool, Pool) else pool
    if isinstance(pool.records, pd.DataFrame):
        raise ParameterError(
            "Rows of a table cannot lie in shared memory: leave `shared` out, and `persistent_workers`, if the "
            "pool is to be refreshed."
        )
    return torch.from_numpy(np.ascontiguousarray(pool.records)).clone().share_memory_()


def _form(first: Any, labels: list[Any], image: Any, label: Any) -> ItemForm:
    """How items look, provided that one can be made of a synthetic record."""
    remedy = "Or pass `to_item`, which makes an item of a record and its label."
    try:
        form = ItemForm.of(first, image=image, label=label)
    except SynthaugError as error:
        raise type(error)(f"No synthetic item can be made to look like the first real one: {error} {remedy}") from error
    odd = next((value for value in labels if LabelForm.of(value).type != form.target.type), None)
    if odd is not None:
        raise DataError(
            f"Expected synthetic labels of type {form.target.type}, as in the dataset, got {odd!r}: fit the generator "
            f"on the dataset itself. (`read_images(folder)` gives the names of folders, an `ImageFolder` their places "
            f"in order.) {remedy}"
        )
    return form


class _Written(NamedTuple):
    """What makes pairs of an image and a label quickly, a batch at a time."""

    labels: list[Any]  # one a level
    tensors: bool


def _written(form: ItemForm | None, records: Any, levels: list[Any]) -> _Written | None:
    """The labels as items have them, if an item is a plain pair of an image as in the pool and a plain label."""
    if form is None or form.container is not tuple or (form.keys, form.image, form.label) != ((0, 1), 0, 1):
        return None
    picture, target = form.picture, form.target
    if (picture.shape, picture.dtype) != (records.shape[1:], records.dtype.name):
        return None
    if picture.kind == "PIL" or picture.subclass is not None:
        return None
    if target.kind in ("array", "tensor"):
        return None
    return _Written([target.write(level) for level in levels], picture.kind == "tensor")


def _is_longer(item: Any, given: Any) -> bool:
    """Whether this is a tuple that holds more than an image and a label, of which it is not known where that is."""
    return given is None and isinstance(item, tuple | list) and len(item) != 2


def _place_of(item: Any, given: Any, name: str, place: int) -> Any:
    """Where the image or the label is in an item that is made by the user."""
    if given is not None:
        return given
    return name if isinstance(item, Mapping) or is_dataclass(item) else place


def _with_image(item: Any, place: Any, transform: Callable[..., Any]) -> Any:
    if isinstance(item, Mapping):
        return {**item, place: transformed(transform, item[place])}
    if isinstance(item, tuple | list):
        values = list(item)
        values[place] = transformed(transform, values[place])
        return _like(item, values)
    if is_dataclass(item) and not isinstance(item, type):
        return replace(item, **{place: transformed(transform, getattr(item, place))})
    raise DataTypeError(
        f"The image within an item of type {type(item).__name__} cannot be replaced: let your dataset and `to_item` "
        "apply the transform."
    )


def _like(item: Any, values: list[Any]) -> Any:
    """Values in a tuple, named tuple or list as `item` is one."""
    return type(item)(*values) if hasattr(item, "_fields") else type(item)(values)


def _flagged(item: Any, synthetic: bool) -> Any:
    if isinstance(item, Mapping):
        return {**item, FLAG: synthetic}
    if isinstance(item, tuple | list) and not hasattr(item, "_fields"):
        return type(item)([*item, synthetic])
    raise DataTypeError(
        f"Expected items that are tuples, lists or dicts for `flag=True`, got {type(item).__name__}: say so in an item "
        "of your own with `to_item`."
    )


def _copies(items: list[Any], place: Any) -> list[np.ndarray]:
    """The images in items, which a transform in place leaves alone."""
    return [image.copy() for image in images_in(items, place)]


def _check_alike(real: Any, synthetic: Any) -> None:
    """Refuse synthetic items that no default collate could put into a batch with real ones."""
    ours, theirs = _looks(synthetic), _looks(real)
    if ours != theirs:
        raise DataError(
            f"A synthetic item ({ours}) does not fit in a batch with a real one ({theirs}): draw the pool from records "
            "of that shape and type, pass a `transform` that brings images of both to one size, or `to_item`, which "
            "makes an item of a record and its label."
        )


def _looks(item: Any) -> str:
    if is_dataclass(item) and not isinstance(item, type):
        return f"{type(item).__name__} {_looks({one.name: getattr(item, one.name) for one in fields(item)})}"
    if isinstance(item, Mapping):
        return "{" + ", ".join(f"{key!r}: {_looks(value)}" for key, value in item.items()) + "}"
    if isinstance(item, tuple | list):
        return f"{type(item).__name__}({', '.join(map(_looks, item))})"
    if isinstance(item, str):
        return "str"  # one of numpy too, whose dtype has a length
    if hasattr(item, "shape") and hasattr(item, "dtype"):
        return f"{type(item).__name__} {item.dtype} {tuple(item.shape)}"
    return f"{type(item).__name__} {item.mode} {item.size}" if hasattr(item, "mode") else type(item).__name__


def _shape(records: Any) -> str:
    if isinstance(records, pd.DataFrame):
        return f"{len(records)} rows with {', '.join(f'{name!r}: {kind}' for name, kind in records.dtypes.items())}"
    return f"{records.dtype} {tuple(records.shape)}"


def _warn(problem: str) -> None:
    warnings.warn(problem, MismatchWarning, stacklevel=4)


def _counts(labels: np.ndarray) -> dict[Any, int]:
    return {value: int((labels == value).sum()) for value in dict.fromkeys(labels)}
