"""What can go wrong, named by who can mend it.

Every mistake of a user's raises one of these, each of which is also the builtin (or scikit-learn) class that a
caller would catch. A mistake of ours is an `assert`.
"""

from __future__ import annotations

from collections.abc import Iterable

import sklearn.exceptions

__all__ = [
    "DataError",
    "DataTypeError",
    "DependencyError",
    "FileExistsSynthaugError",
    "NotFittedError",
    "ParameterError",
    "SamplingError",
    "StorageError",
    "SynthaugError",
    "SynthaugWarning",
    "TrainingError",
    "raise_problems",
]


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


def raise_problems(problems: Iterable[str], error: type[SynthaugError] = DataError) -> None:
    """Raise one error that lists every problem found, or return when there is none.

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
        raise error(f"{len(found)} problems:\n" + "\n".join(f"- {problem}" for problem in found))
