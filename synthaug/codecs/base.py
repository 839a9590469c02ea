"""The contract every codec keeps (checked by `synthaug.testing.check_codec`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch

    from synthaug.spec import Spec

__all__ = ["Codec"]


class Codec(ABC):
    """Learns from training records how to encode records as numbers and to decode any numbers as legal records."""

    spec: Spec
    """The shape and fields of encoded records; there after `fit`."""

    @abstractmethod
    def fit(self, records: Any) -> Self:
        """Learn the encoding from training records only."""

    @abstractmethod
    def validate(self, records: Any) -> None:
        """Raise a `DataError` naming column, value and remedy, all problems at once, if `records` cannot be encoded."""

    @abstractmethod
    def encode(self, records: Any) -> torch.Tensor:
        """Encode records: `(n, *spec.shape)` float32, finite."""

    @abstractmethod
    def decode(self, x: torch.Tensor) -> Any:
        """Decode any finite `(n, *spec.shape)` tensor to legal records, in the container and types seen in `fit`."""

    @abstractmethod
    def features(self, records: Any) -> np.ndarray:
        """Numbers in which distances between records mean something: `(n, d)` float32."""

    @abstractmethod
    def to_arrow(self, records: Any) -> pa.Table:
        """Records as a table that any tool reads."""

    @abstractmethod
    def from_arrow(self, table: pa.Table) -> Any:
        """The inverse of `to_arrow`."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The whole fitted state as plain values, fit for JSON. Holds no training record."""

    @classmethod
    @abstractmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
