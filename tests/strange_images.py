"""The one list of strange and bad sets of images: whatever way they come in, a right result or an error of ours."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

N = 12
WORKS = "works"
FIRST = "^No synthetic item can be made to look like the first real one: |^Expected a (map-style )?data ?set[ ,]"
Y = ["common", "common", "rare"] * (N // 3)


@dataclass(frozen=True)
class Strange:
    """A source of images, and what must come of it in each way in: "works", or what the error says.

    A tuple `(images, labels)` goes to `fit` as two arguments, and to `mix_loader` as a data set of items, of which only
    the first is looked at: others go into batches as they are.
    """

    make: Callable[[], Any]
    read: str
    fit: str
    mix: str


class Picture(torch.Tensor):
    """As `torchvision.tv_tensors.Image` is one."""


STRANGE: dict[str, Strange] = {}


def images(
    read: str, fit: str | None = None, mix: str | None = None
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Add a source; `fit` says by default what `read_images` says, and mixing that the first item is none or wrong."""

    def add(make: Callable[[], Any]) -> Callable[[], Any]:
        told = WORKS if read == WORKS else FIRST
        STRANGE[make.__name__] = Strange(make, read, read if fit is None else fit, told if mix is None else mix)
        return make

    return add


def pixels(*shape: int) -> np.ndarray:
    """`(N, *shape)` uint8."""
    return np.random.default_rng(0).integers(0, 256, (N, *(shape or (8, 9)))).astype("uint8")


def floats(*shape: int) -> np.ndarray:
    return (pixels(*shape) / 255).astype("float32")


def items(**at: Any) -> list[Any]:
    """`N` items `(image, label)`, with others at some places: `_3=None`."""
    made: list[Any] = list(zip(pixels(), Y, strict=True))
    for place, item in at.items():
        made[int(place[1:])] = item
    return made


def pil(mode: str = "L", size: tuple[int, int] = (9, 8)) -> Image.Image:
    return Image.new(mode, size)


# --- pixels -----------------------------------------------------------------------------------------------------------


@images(WORKS, r"in \[0, 1\], got 255 in image 5 at \(3, 4\), and 1 of 12 .* scale them, or give .*=\(0, 255\)\)\)`")
def floats_up_to_255():
    x = floats()
    x[5, 3, 4] = 255
    return x, Y


@images(WORKS, r"in \[0, 1\], got -0\.001 in image 11")
def a_pixel_just_below_the_range():
    x = floats(8, 9, 3)
    x[11, 0, 0, 2] = -0.001
    return x, Y


@images(WORKS, r"all lie in \[-0\.9, 0\.8\]; scale them, or give .*, such as `Synthesizer\(.*\(-1, 1\)\)\)`")
def centred_without_the_brightest():
    return np.linspace(-0.9, 0.8, 12 * 72).reshape(12, 8, 9), Y


@images(WORKS, r"in \[0, 1\], got .*, and 12 of 12 images have such pixels: all lie in \[-2\.5, 2\.5\]; scale them")
def normalised_by_mean_and_spread():
    return (floats() - 0.5) / 0.2, Y


@images(WORKS, r"got nan in image 7 at \(2, 2\), and 1 of 12 images have such pixels: drop these images or mend")
def a_nan():
    x = floats()
    x[7, 2, 2] = np.nan
    return x, Y


@images(WORKS, "got inf in image 0")
def an_infinity():
    x = floats().astype("float64")
    x[0, 0, 0] = np.inf
    return x, Y


@images(WORKS, "got nan in image 0 at .*, and 12 of 12")
def nothing_but_nan():
    return np.full((N, 8, 8), np.nan), Y


@images(r"Items 0, .*: .*uint8, float32 or float64, got int64", r'got int64: .*`images\.astype\("uint8"\)`')
def int64_pixels():
    return pixels().astype("int64"), Y


@images("got bool", "got bool: write them as")
def bool_pixels():
    return pixels() > 128, Y


@images("got float16", r'got float16: .*astype\("float32"\)')
def half_precision():
    return floats().astype("float16"), Y


@images("got >f4")
def bytes_in_another_order():
    return floats().astype(">f4"), Y


