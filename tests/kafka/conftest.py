"""The fixtures of these tests."""

from tests.kafka.broker import broker, prefix
from tests.kafka.secure import secure

__all__ = ["broker", "prefix", "secure"]
