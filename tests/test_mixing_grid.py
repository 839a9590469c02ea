"""The picture of synthetic images, each beside the real one that is nearest."""

from types import SimpleNamespace

import numpy as np
import pytest

from synthaug.mix.grid import draw_grid, log_grid
from synthaug.pool import Pool, Source

RED, BLUE = ((np.arange(3) == channel).astype(np.uint8) * 255 for channel in (0, 2))


def picture(labels, shape=(8, 8)):
    """Synthetic images are red, real ones blue."""
    synthetic = np.broadcast_to(RED, (len(labels), *shape, 3))
    return draw_grid(synthetic, labels, np.broadcast_to(BLUE, (2, *shape, 3)))


def places(picture, colour):
    """The rows and columns from the first to the last pixel of a colour."""
    found = (picture == colour).all(axis=2)
    return [np.arange(*ends) for ends in (found.any(axis=axis).nonzero()[0][[0, -1]] + [0, 1] for axis in (1, 0))]


def test_titles_stand_above_and_left_of_the_images_and_name_them():
    drawn = picture(["caterpillar", "dog"] * 4)
    assert (drawn.dtype, drawn.flags.writeable) == (np.uint8, True)
    (rows, columns), (_, real) = places(drawn, RED), places(drawn, BLUE)
    assert columns[0] < real[0]
    dark = (drawn < 128).all(axis=2)
    assert dark[: rows[0], columns[0] : real[-1]].any()
    assert not dark[rows[0] :, columns[0] :].any()
    first, second = np.array_split(dark[rows, : columns[0]], 2)
    assert first.any()
    assert second.any()
    again = picture(["caterpillar", "fox"] * 4)
    changed = (again != drawn).any(axis=2)
    assert changed.any()
    assert not changed[: rows[len(rows) // 2]].any()
    assert not changed[:, columns[0] :].any()


def test_there_are_as_many_pairs_as_the_commonest_class_has_up_to_four():
    widths = [picture(["a"] * n + ["b"]).shape[1] for n in (1, 2, 4, 9)]
    assert widths[0] < widths[1] < widths[2] == widths[3]


def test_a_long_name_is_cut_with_an_ellipsis():
    assert np.array_equal(picture(["w" * 90]), picture(["w" * 900]))
    assert not np.array_equal(picture(["w" * 90]), picture(["w" * 4]))
    assert picture(["w" * 90]).shape[1] < 2 * picture(["w"]).shape[1]


def test_accents_which_the_font_lacks_are_left_out():
    assert np.array_equal(picture(["Köln"]), picture(["Koln"]))


@pytest.mark.parametrize("labels", [[1, 0], [True, False], ["a\nb", ""], ["Köln", "猫"]], ids=repr)
@pytest.mark.parametrize("shape", [(8, 8), (300, 8), (9, 200)])
def test_any_label_and_shape_is_drawn(labels, shape):
    assert np.array_equal(picture(labels, shape), picture(labels, shape))


def test_a_nearest_image_of_another_class_is_named_on_it():
    shown = np.zeros((2, 40, 40), np.uint8), ["a", "b"], np.zeros((1, 40, 40), np.uint8)
    plain, named = draw_grid(*shown), draw_grid(*shown, ["b"])
    changed = (plain != named).any(axis=2)
    rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
    first = np.flatnonzero((plain == 0).all(axis=2).any(axis=1))[:80]
    assert len(rows)
    assert set(rows) <= set(first)  # in the row of the other class alone
    assert columns[0] > plain.shape[1] // 2  # of a pair the real one


def test_classes_that_the_data_set_calls_otherwise_are_no_other_classes():
    """`to_item` gives labels of the pool other names in the items."""
    images = np.zeros((2, 40, 40), np.uint8)
    drawn = []
    logger = SimpleNamespace(log_image=lambda **logged: drawn.append(logged))
    trainer = SimpleNamespace(current_epoch=0, loggers=[logger])
    for labels in (["zero", "one"], [0, 1]):
        log_grid(trainer, Pool.of(images, labels, Source("", "", 0)), [(image, 0) for image in images], files=None)
    first, second = (one["images"][0] for one in drawn)
    assert not (first == (255, 0, 0)).all(axis=2).any()
    assert (second == (255, 0, 0)).all(axis=2).any()