@images("Item 0: .*got uint16: scale the grey values of such images to bytes")
def sixteen_bit_files():
    return items(_0=(pil("I;16"), "common"))


@images("^Item 3: The image has mode 'I;16', where 'L' came first: scale the grey values of such images", mix=WORKS)
def files_of_eight_and_sixteen_bits():
    return [(pil("I;16" if i == 3 else "L"), label) for i, label in enumerate(Y)]


@images(WORKS)
def files_of_floats():
    return [(pil("F"), label) for label in Y]


@images("a masked array of shape .* in which 1 of .* are masked: say what is there instead, .*filled")
def masked_pixels():
    x = np.ma.array(floats())
    x[0, 2, 2] = np.ma.masked
    return x, Y


@images("A Tensor of dtype torch.bfloat16 has no counterpart in numpy", "bfloat16 has no counterpart")
def bfloat16_tensors():
    return torch.tensor(floats()).bfloat16(), Y


@images("got complex64")
def complex_pixels():
    return floats().astype("complex64"), Y


@images(WORKS)
def tensors_of_a_class_of_their_own():
    return [(torch.tensor(x).as_subclass(Picture), label) for x, label in items()]


@images(WORKS)
def arrays_mapped_from_a_file():
    return [(x.view(np.memmap), label) for x, label in items()]


@images(WORKS)
def constant_images():
    return np.full((N, 8, 8, 3), 9, "uint8"), Y


@images(WORKS)
def a_view_of_a_view_that_is_read_only():
    x = pixels(9, 8, 4)[::-1, :, ::-1, :3].transpose(0, 2, 1, 3)
    x.flags.writeable = False
    return x, Y


@images(WORKS)
def tensors_with_a_gradient():
    return torch.tensor(floats(3, 8, 9), requires_grad=True), torch.arange(N) % 2


# --- shapes -----------------------------------------------------------------------------------------------------------


@images(WORKS, r"at least 8 x 8 pixels, got shape \(12, 3, 10\): .*mend the order of the axes")
def channels_in_the_middle():
    return pixels(12, 3, 10), Y


@images(
    WORKS, r"can be read in two ways: as 32 channels of 13 x 32 pixels, channels last, or as 13 channels of 32 x 32"
)
def thirteen_channels():
    return pixels(13, 32, 32), Y


@images(WORKS, r"at least 8 x 8 pixels, got shape \(7, 9\): enlarge them")
def seven_pixels():
    return pixels(7, 9), Y


@images(WORKS, "at least 8 x 8 pixels")
def seven_pixels_and_colours():
    return pixels(7, 7, 3), Y


@images(WORKS, "at least 8 x 8 pixels")
def no_pixels_at_all():
    return pixels(0, 9), Y


@images("Items 0, .*: Expected an image of 2 or 3 axes, got shape \\(784,\\)", "or images in an array, got ndarray")
def flattened_images():
    return pixels(784), Y


@images("Items 0, .*: Expected an image of 2 or 3 axes", "3 or 4 axes")
def films():
    return pixels(5, 8, 8, 3), Y


@images(
    r"Item 4: .*shape \(9, 9\), where \(8, 9\) came first: resize all, `size=\(8, 9\)` in `read_images`, or in ",
    "array of objects: `numpy.stack",
    mix=WORKS,
)
def objects_of_several_sizes():
    x = np.empty(N, object)
    x[:] = list(pixels())
    x[4] = np.zeros((9, 9), "uint8")
    return x, Y


@images(
    r"^Items 2, 5: The image has shape \(9, 8\), where \(8, 9\) came first: resize all, "
    r"`size=\(8, 9\)` in `read_images`, or in `SyntheticMix` with a resizing `transform`\.$",
    mix=WORKS,
)
def pil_images_of_several_sizes():
    return [(pil(size=(8, 9) if i in (2, 5) else (9, 8)), label) for i, label in enumerate(Y)]


@images(
    r"Item 1: The image has mode 'RGB', where 'L' came first: convert all, `mode=\"RGB\"` in "
    r"`read_images`, or in the data set\.$",
    mix=WORKS,
)
def grey_and_coloured_files():
    return [(pil("RGB" if i == 1 else "L"), label) for i, label in enumerate(Y)]


