"""The names of figures for people, in English and Chinese."""

from __future__ import annotations

from collections.abc import Sequence

from clbench.metrics import all_metrics

NAMES: dict[str, tuple[str, str]] = {
    "general_ability_delta": ("change of general abilities", "通用能力变化"),
    "instruction_delta": ("change of instruction following", "指令遵循变化"),
    "long_context_delta": ("change of long context", "长上下文变化"),
    "average_performance": ("average performance after the last lesson", "最后一轮之后的平均性能"),
    "average_performance_pooled": ("average performance, pooled over questions", "按题目汇总的平均性能"),
    "average_performance_centred": ("average performance above guessing", "扣除猜测后的平均性能"),
    "average_incremental": ("average incremental accuracy", "平均增量准确率"),
    "area_under_learning_curve": ("area under the learning curve", "学习曲线下面积"),
    "average_all_cells": ("average over all cells", "全部单元格的平均"),
    "learning_accuracy": ("score right after a task's own lesson", "刚学完该任务时的得分"),
    "examples_used": ("labelled examples taught", "学过的标注样本数"),
    "train_tokens": ("tokens trained on", "训练词元数"),
    "train_flops": ("operations of training, estimated", "训练运算量（估计）"),
    "joules": ("energy", "能耗"),
    "api_tokens": ("tokens of the model behind an API", "API 模型的词元数"),
    "judge_tokens": ("tokens of the judge", "评委的词元数"),
    "money": ("cost by the price table", "按价格表计算的费用"),
    "train_seconds": ("seconds of learning", "学习耗时"),
    "exam_seconds": ("seconds of exams", "评测耗时"),
    "tokens_per_s": ("tokens a second of learning", "学习时每秒词元数"),
    "exam_latency_s_p50": ("seconds an answer, median", "每题作答耗时（中位数）"),
    "exam_latency_s_p95": ("seconds an answer, 95th percentile", "每题作答耗时（95 分位）"),
    "peak_memory_bytes": ("peak memory", "内存峰值"),
    "device_memory_bytes": ("peak memory of the accelerator", "加速器显存峰值"),
    "kept_bytes": ("bytes kept beside the base model", "基础模型之外保存的字节数"),
    "added_parameters": ("parameters added", "新增参数量"),
    "model_size_efficiency": ("model size efficiency", "模型规模效率"),
    "sample_storage_efficiency": ("sample storage efficiency", "样本存储效率"),
    "compute_efficiency": ("compute efficiency", "计算效率"),
    "forgetting": ("forgetting: how far tasks fell from their best", "遗忘：各任务从最好得分下降多少"),
    "forgetting_first_last": ("first score less last score", "最初得分减最后得分"),
    "forgetting_max_any": ("best score of any row less last score", "任一行最好得分减最后得分"),
    "forgetting_rate": ("forgetting rate, percent of what was known", "遗忘率（占已掌握的百分比）"),
    "bwt": ("backward transfer", "后向迁移"),
    "bwt_all_pairs": ("backward transfer over all rows", "对所有行的后向迁移"),
    "worst_retention": ("share left of the task forgotten most", "遗忘最多的任务的保留比例"),
    "fluctuation": ("fluctuation within a run", "一次运行内的波动"),
    "fwt": ("forward transfer, against the untouched model", "前向迁移（相对原始模型）"),
    "fwt_random": ("forward transfer, against guessing", "前向迁移（相对随机猜测）"),
    "intransigence": ("intransigence: learnt worse than jointly", "不可学性：比联合训练学得差多少"),
    "gap_to_joint": ("gap to joint training", "与联合训练的差距"),
    "gain_over_frozen": ("gain over the untouched model", "相对原始模型的增益"),
    "normalised_ap": ("place between untouched (0) and joint (1)", "在原始模型（0）与联合训练（1）之间的位置"),
}


def figure_name(name: str, lang: str) -> str:
    """Return the name of a figure for people; of one that a plug-in brings, its own name with blanks.

    Example:
        >>> figure_name("bwt", "en"), figure_name("bwt", "zh"), figure_name("my_figure", "zh")
        ('backward transfer', '后向迁移', 'my figure')
    """
    english, chinese = NAMES.get(name, (name.replace("_", " "),) * 2)
    return chinese if lang == "zh" else english


def key_to_symbols(names: Sequence[str], lang: str) -> str:
    """Return a line that says what the symbols of figures mean.

    Example:
        >>> key_to_symbols(["bwt", "kept_bytes"], "en")
        'BWT: backward transfer; kept: bytes kept beside the base model.'
    """
    colon, between, stop = ("：", "；", "。") if lang == "zh" else (": ", "; ", ".")
    return between.join(f"{all_metrics()[n].symbol}{colon}{figure_name(n, lang)}" for n in names) + stop
