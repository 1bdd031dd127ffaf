"""Pictures to and from the arrays of the codec. Notes say what is lost on the way.

::

    file, Pillow image, array --pillow.load--> Picture: rgb, alpha, metadata, notes
    file <--pillow.save-- Pillow image <--pillow.to_pil-- rgb, mode, alpha, metadata

`pillow.py` reads and writes pictures, `colour.py` converts Pillow's modes to the four of .aec,
`metadata.py` handles EXIF, ICC and XMP. Pillow is imported here and in the plugin alone.
"""

from aecodec.image.pillow import (
    DEFAULT_MAX_PIXELS,
    Mode,
    Picture,
    load,
    pad_to_multiple,
    pillow_info,
    reduced,
    save,
    to_pil,
)

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "Mode",
    "Picture",
    "load",
    "pad_to_multiple",
    "pillow_info",
    "reduced",
    "save",
    "to_pil",
]
