"""The contracts as checks that any implementation can run, as scikit-learn's `check_estimator` does for estimators.

A check takes an object and small inputs, and raises an `AssertionError` that says what is broken. Each is a function of
its own, listed in a tuple, so that a test can run them one by one.
"""

from synthaug.testing.codecs import CODEC_CHECKS, check_codec
from synthaug.testing.datasets import DATASET_CHECKS, check_dataset
from synthaug.testing.generators import GENERATOR_CHECKS, check_generator
from synthaug.testing.pools import POOL_CHECKS, check_pool

__all__ = [
    "CODEC_CHECKS",
    "DATASET_CHECKS",
    "GENERATOR_CHECKS",
    "POOL_CHECKS",
    "check_codec",
    "check_dataset",
    "check_generator",
    "check_pool",
]
