import json
import random
import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from sklearn.base import clone

import synthaug
from synthaug.augmenting import augment
from synthaug.errors import (
    DataError,
    DataTypeError,
    FileExistsSynthaugError,
    NotFittedError,
    ParameterError,
    StorageError,
    SynthaugWarning,
    TrainingError,
)
from synthaug.generators.gan import ConditionalGAN
from synthaug.generators.vae import ConditionalVAE
from synthaug.labels import warn_of_many
from synthaug.mix.resample import SynthResampler
from synthaug.synthesizer import Synthesizer

STEPS = 60


def table(n=60):
    rng = np.random.default_rng(0)
    labels = pd.Series(np.where(np.arange(n) % 4 == 0, "rare", "common"), name="kind")
    records = pd.DataFrame(
        {
            "size": rng.normal(size=n) + 5 * (labels == "rare"),
            "count": rng.integers(0, 9, n),
            "colour": rng.choice(["red", "blue"], n),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 99, n), unit="D"),
        }
    )
    records.loc[::7, "size"] = np.nan
    return records, labels


@pytest.fixture(scope="module")
def fitted():
    return Synthesizer(max_steps=STEPS, random_state=0).fit(*table())


def test_exactly_the_counts_asked_for_in_the_form_of_the_records(fitted):
    records, _ = table()
    pool = fitted.sample({"rare": 7, "common": 0})
    assert pool.labels.tolist() == ["rare"] * 7
    assert pool.labels.name == "kind"
    assert pool.records.dtypes.equals(records.dtypes)
    assert fitted.sample(5).counts() == {"common": 3, "rare": 2}
    assert len(fitted.sample(0)) == 0
    assert fitted.sample(0).records.dtypes.equals(records.dtypes)


def test_the_label_is_obeyed():
    records, labels = table(200)
    pool = Synthesizer(random_state=0).fit(records, labels).sample(400)
    means = pool.records["size"].groupby(pool.labels).mean()
    assert means["rare"] - means["common"] > 4


def test_a_stream_is_the_sample_in_pieces_of_bounded_size(fitted):
    whole = fitted.sample(20_001)
    parts = list(fitted.stream(20_001, chunk=8_192))
    assert [len(part) for part in parts] == [8_192, 8_192, 3_617]
    assert pd.concat([part.records for part in parts], ignore_index=True).equals(whole.records)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(fitted):
    again = Synthesizer(max_steps=STEPS, random_state=0).fit(*table())
    assert again.sample(50).records.equals(fitted.sample(50).records)
    assert not fitted.sample(50, random_state=1).records.equals(fitted.sample(50).records)


def test_global_randomness_is_untouched():
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    Synthesizer(max_steps=5).fit(*table()).sample(5)
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.parametrize("generator", [ConditionalVAE, partial(ConditionalGAN, latent_dim=4)])
@pytest.mark.parametrize("per_class", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_saved_synthesizer_gives_the_same_bytes_in_another_process(generator, per_class, tmp_path):
    synthesizer = Synthesizer(generator=generator, per_class=per_class, max_steps=STEPS, random_state=3).fit(*table())
    synthesizer.save(tmp_path / "model")
    here = synthesizer.sample(100, random_state=5)
    code = (
        "from synthaug import Synthesizer; import sys\n"
        "pool = Synthesizer.load(sys.argv[1]).sample(100, random_state=5)\n"
        "pool.to_dataframe('kind').to_parquet(sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "model", tmp_path / "there.parquet"], check=True)
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "there.parquet"), here.to_dataframe("kind"), check_exact=True
    )
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["synthesizer.json", "weights.safetensors"]


@pytest.mark.parametrize("generator", [ConditionalVAE, ConditionalGAN])
@pytest.mark.parametrize("per_class", [False, True])
def test_classes_of_one_to_five_records_work(generator, per_class):
    records, _ = table(20)
    labels = ["a"] * 5 + ["b"] * 1 + ["c"] * 2 + ["d"] * 12
    pool = (
        Synthesizer(generator=generator, per_class=per_class, max_steps=STEPS, random_state=0)
        .fit(records, labels)
        .sample({"a": 3, "b": 4, "c": 5})
    )
    assert pool.counts() == {"a": 3, "b": 4, "c": 5}
    assert pool.records["size"].dropna().between(records["size"].min(), records["size"].max()).all()


