"""What is told of validation images that are training images but for a change."""

import io
import logging
import warnings

import albumentations
import cv2
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset

from synthaug import MixedDataModule, Pool, Synthesizer, SyntheticMix
from synthaug.errors import SynthaugWarning
from synthaug.fingerprint import digests, fingerprint
from synthaug.mix.doubles import Doubles, find_doubles
from synthaug.mix.validation import Training, check_doubles
from synthaug.pool import Source
from synthaug.rng import global_states

DIGITS = load_digits()
ORDER = np.random.default_rng(0).permutation(len(DIGITS.target))  # neighbours are of one hand
X, Y = np.rint(DIGITS.images * 255 / 16).astype(np.uint8)[ORDER], DIGITS.target[ORDER]
TRAIN, LEAKED = range(1_000), [*range(100), *range(1_000, 1_100)]  # half of the second are in the first
POOL = Pool.of(X[:60], Y[:60], Source("by hand", "", 0))


def items(places, change=np.asarray):
    return [(change(X[i]), int(Y[i])) for i in places]


def photograph(image):
    return Image.fromarray(image).resize((60, 50), Image.Resampling.BICUBIC)


def as_we_resize(image):
    return np.asarray(photograph(image).resize((8, 8), Image.Resampling.BILINEAR))


def as_others(interpolation):
    resize = albumentations.Resize(8, 8, interpolation=interpolation)
    return lambda image: resize(image=np.asarray(photograph(image)))["image"]


def normalised(image):
    return (torch.from_numpy(image)[None].float() / 255 - 0.13) / 0.31


def stored_as_jpeg(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=75)
    return np.asarray(Image.open(file))


CHANGES = {
    "linear": (as_we_resize, as_others(cv2.INTER_LINEAR)),
    "area": (as_we_resize, as_others(cv2.INTER_AREA)),
    "cubic": (as_we_resize, as_others(cv2.INTER_CUBIC)),
    "larger": (as_we_resize, lambda image: np.asarray(photograph(image))),
    "normalised": (np.asarray, normalised),
    "flipped": (np.asarray, np.fliplr),
    "turned": (np.asarray, np.rot90),
    "JPEG": (np.asarray, stored_as_jpeg),
    "all": (as_we_resize, lambda image: normalised(np.rot90(as_others(cv2.INTER_LINEAR)(image)).T.copy())),
}


def silent(dataset, train, pool=POOL):
    """Whether nothing is told: warnings are errors here."""
    return check_doubles(dataset, pool, Training(train)) == ""


@pytest.mark.parametrize(("ours", "theirs"), CHANGES.values(), ids=CHANGES)
def test_training_images_are_known_again_whatever_was_done_to_all_images(ours, theirs):
    with pytest.warns(SynthaugWarning, match="validation images look like training images"):
        check_doubles(items(LEAKED, theirs), POOL, Training(items(TRAIN, ours)))


@pytest.mark.parametrize(("ours", "theirs"), CHANGES.values(), ids=CHANGES)
def test_images_of_their_own_are_not(ours, theirs):
    assert silent(items(range(1_000, 1_400), theirs), items(TRAIN, ours))


def larger(image):
    return np.asarray(Image.fromarray(image).resize((12, 12), Image.Resampling.BICUBIC))


def middle(size):
    return lambda image: np.asarray(albumentations.CenterCrop(*size)(image=larger(image))["image"])


@pytest.mark.parametrize("size", [(10, 10), (8, 8), (8, 12), (12, 10)])
def test_crops_of_the_middle_are_known_again(size):
    train = Training(items(TRAIN, larger))
    for change in (middle(size), lambda image: normalised(np.fliplr(middle(size)(image)).copy())):
        with pytest.warns(SynthaugWarning, match="100 of 200 validation images .* changed \\(cropped, normalised, "):
            check_doubles(items(LEAKED, change), POOL, train)
    assert check_doubles(items(range(1_000, 1_400), middle(size)), POOL, train) == ""


def test_the_warning_says_how_many_and_which():
    train = Training(items(TRAIN))
    with pytest.warns(SynthaugWarning) as caught:
        check_doubles(items([*range(12), *range(1_000, 1_100)], np.fliplr), POOL, train)
    assert str(caught[0].message) == (
        "12 of 112 validation images look like training images that were changed (resized, normalised, flipped, "
        "turned): 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more. Among training images themselves, 0 of 1000 are so near to "
        "another. Look at some beside the training images; if they are the same pictures, all scores on them are too "
        "good: split the images first, each with all its versions, and change them afterwards."
    )


def means(images):
    return images[:, None] / np.float32(255)


@pytest.mark.parametrize("a_class", [20, 60, [120, 10]], ids=["few", "more", "long tails"])
@pytest.mark.parametrize("seed", range(10))
def test_honest_splits_are_silent(seed, a_class):
    order = np.random.default_rng(seed).permutation(len(Y))
    sizes = np.resize(a_class, 10)
    train = np.concatenate([order[Y[order] == label][: sizes[label]] for label in range(10)])
    found = find_doubles(means(X[np.setdiff1d(order, train)]), means(X[train]))
    assert not found.telling


