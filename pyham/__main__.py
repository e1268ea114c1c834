"""``python -m pyham``: see ``pyham.commands.cli``."""

import sys

from pyham.commands.cli import main

sys.exit(main())
