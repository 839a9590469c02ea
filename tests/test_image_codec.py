"""What an ImageCodec does beside the contract of all codecs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synthaug.arrays import ArraySchema, find_layout
from synthaug.codecs.image import ImageCodec
from synthaug.errors import DataError, ParameterError, StorageError, SynthaugWarning
from synthaug.spec import Spec

BYTES = np.random.default_rng(0).integers(0, 256, (6, 12, 10, 3), "uint8")


@pytest.mark.parametrize(
    ("shape", "spec"),
    [
        ((9, 8), (1, 9, 8)),
        ((1, 9, 8), (1, 9, 8)),
        ((9, 8, 2), (2, 9, 8)),
        ((4, 28, 36), (4, 28, 36)),
        ((64, 48, 5), (5, 64, 48)),
    ],
)
def test_a_shape_that_can_be_read_in_one_way_only_is_read_so(shape, spec):
    codec = ImageCodec().fit(np.zeros((2, *shape), "uint8"))
    assert codec.spec == Spec(spec)


@given(st.lists(st.integers(1, 40), min_size=2, max_size=3), st.sampled_from([None, "channels_last", "channels_first"]))
def test_a_layout_is_one_that_is_possible_or_an_error(shape, layout):
    try:
        found = find_layout(tuple(shape), layout)
    except DataError:
        return
    sides = shape[:2] if found in ("grey", "channels_last") else shape[1:]
    assert min(sides) >= 8
    assert found in ("grey", layout) or layout is None
    if layout is None and found != "grey":
        other = shape[1:] if found == "channels_last" else shape[:2]
        assert min(other) < 8, "it could be read in two ways"


def test_messages_about_shapes():
    with pytest.raises(DataError) as error:
        ImageCodec(layout="channels_first").fit(BYTES)
    assert str(error.value) == (
        'With `layout="channels_first"`, images of shape (12, 10, 3) are 12 channels of 10 x 3 pixels, and 8 x 8 is '
        'the least: say `layout="channels_last"`, or mend the order of the axes.'
    )
    with pytest.raises(ParameterError, match="Expected `layout` to be None, 'channels_last' or 'channels_first', got"):
        ImageCodec(layout="HWC").fit(BYTES)
    codec = ImageCodec().fit(BYTES)
    with pytest.raises(DataError) as error:
        codec.encode(BYTES[:, :, :9].astype("float32"))
    assert str(error.value) == (
        "2 problems:\n"
        "- The images have shape (12, 9, 3) where (12, 10, 3) is expected.\n"
        "- The images have dtype float32 where uint8 is expected."
    )


@pytest.mark.parametrize(
    "value_range", [(1, 0), (0, 0), (0,), 3, (0, np.inf), (np.nan, 1), "ab", (0, 1e-40), (0, 1e38)]
)
def test_ranges_that_are_none(value_range):
    with pytest.raises(ParameterError, match=r"Expected `value_range` to be \(low, high\)"):
        ImageCodec(value_range=value_range).fit(np.zeros((1, 8, 8), "float32"))


@pytest.mark.parametrize("value_range", [(-1, 1), (0, 256), (0.5, 4)])
def test_ranges_that_bytes_cannot_have(value_range):
    with pytest.raises(ParameterError, match="whole numbers in 0 to 255 for uint8"):
        ImageCodec(value_range=value_range).fit(BYTES)


@settings(max_examples=30, deadline=None)
@given(st.floats(-1e5, 1e5), st.floats(1e-1, 1e5), st.sampled_from(["float32", "float64"]))
def test_whatever_is_decoded_can_be_encoded_again(low, width, dtype):
    high = low + width
    if width < 1e-3 * max(abs(low), abs(high)):
        return
    codec = ImageCodec(value_range=(low, high)).fit(np.full((1, 8, 8), low + width / 2, dtype))
    decoded = codec.decode(torch.linspace(-3, 3, 128).reshape(2, 1, 8, 8))
    np.testing.assert_allclose([decoded.min(), decoded.max()], [low, high], atol=1e-6 * width, rtol=1e-6)
    x = codec.encode(decoded)
    assert -1 <= x.min() <= x.max() <= 1


def test_all_bytes_come_back_and_halves_are_rounded():
    every = np.arange(256, dtype="uint8").reshape(1, 16, 16)
    codec = ImageCodec().fit(every)
    np.testing.assert_array_equal(codec.decode(codec.encode(every)), every)
    nudged = codec.encode(every) + 0.9 / 255
    np.testing.assert_array_equal(codec.decode(nudged), every)


def test_features_are_means_of_fields():
    images = np.random.default_rng(0).random((4, 16, 24, 2), "float32")
    features = ImageCodec().fit(images).features(images)
    means = images.reshape(4, 8, 2, 8, 3, 2).mean((2, 4))  # n, 8, 8, c
    np.testing.assert_allclose(features, 2 * means.transpose(0, 3, 1, 2).reshape(4, -1) - 1, atol=1e-5)
    assert ImageCodec().fit(BYTES).features(BYTES).shape == (6, 3 * 64)


@pytest.mark.parametrize(
    "change",
    [{"shape": [12, 0, 3]}, {"shape": "abc"}, {"shape": [8]}, {"dtype": "object"}, {"layout": 3}, {"value_range": [1]}],
)
def test_a_damaged_state_is_refused(change):
    state = ImageCodec().fit(BYTES).to_dict()
    with pytest.raises(StorageError, match="damaged"):
        ImageCodec.from_dict({**state, **change})
    with pytest.raises(StorageError, match="damaged"):
        ImageCodec.from_dict({name: value for name, value in state.items() if name not in change})


@pytest.mark.parametrize("shape", [[10**9, 10**9], [-8, 8], [8, 8, 8, 8], [8.0, 8], [True, 8]])
def test_a_schema_of_impossible_images_is_refused(shape):
    with pytest.raises(StorageError, match="description of the images is damaged"):
        ArraySchema.from_dict({"shape": shape, "dtype": "uint8"})


def test_images_that_fill_little_of_their_range_are_warned_of():
    images = np.arange(64, dtype=np.uint8).reshape(1, 8, 8) % 17
    with pytest.warns(
        SynthaugWarning, match=r"from 0 to 16, a small part of 0 to 255, .* `ImageCodec\(value_range=\(0, 16"
    ):
        ImageCodec().fit(images)
    ImageCodec().fit(images * 15)
    ImageCodec().fit(images * 0)
    ImageCodec(value_range=(0, 255)).fit(images)
