"""Reading images from whatever a user has."""

import random
import re
import shutil
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset

from synthaug.arrays import as_array
from synthaug.errors import DataError, ParameterError, SynthaugWarning
from synthaug.images import read_images
from synthaug.items import ImageForm

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 9, 3), "uint8")
LABELS = ["b", "a", "b", "a", "a"]
Sample = namedtuple("Sample", "label image")


@dataclass
class Record:
    image: Any
    label: Any


@pytest.fixture
def tree(tmp_path):
    for i, label in enumerate(LABELS):
        (tmp_path / label / "deeper").mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS[i]).save(tmp_path / label / ("deeper" if i == 0 else "") / f"{i}.png")
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / ".cache").mkdir()
    (tmp_path / "README").touch()
    return tmp_path


SOURCES = {
    "arrays": (PIXELS, LABELS),
    "lists": (list(PIXELS), np.array(LABELS)),
    "tensor": (torch.from_numpy(PIXELS), pd.Series(LABELS, index=range(5, 10))),
    "tuples": list(zip(PIXELS, LABELS, strict=True)),
    "lists of two": [[x, y] for x, y in zip(PIXELS, LABELS, strict=True)],
    "PIL": [(Image.fromarray(x), y) for x, y in zip(PIXELS, LABELS, strict=True)],
    "dicts": [{"image": x, "label": y, "id": 3} for x, y in zip(PIXELS, LABELS, strict=True)],
    "named tuples": [Sample(y, x) for x, y in zip(PIXELS, LABELS, strict=True)],
    "objects": [SimpleNamespace(image=x, label=y) for x, y in zip(PIXELS, LABELS, strict=True)],
    "data classes": [Record(x, y) for x, y in zip(PIXELS, LABELS, strict=True)],
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_gives_the_same(name):
    found = read_images(SOURCES[name])
    np.testing.assert_array_equal(found.records, PIXELS)
    assert found.records.dtype == np.uint8
    assert found.labels.tolist() == LABELS
    assert found.labels.index.equals(pd.RangeIndex(5))
    assert repr(found) == "<ImageRecords of 5 images of 8 x 9 x 3, uint8, 2 classes: 'b' (2), 'a' (3)>"
    assert read_images(found) is found


def test_a_tree_is_read_class_by_class_in_the_order_of_names(tree):
    for source in (tree, str(tree)):
        found = read_images(source)
        np.testing.assert_array_equal(found.records, PIXELS[[1, 3, 4, 2, 0]])
        assert found.labels.tolist() == ["a", "a", "a", "b", "b"]


def test_a_table_of_paths(tree):
    frame = pd.DataFrame({"file": [str(tree / "a" / "1.png"), tree / "b" / "2.png"], "kind": [7, 8]}, index=[4, 4])
    found = read_images(frame, image="file", label="kind")
    np.testing.assert_array_equal(found.records, PIXELS[1:3])
    assert (found.labels.tolist(), found.labels.name) == ([7, 8], "kind")
    with pytest.raises(DataError) as error:
        read_images(frame)
    assert str(error.value) == (
        "2 problems:\n"
        "- Expected a column 'image' of paths, the table has ['file', 'kind']: name it, `image=...`.\n"
        "- Expected a column 'label' of labels, the table has ['file', 'kind']: name it, `label=...`."
    )


def test_bad_files_are_named_with_their_place(tree):
    (tree / "a" / "1.png").write_bytes(b"no image")
    frame = pd.DataFrame({"image": [tree / "b" / "2.png", tree / "a" / "1.png", "nowhere.png", None], "label": 1})
    with pytest.raises(DataError) as error:
        read_images(frame)
    lines = str(error.value).splitlines()
    assert lines[0] == "3 problems:"
    assert lines[1].startswith(f"- Item 1: {tree / 'a' / '1.png'} cannot be read as an image (cannot identify")
    assert lines[2] == (
        f"- Item 2: There is no file nowhere.png, looked for at {Path.cwd() / 'nowhere.png'}: mend the path or "
        "link, or leave the item out."
    )
    assert lines[3].startswith("- Item 3: Expected a path, got ")
    with pytest.raises(DataError, match=r"Item 0: .*1\.png cannot be read"):
        read_images(tree)


def test_a_truncated_file_is_refused(tree):
    path = tree / "a" / "1.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"Item 0: .*1\.png cannot be read as an image"):
        read_images(tree)


def test_trees_of_another_form_are_refused(tree, tmp_path):
    (tree / "empty").mkdir()
    Image.new("L", (9, 8)).save(tree / "stray.png")
    with pytest.raises(DataError) as error:
        read_images(tree)
    assert str(error.value) == (
        "2 problems:\n"
        f"- Folder {tree / 'empty'} holds no images: fill or remove it.\n"
        f"- Image {tree / 'stray.png'} lies in no folder of a class: move it into one, or away."
    )
    with pytest.raises(DataError, match=r"empty holds no folders: put the images of each class into"):
        read_images(tree / "empty")
    with pytest.raises(DataError, match=r"there is none at .*nowhere\.$"):
        read_images(tmp_path / "nowhere")


def test_the_parts_of_a_data_set_are_no_classes(tree):
    for part in ("Test", "train"):
        (tree / part / "deeper").mkdir(parents=True)
        Image.fromarray(PIXELS[0]).save(tree / part / "deeper" / "0.png")
    with pytest.raises(DataError) as error:
        read_images(tree)
    assert str(error.value) == (
        f"Folder {tree} holds 'train', 'Test', which hold folders of images, as the parts of a data set do: read each "
        'by itself, `read_images(folder / "train")`, or rename what is a class.'
    )
    assert read_images(tree / "train").labels.tolist() == ["deeper"]
    shutil.rmtree(tree / "Test")
    assert "train" in set(read_images(tree).labels), "one may be a class, of trains"
    for name in ("a", "b"):
        shutil.rmtree(tree / name)
    with pytest.raises(DataError, match="holds 'train', which hold folders"):
        read_images(tree)
    Image.fromarray(PIXELS[1]).save(tree / "train" / "1.png")
    assert read_images(tree).labels.tolist() == ["train"] * 2


def test_links_are_followed_and_hidden_folders_left_out(tree, tmp_path_factory):
    away = tmp_path_factory.mktemp("away")
    for folder, i in ((away, 4), (tree / "a" / ".ipynb_checkpoints", 0), (tree / "a" / "deeper" / ".cache", 0)):
        folder.mkdir(exist_ok=True)
        Image.fromarray(PIXELS[i]).save(folder / "x.png")
    (tree / "b" / "linked").symlink_to(away)
    (tree / "c").symlink_to(away)
    (away / "up").symlink_to(tree / "b")
    for name, held in (("itself", tree / "b"), ("all", tree), ("above", tree.parent)):
        (tree / "b" / name).symlink_to(held)
    found = read_images(tree)
    assert found.labels.tolist() == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
    np.testing.assert_array_equal(found.records, PIXELS[[1, 3, 4, 2, 0, 4, 2, 0, 4]])


def test_links_that_lead_nowhere_are_told(tree):
    for name in ("9.png", "notes.txt", "lock"):
        (tree / "b" / name).symlink_to(tree / "nowhere" / name)
    with pytest.raises(DataError) as error:
        read_images(tree)
    assert str(error.value) == (
        f"Item 4: There is no file {tree / 'b' / '9.png'}, looked for at {tree / 'nowhere' / '9.png'}: mend the path "
        "or link, or leave the item out."
    )
    (tree / "c").symlink_to(tree / "nowhere")
    with pytest.raises(DataError) as error:
        read_images(tree)
    assert str(error.value) == f"Link {tree / 'c'} leads nowhere: mend or remove it."


def folds(tree, *paths):
    """A tree with an image at each of some paths."""
    for path in paths:
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS[0]).save(tree / path)
    return tree


