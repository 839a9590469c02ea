"""Generators of grids on the digits of scikit-learn, 8x8, and on grids of odd shapes."""

import warnings
from functools import partial
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from torch import nn

from synthaug.errors import CollapseWarning, DataError, ParameterError
from synthaug.generators.gan import PENALTY_EVERY, ConditionalGAN
from synthaug.generators.geometry import MOVES, draw_moves, moved
from synthaug.generators.heads import GridHeads
from synthaug.generators.sharpness import Sharpening, steepness, unsharp
from synthaug.generators.training import Training
from synthaug.generators.vae import FREE_BITS, ConditionalVAE, _free
from synthaug.generators.watch import LEAST_SHARE, Watch, diversity, kernel_distance, plain_features
from synthaug.rng import isolated, torch_rng
from synthaug.spec import Spec

KINDS = [ConditionalVAE, ConditionalGAN]


def digits(per_class=None, n_classes=10):
    found = load_digits()
    x, y = torch.from_numpy(found.data).float().view(-1, 1, 8, 8) / 8 - 1, torch.from_numpy(found.target)
    own = y < n_classes
    x, y = x[own], y[own]
    if per_class is None:
        return x, y
    rows = torch.cat([torch.where(y == code)[0][:per_class] for code in range(n_classes)])
    return x[rows], y[rows]


def fresh(kind, shape=(1, 8, 8), n_classes=2, **arguments):
    with isolated(0):
        return kind(Spec(shape).to_dict(), n_classes, **arguments)


def fit(module, x, y, steps=20, **kwargs):
    with warnings.catch_warnings(action="ignore", category=CollapseWarning):
        Training(steps, trainer_kwargs=kwargs).run(module, x, y)
    return module


def same(a, b):
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 9, 14), (3, 8, 8), (13, 10, 8), (2, 64, 48), (4, 8, 40), (1, 28, 28)])
def test_any_channels_and_any_size_of_at_least_eight(kind, shape):
    module = fresh(kind, shape, width=8).eval()
    y = torch.tensor([0, 1, 1])
    drawn = module.sample(y, rng=torch_rng(0))
    assert drawn.shape == (3, *shape)
    assert drawn.abs().max() <= 1
    assert module.sample(y[:0], rng=torch_rng(0)).shape == (0, *shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 7, 8), (8, 8), (1, 2, 8, 8)])
def test_other_shapes_are_refused(kind, shape):
    with pytest.raises(ParameterError, match="grids of shape .* with sides of at least 8; got the shape"):
        fresh(kind, shape)


def test_drawn_digits_are_those_asked_for():
    x, y = digits(n_classes=3)
    module = fit(fresh(ConditionalVAE, n_classes=3), x, y, steps=150)
    means = torch.stack([x[y == code].mean(0) for code in range(3)]).flatten(1)
    asked = torch.arange(300) % 3
    drawn = module.sample(asked, rng=torch_rng(0)).flatten(1)
    assert (torch.cdist(drawn, means).argmin(1) == asked).float().mean() > 0.9


def test_transfer_gives_the_other_class_and_keeps_the_shape():
    x, y = digits(n_classes=3)
    module = fit(fresh(ConditionalVAE, n_classes=3), x, y, steps=150)
    means = torch.stack([x[y == code].mean(0) for code in range(3)]).flatten(1)
    to_y = (y + 1) % 3
    made = module.transfer(x, y, to_y, rng=torch_rng(0))
    assert made.shape == x.shape
    nearest = torch.cdist(made.flatten(1), means).argmin(1)
    assert (nearest == to_y).float().mean() > (nearest == y).float().mean()
    kept = module.transfer(x, y, y, rng=torch_rng(0))
    assert (kept - x).abs().mean() < (kept[torch.randperm(len(x), generator=torch_rng(0))] - x).abs().mean() / 2


