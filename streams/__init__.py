"""From messages to alarms: intake, engine, lifecycle, and the loops around them."""
