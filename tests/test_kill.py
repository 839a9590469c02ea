"""Processes killed (-9) at any moment: what was committed is whole, and going on ends where no kill would have."""

import logging
import multiprocessing
import os
import signal
import time
import warnings
from functools import partial
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader

from synthaug import SyntheticMix
from synthaug.cli import app
from synthaug.errors import StorageError
from synthaug.generators.vae import ConditionalVAE
from synthaug.generators.warp import ConditionalWarp
from synthaug.pool import Pool
from synthaug.synthesizer import CHUNK, Synthesizer

KILLS = [3, pytest.param(50, marks=pytest.mark.long)]
STEPS = 300
PARTS = 6

processes = multiprocessing.get_context("forkserver")  # starts children fast, with torch loaded and without threads
processes.set_forkserver_preload(["synthaug.demo", "synthaug.mix.frame", "synthaug.mix.lightning"])


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("train") / "train.csv"
    pd.DataFrame({"size": rng.normal(size=60), "kind": rng.choice(["u", "v"], 60), "y": ["a", "a", "b"] * 20}).to_csv(
        path, index=False
    )
    return path


def child(ready, work, args):
    ready.set()
    work(*args)


def command(*args):
    app(list(map(str, args)), standalone_mode=False)


def stream(model, folder):
    """Go on from what is in the pool."""
    try:
        done = len(Pool.load(folder)) // CHUNK
    except StorageError:
        done = 0
    for part in islice(Synthesizer.load(model).stream({"a": PARTS * CHUNK}, chunk=CHUNK), done, None):
        part.append(folder)


def run(work, *args, kill_after=None):
    """Seconds that the work took in a process of its own, killed when `kill_after` seconds have passed."""
    ready = processes.Event()
    process = processes.Process(target=child, args=(ready, work, args))
    process.start()
    ready.wait(60)
    start = time.perf_counter()
    process.join(kill_after)
    if kill_after is None:
        assert process.exitcode == 0
    process.kill()
    process.join()
    return time.perf_counter() - start


def moments(kills, seconds):
    return np.random.default_rng(kills).uniform(0.05, 1.0, kills) * seconds


def weights(folder):
    return load_file(folder / "weights.safetensors")


@pytest.mark.parametrize("kills", KILLS)
def test_a_fit_goes_on_from_its_checkpoint(kills, train, tmp_path):
    def args(name):
        return (
            "fit",
            train,
            "-t",
            "y",
            "-o",
            tmp_path / name,
            "--checkpoint",
            tmp_path / f"{name} state",
            "--steps",
            STEPS,
        )

    seconds = run(command, *args("whole"))
    whole = weights(tmp_path / "whole")
    for i, moment in enumerate(moments(kills, seconds)):
        if i % 3 == 0:  # two more kills of the same fit, then a new one
            name = f"killed {i}"
        run(command, *args(name), kill_after=moment)
        if (tmp_path / name).exists():
            assert Synthesizer.load(tmp_path / name).sample(3).counts() == {"a": 2, "b": 1}
            (tmp_path / name).rename(tmp_path / f"{name}, whole {i}")
        if i % 3 == 2 or i == kills - 1:
            run(command, *args(name))
            found = weights(tmp_path / name)
            assert found.keys() == whole.keys()
            assert all(np.array_equal(found[key], whole[key]) for key in whole)


@pytest.mark.parametrize("kills", KILLS)
def test_a_stream_into_a_pool_goes_on(kills, train, tmp_path):
    model = tmp_path / "model"
    df = pd.read_csv(train)
    quick = Synthesizer(generator=partial(ConditionalVAE, width=16), max_steps=5, random_state=0)
    quick.fit(df.drop(columns="y"), df["y"]).save(model)
    seconds = run(stream, model, tmp_path / "whole")
    whole = Pool.load(tmp_path / "whole")
    assert len(whole) == PARTS * CHUNK
    held = 0
    for i, moment in enumerate(moments(kills, seconds)):
        if held == len(whole) or i == 0:
            held, folder = 0, tmp_path / f"killed {i}"
        run(stream, model, folder, kill_after=moment)
        pool = committed(folder)
        assert pool is None or pool.equals(whole.keep(np.arange(len(pool))))
        assert (0 if pool is None else len(pool)) >= held
        held = 0 if pool is None else len(pool)
    run(stream, model, folder)
    assert Pool.load(folder).equals(whole)


def committed(folder):
    """The pool in the folder; None before anything was committed."""
    return Pool.load(folder) if (folder / "_manifest.json").exists() else None


@pytest.mark.parametrize("kills", KILLS)
def test_an_output_is_whole_or_as_it_was(kills, train, tmp_path):
    def args(name):
        return "augment", train, "-t", "y", "-o", tmp_path / name, "--steps", 5, "--amount", 20_000, "--force"

    seconds = run(command, *args("whole.csv"))
    whole = (tmp_path / "whole.csv").read_bytes()
    killed = tmp_path / "killed.csv"
    for i, moment in enumerate(moments(kills, seconds)):
        before = [None, b"as it was"][i % 2]
        killed.unlink(missing_ok=True)
        if before is not None:
            killed.write_bytes(before)
        run(command, *args("killed.csv"), kill_after=moment)
        assert (killed.read_bytes() if killed.exists() else None) in (before, whole)
        assert all(
            path.name.startswith(".killed.csv.tmp-")
            for path in set(tmp_path.iterdir()) - {killed, tmp_path / "whole.csv"}
        )
    run(command, *args("killed.csv"))
    assert killed.read_bytes() == whole


class Classifier(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))

    def training_step(self, batch, index):
        return torch.nn.functional.cross_entropy(self.net(batch[0] / 255), batch[1])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 1e-3)


class Kill(pl.Callback):
    """Kills its own process after a step, before that is in a checkpoint."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def train_mixed(folder, kill_at=None):
    """Train for 32 steps on digits and warped ones, drawn anew each epoch; go on from the last checkpoint."""
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    last = max(folder.glob("*.ckpt"), key=lambda path: path.stat().st_mtime_ns, default=None)
    pl.seed_everything(0 if last is None else 1, verbose=False)  # what goes on has its seed from the checkpoint
    images, labels = load_digits(return_X_y=True)
    items = [
        ((image.reshape(8, 8) * 15).astype("uint8"), int(y)) for image, y in zip(images[:120], labels, strict=False)
    ]
    mix = SyntheticMix(Synthesizer(generator=ConditionalWarp), refresh_every=1)
    keep = ModelCheckpoint(folder, every_n_train_steps=3, save_top_k=-1)
    trainer = pl.Trainer(
        max_epochs=8, callbacks=[mix, Kill(kill_at), keep], logger=False, accelerator="cpu", enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    model = Classifier()
    trainer.fit(model, DataLoader(items, batch_size=32, shuffle=True), ckpt_path=last, weights_only=True)
    save_file(
        {"images": mix.pool_.records, **{k: v.numpy() for k, v in model.state_dict().items()}}, folder / "weights"
    )


@pytest.mark.parametrize("steps", [(2, 8, 23), pytest.param(range(1, 32), marks=pytest.mark.long)])
def test_a_mixed_training_goes_on(steps, tmp_path):
    """Before there is a checkpoint, at the end of an epoch, and within one."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    run(train_mixed, whole)
    for step in steps:
        run(train_mixed, killed, step, kill_after=300)
        assert len(list(killed.iterdir())) == (step - 1) // 3  # checkpoints
    run(train_mixed, killed)
    expected, found = (load_file(folder / "weights") for folder in (whole, killed))
    assert all(np.array_equal(found[key], expected[key]) for key in expected)
