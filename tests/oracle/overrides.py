"""The rules of one asset: what an inventory row's `overrides` replace."""

from __future__ import annotations

from rules.model import Asset, Pack, Rule


def rules_for(pack: Pack, asset: Asset) -> list[Rule]:
    """The rules of the asset's class with its overrides put in."""
    return list(pack.rules_of(asset.cls))
