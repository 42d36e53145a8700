"""From a card and its rows to a task."""
