"""Everything around a training: what stops it, watches it, stores it, takes it up again, and in how many digits."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scvi
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from scvi.criticism import PosteriorPredictiveCheck
from scvi.train import SaveCheckpoint
from torch.utils.data import DataLoader, Dataset

import curvi
from curvi.data import CellDataset

PRODUCT = [("vmf", 2), ("lorentz", 2, {"learn_curvature": True}), ("normal", 2)]
LATENTS = ["vmf", "lorentz", PRODUCT, "normal"]
EVERY = [*LATENTS, "power_spherical", "poincare", "delta"]
LEVELS = ["patient", "condition"]
PLATEAU = {"reduce_lr_on_plateau": True, "lr_patience": 1, "lr_threshold": 1e6, "lr_factor": 0.5}


def _name(latent):
    return latent if isinstance(latent, str) else "product"


@pytest.fixture
def make(make_cells):
    def make(latent="vmf", seed=0, *, n=240, **kwargs):
        adata = make_cells(n)
        curvi.CurviVAE.setup_anndata(adata, batch_key=LEVELS, continuous_covariate_keys=["age"])
        scvi.settings.seed = seed
        return curvi.CurviVAE(adata, latent=latent, n_hidden=16, **kwargs)

    return make


def _weights(model):
    return {name: value for name, value in model.module.state_dict().items() if value.is_floating_point()}


def _gap(one, other):
    """The largest difference of two models' weights."""
    return max(
        float((a - b).abs().max()) for a, b in zip(_weights(one).values(), _weights(other).values(), strict=True)
    )


class Stop(Callback):
    """An interruption after some epochs."""

    def __init__(self, epochs):
        self.epochs = epochs

    def on_train_epoch_end(self, trainer, *_):
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


class Count(Callback):
    """The steps that were made and the weights of the divergence."""

    def __init__(self):
        self.weights = []

    def on_train_batch_end(self, trainer, plan, *_):
        self.weights.append(float(plan.loss_kwargs["kl_weight"]))


class Norms(Callback):
    """The norm of all gradients of each step, as the optimiser saw them."""

    def __init__(self):
        self.values = []

    def on_before_zero_grad(self, trainer, plan, optimizer):
        norms = [parameter.grad.norm() for parameter in plan.parameters() if parameter.grad is not None]
        if norms:
            self.values.append(float(torch.stack(norms).norm()))


def test_gradients_are_clipped(make, quiet):
    free, clipped = Norms(), Norms()
    make().train(2, callbacks=[free], **quiet)
    make().train(2, callbacks=[clipped], gradient_clip_val=0.5, **quiet)
    assert len(free.values) == len(clipped.values) > 1
    assert min(free.values) > 0.5
    assert max(clipped.values) <= 0.5 + 1e-5


# Stopping and checkpoints


def test_early_stopping_stops(make, quiet):
    model = make()
    model.train(60, early_stopping=True, early_stopping_patience=2, early_stopping_min_delta=5.0, **quiet)
    figures = model.history["elbo_validation"]["elbo_validation"].astype(float).to_numpy()
    assert 3 <= len(figures) < 60
    # The last two were no improvement by 5 on the best before them.
    best = figures[0]
    for value in figures[1:-2]:
        best = value if value < best - 5.0 else best
    assert (figures[-2:] > best - 5.0).all()


def test_the_rate_falls_where_the_elbo_does_not(make, quiet):
    model = make()
    model.train(6, plan_kwargs=PLATEAU, **quiet)
    rates = model.history["lr-Adam"]["lr-Adam"].astype(float).to_numpy()
    assert rates[0] == 1e-3
    assert rates[-1] < 1e-3
    assert set(np.round(np.log2(rates / 1e-3), 9)) <= {0.0, -1.0, -2.0}


