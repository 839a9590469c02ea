"""Pools of images as folders of files, for every other tool."""

import json
import ntpath
import os
import pathlib
import struct
import tracemalloc
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from synthaug import MixedDataset, read_images, read_pool, write_images
from synthaug.errors import DataError, DataTypeError, FileExistsSynthaugError, ParameterError, StorageError
from synthaug.image_folders import _label_problems
from synthaug.opened import OpenPool, as_pool
from synthaug.pool import Pool, Source

RNG = np.random.default_rng(0)


def pool(shape=(8, 9), labels=("cat", "dog", "cat"), dtype="uint8"):
    images = RNG.integers(0, 256, (len(labels), *shape)).astype(dtype)
    return Pool.of(images, list(labels), Source("by hand", "", 3))


@pytest.mark.parametrize("shape", [(8, 9), (8, 9, 1), (8, 9, 2), (8, 9, 3), (8, 9, 4), (1, 8, 9), (3, 8, 9)], ids=str)
def test_images_come_back_in_the_order_of_their_classes(shape, tmp_path):
    made = pool(shape)
    write_images(made, tmp_path / "made")
    back = read_images(tmp_path / "made")
    expected = made.records[[0, 2, 1]]
    channels_first = shape in ((1, 8, 9), (3, 8, 9))
    expected = expected.transpose(0, 2, 3, 1) if channels_first else expected
    assert back.labels.tolist() == ["cat", "cat", "dog"]
    assert np.array_equal(back.records, expected[..., 0] if expected.shape[3:] == (1,) else expected)


def test_files_are_named_by_class_and_place_and_say_what_made_them(tmp_path):
    made = pool() + Pool.of(np.zeros((1, 8, 9), "uint8"), ["dog"], Source("vae", "abc", 5))
    write_images(made, tmp_path / "made")
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    assert files == ["made/cat/000000.png", "made/cat/000002.png", "made/dog/000001.png", "made/dog/000003.png"]
    with Image.open(tmp_path / "made/dog/000003.png") as image:
        assert image.text["Comment"] == "A synthetic image, made by vae."
        told = json.loads(image.text["synthaug"])
    assert told == {"name": "vae", "fingerprint": "abc", "seed": 5, "details": {}, "label": "dog",
                    "image": {"shape": [8, 9], "dtype": "uint8"}}  # fmt: skip


def test_a_pool_in_a_folder_is_written_a_block_at_a_time(tmp_path):
    made = pool(labels=range(300))
    made.save(tmp_path / "pool")
    for name, source in (("opened", OpenPool(tmp_path / "pool")), ("folder", tmp_path / "pool"), ("memory", made)):
        write_images(source, tmp_path / name)
    files = [sorted((path.name, path.read_bytes()) for path in (tmp_path / name).rglob("*.png"))
             for name in ("opened", "folder", "memory")]  # fmt: skip
    assert files[0] == files[1] == files[2]
    assert len(files[0]) == 300


def test_floats_are_scaled_from_the_range_that_is_told(tmp_path):
    made = Pool.of(np.linspace(-1, 1, 64).reshape(1, 8, 8), [0], Source("by hand", "", 0))
    with pytest.raises(DataTypeError, match=r"dtype float64.*`value_range=\(0, 1\)`"):
        write_images(made, tmp_path / "made")
    with pytest.raises(DataError, match=r"^Image 0 has values from -1 to 1, outside of `value_range=\(0, 1\)`"):
        write_images(made, tmp_path / "made", value_range=(0, 1))
    for wrong in ((1, 0), (0, np.inf), (0, "1"), 1.0):
        with pytest.raises(ParameterError, match="`value_range` to be two finite numbers, the lower first, got"):
            write_images(made, tmp_path / "made", value_range=wrong)
    assert not (tmp_path / "made").exists()
    write_images(made, tmp_path / "made", value_range=(made.records.min(), made.records.max()))
    image = read_images(tmp_path / "made").records[0]
    assert (image[0, 0], image[-1, -1]) == (0, 255)
    with pytest.raises(ParameterError, match="no `value_range` for images of bytes"):
        write_images(pool(), tmp_path / "other", value_range=(0, 1))


