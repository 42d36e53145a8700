"""The texts of the gate, of trends, comparisons and recommendations, in English and Chinese."""

from __future__ import annotations

TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "to": "{low} to {high}",
        "join": ", ",
        "space": " ",
        # gate
        "gate_heads": "exam | before | now | change | 95 % | margin | p | fell | rose | verdict",
        "pooled": "all exams",
        "regressed": "REGRESSED",
        "not_worse": "not worse by more than the margin",
        "unshown_ungraded": "not shown: no item was graded both times",
        "unshown_no_margin": "not shown: no number of items can show a margin of 0",
        "unshown": "not shown: it has {items} items and needs {needed}",
        "num_regressed": "{num} of {of} exams regressed",
        "none_regressed": "no regression shown in {of} exams",
        "pooled_regressed": "all exams together regressed, and none of {of} alone",
        "others": "; {fine} not worse by more than the margin, {unshown} not shown",
        "same_model": "; this is the model of the baseline itself",
        "gate_result": "{new} against {old}: {what}",
        "differs": "differs from the baseline: {name}: {old}, now {now}",
        "no_effect": " (no effect here)",
        "gate_cut": "{name}: questions cut because they did not fit: {old} in the baseline, {new} now",
        "gate_declined": "{name}: questions not answered, which count 0: {old} in the baseline, {new} now",
        "parts_of_results": "results do not say template, tokenizer and generation settings: where these have changed, "
        "the change is part of the verdict",
        "parts_unknown": "template, tokenizer, generation settings and machine of the baseline are not known (format "
        "{format}): make a new baseline to have them compared",
        "other_machine": "another machine: {name}: {old}, here {new}",
        "widened": "margins are widened by {points} points, which another machine alone may cost; --repeat 2 measures "
        "that instead",
        "noise": "noise: the unchanged model was asked again here (times: {asks}). The checkpoint is judged against "
        "these answers (before), not against those in the baseline:",
        "noise_exam": "  {name}: {flips} % of answers get another score from one ask to the next, mean {shift} against "
        "the baseline",
        "gate_note": "Percent. An exam regresses if it falls by its margin or more and p is at most {level} (one-sided "
        "paired test over items, after Holm's correction over all rows): that is the rate of false alarms. It is not "
        "worse by more than the margin if a fall of the margin is rejected at the same level, also after Holm's "
        "correction. Not shown: too few items for either. all exams: every item counts once{incomplete}.{missed}",
        "gate_incomplete": ", without exams whose score is not the mean of their items",
        "gate_missed": " Left out because they were graded only once: {missed} items.",
        "worst": "{name}: worst items",
        "expected": "expected: {text}",
        "before": "before: {text}",
        "now": "now: {text}",
        "asked_otherwise": "The checkpoint is asked differently from the baseline's ({names}): that alone may explain "
        "the drop. Make it the same, and ask again before you train:",
        "if_intended": "If the change is intended, make a new baseline that is asked in the new way, and test against "
        "that.",
        "learn_again": "Lost: {abilities}. Learn the same data again with old examples in every batch (RECIPE.yaml: a "
        "recipe of the update; `clbench init RECIPE` begins one):",
        "rehearse": "Replaying the update's data does not keep an ability that they do not hold: rehearse it as well:",
        "change_less": "Or change less of the model: adapters lose abilities later, and learn less "
        "(docs/abilities.md):",
        # baseline
        "baseline_exam": "{exam}: {score} % of {num}{cut}",
        "baseline_cut": "; {num} questions did not fit and were cut",
        "baseline_file": "baseline: {path}",
        "seal": "seal: {seal}",
        "blind": "warning: these exams cannot show a loss below {points} points, even if no answer changes: the "
        "smallest loss that each can exclude is {exams}.",
        "blind_exam": "{exam} ({num} items: {points})",
        "blind_groups": "{exam} ({num} items in {groups} groups: {points})",
        "blind_mend": "  {needed} can: ask more (--items, --exams), or allow a larger --max-drop; else the gate says "
        '"not shown".',
        "blind_items": "{num} items",
        "blind_never": "no number of items",
        "blind_as_groups": ", in as many groups where items belong together,",
        # watch
        "watch_heads": "source | what | checkpoints | trend | at first | last | fall | sum | limit | slow decline",
        "source_gate": "gate",
        "alarms": "Alarm in {alarms} of {of} series.",
        "idle": "{num} not watched at all: needs {more}.",
        "never": "{num} not watched: every checkpoint is asked differently.",
        "slow": "{num} not watched for a slow decline: needs {more}.",
        "rate": "If nothing changes, the probability of any alarm is at most {rate} %.",
        "one_more": "1 more checkpoint",
        "more": "{num} more checkpoints",
        "alarm_at": "ALARM at {name}",
        "alarm_mark": "alarm at {name}",
        "not_watched": "not watched: {why}",
        "asked_differently": "asked differently",
        "every_differently": "every checkpoint is asked differently",
        "needs": "needs {more}",
        "slow_not_watched": "slow decline not watched: needs {more}",
        "sum_limit": "sum {sum}, limit {limit}",
        "watch_note": "Percent. Fall: a checkpoint lies below the first ones (paired test over the same items, after "
        "Holm's correction over all checkpoints and series). Slow decline: the sum of how far the score lies below its "
        "first checkpoints (CUSUM, in deviations) is above the simulated limit. Each gets half of the false-alarm "
        "rate. Checkpoints that failed, in the gate or here, are not among the first ones. Where labels grow, "
        "questions with more choices are not compared.",
        "watch_page_note": "Percent over checkpoints; the bar marks the alarm.",
        "watch_limits": "Limits: {first} first checkpoints to compare with, false-alarm rate {rate} %.",
        "checkpoints": "Checkpoints",
        "failed_in_gate": "failed in the gate: {exams}",
        "page": "page: {path}",
        "report_file": "report: {path}",
        # compare
        "compare_result": "{two} against {one} ({runs})",
        "compare_runs": "{one} and {two} runs",
        "one_run_each": "one run each: other seeds may give other results",
        "figure_heads": "figure | {one} | {two} | change | 95 % | p | p, Holm",
        "exam_heads": "exam, after the last lesson | {one} | {two} | change | 95 % | p | p, Holm | gained | lost",
        "compare_note": "Percent. Items and seeds are paired. *: significant at 5 % after Holm's correction over the "
        "rows of its table that have a p; costs are not tested and have none. Figures: t test over bootstrap samples "
        "and seeds. Exams: permutation test that swaps the two sides item by item, or group by group (McNemar's for "
        "right and wrong).",
        "gained_by": "{exam}: gained by {two}, for example",
        "lost_by": "{exam}: lost by {two}, for example",
        "no_question": "(the question is not at hand)",
        "not_compared": "Not compared, because no item was graded after the last lesson in every run: {names}.",
        "separating": "To find this difference of AP with a power of 80 %: {items}, or {seeds}.",
        "separating_items": "{num} items in the exam of each task",
        "separating_never": "no number of items",
        "separating_seeds": "{num} seeds",
        "separating_unknown": "an unknown number of seeds (two are needed to tell)",
        # advise
        "advise_heads": "method | {figures} | best in | front | keeps",
        "recommended": "Recommended: {label} ({sure})",
        "none_within": "No method that was measured is within these limits.",
        "excluded": "excluded: {label}: {why}",
        "no_other": "no other method is left",
        "ahead": "{gap} points of AP above {label} ({ends}); {sure}",
        "unsure": "how sure that is is not known",
        "significant": "significant at 5 %, best in {share} %",
        "not_significant": "not significant at 5 %, best in {share} %",
        "advise_one_seed": "one seed each: the variation over seeds is not in it",
        "advise_note": "Best in: share of bootstrap samples of items and seeds in which the method has the highest AP "
        "({seeds}). *: on the Pareto front of AP, FM, GAD, time and bytes kept. Keeps: users' data stored beside the "
        "trained weights (none, derived numbers, text that may_quote, examples; ?: not known). Measured on this stream "
        "and model; another model needs its own measurement.",
        "why_unknown": "its average performance is not known",
        "why_bound": "a bound to compare with, not a method for a stream",
        "why_not_causal": "it cannot be used with a causal model",
        "why_not_encoder": "it cannot be used with an encoder",
        "why_unbounded": "another program trains it, with a memory that nothing bounds",
        "why_stores_unknown": "it is not known whether it stores users' examples",
        "why_stores_may_quote": "it keeps text that may quote users' examples",
        "why_stores_examples": "it keeps users' examples",
        "why_task_id": "it needs the task id of a question",
        "why_task_given": "it was measured with task ids given, and answers differently without them",
        "why_more": "{name}: {value}, more than {most}",
        "memory": "memory",
        "kept_bytes": "kept bytes",
        "time": "time",
        "ability_loss": "loss of general ability",
    },
    "zh": {
        "to": "{low} 至 {high}",
        "join": "、",
        "space": "",
        # gate
        "gate_heads": "评测 | 基线 | 现在 | 变化 | 95 % | 允许降幅 | p | 由对变错 | 由错变对 | 判定",
        "pooled": "全部评测",
        "regressed": "退化",
        "not_worse": "下降未超过允许降幅",
        "unshown_ungraded": "无法判定：没有一道题两次都有评分",
        "unshown_no_margin": "无法判定：允许降幅为 0 时，题目再多也无法证明",
        "unshown": "无法判定：现有 {items} 题，需要 {needed} 题",
        "num_regressed": "{of} 项评测中有 {num} 项退化",
        "none_regressed": "{of} 项评测均未见退化",
        "pooled_regressed": "全部评测合并后退化，但 {of} 项中没有一项单独退化",
        "others": "；{fine} 项下降未超过允许降幅，{unshown} 项无法判定",
        "same_model": "；这就是基线所用的模型",
        "gate_result": "{new} 与基线 {old} 相比：{what}",
        "differs": "与基线不同：{name}：原为 {old}，现为 {now}",
        "no_effect": "（此处不影响结果）",
        "gate_cut": "{name}：因超长而被截断的题目：基线 {old} 题，现在 {new} 题",
        "gate_declined": "{name}：未作答（按 0 分计）的题目：基线 {old} 题，现在 {new} 题",
        "parts_of_results": "结果没有记录对话模板、分词器和生成设置：它们若有改动，其影响也计入判定",
        "parts_unknown": "基线未记录对话模板、分词器、生成设置和机器（格式 {format}）：重新制作基线后才能比较这些内容",
        "other_machine": "机器不同：{name}：原为 {old}，此处为 {new}",
        "widened": "允许降幅放宽了 {points} 个百分点，因为仅更换机器就可能造成这样的下降；加上 --repeat 2 可改为实测",
        "noise": "噪声：在本机重新询问了未更新的模型（{asks} 次）。"
        "检查点与这些答案（即“基线”一列）比较，而不是与基线文件中的答案比较：",
        "noise_exam": "  {name}：两次询问之间有 {flips} % 的答案得分不同，均值与基线相差 {shift}",
        "gate_note": "数值为百分数。退化：得分下降达到或超过允许降幅，并且 p 不大于 {level}（对题目做单侧配对检验，"
        "并对所有行做 Holm 校正）；该水平就是误报率。下降未超过允许降幅：在同一水平上（同样经 Holm 校正）"
        "可以排除这样大的下降。无法判定：题目太少，两者都不能断定。全部评测：每道题计一次{incomplete}。{missed}",
        "gate_incomplete": "，不含得分不是题目平均值的评测",
        "gate_missed": "只评过一次而未计入的题目：{missed} 题。",
        "worst": "{name}：下降最多的题目",
        "expected": "标准答案：{text}",
        "before": "基线：{text}",
        "now": "现在：{text}",
        "asked_otherwise": "检查点的询问方式与基线不同（{names}）：仅此一点就可能造成下降。"
        "请先改为一致，重新评测，再决定是否训练：",
        "if_intended": "如果这一改动是有意的，请用新的询问方式重新制作基线，再与它比较。",
        "learn_again": "退化的能力：{abilities}。请用同样的数据重新训练，"
        "并在每个批次中混入旧样本（RECIPE.yaml 是这次更新的配方；"
        "可用 `clbench init RECIPE` 生成）：",
        "rehearse": "回放更新数据不能保住数据中没有的能力，还需要复习这些能力：",
        "change_less": "或者少改动模型：适配器丢失能力较慢，学到的也较少（docs/abilities.md）：",
        # baseline
        "baseline_exam": "{exam}：{score} %（{num} 题）{cut}",
        "baseline_cut": "；{num} 题因超长而被截断",
        "baseline_file": "基线：{path}",
        "seal": "封签：{seal}",
        "blind": "警告：即使没有一个答案改变，这些评测也无法排除 {points} 个百分点以下的下降；"
        "各自能排除的最小下降为：{exams}。",
        "blind_exam": "{exam}（{num} 题：{points}）",
        "blind_groups": "{exam}（{groups} 组共 {num} 题：{points}）",
        "blind_mend": "  {needed}才够：请增加题目（--items、--exams），或放宽 --max-drop；否则质量门会给出“无法判定”。",
        "blind_items": "{num} 题",
        "blind_never": "再多的题目也不",
        "blind_as_groups": "（题目成组时，组数也须这么多）",
        # watch
        "watch_heads": "来源 | 内容 | 检查点 | 趋势 | 最初 | 最近 | 下降 | 累积和 | 界限 | 缓慢下降",
        "source_gate": "质量门",
        "alarms": "{of} 条序列中有 {alarms} 条报警。",
        "idle": "{num} 条完全未监测：{more}。",
        "never": "{num} 条未监测：每个检查点的询问方式都不同。",
        "slow": "{num} 条未监测缓慢下降：{more}。",
        "rate": "如果没有任何变化，出现报警的概率不超过 {rate} %。",
        "one_more": "还需 1 个检查点",
        "more": "还需 {num} 个检查点",
        "alarm_at": "报警：{name}",
        "alarm_mark": "报警：{name}",
        "not_watched": "未监测：{why}",
        "asked_differently": "询问方式不同",
        "every_differently": "每个检查点的询问方式都不同",
        "needs": "{more}",
        "slow_not_watched": "未监测缓慢下降：{more}",
        "sum_limit": "累积和 {sum}，界限 {limit}",
        "watch_note": "数值为百分数。下降：某个检查点低于最初的几个（对相同题目做配对检验，"
        "并对所有检查点和序列做 Holm 校正）。"
        "缓慢下降：得分低于最初检查点的累积和（CUSUM，以标准差为单位）超过模拟得到的界限。两者各占误报率的一半。"
        "在质量门或此处失败的检查点不计入最初的几个。标签增多时，选项变多的题目不参与比较。",
        "watch_page_note": "纵轴为百分数，横轴为检查点；竖线标出报警处。",
        "watch_limits": "设置：与最初 {first} 个检查点比较，误报率 {rate} %。",
        "checkpoints": "检查点",
        "failed_in_gate": "未通过质量门：{exams}",
        "page": "页面：{path}",
        "report_file": "报告：{path}",
        # compare
        "compare_result": "{two} 与 {one} 相比（{runs}）",
        "compare_runs": "前者 {two} 次运行，后者 {one} 次",
        "one_run_each": "各一次运行：换种子结果可能不同",
        "figure_heads": "指标 | {one} | {two} | 变化 | 95 % | p | p（Holm）",
        "exam_heads": "评测（最后一轮之后） | {one} | {two} | 变化 | 95 % | p | p（Holm） | 由错变对 | 由对变错",
        "compare_note": "数值为百分数。题目与种子成对比较。*：在本表有 p 的各行上做 Holm 校正后，在 5 % 水平上显著；"
        "成本不做检验，因而没有 p。指标：对自助样本和种子做 t 检验。评测：逐题（或逐组）交换两方的置换检验"
        "（只有对错时即 McNemar 检验）。",
        "gained_by": "{exam}：{two} 由错变对，例如",
        "lost_by": "{exam}：{two} 由对变错，例如",
        "no_question": "（没有题目原文）",
        "not_compared": "未比较（最后一轮之后并非每次运行都有评分）：{names}。",
        "separating": "要以 80 % 的功效发现这样大的 AP 差异：{items}，或 {seeds}。",
        "separating_items": "每个任务的评测需 {num} 题",
        "separating_never": "题目再多也不够",
        "separating_seeds": "{num} 个种子",
        "separating_unknown": "种子数未知（至少两个种子才能估计）",
        # advise
        "advise_heads": "方法 | {figures} | 最优占比 | 前沿 | 保存",
        "recommended": "推荐：{label}（{sure}）",
        "none_within": "在这些限制之内，没有测量过的方法。",
        "excluded": "已排除：{label}：{why}",
        "no_other": "没有其他方法",
        "ahead": "AP 比 {label} 高 {gap} 个百分点（{ends}）；{sure}",
        "unsure": "把握程度未知",
        "significant": "在 5 % 水平上显著，最优占比 {share} %",
        "not_significant": "在 5 % 水平上不显著，最优占比 {share} %",
        "advise_one_seed": "各一个种子：不含种子间的波动",
        "advise_note": "最优占比：在题目和种子的自助样本中，该方法 AP 最高的样本所占的比例（{seeds}）。"
        "*：在 AP、FM、GAD、时间和保存字节数的帕累托前沿上。保存：除训练出的权重之外保存的用户数据"
        "（none 无、derived 导出的数值、may_quote 可能含原文的文本、examples 样本；? 未知）。"
        "只对这条任务流和这个模型成立；换模型需要重新测量。",
        "why_unknown": "平均性能未知",
        "why_bound": "是上下界，不是可用于任务流的方法",
        "why_not_causal": "不能用于因果语言模型",
        "why_not_encoder": "不能用于编码器模型",
        "why_unbounded": "由外部程序训练，其记忆不受限制",
        "why_stores_unknown": "不清楚是否保存用户样本",
        "why_stores_may_quote": "保存可能含有用户样本原文的文本",
        "why_stores_examples": "保存用户样本",
        "why_task_id": "需要题目的任务编号",
        "why_task_given": "测量时给出了任务编号，没有编号时作答不同",
        "why_more": "{name}：{value}，超过 {most}",
        "memory": "内存",
        "kept_bytes": "保存的字节数",
        "time": "时间",
        "ability_loss": "通用能力的损失",
    },
}