def slow_stand_out(image, others):
    """As `find_doubles` says it, one pair at a time."""

    def outline(one):
        fields = np.array([[one[i : i + 3, j : j + 3].mean() for j in range(6)] for i in range(6)])
        return (fields - fields.mean()) / np.linalg.norm(fields - fields.mean())

    turns = [np.rot90(one, k) for one in (image, image.T) for k in range(4)]
    distances = [min(np.linalg.norm(outline(turned) - outline(other)) for turned in turns) for other in others]
    nearest, second = sorted(distances)[:2]
    return nearest < second / 3


def test_they_are_those_that_a_slow_search_finds():
    rng = np.random.default_rng(0)
    train = X[:14].astype(float)
    noisy = train[:10] + rng.normal(0, 1, (10, 1, 1)) * rng.normal(0, 60, (10, 8, 8))
    seen = np.concatenate([noisy, X[100:104]])
    found = find_doubles(seen[:, None], train[:, None])
    expected = [slow_stand_out(one, train) for one in seen]
    assert 2 < sum(expected) < 10
    assert found.near.tolist() == expected
    assert found.usual.tolist() == [slow_stand_out(train[i], np.delete(train, i, 0)) for i in range(14)]


def test_near_doubles_that_training_images_have_as_often_are_usual():
    rng = np.random.default_rng(0)
    bursts = np.clip(X[:400].repeat(2, 0) + rng.normal(0, 4, (800, 8, 8)), 0, 255).astype(np.uint8)
    shots = [(image, int(label)) for image, label in zip(bursts, Y[:400].repeat(2), strict=True)]
    order = rng.permutation(800)
    assert silent([shots[i] for i in order[600:]], [shots[i] for i in order[:600]])


def test_images_without_contrast_are_like_no_other():
    plain = [(np.full((8, 8), value, np.uint8), 0) for value in range(40)]
    assert silent(plain, plain[::-1])
    with pytest.warns(SynthaugWarning, match="20 of 60 validation images"):
        check_doubles(plain + items(range(20), np.fliplr), POOL, Training(plain + items(TRAIN)))


def test_colours_are_compared_channel_by_channel():
    rgb = np.random.default_rng(0).integers(0, 256, (120, 8, 8, 3)).astype(np.uint8)
    first = [(image.transpose(2, 0, 1) / np.float32([[[99]], [[128]], [[255]]]) - np.float32(0.5), 0) for image in rgb]
    with pytest.warns(SynthaugWarning, match="20 of 40 validation images"):
        check_doubles(first[80:], POOL, Training([(image, 0) for image in rgb[:100]]))


def test_doubles_that_were_told_of_are_not_told_again():
    noted = Source("copier", fingerprint(X[:1_000], Y[:1_000]), 0, digests=digests(X[:1_000], Y[:1_000]))
    pool = Pool.of(X[:60], Y[:60], noted)
    assert silent(items([*range(20), *range(1_000, 1_200)]), items(TRAIN), pool)
    assert silent(items(range(20)), items(TRAIN), pool)
    flipped = [*items(range(20)), *items(range(100, 120), np.fliplr), *items(range(1_000, 1_200))]
    with pytest.warns(SynthaugWarning, match=r"20 of 220 validation images .*: 20, 21,"):
        check_doubles(flipped, pool, Training(items(TRAIN)))
    with pytest.warns(SynthaugWarning, match=r"20 of 220 validation images .*: 0, 1,"):
        check_doubles(items([*range(20), *range(1_000, 1_200)]), POOL, Training(items(TRAIN)))


class Cropped(Dataset):
    """Draws from global randomness."""

    def __init__(self, places):
        self.places = places

    def __len__(self):
        return len(self.places)

    def __getitem__(self, index):
        top, left = torch.randint(0, 20, (2,)).tolist()
        image = np.asarray(photograph(X[self.places[index]]).resize((52, 52)))
        return image[top : top + 32, left : left + 32], int(Y[self.places[index]])


def test_random_crops_do_no_harm():
    before = global_states()
    assert silent(Cropped(range(1_000, 1_100)), Cropped(range(300)))
    assert silent(Cropped(range(100, 200)), Cropped(range(300)))
    assert torch.equal(global_states()["torch"], before["torch"])


def test_what_cannot_be_compared_is_said_with_its_reason():
    unknown = "whether validation images are changed training images is not known: "
    train = Training(items(TRAIN))
    colours = items(range(1_000, 1_100), lambda image: image[..., None].repeat(3, -1))
    assert check_doubles(colours, POOL, train) == f"{unknown}they have 3 channels, and training images have 1."
    gone = items(range(1_000, 1_100), lambda image: image * np.float32(np.nan))
    assert check_doubles(gone, POOL, train).startswith(f"{unknown}The images hold values that are not finite")
    assert check_doubles(items([1]), POOL, Training([None] * 20)).startswith(f"{unknown}The item is None")


def test_too_few_training_images_are_not_compared():
    assert silent(items(range(10), np.fliplr), items(range(19)))


class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(64, 10)

    def training_step(self, batch, index):
        return torch.nn.functional.cross_entropy(self.net(batch[0].flatten(1).float()), batch[1])

    def validation_step(self, batch, index, dataloader_idx=0):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-6)


