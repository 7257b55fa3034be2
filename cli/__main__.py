"""`python -m siked_cli` is `siked`."""

import sys

from siked_cli.main import main

sys.exit(main())
