"""Model cards: what they say, that it renders, and that the code in them runs."""

from __future__ import annotations

import importlib
import json
import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from markdown_it import MarkdownIt

import curvi

if TYPE_CHECKING:
    from pathlib import Path

ODD = ["a|b", "two\nlines", "<b>x</b>", "`tick`", "_under_", "*star* [link](x)", "back\\slash", "a_b", "http://x.org"]
SHOWN = ["a|b", "two lines", *ODD[2:]]


@pytest.fixture(scope="module")
def odd() -> Any:
    """A model whose columns and categories would be markup in Markdown."""
    adata = curvi.datasets.synthetic(n_obs=90, n_vars=20, levels={"patient": 2})
    adata.obs["a|`level`"] = ODD * 10
    curvi.CurviVAE.setup_anndata(adata, batch_key=["patient", "a|`level`"], labels_key="cell_type")
    model = curvi.CurviVAE(adata, latent=[("vmf", 2), ("lorentz", 1, {"learn_curvature": True})], n_hidden=8)
    model.train(max_epochs=3, check_val_every_n_epoch=1, enable_progress_bar=False, logger=None)
    return model


def tables(page: str) -> list[list[list[str]]]:
    """The tables of a rendered page, as rows of the text of cells."""
    found: list[list[list[str]]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(page.split("\n---\n", 1)[1]):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and found and token.level >= 4:
            # Markup within a cell would make children of other kinds.
            assert {child.type for child in token.children} <= {"text", "text_special"}, token.content
            found[-1][-1].append("".join(child.content for child in token.children))
    return found


def test_the_card_says_what_the_model_is(odd, tmp_path):
    odd.save(tmp_path / "model")
    path = odd.write_card(
        tmp_path / "model",
        description="For *tests*.",
        scores={"a|b": 0.987654, "cells": 3},
        license="cc-by-4.0",
        tags=["blood: all", "nb"],
    )
    page = path.read_text(encoding="utf-8")
    assert path == tmp_path / "model" / "README.md"
    head = yaml.safe_load(page.split("---\n")[1])
    assert head["library_name"] == "curvi"
    assert head["license"] == "cc-by-4.0"
    assert {"single-cell", "product", "nb", "blood: all"} <= set(head["tags"])
    assert len(head["tags"]) == len(set(head["tags"]))
    parts, data, patients, levels, types, training, scores, versions = tables(page)
    assert parts[-1] == ["all", "", f"{sum(p.numel() for p in odd.module.parameters()):,}"]
    assert "sphere of dimension 2" in parts[1][1]
    assert "(learned)" in parts[1][1]
    assert ["cells", "90"] in data
    assert ["genes", "20"] in data
    assert ["batch levels", "patient (2), a|`level` (9)"] in data
    counts = odd.adata.obs["patient"].value_counts()
    assert patients[1:] == [[name, str(n)] for name, n in counts.items()]
    assert sorted(levels[1:]) == sorted([name, "10"] for name in SHOWN)
    assert sum(int(n) for _, n in types[1:]) == 90
    assert ["epochs", "3"] in training
    elbo = -float(odd.history["elbo_validation"].iloc[-1, 0])
    assert ["ELBO, validation cells, last epoch", f"{elbo:.2f} nats a cell"] in training
    assert scores[1:] == [["a|b", "0.9877"], ["cells", "3"]]
    assert ["curvi", curvi.__version__] in versions
    picture = (path.parent / "training.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert "![Losses by the epoch](training.png)" in page
    assert "For *tests*." in page


def code(page: str) -> list[str]:
    return re.findall(r"^(`{3,})python\n(.*?)\n\1$", page, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("with_data", [True, False])
def test_the_code_of_the_card_runs(odd, tmp_path, monkeypatch, with_data):
    odd.save(tmp_path / "it's a model", save_anndata=with_data)
    page = odd.write_card(tmp_path / "it's a model").read_text()
    monkeypatch.chdir(tmp_path)
    odd.adata[:, ::-1].copy().write_h5ad("cells.h5ad")
    names: dict[str, Any] = {}
    loading, made = (text for _, text in code(page))
    exec(loading, names)
    adata = names["model"].adata if with_data else names["adata"]
    assert abs(adata.obsm["X_curvi"] - odd.get_latent_representation()).max() < 1e-6
    # What made the model makes one of the same parts.
    names = {"CurviVAE": curvi.CurviVAE, "adata": odd.adata.copy()}
    exec(made, names)
    assert {k: v.shape for k, v in names["model"].module.state_dict().items()} == {
        k: v.shape for k, v in odd.module.state_dict().items()
    }
    assert names["model"].registry["setup_args"] == odd.registry["setup_args"]


def test_a_model_without_data_has_a_card(odd, tmp_path):
    odd.save(tmp_path / "model")
    model = curvi.CurviVAE.load(tmp_path / "model", adata=False)
    page = model.write_card(tmp_path / "model").read_text()
    assert "median of the counts" not in page
    _, data, patients, *_ = tables(page)
    assert ["cells", "90"] in data
    assert [row[1] for row in patients[1:]] == ["", ""]
    assert "| epochs | 3 |" in page


def test_a_minified_model_has_a_card(odd, tmp_path):
    odd.save(tmp_path / "model", save_anndata=True)
    model = curvi.CurviVAE.load(tmp_path / "model")
    model.minify_adata()
    model.save(tmp_path / "small", save_anndata=True)
    page = model.write_card(tmp_path / "small").read_text()
    assert "median of the counts" not in page
    assert ["cells", "90"] in tables(page)[1]
    assert sorted(tables(page)[3][1:]) == sorted([name, "10"] for name in SHOWN)


@pytest.mark.filterwarnings("ignore:Category .* fewer than 3 cells:UserWarning")
def test_many_categories_are_cut_and_counted(tmp_path):
    adata = curvi.datasets.synthetic(n_obs=60, n_vars=10)
    adata.obs["donor"] = [f"d{i}" for i in range(50)] + ["d7"] * 10
    curvi.CurviVAE.setup_anndata(adata, batch_key="donor")
    model = curvi.CurviVAE(adata, n_hidden=4)
    model.save(tmp_path / "model")
    page = model.write_card(tmp_path / "model").read_text()
    assert tables(page)[2][1] == ["d7", "11"]
    assert len(tables(page)[2]) == 1 + 40
    assert "And 10 more." in page
    assert "without the history of a training" in page
    assert not (tmp_path / "model" / "training.png").exists()


def test_a_page_of_somebody_else_is_kept(odd, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file 'model.pt'; save the model there first"):
        odd.write_card(tmp_path)
    odd.save(tmp_path, overwrite=True)
    page: Path = tmp_path / "README.md"
    page.write_text("My project.")
    with pytest.raises(FileExistsError, match="is no model card of curvi; move it, or pass `overwrite=True`"):
        odd.write_card(tmp_path)
    assert page.read_text() == "My project."
    odd.write_card(tmp_path, overwrite=True)
    odd.write_card(tmp_path, scores={"twice": 2})
    assert "| twice | 2 |" in page.read_text()


@pytest.mark.parametrize("value", ["0.9", True, [0.9], None])
def test_scores_are_numbers(odd, tmp_path, value):
    odd.save(tmp_path / "model")
    with pytest.raises(TypeError, match="`scores` has .* for 'accuracy'; expected a number"):
        odd.write_card(tmp_path / "model", scores={"accuracy": value})
    assert not (tmp_path / "model" / "README.md").exists()


def test_the_hub_finds_the_class(odd, tmp_path):
    odd.save(tmp_path / "model", save_anndata=True)
    odd.write_card(tmp_path / "model")
    found = json.loads((tmp_path / "model" / "_scvi_required_metadata.json").read_text())
    assert getattr(importlib.import_module(found["model_parent_module"]), found["model_cls_name"]) is curvi.CurviVAE


def test_scvi_hub_opens_the_folder(odd, tmp_path):
    pytest.importorskip("huggingface_hub")
    from scvi.hub import HubMetadata, HubModel, HubModelCardHelper

    odd.save(tmp_path / "model", save_anndata=True)
    page = odd.write_card(tmp_path / "model", license="mit").read_text()
    hub = HubModel(str(tmp_path / "model"))
    assert hub.model_card.data.license == "mit"
    assert hub.model_card.text.strip() == page.split("\n---\n", 1)[1].strip()
    assert isinstance(hub.model, curvi.CurviVAE)
    assert (hub.model.get_latent_representation() == odd.get_latent_representation()).all()
    hub.save(overwrite=True)
    assert HubModel(str(tmp_path / "model")).metadata == hub.metadata
    folder, described = str(tmp_path / "model"), {"anndata_version": version("anndata")}
    assert HubMetadata.from_dir(folder, **described, model_parent_module="curvi.model") == hub.metadata
    with pytest.raises(ValueError, match="CurviVAE not recognized"):
        HubModelCardHelper.from_dir(folder, "mit", **described)
