"""STOCK TASKS: lm-evaluation-harness's own task code, behind a few functions; no model, no cache of its own."""
