"""Mixing in a plain PyTorch loop: what the contract of `synthaug.testing` does not say."""

import itertools
import re
from collections import Counter, namedtuple
from dataclasses import dataclass

import albumentations
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    IterableDataset,
    RandomSampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
)
from torch.utils.data.distributed import DistributedSampler

from synthaug import Annealed, MixedBatchSampler, MixedDataset, Pool, mix_loader
from synthaug.errors import DataError, DataTypeError, MismatchWarning, ParameterError
from synthaug.mix.drawing import Allocation, apportion, draw_weighted, level_up, permuted
from synthaug.mix.matching import value_problem
from synthaug.pool import Source

MADE = Source("by hand", "", 0)
Pair = namedtuple("Pair", "image label")


def images(n, first=0, shape=(8, 9), dtype="uint8"):
    """Images that are all of one value: first, first + 1, ..."""
    return np.stack([np.full(shape, first + i, dtype) for i in range(n)])


def pairs(n=12):
    return [(image, i % 3) for i, image in enumerate(images(n))]


def pool(n=6, labels=None, first=100):
    return Pool.of(images(n, first), [i % 3 for i in range(n)] if labels is None else labels, MADE)


EMPTY = pool(1).keep([])


def values(batches):
    """The value of each image in each batch."""
    return [batch[0][:, 0, 0].tolist() for batch in batches]


# --- datasets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_image", [np.array, torch.tensor, Image.fromarray], ids=["array", "tensor", "PIL"])
@pytest.mark.parametrize(
    "item",
    [
        lambda image, label: (image, label),
        lambda image, label: [image, label],
        lambda image, label: {"label": label, "image": image},
        Pair,
        lambda image, label: (label, image),
    ],
    ids=["tuple", "list", "dict", "named tuple", "reversed"],
)
def test_a_synthetic_item_looks_like_a_real_one(as_image, item):
    real = [item(as_image(image), label) for image, label in pairs()]
    reverse = isinstance(real[0], tuple) and isinstance(real[0][0], int)
    places = {"image": 1, "label": 0} if reverse else {}
    mixed = MixedDataset(real, pool(), **places)
    for synthetic in (mixed[12], *mixed.__getitems__([0, 12])[1:]):
        assert type(synthetic) is type(real[0])
        image = synthetic["image"] if isinstance(synthetic, dict) else synthetic[places.get("image", 0)]
        assert type(image) is type(as_image(images(1)[0]))
        assert (np.asarray(image) == 100).all()


def test_positions_are_those_of_a_list():
    mixed = MixedDataset(pairs(), pool())
    assert len(mixed) == 18
    assert mixed[-1][0][0, 0] == 105
    assert [item[0][0, 0] for item in mixed.__getitems__([17, 0, 12, 3])] == [105, 0, 100, 3]
    with pytest.raises(IndexError):
        mixed[18]
    assert len(list(mixed)) == 18


def test_batches_are_asked_of_a_dataset_that_knows_batches():
    class Fetches(Subset):
        asked = 0

        def __getitems__(self, indices):
            type(self).asked += 1
            return super().__getitems__(indices)

    real = Fetches(pairs(), range(12))
    assert len(values(mix_loader(DataLoader(real, batch_size=4), pool(), ratio=0.5))) == 3
    assert Fetches.asked == 3


def test_an_albumentations_pipeline_and_a_callable_act_on_both_kinds():
    pipeline = albumentations.Compose([albumentations.InvertImg(p=1.0)])
    for transform in (pipeline, lambda image: 255 - image):
        mixed = MixedDataset(pairs(), pool(), transform=transform)
        assert mixed[1][0][0, 0] == 254
        assert mixed[12][0][0, 0] == 155
        assert [item[0][0, 0] for item in mixed.__getitems__([1, 12])] == [254, 155]


def test_an_albumentations_pipeline_takes_tensors_and_pil_images():
    pipeline = albumentations.Compose([albumentations.HorizontalFlip(p=1.0)])
    ramp = np.arange(9, dtype=np.uint8)[None].repeat(8, 0)
    colours = np.stack([ramp] * 3)
    flipped = MixedDataset([(torch.from_numpy(colours), 0)], EMPTY, transform=pipeline)[0][0]
    assert flipped.shape == (3, 8, 9)
    assert flipped[0, 0].tolist() == list(range(8, -1, -1))
    grey = MixedDataset([(Image.fromarray(ramp), 0)], EMPTY, transform=pipeline)[0][0]
    assert grey[0].tolist() == list(range(8, -1, -1))


@dataclass(frozen=True)
class Item:
    image: np.ndarray
    label: int


