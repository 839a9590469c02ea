"""What one encoded record looks like: the only thing that codecs and generators share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from synthaug.errors import ParameterError

__all__ = ["Field", "Spec"]

KINDS = ("number", "category", "uniform")


@dataclass(frozen=True)
class Field:
    """A run of neighbouring entries of a flat encoded record that mean one thing.

    Args:
        name: What the field encodes, for people.
        kind: `"number"` (real, standardised, any width), `"category"` (one-hot over `size` levels; a missing flag is
            a category of two) or `"uniform"` (in [0, 1), independent of everything else by construction, such as the
            low digits of a long integer: generators draw it and do not learn it).
        size: The number of entries.

    >>> Field("colour", "category", 3).size
    3
    >>> Field("colour", "hue")
    Traceback (most recent call last):
    ...
    synthaug.errors.ParameterError: Expected `kind` to be one of number, category, uniform, got 'hue'.
    """

    name: str
    kind: str
    size: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ParameterError(f"Expected `kind` to be one of {', '.join(KINDS)}, got {self.kind!r}.")
        if self.size < 1:
            raise ParameterError(f"Expected `size` of at least 1, got {self.size}.")


@dataclass(frozen=True)
class Spec:
    """The shape of an encoded record and, for flat records, the meaning of its entries in order.

    Args:
        shape: `(width,)` for a table, `(channels, height, width)` for an image.
        fields: For a flat record the fields, whose sizes add up to its width; empty for a grid.

    >>> spec = Spec((4,), (Field("age", "number"), Field("colour", "category", 3)))
    >>> spec.slices()
    (slice(0, 1, None), slice(1, 4, None))
    >>> Spec.from_dict(spec.to_dict()) == spec
    True
    """

    shape: tuple[int, ...]
    fields: tuple[Field, ...] = ()

    def __post_init__(self) -> None:
        width = sum(field.size for field in self.fields)
        if self.fields and (width,) != self.shape:
            raise ParameterError(f"The fields are {width} wide, but the shape is {self.shape}.")

    @property
    def width(self) -> int:
        """The number of entries of one record."""
        return prod(self.shape)

    def slices(self) -> tuple[slice, ...]:
        """Where each field lies in a flat record."""
        slices, start = [], 0
        for field in self.fields:
            slices.append(slice(start, start + field.size))
            start += field.size
        return tuple(slices)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON and for a checkpoint loaded with `weights_only=True`."""
        return {"shape": list(self.shape), "fields": [[f.name, f.kind, f.size] for f in self.fields]}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Spec:
        """The inverse of `to_dict`."""
        return cls(tuple(state["shape"]), tuple(Field(*field) for field in state["fields"]))
