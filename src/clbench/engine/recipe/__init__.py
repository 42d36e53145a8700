"""From a recipe file to run specs."""
