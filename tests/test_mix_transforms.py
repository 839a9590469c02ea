"""Mixing inside an albumentations pipeline."""

import json
import re
import subprocess
import sys
import warnings
from dataclasses import replace

import albumentations
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from synthaug import OpenPool, Pool, SyntheticMixTransform
from synthaug.errors import DataError, MismatchWarning, ParameterError
from synthaug.pool import Source

MADE = Source("by hand", "", 0)


def pool(shape=(8, 9), dtype="uint8", labels=(0, 1, 1, 0)):
    return Pool.of(np.stack([np.full(shape, 100 + 50 * i, dtype) for i in range(len(labels))]), list(labels), MADE)


@pytest.fixture
def folder(tmp_path):
    pool(labels=(0, 1, 1)).save(tmp_path)
    return tmp_path


def black(shape=(8, 9), dtype="uint8"):
    return np.zeros(shape, dtype)


def value(out):
    assert np.ptp(out["image"]) == 0
    return float(out["image"].flat[0])


@pytest.mark.parametrize("label", [1, np.int64(1), np.array(1), torch.tensor(1)])
def test_an_image_is_mixed_with_one_of_its_class(label):
    pipeline = albumentations.Compose([SyntheticMixTransform(pool(), alpha=(1, 1), p=1)], seed=0)
    found = {value(pipeline(image=black(), label=label)) for _ in range(30)}
    assert found == {150, 200}
    assert pipeline(image=black(), label=label)["label"] is label


def test_the_weight_lies_in_its_range_and_floats_are_not_rounded():
    pipeline = albumentations.Compose([SyntheticMixTransform(pool(labels=[0]), alpha=(0.2, 0.4), p=1)], seed=0)
    found = [value(pipeline(image=black(), label=0)) for _ in range(200)]
    assert 20 <= min(found) < 23 < 37 < max(found) <= 40
    floats = SyntheticMixTransform(pool((8, 9, 3), "float32", labels=[0]), alpha=(0.25, 0.25), p=1)
    out = floats(image=black((8, 9, 3), "float32"), label=0)
    assert (out["image"].dtype, value(out)) == (np.float32, 25.0)
    assert SyntheticMixTransform(pool(), p=1)(image=black((8, 9, 1)), label=0)["image"].shape == (8, 9, 1)


class Black:
    """A dataset of the user's own, with the transform in it."""

    def __init__(self):
        self.pipeline = albumentations.Compose([SyntheticMixTransform(pool(), alpha=(0.1, 0.9), p=1)], seed=0)

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return value(self.pipeline(image=black(), label=0))


def test_it_draws_anew_in_every_worker_and_epoch():
    def epochs():
        loader = DataLoader(Black(), 2, num_workers=2, generator=torch.Generator().manual_seed(0))
        return [tuple(batch.tolist()) for _ in range(2) for batch in loader]

    assert len(set(epochs())) == 4
    assert epochs() == epochs()


def test_the_seed_of_the_pipeline_fixes_it():
    def run(seed):
        pipeline = albumentations.Compose([SyntheticMixTransform(pool(), p=0.5)], seed=seed)
        return [value(pipeline(image=black(), label=0)) for _ in range(20)]

    assert run(1) == run(1) != run(2)
    assert 0 < run(1).count(0) < 20


def test_it_is_written_and_read_by_the_folder_of_its_pool(folder):
    transform = SyntheticMixTransform(folder, (0.3, 0.6), metadata_key="kind", p=0.7)
    pipeline = albumentations.Compose([transform, albumentations.HorizontalFlip(p=0.5)], seed=3)
    state = json.loads(json.dumps(albumentations.to_dict(pipeline)))
    again = albumentations.from_dict(state)
    again.set_random_seed(3)
    pipeline.set_random_seed(3)
    outs = [[value(one(image=black(), kind=1)) for _ in range(10)] for one in (pipeline, again)]
    assert outs[0] == outs[1]
    assert str(folder) in repr(transform)
    with pytest.raises(ParameterError, match="save it, `pool.save\\(folder\\)`"):
        albumentations.to_dict(albumentations.Compose([SyntheticMixTransform(pool())]))


def test_it_is_replayed(folder):
    pipeline = albumentations.ReplayCompose([SyntheticMixTransform(folder, p=0.5)])
    for _ in range(10):
        out = pipeline(image=black(), label=1)
        replay = json.loads(json.dumps(out["replay"]))
        assert value(albumentations.ReplayCompose.replay(replay, image=black(), label=0)) == value(out)


def test_a_strict_pipeline_takes_the_label():
    pipeline = albumentations.Compose([SyntheticMixTransform(pool(), alpha=(1, 1), p=1)], strict=True)
    assert pipeline(image=black(), label=0)["label"] == 0


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"image": black()}, ParameterError, "Expected the label of the image as `label=`, got 'image'"),
        ({"image": black(), "label": 7}, DataError, "Expected a label in the pool \\(0, 1\\), got 7."),
        ({"image": black(), "label": [1, 0]}, DataError, r"Expected a label in the pool \(0, 1\), got \[1, 0\]\."),
        (
            {"image": black((9, 9)), "label": 0},
            DataError,
            "as in the pool, got \\(9, 9\\) and uint8: mix before you crop",
        ),
        ({"image": black(dtype="float32"), "label": 0}, DataError, "got \\(8, 9\\) and float32"),
    ],
)
def test_what_cannot_be_mixed_is_told(given, error, says):
    with pytest.raises(error, match=says):
        albumentations.Compose([SyntheticMixTransform(pool(), p=1)])(**given)


