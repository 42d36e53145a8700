"""Import what every worker needs, once, before workers are forked; one thread per process."""

from __future__ import annotations

import accelerate
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

torch.set_num_threads(1)
LOADED = (accelerate, torch, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer)
