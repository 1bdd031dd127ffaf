"""Integers to bytes and back, bit-exact on every machine.

`coder.py` codes symbols by the integer probabilities of `tables.py`; `models.py` makes the coder's
models of these, `costs.py` says what a symbol costs. `scales.py` is the integer network that
chooses a table for every latent, `fixed_point.py` how it writes its numbers. `hyperlatents.py` says
in which order z_hat is coded, `checkerboard.py` how a tile's symbols fall into two steps,
`padding.py` what stands beyond a tile.

No float network may be imported here: no probability depends on a float. A contract in
pyproject.toml holds that. This file imports nothing, since `model/` uses some of these modules on
machines without the coder.
"""
