"""Logs of other evaluation harnesses, item by item, as results that reports read."""
