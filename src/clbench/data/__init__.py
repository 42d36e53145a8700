"""From cards to tasks, streams and exams. Needs no torch."""
