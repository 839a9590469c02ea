"""Files that are whole or not there: written under a temporary name, synced, renamed; read within limits."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from synthaug.errors import FileExistsSynthaugError, StorageError

__all__ = ["atomic_folder", "atomic_write", "check_file", "locked", "read_json", "sha256", "sweep", "write_json"]

_TEMPORARY = re.compile(r"^\..+\.tmp-[0-9a-f]{16}$")
_LOCK = ".lock"


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Lend a temporary path beside `path`; when the block ends well, sync it and rename it to `path`.

    Whoever looks, and whenever the process is killed, `path` holds its old content or the new one, never a part.
    The temporary name begins with a dot, so tools that read a whole folder pass over it. If the block raises, the
    temporary file is removed; one that a killed process left behind is taken away by `sweep`.

    Raises:
        StorageError: the disk is full, or the folder may not be written to.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(Path(folder, "a.txt")) as temporary:
    ...         _ = temporary.write_text("whole")
    ...     [file.name for file in Path(folder).iterdir()]
    ['a.txt']
    """
    path = Path(path)
    temporary = _beside(path)
    try:
        with _telling(path):
            yield temporary
            _sync(temporary)
            temporary.replace(path)
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Lend an empty temporary folder beside `path`; when the block ends well, sync its files and rename it to `path`.

    No system replaces a folder in one step: a process killed just then may leave nothing at `path`, and the old and the
    new folder, both whole, beside it under names that begin with a dot.

    Raises:
        FileExistsSynthaugError: `path` exists and `overwrite` is False.
        StorageError: the disk is full, or the folder around `path` may not be written to.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as home:
    ...     with atomic_folder(Path(home, "model")) as temporary:
    ...         _ = (temporary / "a.txt").write_text("whole")
    ...     [file.name for file in Path(home, "model").iterdir()]
    ['a.txt']
    """
    path = Path(path)
    exists = FileExistsSynthaugError(f"{path} exists: choose another folder, or allow it to be overwritten.")
    if path.exists() and not overwrite:
        raise exists
    temporary, old = _beside(path), _beside(path)
    try:
        with _telling(path):
            temporary.mkdir(parents=True)
            yield temporary
            for file in [*temporary.iterdir(), temporary]:
                _sync(file)
            if path.exists():
                if not overwrite:
                    raise exists  # somebody else has made it meanwhile
                path.replace(old)
            temporary.replace(path)
            _sync(path.parent)
    finally:
        if old.exists() and not path.exists():
            old.replace(path)  # the new one could not take its place
        for left in (temporary, old):
            left.unlink() if left.is_file() else shutil.rmtree(left, ignore_errors=True)


def _beside(path: Path) -> Path:
    """A temporary name in the same folder."""
    return path.with_name(f".{path.name}.tmp-{secrets.token_hex(8)}")


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """An error of the file system as one of ours, with the remedy."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        if not path.parent.exists():
            raise StorageError(f"{path} could not be written: there is no folder {path.parent}, make it.") from error
        raise StorageError(f"{path} could not be written ({error}): make room, or choose another folder.") from error


def _sync(path: Path) -> None:
    """Have the operating system put a file, or the names in a folder, on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows syncs no folders.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed writers left in `folder`. Hold its lock while you do.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, ".a.txt.tmp-0123456789abcdef").write_text("half")
    ...     sweep(Path(folder))
    ...     list(Path(folder).iterdir())
    []
    """
    for path in folder.iterdir():
        if _TEMPORARY.match(path.name):
            path.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time change `folder`; others wait. The lock of a process that dies is free again.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder)):
    ...     pass
    """
    with (folder / _LOCK).open("a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_own(name: str) -> bool:
    """Whether a file of this name is one of this module's own (a lock or a leftover).

    >>> is_own(".lock"), is_own("thesis.docx")
    (True, False)
    """
    return name == _LOCK or _TEMPORARY.match(name) is not None


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file in hexadecimal, read in pieces.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "empty")
    ...     path.touch()
    ...     sha256(path)[:8]
    'e3b0c442'
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(path: Path, max_bytes: int) -> int:
    """The size of a regular file in bytes, or a `StorageError` if it is missing, a link, or larger than `max_bytes`.

    >>> check_file(Path("no/such/file"), 10)
    Traceback (most recent call last):
    ...
    synthaug.errors.StorageError: There is no file no/such/file.
    """
    if path.is_symlink():
        raise StorageError(f"{path} is a link: put the file itself in its place, so that nothing outside is read.")
    if not path.exists():
        raise StorageError(f"There is no file {path}.")
    if not path.is_file():
        raise StorageError(f"{path} is not a regular file: remove it, or restore the file that belongs there.")
    size = path.stat().st_size
    if size > max_bytes:
        raise StorageError(f"{path} has {size} bytes, more than the {max_bytes} allowed.")
    return size


def read_json(path: Path, max_bytes: int = 64 * 2**20) -> dict[str, Any]:
    """A JSON object from a file of at most `max_bytes`; anything else is a `StorageError`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_json(Path(folder, "a.json"), {"rows": 3})
    ...     read_json(Path(folder, "a.json"))
    {'rows': 3}
    """
    check_file(path, max_bytes)
    with suppress(ValueError, RecursionError):
        content = json.loads(path.read_text("utf-8"))
        if isinstance(content, dict):
            return content
    raise StorageError(
        f"{path} is not a whole JSON object: it is damaged or not one of ours. Restore it or make it again."
    )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object atomically (see `atomic_write`), in a form that people can read."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", "utf-8")