@pytest.mark.parametrize(
    ("first", "line", "axes", "shape"),
    [
        ((3, 8, 9), "pool.records.transpose(0, 2, 3, 1)", (0, 2, 3, 1), (8, 9, 3)),
        ((1, 8, 9), "pool.records[:, 0]", None, (8, 9)),
        ((1, 8, 9), "pool.records.transpose(0, 2, 3, 1)", (0, 2, 3, 1), (8, 9, 1)),
    ],
)
def test_a_pool_with_its_channels_first_is_to_be_turned(first, line, axes, shape):
    ours = pool(first)
    with pytest.raises(DataError) as error:
        SyntheticMixTransform(ours, p=1)(image=black(shape), label=0)
    assert str(error.value) == (
        f"Expected an image of shape {first} and dtype uint8, as in the pool, got {shape} and uint8: images in "
        f"albumentations have their channels last, so give `dataclasses.replace(pool, records={line})`."
    )
    turned = replace(ours, records=ours.records.transpose(axes) if axes else ours.records[:, 0])
    out = SyntheticMixTransform(turned, (1, 1), p=1)(image=black(shape), label=1)
    assert value(out) in (150, 200)
    assert out["image"].shape == shape


def ramps(low, high, n=20):
    return np.stack([np.linspace(low, high, 72, dtype=np.float32).reshape(8, 9)] * n)


@pytest.mark.parametrize(
    ("ours", "theirs", "says"),
    [
        ((0, 1), (0, 255), "in [0, 1], those of the pool in [0, 255]"),
        ((-2, 2.5), (0, 1), "from -2 to 2.5, those of the pool in [0, 1]"),
        ((0, 1), (0, 1), None),
    ],
)
def test_images_of_another_range_than_the_pool_are_warned_of_once(ours, theirs, says):
    made = Pool.of(ramps(*theirs), np.arange(20) % 2, MADE)
    pipeline = albumentations.Compose([SyntheticMixTransform(made, p=1)], seed=0)
    images = ramps(*ours, n=60)
    for image in images[:15]:
        pipeline(image=image, label=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for image in images[15:]:
            pipeline(image=image, label=0)
    told = [str(one.message) for one in caught if one.category is MismatchWarning]
    assert len(told) == (says is not None)
    for one in told:
        assert re.match(rf"The images that come in have values {re.escape(says)} \(16 of each were looked at\)", one)


def test_a_faint_class_that_comes_first_is_no_misfit():
    made = Pool.of(np.concatenate([ramps(0, 0.2), ramps(0, 1, n=80)]), [0] * 20 + [1] * 80, MADE)
    pipeline = albumentations.Compose([SyntheticMixTransform(made, p=1)], seed=0)
    for image in ramps(0, 0.2):
        pipeline(image=image, label=0)


class Ranged(Black):
    """Images in [0, 1] and a pool in [0, 255]; it tells whether it warned."""

    def __init__(self):
        made = Pool.of(ramps(0, 255), np.arange(20) % 2, MADE)
        self.pipeline = albumentations.Compose([SyntheticMixTransform(made, p=1)], seed=0)

    def __len__(self):
        return 40

    def __getitem__(self, index):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.pipeline(image=ramps(0, 1, n=1)[0], label=0)
        return sum(one.category is MismatchWarning for one in caught)


def test_a_misfit_is_told_of_once_and_not_by_the_workers_of_each_epoch():
    loader = DataLoader(Ranged(), 4, num_workers=1)
    assert [sum(int(batch.sum()) for batch in loader) for _ in range(3)] == [1, 0, 0]


@pytest.mark.parametrize("opened", [False, True])
def test_one_image_is_taken_without_a_pool_of_its_own(opened, folder, monkeypatch):
    pipeline = albumentations.Compose([SyntheticMixTransform(OpenPool(folder) if opened else folder, (1, 1), p=1)])
    for kind in (Pool, OpenPool):
        monkeypatch.delattr(kind, "keep")
    assert value(pipeline(image=black(), label=0)) == 100
    assert value(pipeline(image=black(), label=1)) in (150, 200)


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("record", [4, -1])
def test_a_replay_with_another_pool_tells_of_a_record_that_is_not_there(opened, record, folder):
    transform = SyntheticMixTransform(OpenPool(folder) if opened else folder, p=1)
    with pytest.raises(
        ParameterError, match=r"Expected bools or positions from 0 to 2 in one dimension, got \[-?\d\]\."
    ):
        transform.apply(black(), record=record, weight=0.5)


def test_all_arguments_that_are_wrong_are_told_at_once():
    with pytest.raises(
        ParameterError, match=r"3 problems:\n- Expected `alpha`.*\n- Expected `metadata_key`.*\n- Expected `p`"
    ):
        SyntheticMixTransform(pool(), (0.6, 0.2), "image", 1.5)


def test_without_albumentations_the_error_says_what_to_install():
    code = "import sys; sys.modules['albumentations'] = None\nimport synthaug; synthaug.SyntheticMixTransform"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'which is not installed: `pip install "albumentations>=2.0,<=2.0.8"`' in done.stderr
    assert "synthaug.errors.DependencyError: SyntheticMixTransform is a transform of albumentations" in done.stderr
