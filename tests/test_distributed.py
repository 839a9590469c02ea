"""A fit in two processes, as a user's script starts it: Lightning runs the same script once more for the second."""

import json
import os
import subprocess
import sys

import pytest

from synthaug.pool import Pool
from synthaug.synthesizer import Synthesizer

SCRIPT = """
import hashlib, json, os, sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch.distributed as processes
from sklearn.datasets import load_digits

from synthaug import ConditionalGAN, ConditionalVAE, Synthesizer

generator = {"vae": ConditionalVAE, "gan": ConditionalGAN}[sys.argv[1]]
rng = np.random.default_rng(0)
y = pd.Series(np.where(np.arange(60) % 4, "no", "yes"))
X = pd.DataFrame({"a": rng.normal(size=60) + 3 * (y == "yes"), "b": rng.choice(list("uvw"), 60)})
images = sys.argv[3] == "images"
if images:
    digits = load_digits(n_class=2)
    X, y = (digits.images * 15).astype("uint8"), pd.Series(np.where(digits.target, "yes", "no"))
synthesizer = Synthesizer(
    generator=generator,
    per_class=sys.argv[3] == "per_class",
    max_steps=60,
    random_state=0,
    augment=np.fliplr if images else None,
    trainer_kwargs={"strategy": sys.argv[2], "devices": 2, "accelerator": "cpu"},
).fit(X, y)
rank = processes.get_rank()
states = [tensor.numpy().tobytes() for one in synthesizer.generators_ for tensor in one.state_dict().values()]
told = {"size": processes.get_world_size(), "weights": hashlib.sha256(b"".join(states)).hexdigest()}
if rank == 0:
    synthesizer.save("model")
    synthesizer.sample({"yes": 5, "no": 3}).save("pool")
Path(f"rank-{rank}.json").write_text(json.dumps(told))
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("generator", "strategy", "kind"),
    [
        ("vae", "ddp", "one"),
        ("vae", "ddp", "per_class"),
        ("gan", "ddp_find_unused_parameters_true", "one"),
        ("vae", "ddp", "images"),
        ("gan", "ddp_find_unused_parameters_true", "images"),
    ],
)
def test_two_processes_end_in_the_same_weights(generator, strategy, kind, tmp_path):
    (tmp_path / "fit.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "fit.py", generator, strategy, kind],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert first["size"] == 2
    loaded = Synthesizer.load(tmp_path / "model")
    assert loaded.sample({"yes": 5, "no": 3}).equals(Pool.load(tmp_path / "pool"))
