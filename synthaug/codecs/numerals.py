"""Numbers that came as text or objects, which are modelled as levels: worth a warning, unless they are codes."""

from __future__ import annotations

from typing import Any

import pandas as pd

from synthaug.codecs.dtypes import ColumnType
from synthaug.errors import listed

__all__ = ["numerals", "tell_numerals"]

_FEW = 20  # distinct numbers up to which they may well be categories
_NUMBER = r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*"
_LEADING_ZERO = r"\s*[+-]?0\d+\s*"


def numerals(series: pd.Series) -> int:
    """How many values of a column of text or objects are numbers, if most are, of more than 20 values; else 0.

    Codes such as postcodes count as none: texts with a leading zero, whole numbers of one length, or no others at all.

    >>> prices, codes = [f"{i}.50" for i in range(30)], [f"{i}" for i in range(1, 200)]
    >>> numerals(pd.Series(["?", *prices])), numerals(pd.Series(codes))
    (30, 0)
    """
    if isinstance(series.dtype, pd.CategoricalDtype) or ColumnType(series.dtype).is_number:
        return 0
    counts = series.value_counts()
    if len(counts) <= _FEW:
        return 0
    texts = pd.Series([str(value) for value in counts.index], dtype=object)
    numbers = texts.str.fullmatch(_NUMBER).to_numpy(bool)
    written = texts[numbers]
    if len(written) <= _FEW or 2 * (found := int(counts.to_numpy()[numbers].sum())) <= counts.sum():
        return 0
    codes = all(isinstance(value, str) for value in counts.index[numbers]) and _are_codes(written, bool(numbers.all()))
    return 0 if codes else found


def tell_numerals(found: dict[Any, int], n: int) -> str:
    """What to say of the columns of `n` records in which `numerals` found numbers.

    >>> tell_numerals({"price": 30}, 31)[:80]
    "The columns 'price' hold numbers as text or objects ('price' in 30 of 31 records"
    """
    first, most = next(iter(found.items()))
    column = f"records[{first!r}]"
    return (
        f"The columns {listed(list(found))} hold numbers as text or objects ({first!r} in {most} of {n} records) and "
        "are not modelled as numbers: synthetic records repeat their values or miss them. Convert them, for example "
        f"`{column} = pandas.to_numeric({column}, errors='coerce')`, or, if they are codes, `{column} = "
        f"{column}.astype('category')`."
    )


def _are_codes(texts: pd.Series, alone: bool) -> bool:
    whole = texts.str.isdigit().all() and (alone or (texts.str.len() == len(texts.iloc[0])).all())
    return bool(whole or texts.str.fullmatch(_LEADING_ZERO).any())