def test_the_image_of_a_dataclass_is_transformed():
    real = [Item(*pair) for pair in pairs()]
    for settings in ({}, {"to_item": Item}):
        mixed = MixedDataset(real, pool(), transform=lambda image: 255 - image, **settings)
        assert [(type(mixed[place]), mixed[place].image[0, 0]) for place in (1, 12)] == [(Item, 254), (Item, 155)]


def noisy(seed=None):
    return albumentations.Compose([albumentations.GaussNoise(std_range=(0.2, 0.2), p=1)], seed=seed)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("seed", [None, 1])
def test_an_albumentations_pipeline_draws_anew_and_the_same_for_any_number_of_workers(seed):
    def loader(**settings):
        plain = DataLoader([(images(1)[0], 0)] * 8, batch_size=2, **settings)
        return mix_loader(plain, pool(labels=[0] * 6), ratio=0.5, seed=0, transform=noisy(seed))

    def epochs(loader):
        return [batch[0].numpy().tobytes() for _ in range(2) for batch in loader]

    alone = epochs(loader())
    assert len(set(alone)) == 8
    for settings in ({"num_workers": 4}, {"num_workers": 1, "persistent_workers": True}):
        assert epochs(loader(**settings)) == alone
    stopped = loader(num_workers=1)
    state = [stopped.state_dict() for _ in stopped][1]
    again = loader(num_workers=1)
    again.load_state_dict(state)
    assert epochs(again)[:2] == alone[2:4]


def test_flips_of_a_seeded_pipeline_do_not_move_together():
    flips = albumentations.Compose([albumentations.HorizontalFlip(), albumentations.VerticalFlip()], seed=0)
    corners = np.arange(4, dtype=np.uint8).reshape(2, 2).repeat(4, 0).repeat(4, 1)
    loader = mix_loader(DataLoader([(corners, 0)] * 40, batch_size=8), EMPTY, ratio=0.0, transform=flips)
    assert {int(image[0, 0]) for batch, _ in loader for image in batch} == {0, 1, 2, 3}


@pytest.mark.parametrize("workers", [0, 2])
def test_an_albumentations_pipeline_follows_torch_in_a_plain_loader(workers):
    def epochs():
        torch.manual_seed(0)
        mixed = MixedDataset([(images(1)[0], 0)] * 4, pool(labels=[0] * 6), transform=noisy())
        loader = DataLoader(mixed, batch_size=5, num_workers=workers)
        return [batch[0].numpy().tobytes() for _ in range(2) for batch in loader]

    assert epochs() == epochs()
    assert len(set(epochs())) == 4


def test_a_transform_in_place_leaves_pool_alone():
    def blank(image):
        image[...] = 0
        return image

    given = pool()
    mixed = MixedDataset([(image.copy(), label) for image, label in pairs()], given, transform=blank)
    assert (mixed.__getitems__([12])[0][0] == 0).all()
    assert (given.records[0] == 100).all()


def test_the_flag_is_in_the_item():
    assert MixedDataset(pairs(), pool(), flag=True)[12][2] is True
    real = [{"image": image, "label": label} for image, label in pairs()]
    mixed = MixedDataset(real, pool(), flag=True)
    assert [mixed[place]["is_synthetic"] for place in (0, 12)] == [False, True]
    with pytest.raises(DataTypeError, match="Expected items that are tuples, lists or dicts for `flag=True`, got Pair"):
        MixedDataset([Pair(*pair) for pair in pairs()], pool(), flag=True)


def test_rows_of_a_table_are_mixed_by_to_item():
    rows = Pool.of(pd.DataFrame({"age": [1.0, 2.0]}), [0, 1], MADE)
    real = [(torch.zeros(1), 0)] * 4

    def to_item(row, label):
        return torch.tensor(row.to_numpy("float32")), label

    (x, y), *_ = mix_loader(DataLoader(real, batch_size=4), rows, ratio=0.5, to_item=to_item)
    assert sorted(x[4:, 0].tolist()) == [1.0, 2.0]
    assert sorted(y[4:].tolist()) == [0, 1]
    with pytest.raises(ParameterError, match="The pool holds table rows: pass `to_item`"):
        MixedDataset(real, rows)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(pairs())


