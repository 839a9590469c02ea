"""synthaug makes more training data out of the data you have, and tells you honestly whether it helped.

Importing it makes names available and does nothing else: each is loaded on first use.

>>> import synthaug
>>> "augment" in dir(synthaug)
True
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Agreement": "synthaug.selection",
    "Comparison": "synthaug.evaluate.comparison",
    "ConditionalGAN": "synthaug.generators.gan",
    "ConditionalVAE": "synthaug.generators.vae",
    "Distance": "synthaug.selection",
    "Pool": "synthaug.pool",
    "SynthResampler": "synthaug.mix.resample",
    "SynthaugError": "synthaug.errors",
    "SynthaugWarning": "synthaug.errors",
    "Synthesizer": "synthaug.synthesizer",
    "TableCodec": "synthaug.codecs.tabular",
    "augment": "synthaug.mix.frame",
    "compare": "synthaug.evaluate.comparison",
    "default_arms": "synthaug.evaluate.baselines",
    "select": "synthaug.selection",
}

__all__ = [*sorted(_HOME), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'synthaug' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOME))
