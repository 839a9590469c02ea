"""Turn the figures in `results/` into PASS or FAIL, and into the tables of README.md and docs/.

    python benchmarks/check.py             one line a target; exit code 1 if any fails or was not measured
    python benchmarks/check.py --figures   exit code 1 if a table in a text is not that of the results
    python benchmarks/check.py --write     write those tables

A table stands in a text between the lines `<!-- bench:NAME -->` and `<!-- /bench -->`; the names are in `TABLES`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any, Literal

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SMALL = 200  # as in gain.py
IMAGE_ARMS = {
    "margin": "a margin in the loss, nothing generated",
    "copies_margin": "with it, the real images once more on top",
    "warp_margin": "with it, warps on top",
    "both_margin": "with it, warps and images of the VAE on top",
    "chosen": "chosen by inner splits, or nothing",
}


@cache
def results(name: str) -> dict[str, Any]:
    """The figures of one benchmark."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def _accuracy() -> dict[str, Any]:
    return results("gain_tabular")["metrics"]["balanced_accuracy"]


@dataclass(frozen=True)
class Target:
    """What a figure has to reach."""

    says: str
    figure: Callable[[], float]
    side: Literal[">=", "<="]
    bound: float

    def check(self) -> bool:
        """Print how it stands."""
        try:
            value = self.figure()
        except (FileNotFoundError, KeyError) as error:
            print(f"FAIL  {self.says}: not measured ({error})")
            return False
        passed = value >= self.bound if self.side == ">=" else value <= self.bound
        print(f"{'PASS' if passed else 'FAIL'}  {self.says}: {value:g}, expected {self.side} {self.bound:g}")
        return passed


def _slowest(arm: str) -> float:
    return max(results("speed")["fit_and_sample_seconds"][arm].values())


TARGETS = [
    Target("VAE over SMOTE, points", lambda: _accuracy()["versus_smote"]["vae"]["gain"], ">=", 0.7),
    Target("VAE over jitter, points", lambda: _accuracy()["versus_jitter"]["vae"]["gain"], ">=", 0.5),
    Target("VAE on its worst table, points", lambda: _accuracy()["worst_set"]["vae"]["gain"], ">=", -0.5),
    Target("GAN over SMOTE, points", lambda: _accuracy()["versus_smote"]["gan"]["gain"], ">=", 0.0),
    Target("VAE, failures", lambda: results("gain_tabular")["failures"]["vae"], "<=", 0),
    Target("GAN, failures", lambda: results("gain_tabular")["failures"]["gan"], "<=", 0),
    Target("VAE, fit on 100 rows and make 500, seconds", lambda: _slowest("vae"), "<=", 3),
    Target("the same, times faster than CTGAN", lambda: _times_faster_than_ctgan(), ">=", 10),
    Target("VAE, Adult-like rows sampled a second", lambda: results("speed")["sampled_rows_per_second"], ">=", 200_000),
    Target("memory that grows while a million rows are streamed, MB", lambda: _growth("streaming"), "<=", 100),
    Target(
        "peak memory with 50,000 rows of 10,000 levels, MB", lambda: results("speed")["levels"]["peak_mb"], "<=", 2000
    ),
    Target("choosing over the best single candidate, points", lambda: _chosen_over_best(), ">=", 0.0),
    Target("choosing on its worst table, points", lambda: results("choosing")["worst"]["gain"], ">=", -0.3),
    Target("noise that is left alone, share", lambda: results("choosing")["noise"]["none"], ">=", 0.95),
    Target("a study of 8 arms, 5 classifiers, 10 splits, seconds", lambda: results("study")["seconds"], "<=", 240),
    Target("its torch-free arms, seconds", lambda: results("study")["torch_free_seconds"], "<=", 60),
    Target("what the harness adds to the fits, share", lambda: results("study")["overhead"], "<=", 0.05),
    Target("images: chosen over balanced sampling, points", lambda: _images()["all"]["gain"], ">=", 1.0),
    Target("the same, lower end of its interval", lambda: _images()["all"]["low"], ">=", 0.0),
    Target(
        "the same on its worst long tail, points", lambda: min(one["gain"] for one in _images().values()), ">=", -0.3
    ),
    Target("the same, recall of rare classes, points", lambda: _images("rare_recall")["all"]["gain"], ">=", 2.0),
    Target("images: chosen over nothing, 10 to 50 a class, points", lambda: _few_images("chosen"), ">=", 3.0),
    Target("images: noise that is left alone, share", lambda: _noise_left_alone(), ">=", 0.95),
    Target("what mixing adds to an item, share", lambda: max(results("mixing")["overhead"].values()), "<=", 0.05),
    Target("a million images, read shuffled, a second", lambda: _large_pool("read_a_second"), ">=", 50_000),
    Target("the same, memory that grows, MB", lambda: _large_pool("growth_mb"), "<=", 100),
    Target("VAE of images, 2,000 steps, seconds", lambda: results("image_costs")["vae_fit_seconds"], "<=", 240),
    Target("GAN of images, 3,000 steps, seconds", lambda: results("image_costs")["gan_fit_seconds"], "<=", 1200),
    Target("VAE of images told from real by sharpness alone, worst set, %", lambda: _told(), "<=", 60),
    Target("images drawn a second", lambda: results("image_costs")["vae_sampled_a_second"], ">=", 3000),
    Target("Adult, fit, seconds", lambda: results("adult")["fit_seconds"], "<=", 120),
    Target("Adult, VAE over CTGAN in place of real rows, points", lambda: _adult_over_ctgan(), ">=", 0),
]


