"""The steps of a run, each from values to values: prepare, train, embed, cluster."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import scanpy as sc
from anndata import AnnData
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from curvi.data import layer_names
from curvi.model import CurviVAE, set_seed
from curvi.pipeline._genes import variable_genes
from curvi.pipeline._output import progress_arguments
from curvi.pipeline._threads import threads

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from curvi.pipeline._config import RunConfig

logger = logging.getLogger(__name__)


def prepare(adata: AnnData, config: RunConfig) -> AnnData:
    """What a model is trained on: the matrix and the columns of cells, reduced to variable genes where asked for.

    Genes are chosen by :func:`scanpy.pp.highly_variable_genes` with ``flavor="seurat_v3"`` on the counts, within the
    categories of the first batch level. ``adata`` is left as it is.

    Raises
    ------
    KeyError
        If the layer or the first batch key does not exist.
    ValueError
        If there is no matrix, or genes cannot be chosen.
    """
    cells = _taken(adata, config.layer)
    if config.n_top_genes is None:
        return cells
    if config.n_top_genes >= adata.n_vars:
        logger.info("all %d genes are kept, as %d were asked for", adata.n_vars, config.n_top_genes)
        return cells
    chosen = variable_genes(cells, config.n_top_genes, config.layer, next(iter(config.batch_key), None))
    logger.info("%d of %d genes are kept for training", chosen.sum(), adata.n_vars)
    return cells[:, chosen].copy()


def train(adata: AnnData, config: RunConfig) -> CurviVAE:
    """A model trained on prepared data, with a progress bar in a terminal and plain lines elsewhere.

    Validation cells are looked at after every epoch, unless the configuration says otherwise.

    Raises
    ------
    KeyError, ValueError
        If the configuration does not fit the data, or the model does not know an argument; nothing is trained then.
    """
    check_arguments(config)
    set_seed(config.seed)
    CurviVAE.setup_anndata(adata, **config.setup_arguments())
    with _explained("model"):
        model = CurviVAE(adata, **config.model_arguments())
    levels = ", ".join(config.batch_key + config.categorical_covariate_keys) or "none"
    logger.info("training on %d cells and %d genes; batch levels: %s", adata.n_obs, adata.n_vars, levels)
    with _explained("train"):
        model.train(**{"check_val_every_n_epoch": 1, **progress_arguments(), **config.train})
    return model


def embed(model: CurviVAE, adata: AnnData, key_added: str = "X_curvi", concentration_key: str | None = None) -> None:
    """Write where the cells of ``adata`` lie into it; genes that the model does not know are passed over.

    Parameters
    ----------
    model
        A trained model.
    adata
        Cells with at least the genes of the model, in any order.
    key_added, concentration_key
        As in :meth:`curvi.CurviVAE.embed`.

    Raises
    ------
    KeyError, ValueError
        If genes, the layer or columns are missing, values are none that the likelihood describes, or the encoder would
        read a category that it has not seen.
    """
    genes = [gene for gene in model.get_var_names() if gene in adata.var_names]
    if len(genes) < adata.n_vars:
        logger.info("the model reads %d of %d genes", len(genes), adata.n_vars)
    cells = _taken(adata, model.registry["setup_args"]["layer"], genes)
    model.embed(cells, key_added=key_added, concentration_key=concentration_key)
    adata.obsm[key_added] = cells.obsm[key_added]
    adata.uns["curvi"] = {**adata.uns.get("curvi", {}), **cells.uns["curvi"]}
    if concentration_key is not None:
        adata.obs[concentration_key] = cells.obs[concentration_key]
    logger.info("embedded %d cells in obsm[%r]", adata.n_obs, key_added)


def embed_with(
    model_dir: str | os.PathLike[str],
    adata: AnnData,
    key_added: str = "X_curvi",
    concentration_key: str | None = None,
) -> None:
    """:func:`embed` with the model that was saved in a folder.

    Raises
    ------
    FileNotFoundError
        If there is no model in the folder.
    """
    if not has_model(model_dir):
        raise FileNotFoundError(f"there is no model in {str(model_dir)!r}; expected a folder that `curvi train` wrote.")
    # Without data: cells of other batches may be embedded by an encoder that does not read them.
    embed(CurviVAE.load(str(model_dir), adata=False), adata, key_added, concentration_key)


def cluster(
    model: CurviVAE, adata: AnnData, key_added: str = "X_curvi", resolution: float = 1.0, seed: int = 0
) -> None:
    """Leiden clusters on scanpy's graph of geodesic neighbours, written where scanpy writes them.

    A graph of neighbours and a column ``leiden`` that are there already are replaced.
    """
    n_neighbors = min(15, adata.n_obs - 1)
    with threads():
        sc.pp.neighbors(
            adata, n_neighbors, use_rep=key_added, transformer=model.knn_transformer(n_neighbors), random_state=seed
        )
        sc.tl.leiden(adata, resolution, flavor="igraph", n_iterations=2, directed=False, random_state=seed)
    logger.info("%d clusters in obs['leiden']", adata.obs["leiden"].nunique())


def has_model(model_dir: str | os.PathLike[str]) -> bool:
    """Whether a model was saved in the folder."""
    return (Path(model_dir) / "model.pt").is_file()


def _taken(adata: AnnData, layer: str | None, genes: Sequence[str] | None = None) -> AnnData:
    """The matrix and the columns of cells alone, so that nothing is written into ``adata``."""
    if layer is not None and layer not in adata.layers:
        known = ", ".join(map(repr, layer_names(adata))) or "none"
        raise KeyError(f"`layer` is {layer!r}, which is not a layer of the data; the layers are {known}.")
    if layer is None and adata.X is None:
        known = ", ".join(map(repr, layer_names(adata))) or "none"
        raise ValueError(f"the data have no `X`; pass `layer`. The layers are {known}.")
    matrix, var = adata.X if layer is None else adata.layers[layer], adata.var[[]]
    if genes is not None and list(genes) != list(adata.var_names):
        matrix, var = matrix[:, adata.var_names.get_indexer(genes)], var.loc[genes]
    obs, var = adata.obs.copy(), var.copy()
    return AnnData(matrix, obs=obs, var=var) if layer is None else AnnData(obs=obs, var=var, layers={layer: matrix})


def check_arguments(config: RunConfig) -> None:
    """Raise unless the model and its training know all arguments of a configuration.

    Raises
    ------
    ValueError
        If an argument is unknown; the message lists those that are known.
    """
    taken = [name for name in signature(CurviVAE).parameters if name not in ("adata", "registry")]
    _check_known("model", config.model_arguments(), taken)
    _check_known("train", config.train, _training_arguments())


def _training_arguments() -> list[str]:
    """The arguments that training takes: those of ``train`` itself, and what it passes on to the trainer."""
    trainer = CurviVAE._train_runner_cls._trainer_cls
    passed_on = [vars(parent)["train"] for parent in CurviVAE.__mro__ if "train" in vars(parent)]
    passed_on += [vars(parent)["__init__"] for parent in trainer.__mro__ if "__init__" in vars(parent)]
    named = [
        name
        for function in passed_on
        for name, parameter in signature(function).parameters.items()
        if name != "self" and parameter.kind is not Parameter.VAR_KEYWORD
    ]
    return list(dict.fromkeys(named))


def _check_known(table: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise if an argument is none that the model takes; the message lists those it does."""
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(
            f"the table `{table}` has unknown arguments {', '.join(map(repr, unknown))}; the known ones are "
            f"{', '.join(map(repr, known))}."
        )


@contextmanager
def _explained(table: str) -> Iterator[None]:
    """Raise a sentence where a plain value of a table turns out to be of the wrong kind."""
    try:
        yield
    except (TypeError, MisconfigurationException) as error:
        raise ValueError(f"an argument in the table `{table}` has a value that cannot be used: {error}.") from error
