"""Results of work, kept as stages under their keys: written once, and verified when they are read."""