def _small_network() -> dict[str, Any]:
    return results("gain_images")["networks"]["cnn"]


def _choice() -> dict[str, Any]:
    """The same, of what is chosen and its rivals alone, with more seeds."""
    return results("gain_images_chosen")["networks"]["cnn"]


def _images(metric: str = "balanced_accuracy") -> dict[str, Any]:
    return _choice()["over_balanced"][metric]["chosen"]


def _noise_left_alone() -> float:
    """Over all settings."""
    return round(mean(results("gain_images_chosen")["noise_left_alone"].values()), 3)


def _few_images(arm: str) -> float:
    """Every set counts once, however many of its settings were measured."""
    by_set: dict[str, list[float]] = {}
    for setting, found in _choice()["over_real"]["balanced_accuracy"][arm].items():
        if setting != "all" and 10 <= int(setting.split(":")[1]) <= 50:
            by_set.setdefault(setting.split()[0], []).append(found["gain"])
    return round(mean(map(mean, by_set.values())), 2)


def _told() -> float:
    found = results("image_quality")
    return max(
        found[name][by] for name in found["protocol"]["sets"] for by in ("told_by_sharpness", "told_by_two_numbers")
    )


def _large_pool(what: str) -> float:
    return results("mixing")["large_pool"][what]


def _growth(what: str) -> float:
    return results("speed")[what]["growth_mb"]


def _adult_over_ctgan() -> float:
    vae, ctgan = (results("adult")[arm]["balanced_accuracy"] for arm in ("vae", "ctgan"))
    return round(vae - ctgan, 2)


def _chosen_over_best() -> float:
    """Against the candidate that is best on average when always taken, known only afterwards."""
    gains = dict(results("choosing")["gain"])
    return round(gains.pop("chosen") - max(gains.values()), 3)


def _times_faster_than_ctgan() -> float:
    """On the table where the factor is smallest."""
    ours = results("speed")["fit_and_sample_seconds"]["vae"]
    theirs = {fit["set"]: fit["seconds"] for fit in results("peers")["fit_and_sample"] if fit["peer"] == "ctgan"}
    return min(theirs[name] / seconds for name, seconds in ours.items())


def _markdown(rows: list[list[str]]) -> str:
    rows = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _gains(by: str) -> str:
    """Arms by sizes, tables or classifiers."""
    table = _accuracy()[by]
    names = list(dict.fromkeys(name for row in table.values() for name in row))
    rows = [[arm, *(f"{row[name]:+.1f}" if name in row else "" for name in names)] for arm, row in table.items()]
    return _markdown([["", *names], *rows])


def _headline() -> str:
    """What is gained over the real rows, over SMOTE and over jitter."""
    table, protocol = _accuracy(), results("gain_tabular")["protocol"]
    versus = [name for name in ("versus_smote", "versus_jitter") if name in table]
    head = ["", "over the real rows alone", *(f"over {name.removeprefix('versus_')}" for name in versus), "worst table"]
    rows = [
        [
            arm,
            *(_interval(table[name].get(arm)) for name in ("overall", *versus)),
            "{gain:+.1f} ({set})".format(**worst),
        ]
        for arm, worst in table["worst_set"].items()
    ]
    sizes = [size for size in protocol["sizes"] if size <= SMALL]
    says = (
        f"Gain in points of balanced accuracy of {protocol['added_rows']} rows, evenly over the classes, on top of "
        f"{min(sizes)} to {max(sizes)} real rows: mean of {len(protocol['sets'])} tables, "
        f"{len(protocol['seeds'])} seeds and {len(protocol['classifiers'])} classifiers, with its 95% "
        "interval over tables."
    )
    return f"{says}\n\n{_markdown([head, *rows])}"


def _interval(found: dict[str, float] | None, *, bounds: bool = True) -> str:
    if found is None:
        return ""
    known = bounds and found["low"] is not None
    return f"{found['gain']:+.1f}" + (f" [{found['low']:.1f}, {found['high']:.1f}]" if known else "")


