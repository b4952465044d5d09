"""Where the command line begins, as `orthweb` and as `python -m orthweb`."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command line; who interrupts it while it loads gets a line and no traceback."""
    try:
        from orthweb.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("orthweb: interrupted: the same command goes on from here\n")
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
