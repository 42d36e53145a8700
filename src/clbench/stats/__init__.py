"""Statistics: intervals, paired tests and their corrections."""
