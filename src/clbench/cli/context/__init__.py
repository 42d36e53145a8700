"""`clbench context`: one file per verb."""
