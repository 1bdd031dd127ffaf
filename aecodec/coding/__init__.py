"""The coding of one tile and of a picture, and the searches of an encoder.

`tile.py` codes a tile, with `quantisation.py`. `picture.py` codes the tiles of a picture and
decodes them. `analysis.py` and `synthesis.py` run the transforms of a whole picture in parts,
`cells.py` caches what parts share, and `workers.py` distributes the work to threads.
`refinement.py` spends encoder time on better latents (`efforts.py`). `rate_control.py` and
`score_control.py` search for the quality that meets a target (`target.py`).
"""
