"""The coding of one tile, and the searches of an encoder.

`tile.py` codes a tile, `prior.py` gives the table index and the mean of every latent, `fields.py`
shares what parts of a picture have in common, `refinement.py` spends encoder time on better
latents, `rate_control.py` looks for the quality that meets a size or a PSNR.
"""
