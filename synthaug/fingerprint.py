"""Which rows did a generator see? Hashes of rows that do not depend on how the values are stored."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from synthaug.arrays import as_array, is_array

__all__ = ["MOST_DIGESTED", "are_digests", "digests", "fingerprint", "identified", "is_digested", "row_hashes"]

MOST_DIGESTED = 2**18
"""Rows of which `digests` are kept: beyond it they would take more than 6 MB."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MISSING = np.uint64(0x5BD1E995C6B4A3F1)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def row_hashes(records: Any, labels: Any = None) -> np.ndarray:
    """One 64-bit hash a record, `(n,)` uint64; equal values give equal hashes, whatever their dtype.

    A category hashes as its level, `3` as `3.0`, a nullable column as a plain one, a time as the same time in other
    units. Order and index of the rows do not matter to a row's hash; the order of the columns does, their names do not.
    The hashes are the same in every process and on every machine (splitmix64 of the values; siphash of strings).

    Args:
        records: A DataFrame; an array `(n, columns)`; or images `(n, ...)` of any more axes, an array or a Tensor, each
            of which hashes as its shape, dtype and bytes.
        labels: If given, the label counts as one more column.

    >>> ints, floats = pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1.0, 2.0]}, index=[7, 8])
    >>> bool((row_hashes(ints) == row_hashes(floats)).all())
    True
    """
    return _hashed(records, labels)[1]


def fingerprint(records: Any, labels: Any = None) -> str:
    """SHA-256 over the sorted `row_hashes`: the same for the same rows in any order.

    >>> table = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    >>> fingerprint(table) == fingerprint(table[::-1]), fingerprint(table) == fingerprint(table[:1])
    (True, False)
    """
    return _summary(row_hashes(records, labels))


def digests(records: Any, labels: Any) -> str:
    """By which `is_digested` knows these rows again: 16 bytes a row, in base64; empty beyond `MOST_DIGESTED` rows.

    A digest cannot be turned back into its row: it is BLAKE2b of the hash of the row, keyed with the `fingerprint` of
    all rows, so that two data sets share none. Sorted, they do not tell the order of the rows. As with any such list,
    who guesses a row rightly can confirm the guess.

    >>> table = pd.DataFrame({"age": [30, 41], "job": ["cook", "nurse"]})
    >>> len(base64.b64decode(digests(table, ["a", "b"])))
    32
    """
    return identified(records, labels)[1]


def identified(records: Any, labels: Any) -> tuple[str, str]:
    """The `fingerprint` and the `digests` of rows, each of which is hashed once.

    >>> table = pd.DataFrame({"age": [30, 41]})
    >>> identified(table, ["a", "b"]) == (fingerprint(table, ["a", "b"]), digests(table, ["a", "b"]))
    True
    """
    plain, labelled = _hashed(records, labels)
    key = _summary(labelled)
    if len(records) > MOST_DIGESTED:
        return key, ""
    both = _digested(np.concatenate([plain, labelled]), key)
    return key, base64.b64encode(np.unique(both).tobytes()).decode("ascii")


def is_digested(known: str, key: str, records: Any, labels: Any = None) -> np.ndarray:
    """Which records are among the rows that `known`, the `digests`, and `key`, the `fingerprint`, were made of.

    Args:
        known: What `digests` gave.
        key: What `fingerprint` gave of the same rows and labels.
        records: As in `row_hashes`.
        labels: If given, a row counts only with the label it had.

    Returns:
        `(n,)` bool. In a quarter of a million rows, one in 10^13 records is taken for known by chance.

    >>> table = pd.DataFrame({"age": [30, 41], "job": ["cook", "nurse"]})
    >>> known, key = digests(table, ["a", "b"]), fingerprint(table, ["a", "b"])
    >>> is_digested(known, key, table).tolist(), is_digested(known, key, table, ["a", "c"]).tolist()
    ([True, True], [True, False])
    """
    ordered, asked = np.frombuffer(base64.b64decode(known), "<u8"), _digested(row_hashes(records, labels), key)
    places = np.searchsorted(ordered, asked)
    return places < np.searchsorted(ordered, asked, side="right")


def are_digests(known: Any, key: Any) -> bool:
    """Whether `known` and `key` are of a form that `digests` and `fingerprint` give.

    >>> are_digests("no digests", "no fingerprint")
    False
    """
    if not isinstance(known, str) or re.fullmatch("[0-9a-f]{64}", key) is None:
        return False
    try:
        return len(base64.b64decode(known, validate=True)) % 8 == 0
    except ValueError:
        return False


