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
    "Annealed": "synthaug.mix.ratios",
    "AutoResampler": "synthaug.auto",
    "ClassGaussian": "synthaug.evaluate.baselines",
    "ClassWeight": "synthaug.evaluate.adapters",
    "Comparison": "synthaug.evaluate.results",
    "ConditionalGAN": "synthaug.generators.gan",
    "ConditionalVAE": "synthaug.generators.vae",
    "ConditionalWarp": "synthaug.generators.warp",
    "Decision": "synthaug.decisions",
    "Distance": "synthaug.selection",
    "Duplicate": "synthaug.evaluate.baselines",
    "Fidelity": "synthaug.evaluate.resemblance",
    "ImageCodec": "synthaug.codecs.image",
    "ImageRecords": "synthaug.images",
    "Jitter": "synthaug.evaluate.baselines",
    "LogitAdjustedLoss": "synthaug.mix.baselines",
    "MixedBatchSampler": "synthaug.mix.batches",
    "MixedDataModule": "synthaug.mix.datamodule",
    "MixedDataset": "synthaug.mix.dataset",
    "Mixup": "synthaug.mix.baselines",
    "OpenPool": "synthaug.opened",
    "Pool": "synthaug.pool",
    "PrivacyRisk": "synthaug.evaluate.privacy",
    "Smote": "synthaug.evaluate.baselines",
    "SynthResampler": "synthaug.mix.resample",
    "SynthaugError": "synthaug.errors",
    "SynthaugWarning": "synthaug.errors",
    "Synthesizer": "synthaug.synthesizer",
    "SyntheticMix": "synthaug.mix.lightning",
    "SyntheticMixTransform": "synthaug.mix.transforms",
    "TableCodec": "synthaug.codecs.tabular",
    "TunedThreshold": "synthaug.evaluate.adapters",
    "amount_curve": "synthaug.evaluate.curves",
    "augment": "synthaug.augmenting",
    "balanced_sampler": "synthaug.mix.baselines",
    "choose": "synthaug.auto",
    "choose_training": "synthaug.decisions",
    "compare": "synthaug.evaluate.comparison",
    "compare_training": "synthaug.evaluate.training",
    "default_arms": "synthaug.evaluate.baselines",
    "default_candidates": "synthaug.auto",
    "default_estimators": "synthaug.evaluate.estimators",
    "fidelity": "synthaug.evaluate.resemblance",
    "learning_curve": "synthaug.evaluate.curves",
    "mix_loader": "synthaug.mix.loader",
    "plot_curve": "synthaug.report.plots",
    "plot_gains": "synthaug.report.plots",
    "preparation": "synthaug.evaluate.estimators",
    "privacy_risk": "synthaug.evaluate.privacy",
    "read_images": "synthaug.images",
    "read_pool": "synthaug.image_folders",
    "select": "synthaug.selection",
    "write_images": "synthaug.image_folders",
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
