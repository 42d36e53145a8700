"""A user's own files: check them row by row, and make a task of them."""
