"""The cells of a study: independent jobs, timed, and kept as they finish, so that a killed study goes on."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import inspect
import json
import os
import platform
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import joblib
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.sparse import issparse

from synthaug.errors import ParameterError, heard, tell
from synthaug.files import locked, read_json, sweep, write_json
from synthaug.fingerprint import fingerprint, row_hashes
from synthaug.schema import plain

__all__ = ["attempt", "describe", "digest", "identity", "measured", "run_cells", "versions"]

_PACKAGES = ["synthaug", "imbalanced-learn", "numpy", "pandas", "pytorch-lightning", "scikit-learn", "scipy", "torch"]
_FORMAT = 2  # of the files in a store
_PAUSE = 0.005  # seconds between two looks at the memory
_PATIENCE = 3.0  # seconds before a progress bar appears
_NOT_THE_USERS = (
    str(Path(__file__).parents[1]),
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
)
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def run_cells(
    work: Callable[[Any], dict[str, Any]],
    cells: list[Any],
    *,
    key: Callable[[Any], Any],
    store: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
    progress: bool | None = None,
) -> list[dict[str, Any]]:
    """The results of `work(cell)` for all cells, in their order.

    With a `store`, each result becomes a file there when it is finished, written whole or not at all, and cells whose
    file is there are not computed again. One process at a time uses a store; others wait.

    A `SynthaugWarning` of a cell is kept with its result and shown once for all cells, in whatever process they ran.

    Args:
        work: Makes plain values that JSON can hold out of a cell. What it raises ends the study.
        cells: What to do.
        key: All that a result depends on (see `identity`), for the name of its file.
        store: A folder, made where it is missing; None keeps nothing.
        n_jobs: How many run at once, as joblib counts.
        progress: Whether to show a bar; None shows one on a terminal when it takes more than 3 seconds.

    Raises:
        StorageError: the store cannot be written to, or a file in it is damaged.
        ParameterError: something in `key` that cannot be known again.

    >>> run_cells(lambda cell: {"double": 2 * cell}, [1, 2], key=identity)
    [{'double': 2}, {'double': 4}]
    """
    with _opened(store) as folder:
        files = [None if folder is None else folder / f"{digest([_FORMAT, key(cell)])}.json" for cell in cells]
        missing = [i for i, file in enumerate(files) if file is None or not file.exists()]
        jobs = (delayed(_kept)(files[i], work, cells[i]) for i in missing)
        results = Parallel(n_jobs=n_jobs, return_as="generator")(jobs)
        found = dict(zip(missing, _shown(results, len(missing), progress), strict=True))
        whole = [found[i] if i in found or file is None else read_json(file) for i, file in enumerate(files)]
    tell((text for result in whole for text in result.pop("warnings")), stacklevel=3)
    return whole


@contextmanager
def _opened(store: str | os.PathLike[str] | None) -> Iterator[Path | None]:
    if store is None:
        yield None
        return
    folder = Path(store)
    if folder.exists() and not folder.is_dir():
        raise ParameterError(f"Expected `store` to be a folder, got the file {folder}: choose another.")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        sweep(folder)
        yield folder


def _kept(file: Path | None, work: Callable[[Any], dict[str, Any]], cell: Any) -> dict[str, Any]:
    """A result as JSON gives it back, so that it is the same whether it was kept or just made."""
    with heard() as told:
        result = work(cell)
    result = json.loads(json.dumps({**result, "warnings": told}, allow_nan=False))
    if file is not None:
        write_json(file, result)
    return result


def _shown(results: Iterable[Any], total: int, progress: bool | None) -> Iterator[Any]:
    """Pass results on, and say on the terminal how many there were."""
    if progress is False or (progress is None and not sys.stderr.isatty()):
        yield from results
        return
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task("comparing", total=total)
    timer = threading.Timer(0.0 if progress else _PATIENCE, bar.start)
    timer.start()
    try:
        for result in results:
            bar.advance(task)
            yield result
    finally:
        timer.cancel()
        timer.join()
        bar.stop()


def attempt(function: Callable[..., Any], *args: Any) -> tuple[str | None, Any]:
    """What went wrong, if anything, and what came out: code of the user's shall not end a study.

    >>> attempt(int, "3"), attempt(int, "three")[0]
    ((None, 3), "ValueError: invalid literal for int() with base 10: 'three'")
    """
    try:
        return None, function(*args)
    except Exception as error:
        return f"{type(error).__name__}: {error}{_place_of(error)}", None


def _place_of(error: Exception) -> str:
    """The last line of the user's own code that an error came through, if any."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_NOT_THE_USERS) and ".pyx" not in frame.filename]
    return f" (in {own[-1].name}, {Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def measured(function: Callable[..., Any], *args: Any) -> tuple[Any, float, Any]:
    """What a function returns, the seconds it took, and by how many MB the memory of this process grew meanwhile.

    The memory is read off the operating system every 5 ms, and is that of all threads; what the process had to spare
    from earlier work does not count. None where the system does not tell (other than Linux).

    >>> measured(max, 1, 2)[0]
    2
    """
    before = peak = _resident()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(_PAUSE):
            peak = max(peak, _resident())

    watcher = threading.Thread(target=watch, daemon=True)
    if before:
        watcher.start()
    start = time.perf_counter()
    try:
        result = function(*args)
        seconds = time.perf_counter() - start
        peak = max(peak, _resident())
    finally:
        done.set()
    if not before:
        return result, seconds, None
    watcher.join()
    return result, seconds, (peak - before) / 2**20


