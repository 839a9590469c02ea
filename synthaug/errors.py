"""What can go wrong, named by who can mend it.

Every mistake of a user's raises one of these, each of which is also the builtin (or scikit-learn) class that a
caller would catch. A mistake of ours is an `assert`.
"""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sklearn.exceptions

__all__ = [
    "CollapseWarning",
    "DataError",
    "DataTypeError",
    "DependencyError",
    "FileExistsSynthaugError",
    "MismatchWarning",
    "NotFittedError",
    "ParameterError",
    "SamplingError",
    "StorageError",
    "SynthaugError",
    "SynthaugWarning",
    "TrainingError",
    "heard",
    "listed",
    "nearest",
    "raise_problems",
    "tell",
]


_TOLD = 10  # problems that one error lists; the rest it counts


class SynthaugError(Exception):
    """Anything that synthaug refuses to do."""


class ParameterError(SynthaugError, ValueError):
    """An argument is outside what is allowed."""


class DataError(SynthaugError, ValueError):
    """Records or labels that cannot be used; the message names the column, row or label, and the remedy."""


class DataTypeError(DataError, TypeError):
    """Records or labels of a type that is not supported."""


class NotFittedError(SynthaugError, sklearn.exceptions.NotFittedError):
    """Something was asked of an object before its `fit`."""


class TrainingError(SynthaugError, RuntimeError):
    """Training could not go on; the last good weights are kept where there are any."""


class SamplingError(SynthaugError, RuntimeError):
    """The number of records asked for could not be made. Never fewer are returned in silence."""


class StorageError(SynthaugError, OSError):
    """A file is damaged, was altered, or is not one of ours."""


class FileExistsSynthaugError(StorageError, FileExistsError):
    """A file would be overwritten."""


class DependencyError(SynthaugError, ImportError):
    """An optional package is missing; the message says how to install it."""


class SynthaugWarning(UserWarning):
    """Something the user should know, and that stops nothing."""


class CollapseWarning(SynthaugWarning):
    """A generator draws records of a class that are much more alike than real ones."""


class MismatchWarning(SynthaugWarning):
    """A pool is mixed into a data set that it hardly belongs to."""


def nearest(name: object, known: Iterable[object], otherwise: str | None = None) -> str:
    """The end of a message about an unknown name: the known one that it may stand for, else what is known.

    Args:
        name: What was given.
        known: What is allowed.
        otherwise: What to say where nothing is near; by default, all that is known.

    >>> nearest("vea", ["smote", "vae"]), nearest("x", ["smote", "vae"])
    ("did you mean 'vae'?", 'known are smote, vae.')
    """
    names = [str(one) for one in known]
    near = difflib.get_close_matches(str(name), names, 1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else otherwise or f"known are {', '.join(names)}."


def listed(items: Sequence[Any], most: int = 10, *, told: Callable[[Any], str] = repr) -> str:
    """The first few of what a message names, and how many more there are.

    >>> listed(["a", 1]), listed([1, 2, 3], 2)
    ("'a', 1", '1, 2 and 1 more')
    """
    shown = ", ".join(map(told, items[:most]))
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown


def raise_problems(problems: Iterable[str], error: type[SynthaugError] = DataError) -> None:
    """Raise one error that lists every problem found, of many the first ten; or return when there is none.

    >>> raise_problems([])
    >>> raise_problems(["Column 'a' is complex.", "Column 'b' holds lists."])
    Traceback (most recent call last):
    ...
    synthaug.errors.DataError: 2 problems:
    - Column 'a' is complex.
    - Column 'b' holds lists.
    """
    found = list(problems)
    if len(found) == 1:
        raise error(found[0])
    if found:
        told = found[:_TOLD] + [f"And {len(found) - _TOLD} more."] * (len(found) > _TOLD)
        raise error(f"{len(found)} problems:\n" + "\n".join(f"- {problem}" for problem in told))


@contextmanager
def heard() -> Iterator[list[str]]:
    """Collect the text of every `SynthaugWarning` of the block instead of showing it; other warnings go their way.

    >>> with heard() as told:
    ...     warnings.warn("Column 'id' is left out.", SynthaugWarning)
    >>> told
    ["Column 'id' is left out."]
    """
    told: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", SynthaugWarning)
        show = warnings.showwarning

        def hear(message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any) -> None:
            if issubclass(category, SynthaugWarning):
                told.append(str(message))
            else:
                show(message, category, *args, **kwargs)

        warnings.showwarning = hear
        yield told


def tell(texts: Iterable[str], stacklevel: int = 2) -> None:
    """Warn of each text once; texts that differ in numbers alone (those of another fold) count as one.

    >>> with heard() as told:
    ...     tell(["40 values in 40 rows.", "39 values in 40 rows."])
    >>> told
    ['40 values in 40 rows.']
    """
    first = {re.sub(r"\d+", "#", text): text for text in reversed(list(texts))}
    for text in reversed(first.values()):
        warnings.warn(text, SynthaugWarning, stacklevel=stacklevel + 1)
