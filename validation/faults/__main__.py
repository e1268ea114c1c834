"""Plant faults: ``validation.faults.run``."""

import sys

from validation.faults.run import main

sys.exit(main())
