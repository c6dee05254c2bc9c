"""Where messages come from and where alerts go: one file a system."""
