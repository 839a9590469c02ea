"""The contracts as checks that any implementation can run, as scikit-learn's `check_estimator` does for estimators.

A check takes an object and small inputs, and raises an `AssertionError` that says what is broken. Each is a function of
its own, listed in a tuple, so that a test can run them one by one.
"""

from __future__ import annotations

import copy
import json
import random
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from synthaug.codecs.base import Codec
from synthaug.errors import DataError, NotFittedError, StorageError, SynthaugWarning
from synthaug.pool import Pool, Source

__all__ = ["CODEC_CHECKS", "POOL_CHECKS", "check_codec", "check_pool"]

# --- codecs -----------------------------------------------------------------------------------------------------------


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
    _assert_same(codec.decode(codec.encode(records)), _fresh(records), codec)


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
        _assert_raises(DataError, lambda: codec.decode(torch.full((1, *codec.spec.shape), value)), f"decoding {value}")  # noqa: B023
    wrong = torch.zeros((1, *codec.spec.shape[:-1], codec.spec.shape[-1] + 1))
    _assert_raises(DataError, lambda: codec.decode(wrong), "decoding a record of another shape")


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
        _assert_raises(NotFittedError, use, f"{name} before fit")


def check_codec_input_unchanged(codec: Codec, records: Any) -> None:
    """Neither the records nor the encoded ones are changed."""
    before = copy.deepcopy(records)
    codec = _fitted(codec, records)
    x = codec.encode(records)
    kept = x.clone()
    codec.decode(x)
    codec.features(records)
    codec.to_arrow(records)
    _assert_equal(records, before, "the records were changed")
    assert torch.equal(x, kept), "the encoded records were changed"


def check_codec_empty(codec: Codec, records: Any) -> None:
    """No records encode to no records and back; nothing can be learned from none."""
    none = records[:0]
    fitted = _fitted(codec, records)
    x = fitted.encode(none)
    assert x.shape == (0, *fitted.spec.shape), f"no records encode to shape {tuple(x.shape)}"
    _assert_equal(fitted.decode(x), _fresh(none), "no records do not come back as no records")
    _assert_raises(DataError, lambda: _fitted(codec, none), "fit without records")


def check_codec_row_by_row(codec: Codec, records: Any) -> None:
    """A record is encoded the same whatever its neighbours are."""
    codec = _fitted(codec, records)
    backwards = codec.encode(records[::-1])
    assert torch.equal(backwards.flip(0), codec.encode(records)), "a record's encoding depends on its neighbours"
    assert torch.equal(codec.encode(records[-1:])[0], backwards[0]), "a record's encoding depends on its neighbours"


def check_codec_deterministic(codec: Codec, records: Any) -> None:
    """Fitting twice gives the same state, and global randomness is neither used nor moved."""
    before = _global_state()
    first, second = _fitted(codec, records), _fitted(codec, records)
    x = first.encode(records)
    _assert_equal(first.decode(x), second.decode(x), "decoding twice gives two things")
    assert first.to_dict() == second.to_dict(), "fitting twice gives two states"
    assert _global_state() == before, "global randomness was moved"


def check_codec_state(codec: Codec, records: Any) -> None:
    """The state survives strict JSON."""
    codec = _fitted(codec, records)
    again = type(codec).from_dict(json.loads(json.dumps(codec.to_dict(), allow_nan=False)))
    x = codec.encode(records)
    assert again.spec == codec.spec, "the stored state has another spec"
    assert torch.equal(again.encode(records), x), "the stored state encodes differently"
    _assert_equal(again.decode(x), codec.decode(x), "the stored state decodes differently")


