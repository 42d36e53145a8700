"""Decisions that rest on results: compare, advise, gate, watch."""
