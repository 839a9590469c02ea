"""Can drawn images be told from real ones: by their sharpness alone, by a small network; and do they obey their label?

Real images are those that the generator has not seen, as many as drawn ones of each class. 50% is what chance tells.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import image_sets
import numpy as np
import torch
from gain_images import encode, small_cnn
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import functional

from synthaug import Synthesizer

PROTOCOL = {
    "sets": ["digits", "mnist", "fashion"], "images_of_a_class": 50, "held_out_of_a_class": 200,
    "generator": "ConditionalVAE, its defaults",
    "sharpness": "logarithms of mean |Laplacian|, share of energy in the highest octave, steepness of edges; by class",
}  # fmt: skip
STEPS, BATCH = 500, 64


def measure(*, quick: bool) -> dict[str, Any]:
    """Figures of each set; a quick run takes digits alone."""
    torch.set_num_threads(1)
    return {name: figures_of(name) for name in PROTOCOL["sets"][: 1 if quick else None]}


def figures_of(name: str) -> dict[str, float]:
    """Fit to 50 of each class, draw as many as are held out, and tell."""
    images = image_sets.load(name)
    train, held, judge = (np.concatenate(part) for part in zip(*_parts(images.y), strict=True))
    start = time.perf_counter()
    with warnings.catch_warnings(action="ignore"):
        synthesizer = Synthesizer(random_state=0).fit(images.x[train], images.y[train])
    seconds = time.perf_counter() - start
    codes, counts = np.unique(images.y[held], return_counts=True)
    pool = synthesizer.sample(dict(zip(codes.tolist(), counts.tolist(), strict=True)), random_state=1)
    real, drawn, others = (encode(torch.from_numpy(x)) for x in (images.x[held], pool.records, images.x[judge]))
    y, of, known = (torch.from_numpy(np.array(labels)) for labels in (images.y[held], pool.labels, images.y[judge]))
    network = _trained(others, known)
    return {
        "told_by_sharpness": _by_sharpness(real, y, drawn, of, numbers=3),
        "told_by_two_numbers": _by_sharpness(real, y, drawn, of, numbers=2),
        "real_told_by_sharpness": _by_sharpness(real, y, others, known, numbers=3),
        "told_by_network": _by_network(real, drawn),
        "real_told_by_network": _by_network(real, others),
        "labels_obeyed": _accuracy(network, drawn, of),
        "labels_of_real": _accuracy(network, real, y),
        "fit_seconds": round(seconds, 1),
    }


def _parts(y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each class, images to train on, held out, and for the judge."""
    rng = np.random.default_rng(0)
    n, most = PROTOCOL["images_of_a_class"], PROTOCOL["held_out_of_a_class"]
    parts = []
    for code in np.unique(y):
        places = rng.permutation(np.flatnonzero(y == code))
        many = min(most, (len(places) - n) // 2)
        parts.append((places[:n], places[n : n + many], places[n + many : n + 2 * many]))
    return parts


def sharpness(x: Tensor) -> np.ndarray:
    """Three numbers of each image, `(n, 3)`, all of which blur lowers; the generator itself matches the third."""
    x = (x + 1) / 2
    padded = functional.pad(x, (1, 1, 1, 1), mode="replicate").flatten(0, 1)[:, None]
    laplacian = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    bell = torch.tensor([1.0, 2, 1])
    low = functional.conv2d(padded, (bell[:, None] * bell / 16)[None, None]).reshape(x.shape)
    edges = functional.conv2d(padded, laplacian).reshape(x.shape).abs().mean((1, 2, 3))
    octave = (x - low).square().mean((1, 2, 3)) / (x.var((1, 2, 3), correction=0) + 1e-5)
    squared = x.diff(dim=3)[:, :, :-1].square() + x.diff(dim=2)[:, :, :, :-1].square()
    steepness = squared.sum((1, 2, 3)) / (squared.sqrt().sum((1, 2, 3)) + 1e-6)
    return (torch.stack([edges, octave, steepness], 1) + 1e-5).log().numpy()


def _by_sharpness(real: Tensor, y: Tensor, other: Tensor, of: Tensor, *, numbers: int) -> float:
    """Accuracy of logistic regression in five folds, each number in deviations of the real images of its class."""
    ours, theirs = (sharpness(x)[:, :numbers] for x in (real, other))
    for code in y.unique().tolist():
        mean, deviation = ours[y == code].mean(0), ours[y == code].std(0) + 1e-6
        ours[y == code] = (ours[y == code] - mean) / deviation
        theirs[of == code] = (theirs[of == code] - mean) / deviation
    model = make_pipeline(StandardScaler(), LogisticRegression())
    both = np.concatenate([ours, theirs]).clip(-8, 8)
    order = np.random.default_rng(0).permutation(len(both))
    told = np.repeat([0, 1], [len(ours), len(theirs)])
    return round(100 * float(cross_val_score(model, both[order], told[order], cv=5).mean()), 1)


def _by_network(real: Tensor, drawn: Tensor) -> float:
    """Accuracy of a small network on one half of the images after training on the other."""
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(0))
    first, second = order.chunk(2)
    told = torch.arange(2).repeat_interleave(len(first))
    network = _trained(torch.cat([real[first], drawn[first]]), told)
    return _accuracy(network, torch.cat([real[second], drawn[second]]), torch.arange(2).repeat_interleave(len(second)))


def _trained(x: Tensor, y: Tensor) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = small_cnn(x.shape[1], int(y.max()) + 1)
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, STEPS)
        for _ in range(STEPS):
            some = torch.randint(len(x), (BATCH,))
            optimizer.zero_grad()
            functional.cross_entropy(network(x[some]), y[some]).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


@torch.no_grad()
def _accuracy(network: torch.nn.Module, x: Tensor, y: Tensor) -> float:
    found = torch.cat([network(part).argmax(1) for part in x.split(500)])
    return round(100 * float((found == y).float().mean()), 1)
