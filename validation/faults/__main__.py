"""Plant faults: ``validation.faults.run``."""

from validation.faults.run import main

raise SystemExit(main())
