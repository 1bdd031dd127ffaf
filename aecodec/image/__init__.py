"""Pictures to and from the arrays of the codec. Notes say what is lost on the way.

::

    file, Pillow image, array --load--> Picture: rgb, alpha, metadata, notes
    file <--save-- Pillow image <--to_pil-- rgb, mode, alpha, metadata

`load.py` reads pictures, `save.py` writes them, `picture.py` is what lies between. `colour.py`
converts Pillow's modes to the four of .aec, `metadata.py` handles EXIF, ICC and XMP. `formats.py`
lists the formats of the installed Pillow, and `rgb.py` codes pixels without metadata.

Pillow is imported here and in the plugin alone; a contract in pyproject.toml holds this. This file
imports nothing, because a folder run asks for the formats in a process that does without numpy.
"""
