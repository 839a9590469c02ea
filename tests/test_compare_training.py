import inspect

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from sklearn.model_selection import GroupKFold
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset

from synthaug.decisions import choose_training
from synthaug.errors import DataError, DataTypeError, ParameterError, SynthaugWarning
from synthaug.evaluate.results import Comparison
from synthaug.evaluate.stats import corrected_resampled_t
from synthaug.evaluate.training import Rows, compare_training


def train_mean(items, seed):
    return float(np.mean([items[i] for i in range(len(items))]))


def near(mean, items):
    return -abs(mean - np.mean([items[i] for i in range(len(items))]))


def doubled(dataset, indices, seed):
    return [dataset[i] for i in indices] * 2


def jittered(dataset, indices, seed):
    rng = np.random.default_rng(seed)
    return [dataset[i] + rng.normal() for i in indices]


NUMBERS = np.random.default_rng(0).normal(size=30).tolist()


def test_images_on_both_sides_of_a_split_are_warned_of():
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8)).astype(np.uint8)
    dataset = [(images[i % 11], i % 11 % 2) for i in range(15)]
    splits = [(np.arange(4, 11), np.arange(4)), (np.arange(2, 13), np.array([0, 1, 13]))]
    with pytest.warns(SynthaugWarning, match=r"In split 1, 3 of 3 test items equal a training item: 0, 1, 13\. Scores"):
        compare_training({"same": None}, lambda items, seed: 0, lambda model, items: 1.0, dataset, splits)


def test_a_score_that_may_be_a_loss_is_warned_of():
    def score(model, items):
        return {"val_loss": 0.3, "accuracy": 0.9}

    with pytest.warns(SynthaugWarning, match="'val_loss' in what `score` gives may be a loss, and greater is taken"):
        compare_training({"same": None}, train_mean, score, NUMBERS, 2)


def test_the_same_data_twice_is_exactly_no_gain():
    found = compare_training({"doubled": doubled, "again": None}, train_mean, near, NUMBERS, seeds=2, random_state=0)
    gains = found.gains()
    assert (gains[["gain", "low", "high"]].abs() < 1e-15).all(axis=None)
    assert gains["n"].tolist() == [10] * 4
    assert len(found.scores) == 3 * 10 * 2
    assert found.estimators == ("model",)
    assert found.recalls.empty
    assert found.gains_by_class().empty


def test_scores_are_averaged_over_seeds_and_paired_by_split():
    found = compare_training({"jittered": jittered}, train_mean, near, NUMBERS, 3, seeds=4, random_state=0)
    scores = found.scores.groupby(["split", "arm"])["score"].mean().reset_index().pivot_table("score", "split", "arm")
    expected = corrected_resampled_t(scores["jittered"] - scores["real"], 20, 10)
    row = found.gains().iloc[0]
    assert (row["gain"], row["low"], row["high"]) == pytest.approx((expected.gain, expected.low, expected.high))
    assert row["n"] == 3
    assert found.scores.query("arm == 'jittered'")["score"].nunique() == 12
    assert found.scores.query("arm == 'real'")["score"].nunique() == 3


def test_what_one_model_uses_up_is_there_for_the_next():
    def loader(dataset, indices, seed):
        return iter([dataset[i] for i in indices])

    def train(items, seed):
        return len(list(items)) if hasattr(items, "__next__") else 0

    found = compare_training({"loader": loader}, {"a": train, "b": train}, lambda n, items: n, NUMBERS, 2)
    scores = found.scores.query("arm == 'loader'").groupby("estimator")["score"].unique()
    assert scores.map(list).to_dict() == {"a": [15.0], "b": [15.0]}


