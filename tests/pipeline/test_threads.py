"""The number of torch's threads is the caller's, whatever is called."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from curvi.pipeline._threads import threads


@pytest.mark.parametrize("number", [None, 1, 2])
def test_as_many_threads_afterwards(number):
    before = torch.get_num_threads()

    def meddle():
        with threads(number):
            assert torch.get_num_threads() == (number or before)
            torch.set_num_threads(before + 3)
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        meddle()
    assert torch.get_num_threads() == before


def test_the_choice_of_genes_and_clusters_leave_the_number_alone():
    # In a process of its own: numba sets the number when it starts its threads, once.
    code = (
        "import torch, curvi\nfrom curvi.pipeline import RunConfig, cluster, embed, prepare, train\n"
        "config = RunConfig(n_top_genes=30, train={'max_epochs': 1, 'logger': None})\n"
        "adata = curvi.datasets.synthetic(n_obs=100, n_vars=40)\n"
        "prepared = prepare(adata, config)\nchosen = torch.get_num_threads()\n"
        "model = train(prepared, config)\nembed(model, adata)\ncluster(model, adata)\n"
        "print(chosen, torch.get_num_threads())"
    )
    environment = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    assert done.stdout.splitlines()[-1] == "1 1"
