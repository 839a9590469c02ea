"""A pool of images, in memory and on disk, where it is another thing than a pool of rows."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset
from typer.testing import CliRunner

from synthaug import pool as pool_module
from synthaug import shards
from synthaug.cli import app
from synthaug.codecs.image import ImageCodec
from synthaug.errors import DataError, DataTypeError, StorageError
from synthaug.fingerprint import digests, fingerprint, row_hashes
from synthaug.images import read_images
from synthaug.opened import OpenPool
from synthaug.pool import Pool, Source
from synthaug.selection import Agreement, Distance, select

SOURCE = Source("by hand", "", 0)


def draw(n=20, shape=(8, 9), seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, *shape), "uint8"), pd.Series(rng.choice(["a", "b"], n))


def make(n=20, shape=(8, 9), seed=0):
    return Pool.of(*draw(n, shape, seed), SOURCE)


# --- in memory --------------------------------------------------------------------------------------------------------


def test_a_tensor_is_the_array_that_it_is():
    images, labels = draw()
    pool = Pool.of(torch.from_numpy(images), torch.arange(20) % 2, SOURCE)
    assert isinstance(pool.records, np.ndarray)
    assert pool.counts() == {0: 10, 1: 10}
    assert repr(pool) == "<Pool of 20 images of 8 x 9, uint8 (0: 10, 1: 10)>"
    assert Pool(torch.from_numpy(images), labels, np.zeros(20, np.int32), (SOURCE,)).equals(
        Pool.of(images, labels, SOURCE)
    )


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([1, 2], "Expected records in a pandas DataFrame or images in an array, got list"),
        (np.zeros((2, 8), "uint8"), r"got shape \(2, 8\): one image goes in as `image\[None\]`"),
        (np.zeros((2, 8, 8), "int32"), "uint8, float32 or float64, got int32"),
    ],
)
def test_what_is_neither_a_table_nor_images(records, message):
    with pytest.raises(DataError, match=message):
        Pool.of(records, ["a", "b"], SOURCE)


def test_images_of_another_form_do_not_mix():
    images, labels = draw()
    floats = Pool.of((images[:, :, :8] / 255).astype("float32"), labels, SOURCE)
    table = Pool.of(pd.DataFrame({"x": range(20)}), labels, SOURCE)
    with pytest.raises(DataError) as error:
        make() + floats
    assert str(error.value) == (
        "2 problems:\n"
        "- The images have shape (8, 8) where (8, 9) is expected.\n"
        "- The images have dtype float32 where uint8 is expected."
    )
    with pytest.raises(DataError, match=r"There is a table where images of shape \(8, 9\) are expected"):
        make() + table
    with pytest.raises(DataError, match=r"There are images where a table with the columns \['x'\] is expected"):
        table + make()
    assert not make().equals(table)
    assert not table.equals(make())


def test_a_pool_of_images_makes_no_dataframe():
    with pytest.raises(
        DataTypeError, match=r"A pool of images of 8 x 9, uint8 makes no DataFrame: take `pool.records`"
    ):
        make().to_dataframe()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("make_of", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
def test_pixels_that_are_not_finite_are_refused_by_their_place(value, make_of):
    floats = (draw()[0] / 255).astype("float32")
    Pool.of(make_of(floats), ["a"] * 20, SOURCE)
    floats[7, 2, 1] = floats[7, 2, 2] = floats[19, 7, 8] = value
    with pytest.raises(DataError) as error:
        Pool.of(make_of(floats), ["a"] * 20, SOURCE)
    assert str(error.value) == (
        "Expected finite pixels, got NaN or infinite ones in 2 of 20 images (at 7, 19): leave them out, with their "
        "labels, or mend what made them."
    )
    assert len(Pool.of(floats[:0], [], SOURCE)) == 0


def test_equality_is_of_bits():
    floats = draw()[0] / 255
    floats[3, 2, 1] = np.nan
    labels, origin = pd.Series(["a"] * 20), np.zeros(20, np.int32)
    pool, again = (Pool(floats.copy(), labels, origin, (SOURCE,)) for _ in range(2))
    assert pool.equals(again)
    again.records[0, 0, 0] += 1e-12
    assert not pool.equals(again)


# --- on disk ----------------------------------------------------------------------------------------------------------


def test_files_hold_no_more_than_64_mb_of_images(tmp_path, monkeypatch):
    monkeypatch.setattr(pool_module, "_SHARD_BYTES", 500)
    pool = make()
    pool.save(tmp_path / "pool")
    files = sorted((tmp_path / "pool").glob("*.parquet"))
    assert [pq.read_metadata(file).num_rows for file in files] == [6, 6, 6, 2]
    assert Pool.load(tmp_path / "pool").equals(pool)
    parts = list(Pool.iter(tmp_path / "pool"))
    assert [len(part) for part in parts] == [6, 6, 6, 2]
    assert Pool.concat(parts).equals(pool)
    make(shape=(30, 30)).save(tmp_path / "large")  # one image is larger than a file should be
    assert len(list((tmp_path / "large").glob("*.parquet"))) == 20


def test_the_bytes_are_there_for_other_tools(tmp_path):
    pool = make()
    pool.save(tmp_path)
    frame = pd.read_parquet(tmp_path)
    state = json.loads((tmp_path / shards.MANIFEST).read_text())["columns"]
    found = np.stack([np.frombuffer(image, state["dtype"]).reshape(state["shape"]) for image in frame["image"]])
    np.testing.assert_array_equal(found, pool.records)
    assert frame["__label__"].tolist() == pool.labels.tolist()


def test_loaded_images_can_be_changed(tmp_path):
    make().save(tmp_path)
    Pool.load(tmp_path).records[0] = 0
    next(Pool.iter(tmp_path)).records[0] = 0


@pytest.mark.parametrize(
    "columns",
    [{"shape": [9, 9], "dtype": "uint8"}, {"shape": [8, 9], "dtype": "float32"}, {"shape": [72], "dtype": "uint8"}],
)
def test_a_manifest_that_tells_of_other_images_is_refused(tmp_path, columns):
    make().save(tmp_path)
    path = tmp_path / shards.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "columns": columns}))
    with pytest.raises(StorageError, match="make the pool again"):
        Pool.load(tmp_path)


def test_appending_other_images_is_refused(tmp_path):
    make().save(tmp_path)
    make(seed=1).append(tmp_path)
    with pytest.raises(DataError, match=r"The images have shape \(9, 9\) where \(8, 9\) is expected"):
        make(shape=(9, 9)).append(tmp_path)
    assert len(Pool.load(tmp_path)) == 40


def test_more_images_than_max_bytes_are_not_opened(tmp_path):
    Pool.of(np.zeros((2_000, 64, 64), "uint8"), ["a"] * 2_000, SOURCE).save(tmp_path)
    assert sum(file.stat().st_size for file in tmp_path.glob("*.parquet")) < 100_000
    with pytest.raises(StorageError, match="opens out to more than the 1000000 bytes left of `max_bytes`"):
        Pool.load(tmp_path, max_bytes=10**6)


# --- what a generator has seen ----------------------------------------------------------------------------------------


def test_an_image_is_known_by_its_pixels_in_any_order_and_memory():
    images, labels = draw(shape=(9, 8, 3))
    pool = Pool.of(images, labels, Source("s", fingerprint(images, labels), 0, digests=digests(images, labels)))
    assert fingerprint(images, labels) == fingerprint(images[::-1], labels[::-1].reset_index(drop=True))
    backwards = torch.from_numpy(np.asfortranarray(images)[::-1].copy())
    assert pool.trained_on(backwards).all()
    other = images.copy()
    other[4, 0, 0, 0] ^= 1
    assert np.flatnonzero(~pool.trained_on(other)).tolist() == [4]
    swapped = labels.replace({"a": "b", "b": "a"})
    assert not pool.trained_on(images, swapped).any()
    with pytest.raises(DataError, match="The images have dtype float64 where uint8 is expected"):
        pool.trained_on(images / 255)
    with pytest.raises(DataError, match="The item is an image without a label: return `.image, label.`"):
        pool.trained_on(list(images))
    with pytest.raises(DataError, match="There is a table where images of shape"):
        pool.trained_on(pd.DataFrame({"x": [1]}))


def test_what_read_images_takes_is_looked_for_too(tmp_path):
    images, labels = draw()
    pool = Pool.of(images, labels, Source("s", fingerprint(images, labels), 0, digests=digests(images, labels)))
    test = [*images[:2], 255 - images[2]]
    items = [(Image.fromarray(image), "c") for image in test]
    for source in (items, read_images(items), (test, ["c"] * 3), Subset(items, range(3))):
        assert pool.trained_on(source).tolist() == [True, True, False]
    assert not pool.trained_on(items, ["c"] * 3).any()
    pool.save(tmp_path)
    assert OpenPool(tmp_path).trained_on(items).tolist() == [True, True, False]


def test_the_hash_of_an_image_is_fixed_and_knows_its_shape_and_dtype():
    """A manifest of today must mean the same tomorrow: change this only with the manifest's format."""
    images = np.arange(128, dtype="uint8").reshape(2, 8, 8)
    assert row_hashes(images).tolist() == HASHES
    views = [images, images.reshape(2, 4, 16), images.astype("float32"), images.astype("float64"), images[:, None]]
    assert len({row_hashes(view)[1] for view in views}) == len(views)


