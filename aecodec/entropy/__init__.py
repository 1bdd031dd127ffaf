"""Integers to bytes and back, bit-exact on every machine.

`coder.py` codes symbols by the integer probabilities of `tables.py`; `models.py` makes the coder's
models of these, and `costs.py` computes the bits of symbols. `scales.py` is the integer network
that selects a table for every latent, `fixed_point.py` defines its number formats.
`hyperlatents.py` defines the order of z_hat, `checkerboard.py` the two steps of a tile's symbols,
`padding.py` the values beyond the edge of a tile. `zstd.py` makes zstandard frames of metadata and
alpha planes.

No float network may be imported here, because no probability depends on a float. A contract in
pyproject.toml holds this. This file imports nothing, because `model/` uses some of these modules on
machines without the coder.
"""
