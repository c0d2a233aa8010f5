"""A whole analysis as a value: a configuration, and the steps that it goes through."""

from curvi.pipeline._config import RunConfig, read_toml
from curvi.pipeline._demo import demo
from curvi.pipeline._files import check_output, read, write
from curvi.pipeline._output import plain_output
from curvi.pipeline._pictures import draw
from curvi.pipeline._run import run
from curvi.pipeline._scores import evaluate, report
from curvi.pipeline._steps import cluster, embed, embed_with, prepare, train

__all__ = [
    "RunConfig",
    "check_output",
    "cluster",
    "demo",
    "draw",
    "embed",
    "embed_with",
    "evaluate",
    "plain_output",
    "prepare",
    "read",
    "read_toml",
    "report",
    "run",
    "train",
    "write",
]
