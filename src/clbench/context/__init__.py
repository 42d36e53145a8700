"""Context learning: the new knowledge stands in the prompt and nothing is trained."""
