"""Run a benchmark and write its figures, with the machine, versions and protocol, to `results/<name>.json`.

python benchmarks/run.py gain_tabular [--quick] [--sets ...] [--arms ...] [-o FILE]
python benchmarks/run.py speed
python benchmarks/run.py adult
python benchmarks/run.py choosing
python benchmarks/run.py mixing
python benchmarks/run.py study
python benchmarks/run.py priors           (no measurement: what `choose` starts from, out of results/gain_tabular.json)
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

import choosing
import costs
import datasets
import gain
import gain_images
import image_costs
import image_quality
import mixing
import study

import synthaug

RESULTS = Path(__file__).parent / "results"
PACKAGES = ["synthaug", "torch", "pytorch-lightning", "scikit-learn", "imbalanced-learn", "pandas", "numpy"]


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    models = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "cpu": models[0].split(":")[1].strip() if models else platform.processor(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _lines(file: str) -> list[str]:
    return Path(file).read_text().splitlines() if Path(file).exists() else []


def write(file: Path, benchmark: str, protocol: dict[str, Any], figures: dict[str, Any]) -> None:
    """Write the results as JSON that reads well in a diff."""
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = {"benchmark": benchmark, "machine": machine(), "protocol": protocol, **figures}
    file.write_text(json.dumps(whole, indent=1) + "\n")
    print(f"wrote {file}")


def run_gain(args: argparse.Namespace) -> None:
    """The gain on small tables."""
    name = "gain_tabular_quick" if args.quick else "gain_tabular"
    sets = args.sets or (gain.QUICK["sets"] if args.quick else list(datasets.DEVELOPMENT))
    sizes = args.sizes or (gain.QUICK["sizes"] if args.quick else list(gain.SIZES))
    seeds = args.seeds or (gain.QUICK["seeds"] if args.quick else gain.SEEDS)
    scores, failures = gain.run(sets, sizes, seeds, args.arms, args.jobs, datasets.CACHE / "gain_tabular.cells.jsonl")
    protocol = {
        "sets": {name: datasets.SOURCES[name].kind for name in sets},
        "sizes": sizes,
        "seeds": list(range(seeds)),
        "arms": args.arms,
        "added_rows": gain.AMOUNT,
        "classifiers": {name: repr(model[-1]) for name, model in gain.classifiers().items()},
        "overall": f"at most {gain.SMALL} real rows; percentage points over the real rows alone",
    }
    write(
        args.output or RESULTS / f"{name}.json",
        "gain_tabular",
        protocol,
        {"failures": failures, **gain.summarise(scores)},
    )


def run_speed(args: argparse.Namespace) -> None:
    """Seconds and memory."""
    write(args.output or RESULTS / "speed.json", "speed", costs.SPEED, costs.speed(quick=args.quick))


def run_adult(args: argparse.Namespace) -> None:
    """A large table: train on synthetic rows, test on real ones."""
    write(args.output or RESULTS / "adult.json", "adult", costs.ADULT, costs.adult(quick=args.quick))


def run_choosing(args: argparse.Namespace) -> None:
    """What choosing by inner folds gains, against always taking one candidate; and what it says to noise."""
    sizes, seeds = ([20], 1) if args.quick else (list(choosing.SIZES), choosing.SEEDS)
    protocol = {
        "sizes": sizes,
        "seeds": list(range(seeds)),
        "candidates": choosing.CANDIDATES,
        "added_rows": gain.AMOUNT,
        "noise": choosing.NOISE,
    }
    figures = choosing.measure(sizes, seeds, os.cpu_count() or 1)
    write(args.output or RESULTS / "choosing.json", "choosing", protocol, figures)


def run_study(args: argparse.Namespace) -> None:
    """Seconds of a whole study, and the share of the harness in them."""
    write(args.output or RESULTS / "study.json", "study", study.PROTOCOL, study.measure(quick=args.quick))


def run_gain_images(args: argparse.Namespace) -> None:
    """The gain on few and long-tailed images."""
    name = "gain_images_quick" if args.quick else "gain_images_chosen" if args.chosen else "gain_images"
    form = gain_images.FORMS[name]
    settings = [setting for setting in form.settings if not args.settings or str(setting) in args.settings]
    seeds, arms, networks = args.seeds or form.seeds, args.arms or form.arms, args.networks or form.networks
    protocol = {
        "settings": [str(setting) for setting in settings],
        "seeds": seeds,
        "fewer_seeds": {
            **gain_images.SEEDS_OF,
            "without rare classes": gain_images.SEEDS_NOT_RARE,
            "of the resnet": gain_images.FEWER_SEEDS,
        },
        "tau": gain_images.TAU,
        "chosen": [task.described() for task in gain_images.TASKS],
        "arms": arms,
        "networks": networks,
        "steps": gain_images.STEPS,
        "batch_size": gain_images.BATCH,
        "synthetic_images_of_a_class": gain_images.DRAWN,
    }
    scores = gain_images.run(settings, seeds, arms, networks, args.jobs)
    file = args.output or RESULTS / f"{name}.json"
    figures = gain_images.summarise(scores)
    if gain_images.CHOSEN in arms and "cnn" in networks:
        figures["noise_left_alone"] = gain_images.noise_left_alone(scores, settings, args.jobs)
    write(file, "gain_images", protocol, figures)
    scores.drop(columns="seconds").round(5).to_csv(file.with_suffix(".csv"), index=False)


def run_image_costs(args: argparse.Namespace) -> None:
    """Seconds of the generators of images."""
    figures = image_costs.measure(quick=args.quick)
    write(args.output or RESULTS / "image_costs.json", "image_costs", image_costs.PROTOCOL, figures)


def run_image_quality(args: argparse.Namespace) -> None:
    """Whether drawn images can be told from real ones, by sharpness alone and by a network."""
    figures = image_quality.measure(quick=args.quick)
    name = "image_quality_quick" if args.quick else "image_quality"
    write(args.output or RESULTS / f"{name}.json", "image_quality", image_quality.PROTOCOL, figures)


def run_mixing(args: argparse.Namespace) -> None:
    """What mixing adds to the time of an item."""
    write(args.output or RESULTS / "mixing.json", "mixing", mixing.PROTOCOL, mixing.measure(quick=args.quick))


def run_priors(args: argparse.Namespace) -> None:
    """What `synthaug.choose` expects of each arm, from the gains on small tables."""
    found = json.loads((RESULTS / "gain_tabular.json").read_text())
    sizes = found["protocol"]["sizes"]
    gains = [
        [table, found["protocol"]["sets"][table], kind, arm, metric, [_share(by_size.get(str(n))) for n in sizes]]
        for metric, figures in found["metrics"].items()
        for arm, tables in figures["by_set_classifier_and_size"].items()
        for table, kinds in tables.items()
        for kind, by_size in kinds.items()
    ]
    file = args.output or Path(synthaug.__file__).parent / "evaluate" / "priors.json"
    head = f'"source": "benchmarks/results/gain_tabular.json", "sizes": {sizes}'
    lines = ",\n".join(map(json.dumps, gains))
    file.write_text(f'{{{head}, "gains": [\n{lines}\n]}}\n')
    print(f"wrote {file}")


def _share(points: float | None) -> float | None:
    return None if points is None else round(points / 100, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, function in {
        "gain_tabular": run_gain,
        "speed": run_speed,
        "adult": run_adult,
        "choosing": run_choosing,
        "study": run_study,
        "gain_images": run_gain_images,
        "image_costs": run_image_costs,
        "image_quality": run_image_quality,
        "mixing": run_mixing,
        "priors": run_priors,
    }.items():
        command = commands.add_parser(name, help=function.__doc__)
        command.set_defaults(function=function)
        command.add_argument("--quick", action="store_true", help="a small part, to see that it works")
        command.add_argument("-o", "--output", type=Path)
    command = commands.choices["gain_tabular"]
    command.add_argument("--sets", nargs="+", choices=datasets.SOURCES, metavar="SET")
    command.add_argument("--sizes", nargs="+", type=int)
    command.add_argument("--seeds", type=int, help="how many")
    command.add_argument(
        "--arms", nargs="+", default=gain.BASELINES + gain.OURS, help="also: " + ", ".join(datasets.PEERS)
    )
    command.add_argument("--jobs", type=int, default=os.cpu_count())
    command = commands.choices["gain_images"]
    names = [str(setting) for setting in gain_images.SETTINGS]
    command.add_argument("--settings", nargs="+", choices=names, metavar="SETTING", help="such as 'digits 100:5'")
    command.add_argument("--chosen", action="store_true", help="the choice by inner splits, beside its rivals alone")
    command.add_argument("--arms", nargs="+", choices=[*gain_images.ARMS, gain_images.CHOSEN])
    command.add_argument("--seeds", type=int, help="how many")
    command.add_argument("--networks", nargs="+", choices=gain_images.NETWORKS)
    command.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    args.function(args)


if __name__ == "__main__":
    main()