def _speed() -> str:
    table = results("speed")["fit_and_sample_seconds"]
    names = list(next(iter(table.values())))
    return _markdown(
        [["seconds", *names], *([arm, *(f"{row[name]:.2f}" for name in names)] for arm, row in table.items())]
    )


def _adult() -> str:
    found = results("adult")
    arms = {"real": "real rows", "vae": "VAE rows alone", "real_and_vae": "both", "ctgan": "CTGAN rows alone"}
    arms = {arm: says for arm, says in arms.items() if arm in found}
    rows = [[says, *(f"{found[arm][m]:.1f}" for m in ("balanced_accuracy", "f1_macro"))] for arm, says in arms.items()]
    return _markdown([["boosting learns from", "balanced accuracy", "macro-F1"], *rows])


def _choosing() -> str:
    found = results("choosing")
    says = {"chosen": "chosen by `AutoResampler`", **{arm: f"always {arm}" for arm in found["gain"] if arm != "chosen"}}
    rows = [
        [text, f"{found['gain'][arm]:+.1f}", f"{min(row[arm] for row in found['by_set'].values()):+.1f}"]
        for arm, text in says.items()
    ]
    noise = found["noise"]
    text = (
        f"On {noise['simulations']} tables with shuffled labels it left the data alone in {100 * noise['none']:.0f}%."
    )
    return f"{_markdown([['', 'gain, points of balanced accuracy', 'worst table'], *rows])}\n\n{text}"


def _gain_images() -> str:
    """Arms by long tails: gain over balanced sampling with classical augmentation."""
    found = _small_network()["over_balanced"]
    says = (
        "Gain in points of balanced accuracy over classical augmentation with balanced sampling, whose own score is in "
        "the first row; images of a common and of a rare class; with 95% intervals over seeds, and over long tails in "
        "the last three columns: of all classes, of the recall of the rare ones, and of all with a residual network."
    )
    deeper = results("gain_images")["networks"]["resnet"]["over_balanced"]["balanced_accuracy"]
    more = {
        "rare classes": {arm: _interval(one["all"]) for arm, one in found["rare_recall"].items()},
        "deeper network": {arm: _interval(one["all"]) for arm, one in deeper.items()},
    }
    arms = [arm for arm in found["balanced_accuracy"] if arm != "chosen"]
    return f"{says}\n\n{_markdown(_by_setting(_small_network(), 'balanced', more, arms=arms))}"


def _headline_images() -> str:
    """What is gained on long tails."""
    gains = _choice()["over_balanced"]
    accuracy, recall = gains["balanced_accuracy"], gains["rare_recall"]
    rows, seeds = [], []
    for arm, text in IMAGE_ARMS.items():
        by_setting = {name: one for name, one in accuracy[arm].items() if name != "all"}
        worst = min(by_setting, key=lambda name: by_setting[name]["gain"])
        figures = [_interval(one[arm]["all"]) for one in (accuracy, recall)]
        seeds.append(min(one["seeds"] for one in by_setting.values()))
        rows.append([text, *figures, f"{by_setting[worst]['gain']:+.1f} ({worst})"])
    fewer = "" if len({*seeds}) == 1 else f" ({seeds[-1]} of what is chosen)"
    says = (
        f"Gain in points of balanced accuracy over classical augmentation with balanced sampling: mean of "
        f"{len(by_setting)} long tails of images and {max(seeds)} seeds{fewer}, with its 95% interval over long tails."
    )
    return f"{says}\n\n{_markdown([['', 'all classes', 'recall of rare classes', 'worst long tail'], *rows])}"


def _chosen_images() -> str:
    """The same of what inner splits choose, beside its candidates and plain copies."""
    recall = _choice()["over_balanced"]["rare_recall"]
    more = {"rare classes": {arm: _interval(one["all"]) for arm, one in recall.items()}}
    return _markdown(_by_setting(_choice(), "balanced", more, arms=list(IMAGE_ARMS)))


def _few_images_table() -> str:
    """Arms by settings without rare classes: gain over no augmentation."""
    says = (
        "Gain in points of balanced accuracy over real images alone, not augmented, whose own score is in the first "
        "column; as many images of each class as stand there; means over seeds, and over settings with 95% intervals."
    )
    rows = _by_setting(_choice(), "real", {}, seeds=False)
    return f"{says}\n\n{_markdown([list(row) for row in zip(*rows, strict=True)])}"


def _noise_images() -> str:
    """How often nothing is chosen where there is nothing to learn."""
    shares = results("gain_images_chosen")["noise_left_alone"]
    odd = ", ".join(f"{name} ({share:.0%})" for name, share in shares.items() if share < 1)
    return (
        f"With shuffled training labels nothing is chosen in {mean(shares.values()):.0%} of all cases ({len(shares)} "
        f"settings, long tails and others, with three seeds each){f'; not always in {odd}' if odd else ''}."
    )


