"""Models that another version wrote, and devices that they are loaded onto."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import curvi
from curvi.model._saving import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what is in the file of a saved model."""
    path = folder / "model.pt"
    saved = torch.load(path, weights_only=False)
    change(saved)
    torch.save(saved, path)


@pytest.fixture
def folder(trained, tmp_path) -> Path:
    trained.save(tmp_path / "model", save_anndata=True)
    return tmp_path / "model"


def test_the_version_is_saved(folder):
    saved = torch.load(folder / "model.pt", weights_only=False)
    assert saved["attr_dict"]["curvi_version_"] == curvi.__version__ == VERSION


def test_a_newer_version_is_warned_about_and_forgotten(folder, trained, tmp_path):
    rewrite(folder, lambda saved: saved["attr_dict"].update(curvi_version_="999.1.dev3"))
    with pytest.warns(UserWarning, match=f"was written by curvi 999.1.dev3, which is newer than this one, {VERSION}"):
        model = curvi.CurviVAE.load(folder)
    np.testing.assert_array_equal(model.get_latent_representation(), trained.get_latent_representation())
    model.save(tmp_path / "again")
    assert curvi.CurviVAE.load(tmp_path / "again", adata=False).curvi_version_ == VERSION


@pytest.mark.parametrize("version", ["0.0.9", None])
def test_what_an_older_version_did_not_have_takes_its_default(folder, trained, version):
    def age(saved: dict[str, Any]) -> None:
        attributes = saved["attr_dict"]
        del attributes["curvi_version_"]
        if version is not None:
            attributes["curvi_version_"] = version
        for argument in ("network", "network_kwargs", "corruption", "corruption_kwargs", "n_hidden_decoder"):
            del attributes["init_params_"]["non_kwargs"][argument]
        state = saved["model_state_dict"]
        constants = [name for name in state if name.startswith("latent.") or name.endswith("num_batches_tracked")]
        assert constants
        for name in constants:
            del state[name]

    rewrite(folder, age)
    model = curvi.CurviVAE.load(folder)
    np.testing.assert_array_equal(model.get_latent_representation(), trained.get_latent_representation())
    query = curvi.CurviVAE.load_query_data(trained.adata.copy(), str(folder), unfrozen=True)
    np.testing.assert_array_equal(query.get_latent_representation(), trained.get_latent_representation())


def test_arguments_that_only_a_newer_version_knows_are_named(folder, trained):
    def renew(saved: dict[str, Any]) -> None:
        saved["attr_dict"]["curvi_version_"] = "0.0.9"
        saved["attr_dict"]["init_params_"]["non_kwargs"]["wormholes"] = 3

    rewrite(folder, renew)
    message = f"was built with 'wormholes', which CurviVAE of curvi {VERSION} does not take"
    with pytest.raises(ValueError, match=message):
        curvi.CurviVAE.load(folder)
    with pytest.raises(ValueError, match=message):
        curvi.CurviVAE.load_query_data(trained.adata.copy(), str(folder))


def test_other_weights_are_named(folder):
    rewrite(folder, lambda saved: saved["model_state_dict"].pop("encoder.network.head.weight"))
    with pytest.raises(ValueError, match=r"lacks 'encoder.network.head.weight' \(1 missing, 0 unknown\)"):
        curvi.CurviVAE.load(folder)
    rewrite(folder, lambda saved: saved["model_state_dict"].update(tail=torch.zeros(1)))
    rewrite(folder, lambda saved: saved["model_state_dict"].update({"encoder.network.head.weight": torch.zeros(1)}))
    with pytest.raises(ValueError, match=r"has 'tail', which the model has not \(0 missing, 1 unknown\)"):
        curvi.CurviVAE.load(folder)


def test_another_class_is_refused(folder):
    rewrite(folder, lambda saved: saved["attr_dict"]["registry_"].update(model_name="SCVI"))
    with pytest.raises(ValueError, match="holds a model of the class 'SCVI'; this is 'CurviVAE'"):
        curvi.CurviVAE.load(folder)
    assert curvi.CurviVAE.load(folder, allowed_classes_names_list=["SCVI"]).is_trained


@pytest.mark.parametrize("target", ["cpu", torch.device("cpu")])
def test_a_device_is_named_as_in_torch(folder, trained, target):
    model = curvi.CurviVAE.load(folder, map_location=target)
    assert model.device == torch.device("cpu")
    np.testing.assert_array_equal(model.get_latent_representation(), trained.get_latent_representation())


def test_a_device_is_named_once_and_must_be_there(folder):
    with pytest.raises(ValueError, match="`map_location` is 'cpu', but `accelerator` or `device` was given too"):
        curvi.CurviVAE.load(folder, map_location="cpu", accelerator="cpu")
    for absent in ("cuda:99", "nowhere"):
        with pytest.raises(ValueError, match=f"`map_location` is '{absent}', and there is no such device here"):
            curvi.CurviVAE.load(folder, map_location=absent)


@pytest.mark.gpu
def test_a_model_comes_onto_a_gpu_and_back(folder, trained, tmp_path):
    model = curvi.CurviVAE.load(folder, map_location="cuda:0")
    assert model.device == torch.device("cuda:0")
    expected = trained.get_latent_representation()
    np.testing.assert_allclose(model.get_latent_representation(), expected, atol=1e-4)
    model.minify_adata()
    model.save(tmp_path / "small", save_anndata=True)
    again = curvi.CurviVAE.load(tmp_path / "small", map_location="cpu")
    np.testing.assert_array_equal(again.get_latent_representation(), model.get_latent_representation())


def test_prefix_and_overwrite(trained, tmp_path):
    trained.save(tmp_path / "models", prefix="first_")
    with pytest.raises(ValueError, match="already exists"):
        trained.save(tmp_path / "models", prefix="second_")
    trained.save(tmp_path / "models", prefix="second_", overwrite=True, save_anndata=True)
    assert {path.name for path in (tmp_path / "models").iterdir()} == {
        "first_model.pt",
        "second_model.pt",
        "second_adata.h5ad",
    }
    expected = trained.get_latent_representation()
    model = curvi.CurviVAE.load(tmp_path / "models", prefix="second_")
    np.testing.assert_array_equal(model.get_latent_representation(), expected)
    model = curvi.CurviVAE.load(tmp_path / "models", trained.adata.copy(), prefix="first_")
    np.testing.assert_array_equal(model.get_latent_representation(), expected)
