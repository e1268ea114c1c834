"""``python -m validation.faults``."""

import sys

from validation.faults.every import main

if __name__ == "__main__":
    sys.exit(main())