def test_no_training_record_is_in_a_saved_model(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    state = json.loads((tmp_path / "model" / "synthesizer.json").read_text())
    assert len(json.dumps(state["codec"])) < 4_000
    shapes = [tuple(p.shape) for p in fitted.generators_[0].state_dict().values()]
    assert all(60 not in shape and 45 not in shape and 15 not in shape for shape in shapes)


def test_it_is_a_good_estimator():
    synthesizer = Synthesizer(generator=partial(ConditionalVAE, latent_dim=4), max_steps=10, random_state=0)
    copy = clone(synthesizer)
    assert repr(copy) == repr(synthesizer)
    assert "latent_dim=4" in repr(synthesizer)


def test_a_failed_fit_keeps_the_last_good_weights():
    class Diverging(ConditionalVAE):
        def training_step(self, batch, index):
            loss = super().training_step(batch, index)
            return loss * float("nan") if self.current_epoch == 2 else loss

    synthesizer = Synthesizer(generator=Diverging, max_steps=300, random_state=0)
    with pytest.raises(TrainingError, match="Training stopped in epoch 3"):
        synthesizer.fit(*table())
    assert synthesizer.sample(4).records["count"].between(0, 8).all()


class Kill(pl.Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            raise RuntimeError("killed")


def test_an_interrupted_fit_goes_on_from_its_checkpoint(tmp_path):
    records, labels = table()
    with pytest.raises(RuntimeError, match="killed"):
        Synthesizer(max_steps=120, trainer_kwargs={"callbacks": [Kill()]}).fit(records, labels, checkpoint=tmp_path)
    assert (tmp_path / "fit-0.ckpt").exists()
    resumed = Synthesizer(max_steps=120).fit(records, labels, checkpoint=tmp_path)
    whole = Synthesizer(max_steps=120, random_state=resumed.seed_).fit(records, labels)
    assert resumed.sample(50).records.equals(whole.sample(50).records)
    for other in ({"random_state": 1}, {"generator": partial(ConditionalVAE, latent_dim=3)}, {"per_class": True}):
        with pytest.raises(StorageError, match="holds the state of another fit"):
            Synthesizer(max_steps=120, **other).fit(records, labels, checkpoint=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_steps": 0}, 'Expected `max_steps` to be "auto" or an int of at least 1, got 0.'),
        ({"batch_size": "big"}, "Expected `batch_size` to be \"auto\" or an int of at least 1, got 'big'."),
        (
            {"generator": "vae"},
            "Expected `generator` to be a GeneratorModule class or a functools.partial of one, got 'vae'.",
        ),
        ({"per_class": "no"}, "Expected `per_class` to be True or False, got 'no'."),
        ({"trainer_kwargs": 3}, "Expected `trainer_kwargs` to be a dict of arguments of a Trainer, got 3."),
        ({"generator": lambda spec, n: 3}, "Expected `generator` to make a GeneratorModule, it made 3."),
        ({"random_state": -1}, "Expected `random_state` to be None, a non-negative int or a numpy generator, got -1."),
    ],
)
def test_arguments_are_checked_in_fit(arguments, message):
    with pytest.raises(ParameterError) as error:
        Synthesizer(**arguments).fit(*table())
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"blue": 1}, "Unknown label 'blue' in `counts`: known are 'common', 'rare'."),
        ({"rare": -1}, "Expected the count for label 'rare' to be an int of at least 0, got -1."),
        ({"rare": 1.5}, "Expected the count for label 'rare' to be an int of at least 0, got 1.5."),
        ("rare", "Expected `counts` to be an int or a dict of label to int, got 'rare'."),
        (-3, "Expected `counts` to be at least 0, got -3."),
    ],
)
def test_counts_are_checked(fitted, counts, message):
    with pytest.raises(ParameterError) as error:
        fitted.sample(counts)
    assert str(error.value) == message


def test_before_fit_there_is_nothing_to_sample_or_save(tmp_path):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        Synthesizer().sample(1)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        Synthesizer().save(tmp_path / "model")


def test_bad_records_and_labels_are_named():
    records, labels = table()
    with pytest.raises(DataError, match="^The labels \\('kind'\\) are missing in 1 of 60 records"):
        Synthesizer().fit(records, labels.mask(labels.index == 3))
    with pytest.raises(
        DataTypeError, match="^Expected the records to be a pandas DataFrame, or images in an array, got ndarray"
    ):
        Synthesizer().fit(np.zeros((60, 2)), labels)