TWO_FOLDS = ["fold1/cat/1.png", "fold1/dog/2.png", "fold2/cat/3.png", "fold2/dog/deeper/4.png"]


@pytest.mark.parametrize("name", ["5.png", "5.bmp"])
def test_classes_that_hold_folders_of_the_same_names_are_warned_of(tmp_path, name):
    folder = folds(tmp_path, *TWO_FOLDS, f"fold2/bird/{name}")
    with pytest.warns(SynthaugWarning) as warned:
        found = read_images(folder)
    assert found.labels.tolist() == ["fold1"] * 2 + ["fold2"] * 3
    assert [warning.filename for warning in warned] == [__file__]
    told = str(warned[0].message)
    assert told == (
        f"The classes are the folders 'fold1', 'fold2' of {tmp_path}, and each holds 'cat', 'dog'. If those are the "
        "classes, read a table of the files: `paths = sorted(path for path in folder.glob('*/*/**/*') if path.suffix "
        f"in {sorted({'.png', name[1:]})})`, "
        '`read_images(pd.DataFrame({"image": paths, "label": [path.relative_to(folder).parts[1] for path in paths]}))`.'
    )
    first, second = re.findall("`(.+?)`", told)
    names = {"folder": folder, "read_images": read_images, "pd": pd}
    exec(first, names)
    assert eval(second, names).labels.tolist() == ["cat", "dog", "bird", "cat", "dog"]


