"""Seconds that generators of images take, on 28 x 28 pixels in grey, and those of the VAE on larger ones in colour."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import image_sets
import numpy as np

from synthaug import Synthesizer
from synthaug.generators.gan import ConditionalGAN
from synthaug.generators.vae import ConditionalVAE

PROTOCOL = {
    "set": "mnist", "images": 1000, "batch_size": 64, "vae_steps": 2000, "gan_steps": 3000, "sampled": 10_000,
    "timed": "fits of 50 and 250 steps; the seconds of the whole follow from their difference",
    "larger": "600 emoji in colour, each pixel repeated; fits of 10 and 30 steps",
}  # fmt: skip
SIDES = (64, 128)


def measure(*, quick: bool) -> dict[str, Any]:
    """Time steps of each generator, and drawing from it; a quick run times a fifth of the steps."""
    images = image_sets.load("mnist")
    some = np.random.default_rng(0).permutation(len(images.y))[: PROTOCOL["images"]]
    x, y = images.x[some], images.y[some]
    short, long = (10, 50) if quick else (50, 250)
    figures: dict[str, Any] = {}
    for name, generator in {"vae": ConditionalVAE, "gan": ConditionalGAN}.items():
        step, whole, fitted = _fit(generator, x, y, short, long, PROTOCOL[f"{name}_steps"])
        figures[f"{name}_step_seconds"] = step
        figures[f"{name}_fit_seconds"] = whole
        drawn = _seconds(partial(fitted.sample, PROTOCOL["sampled"]))
        figures[f"{name}_sampled_a_second"] = round(PROTOCOL["sampled"] / drawn)
    return figures | {"vae_fit_seconds_in_colour": {str(side): _larger(side) for side in SIDES}}


def _fit(
    generator: type, x: np.ndarray, y: np.ndarray, short: int, long: int, whole: int
) -> tuple[float, float, Synthesizer]:
    """Seconds of a step and of a whole fit, and the longer of the two fits."""
    fits = [Synthesizer(generator=generator, max_steps=n, batch_size=64, random_state=0) for n in (short, long)]
    with warnings.catch_warnings(action="ignore"):  # so short a fit may collapse
        before, after = (_seconds(partial(fit.fit, x, y)) for fit in fits)
    step = (after - before) / (long - short)
    return round(step, 4), round(before + step * (whole - short), 1), fits[1]


def _larger(side: int) -> float:
    images = image_sets.load("emoji")
    x = images.x[:600].repeat(side // 32, axis=1).repeat(side // 32, axis=2)
    return _fit(ConditionalVAE, x, images.y[:600], 10, 30, PROTOCOL["vae_steps"])[1]


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
