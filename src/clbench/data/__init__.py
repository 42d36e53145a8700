"""Cards become tasks, tasks become streams, and exams stand beside them. Needs no torch."""
