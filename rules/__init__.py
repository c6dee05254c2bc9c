"""The rule language: read, checked and compiled to programs; pure."""
