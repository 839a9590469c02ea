"""Where images come from: pairs of arrays or lists, folders of files, tables of paths, and data sets of others."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from synthaug.arrays import as_array, is_array
from synthaug.errors import DataError, DataTypeError, SynthaugWarning, listed, raise_problems

__all__ = ["Files", "Pairs", "check_map_style"]

_SUFFIXES = frozenset([".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"])
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_FOLDS = re.compile(r"(batch|cv|fold|part|round|run|set|split)[\W_]*\d+|(19|20)\d\d")
_PARTS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")


def check_map_style(source: Any) -> None:
    """Raise a `DataTypeError` for what has no length, or no items by position.

    >>> check_map_style(iter([]))
    Traceback (most recent call last):
    ...
    synthaug.errors.DataTypeError: Expected a map-style data set, got list_iterator, which has no length or can only be iterated: its items cannot be asked for by position, so no error could name them, no sampler put synthetic ones between them, and no resumed run find them again. Take as many as fit into memory, `list(itertools.islice(dataset, n))`.
    """  # noqa: E501
    what, kinds = type(source).__name__, {kind.__name__ for kind in type(source).__mro__}
    if isinstance(source, Mapping):
        raise DataTypeError(
            f"Expected a data set, got a {what} with the keys {list(source)[:5]}: pass one of its values, or "
            "`(images, labels)`."
        )
    if "DataLoader" in kinds:
        raise DataTypeError("Expected a data set, got a DataLoader, whose batches may be shuffled: pass its `dataset`.")
    if "IterableDataset" not in kinds and hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return
    if not hasattr(source, "__iter__") and not hasattr(source, "__getitem__"):
        raise DataTypeError(
            f"Expected a map-style data set, a tuple (images, labels), a folder or a DataFrame of paths, got {what}."
        )
    raise DataTypeError(
        f"Expected a map-style data set, got {what}, which has no length or can only be iterated: its items cannot be "
        "asked for by position, so no error could name them, no sampler put synthetic ones between them, and no "
        "resumed run find them again. Take as many as fit into memory, `list(itertools.islice(dataset, n))`."
    )


class Pairs:
    """Images and labels side by side, as items `(image, label)`.

    >>> Pairs.of((["a cat", "a dog"], [0, 1]))[1]
    ('a dog', 1)
    """

    def __init__(self, images: Any, labels: Any, name: Any = None) -> None:
        self.images, self.labels, self.name = images, labels, name

    @classmethod
    def of(cls, pair: tuple[Any, ...]) -> Pairs:
        """Of a tuple `(images, labels)`; a `DataError` for any other, or for lengths that disagree."""
        if len(pair) != 2:
            raise DataTypeError(
                f"Expected a tuple (images, labels), got {len(pair)} entries: a data set of items goes in as a list."
            )
        images, labels = (as_array(part) if is_array(part) else part for part in pair)
        for name, part in (("images", images), ("labels", labels)):
            if not hasattr(part, "__len__") or isinstance(part, str | Mapping):
                raise DataTypeError(f"Expected an array or a list of {name}, got {type(part).__name__}.")
        images = images.to_numpy() if isinstance(images, pd.Series | pd.Index) else images  # its index is no place
        called = labels.name if isinstance(labels, pd.Series) else None
        labels = labels.to_numpy() if isinstance(labels, pd.Series | pd.Index | pd.DataFrame) else labels
        if len(images) != len(labels):
            raise DataError(f"Expected one label an image, got {len(images)} images and {len(labels)} labels.")
        return cls(images, labels, called)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        return self.images[i], self.labels[i]


class Files:
    """Image files and their labels, as items `(PIL image, label)`.

    >>> Files.of_frame(pd.DataFrame({"file": ["a.png"], "kind": ["cat"]}), "file", "kind").labels
    ['cat']
    """

    def __init__(self, paths: list[Any], labels: list[Any]) -> None:
        self.paths, self.labels = paths, labels

    @classmethod
    def of_frame(cls, frame: pd.DataFrame, image: Any, label: Any) -> Files:
        """Of a table with a column `image` of paths and one `label` of labels; a `DataError` if there is none."""
        raise_problems(
            f"Expected a column {key!r} of {what}, the table has {list(frame.columns)}: name it, `{name}=...`."
            for key, name, what in ((image, "image", "paths"), (label, "label", "labels"))
            if list(frame.columns).count(key) != 1
        )
        return cls(frame[image].tolist(), frame[label].tolist())

    @classmethod
    def of_tree(cls, folder: Path) -> Files:
        """Of a folder with one sub-folder a class, in the order of names; a `DataError` for one of another form.

        Links are followed, but for those to a folder that holds the link.
        """
        if not folder.is_dir():
            raise DataError(f"Expected a folder with one sub-folder a class, {_no_folder(folder)}.")
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        above = frozenset([folder.resolve(), *folder.resolve().parents])
        files = {path.name: sorted(_image_files(path, above)) for path in entries if path.is_dir()}
        stray = [path.name for path in entries if path.is_file() and _is_image(path)]
        lost = [path for path in entries if _is_lost(path) and (not path.suffix or _is_image(path))]  # maybe a folder
        problems = [f"Link {path} leads nowhere: mend or remove it." for path in lost]
        problems += [f"Folder {folder / name} holds no images: fill or remove it." for name in files if not files[name]]
        parts = [name for name in files if name.lower() in _PARTS and _has_folders_alone(folder / name, files[name])]
        parts.sort(key=lambda name: _PARTS.index(name.lower()))
        if len(parts) > 1 or len(parts) == len(files) == 1:
            problems.append(
                f"Folder {folder} holds {listed(parts)}, which hold folders of images, as the parts of a data set do: "
                f'read each by itself, `read_images(folder / "{parts[0]}")`, or rename what is a class.'
            )
        if stray:
            problems.append(f"Image {folder / stray[0]} lies in no folder of a class: move it into one, or away.")
        if not files:
            problems.append(f"Folder {folder} holds no folders: put the images of each class into a folder of its own.")
        raise_problems(problems)
        _tell_levels(folder, files)
        labelled = [(path, name) for name, paths in files.items() for path in paths]
        return cls([path for path, _ in labelled], [name for _, name in labelled])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        path = self.paths[i]
        if not isinstance(path, str | os.PathLike):
            raise DataTypeError(f"Expected a path, got {path!r}.")
        try:
            with Image.open(path) as file:
                file.load()
                return _plain_colours(file), self.labels[i]
        except FileNotFoundError as error:
            raise DataError(
                f"There is no file {path}, looked for at {Path(path).resolve()}: mend the path or link, or leave the "
                "item out."
            ) from error
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"{path} cannot be read as an image ({error}): replace it, or leave it out.") from error


def _plain_colours(image: Image.Image) -> Image.Image:
    """The image without a palette, in at least 8 bits."""
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    return image.convert("L") if image.mode == "1" else image.copy()


def _no_folder(path: Path) -> str:
    """What is there instead of a folder, and what to do about it."""
    if not path.exists():
        return f"there is none at {path.absolute()}"
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        remedy = 'read it as a table with a column of paths, `read_images(pd.read_csv(path), image="...", label="...")`'
    elif path.name.lower().endswith(_ARCHIVES):
        remedy = "unpack it, `shutil.unpack_archive(path, folder)`, and pass the folder"
    elif _is_image(path):
        remedy = "pass the folder that holds the folders of the classes, or a DataFrame with a column of paths"
    else:
        remedy = "pass what is in it, as a tuple (images, labels) or as a DataFrame with a column of paths"
    return f"got the file {path}: {remedy}"


def _tell_levels(folder: Path, files: dict[str, list[Path]]) -> None:
    """Warn of classes which are called like folds or years and all hold folders of the same names."""
    if len(files) < 2 or not all(_FOLDS.fullmatch(name.lower()) for name in files):
        return
    if not all(_has_folders_alone(folder / name, paths) for name, paths in files.items()):
        return
    inner = [{path.relative_to(folder / name).parts[0] for path in paths} for name, paths in files.items()]
    shared = sorted(set.intersection(*inner))
    if len(shared) < 2:
        return
    suffixes = sorted({path.suffix for paths in files.values() for path in paths})
    warnings.warn(
        f"The classes are the folders {listed(list(files))} of {folder}, and each holds {listed(shared)}. If those are "
        "the classes, read a table of the files: `paths = sorted(path for path in folder.glob('*/*/**/*') if "
        f"path.suffix in {suffixes})`, `read_images("
        'pd.DataFrame({"image": paths, "label": [path.relative_to(folder).parts[1] for path in paths]}))`.',
        SynthaugWarning,
        stacklevel=4,
    )


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")


def _is_lost(path: Path) -> bool:
    """Whether this is a link that leads nowhere."""
    return path.is_symlink() and not path.exists()


def _has_folders_alone(folder: Path, files: list[Path]) -> bool:
    """Whether all of the images within a folder, of which there are some, lie in folders of it."""
    return bool(files) and all(path.parent != folder for path in files)


def _image_files(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    """The files within a folder that is in none of those `above` it, and links that lead nowhere."""
    here = folder.resolve()
    if here in above:
        return
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if _is_image(path) and (path.is_file() or _is_lost(path)):
            yield path
        elif path.is_dir():
            yield from _image_files(path, above | {here, *here.parents})