@pytest.mark.parametrize(
    "paths",
    [
        [*TWO_FOLDS, "fold2/5.png"],
        [*TWO_FOLDS, "fold3/cat/5.png"],
        TWO_FOLDS[:2],
        [path.replace("fold2/dog", "fold2/bird") for path in TWO_FOLDS],
        [path.replace("fold1", "benign").replace("fold2", "malignant") for path in TWO_FOLDS],
    ],
)
def test_other_trees_of_two_levels_are_read_without_a_warning(tmp_path, paths):
    assert set(read_images(folds(tmp_path, *paths)).labels) == {path.split("/")[0] for path in paths}


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        (
            "a.csv",
            'read it as a table with a column of paths, `read_images(pd.read_csv(path), image="...", label="...")`',
        ),
        ("a.tar.gz", "unpack it, `shutil.unpack_archive(path, folder)`, and pass the folder"),
        ("a.PNG", "pass the folder that holds the folders of the classes, or a DataFrame with a column of paths"),
        ("a.npz", "pass what is in it, as a tuple (images, labels) or as a DataFrame with a column of paths"),
    ],
)
def test_a_file_is_no_folder(tmp_path, name, remedy):
    path = tmp_path / name
    path.touch()
    for arguments in ({}, {"image": "file", "label": "kind"}):
        with pytest.raises(DataError) as error:
            read_images(path, **arguments)
        assert str(error.value) == f"Expected a folder with one sub-folder a class, got the file {path}: {remedy}."


def test_where_a_folder_was_looked_for_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as error:
        read_images("data/train")
    assert str(error.value) == (
        f"Expected a folder with one sub-folder a class, there is none at {tmp_path / 'data' / 'train'}."
    )


