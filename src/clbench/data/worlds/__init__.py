"""The generated suite: nonsense worlds with exact answers, made from a seed."""