def _resident() -> int:
    """The bytes of memory that this process holds; 0 if unknown."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 (read some hundred times a second)
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


@functools.cache
def versions() -> Mapping[str, str]:
    """Of Python and of the packages that results depend on.

    >>> "numpy" in versions()
    True
    """
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return MappingProxyType({"python": platform.python_version(), **found})


def describe(X: Any, y: pd.Series) -> dict[str, Any]:
    """What a comparison says of its data: `fingerprint`, `n`, `columns` (names) and `classes` (label to count).

    The fingerprint is empty where values cannot be hashed, such as text with half a surrogate pair.

    >>> found = describe(pd.DataFrame({"age": [30, 40, 50]}), pd.Series(["a", "b", "a"]))
    >>> found["n"], found["columns"], found["classes"]
    (3, ['age'], {'a': 2, 'b': 1})
    """
    names = X.columns if isinstance(X, pd.DataFrame) else range(X.shape[1] if X.ndim > 1 else 1)
    counts = y.value_counts().sort_index()
    problem, known = attempt(joblib.hash, X) if issparse(X) else attempt(fingerprint, X, y)
    return {
        "fingerprint": "" if problem else known,
        "n": len(y),
        "columns": [str(name) for name in names],
        "classes": {str(label): int(n) for label, n in counts.items()},
    }


def identity(value: Any) -> Any:
    """Plain values that are the same for objects that do the same, in every process; a `random_state` is left out.

    Parameters and attributes are told apart however deep, functions and classes by their names, source and closure.
    What these call in turn is not looked at.

    Raises:
        ParameterError: an object that cannot be told from another of its kind.

    >>> from sklearn.linear_model import LogisticRegression
    >>> identity(LogisticRegression(C=2)) == identity(LogisticRegression(C=2.5))
    False
    """
    return _identity(value, ())


def _identity(value: Any, above: tuple[int, ...]) -> Any:
    value = plain(value)
    if isinstance(value, _PLAIN):
        return repr(value)
    if id(value) in above:
        return "an object around it"

    def inner(part: Any) -> Any:
        return _identity(part, (*above, id(value)))

    if isinstance(value, Mapping):
        return [[inner(name), inner(part)] for name, part in value.items()]
    if isinstance(value, list | tuple):
        return [inner(part) for part in value]
    if isinstance(value, set | frozenset):
        return sorted(json.dumps(inner(part)) for part in value)
    if isinstance(value, functools.partial):
        return ["partial", inner(value.func), inner(value.args), inner(value.keywords)]
    if inspect.ismethod(value):
        return [inner(value.__self__), value.__name__]
    if inspect.isclass(value) or inspect.isroutine(value):
        cells = [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
        return [value.__module__, value.__qualname__, _source(cast(Any, value)), inner(cells)]
    return [inner(type(value)), _content(value, inner)]


def _content(value: Any, inner: Callable[[Any], Any]) -> Any:
    """What an object holds."""
    if isinstance(value, pd.DataFrame | pd.Series):
        frame = pd.DataFrame(value)
        problem, hashes = attempt(row_hashes, frame)
        if problem is None:
            return [_sha(hashes), [[str(name), str(dtype)] for name, dtype in frame.dtypes.items()]]
    elif hasattr(value, "__array__") or hasattr(value, "__array_interface__"):  # the latter of PIL images
        array = np.asarray(value.detach() if hasattr(value, "detach") else value)
        if array.dtype != object:
            return [str(array.dtype), array.shape, _sha(array)]
        return inner(array.tolist())
    elif hasattr(value, "get_params"):
        return inner({k: v for k, v in value.get_params(deep=False).items() if k != "random_state"})
    elif hasattr(value, "__dict__"):
        return inner(vars(value))
    else:
        problem, found = attempt(joblib.hash, value)
        if problem is None:
            return found
    raise ParameterError(
        f"{value!r} cannot be known again in the `store` ({problem}): use another object, or leave `store` out."
    )


@functools.lru_cache(maxsize=1024)
def _source(code: Any) -> str:
    """The text of a function or class; empty where there is none (what is built in, or typed at a prompt)."""
    problem, source = attempt(inspect.getsource, code)
    return "" if problem else source


def _sha(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def digest(key: Any) -> str:
    """A short name for plain values.

    >>> digest(["a", 1])
    '2657442bb4a48d62f780ea60395ef2d2'
    """
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