@pytest.mark.parametrize(
    "label", ["", ".", "..", ".git", "a/b", "a\\b", "a\0b", " ", "x" * 300, "con\n", "a.", "\u4e00" * 90]
)
def test_labels_that_name_no_folder_are_refused(label, tmp_path):
    with pytest.raises(DataError, match=r"No folder can be called .*: rename"):
        write_images(pool(labels=["cat", label]), tmp_path / "made")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("label", ["con", "NUL", "aux.txt", "Com1", "lpt\u00b3", "prn .a"])
def test_labels_that_name_a_device_of_windows_are_refused_everywhere(label, tmp_path):
    with pytest.raises(DataError, match=r"^No folder can be called .* on Windows: rename the label"):
        write_images(pool(labels=["cat", label]), tmp_path / "made")
    assert list(tmp_path.iterdir()) == []


def test_names_that_windows_keeps_are_those_that_python_knows():
    reserved = getattr(ntpath, "isreserved", None) or (lambda name: pathlib.PureWindowsPath(name).is_reserved())
    stems = ["con", "prn", "aux", "nul", "conin$", "conout$", "com", "lpt", "com0", "com1", "LPT9", "com\u00b2",
             "com10", "cone", "a", "a con", "clock$"]  # fmt: skip
    for name in [stem + tail for stem in stems for tail in ("", ".txt", " .x", ".con", "-")]:
        assert bool(list(_label_problems([name]))) == reserved(name), name


def test_labels_that_are_one_folder_on_some_systems_are_refused(tmp_path):
    with pytest.raises(DataError, match="'cat' and 'Cat' are one folder"):
        write_images(pool(labels=["cat", "Cat"]), tmp_path / "made")


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "made").mkdir()
    with pytest.raises(FileExistsSynthaugError, match=r"made exists: choose another folder\."):
        write_images(pool(), tmp_path / "made")


@pytest.mark.parametrize("shape", [(8, 9, 5), (13, 16, 16)], ids=str)
def test_channels_that_no_png_has_are_refused(shape, tmp_path):
    with pytest.raises(DataError, match="1 to 4 channels"):
        write_images(pool(shape), tmp_path / "made")


def test_a_table_is_refused(tmp_path):

    table = Pool.of(pd.DataFrame({"a": [1]}), ["x"], Source("by hand", "", 0))
    with pytest.raises(DataTypeError, match="Expected a pool of images, got one of table rows"):
        write_images(table, tmp_path / "made")


# --- and back ---------------------------------------------------------------------------------------------------------


def written(folder, made=None, **arguments):
    made = pool(labels=["cat", "dog", "cat", "dog", "cow"]) if made is None else made
    write_images(made, folder, **arguments)
    return made


def told(path, **changes):
    """What a file says of itself."""
    with Image.open(path) as image:
        return json.loads(image.text["synthaug"]) | changes


def replace(path, text, pixels=None, mode=None):
    """Write a file anew, with another text, image or mode."""
    info = PngInfo()
    if text is not None:
        info.add_itxt("synthaug", text if isinstance(text, str) else json.dumps(text), zip=True)
    with Image.open(path) as image:
        image = image.copy() if pixels is None else Image.fromarray(pixels)
    image.convert(mode or image.mode).save(path, pnginfo=info)


