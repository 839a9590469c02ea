"""Any Lightning logger and callback can look on while the generator trains."""

from functools import partial
from tempfile import TemporaryDirectory

from pytorch_lightning import Callback
from pytorch_lightning.loggers import CSVLogger
from sklearn.datasets import load_wine

from synthaug import ConditionalGAN, Synthesizer


class TellLosses(Callback):
    """Print the losses at the end."""

    def on_train_end(self, trainer, pl_module):
        print({name: round(float(value), 3) for name, value in trainer.logged_metrics.items()})


X, y = load_wine(as_frame=True, return_X_y=True)
with TemporaryDirectory() as folder:
    synthesizer = Synthesizer(
        generator=partial(ConditionalGAN, latent_dim=8),
        trainer_kwargs={"logger": CSVLogger(folder), "callbacks": [TellLosses()]},
        random_state=0,
    ).fit(X, y)

print(synthesizer.sample({0: 2, 1: 1}).to_dataframe("cultivar").round(2))