@pytest.mark.parametrize(
    ("real", "made", "error", "says"),
    [
        (
            Stream(),
            pool(),
            DataTypeError,
            "Expected a map-style data set, got Stream, .* no sampler put synthetic ones",
        ),
        (iter([]), pool(), DataTypeError, "Expected a map-style data set, got list_iterator, which has no length or"),
        ([], pool(), DataError, "Expected a dataset of at least one item, got an empty one."),
        (pairs(), images(3), DataTypeError, "Expected a Pool or the folder of one, got ndarray: draw one with"),
        (pairs(), pool(labels=list("abcabc")), DataError, "Expected synthetic labels of type int, as in the dataset"),
        ([(image, label, 3) for image, label in pairs()], pool(), DataError, "Items also hold 2, and what a synthetic"),
        (MixedDataset(pairs(), pool()), pool(), ParameterError, "The dataset is mixed already: join the pools"),
        (
            [(image[:, :8], label) for image, label in pairs()],
            pool(),
            DataError,
            r"A synthetic item \(.*\(8, 9\), int\)\) does not fit in a batch with a real one .*pass a `transform`",
        ),
    ],
)
def test_what_cannot_be_mixed_is_refused_with_the_remedy(real, made, error, says):
    with pytest.raises(error, match=says):
        MixedDataset(real, made)


def test_the_dataset_is_not_asked_for_randomness():
    class Crops:
        def __len__(self):
            return 12

        def __getitem__(self, index):
            return images(1, first=int(torch.randint(9, ())))[0], index % 3

    before = torch.get_rng_state()
    mix_loader(DataLoader(Crops(), batch_size=4), pool(), ratio=0.5, allocation="balance")
    assert torch.equal(torch.get_rng_state(), before)


def standardised(x):
    """Of mean 0 and standard deviation 1, with outliers in one image of ten."""
    z = (x - x.mean()) / x.std()
    z[::10, 0, 0] = 100
    return z


SCALES = {"[0, 1]": lambda x: x, "[-1, 1]": lambda x: 2 * x - 1, "[0, 255]": lambda x: 255 * x, "z": standardised}


def test_a_pool_of_another_range_is_warned_of_and_one_of_the_same_is_not():
    x, y = load_digits().images / 16, load_digits().target.tolist()
    loaders, pools = {}, {}
    for name, scale in SCALES.items():
        z = scale(x)
        loaders[name] = DataLoader(list(zip(z[:200], y, strict=False)), batch_size=50)
        pools[name] = Pool.of(z[200:400], y[200:400], MADE)
        mix_loader(loaders[name], pools[name], ratio=0.5)
    for real, made in itertools.permutations(["[0, 1]", "[-1, 1]", "[0, 255]"], 2):
        says = (
            f"The images of the dataset have values in {real}, those of the pool in {made} (16 and 16 were looked at)"
        )
        with pytest.warns(MismatchWarning, match=f"^{re.escape(says)}"):
            mix_loader(loaders[real], pools[made], ratio=0.5)
        mix_loader(loaders[real], pools[made], ratio=0.0)
    as_bytes = Pool.of((x * 255).astype("uint8"), y, MADE)
    with pytest.warns(MismatchWarning, match=r"in \[0, 1\], those of the pool in \[0, 255\] \(16 and 16 were"):
        MixedDataset(loaders["[0, 1]"].dataset, as_bytes, to_item=lambda image, label: (image, label))
    eighth = Pool.of((x * 16).astype("uint8"), y, MADE)
    with pytest.warns(MismatchWarning, match=r"in \[0, 255\], those of the pool from 0 to 16"):
        MixedDataset(list(zip(as_bytes.records, y, strict=True)), eighth)


@pytest.mark.parametrize(
    ("real", "made", "says"),
    [
        ((0.03, 0.96), (-0.97, 0.92), "values in [0, 1], those of the pool in [-1, 1]"),
        ((3.0, 240.0), (-0.81, 1.85), "values in [0, 255], those of the pool from -0.81 to 1.85"),
        (
            (0.0, 0.25),
            (0.0, 0.9),
            "values from 0 to 0.25, those of the pool in [0, 1]",
        ),  # as likely faint as of [0, 0.25]
        ((0.1, 0.61), (0.0, 1.0), "values from 0.1 to 0.61, those of the pool from 0 to 1"),  # both are of [0, 1]
        ((-0.2, 0.2), (-1.0, 1.0), "values from -0.2 to 0.2, those of the pool in [-1, 1]"),
    ],
)
def test_a_usual_range_is_named_where_it_is_clear_which(real, made, says):
    ramps = ([np.linspace(*ends, 64).reshape(8, 8)] * 3 for ends in (real, made))
    assert value_problem(*ramps) == says


class Targets:
    """A dataset as torchvision has them; it notes at which items was looked, and breaks where it is told to."""

    def __init__(self, targets, shown=lambda target: target, broken=()):
        self.targets, self.shown, self.broken, self.looked = targets, shown, broken, []

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        self.looked.append(index)
        if index in self.broken:
            raise OSError("no such file")
        return images(1, first=index)[0], self.shown(self.targets[index])


