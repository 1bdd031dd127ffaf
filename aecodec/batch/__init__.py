"""Many files: selecting them, converting them in worker processes, and losing none.

::

    inputs --select--> jobs --manifest: done already?--> kept
                        |
                        +--manifest: begin--> workers (pool, or a cluster) --> results
                                                                                 |
                                              manifest: done, failed <-----------+--> the caller

`storage` reads and writes local and remote files; `select` lists the files and names their outputs;
`manifest` records the progress; `worker` converts; `pool` runs workers; `run` directs them all.
"""

from aecodec.batch.existing import Existing
from aecodec.batch.run import Plan, Summary, convert
from aecodec.batch.worker import Converter, Task
from aecodec.conversion import Result

__all__ = ["Converter", "Existing", "Plan", "Result", "Summary", "Task", "convert"]
