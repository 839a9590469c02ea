"""What synthetic images add to a small network on few or long-tailed images, on top of classical augmentation.

In every arm of a cell the network has the same first weights and takes the same number of steps, each with as many real
images, which are the same in all arms with one sampler; synthetic images come on top. Test images are real, as many of
each class.
"""

from __future__ import annotations

import itertools
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask the network

import albumentations
import image_sets
import numpy as np
import pandas as pd
import torch
from datasets import CACHE
from gain import interval
from joblib import Parallel, delayed, parallel_config
from sklearn.metrics import recall_score
from sklearn.model_selection import StratifiedKFold
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler

from synthaug import Pool, Synthesizer, choose_training, compare_training, mix_loader
from synthaug.decisions import NONE
from synthaug.features import image_features
from synthaug.generators.gan import ConditionalGAN
from synthaug.generators.vae import ConditionalVAE
from synthaug.generators.warp import ConditionalWarp
from synthaug.mix.baselines import LogitAdjustedLoss, Mixup, balanced_sampler
from synthaug.pool import Source

STEPS, BATCH, SMOOTHING = 400, 32, 0.1
TAU = 0.2  # chosen on development seeds of MNIST and Fashion-MNIST at 16 pixels
DRAWN = 200  # synthetic images of each class
STORE = CACHE / "gain_images"  # finished cells


class Setting(NamedTuple):
    """Images of a common and of a rare class to train on; equal where nothing is rare."""

    set: str
    common: int
    rare: int

    def __str__(self) -> str:
        return f"{self.set} {self.common}:{self.rare}"


LONG_TAILS = [
    Setting("digits", 100, 5),
    Setting("mnist", 200, 5),
    Setting("fashion", 200, 10),
    Setting("emoji", 50, 5),
    Setting("letters", 150, 5),
    Setting("fashion", 500, 10),
]
SEEDS, SEEDS_NOT_RARE = 5, 3
BALANCED = [Setting(name, n, n) for name in ("digits", "mnist", "letters", "fashion", "emoji") for n in (10, 50)]
MORE_BALANCED = [Setting(name, n, n) for name in ("digits", "mnist") for n in (5, 20)]


@dataclass(frozen=True)
class Recipe:
    """How an arm trains; `made` draws images `(x, y, counts, seed)` that come on top of the real ones."""

    augment: bool = True
    balanced: bool = True
    tau: float = 0.0
    mixup: bool = False
    made: Callable[[np.ndarray, np.ndarray, dict[int, int], int], Pool] | None = None


class Half(Recipe):
    """Classical augmentation for the images on top alone, half of each batch."""


def copies(x: np.ndarray, y: np.ndarray, counts: dict[int, int], seed: int) -> Pool:
    """Real images once more: what is gained by larger batches alone."""
    rng = np.random.default_rng(seed)
    places = np.concatenate([rng.choice(np.flatnonzero(y == code), n) for code, n in counts.items()])
    return Pool.of(x[places], y[places], Source("copies", "", seed))


def drawn(generator: Callable[..., Any], x: np.ndarray, y: np.ndarray, counts: dict[int, int], seed: int) -> Pool:
    """Images of a generator of ours, with its defaults."""
    return Synthesizer(generator=generator, random_state=seed).fit(x, y).sample(counts)


def warps_and_vae(x: np.ndarray, y: np.ndarray, counts: dict[int, int], seed: int) -> Pool:
    """As many of either: warps are sharp, and the VAE widens the rare classes."""
    return drawn(ConditionalWarp, x, y, counts, seed) + drawn(ConditionalVAE, x, y, counts, seed)


