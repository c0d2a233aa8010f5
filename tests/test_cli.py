"""The command line as a user types it: every command end to end, and a sentence for whatever cannot be used."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields

import anndata
import numpy as np
import pandas as pd
import pytest

import curvi
from curvi import cli, metrics
from curvi.cli import main
from curvi.pipeline import RunConfig

COMMANDS = ["demo", "train", "embed", "evaluate", "plot"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with cells.h5ad."""
    monkeypatch.chdir(tmp_path)
    curvi.datasets.synthetic(n_obs=150, n_vars=40, n_types=4).write_h5ad("cells.h5ad")
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which `curvi train` has run: cells.h5ad, out.h5ad, model."""
    folder = tmp_path_factory.mktemp("trained")
    curvi.datasets.synthetic(n_obs=150, n_vars=40, n_types=4).write_h5ad(folder / "cells.h5ad")
    words = "--batch-key patient --batch-key location --latent vmf --n-latent 2 --max-epochs 3".split()
    outputs = ["--out", str(folder / "out.h5ad"), "--model-dir", str(folder / "model")]
    assert main(["train", str(folder / "cells.h5ad"), *words, *outputs]) == 0
    return folder


def configured(monkeypatch, words):
    """The configuration that the words of `curvi train` make."""
    made = []
    monkeypatch.setattr("curvi.pipeline.run", made.append)
    assert main(["train", *words]) == 0
    return made[0]


# What it says


def test_help_imports_nothing_heavy():
    code = (
        "import json, sys\nfrom curvi.cli import main\n"
        "for words in (['--help'], ['--version'], *([command, '--help'] for command in sys.argv[1:])):\n"
        "    try:\n        main(words)\n    except SystemExit as end:\n        assert end.code == 0\n"
        "print(json.dumps(sorted(name for name in sys.modules if '.' not in name)))"
    )
    done = subprocess.run([sys.executable, "-c", code, *COMMANDS], capture_output=True, text=True, check=True)
    imported = json.loads(done.stdout.splitlines()[-1])
    assert "curvi" in imported
    heavy = {"torch", "scvi", "scanpy", "anndata", "lightning", "numpy", "pandas", "matplotlib", "scipy"}
    assert not heavy & set(imported)


def test_python_m_curvi_and_its_exit_codes(tmp_path):
    def run(*words):
        command = [sys.executable, "-m", "curvi", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"curvi {curvi.__version__}\n")
    done = run("train", "absent.h5ad", "--out", "out.h5ad")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "curvi: there is no file or folder 'absent.h5ad'.\n"


def test_every_command_is_listed(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    assert f"{{{','.join(COMMANDS)}}}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "the following arguments are required: command"),
        (["trian"], "invalid choice: 'trian'"),
        (["train", "cells.h5ad", "--foo"], "unrecognized arguments: --foo"),
        (["train", "cells.h5ad", "--n-latent", "two"], "argument --n-latent: invalid int value: 'two'"),
        (["train", "cells.h5ad", "--batch", "patient"], "unrecognized arguments: --batch patient"),
        (["embed", "cells.h5ad", "--out", "out.h5ad"], "arguments are required: --model-dir"),
    ],
)
def test_words_that_make_no_command(words, sentence, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert sentence in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("train cells.h5ad", "neither `out` nor `model_dir` is given; the result of the training would be lost."),
        ("train --out out.h5ad", "the configuration has no `input`; name the file or folder to read."),
        ("train absent.h5ad --out out.h5ad", "there is no file or folder 'absent.h5ad'."),
        ("train cells.h5ad --out out.csv", "the output 'out.csv' ends in '.csv'; expected .h5ad or .zarr."),
        ("train cells.h5ad --out out.h5ad --config absent.toml", "there is no configuration file 'absent.toml'."),
        ("train cells.h5ad --out out.h5ad --batch-key site", "`batch_key` names 'site', which is not a column"),
        ("train cells.h5ad --out out.h5ad --layer counts", "`layer` is 'counts', which is not a layer of the data"),
        ("train cells.h5ad --out out.h5ad --latent globe", "unknown latent 'globe'; the known names are"),
        ("train cells.h5ad --out out.h5ad --likelihood nbinom", "unknown likelihood 'nbinom'; the known names are"),
        (
            "train cells.h5ad --out out.h5ad --preset sphere",
            "unknown preset 'sphere'; the known presets are 'scphere', 'hyperbolic', ",
        ),
        ("train cells.h5ad --out out.h5ad --n-latent 0", "`n_latent` is 0; the latent space 'vmf' needs a dimension"),
        ("train cells.h5ad --out out.h5ad --n-top-genes 0", "`n_top_genes` is 0; it must be at least 1"),
        ("train cells.h5ad --out out.h5ad --accelerator abacus", "abacus"),
        ("train cells.h5ad --out out.h5ad --set model.depth=3", "the table `model` has unknown arguments 'depth'"),
        (
            "train cells.h5ad --out out.h5ad --set depth=3",
            "the configuration has unknown keys 'depth'; the known keys are",
        ),
        ("train cells.h5ad --out out.h5ad --set model.activation=elu", "is not NAME=VALUE as TOML has it"),
        ("embed cells.h5ad --model-dir absent --out out.h5ad", "there is no model in 'absent'"),
        ("embed cells.h5ad --model-dir absent --out out.csv", "the output 'out.csv' ends in '.csv'"),
        ("evaluate cells.h5ad", "there is nothing to score by; give `labels_key`, `batch_key` or both."),
        ("evaluate cells.h5ad --labels-key cell_type", "`use_rep` is 'X_curvi', but `adata.obsm` has 'latent'."),
        ("plot cells.h5ad --basis latent --color site --out a.png", "'site', which is neither a column"),
        ("plot cells.h5ad --basis latent --out a.foo", "Format 'foo' is not supported"),
        ("demo --seeds 0", "`seeds` is empty; expected at least one."),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(folder, capsys, words, sentence):
    assert main(words.split()) == 2
    captured = capsys.readouterr()
    last = captured.err.splitlines()[-1]
    assert re.match(r"curvi: .*\.$", last)
    assert sentence in last
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert {file.name for file in folder.iterdir()} == {"cells.h5ad"}


def test_debug_shows_where(folder, capsys):
    assert main(["train", "absent.h5ad", "--out", "out.h5ad", "--debug"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert "no file or folder 'absent.h5ad'" in said


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyError("no column 'x' here."), "no column 'x' here."),
        (ValueError("two\n  lines"), "two lines."),
        (KeyError("x"), "KeyError: x; --debug shows where."),
        (IndexError(), "IndexError: ; --debug shows where."),
    ],
)
def test_sentences(error, expected):
    assert cli._sentence(error) == expected


def test_errors_of_the_program_itself_are_not_hidden(monkeypatch, folder):
    def broken(config):
        raise AttributeError("a mistake of ours")

    monkeypatch.setattr("curvi.pipeline.run", broken)
    with pytest.raises(AttributeError, match="a mistake of ours"):
        main(["train", "cells.h5ad", "--out", "out.h5ad"])


def test_stopped_by_the_user(monkeypatch, folder, capsys):
    def stopped(config):
        raise KeyboardInterrupt

    monkeypatch.setattr("curvi.pipeline.run", stopped)
    assert main(["train", "cells.h5ad", "--out", "out.h5ad"]) == 130
    assert capsys.readouterr().err == "curvi: stopped.\n"


# train


def test_train_writes_the_embedding_and_the_model(trained):
    out = anndata.read_h5ad(trained / "out.h5ad")
    assert out.obsm["X_curvi"].shape == (150, 3)
    np.testing.assert_allclose(np.linalg.norm(out.obsm["X_curvi"], axis=1), 1, atol=1e-5)
    assert "leiden" in out.obs
    config = RunConfig.read(trained / "model" / "run.toml")
    assert config.batch_key == ("patient", "location")
    assert config.train == {"max_epochs": 3}


def test_train_says_what_it_does_in_plain_lines(folder, capsys):
    assert main("train cells.h5ad --out out.h5ad --max-epochs 2 --n-top-genes 25".split()) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d \S", line) for line in lines), "nothing of the host libraries"
    said = [line[9:] for line in lines]
    assert said[0] == "read cells.h5ad: 150 cells, 40 genes"
    assert "25 of 40 genes are kept for training" in said
    assert sum(line.startswith("epoch ") for line in said) == 2
    assert said[-1] == "wrote out.h5ad"


def test_warnings_are_lines(folder, capsys):
    adata = anndata.read_h5ad("cells.h5ad")
    adata.obs["site"] = "here"
    adata.write_h5ad("cells.h5ad")
    words = "train cells.h5ad --batch-key site --model-dir model --max-epochs 1 --leiden-resolution 0"
    assert main(words.split()) == 0
    expected = "warning: batch level 'site' has the one category 'here'; it corrects nothing."
    assert expected in capsys.readouterr().err.splitlines()


def test_every_field_of_a_configuration_has_an_option(monkeypatch):
    words = """IN --layer L --batch-key a --batch-key b --labels-key c --size-factor-key s
        --categorical-covariate-key d --categorical-covariate-key e --continuous-covariate-key f --n-top-genes 9
        --preset scphere --latent normal --n-latent 3 --likelihood zinb --max-epochs 4 --batch-size 32 --accelerator cpu
        --early-stopping --seed 5 --out O.h5ad --model-dir M --overwrite --figures F --key-added K --concentration-key k
        --leiden-resolution 2 --set model.n_hidden=[64,32] --set train.plan_kwargs.lr=0.01""".split()
    config = configured(monkeypatch, words)
    assert config == RunConfig(
        input="IN",
        layer="L",
        batch_key=("a", "b"),
        labels_key="c",
        size_factor_key="s",
        categorical_covariate_keys=("d", "e"),
        continuous_covariate_keys=("f",),
        n_top_genes=9,
        preset="scphere",
        latent="normal",
        n_latent=3,
        likelihood="zinb",
        model={"n_hidden": [64, 32]},
        train={
            "plan_kwargs": {"lr": 0.01},
            "max_epochs": 4,
            "batch_size": 32,
            "accelerator": "cpu",
            "early_stopping": True,
        },
        seed=5,
        out="O.h5ad",
        model_dir="M",
        overwrite=True,
        figures="F",
        key_added="K",
        concentration_key="k",
        leiden_resolution=2.0,
    )
    default = RunConfig()
    same = [field.name for field in fields(config) if getattr(config, field.name) == getattr(default, field.name)]
    assert not same, "a field without an option, or an option without effect"


def test_nothing_given_is_nothing_set(monkeypatch):
    assert configured(monkeypatch, ["IN"]) == RunConfig(input="IN")


def test_the_command_line_overrides_the_file(monkeypatch, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(
        'input = "old.h5ad"\nbatch_key = ["patient"]\nseed = 3\nout = "old_out.h5ad"\n'
        '[model]\nlatent = "normal"\nn_layers = 3\n'
        "[train]\nmax_epochs = 7\ntrain_size = 0.5\n[train.plan_kwargs]\nlr = 0.1\neps = 0.01\n"
    )
    words = ["--config", str(file)]
    assert configured(monkeypatch, words) == RunConfig.read(file)
    words += "new.h5ad --latent vmf --batch-key location --max-epochs 9 --set train.plan_kwargs.lr=0.2".split()
    assert configured(monkeypatch, words) == RunConfig(
        input="new.h5ad",
        batch_key=("location",),
        seed=3,
        out="old_out.h5ad",
        latent="vmf",
        model={"n_layers": 3},
        train={"max_epochs": 9, "train_size": 0.5, "plan_kwargs": {"lr": 0.2, "eps": 0.01}},
    )


def test_a_saved_configuration_repeats_the_run(trained, monkeypatch, tmp_path):
    words = ["train", "--config", str(trained / "model" / "run.toml"), "--model-dir", str(tmp_path / "again")]
    assert main([*words, "--out", str(tmp_path / "again.h5ad")]) == 0
    again, out = anndata.read_h5ad(tmp_path / "again.h5ad"), anndata.read_h5ad(trained / "out.h5ad")
    np.testing.assert_array_equal(again.obsm["X_curvi"], out.obsm["X_curvi"])


# embed, evaluate, plot, demo


def test_embed_the_cells_of_new_patients(trained, tmp_path, capsys):
    new = anndata.read_h5ad(trained / "cells.h5ad")[::-1].copy()
    new.obs["patient"] = "patient9"
    new.write_zarr(tmp_path / "new.zarr")
    words = ["embed", str(tmp_path / "new.zarr"), "--model-dir", str(trained / "model")]
    options = ["--key-added", "X_new", "--concentration-key", "kappa", "--out", str(tmp_path / "new.h5ad")]
    assert main([*words, *options]) == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warned) == 1
    assert "'patient9' of batch level 'patient' was not seen in training" in warned[0]
    embedded, out = anndata.read_h5ad(tmp_path / "new.h5ad"), anndata.read_h5ad(trained / "out.h5ad")
    np.testing.assert_allclose(embedded.obsm["X_new"][::-1], out.obsm["X_curvi"], atol=1e-5)
    assert (embedded.obs["kappa"] > 0).all()


def test_evaluate(trained, tmp_path, capsys):
    words = "--labels-key cell_type --batch-key patient --holdout-key patient --resolution 0.5 --k 10 --seed 1".split()
    representations = ["--use-rep", "X_curvi", "--use-rep", "latent"]
    scores_file = tmp_path / "scores.csv"
    assert main(["evaluate", str(trained / "out.h5ad"), *representations, *words, "--out", str(scores_file)]) == 0
    scores = pd.read_csv(scores_file).set_index(["embedding", "score", "setting"])["value"]
    adata = anndata.read_h5ad(trained / "out.h5ad")
    expected = metrics.knn_accuracy(adata, "latent", "cell_type", 10, seed=1)
    assert scores["latent", "knn_accuracy", "k=10, 5 folds"] == pytest.approx(expected)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["embedding", "score", "setting", "value"]
    assert len(printed) == 1 + len(scores)


def test_plot(trained, tmp_path):
    words = ["plot", str(trained / "out.h5ad"), "--color", "cell_type", "--color", "gene3"]
    assert main([*words, "--out", str(tmp_path / "globe.pdf")]) == 0
    assert (tmp_path / "globe.pdf").read_bytes().startswith(b"%PDF")
    assert main([*words, "--basis", "latent", "--out", str(tmp_path / "plane.png")]) == 0
    assert (tmp_path / "plane.png").read_bytes().startswith(b"\x89PNG")


def test_demo_prints_its_table(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo"), "--seeds", "1", "--max-epochs", "1"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["embedding", "kNN", "accuracy", "sd", "ARI", "sd", "ARI"]
    assert [row.split()[0] for row in rows] == ["vMF", "vMF", "Gaussian", "Gaussian", "PCA-50"]
    assert rows[0].split()[3] == "-", "one seed has no spread"
    assert {file.name for file in (tmp_path / "demo").iterdir()} == {"pbmc68k.h5ad", "sphere.png", "history.png"}