@images(r"Item 1: .*shape \(3, 8, 9\), where \(8, 9\) came first: convert all to one number of channels", mix=WORKS)
def grey_and_coloured_arrays():
    return items(_1=(np.zeros((3, 8, 9), "uint8"), "common"))


@images(
    r"Item 1: .*shape \(1, 8, 9\), where \(8, 9, 1\) came first: bring the axes .* `image\.transpose\(1,", mix=WORKS
)
def channels_first_and_last():
    return [(x.transpose(2, 0, 1) if i == 1 else x, y) for i, (x, y) in enumerate(zip(pixels(8, 9, 1), Y, strict=True))]


@images(r"Item 1: .*shape \(8, 9, 3\), where \(8, 9, 1\) came first: convert all to one number of channels", mix=WORKS)
def one_channel_and_three():
    return [(x if i == 1 else x[..., :1], y) for i, (x, y) in enumerate(zip(pixels(8, 9, 3), Y, strict=True))]


@images("Item 6: The image has dtype float64, where uint8 came first", mix=WORKS)
def several_dtypes():
    return items(_6=(np.zeros((8, 9)), "rare"))


# --- items ------------------------------------------------------------------------------------------------------------


@images("at least one (image with its label, got a data set of length 0|item, got an empty one)")
def an_empty_data_set():
    return []


@images("at least one (image|item)", "Expected at least one record with its label, got none")
def empty_arrays():
    return pixels()[:0], Y[:0]


class Raises(Dataset):
    def __init__(self, at, error):
        self.at, self.error = at, error

    def __len__(self):
        return N

    def __getitem__(self, i):
        if i in self.at:
            raise self.error
        return items()[i]


@images(r"^Item 2: The data set raised RuntimeError\('no such shard'\): mend it", mix=WORKS)
def an_item_that_raises():
    return Raises([2], RuntimeError("no such shard"))


@images(
    r"2 problems:\n- Items 0, 1, 2 and 7 more: The data set raised KeyError\('x'\)[\s\S]*The 2 items from 10 on",
    mix=WORKS,
)
def nothing_but_items_that_raise():
    return Raises(range(N), KeyError("x"))


@images("Items 10, 11: The data set raised IndexError", mix=WORKS)
def a_length_that_is_too_great():
    class Longer(list):
        def __len__(self):
            return 12

    return Longer(items()[:10])


@images("^Item 3: The item is None: leave it out", mix=WORKS)
def an_item_that_is_none():
    return items(_3=None)


@images("^Item 0: The image is None")
def an_image_that_is_none():
    return items(_0=(None, "rare"))


@images(r"2 problems:\n- Items 0, 1, 2 and 7 more: The item is an image without a label[\s\S]*The 2 items from 10 on")
def items_without_labels():
    return list(pixels())


@images("Item 3: Expected a tuple with 0 and 1, as came first, got a dict", mix=WORKS)
def tuples_and_a_dict():
    return items(_3={"image": pixels()[0], "label": "rare"})


@images(r"Items 0, .*: The item is a dict without 'image': say where its image is, `image=\.\.\.`, one of \['x', 'y'\]")
def dicts_of_other_keys():
    return [{"x": x, "y": y} for x, y in items()]


@images(r"Items 0, .*: .* got 'a\.png': open it in the data set, or .* by a table, `read_images\(pd\.DataFrame\(")
def names_of_files():
    return [("a.png", label) for label in Y]


@images(
    r"Items 0, .*: Entry 1 of the item, where its label .* an image\. Images are at 1, classes at 0: pass `image=1, lab"
)
def labels_first():
    return [(y, x) for x, y in items()]


@images(r"Items 0, .*: Entry 1 of the item, .* Images are at 0, 1, classes at 2: pass `image=0, label=2`")
def masks_in_between():
    return [(x, x > 128, y) for x, y in items()]


@images(WORKS, mix="Items also hold 2, .* pass `to_item`")
def items_with_more_in_them():
    return [(x, y, {"id": i}) for i, (x, y) in enumerate(items())]