def test_every_arm_sees_the_same_splits_and_seeds_and_only_training_items():
    seen, told = {"a": [], "b": []}, []

    def spy(name):
        def arm(dataset, indices, seed):
            seen[name].append((tuple(indices), seed))
            assert [dataset[i] for i in indices] == list(indices)
            return dataset, indices

        return arm

    def train(data, seed):
        told.append(seed)
        return data

    def score(model, items):
        trained = set(model.places.tolist()) if isinstance(model, Rows) else set(model[1])
        assert trained.isdisjoint(items)
        assert len(trained) + len(items) == 20
        return 1.0

    compare_training({"a": spy("a"), "b": spy("b")}, train, score, range(20), 5, seeds=2, random_state=0)
    assert seen["a"] == seen["b"]
    assert len(set(seen["a"])) == 10
    assert told == [seed for _, seed in seen["a"]] * 3


def test_an_arm_cannot_take_a_test_item():
    def greedy(dataset, indices, seed):
        return [dataset[i] for i in range(len(dataset))]

    with pytest.warns(SynthaugWarning) as caught:
        found = compare_training({"greedy": greedy, "doubled": doubled}, train_mean, near, NUMBERS, 3, random_state=0)
    (first,) = [min(set(range(30)) - set(indices)) for indices in [found_places(0)]]
    line = inspect.getsourcelines(greedy)[1] + 1
    assert str(caught[0].message) == (
        f"Without a score: 'greedy' in 3 of 3 cells, first with DataError: Item {first} is no training item: use those "
        f"at `indices`. (in <listcomp>, test_compare_training.py, line {line})"
    )
    assert found.gains().query("estimator == 'all'")["n"].tolist() == [0, 3]


def found_places(split):
    places = []

    def spy(dataset, indices, seed):
        places.append(indices)
        return doubled(dataset, indices, seed)

    compare_training({"spy": spy}, train_mean, near, NUMBERS, 3, random_state=0)
    return places[split]


def test_attributes_of_the_data_set_are_lent_and_loaders_find_no_way_around(tmp_path):
    class Images(TensorDataset):
        size = 28

        def __getitems__(self, places):
            return [self[i] for i in places]

    def arm(dataset, indices, seed):
        assert (dataset.size, len(dataset)) == (28, 12)
        with pytest.raises(DataError, match="is no training item"):
            list(DataLoader(Subset(dataset, range(12)), 4))
        return Subset(dataset, indices)

    data = Images(torch.arange(12.0))
    found = compare_training(
        {"lent": arm}, lambda items, seed: sum(x for (x,) in items), lambda total, items: total, data, 3, random_state=0
    )
    assert (found.gains()["gain"] == 0).all()


def test_classes_of_which_hardly_any_item_is_tested_on_are_told():
    labels = ["common"] * 17 + ["rare"] * 8 + ["rarest"] * 5
    settings = {"train": train_mean, "score": near, "dataset": NUMBERS, "splits": 5, "random_state": 0}
    found = compare_training({"again": None}, labels=labels, **settings)
    assert found.to_markdown().endswith(
        "\n\nFew test items a split, by class: rarest (1), rare (1 to 2). In such a split one item moves the recall of "
        "its class by up to 100 points, scores that weigh classes alike by up to 33.3: test more of them with "
        "larger test parts, collect more, or merge classes."
    )
    assert Comparison.from_dict(found.to_dict()).few_tested() == found.few_tested()
    enough = compare_training({"again": None}, labels=["a"] * 15 + ["b"] * 15, **settings)
    unknown = compare_training({"again": None}, **settings)
    assert enough.notes() == unknown.notes() == []


def test_several_kinds_of_model_and_several_scores():
    def train_median(items, seed):
        return float(np.median([items[i] for i in range(len(items))]))

    def both(model, items):
        return {"near": near(model, items), "square": -(near(model, items) ** 2)}

    trains = {"mean": train_mean, "median": train_median}
    found = compare_training({"doubled": doubled}, trains, both, NUMBERS, 3, random_state=0)
    assert found.metrics == ("near", "square")
    assert found.gains()["estimator"].tolist() == ["mean", "median", "all"] * 2
    assert Comparison.from_dict(found.to_dict()).to_markdown() == found.to_markdown()


