"""How many synthetic items there are for each real one, epoch by epoch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synthaug.errors import ParameterError, SynthaugWarning

__all__ = ["Annealed", "Ratio", "ratio_in", "warn_of_percent"]

Ratio = float | Callable[[int], float]
_USUAL = 20.0  # beyond it, a ratio may be meant in percent


@dataclass(frozen=True)
class Annealed:
    """A ratio that is lowered to 0 towards the end of training, so that the last epochs see real items only.

    Args:
        ratio: Synthetic items for each real one, to begin with.
        epochs: Epochs of the whole training.
        last: The share of the epochs at the end over which the ratio falls; it is 0 in the very last epoch.

    >>> schedule = Annealed(0.5, epochs=10, last=0.4)
    >>> [schedule(epoch) for epoch in (0, 5, 7, 9)]
    [0.5, 0.5, 0.25, 0.0]
    """

    ratio: float
    epochs: int
    last: float = 0.3

    def __post_init__(self) -> None:
        ratio_in(self.ratio, 0)
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 1:
            raise ParameterError(f"Expected `epochs` to be an int of at least 1, got {self.epochs!r}.")
        if not 0 <= self.last <= 1:
            raise ParameterError(f"Expected `last` to be a share from 0 to 1, got {self.last!r}.")

    def __call__(self, epoch: int) -> float:
        """The ratio in an epoch, counted from 0."""
        falling = max(1.0, self.last * self.epochs)
        return self.ratio * min(1.0, max(0.0, (self.epochs - 1 - epoch) / falling))


def ratio_in(ratio: Ratio, epoch: int) -> float:
    """The ratio in an epoch, checked.

    >>> ratio_in(-0.5, 0)
    Traceback (most recent call last):
    ...
    synthaug.errors.ParameterError: Expected `ratio` to be a finite number of at least 0, got -0.5.
    """
    value = ratio(epoch) if callable(ratio) else ratio
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < float("inf"):
        what = f"`ratio({epoch})` to give" if callable(ratio) else "`ratio` to be"
        raise ParameterError(f"Expected {what} a finite number of at least 0, got {value!r}.")
    return float(value)


def warn_of_percent(ratio: float, n_real: int) -> bool:
    """Warn of a ratio above 20, which may be meant in percent; whether it is one.

    >>> warn_of_percent(2.0, 100)
    False
    """
    if ratio <= _USUAL:
        return False
    warnings.warn(
        f"A `ratio` of {ratio:g} is {ratio:g} synthetic items for each real one, {ratio * n_real:,.0f} an epoch: if "
        f"{ratio:g}% was meant, pass `ratio={ratio / 100:g}`.",
        SynthaugWarning,
        stacklevel=4,
    )
    return True
