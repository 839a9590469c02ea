"""The command line: `synthaug augment | fit | sample | inspect | compare | report | demo`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

    from synthaug.config import StudyConfig
    from synthaug.evaluate.comparison import Comparison
    from synthaug.mix.grow import Growth
    from synthaug.synthesizer import Synthesizer
    from synthaug.tables import CsvForm

__all__ = ["app", "main"]

MOST_SHARE = 10.0  # beyond it, a share is more likely a number of rows written with a point
MODEL, POOL = "synthesizer.json", "_manifest.json"  # the files by which folders of ours are known
PAGE, COMPARISON, GAINS = "index.html", "comparison.json", "gains.csv"
_FOR_PYTHON = (
    re.compile(r"Keep them with `TableCodec\(identifiers.*?'category'\}\)`\."),
    re.compile(r"Convert them, for .*$"),
)
_KEEP_THEM, _DROP_THEM = "Keep them with --keep-identifiers.", "Drop them from the table."
_EMPTY_CELLS = "If they are numbers, leave the cells that hold none empty in the file."
_OR_LABELS = "a number or label=number,..."
_PAIR = re.compile(r"(.*?)=([^=,]*)(?:,|$)", re.DOTALL)  # a label may hold commas and equals signs

app = typer.Typer(
    name="synthaug",
    help="Make more training data out of the data you have, and learn honestly whether it helps.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Table = Annotated[Path, typer.Argument(help="The table: .csv, .csv.gz, .tsv or .parquet, training rows only.")]
Target = Annotated[str, typer.Option("--target", "-t", help="The column that holds the class.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Where to write.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the output if it exists.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same rows.")]
Model = Annotated[str, typer.Option("--generator", "-g", help="vae or gan.")]
PerClass = Annotated[bool, typer.Option("--per-class", help="Train one network a class.")]
Separator = Annotated[
    str | None,
    typer.Option("--sep", help="What separates the cells of a CSV file, such as ';'; by default ',' (.tsv: a tab)."),
]
Decimal = Annotated[str, typer.Option("--decimal", help="The decimal mark of a CSV file, '.' or ','.")]
Encoding = Annotated[str, typer.Option("--encoding", help="How the text of a CSV file is encoded, such as latin-1.")]
Identifiers = Annotated[
    bool, typer.Option("--keep-identifiers", help="Learn also text columns in which hardly a value repeats, as levels.")
]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Training batches; chosen from the data by default.")]


def _version(show: bool) -> None:
    if show:
        from synthaug import __version__

        typer.echo(f"synthaug {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Make more training data out of the data you have, and learn honestly whether it helps."""


