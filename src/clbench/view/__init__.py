"""Results in a browser: a server on this machine that only reads."""
