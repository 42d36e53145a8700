"""clbench measures what a language model keeps when it keeps learning."""

__version__ = "0.1.0"
__all__ = ["__version__"]