def _hashed(records: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """The hashes of the records alone, and with their labels where there are any."""
    if isinstance(records, pd.DataFrame):
        columns = [records.iloc[:, position] for position in range(records.shape[1])]
    else:
        array = as_array(records) if is_array(records) else np.asarray(records)
        if array.ndim > 2:
            columns = [pd.Series(_image_keys(array))]
        else:
            columns = [pd.Series(column) for column in array.reshape(len(array), math.prod(array.shape[1:])).T]
    hashes = np.zeros(len(records), np.uint64)
    for position, column in enumerate(columns, start=1):
        hashes = _with_column(hashes, position, column)
    return hashes, hashes if labels is None else _with_column(hashes, len(columns) + 1, pd.Series(labels))


def _with_column(hashes: np.ndarray, position: int, column: pd.Series) -> np.ndarray:
    """The hashes of rows that have one more column."""
    offset = np.uint64(position * int(_GOLDEN) % 2**64)
    return _mix(hashes ^ _mix(_keys(column) + offset))


def _summary(hashes: np.ndarray) -> str:
    """SHA-256 of hashes in any order."""
    return hashlib.sha256(np.sort(hashes).astype("<u8").tobytes()).hexdigest()


def _digested(hashes: np.ndarray, key: str) -> np.ndarray:
    """`(n,)` uint64, little-endian."""
    secret = bytes.fromhex(key)
    values = (hashlib.blake2b(one.tobytes(), digest_size=8, key=secret).digest() for one in hashes.astype("<u8"))
    return np.frombuffer(b"".join(values), "<u8")


def _image_keys(images: np.ndarray) -> np.ndarray:
    """`(n,)` uint64: BLAKE2b of shape, dtype and bytes of each image."""
    form = f"{images.shape[1:]} {images.dtype.name}".encode()
    ordered = images.astype(images.dtype.newbyteorder("<"), copy=False)
    keys = (hashlib.blake2b(np.ascontiguousarray(one).data, digest_size=8, key=form).digest() for one in ordered)
    return np.frombuffer(b"".join(keys), "<u8").astype(np.uint64)


def _mix(values: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014): every input bit moves every output bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _keys(column: pd.Series) -> np.ndarray:
    """64 bits a value, `(n,)` uint64, equal for equal values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = np.append(_keys(pd.Series(column.cat.categories)), _MISSING)
        return levels[column.cat.codes.to_numpy()]  # the code of a missing value is -1: the last
    missing = column.isna().to_numpy(dtype=bool)
    return np.where(missing, _MISSING, _present_keys(column, missing))


def _present_keys(column: pd.Series, missing: np.ndarray) -> np.ndarray:
    """Like `_keys`, with any value where `missing`."""
    if isinstance(column.dtype, pd.SparseDtype):
        column = column.astype(column.dtype.subtype)
    if isinstance(column.dtype, pd.ArrowDtype):
        column = pa.chunked_array(pa.array(column)).to_pandas(integer_object_nulls=True)
    types = pd.api.types
    if (
        isinstance(column.dtype, pd.DatetimeTZDtype)
        or types.is_datetime64_dtype(column)
        or types.is_timedelta64_dtype(column)
    ):
        return _time_keys(column)
    if types.is_bool_dtype(column) or types.is_integer_dtype(column):
        kind = np.uint64 if types.is_unsigned_integer_dtype(column) else np.int64
        filler = False if types.is_bool_dtype(column) else 0
        return column.to_numpy(dtype=kind, na_value=filler).view(np.uint64)
    if types.is_float_dtype(column):
        return _float_keys(column.to_numpy(dtype=np.float64, na_value=np.nan))
    return _object_keys(column.to_numpy(dtype=object), missing)


def _float_keys(values: np.ndarray) -> np.ndarray:
    """Whole numbers as the integers they are, others by their bits."""
    whole = np.isfinite(values) & (np.abs(values) < 2.0**53) & (values == np.trunc(values))
    integers = np.where(whole, values, 0).astype(np.int64)
    return np.where(whole, integers.view(np.uint64), np.ascontiguousarray(values).view(np.uint64))


def _time_keys(column: pd.Series) -> np.ndarray:
    """Seconds and nanoseconds since the epoch, so that the unit of storage does not show."""
    parts = column.dt.tz_convert("UTC").dt.tz_localize(None) if isinstance(column.dtype, pd.DatetimeTZDtype) else column
    values = parts.to_numpy()
    per_second = _PER_SECOND[np.datetime_data(values.dtype)[0]]
    seconds, rest = np.divmod(values.view(np.int64), per_second)
    return _mix(seconds.view(np.uint64)) ^ (rest * (10**9 // per_second)).view(np.uint64)


def _object_keys(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Numbers in an object column as numbers, all else by its text."""
    keys = np.empty(len(values), np.uint64)
    numeric = np.fromiter((isinstance(v, bool | int | float | np.number | np.bool_) for v in values), bool, len(values))
    numeric &= ~missing
    text = ~numeric & ~missing
    keys[numeric] = [_scalar_key(value) for value in values[numeric]]
    keys[text] = pd.util.hash_array(np.array([str(value) for value in values[text]], dtype=object))
    return keys


def _scalar_key(value: Any) -> int:
    if isinstance(value, float | np.floating):
        return int(_float_keys(np.array([value], np.float64))[0])
    return int(value) % 2**64
