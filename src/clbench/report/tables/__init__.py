"""Figures as text and as files."""
