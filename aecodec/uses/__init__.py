"""What latents are good for besides storing pictures: finding, judging, mending, drawing.

`descriptors.py` says what a picture looks like in 64 numbers; `masks.py` reads and paints masks.
Everything else here uses one of the two.
"""
