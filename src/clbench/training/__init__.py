"""The extension API for methods, and the one training loop."""
