"""The variational autoencoder: an encoder, a latent space, a decoder and a likelihood, joined."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Self

import torch
from scvi import REGISTRY_KEYS
from scvi.module.base import BaseModuleClass, LossOutput, auto_move_data
from torch import Size, Tensor, nn

from curvi._compressed import stacked
from curvi.data._minified import QZ
from curvi.nn import CountThinning, Decoder, Encoder, row_spread, unit_rows
from curvi.objectives import divergence, importance_weighted_log_likelihood, thinning_penalty

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from torch.distributions import Distribution

    from curvi.latent import LatentSpace
    from curvi.likelihoods import Likelihood
    from curvi.nn import Corruption


def _exact(like: Tensor) -> AbstractContextManager[None]:
    """Where torch would compute in fewer digits by itself, as in mixed precision, it does not in this context."""
    kind = like.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


class VAE(BaseModuleClass):
    r"""Variational autoencoder whose parts are chosen independently.

    .. math:: \mathcal{L}(x) = \mathbb{E}_{q(z \mid x)}[\log p(x \mid z)] - \beta\, \mathrm{KL}(q(z \mid x) \,\|\, p(z))

    Networks only produce raw real numbers; the latent space says what a raw code means, the likelihood what a raw
    output means. In mixed precision only the networks compute in fewer digits: latent space, likelihood and divergence
    see numbers of the weights' own precision, :attr:`dtype`.

    Parameters
    ----------
    encoder
        From features and levels to raw codes ``(n, latent.n_params)``.
    latent
        From raw codes to posteriors on a manifold, and the prior.
    decoder
        From latent coordinates and levels to raw maps ``(..., n, likelihood.n_params, n_features)``.
    likelihood
        From raw maps to distributions over the data.
    has_batch_level
        Whether the host's ``batch`` entry is a level of its own or only its constant stand-in.
    has_size_factor
        Whether a minibatch's ``size_factor`` is the model's; if not it is not read, and counts have their own sum.
    unit_norm_input
        Whether the encoder's input is scaled to length 1, so that it knows the direction of a cell's profile only.
    thinning_rate, thinning_weight
        The expected fraction of counts removed, and the weight of the thinning penalty; weight 0 costs nothing.
    corruption
        Noise on the encoder's input in training; what is to be reconstructed stays clean.
    level_shrinkage
        For each batch level the precision of a Gaussian prior on the rows of its tables about their mean; empty for
        none, which costs nothing.
    """

    def __init__(
        self,
        encoder: Encoder,
        latent: LatentSpace,
        decoder: Decoder,
        likelihood: Likelihood,
        *,
        has_batch_level: bool,
        has_size_factor: bool = True,
        unit_norm_input: bool = False,
        thinning_rate: float = 0.2,
        thinning_weight: float = 0.0,
        corruption: Corruption | None = None,
        level_shrinkage: Sequence[float] = (),
    ) -> None:
        super().__init__()
        if not thinning_weight >= 0:
            raise ValueError(f"`thinning_weight` is {thinning_weight}; it must be 0 or positive.")
        if not 0.0 < thinning_rate < 1.0:
            raise ValueError(f"`thinning_rate` is {thinning_rate}; it must lie strictly between 0 and 1.")
        self.encoder = encoder
        self.latent = latent
        self.decoder = decoder
        self.likelihood = likelihood
        self.has_batch_level = has_batch_level
        self.has_size_factor = has_size_factor
        self.unit_norm_input = unit_norm_input
        self.thinning = CountThinning(thinning_rate)
        self.thinning_weight = thinning_weight
        self.corruption = corruption
        self.level_shrinkage = tuple(level_shrinkage)
        self._held: list[nn.Module] = []
        self._place: tuple[nn.Module, str] | None = None

    def hold(self, modules: Sequence[nn.Module]) -> None:
        """Keep parts in evaluation mode during training, such as the running figures of normalisation."""
        self._held = list(modules)

    @property
    def holds(self) -> bool:
        """Whether parts are kept in evaluation mode."""
        return bool(self._held)

    def _a_parameter(self) -> Tensor:
        """One of the parameters; to look for one every time would cost a step more than some of its operations."""
        if self._place is None:
            name, _ = next(self.named_parameters())
            owner, _, last = name.rpartition(".")
            self._place = (self.get_submodule(owner), last)
        owner, name = self._place
        return getattr(owner, name)

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights, in which everything but the networks of a mixed precision computes."""
        return self._a_parameter().dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._a_parameter().device

    @property
    def takes_sparse(self) -> bool:
        """Whether compressed rows can be read too, which are several times faster where most entries are zeros."""
        own = self._a_parameter()
        at_hand = own.is_cpu and own.dtype == torch.float32
        return at_hand and self.encoder.takes_sparse and self.likelihood.observations.keeps_zeros

    @property
    def trains_sparse(self) -> bool:
        """Whether the loss of compressed rows can be had too; noise on the input is put on every entry."""
        return self.takes_sparse and self.corruption is None

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """The weights of a state, in the precision in which they are stored there."""
        first, _ = next(self.named_parameters())
        if first in state_dict:
            self.to(state_dict[first].dtype)
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode, but for the parts that are held."""
        super().train(mode)
        for module in self._held:
            module.eval()
        return self

    def _covariates(self, tensors: dict[str, Tensor]) -> dict[str, Any]:
        """The levels ``(n, n_levels)`` and continuous covariates ``(n, n_continuous)`` of a minibatch."""
        batch = tensors.get(REGISTRY_KEYS.BATCH_KEY)
        # Data modules write None for what they do not have.
        given = [batch if self.has_batch_level else None, tensors.get(REGISTRY_KEYS.CAT_COVS_KEY)]
        parts = [codes.long() for codes in given if codes is not None]
        if parts:
            levels = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        else:
            # Minified data have no X, data modules need have nothing else.
            cells = next(values for values in tensors.values() if values is not None)
            levels = torch.empty((cells.shape[0], 0), dtype=torch.int64, device=cells.device)
        return {"levels": levels, "continuous": tensors.get(REGISTRY_KEYS.CONT_COVS_KEY)}

    def _get_inference_input(self, tensors: dict[str, Tensor], *, full_forward_pass: bool = True) -> dict[str, Any]:
        # The host announces with `full_forward_pass` whether minified data may skip the encoder. Here what was measured
        # is encoded wherever it is there; minified data without it have the parameters of their posteriors.
        covariates = self._covariates(tensors)
        if REGISTRY_KEYS.X_KEY in tensors:
            return {"x": tensors[REGISTRY_KEYS.X_KEY], **covariates}
        stored = {name.removeprefix(QZ): value for name, value in tensors.items() if name.startswith(QZ)}
        return {"x": None, "stored": stored, **covariates}

    def _get_generative_input(self, tensors: dict[str, Tensor], inference_outputs: dict[str, Any]) -> dict[str, Any]:
        size_factor = tensors.get(REGISTRY_KEYS.SIZE_FACTOR_KEY) if self.has_size_factor else None
        if size_factor is None:
            size_factor = tensors.get(REGISTRY_KEYS.OBSERVED_LIB_SIZE)
        if size_factor is None:
            size_factor = self.likelihood.size_factor(tensors[REGISTRY_KEYS.X_KEY].to(self.dtype))
        return {"z": inference_outputs["z"], "size_factor": size_factor, **self._covariates(tensors)}

    def encode(self, x: Tensor, levels: Tensor, continuous: Tensor | None = None) -> Distribution:
        """The posterior of each cell; ``x`` is ``(n, n_features)``, ``levels`` ``(n, n_levels)``."""
        raw = self.encoder(self._features(x), levels, self._own(continuous))
        with _exact(x):
            return self.latent(raw.to(self.dtype))

    def _features(self, x: Tensor) -> Tensor:
        """What the encoder is given of data ``(n, n_features)``."""
        with _exact(x):
            features = self.likelihood.encoder_input(x.to(self.dtype))
            return unit_rows(features) if self.unit_norm_input else features

    def _encode_with_copies(
        self, x: Tensor, copies: Tensor, levels: Tensor, continuous: Tensor | None
    ) -> tuple[Distribution, Tensor]:
        """The posterior of each cell, and the location of a copy of it, ``(n, ambient_dim)``."""
        own = self._own(continuous)
        continuous = None if own is None else torch.cat([own, own])
        features, levels = self._features(stacked(x, copies)), torch.cat([levels, levels])
        raw = self.encoder.encode_apart(features, levels, continuous, n_groups=2)
        with _exact(x):
            posterior, of_copies = (self.latent(part) for part in raw.to(self.dtype).chunk(2))
            return posterior, self.latent.location(of_copies)

    @auto_move_data
    def decode(self, z: Tensor, levels: Tensor, continuous: Tensor | None = None) -> Tensor:
        """The raw maps ``(..., n, n_params, n_features)`` of latent points ``(..., n, ambient_dim)``."""
        with _exact(z):
            coordinates = self.latent.coordinates(z.to(self.dtype))
        return self.decoder(coordinates, levels, self._own(continuous)).to(self.dtype)

    def _own(self, values: Tensor | None) -> Tensor | None:
        """Values in the precision of the weights."""
        return None if values is None else values.to(self.dtype)

    def _put_together(self, stored: Mapping[str, Tensor]) -> Distribution:
        """The posteriors whose parameters were stored as columns ``(n, size)``."""
        example = self.latent(torch.zeros(1, self.latent.n_params, device=self.device, dtype=self.dtype))
        shapes = self.latent.posterior_parameters(example)
        parameters = {
            name: value.to(like.dtype).reshape(len(value), *like.shape[1:])
            for name, like in shapes.items()
            if (value := stored.get(name)) is not None
        }
        return self.latent.posterior(parameters)

    @auto_move_data
    def posterior(
        self,
        x: Tensor | None,
        levels: Tensor,
        continuous: Tensor | None = None,
        stored: Mapping[str, Tensor] | None = None,
    ) -> Distribution:
        """The posterior of each cell without draws from it; the arguments are those of :meth:`inference`.

        Where :attr:`takes_sparse` holds, ``x`` may be compressed rows, :data:`torch.sparse_csr`.
        """
        return self._put_together(stored or {}) if x is None else self.encode(x, levels, continuous)

    @auto_move_data
    def inference(
        self,
        x: Tensor | None,
        levels: Tensor,
        continuous: Tensor | None = None,
        n_samples: int = 1,
        stored: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Any]:
        """Posterior ``qz`` and draws ``z``, ``(n, ambient_dim)`` or ``(n_samples, n, ambient_dim)`` for several.

        Where nothing is left to encode, ``stored`` has the parameters of the posteriors.
        """
        outputs: dict[str, Any] = {}
        if x is None:
            qz = self._put_together(stored or {})
        else:
            seen = self.corruption(x) if self.training and self.corruption is not None else x
            if self.training and self.thinning_weight > 0:
                qz, outputs["thinned_loc"] = self._encode_with_copies(seen, self.thinning(x), levels, continuous)
            else:
                qz = self.encode(seen, levels, continuous)
        with _exact(levels):
            z = qz.rsample() if n_samples == 1 else qz.rsample(Size([n_samples]))
        return {"qz": qz, "z": z, **outputs}

    @auto_move_data
    def generative(
        self, z: Tensor, size_factor: Tensor, levels: Tensor, continuous: Tensor | None = None
    ) -> dict[str, Distribution]:
        """The distribution ``px`` of the data at latent points, and the prior ``pz``."""
        raw = self.decode(z, levels, continuous)
        with _exact(z):
            return {"px": self.likelihood(raw, size_factor.to(self.dtype), levels), "pz": self.latent.prior()}

    def loss(
        self,
        tensors: dict[str, Tensor],
        inference_outputs: dict[str, Any],
        generative_outputs: dict[str, Distribution],
        kl_weight: float = 1.0,
        n_obs: int | None = None,
    ) -> LossOutput:
        """The mean over cells of the negative ELBO, its divergence weighted, plus the thinning penalty.

        With the number of training cells ``n_obs``, which the host's training plan knows, also plus the negative log
        prior of the levels' rows, of which each cell bears its part.
        """
        qz = inference_outputs["qz"]
        x = tensors[REGISTRY_KEYS.X_KEY].to(self.dtype)
        metrics = {}
        with _exact(x):
            reconstruction = -self.likelihood.log_likelihood(generative_outputs["px"], x)
            kl = divergence(qz, generative_outputs["pz"])
            loss = (reconstruction + kl_weight * kl).mean()
            if "thinned_loc" in inference_outputs:
                penalty = thinning_penalty(
                    self.latent.manifold, self.latent.location(qz), inference_outputs["thinned_loc"]
                ).mean()
                loss = loss + self.thinning_weight * penalty
                metrics["thinning_penalty"] = penalty.detach()
            if self.level_shrinkage and n_obs:
                spread = torch.stack([weight * row_spread(self, i) for i, weight in enumerate(self.level_shrinkage)])
                shrinkage = spread.sum() / (2 * n_obs)
                loss = loss + shrinkage
                metrics["level_shrinkage"] = shrinkage.detach()
        return LossOutput(loss=loss, reconstruction_loss=reconstruction, kl_local=kl, extra_metrics=metrics)

    @torch.inference_mode()
    def sample(self, tensors: dict[str, Tensor], n_samples: int = 1) -> Tensor:
        """Data drawn from the posterior predictive, ``(n, n_features)`` or ``(n_samples, n, n_features)``."""
        _, outputs = self.forward(tensors, inference_kwargs={"n_samples": n_samples}, compute_loss=False)
        return outputs["px"].sample()

    @torch.inference_mode()
    def marginal_ll(self, tensors: dict[str, Tensor], n_mc_samples: int, n_mc_samples_per_pass: int = 1) -> Tensor:
        """The importance-weighted estimate of each cell's log-likelihood from ``n_mc_samples`` draws, ``(n,)``."""
        inputs = self._get_inference_input(tensors)
        moved: dict[str, Any] = {name: x if x is None else x.to(self.device) for name, x in inputs.items()}
        x, qz = moved["x"].to(self.dtype), self.encode(**moved)
        chunks = []
        for start in range(0, n_mc_samples, n_mc_samples_per_pass):
            draws = min(n_mc_samples_per_pass, n_mc_samples - start)
            with _exact(x):
                z = qz.rsample(Size([draws]))
            generated = self.generative(**self._get_generative_input(tensors, {"z": z}))
            with _exact(x):
                log_px = self.likelihood.log_likelihood(generated["px"], x)
                chunks.append(log_px + generated["pz"].log_prob(z) - qz.log_prob(z))
        return importance_weighted_log_likelihood(torch.cat(chunks))
