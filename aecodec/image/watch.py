"""Damage in a JPEG's entropy-coded data, which its decoder does not tell of.

::

    headers, entropy-coded data but the last bytes | the last bytes, filler | EOI and the rest

libjpeg puts something in the place of what it cannot decode, counts that as a warning, and Pillow
has no door to the count. But damage makes the decoder lose or gain blocks: it has the last row
before it has seen the end of the data, or not even then. So the file is handed to Pillow in these
pieces, and it is seen how many it asks for before the picture is complete. Of an undamaged file
that is two: the filler is as much as libjpeg reads ahead, and nothing comes of it.

It works for a single, sequential scan, which is how cameras write. It costs no time, since the
picture is decoded anyway, and changes no pixel of an undamaged one.
"""

from __future__ import annotations

import io
from typing import Final

__all__ = ["WatchedFile"]

_LAST: Final = 4
"""Bytes held back at first; they are part of the last blocks."""
_FILLER: Final = bytes(12)
"""libjpeg fills a register of 8 bytes, and a byte FF takes up two."""


class WatchedFile(io.BytesIO):
    """The bytes of a picture file, for Pillow to read, and what was seen while it did."""

    _end: int | None = None
    _asked = 0

    def watch(self, scan: tuple[int, int]) -> None:
        """Before the picture is loaded: its only scan lies from `start` to `end`."""
        if scan[1] - scan[0] > 4 * _LAST:
            self._end = scan[1]

    @property
    def is_damaged(self) -> bool:
        """Once the picture is loaded: whether it took more or less than there is."""
        return self._end is not None and self._asked != 2

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as always, but stop short between two pieces."""
        end, at = self._end, self.tell()
        if end is None or size is None or size < 0:
            return super().read(size)
        if at < end - _LAST:
            self._asked = 1
            return super().read(min(size, end - _LAST - at))
        self._asked += 1
        if self._asked == 2:
            return super().read(_LAST) + _FILLER
        return super().read(size)
