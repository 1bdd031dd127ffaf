"""The colours that an AV1 bitstream states in its sequence header (AV1 5.5)."""

from __future__ import annotations

__all__ = ["sequence_colours"]


class _Bits:
    """Reads numbers of bits; zeros behind the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def __call__(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            return 0
        return (self._value >> self._left) & ((1 << count) - 1)


def sequence_colours(data: bytes) -> tuple[int, int]:
    """Primaries and transfer of the first AV1 sequence header (AV1 5.5); 2, 2 where not said."""
    at = 0
    while at < len(data):
        head = data[at]
        at += 2 if head & 4 else 1
        size = len(data) - at
        if head & 2:  # the length stands there, as a leb128
            size = shift = 0
            for i in range(8):
                byte = data[at] if at < len(data) else 0
                size |= (byte & 127) << shift
                at, shift = at + 1, shift + 7
                if byte < 128 or i == 7:
                    break
        if head >> 3 & 15 == 1:
            return _sequence_header(_Bits(data[at : at + min(size, 256)]))
        at += size
    return 2, 2


def _sequence_header(read: _Bits) -> tuple[int, int]:
    profile = read(3)
    read(1)
    still = read(1)
    if still:
        read(5)
    else:
        _operating_points(read)
    width, height = read(4) + 1, read(4) + 1
    read(width + height)
    if not still and read(1):
        read(7)
    read(3)
    if not still:
        read(4)
        order_hint = read(1)
        if order_hint:
            read(2)
        # Screen content tools, as chosen or forced on; then integer motion vectors.
        if (read(1) or read(1)) and not read(1):
            read(1)
        if order_hint:
            read(3)
    read(3)
    deep = read(1)
    if profile == 2 and deep:
        read(1)
    if profile != 1:
        read(1)
    if read(1):
        return read(8), read(8)
    return 2, 2


def _operating_points(read: _Bits) -> None:
    delay_length = 0
    if read(1):
        read(64)
        if read(1):
            zeros = 0
            while zeros < 32 and not read(1):
                zeros += 1
            read(zeros)
        if read(1):
            delay_length = read(5) + 1
            read(42)
    initial_delay = read(1)
    for _ in range(read(5) + 1):
        read(12)
        if read(5) > 7:
            read(1)
        if delay_length and read(1):
            read(2 * delay_length + 1)
        if initial_delay and read(1):
            read(4)
