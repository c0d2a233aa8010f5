"""The command line: words become one call of the pipeline, nothing else."""

from __future__ import annotations

import argparse
import sys
import tomllib
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from curvi import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# What the steps raise for input that they cannot use.
_BAD_INPUT = (ValueError, KeyError, IndexError, OSError)


class _Parser(argparse.ArgumentParser):
    """A parser that says in one sentence what is wrong."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see '{self.prog} --help'.\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the words are those after the program's name.

    Returns
    -------
    The exit code: 0, or 2 for input that cannot be used, with one sentence on standard error.

    Raises
    ------
    SystemExit
        For ``--help``, ``--version`` and words that are no command.

    Examples
    --------
    >>> main(["train", "nowhere.h5ad", "--model-dir", "model"])
    2
    """
    given = vars(_parser().parse_args(arguments))
    command: Callable[[dict[str, Any]], None] = given.pop("run")
    debug = given.pop("debug")
    del given["command"]
    try:
        # Imported only now: --help needs none of it.
        from curvi.pipeline import plain_output

        with plain_output():
            command(given)
    except _BAD_INPUT as error:
        if debug:
            traceback.print_exc()
        else:
            print(f"curvi: {_sentence(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("curvi: stopped.", file=sys.stderr)
        return 130
    return 0


def _sentence(error: Exception) -> str:
    """What an exception says, on one line."""
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    words = " ".join(str(said).split())
    if " " not in words:
        # A lone key, or nothing at all, comes from elsewhere and needs its kind to be understood.
        words = f"{type(error).__name__}: {words}; --debug shows where"
    return words if words.endswith(".") else f"{words}."


def _demo(given: dict[str, Any]) -> None:
    from curvi import pipeline

    seeds = range(given.pop("seeds"))
    print(pipeline.report(pipeline.demo(given.pop("out"), seeds, **given)))


def _train(given: dict[str, Any]) -> None:
    from curvi import pipeline

    pipeline.run(pipeline.RunConfig.from_mapping(_merged(given)))


def _embed(given: dict[str, Any]) -> None:
    from curvi import pipeline

    out = pipeline.check_output(given.pop("out"))
    adata = pipeline.read(given.pop("input"))
    pipeline.embed_with(given.pop("model_dir"), adata, **given)
    pipeline.write(adata, out)


def _evaluate(given: dict[str, Any]) -> None:
    from curvi import pipeline

    out = given.pop("out", None)
    scores = pipeline.evaluate(pipeline.read(given.pop("input")), **given)
    print(pipeline.report(scores))
    if out is not None:
        scores.to_csv(out, index=False)


def _plot(given: dict[str, Any]) -> None:
    from curvi import pipeline

    pipeline.draw(pipeline.read(given.pop("input")), given.pop("out"), **given)


def _merged(given: dict[str, Any]) -> dict[str, Any]:
    """The values of a configuration file, with those of the command line in their place."""
    from curvi.pipeline import read_toml

    values = read_toml(given.pop("config")) if "config" in given else {}
    for text in given.pop("set", ()):
        values = _overridden(values, _assigned(text))
    if isinstance(values.get("model"), dict):
        values["model"] = {key: value for key, value in values["model"].items() if key not in given}
    return _overridden(values, _nested(given))


def _overridden(values: dict[str, Any], by: dict[str, Any]) -> dict[str, Any]:
    """Values with others in their place; tables are merged."""
    merged = dict(values)
    for key, value in by.items():
        both_tables = isinstance(value, dict) and isinstance(values.get(key), dict)
        merged[key] = _overridden(values[key], value) if both_tables else value
    return merged


def _assigned(text: str) -> dict[str, Any]:
    """``table.name=value`` as nested dictionaries; the value is written as in TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(
            f"`--set` is {text!r}, which is not NAME=VALUE as TOML has it ({error}); quote strings within the "
            "shell's quotes, as in --set 'model.activation=\"elu\"'."
        ) from error


def _nested(given: dict[str, Any]) -> dict[str, Any]:
    """Values under names with a dot, in tables."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        table, _, key = name.rpartition(".")
        (values.setdefault(table, {}) if table else values)[key] = value
    return values


def _parser() -> _Parser:
    parser = _Parser(
        prog="curvi",
        description="Curved latent spaces of single-cell data: spheres and flat spaces, with batches of any number of "
        "levels.",
        epilog="Exit code 2 and one sentence mean input that cannot be used.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"curvi {__version__}")
    # No metavar: the documentation reads the names of the commands from this help.
    commands = parser.add_subparsers(required=True, title="commands", dest="command")
    for add in (_add_demo, _add_train, _add_embed, _add_evaluate, _add_plot):
        add(commands)
    return parser


def _command(commands: Any, name: str, run: Callable[[dict[str, Any]], None], summary: str) -> _Parser:
    """A command; what is not given on the command line is not passed on."""
    parser: _Parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--debug", action="store_true", default=False, help="show where an error was raised")
    return parser


def _add_demo(commands: Any) -> None:
    parser = _command(commands, "demo", _demo, "train on 700 blood cells and compare four latent spaces with PCA")
    parser.add_argument("--out", default="demo", metavar="DIR", help="folder for results (default: demo)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="trainings of each model (default: 3)")
    parser.add_argument("--max-epochs", type=int, metavar="N", help="passes over the cells")


def _add_input(parser: _Parser, **further: Any) -> None:
    parser.add_argument("input", metavar="IN", help=".h5ad, .zarr, 10x .h5 or a 10x matrix folder", **further)


def _add_train(commands: Any) -> None:
    parser = _command(commands, "train", _train, "train a model, embed and cluster the cells")
    _add_input(parser, nargs="?")
    add = parser.add_argument
    add("--config", metavar="TOML", help="a file of settings, which the options of the command line override")
    data = parser.add_argument_group("data")
    add = data.add_argument
    add("--layer", help="layer that holds the data (default: X)")
    add("--batch-key", action="append", metavar="COL", help="column of obs, a level of the batch vector; repeatable")
    add("--labels-key", metavar="COL", help="column of obs with cell types; for pictures, the model does not read it")
    add("--size-factor-key", metavar="COL", help="column of obs with positive size factors")
    add(
        "--categorical-covariate-key",
        action="append",
        dest="categorical_covariate_keys",
        metavar="COL",
        help="a further level; repeatable",
    )
    add(
        "--continuous-covariate-key",
        action="append",
        dest="continuous_covariate_keys",
        metavar="COL",
        help="column of numbers; repeatable",
    )
    add("--n-top-genes", type=int, metavar="N", help="train on the N most variable genes (scanpy's seurat_v3)")
    add = parser.add_argument_group("model and training").add_argument
    add("--preset", help="constructor arguments under the name of a published model, such as scphere")
    add("--latent", help="latent space: vmf, power_spherical, lorentz, poincare, normal, delta, ... (default: vmf)")
    add("--n-latent", type=int, metavar="N", help="its intrinsic dimension (default: 2)")
    add("--likelihood", help="nb, zinb, poisson, normal, student_t, ... (default: nb)")
    add("--max-epochs", type=int, dest="train.max_epochs", metavar="N", help="passes over the training cells")
    add("--batch-size", type=int, dest="train.batch_size", metavar="N", help="the largest minibatch (default: 128)")
    add("--accelerator", dest="train.accelerator", metavar="NAME", help="cpu, gpu, ... (default: what there is)")
    add(
        "--early-stopping",
        action="store_true",
        dest="train.early_stopping",
        help="stop once the validation ELBO no longer rises",
    )
    add("--seed", type=int, metavar="N", help="of everything that is drawn (default: 0)")
    add(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help="any other setting in TOML, as in model.n_hidden=256 or train.plan_kwargs.lr=0.002; repeatable",
    )
    add = parser.add_argument_group("results").add_argument
    add("--out", metavar="FILE", help=".h5ad or .zarr to write: the input with embedding and clusters")
    add("--model-dir", metavar="DIR", help="folder to save the model to")
    add("--overwrite", action="store_true", help="replace a model that is in the folder already")
    add("--figures", metavar="DIR", help="folder for pictures of the embedding and of the training")
    _add_keys(parser)
    add("--leiden-resolution", type=float, metavar="R", help="of the clusters, 0 for none (default: 1)")


def _add_keys(parser: _Parser) -> None:
    parser.add_argument("--key-added", metavar="KEY", help="key of obsm for the embedding (default: X_curvi)")
    parser.add_argument(
        "--concentration-key", metavar="COL", help="column of obs for how sure the model is of each cell"
    )


def _add_embed(commands: Any) -> None:
    parser = _command(commands, "embed", _embed, "embed cells with a saved model")
    _add_input(parser)
    parser.add_argument("--model-dir", required=True, metavar="DIR", help="folder that `curvi train` wrote")
    parser.add_argument("--out", required=True, metavar="FILE", help=".h5ad or .zarr to write")
    _add_keys(parser)


def _add_evaluate(commands: Any) -> None:
    parser = _command(commands, "evaluate", _evaluate, "score embeddings by labels and batches")
    _add_input(parser)
    add = parser.add_argument
    add("--use-rep", action="append", metavar="KEY", help="key of obsm (default: X_curvi); repeatable, to compare")
    add("--labels-key", metavar="COL", help="column of obs with cell types: accuracy, ARI and NMI")
    add("--batch-key", action="append", metavar="COL", help="column of obs with batches: mixing; repeatable")
    add("--holdout-key", metavar="COL", help="column of obs whose categories are left out one at a time")
    add("--k", type=int, metavar="N", help="neighbours for the accuracy (default: 15)")
    add(
        "--resolution",
        type=float,
        action="append",
        dest="resolutions",
        metavar="R",
        help="of Leiden; repeatable (default: 0.25, 0.5, 1, 1.5 and 2)",
    )
    add("--seed", type=int, metavar="N", help="of folds and clusters (default: 0)")
    add("--out", metavar="CSV", help="file for the scores")


def _add_plot(commands: Any) -> None:
    parser = _command(commands, "plot", _plot, "draw an embedding: a globe, a hyperbolic disk, else two coordinates")
    _add_input(parser)
    parser.add_argument("--basis", metavar="KEY", help="key of obsm (default: X_curvi)")
    parser.add_argument("--color", action="append", metavar="NAME", help="column of obs or gene; repeatable")
    parser.add_argument("--out", required=True, metavar="FIG", help="file to write: .png, .pdf, .svg, ...")
