"""Notices out: one file a system that people are told by. `table` lists them."""