def test_labels_that_the_dataset_is_known_to_lack_are_warned_of():
    stack, two = torch.from_numpy(images(12)), [i % 2 for i in range(12)]
    says = "^The dataset has no item with the label 2, and the pool has 2 records with it: they may count classes in"
    tensors = TensorDataset(stack, torch.tensor(two))
    made = Pool.of(images(6, 100), [i % 3 for i in range(6)], MADE)
    column = TensorDataset(stack, torch.tensor(two)[:, None])
    for real in (
        list(zip(stack, two, strict=True)),
        tensors,
        column,
        Targets(np.array(two)[:, None]),
        Subset(Targets([*two, 2]), range(12)),
        Targets(two),
    ):
        with pytest.warns(MismatchWarning, match=says):
            MixedDataset(real, made)
    unknown = ConcatDataset([tensors])
    MixedDataset(unknown, made)
    for known in ({"labels": two}, {"allocation": "balance"}):
        with pytest.warns(MismatchWarning, match=says):
            mix_loader(DataLoader(unknown, batch_size=4), made, **known)
    MixedDataset(Targets(two, shown=lambda target: target + 1), made)  # its targets are not its labels


class Hidden:
    """A dataset whose labels are in its items alone."""

    def __init__(self, held, as_item=lambda image, label: (image, label)):
        self.held, self.as_item = held, as_item

    def __len__(self):
        return len(self.held)

    def __getitem__(self, index):
        return self.as_item(images(1, first=index % 200)[0], self.held[index])


@pytest.mark.parametrize(
    "as_item", [lambda image, label: (image, label), lambda image, label: {"label": label, "image": image}]
)
def test_labels_of_another_type_are_warned_of_where_to_item_lets_them_through(as_item):
    names, numbers, whole = ["cat", "dog"] * 6, [0, 1] * 6, torch.tensor([0.0, 1.0] * 6)
    for real, made, says in (
        (names, numbers, "strings, such as 'cat', and those of synthetic items are numbers, such as 0"),
        (numbers, names, "numbers, such as 0, and those of synthetic items are strings, such as 'cat'"),
    ):
        wanted = f"The dataset has labels that are {says}: let `to_item` write labels as the dataset does."
        with pytest.warns(MismatchWarning, match=f"^{re.escape(wanted)}$"):
            MixedDataset(Hidden(real, as_item), Pool.of(images(12, 100), made, MADE), to_item=as_item)
    for real in (numbers, whole, [bool(label) for label in numbers]):
        MixedDataset(Hidden(real, as_item), Pool.of(images(12, 100), numbers, MADE), to_item=as_item)
    by_name = Pool.of(images(12, 100), names, MADE)
    for both in (["cat", 1] * 6, [1, "cat"] * 6):
        MixedDataset(Hidden(both, as_item), by_name, to_item=as_item)
    MixedDataset(Hidden(numbers, as_item), by_name, to_item=lambda image, label: as_item(image, int(label == "dog")))
    MixedDataset(Hidden(names, as_item), by_name, to_item=lambda image, label: as_item(image, None))


@pytest.mark.parametrize(
    ("held", "made"),
    [([label for label in range(100) for _ in range(5)], range(1, 6)), ([0] * 490 + list(range(1, 11)), range(1, 10))],
    ids=["sorted", "rare"],
)
def test_labels_that_no_look_has_found_are_not_warned_of(held, made):
    """Sixteen looks find none of some labels of 100, nor of the rare ones, of which alone a pool may be."""
    MixedDataset(Hidden(held), Pool.of(images(len(made), 100), list(made), MADE))


def test_few_items_are_looked_at_and_none_for_a_ratio_of_0():
    real = Targets([i % 3 for i in range(100)], broken=range(90, 100))
    mix_loader(DataLoader(real, batch_size=4), pool(), ratio=0.0)
    assert real.looked == [0]
    mix_loader(DataLoader(real, batch_size=4), pool())
    assert len(real.looked) == 1 + 1 + 16
    assert max(real.looked) == 99


def test_refreshing_puts_other_records_under_the_same_labels():
    mixed = MixedDataset(pairs(), pool())
    mixed.refresh(pool(labels=[2, 1, 0, 2, 1, 0], first=200))
    assert [mixed[12 + i][1] for i in range(6)] == [0, 1, 2, 0, 1, 2]
    assert [int(mixed[12 + i][0][0, 0]) for i in range(6)] == [202, 201, 200, 205, 204, 203]
    with pytest.raises(
        DataError, match=r"Expected as many records of each label .* \(\{0: 2, 1: 2, 2: 2\}\), got \{0: 6\}"
    ):
        mixed.refresh(pool(labels=[0] * 6))
    with pytest.raises(DataError, match=re.escape("(uint8 (6, 8, 9)), got uint8 (5, 8, 9).")):
        mixed.refresh(pool(5))


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.long)])
def test_a_refreshed_pool_reaches_workers_that_persist(context):
    loader = DataLoader(pairs(), batch_size=6, num_workers=1, persistent_workers=True, multiprocessing_context=context)
    mixed = mix_loader(loader, pool(), ratio=0.5, seed=0)
    assert all(value >= 100 for batch in values(mixed) for value in batch[6:])
    mixed.dataset.refresh(pool(first=200))
    assert sorted(value for batch in values(mixed) for value in batch[6:]) == [200, 201, 202, 203, 204, 205]


