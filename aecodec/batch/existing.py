"""What happens to an output that exists: one table.

==========  ========  ========  =============  =================  =========
the output  REFUSE    KEEP      KEEP, `--rm`   KEEP_OR_REPLACE    REPLACE
==========  ========  ========  =============  =================  =========
ABSENT      MAKE      MAKE      MAKE           MAKE               MAKE
OURS        ADOPT     ADOPT     ADOPT          ADOPT              ADOPT
NEWER       REFUSE    KEEP      KEEP           KEEP               REPLACE
OLDER       REFUSE    REPLACE   REFUSE         REPLACE            REPLACE
==========  ========  ========  =============  =================  =========

With `--rm` an older output may be the last copy of a picture whose source was deleted. The column
also counts without `--rm` for an output whose source an earlier run has deleted. Outputs
that the manifest knows to be up to date are skipped before. docs/folders.md shows the same table.
"""

from __future__ import annotations

import enum

from aecodec.files import Stamp

__all__ = ["Action", "Existing", "Output", "decide", "state_of"]


class Existing(enum.Enum):
    """The user's policy for outputs that exist."""

    REFUSE = "refuse"
    KEEP = "keep"
    """`--skip-existing`: outputs that are newer than their source stay."""
    REPLACE = "replace"
    """`-f`."""
    KEEP_OR_REPLACE = "keep or replace"
    """Both: newer outputs stay, and all others may be replaced."""

    @classmethod
    def of(cls, *, force: bool, skip_existing: bool) -> Existing:
        """The policy for these options of the command line."""
        if skip_existing:
            return cls.KEEP_OR_REPLACE if force else cls.KEEP
        return cls.REPLACE if force else cls.REFUSE


class Output(enum.Enum):
    """The state of an output."""

    ABSENT = "absent"
    OURS = "ours"
    """A run with the same options began it from this state of the source, and it is whole."""
    NEWER = "newer"
    """At least as new as its source, not empty, and made from this state as far as is known."""
    OLDER = "older"
    """Anything else: older, empty, or known to be made from another state."""


class Action(enum.Enum):
    """How the run treats an output."""

    MAKE = "make"
    ADOPT = "adopt"
    """The output counts as done: nothing is made."""
    KEEP = "keep"
    REPLACE = "replace"
    REFUSE = "refuse"


_MAKE, _ADOPT, _KEEP, _REPLACE, _REFUSE = Action
_TABLE: dict[Output, tuple[Action, Action, Action, Action, Action]] = {
    Output.ABSENT: (_MAKE,) * 5,
    Output.OURS: (_ADOPT,) * 5,
    Output.NEWER: (_REFUSE, _KEEP, _KEEP, _KEEP, _REPLACE),
    Output.OLDER: (_REFUSE, _REPLACE, _REFUSE, _REPLACE, _REPLACE),
}


def decide(output: Output, existing: Existing, *, remove: bool) -> Action:
    """How to treat an output. `remove`: the run deletes sources, or an earlier one has."""
    column = {
        Existing.REFUSE: 0,
        Existing.KEEP: 2 if remove else 1,
        Existing.KEEP_OR_REPLACE: 3,
        Existing.REPLACE: 4,
    }[existing]
    return _TABLE[output][column]


def state_of(output: Stamp | None, source: Stamp | None, *, ours: bool, stale: bool) -> Output:
    """The state of an output, from its own stamp and its source's.

    Args:
        output: its own state; None: there is none.
        source: the source's; None: unknown.
        ours: a run with the same options began it, and it is whole.
        stale: the manifest knows that it was made from another state of the source.
    """
    if output is None:
        return Output.ABSENT
    if ours:
        return Output.OURS
    if source is None or stale or output.size == 0 or output.time_ns < source.time_ns:
        return Output.OLDER
    return Output.NEWER
