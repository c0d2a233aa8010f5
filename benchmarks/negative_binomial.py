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


def summed(build, x):
    """The log-probability of each cell."""
    return lambda: build().log_prob(x).sum(-1)


def seconds(value, leaves):
    """Wall time of the log-probability of cells and its gradients."""
    start = perf_counter()
    torch.autograd.grad(value().mean(), leaves)
    return perf_counter() - start


def main():
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=300)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    x, mean, theta, logits = minibatch()
    raw = torch.randn(x.shape, requires_grad=True)
    size = x.sum(-1, keepdim=True)
    likelihood = ours.NegativeBinomialLikelihood(x.shape[1])
    its_theta = likelihood.dispersion.log_value
    pairs = {
        "negative binomial from a raw map, softmax included": (
            lambda: likelihood.log_likelihood(likelihood(raw[:, None], size), x),
            lambda: (
                host.NegativeBinomial(mu=torch.softmax(raw, -1) * size, theta=its_theta.exp(), validate_args=False)
                .log_prob(x)
                .sum(-1)
            ),
            (raw, its_theta),
        ),
        "negative binomial": (
            summed(lambda: ours.NegativeBinomial(mean, theta, validate_args=False), x),
            summed(lambda: host.NegativeBinomial(mu=mean, theta=theta, validate_args=False), x),
            (mean, theta),
        ),
        "zero-inflated": (
            summed(lambda: ours.ZeroInflatedNegativeBinomial(mean, theta, logits, validate_args=False), x),
            summed(
                lambda: host.ZeroInflatedNegativeBinomial(mu=mean, theta=theta, zi_logits=logits, validate_args=False),
                x,
            ),
            (mean, theta, logits),
        ),
        "Poisson": (
            summed(lambda: ours.Poisson(mean, validate_args=False), x),
            summed(lambda: host.Poisson(mean, validate_args=False), x),
            (mean,),
        ),
    }
    for name, (mine, theirs, leaves) in pairs.items():
        times = [(seconds(mine, leaves), seconds(theirs, leaves)) for _ in range(20 + options.repeats)]
        a, b = (median(column) for column in zip(*times[20:], strict=True))
        print(f"{name:52s} {1e3 * a:6.2f} ms, host {1e3 * b:6.2f} ms, ratio {a / b:.2f}")


if __name__ == "__main__":
    main()
