"""The table of states in `batch/existing.py`: every cell, and what leads to each row."""

from __future__ import annotations

import pytest

from aecodec.batch import Existing, Task, existing
from aecodec.batch.existing import Action, Output, decide, state_of
from aecodec.files import Stamp

COLUMNS = {
    "REFUSE": (Existing.REFUSE, False),
    "KEEP": (Existing.KEEP, False),
    "KEEP, `--rm`": (Existing.KEEP, True),
    "KEEP_OR_REPLACE": (Existing.KEEP_OR_REPLACE, False),
    "REPLACE": (Existing.REPLACE, False),
}


def table() -> dict[tuple[str, str], str]:
    """(state, column) -> the action that the module's docstring states."""
    assert existing.__doc__ is not None
    lines = [line for line in existing.__doc__.splitlines() if line.strip()]
    rules = [n for n, line in enumerate(lines) if line.startswith("====")]
    head, first, last = rules
    # Columns begin where the rules of the table do.
    starts = [0, *(i for i, c in enumerate(lines[head]) if c == "=" and lines[head][i - 1] == " ")]

    def cells(line: str) -> list[str]:
        ends = [*starts[1:], len(line)]
        return [line[a:b].strip() for a, b in zip(starts, ends, strict=True)]

    names = cells(lines[head + 1])[1:]
    rows = [cells(line) for line in lines[first + 1 : last]]
    return {(row[0], name): cell for row in rows for name, cell in zip(names, row[1:], strict=True)}


def test_the_table_is_complete() -> None:
    assert set(table()) == {(state.name, column) for state in Output for column in COLUMNS}


@pytest.mark.parametrize(("state", "column"), table(), ids=" / ".join)
def test_each_cell(state: str, column: str) -> None:
    policy, remove = COLUMNS[column]
    assert decide(Output[state], policy, remove=remove) is Action[table()[state, column]]
    if policy is not Existing.KEEP:  # no other column depends on it
        assert decide(Output[state], policy, remove=True) is Action[table()[state, column]]


@pytest.mark.parametrize(
    ("output", "source", "ours", "stale", "state"),
    [
        (None, Stamp(9, 5), False, False, Output.ABSENT),
        (None, Stamp(9, 5), True, False, Output.ABSENT),
        (Stamp(3, 1), Stamp(9, 5), True, True, Output.OURS),
        (Stamp(3, 6), Stamp(9, 5), False, False, Output.NEWER),
        (Stamp(3, 5), Stamp(9, 5), False, False, Output.NEWER),
        (Stamp(3, 4), Stamp(9, 5), False, False, Output.OLDER),
        (Stamp(3, 6), Stamp(9, 5), False, True, Output.OLDER),
        (Stamp(0, 6), Stamp(9, 5), False, False, Output.OLDER),
        (Stamp(3, 6), None, False, False, Output.OLDER),
        (Stamp(3, 0), Stamp(9, 0), False, False, Output.NEWER),
        (Stamp(3, 0), Stamp(9, -5), False, False, Output.NEWER),
    ],
)
def test_what_leads_to_a_state(
    output: Stamp | None, source: Stamp | None, ours: bool, stale: bool, state: Output
) -> None:
    assert state_of(output, source, ours=ours, stale=stale) is state


def test_the_options_of_the_command_line_stand_for_policies() -> None:
    found = {
        (force, skip): Existing.of(force=force, skip_existing=skip)
        for force in (False, True)
        for skip in (False, True)
    }
    assert found == {
        (False, False): Existing.REFUSE,
        (False, True): Existing.KEEP,
        (True, False): Existing.REPLACE,
        (True, True): Existing.KEEP_OR_REPLACE,
    }
    replacing = {policy for policy in Existing if Task(existing=policy).replaces}
    assert replacing == {Existing.KEEP, Existing.REPLACE, Existing.KEEP_OR_REPLACE}
    careful = {policy for policy in Existing if Task(existing=policy, remove=True).replaces}
    assert careful == {Existing.REPLACE, Existing.KEEP_OR_REPLACE}