SHAPES = [(8, 9), (8, 9, 1), (8, 9, 2), (8, 9, 3), (8, 9, 4), (1, 8, 9), (3, 8, 9), (13, 8, 3), (4, 8, 8)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_pool_comes_back(shape, tmp_path):
    made = written(tmp_path / "made", pool(shape))
    back = read_pool(tmp_path / "made")
    assert back.equals(made)
    assert back.records.flags.c_contiguous


@pytest.mark.parametrize(
    "labels", [[7, -3, 10], [True, False, True], [1.0, 2.0, 1e20], ["7", "True", "\u00e9"]], ids=str
)
def test_labels_keep_their_type(labels, tmp_path):
    back = read_pool((written(tmp_path / "made", pool(labels=labels)), tmp_path / "made")[1])
    assert back.labels.tolist() == labels
    assert {type(label) for label in back.labels.tolist()} == {type(labels[0])}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1), (0.1, 0.7), (0, 4096)], ids=str)
def test_floats_come_back_within_half_a_step(dtype, value_range, tmp_path):
    low, high = value_range
    images = RNG.uniform(low, high, (4, 3, 8, 9)).astype(dtype)
    images[0, 0, 0, :2] = value_range
    made = written(tmp_path / "made", Pool.of(images, [0, 1, 0, 1], Source("vae", "", 0)), value_range=value_range)
    back = read_pool(tmp_path / "made")
    assert (back.records.dtype, back.records.shape) == (made.records.dtype, made.records.shape)
    assert np.abs(back.records - made.records).max() <= (high - low) / 255 / 2 * (1 + 1e-4)
    assert (back.records.min(), back.records.max()) == (images.min(), images.max())
    write_images(back, tmp_path / "again", value_range=value_range)
    assert read_pool(tmp_path / "again").equals(back)


def test_what_made_the_images_comes_back_for_each(tmp_path):
    first = Pool.of(np.zeros((2, 8, 9), "uint8"), ["a", "b"], Source("vae", "abc", 5, {"steps": [1, None]}))
    made = written(tmp_path / "made", pool(labels=["b"]) + first)
    back = read_pool(tmp_path / "made")
    assert back.equals(made)
    assert back.sources == made.sources
    with pytest.raises(DataError, match="It was not noted"):
        back.trained_on(made.records)


def test_deleted_files_are_absent_and_the_others_in_the_order_of_their_places(tmp_path):
    made = written(tmp_path / "made")
    (tmp_path / "made/dog/000001.png").unlink()
    assert read_pool(tmp_path / "made").equals(made.keep([0, 2, 3, 4]))
    (tmp_path / "made/dog/000003.png").unlink()
    assert read_pool(tmp_path / "made").equals(made.keep([0, 2, 4]))
    (tmp_path / "made/dog").rmdir()
    left = read_pool(tmp_path / "made")
    assert left.equals(made.keep([0, 2, 4]))
    real = [(image, label) for image, label in zip(made.records, made.labels, strict=True)]
    assert MixedDataset(real, left)[-1][1] == "cow"


def test_places_beyond_six_digits_come_last(tmp_path):
    made = written(tmp_path / "made")
    (tmp_path / "made/cat/000000.png").rename(tmp_path / "made/cat/1000000.png")
    assert read_pool(tmp_path / "made").equals(made.keep([1, 2, 3, 4, 0]))


def test_a_file_that_was_moved_has_the_label_of_its_folder(tmp_path):
    written(tmp_path / "made", pool(labels=[3, 7, 3]))
    (tmp_path / "made/3/000000.png").rename(tmp_path / "made/7/000000.png")
    assert read_pool(tmp_path / "made").labels.tolist() == [7, 7, 3]
    for name in ("poor", "07", "1.0"):
        (tmp_path / "made/7").rename(tmp_path / "made" / name)
        with pytest.raises(StorageError, match=rf"called '{name}', and labels are of type int: move the file"):
            read_pool(tmp_path / "made")
        (tmp_path / "made" / name).rename(tmp_path / "made/7")


