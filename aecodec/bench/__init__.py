"""The benchmark: aecodec against the codecs that people use today, by real file bytes.

::

    pictures.py --rgb--> measure.py --points--> curves.py --BD-rates--> report.py --> HTML
                           |    ^                                       export.py --> JSON, CSV
              codecs.py: klt.py, latents.py, Pillow, imagecodecs        table.py  --> terminal

`command.py` holds the commands `aecodec bench` and `aecodec compare`. Only it is imported when the
command line starts; the rest needs the extra `bench`.
"""