@pytest.mark.parametrize("latent", LATENTS, ids=_name)
def test_the_best_checkpoint_is_restored_and_can_be_loaded(make, quiet, tmp_path, latent):
    model = make(latent)
    save = SaveCheckpoint(dirpath=str(tmp_path), monitor="elbo_validation", load_best_on_end=True)
    # Steps this long make the last epoch a bad one.
    model.train(4, enable_checkpointing=True, callbacks=[save], plan_kwargs={"lr": 0.3}, **quiet)
    figures = model.history["elbo_validation"]["elbo_validation"].astype(float)
    assert float(save.best_model_score) == pytest.approx(figures.min(), rel=1e-6)
    assert f"epoch={figures.argmin()}-" in save.best_model_path
    loaded = curvi.CurviVAE.load(save.best_model_path, model.adata)
    assert _gap(model, loaded) == 0
    np.testing.assert_array_equal(loaded.get_latent_representation(), model.get_latent_representation())
    assert loaded.is_trained


def test_a_second_training_goes_on_from_the_weights_and_the_history(make, quiet, tmp_path):
    model, both = make(), make()
    model.train(3, check_val_every_n_epoch=1, **quiet)
    before, first = _weights(model), {name: frame.copy() for name, frame in model.history.items()}
    before = {name: value.clone() for name, value in before.items()}
    # The host's checkpoints mark the model as untrained; the history is not lost by it.
    model.train(
        2,
        callbacks=[SaveCheckpoint(dirpath=str(tmp_path), monitor="elbo_validation")],
        plan_kwargs={"lr": 1e-6},
        **quiet,
    )
    assert 0 < max(float((_weights(model)[name] - value).abs().max()) for name, value in before.items()) < 0.1
    for name, frame in first.items():
        assert list(model.history[name].index) == [0, 1, 2, 3, 4]
        assert (model.history[name][:3] == frame).all(axis=None)
    both.train(3, **quiet)
    both.train(2, check_val_every_n_epoch=1, **quiet)
    assert list(both.history["elbo_validation"].index) == [3, 4]


def test_the_users_list_of_callbacks_stays_as_it_is(make, quiet):
    callbacks = [Count()]
    make().train(1, callbacks=callbacks, early_stopping=True, **quiet)
    assert len(callbacks) == 1
    alone = Count()
    make().train(1, callbacks=alone, **quiet)
    assert alone.weights


# Going on


@pytest.mark.parametrize(
    ("latent", "options"),
    [
        ("vmf", {"lr_schedule": "cosine", "check_val_every_n_epoch": 1}),
        ("vmf", {"precision": "64-true"}),
        ("lorentz", {}),
        (PRODUCT, {"check_val_every_n_epoch": 1, "thinning": True}),
        (
            "normal",
            {
                "check_val_every_n_epoch": 1,
                "plan_kwargs": {"reduce_lr_on_plateau": True, "lr_patience": 1, "lr_threshold": 1e6},
            },
        ),
    ],
    ids=["vmf-cosine", "vmf-double", "lorentz", "product-thinning", "normal-plateau"],
)
def test_five_epochs_and_five_more_are_ten(make, quiet, tmp_path, latent, options):
    options = dict(options)
    kwargs = {"dropout_rate": 0.2, "thinning_weight": 1.0 if options.pop("thinning", False) else 0.0}
    options |= {"batch_size": 64, "kl_warmup": 0.8}
    whole = make(latent, **kwargs)
    whole.train(10, **options, **quiet)
    stopped = make(latent, **kwargs)
    save = ModelCheckpoint(dirpath=tmp_path, filename="last", save_on_train_epoch_end=True)
    stopped.train(10, callbacks=[save, Stop(5)], **options, **quiet)
    assert len(stopped.history["elbo_train"]) == 5
    # Another seed: what is drawn, and which cells are trained on, come from the checkpoint.
    resumed = make(latent, seed=7, **kwargs)
    again = ModelCheckpoint(dirpath=tmp_path, filename="last", save_on_train_epoch_end=True)
    resumed.train(10, ckpt_path=tmp_path / "last.ckpt", callbacks=[again], **options, **quiet)
    assert _gap(resumed, whole) == 0
    np.testing.assert_array_equal(resumed.train_indices, whole.train_indices)
    for name in ("elbo_train", "kl_weight"):
        assert list(resumed.history[name].index) == list(range(10))
        np.testing.assert_array_equal(resumed.history[name], whole.history[name])


