"""The benchmark: aecodec against the codecs that people use, by the bytes of whole files.

::

    pictures.py --rgb--> measure.py --points--> curves.py --BD-rates--> report.py --> HTML
                           |    ^                                       export.py --> JSON, CSV
              codecs.py: klt.py, latents.py, Pillow, imagecodecs        cli/tables.py --> terminal

The commands `aecodec bench` and `aecodec compare` are in `cli/bench.py`. These modules need the
extra `bench`. The other codecs are imported here alone.
"""
