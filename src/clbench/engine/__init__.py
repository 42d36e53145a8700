"""One run, a grid of runs, a plan: what is made, in which order, and what is already there."""
