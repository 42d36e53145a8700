"""The tests; what several of them build with stands in `tests.builders`."""
