"""How items look: writing ones that look like those that were read."""

import pickle
import re
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import default_collate

from synthaug.errors import DataError, DataTypeError
from synthaug.images import ItemForm, read_images
from synthaug.items import LabelForm
from synthaug.labels import check_labels

MODES = ["1", "L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "F"]
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 9, 3), "uint8")
Sample = namedtuple("Sample", "label image")
Scan = namedtuple("Scan", "id image label")


class Picture(torch.Tensor):
    """As `torchvision.tv_tensors.Image` is one."""


@dataclass
class Slide:
    id: int
    image: Any
    label: Any


@dataclass
class Record:
    image: Any
    label: Any


def same(ours, theirs):
    """Whether two images or labels are of one type and equal."""
    assert type(ours) is type(theirs)
    if isinstance(ours, Image.Image):
        assert ours.mode == theirs.mode
    else:
        assert getattr(ours, "dtype", None) == getattr(theirs, "dtype", None)
    return np.array_equal(np.asarray(ours), np.asarray(theirs))


IMAGES = {
    **{f"PIL {mode}": Image.fromarray(PIXELS[0]).convert("RGB").convert(mode) for mode in MODES if mode != "LAB"},
    "PIL LAB": Image.frombytes("LAB", (9, 8), PIXELS[0].tobytes()),
    "grey": PIXELS[0, :, :, 0],
    "channels first": PIXELS[0].transpose(2, 0, 1),
    "float64": PIXELS[0] / 255,
    "tensor": torch.from_numpy(PIXELS[0] / 255).float().permute(2, 0, 1),
    "tensor of a class of its own": torch.from_numpy(PIXELS[0].copy()).as_subclass(Picture),
    "array of a class of its own": PIXELS[0].view(np.memmap),
    "tensor of bytes": torch.from_numpy(PIXELS[0, None, :, :, 0].copy()),
}
TARGETS = [
    *(3, "b", True, np.int8(3), np.str_("b"), np.bool_(False), np.array(3), torch.tensor(3), torch.tensor(True)),
    *(
        np.array(["b"]),
        np.array(["b"], object),
        np.array([3], "float32"),
        torch.tensor([1.0]),
        torch.tensor([True]),
        torch.tensor([3]),
    ),
]


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_that_was_read_is_written_as_it_was(name):
    form = ItemForm.of((IMAGES[name], 0))
    record, _ = form.read((IMAGES[name], 0))
    assert isinstance(record, np.ndarray)
    assert same(form.write(record, 0)[0], IMAGES[name])


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_a_label_that_was_read_is_written_as_it_was(target):
    form = ItemForm.of((PIXELS[0], target))
    _, label = form.read((PIXELS[0], target))
    assert type(label) in (bool, int, str)
    again = form.write(PIXELS[0], pd.Series([label]).iloc[0])[1]
    assert same(again, str(target) if isinstance(target, np.str_) else target)


@pytest.mark.parametrize(
    "item",
    [
        (PIXELS[0], 1),
        [PIXELS[0], 1],
        Sample(1, PIXELS[0]),
        {"label": 1, "image": PIXELS[0]},
        OrderedDict(image=PIXELS[0], label=1),
        Record(PIXELS[0], 1),
    ],
    ids=lambda item: type(item).__name__,
)
def test_an_item_is_written_in_its_container_and_the_form_pickles(item):
    form = pickle.loads(pickle.dumps(ItemForm.of(item)))
    made = form.write(PIXELS[1], 4)
    assert type(made) is type(item)
    assert form.read(made)[1] == 4
    if isinstance(item, dict):
        assert list(made) == list(item)


def test_what_is_written_is_a_copy():
    form, record = ItemForm.of((PIXELS[0], 1)), PIXELS[1].copy()
    form.write(record, 1)[0][:] = 0
    torch_form = ItemForm.of((torch.from_numpy(PIXELS[0]), 1))
    torch_form.write(record, 1)[0].zero_()
    np.testing.assert_array_equal(record, PIXELS[1])


