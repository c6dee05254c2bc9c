"""Imported by the server that workers are forked from: has all loaded and compiled."""

from streams import cli as cli
from streams.duty import Edition
from streams.run import worker as worker
from streams.site import Site
from tests.chaos.fleet_load import pack

_site = Site(Edition.of([("pumps.yaml", pack())]).pack)
_site.engine.intake.prepare()
_site.run_until(0)