def test_a_checkpoint_of_other_cells_or_a_folder_is_refused(make, quiet, tmp_path):
    save = ModelCheckpoint(dirpath=tmp_path, filename="last", save_on_train_epoch_end=True)
    make().train(1, callbacks=[save], **quiet)
    with pytest.raises(ValueError, match="a checkpoint of a training on 240 cells; the model has 100"):
        make(n=100).train(2, ckpt_path=tmp_path / "last.ckpt", callbacks=[save], **quiet)
    with pytest.raises(ValueError, match="`ckpt_path` is .* a folder, as scvi-tools' `SaveCheckpoint`"):
        make().train(2, ckpt_path=tmp_path, **quiet)


# Steps


def test_the_number_of_steps_and_the_warm_up_are_right(make, quiet):
    def weights(max_epochs, **kwargs):
        count = Count()
        # 240 cells in minibatches of 60.
        make().train(max_epochs, batch_size=60, train_size=1.0, callbacks=[count], **quiet, **kwargs)
        return count.weights

    def rising(over, steps):
        return [min(step / over, 1.0) if over else 1.0 for step in range(steps)]

    assert weights(5, kl_warmup=0.5) == pytest.approx(rising(10, 20))
    # Only steps: as many, however many passes that takes.
    assert weights(None, max_steps=10, kl_warmup=0.5) == pytest.approx(rising(5, 10))
    assert weights(2, max_steps=100, kl_warmup=1.0) == pytest.approx(rising(8, 8))
    assert weights(20, max_steps=6, kl_warmup=0.5) == pytest.approx(rising(3, 6))
    assert weights(2, kl_warmup=0.0, kl_weight=0.3) == pytest.approx([0.3] * 8)
    assert weights(2, kl_warmup=0.5, accumulate_grad_batches=2) == pytest.approx([0, 0, 0.5, 0.5, 1, 1, 1, 1])
    assert weights(2, plan_kwargs={"n_epochs_kl_warmup": 2}) == pytest.approx([0.0] * 4 + [0.5] * 4)


# Loggers


@pytest.mark.parametrize("logger", ["default", None, False, True, "csv"])
def test_the_history_is_filled_whatever_the_logger(make, quiet, tmp_path, logger):
    model = make()
    given = {"default": {}, "csv": {"logger": CSVLogger(tmp_path)}}.get(logger, {"logger": logger})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*tensorboardX.*")
        model.train(2, check_val_every_n_epoch=1, default_root_dir=str(tmp_path), **given, **quiet)
    for name in ("train_loss", "elbo_train", "reconstruction_loss_train", "kl_local_train", "kl_weight"):
        assert list(model.history[name].index) == [0, 1], name
    assert np.isfinite(model.history["elbo_validation"].astype(float).to_numpy()).all()
    # A logger that writes has written.
    assert bool(list(tmp_path.rglob("metrics.csv")) or list(tmp_path.rglob("events*"))) == (logger in (True, "csv"))


# Scores


def test_a_score_is_followed_without_changing_the_training(make, quiet, tmp_path):
    seen = []

    def score(model):
        seen.append(model.module.training)
        model.get_latent_representation(give_mean=False)
        return [0.5, 0.9, 0.7][len(seen) - 1]

    alone = make()
    alone.train(3, check_val_every_n_epoch=1, **quiet)
    watched = make()
    save = SaveCheckpoint(dirpath=str(tmp_path), monitor="accuracy", mode="max")
    watched.train(3, callbacks=[curvi.model.ModelScore("accuracy", score), save], **quiet)
    assert seen == [False, False, False]
    assert watched.history["accuracy"]["accuracy"].tolist() == pytest.approx([0.5, 0.9, 0.7])
    assert float(save.best_model_score) == pytest.approx(0.9)
    assert _gap(alone, watched) == 0
    with pytest.raises(ValueError, match="`name` is empty"):
        curvi.model.ModelScore("", score)


# Precision