def check_codec_arrow(codec: Codec, records: Any) -> None:
    """Records survive an Arrow table exactly."""
    codec = _fitted(codec, records)
    table = codec.to_arrow(records)
    assert len(set(table.column_names)) == table.num_columns, "two columns of the Arrow table have one name"
    _assert_equal(codec.from_arrow(table), _fresh(records), "the Arrow table gives other records")


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
    message = _assert_raises(DataError, lambda: codec.encode(records.drop(columns=first)), "a missing column")
    assert repr(first) in message, f"the message does not name the missing column {first!r}: {message}"
    odd = records.assign(**{"an odd one": 1})
    message = _assert_raises(DataError, lambda: codec.encode(odd), "an unknown column")
    assert "'an odd one'" in message, f"the message does not name the unknown column: {message}"
    changed = records.copy()
    for name in {first, last}:
        changed[name] = pd.Series(1j, records.index)
    message = _assert_raises(DataError, lambda: codec.encode(changed), "columns of another dtype")
    assert repr(first) in message, f"the message does not name column {first!r}: {message}"
    assert repr(last) in message, f"the message does not name column {last!r}: {message}"


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
)


def _fitted(codec: Codec, records: Any) -> Codec:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        return copy.deepcopy(codec).fit(records)


def _global_state() -> tuple[Any, ...]:
    _, keys, position, *_ = np.random.get_state()  # noqa: NPY002
    return random.getstate(), np.asarray(keys).tobytes(), position, torch.get_rng_state().numpy().tobytes()


def _assert_raises(error: type[Exception], use: Callable[[], Any], what: str) -> str:
    try:
        use()
    except error as raised:
        return str(raised)
    raise AssertionError(f"{what} does not raise {error.__name__}")


def _fresh(records: Any) -> Any:
    return records.reset_index(drop=True) if isinstance(records, pd.DataFrame) else records


def _assert_equal(found: Any, expected: Any, what: str) -> None:
    """Exactly equal, types included."""
    if isinstance(expected, pd.DataFrame):
        try:
            pd.testing.assert_frame_equal(found, expected)
        except AssertionError as difference:
            raise AssertionError(f"{what}: {difference}") from None
    else:
        same = type(found) is type(expected) and found.dtype == expected.dtype and found.shape == expected.shape
        assert same, what
        assert bool((found == expected).all()), what


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
        _assert_equal(found.to_frame(), expected.to_frame(), f"column {name!r} does not come back")
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


# --- pools ------------------------------------------------------------------------------------------------------------


def check_pool(pool: Pool) -> None:
    """Run every check of `POOL_CHECKS`.

    Args:
        pool: A pool of at least 3 records.

    >>> from synthaug.pool import Source
    >>> check_pool(Pool.of(pd.DataFrame({"age": [30, 40, 50]}), ["a", "b", "a"], Source("by hand", "", 0)))
    """
    for check in POOL_CHECKS:
        check(pool)


def check_pool_keep(pool: Pool) -> None:
    """`keep` takes label, origin and scores along with each record, for bools and for positions."""
    backwards = np.arange(len(pool))[::-1]
    odd = np.arange(len(pool)) % 2 == 1
    for which, rows in ((backwards, backwards), (odd, np.flatnonzero(odd)), (backwards[:0], backwards[:0])):
        kept = pool.keep(which)
        _assert_equal(kept.records, _fresh(pool.records.iloc[rows]), "keep takes other records")
        assert kept.labels.tolist() == pool.labels.iloc[rows].tolist(), "keep takes other labels"
        assert _sources(kept) == [_sources(pool)[row] for row in rows], "keep takes other origins"
        for name, score in pool.scores.items():
            assert np.array_equal(kept.scores[name], score[rows], equal_nan=True), f"keep takes other scores {name!r}"


def check_pool_add(pool: Pool) -> None:
    """`+` puts one after the other, with equal sources as one."""
    added = pool + pool.keep([1])
    _assert_equal(added.records, pd.concat([pool.records, pool.records[1:2]], ignore_index=True), "+ changes records")
    assert added.labels.tolist() == [*pool.labels, pool.labels[1]], "+ changes labels"
    assert _sources(added) == [*_sources(pool), _sources(pool)[1]], "+ changes origins"
    assert len(added.sources) == len(pool.sources), "+ counts equal sources twice"


