"""`python -m aecodec`, and the command `aecodec`."""

import sys


def main() -> int:
    """Run the command line and return its exit code; interrupted while it is imported, too."""
    if getattr(sys, "frozen", False):  # by PyInstaller: a worker process begins here, too
        import multiprocessing

        multiprocessing.freeze_support()
    try:
        from aecodec import cli
    except KeyboardInterrupt:
        sys.stderr.write("aecodec: interrupted\n")
        return 130
    except (MemoryError, ImportError) as error:
        if not isinstance(error, MemoryError):
            from aecodec.errors import is_out_of_memory

            if not is_out_of_memory(error):
                raise
        sys.stderr.write("aecodec: not enough memory\n")
        return 1
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
