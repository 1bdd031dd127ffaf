"""Integers to bytes and back, bit-exact on every machine.

`coder.py` codes symbols by integer tables, `hyperlatents.py` says in which order z_hat is coded,
`checkerboard.py` how a tile's symbols fall into two steps, `borders.py` what stands beyond a tile,
`fixed_point.py` how the integer scale network writes its numbers.

No float network may be imported here: no probability depends on a float. A contract in
pyproject.toml holds that. This file imports nothing, since `model/` uses some of these modules on
machines without the coder.
"""
