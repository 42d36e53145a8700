"""Pretraining of the shipped tiny models."""
