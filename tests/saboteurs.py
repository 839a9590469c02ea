"""Implementations that are wrong on purpose: each breaks the one check that it is listed under."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, RandomSampler

from synthaug.codecs.image import ImageCodec
from synthaug.codecs.tabular import TableCodec
from synthaug.errors import DataError
from synthaug.generators.vae import ConditionalVAE
from synthaug.mix.loader import mix_loader
from synthaug.pool import Pool

# --- codecs -----------------------------------------------------------------------------------------------------------


class ShiftsANumber(TableCodec):
    says = "column 'age' does not come back"

    def decode(self, x):
        return super().decode(x).eval("age = age + 1")


class DoublesOneHot(TableCodec):
    says = "is a category, but not one-hot"

    def encode(self, records):
        return super().encode(records) * 2


class LeavesTheRange(TableCodec):
    says = "column 'age' rises above the observed range"

    def decode(self, x):
        records = super().decode(x)
        return records.assign(age=records["age"].where(x.abs().max(1).values.numpy() < 1e3, 200))


class DecodesNaN(TableCodec):
    says = "decoding nan does not raise DataError"

    def decode(self, x):
        return super().decode(torch.nan_to_num(x))


class WorksBeforeFit(TableCodec):
    says = "features before fit does not raise NotFittedError"

    def features(self, records):
        return np.zeros((len(records), 1), np.float32)


class FillsInPlace(TableCodec):
    says = "the records were changed"

    def fit(self, records):
        records["workclass"] = records["workclass"].fillna("Private")
        return super().fit(records)


class LearnsFromNothing(TableCodec):
    says = "fit without records does not raise DataError"

    def fit(self, records):
        try:
            return super().fit(records)
        except DataError:
            return self


class StandardisesTheBatch(TableCodec):
    says = "depends on its neighbours"

    def encode(self, records):
        x = super().encode(records)
        return x + x.mean(0)


class DrawsFromGlobalState(TableCodec):
    says = "global randomness was moved"

    def fit(self, records):
        torch.rand(1)
        return super().fit(records)


class ForgetsAnArgument(TableCodec):
    says = "the stored state"

    @classmethod
    def from_dict(cls, state):
        columns = [{**column, "missing": False} for column in state["columns"]]
        return super().from_dict({**state, "columns": columns})


class WritesText(TableCodec):
    says = "the Arrow table gives other records"

    def from_arrow(self, table):
        return table.to_pandas().astype({"age": "str"})


class DoublePrecision(TableCodec):
    says = "features are float64"

    def features(self, records):
        return super().features(records).astype(np.float64)


class IgnoresNewColumns(TableCodec):
    says = "an unknown column does not raise DataError"

    def encode(self, records):
        known = [column.name for column in getattr(self, "columns_", ())]
        return super().encode(records[[name for name in records if name in known]])


class MendsNaN(ImageCodec):
    says = "a pixel of nan does not raise DataError"

    def encode(self, records):
        return super().encode(np.nan_to_num(records))


CODECS = {
    "check_codec_round_trip": ShiftsANumber,
    "check_codec_encoding": DoublesOneHot,
    "check_codec_legal": LeavesTheRange,
    "check_codec_refuses_illegal": DecodesNaN,
    "check_codec_not_fitted": WorksBeforeFit,
    "check_codec_input_unchanged": FillsInPlace,
    "check_codec_empty": LearnsFromNothing,
    "check_codec_row_by_row": StandardisesTheBatch,
    "check_codec_deterministic": DrawsFromGlobalState,
    "check_codec_state": ForgetsAnArgument,
    "check_codec_arrow": WritesText,
    "check_codec_features": DoublePrecision,
    "check_codec_names_columns": IgnoresNewColumns,
    "check_codec_names_images": MendsNaN,
}


# --- pools ------------------------------------------------------------------------------------------------------------


class MislaysLabels(Pool):
    says = "keep takes other labels"

    def keep(self, which):
        kept = super().keep(which)
        return replace(kept, labels=self.labels[: len(kept)])


class ForgetsTheOther(Pool):
    says = r"\+ changes origins"

    def __add__(self, other):
        joined = super().__add__(other)
        return replace(joined, origin=np.zeros_like(joined.origin))


class CountsInPlace(Pool):
    says = "the pool was changed"

    def counts(self):
        self.records["age"] = 0
        return super().counts()


class LoadsPlainNumbers(Pool):
    says = "what was saved comes back changed"

    @staticmethod
    def load(folder):
        pool = Pool.load(folder)
        return replace(pool, records=pool.records.astype({"age": "float64"}))


class StartsAgain(Pool):
    says = "append rewrites what is there"

    def append(self, folder):
        self.save(folder, overwrite=True)


class LooksAway(Pool):
    says = "a bit flipped at .* does not raise StorageError"

    @staticmethod
    def load(folder):
        return Pool.load(folder, verify=False)


class Pickles(Pool):
    says = r"\.lock is neither Parquet nor JSON"

    def save(self, folder, *, overwrite=False):
        super().save(folder, overwrite=overwrite)
        self.records.to_pickle(Path(folder, ".lock"))


class Overwrites(Pool):
    says = "saving over a pool does not raise FileExistsError"

    def save(self, folder, *, overwrite=True):
        super().save(folder, overwrite=True)


POOLS = {
    "check_pool_keep": MislaysLabels,
    "check_pool_add": ForgetsTheOther,
    "check_pool_unchanged": CountsInPlace,
    "check_pool_save": LoadsPlainNumbers,
    "check_pool_append": StartsAgain,
    "check_pool_refuses_damage": LooksAway,
    "check_pool_files": Pickles,
    "check_pool_overwrites_nothing": Overwrites,
}


# --- generators -------------------------------------------------------------------------------------------------------


class LosesARecord(ConditionalVAE):
    says = "codes became records of shape"

    def sample(self, y, *, rng):
        return super().sample(y, rng=rng)[1:]


class IgnoresLabels(ConditionalVAE):
    says = "the label is not obeyed"

    def sample(self, y, *, rng):
        return super().sample(torch.zeros_like(y), rng=rng)


class IgnoresTheRng(ConditionalVAE):
    says = "the same rng gives other records"

    def sample(self, y, *, rng):
        return super().sample(y, rng=torch.Generator().manual_seed(torch.seed() % 1000))


class MovesGlobalState(ConditionalVAE):
    says = "sampling moved global randomness"

    def sample(self, y, *, rng):
        torch.rand(1)
        return super().sample(y, rng=rng)


class DoesNotLearn(ConditionalVAE):
    says = "the class means are .* off after training"

    def settle(self, x, y):
        pass

    def training_step(self, batch, index):
        return super().training_step(batch, index) * 0


class DividesByTheClass(ConditionalVAE):
    says = "records of a small class are not finite"

    def sample(self, y, *, rng):
        return super().sample(y, rng=rng) / (self.latents.smallest - 1)

    def settle(self, x, y):
        super().settle(x, y)
        self.latents.smallest = self.counts.min()


class ForgetsItsScale(ConditionalVAE):
    says = "the stored weights draw other records"

    def __init__(self, spec, n_classes):
        super().__init__(spec, n_classes)
        self.scale = torch.rand(1)

    def sample(self, y, *, rng):
        return super().sample(y, rng=rng) * self.scale


GENERATORS = {
    "check_generator_shape": LosesARecord,
    "check_generator_obeys_labels": IgnoresLabels,
    "check_generator_same_seed": IgnoresTheRng,
    "check_generator_global_state": MovesGlobalState,
    "check_generator_learns": DoesNotLearn,
    "check_generator_small_classes": DividesByTheClass,
    "check_generator_state": ForgetsItsScale,
}


# --- mixing -----------------------------------------------------------------------------------------------------------


def drawn_on_the_way(loader, pool, **settings):
    torch.rand(1)
    return mix_loader(loader, pool, **settings)


def in_place_of_real(loader, pool, **settings):
    smaller = DataLoader(loader.dataset, batch_size=loader.batch_size - 1, sampler=loader.sampler)
    return mix_loader(smaller, pool, **settings)


def with_replacement(loader, pool, **settings):
    sampler = RandomSampler(loader.dataset, replacement=True)
    return mix_loader(DataLoader(loader.dataset, batch_size=loader.batch_size, sampler=sampler), pool, **settings)


def favouring_the_first(loader, pool, **settings):
    weights = [len(pool), *[1] * (len(pool) - 1)]
    return mix_loader(loader, pool, weights=weights, **settings)


def deaf_to_the_seed(loader, pool, *, seed, **settings):
    return mix_loader(loader, pool, seed=0, **settings)


def asked_once(loader, pool, *, ratio, **settings):
    return mix_loader(loader, pool, ratio=ratio(0) if callable(ratio) else ratio, **settings)


def everything_for_everyone(loader, pool, **settings):
    return mix_loader(DataLoader(loader.dataset, batch_size=loader.batch_size), pool, **settings)


MIXES = {
    "check_dataset_plain": (drawn_on_the_way, "the batches are not those of the plain loader"),
    "check_dataset_ratio": (in_place_of_real, "batch 0 has 3 real items, not 4"),
    "check_dataset_real_once": (with_replacement, "does not have each real item once"),
    "check_dataset_pool_once": (favouring_the_first, "taken twice before another is taken once"),
    "check_dataset_deterministic": (deaf_to_the_seed, "another seed gives the same batches"),
    "check_dataset_schedule": (asked_once, r"gave \[0, 0, 0\] synthetic items"),
    "check_dataset_ranks": (everything_for_everyone, "two processes share real items"),
    "check_dataset_global_state": (drawn_on_the_way, "global randomness was moved"),
}
