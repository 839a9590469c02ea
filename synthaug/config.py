"""A study in a few plain words, from a YAML file or the command line, and its run: `synthaug compare`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import yaml

from synthaug.errors import DataError, ParameterError, StorageError, heard, nearest, raise_problems
from synthaug.evaluate.baselines import default_arms
from synthaug.evaluate.comparison import Comparison, compare
from synthaug.evaluate.estimators import default_estimators
from synthaug.evaluate.metrics import scorers
from synthaug.evaluate.paired import Split, make_splits
from synthaug.evaluate.privacy import PrivacyRisk, privacy_risk
from synthaug.evaluate.resemblance import Fidelity, fidelity
from synthaug.evaluate.sides import FEWEST
from synthaug.files import check_file
from synthaug.labels import check_target
from synthaug.rng import as_seed
from synthaug.tables import find_column

__all__ = ["ARMS", "ESTIMATORS", "StudyConfig", "closer_look", "examples", "measure"]

ARMS = (*(name for name in default_arms() if name != "real"), "vae", "gan")
ESTIMATORS = tuple(default_estimators())
_MOST_BYTES, _MOST_NAMES, _LONGEST = 64 * 1024, 50, 200
_COMMAND = ("output", "store", "jobs", "sep", "decimal", "encoding", "force", "config")  # what is no part of a study
_SEVERAL = {"arm": "arms", "estimator": "estimators", "metric": "metrics"}  # one word for what may be called either


@dataclass(frozen=True)
class StudyConfig:
    """What to compare on a table, and how. Names are looked up in fixed lists: nothing is imported by name.

    Args:
        target: The column that holds the class.
        arms: Some of `ARMS`.
        estimators: Some of `ESTIMATORS`.
        metrics: Names of scores; see `synthaug.evaluate.metrics.scorers`. The first is the one that the page is about.
        amount: What every arm adds: a number of rows, or a share of the real ones (0.5); None balances the classes.
        folds: Stratified folds; None for 5, twice.
        groups: A column whose equal values are never in both parts of a split; it is not learned from.
        seed: The same seed gives the same study.
        title: The line above the verdict.
        fidelity: Whether to compare the rows of each arm with the real ones; see `closer_look`.
        privacy: Whether to measure what the rows of each arm give away; likewise.

    Raises:
        ParameterError: values of another type, out of bounds, or unknown names; all at once.

    >>> StudyConfig(target="y", arms=("smote", "vea"))
    Traceback (most recent call last):
    ...
    synthaug.errors.ParameterError: Unknown arm 'vea': did you mean 'vae'?
    """

    target: str
    arms: tuple[str, ...] = ARMS[:-1]
    estimators: tuple[str, ...] = ESTIMATORS
    metrics: tuple[str, ...] = ("balanced_accuracy",)
    amount: int | float | None = None
    folds: int | None = None
    groups: str | None = None
    seed: int = 0
    title: str | None = None
    fidelity: bool = False
    privacy: bool = False

    def __post_init__(self) -> None:
        """Check everything, once."""
        raise_problems(self._problems(), ParameterError)
        scorers(list(self.metrics))

    @classmethod
    def of(cls, file: Path | None = None, **given: Any) -> Self:
        r"""A study from a YAML file, in which whatever is `given` and not None, False or empty comes first.

        In the file, `arm`, `estimator` and `metric` are the same as `arms`, `estimators` and `metrics`; a single name
        needs no list.

        Raises:
            StorageError: a file that is missing, larger than 64 KB, or no YAML.
            ParameterError: unknown keys, or values that are not allowed.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "study.yaml")
        ...     _ = path.write_text("target: y\narms: [smote, vae]")
        ...     StudyConfig.of(path, seed=3).arms
        ('smote', 'vae')
        """
        known = [field.name for field in fields(cls)]
        found = {} if file is None else _in_the_plural(_read(file))
        raise_problems((_unknown(key, known) for key in found if key not in known), ParameterError)
        found |= {
            key: value for key, value in given.items() if value is not None and value != [] and value is not False
        }
        if found.get("target") is None:
            raise ParameterError("Expected the column that holds the class: give --target, or `target` in the file.")
        for key in _SEVERAL.values():
            if isinstance(found.get(key), str | list):
                found[key] = (found[key],) if isinstance(found[key], str) else tuple(found[key])
        return cls(**found)

    def build_arms(self) -> dict[str, Any]:
        """The arms by name; torch is loaded where one of ours is among them.

        >>> list(StudyConfig(target="y", arms=("smote",)).build_arms())
        ['smote']
        """
        baselines = default_arms(amount=self.amount, random_state=self.seed)
        return {name: baselines[name] if name in baselines else self._ours(name) for name in self.arms}

    def build_estimators(self) -> dict[str, Any]:
        """The classifiers by name.

        >>> list(StudyConfig(target="y", estimators=("forest",)).build_estimators())
        ['forest']
        """
        everyone = default_estimators()
        return {name: everyone[name] for name in self.estimators}

    def _ours(self, name: str) -> Any:
        from synthaug.generators.gan import ConditionalGAN
        from synthaug.generators.vae import ConditionalVAE
        from synthaug.mix.resample import SynthResampler
        from synthaug.synthesizer import Synthesizer

        generators: dict[str, Any] = {"vae": ConditionalVAE, "gan": ConditionalGAN}
        return SynthResampler(Synthesizer(generator=generators[name]), amount=self.amount, random_state=self.seed)

    def _problems(self) -> Iterator[str]:
        for key in ("target", "groups", "title"):
            value = getattr(self, key)
            if not (isinstance(value, str) and 0 < len(value) <= _LONGEST) and (value is not None or key == "target"):
                yield _expected(
                    key, f"a text of at most {_LONGEST} characters, in quotes where it looks like more", value
                )
        yield from _name_problems("arm", self.arms, ARMS)
        yield from _name_problems("estimator", self.estimators, ESTIMATORS)
        yield from _name_problems("metric", self.metrics, None)
        if self.amount is not None and not (_is_number(self.amount) and 0 <= self.amount <= 10**7):
            yield _expected("amount", "a number of rows, or a share of the real ones", self.amount)
        if self.folds is not None and not (_is_whole(self.folds) and 2 <= self.folds <= 100):
            yield _expected("folds", "an integer from 2 to 100", self.folds)
        for key in ("fidelity", "privacy"):
            if not isinstance(getattr(self, key), bool):
                yield _expected(key, "true or false", getattr(self, key))
        if not (_is_whole(self.seed) and 0 <= self.seed < 2**63):
            yield _expected("seed", "an integer of at least 0", self.seed)


def measure(
    config: StudyConfig, table: pd.DataFrame, *, store: Path | None = None, n_jobs: int | None = None
) -> Comparison:
    """Run a study on a table; `store` and `n_jobs` are those of `compare`.

    Raises:
        DataError: a column that is missing, a table too small for the `privacy` asked for, and what `compare` raises.

    >>> table = pd.DataFrame({"age": range(40), "y": [0, 1] * 20})
    >>> measure(StudyConfig(target="y", arms=("duplicate",), estimators=("logistic",)), table).arms
    ('real', 'duplicate')
    """
    X, y = _records(config, table)
    groups = _groups(config, table)
    if config.privacy:  # before anything is fitted
        _check_size(*_first_split(config, X, check_target(y, X), groups))
    return compare(
        config.build_arms(),
        config.build_estimators(),
        X,
        y,
        cv=config.folds,
        scoring=list(config.metrics),
        groups=groups,
        random_state=config.seed,
        store=store,
        n_jobs=n_jobs,
    )


def examples(config: StudyConfig, table: pd.DataFrame, arm: str, n: int = 6) -> pd.DataFrame:
    """Some real rows and some that an arm makes of the whole table, told apart by a column `synthetic`.

    Empty where the arm makes no rows.

    >>> table = pd.DataFrame({"age": [20, 30, 40, 50], "y": [0, 0, 0, 1]})
    >>> examples(StudyConfig(target="y"), table, "smote", n=2)["synthetic"].tolist()
    [False, False, True, True]
    """
    X, y = _records(config, table)
    resampler: Any = replace(config, arms=(arm,)).build_arms()[arm] if arm in config.arms else None
    if not hasattr(resampler, "fit_resample"):
        return pd.DataFrame()
    with heard():  # the study has told it
        grown, labels = resampler.fit_resample(X, y)
    whole = grown.assign(**{config.target: labels}).assign(synthetic=[i >= len(X) for i in range(len(grown))])
    return pd.concat([part.sample(min(n, len(part)), random_state=0) for _, part in whole.groupby("synthetic")])


def closer_look(config: StudyConfig, table: pd.DataFrame, arm: str) -> tuple[Fidelity | None, PrivacyRisk | None]:
    """What `fidelity` and `privacy_risk` say of the rows of an arm, where the study asks for them.

    The arm learns the training rows of the first split of the study; its rows are compared with these and with the
    test rows, which it has not seen. Both are None for an arm that makes no rows.

    Raises:
        DataError: rows that are too few or cannot be compared, or an arm that adds none.

    >>> table = pd.DataFrame({"age": range(120), "y": [0, 1, 0] * 40})
    >>> true, safe = closer_look(StudyConfig(target="y", privacy=True, amount=50), table, "smote")
    >>> true, safe.sizes
    (None, {'train': 96, 'synthetic': 50, 'holdout': 24})
    """
    X, y = _records(config, table)
    resampler = replace(config, arms=(arm,)).build_arms()[arm]
    if not hasattr(resampler, "fit_resample") or not (config.fidelity or config.privacy):
        return None, None
    train, test = _first_split(config, X, y, _groups(config, table))
    with heard():  # the study has told it
        grown, labels = resampler.fit_resample(X.iloc[train], y.iloc[train])
    real, unseen = (X.iloc[rows].assign(**{config.target: y.iloc[rows]}) for rows in (train, test))
    made = grown.assign(**{config.target: np.asarray(labels)}).iloc[len(train) :]
    if made.empty:
        raise DataError("it adds no rows: say how many with `amount`.")
    how: dict[str, Any] = {"random_state": config.seed}
    return (
        fidelity(real, made, holdout=unseen, target=config.target, **how) if config.fidelity else None,
        privacy_risk(real, made, unseen, **how) if config.privacy else None,
    )


def _records(config: StudyConfig, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """What is learned from, and the labels as plain values."""
    wanted = [name for name in (config.target, config.groups) if name is not None]
    columns = [find_column(table, name) for name in wanted]
    y = table[columns[0]]
    return table.drop(columns=columns), pd.Series(y.tolist(), index=y.index, name=y.name)


def _groups(config: StudyConfig, table: pd.DataFrame) -> pd.Series | None:
    return None if config.groups is None else table[find_column(table, config.groups)]


def _first_split(config: StudyConfig, X: pd.DataFrame, y: pd.Series, groups: pd.Series | None) -> Split:
    with heard():  # the study tells it
        return make_splits(config.folds, X, y, as_seed(config.seed), groups, name="folds")[0]


def _check_size(train: np.ndarray, test: np.ndarray) -> None:
    """Refuse a split of too few rows to tell what is given away."""
    if min(len(train), len(test)) < FEWEST:
        possible = len(train) + len(test) >= 2 * FEWEST and len(train) > len(test) + 2
        fewer = "take fewer folds, such as `folds` of 2, or " if possible else ""
        raise DataError(
            f"Expected at least {FEWEST} training and {FEWEST} test rows in the first split for `privacy`, got "
            f"{len(train)} and {len(test)}: {fewer}leave it out."
        )


class _Loader(yaml.SafeLoader):
    """YAML without aliases, which can stand for very much, and without a key that comes twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As the parent does, unless an alias comes."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has an alias (*), which is not allowed here")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """As the parent does, once the keys are looked at."""
        keys = [key.value for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.YAMLError(f"the key {twice!r} comes twice")
        return super().construct_mapping(node, deep)


def _read(file: Path) -> dict[str, Any]:
    check_file(file, _MOST_BYTES)
    try:
        found = yaml.load(file.read_text("utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        told = " ".join(str(error).split())
        raise StorageError(f"{file} cannot be read as YAML ({told}): mend it.") from error
    if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
        raise StorageError(f"Expected {file} to hold `key: value` lines, such as `target: y`.")
    return dict(found)


def _in_the_plural(found: dict[str, Any]) -> dict[str, Any]:
    both = [f"`{one}` and `{several}` are the same: give one of them." for one, several in _SEVERAL.items()
            if one in found and several in found]  # fmt: skip
    raise_problems(both, ParameterError)
    return {_SEVERAL.get(key, key): value for key, value in found.items()}


def _unknown(key: str, known: list[str]) -> str:
    if key in _COMMAND:
        return f"`{key}` cannot stand in the file, which says what to measure: give --{key} on the command line."
    return f"Unknown key {key!r}: {nearest(key, known)}"


def _name_problems(what: str, names: Any, known: Iterable[str] | None) -> Iterator[str]:
    if not isinstance(names, tuple) or not 0 < len(names) <= _MOST_NAMES or not all(isinstance(n, str) for n in names):
        yield _expected(f"{what}s", f"a list of 1 to {_MOST_NAMES} names", names)
        return
    yield from (f"The {what} {name!r} comes twice." for name in dict.fromkeys(names) if names.count(name) > 1)
    if known is not None:
        yield from (f"Unknown {what} {name!r}: {nearest(name, known)}" for name in names if name not in known)


def _expected(key: str, what: str, value: Any) -> str:
    return f"Expected `{key}` to be {what}, got {value!r:.100}."


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