PLAIN = Recipe(augment=False, balanced=False)
ARMS: dict[str, Recipe] = {
    "real": PLAIN,
    "classical": Recipe(balanced=False),
    "balanced": Recipe(),
    "softmax": Recipe(balanced=False, tau=1.0),
    "margin": Recipe(tau=TAU),
    "mixup": Recipe(mixup=True),
    "copies": Recipe(made=copies),
    "vae": Recipe(made=partial(drawn, ConditionalVAE)),
    "gan": Recipe(made=partial(drawn, ConditionalGAN)),
    "warp": Recipe(made=partial(drawn, ConditionalWarp)),
    "copies_margin": Recipe(made=copies, tau=TAU),
    "vae_margin": Recipe(made=partial(drawn, ConditionalVAE), tau=TAU),
    "warp_margin": Recipe(made=partial(drawn, ConditionalWarp), tau=TAU),
    "both_margin": Recipe(made=warps_and_vae, tau=TAU),
    "warp_plain": Recipe(augment=False, balanced=False, made=partial(drawn, ConditionalWarp)),
    "copies_half": Half(balanced=False, made=copies),
    "warp_half": Half(balanced=False, made=partial(drawn, ConditionalWarp)),
}
CHOSEN = "chosen"
NOT_RARE = ("warp_plain", "copies_half", "warp_half")  # where no class is rare, beside others
DEEPER = ("balanced", "copies_margin", "warp_margin")  # with the residual network, which takes three times as long
FEWER_SEEDS = 2  # of that network
SEEDS_OF = {"gan": 1}  # which takes minutes


class Task(NamedTuple):
    """What is chosen among, over which arm, and how much the gain of a candidate differs from set to set."""

    settings: list[Setting]
    judge: str
    candidates: tuple[str, ...]
    spread: float
    seeds: int  # of the choice
    known: list[Setting]  # those of other sets tell what gain is expected

    def described(self) -> dict[str, Any]:
        """As JSON has it."""
        return {k: [str(one) for one in v] if isinstance(v, list) else v for k, v in self._asdict().items()}


TASKS = (
    Task(LONG_TAILS, "balanced", ("margin", "warp_margin", "both_margin"), 0.01, SEEDS, LONG_TAILS),
    Task(BALANCED + MORE_BALANCED, "real", ("warp_plain", "warp_half"), 0.04, SEEDS_NOT_RARE, BALANCED),
)
SETTINGS = [setting for task in TASKS for setting in task.settings]


def arms_for(setting: Setting, seed: int, network: str) -> list[str]:
    """The arms of a cell, without `real`, which is always there, and `chosen`, which comes last."""
    has_rare = setting.rare < setting.common
    arms = (
        [arm for arm in ARMS if arm not in ("real", *NOT_RARE)]
        if has_rare
        else ["classical", "copies", "warp", *NOT_RARE]
    )
    if network != "cnn":
        arms = [arm for arm in DEEPER if arm in arms]
    most = FEWER_SEEDS if network != "cnn" else SEEDS if has_rare else SEEDS_NOT_RARE
    return [arm for arm in arms if seed < SEEDS_OF.get(arm, most)]


@dataclass(frozen=True)
class Prepared:
    """Training images, how to train on them, and what comes on top."""

    recipe: Recipe
    x: np.ndarray
    y: np.ndarray
    pool: Pool | None = None


class Pairs:
    """Images and labels, as a map-style data set."""

    def __init__(self, x: np.ndarray, y: np.ndarray, transform: Callable[[np.ndarray], np.ndarray]) -> None:
        self.x, self.y, self.transform = x, y, transform

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        return self.item(self.x[i], self.y[i])

    def item(self, image: np.ndarray, label: Any) -> tuple[np.ndarray, int]:
        """An item of any image."""
        return self.transform(image), int(label)


def prepare(recipe: Recipe, dataset: Any, indices: list[int], seed: int) -> Prepared:
    """An arm: the training images, and what comes on top, as many of each class."""
    x, y = stacked(dataset, indices)
    classes = np.unique(y).tolist()
    pool = None if recipe.made is None else recipe.made(x, y, dict.fromkeys(classes, DRAWN), seed)
    return Prepared(recipe, x, y, pool)


