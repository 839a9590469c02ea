"""The same as `augment` with the face of imbalanced-learn, for its pipelines and for scikit-learn's searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from synthaug.amounts import Amount, Strategy
from synthaug.mix.grow import grow
from synthaug.oversampling import RowSampler
from synthaug.rng import RandomState
from synthaug.selection import Criterion
from synthaug.synthesizer import Synthesizer

__all__ = ["SynthResampler"]


class SynthResampler(RowSampler):
    """Add generated rows to training data; in a Pipeline it acts during `fit` only.

    Args:
        synthesizer: The generator and its settings; by default a conditional VAE. It is copied, never changed.
        sampling_strategy: Which size each class shall reach; see `synthaug.amounts.synthetic_counts`.
        amount: How many rows to add on top of the real ones instead; see there.
        random_state: A seed or generator.

    Other Arguments:
        criteria: What a generated row must pass, such as `Agreement()` and `Distance()`.

    Attributes:
        sampling_strategy_: Generated rows of each class.
        synthesizer_: The fitted synthesizer; absent when there was nothing to add.
        pool_: The generated rows with their origin; absent when there was nothing to add.
        rejected_: How many rows each criterion rejected and why, as in `Selection`; likewise.
        sample_flag_: `(rows,)` bool over the rows returned, True for generated ones.

    >>> X = pd.DataFrame({"size": [1.0, 1.2, 1.1, 1.3, 5.1, 5.0]})
    >>> X_grown, y_grown = SynthResampler(random_state=0).fit_resample(X, ["small"] * 4 + ["big"] * 2)
    >>> len(X_grown), sorted(y_grown)
    (8, ['big', 'big', 'big', 'big', 'small', 'small', 'small', 'small'])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **RowSampler._parameter_constraints,
        "synthesizer": [Synthesizer, None],
        "criteria": [list, tuple],
    }

    def __init__(
        self,
        synthesizer: Synthesizer | None = None,
        *,
        sampling_strategy: Strategy = "auto",
        amount: Amount = None,
        criteria: Sequence[Criterion] = (),
        random_state: RandomState = None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy, amount=amount, random_state=random_state)
        self.synthesizer = synthesizer
        self.criteria = criteria

    def _rows(
        self, frame: pd.DataFrame, y: np.ndarray, counts: Mapping[Any, int], seed: int
    ) -> tuple[pd.DataFrame, np.ndarray]:
        growth = grow(frame, pd.Series(y), counts, synthesizer=self.synthesizer, criteria=self.criteria, seed=seed)
        self.pool_, self.synthesizer_, self.rejected_ = growth.pool, growth.synthesizer, growth.rejected
        return self.pool_.records, self.pool_.labels.to_numpy(y.dtype)
