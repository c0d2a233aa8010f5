"""RunConfig and its TOML: nothing is lost, nothing unknown gets in."""

from __future__ import annotations

import math
import string
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curvi import presets
from curvi.pipeline import RunConfig
from curvi.pipeline._toml import to_toml

_numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
_texts = st.text(st.characters(codec="utf-8"), max_size=12)
_plain = _texts | st.booleans() | _numbers
_values = st.recursive(
    _plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_texts, _values, max_size=6))
def test_what_is_written_as_toml_is_read_back(values):
    read = tomllib.loads(to_toml(values))
    assert read == values
    # Equal is not enough: 1, 1.0 and true are equal in Python.
    assert repr(dict(sorted(read.items()))) == repr(dict(sorted(values.items())))


def test_nan_is_read_back():
    assert math.isnan(tomllib.loads(to_toml({"x": math.nan}))["x"])


@pytest.mark.parametrize("value", [None, object(), {1, 2}])
def test_values_that_toml_cannot_say(value):
    with pytest.raises(ValueError, match="`train.callbacks` is .*, which TOML cannot say"):
        to_toml({"train": {"callbacks": [value]}})


def full() -> RunConfig:
    return RunConfig(
        input='odd "name" \\ \u00e9.h5ad',
        layer="counts",
        batch_key=("patient", "disease"),
        labels_key="cell_type",
        size_factor_key="size",
        categorical_covariate_keys=("chip",),
        continuous_covariate_keys=("age", "mito"),
        n_top_genes=2000,
        preset="scphere",
        latent="vmf",
        n_latent=5,
        likelihood="zinb",
        model={"n_hidden": [256, 128], "dropout_rate": 0.2, "latent_kwargs": {"concentration_scale": "softplus"}},
        train={"max_epochs": 7, "early_stopping": True, "plan_kwargs": {"lr": 1e-05}},
        seed=11,
        key_added="X_sphere",
        concentration_key="kappa",
        leiden_resolution=0.0,
        out="out.zarr",
        model_dir="model",
        overwrite=True,
        figures="figures",
    )


def test_round_trip_of_every_field():
    config = full()
    assert RunConfig.from_toml(config.to_toml()) == config
    values = tomllib.loads(config.to_toml())
    assert set(values) == set(vars(config)), "a field of the test has its default value, and is not tested"


def test_defaults_are_left_out():
    assert RunConfig().to_toml() == ""
    assert RunConfig.from_toml("") == RunConfig()


def test_read_from_a_file(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(full().to_toml(), encoding="utf-8")
    assert RunConfig.read(file) == full()
    with pytest.raises(FileNotFoundError, match="no configuration file '.*absent.toml'"):
        RunConfig.read(tmp_path / "absent.toml")
    file.write_text("batch_key = [")
    with pytest.raises(ValueError, match="run.toml' is not a TOML file"):
        RunConfig.read(file)


def test_unknown_keys_are_named_with_the_known():
    with pytest.raises(
        ValueError, match=r"unknown keys 'batch_keys', 'epochs'; the known keys are 'input', .*'figures'"
    ):
        RunConfig.from_toml('batch_keys = "patient"\nepochs = 3\n')


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_latent": "two"}, "`n_latent` is 'two'; expected an integer"),
        ({"n_latent": True}, "`n_latent` is True; expected an integer"),
        ({"n_latent": 2.0}, "`n_latent` is 2.0; expected an integer"),
        ({"seed": None}, "`seed` is None; expected an integer"),
        ({"layer": 3}, "`layer` is 3; expected a string"),
        ({"overwrite": 1}, "`overwrite` is 1; expected true or false"),
        ({"leiden_resolution": "high"}, "`leiden_resolution` is 'high'; expected a number"),
        ({"leiden_resolution": -0.5}, "`leiden_resolution` is -0.5; it must be positive, or 0"),
        ({"leiden_resolution": math.nan}, "`leiden_resolution` is nan"),
        ({"batch_key": ["patient", 2]}, "`batch_key` is .*; expected a string or a list of strings"),
        ({"train": 5}, "`train` is 5; expected a table"),
        ({"n_top_genes": 0}, "`n_top_genes` is 0; it must be at least 1"),
        ({"preset": "scPhere"}, "unknown preset 'scPhere'; the known presets are 'scphere', 'hyperbolic'"),
        ({"latent": "vmf", "model": {"latent": "normal"}}, "'latent' is given both by itself and in `model`"),
    ],
)
def test_values_that_do_not_fit(values, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**values)


def test_one_key_may_be_a_string_and_a_path_a_path(tmp_path):
    config = RunConfig(batch_key="patient", out=tmp_path / "out.h5ad", leiden_resolution=1)
    assert config.batch_key == ("patient",)
    assert config.out == str(tmp_path / "out.h5ad")
    assert isinstance(config.leiden_resolution, float)


def test_arguments_of_the_model():
    assert RunConfig().model_arguments() == {}
    assert RunConfig(preset="scphere").model_arguments() == presets.scphere
    given = RunConfig(preset="scphere", n_latent=5, model={"n_hidden": [8]}).model_arguments()
    assert given == {**presets.scphere, "n_latent": 5, "n_hidden": [8]}


def test_arguments_of_the_setup():
    config = RunConfig(layer="counts", batch_key=("patient", "disease"), continuous_covariate_keys=("age",))
    assert config.setup_arguments() == {
        "layer": "counts",
        "batch_key": ["patient", "disease"],
        "labels_key": None,
        "size_factor_key": None,
        "categorical_covariate_keys": None,
        "continuous_covariate_keys": ["age"],
    }


def test_bare_keys_are_written_bare():
    alphabet = string.ascii_letters + string.digits + "_-"
    assert to_toml({alphabet: 1, "a b": 2}) == f'{alphabet} = 1\n"a b" = 2\n'
