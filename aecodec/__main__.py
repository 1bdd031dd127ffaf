"""`python -m aecodec` is the command `aecodec`."""

import sys

from aecodec.cli import main

if __name__ == "__main__":
    sys.exit(main())