def check_pool_unchanged(pool: Pool) -> None:
    """Whatever is asked of a pool, it stays as it is."""
    before = copy.deepcopy(pool)
    with tempfile.TemporaryDirectory() as folder:
        pool.save(folder)
        pool.append(folder)
    pool.keep([0]).to_dataframe("the label", "the flag")
    pool + pool
    pool.counts()
    assert pool.equals(before), "the pool was changed"


def check_pool_save(pool: Pool) -> None:
    """What is saved comes back: records with their dtypes, labels, origins, sources, scores."""
    with tempfile.TemporaryDirectory() as folder:
        pool.save(folder)
        _assert_equal_pools(type(pool).load(folder), pool, "what was saved comes back changed")


def check_pool_append(pool: Pool) -> None:
    """Appended records come after those that are there, and files that are there stay."""
    with tempfile.TemporaryDirectory() as folder:
        pool.save(folder)
        before = {path: path.read_bytes() for path in Path(folder).glob("*.parquet")}
        pool.keep([1]).append(folder)
        after = {path: path.read_bytes() for path in Path(folder).glob("*.parquet")}
        assert before.items() <= after.items(), "append rewrites what is there"
        _assert_equal_pools(type(pool).load(folder), pool + pool.keep([1]), "what was appended comes back changed")
        parts = list(type(pool).iter(folder))
        _assert_equal_pools(Pool.concat(parts), pool + pool.keep([1]), "read file by file, the pool is another")


def check_pool_refuses_damage(pool: Pool) -> None:
    """A file cut short, with a bit flipped or missing, is a `StorageError`."""
    with tempfile.TemporaryDirectory() as folder:
        pool.save(folder)
        (path,) = Path(folder).glob("*.parquet")
        whole = path.read_bytes()
        for place in range(0, len(whole), len(whole) // 20):
            flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
            for content, what in ((whole[:place], f"a file cut at {place}"), (flipped, f"a bit flipped at {place}")):
                path.write_bytes(content)
                _assert_raises(StorageError, lambda: type(pool).load(folder), what)
        path.unlink()
        _assert_raises(StorageError, lambda: type(pool).load(folder), "a missing file")


def check_pool_files(pool: Pool) -> None:
    """There are but Parquet and JSON files, no pickle; pandas reads the folder."""
    with tempfile.TemporaryDirectory() as folder:
        pool.save(folder)
        for path in Path(folder).iterdir():
            content = path.read_bytes()
            ends = content[:4] + content[-4:]
            assert not content or ends == b"PAR1PAR1" or (ends[:1] == b"{" and ends[-2:] == b"}\n"), (
                f"{path.name} is neither Parquet nor JSON"
            )
        frame = pd.read_parquet(folder)
        assert len(frame) == len(pool), f"pandas reads {len(frame)} of {len(pool)} records"
        assert set(map(str, pool.records.columns)) <= set(frame.columns), "pandas does not find all columns"


def check_pool_overwrites_nothing(pool: Pool) -> None:
    """A pool that is there is replaced only when told to, and files of another kind never are."""
    with tempfile.TemporaryDirectory() as folder:
        pool.save(folder)
        _assert_raises(FileExistsError, lambda: pool.save(folder), "saving over a pool")
        pool.keep([0]).save(folder, overwrite=True)
        _assert_equal_pools(type(pool).load(folder), pool.keep([0]), "overwriting leaves another pool")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "mine.txt").touch()
        _assert_raises(FileExistsError, lambda: pool.save(folder, overwrite=True), "saving beside a file of mine")


POOL_CHECKS: tuple[Callable[[Pool], None], ...] = (
    check_pool_keep,
    check_pool_add,
    check_pool_unchanged,
    check_pool_save,
    check_pool_append,
    check_pool_refuses_damage,
    check_pool_files,
    check_pool_overwrites_nothing,
)


def _sources(pool: Pool) -> list[Source]:
    return [pool.sources[place] for place in pool.origin]


def _assert_equal_pools(found: Pool, expected: Pool, what: str) -> None:
    _assert_equal(found.records, expected.records, what)
    assert found.equals(expected), what
