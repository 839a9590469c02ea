"""A folder of Parquet shards and a manifest that is renamed last: whole after any crash, checked at every read.

The manifest names each shard with its rows, bytes and SHA-256; what it does not name is not there. Shards are called
after their content, so that a new one never takes the place of one that somebody is reading. A leading underscore or
dot keeps the manifest, locks and temporary files out of the way of tools that read all files of a folder.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synthaug.errors import FileExistsSynthaugError, StorageError
from synthaug.files import atomic_write, check_file, is_own, locked, read_json, sha256, sweep, write_json

__all__ = [
    "MANIFEST",
    "Manifest",
    "Shard",
    "changing",
    "list_groups",
    "read_columns",
    "read_group",
    "read_manifest",
    "read_schema",
    "read_shard",
    "verify_shard",
    "write",
]

MANIFEST = "_manifest.json"
_BEGUN = ".begun"
_FORMAT = 1
_NAME = re.compile(r"part-[0-9]{6}-[0-9a-f]{12}\.parquet")
_ROW_GROUP = 2**16
_GROUP_BYTES = 2**20  # of images in a row group, the least that is read when a few are asked for
_BATCH = 2**13
_LIMIT = 2**63
_REMEDY = "restore it from a copy, or make the pool again"


@dataclass(frozen=True)
class Shard:
    """One file: its name, rows, bytes and SHA-256."""

    file: str
    rows: int
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if not isinstance(self.file, str) or not _NAME.fullmatch(self.file):
            raise ValueError(f"{self.file!r} is no name of a shard")
        if any(type(n) is not int or not 0 <= n < _LIMIT for n in (self.rows, self.bytes)):
            raise ValueError(f"{self.file} has {self.rows!r} rows and {self.bytes!r} bytes")
        if not isinstance(self.sha256, str) or not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(f"{self.file} has the SHA-256 {self.sha256!r}")


@dataclass(frozen=True)
class Manifest:
    """The shards of a folder, and `meta`: what their owner wants to remember, as plain JSON."""

    meta: Mapping[str, Any]
    shards: tuple[Shard, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {"format": _FORMAT, **self.meta, "shards": [asdict(shard) for shard in self.shards]}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Manifest:
        """The inverse of `to_dict`; a `StorageError` for anything that `to_dict` cannot have written."""
        if state.get("format") != _FORMAT:
            raise StorageError(
                f"Expected format {_FORMAT}, got {state.get('format')!r}: read it with the synthaug that wrote it."
            )
        try:
            shards = tuple(Shard(**shard) for shard in state["shards"])
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(f"The list of shards is damaged: {error}.") from error
        if len({shard.file for shard in shards}) != len(shards):
            raise StorageError("The list of shards is damaged: it names a shard twice.")
        return cls({key: value for key, value in state.items() if key not in ("format", "shards")}, shards)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of `folder`, or a `StorageError` that names the file and the remedy."""
    try:
        return Manifest.from_dict(read_json(folder / MANIFEST))
    except StorageError as error:
        raise StorageError(f"{folder} cannot be read as a pool. {error}") from error


@contextmanager
def changing(folder: Path) -> Iterator[Manifest | None]:
    """Lock `folder` (made if need be), clear away what killed writers left, and lend its manifest, None if it has none.

    Raises:
        FileExistsSynthaugError: `folder` is a file, or holds files that are not a pool's, or a pool's files whose
            manifest is lost.
    """
    if folder.is_file():
        raise FileExistsSynthaugError(f"{folder} is a file: choose a folder.")
    folder.mkdir(parents=True, exist_ok=True)
    alien = sorted(path.name for path in folder.iterdir() if not _is_ours(path.name))
    if alien:
        raise FileExistsSynthaugError(
            f"{folder} holds files that are not a pool's ({', '.join(alien[:3])}): choose an empty or new folder."
        )
    with locked(folder):
        manifest = read_manifest(folder) if (folder / MANIFEST).exists() else None
        if manifest is None and not (folder / _BEGUN).exists() and any(_shards(folder)):
            raise FileExistsSynthaugError(
                f"{folder} holds a pool whose {MANIFEST} is lost: restore it, or choose another folder."
            )
        _clear(folder, manifest)
        if manifest is None:  # until there is a manifest, this tells the shards of a killed writer from lost ones
            (folder / _BEGUN).touch()
        yield manifest


