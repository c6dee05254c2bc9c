"""The loops around the engine: replay, and a run on one machine."""
