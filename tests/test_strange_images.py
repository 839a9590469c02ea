"""Every strange set of images through every way in: a right result, or an error of ours that names the item."""

import contextlib

import numpy as np
import pandas as pd
import pytest
from cases import PixelMeans
from strange_images import STRANGE, WORKS, N, a_class_of_one_image, an_item_that_raises, pixels

from synthaug.arrays import as_array, is_array
from synthaug.errors import SynthaugError
from synthaug.images import read_images
from synthaug.synthesizer import Synthesizer

QUICK = Synthesizer(generator=PixelMeans, max_steps=2, random_state=0)


def told(expected):
    return contextlib.nullcontext() if expected == WORKS else pytest.raises(SynthaugError, match=expected)


@pytest.mark.parametrize("name", STRANGE)
def test_read_images(name):
    source = STRANGE[name].make()
    with told(STRANGE[name].read):
        found = read_images(source)
        assert len(found) == len(found.labels) == (1 if name == "one_image" else N)
        if isinstance(source, tuple) and is_array(source[0]):
            np.testing.assert_array_equal(found.records, as_array(source[0]))
            assert found.records.dtype == as_array(source[0]).dtype


@pytest.mark.parametrize("name", STRANGE)
def test_fit(name):
    source = STRANGE[name].make()
    with told(STRANGE[name].fit):
        QUICK.fit(*source) if isinstance(source, tuple) and not isinstance(source[0], list) else QUICK.fit(source)
        pool = QUICK.sample(7)
        assert len(pool) == 7
        real = source[0] if isinstance(source, tuple) else read_images(source).records
        assert pool.records.shape[1:] == tuple(real.shape[1:])
        assert pool.records.dtype == as_array(real).dtype
        assert pool.trained_on(real).all()


def test_the_error_that_an_item_raised_is_the_cause():
    with pytest.raises(SynthaugError) as error:
        read_images(an_item_that_raises())
    assert repr(error.value.__cause__) == "RuntimeError('no such shard')"


def test_a_class_of_one_image_is_drawn():
    QUICK.fit(a_class_of_one_image())
    assert QUICK.sample({"once": 3}).counts() == {"once": 3}


def test_a_duplicate_across_splits_is_found_by_the_pool():
    """`read_images` sees one split and cannot know of another; the pool remembers what the generator saw."""
    train, test = read_images((pixels(), ["a", "b"] * 6)), 255 - pixels()
    test[3] = train.records[5]
    leak = QUICK.fit(train).sample(2).trained_on(test, pd.Series(["b"] * N))
    assert np.flatnonzero(leak).tolist() == [3]
    assert not QUICK.sample(2).trained_on(test, ["a"] * N).any()
