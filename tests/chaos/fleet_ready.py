"""Imported by the server that workers are forked from: has all loaded and compiled."""

from streams import cli, warm
from streams.run import worker

LOADED = (cli, worker)
warm.warm_up()