@pytest.mark.parametrize(
    ("workers", "context"),
    [(1, "fork"), (2, "fork"), (2, "spawn"), pytest.param(1, "spawn", marks=pytest.mark.long)],
)
def test_workers_give_the_batches_that_the_main_process_would(workers, context):
    """Shuffled, from a pool of which there are too few, changed at random, and told apart."""

    def epoch(**settings):
        torch.manual_seed(0)
        plain = DataLoader(pairs(), batch_size=5, shuffle=True, **settings)
        mixed = mix_loader(plain, pool(), ratio=1.0, transform=noisy(), flag=True)
        return [[part.numpy().tobytes() for part in batch] for batch in mixed]

    assert epoch(num_workers=workers, multiprocessing_context=context) == epoch()


# --- loaders ----------------------------------------------------------------------------------------------------------


def test_the_settings_of_the_loader_stay():
    def collate(items):
        return len(items)

    def begin(worker):
        pass

    rng = torch.Generator()
    loader = DataLoader(
        *(pairs(), 5),
        shuffle=True,
        num_workers=2,
        collate_fn=collate,
        drop_last=True,
        timeout=7,
        worker_init_fn=begin,
        multiprocessing_context="spawn",
        generator=rng,
        prefetch_factor=3,
        persistent_workers=True,
        in_order=False,
    )
    mixed = mix_loader(loader, pool(), ratio=0.4)
    assert len(mixed) == 2
    for name in (
        *("num_workers", "timeout", "worker_init_fn", "multiprocessing_context", "generator", "prefetch_factor"),
        *("persistent_workers", "collate_fn", "pin_memory", "in_order", "sampler"),
    ):
        assert getattr(mixed, name) is getattr(loader, name), name
    assert isinstance(mixed, DataLoader)
    alone = DataLoader(pairs(), batch_size=5, shuffle=True, collate_fn=collate, drop_last=True, generator=rng)
    assert list(mix_loader(alone, pool(), ratio=0.4)) == [7, 7]


def test_samplers_of_ones_own_are_kept():
    weighted = WeightedRandomSampler([1.0] * 3 + [0.0] * 9, 12)
    assert {
        v
        for batch in values(mix_loader(DataLoader(pairs(), batch_size=4, sampler=weighted), pool(), ratio=0.5))
        for v in batch
        if v < 100
    } <= {0, 1, 2}
    own = [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9], [10, 11]]
    mixed = mix_loader(DataLoader(pairs(), batch_sampler=own), pool(), ratio=0.5)
    assert [batch[:n] for batch, n in zip(values(mixed), (8, 2, 2), strict=True)] == own
    assert [len(batch) for batch in values(mixed)] == [12, 3, 3]
    assert len(mixed) == 3
    plain = BatchSampler(RandomSampler(range(12)), 5, True)
    assert [
        len(batch) for batch in values(mix_loader(DataLoader(pairs(), batch_sampler=plain), pool(), ratio=1.0))
    ] == [10, 10]


def test_the_sampler_of_several_processes_hears_of_the_epoch_through_the_loader():
    sampler = DistributedSampler(range(12), num_replicas=2, rank=0, shuffle=True)
    mixed = mix_loader(DataLoader(pairs(), batch_size=3, sampler=sampler), pool(), ratio=1.0)
    mixed.sampler.set_epoch(3)  # as in anybody's loop
    assert sampler.epoch == 3
    mixed.batch_sampler.set_epoch(5)
    assert (sampler.epoch, mixed.batch_sampler.epoch) == (5, 5)


class Whole(BatchSampler):
    """A batch sampler of the user's own."""


class Aware(Whole):
    """One that wants to know the epoch itself."""

    epoch = None

    def set_epoch(self, epoch):
        self.epoch = epoch


@pytest.mark.parametrize("own", [Whole, Aware])
def test_a_sampler_within_a_batch_sampler_of_ones_own_hears_of_the_epoch(own):
    inner = DistributedSampler(range(12), num_replicas=2, rank=1, shuffle=True)
    mixed = mix_loader(DataLoader(pairs(), batch_sampler=own(inner, 3, False)), pool(), ratio=1.0)
    assert mixed.batch_sampler.rank == 1
    mixed.batch_sampler.set_epoch(5)
    assert inner.epoch == 5
    assert [batch[:3] for batch in mixed.batch_sampler] == list(BatchSampler(inner, 3, False))
    mixed.batch_sampler.sampler.set_epoch(7)  # as Lightning does, and anybody with a plain loader
    assert (inner if own is Whole else mixed.batch_sampler.sampler).epoch == 7


