"""How many synthetic records each class gets: one answer for every resampler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from imblearn.utils import check_sampling_strategy

from synthaug.errors import ParameterError, raise_problems
from synthaug.labels import Labels

__all__ = ["MOST", "Amount", "Strategy", "synthetic_counts"]

Strategy = str | float | Mapping[Any, int] | Callable[..., Mapping[Any, int]]
MOST = 10**12  # records: no machine holds more, and a greater number is a slip
Amount = int | float | Mapping[Any, int] | None


def synthetic_counts(
    y: Any,
    *,
    sampling_strategy: Strategy = "auto",
    amount: Amount = None,
    sampling_type: str = "over-sampling",
) -> dict[Any, int]:
    """The number of synthetic records of every class of `y`, in the order of the classes.

    Args:
        y: The real labels `(n,)`.
        sampling_strategy: Which size each class shall reach, in imbalanced-learn's words: `"auto"`, `"minority"`,
            `"not minority"`, `"not majority"`, `"all"`, a ratio for two classes, `{label: size}`, or a function of `y`.
        amount: If given, how many records to add on top of all real ones instead: an int is the total and a float the
            total as a share of `n`, both spread evenly over the classes (the first classes take the remainder);
            `{label: number}` is exact.
        sampling_type: imbalanced-learn's kind of sampler.

    Raises:
        DataError: labels that `check_labels` refuses.
        ParameterError: an unknown label, a number out of bounds, or both `amount` and `sampling_strategy`.

    >>> y = ["a"] * 6 + ["b"] * 2
    >>> synthetic_counts(y)
    {'a': 0, 'b': 4}
    >>> synthetic_counts(y, amount=5), synthetic_counts(y, amount=0.5), synthetic_counts(y, amount={"a": 1})
    ({'a': 3, 'b': 2}, {'a': 2, 'b': 2}, {'a': 1, 'b': 0})
    >>> synthetic_counts(y, amount={"c": 1})
    Traceback (most recent call last):
    ...
    synthaug.errors.ParameterError: Unknown label 'c' in `amount`: known are 'a', 'b'.
    """
    coding = Labels.of(y)
    if amount is not None:
        if not (isinstance(sampling_strategy, str) and sampling_strategy == "auto"):
            raise ParameterError(
                f"Expected either `amount` or `sampling_strategy`, got amount={amount!r} and "
                f"sampling_strategy={sampling_strategy!r}: leave one of them out."
            )
        return _added(coding.classes, len(y), amount)
    codes = coding.encode(y)
    by_label = _strategy_of_labels(coding, sampling_strategy, y)
    try:
        counts = check_sampling_strategy(by_label, codes, sampling_type)
    except ValueError as error:
        raise ParameterError(
            f"The `sampling_strategy` {sampling_strategy!r} does not fit the labels. {error}"
        ) from error
    return {label: int(counts.get(code, 0)) for code, label in enumerate(coding.classes)}


def _strategy_of_labels(coding: Labels, strategy: Strategy, y: Any) -> Any:
    """The strategy with codes for labels: imbalanced-learn then needs to compare and sort integers only."""
    sizes = strategy(y) if callable(strategy) else strategy
    if not isinstance(sizes, Mapping):
        return sizes
    raise_problems(_problems(coding.classes, sizes, "sampling_strategy"), ParameterError)
    return {coding.classes.index(label): int(size) for label, size in sizes.items()}


def _added(classes: tuple[Any, ...], n: int, amount: int | float | Mapping[Any, int]) -> dict[Any, int]:
    if isinstance(amount, Mapping):
        raise_problems(_problems(classes, amount, "amount"), ParameterError)
        return {label: int(amount.get(label, 0)) for label in classes}
    if isinstance(amount, bool) or not isinstance(amount, Real) or not 0 <= amount <= MOST:
        raise ParameterError(
            "Expected `amount` to be None, a number of records, a share of the real records, or {label: number}, "
            f"none below 0 or above {MOST:,}, got {amount!r}."
        )
    total = int(amount) if isinstance(amount, Integral) else round(amount * n)
    each, rest = divmod(total, len(classes))
    return {label: each + (position < rest) for position, label in enumerate(classes)}


def _problems(classes: tuple[Any, ...], numbers: Mapping[Any, int], name: str) -> list[str]:
    known = ", ".join(map(repr, classes))
    unknown = [f"Unknown label {label!r} in `{name}`: known are {known}." for label in numbers if label not in classes]
    odd = [
        f"Expected whole numbers of at least 0 in `{name}`, got {number!r} for label {label!r}."
        for label, number in numbers.items()
        if not isinstance(number, int | np.integer) or isinstance(number, bool) or number < 0
    ]
    vast = [
        f"Expected at most {MOST:,} in `{name}`, got {number} for label {label!r}."
        for label, number in numbers.items()
        if isinstance(number, int) and number > MOST
    ]
    return unknown + odd + vast