# Names of what a checkpoint and a machine consist of, as a baseline records them.
PARTS = {
    "model class": "模型类",
    "weights saved in": "权重保存精度",
    "read in": "加载精度",
    "longest input": "最大输入长度",
    "positions": "位置数",
    "vocabulary": "词表",
    "rotary positions": "旋转位置编码",
    "computing settings": "计算设置",
    "chat template": "对话模板",
    "tokenizer": "分词器",
    "special tokens": "特殊词元",
    "end tokens": "结束词元",
    "generation settings": "生成设置",
}


def part_name(name: str, texts: dict[str, str]) -> str:
    """Return the name of a part of a checkpoint in the language of the texts; names that are not known stay."""
    return PARTS.get(name, name) if texts is TEXTS["zh"] else name


def exam_name(name: str, texts: dict[str, str]) -> str:
    """Return an exam's name, that of all exams together in the language of the texts."""
    return texts["pooled"] if name == TEXTS["en"]["pooled"] else name


def heads(texts: dict[str, str], key: str, **values: str) -> list[str]:
    """Return the heads of a table; a bar within a value is part of it.

    Example:
        >>> heads({"some": "exam | {one}"}, "some", one="a | b")
        ['exam', 'a | b']
    """
    return [head.format(**values) for head in texts[key].split(" | ")]
