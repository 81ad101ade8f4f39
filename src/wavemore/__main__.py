"""`python -m wavemore`, and the script `wavemore`."""

import signal
import sys


def run() -> None:
    """Run the command line and exit.

    While the program starts and ends, there is nothing to save, and Ctrl-C simply ends it: a KeyboardInterrupt in the
    middle of an import can become any other error.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not if a shell runs it in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from wavemore.cli import main

    code = main()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)


if __name__ == "__main__":
    run()
