"""From tasks to a stream of lessons."""
