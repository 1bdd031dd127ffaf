"""Finds damage in the entropy-coded data of a JPEG, which Pillow does not report.

::

    headers, entropy-coded data but the last bytes | the last bytes, filler | EOI and the rest

libjpeg substitutes blocks that it cannot decode, and counts warnings, which Pillow does not expose.
But damage makes the decoder lose or gain blocks: it completes the last row before the end of the
data, or not at all. So `WatchedFile` gives the file to Pillow in three pieces, and counts how many
Pillow reads until the picture is complete. It reads two pieces of an undamaged file: the filler is
as long as libjpeg reads ahead, and has no effect.

This works for a single, sequential scan, as cameras write it. It costs no time, since the picture
is decoded anyway, and it changes no pixel of an undamaged picture.
"""

from __future__ import annotations

import io
from typing import Final

__all__ = ["WatchedFile"]

_LAST: Final = 4
"""Bytes of the second piece, which belong to the last blocks."""
_FILLER: Final = bytes(12)
"""Bytes of filler: libjpeg fills a register of 8 bytes, and a byte FF takes two."""


class WatchedFile(io.BytesIO):
    """The bytes of a picture file; it observes how Pillow reads them."""

    _end: int | None = None
    _asked = 0

    def watch(self, scan: tuple[int, int]) -> None:
        """Observe the only scan, from start to end, before the picture is loaded."""
        if scan[1] - scan[0] > 4 * _LAST:
            self._end = scan[1]

    @property
    def is_damaged(self) -> bool:
        """Whether the loaded picture took more or less data than its scan has."""
        return self._end is not None and self._asked != 2

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, but not across the border of two pieces."""
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