def test_files_of_before_have_bytes_and_labels_that_are_strings(tmp_path):
    made = written(tmp_path / "made", pool((8, 9, 3), labels=[1, 2]))
    for path in (tmp_path / "made").rglob("*.png"):
        replace(path, {"name": "vae", "fingerprint": "abc", "seed": 5})
    back = read_pool(tmp_path / "made")
    assert back.equals(Pool.of(made.records, ["1", "2"], Source("vae", "abc", 5)))


def test_what_is_no_image_is_left_out(tmp_path):
    made = written(tmp_path / "made")
    for name in (".DS_Store", "notes.txt", "cat/Thumbs.db", "cat/._000000.png"):
        (tmp_path / "made" / name).write_bytes(b"1")
    (tmp_path / "made/.hidden").mkdir()
    assert read_pool(tmp_path / "made").equals(made)


SILENT = (
    r"The file says nothing of what made it, .* so it may be a real image: move it away\. Real images are read with"
)


def test_a_real_image_is_never_taken_for_a_synthetic_one(tmp_path):
    written(tmp_path / "made")
    photo = Image.fromarray(np.zeros((8, 9), "uint8"))
    photo.save(tmp_path / "made/cat/photo.png")
    photo.save(tmp_path / "made/cat/photo.jpg")
    photo.save(tmp_path / "made/dog/000001.png", "JPEG")
    names = r"\S*cat/photo\.jpg, \S*cat/photo\.png, \S*dog/000001\.png"
    with pytest.raises(StorageError, match=rf"^{names}: {SILENT}"):
        read_pool(tmp_path / "made")


def test_a_file_that_lies_elsewhere_is_told(tmp_path):
    made = written(tmp_path / "made")
    (tmp_path / "made/cat/poor").mkdir()
    (tmp_path / "made/dog/000001.png").rename(tmp_path / "made/000001.png")
    with pytest.raises(
        StorageError, match=r"Folder \S*poor lies in that of a class: [^@]*Image \S* lies in no folder of a"
    ):
        read_pool(tmp_path / "made")
    (tmp_path / "made/cat/poor").rename(tmp_path / "poor")
    (tmp_path / "made/000001.png").rename(tmp_path / "made/dog/000001.png")
    assert read_pool(tmp_path / "made").equals(made)


@pytest.mark.skipif(os.name == "nt", reason="no links, no pipes")
def test_links_are_followed_and_no_pipe_is_waited_for(tmp_path):
    made = written(tmp_path / "made")
    (tmp_path / "made/cat").rename(tmp_path / "moved")
    (tmp_path / "made/cat").symlink_to(tmp_path / "moved")
    (tmp_path / "moved/000002.png").rename(tmp_path / "one.png")
    (tmp_path / "moved/000002.png").symlink_to(tmp_path / "one.png")
    assert read_pool(tmp_path / "made").equals(made)
    (tmp_path / "one.png").unlink()
    os.mkfifo(tmp_path / "made/dog/pipe.png")
    (tmp_path / "made/loop").symlink_to(tmp_path / "made")
    with pytest.raises(StorageError, match=r"Folder \S*loop/cat lies in that of a class"):
        read_pool(tmp_path / "made")
    (tmp_path / "made/loop").unlink()
    with pytest.raises(
        StorageError, match=r"^\S*pipe\.png, \S*000002\.png: There is no file, or a link that leads nowhere"
    ):
        read_pool(tmp_path / "made")


@pytest.mark.parametrize(
    ("pixels", "mode", "has"),
    [
        (np.zeros((16, 18), "uint8"), None, "16 x 18 pixels of mode L"),
        (None, "RGB", "8 x 9 pixels of mode RGB"),
        (None, "P", "8 x 9 pixels of mode P"),
        (np.zeros((8, 9), "uint16"), None, "8 x 9 pixels of mode I;16"),
    ],
)
def test_a_file_that_was_changed_is_refused(pixels, mode, has, tmp_path):
    written(tmp_path / "made")
    path = tmp_path / "made/cat/000002.png"
    replace(path, told(path), pixels, mode)
    with pytest.raises(
        StorageError, match=rf"000002\.png: The file was changed: it has {has}, and was written of .*\(8, 9\)"
    ):
        read_pool(tmp_path / "made")


