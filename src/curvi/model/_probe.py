"""Whether posteriors that were stored with data are those of a model: what its encoder says of one made-up cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from curvi.module import VAE

# Devices and versions of torch differ in the last digits; models that were trained apart in the first.
_TOLERANCE = 1e-2


@torch.inference_mode()
def probe(module: VAE, n_per_level: Sequence[int], n_continuous: int) -> dict[str, Any]:
    """What the encoder says of a made-up cell under each category of each level, as plain values.

    Parameters
    ----------
    module
        In evaluation mode.
    n_per_level
        How many categories of each level to go through; a category that is added later changes nothing.
    n_continuous
        The number of continuous covariates, taken as 0.
    """
    sizes = [int(n) for n in n_per_level]
    first = next(module.encoder.parameters())
    rows = max([1, *sizes])
    # A cell with one count of every other gene; the first category where a level has no more of them.
    x = (torch.arange(module.likelihood.n_features, device=first.device) % 2).to(first.dtype).expand(rows, -1)
    code = torch.arange(rows, device=first.device)[:, None]
    limits = torch.tensor(sizes, dtype=torch.int64, device=first.device)
    levels = torch.where(code < limits, code, 0)
    continuous = torch.zeros(rows, n_continuous, device=first.device, dtype=first.dtype) if n_continuous else None
    parameters = module.latent.posterior_parameters(module.encode(x, levels, continuous))
    answers = torch.cat([value.reshape(rows, -1) for value in parameters.values()], -1)
    return {"n_per_level": np.asarray(sizes, dtype=np.int64), "probe": answers.float().cpu().numpy()}


def is_of(module: VAE, record: Mapping[str, Any], n_continuous: int) -> bool:
    """Whether the encoder still says what it said when ``record`` was made."""
    known, sizes = np.asarray(record["probe"]), np.asarray(record["n_per_level"])
    now = probe(module, sizes.tolist(), n_continuous)["probe"]
    return known.shape == now.shape and bool(np.allclose(now, known, rtol=_TOLERANCE, atol=_TOLERANCE))