def write(folder: Path, tables: Iterable[pa.Table], manifest: Manifest) -> None:
    """Add a shard a table to those of `manifest`, publish it, and remove the shards that it does not name.

    Call inside `changing`. A kill at any moment leaves the old manifest or the new one, and all the shards it names.
    """
    start = 1 + max((int(shard.file[5:11]) for shard in manifest.shards), default=-1)
    added = tuple(_write_shard(folder, number, table) for number, table in enumerate(tables, start))
    manifest = replace(manifest, shards=manifest.shards + added)
    write_json(folder / MANIFEST, manifest.to_dict())
    _clear(folder, manifest)


def _write_shard(folder: Path, number: int, table: pa.Table) -> Shard:
    """Write one shard, under the name that its content gives it."""
    sink = pa.BufferOutputStream()
    named = [field.name for field in table.schema if not pa.types.is_fixed_size_binary(field.type)]  # all but images
    image = sum(field.type.byte_width for field in table.schema if field.name not in named)
    pq.write_table(
        table,
        sink,
        row_group_size=max(1, min(_ROW_GROUP, _GROUP_BYTES // image)) if image else _ROW_GROUP,
        compression="zstd",
        write_page_checksum=True,
        use_dictionary=named,
        write_statistics=named,
    )
    content = memoryview(sink.getvalue())
    digest = hashlib.sha256(content).hexdigest()
    name = f"part-{number:06d}-{digest[:12]}.parquet"
    with atomic_write(folder / name) as temporary:
        temporary.write_bytes(content)
    return Shard(name, table.num_rows, len(content), digest)


def read_shard(folder: Path, shard: Shard, *, verify: bool, max_bytes: int) -> pa.Table:
    """One shard, its size, SHA-256 (if `verify`) and page checksums compared with what was written.

    Raises:
        StorageError: it is missing, a link, damaged or altered, or opens out to more than `max_bytes` of memory.
    """
    path = verify_shard(folder, shard) if verify else _sized(folder, shard)
    with _telling(path):
        return _read_within(path, shard.rows, max_bytes)


def verify_shard(folder: Path, shard: Shard) -> Path:
    """Where the shard is; a `StorageError` if its size or SHA-256 is not what was written."""
    path = _sized(folder, shard)
    if sha256(path) != shard.sha256:
        raise StorageError(f"{path} is not as it was written (its SHA-256 differs): {_REMEDY}.")
    return path


def _sized(folder: Path, shard: Shard) -> Path:
    path = folder / shard.file
    size = check_file(path, shard.bytes)
    if size != shard.bytes:
        raise StorageError(f"{path} has {size} bytes where {shard.bytes} were written: {_REMEDY}.")
    return path


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """An error of Arrow's as one of ours, with the remedy."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{path} cannot be read as Parquet ({error}): {_REMEDY}.") from error


def list_groups(folder: Path, shard: Shard) -> list[tuple[int, int]]:
    """Rows and bytes of each row group of a shard: what can be read of it at the least."""
    path = _sized(folder, shard)
    with _telling(path):
        meta, schema = _described(path, shard.rows)
        width = sum(map(_bits, schema.types)) / 8
        groups = [meta.row_group(number) for number in range(meta.num_row_groups)]
        return [(group.num_rows, max(group.total_byte_size, int(group.num_rows * width))) for group in groups]


def read_group(folder: Path, shard: Shard, group: int, *, max_bytes: int) -> pa.Table:
    """One row group of a shard, its page checksums compared with what was written. Safe in a forked process."""
    path = _sized(folder, shard)
    with _telling(path):
        return _read_within(path, shard.rows, max_bytes, groups=[group])


def read_columns(folder: Path, shard: Shard, columns: list[str], *, max_bytes: int) -> pa.Table:
    """Some columns of a shard, page checksums compared."""
    path = _sized(folder, shard)
    with _telling(path):
        return _read_within(path, shard.rows, max_bytes, columns=columns)


def read_schema(folder: Path, shard: Shard) -> pa.Schema:
    """The Arrow types of a shard's columns."""
    try:
        check_file(folder / shard.file, shard.bytes)
        return pq.read_schema(folder / shard.file)
    except (pa.ArrowException, OSError) as error:
        raise StorageError(
            f"{folder / shard.file} cannot be read ({error}): restore it, or make the pool again."
        ) from error


def _described(path: Path, rows: int) -> tuple[Any, pa.Schema]:
    """The metadata and schema of a file, provided that it has so many rows and no types that no pool has."""
    with pq.ParquetFile(path) as file:
        meta, schema = file.metadata, file.schema_arrow
    if meta.num_rows != rows:
        raise StorageError(f"{path} has {meta.num_rows} rows where {rows} were written: make the pool again.")
    strange = [field for field in schema if _is_strange(field.type)]
    if strange:
        raise StorageError(f"{path} holds {strange[0].type} in column {strange[0].name!r}, as no pool does.")
    return meta, schema


def _read_within(
    path: Path, rows: int, max_bytes: int, *, groups: list[int] | None = None, columns: list[str] | None = None
) -> pa.Table:
    """A file, read in batches and given up as soon as it takes more than `max_bytes`: a bomb stays small.

    Texts are read as dictionaries, as they are stored, since a long one repeated takes next to nothing on disk. Lists
    and structs, in which it could hide, are refused: no pool has them.

    Args:
        path: The file.
        rows: How many it has to have.
        max_bytes: The most memory that what is read may take.
        groups: The row groups to read; by default all, in several threads.
        columns: The columns to read; by default all.
    """
    meta, schema = _described(path, rows)
    schema = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    parts = [meta.row_group(group) for group in (range(meta.num_row_groups) if groups is None else groups)]
    stored = sum(part.total_byte_size for part in parts) if columns is None else 0
    width = sum(map(_bits, schema.types))
    _check_memory(path, max(stored, sum(part.num_rows for part in parts) * width // 8), max_bytes)
    texts = [field.name for field in schema if _is_text(field.type)]
    batches, taken = [], 0
    with pq.ParquetFile(path, read_dictionary=texts, page_checksum_verification=True) as file:
        for batch in file.iter_batches(_BATCH, row_groups=groups, columns=columns, use_threads=groups is None):
            taken += sum(map(_size, batch.columns))
            _check_memory(path, taken, max_bytes)
            batches.append(batch)
        like = file.schema_arrow
    like = like if columns is None else pa.schema([like.field(name) for name in columns])
    return pa.Table.from_batches(batches, like).cast(schema)


def _bits(kind: pa.DataType) -> int:
    """What a value of this type takes at least."""
    return kind.bit_width if pa.types.is_primitive(kind) or pa.types.is_fixed_size_binary(kind) else 1


def _is_strange(kind: pa.DataType) -> bool:
    """Whether pandas makes no column of this type: lists, structs, and types that others have added to Arrow."""
    added = isinstance(kind, pa.BaseExtensionType) and not kind.extension_name.startswith("pandas.")
    return added or pa.types.is_nested(kind)


def _is_text(kind: pa.DataType) -> bool:
    return str(kind) in ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")


def _size(array: pa.Array) -> int:
    """The bytes that an array takes, a dictionary written out."""
    if not pa.types.is_dictionary(array.type) or not _is_text(array.type.value_type):
        return array.nbytes
    lengths = pc.binary_length(array.dictionary).cast(pa.int64())
    return array.indices.nbytes + (pc.sum(lengths.take(array.indices)).as_py() or 0)


def _check_memory(path: Path, needed: int, max_bytes: int) -> None:
    if needed > max_bytes:
        raise StorageError(
            f"{path} opens out to more than the {max_bytes} bytes left of `max_bytes`: "
            "read it shard by shard with `Pool.iter`, or raise `max_bytes` if you trust it."
        )


def _is_ours(name: str) -> bool:
    return name in (MANIFEST, _BEGUN) or is_own(name) or _NAME.fullmatch(name) is not None


def _clear(folder: Path, manifest: Manifest | None) -> None:
    """Remove temporary files, and shards that no manifest names."""
    sweep(folder)
    named = {shard.file for shard in manifest.shards} if manifest else set()
    for path in _shards(folder):
        if path.name not in named:
            path.unlink(missing_ok=True)
    if manifest:
        (folder / _BEGUN).unlink(missing_ok=True)


def _shards(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