def stacked(dataset: Any, indices: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of some items."""
    x, y = zip(*(dataset[i] for i in indices), strict=True)
    return np.stack(x), np.array(y)


def choose(x: np.ndarray, y: np.ndarray, seed: int, expected: dict[str, float], store: Path) -> str:
    """The candidate that other sets and three inner folds speak for, or the arm that it would have to surpass.

    `store` keeps what was measured on the folds, which does not depend on the gains expected from other sets.
    """
    (task,) = (one for one in TASKS if set(one.candidates) == set(expected))
    found = choose_training(
        {name: partial(prepare, ARMS[name]) for name in task.candidates},
        partial(train, small_cnn, plain=ARMS[task.judge]),
        partial(score, rare=frozenset()),
        Pairs(x, y, identity),
        StratifiedKFold(3, shuffle=True, random_state=seed),
        labels=y,
        metric="balanced_accuracy",
        features=field_means,
        expected=expected,
        spread=task.spread,
        random_state=seed,
        store=store,
        progress=False,
    )
    return task.judge if found.choice == NONE else found.choice


def field_means(items: Pairs) -> np.ndarray:
    """What tells whether anything can be learned of the labels at all."""
    return image_features(items.x)


def transform_of(recipe: Recipe, seed: int, background: int) -> Callable[[np.ndarray], np.ndarray]:
    """Classical augmentation, the same for real and synthetic images; what it uncovers is background."""
    if not recipe.augment:
        return lambda image: image
    pipeline = albumentations.Compose(
        [
            albumentations.Affine(
                rotate=(-15, 15),
                scale=(0.85, 1.15),
                shear=(-11, 11),
                translate_percent=(-0.07, 0.07),
                fill=background,
                p=1.0,
            ),
            albumentations.ElasticTransform(alpha=25, sigma=4, fill=background, p=0.7),
        ],
        seed=seed,
    )
    return lambda image: pipeline(image=image)["image"]


def background_of(x: np.ndarray) -> int:
    """The usual value of the corners: black, and white in emoji."""
    return int(np.median(x[:, [0, 0, -1, -1], [0, -1, 0, -1]]))


def loader_of(data: Prepared, seed: int) -> DataLoader[Any]:
    """Batches for all steps."""
    recipe = data.recipe
    transform = transform_of(recipe, seed, background_of(data.x))
    items = Pairs(data.x, data.y, identity if isinstance(recipe, Half) else transform)
    size = STEPS * BATCH
    sampler: Any
    if recipe.balanced:
        sampler = balanced_sampler(data.y, size=size, random_state=seed)
    else:
        sampler = RandomSampler(items, num_samples=size, generator=torch.Generator().manual_seed(seed))
    collate = Mixup(int(data.y.max()) + 1, random_state=seed) if recipe.mixup else None
    loader = DataLoader(items, BATCH, sampler=sampler, collate_fn=collate)
    if data.pool is None:
        return loader
    return mix_loader(loader, data.pool, ratio=1.0, seed=seed, to_item=Pairs(data.x, data.y, transform).item)


def small_cnn(channels: int, classes: int) -> nn.Module:
    """Three convolutions, 24,000 weights for ten classes."""

    def block(n_in: int, n_out: int) -> list[nn.Module]:
        return [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(), nn.MaxPool2d(2)]

    body = [*block(channels, 16), *block(16, 32), *block(32, 64)[:3]]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(256, classes))


class _Residual(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out),
        )  # fmt: skip
        self.skip = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.skip(x))


def small_resnet(channels: int, classes: int) -> nn.Module:
    """Three residual blocks (He et al. 2016)."""
    blocks = [_Residual(channels, 16, 1), _Residual(16, 32, 2), _Residual(32, 64, 2)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


NETWORKS = {"cnn": small_cnn, "resnet": small_resnet}


class Form(NamedTuple):
    """What is measured in one run, for the arms that `arms_for` gives to a cell."""

    settings: list[Setting]
    seeds: int
    arms: list[str]
    networks: list[str]


_RIVALS = ["classical", "balanced", "margin", "copies_margin", "warp_margin", "both_margin"]
FORMS = {
    "gain_images": Form(SETTINGS, SEEDS, list(ARMS), list(NETWORKS)),
    "gain_images_chosen": Form(SETTINGS, SEEDS, [*_RIVALS, *NOT_RARE, CHOSEN], ["cnn"]),
    "gain_images_quick": Form(LONG_TAILS[:3], 1, [*_RIVALS, "vae", CHOSEN], ["cnn"]),
}


def train(network: Callable[[int, int], nn.Module], data: Any, seed: int, *, plain: Recipe = PLAIN) -> nn.Module:
    """The usual loop: AdamW, one cycle, label smoothing; the same steps in every arm; `plain` is how without an arm."""
    if not isinstance(data, Prepared):
        data = prepare(plain, data, list(range(len(data))), seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = network(1 if data.x.ndim == 3 else data.x.shape[-1], int(data.y.max()) + 1)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, STEPS)
    loss = LogitAdjustedLoss(np.bincount(data.y).tolist(), data.recipe.tau, label_smoothing=SMOOTHING)
    for images, labels in loader_of(data, seed):
        optimizer.zero_grad()
        loss(model(encode(images)), labels).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def encode(images: Tensor) -> Tensor:
    """Pixels `(n, H, W)` or `(n, H, W, C)` as `(n, C, H, W)` from -1 to 1."""
    grid = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return grid.float() / 127.5 - 1


@torch.no_grad()
def score(model: nn.Module, test: Any, *, rare: frozenset[int]) -> dict[str, float]:
    """Balanced accuracy, and the mean recall of the rare classes."""
    x, y = zip(*(test[i] for i in range(len(test))), strict=True)
    found = torch.cat([model(encode(part)).argmax(1) for part in torch.from_numpy(np.stack(x)).split(500)]).numpy()
    recalls = recall_score(y, found, average=None, labels=sorted(set(y)), zero_division=0)
    return {
        "balanced_accuracy": float(recalls.mean()),
        "rare_recall": float(recalls[sorted(rare)].mean()) if rare else float(recalls.mean()),
    }


def identity(image: np.ndarray) -> np.ndarray:
    """The image as it is."""
    return image


def compare_in(setting: Setting, seed: int, arms: dict[str, Any], network: str) -> list[list[Any]]:
    """One row an arm and metric; scores that an earlier run stored are not made again."""
    torch.set_num_threads(1)
    images = image_sets.load(setting.set)
    places = image_sets.split(images, setting.common, setting.rare, seed)
    counts = np.bincount(images.y[places[0]])
    rare = frozenset(np.flatnonzero(counts < setting.common).tolist())
    start = time.perf_counter()
    with warnings.catch_warnings(action="ignore"):
        found = compare_training(
            arms,
            {network: partial(train, NETWORKS[network])},
            partial(score, rare=rare),
            Pairs(images.x, images.y, identity),
            [places],
            random_state=seed,
            store=STORE / f"{setting} {seed} {network}".replace(":", "-"),  # one study at a time locks a store
            progress=False,
        )
    print(f"{setting}, seed {seed}, {network}, {len(arms)} arms: {time.perf_counter() - start:.0f} s", flush=True)
    for failure in found.failures.itertuples():
        print(f"no score: {failure.arm}: {failure.error}", flush=True)  # the GAN refuses too few images
    rows = found.scores[["arm", "estimator", "metric", "score", "seconds"]].values.tolist()
    return [[str(setting), seed, *row] for row in rows]


def run(settings: list[Setting], seeds: int, arms: list[str], networks: list[str], n_jobs: int) -> pd.DataFrame:
    """All scores, long. The choice of a set is made last: it starts from the gains on the other sets."""
    cells = [(one, seed, network) for seed in range(seeds) for one in settings for network in networks]
    fixed = [[name for name in arms_for(*cell) if name in arms] for cell in cells]
    scores = _compared(
        [
            (*cell, {name: partial(prepare, ARMS[name]) for name in names})
            for cell, names in zip(cells, fixed, strict=True)
        ],
        n_jobs,
    )
    if CHOSEN not in arms or "cnn" not in networks:
        return scores
    choices = [
        (one, seed, elsewhere(scores, one, task))
        for task in TASKS
        for seed in range(min(seeds, task.seeds))
        for one in settings
        if one in task.settings
    ]
    with parallel_config("loky", inner_max_num_threads=1):
        names = Parallel(n_jobs=n_jobs, batch_size=1)(delayed(choose_in)(*cell) for cell in choices)
    return pd.concat([scores, _of_choices(scores, choices, names)])


def _of_choices(scores: pd.DataFrame, choices: list[tuple[Any, ...]], names: list[str]) -> pd.DataFrame:
    """The scores of the arm that was chosen in each cell, once more."""
    taken = pd.DataFrame(
        [[str(setting), seed, "cnn", name] for (setting, seed, _), name in zip(choices, names, strict=True)],
        columns=["setting", "seed", "network", "arm"],
    )
    return taken.merge(scores).assign(choice=lambda rows: rows["arm"], arm=CHOSEN)


def choose_in(setting: Setting, seed: int, expected: dict[str, float], *, shuffled: bool = False) -> str:
    """The arm that is chosen on the training images of a cell; shuffled labels have nothing to learn."""
    torch.set_num_threads(1)
    images = image_sets.load(setting.set)
    places, _ = image_sets.split(images, setting.common, setting.rare, seed)
    labels = images.y[places]
    if shuffled:
        labels = np.random.default_rng(seed).permutation(labels)
    store = STORE / f"{setting} {seed} {'noise' if shuffled else 'choice'}".replace(":", "-")
    start = time.perf_counter()
    with warnings.catch_warnings(action="ignore"):
        found = choose(images.x[places], labels, seed, expected, store)
    told = ", shuffled" if shuffled else ""
    print(f"{setting}, seed {seed}{told}: {found}, {time.perf_counter() - start:.0f} s", flush=True)
    return found


def elsewhere(scores: pd.DataFrame, setting: Setting, task: Task) -> dict[str, float]:
    """The mean gain of each candidate in such settings of other sets, to half a point."""
    rows = scores[(scores["metric"] == "balanced_accuracy") & (scores["network"] == "cnn")]
    rows = rows[rows["setting"].isin([str(one) for one in task.known if one.set != setting.set])]
    means = rows.pivot_table("score", "setting", "arm")
    gains = means[list(task.candidates)].sub(means[task.judge], axis=0).mean()
    return {name: round(200 * float(gain)) / 200 for name, gain in gains.items()}


def noise_left_alone(scores: pd.DataFrame, settings: list[Setting], n_jobs: int) -> dict[str, float]:
    """By setting: of how many seeds nothing is chosen once the training labels are shuffled, as a share."""
    cells = [
        (one, seed, elsewhere(scores, one, task))
        for task in TASKS
        for one in settings
        if one in task.settings
        for seed in range(SEEDS_NOT_RARE)
    ]
    with parallel_config("loky", inner_max_num_threads=1):
        names = Parallel(n_jobs=n_jobs)(delayed(choose_in)(*cell, shuffled=True) for cell in cells)
    left = [name in [task.judge for task in TASKS] for name in names]
    return pd.Series(left, [str(one) for one, _, _ in cells]).groupby(level=0, sort=False).mean().to_dict()


def _compared(cells: list[tuple[Setting, int, str, dict[str, Any]]], n_jobs: int) -> pd.DataFrame:
    with parallel_config("loky", inner_max_num_threads=1):
        jobs = (delayed(compare_in)(setting, seed, arms, network) for setting, seed, network, arms in cells if arms)
        rows = itertools.chain(*Parallel(n_jobs=n_jobs, batch_size=1)(jobs))  # those stored take no time at all
    return pd.DataFrame(rows, columns=["setting", "seed", "arm", "network", "metric", "score", "seconds"])


def summarise(scores: pd.DataFrame) -> dict[str, Any]:
    """By network: mean scores, and gains over balanced sampling on long tails, over nothing at all elsewhere."""
    networks = {}
    for network, rows in scores.groupby("network"):
        wide = 100 * rows.pivot_table("score", ["metric", "setting", "seed"], "arm", sort=False)
        networks[network] = {
            "scores": {
                metric: {name: one.mean().dropna().round(2).to_dict() for name, one in part.groupby("setting")}
                for metric, part in wide.groupby("metric")
            },
            **{f"over_{task.judge}": _gains(wide, task) for task in TASKS if task.judge in wide},
            "seconds": rows.groupby("arm")["seconds"].mean().round(1).to_dict(),
        }
    return {"networks": networks}


def _gains(wide: pd.DataFrame, task: Task) -> dict[str, Any]:
    """By metric and arm: paired gains in each setting with the 95% t interval over seeds, in `all` over settings."""
    found: dict[str, Any] = {}
    gains = wide.sub(wide[task.judge], axis=0).drop(columns=task.judge)
    for metric, rows in gains.groupby("metric"):
        by_setting = {str(one): rows[rows.index.get_level_values("setting") == str(one)] for one in task.settings}
        for arm in gains:
            seen = {name: one[arm].dropna() for name, one in by_setting.items() if one[arm].notna().any()}
            if seen:
                means = pd.Series([one.mean() for one in seen.values()])
                every = {"all": {**interval(means), "settings": len(seen)}}
                of = {name: {**interval(one), "seeds": len(one)} for name, one in seen.items()}
                found.setdefault(metric, {})[arm] = of | every
    return found
