"""The fixtures of these tests."""

from tests.kafka.broker import broker, prefix

__all__ = ["broker", "prefix"]