@app.command()
def augment(
    table: Table,
    target: Target,
    output: Output,
    amount: Annotated[
        str | None,
        typer.Option(help="Rows to add: a number, a share (0.5) or label=number,... By default, balance."),
    ] = None,
    flag: Annotated[str | None, typer.Option(help="Add a column of this name that is true for generated rows.")] = None,
    select: Annotated[bool, typer.Option("--select", help="Keep only rows that pass Agreement and Distance.")] = False,
    generator: Model = "vae",
    per_class: PerClass = False,
    keep_identifiers: Identifiers = False,
    sep: Separator = None,
    decimal: Decimal = ".",
    encoding: Encoding = "utf-8",
    steps: Steps = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Append generated rows to a table; the rows you have come first, untouched."""
    with _errors():
        from synthaug.tables import TABLES, find_column, read_table, write_table

        _free(output, force, TABLES)
        from synthaug.augmenting import NOTHING_ADDED
        from synthaug.errors import tell
        from synthaug.mix.frame import grow_frame
        from synthaug.selection import Agreement, Distance

        read = read_table(table, form=_form(sep, decimal, encoding))
        df = read.frame

        column = find_column(df, target)
        labels = df[column]
        grown, growth = grow_frame(
            df,
            column,
            amount=_amount(amount, labels),
            synthesizer=_synthesizer(generator, per_class, steps, seed, keep_identifiers),
            criteria=(Agreement(), Distance()) if select else (),
            flag=flag,
            random_state=seed,
        )
        if growth is None and amount is None:
            tell([NOTHING_ADDED])
        write_table(grown, output, above=read)
        added = grown[column].iloc[len(df) :].value_counts(sort=False)
        shares = ", ".join(f"{label}: {n}" for label, n in added.items() if n)
        made = f"{len(grown) - len(df)} generated{f' ({shares})' if shares else ''}"
        typer.echo(f"{output}: {len(df)} rows as they were, {made}.")
        if select and growth is not None:
            typer.echo(_about_selection(growth))
        typer.echo("Whether they help is measured, not assumed: see `synthaug compare`.")


@app.command()
def fit(
    table: Table,
    target: Target,
    output: Output,
    generator: Model = "vae",
    per_class: PerClass = False,
    keep_identifiers: Identifiers = False,
    sep: Separator = None,
    decimal: Decimal = ".",
    encoding: Encoding = "utf-8",
    steps: Steps = None,
    seed: Seed = 0,
    force: Force = False,
    checkpoint: Annotated[Path | None, typer.Option(help="A folder from which an interrupted fit goes on.")] = None,
) -> None:
    """Learn a table and save the synthesizer in a folder."""
    with _errors():
        _free(output, force, MODEL)
        from synthaug.errors import listed, tell
        from synthaug.tables import find_column, read_table

        read = read_table(table, form=_form(sep, decimal, encoding))
        df = read.frame
        if read.days:
            days = listed(list(read.days))
            tell([f"The columns {days} hold dates: `synthaug sample` gives them a time, 00:00, in .parquet files."])

        column = find_column(df, target)
        synthesizer = _synthesizer(generator, per_class, steps, seed, keep_identifiers)
        synthesizer.fit(df.drop(columns=[column]), df[column], checkpoint=checkpoint)
        synthesizer.save(output, overwrite=force)
        typer.echo(f"{output}: learned {len(df)} rows of {len(synthesizer.classes_)} classes.")


@app.command()
def sample(
    model: Annotated[Path, typer.Argument(help="A folder written by `synthaug fit`.")],
    output: Output,
    counts: Annotated[str, typer.Option("--counts", "-n", help="Rows in all (1000), or label=number,...")],
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Draw rows: into a .csv, .csv.gz, .tsv or .parquet file, or into a pool, a folder with a name without a point."""
    with _errors():
        from synthaug.tables import TABLES, write_table

        _free(output, force, TABLES if output.suffix else POOL)
        from synthaug.synthesizer import Synthesizer

        synthesizer = Synthesizer.load(model)
        wanted = _counts(counts, synthesizer.labels_.classes)
        if output.suffix:
            write_table(synthesizer.sample(wanted, random_state=seed).to_dataframe(), output)
        else:
            _fill_pool(synthesizer, wanted, output, seed, force)
        rows = sum(wanted.values()) if isinstance(wanted, dict) else wanted
        typer.echo(f"{output}: {'' if output.suffix else 'a pool of '}{rows} rows.")


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A synthesizer or a pool: a folder that synthaug wrote.")],
) -> None:
    """Tell what a synthesizer or a pool is made of; checks every checksum."""
    with _errors():
        from synthaug.errors import StorageError
        from synthaug.synthesizer import Synthesizer

        if (path / MODEL).exists():
            _show(_about_synthesizer(Synthesizer.load(path)))
        elif (path / POOL).exists():
            _show(_about_pool(path))
        else:
            raise StorageError(f"{path} holds neither a synthesizer ({MODEL}) nor a pool ({POOL}).")