def test_files_of_several_pools_are_told_apart(tmp_path):
    written(tmp_path / "made")
    image = {"image": {"shape": [8, 9], "dtype": "float32"}, "value_range": [0, 1]}
    for i, changes in enumerate(({"label": 3}, {"image": {"shape": [1, 8, 9], "dtype": "uint8"}}, image), 1):
        path = next((tmp_path / "made").glob(f"*/00000{i}.png"))
        replace(path, told(path, **changes))
    (tmp_path / "made/dog").rename(tmp_path / "made/3")
    with pytest.raises(StorageError) as caught:
        read_pool(tmp_path / "made")
    for message in (
        "000001.png: The label is of type int where str is expected.",
        "000002.png: The images have shape (1, 8, 9) where (8, 9) is expected.",
        "000003.png: The images have dtype float32 where uint8 is expected. The range is (0.0, 1.0) where None",
    ):
        assert message in str(caught.value)


def test_damaged_files_are_named(tmp_path):
    made = written(tmp_path / "made", pool((40, 40), labels=["a", "b", "a"]))
    path = tmp_path / "made/b/000001.png"
    whole = path.read_bytes()
    for end in (0, 10, 60, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:end])
        with pytest.raises(StorageError, match=r"^\S*b/000001\.png: (The file is damaged|The file says nothing of)"):
            read_pool(tmp_path / "made")
    for place in range(20, len(whole) - 12, 7):  # what comes after says only that the file ends
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(StorageError, match=r"^\S*b/000001\.png: The file (is damaged|says nothing of)"):
            read_pool(tmp_path / "made")
    path.write_bytes(whole)
    assert read_pool(tmp_path / "made").equals(made)


FLOATS = {"image": {"shape": [8, 9], "dtype": "float32"}}
HOSTILE = {
    "no JSON": "{",
    "deep": "[" * 100_000,
    "a list": "[1]",
    "a string": '"a"',
    "null": "null",
    "huge": json.dumps({"name": "a" * 2**20}),
    "digits": '{"name": "a", "fingerprint": "", "seed": ' + "1" * 5000 + "}",
    "no seed": {"name": "a", "fingerprint": ""},
    "other types": {"name": 1, "fingerprint": [], "seed": "0"},
    "a long name": {"name": ["a" * 9999], "fingerprint": "", "seed": 1},
    "details": {"details": [1]},
    "label list": {"label": [1]},
    "label null": {"label": None},
    "image": {"image": 3},
    "shape": {"image": {"shape": "ab", "dtype": "uint8"}},
    "large": {"image": {"shape": [2**40, 2**40], "dtype": "uint8"}},
    "small": {"image": {"shape": [1, 1], "dtype": "uint8"}},
    "negative": {"image": {"shape": [-8, -9], "dtype": "uint8"}},
    "dtype": {"image": {"shape": [8, 9], "dtype": "object"}},
    "dtype list": {"image": {"shape": [8, 9], "dtype": ["uint8"]}},
    "no range": FLOATS,
    "range of bytes": {"value_range": [0, 1]},
    "range of text": FLOATS | {"value_range": "01"},
    "three": FLOATS | {"value_range": [0, 1, 2]},
    "strings": FLOATS | {"value_range": ["0", "1"]},
    "bools": FLOATS | {"value_range": [False, True]},
    "lists": FLOATS | {"value_range": [[0], [1]]},
    "infinite": FLOATS | {"value_range": [0, float("inf")]},
    "beyond dtype": FLOATS | {"value_range": [0, 1e300]},
    "beyond floats": FLOATS | {"value_range": [0, 10**400]},
    "turned": FLOATS | {"value_range": [1, 0]},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_text_from_strangers_is_an_error_of_ours(case, tmp_path):
    written(tmp_path / "made")
    path, text = tmp_path / "made/cat/000000.png", HOSTILE[case]
    changes = told(path) | text if isinstance(text, dict) and "name" not in text else text
    replace(path, changes)
    with pytest.raises(
        StorageError, match=r"000000\.png: (What the file says of itself|The file) is damaged"
    ) as caught:
        read_pool(tmp_path / "made")
    assert len(str(caught.value)) < 600


def test_bombs_are_refused(tmp_path, monkeypatch):
    made = written(tmp_path / "made")
    with pytest.raises(StorageError, match=r"take 360 bytes, more than the 359 allowed"):
        read_pool(tmp_path / "made", max_bytes=359)
    assert read_pool(tmp_path / "made", max_bytes=360).equals(made)
    path = tmp_path / "made/cat/000000.png"
    replace(path, json.dumps(told(path)) + " " * 2**21)  # a text that opens out
    with pytest.raises(StorageError, match=r"000000\.png: The file is damaged \(.*too large"):
        read_pool(tmp_path / "made")
    path.unlink()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 35)
    with pytest.raises(StorageError, match=r"000003\.png and 1 more: The file is damaged \(.*bomb"):
        read_pool(tmp_path / "made")


