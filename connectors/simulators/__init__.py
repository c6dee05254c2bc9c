"""Simulators: seeded sources of messages for demos, tests and load."""
