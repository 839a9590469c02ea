"""How many synthetic records each class gets: one answer for every resampler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from imblearn.utils import check_sampling_strategy

from synthaug.errors import ParameterError, raise_problems
from synthaug.labels import Labels, by_label

__all__ = ["MOST", "Amount", "Strategy", "about_share", "synthetic_counts"]

Strategy = str | float | Mapping[Any, int] | Callable[..., Mapping[Any, int]]
MOST = 10**12  # records: no machine holds more, and a greater number is a slip
Amount = int | float | Mapping[Any, int] | None
_WORDS = ("auto", "minority", "not minority", "not majority", "all")
_USUAL = 20.0  # beyond it, a share may be meant as a number of records


def synthetic_counts(
    y: Any,
    *,
    sampling_strategy: Strategy = "auto",
    amount: Amount = None,
) -> dict[Any, int]:
    """The number of synthetic records of every class of `y`, in the order of the classes.

    Args:
        y: The real labels `(n,)`.
        sampling_strategy: Which size each class shall reach, in imbalanced-learn's words: `"auto"`, `"minority"`,
            `"not minority"`, `"not majority"`, `"all"`, a ratio for two classes, `{label: size}`, or a function of `y`.
        amount: If given, how many records to add on top of all real ones instead: an int is the total and a float the
            total as a share of `n`, both spread evenly over the classes (the first classes take the remainder);
            `{label: number}` is exact.

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
    known = sampling_strategy in _WORDS if isinstance(sampling_strategy, str) else callable(sampling_strategy)
    if not known and not isinstance(sampling_strategy, Real | Mapping):
        raise ParameterError(
            f"Expected `sampling_strategy` to be {', '.join(map(repr, _WORDS))}, a ratio for two classes, "
            f"{{label: size}} or a function of the labels, got {sampling_strategy!r}."
        )
    if amount is not None:
        if not (isinstance(sampling_strategy, str) and sampling_strategy == "auto"):
            raise ParameterError(
                f"Expected either `amount` or `sampling_strategy`, got amount={amount!r} and "
                f"sampling_strategy={sampling_strategy!r}: leave one of them out."
            )
        return _added(coding.classes, len(y), amount)
    codes = coding.encode(y)
    strategy = _strategy_of_codes(coding, sampling_strategy, y)
    try:
        counts = check_sampling_strategy(strategy, codes, "over-sampling")
    except ValueError as error:
        raise ParameterError(
            f"The `sampling_strategy` {sampling_strategy!r} does not fit the labels. {error}"
        ) from error
    return {label: int(counts.get(code, 0)) for code, label in enumerate(coding.classes)}


def about_share(amount: Amount, n: int) -> list[str]:
    """What to say of an amount, on top of `n` records, that is a share above 20; nothing of any other.

    >>> about_share(500.0, 80)
    ['An `amount` of 500.0 is 500 times the records there are, 40,000: if 500 records were meant, pass `amount=500`.']
    >>> about_share(2.0, 80), about_share(500, 80)
    ([], [])
    """
    if not isinstance(amount, Real) or isinstance(amount, Integral) or not _USUAL < amount <= MOST or amount % 1:
        return []
    share = float(amount)
    return [
        f"An `amount` of {share} is {share:g} times the records there are, {share * n:,.0f}: if {share:.0f} records "
        f"were meant, pass `amount={share:.0f}`."
    ]


def _strategy_of_codes(coding: Labels, strategy: Strategy, y: Any) -> Any:
    """The strategy with codes for labels: imbalanced-learn then needs to compare and sort integers only."""
    sizes = strategy(y) if callable(strategy) else strategy
    if not isinstance(sizes, Mapping):
        return sizes
    sizes = by_label(sizes)
    raise_problems(_problems(coding.classes, sizes, "sampling_strategy"), ParameterError)
    return {coding.classes.index(label): int(size) for label, size in sizes.items()}


def _added(classes: tuple[Any, ...], n: int, amount: int | float | Mapping[Any, int]) -> dict[Any, int]:
    if isinstance(amount, Mapping):
        amount = by_label(amount)
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
