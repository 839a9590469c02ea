"""Seconds that generators of images take, on 28 x 28 pixels in grey."""

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
}  # fmt: skip


def measure(*, quick: bool) -> dict[str, Any]:
    """Time steps of each generator, and drawing from it; a quick run times a fifth of the steps."""
    images = image_sets.load("mnist")
    some = np.random.default_rng(0).permutation(len(images.y))[: PROTOCOL["images"]]
    x, y = images.x[some], images.y[some]
    short, long = (10, 50) if quick else (50, 250)
    figures: dict[str, Any] = {}
    for name, generator in {"vae": ConditionalVAE, "gan": ConditionalGAN}.items():
        fits = [Synthesizer(generator=generator, max_steps=n, batch_size=64, random_state=0) for n in (short, long)]
        with warnings.catch_warnings(action="ignore"):  # so short a fit may collapse
            before, after = (_seconds(partial(fit.fit, x, y)) for fit in fits)
        step = (after - before) / (long - short)
        figures[f"{name}_step_seconds"] = round(step, 4)
        figures[f"{name}_fit_seconds"] = round(before + step * (PROTOCOL[f"{name}_steps"] - short), 1)
        drawn = _seconds(partial(fits[1].sample, PROTOCOL["sampled"]))
        figures[f"{name}_sampled_a_second"] = round(PROTOCOL["sampled"] / drawn)
    return figures


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
