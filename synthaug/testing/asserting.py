"""What the checks share: comparing records of any kind, and global randomness."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch

__all__ = ["assert_equal", "assert_raises", "fresh", "global_state"]


def global_state() -> tuple[Any, ...]:
    """The state of every global generator, comparable."""
    _, keys, position, *_ = np.random.get_state()  # noqa: NPY002
    return random.getstate(), np.asarray(keys).tobytes(), position, torch.get_rng_state().numpy().tobytes()


def assert_raises(error: type[Exception], use: Callable[[], Any], what: str) -> str:
    """Fail unless `use` raises `error`; its message."""
    try:
        use()
    except error as raised:
        return str(raised)
    raise AssertionError(f"{what} does not raise {error.__name__}")


def fresh(records: Any) -> Any:
    """The records under a fresh index."""
    return records.reset_index(drop=True) if isinstance(records, pd.DataFrame) else records


def assert_equal(found: Any, expected: Any, what: str) -> None:
    """Exactly equal, types included; NaN equals NaN."""
    if isinstance(expected, pd.DataFrame):
        try:
            pd.testing.assert_frame_equal(found, expected)
        except AssertionError as difference:
            raise AssertionError(f"{what}: {difference}") from None
    else:
        same = type(found) is type(expected) and found.dtype == expected.dtype and found.shape == expected.shape
        assert same, what
        assert np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f"), what
