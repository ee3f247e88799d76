"""Servers for trying things and for the tests: one way each to have a local one, with nothing installed by hand."""
