"""How a number becomes one learned entry, with its fine digits as noise, and back.

A float32 holds 24 bits. An integer, a date in nanoseconds or a price in cents may need 64: the coarse part is learned,
the digits below it are encoded as `"uniform"` entries, of 2**20 levels each, so that the round trip is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

__all__ = ["Reals", "Steps", "Warp"]

_BITS = 20  # a digit: few enough levels to be exact in float32
_BINS = 2**12  # of a curved scale
_HEAVY = (
    20.0  # range over interquartile range from which a column is heavy-tailed (a normal of 50,000: 6; lognormal: 50)
)


@dataclass(frozen=True)
class Warp:
    """A growing map of numbers to standardised ones: linear, or `asinh` where the tails are heavy.

    `asinh` is linear near the median and logarithmic in both tails.

    >>> warp = Warp.of(np.array([0.0, 2.0]))
    >>> warp.forward(np.array([0.0, 2.0])).tolist(), warp.backward(np.array([-1.0])).tolist()
    ([-1.0, 1.0], [0.0])
    """

    mean: float
    std: float
    centre: float = 0.0
    scale: float = 0.0  # 0: linear

    def __post_init__(self) -> None:
        if not (np.isfinite(self.to_list()).all() and self.std > 0 and self.scale >= 0):
            raise ValueError(f"{self} is no growing map")

    @classmethod
    def of(cls, values: np.ndarray) -> Warp:
        """Learn the map from finite `(n,)` float64 values of at least two kinds."""
        low, first, middle, third, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
        spread = third - first
        if not 0 < _HEAVY * spread < high - low:
            return cls(float(values.mean()), float(values.std()))
        scale = max(spread, (high - low) * 1e-5)  # so that float32 keeps 1e-6 of the range
        curved = np.arcsinh((values - middle) / scale)
        return cls(float(curved.mean()), float(curved.std()), float(middle), float(scale))

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Standardise."""
        if self.scale:
            values = np.arcsinh((values - self.centre) / self.scale)
        return (values - self.mean) / self.std

    def backward(self, z: np.ndarray) -> np.ndarray:
        """The inverse of `forward` (not for `z` far outside the observed ones)."""
        values = z * self.std + self.mean
        return np.sinh(values) * self.scale + self.centre if self.scale else values

    def to_list(self) -> list[float]:
        """The four parameters."""
        return [self.mean, self.std, self.centre, self.scale]


@dataclass(frozen=True)
class Reals:
    """Floats on no grid, between `low` and `high`, scaled by a power of two so that no sum overflows.

    >>> scale = Reals.of(np.array([0.3, 1e300]))
    >>> scale.decode(scale.encode(np.array([0.3, 1e300]))).tolist() == [0.3, 1e300]
    True
    """

    low: float
    high: float
    warp: Warp
    noise = 0

    @classmethod
    def of(cls, values: np.ndarray) -> Reals:
        """Learn from finite `(n,)` float64 values of at least two kinds."""
        low, high = float(values.min()), float(values.max())
        return cls(low, high, Warp.of(np.ldexp(values, -cls._exponent(low, high))))

    @staticmethod
    def _exponent(low: float, high: float) -> int:
        return int(np.frexp(max(abs(low), abs(high)))[1])

    def encode(self, values: np.ndarray) -> np.ndarray:
        """`(n,)` values in range to `(n, 1)`."""
        return self.warp.forward(np.ldexp(values, -self._exponent(self.low, self.high)))[:, None]

    def decode(self, x: np.ndarray) -> np.ndarray:
        """`(n, 1)` finite numbers to `(n,)` values in range."""
        exponent = self._exponent(self.low, self.high)
        ends = np.ldexp([self.low, self.high], -exponent)
        z = np.clip(x[:, 0].astype(np.float64), *self.warp.forward(ends))
        # Clipped before scaling up, which may overflow, and after it, as scaling down may have lost digits.
        return np.clip(np.ldexp(np.clip(self.warp.backward(z), *ends), exponent), self.low, self.high)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"low": self.low, "high": self.high, "warp": self.warp.to_list()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Reals:
        """The inverse of `to_dict`."""
        low, high = float(state["low"]), float(state["high"])
        if not -np.inf < low < high < np.inf:
            raise ValueError(f"{low} to {high} is no range")
        return cls(low, high, Warp(*map(float, state["warp"])))


