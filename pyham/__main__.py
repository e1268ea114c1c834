"""``python -m pyham``: see ``pyham.cli``."""

import sys

from pyham.cli import main

sys.exit(main())
