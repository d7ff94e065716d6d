"""Where the `preflight` command begins: before anything is imported that takes a while."""

from __future__ import annotations

import gc
import signal


def main() -> None:
    """Run the command line and end the process with its exit status."""
    # Nothing is there to be tidied up yet, so Ctrl-C may end the process as it ends any other.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Start-up is imports, which make no garbage: collecting it in between took a tenth of their time.
    gc.disable()
    from emulator import cli  # noqa: PLC0415 - see above

    cli.main()


if __name__ == "__main__":
    main()
