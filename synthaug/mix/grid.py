"""Synthetic images, each beside the real one that is nearest to it: a picture for people."""

from __future__ import annotations

import warnings
from math import ceil
from pathlib import Path
from typing import Any
from unicodedata import combining, normalize

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch.utils.data import Subset

from synthaug.arrays import likely_layout, to_grid
from synthaug.errors import DataError, SynthaugWarning
from synthaug.images import read_images
from synthaug.items import ItemForm
from synthaug.mix.drawing import spread
from synthaug.opened import OpenPool
from synthaug.pool import Pool

__all__ = ["draw_grid", "find_nearest", "log_grid"]

_REAL = 2_000  # real images among which the nearest is sought
_AT_ONCE = 100  # of them
_EACH = 4  # synthetic images of a class
_MOST = 10  # classes
_GAP = 2  # pixels between the images of a pair
_APART = 8  # between pairs, rows and titles
_SHOWN = 96  # pixels: images of up to half of it are enlarged by a whole number, to at most this
_LETTERS = 9, 24  # the least and the greatest size of letters
_NAME = 12  # of them a name is wide at most
_INK = (64, 64, 64)


def draw_grid(synthetic: np.ndarray, labels: Any, real: np.ndarray, real_labels: Any = None) -> np.ndarray:
    """A picture `(height, width, 3)` uint8: a row a class, in it pairs of a synthetic image and the nearest real one.

    Nearest is by the mean squared difference of pixels. At most ten classes are shown, and four images of each. Small
    images are enlarged, each pixel to a square. The name of a class stands on the left, cut if it is long; that of a
    real image of another class on it.

    Args:
        synthetic: An image array.
        labels: Their `n` labels.
        real: An image array of the same shape and dtype, the first axis aside.
        real_labels: Their labels, if known.

    >>> images = np.zeros((3, 8, 8), np.uint8)
    >>> draw_grid(images, ["a", "a", "b"], images).shape[::2]
    (240, 3)
    """
    names = list(dict.fromkeys(sorted(labels)))[:_MOST]
    chosen = [[i for i, label in enumerate(labels) if label == name][:_EACH] for name in names]
    shown = synthetic[[place for places in chosen for place in places]]
    nearest = find_nearest(shown, real)
    made, there = _colours(shown, real), _colours(real[nearest], real)
    classes = [None if real_labels is None else real_labels[place] for place in nearest]
    pairs = zip(zip(made, there, strict=True), classes, strict=True)
    scale = max(1, _SHOWN // max(made.shape[1:3]))
    height, width = made.shape[1] * scale, made.shape[2] * scale
    least, greatest = _LETTERS
    letters = min(max(min(height, width) // 6, least), greatest)
    font = ImageFont.load_default(size=letters)
    titles = [_shortened(str(name), font, _NAME * letters) for name in names]
    left, top = ceil(max(map(font.getlength, titles))) + 2 * _APART, letters + 2 * _APART
    columns = [left + column * (2 * width + _GAP + _APART) for column in range(max(map(len, chosen)))]
    rows = [top + row * (height + _APART) for row in range(len(names))]
    canvas = Image.new("RGB", (columns[-1] + 2 * width + _GAP + _APART, rows[-1] + height + _APART), "white")
    draw = ImageDraw.Draw(canvas)
    for x in columns:
        for place, word in enumerate(("synthetic", "nearest real")):
            middle = x + place * (width + _GAP) + width // 2
            draw.text((middle, top // 2), _shortened(word, font, width), _INK, font, anchor="mm")
    for y, name, title, places in zip(rows, names, titles, chosen, strict=True):
        draw.text((left - _APART, y + height // 2), title, _INK, font, anchor="rm")
        for x, _ in zip(columns, places, strict=False):
            pair, known = next(pairs)
            for step, image in enumerate(pair):
                enlarged = image.repeat(scale, axis=0).repeat(scale, axis=1)
                canvas.paste(Image.fromarray(enlarged), (x + step * (width + _GAP), y))
            if known is not None and known != name:
                corner = x + width + 2 * _GAP, y + height - _GAP
                told = _shortened(str(known), font, width - 2 * _GAP)
                inside = draw.textbbox(corner, told, font, anchor="ld")
                draw.rectangle((x + width + _GAP, inside[1] - _GAP, inside[2] + _GAP, y + height - 1), "white")
                draw.text(corner, told, "red", font, anchor="ld")
    return np.array(canvas)


def _shortened(text: str, font: Any, most: int) -> str:
    """The text on one line, of at most `most` pixels, without accents, which the font lacks."""
    text = "".join(one for one in normalize("NFKD", " ".join(text.split())) if not combining(one))
    if font.getlength(text) <= most:
        return text
    while text and font.getlength(f"{text}…") > most:
        text = text[:-1]
    return f"{text}…"


def log_grid(
    trainer: Any,
    pool: Pool | OpenPool,
    real: Any,
    *,
    files: Any,
    image: Any = None,
    label: Any = None,
    size: tuple[int, int] | None = None,
) -> None:
    """Draw the grid and give it to every logger of the trainer, or put it beside what it logs as a PNG file.

    Without a logger, or a folder of one, the file is put into that of `files`, another logger.

    Real images are resized to `size`, if it is given; those of another form than those of the pool are left out.

    Warns:
        SynthaugWarning: there is no grid, whatever the reason: training goes on.
    """
    try:
        _log(trainer, pool, real, files, image, label, size)
    except Exception as error:  # of the user's items or loggers
        problem = f"No grid is drawn: {type(error).__name__}: {error} Leave out `grid_every`, or see to this."
        warnings.warn(problem, SynthaugWarning, stacklevel=2)


def _log(trainer: Any, pool: Pool | OpenPool, real: Any, files: Any, image: Any, label: Any, size: Any) -> None:
    if isinstance(pool, OpenPool):
        pool = pool.keep(np.concatenate([np.flatnonzero(pool.labels == one)[:_EACH] for one in pool.counts()]))
    if not isinstance(pool.records, np.ndarray):
        return
    places = spread(len(real), _REAL).tolist()
    if size is None:
        form = ItemForm.of(real[0], image=image, label=label)
        pairs = [form.read(real[place]) for place in places]
    else:
        found = read_images(Subset(real, places), image=image, label=label, size=size)
        pairs = list(zip(found.records, found.labels.tolist(), strict=True))
    wanted = pool.records.shape[1:], pool.records.dtype
    alike = [pair for pair in pairs if (pair[0].shape, pair[0].dtype) == wanted]
    if not alike:
        told = f"{wanted[1]} {wanted[0]} beside {pairs[0][0].dtype} {pairs[0][0].shape}"
        raise DataError(f"Synthetic and real images differ in form ({told}).")
    images, labels = zip(*alike, strict=True)
    known = labels if {*labels} & {*pool.labels} else None  # `to_item` may give classes other names
    picture = draw_grid(pool.records, pool.labels.tolist(), np.stack(images), known)
    name, epoch = "synthetic_beside_nearest_real", trainer.current_epoch
    for logger in trainer.loggers or [None]:
        add_image = getattr(getattr(logger, "experiment", None), "add_image", None)
        if add_image is not None:
            add_image(name, picture, epoch, dataformats="HWC")
        elif hasattr(logger, "log_image"):
            logger.log_image(key=name, images=[picture])
        else:
            given = (getattr(logger, place, None) for place in ("log_dir", "save_dir"))
            folder = Path(next(filter(None, given), None) or files.log_dir)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / f"{name}-{epoch}.png")


def find_nearest(images: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The place of the real image that is nearest to each image, by the mean squared difference of pixels, `(n,)`.

    >>> find_nearest(np.full((1, 8, 8), 5.0), np.stack([np.zeros((8, 8)), np.ones((8, 8))]))
    array([1])
    """
    flat, gaps = images.reshape(len(images), -1).astype(np.float64), []
    for start in range(0, len(real), _AT_ONCE):
        part = real[start : start + _AT_ONCE].reshape(-1, flat.shape[1]).astype(np.float64)
        gaps.append((part**2).sum(1) - 2 * flat @ part.T)
    found: np.ndarray = np.concatenate(gaps, axis=1).argmin(1)
    return found


def _colours(images: np.ndarray, like: np.ndarray) -> np.ndarray:
    """`(n, H, W, 3)` uint8: floats from the range of `like`; channels beyond three are left out, two are shown grey."""
    planes = to_grid(images, likely_layout(images.shape[1:])).astype(np.float32)
    if images.dtype != np.uint8:
        low, high = float(like.min()), float(like.max())
        planes = (planes - low) / max(high - low, 1e-12) * 255
    rgb = planes[:, :3] if planes.shape[1] >= 3 else np.repeat(planes[:, :1], 3, axis=1)
    return np.ascontiguousarray(rgb.clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1))