@dataclass(frozen=True)
class Steps:
    """Integers `low, low + step, ..., low + top * step`, as a learned bin and noise digits within the bin.

    Args:
        low: The lowest value.
        step: The distance of neighbouring values.
        top: The number of steps to the highest value.
        warp: Maps a bin (linear: its number; curved: its middle) to the learned entry.

    >>> values = np.array([-(2**63), 5, 2**63 - 1])
    >>> scale = Steps.of(values, 1)
    >>> scale.noise, scale.decode(scale.encode(values).astype(np.float32), np.int64).tolist() == values.tolist()
    (3, True)
    """

    low: int
    step: int
    top: int
    warp: Warp

    @classmethod
    def of(cls, values: np.ndarray, step: int) -> Steps:
        """Learn from `(n,)` int64 or uint64 values of at least two kinds, on the grid."""
        low, high = int(values.min()), int(values.max())
        top = (high - low) // step
        flat = cls(low, step, top, Warp(0.0, 1.0))
        positions = flat._positions(values)
        warp = Warp.of(positions.astype(np.float64))
        return cls(low, step, top, warp if warp.scale else Warp.of((positions >> flat._shift).astype(np.float64)))

    def _positions(self, values: np.ndarray) -> np.ndarray:
        # Subtraction modulo 2**64 is exact for any two 64-bit integers, signed or not.
        return (values.view(np.uint64) - np.uint64(self.low % 2**64)) // np.uint64(self.step)

    @property
    def _shift(self) -> np.uint64:
        return np.uint64(max(0, self.top.bit_length() - _BITS))

    @cached_property
    def _bins(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of a curved scale: first and last position of each bin, and the learned entry that stands for it."""
        top = np.float64(self.top)
        low, high = self.warp.forward(np.array([0.0, top]))
        cuts = np.ceil(self.warp.backward(np.linspace(low, high, _BINS)))[1:-1]
        cuts = cuts[(cuts > 0) & (cuts < top)]
        first = np.unique(np.append(np.uint64(0), cuts.astype(np.uint64)))
        last = np.append(first[1:] - np.uint64(1), np.uint64(self.top))
        return first, last, self.warp.forward(first + (last - first) / 2)

    @cached_property
    def noise(self) -> int:
        """The number of noise digits."""
        widest = int((self._bins[1] - self._bins[0]).max()) if self.warp.scale else 2 ** int(self._shift) - 1
        return -(-widest.bit_length() // _BITS)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """`(n,)` values in range to `(n, 1 + noise)` float64."""
        position = self._positions(values)
        if self.warp.scale:
            first, last, middle = self._bins
            bin_ = np.searchsorted(first, position, "right") - 1
            start, width, z = first[bin_], last[bin_] - first[bin_], middle[bin_]
        else:
            start = position >> self._shift << self._shift
            width = np.uint64(2 ** int(self._shift) - 1)
            z = self.warp.forward((position >> self._shift).astype(np.float64))
        return np.column_stack([z, *self._digits(position - start, width)])

    def decode(self, x: np.ndarray, dtype: Any) -> np.ndarray:
        """`(n, 1 + noise)` finite numbers to `(n,)` values of int64 or uint64 `dtype` in range and on the grid."""
        z = x[:, 0].astype(np.float64)
        if self.warp.scale:
            first, last, middle = self._bins
            bin_ = np.searchsorted((middle[1:] + middle[:-1]) / 2, z)
            start, width = first[bin_], last[bin_] - first[bin_]
        else:
            highest = self.top >> int(self._shift)
            start = np.rint(np.clip(self.warp.backward(z), 0, highest)).astype(np.uint64) << self._shift
            width = np.uint64(2 ** int(self._shift) - 1)
        position = np.minimum(start + self._offset(x[:, 1:], width), np.uint64(self.top))
        return (position * np.uint64(self.step) + np.uint64(self.low % 2**64)).view(dtype)

    def _digits(self, offset: np.ndarray, width: np.ndarray) -> list[np.ndarray]:
        """An offset of 0 to `width` as numbers in (0, 1), the leading digit first."""
        digits: list[np.ndarray] = []
        for shift in _shifts(self.noise):
            count = (width >> shift).astype(np.float64) + 1 if not digits else 2.0**_BITS
            digit = (offset >> shift) & np.uint64(2**_BITS - 1)
            digits.append((digit.astype(np.float64) + 0.5) / count)
        return digits

    def _offset(self, digits: np.ndarray, width: np.ndarray) -> np.ndarray:
        """The inverse of `_digits` for any finite numbers."""
        offset = np.zeros(len(digits), np.uint64)
        for i, shift in enumerate(_shifts(self.noise)):
            count = (width >> shift).astype(np.float64) + 1 if not i else np.float64(2**_BITS)
            digit = np.clip(np.floor(digits[:, i].astype(np.float64) * count), 0, count - 1)
            offset |= digit.astype(np.uint64) << shift
        return np.minimum(offset, width)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"low": self.low, "step": self.step, "top": self.top, "warp": self.warp.to_list()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Steps:
        """The inverse of `to_dict`."""
        low, step, top = int(state["low"]), int(state["step"]), int(state["top"])
        if not (-(2**63) <= low < 2**64 and step >= 1 and top >= 1 and low + step * top < 2**64):
            raise ValueError(f"{top} steps of {step} from {low} are no 64-bit integers")
        return cls(low, step, top, Warp(*map(float, state["warp"])))


def _shifts(digits: int) -> list[np.uint64]:
    return [np.uint64(_BITS * i) for i in reversed(range(digits))]