HASHES = [3187597490402251071, 11194520049180405599]


# --- selection --------------------------------------------------------------------------------------------------------


def bars(n, seed):
    """Standing bars are "a", lying ones "b", with noise."""
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 40, (n, 12, 12), "uint8"), np.where(np.arange(n) % 2, "a", "b")
    for image, label, place in zip(images, labels, rng.integers(0, 10, n), strict=True):
        (image.T if label == "a" else image)[place : place + 2] = 200
    return images, labels


def test_criteria_judge_images():
    """Good ones, then copies, then good ones under the other label, then ones like no other."""
    real, labels = bars(200, 0)
    good, own = bars(40, 1)
    records = np.concatenate([good, real[:20], good[:20], np.full((10, 12, 12), 255, "uint8")])
    given = np.concatenate([own, labels[:20], np.where(own[:20] == "a", "b", "a"), ["a", "b"] * 5])
    pool = Pool.of(records, given, SOURCE, scores={"place": np.arange(90.0)})
    found = select(pool, torch.from_numpy(real), labels, [Agreement(), Distance()], random_state=0)
    kept = np.bincount(found.pool.scores["place"].astype(int) // 10, minlength=9)
    assert kept[:4].sum() >= 35
    assert kept[4:].sum() <= 2
    assert found.rejected.groupby("reason")["rejected"].sum()["memorised"] == 20
    same = select(pool, real, labels, [Distance()], features=ImageCodec().fit(real).features)
    assert same.pool.equals(select(pool, real, labels, [Distance()]).pool)


def test_images_that_cannot_be_compared_are_named():
    real, labels = bars(20, 0)
    with pytest.raises(DataError, match=r"The images have shape \(8, 9\) where \(12, 12\) is expected"):
        select(Pool.of(bars(4, 1)[0], ["a"] * 4, SOURCE), draw()[0], labels, [Distance()])
    wide = Pool.of(bars(4, 1)[0] / 9, ["a"] * 4, SOURCE)
    with pytest.raises(DataError, match=r"Expected pixels in \[0, 1\], got .*features=codec.features"):
        select(wide, real / 9, labels, [Distance()])


def test_the_command_line_tells_of_a_pool_of_images(tmp_path):
    make().save(tmp_path / "pool")
    result = CliRunner().invoke(app, ["inspect", str(tmp_path / "pool")])
    assert result.exit_code == 0, result.output
    assert "pool of 20 generated images of 8 x 9, uint8" in result.output
