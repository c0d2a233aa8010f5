"""A training as one writes it down in PyTorch: the architecture of scVI, a negative binomial, dense minibatches."""

from __future__ import annotations

import statistics
import time

import torch
from _scale import BATCH
from torch import Tensor, nn
from torch.distributions import NegativeBinomial
from torch.nn import functional

N_HIDDEN, N_LATENT = 128, 10


def hidden(n_in: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, N_HIDDEN), nn.BatchNorm1d(N_HIDDEN), nn.ReLU(), nn.Dropout(0.1))


class PlainVAE(nn.Module):
    """Counts ``(n, n_genes)`` from a Gaussian latent space, with a dispersion for each gene."""

    def __init__(self, n_genes: int) -> None:
        super().__init__()
        self.encoder, self.posterior = hidden(n_genes), nn.Linear(N_HIDDEN, 2 * N_LATENT)
        self.decoder, self.share = hidden(N_LATENT), nn.Linear(N_HIDDEN, n_genes)
        self.log_theta = nn.Parameter(torch.zeros(n_genes))

    def forward(self, x: Tensor) -> Tensor:
        """The mean negative ELBO of a minibatch."""
        mean, log_variance = self.posterior(self.encoder(torch.log1p(x))).chunk(2, dim=-1)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        log_mean = functional.log_softmax(self.share(self.decoder(z)), dim=-1) + x.sum(-1, keepdim=True).log()
        counts = NegativeBinomial(self.log_theta.exp(), logits=log_mean - self.log_theta, validate_args=False)
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
        return (divergence - counts.log_prob(x).sum()) / len(x)


def plain_seconds(x: Tensor, epochs: int) -> tuple[float, float]:
    """Wall and processor seconds of the median epoch of a loop over ``x``, ``(n_cells, n_genes)``.

    Minibatches are shuffled; the first epoch is not counted.
    """
    model = PlainVAE(x.shape[1])
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    wall, cpu = [], []
    for _ in range(epochs + 1):
        start = time.perf_counter(), time.process_time()
        for rows in torch.randperm(len(x)).split(BATCH):
            optimiser.zero_grad()
            loss = model(x[rows])
            loss.backward()
            optimiser.step()
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    return statistics.median(wall[1:]), statistics.median(cpu[1:])
