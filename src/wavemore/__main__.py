"""`python -m wavemore`, and the script `wavemore`."""

import os
import signal
import sys

SPIN_COUNT = "2000"
"""How often a thread of torch looks for work before it sleeps.

It outlasts the pauses between two operations. With the default of 300,000, a thread that waits takes the
processor from the one that it waits for, if another process is busy too.
"""
PRODUCTS = "64"
"""How many shapes of matrix products torch keeps code and memory for, about 1 MB each; by default 1,024."""


def run() -> None:
    """Run the command line and exit.

    While the program starts and ends, there is nothing to save, and Ctrl-C simply ends it: a KeyboardInterrupt in the
    middle of an import can become any other error.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not if a shell runs it in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", PRODUCTS)
    # On a Mac, numpy multiplies by Accelerate, whose threads can be limited only here. Where several are wanted, torch
    # multiplies.
    os.environ.setdefault("VECLIB_MAXIMUM_THREADS", "1")
    from wavemore.cli import main, wait_for_speaker

    code = main()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if code in (1, 2):
        wait_for_speaker()
    sys.exit(code)


if __name__ == "__main__":
    run()
