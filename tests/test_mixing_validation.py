"""What is told of validation items that a generator has seen, and of what it memorised."""

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, IterableDataset

from synthaug import MixedDataModule, Pool
from synthaug.errors import DataError, SynthaugWarning
from synthaug.fingerprint import digests, fingerprint
from synthaug.images import read_images
from synthaug.mix.validation import Training, check_doubles, check_validation, nearer_to_training
from synthaug.pool import Source

DIGITS = load_digits()
ORDER = np.random.default_rng(0).permutation(len(DIGITS.target))  # neighbours are of one hand
X, Y = np.rint(DIGITS.images * 255 / 16).astype(np.uint8)[ORDER], DIGITS.target[ORDER]
SEEN = Source("copier", fingerprint(X[:100], Y[:100]), 0, digests=digests(X[:100], Y[:100]))
POOL = Pool.of(X[:60], Y[:60], SEEN)


def items(places, change=lambda image: image):
    return [(change(X[i]), int(Y[i])) for i in places]


def as_floats(image):
    return torch.from_numpy(image)[None].float().div(255)


def centred(image):
    return as_floats(image) * 2 - 1


@pytest.mark.parametrize("change", [np.asarray, as_floats, centred])
def test_doubles_are_warned_of_and_named(change):
    with pytest.warns(SynthaugWarning, match=r"trained on 2 of 40 validation items: 0, 1\. If they are doubles"):
        check_validation(items(range(98, 138), change), POOL)


@pytest.mark.parametrize("change", [np.asarray, as_floats, centred])
def test_a_set_that_was_seen_is_refused(change):
    with pytest.raises(DataError, match=r"trained on 20 of 40 validation items \(the first is item 0\)"):
        check_validation(items(range(80, 120), change), POOL)


@pytest.mark.parametrize("dataset", [items(range(100, 140)), items(range(100, 140), as_floats), []])
def test_nothing_is_said_of_others(dataset):
    assert check_validation(dataset, POOL) == ""


NOT_KNOWN = "whether the generator has seen validation items is not known: "


def test_what_cannot_be_compared_is_said_with_its_reason():
    odd = [*items(range(100, 400)), (np.zeros((9, 8), np.uint8), 0)]
    assert check_validation(odd, POOL).startswith(f"{NOT_KNOWN}The image has shape (9, 8), where")
    tall = items(range(100, 140), lambda image: image.repeat(2, 0))
    told = NOT_KNOWN + (
        "they have shape {} and dtype {}, and images of the pool (8, 8) and uint8, so they cannot be compared; "
        "`pool.trained_on(images)` of the plain validation images tells it."
    )
    assert check_validation(tall, POOL) == told.format("(16, 8)", "uint8")
    normalised = items(range(100, 140), lambda image: centred(image) * 3)
    assert check_validation(normalised, POOL) == told.format("(8, 8)", "float32")
    assert POOL.trained_on(X[98:102]).tolist() == POOL.trained_on(items(range(98, 102))).tolist() == [1, 1, 0, 0]
    assert check_validation([{"x": 0}], POOL).startswith(f"{NOT_KNOWN}The item is a dict without 'image'")


def test_what_was_read_before_an_item_that_cannot_be_counts():
    broken = [*items(range(100)), *items(range(100, 300)), (None, 0)]
    with pytest.raises(DataError, match="trained on 100 of 256 validation items"):
        check_validation(broken, POOL)


def test_a_pool_that_does_not_note_what_its_generator_saw_is_said():
    assert check_validation(items(range(9)), of(range(9))) == f"{NOT_KNOWN}it was not noted what 'real' was trained on."


def test_nothing_is_said_of_tables():
    table = Pool.of(pd.DataFrame({"a": [1.0, 2.0]}), [0, 1], Source("rows", "", 0))
    assert check_validation([(torch.zeros(3), 0)], table) == ""
    assert check_doubles([(torch.zeros(3), 0)], table, Training([(torch.zeros(3), 0)] * 20)) == ""


def test_a_datamodule_is_checked():
    yours = pl.LightningDataModule()
    yours.train_dataloader = lambda: DataLoader(items(range(60)), batch_size=20)
    yours.val_dataloader = lambda: DataLoader(items(range(50, 70)), batch_size=20)
    with pytest.raises(DataError, match="trained on 20 of 20 validation items"):
        MixedDataModule(yours, POOL).val_dataloader()


def of(places):
    return Pool.of(X[places], Y[places], Source("real", "", 0))


@pytest.mark.parametrize(("n", "change"), [(300, np.asarray), (300, as_floats), (1_400, centred)])
def test_copies_are_nearer_to_the_training_set_than_held_out_images_are(n, change):
    train, held_out = Training(items(range(n))), items(range(n, n + 200), change)
    assert nearer_to_training(of(slice(0, n)), train, held_out=held_out, seed=0) == (1, "")
    assert 0.4 < nearer_to_training(of(slice(n + 200, 1797)), train, held_out=held_out, seed=0)[0] < 0.6


def threefold(image):
    return np.kron(image, np.ones((3, 3), np.uint8))


def middle(image):
    return threefold(image)[4:20, 4:20]


def smaller(image):
    return np.asarray(Image.fromarray(threefold(image)).resize((16, 16), Image.Resampling.BOX))


