"""The coding of one tile and of a picture, and the searches of an encoder.

`tile.py` codes a tile, with `quantisation.py`. `picture.py` codes a picture's tiles and decodes
them; `analysis.py` and `synthesis.py` run the transforms of a whole picture in parts, whose common
share `cells.py` keeps, and `workers.py` says which thread does what. `refinement.py` spends encoder
time on better latents (`efforts.py`), `rate_control.py` looks for the quality that meets a size or
a PSNR.
"""
