"""`python -m boltzgrad.cli`."""

import sys

from boltzgrad.cli import main

sys.exit(main())
