"""The command line as ``python -m curvi``."""

from __future__ import annotations

import sys

from curvi.cli import main

if __name__ == "__main__":
    sys.exit(main())
