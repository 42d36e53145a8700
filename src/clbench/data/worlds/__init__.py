"""The embedded suite: nonsense worlds with exact answers, generated from a seed."""
