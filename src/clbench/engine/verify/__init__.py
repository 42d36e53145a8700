"""Verify a stranger's result."""
