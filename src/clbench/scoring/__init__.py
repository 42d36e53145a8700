"""One file per scorer; a scorer grades one answer and is pure."""