def test_a_folder_is_not_overwritten_unless_asked(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    with pytest.raises(FileExistsSynthaugError, match="exists"):
        fitted.save(tmp_path / "model")
    fitted.save(tmp_path / "model", overwrite=True)
    assert synthaug.Synthesizer.load(tmp_path / "model").sample(3).records.equals(fitted.sample(3).records)


@pytest.mark.parametrize("name", ["synthesizer.json", "weights.safetensors"])
def test_damaged_files_are_refused(fitted, tmp_path, name):
    rng = np.random.default_rng(0)
    fitted.save(tmp_path / "model")
    path = tmp_path / "model" / name
    whole = path.read_bytes()
    for cut in rng.integers(0, len(whole), 15):
        path.write_bytes(whole[:cut])
        with pytest.raises(StorageError):
            Synthesizer.load(tmp_path / "model")
    if name.endswith("json"):
        return
    for place in rng.integers(0, len(whole), 30):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(StorageError):
            Synthesizer.load(tmp_path / "model")


def test_a_misspelt_argument_of_a_generator_is_named():
    with pytest.raises(ParameterError, match="unexpected keyword argument 'widht'"):
        Synthesizer(generator=partial(ConditionalVAE, widht=3)).fit(*table())


@pytest.mark.parametrize("name", ["width", "latent_dim", "depth"])
def test_a_file_that_asks_for_a_huge_network_is_refused(fitted, tmp_path, name):
    fitted.save(tmp_path / "model")
    path = tmp_path / "model" / "synthesizer.json"
    state = json.loads(path.read_text())
    state["generator"]["hparams"][name] = 10**9
    path.write_text(json.dumps(state))
    with pytest.raises(StorageError, match="damaged or was altered"):
        Synthesizer.load(tmp_path / "model")


def test_loading_leaves_global_randomness_alone(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    before = torch.get_rng_state()
    Synthesizer.load(tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_pool_knows_the_rows_that_its_generator_was_trained_on(fitted, tmp_path):
    records, labels = table()
    other, _ = table(80)
    fitted.save(tmp_path / "model")
    for synthesizer in (fitted, Synthesizer.load(tmp_path / "model")):
        pool = synthesizer.sample(4)
        assert pool.trained_on(records).all()
        assert pool.trained_on(records, labels).all()
        assert not pool.trained_on(other.assign(count=-1)).any()


def test_a_pool_folder_is_no_synthesizer(fitted, tmp_path):
    fitted.sample(3).save(tmp_path / "pool")
    with pytest.raises(StorageError, match=r"pool is a pool, records that are drawn already.*`Pool\.load`"):
        Synthesizer.load(tmp_path / "pool")


@pytest.mark.parametrize("counts", [10**30, {"rare": 10**30}, {"rare": 10**12, "common": 1}])
def test_more_records_than_any_machine_holds(fitted, counts):
    with pytest.raises(
        ParameterError, match="Expected at most 1,000,000,000,000 records in all, got 10+1?: draw fewer"
    ):
        fitted.sample(counts)


MANY = {
    "an identifier": (range(40), "have 40 values in 40 records, 40 of them once"),
    "texts": ([f"no {i}" for i in range(30)] + ["no 0"] * 90, "have 30 values in 120 records, 29 of them once"),
}


@pytest.mark.parametrize("values", [range(9), [0, 1] * 30, [i % 50 for i in range(200)]])
def test_classes_are_no_ground_for_a_warning(values):
    warn_of_many(pd.Series(values))


@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")  # scikit-learn's
@pytest.mark.parametrize("name", MANY)
def test_a_target_of_very_many_values_is_warned_of_at_every_door(name):
    values, message = MANY[name]
    df = pd.DataFrame({"x": np.arange(len(values)) % 7, "y": values})
    quick = Synthesizer(max_steps=2, random_state=0)
    with pytest.warns(SynthaugWarning, match=rf"The labels \('y'\) {message}: this looks like a quantity"):
        quick.fit(df[["x"]], df["y"])
    for amount in (0, 3):
        with pytest.warns(SynthaugWarning, match=rf"\('y'\) {message}.*Bin it"):
            augment(df, "y", amount=amount, synthesizer=quick)
    with pytest.warns(SynthaugWarning, match=message):
        SynthResampler(quick, amount=3).fit_resample(df[["x"]], df["y"])
