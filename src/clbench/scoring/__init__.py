"""One file per scorer; a scorer marks one answer and is pure."""