def test_a_sampler_that_lightning_injects_is_aimed_at_the_real_items():
    mixed = MixedDataset(pairs(), pool())
    injected = DistributedSampler(mixed, num_replicas=2, rank=1, shuffle=True, seed=3)
    settings = {"n_real": 12, "n_synthetic": 6, "ratio": 0.5, "seed": 0}
    batches = list(MixedBatchSampler(injected, 2, False, **settings))
    wanted = list(BatchSampler(DistributedSampler(range(12), num_replicas=2, rank=1, shuffle=True, seed=3), 2, False))
    assert [batch[:2] for batch in batches] == wanted
    with pytest.raises(ParameterError, match="pass `use_distributed_sampler=False` to the Trainer"):
        MixedBatchSampler(injected, None, False, **settings)
    with pytest.raises(ParameterError, match=r"use `RandomSampler\(range\(dataset.n_real\)\)`"):
        MixedBatchSampler(RandomSampler(mixed), 2, False, **settings)
    with pytest.raises(DataError, match="The sampler gives position 17, and there are 12 real items"):
        list(MixedBatchSampler(range(18), 6, False, **settings))


class OwnLoader(DataLoader):
    def __iter__(self):
        return iter([])


@pytest.mark.parametrize(
    ("loader", "says"),
    [
        (DataLoader(pairs(), batch_size=None), "this one has `batch_size=None`, so its dataset does"),
        (DataLoader(Stream(), batch_size=4), "Expected a map-style data set, got Stream"),
        (OwnLoader(pairs(), batch_size=4), "A OwnLoader iterates in its own way, which a mixed loader would lose"),
    ],
)
def test_a_loader_that_cannot_be_mixed_is_refused(loader, says):
    with pytest.raises(DataTypeError, match=re.escape(says)):
        mix_loader(loader, pool(), ratio=0.5)


@pytest.mark.parametrize("ratio", [-0.1, float("nan"), float("inf"), "much", True, None])
def test_a_ratio_that_is_none_is_refused(ratio):
    with pytest.raises(ParameterError, match="Expected `ratio` to be a finite number of at least 0, got"):
        mix_loader(DataLoader(pairs(), batch_size=4), pool(), ratio=ratio)
    scheduled = mix_loader(DataLoader(pairs(), batch_size=4), pool(), ratio=lambda epoch: ratio)
    with pytest.raises(ParameterError, match=r"Expected `ratio\(0\)` to give a finite number of at least 0, got"):
        list(scheduled)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(
        ParameterError, match=r"2 problems:\n- Expected a pool of at least one record .*\n- Expected `weights`"
    ):
        MixedBatchSampler(range(4), 2, False, n_real=4, n_synthetic=0, ratio=0.5, seed=0, weights=np.ones(3))


def test_an_annealed_ratio_ends_with_real_items_only():
    mixed = mix_loader(DataLoader(pairs(), batch_size=4), pool(), ratio=Annealed(0.5, epochs=4, last=0.5))
    assert [len(batch) for _ in range(4) for batch in values(mixed)][::3] == [6, 6, 5, 4]


def test_classes_are_balanced_with_rare_ones_first():
    real = [(image, 0 if i < 8 else 1 if i < 11 else 2) for i, (image, _) in enumerate(pairs())]
    given = pool(12, labels=[0, 1, 2] * 4)
    for labels in (None, [label for _, label in real]):
        mixed = mix_loader(DataLoader(real, batch_size=4), given, ratio=1.0, allocation="balance", labels=labels)
        counts = Counter(label for _, batch in mixed for label in batch.tolist())
        assert counts == {0: 8, 1: 8, 2: 8}
    with pytest.raises(DataError, match=r"Expected one label an item in `labels`, got 1 and \d+ items\."):
        mix_loader(DataLoader(real, batch_size=4), given, allocation="balance", labels=[0])
    mixed = mix_loader(DataLoader(real, batch_size=4), given, ratio=0.5, allocation={1: np.float32(1), 2: np.int64(2)})
    assert Counter(label for _, batch in mixed for label in batch[4:].tolist()) == {1: 2, 2: 4}


