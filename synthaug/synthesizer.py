"""The fit/sample object: a codec, a generator and a Lightning Trainer behind four verbs."""

from __future__ import annotations

import inspect
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as dump
from sklearn.base import BaseEstimator, clone

from synthaug import __version__
from synthaug.amounts import MOST
from synthaug.arrays import check_images, is_array
from synthaug.codecs.altering import Altering
from synthaug.codecs.base import Codec
from synthaug.codecs.image import ImageCodec
from synthaug.codecs.tabular import TableCodec
from synthaug.errors import (
    DataTypeError,
    FileExistsSynthaugError,
    NotFittedError,
    ParameterError,
    StorageError,
    SynthaugWarning,
    TrainingError,
    listed,
)
from synthaug.files import atomic_folder, check_file, read_json, sha256, write_json
from synthaug.fingerprint import identified
from synthaug.generators.base import GeneratorModule
from synthaug.generators.gan import ConditionalGAN
from synthaug.generators.training import Training
from synthaug.generators.vae import ConditionalVAE
from synthaug.generators.warp import ConditionalWarp
from synthaug.images import ImageRecords, read_images
from synthaug.labels import Labels, by_label, check_labels, warn_of_many
from synthaug.pool import Pool, Source
from synthaug.records import join
from synthaug.rng import RandomState, as_seed, derive, isolated, torch_rng
from synthaug.shards import MANIFEST

__all__ = ["Synthesizer"]

FORMAT = 1
CHUNK = 8_192  # records drawn at once
CHUNK_BYTES = 64 * 2**20  # of encoded images drawn at once
MAX_BYTES = 16 * 2**30  # of weights
_MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, SafetensorError)
GENERATORS: dict[str, type[GeneratorModule]] = {
    "ConditionalGAN": ConditionalGAN,
    "ConditionalVAE": ConditionalVAE,
    "ConditionalWarp": ConditionalWarp,
}
CODECS: dict[str, type[Codec]] = {"TableCodec": TableCodec, "ImageCodec": ImageCodec}