def test_files_with_palettes_and_of_two_colours_are_read_as_what_they_show(tmp_path):
    (tmp_path / "a").mkdir()
    Image.fromarray(PIXELS[0] // 128 * 255).convert("P").save(tmp_path / "a" / "0.png")
    assert read_images(tmp_path).records.shape == (1, 8, 9, 3)
    Image.fromarray(PIXELS[0, :, :, 0] > 128).save(tmp_path / "a" / "0.png")
    np.testing.assert_array_equal(read_images(tmp_path).records[0], 255 * (PIXELS[0, :, :, 0] > 128))


def test_the_mode_converts_files_and_pil_images():
    mixed = [(Image.fromarray(PIXELS[0]), 0), (Image.fromarray(PIXELS[1, :, :, 0]), 1)]
    assert read_images(mixed, mode="RGB").records.shape == (2, 8, 9, 3)
    grey = read_images(mixed, mode="L")
    np.testing.assert_array_equal(grey.records[1], PIXELS[1, :, :, 0])
    assert grey.form.picture.mode == "L"


SCALE = (
    "scale the grey values of such images to bytes, in the data set or before they are saved, "
    "`Image.fromarray(np.uint8(np.asarray(image) * (255 / 65535)))`, with the greatest value of yours for 65535"
)
GREYS = np.arange(0, 65536, 911)[:72].reshape(8, 9)


@pytest.mark.parametrize("deep", ["I;16", "I;16L", "I;16B", "I", "F"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_images_of_more_than_eight_bits_are_not_converted(deep, mode, tmp_path):
    image = Image.frombytes(
        deep, (9, 8), GREYS.astype({"I": "i4", "F": "f4", "I;16B": ">u2"}.get(deep, "<u2")).tobytes()
    )
    (tmp_path / "a").mkdir()
    image.save(tmp_path / "a" / "0.tif")
    with Image.open(tmp_path / "a" / "0.tif") as file:
        saved = file.mode
    file = tmp_path / "a" / "0.tif"
    for source, read, named in (([(image, 0)], deep, "0"), (tmp_path, saved, f"0 ({file})")):
        with pytest.raises(DataError) as error:
            read_images(source, mode=mode)
        assert str(error.value) == (
            f"Item {named}: The image has mode {read!r}, and a conversion to {mode!r} would round its grey values and "
            f"cut them off at 255: {SCALE}."
        )
    grey = PIXELS[0][:, :, 0]
    bytes_alone = Image.fromarray(grey.astype("i4"))
    np.testing.assert_array_equal(read_images([(bytes_alone, 0)], mode="L").records[0], grey)
    scaled = eval(re.findall("`(.+?)`", SCALE)[0], {"image": image, "np": np, "Image": Image})
    np.testing.assert_array_equal(read_images([(scaled, 0)], mode="L").records[0], GREYS // 257)


@pytest.mark.parametrize("modes", [("L", "I;16"), ("L", "F"), ("F", "L")])
def test_modes_of_more_than_eight_bits_are_not_to_be_converted(modes):
    with pytest.raises(DataError) as error:
        read_images([(Image.new(mode, (9, 8)), 0) for mode in modes])
    assert str(error.value) == f"Item 1: The image has mode {modes[1]!r}, where {modes[0]!r} came first: {SCALE}."


def test_a_tensor_among_pil_images_has_no_mode():
    with pytest.raises(DataError) as error:
        read_images([(Image.new("L", (9, 8)), 0), (torch.zeros(8, 9, 3, dtype=torch.uint8), 0)])
    assert str(error.value) == (f"Item 1: The image has shape (8, 9, 3), where (8, 9) came first: {CHANNELS}.")


def test_images_of_floats_are_read_as_they_are():
    found = read_images([(Image.fromarray(GREYS.astype("float32")), 0)])
    np.testing.assert_array_equal(found.records[0], GREYS.astype("float32"))
    assert found.records.dtype == np.float32


def test_masked_arrays_are_read_if_nothing_is_masked():
    whole = np.ma.array(PIXELS)
    np.testing.assert_array_equal(read_images((whole, LABELS)).records, PIXELS)
    assert type(as_array(whole)) is np.ndarray
    whole[1, 2, 3, :2] = np.ma.masked
    with pytest.raises(DataError) as error:
        read_images(list(zip(whole, LABELS, strict=True)))
    assert str(error.value) == (
        "Item 1: Expected a value everywhere, got a masked array of shape (8, 9, 3) in which 2 of 216 are masked: say "
        "what is there instead, for example `array.filled(0)`, or leave out what is masked."
    )
    with pytest.raises(DataError, match=r"shape \(5, 8, 9, 3\) in which 2 of 1080 are masked"):
        read_images((whole, LABELS), size=(8, 8))


RESIZE = "resize all, `size=(8, 9)` in `read_images`, or in `SyntheticMix` with a resizing `transform`"
CHANNELS = "convert all to one number of channels"
ORDER = "bring the axes of all into one order, `image.{}` for those of this shape"


@pytest.mark.parametrize(
    ("first", "shape", "remedy"),
    [
        ((8, 9), (9, 8), RESIZE),
        ((8, 9, 3), (9, 8, 3), RESIZE),
        ((8, 9, 3), (3, 8, 9), ORDER.format("transpose(1, 2, 0)")),
        ((3, 8, 9), (8, 9, 3), ORDER.format("transpose(2, 0, 1)")),
        ((8, 9, 1), (8, 9, 3), CHANNELS),
        ((1, 8, 9), (3, 8, 9), CHANNELS),
        ((8, 9), (8, 9, 3), CHANNELS),
        ((8, 9), (8, 9, 1), "give all an axis of channels, or none"),
        ((3, 8, 9), (12, 10, 4), f"{CHANNELS}; {ORDER.format('transpose(2, 0, 1)')}; {RESIZE}"),
        (
            (8, 9, 5),
            (5, 8, 9),
            "bring all to one size, one order of the axes and one number of channels in the data set",
        ),
    ],
)
def test_shapes_that_disagree_are_told_what_helps(first, shape, remedy):
    for make, told in ((np.zeros, remedy), (torch.zeros, remedy.replace("transpose", "permute"))):
        with pytest.raises(DataError) as error:
            read_images([(make(first), 0), (make(shape), 0)])
        assert str(error.value) == f"Item 1: The image has shape {shape}, where {first} came first: {told}."


def test_the_size_resizes_whatever_comes():
    even = np.full((6, 7, 3), 80, "uint8")
    for image in (Image.fromarray(even), even, even[..., 0], even.transpose(2, 0, 1), torch.from_numpy(even)):
        found = read_images([(image, 0)], size=(10, 12))
        assert sorted(set(found.records.shape[1:]) - {3}) == [10, 12]
        assert np.unique(found.records).tolist() == [80]
        kind = found.form.picture.kind
        assert kind == ImageForm.of(image).kind
    ramp = np.linspace(0, 1, 16 * 16).reshape(16, 16)
    small = read_images([(ramp, 0)], size=(8, 8)).records[0]
    assert small.dtype == np.float64
    np.testing.assert_allclose(small[2:-2, 2:-2], ramp.reshape(8, 2, 8, 2).mean((1, 3))[2:-2, 2:-2], atol=1e-6)
    sizes = [(Image.new("L", (20 + i, 30)), i) for i in range(3)]
    assert read_images(sizes, size=(8, 9)).records.shape == (3, 8, 9)
    with pytest.raises(DataError, match=r"Item 0: How to resize an image of shape \(13, 9, 13\) is not known"):
        read_images([(np.zeros((13, 9, 13), "uint8"), 0)], size=(8, 8))


@pytest.mark.parametrize("size", [8, (8,), (8, 0), (8.5, 8), "88", (True, 8)])
def test_a_size_that_is_none(size):
    with pytest.raises(ParameterError, match=r"Expected `size` to be \(height, width\) in pixels, got"):
        read_images((PIXELS, LABELS), size=size)


def test_a_mode_that_is_none():
    with pytest.raises(ParameterError, match="Expected `mode` to be one of L, LA, RGB, RGBA, got 'rgb'"):
        read_images((PIXELS, LABELS), mode="rgb")


def test_where_image_and_label_are_can_be_told():
    items = [("x.png", y, x) for x, y in zip(PIXELS, LABELS, strict=True)]
    assert read_images(items, image=2).labels.tolist() == LABELS
    assert read_images(items, image=-1, label=1).labels.tolist() == LABELS
    assert read_images([Sample(x, y) for _, y, x in items], image="label", label=1).labels.tolist() == LABELS
    assert read_images([{"a": x, 7: y} for _, y, x in items], image="a", label=7).labels.tolist() == LABELS
    with pytest.raises(DataError, match="Expected two places for image and label, got 1 for both: say both, `image="):
        read_images(items, image=1)
    with pytest.raises(DataError, match=r"Items 0, .*tuple without 5: say where its image is, .*one of \[0, 1, 2\]"):
        read_images(items, image=5)


PLACES = "(arguments of `read_images` and of what mixes)"


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (
            (3, PIXELS[0]),
            "1 of the item, where its label is looked for, is an image. Images are at 1, classes at 0: pass "
            f"`image=1, label=0` {PLACES}.",
        ),
        (
            (17, PIXELS[0], "cat"),
            "1 of the item, where its label is looked for, is an image. Images are at 1, classes at 0, 2: pass "
            f"`image=1, label=...` {PLACES}.",
        ),
        (
            ("x.png", 3, PIXELS[0]),
            "0 of the item, where its image is looked for, is of type str. Images are at 2, classes at 0, 1: pass "
            f"`image=2, label=1` {PLACES}.",
        ),
        (
            {"image": PIXELS[0], "label": PIXELS[0, :, :, 0] > 128, "class": "cat"},
            "'label' of the item, where its label is looked for, is an image. Images are at 'image', 'label', classes "
            f"at 'class': pass `image='image', label='class'` {PLACES}.",
        ),
        (
            SimpleNamespace(image=4, label=Image.fromarray(PIXELS[0])),
            "'label' of the item, where its label is looked for, is an image. Images are at 'label', classes at "
            f"'image': pass `image='label', label='image'` {PLACES}.",
        ),
        (
            (PIXELS[0], torch.zeros(1, 8, 9)),
            "1 of the item, where its label is looked for, is an image, and no entry is a class: return one class an "
            "image; a mask is none.",
        ),
    ],
    ids=["label first", "number first", "name first", "mask", "object", "mask alone"],
)
def test_images_in_another_place_are_found(item, told):
    with pytest.raises(DataError) as error:
        read_images([item])
    assert str(error.value) == f"Item 0: Entry {told}"
    places = re.search(r"`image=(\S+), label=(\S+)`", told)
    if places and "..." not in places[0]:
        image, label = map(eval, places.groups())
        assert read_images([item], image=image, label=label).labels.tolist() in (["cat"], [3], [4])


def test_what_else_a_good_item_holds_is_not_looked_at():
    class Lazy(dict):
        def __getitem__(self, key):
            return {"image": PIXELS[0], "label": 3}[key]

    assert read_images([Lazy(image=0, label=0, sound=0)]).labels.tolist() == [3]


def test_paths_are_read_from_a_table(tree):
    paths, labels = [str(tree / "a" / "1.png"), tree / "b" / "2.png"], [7, 8]
    code = 'read_images(pd.DataFrame({"image": paths, "label": labels}))'
    for source in ((paths, labels), list(zip(paths, labels, strict=True)), (pd.Series(paths), labels)):
        with pytest.raises(DataError) as error:
            read_images(source)
        assert str(error.value).splitlines()[1] == (
            f"- Item 0: Expected a PIL image, an array or a Tensor for the image, got {paths[0]!r}: open it in the "
            f"data set, or read files by a table, `{code}`."
        )
    found = eval(code, {"read_images": read_images, "pd": pd, "paths": paths, "labels": labels})
    np.testing.assert_array_equal(found.records, PIXELS[1:3])


def test_a_series_of_images_is_read_in_its_order():
    images = pd.Series(list(PIXELS), index=[4, 3, 2, 1, 0])
    np.testing.assert_array_equal(read_images((images, LABELS)).records, PIXELS)


def test_a_data_set_that_draws_lots_is_read_alike_each_time_and_moves_no_global_state():
    class Random(list):
        def __getitem__(self, i):
            return np.random.randint(0, 256, (8, 8)).astype("uint8") + int(torch.randint(0, 9, ())), random.randint(
                0, 1
            )

    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    first, second = (read_images(Random(range(5))) for _ in range(2))
    np.testing.assert_array_equal(first.records, second.records)
    assert first.labels.equals(second.labels)
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.parametrize(
    ("name", "arguments"), [("arrays", {"image": 1}), ("arrays", {"label": "y"}), ("records", {"size": (8, 8)})]
)
def test_arguments_that_have_no_use_are_refused(name, arguments):
    source = read_images(SOURCES["arrays"]) if name == "records" else SOURCES[name]
    with pytest.raises(ParameterError, match="Expected no `.*` for a source of type .*: leave it out"):
        read_images(source, **arguments)


def test_bilevel_images_are_resized():
    items = [(Image.new("1", (9 + i, 8)), 0) for i in range(2)]
    assert read_images(items, size=(8, 8)).records.shape == (2, 8, 8)


class Folders:
    """As an `ImageFolder` of torchvision: paths and labels in a list, and the images in items."""

    def __init__(self, sizes, attribute="samples"):
        setattr(self, attribute, [(f"cats/{i}.png", 0) for i in range(len(sizes))])
        self.sizes = sizes

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, i):
        return Image.new("L", self.sizes[i]), 0


OTHER_SIZE = "The image has shape (8, 9), where (8, 8) came first: "


@pytest.mark.parametrize("attribute", ["samples", "imgs"])
def test_the_file_of_an_item_is_named(attribute):
    folders = Folders([(8, 8)] * 3 + [(9, 8)] * 2, attribute)
    with pytest.raises(DataError) as error:
        read_images(folders)
    assert str(error.value).startswith(f"Items 3 (cats/3.png), 4 (cats/4.png): {OTHER_SIZE}")
    with pytest.raises(DataError) as error:
        read_images(Subset(Subset(folders, [4, 0, 3]), [1, 2]))
    assert str(error.value).startswith(f"Item 1 (cats/3.png): {OTHER_SIZE}")


def test_the_file_is_named_of_trees_and_tables_and_once(tree):
    odd = tree / "b" / "odd.png"
    Image.new("RGB", (8, 8)).save(odd)
    table = pd.DataFrame({"image": [tree / "a" / "1.png", odd], "label": ["a", "b"]})
    for source, place in ((tree, 5), (table, 1)):
        with pytest.raises(DataError) as error:
            read_images(source)
        assert str(error.value).startswith(f"Item {place} ({odd}): The image has shape (8, 8, 3), where (8, 9, 3)")
    odd.write_text("no image")
    with pytest.raises(DataError, match=rf"^Item 5: {odd} cannot be read as an image"):
        read_images(tree)


@pytest.mark.parametrize("samples", [[("cats/0.png", 0)], [(3, 0)] * 4, ["cats/0.png"] * 4, 3, None])
def test_no_file_is_named_where_it_is_not_known(samples):
    folders = Folders([(8, 8)] * 3 + [(9, 8)])
    folders.samples = samples
    with pytest.raises(DataError) as error:
        read_images(folders)
    assert str(error.value).startswith(f"Item 3: {OTHER_SIZE}")


@pytest.mark.parametrize(
    "source",
    [
        (LABELS, PIXELS),
        (np.arange(5), list(PIXELS)),
        (pd.Series(LABELS), torch.from_numpy(PIXELS)),
        (LABELS, [Image.fromarray(x) for x in PIXELS]),
    ],
)
def test_labels_and_images_that_were_swapped_are_told(source):
    with pytest.raises(DataError) as error:
        read_images(source)
    assert str(error.value) == "Expected a tuple (images, labels), got (labels, images): swap them."
    assert len(read_images(source[::-1])) == 5
