import os
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer, recall_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from synthaug.errors import ParameterError, StorageError, SynthaugWarning
from synthaug.evaluate import studies
from synthaug.evaluate.adapters import ClassWeight
from synthaug.evaluate.baselines import Duplicate, Jitter
from synthaug.evaluate.comparison import compare
from synthaug.evaluate.results import Comparison
from synthaug.evaluate.studies import describe, digest, identity, measured, run_cells

X, Y = make_classification(120, weights=[0.8], random_state=0)
ARMS = {"dup": Duplicate(), "weights": ClassWeight(), "jitter": Jitter()}
MODELS = {"lr": LogisticRegression(), "nb": GaussianNB()}


class Odd(Duplicate):
    """Warns in every fold, and of another number in each."""

    def _sample(self, frame, y, label, n, rng):
        warnings.warn(f"The column 'id' is odd in {int(frame.iloc[0, 0] * 1000)} ways.", SynthaugWarning, stacklevel=1)
        return super()._sample(frame, y, label, n, rng)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_warning_of_the_cells_is_shown_once(tmp_path, n_jobs):
    arms = {"odd": Odd()}
    for _ in range(2):  # the second time from the store
        with pytest.warns(SynthaugWarning) as caught:
            study(tmp_path, arms=arms, n_jobs=n_jobs)
        assert len(caught) == 1
        assert str(caught[0].message).startswith("The column 'id' is odd in ")
        assert caught[0].filename == __file__


def study(store, **changes):
    settings = {"arms": ARMS, "estimator": MODELS, "X": X, "y": Y, "cv": 3, "random_state": 0, "store": store}
    return compare(**{**settings, **changes})


class Counting(GaussianNB):
    """Notes every fit as a file, so that fits in other processes count, too."""

    def __init__(self, folder=None):
        super().__init__()
        self.folder = folder

    def fit(self, X, y):
        (Path(self.folder) / f"{os.getpid()}-{time.monotonic_ns()}").touch()
        return super().fit(X, y)


def test_finished_cells_are_not_computed_again(tmp_path):
    counted = tmp_path / "counted"
    counted.mkdir()
    model = Counting(str(counted))
    first = study(tmp_path / "store", estimator=model)
    n_fits = len(list(counted.iterdir()))
    assert n_fits == 4 * 3 - 3  # the weights do not apply
    again = study(tmp_path / "store", estimator=model, n_jobs=2)
    assert len(list(counted.iterdir())) == n_fits
    assert first.to_dict() == again.to_dict()
    study(tmp_path / "store", estimator=model, arms={**ARMS, "more": Jitter(sigma=1.0)})
    assert len(list(counted.iterdir())) == n_fits + 3


@pytest.mark.parametrize(
    "changes",
    [
        {"X": X + 1e-9},
        {"y": 1 - Y},
        {"random_state": 1},
        {"scoring": "f1"},
        {"estimator": {"lr": LogisticRegression(C=2), "nb": GaussianNB()}},
        {"estimator": {"a": LogisticRegression(), "nb": GaussianNB()}},
        {"cv": [(np.arange(80), np.arange(80, 120))] * 3},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_whatever_a_cell_depends_on_makes_it_another(tmp_path, changes):
    study(tmp_path)
    n_cells = len(list(tmp_path.glob("*.json")))
    assert n_cells == 12
    study(tmp_path, **changes)
    assert len(list(tmp_path.glob("*.json"))) == 2 * n_cells


def test_an_arm_may_be_renamed(tmp_path):
    study(tmp_path)
    found = study(tmp_path, arms={"repeated": Duplicate(random_state=7)})
    assert len(list(tmp_path.glob("*.json"))) == 12
    assert found.arms == ("real", "repeated")


def slow_study(store, n_jobs=1):
    arms = {"dup": Duplicate(), "jitter": Jitter()}
    return compare(arms, RandomForestClassifier(20), X, Y, cv=5, random_state=0, store=store, n_jobs=n_jobs)


def start(code, *arguments, **settings):
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_studies as t; {code}"
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], start_new_session=True, **settings)


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_killed_study_goes_on_and_ends_in_the_same_bytes(tmp_path, n_jobs):
    store = tmp_path / "store"
    store.mkdir()
    with start(f"t.slow_study(sys.argv[1], {n_jobs})", store) as process:
        while len(list(store.glob("*.json"))) < 4:
            assert process.poll() is None
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
    kept = {file: file.stat().st_mtime_ns for file in store.glob("*.json")}
    assert 4 <= len(kept) < 15
    for name in ("resumed", "again"):
        slow_study(store, n_jobs).to_json(tmp_path / name)
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "again").read_bytes()
    assert all(file.stat().st_mtime_ns == was for file, was in kept.items())
    assert sorted(path.suffix for path in store.iterdir()) == [""] + [".json"] * 15  # the lock, and no leftovers
    resumed, whole = Comparison.from_json(tmp_path / "resumed").to_dict(), slow_study(None).to_dict()
    for found in (resumed, whole):
        found["scores"] = [row[:5] for row in found["scores"]]  # without what is measured anew, seconds and memory
    assert resumed == whole