@pytest.mark.parametrize("latent", EVERY, ids=_name)
def test_double_precision_is_kept_from_training_to_a_loaded_model(make, quiet, tmp_path, latent):
    model = make(latent, encode_covariates=True)
    model.train(2, precision="64-true", gradient_clip_val=1.0, **quiet)
    model.save(tmp_path / "model")
    loaded = curvi.CurviVAE.load(tmp_path / "model", model.adata)
    assert _gap(model, loaded) == 0
    np.testing.assert_array_equal(loaded.get_latent_representation(), model.get_latent_representation())
    where, age = {"patient": "p0", "condition": "ctrl"}, {"age": 0.1}
    z = loaded.get_latent_representation()
    points = [z, loaded.get_latent_representation(give_mean=False, n_samples=2)]
    points.append(loaded.encode(model.adata.X[:5].toarray(), where, continuous=age))
    numbers = [loaded.get_elbo(return_mean=False), loaded.decode(z[:5], where, continuous=age)]
    numbers.append(loaded.get_normalized_expression(return_numpy=True))
    numbers.append(loaded.get_reconstruction_error(return_mean=False)["reconstruction_loss"])
    numbers.append(loaded.get_likelihood_parameters()["mean"])
    if latent != "delta":
        points.append(loaded.sample_prior(5, seed=0))
        numbers.append(loaded.get_marginal_ll(n_mc_samples=3, return_mean=False))
    for rows in points:
        assert rows.dtype == np.float64
        inside, reason = loaded.manifold.contains(torch.from_numpy(rows), atol=1e-12)
        assert inside, reason
    for values in numbers:
        assert values.dtype == np.float64
        assert np.isfinite(values).all()
    assert loaded.posterior_predictive_sample(n_samples=2).shape == (240, 40, 2)


@pytest.mark.slow
@pytest.mark.parametrize("latent", LATENTS, ids=_name)
def test_effects_between_groups_in_double_precision(make, quiet, latent):
    model = make(latent)
    model.train(1, precision="64-true", **quiet)
    groups = {"groupby": "cell_type", "group1": "type0", "group2": "type1", "silent": True}
    table = model.differential_expression(**groups)
    assert np.isfinite(table["lfc_mean"]).all()


@pytest.mark.parametrize("likelihood", ["nb", "zinb", "poisson", "normal", "student_t"])
@pytest.mark.parametrize("latent", EVERY, ids=_name)
def test_mixed_precision_keeps_latent_space_and_likelihood_in_single(make, latent, likelihood):
    model = make(latent, likelihood=likelihood, encode_covariates=True, dropout_rate=0.0)
    batch = next(iter(model._make_data_loader(model.adata, batch_size=64)))
    seen = {}

    def note(module, args, output):
        seen[module] = output.dtype

    for network in (model.module.encoder, model.module.decoder):
        network.register_forward_hook(note)
    torch.manual_seed(0)
    exact = model.module(batch)[2].loss
    assert set(seen.values()) == {torch.float32}
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inference, generative, output = model.module(batch)
    # The networks do compute in fewer digits, and nothing else does.
    assert list(seen.values()) == [torch.bfloat16, torch.bfloat16]
    parameters = model.module.latent.posterior_parameters(inference["qz"])
    assert {value.dtype for value in parameters.values()} == {torch.float32}
    assert inference["z"].dtype == generative["px"].mean.dtype == output.loss.dtype == torch.float32
    assert torch.isfinite(output.loss)
    torch.testing.assert_close(output.loss, exact, rtol=1e-3, atol=0)
    output.loss.backward()
    for name, parameter in model.module.named_parameters():
        assert parameter.grad is None or (
            parameter.grad.dtype == torch.float32 and bool(torch.isfinite(parameter.grad).all())
        ), name


@pytest.mark.parametrize(
    "latent", ["normal", *(pytest.param(latent, marks=pytest.mark.slow) for latent in LATENTS[:-1])], ids=_name
)
def test_training_in_mixed_precision_gets_as_far(make, quiet, latent):
    elbo = {}
    for precision in ("32-true", "bf16-mixed"):
        model = make(latent, thinning_weight=0.1)
        model.train(40, precision=precision, gradient_clip_val=10.0, **quiet)
        assert {value.dtype for value in _weights(model).values()} == {torch.float32}
        elbo[precision] = np.mean([model.get_elbo() for _ in range(5)])
    start = make(latent)
    start.is_trained_ = True
    gained = elbo["32-true"] - start.get_elbo()
    assert gained > 5
    assert abs(elbo["bf16-mixed"] - elbo["32-true"]) < 0.05 * gained


