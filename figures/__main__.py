"""``python -m figures``: every figure and table."""

import sys

from figures.command import main

if __name__ == "__main__":
    sys.exit(main())
