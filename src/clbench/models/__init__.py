"""Things that answer: causal models, encoders, and the shipped tiny ones."""