def test_weights_of_too_few_digits_are_refused(make, quiet):
    with pytest.raises(ValueError, match="`precision` is 'bf16-true', in which the latent space has too few digits"):
        make().train(1, precision="bf16-true", **quiet)


# Custom data modules


class Cells(Dataset):
    def __init__(self, tensors):
        self.tensors = tensors

    def __len__(self):
        return len(self.tensors["X"])

    def __getitem__(self, rows):
        return {name: values[rows] for name, values in self.tensors.items()}


class TensorModule(LightningDataModule):
    """Minibatches of tensors that know nothing of AnnData."""

    def __init__(self, adata, levels, continuous=(), batch_size=64):
        super().__init__()
        self.batch_size, self.n_obs = batch_size, adata.n_obs
        columns = {level: adata.obs[level].astype("category").cat for level in levels}
        self.registry = curvi.data.make_registry(
            adata.var_names, {level: column.categories for level, column in columns.items()}, continuous
        )
        self.tensors = {"X": torch.from_numpy(adata.X.toarray())}
        codes = [torch.tensor(column.codes.to_numpy(), dtype=torch.int64)[:, None] for column in columns.values()]
        self.tensors["batch"] = codes[0] if codes else torch.zeros(adata.n_obs, 1, dtype=torch.int64)
        if len(codes) > 1:
            self.tensors["extra_categorical_covs"] = torch.cat(codes[1:], 1)
        if continuous:
            self.tensors["extra_continuous_covs"] = torch.tensor(adata.obs[list(continuous)].to_numpy(np.float32))

    def loader(self, *, shuffle):
        sampler = curvi.data.EvenBatchSampler(self.n_obs, self.batch_size, shuffle=shuffle)
        return DataLoader(Cells(self.tensors), batch_size=None, sampler=sampler)

    def train_dataloader(self):
        return self.loader(shuffle=True)

    def inference_dataloader(self):
        return self.loader(shuffle=False)


@pytest.mark.parametrize("latent", LATENTS, ids=_name)
def test_a_data_module_gives_the_model_that_adata_gives(make, quiet, tmp_path, latent):
    by_adata = make(latent, encode_covariates=True)
    by_adata.train(3, train_size=1.0, shuffle_set_split=False, batch_size=64, **quiet)
    module = TensorModule(by_adata.adata, LEVELS, ["age"])
    scvi.settings.seed = 0
    model = curvi.CurviVAE(registry=module.registry, latent=latent, n_hidden=16, encode_covariates=True)
    save = SaveCheckpoint(dirpath=str(tmp_path / "checkpoints"), monitor="elbo_train", save_on_train_epoch_end=True)
    model.train(3, datamodule=module, callbacks=[save], **quiet)
    assert _gap(model, by_adata) == 0
    loader = module.inference_dataloader()
    points = model.get_latent_representation(dataloader=loader)
    np.testing.assert_array_equal(points, by_adata.get_latent_representation(batch_size=64))
    # The draws of the posterior differ.
    assert model.get_elbo(dataloader=loader) == pytest.approx(by_adata.get_elbo(), abs=0.5)
    assert model.get_marginal_ll(dataloader=loader, n_mc_samples=20) > model.get_elbo(dataloader=loader)
    assert model.get_reconstruction_error(dataloader=loader)["reconstruction_loss"] > 0
    shares = model.get_normalized_expression(dataloader=loader, transform_batch={"condition": "stim"})
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-4)
    assert model.posterior_predictive_sample(dataloader=loader).shape == (240, 40)
    # Without any data, and with the AnnData that the registry describes too.
    model.save(tmp_path / "model")
    for path in (tmp_path / "model", save.best_model_path):
        loaded = curvi.CurviVAE.load(path, adata=False)
        np.testing.assert_allclose(loaded.get_latent_representation(dataloader=loader), points, atol=1e-6)
    loaded.train(1, datamodule=module, **quiet)
    loaded = curvi.CurviVAE.load(tmp_path / "model", adata=by_adata.adata)
    np.testing.assert_array_equal(loaded.get_latent_representation(batch_size=64), points)


