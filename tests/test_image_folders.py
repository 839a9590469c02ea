"""Pools of images as folders of files, for every other tool."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from synthaug import read_images, write_images
from synthaug.errors import DataError, DataTypeError, FileExistsSynthaugError, ParameterError
from synthaug.opened import OpenPool
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
        assert json.loads(image.text["synthaug"]) == {"name": "vae", "fingerprint": "abc", "seed": 5}


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