@images(WORKS)
def named_tuples():
    kind = namedtuple("Sample", "label image")
    return [kind(y, x) for x, y in items()]


@images(WORKS, mix="How to make a SimpleNamespace is not known: pass `to_item`")
def objects_with_attributes():
    return [SimpleNamespace(image=x, label=y) for x, y in items()]


@images(WORKS)
def a_tensor_data_set():
    return TensorDataset(torch.tensor(floats(1, 8, 8)), torch.arange(N) % 3)


@images(
    "Items 0, .*: The image has mode 'P', whose pixels are numbers of colours: convert all, `mode=\"RGB\"` in `read_"
)
def palettes():
    return [(pil("P"), label) for label in Y]


@images(WORKS)
def bilevel_and_other_modes():
    return [(pil("1"), label) for label in Y]


@images(WORKS)
def cmyk():
    return [(pil("CMYK"), label) for label in Y]


class Iterable(IterableDataset):
    def __iter__(self):
        return iter(items())

    def __len__(self):
        return N


@images("map-style data set, got Iterable, which has no length or can only be iterated.*itertools.islice")
def an_iterable_data_set():
    return Iterable()


@images("map-style data set, got generator")
def a_generator():
    return (item for item in items())


@images("got a DataLoader, whose batches may be shuffled: pass its `dataset`")
def a_loader():
    return DataLoader(items())


@images(r"got a dict with the keys \['train'\]: pass one of its values")
def a_dict_of_splits():
    return {"train": items()}


@images("a tuple .images, labels., a folder or a DataFrame of paths, got int")
def a_number():
    return 3


@images("^Expected images with labels, got an array alone", "^Expected one label a record, got none")
def an_array_without_labels():
    return pixels()


# --- labels -----------------------------------------------------------------------------------------------------------


@images(WORKS, WORKS)
def whole_floats_for_labels():
    return pixels(), np.arange(N) % 2 * 1.0


@images("Item 0: The label is 0.5", "hold 0.5: classes are needed")
def continuous_labels():
    return pixels(), np.arange(N) + 0.5


@images("Item 5: The label is 0.5", mix=WORKS)
def a_float_among_labels():
    return items(_5=(pixels()[0], 0.5))


@images(
    r"Items 0, .*: Expected one class for the label, got shape \(3,\): return `int\(label\.argmax\(\)\)` if every",
    r"got shape \(12, 3\): .*`labels\.argmax\(1\)` of one-hot",
)
def one_hot_labels():
    return pixels(), np.eye(3)[np.arange(N) % 3]


@images(WORKS, "one label a record")
def a_column_of_labels():
    return torch.tensor(pixels()), torch.zeros(N, 1, dtype=torch.long)


@images(WORKS)
def tensors_without_axes_for_labels():
    return [(x, torch.tensor(i % 2)) for i, (x, _) in enumerate(items())]


@images("Item 4: The label is None: leave the item out", mix=WORKS)
def a_label_that_is_none():
    return list(pixels()), [None if i == 4 else label for i, label in enumerate(Y)]


@images("Item 8: The label is 3, where a label of type str came first", mix=WORKS)
def labels_of_two_types():
    return items(_8=(pixels()[0], 3))


@images("Items 0, .*: Expected a bool, an int or a string for the label, got dict {'cat': 1}")
def labels_that_are_dicts():
    return [(x, {"cat": 1}) for x in pixels()]


@images("one label an image, got 12 images and 11 labels", "as many labels as records")
def too_few_labels():
    return pixels(), Y[1:]


@images(WORKS)
def strings_of_numpy_for_labels():
    return list(zip(pixels(), np.array(Y), strict=True))


@images(WORKS)
def bools_for_labels():
    return pixels(), np.arange(N) % 2 == 0


@images(WORKS)
def a_class_of_one_image():
    return items(_0=(pixels()[0], "once"))


@images(WORKS)
def one_class():
    return pixels(), ["a"] * N


@images(WORKS)
def one_image():
    return pixels()[:1], [7]


@images(WORKS)
def one_image_many_times():
    return np.repeat(pixels()[:1], N, 0), Y