def loaders():
    ours, theirs = CHANGES["area"]
    return DataLoader(items(TRAIN, ours), batch_size=500), DataLoader(items(LEAKED, theirs), batch_size=200)


def told(folder, run, **settings):
    """What is warned of in a run, and what is logged as not known."""
    logged = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())
    logger = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run(
                pl.Trainer(
                    max_epochs=3,
                    accelerator="cpu",
                    default_root_dir=folder,
                    logger=False,
                    enable_checkpointing=False,
                    enable_progress_bar=False,
                    enable_model_summary=False,
                    **settings,
                )
            )
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    warned = [str(one.message) for one in caught if one.category is SynthaugWarning]
    return warned, [text for text in logged if "is not known" in text]


UNNOTED = (
    "whether the generator has seen validation items is not known: it was not noted what 'by hand' was trained on."
)


def test_a_run_with_a_callback_warns_once_and_says_once_what_is_not_known(tmp_path):
    mix = SyntheticMix(pool=POOL, seed=0)
    warned, unknown = told(tmp_path, lambda run: run.fit(Module(), *loaders()), callbacks=[mix])
    assert len(warned) == 1
    assert "look like training images that were changed" in warned[0]
    assert unknown == [f"SyntheticMix: {UNNOTED}"]


def wrapped(train, held_out):
    yours = pl.LightningDataModule()
    yours.calls = []
    yours.train_dataloader = lambda: yours.calls.append("train") or train
    yours.val_dataloader = lambda: yours.calls.append("val") or held_out
    return yours, MixedDataModule(yours, POOL, seed=0)


@pytest.mark.parametrize("sanity", [0, 1])
def test_a_run_with_a_wrapped_datamodule_does_so_too(sanity, tmp_path):
    yours, mixed = wrapped(*loaders())
    settings = {"num_sanity_val_steps": sanity, "reload_dataloaders_every_n_epochs": 1}
    warned, unknown = told(tmp_path, lambda run: run.fit(Module(), mixed), **settings)
    assert len(warned) == 1
    assert "look like training images that were changed" in warned[0]
    assert unknown == [f"MixedDataModule: {UNNOTED}"]
    assert yours.calls.count("train") == 3  # one an epoch: none for the comparison


def test_validation_alone_asks_for_no_training_set(tmp_path):
    yours, mixed = wrapped(*loaders())
    assert told(tmp_path, lambda run: run.validate(Module(), mixed, verbose=False)) == (
        [],
        [f"MixedDataModule: {UNNOTED}"],
    )
    assert yours.calls == ["val"]


def test_of_a_large_training_set_a_part_is_compared_and_fewer_doubles_tell():
    images = np.random.default_rng(0).random((400, 1, 8, 8))
    seen = np.concatenate([images[:5], np.random.default_rng(1).random((395, 1, 8, 8))])
    assert not find_doubles(seen, images).telling
    tenth = find_doubles(np.concatenate([images[:11], seen[11:]]), images, share=0.1)
    assert tenth.near.sum() == 11
    assert tenth.telling


@pytest.mark.parametrize(
    ("near", "of", "usual", "share", "telling"),
    [(2, 10, 0, 1, False), (3, 10, 0, 1, True), (5, 300, 0, 1, False), (5, 300, 0, 0.1, True), (8, 100, 40, 1, False)],
    ids=["two", "three", "under 2%", "of a part", "by chance"],
)
def test_how_many_tell(near, of, usual, share, telling):
    assert Doubles(np.arange(of) < near, np.arange(1_000) < usual, share).telling == telling


class Simulated(Dataset):
    """Drawn from global randomness whenever it is read."""

    def __len__(self):
        return 200

    def __getitem__(self, index):
        return torch.rand(1, 8, 8), index % 2


def test_items_that_are_drawn_anew_are_no_doubles(tmp_path):
    loader = DataLoader(Simulated(), batch_size=200)
    mix = SyntheticMix(Synthesizer(max_steps=1), seed=0)
    warned, _ = told(tmp_path, lambda run: run.fit(Module(), loader, loader), callbacks=[mix])
    assert all("change each time" in text for text in warned)


def test_training_images_are_read_once_for_all_validation_sets():
    read = []

    class Noting(list):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    train = Training(Noting(items(range(100))))
    for start in (1_000, 1_100):
        assert check_doubles(items(range(start, start + 100)), POOL, train) == ""
    assert sorted(read) == list(range(100))


def test_a_run_says_one_thing_that_is_not_known_even_if_there_are_more(tmp_path):
    train, _ = loaders()
    odd = DataLoader([{"x": x} for x in X[:40]], batch_size=40)
    _, mixed = wrapped(train, [odd, odd])
    assert told(tmp_path, lambda run: run.fit(Module(), mixed)) == ([], [f"MixedDataModule: {UNNOTED}"])
    _, unknown = told(tmp_path, lambda run: run.fit(Module(), train, odd), callbacks=[SyntheticMix(pool=POOL, seed=0)])
    assert unknown == [f"SyntheticMix: {UNNOTED}"]