class Synthesizer(BaseEstimator):
    """Learns records with their labels and draws new records for given labels.

    Args:
        codec: How records become numbers; inferred from the type of the records by default.
        generator: A `GeneratorModule` class, or a `functools.partial` of one that sets some of its arguments.
        per_class: False trains one network conditioned on the class, on batches balanced over the classes, so that rare
            classes borrow from common ones; True trains one network a class, as independent joblib jobs.
        max_steps: Training batches, rounded up to whole epochs of 50 if there are more, or `"auto"`: chosen by the
            generator from the number of records.
        random_state: Seed of all randomness; the same seed gives the same records, byte for byte.

    Other Arguments:
        batch_size: Records a training batch, or `"auto"`.
        trainer_kwargs: Arguments of `pytorch_lightning.Trainer`: any logger, callbacks, strategy, accelerator. For
            example `{"accelerator": "gpu", "devices": 2, "strategy": "ddp", "precision": "bf16-mixed"}`; a GAN needs
            `"ddp_find_unused_parameters_true"`. With several processes your script runs in each: give a `random_state`,
            and save in one of them. A callback may compile networks where they are, in `on_fit_start(trainer, module)`:
            `module.encoder.compile()` and `module.decoder.compile()`, or `module.generator.compile()` of a GAN, whose
            critic needs second derivatives that `torch.compile` lacks. Callbacks that remember, such as
            `EarlyStopping`, belong to one fit: make them anew for the next. One network a class trains with copies.
        augment: A pipeline for images: a transform or a `Compose` of albumentations, or any callable on one image, an
            array as `fit` gets it. While the generator trains, about half of each batch is what the pipeline makes of
            it, and the networks are told which (Karras et al. 2022, section 5): what is drawn shows neither its borders
            nor its rotations. It must keep shape and dtype; what it draws, if it is not of albumentations, must come
            from the global random generators for the same seed to give the same records.

    Attributes:
        codec_: The fitted codec.
        classes_: The classes in order.
        labels_: How labels are coded.
        generators_: The fitted networks: one, or one a class.
        fingerprint_: Of the training records.
        digests_: By which `Pool.trained_on` knows them again.

    >>> from functools import partial
    >>> table = pd.DataFrame({"size": [1.0, 1.1, 5.0, 5.2] * 5, "kind": ["a", "a", "b", "b"] * 5})
    >>> synthesizer = Synthesizer(max_steps=50, random_state=0).fit(table, ["small", "small", "big", "big"] * 5)
    >>> pool = synthesizer.sample({"big": 3})
    >>> pool.records.shape, pool.labels.tolist()
    ((3, 2), ['big', 'big', 'big'])
    """

    def __init__(
        self,
        codec: Codec | None = None,
        generator: Callable[..., GeneratorModule] = ConditionalVAE,
        *,
        per_class: bool = False,
        max_steps: int | str = "auto",
        batch_size: int | str = "auto",
        trainer_kwargs: Mapping[str, Any] | None = None,
        augment: Callable[..., Any] | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.codec = codec
        self.generator = generator
        self.per_class = per_class
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.trainer_kwargs = trainer_kwargs
        self.augment = augment
        self.random_state = random_state

    def fit(self, records: Any, labels: Any = None, *, checkpoint: str | Path | None = None) -> Self:
        """Learn `records` with their `labels`.

        Args:
            records: The training records: a DataFrame; or images in an array or Tensor; or, without `labels`, what
                `read_images` gave or can read with its defaults, such as a map-style Dataset.
            labels: One label a record. A class of one record works: it is drawn around that record, with the spread
                that the classes share.
            checkpoint: A folder for the state of the fit. A fit that was interrupted goes on from there when it is
                called again with the same records and arguments, and ends in the same weights.

        Raises:
            DataError: records or labels that cannot be used; the message names the column or label and the remedy.
            ParameterError: arguments that are not allowed, or that the generator or the records cannot take.
            TrainingError: the loss is no longer finite; the last good weights are kept, and `sample` works with them.
        """
        self._check_arguments()
        self.__dict__.pop("generators_", None)  # a fit that fails leaves nothing half new
        records, labels = _with_labels(records, labels)
        coding = Labels.of(labels, records)
        warn_of_many(check_labels(labels))
        codes = coding.encode(labels)
        self.codec_ = (_codec_for(records) if self.codec is None else clone(self.codec)).fit(records)
        self.labels_, self.classes_ = coding, np.array(coding.classes)
        self.fingerprint_, self.digests_ = identified(records, coding.decode(codes))
        if self.augment is not None and self.codec_.spec.fields:
            raise ParameterError(
                "`augment` takes a pipeline for images, and the records are rows of a table: leave it out."
            )
        x, y = self.codec_.encode(records), torch.from_numpy(codes)
        self.class_counts_ = dict(zip(coding.classes, torch.bincount(y).tolist(), strict=True))
        jobs = [(x, y, len(coding.classes))]
        if self.per_class:
            jobs = [(x[y == code], torch.zeros(int((y == code).sum()), dtype=torch.long), 1) for code in y.unique()]
        folder = None if checkpoint is None else Path(checkpoint)
        self.seed_ = as_seed(self.random_state) if folder is None else self._claim(folder)
        outcomes = joblib.Parallel(n_jobs=None)(
            joblib.delayed(_train)(self, *job, index, None if folder is None else folder / f"fit-{index}.ckpt")
            for index, job in enumerate(jobs)
        )
        self.generators_ = tuple(module for module, _ in outcomes)
        failure = next((error for _, error in outcomes if error is not None), None)
        if failure is not None:
            raise failure
        _warn_of_copies(coding.classes, self.generators_)
        return self

    def _check_arguments(self) -> None:
        for name in ("max_steps", "batch_size"):
            value = getattr(self, name)
            if value != "auto" and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1):
                raise ParameterError(f'Expected `{name}` to be "auto" or an int of at least 1, got {value!r}.')
        if not isinstance(self.codec, Codec | None):
            raise ParameterError(
                f"Expected `codec` to be a Codec or None, got {self.codec!r}: a generator goes in as `generator=`."
            )
        if not isinstance(self.per_class, bool | np.bool_):
            raise ParameterError(f"Expected `per_class` to be True or False, got {self.per_class!r}.")
        if not isinstance(self.trainer_kwargs, Mapping | None):
            raise ParameterError(
                f"Expected `trainer_kwargs` to be a dict of arguments of a Trainer, got {self.trainer_kwargs!r}."
            )
        if self.augment is not None and not callable(self.augment):
            raise ParameterError(
                "Expected `augment` to be an albumentations pipeline, another callable on one image, or None, "
                f"got {self.augment!r}."
            )
        if not callable(self.generator):
            raise ParameterError(
                "Expected `generator` to be a GeneratorModule class or a functools.partial of one, "
                f"got {self.generator!r}."
            )

    def _claim(self, folder: Path) -> int:
        """Make a checkpoint folder ours, or refuse one that belongs to another fit; the seed of the fit."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "fit.json"
        before = read_json(path) if path.exists() else {}
        names = ("codec", "per_class", "max_steps", "batch_size", "augment")
        arguments = {name: _told(getattr(self, name)) for name in names}
        build = self.generator if isinstance(self.generator, partial) else partial(self.generator)
        given = sorted((name, _told(value)) for name, value in build.keywords.items())
        kind = f"{getattr(build.func, '__name__', build.func)}{given}"
        seed = before.get("seed", as_seed(None)) if self.random_state is None else as_seed(self.random_state)
        identity = {"fingerprint": self.fingerprint_, "seed": seed, "generator": kind, **arguments}
        if before not in ({}, identity):
            raise StorageError(
                f"{folder} holds the state of another fit (other records, seed or arguments): "
                "choose another checkpoint folder, or delete this one."
            )
        write_json(path, identity)
        return int(seed)

    def _build(self, spec: dict[str, Any], n_classes: int) -> GeneratorModule:
        try:
            module = self.generator(spec, n_classes)
        except TypeError as error:
            raise ParameterError(f"The generator cannot be made with these arguments: {error}.") from error
        if not isinstance(module, GeneratorModule):
            raise ParameterError(f"Expected `generator` to make a GeneratorModule, it made {module!r}.")
        if self.augment is not None and not module.takes_altered:
            raise ParameterError(
                f"{type(module).__name__} cannot be told which images `augment` altered, and would draw such: take "
                "ConditionalVAE or ConditionalGAN, or leave it out and alter what is drawn, for example with "
                "`mix_loader(..., transform=pipeline)`."
            )
        return module

    def sample(self, counts: int | Mapping[Any, int], *, random_state: RandomState = None) -> Pool:
        """Draw exactly the records asked for.

        Args:
            counts: Records for each label, or a total that is spread evenly over the classes, the first of which take
                the remainder.
            random_state: Seed of this draw; by default the seed of the fit.

        Raises:
            NotFittedError: before `fit`.
            ParameterError: an unknown label, or a number that is no count.
        """
        parts = list(self.stream(counts, random_state=random_state))
        return parts[0] if len(parts) == 1 else Pool.concat(parts)

    def stream(
        self, counts: int | Mapping[Any, int], *, chunk: int = 65_536, random_state: RandomState = None
    ) -> Iterator[Pool]:
        """The same records as `sample` in pools of at most `chunk` records: memory does not grow with their number."""
        codes, ends = self._plan(counts)
        seed = self.seed_ if random_state is None else as_seed(random_state)
        at_once = self._at_once
        if chunk < at_once or chunk % at_once:
            raise ParameterError(f"Expected `chunk` to be a multiple of {at_once}, got {chunk}.")
        source = self._source(seed)
        n = int(ends[-1]) if len(ends) else 0
        starts = range(0, max(n, 1), chunk)
        places = (np.arange(start, min(start + chunk, n)) for start in starts)
        parts = (codes[np.searchsorted(ends, place, side="right")] for place in places)
        return (self._draw(y, start // at_once, seed, source) for start, y in zip(starts, parts, strict=True))

    @property
    def _at_once(self) -> int:
        """Records drawn at once: a power of two, so that it divides any sensible `chunk`."""
        spec = self.codec_.spec
        return CHUNK if spec.fields else min(CHUNK, 1 << (max(1, CHUNK_BYTES // (4 * spec.width)).bit_length() - 1))

    def transfer(
        self, records: Any, labels: Any = None, to_labels: Any = None, *, random_state: RandomState = None
    ) -> Pool:
        """Give records other labels: what is not of the class (such as slant and thickness of a digit) stays.

        Each record is encoded under its own label and decoded under the other; a reconstruction where both are equal.

        Args:
            records: `n` records like those of `fit`; or, without `labels`, what it takes without them.
            labels: Their labels `(n,)`.
            to_labels: The labels to give them `(n,)`, or one for all. It must be given.
            random_state: Seed of what is drawn (categories of tables); by default the seed of the fit.

        Raises:
            NotFittedError: before `fit`.
            ParameterError: a generator that cannot, such as `ConditionalGAN`, or one network a class.
            DataError: records that cannot be encoded; unknown labels, or as many as do not fit the records.
        """
        self._check_fitted()
        if to_labels is None:
            raise ParameterError(
                "Expected the labels to give to the records, got none: pass `to_labels=`, by name where the records "
                "are a data set, which has labels of its own."
            )
        records, labels = _with_labels(records, labels)
        transfer = getattr(self.generators_[0], "transfer", None)
        if transfer is None or self.per_class:
            raise ParameterError(
                "Only a generator that encodes all classes with one network can transfer: fit with "
                "`generator=ConditionalVAE` and `per_class=False`."
            )
        x, n = self.codec_.encode(records), len(records)
        single = isinstance(to_labels, str) or not hasattr(to_labels, "__len__")
        targets = check_labels([to_labels] * n if single else to_labels, records)
        codes = [torch.from_numpy(self.labels_.encode(one)) for one in (check_labels(labels, records), targets)]
        seed = self.seed_ if random_state is None else as_seed(random_state)
        made = self.codec_.decode(transfer(x, *codes, rng=torch_rng(seed, "transfer")))
        return Pool(made, self.labels_.decode(codes[1].numpy()), np.zeros(n, np.int32), (self._source(seed),))

    def _source(self, seed: int) -> Source:
        return Source(self._generator_name(), self.fingerprint_, seed, {"synthaug": __version__}, self.digests_)

    def _check_fitted(self) -> None:
        if not hasattr(self, "generators_"):
            raise NotFittedError("This Synthesizer is not fitted yet: call `fit` with records and labels first.")

    def _draw(self, y: np.ndarray, first: int, seed: int, source: Source) -> Pool:
        parts = torch.from_numpy(y).split(self._at_once)
        encoded = (self._encoded(part, torch_rng(seed, "sample", first + i)) for i, part in enumerate(parts))
        whole = [torch.cat(list(encoded))] if self.codec_.spec.fields else encoded  # images are large: one by one
        records = join([self.codec_.decode(x) for x in whole])
        return Pool(records, self.labels_.decode(y), np.zeros(len(y), np.int32), (source,))

    def _encoded(self, y: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        if len(self.generators_) == 1:
            return self.generators_[0].sample(y, rng=rng)
        x = torch.empty((len(y), *self.codec_.spec.shape))
        for code in y.unique().tolist():
            mask = y == code
            x[mask] = self.generators_[code].sample(torch.zeros(int(mask.sum()), dtype=torch.long), rng=rng)
        return x

    def _plan(self, counts: int | Mapping[Any, int]) -> tuple[np.ndarray, np.ndarray]:
        """The codes of the labels asked for, in that order, and the place where the records of each end."""
        self._check_fitted()
        if isinstance(counts, int | np.integer) and not isinstance(counts, bool):
            if counts < 0:
                raise ParameterError(f"Expected `counts` to be at least 0, got {counts}.")
            share, rest = divmod(int(counts), len(self.classes_))
            wanted: dict[Any, int] = {c: share + (i < rest) for i, c in enumerate(self.labels_.classes)}
        elif isinstance(counts, Mapping):
            wanted = by_label(counts)
        else:
            raise ParameterError(f"Expected `counts` to be an int or a dict of label to int, got {counts!r}.")
        for label, n in wanted.items():
            if label not in self.labels_.classes:
                raise ParameterError(
                    f"Unknown label {label!r} in `counts`: known are {', '.join(map(repr, self.labels_.classes))}."
                )
            if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
                raise ParameterError(f"Expected the count for label {label!r} to be an int of at least 0, got {n!r}.")
        if sum(wanted.values()) > MOST:
            raise ParameterError(f"Expected at most {MOST:,} records in all, got {sum(wanted.values())}: draw fewer.")
        return self.labels_.encode(list(wanted)), np.cumsum(list(wanted.values()), dtype=np.int64)

    def _generator_name(self) -> str:
        return type(self.generators_[0]).__name__

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write the fitted state: weights as safetensors, everything else as JSON. Nothing in it can run code.

        Raises:
            NotFittedError: before `fit`.
            FileExistsSynthaugError: the folder exists and `overwrite` is False, or what is there is no synthesizer.
        """
        if not hasattr(self, "generators_"):
            raise NotFittedError("This Synthesizer is not fitted yet: there is nothing to save. Call `fit` first.")
        folder = Path(folder)
        if overwrite and folder.exists() and not (folder / "synthesizer.json").exists():
            raise FileExistsSynthaugError(f"{folder} is no synthesizer, and is not overwritten: choose another folder.")
        with atomic_folder(folder, overwrite=overwrite) as temporary:
            weights = {
                f"{i}.{name}": tensor.contiguous()
                for i, module in enumerate(self.generators_)
                for name, tensor in module.state_dict().items()
            }
            (temporary / "weights.safetensors").write_bytes(dump(weights))
            state = {
                "format": FORMAT,
                "kind": "synthesizer",
                "synthaug": __version__,
                "codec": {"class": type(self.codec_).__name__, "state": self.codec_.to_dict()},
                "generator": {"class": self._generator_name(), "hparams": _hparams(self.generators_[0])},
                "per_class": self.per_class,
                "labels": self.labels_.to_dict(),
                "class_counts": list(self.class_counts_.values()),
                "seed": self.seed_,
                "fingerprint": self.fingerprint_,
                "digests": self.digests_,
                "weights": {"sha256": sha256(temporary / "weights.safetensors")},
            }
            text = json.dumps(state, indent=1, allow_nan=False)
            (temporary / "synthesizer.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        generator: type[GeneratorModule] | None = None,
        codec: type[Codec] | None = None,
    ) -> Synthesizer:
        """Read what `save` wrote; safe with files from strangers.

        Args:
            folder: Where the synthesizer was saved.
            generator: The class of the network, if it is one of your own.
            codec: The class of the codec, likewise.

        Raises:
            StorageError: a file is missing, damaged, altered or of an unknown form.
        """
        folder = Path(folder)
        if (folder / MANIFEST).exists() and not (folder / "synthesizer.json").exists():
            raise StorageError(
                f"{folder} is a pool, records that are drawn already, and no synthesizer: read it with `Pool.load` or "
                "`pandas.read_parquet`, or name a folder that `synthaug fit` or `Synthesizer.save` wrote."
            )
        state = read_json(folder / "synthesizer.json")
        if state.get("kind") != "synthesizer" or state.get("format") != FORMAT:
            raise StorageError(f"{folder} holds no synthesizer of format {FORMAT}: it was written by another version.")
        path = folder / "weights.safetensors"
        check_file(path, MAX_BYTES)
        try:
            if sha256(path) != state["weights"]["sha256"]:
                raise StorageError(
                    f"{path} was damaged or altered: its checksum is not the recorded one. Save it again."
                )
            with isolated(0):
                return cls._restore(state, load_file(path), generator, codec)
        except _MALFORMED as error:
            raise StorageError(
                f"{folder} is malformed ({error!r}): save it again, or restore it from a copy."
            ) from error

    @classmethod
    def _restore(
        cls,
        state: dict[str, Any],
        weights: dict[str, torch.Tensor],
        custom: type[GeneratorModule] | None,
        codec: type[Codec] | None,
    ) -> Synthesizer:
        name = state["generator"]["class"]
        if custom is None and name not in GENERATORS:
            raise StorageError(f"The generator {name!r} is not one of ours: pass its class as `generator`.")
        made, hparams = custom or GENERATORS[name], state["generator"]["hparams"]
        build: Callable[..., GeneratorModule] = partial(made, **hparams)
        self = cls(generator=_brief(made, hparams), per_class=bool(state["per_class"]))
        if codec is None and state["codec"]["class"] not in CODECS:
            raise StorageError(f"The codec {state['codec']['class']!r} is not one of ours: pass its class as `codec`.")
        self.codec_ = (codec or CODECS[state["codec"]["class"]]).from_dict(state["codec"]["state"])
        self.labels_ = Labels.from_dict(state["labels"])
        self.classes_ = np.array(self.labels_.classes)
        self.class_counts_ = dict(zip(self.labels_.classes, state["class_counts"], strict=True))
        self.seed_, self.fingerprint_ = int(state["seed"]), str(state["fingerprint"])
        self.digests_ = str(state.get("digests", ""))
        if custom is None:
            _check_size(state["generator"]["hparams"], weights)
        spec, n_classes = self.codec_.spec.to_dict(), 1 if self.per_class else len(self.classes_)
        modules = []
        for i in range(len(self.classes_) if self.per_class else 1):
            prefix = f"{i}."
            own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
            if custom is None:
                with torch.device("meta"):  # a sketch, without memory: does the network fit its weights?
                    build(spec, n_classes).load_state_dict(own, assign=True)
            module = build(spec, n_classes)
            module.load_state_dict(own)
            modules.append(module.eval())
        self.generators_ = tuple(modules)
        return self