def test_a_class_of_one_image_is_drawn_around_it():
    x, y = digits(n_classes=2)
    rows = torch.cat([torch.where(y == 0)[0], torch.where(y == 1)[0][:1]])
    module = fit(fresh(ConditionalVAE), x[rows], y[rows], steps=100)
    drawn = module.sample(torch.ones(50, dtype=torch.long), rng=torch_rng(0)).flatten(1)
    means = torch.stack([x[y == 0].mean(0), x[rows][-1]]).flatten(1)
    assert (torch.cdist(drawn, means).argmin(1) == 1).float().mean() > 0.9
    assert drawn.std(0).mean() > 0.02


def test_drawn_digits_are_as_sharp_as_real_ones_of_their_class():
    """In deviations of the real ones; without sharpening, zeros are three less sharp."""
    x, y = digits(n_classes=3)
    module = fit(fresh(ConditionalVAE, n_classes=3), x, y, steps=150)
    drawn = module.sample(y, rng=torch_rng(0))
    for code in range(3):
        real, found = steepness(x[y == code]), steepness(drawn[y == code])
        assert abs(found.mean() - real.mean()) < 0.3 * real.std()
        assert 0.7 < found.std() / real.std() < 1.4


def test_sharpening_of_a_class_of_one_grid_follows_the_others_and_a_sharp_grid_stays():
    x, y = digits(n_classes=2)
    x, y = torch.cat([x[y == 0], x[y == 1][:1]]), torch.cat([y[y == 0], y[y == 1][:1]])
    soft = unsharp(x, torch.full((len(x),), -0.7))
    sharpening = Sharpening(2)
    sharpening.fit(steepness(x), y, steepness(soft), y)
    assert sharpening.off[0] > 0.1
    assert 0.5 < sharpening.off[1] / sharpening.off[0] < 1.5
    sharpening.fit(steepness(soft), y, steepness(x), y)
    assert torch.equal(sharpening(x, y)[y == 1], x[y == 1])


@pytest.mark.parametrize("counts", [(29, 29), (200, 4)])
def test_the_gan_refuses_few_images_and_names_the_vae(counts):
    y = torch.repeat_interleave(torch.arange(2), torch.tensor(counts))
    with pytest.raises(DataError, match=r"^ConditionalGAN needs 30 images a class on average and 5 of each; got") as e:
        Training(20).run(fresh(ConditionalGAN), torch.zeros(len(y), 1, 8, 8), y)
    assert "Take `generator=ConditionalVAE`" in str(e.value)


def test_a_rare_class_among_many_records_is_looked_at():
    """A look settles on some of the records only; none of the five of a class may be missed."""
    y = torch.zeros(6_000, dtype=torch.long)
    y[:5] = 1
    module = fit(fresh(ConditionalVAE), torch.rand(6_000, 1, 8, 8), y, 4)
    assert module.sample(y[:3], rng=torch.Generator().manual_seed(0)).isfinite().all()


def test_features_may_be_a_module_that_is_no_part_of_the_generator():
    features = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    module = ConditionalVAE(Spec((1, 8, 8)).to_dict(), 2, features=features)
    assert module.features is features
    assert not any(name.startswith("features") for name in module.state_dict())
    y = torch.arange(12) % 2
    fit(module, torch.rand(12, 1, 8, 8), y, 2)