def test_the_hosts_own_data_modules_are_understood(make, quiet):
    """The registry and the minibatches as `MappedCollectionDataModule` and `TileDBDataModule` write them."""
    adata = make().adata
    own = TensorModule(adata, LEVELS)
    fields = own.registry["field_registries"]
    covariates = fields["extra_categorical_covs"]
    covariates["state_registry"]["mapping"] = covariates["state_registry"].pop("mappings")
    registry = {**own.registry, "model_name": "SCVI", "setup_method_name": "setup_datamodule"}
    registry["setup_args"] = {"batch_key": "patient", "categorical_covariate_keys": ["condition"], "samples_key": None}
    model = curvi.CurviVAE(registry=registry)
    model.train(1, datamodule=own, **quiet)
    assert model._levels.categories == {"patient": ("p0", "p1"), "condition": ("ctrl", "stim")}

    alone = curvi.CurviVAE(registry=curvi.data.make_registry(adata.var_names))
    batch = {"X": torch.from_numpy(adata.X.toarray()).double(), "batch": None, "labels": 0}
    batch |= {"extra_categorical_covs": None, "extra_continuous_covs": None}
    alone.is_trained_ = True
    assert alone.get_latent_representation(dataloader=[batch]).shape == (240, 3)
    # A size factor that nothing was said of, of the host's `AnnbatchDataModule` about 1, is not one of these cells.
    elbo = []
    for more in ({}, {"size_factor": torch.ones(240, 1)}):
        scvi.settings.seed = 0
        elbo.append(alone.get_elbo(dataloader=[batch | more]))
    assert elbo[0] == elbo[1]


def test_what_a_registry_lacks_is_said(make, quiet):
    with pytest.raises(ValueError, match="`registry` lacks the names of the features"):
        curvi.CurviVAE(registry={"setup_method_name": "setup_datamodule", "field_registries": {}})
    registry = {**curvi.data.make_registry(["a"]), "setup_method_name": "setup_datamodule"}
    registry["setup_args"] = {"batch_key": "patient"}
    del registry["field_registries"]["batch"]
    with pytest.raises(ValueError, match="lacks the categories of batch level 'patient'"):
        curvi.CurviVAE(registry=registry)
    with pytest.raises(ValueError, match="`var_names` has shape"):
        curvi.data.make_registry([])
    with pytest.raises(ValueError, match=r"`levels\['patient'\]` is \['a', 'a'\]"):
        curvi.data.make_registry(["gene"], {"patient": ["a", "a"]})
    model = curvi.CurviVAE(registry=curvi.data.make_registry(["gene"]))
    with pytest.raises(ValueError, match="the model has no data of its own to train on; pass `datamodule`"):
        model.train(1, **quiet)
    module = TensorModule(make().adata, LEVELS)
    del module.n_obs
    with pytest.raises(ValueError, match="`max_epochs` is None, and `datamodule` has no `n_obs`"):
        model.train(datamodule=module, **quiet)


# The host's checks and searches


@pytest.mark.filterwarnings("ignore")  # of scanpy, about names of genes and data that look transformed
@pytest.mark.parametrize(
    "latent", ["vmf", *(pytest.param(latent, marks=pytest.mark.slow) for latent in LATENTS[1:])], ids=_name
)
def test_the_hosts_posterior_predictive_checks_run_on_real_counts(quiet, latent):
    adata = curvi.datasets.pbmc68k()
    frequent = np.argsort(-np.asarray(adata.X.sum(0)).ravel())[:150]
    adata = adata[:300, frequent].copy()
    curvi.CurviVAE.setup_anndata(adata)
    counts = adata.copy()
    counts.X = counts.X.astype(np.int64)
    errors = {}
    for epochs in (1, 150):
        scvi.settings.seed = 0
        model = curvi.CurviVAE(adata, latent=latent, n_hidden=32)
        model.train(epochs, **quiet)
        check = PosteriorPredictiveCheck(counts, {"model1": model}, n_samples=4)
        check.coefficient_of_variation("cells")
        check.coefficient_of_variation("features")
        check.zero_fraction()
        check.calibration_error()
        metrics = check.metrics
        assert len(metrics["cv_gene"]) == adata.n_vars
        assert len(metrics["cv_cell"]) == adata.n_obs
        zeros = metrics["zero_fraction"]
        # What the host calls the fraction of zeros is that of the others.
        assert zeros["Raw"].to_numpy() == pytest.approx(np.asarray((adata.X > 0).mean(0)).ravel())
        errors[epochs] = (zeros["model1"] - zeros["Raw"]).abs().mean()
        assert 0 <= float(metrics["calibration"].loc["features", "model1"]) < 1
    # Draws of a trained model are more like the data.
    assert errors[150] < 0.7 * errors[1]
    check.differential_expression(de_groupby="cell_type", n_samples=1)
    assert check.metrics["diff_exp"]["summary"]["lfc_pearson"].astype(float).mean() > 0.3


