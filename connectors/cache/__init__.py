"""Answers kept: in memory (L1), in Redis (L2), on disk (L3), and found again by their meaning.

`tiers` looks them up in that order; `flight` lets one ask where many want the same. Redis itself is reached in
`connectors.redis`, the database in `connectors.timescale`: here are only the protocols they fulfil.
"""
