"""The shared half of every resampler: a table in, the same table with new rows below."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import check_target_type
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import validate_data

from synthaug.amounts import Amount, Strategy, about_share, synthetic_counts
from synthaug.errors import tell
from synthaug.labels import check_target
from synthaug.rng import RandomState, as_seed
from synthaug.tables import check_unique

__all__ = ["RowSampler"]


class RowSampler(BaseOverSampler):
    """Base of samplers that put new rows below the real ones; data frames stay data frames, with their dtypes.

    The real rows come first and unchanged, under a fresh index. A child writes `_rows`.

    Args:
        sampling_strategy: Which size each class shall reach; see `synthaug.amounts.synthetic_counts`.
        amount: How many rows to add on top of the real ones instead; see there.
        random_state: A seed or generator.

    Attributes:
        sampling_strategy_: New rows of each class.
        sample_flag_: `(rows,)` bool over the rows returned, True for new ones.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseOverSampler._parameter_constraints,
        "amount": [Interval(Real, 0, None, closed="left"), Mapping, None],
        "random_state": ["random_state", np.random.Generator],
    }

    def __init__(
        self,
        *,
        sampling_strategy: Strategy = "auto",
        amount: Amount = None,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.amount = amount
        self.random_state = random_state

    @abstractmethod
    def _rows(
        self, frame: pd.DataFrame, y: np.ndarray, counts: Mapping[Any, int], seed: int
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """Make `counts[label]` rows of each label, with the columns and dtypes of `frame` (all real rows)."""

    def fit_resample(self, X: Any, y: Any, **params: Any) -> Any:
        """See imbalanced-learn; names and labels are checked first, so that errors name the remedy."""
        if isinstance(X, pd.DataFrame):
            check_unique(X)
        if y is not None and getattr(y, "ndim", 1) == 1:
            check_target(y, X if isinstance(X, pd.DataFrame) else None)
        return super().fit_resample(X, y, **params)

    def _check_X_y(self, X: Any, y: Any) -> tuple[Any, np.ndarray, bool]:  # noqa: N802 (a hook of imbalanced-learn's)
        y, binarize_y = check_target_type(y, indicate_one_vs_all=True)
        if not isinstance(X, pd.DataFrame):
            X = check_array(X, dtype=None, ensure_all_finite="allow-nan")
        check_consistent_length(X, y)
        validate_data(self, X=X, y=y, reset=True, skip_check_array=True)
        return X, y, binarize_y

    def _fit_resample(self, X: Any, y: np.ndarray) -> tuple[Any, np.ndarray]:
        tell(about_share(self.amount, len(y)))
        self.sampling_strategy_ = synthetic_counts(y, sampling_strategy=self.sampling_strategy, amount=self.amount)
        frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(X, dtype=X.dtype).infer_objects()
        frame = frame.reset_index(drop=True)
        parts, labels = [frame], [y]
        if any(self.sampling_strategy_.values()):
            made, made_labels = self._rows(frame, y, self.sampling_strategy_, as_seed(self.random_state))
            parts.append(made)
            labels.append(made_labels.astype(y.dtype))
        rows = pd.concat(parts, ignore_index=True)
        self.sample_flag_ = np.arange(len(rows)) >= len(frame)
        return (rows if isinstance(X, pd.DataFrame) else rows.to_numpy(X.dtype)), np.concatenate(labels)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.sparse = False
        return tags
