"""Grading by rubrics: what a judge is asked, how its reply is read, and the rule that makes a score of statuses."""
