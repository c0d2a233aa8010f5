"""Time of a log-probability of counts with its gradients, next to the host's.

One training step's worth: 128 cells, 2000 genes, 7 % of the counts not zero, one inverse dispersion a gene. Repeats of
the two are interleaved, so that both see the same machine.
"""

from __future__ import annotations

from argparse import ArgumentParser
from statistics import median
from time import perf_counter

import torch
from scvi import distributions as host

from curvi import likelihoods as ours


def minibatch(n_cells=128, n_genes=2000, density=0.07):
    """Counts, means, inverse dispersions and log-odds of extra zeros."""
    expressed = torch.rand(n_cells, n_genes) < density
    x = torch.where(expressed, 1.0 + torch.poisson(torch.full((n_cells, n_genes), 1.0)), 0.0)
    mean = torch.softmax(torch.randn(n_cells, n_genes), -1) * x.sum(-1, keepdim=True)
    leaves = mean, torch.randn(n_genes).exp(), torch.randn(n_cells, n_genes)
    return x, *(leaf.requires_grad_() for leaf in leaves)


def seconds(build, x, leaves):
    """Wall time of the log-probability and its gradients."""
    start = perf_counter()
    torch.autograd.grad(build().log_prob(x).sum(-1).mean(), leaves)
    return perf_counter() - start


def main():
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=300)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    x, mean, theta, logits = minibatch()
    pairs = {
        "negative binomial": (
            lambda: ours.NegativeBinomial(mean, theta, validate_args=False),
            lambda: host.NegativeBinomial(mu=mean, theta=theta, validate_args=False),
            (mean, theta),
        ),
        "zero-inflated": (
            lambda: ours.ZeroInflatedNegativeBinomial(mean, theta, logits, validate_args=False),
            lambda: host.ZeroInflatedNegativeBinomial(mu=mean, theta=theta, zi_logits=logits, validate_args=False),
            (mean, theta, logits),
        ),
        "Poisson": (
            lambda: ours.Poisson(mean, validate_args=False),
            lambda: host.Poisson(mean, validate_args=False),
            (mean,),
        ),
    }
    for name, (mine, theirs, leaves) in pairs.items():
        times = [(seconds(mine, x, leaves), seconds(theirs, x, leaves)) for _ in range(20 + options.repeats)]
        a, b = (median(column) for column in zip(*times[20:], strict=True))
        print(f"{name:18s} {1e3 * a:6.2f} ms, host {1e3 * b:6.2f} ms, ratio {a / b:.2f}")


if __name__ == "__main__":
    main()