def test_axes_are_put_in_the_order_of_the_items_and_nothing_else_is_changed():
    first = ItemForm.of((PIXELS[0].transpose(2, 0, 1), 1))
    np.testing.assert_array_equal(first.write(PIXELS[1], 1)[0], PIXELS[1].transpose(2, 0, 1))
    grey = ItemForm.of((torch.zeros(1, 8, 9, dtype=torch.uint8), 1))
    assert grey.write(PIXELS[1, :, :, 0], 1)[0].shape == (1, 8, 9)
    with pytest.raises(DataError, match=r"data set, of shape \(8, 9\), got \(8, 9, 3\): .*pass `to_item`"):
        ItemForm.of((PIXELS[0, :, :, 0], 1)).write(PIXELS[1], 1)
    with pytest.raises(DataError, match="dtype float64, as in the data set, got uint8: .*pass `to_item`"):
        ItemForm.of((PIXELS[0] / 255, 1)).write(PIXELS[1], 1)


def test_an_item_that_holds_more_cannot_be_made():
    form = ItemForm.of({"image": PIXELS[0], "label": 1, "id": 7, "path": "x"})
    with pytest.raises(DataError) as error:
        form.write(PIXELS[0], 1)
    assert str(error.value) == (
        "Items also hold 'id', 'path', and what a synthetic one has there is not known: "
        "pass `to_item`, a function of an image, an array, and a label that makes an item, such as "
        "`lambda image, label: {'image': image, 'label': label, 'id': -1, 'path': -1}` with a value of yours, of the "
        "type of those there, for each `-1`."
    )


@pytest.mark.parametrize(
    ("item", "sketch"),
    [
        ((PIXELS[0], 1, 7), "(image, label, -1)"),
        ([PIXELS[0], 1, 7], "[image, label, -1]"),
        (Scan(7, torch.from_numpy(PIXELS[0]), 1), "Scan(-1, torch.from_numpy(image), label)"),
        (Slide(7, PIXELS[0], 1), "Slide(id=-1, image=image, label=label)"),
    ],
)
def test_items_that_hold_more_are_sketched(item, sketch):
    with pytest.raises(DataError, match=re.escape(f"`lambda image, label: {sketch}`")):
        ItemForm.of(item).write(PIXELS[0], 1)


def test_an_item_of_unknown_make_cannot_be_made():
    with pytest.raises(DataError, match="How to make a SimpleNamespace is not known: pass `to_item`"):
        ItemForm.of(SimpleNamespace(image=PIXELS[0], label=1)).write(PIXELS[0], 1)


def test_whole_floats_are_labels_and_come_back_as_floats():
    for label in (3.0, np.float32(3), torch.tensor(3.0)):
        form = LabelForm.of(label)
        made = form.write(form.read(label))
        assert form.read(label) == 3
        assert type(made) is type(label)
        assert made == label
    with pytest.raises(DataError, match="The label is nan: leave the item out"):
        LabelForm.of(float("nan"))


def test_a_label_of_one_place_is_one_label_and_batches_keep_their_shape():
    real = [(x, torch.tensor([i % 2], dtype=torch.float32)) for i, x in enumerate(PIXELS)]
    found = read_images(real)
    assert found.labels.tolist() == [0, 1, 0, 1, 0]
    batch = default_collate([*real, found.form.write(PIXELS[0], 1)])[1]
    assert (batch.dtype, batch.tolist()) == (torch.float32, [[0], [1], [0], [1], [0], [1]])


