"""Do synthetic records give away the records that they were trained on?"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from scipy.stats import chi2_contingency, ks_2samp

from synthaug.errors import ParameterError, SynthaugWarning, listed, nearest, raise_problems
from synthaug.evaluate import nearness, trials
from synthaug.evaluate.attacks import Coded, code_tables
from synthaug.evaluate.rates import shuffled_labels
from synthaug.evaluate.samples import is_labelled, opened, records_in
from synthaug.evaluate.sides import Sides
from synthaug.evaluate.stats import holm
from synthaug.features import Features, usual_features
from synthaug.rng import RandomState, as_seed, numpy_rng

__all__ = ["PrivacyRisk", "privacy_risk"]

_ATTACKS = ["attack", "risk", "low", "high", "rate", "baseline", "control", "n", "p"]
_COPIES = ["measure", "train", "holdout", "difference", "low", "high", "n", "p"]
_MEMBERSHIP = ["attack", "auc", "low", "high", "advantage", "n"]
_NAMES = ("train", "synthetic", "holdout")
_COPIED = {
    "exact": "{train:.1%} of the synthetic records equal a training record ({holdout:.1%} one of the holdout)",
    "near": "{train:.1%} of the synthetic records are nearer to a training record than 95% of the real records are to "
    "each other ({holdout:.1%} to one of the holdout)",
    "nearer": "the nearest real record is a training record for {train:.1%} (one of the holdout for {holdout:.1%})",
}
_NAMED = 3
_TELLING = 0.5
_SHUFFLES = 1999
_SECRETS = 20
_APART = 1e-6
_RARE = 10  # of a level in both samples, below which the chi-square test is not to be trusted: they count together


def privacy_risk(
    train: Any,
    synthetic: Any,
    holdout: Any,
    *,
    features: Features | None = None,
    sensitive: str | Sequence[Any] | None = None,
    random_state: RandomState = None,
    n_attacks: int = 500,
    level: float = 0.95,
    max_records: int = 2000,
    labels: Sequence[Any] | None = None,
) -> PrivacyRisk:
    """Attack the training records by means of the synthetic ones, and compare with records never trained on.

    Whatever a synthetic table tells of people in general it tells of the holdout too. Only what it tells of the
    training records and not of as many holdout records comes from having been trained on them.

    Args:
        train: The records that the generator was fitted on: a table, an array, or a PyTorch data set or list of images
            with their labels.
        synthetic: What it made; a `Pool` of it will do.
        holdout: Real records that it never saw, drawn at random from the same ones as `train`: those of another time or
            place look unlike all others, so that the training records seem to be known. The smaller it is, the less can
            be found.
        features: Records -> `(n, d)` numbers in which distances mean something; needed for anything but tables and
            images. By default `table_features` of the real records, or `image_features`.

    Other Arguments:
        sensitive: The column or columns whose values an attacker is after; by default all, of which 20 drawn by
            chance where there are more.
        random_state: Decides which records are drawn, what is tried and the labellings for p-values.
        n_attacks: How many predicates of each kind are tried, and how many records are attacked for a secret.
        level: Of the intervals, and of the verdict: independent records are accused at a rate of at most `1 - level`.
        max_records: Of larger tables that many are drawn. Training and holdout records are always as many of each.
        labels: The classes of the training and of the holdout records, `(train_labels, holdout_labels)`; by default
            those of data sets and pools. Then as many of each class are compared: where training records are
            long-tailed and the holdout is not, those of common classes would look trained on otherwise. So where a
            table has classes in other shares, name them here.

    Returns:
        The figures. Tables are attacked in every way; other records by their distances only.

    Raises:
        DataError: too few records, columns that differ, features that are no numbers, a holdout that was trained on.
        ParameterError: arguments out of range, an unknown column.

    Warns:
        SynthaugWarning: a column tells training and holdout records apart far beyond chance (p below 1e-6 in a test of
            Kolmogorov and Smirnov, or of chi-square for levels), so that they are not drawn from the same records.

    >>> rng = np.random.default_rng(0)
    >>> train, holdout = pd.DataFrame(rng.normal(size=(200, 3))), pd.DataFrame(rng.normal(size=(200, 3)))
    >>> privacy_risk(train, train[:50] + 1e-6, holdout, random_state=0).verdict().split(":")[0]
    'Records are copied'
    """
    seed = as_seed(random_state)
    _check_numbers(n_attacks, level, max_records)
    given = {name: opened(part, name, features) for name, part in zip(_NAMES, (train, synthetic, holdout), strict=True)}
    train, synthetic, holdout = map(records_in, given.values())
    classes = {name: given[name].labels for name in ("train", "holdout") if is_labelled(given[name])}
    classes = classes if labels is None else _checked(labels, train, holdout)
    features = usual_features(train) if features is None else features
    sides = Sides.of(train, synthetic, holdout, features, classes if len(classes) == 2 else None)
    secrets = _secrets(sides, sensitive, seed)
    drawn = sides.draw(seed, max_records)
    n = len(drawn.train)
    halves = shuffled_labels(n, _SHUFFLES, numpy_rng(seed, "labels"))
    made, real = drawn.numbers()
    to_real, among = cdist(made, real), cdist(real, real)
    membership = trials.membership(to_real, among, level)
    found = [trials.membership_risk(row) for row in membership]
    if sides.is_table:
        ours, coded, theirs = code_tables([drawn.train, drawn.synthetic, drawn.holdout])
        _warn_of_shifts(list(drawn.train.columns), ours, theirs)
        both = replace(ours, values=np.concatenate([ours.values, theirs.values]))
        found += trials.singling_out(coded, both, halves, seed, n_attacks, level)
        found += trials.inference(coded, both, secrets, seed, n_attacks, level)
    return PrivacyRisk(
        attacks=pd.DataFrame(found, columns=_ATTACKS),
        copies=pd.DataFrame(trials.copies(drawn, to_real, among, halves, level), columns=_COPIES),
        membership=pd.DataFrame(membership, columns=_MEMBERSHIP),
        distances=nearness.closest(to_real),
        sizes={name: len(getattr(sides, name)) for name in _NAMES},
        compared={name: len(getattr(drawn, name)) for name in _NAMES},
        exact_copies=int(np.isin(sides.hashes[1], sides.hashes[0]).sum()),
        level=level,
        seed=seed,
    )


def _warn_of_shifts(names: list[Any], ours: Coded, theirs: Coded) -> None:
    """Say in which columns the training and the holdout records are no draws of the same."""
    apart = [
        name
        for name, kind, a, b in zip(names, ours.kinds, ours.values.T, theirs.values.T, strict=True)
        if _p_same(a, b, levels=kind == "level") < _APART
    ]
    if apart:
        warnings.warn(
            f"Training and holdout records differ far beyond chance in {listed(apart, _NAMED)}: what tells them apart "
            "may be their time, place or classes, and not the synthetic records. Draw the holdout at random from the "
            "same records as `train`, or name the classes in `labels` if it is only their shares that differ.",
            SynthaugWarning,
            stacklevel=3,
        )


def _p_same(ours: np.ndarray, theirs: np.ndarray, *, levels: bool) -> float:
    """Whether two samples `(n,)` may be of one distribution; a gap counts as less than any number."""
    if not levels:
        known = [np.nan_to_num(values, nan=-np.inf) for values in (ours, theirs)]
        return float(ks_2samp(*known, method="asymp").pvalue)
    _, codes = np.unique(np.concatenate([ours, theirs]), return_inverse=True)
    counts = np.array([np.bincount(part, minlength=codes.max() + 1) for part in np.split(codes, [len(ours)])])
    rare = counts.sum(axis=0) < _RARE
    counts = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)])
    counts = counts[:, counts.any(axis=0)]
    return float(chi2_contingency(counts).pvalue) if counts.shape[1] > 1 else 1.0


def _checked(labels: Any, train: Any, holdout: Any) -> dict[str, Any]:
    """Labels of the training and the holdout records; a `ParameterError` if they do not fit."""
    pair = isinstance(labels, tuple | list) and len(labels) == 2
    if not pair or [len(part) for part in labels] != [len(train), len(holdout)]:
        raise ParameterError(
            f"Expected `labels` to be `(train_labels, holdout_labels)`, {len(train)} and {len(holdout)} of them."
        )
    return {"train": labels[0], "holdout": labels[1]}


@dataclass(frozen=True, eq=False, repr=False)
class PrivacyRisk:
    """What the synthetic records give away, and how sure that is. Made by `privacy_risk`.

    Every p-value is one-sided and exact or a rank test; it asks whether the training records fare worse than the
    holdout. The intervals of predicates take each attempt for an independent one, as their source does.

    Args:
        attacks: One row an attack: `attack`; `risk`, 0 to 1, with `low` and `high`; `rate`, how often it succeeds
            against training records; `baseline`, how often a guess by chance does; `control`, how often it succeeds
            against the holdout; `n`, how often it was tried; `p`. For membership the rate is the area under the ROC
            curve, the baseline 0.5, and there is no control; the risk is `2 * rate - 1`. Where nothing could be tried,
            `n` is 0 and the rest missing.
        copies: One row a `measure`: "exact", synthetic records that equal a real one; "near", that are within the
            distance at which only 5% of the real records have another; "nearer", whose nearest real record is there.
            `train` and `holdout` are shares of the `n` synthetic records compared, `difference` is that of the two,
            with `low` and `high` and `p`.
        membership: `attack`, `auc` with `low` and `high`, `advantage` (the greatest difference of true and false
            positive rate; above 0 by chance too), `n` of members, and as many others.
        distances: Of synthetic records to their nearest real one, and as a share of that to the second nearest:
            `measure`, `quantile`, `train`, `holdout`.
        sizes: How many records were given: train, synthetic, holdout.
        compared: How many were drawn from these for all but `exact_copies`.
        exact_copies: How many of all synthetic records equal any training record.
        level: Of the intervals and the verdict.
        seed: What to pass as `random_state` to get the same figures.

    >>> rng = np.random.default_rng(0)
    >>> records = [pd.DataFrame(rng.normal(size=(100, 3)), columns=list("abc")) for _ in range(3)]
    >>> found = privacy_risk(*records, random_state=0)
    >>> found.verdict().split(";")[0]
    'No sign of copying or of a leak beyond chance in 10 tests against 100 training and 100 holdout records'
    >>> list(found.attacks["attack"])[2:4]
    ['singling out by one column', 'singling out by 3 columns']
    """

    attacks: pd.DataFrame
    copies: pd.DataFrame
    membership: pd.DataFrame
    distances: pd.DataFrame
    sizes: dict[str, int]
    compared: dict[str, int]
    exact_copies: int
    level: float
    seed: int

    def verdict(self) -> str:
        """What is sure after Holm's correction over all tests, in a sentence or two; else what is left open.

        Where nothing is sure and risks above 0.5 are not ruled out either, it says that it cannot tell. Independent
        records are accused at a rate of at most `1 - level`.
        """
        tests = [*self.copies.to_dict("records"), *self.attacks[self.attacks["n"] > 0].to_dict("records")]
        adjusted = holm([test["p"] for test in tests])
        sure = [test for test, p in zip(tests, adjusted, strict=True) if p < 1 - self.level]
        copied = [test for test in sure if "measure" in test]
        leaks = sorted((test for test in sure if "attack" in test), key=lambda test: -test["risk"])
        told = _leaks(leaks) if leaks else ""
        if copied:
            name = copied[0]["measure"]
            start = "Records lie close to training records" if name == "nearer" else "Records are copied"
            return f"{start}: {_COPIED[name].format_map(copied[0])}. {told}".strip()
        equal = f"{self.exact_copies} synthetic records equal a training record." if self.exact_copies else ""
        if leaks:
            return f"No sign of copying, but of a leak. {told} {equal}".strip()
        n, worst = self.compared, self.attacks["high"].max()
        start = "No sign" if worst <= _TELLING else "Cannot tell: no sign"
        return (
            f"{start} of copying or of a leak beyond chance in {len(tests)} tests against {n['train']} training and "
            f"{n['holdout']} holdout records; by their intervals, risks of up to {worst:.0%} are not ruled out. {equal}"
        ).strip()

    def __repr__(self) -> str:
        worst = self.attacks.nlargest(1, "risk").iloc[0]
        told = f"risk {worst['risk']:.2f} [{worst['low']:.2f}, {worst['high']:.2f}] by {worst['attack']}"
        return f"PrivacyRisk({told}, {self.exact_copies} exact copies)"

    def __str__(self) -> str:
        return self.verdict()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON; None for what is missing."""
        tables = ("attacks", "copies", "membership", "distances")
        plain = {name: getattr(self, name).astype(object).where(getattr(self, name).notna(), None) for name in tables}
        rest = ("sizes", "compared", "exact_copies", "level", "seed")
        return {
            **{name: table.to_dict("records") for name, table in plain.items()},
            **{name: getattr(self, name) for name in rest},
            "verdict": self.verdict(),
        }