def test_labels_and_shares_may_be_tensors_of_one_value():
    labels = [0] * 8 + [1] * 3 + [2]
    plain = DataLoader([(image, labels[i]) for i, (image, _) in enumerate(pairs())], batch_size=4)
    given = pool(12, labels=[0, 1, 2] * 4)
    for shares in (
        dict(zip(torch.tensor([1, 2]), torch.tensor([1.0, 2.0]), strict=True)),
        {torch.tensor([1]): 1, 2: 2},
    ):
        mixed = mix_loader(plain, given, ratio=0.5, allocation=shares)
        assert Counter(label for _, batch in mixed for label in batch[4:].tolist()) == {1: 2, 2: 4}
    mixed = mix_loader(plain, given, ratio=1.0, allocation="balance", labels=[*torch.tensor(labels)])
    assert Counter(label for _, batch in mixed for label in batch.tolist()) == {0: 8, 1: 8, 2: 8}


def test_labels_that_cannot_be_read_for_balance_can_be_given():
    real = [(image, torch.eye(3)[label]) for image, label in pairs()]
    loader = DataLoader(real, batch_size=4)

    def to_item(image, label):
        return image, torch.eye(3)[label]

    with pytest.raises(DataTypeError) as caught:
        mix_loader(loader, pool(), to_item=to_item, allocation="balance")
    assert str(caught.value) == (
        "Expected one class for the label, got shape (3,): return `int(label.argmax())` if every label is one-hot. "
        'Labels are read for "balance" alone: you can pass them, `labels=` in `mix_loader`, instead.'
    )
    with pytest.raises(DataTypeError, match=r"got shape \(12, 3\): pass `labels.argmax\(1\)`"):
        mix_loader(loader, pool(), to_item=to_item, allocation="balance", labels=torch.stack([y for _, y in real]))
    mixed = mix_loader(loader, pool(), to_item=to_item, allocation="balance", labels=[int(y.argmax()) for _, y in real])
    assert sum(len(batch) for batch, _ in mixed) == 18


@pytest.mark.parametrize("allocation", ["balance", {0: 1, 1: 1}, {0: 3, 1: 1}])
@pytest.mark.parametrize("ranks", [2, 4])
def test_each_of_several_processes_gets_its_part_of_each_class(allocation, ranks):
    real, given = [(image, i % 2) for i, (image, _) in enumerate(pairs(200))], pool(200, labels=[0, 1] * 100, first=0)
    share = 0.75 if allocation == {0: 3, 1: 1} else 0.5
    for rank in range(ranks):
        sampler = DistributedSampler(real, num_replicas=ranks, rank=rank)
        plain = DataLoader(real, batch_size=10, sampler=sampler)
        mixed = mix_loader(plain, given, ratio=1.0, seed=0, allocation=allocation, flag=True)
        made = torch.cat([labels[flags] for _, labels, flags in mixed])
        assert len(made) == 200 // ranks
        assert abs((made == 0).float().mean() - share) < 0.2


def test_labels_that_are_at_hand_are_not_read_for_balance():
    labels = [0] * 8 + [1] * 3 + [2]
    given = pool(12, labels=[0, 1, 2] * 4)
    real = Targets(labels * 50)
    mixed = mix_loader(DataLoader(real, batch_size=4), given, ratio=1.0, allocation="balance")
    assert len(real.looked) < len(real)
    assert Counter(mixed.labels) == {0: 400, 1: 150, 2: 50}
    wrong = Targets(labels, shown=lambda label: (label + 1) % 3)
    mixed = mix_loader(DataLoader(wrong, batch_size=4), given, ratio=1.0, allocation="balance")
    assert set(wrong.looked) == set(range(12))
    assert Counter(mixed.labels) == {1: 8, 2: 3, 0: 1}


def test_weights_say_how_often_each_record_is_taken():
    mixed = mix_loader(DataLoader(pairs(), batch_size=4), pool(), ratio=1.0, weights=[0, 0, 0, 1, 2, 3])
    assert Counter(value for batch in values(mixed) for value in batch[4:]) == {103: 2, 104: 4, 105: 6}


def test_the_seed_is_that_of_torch_unless_given():
    def epoch(seed):
        torch.manual_seed(seed)
        return values(mix_loader(DataLoader(pairs(), batch_size=4), pool(), ratio=1.0))

    assert epoch(1) == epoch(1) != epoch(2)


def test_processes_that_were_seeded_apart_share_no_synthetic_item():
    def taken(rank):
        torch.manual_seed(rank)
        sampler = DistributedSampler(range(12), num_replicas=2, rank=rank)
        loader = mix_loader(DataLoader(pairs(), batch_size=3, sampler=sampler), pool(), ratio=0.5)
        return [value for batch in values(loader) for value in batch[3:]]

    assert sorted(taken(0) + taken(1)) == [100, 101, 102, 103, 104, 105]


# --- going on ---------------------------------------------------------------------------------------------------------


each_way = pytest.mark.parametrize("settings", [{}, {"num_workers": 2}, {"num_workers": 1, "persistent_workers": True}])
with_generator = pytest.mark.parametrize("generator", [False, True])