def test_a_damaged_cell_is_refused(tmp_path):
    study(tmp_path)
    file = sorted(tmp_path.glob("*.json"))[0]
    file.write_text(file.read_text()[:-9])
    with pytest.raises(StorageError, match="is not a whole JSON object"):
        study(tmp_path)


def test_a_store_wants_a_seed_and_a_folder(tmp_path):
    with pytest.raises(ParameterError) as caught:
        study(tmp_path, random_state=None)
    assert str(caught.value) == (
        "Expected a `random_state` beside `store`, got None: a study goes on only with the seed that it began with."
    )
    (tmp_path / "file").touch()
    with pytest.raises(ParameterError, match="Expected `store` to be a folder, got the file"):
        study(tmp_path / "file")


def test_two_studies_with_one_store_take_turns(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(study, [tmp_path, tmp_path])
    assert first.to_dict() == second.to_dict()
    assert len(list(tmp_path.glob("*.json"))) == 12


def scored(model, X, y):
    return 0.5


def other(model, X, y):
    return 0.5


class Holder:
    def __init__(self, value):
        self.value = value


def closing_over(value):
    return lambda: value


DIFFERENT = [
    1, 1.0, True, "1", None, (1, 2), {1, 2}, {"a": 1}, {"a": 2}, scored, other, partial(scored, 1), partial(scored, 2),
    closing_over(1), closing_over(2), Holder(1), Holder(2), Holder(Holder(1)), Holder,
    np.arange(3), np.arange(3.0), np.arange(4), np.array(["a", None], object), pd.Series([0, 1]),
    pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]}), pd.DataFrame({"a": ["1"]}), pd.DataFrame({"a": [1.0]}),
    LogisticRegression(), LogisticRegression(C=2), make_pipeline(StandardScaler(), LogisticRegression()),
    make_pipeline(StandardScaler(), LogisticRegression(C=2)), RandomForestClassifier(3), ClassWeight(),
    make_scorer(recall_score, pos_label=0), make_scorer(recall_score, pos_label=1), Holder(1).__init__,
]  # fmt: skip


def test_different_things_have_different_identities():
    named = {}
    for thing in DIFFERENT:
        named.setdefault(digest(identity(thing)), []).append(thing)
    assert [things for things in named.values() if len(things) > 1] == []


def test_the_same_things_have_the_same_identity_in_every_process():
    settings = {"env": {**os.environ, "PYTHONHASHSEED": "7"}, "stdout": subprocess.PIPE, "text": True}
    with start("print(*map(t.digest, map(t.identity, t.DIFFERENT)))", **settings) as process:
        assert process.communicate()[0].split() == [digest(identity(thing)) for thing in DIFFERENT]
    assert identity(RandomForestClassifier(random_state=1)) == identity(RandomForestClassifier(random_state=2))


def test_what_cannot_be_known_again_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="cannot be known again in the `store`"):
        identity(Holder(x for x in ()))
    broken = pd.DataFrame({"a": pd.Series(["\ud800"], dtype=object)})
    with pytest.raises(ParameterError, match="cannot be known again in the `store` .UnicodeEncodeError"):
        identity(broken)
    assert describe(broken, pd.Series([0]))["fingerprint"] == ""
    ring = Holder(None)
    ring.value = ring
    assert identity(ring) == identity(ring)


def held(n_megabytes):
    """The sum of an array that is held for long enough to be seen on a busy machine."""
    array = np.ones(n_megabytes * 2**17)
    time.sleep(0.3)
    return array.sum()


def test_memory_is_measured():
    """In a process of its own, which has none to spare from earlier work."""
    with start(
        "print(*t.measured(t.held, 40), t.measured(max, 1, 2)[2])", stdout=subprocess.PIPE, text=True
    ) as process:
        result, seconds, *peaks = process.communicate()[0].split()
    assert float(result) == 40 * 2**17
    assert float(seconds) >= 0.3
    if sys.platform == "linux":
        assert 35 < float(peaks[0]) < 60
        assert float(peaks[1]) < 5


def test_memory_is_none_where_it_cannot_be_measured(monkeypatch):
    monkeypatch.setattr(studies, "_resident", lambda: 0)
    assert measured(lambda: 3)[2] is None
    found = study(None)
    assert found.costs()["peak_mb"].isna().tolist() == [False, True, False, True]
    assert Comparison.from_dict(found.to_dict()).scores.equals(found.scores)


class Terminal:
    """A stderr that says it is a terminal."""

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


@pytest.mark.parametrize(("progress", "patience", "shown"), [(None, 60, False), (None, 0.1, True), (False, 0.1, False)])
def test_a_bar_is_shown_on_a_terminal_when_it_takes_long(monkeypatch, progress, patience, shown):
    monkeypatch.setattr(studies, "_PATIENCE", patience)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    run_cells(lambda cell: time.sleep(0.3) or {}, [1, 2], key=identity, progress=progress)
    assert ("comparing" in terminal.text) == shown


def test_a_bar_is_not_shown_elsewhere(capsys):
    run_cells(lambda cell: {}, [1], key=identity)
    assert capsys.readouterr().err == ""