def test_details_too_long_for_every_file_are_refused(tmp_path):
    made = Pool.of(np.zeros((1, 8, 9), "uint8"), ["a"], Source("vae", "", 0, {"notes": "a" * 2**20}))
    with pytest.raises(DataError, match=r"`details` of 'vae' are too long to be in every file: save the pool instead"):
        write_images(made, tmp_path / "made")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_of_ours(tmp_path):
    with pytest.raises(StorageError, match=r"no is no folder: name the one that `write_images` wrote"):
        read_pool(tmp_path / "no")
    with pytest.raises(StorageError, match=r"holds no images: name the folder that `write_images` wrote"):
        read_pool(tmp_path)
    pool().save(tmp_path / "saved")
    with pytest.raises(
        StorageError, match=r"saved holds a pool that was saved, no PNG files: read it with `Pool\.load`"
    ):
        read_pool(tmp_path / "saved")


def test_a_folder_of_files_where_a_saved_pool_is_wanted_says_how_to_read_it(tmp_path):
    written(tmp_path / "made")
    for read in (Pool.load, lambda folder: list(Pool.iter(folder)), as_pool, OpenPool):
        with pytest.raises(
            StorageError, match=r"made holds PNG files and no saved pool: if .* pass `read_pool\(folder\)`"
        ):
            read(tmp_path / "made")


def test_what_files_say_of_themselves_is_kept_once(tmp_path, monkeypatch):
    """Of a megabyte that opens out to twenty, in each of ten files of a kilobyte."""
    files = [tmp_path / f"made/0/00000{i}.png" for i in range(10)]
    written(tmp_path / "made", pool(labels=[0] * 10))
    told_by_all = told(files[0], details={"a": [[]] * 200_000})
    for path in files:
        replace(path, told_by_all)
    tracemalloc.start()
    found = read_pool(tmp_path / "made", max_bytes=10_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 10
    assert peak < 60e6
    for i, path in enumerate(files):
        replace(path, told_by_all | {"seed": i})
    monkeypatch.setattr("synthaug.image_folders._MOST_TEXTS", 1000)
    with pytest.raises(StorageError, match="say more than 1000 characters of themselves"):
        read_pool(tmp_path / "made")


def test_a_chunk_that_pillow_stumbles_over_is_damage(tmp_path):
    written(tmp_path / "made", pool(labels=[0]))
    path = tmp_path / "made/0/000000.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:-12] + struct.pack(">I4sI", 0, b"iCCP", zlib.crc32(b"iCCP")) + whole[-12:])
    with pytest.raises(StorageError, match="is damaged"):
        read_pool(tmp_path / "made")
