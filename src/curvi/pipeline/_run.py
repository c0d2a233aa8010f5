"""A whole run: from a configuration to files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from curvi import pl
from curvi.pipeline._files import check_output, read, write
from curvi.pipeline._pictures import draw
from curvi.pipeline._steps import check_arguments, cluster, embed, has_model, prepare, train

if TYPE_CHECKING:
    from anndata import AnnData

    from curvi.pipeline._config import RunConfig

logger = logging.getLogger(__name__)


def run(config: RunConfig) -> AnnData:
    """Read, prepare, train, embed and cluster, and write what the configuration names.

    Returns
    -------
    The data read, all genes included, with the embedding in ``.obsm`` and the clusters in ``.obs["leiden"]``.

    Raises
    ------
    FileNotFoundError, KeyError, ValueError
        If the configuration does not fit the data, in most cases before training starts.
    """
    if config.input is None:
        raise ValueError("the configuration has no `input`; name the file or folder to read.")
    if config.out is None and config.model_dir is None:
        raise ValueError("neither `out` nor `model_dir` is given; the result of the training would be lost.")
    if config.out is not None:
        check_output(config.out)
    if config.model_dir is not None and has_model(config.model_dir) and not config.overwrite:
        raise ValueError(
            f"`model_dir` {config.model_dir!r} holds a model already; choose another, or pass `overwrite`."
        )
    check_arguments(config)
    adata = read(config.input)
    model = train(prepare(adata, config), config)
    if config.model_dir is not None:
        model.save(config.model_dir, overwrite=True)
        (Path(config.model_dir) / "run.toml").write_text(config.to_toml(), encoding="utf-8")
        try:
            model.write_card(config.model_dir)
        except FileExistsError as error:
            logger.warning("no model card was written: %s", error)
        logger.info("saved the model in %s", config.model_dir)
    embed(model, adata, config.key_added, config.concentration_key)
    if config.leiden_resolution > 0:
        cluster(model, adata, config.key_added, config.leiden_resolution, config.seed)
    if config.out is not None:
        write(adata, config.out)
    if config.figures is not None:
        folder = Path(config.figures)
        labels = [] if config.labels_key is None else [config.labels_key]
        clusters = ["leiden"] if config.leiden_resolution > 0 else []
        draw(adata, folder / "embedding.png", config.key_added, [*labels, *config.batch_key, *clusters] or None)
        pl.history(model, show=False, save=folder / "history.png")
        logger.info("wrote %s", folder / "history.png")
    return adata