@app.command()
def compare(
    table: Table,
    output: Output,
    target: Annotated[str | None, typer.Option("--target", "-t", help="The column that holds the class.")] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file with what is not given here.")] = None,
    arm: Annotated[
        list[str] | None, typer.Option("--arm", "--arms", help="vae, smote, ...; again for each. All but gan.")
    ] = None,
    estimator: Annotated[
        list[str] | None, typer.Option("--estimator", "--estimators", help="logistic, forest, ...; again for each.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", "--metrics", help="balanced_accuracy, roc_auc, ...; again for each.")
    ] = None,
    amount: Annotated[str | None, typer.Option(help="Rows to add: a number or a share (0.5).")] = None,
    folds: Annotated[int | None, typer.Option(help="Stratified folds; 5 folds twice by default.")] = None,
    groups: Annotated[str | None, typer.Option(help="A column whose equal values stay together.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same study; 0 by default.")] = None,
    title: Annotated[str | None, typer.Option(help="The line above the verdict.")] = None,
    fidelity: Annotated[
        bool, typer.Option("--fidelity", help="Also compare generated rows with the real ones.")
    ] = False,
    privacy: Annotated[bool, typer.Option("--privacy", help="Also measure what generated rows give away.")] = False,
    store: Annotated[Path | None, typer.Option(help="A folder from which an interrupted study goes on.")] = None,
    jobs: Annotated[int, typer.Option(help="How many cells run at once; -1 is one a core.")] = -1,
    sep: Separator = None,
    decimal: Decimal = ".",
    encoding: Encoding = "utf-8",
    force: Force = False,
) -> None:
    """Measure what each way to enlarge a training set adds, and write a report into a folder."""
    with _errors(_DROP_THEM):
        _free(output, force, COMPARISON)
        from synthaug.config import StudyConfig, measure
        from synthaug.tables import read_table

        given = {"target": target, "arms": arm, "estimators": estimator, "metrics": metric, "folds": folds}
        size = None if amount is None else _size(amount, "a number of rows or a share such as 0.5")
        more = {"groups": groups, "seed": seed, "title": title, "fidelity": fidelity, "privacy": privacy}
        study = StudyConfig.of(config, **given, amount=size, **more)
        df = read_table(table, form=_form(sep, decimal, encoding)).frame
        found = measure(study, df, store=store, n_jobs=jobs)
        _write_study(study, df, found, output, force, table.name)
        typer.echo(found.to_markdown())
        typer.echo(f"\nThe page is {output / PAGE}; beside it are {COMPARISON} and {GAINS}.")
        failed = ", ".join(map(repr, found.failures["arm"].unique()))
    if failed:
        typer.secho(f"Error: {failed} failed in some cells: see above.", fg=typer.colors.RED, err=True)
        raise typer.Exit(1)


