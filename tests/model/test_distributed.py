"""Training and inference in two processes: what one process would find, with every cell once."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pytest
import torch

import curvi

SCRIPT = Path(__file__).with_name("_two_processes.py")
LATENTS = ["vmf", "lorentz", "normal", "product"]
QUIET = {"enable_progress_bar": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the script leaves its findings."""
    path = tmp_path_factory.mktemp("processes")
    # One thread: a pool of threads does not outlive a fork.
    env = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), str(path)]
    done = subprocess.run(command, cwd=path, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return path


def _found(folder, name):
    return pickle.loads((folder / name).read_bytes())


def _seen(folder, name):
    return [torch.load(folder / f"{name}_{rank}.pt", weights_only=False) for rank in range(2)]


def _close(one, other, **kwargs):
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], err_msg=name, **kwargs)


@pytest.mark.slow
class TestTwoProcesses:
    def test_equal_minibatches_give_equal_training(self, folder):
        found = _found(folder, "equal")
        _close(*found["weights"], rtol=1e-3, atol=1e-4)
        start = _seen(folder, "equal")[0]["first"]
        moved = [np.abs(found["weights"][0][name] - value).max() for name, value in start.items() if value.ndim == 2]
        assert min(moved) > 0.01
        np.testing.assert_allclose(*found["elbo"], rtol=1e-4)

    def test_schedules_count_the_steps_of_all_together(self, folder):
        two, one = _found(folder, "equal")["kl_weight"]
        np.testing.assert_allclose(two, one)
        np.testing.assert_allclose(two, [5 / 12, 11 / 12, 1, 1])

    def test_validation_figures_are_those_of_all_cells(self, folder):
        found = _found(folder, "figures")
        assert found["n"] % 2 == 1
        assert found["said"] == pytest.approx(found["is"], rel=1e-5)

    def test_early_stopping_and_a_second_training(self, folder):
        assert _found(folder, "stopped") == {"first": 3, "epochs": 5}

    def test_a_training_taken_up_is_the_same(self, folder):
        found = _found(folder, "resumed")
        _close(*found["weights"], rtol=1e-5, atol=1e-6)
        assert found["epochs"] == 4

    @pytest.mark.parametrize("latent", LATENTS)
    def test_history_and_split_come_home(self, folder, latent):
        found = _found(folder, "latents")[latent]
        for name in ("elbo_train", "elbo_validation", "reconstruction_loss_train", "kl_local_validation"):
            assert len(found["history"][name]) == 3
            assert np.isfinite(found["history"][name]).all()
        assert found["history"]["elbo_train"][-1] < found["history"]["elbo_train"][0]
        assert found["on_manifold"][0], found["on_manifold"][1]
        np.testing.assert_array_equal(np.sort(np.concatenate(found["split"])), np.arange(301))

    @pytest.mark.parametrize("name", [*LATENTS, "equal", "disk"])
    def test_every_cell_is_seen_once_an_epoch(self, folder, name):
        seen = _seen(folder, name)
        epochs = {"disk": 2, "equal": 4}.get(name, 3)
        n = {"disk": 1490, "equal": 192}.get(name, 271)
        for start in range(epochs):
            steps = len(seen[0]["batches"]) // epochs
            part = slice(start * steps, (start + 1) * steps)
            known = torch.cat([batch["X"][:, 0] for rank in seen for batch in rank["batches"][part]])
            assert len(known) == len(known.unique()) == n
        sizes = [[len(batch["X"]) for batch in rank["batches"]] for rank in seen]
        assert len(sizes[0]) == len(sizes[1])
        assert np.abs(np.subtract(*sizes)).max() <= 1

    def test_cells_on_the_devices_are_dealt_in_the_same_way(self, folder):
        for one, other in zip(_seen(folder, "held_cpu"), _seen(folder, "held_model"), strict=True):
            for a, b in zip(one["batches"], other["batches"], strict=True):
                assert all(torch.equal(a[name], b[name]) for name in a)
        _close(*_found(folder, "held"), rtol=0, atol=0)

    def test_cells_change_places_between_epochs(self, folder):
        first = _seen(folder, "vmf")[0]
        steps = len(first["batches"]) // 3
        parts = [first["batches"][i * steps : (i + 1) * steps] for i in range(3)]
        known = [frozenset(torch.cat([batch["X"][:, 0] for batch in part]).tolist()) for part in parts]
        assert len(set(known)) == 3

    @pytest.mark.parametrize("latent", LATENTS)
    def test_processes_start_alike_draw_differently_and_end_alike(self, folder, latent):
        first, second = _seen(folder, latent)
        assert len({*first["seeds"], *second["seeds"]}) == 6
        _close(first["first"], second["first"])
        _close(first["last"], second["last"])

    def test_an_embedding_is_that_of_one_process_in_order(self, folder):
        found = _found(folder, "embedded")
        for together in found["together"]:
            for name, z in found["alone"].items():
                own, every = together[name]
                assert 0.3 * len(z) < own < 0.7 * len(z)
                np.testing.assert_array_equal(every, z)

    def test_rows_of_any_quantity_are_gathered(self, folder):
        first, second = _found(folder, "embedded")["together"]
        for name, shape in {"draws": (3, 1100, 3), "expression": (1100, 30)}.items():
            assert first[name][1].shape == shape
            np.testing.assert_array_equal(first[name][1], second[name][1])
        assert "differs between the processes in more than the number of rows" in first["error"]
        assert first["error"] == second["error"]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [[], ["-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]])
def test_the_script_of_the_guide_runs(tmp_path, launcher):
    page = Path(__file__).parents[2] / "docs" / "user_guide" / "distributed.md"
    script = page.read_text().split("```python\n", 2)[1].split("```")[0]
    (tmp_path / "train.py").write_text(script)
    options = ["--accelerator", "cpu", "--devices", "2", "--epochs", "2"]
    env = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, "train.py", *options]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["embedded.h5ad", "model", "train.py"]
    adata = anndata.read_h5ad(tmp_path / "embedded.h5ad")
    model = curvi.CurviVAE.load(tmp_path / "model", adata)
    assert len(model.history["elbo_validation"]) == 2
    np.testing.assert_allclose(adata.obsm["X_curvi"], model.get_latent_representation(), rtol=1e-5, atol=1e-6)


def test_alone_all_cells_are_ones_own(make_cells):
    adata = make_cells(150)
    curvi.CurviVAE.setup_anndata(adata)
    model = curvi.CurviVAE(adata)
    model.train(1, **QUIET)
    own = model.get_latent_representation(dataloader=model.process_loader(batch_size=64))
    assert curvi.model.gather_rows(own) is own
    np.testing.assert_array_equal(own, model.get_latent_representation(batch_size=64))


def test_what_a_spawned_process_would_not_know_is_refused(make_cells):
    adata = make_cells(120)
    curvi.CurviVAE.setup_anndata(adata, batch_key="patient")
    model = curvi.CurviVAE(adata, encode_covariates=True)
    model.train(1, **QUIET)
    query = adata[:60].copy()
    query.obs["patient"] = "new"
    mapped = curvi.CurviVAE.load_query_data(query, model)
    with pytest.raises(ValueError, match="keeps the reference's rows of its tables"):
        mapped.train(1, accelerator="cpu", devices=2, strategy="ddp_spawn", **QUIET)