def test_crops_are_compared_with_the_middle_and_smaller_images_with_the_whole():
    made = np.stack([threefold(image) for image in X])
    unseen, copies = (Pool.of(made[part], Y[part], Source("real", "", 0)) for part in (slice(500, 1797), slice(0, 300)))
    train = Training(items(range(300), threefold))
    same = nearer_to_training(unseen, train, held_out=items(range(300, 500), threefold), seed=0)[0]
    resized = nearer_to_training(unseen, train, held_out=items(range(300, 500), smaller), seed=0)[0]
    assert abs(same - resized) < 0.01
    for change in (middle, lambda image: as_floats(middle(image))):
        cropped = items(range(300, 500), change)
        assert 0.4 < nearer_to_training(unseen, train, held_out=cropped, seed=0)[0] < 0.6
        assert nearer_to_training(copies, train, held_out=cropped, seed=0)[0] > 0.99


def test_images_that_were_not_seen_are_as_near_whatever_the_shares_of_the_classes():
    rare = np.flatnonzero(Y < 5)
    train = Training(items(np.r_[rare[:20], np.flatnonzero(Y >= 5)[:400]]))
    unseen, held_out = np.r_[rare[20:220], rare[420:]], items(np.r_[rare[220:420], np.flatnonzero(Y >= 5)[400:420]])
    assert 0.4 < nearer_to_training(of(unseen), train, held_out=held_out, seed=0)[0] < 0.6


NO_SHARE = "`synthetic/nearer_to_training` is not logged: "


def test_too_few_or_other_images_are_not_compared():
    train = Training(items(range(300)))
    few = nearer_to_training(POOL, train, held_out=items(range(300, 310)), seed=0)
    assert few == (None, f"{NO_SHARE}there are 10 held-out images, and 20 are needed.")
    colours = items(range(300, 400), lambda image: np.stack([image] * 3, axis=-1))
    figure, reason = nearer_to_training(POOL, train, held_out=colours, seed=0)
    assert figure is None
    assert reason == f"{NO_SHARE}Expected images of 1 channel, as in the pool, got 3."
    others = [(image, 77) for image, _ in items(range(300, 400))]
    assert nearer_to_training(POOL, train, held_out=others, seed=0)[1].endswith("is of a class that is drawn.")


def test_images_of_another_size_are_compared():
    copies, held_out = of(slice(0, 300)), items(range(300, 400), lambda image: image.repeat(2, 0).repeat(2, 1))
    assert nearer_to_training(copies, Training(items(range(300))), held_out=held_out, seed=0) == (1, "")


def last(image):
    return image.transpose(1, 2, 0)


@pytest.mark.parametrize("channels", [9, 64])
def test_images_whose_shape_can_be_read_in_two_ways_are_compared_by_the_layout_that_is_known(channels):
    """Channels come first in training and in the pool, and last in validation."""

    def deep(places, change=np.asarray):
        shades = np.arange(1, channels + 1) / channels
        return items(places, lambda image: change(np.multiply.outer(shades, image.repeat(2, 0)).astype(np.uint8)))

    def drawn(places):
        records, labels = np.stack([image for image, _ in deep(places)]), Y[places]
        return Pool.of(
            records,
            labels,
            Source("copier", fingerprint(records, labels), 0, digests=digests(records, labels)),
        )

    train, pool = deep(range(100)), drawn(range(100))
    known = Training(train, layout="channels_first")
    for change in (np.asarray, last):
        theirs = deep(range(100, 200), change)
        assert nearer_to_training(pool, known, held_out=theirs, seed=0) == (1, "")
        assert 0.3 < nearer_to_training(drawn(range(200, 300)), known, held_out=theirs, seed=0)[0] < 0.7
        assert check_validation(theirs, pool, layout="channels_first") == ""
        assert check_doubles(theirs, pool, known) == ""
        with pytest.raises(DataError, match="trained on 20 of 40 validation items"):
            check_validation(deep(range(80, 120), change), pool, layout="channels_first")
    figure, reason = nearer_to_training(pool, Training(train), held_out=theirs, seed=0)
    assert figure is None
    assert reason.startswith(f"{NO_SHARE}Images of shape ({channels}, 16, 8) can be read in two ways")


def test_a_validation_set_that_raises_is_said():
    class Raises(list):
        def __getitem__(self, index):
            raise OSError("disk gone")

    said = nearer_to_training(POOL, Training(items(range(60))), held_out=Raises(range(40)), seed=0)
    assert said == (None, f"{NO_SHARE}the data set raised OSError('disk gone').")


class Stream(IterableDataset):
    def __len__(self):
        return 40

    def __iter__(self):
        return iter(items(range(40)))


@pytest.mark.parametrize("dataset", [Stream(), dict.fromkeys("ab", (X[0], 0))])
def test_what_cannot_be_read_by_place_is_left_alone(dataset):
    assert check_validation(dataset, POOL).startswith(f"{NOT_KNOWN}Expected a ")
    assert nearer_to_training(POOL, Training(items(range(60))), held_out=dataset, seed=0)[0] is None


def test_images_that_were_resized_for_the_generator_are_known_again():
    photographs = [(Image.fromarray(X[i]).resize((12 + i % 3, 12)), int(Y[i])) for i in range(40)]
    seen = read_images(photographs, size=(8, 8))
    source = Source("copier", fingerprint(seen.records, seen.labels), 0, digests=digests(seen.records, seen.labels))
    with pytest.raises(DataError, match="trained on 40 of 40 validation items"):
        check_validation(photographs, Pool.of(seen.records, seen.labels, source), size=(8, 8))
