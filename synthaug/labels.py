"""Labels as the user gave them, and the integer codes that networks need."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthaug.arrays import as_array, is_array
from synthaug.errors import DataError, DataTypeError, ParameterError, SynthaugWarning, listed
from synthaug.schema import dtype_from_plain, dtype_to_plain, is_storable, is_whole, plain

__all__ = ["Labels", "by_label", "check_labels", "check_target", "is_one_hot", "scalar", "warn_of_many"]

_SCALARS = (bool, int, float, str)
_MANY = 10  # classes from which there may be too many
_KINDS = {str: "strings", bool: "bools", float: "numbers"}


def check_labels(labels: Any, records: Any = None, *, name: str | None = None) -> pd.Series:
    """Labels as a Series with a fresh index, or one clear error.

    Args:
        labels: One label a record: a Series, array, Tensor, or list of bools, ints, whole floats or strings.
        records: If given, as many records as labels are needed, and if both are pandas objects, the same index.
        name: What to call the labels in messages; by default the name of the Series.

    Raises:
        DataError: missing, infinite or continuous labels; lengths or indexes that disagree.
        DataTypeError: labels that are neither bool, int, float nor string, or not one-dimensional.

    >>> check_labels(["a", "b"]).tolist()
    ['a', 'b']
    >>> check_labels([1.0, None])
    Traceback (most recent call last):
    ...
    synthaug.errors.DataError: The labels are missing in 1 of 2 records (first at position 1): drop those records or give them a label of their own.
    """  # noqa: E501
    labels = as_array(labels) if is_array(labels) else labels
    index = labels.index if isinstance(labels, pd.Series) else None
    if isinstance(labels, pd.DataFrame) or getattr(labels, "ndim", 1) != 1:
        raise DataTypeError(
            f"Expected one label a record (one dimension), got shape {labels.shape}: {_to_one_column(labels)}."
        )
    series = pd.Series(labels).reset_index(drop=True)
    what = _called(series, name)
    if records is not None and len(records) != len(series):
        raise DataError(f"Expected as many labels as records, got {len(series)} labels and {len(records)} records.")
    if index is not None and isinstance(records, pd.DataFrame) and not index.equals(records.index):
        raise DataError(
            f"{what} and the records have different indexes: align them with `labels.loc[records.index]`, "
            "or pass `labels.to_numpy()` if their order is right as it is."
        )
    missing = series.isna().to_numpy()
    if missing.any():
        raise DataError(
            f"{what} are missing in {missing.sum()} of {len(series)} records (first at position {missing.argmax()}): "
            "drop those records or give them a label of their own."
        )
    _check_values(series, what)
    return series


def check_target(labels: Any, records: Any = None) -> pd.Series:
    """Like `check_labels`, with what scikit-learn wants besides: at least one label, and no numbers in object columns.

    >>> check_target(pd.Series([1, 0], dtype=object))
    Traceback (most recent call last):
    ...
    synthaug.errors.DataTypeError: The labels are numbers in an object column, which scikit-learn does not take for classes: convert them, for example with `labels.infer_objects()`.
    """  # noqa: E501
    series = check_labels(labels, records)
    if not len(series):
        raise _no_labels()
    if series.dtype == object and not isinstance(series.iloc[0], str):
        raise DataTypeError(
            f"{_called(series)} are numbers in an object column, which scikit-learn does not take for classes: convert "
            "them, for example with `labels.infer_objects()`."
        )
    return series


def warn_of_many(labels: pd.Series) -> None:
    """Warn of checked labels that look like no classes: most values come once, or there is one for every second record.

    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_of_many(pd.Series([23, 67, 45, 31, 52, 38, 71, 29, 60, 44, 23], name="age"))
    >>> print(caught[0].message)
    The labels ('age') have 10 values in 11 records, 9 of them once: this looks like a quantity or an identifier, and each value would be a class of its own. Bin it, for example with `pandas.cut`, or choose another target.
    """  # noqa: E501
    counts = labels.value_counts()
    n, once = int((counts > 0).sum()), int((counts == 1).sum())
    if n >= _MANY and (2 * n > len(labels) or 2 * once > n):
        warnings.warn(
            f"{_called(labels)} have {n} values in {len(labels)} records, {once} of them once: this looks like a "
            "quantity or an identifier, and each value would be a class of its own. Bin it, for example with "
            "`pandas.cut`, or choose another target.",
            SynthaugWarning,
            stacklevel=3,
        )


def scalar(value: Any) -> Any:
    """A numpy scalar, or an array or Tensor of one value, as the Python value it holds; anything else as it is.

    >>> scalar(np.array([3])), scalar(np.float64(0.5)), scalar("a")
    (3, 0.5, 'a')
    """
    return value.item() if is_array(value) and value.shape in ((), (1,)) else plain(value)


def by_label(numbers: Mapping[Any, Any]) -> dict[Any, Any]:
    """Numbers by label, both as plain Python values where they are scalars of numpy or Tensors of one value.

    Raises:
        ParameterError: several numbers for one label, which different Tensors can hold.

    >>> by_label({np.int64(3): np.array(0.5)})
    {3: 0.5}
    """
    several = [label for label, n in Counter(map(scalar, numbers)).items() if n > 1]
    if several:
        raise ParameterError(f"Expected one number for each label, got several for {listed(several)}: leave one.")
    return {scalar(label): scalar(number) for label, number in numbers.items()}


def is_one_hot(labels: Any, axis: int | None = -1) -> bool:
    """Whether numbers are a single 1 and otherwise 0, along an axis or in all.

    >>> is_one_hot([[0, 1], [1, 0]]), is_one_hot([1, 0, 1]), is_one_hot([0.9, 0.1])
    (True, False, False)
    """
    try:
        values = np.asarray(labels.tolist() if is_array(labels) else labels)
    except (TypeError, ValueError, RuntimeError):  # lists of unequal length or of whatever else, sparse Tensors
        return False
    if values.dtype.kind not in "biuf":
        return False
    return bool(((values == 0) | (values == 1)).all() and ((values == 1).sum(axis) == 1).all())


def _to_one_column(labels: Any) -> str:
    """What to do with labels of several axes."""
    frame = isinstance(labels, pd.DataFrame)
    if labels.shape[1:] == (1,):
        return f"pass a single column, such as `{'labels.iloc[:, 0]' if frame else 'labels[:, 0]'}`"
    if labels.ndim == 2 and is_one_hot(labels):
        return f"pass `{'labels.idxmax(axis=1)' if frame else 'labels.argmax(1)'}` of one-hot labels"
    return (
        "each record needs exactly one class; pass a single column. Several labels a record (multi-label), soft labels "
        "and masks are not supported"
    )


def _called(series: pd.Series, name: str | None = None) -> str:
    called = series.name if name is None else name
    return "The labels" if called is None else f"The labels ({called!r})"


def _no_labels() -> DataError:
    return DataError("Expected at least one record with its label, got none: pass the training records.")


def _check_values(series: pd.Series, what: str) -> None:
    # In an object column, `unique` stumbles over lists, and takes True for 1.
    values = [plain(value) for value in (series if series.dtype == object else series.unique())]
    odd = next((value for value in values if not isinstance(value, _SCALARS)), None)
    if odd is not None:
        raise DataTypeError(
            f"{what} hold {type(odd).__name__} ({odd!r:.80}): use bools, ints or strings, for example "
            "`labels.astype(str)`."
        )
    kinds = {type(value) if isinstance(value, str | bool) else float for value in values}
    if len(kinds) > 1:
        mixed = " and ".join(name for kind, name in _KINDS.items() if kind in kinds)
        raise DataTypeError(f"{what} mix {mixed}: use one of them, for example `labels.astype(str)`.")
    broken = next((value for value in values if isinstance(value, str) and not is_whole(value)), None)
    if broken is not None:
        raise DataError(f"{what} hold {broken!r} with half a surrogate pair: correct how the text was read.")
    floats = [value for value in values if isinstance(value, float)]
    fraction = next((value for value in floats if not value.is_integer()), None)
    if fraction is not None:
        raise DataError(
            f"{what} hold {fraction!r}: classes are needed, and this looks continuous. Bin it with `pandas.cut`, "
            "or turn it into strings if these are classes."
        )


@dataclass(frozen=True)
class Labels:
    """The classes of a data set, in order, and how to write them back as they came.

    >>> coding = Labels.of(pd.Series(["yes", "no", "yes"], name="churn"))
    >>> coding.classes, coding.encode(["no", "yes"]).tolist()
    (('no', 'yes'), [0, 1])
    >>> coding.decode(np.array([1, 0])).tolist()
    ['yes', 'no']
    """

    classes: tuple[Any, ...]
    dtype: Any
    name: Any = None

    @classmethod
    def of(cls, labels: Any, records: Any = None) -> Labels:
        """Learn the classes of checked labels (see `check_labels` for what is raised)."""
        series = check_labels(labels, records)
        if not len(series):
            raise _no_labels()
        classes = tuple(sorted(plain(value) for value in series.unique()))
        return cls(classes, series.dtype, series.name)

    def encode(self, labels: Any) -> np.ndarray:
        """Integer codes `(n,)` int64; a label that was not there at `of` is a `DataError`."""
        codes = {label: code for code, label in enumerate(self.classes)}
        values = [plain(label) for label in (as_array(labels) if is_array(labels) else labels)]
        unknown = sorted({repr(value) for value in values if value not in codes})
        if unknown:
            raise DataError(f"Unknown label {unknown[0]}: known are {', '.join(map(repr, self.classes))}.")
        return np.fromiter((codes[value] for value in values), np.int64, len(values))

    def decode(self, y: np.ndarray) -> pd.Series:
        """Labels of the codes `y`, in the type and under the name they came with."""
        values = np.empty(len(self.classes), object)
        values[:] = self.classes
        return pd.Series(values[np.asarray(y, np.int64)], dtype=self.dtype, name=self.name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON; a `DataError` for labels that are called by none."""
        name = plain(self.name)
        if not is_storable(name):
            raise DataError(f"The labels are called {name!r}: rename them to a string.")
        return {"classes": list(self.classes), "dtype": dtype_to_plain(self.dtype), "name": name}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Labels:
        """The inverse of `to_dict`."""
        return cls(tuple(state["classes"]), dtype_from_plain(state["dtype"]), state["name"])