def _leaks(tests: list[dict[Any, Any]]) -> str:
    """What tells training records from others, the worst first."""
    worst = [f"{test['attack']} (risk {test['risk']:.2f} [{test['low']:.2f}, {test['high']:.2f}])" for test in tests]
    return f"Training records are told from others by {listed(worst, _NAMED, told=str)}."


def _check_numbers(n_attacks: Any, level: Any, max_records: Any) -> None:
    problems = [
        f"Expected `{name}` to be an integer of at least {least}, got {value!r}."
        for name, value, least in (("n_attacks", n_attacks, 1), ("max_records", max_records, 20))
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least
    ]
    if not (isinstance(level, float) and 0 < level < 1):
        problems.append(f"Expected `level` between 0 and 1, got {level!r}.")
    raise_problems(problems, ParameterError)


def _secrets(sides: Sides, sensitive: Any, seed: int) -> dict[Any, int]:
    """The columns that an attacker is after, by name, and their positions."""
    if not sides.is_table:
        if sensitive is not None:
            raise ParameterError("`sensitive` names columns of a table: leave it out for other records.")
        return {}
    names = list(sides.train.columns)
    if sensitive is None:
        drawn = np.sort(numpy_rng(seed, "secrets").permutation(len(names))[:_SECRETS])
        return {names[i]: i for i in drawn.tolist()} if len(names) > 1 else {}  # else there is nothing to infer it from
    wanted = [sensitive] if sensitive in names or isinstance(sensitive, str) else list(sensitive)
    unknown = [name for name in wanted if name not in names]
    raise_problems(
        (f"`sensitive` names {n!r}, which is no column: {nearest(n, names)}" for n in unknown), ParameterError
    )
    if wanted and len(names) == 1:
        raise ParameterError(f"`sensitive` names {names[0]!r}, but there is no other column to infer it from.")
    return {name: names.index(name) for name in wanted}
