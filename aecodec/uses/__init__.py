"""What latents are good for besides storing pictures: finding, judging, mending, drawing.

`descriptors.py` says what a picture looks like in 64 numbers, and `similar.py` searches by them.
`odd.py` ranks pictures by their latents, `mend.py` draws what a damaged file has lost from what
`salvage.py` finds whole in it, and `dream.py` draws latents from the prior. `desktop.py` and
`viewing.py` bring .aec files to the file managers and viewers of Linux.
"""
