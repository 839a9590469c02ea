"""Every check over every case, and every check over the implementation that it must fail on."""

from __future__ import annotations

from functools import partial

import cases
import numpy as np
import pytest
import saboteurs

from synthaug import testing
from synthaug.codecs.image import ImageCodec
from synthaug.codecs.tabular import TableCodec
from synthaug.generators.gan import ConditionalGAN
from synthaug.generators.vae import ConditionalVAE
from synthaug.generators.warp import ConditionalWarp
from synthaug.mix.loader import mix_loader
from synthaug.pool import Pool, Source

# --- codecs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", testing.CODEC_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", cases.TABLES)
def test_table_codec(case, check):
    records, _ = cases.TABLES[case]()
    check(TableCodec(), records)


@pytest.mark.parametrize("check", testing.CODEC_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", cases.IMAGES)
def test_image_codec(case, check):
    case = cases.IMAGES[case]
    check(ImageCodec(layout=case.layout, value_range=case.value_range), case()[0])


def records_for(saboteur):
    return (cases.IMAGES["grey_wide_floats"] if issubclass(saboteur, ImageCodec) else cases.TABLES["adult"])()[0]


@pytest.mark.parametrize("check", testing.CODEC_CHECKS, ids=lambda check: check.__name__)
def test_codec_check_fails_on_its_saboteur(check):
    saboteur = saboteurs.CODECS[check.__name__]
    with pytest.raises(AssertionError, match=saboteur.says):
        check(saboteur(), records_for(saboteur))


def test_check_codec_runs_every_check():
    for saboteur in saboteurs.CODECS.values():
        with pytest.raises(AssertionError):
            testing.check_codec(saboteur(), records_for(saboteur))


# --- pools ------------------------------------------------------------------------------------------------------------


def make_pool(case, kind=Pool):
    """A pool of two sources and with a score, of the records of a case."""
    records, labels = {**cases.TABLES, **cases.IMAGES}[case]()
    pool = Pool.of(records, labels, Source("one", "", 0), scores={"place": np.arange(len(records), dtype=float)})
    if len(pool) < 3:
        pool = pool.keep([0, 0, 0])
    other = Pool.of(pool.records[:2], pool.labels[:2], Source("two", "", 1))
    return kind(**vars(pool + other))


@pytest.mark.parametrize("check", testing.POOL_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", [case for case in (*cases.TABLES, *cases.IMAGES) if case != "strings"])
def test_pool(case, check):
    check(make_pool(case))


@pytest.mark.parametrize("check", testing.POOL_CHECKS, ids=lambda check: check.__name__)
def test_pool_check_fails_on_its_saboteur(check):
    saboteur = saboteurs.POOLS[check.__name__]
    with pytest.raises(AssertionError, match=saboteur.says):
        check(make_pool("adult", saboteur))


def test_check_pool_runs_every_check():
    for saboteur in saboteurs.POOLS.values():
        with pytest.raises(AssertionError):
            testing.check_pool(make_pool("adult", saboteur))


# --- generators -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", testing.GENERATOR_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("generator", [ConditionalVAE, ConditionalGAN])
def test_generator(generator, check):
    check(generator)


@pytest.mark.parametrize("check", testing.GENERATOR_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "generator", [partial(ConditionalVAE, width=8), partial(ConditionalGAN, width=8), ConditionalWarp]
)
def test_generator_of_grids(generator, check):
    check(generator, testing.generators.GRID)


@pytest.mark.parametrize("check", testing.GENERATOR_CHECKS, ids=lambda check: check.__name__)
def test_generator_check_fails_on_its_saboteur(check):
    saboteur = saboteurs.GENERATORS[check.__name__]
    with pytest.raises(AssertionError, match=saboteur.says):
        check(saboteur)


# --- mixing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", testing.DATASET_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", cases.DATASETS)
def test_mixing(case, check):
    check(*cases.DATASETS[case](), mix_loader)


@pytest.mark.parametrize("check", testing.DATASET_CHECKS, ids=lambda check: check.__name__)
def test_mixing_check_fails_on_its_saboteur(check):
    mix, says = saboteurs.MIXES[check.__name__]
    with pytest.raises(AssertionError, match=says):
        check(*cases.DATASETS["arrays"](), mix)
