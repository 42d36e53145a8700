"""The task code of lm-evaluation-harness, behind a few functions; no model, no cache of its own."""
