"""Settings of the documentation build; it needs no network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent

info = metadata("curvi")
project = info["Name"]
author = info["Author"]
copyright = f"2026, {author}"
version = release = info["Version"]
repository = dict(line.split(", ") for line in info.get_all("Project-URL"))["Source"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",  # formulas are drawn without a network, too
    "sphinxcontrib.bibtex",
]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}
templates_path = ["_templates"]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]

html_theme = "sphinx_book_theme"
html_title = "curvi"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_theme_options = {
    "repository_url": repository,
    "repository_branch": "main",
    "path_to_docs": "docs",
    "use_repository_button": True,
    "use_issues_button": True,
    "show_navbar_depth": 1,
    "navbar_persistent": [],
}

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
# Notebooks are kept with the outputs of the run that was looked at.
nb_execution_mode = "off"
nb_output_stderr = "remove"

autosummary_generate = True
autosummary_ignore_module_all = False
# Its page is that of curvi.CurviVAE, the name that users type.
autosummary_context = {"on_another_page": ["CurviVAE"]}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
# Returns sections are sentences; without this, each of their lines would be read as a type.
napoleon_custom_sections = ["Returns"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"

# Names of other projects become links only where their indexes can be fetched, as on Read the Docs.
intersphinx_mapping = (
    {
        "anndata": ("https://anndata.readthedocs.io/en/stable/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "python": ("https://docs.python.org/3", None),
        "scanpy": ("https://scanpy.readthedocs.io/en/stable/", None),
        "scvi": ("https://docs.scvi-tools.org/en/stable/", None),
        "torch": ("https://docs.pytorch.org/docs/stable/", None),
    }
    if os.environ.get("CURVI_DOCS_INTERSPHINX")
    else {}
)


def skip_foreign(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object) -> bool | None:
    """Leave what a class inherits from torch, scvi-tools or scikit-learn to their own documentation."""
    origin = getattr(getattr(obj, "fget", obj), "__module__", None)
    return True if isinstance(origin, str) and origin.partition(".")[0] != "curvi" else None


def copy_notebooks() -> None:
    """Bring the tutorials under the source folder, where Sphinx looks for them."""
    for stale in (HERE / "tutorials").glob("*.ipynb"):
        stale.unlink()
    for notebook in (HERE.parent / "tutorials").glob("*.ipynb"):
        shutil.copy2(notebook, HERE / "tutorials" / notebook.name)


def write_help() -> None:
    """Write what the command line says of itself, for the page about it."""
    folder = HERE / "api" / "generated"
    folder.mkdir(parents=True, exist_ok=True)

    program = "import sys; from curvi.cli import main; sys.argv[0] = 'curvi'; sys.exit(main())"

    def said(*arguments: str) -> str:
        command = [sys.executable, "-c", program, *arguments, "--help"]
        environment = {**os.environ, "COLUMNS": "78", "NO_COLOR": "1"}
        shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
        return f"```text\n{shown.rstrip()}\n```\n"

    top = said()
    commands = re.search(r"\{([a-z,-]+)\}", top)
    if commands is None:
        raise RuntimeError("`curvi --help` lists no commands")
    parts = [top]
    for command in commands[1].split(","):
        parts += [f"## curvi {command}", "", said(command)]
    (folder / "cli-help.txt").write_text("\n".join(parts))


copy_notebooks()
write_help()


def setup(app: Sphinx) -> None:
    """Connect the one hook above."""
    app.connect("autodoc-skip-member", skip_foreign)
