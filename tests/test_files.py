"""Files are whole or not there, and read within limits."""

import errno
import os
import stat
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from synthaug.errors import FileExistsSynthaugError, StorageError
from synthaug.files import atomic_folder, atomic_write, check_file, is_own, locked, read_json, sha256, sweep, write_json


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_when_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path
        assert is_own(temporary.name)
    assert (path.read_text(), names(tmp_path)) == ("new", ["a.txt"])


def test_an_error_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyError), atomic_write(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise KeyError
    assert (path.read_text(), names(tmp_path)) == ("old", ["a.txt"])


def test_a_full_disk_is_told_with_the_remedy(tmp_path):
    with pytest.raises(StorageError, match=r"a.txt could not be written \(.*No space left.*\): make room"):  # noqa: SIM117
        with atomic_write(tmp_path / "a.txt"):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == []


def test_a_folder_that_is_missing_is_named(tmp_path):
    told = f"{tmp_path / 'no' / 'a.txt'} could not be written: there is no folder {tmp_path / 'no'}, make it."
    with pytest.raises(StorageError) as caught, atomic_write(tmp_path / "no" / "a.txt") as temporary:
        temporary.write_text("a")
    assert str(caught.value) == told


def test_an_error_leaves_the_old_folder_and_no_other(tmp_path, monkeypatch):
    with atomic_folder(tmp_path / "model") as temporary:
        (temporary / "a.txt").write_text("old")
    with pytest.raises(FileExistsSynthaugError, match="model exists"), atomic_folder(tmp_path / "model"):
        pass
    with pytest.raises(StorageError, match=r"model could not be written \(.*No space left.*\): make room"):  # noqa: SIM117
        with atomic_folder(tmp_path / "model", overwrite=True):
            raise OSError(errno.ENOSPC, "No space left on device")
    replace, targets = Path.replace, []

    def second_fails(self, target):
        targets.append(target)
        if len(targets) == 2:
            raise OSError(errno.EBUSY, "Busy")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", second_fails)
    with pytest.raises(StorageError, match="Busy"), atomic_folder(tmp_path / "model", overwrite=True) as temporary:
        (temporary / "a.txt").write_text("new")
    assert (tmp_path / "model" / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["model"]


def test_a_folder_that_appears_while_another_is_written_is_left_alone(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    with pytest.raises(FileExistsSynthaugError, match="model exists"), atomic_folder(tmp_path / "model"):
        (tmp_path / "other").rename(tmp_path / "model")
    assert (names(tmp_path), names(tmp_path / "model")) == (["model"], ["thesis.txt"])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_told(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(StorageError, match="could not be written"):
        write_json(tmp_path / "a.json", {})


def test_permissions_are_those_of_any_new_file(tmp_path):
    write_json(tmp_path / "a.json", {})
    (tmp_path / "b").touch()
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "b").stat().st_mode


KILLED = """
import os, pathlib, signal, sys
from synthaug.files import atomic_write
with atomic_write(pathlib.Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")
def test_what_a_killed_process_leaves_is_swept_and_nothing_else(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / ".a.txt.tmp-mine").write_text("kept")
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a.txt")], check=False)
    assert len(names(tmp_path)) == 3
    sweep(tmp_path)
    assert names(tmp_path) == [".a.txt.tmp-mine", "a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def hold(folder, ready, seconds):
    with locked(Path(folder)):
        ready.set()
        time.sleep(seconds)


def test_a_lock_is_waited_for_and_freed_by_death(tmp_path):
    context = get_context("spawn")
    for seconds, kill in ((1.0, False), (60, True)):
        ready = context.Event()
        process = context.Process(target=hold, args=(tmp_path, ready, seconds))
        process.start()
        assert ready.wait(60)
        if kill:
            process.kill()
        start = time.monotonic()
        with locked(tmp_path):
            assert kill or time.monotonic() - start > 0.1
        process.join(10)


def test_sha256_and_size(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert check_file(path, 3) == 3
    with pytest.raises(StorageError, match="has 3 bytes, more than the 2 allowed"):
        check_file(path, 2)


def test_json_comes_back(tmp_path):
    content = {"text": "ß\n", "number": 1.5, "list": [1, None, True], "inner": {}}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert read_json(tmp_path / "a.json") == content


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"3", b'{"a": ', b"\xff", b"[" * 10**6, b'{"a":' * 10**5, b"9" * 10**5], ids=range(8)
)
def test_json_of_another_kind_is_refused(content, tmp_path):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"a\.json is not a whole JSON object"):
        read_json(tmp_path / "a.json")


def test_links_folders_and_large_files_are_refused_unread(tmp_path):
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    with pytest.raises(StorageError, match=r"link\.json is a link"):
        read_json(tmp_path / "link.json")
    with pytest.raises(StorageError, match="is not a regular file"):
        read_json(tmp_path)
    with pytest.raises(StorageError, match="There is no file"):
        read_json(tmp_path / "none.json")
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(StorageError, match="more than the 1000 allowed"):
        read_json(tmp_path / "large.json", 1000)