@app.command()
def report(
    comparison: Annotated[Path, typer.Argument(help="A comparison.json that `synthaug compare` wrote.")],
    output: Output,
    title: Annotated[str | None, typer.Option(help="The line above the verdict.")] = None,
    force: Force = False,
) -> None:
    """Make a page of a comparison that was measured before."""
    with _errors():
        _free(output, force, (".html",))
        from synthaug.evaluate.comparison import Comparison

        found = Comparison.from_json(comparison)
        found.to_html(output, title=title)
        typer.echo(f"{found.verdict()}\nThe page is {output}.")


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder for the report.")] = Path("demo"),
    seed: Seed = 0,
) -> None:
    """Augment a small, imbalanced real table and measure what it brings, beside SMOTE and plain duplication."""
    with _errors():
        from synthaug.demo import run

        run(output, seed=seed, echo=typer.echo)


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 1."""
    app()


@contextmanager
def _errors(identifiers: str = _KEEP_THEM) -> Iterator[None]:
    """Every error of ours, and of the file system, as one line; a mistake of ours keeps its traceback.

    `identifiers` is the advice about them, which the library gives for Python.
    """

    def told(text: object) -> str:
        return _FOR_PYTHON[1].sub(_EMPTY_CELLS, _FOR_PYTHON[0].sub(identifiers, str(text)))

    try:
        with _warnings(told):
            yield
    except Exception as error:
        from synthaug.errors import SynthaugError

        if not isinstance(error, SynthaugError | OSError):
            raise
        typer.secho(f"Error: {told(error)}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None


@contextmanager
def _warnings(told: Callable[[object], str]) -> Iterator[None]:
    """What the library warns of, as one line; other warnings as they are."""
    from synthaug.errors import SynthaugWarning

    def show(message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any) -> None:
        if issubclass(category, SynthaugWarning):
            typer.secho(f"Warning: {told(message)}", fg=typer.colors.YELLOW, err=True)
        else:
            show_others(message, category, *args, **kwargs)

    with warnings.catch_warnings():
        warnings.simplefilter("always", SynthaugWarning)
        show_others, warnings.showwarning = warnings.showwarning, show
        yield


def _free(path: Path, force: bool, kind: str | tuple[str, ...]) -> None:
    """Refuse an output that cannot be written, before any work is done.

    `kind` says what goes there: files with one of these endings, or a folder that holds a file of this name.
    """
    from synthaug.errors import FileExistsSynthaugError, StorageError

    if isinstance(kind, tuple) and not path.name.endswith(kind):
        endings = " or ".join(filter(None, [", ".join(kind[:-1]), kind[-1]]))
        raise StorageError(f"Expected an output that ends in {endings}, got {path}.")
    if not path.parent.is_dir():
        raise StorageError(f"There is no folder {path.parent}: make it first, or choose another output.")
    if path.exists() and not force:
        raise FileExistsSynthaugError(f"{path} exists: choose another output, or overwrite it with --force.")
    if path.exists() and not (path.is_file() if isinstance(kind, tuple) else (path / kind).exists()):
        raise FileExistsSynthaugError(f"{path} was not written by this command, and --force spares it: choose another.")


def _form(sep: str | None, decimal: str, encoding: str) -> CsvForm:
    from synthaug.tables import CsvForm

    return CsvForm(sep and sep.replace("\\t", "\t"), decimal, encoding)


def _synthesizer(generator: str, per_class: bool, steps: int | None, seed: int, keep_identifiers: bool) -> Synthesizer:
    from synthaug.codecs.tabular import TableCodec
    from synthaug.errors import ParameterError
    from synthaug.generators.gan import ConditionalGAN
    from synthaug.generators.vae import ConditionalVAE
    from synthaug.synthesizer import Synthesizer

    known: dict[str, Any] = {"vae": ConditionalVAE, "gan": ConditionalGAN}
    if generator not in known:
        raise ParameterError(f"Expected --generator to be vae or gan, got {generator!r}.")
    return Synthesizer(
        TableCodec(identifiers="keep" if keep_identifiers else "drop"),
        known[generator],
        per_class=per_class,
        max_steps=steps or "auto",
        random_state=seed,
    )


def _amount(text: str | None, labels: pd.Series) -> Any:
    if text is None:
        return None
    if "=" not in text:
        return _size(text, _OR_LABELS)
    from synthaug.labels import Labels

    return _counts(text, Labels.of(labels).classes)


def _size(text: str, kind: str) -> int | float:
    amount = _number(text, "--amount", kind)
    if isinstance(amount, float) and MOST_SHARE < amount < float("inf"):
        from synthaug.errors import ParameterError

        raise ParameterError(f"Expected --amount to be a whole number of rows or a share such as 0.5, got {text!r}.")
    return amount


def _counts(text: str, classes: Any) -> Any:
    """`1000`, or `label=number,...` with the labels as the table has them."""
    from synthaug.errors import ParameterError

    if "=" not in text:
        return _number(text, "--counts", _OR_LABELS)
    known = {str(label): label for label in classes}
    pairs = _PAIR.findall(text)
    if "".join(f"{label}={number}," for label, number in pairs) != text.removesuffix(",") + ",":
        raise ParameterError(f"Expected label=number,..., got {text!r}.")
    counts: dict[Any, int | float] = {}
    for label, number in pairs:
        if label not in known:
            raise ParameterError(f"Unknown label {label!r}: known are {', '.join(map(repr, known))}.")
        if known[label] in counts:
            raise ParameterError(f"The label {label!r} comes twice in {text!r}: give it one number.")
        counts[known[label]] = _number(number, f"the count for {label!r}")
    return counts


def _number(text: str, what: str, kind: str = "a number") -> int | float:
    from synthaug.errors import ParameterError

    try:
        return int(text) if text.strip().lstrip("-").isdigit() else float(text)
    except ValueError:
        raise ParameterError(f"Expected {what} to be {kind}, got {text!r}.") from None


def _about_selection(growth: Growth) -> str:
    """How many rows were dropped, and why."""
    counts = growth.rejected.groupby(["criterion", "reason"], sort=False, as_index=False)["rejected"].sum()
    why = [f"{n} for {reason} ({criterion})" for criterion, reason, n in counts.itertuples(index=False) if n]
    if counts["rejected"].sum() > growth.dropped:
        why.append("some for several reasons")
    told = f"{growth.drawn} rows were drawn to choose from, {growth.dropped} of them dropped"
    return f"{told}{': ' if why else ''}{', '.join(why)}."


def _fill_pool(synthesizer: Synthesizer, counts: Any, output: Path, seed: int, force: bool) -> None:
    """Shard by shard into a hidden folder, renamed when it is whole."""
    from synthaug.files import atomic_folder

    with atomic_folder(output, overwrite=force) as temporary:
        for part in synthesizer.stream(counts, random_state=seed):
            part.append(temporary)


def _about_synthesizer(synthesizer: Synthesizer) -> dict[str, Any]:
    from synthaug.records import tell_columns

    weights = sum(p.numel() for module in synthesizer.generators_ for p in module.parameters())
    return {
        "what": f"synthesizer, {type(synthesizer.generators_[0]).__name__}, "
        f"{'one network a class' if synthesizer.per_class else 'one network'}, {weights:,} weights",
        "classes": ", ".join(f"{label!r} ({n} rows)" for label, n in synthesizer.class_counts_.items()),
        "columns": tell_columns(synthesizer.sample(0).records),
        "seed": synthesizer.seed_,
        "training rows": f"fingerprint {synthesizer.fingerprint_}",
    }


def _about_pool(path: Path) -> dict[str, Any]:
    """Read shard by shard, so that a pool larger than memory can be inspected."""
    from collections import Counter

    from synthaug.pool import Pool
    from synthaug.records import describe, tell_columns

    counts: Counter[Any] = Counter()
    for pool in Pool.iter(path):
        counts.update(pool.counts())
    return {
        "what": f"pool of {counts.total()} generated {describe(pool.records, rows='rows')}",
        "classes": ", ".join(f"{label!r} ({n} rows)" for label, n in counts.items()),
        "columns": tell_columns(pool.records),
        **{
            f"source {i}": f"{s.name}, seed {s.seed}, training rows {s.fingerprint}" for i, s in enumerate(pool.sources)
        },
    }


def _write_study(study: StudyConfig, df: pd.DataFrame, found: Comparison, output: Path, force: bool, name: str) -> None:
    """The folder of a report, whole or not at all."""
    from synthaug.config import closer_look, examples
    from synthaug.evaluate.studies import attempt
    from synthaug.evaluate.wording import POOLED
    from synthaug.files import atomic_folder

    gains = found.gains()
    pooled = gains[(gains["estimator"] == POOLED) & (gains["metric"] == found.metrics[0])].dropna(subset="gain")
    best = str(pooled.sort_values("gain")["arm"].iloc[-1]) if len(pooled) else ""
    problem, rows = attempt(examples, study, df, best)
    if problem is not None:
        typer.echo(f"The page has no examples of rows: {problem}", err=True)
    shown = {best: rows} if problem is None and len(rows) else None
    looks = {}
    for arm in study.arms if study.fidelity or study.privacy else ():
        problem, looks[arm] = attempt(closer_look, study, df, arm)
        if problem is not None:
            typer.echo(f"The page has no closer look at {arm}: {problem}", err=True)
    true, safe = ({arm: look[i] for arm, look in looks.items() if look and look[i] is not None} for i in (0, 1))
    with atomic_folder(output, overwrite=force) as temporary:
        found.to_html(
            temporary / PAGE,
            title=study.title or f"Does it help on {name}?",
            examples=shown,
            fidelity=true or None,
            privacy=safe or None,
        )
        found.to_json(temporary / COMPARISON)
        gains.to_csv(temporary / GAINS, index=False)


def _show(facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        typer.echo(f"{name + ':':<15}{value}")
