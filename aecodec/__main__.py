"""`python -m aecodec`, and the command `aecodec`."""

import sys


def main() -> int:
    """Run the command line and return its exit code; interrupted while it is imported, too."""
    try:
        from aecodec import cli
    except KeyboardInterrupt:
        sys.stderr.write("aecodec: interrupted\n")
        return 130
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
