"""Context learning: the new knowledge stands in the prompt, nothing is trained."""
