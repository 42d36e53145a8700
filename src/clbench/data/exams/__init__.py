"""Exams: the tasks of a stream, and fixed ones that watch abilities."""