@pytest.mark.parametrize(
    ("label", "shape", "remedy"),
    [
        (torch.tensor([0.0, 1.0]), "(2,)", "`int(label.argmax())` if every label is one-hot"),
        (np.array([[False, True]]), "(1, 2)", "`int(label.argmax())` if every label is one-hot"),
        (np.array([[3]]), "(1, 1)", "`label.item()`"),
        ([3], "(1,)", "`label[0]`"),
        ((0, 1), "(2,)", "`label.index(1)` if every label is one-hot"),
    ],
)
def test_labels_of_several_places_are_refused_with_the_remedy(label, shape, remedy):
    with pytest.raises(
        DataTypeError, match=re.escape(f"Expected one class for the label, got shape {shape}: return {remedy}.")
    ):
        LabelForm.of(label)


@pytest.mark.parametrize(
    ("label", "shape"),
    [
        (torch.tensor([1.0, 0, 0, 1]), (4,)),
        (torch.tensor([0.9, 0.1], dtype=torch.bfloat16, requires_grad=True), (2,)),
        (np.zeros(3), (3,)),
        (np.array([[3, 1], [2, 5]]), (2, 2)),
        (("cat", "dog"), (2,)),
        (["1", "0"], (2,)),
        ([np.zeros(2), 1], (2,)),
        ([], (0,)),
        (torch.tensor([0.0, 1.0]).to_sparse(), (2,)),
        ([torch.tensor(1.0), torch.tensor(1.0)], (2,)),
    ],
)
def test_several_or_soft_labels_of_an_item_are_not_taken_for_one_hot_ones(label, shape):
    with pytest.raises(DataTypeError) as caught:
        LabelForm.of(label)
    assert str(caught.value) == (
        f"Expected one class for the label, got shape {shape}, and not one-hot: each item needs exactly one class; "
        "several labels an item (multi-label) and soft labels are not supported."
    )


ONE_HOT = np.eye(3, dtype="float32")[[0, 2, 1, 1]]


@pytest.mark.parametrize(
    ("labels", "remedy"),
    [
        (ONE_HOT, "pass `labels.argmax(1)` of one-hot labels"),
        (torch.from_numpy(ONE_HOT), "pass `labels.argmax(1)` of one-hot labels"),
        (pd.DataFrame(ONE_HOT), "pass `labels.idxmax(axis=1)` of one-hot labels"),
        (ONE_HOT[:, :1], "pass a single column, such as `labels[:, 0]`"),
        (pd.DataFrame(ONE_HOT[:, :1]), "pass a single column, such as `labels.iloc[:, 0]`"),
        (ONE_HOT[[0, 1]] + ONE_HOT[[1, 2]], None),
        (0.9 * ONE_HOT, None),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), None),
        (np.zeros((4, 8, 8), int), None),
    ],
)
def test_labels_of_several_columns_are_refused_with_the_remedy(labels, remedy):
    remedy = remedy or (
        "each record needs exactly one class; pass a single column. Several labels a record (multi-label), soft labels "
        "and masks are not supported"
    )
    with pytest.raises(DataTypeError) as caught:
        check_labels(labels)
    assert str(caught.value) == (
        f"Expected one label a record (one dimension), got shape {tuple(labels.shape)}: {remedy}."
    )


def test_a_string_in_an_array_is_not_cut():
    assert [LabelForm.of(np.array(short)).write("longer").tolist() for short in ("b", ["b"])] == ["longer", ["longer"]]


def test_label_forms_tell_types_apart():
    with pytest.raises(DataError, match="The label is True, where a label of type int came first: use one type"):
        LabelForm.of(1).read(True)
    with pytest.raises(DataTypeError, match=r"got bytes b'a'\.$"):
        LabelForm.of(b"a")


def test_real_digits_survive_being_read_and_written():
    images, y = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8) / 16 * 255).astype("uint8")
    dataset = [{"label": int(label), "image": Image.fromarray(image)} for image, label in zip(images, y, strict=True)]
    found = read_images(dataset)
    np.testing.assert_array_equal(found.records, images)
    made = [found.form.write(record, label) for record, label in zip(found.records, found.labels, strict=True)]
    assert all(
        np.array_equal(a["image"], b["image"]) and a["label"] == b["label"] for a, b in zip(made, dataset, strict=True)
    )
