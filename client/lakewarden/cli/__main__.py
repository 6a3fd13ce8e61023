"""`python -m lakewarden.cli` is the command `lakewarden`."""

from __future__ import annotations

import sys

from lakewarden.cli import main

sys.exit(main())
