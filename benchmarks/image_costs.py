"""Seconds that generators of images take, on 28 x 28 pixels in grey."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import image_sets
import numpy as np

from synthaug import Synthesizer
from synthaug.generators.gan import ConditionalGAN
from synthaug.generators.vae import ConditionalVAE

PROTOCOL = {"set": "mnist", "images": 1000, "batch_size": 64, "vae_steps": 2000, "gan_steps": 3000, "sampled": 10_000}


def measure(*, quick: bool) -> dict[str, Any]:
    """Fit each generator once, and sample from the VAE; a quick run takes a hundredth of the steps."""
    images = image_sets.load(PROTOCOL["set"])
    some = np.random.default_rng(0).permutation(len(images.y))[: PROTOCOL["images"]]
    x, y = images.x[some], images.y[some]
    share = 100 if quick else 1
    figures: dict[str, Any] = {}
    for name, generator in {"vae": ConditionalVAE, "gan": ConditionalGAN}.items():
        steps = PROTOCOL[f"{name}_steps"] // share
        synthesizer = Synthesizer(generator=generator, max_steps=steps, batch_size=64, random_state=0)
        figures[f"{name}_fit_seconds"] = round(_seconds(partial(synthesizer.fit, x, y)), 1)
        figures[f"{name}_sampled_a_second"] = round(
            PROTOCOL["sampled"] / _seconds(partial(synthesizer.sample, PROTOCOL["sampled"]))
        )
    return figures


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
