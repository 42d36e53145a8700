"""Models: causal language models, encoders, and the shipped tiny ones."""
