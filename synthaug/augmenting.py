"""A DataFrame in, a longer DataFrame out, or the same one where nothing helps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from synthaug.amounts import Amount, Strategy, about_share, synthetic_counts
from synthaug.auto import AutoResampler, default_candidates
from synthaug.decisions import inner_splits
from synthaug.errors import heard, tell
from synthaug.labels import Labels, check_labels
from synthaug.mix.frame import check_table, grow_frame
from synthaug.mix.resample import SynthResampler
from synthaug.rng import RandomState, as_seed
from synthaug.selection import Criterion
from synthaug.synthesizer import Synthesizer

__all__ = ["NOTHING_ADDED", "augment"]

NOTHING_ADDED = (
    "No row was added: every class has the size that it shall reach (by default that of the largest). Say how many "
    "rows to add with `amount`, such as 0.5 for half as many as there are."
)
_TOLD_BEFORE = "An `amount` of "
_CODEC = re.compile(r"`(TableCodec\(.*?\))`")  # advice about identifiers: here, a codec comes in a synthesizer


def augment(
    df: pd.DataFrame,
    target: Any,
    *,
    estimator: Any = None,
    sampling_strategy: Any = "auto",
    amount: float | Mapping[Any, int] | None = None,
    synthesizer: Synthesizer | None = None,
    criteria: Sequence[Criterion] = (),
    flag: str | None = None,
    random_state: RandomState = None,
) -> pd.DataFrame:
    """Append synthetic rows to a table: the rows you have come first, untouched, then the new ones.

    Args:
        df: The table, with its target. Only give it training rows: what the generator sees must not be tested on.
        target: The column that holds the class.
        sampling_strategy: Which classes grow, as in imbalanced-learn; `"auto"` brings all up to the largest.
        amount: Instead of balancing, how many rows to add: an int in all or a float as a share of the rows, spread
            evenly over the classes, or a dict of label to number.
        estimator: The classifier that will learn from the table. If given, inner folds choose what is added for it, or
            that nothing is (see `choose`). The decision is in `attrs["decision"]` of what is returned, as text. By
            default it is then twice as many rows as there are, evenly over the classes, since the gains that the choice
            expects were measured with 500 on top of 20 to 500; `sampling_strategy="not majority"` balances here too.
        random_state: Seed; the same seed gives the same rows.

    Other Arguments:
        synthesizer: The generator and its settings; by default a conditional VAE.
        criteria: What a synthetic row must pass, such as `Agreement()` and `Distance()`.
        flag: Name of a column to add that is True for synthetic rows.

    Returns:
        A DataFrame with the columns and dtypes of `df` and a fresh index.

    Raises:
        DataError: a table that cannot be used; the message names the column or label and the remedy.
        ParameterError: an argument outside what is allowed.

    Warns:
        SynthaugWarning: nothing was added, since the classes have the sizes asked for; columns that are left out, or
            hold numbers as text or objects; an `amount` that is a share above 20.

    >>> df = pd.DataFrame({"size": [1.0, 1.2, 1.1, 1.3, 5.1, 5.0], "kind": ["small"] * 4 + ["big"] * 2})
    >>> grown = augment(df, "kind", flag="synthetic", random_state=0)
    >>> len(grown), grown["kind"].value_counts().to_dict(), int(grown["synthetic"].sum())
    (8, {'small': 4, 'big': 4}, 2)
    """
    check_table(df, target, flag)
    tell(about_share(amount, len(df)))  # before the work, which may be long
    with heard() as told:
        if estimator is not None:
            grown = _chosen(
                df,
                target,
                estimator,
                amount=2.0 if amount is None and sampling_strategy == "auto" else amount,
                sampling_strategy=sampling_strategy,
                ours=SynthResampler(synthesizer, criteria=criteria),
                flag=flag,
                seed=as_seed(random_state),
            )
        else:
            grown, growth = grow_frame(
                df,
                target,
                sampling_strategy=sampling_strategy,
                amount=amount,
                synthesizer=synthesizer,
                criteria=criteria,
                flag=flag,
                random_state=random_state,
            )
            if growth is None and amount is None:
                tell([NOTHING_ADDED])
    told = [text for text in told if not text.startswith(_TOLD_BEFORE)]
    tell(_CODEC.sub(r"`synthesizer=Synthesizer(\1)`", text) for text in told)
    return grown


def _chosen(
    df: pd.DataFrame,
    target: Any,
    estimator: Any,
    *,
    amount: Amount,
    sampling_strategy: Strategy,
    ours: SynthResampler,
    flag: str | None,
    seed: int,
) -> pd.DataFrame:
    """The table with the rows that help this classifier, if any do. Inside, labels are codes."""
    grown = df.reset_index(drop=True)
    labels, records = check_labels(grown[target], name=target), grown.drop(columns=[target])
    coding = Labels.of(labels)
    counts = synthetic_counts(labels, sampling_strategy=sampling_strategy, amount=amount)  # refuses what does not fit
    if not any(counts.values()) and amount is None:
        tell([NOTHING_ADDED])
    inner_splits(None, records, pd.Series(labels.tolist()), seed)  # refuses a class too small by its label
    candidates = {**default_candidates(random_state=seed), "vae": ours}
    for candidate in candidates.values():
        candidate.set_params(
            amount=_by_code(amount, coding),
            sampling_strategy=_by_code(sampling_strategy, coding),
            random_state=seed % 2**32,
        )
    auto = AutoResampler(estimator, candidates, random_state=seed % 2**32)
    rows, codes = auto.fit_resample(records, coding.encode(labels))
    added = rows[auto.sample_flag_].copy()
    added[target] = coding.decode(codes[auto.sample_flag_]).array
    if flag is not None:
        grown, added = grown.assign(**{flag: False}), added.assign(**{flag: True})
    whole = pd.concat([grown, added[list(grown.columns)]], ignore_index=True) if len(added) else grown
    whole.attrs["decision"] = str(auto.decision_)
    return whole


def _by_code(given: Any, coding: Labels) -> Any:
    """The same with codes in the place of labels: {code: number}, also out of a function of the labels."""
    if callable(given):
        return lambda codes: _by_code(given(coding.decode(np.asarray(codes))), coding)
    return {coding.classes.index(label): n for label, n in given.items()} if isinstance(given, Mapping) else given