def shuffled(settings, generator):
    """Four mixed batches an epoch."""
    rng = torch.Generator().manual_seed(5) if generator else None
    plain = DataLoader(pairs(), batch_size=3, shuffle=True, generator=rng, **settings)
    return mix_loader(plain, pool(), ratio=1.0, seed=0)


@each_way
@with_generator
@pytest.mark.parametrize("stop", [2, 4])
def test_a_loader_goes_on_where_it_was(settings, generator, stop):
    """Stopped in the middle of the second epoch, or at its end."""
    torch.manual_seed(0)
    whole = shuffled(settings, generator)
    first, seen, state = values(whole), [], None
    for number, batch in enumerate(whole, start=1):
        seen += values([batch])
        noise = torch.rand(1)
        if number == stop:
            state = whole.state_dict()
    if stop == 4:
        state = whole.state_dict()
    then = values(whole), torch.rand(1)
    assert len(first) == len(seen) == 4

    torch.manual_seed(1)
    again = shuffled(settings, generator)
    again.load_state_dict(state)
    rest = []
    for batch in again if stop < 4 else ():
        rest += values([batch])
        noise_again = torch.rand(1)
    assert rest == seen[stop:]
    assert stop == 4 or torch.equal(noise, noise_again)
    assert (values(again), torch.rand(1)) == then


@each_way
@with_generator
@pytest.mark.parametrize("epoch", [0, 1])
def test_a_loader_goes_on_with_an_epoch_that_was_begun_and_gave_no_batch(settings, generator, epoch):
    torch.manual_seed(0)
    whole = shuffled(settings, generator)
    for _ in range(epoch):
        values(whole)
    batches = iter(whole)
    state = whole.state_dict()
    then = values(batches), values(whole), torch.rand(1)

    torch.manual_seed(1)
    again = shuffled(settings, generator)
    again.load_state_dict(state)
    assert (values(again), values(again), torch.rand(1)) == then


# --- drawing ----------------------------------------------------------------------------------------------------------


def test_drawing_is_exact():
    rng = np.random.default_rng(0)
    for _ in range(200):
        n, size = rng.integers(1, 9), int(rng.integers(0, 40))
        counts = np.bincount(permuted(n, size, rng), minlength=n)
        assert (counts.sum(), np.ptp(counts) <= 1) == (size, True)
        weights = rng.random(n) * (rng.random(n) < 0.7)
        if weights.sum() and size:
            expected = weights / weights.sum() * size
            assert (abs(np.bincount(draw_weighted(weights, size, rng), minlength=n) - expected) < 1).all()
            shares = apportion(weights, size)
            assert shares.sum() == size
            assert (abs(shares - expected) < 1).all()
        real = rng.integers(0, 30, n)
        grown = real + level_up(real, size)
        assert grown.sum() == real.sum() + size
        lifted = grown[grown > real]
        assert len(lifted) == 0 or (np.ptp(lifted) <= 1 and grown.min() >= lifted.min() - 1)


def test_an_allocation_is_spread_evenly_over_the_epoch():
    labels = pd.Series(["a"] * 30 + ["b"] * 10)
    drawn = Allocation.of(labels, {"a": 3, "b": 1}).draw(40, np.random.default_rng(0))
    b = (drawn >= 30).cumsum()
    assert (abs(b - np.arange(1, 41) / 4) <= 1).all()
    assert len(set(drawn)) == 40


@pytest.mark.parametrize(
    ("allocation", "says"),
    [
        ("equal", 'Expected `allocation` to be "pool", "balance" or a dict of label to share, got \'equal\'.'),
        ({"c": 1}, "Expected shares of labels in the pool ('a', 'b'), got one of 'c'."),
        ({"a": -1}, "Expected the share of 'a' to be at least 0 and finite, got -1."),
        ({"a": 0}, "Expected at least one share above 0, got {'a': 0}."),
        ({"a": torch.tensor(-1)}, "Expected the share of 'a' to be at least 0 and finite, got -1."),
    ],
)
def test_an_allocation_that_is_none_is_refused(allocation, says):
    with pytest.raises(ParameterError, match=re.escape(says)):
        Allocation.of(pd.Series(["a", "b"]), allocation)


def test_one_share_a_label_is_needed():
    shares = dict.fromkeys(torch.tensor([0, 1, 0]), 0.5)
    with pytest.raises(ParameterError, match=r"^Expected one number for each label, got several for 0: leave one\.$"):
        Allocation.of(pd.Series([0, 1]), shares)
    with pytest.raises(ParameterError, match=r"pool \(0, 1\), got one of tensor\(\[1, 1\]\)\.$"):
        Allocation.of(pd.Series([0, 1]), {torch.tensor([1, 1]): 1})