def test_labels_stratify_and_groups_stay_together():
    labels = ["a"] * 24 + ["b"] * 6
    parts = []

    def score(model, items):
        parts.append(sorted(items))
        return 1.0

    found = compare_training({"again": None}, train_mean, score, range(30), 3, labels=labels, random_state=0)
    assert {sum(i >= 24 for i in part) for part in parts} == {2}
    assert found.data["classes"] == {"a": 24, "b": 6}
    parts.clear()
    compare_training({"again": None}, train_mean, score, range(30), groups=np.arange(30) // 3, random_state=0)
    assert len(parts) == 20
    assert all({i // 3 * 3 + k for i in part for k in range(3)} == set(part) for part in parts)


def test_a_seed_that_fails_leaves_its_split_out():
    def moody(items, seed):
        if isinstance(items, list) and items[0] % 1 > 0.99:
            raise RuntimeError("no luck")
        return train_mean(items, seed)

    def marked(dataset, indices, seed):
        return [int(dataset[i] * 10) + (0.995 if seed % 3 == 0 else 0.5) for i in indices]

    with pytest.warns(SynthaugWarning, match="RuntimeError: no luck"):
        found = compare_training({"marked": marked}, moody, near, NUMBERS, 6, seeds=2, random_state=0)
    assert 0 < found.failures["split"].nunique() < 6
    assert found.gains()["n"].tolist() == [6 - found.failures["split"].nunique()] * 2


def test_a_store_knows_tensors_again(tmp_path):
    data = TensorDataset(torch.arange(12.0))

    def total(items, seed):
        return sum(float(x) for (x,) in items)

    def run(data):
        return compare_training(
            {"again": None}, total, lambda t, items: t, data, 3, random_state=0, store=tmp_path, n_jobs=1
        )

    first = run(data)
    assert len(list(tmp_path.glob("*.json"))) == 3 * 1  # both arms are the same, and so are their cells
    assert run(TensorDataset(torch.arange(12.0))).to_dict() == first.to_dict()
    assert len(list(tmp_path.glob("*.json"))) == 3
    assert run(TensorDataset(torch.arange(12.0) + 1)).data["fingerprint"] != first.data["fingerprint"]
    assert len(list(tmp_path.glob("*.json"))) == 6


class Points(Dataset):
    """Two overlapping clouds, the second one rare."""

    def __init__(self, n=90):
        rng = torch.Generator().manual_seed(0)
        self.y = (torch.arange(n) % 6 == 0).long()
        self.x = torch.randn(n, 2, generator=rng) + 1.5 * self.y[:, None]

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class Linear(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.05)


class Points2(pl.LightningDataModule):
    def __init__(self, items, seed):
        super().__init__()
        self.items, self.seed = items, seed

    def train_dataloader(self):
        rng = torch.Generator().manual_seed(self.seed)
        return DataLoader(self.items, 32, shuffle=True, generator=rng)


def fit_lightning(items, seed):
    """The user's own script: so many steps, whatever the arm adds."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = Linear()
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = pl.Trainer(max_steps=40, max_epochs=-1, accelerator="cpu", enable_model_summary=False, **quiet)
        trainer.fit(model, Points2(items, seed))
    return model


def rare_recall(model, items):
    x, y = (torch.stack(part) for part in zip(*items, strict=True))
    with torch.no_grad():
        told = model.layer(x).argmax(1)
    return {"rare": float((told[y == 1] == 1).float().mean()), "accuracy": float((told == y).float().mean())}


def rare_five_times(dataset, indices, seed):
    """Every rare point five times."""
    rare = [i for i in indices if dataset.y[i] == 1]
    return ConcatDataset([Subset(dataset, indices), *[Subset(dataset, rare)] * 4])


@pytest.mark.filterwarnings("ignore:.*num_workers:UserWarning", "ignore:.*log_every_n_steps:UserWarning")
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_a_lightning_module_is_measured_as_it_is():
    data = Points()
    found = compare_training(
        {"rare five times": rare_five_times}, fit_lightning, rare_recall, data, 2, labels=data.y.numpy(),
        random_state=0,
    )  # fmt: skip
    gains = found.gains().query("estimator == 'all'").set_index("metric")["gain"]
    assert gains["rare"] > 0.1
    assert gains["accuracy"] < gains["rare"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"arms": {"a": 3, "real": doubled}, "train": {"all": 1}, "score": "accuracy", "seeds": 0},
            "6 problems:\n"
            "- Expected arm 'a' to be None or a function `(dataset, indices, seed)`, got 3.\n"
            "- Arm 'real' is the real data alone: expected None, or call this arm something else.\n"
            "- Expected `score` to be a function, got 'accuracy'.\n"
            "- Expected `train` 'all' to be a function, got 1.\n"
            "- Expected at least one `train`, none called 'all', which is the name of the pooled gains.\n"
            "- Expected `seeds` of at least 1, got 0.",
        ),
        ({"arms": {}}, "Expected at least one arm beside 'real', got none."),
        (
            {"train": torch.nn.Flatten()},
            "Expected `train` 'model' to be a function `(dataset, seed)`, got the network Flatten: write one that "
            "makes such a network, trains it and returns it.",
        ),
        (
            {"dataset": iter([])},
            "Expected `dataset` to have a length and items by position, got list_iterator: of a DataModule or a "
            "DataLoader pass the training data set, of arrays `list(zip(images, labels))`.",
        ),
        ({"dataset": []}, "Expected at least one item in `dataset`, got none: pass the training data set."),
        ({"labels": ["a", "b"]}, "Expected as many labels as records, got 2 labels and 30 records."),
        ({"splits": 31}, "Expected `splits` from 2 to 30, the number of rows, got 31."),
        ({"splits": []}, "Expected `splits` to give at least one split, got none."),
        (
            {"splits": "five"},
            "Expected `splits` to be None, a number of folds, an object with `split`, or a list of (train, test), got "
            "'five'.",
        ),
        (
            {"splits": GroupKFold(3)},
            "`splits` (GroupKFold(n_splits=3, random_state=None, shuffle=False)) cannot split these 30 records: The "
            "'groups' parameter should not be None.",
        ),
        (
            {"splits": [([0, 1], [2, 3])], "groups": [0, 1, 0] + [2] * 27},
            "Split 0: 1 groups have rows in both train and test: let `splits` keep them apart, such as `GroupKFold()`, "
            "or leave `groups` out.",
        ),
        ({"splits": [([0, 1], [1, 2])]}, "Split 0: 1 rows are in both train and test (first 1): take them apart."),
        (
            {"splits": [([0, 1], [2])], "labels": ["a", "b", "c"] * 10},
            "Split 0: class 'c' is among the test rows and not among the training rows: use stratified folds "
            "(`splits=None`), merge the class with another, or drop it.",
        ),
        (
            {"score": lambda model, items: np.nan},
            "The real data alone gave no score at all; the first error was DataError: The score 'score' is nan.",
        ),
    ],
)
def test_whole_messages(arguments, message):
    settings = {"arms": {"doubled": doubled}, "train": train_mean, "score": near, "dataset": NUMBERS, **arguments}
    with pytest.raises((DataError, ParameterError)) as caught:
        compare_training(**settings, random_state=0)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "dataset", ["a folder", (np.zeros((9, 8, 8)), np.zeros(9)), {"a": 1}, pd.DataFrame({"a": [1]})]
)
def test_what_has_no_items_by_position_is_refused(dataset):
    for ask in (compare_training, choose_training):
        with pytest.raises(DataTypeError, match="Expected `dataset` to have a length and items by position, got"):
            ask({"doubled": doubled}, train_mean, near, dataset, 3)


def test_data_that_cannot_be_known_again_is_compared_without_a_store():
    class Stream:
        def __init__(self):
            self.source = (number for number in NUMBERS)
            self.items = list(NUMBERS)

        def __len__(self):
            return 30

        def __getitem__(self, i):
            return self.items[i]

    found = compare_training({"doubled": doubled}, train_mean, near, Stream(), 3, random_state=0)
    assert len(found.scores) == 6
    assert found.data["fingerprint"] == ""
