"""The benchmark: aecodec against the codecs that people use today, by real file bytes.

::

    pictures.py --rgb--> measure.py --points--> curves.py --BD-rates--> report.py --> HTML
                           |    ^                                       export.py --> JSON, CSV
              codecs.py: klt.py, latents.py, Pillow, imagecodecs        cli/tables.py --> terminal

The commands `aecodec bench` and `aecodec compare` stand in `cli/bench.py`. These modules need the
extra `bench`. The other codecs are imported here alone.
"""
