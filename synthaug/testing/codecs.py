"""The contract of a codec as checks."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch

from synthaug.codecs.base import Codec
from synthaug.errors import DataError, NotFittedError, SynthaugWarning
from synthaug.testing.asserting import assert_equal, assert_raises, fresh, global_state

__all__ = ["CODEC_CHECKS", "check_codec"]


def check_codec(codec: Codec, records: Any) -> None:
    """Run every check of `CODEC_CHECKS`.

    Args:
        codec: A codec; a copy is fitted, the object itself is left as it is.
        records: A few records that it can encode.

    >>> from synthaug.codecs.tabular import TableCodec
    >>> check_codec(TableCodec(), pd.DataFrame({"age": [30, 40, 50], "job": ["nurse", "cook", None]}))
    """
    for check in CODEC_CHECKS:
        check(codec, copy.deepcopy(records))


def check_codec_round_trip(codec: Codec, records: Any) -> None:
    """Decoding the encoded records gives them back: exactly, but for floats, within a millionth of their range."""
    codec = _fitted(codec, records)
    _assert_same(codec.decode(codec.encode(records)), fresh(records), codec)


def check_codec_encoding(codec: Codec, records: Any) -> None:
    """Encoded records are finite float32 of the shape and with the meaning that the spec says."""
    codec = _fitted(codec, records)
    x = codec.encode(records)
    assert x.dtype == torch.float32, f"encoded records are {x.dtype}, not float32"
    assert x.shape == (len(records), *codec.spec.shape), f"the shape is {tuple(x.shape)}, the spec {codec.spec.shape}"
    assert torch.isfinite(x).all(), "encoded records are not finite"
    for field, where in zip(codec.spec.fields, codec.spec.slices(), strict=True):
        part = x[:, where]
        if field.kind == "category":
            one_hot = ((part == 0) | (part == 1)).all() and (part.sum(1) == 1).all()
            assert one_hot, f"field {field.name!r} is a category, but not one-hot"
        if field.kind == "uniform":
            assert ((part >= 0) & (part < 1)).all(), f"field {field.name!r} is uniform, but leaves [0, 1)"


def check_codec_legal(codec: Codec, records: Any) -> None:
    """Any finite numbers decode to records of the same form, within what was observed, that encode again."""
    codec = _fitted(codec, records)
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn((50, *codec.spec.shape), generator=rng)
    wild = [torch.full((2, *codec.spec.shape), value) for value in (0.0, 1.0, 1e30, -1e30)]
    for x in (noise, 100 * noise, noise**15, *wild):
        decoded = codec.decode(x)
        assert len(decoded) == len(x), f"{len(x)} encoded records became {len(decoded)}"
        _assert_legal(decoded, records, codec)
        codec.validate(decoded)


def check_codec_refuses_illegal(codec: Codec, records: Any) -> None:
    """What is not finite or has another shape is a `DataError`, never a record."""
    codec = _fitted(codec, records)
    for value in (float("nan"), float("inf")):
        assert_raises(DataError, lambda: codec.decode(torch.full((1, *codec.spec.shape), value)), f"decoding {value}")  # noqa: B023
    wrong = torch.zeros((1, *codec.spec.shape[:-1], codec.spec.shape[-1] + 1))
    assert_raises(DataError, lambda: codec.decode(wrong), "decoding a record of another shape")


def check_codec_not_fitted(codec: Codec, records: Any) -> None:
    """Before `fit`, every use is a `NotFittedError`."""
    new = copy.deepcopy(codec)
    if hasattr(new, "spec"):
        return
    uses: dict[str, Callable[[], Any]] = {
        "encode": lambda: new.encode(records),
        "decode": lambda: new.decode(torch.zeros(1, 1)),
        "validate": lambda: new.validate(records),
        "features": lambda: new.features(records),
        "to_arrow": lambda: new.to_arrow(records),
        "to_dict": lambda: new.to_dict(),
    }
    for name, use in uses.items():
        assert_raises(NotFittedError, use, f"{name} before fit")


def check_codec_input_unchanged(codec: Codec, records: Any) -> None:
    """Neither the records nor the encoded ones are changed."""
    before = copy.deepcopy(records)
    codec = _fitted(codec, records)
    x = codec.encode(records)
    kept = x.clone()
    codec.decode(x)
    codec.features(records)
    codec.to_arrow(records)
    assert_equal(records, before, "the records were changed")
    assert torch.equal(x, kept), "the encoded records were changed"


def check_codec_empty(codec: Codec, records: Any) -> None:
    """No records encode to no records and back; nothing can be learned from none."""
    none = records[:0]
    fitted = _fitted(codec, records)
    x = fitted.encode(none)
    assert x.shape == (0, *fitted.spec.shape), f"no records encode to shape {tuple(x.shape)}"
    assert_equal(fitted.decode(x), fresh(none), "no records do not come back as no records")
    assert_raises(DataError, lambda: _fitted(codec, none), "fit without records")


def check_codec_row_by_row(codec: Codec, records: Any) -> None:
    """A record is encoded the same whatever its neighbours are."""
    codec = _fitted(codec, records)
    backwards = codec.encode(records[::-1])
    assert torch.equal(backwards.flip(0), codec.encode(records)), "a record's encoding depends on its neighbours"
    assert torch.equal(codec.encode(records[-1:])[0], backwards[0]), "a record's encoding depends on its neighbours"


def check_codec_deterministic(codec: Codec, records: Any) -> None:
    """Fitting twice gives the same state, and global randomness is neither used nor moved."""
    before = global_state()
    first, second = _fitted(codec, records), _fitted(codec, records)
    x = first.encode(records)
    assert_equal(first.decode(x), second.decode(x), "decoding twice gives two things")
    assert first.to_dict() == second.to_dict(), "fitting twice gives two states"
    assert global_state() == before, "global randomness was moved"


def check_codec_state(codec: Codec, records: Any) -> None:
    """The state survives strict JSON."""
    codec = _fitted(codec, records)
    again = type(codec).from_dict(json.loads(json.dumps(codec.to_dict(), allow_nan=False)))
    x = codec.encode(records)
    assert again.spec == codec.spec, "the stored state has another spec"
    assert torch.equal(again.encode(records), x), "the stored state encodes differently"
    assert_equal(again.decode(x), codec.decode(x), "the stored state decodes differently")


def check_codec_arrow(codec: Codec, records: Any) -> None:
    """Records survive an Arrow table exactly."""
    codec = _fitted(codec, records)
    table = codec.to_arrow(records)
    assert len(set(table.column_names)) == table.num_columns, "two columns of the Arrow table have one name"
    assert_equal(codec.from_arrow(table), fresh(records), "the Arrow table gives other records")


def check_codec_features(codec: Codec, records: Any) -> None:
    """Features are one finite float32 vector a record."""
    features = _fitted(codec, records).features(records)
    assert features.dtype == np.float32, f"features are {features.dtype}, not float32"
    assert features.ndim == 2, f"features have {features.ndim} dimensions, not 2"
    assert len(features) == len(records), f"{len(records)} records have {len(features)} features"
    assert np.isfinite(features).all(), "features are not finite"


def check_codec_names_columns(codec: Codec, records: Any) -> None:
    """For tables: a missing, a new and a changed column are refused by name, all at once."""
    if not isinstance(records, pd.DataFrame):
        return
    codec = _fitted(codec, records)
    first, last = records.columns[[0, -1]].tolist()
    message = assert_raises(DataError, lambda: codec.encode(records.drop(columns=first)), "a missing column")
    assert repr(first) in message, f"the message does not name the missing column {first!r}: {message}"
    odd = records.assign(**{"an odd one": 1})
    message = assert_raises(DataError, lambda: codec.encode(odd), "an unknown column")
    assert "'an odd one'" in message, f"the message does not name the unknown column: {message}"
    changed = records.copy()
    for name in {first, last}:
        changed[name] = pd.Series(1j, records.index)
    message = assert_raises(DataError, lambda: codec.encode(changed), "columns of another dtype")
    assert repr(first) in message, f"the message does not name column {first!r}: {message}"
    assert repr(last) in message, f"the message does not name column {last!r}: {message}"


def check_codec_names_images(codec: Codec, records: Any) -> None:
    """For images: another shape or dtype is refused, and so is a pixel that is not finite, naming its image."""
    if isinstance(records, pd.DataFrame):
        return
    codec = _fitted(codec, records)
    other = "float32" if records.dtype == np.float64 else "float64"
    assert_raises(DataError, lambda: codec.encode(records.astype(other)), f"images of dtype {other}")
    assert_raises(DataError, lambda: codec.encode(np.repeat(records, 2, axis=2)), "images of another shape")
    if records.dtype.kind != "f":
        return
    for value in (np.nan, np.inf, 1e30):
        bad = records.copy()
        bad[-1, ..., -1] = value
        message = assert_raises(DataError, lambda: codec.encode(bad), f"a pixel of {value}")  # noqa: B023
        assert f"image {len(records) - 1}" in message, f"the message does not name the image: {message}"


CODEC_CHECKS: tuple[Callable[[Codec, Any], None], ...] = (
    check_codec_round_trip,
    check_codec_encoding,
    check_codec_legal,
    check_codec_refuses_illegal,
    check_codec_not_fitted,
    check_codec_input_unchanged,
    check_codec_empty,
    check_codec_row_by_row,
    check_codec_deterministic,
    check_codec_state,
    check_codec_arrow,
    check_codec_features,
    check_codec_names_columns,
    check_codec_names_images,
)


def _fitted(codec: Codec, records: Any) -> Codec:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        return copy.deepcopy(codec).fit(records)


def _assert_same(found: Any, expected: Any, codec: Codec) -> None:
    """Equal but for the float tolerance; a column left out of the model must be missing."""
    if not isinstance(expected, pd.DataFrame):
        assert found.shape == expected.shape, f"shape {tuple(expected.shape)} comes back as {tuple(found.shape)}"
        assert found.dtype == expected.dtype, f"{expected.dtype} comes back as {found.dtype}"
        assert np.allclose(np.asarray(found), np.asarray(expected), atol=1e-6), "records do not come back"
        return
    assert found.columns.equals(expected.columns), f"columns {expected.columns} come back as {found.columns}"
    assert found.dtypes.equals(expected.dtypes), f"dtypes changed: {found.dtypes[found.dtypes != expected.dtypes]}"
    assert found.index.equals(expected.index), "decoded records have no fresh index"
    left_out = getattr(codec, "identifiers_", ())
    for name in expected.columns:
        if name in left_out:
            assert found[name].isna().all(), f"column {name!r} is left out of the model, but has values"
        else:
            _assert_same_column(found[name], expected[name])


def _assert_same_column(found: pd.Series, expected: pd.Series) -> None:
    name = expected.name
    assert (found.isna() == expected.isna()).all(), f"missing values of column {name!r} do not come back"
    if expected.dtype.kind != "f" or expected.isna().all():
        assert_equal(found.to_frame(), expected.to_frame(), f"column {name!r} does not come back")
        return
    there = expected.notna().to_numpy()
    a, b = (series[there].to_numpy(dtype=np.float64) for series in (found, expected))
    narrow = getattr(getattr(expected.dtype, "subtype", expected.dtype), "itemsize", 8)
    half = np.abs(a / 2 - b / 2)  # halves, because a difference may overflow
    allowed = 1e-6 * (b.max() / 2 - b.min() / 2) + np.finfo(f"f{narrow}").eps * np.abs(b).max()
    assert (half <= allowed).all(), f"column {name!r} comes back {2 * half.max()} off"


def _assert_legal(found: Any, observed: Any, codec: Codec) -> None:
    """The form of the observed records, nothing outside their range, no level that they have not."""
    if not isinstance(observed, pd.DataFrame):
        assert found.shape[1:] == observed.shape[1:], (
            f"shape {tuple(observed.shape[1:])} became {tuple(found.shape[1:])}"
        )
        assert found.dtype == observed.dtype, f"{observed.dtype} became {found.dtype}"
        return
    assert found.columns.equals(observed.columns), f"columns {observed.columns} became {found.columns}"
    assert found.dtypes.equals(observed.dtypes), f"dtypes changed: {found.dtypes[found.dtypes != observed.dtypes]}"
    for name in observed.columns:
        values, seen = found[name].dropna(), observed[name].dropna()
        if found[name].isna().any() and name not in getattr(codec, "identifiers_", ()):
            assert observed[name].isna().any(), f"column {name!r} has missing values, but never had"
        if len(values) and _has_range(seen):
            assert seen.min() <= values.min(), f"column {name!r} falls below the observed range: {values.min()}"
            assert values.max() <= seen.max(), f"column {name!r} rises above the observed range: {values.max()}"
        else:
            odd = set(values) - set(seen)
            assert not odd, f"column {name!r} has levels that were never seen: {odd}"


def _has_range(series: pd.Series) -> bool:
    return series.dtype.kind in "iufMm"