@pytest.mark.parametrize("kind", [ConditionalVAE, pytest.param(ConditionalGAN, marks=pytest.mark.long)])
def test_a_resumed_fit_ends_in_the_same_weights(kind, tmp_path):
    class Kill(pl.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 2:
                raise KeyError("killed")

    x, y = digits(per_class=40, n_classes=2)
    build, path = partial(fresh, partial(kind, width=8)), tmp_path / "fit.ckpt"
    whole, cut, resumed = build(), build(), build()
    with warnings.catch_warnings(action="ignore", category=CollapseWarning):
        Training(200).run(whole, x, y)
        with pytest.raises(KeyError):
            Training(200, trainer_kwargs={"callbacks": [Kill()]}).run(cut, x, y, checkpoint=path)
        Training(200).run(resumed, x, y, checkpoint=path)
    assert same(whole, resumed)


class Stop(pl.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = True


def test_a_fit_that_is_stopped_between_two_looks_settles_on_its_last_weights():
    x, y = digits(per_class=40, n_classes=2)
    module = fit(fresh(ConditionalVAE, width=8), x, y, steps=2_000, callbacks=[Stop()])
    assert module.latents.mean.abs().max() > 0
    assert module.sharpening.mean.abs().max() > 0


def test_a_generator_that_repeats_itself_is_reported_with_the_share(tmp_path):
    class Repeats(ConditionalVAE):
        def sample(self, y, *, rng):
            return super().sample(y, rng=rng) * (y == 0).float()[:, None, None, None]

    x, y = digits(n_classes=2)
    for _ in range(2):  # the second finds a fit that is finished
        with pytest.warns(CollapseWarning, match=r"[12] of 2 classes .* less than 25% as much .* 1 \(0%\).* than 20"):
            Training(20).run(fresh(Repeats), x, y, checkpoint=tmp_path / "fit.ckpt")


def test_the_weights_before_a_collapse_are_kept():
    class Dies(ConditionalVAE):
        """Draws well until its weights say otherwise."""

        def on_train_epoch_start(self):
            self.dead = self.trainer.current_epoch >= 3
            self.mark.fill_(self.trainer.current_epoch)

        def sample(self, y, *, rng):
            noise = torch.rand((len(y), 1, 8, 8), generator=rng)
            return noise * (float(self.mark) < 3)

    x, y = digits(per_class=40, n_classes=2)
    module = fresh(Dies, width=8)
    module.register_buffer("mark", torch.zeros(1))
    Training(300).run(module, x, y)
    assert float(module.mark) == 2


def test_the_best_look_decides_for_large_sets_by_the_features_given():
    seen = []

    def features(x):
        seen.append(len(x))
        return plain_features(x)

    x, y = digits()
    x, y = torch.cat([x, x]), torch.cat([y, y])
    distances = []

    class Note(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            distances.append(float(trainer.callback_metrics["kernel_distance"]))

        def on_train_end(self, trainer, pl_module):
            keeper = next(c for c in trainer.callbacks if hasattr(c, "watch"))
            assert keeper.best % 1e6 == pytest.approx(min(distances), abs=1e-6) or keeper.best >= 1e6

    fit(fresh(ConditionalVAE, n_classes=10, width=8, features=features), x, y, steps=150, callbacks=[Note()])
    assert len(distances) == 3
    assert seen


def test_kernel_distance_tells_drawn_from_other_and_is_unbiased():
    x, y = digits()
    f = plain_features(x)
    f = f / f.std(0).clamp(min=1e-3)
    order = torch.randperm(len(f), generator=torch_rng(0))
    halves = kernel_distance(f[order[:800]], f[order[800:]])
    classes = kernel_distance(f[y < 5], f[y >= 5])
    assert abs(halves) < classes / 20


def test_diversity_of_copies_is_nothing():
    x, y = digits(per_class=20, n_classes=3)
    f = plain_features(x)
    real = diversity(f, y, 3)
    f[y == 1] = f[y == 1][:1].clone()
    copies = diversity(f, y, 3)
    assert copies[1] < LEAST_SHARE * real[1]
    assert torch.equal(copies[[0, 2]], real[[0, 2]])


class Drawing(ConditionalVAE):
    """Draws images that a function of `y` makes."""

    def sample(self, y, *, rng):
        return self.made(y)


def test_a_look_is_not_led_by_pixels_that_are_the_same_in_all_images():
    """Real images with a spot in a corner that is always dark are nearer than the mean images of the classes."""
    x, y = digits()
    x = nn.functional.pad(x, [1, 0, 1, 0], value=-1.0)
    watch = Watch(x[:900], y[:900], 10, held_out=(x[900:1300], y[900:1300]))
    module = fresh(Drawing, shape=(1, 9, 9), n_classes=10)
    rest, codes = x[1300:].clone(), y[1300:]
    rest[:, :, 0, 0] += 0.02
    module.made = lambda wanted: torch.stack([rest[codes == code][i % 20] for i, code in enumerate(wanted.tolist())])
    spotted = watch.look(module)
    module.made = lambda wanted: torch.stack([x[:900][y[:900] == code].mean(0) for code in wanted.tolist()])
    means = watch.look(module)
    assert spotted.distance < means.distance
    assert not spotted.collapsed
    assert len(means.collapsed) == 10


def test_a_look_changes_no_weight_and_is_repeatable():
    x, y = digits(n_classes=2)
    module = fresh(ConditionalVAE, width=8)
    watch = Watch(x, y, 2, held_out=(x, y))
    before = {name: value.clone() for name, value in module.named_parameters()}
    assert watch.look(module) == watch.look(module)
    assert all(torch.equal(value, before[name]) for name, value in module.named_parameters())
    assert module.training


def test_a_moved_image_shows_no_border():
    x = torch.ones(50, 1, 9, 14)
    with isolated(0):
        moves = draw_moves(50, strength=2.0)
    assert moves.shape == (50, MOVES)
    assert torch.allclose(moved(x, moves), x, atol=1e-5)


def test_pixels_at_an_end_of_the_range_may_lie_beyond_it():
    heads, black = GridHeads(Spec((1, 8, 8))), torch.full((1, 1, 8, 8), -1.0)
    beyond, within = heads.loss(black - 0.5, black), heads.loss(black + 0.1, black)
    assert beyond < within
    assert torch.equal(heads.emit(black - 0.5, rng=torch_rng(0)), black)
    raw = torch.full((1, 1, 8, 8), 2.0, requires_grad=True)
    heads.soften(raw, temperature=1).sum().backward()
    assert (raw.grad == 1).all()


# --- what makes the GAN train, piece by piece -------------------------------------------------------------------------


def gan(done, n=200, **arguments):
    """A GAN of whose fit on `n` grids a share is done."""
    module = fresh(ConditionalGAN, width=8, **arguments)
    module.counts += n // 2
    vars(module)["_done"] = lambda: done
    return module


def with_critic(module, score):
    """The same with a critic whose score is known."""
    del module.critic
    vars(module)["critic"] = lambda x, *code, told: score(x)
    return module


@pytest.mark.parametrize(("done", "told"), [(0.0, False), (0.05, False), (0.15, True), (1.0, True)])
def test_the_class_is_told_to_both_networks_bit_by_bit(done, told):
    module, (real, fake) = gan(done), torch.rand(2, 6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = []
    for code in (torch.zeros(6, dtype=torch.long), torch.ones(6, dtype=torch.long)):
        with isolated(0):
            of_critic = [module.critic_loss(real, fake, code, penalise=penalise) for penalise in (False, True)]
            found.append((module.generate(code), *of_critic, module.generator_loss(real, fake, code)))
    assert [not torch.equal(a, b) for a, b in zip(*found, strict=True)] == [told] * 4
    assert gan(0.15)._told() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("done", "n", "share"), [(0.0, 200, 0.0), (0.25, 200, 0.75), (0.5, 200, 1.0), (1.0, 200, 1.0), (1.0, 20_000, 0.44)]
)
def test_the_critic_sees_more_and_more_grids_changed_and_fewer_of_large_sets(done, n, share):
    """By two kinds of change, each by itself: in half of all cases by either is in three quarters by one or both."""
    x = torch.rand(400, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    module = gan(done, n, augment=1.0)
    with isolated(0):
        seen = module._seen(x[:200], x[200:])
    changed = (seen != x).flatten(1).any(1)
    assert changed[:200].float().mean() == pytest.approx(share, abs=0.1)
    assert changed[200:].float().mean() == pytest.approx(share, abs=0.1)
    assert torch.equal(gan(done, n, augment=0.0)._seen(x[:200], x[200:]), x)


def test_pairs_are_compared_and_gradients_of_both_are_penalised():
    """Jolicoeur-Martineau 2019 and Huang et al. 2024: the difference of the scores counts, not their level."""
    real, fake = torch.full((5, 1, 8, 8), 0.6), torch.full((5, 1, 8, 8), 0.5)
    for level in (0.0, 100.0):
        module = with_critic(gan(0.0), lambda x, level=level: level + 0.3 * x.flatten(1).sum(1, keepdim=True))
        apart = torch.tensor(0.3 * 0.1 * 64)
        plain = module.critic_loss(real, fake, penalise=False)
        assert plain.item() == pytest.approx(nn.functional.softplus(-apart).item(), rel=1e-4)
        assert module.generator_loss(real, fake).item() == pytest.approx(nn.functional.softplus(apart).item(), rel=1e-4)
        more = module.critic_loss(real, fake, penalise=True) - plain
        assert more.item() == pytest.approx(PENALTY_EVERY * module.gamma * 0.3**2 * 64, rel=1e-4)


def test_gradients_are_penalised_every_so_many_batches():
    module, penalised = fresh(ConditionalGAN, width=8), []
    whole = module.critic_loss

    def noted(*args, penalise):
        penalised.append(penalise)
        return whole(*args, penalise=penalise)

    vars(module)["critic_loss"] = noted
    fit(module, *digits(per_class=40, n_classes=2), steps=2 * PENALTY_EVERY + 1)
    assert len(penalised) == 2 * PENALTY_EVERY + 1
    assert penalised[: PENALTY_EVERY + 1] == [True, *[False] * (PENALTY_EVERY - 1), True]


def test_samples_come_from_the_averaged_weights():
    module, y = fit(fresh(ConditionalGAN, width=8), *digits(per_class=40, n_classes=2), steps=2), torch.arange(6) % 2
    for other in (module.generator, fresh(ConditionalGAN, width=8).generator):  # the last weights, and the first
        assert not same(module.averaged.module, other)
    before = module.sample(y, rng=torch_rng(0))
    for weight in module.generator.parameters():
        weight.data.zero_()
    assert torch.equal(module.sample(y, rng=torch_rng(0)), before)
    for weight in module.averaged.parameters():
        weight.data.zero_()
    assert not torch.equal(module.sample(y, rng=torch_rng(0)), before)


@pytest.mark.parametrize(("batches", "forgets"), [(2, 20 / 22), (100_000, 20 / 10_000)])
def test_the_average_forgets_half_after_so_many_grids_and_faster_at_first(batches, forgets):
    """After `batches` of 20 grids; at first, what it has seen counts half after a twentieth of it and a batch."""
    module = gan(0.0)
    module._trainer = SimpleNamespace(global_step=2 * batches)
    module._average(20)  # which copies
    for weight in module.generator.parameters():
        weight.data.add_(1.0)
    module._average(20)
    for new, mean in zip(module.generator.parameters(), module.averaged.parameters(), strict=True):
        torch.testing.assert_close(new - mean, torch.full_like(new, 0.5**forgets))


def test_a_latent_entry_carries_some_bits_at_no_cost():
    kl = torch.tensor([[0.0, 2.0], [0.01, 4.0]], requires_grad=True)
    loss = _free(kl)
    loss.backward()
    assert loss.item() == pytest.approx(FREE_BITS + 3.0)
    assert kl.grad.tolist() == [[0.0, 0.5], [0.0, 0.5]]
    module = fresh(ConditionalVAE, width=8)
    for weight in module.encoder.parameters():
        weight.data.zero_()
    _, divergence = module.loss(torch.zeros(3, 1, 8, 8), torch.zeros(3, dtype=torch.long))
    assert divergence.item() == pytest.approx(FREE_BITS * module.latent_dim)