def _by_setting(
    found: dict[str, Any],
    judge: str,
    more: dict[str, dict[str, str]],
    *,
    arms: list[str] | None = None,
    seeds: bool = True,
) -> list[list[str]]:
    """A row an arm; the intervals over seeds are left out if these are few."""
    scores, gains = (found[name]["balanced_accuracy"] for name in ("scores", f"over_{judge}"))
    gains = {arm: gains[arm] for arm in arms or gains}
    settings = list(dict.fromkeys(name for one in gains.values() for name in one if name != "all"))
    rows = [
        [
            arm,
            *(_interval(one.get(name), bounds=seeds) for name in settings),
            _interval(one["all"]),
            *(column.get(arm, "") for column in more.values()),
        ]
        for arm, one in gains.items()
    ]
    first = [judge, *(f"{scores[name][judge]:.1f}" for name in settings), "", *("" for _ in more)]
    return [["", *settings, "all", *more], first, *rows]


def _image_quality() -> str:
    """Sets by what tells drawn images from real ones."""
    found = results("image_quality")
    columns = {
        "told_by_sharpness": "by sharpness",
        "told_by_two_numbers": "by two numbers of it",
        "real_told_by_sharpness": "real from real",
        "told_by_network": "by a network",
        "real_told_by_network": "real from real",
        "labels_obeyed": "labels obeyed",
        "labels_of_real": "labels of real",
    }
    rows = [[name, *(f"{found[name][one]:.0f}%" for one in columns)] for name in found["protocol"]["sets"]]
    return _markdown([["told from real ones", *columns.values()], *rows])


def _image_costs() -> str:
    """Minutes of a whole fit, by the size of the images."""
    found = results("image_costs")
    steps = {name: f"{name.upper()}, {found['protocol'][f'{name}_steps']:,} steps" for name in ("vae", "gan")}
    grey = [[text, "28 x 28, grey", f"{found[f'{name}_fit_seconds'] / 60:.1f}"] for name, text in steps.items()]
    colour = [
        [steps["vae"], f"{side} x {side}, colour", f"{seconds / 60:.1f}"]
        for side, seconds in found["vae_fit_seconds_in_colour"].items()
    ]
    drawn = min(found[f"{name}_sampled_a_second"] for name in steps)
    return f"{_markdown([['', 'images', 'minutes'], *grey, *colour])}\n\nDrawn: {drawn:,} grey ones a second."


def _machine() -> str:
    found = results("gain_tabular")["machine"]
    return "{cores} cores of {cpu}, Python {python}, torch {torch}, scikit-learn {scikit-learn}.".format(**found)


TABLES: dict[str, Callable[[], str]] = {
    "headline": _headline,
    "headline_images": _headline_images,
    "by_size": lambda: _gains("by_size"),
    "by_set": lambda: _gains("by_set"),
    "by_classifier": lambda: _gains("by_classifier"),
    "choosing": _choosing,
    "gain_images": _gain_images,
    "chosen_images": _chosen_images,
    "few_images": _few_images_table,
    "noise_images": _noise_images,
    "image_quality": _image_quality,
    "image_costs": _image_costs,
    "speed": _speed,
    "adult": _adult,
    "machine": _machine,
}
BLOCK = re.compile(r"(<!-- bench:(\w+) -->\n).*?(<!-- /bench -->)", re.DOTALL)


def current(text: str) -> str:
    """The text with every table as the results have it; what has not been measured is left empty."""
    return BLOCK.sub(lambda block: f"{block[1]}{_body(block[2])}{block[3]}", text)


def _body(name: str) -> str:
    try:
        return f"\n{TABLES[name]()}\n\n"
    except FileNotFoundError:
        return ""


def stale(text: str) -> Iterator[str]:
    """The names of the tables that are not those of the results."""
    for old, new in zip(BLOCK.finditer(text), BLOCK.finditer(current(text)), strict=True):
        if old[0] != new[0]:
            yield old[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", action="store_true", help="compare the tables in the texts with the results")
    parser.add_argument("--write", action="store_true", help="write the tables in the texts")
    args = parser.parse_args()
    if args.write:
        for text in TEXTS:
            text.write_text(current(text.read_text()))
        return 0
    if args.figures:
        old = [f"{text.relative_to(ROOT)}: table {name}" for text in TEXTS for name in stale(text.read_text())]
        print(*(f"{table} is not current: run `python benchmarks/check.py --write`" for table in old), sep="\n")
        return bool(old)
    passed = [target.check() for target in TARGETS]  # all of them, also after one has failed
    return not all(passed)


if __name__ == "__main__":
    sys.exit(main())
