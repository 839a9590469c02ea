"""What every test shares: the same random examples each time, no deadline on a busy machine, and no idle workers."""

import gc
import os
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import settings
from joblib.externals.loky import get_reusable_executor

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask the network for a newer version

settings.register_profile("steady", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("steady")


@pytest.fixture(autouse=True, scope="module")
def no_idle_workers() -> Iterator[None]:
    """joblib keeps its processes for minutes; one that was about to go has left the next test waiting for ever."""
    yield
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):  # of the pipes to them
        get_reusable_executor().shutdown(wait=True, kill_workers=True)
        gc.collect()
