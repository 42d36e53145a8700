"""Imports of what every worker needs, made once before workers are forked; one thread per process."""

from __future__ import annotations

import ctypes
import sys

import accelerate
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

torch.set_num_threads(1)
LOADED = (accelerate, torch, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer)

# mallopt's names for: most mappings, free bytes kept at the top of the heap, bytes asked for in advance
M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD = -4, -1, -2


def keep_freed_memory() -> bool:
    """Tell glibc to keep memory that tensors free: returning every buffer to the system costs a tenth of a step's time.

    Returns:
        Whether the allocator accepted it; other C libraries have no such switch.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    wanted = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 64 * 2**20))
    return all(mallopt(name, value) for name, value in wanted)


keep_freed_memory()
