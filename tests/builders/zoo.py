"""Tiny checkpoints of many architectures, random, in the form of Hugging Face, with the shipped models' tokenizers."""

import shutil

from clbench.models import tiny

ENDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
SMALL = {"vocab_size": 2560, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
ROWS = {**SMALL, **ENDS, "intermediate_size": 64, "max_position_embeddings": 256}
GROUPED = {**ROWS, "num_key_value_heads": 2, "head_dim": 8}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
SHORT = {"rope_theta": 1e4, "original_max_position_embeddings": 24}


def scaled(kind, **settings):
    """Return LLaMA's settings with positions that go beyond those of its first training."""
    return "Llama", {**GROUPED, "rope_parameters": {**SHORT, "rope_type": kind, **settings}}


# Name -> (architecture without its ending, settings).
DECODERS = {
    "llama-gqa": ("Llama", GROUPED),
    "llama-tied": ("Llama", {**GROUPED, "tie_word_embeddings": True}),
    "llama-sharded": ("Llama", GROUPED),
    "llama-bf16": ("Llama", GROUPED),
    "llama-linear": scaled("linear", factor=4.0),
    "llama-dynamic": scaled("dynamic", factor=4.0),
    "llama-llama3": scaled("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0),
    "llama-yarn": scaled("yarn", factor=4.0),
    "llama-longrope": scaled("longrope", short_factor=[1.0] * 4, long_factor=[9.0, 5.0, 3.0, 2.0], factor=4.0),
    "hunyuan-dense": ("HunYuanDenseV1", GROUPED),
    "hunyuan-moe": ("HunYuanMoEV1", {**GROUPED, "num_experts": 4, "moe_topk": 2}),
    "qwen2": ("Qwen2", GROUPED),
    "qwen3": ("Qwen3", GROUPED),
    "qwen3-moe": ("Qwen3Moe", {**GROUPED, **EXPERTS}),
    "qwen3-next": (
        "Qwen3Next",
        {
            **GROUPED,
            **EXPERTS,
            "shared_expert_intermediate_size": 32,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 2,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "layer_types": ["linear_attention", "full_attention"],
        },
    ),
    "mistral": ("Mistral", {**GROUPED, "sliding_window": 8}),
    "mixtral": ("Mixtral", {**GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "gemma2": ("Gemma2", {**GROUPED, "sliding_window": 8, "query_pre_attn_scalar": 8}),
    "gemma3": ("Gemma3Text", {**GROUPED, "sliding_window": 8, "query_pre_attn_scalar": 8}),
    "phi3": ("Phi3", {**GROUPED, "sliding_window": None}),
    "gpt-neox": ("GPTNeoX", ROWS),
    "gpt2": ("GPT2", {"vocab_size": 2560, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 256, **ENDS}),
    "opt": ("OPT", {**SMALL, **ENDS, "ffn_dim": 64, "max_position_embeddings": 256, "word_embed_proj_dim": 32}),
    "bloom": ("Bloom", {"vocab_size": 2560, "hidden_size": 32, "n_layer": 2, "n_head": 2, **ENDS}),
    "falcon-rotary": ("Falcon", {**SMALL, **ENDS, "max_position_embeddings": 256}),
    "falcon-alibi": ("Falcon", {**SMALL, **ENDS, "alibi": True, "max_position_embeddings": 256}),
    "mpt": ("Mpt", {"vocab_size": 2560, "d_model": 32, "n_layers": 2, "n_heads": 2, "max_seq_len": 256, **ENDS}),
    "mamba": ("Mamba", {**ENDS, "vocab_size": 2560, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}),
    "lfm2": ("Lfm2", {**GROUPED, "layer_types": ["conv", "full_attention"], "conv_L_cache": 3}),
}
MASKED = {**ROWS, "max_position_embeddings": 260}
READERS = {
    "bert": ("BertForMaskedLM", MASKED),
    "roberta": ("RobertaForMaskedLM", MASKED),
    "xlm-r": ("XLMRobertaForMaskedLM", MASKED),
    "deberta-v3": (
        "DebertaV2ForMaskedLM",
        {
            **MASKED,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 16,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "position_biased_input": False,
        },
    ),
    "modernbert": ("ModernBertForMaskedLM", {**MASKED, "cls_token_id": 1, "sep_token_id": 2, "local_attention": 16}),
    "distilbert": (
        "DistilBertForMaskedLM",
        {"vocab_size": 2560, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "pad_token_id": 0},
    ),
    "albert": ("AlbertForMaskedLM", {**MASKED, "embedding_size": 16}),
    "electra": ("ElectraForPreTraining", {**MASKED, "embedding_size": 16}),
    "llama-labels": ("LlamaForSequenceClassification", {**GROUPED, "num_labels": 3}),
    "gpt2-labels": ("GPT2ForSequenceClassification", {**DECODERS["gpt2"][1], "num_labels": 3}),
}


def checkpoint(folder, name, made_of=None):
    """Write a checkpoint of the zoo, whose answers depend on all that is read, and return its folder.

    `made_of` is its architecture and settings, if they are not those of the zoo.
    """
    import torch
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(0)
    kind, settings = made_of or {**DECODERS, **READERS}[name]
    if name in DECODERS:
        config = getattr(transformers, f"{kind}Config")(**settings)
        model = transformers.AutoModelForCausalLM.from_config(config)
    else:
        model = getattr(transformers, kind)(getattr(transformers, kind).config_class(**settings))
    with torch.no_grad():
        for part in model.parameters():
            if part.dim() > 1:
                part.normal_(0, 0.3)
    if name.endswith("bf16"):
        model = model.bfloat16()
    model.save_pretrained(folder, max_shard_size="100KB" if name.endswith("sharded") else "1GB")
    words = tiny.folder("tiny-llama" if name in DECODERS or name.endswith("labels") else "tiny-bert")
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (words / file).is_file():
            shutil.copy(words / file, folder / file)
    return folder