def _brief(generator: type[GeneratorModule], hparams: Mapping[str, Any]) -> Callable[..., GeneratorModule]:
    """A generator with those arguments that are not the defaults: as people write it."""
    known = inspect.signature(generator).parameters
    changed = {name: value for name, value in hparams.items() if name not in known or value != known[name].default}
    return partial(generator, **changed) if changed else generator


def _check_size(hparams: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> None:
    """Refuse numbers of layers or units that are greater than the number of weights there are."""
    most = sum(weight.numel() for weight in weights.values())
    huge = {name: value for name, value in hparams.items() if isinstance(value, int) and value > most}
    if huge:
        raise StorageError(f"The file asks for {huge}, and has {most} weights: it is damaged or was altered.")


def _train(
    synthesizer: Synthesizer, x: torch.Tensor, y: torch.Tensor, n_classes: int, index: int, checkpoint: Path | None
) -> tuple[GeneratorModule, TrainingError | None]:
    """One network; a fit that went wrong is handed back with its last good weights and the error."""
    seed = derive(synthesizer.seed_, "network", index)
    alter = None if synthesizer.augment is None else Altering(synthesizer.codec_, synthesizer.augment)
    given = dict(synthesizer.trainer_kwargs or {})
    if synthesizer.per_class and "callbacks" in given:  # what one network leaves in them must not reach the next
        try:
            given["callbacks"] = deepcopy(given["callbacks"])
        except TypeError as error:
            raise ParameterError(
                f"A callback in `trainer_kwargs` cannot be copied, as networks of single classes need it ({error}): "
                "open what it holds, such as a file or a lock, in its `on_fit_start`."
            ) from error
    training = Training(synthesizer.max_steps, synthesizer.batch_size, given, seed, alter)
    with isolated(derive(seed, "weights")):
        module = synthesizer._build(synthesizer.codec_.spec.to_dict(), n_classes)
    classes = synthesizer.labels_.classes
    try:
        training.run(module, x, y, classes=classes[index:][:n_classes], checkpoint=checkpoint)
    except TrainingError as error:
        return module, error
    return module, None


def _warn_of_copies(classes: tuple[Any, ...], modules: tuple[GeneratorModule, ...]) -> None:
    """Warn of classes, all of one network or those of their own, of which only copies can be drawn."""
    each = zip(classes, modules if len(modules) > 1 else modules * len(classes), strict=True)
    copied = [label for label, module in each if module.copies]
    if copied:
        together = ", or let classes learn from each other, `per_class=False`" if len(modules) > 1 else ""
        warnings.warn(
            f"{type(modules[0]).__name__} draws copies of the training records of {listed(copied)}: "
            f"there are no two of a class that it can move towards each other. Give it more records{together}.",
            SynthaugWarning,
            stacklevel=3,
        )


def _with_labels(records: Any, labels: Any) -> tuple[Any, Any]:
    """Records and labels apart, images as an array."""
    if labels is None and not isinstance(records, ImageRecords):
        if isinstance(records, pd.DataFrame) or is_array(records):
            raise DataTypeError("Expected one label a record, got none: pass them as the second argument.")
        records = read_images(records)
    if isinstance(records, ImageRecords):
        if labels is not None:
            raise DataTypeError("Expected no labels beside ImageRecords, which have their own: leave them out.")
        return records.records, records.labels
    images = is_array(records) and (records.ndim > 2 or records.dtype == object)
    return (check_images(records) if images else records), labels


def _told(value: Any) -> str:
    """An argument as every process tells it, without the address of a function."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _codec_for(records: Any) -> Codec:
    if isinstance(records, pd.DataFrame):
        return TableCodec()
    if isinstance(records, np.ndarray) and records.ndim > 2:
        return ImageCodec()
    raise DataTypeError(
        f"Expected the records to be a pandas DataFrame, or images in an array, got {type(records).__name__}: wrap a "
        "table with `pandas.DataFrame(array)`, make an array of images with `read_images((images, labels))`, or pass a "
        "codec of your own."
    )


def _hparams(module: GeneratorModule) -> dict[str, Any]:
    return {name: value for name, value in module.hparams.items() if name not in ("spec", "n_classes")}