def _scored():
    """A class whose training logs a score; made here, so that the search's own processes need not import this file."""

    class Scored(curvi.CurviVAE):
        def train(self, *args, callbacks=(), **kwargs):
            def spread(model):
                return float(model.get_latent_representation().std())

            super().train(*args, callbacks=[curvi.model.ModelScore("spread_validation", spread), *callbacks], **kwargs)

    return Scored


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of ray and its own packages
@pytest.mark.parametrize(
    ("make_kind", "metric", "mode"),
    [(lambda: curvi.CurviVAE, "elbo_validation", "min"), (_scored, "spread_validation", "max")],
    ids=["elbo", "score"],
)
def test_the_hosts_search_goes_over_latent_spaces(make_cells, tmp_path, make_kind, metric, mode):
    ray = pytest.importorskip("ray")
    pytest.importorskip("hyperopt")
    pytest.importorskip("scib_metrics")
    from ray import tune
    from scvi.autotune import run_autotune

    adata, kind = make_cells(), make_kind()
    kind.setup_anndata(adata, batch_key=LEVELS)
    choices = ["vmf", "lorentz", [("vmf", 2), ("normal", 2)]]
    space = {
        "model_params": {"latent": tune.grid_search(choices), "n_hidden": tune.choice([8, 16])},
        "train_params": {"max_epochs": 2},
    }
    try:
        found = run_autotune(
            kind,
            adata,
            metrics=[metric],
            mode=mode,
            search_space=space,
            num_samples=1,
            scheduler="fifo",
            searcher="random",
            seed=0,
            resources={"cpu": 1},
            logging_dir=str(tmp_path),
            ignore_reinit_error=True,
        ).result_grid
    finally:
        ray.shutdown()
    assert not found.errors
    values = {str(result.config["model_params"]["latent"]): result.metrics[metric] for result in found}
    assert set(values) == set(map(str, choices))
    assert np.isfinite(list(values.values())).all()
    best = found.get_best_result(metric, mode).metrics[metric]
    assert best == (min if mode == "min" else max)(values.values())


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("corruption", [None, "dropout"])
def test_compressed_minibatches_are_for_who_asks_or_reads_them(asked, corruption, monkeypatch):
    adata = curvi.datasets.synthetic(n_obs=90, n_vars=60, mean_library=15)
    curvi.CurviVAE.setup_anndata(adata)
    model = curvi.CurviVAE(adata, latent="vmf", n_latent=2, n_hidden=16, corruption=corruption)
    loaded, read = set(), set()
    minibatch, inference = CellDataset.minibatch, model.module.inference

    def made(*args):
        tensors = minibatch(*args)
        loaded.add(tensors["X"].layout)
        return tensors

    def seen(x, *args, **kwargs):
        read.add(x.layout)
        return inference(x, *args, **kwargs)

    monkeypatch.setattr(CellDataset, "minibatch", made)
    monkeypatch.setattr(model.module, "inference", seen)
    model.train(2, load_sparse_tensor=asked, enable_progress_bar=False, enable_model_summary=False)
    reads = corruption is None  # noise on the input is put on every entry
    assert loaded == {torch.sparse_csr if asked or reads else torch.strided}
    assert read == {torch.sparse_csr if reads else torch.strided}
