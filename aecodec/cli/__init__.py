"""The command line: options, messages and exit codes.

`app.py` holds the commands for pictures, `bench.py` and `training.py` the others, `folders.py` and
`display.py` the folder mode. click and rich are imported here alone.
"""

from aecodec.cli.app import commands, main

__all__ = ["commands", "main"]
