"""A plugin of pytest that leaves out tests of scvi-tools which do not apply, and says why."""

from __future__ import annotations

import re
from typing import Any

import pytest
from adapter import LATENT

# The start of a test's name and the reason.
NOT_APPLICABLE = {
    "test_scvi[5-normal]": "a size factor with a likelihood of real values is refused, not ignored",
    "test_scvi_get_latent_rep_backwards_compat": "hands over a stand-in for the module of an older scvi-tools",
    "test_scvi_get_feature_corr_backwards_compat": "hands over a stand-in for the module of an older scvi-tools",
    "test_scvi_n_obs_error": "expects an error for a last minibatch of one cell; minibatches are of even size here",
    "test_backwards_compatible_loading": "loads files that SCVI wrote",
    "test_backup_url": "loads files that SCVI wrote",
    "test_scvi_dispersion[gene-label]": "cell types do not enter the model, so that no dispersion is theirs",
    "test_scvi_online_update": "reads the weights and gradients of SCVI's layers by name",
    "test_scvi_library_size_update": "reads the parameters of a learned library size, which does not exist here",
    "test_scvi_no_anndata": "a model is made with data or with a registry, not with neither",
    "test_scvi_batch_embeddings": "reads SCVI's batch embedding by name; the levels' tables are always readable here",
    "test_scvi_mlflow": "needs a server",
}
# Of hyperbolic space alone.
SETTLING = r"test_early_stopping(_with_parameters\[.*-50\])?"
SETTLING_REASON = (
    "expects a validation ELBO that stands still with a learning rate of 0; here it rises while the running figures of "
    "normalisation settle, for longer than the 100 epochs of the test leave room to wait"
)


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Skip what does not apply."""
    for item in items:
        reasons = [reason for start, reason in NOT_APPLICABLE.items() if item.name.startswith(start)]
        if LATENT == "lorentz" and re.fullmatch(SETTLING, item.name):
            reasons.append(SETTLING_REASON)
        # Before the skips of scvi-tools' own, which are for the lack of an option.
        item.own_markers[:0] = [pytest.mark.skip(reason=reason).mark for reason in reasons]
