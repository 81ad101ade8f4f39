"""`python -m wavemore`: the same as `wavemore`."""

import sys

from wavemore.cli import main

sys.exit(main())
