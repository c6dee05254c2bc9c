"""A slow second implementation of the rule language, written from its text alone.

It shares nothing with the engine but the checked trees (`rules.tree`, `rules.model`) and the
records that go in and come out (`rules.records`). See README.md in this folder.
"""

from tests.oracle.oracle import Oracle

__all__ = ["Oracle"]
