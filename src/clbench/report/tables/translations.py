"""The texts of the report, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping

TRANSLATIONS: dict[str, dict[str, str]] = {
    "en": {
        "space": " ",
        "table_note": "Scores in percent; {seeds}. FM positive = forgot; BWT, GAD, IFD, LCD negative = lost.",
        "table_one": "± half of the 95 % interval over items; one run each, so the variation over seeds is not known",
        "table_seeds": "mean ± half of its 95 % interval over items and seeds, {seeds}",
        "thought": "Models wrote {tokens} tokens of reasoning before their answers; it is not graded.",
        "thought_exam": "{exam}, {num} of {of}",
        "thought_unended": "Reasoning that did not end within the longest answer left no answer: {exams}.",
        "judged_exams": "Graded by a judge: {exams}.",
        "judged_exam": "{exams} by {judge}",
        "ungraded_exams": "Without a grade: {exams}. What was not answered counts 0.",
        "ungraded_exam": "{exam}, {num} of {of} items ({declined} not answered)",
        "cut_exams": "Cut, because they did not fit into the model's input (max_tokens): {exams}.",
        "unbounded": "{label}: unbounded, made by `{command}`. What another program keeps, and how many tokens it "
        "reads, is limited by nothing and known only as far as it says, so it is ranked apart.",
        "costs_unknown": "Learnt elsewhere, so what learning cost is not known but for what the user stated: {labels}.",
        "cut_exam": "{exam}, {questions} of {of} questions ({tokens} tokens, {examples} examples left out whole)",
        "cut_lessons": "Cut in training: {lessons}.",
        "cut_lesson": "lesson {lesson}, {prompts} prompts and {answers} answers of {of}",
        "learnt_nothing": "No task was learnt: right after their own lessons, no method is above guessing on "
        "{tasks}. Forgetting says nothing here; try more epochs or another learning rate.",
        "learnt_not": "Not learnt by any method (right after its own lesson, none is above guessing): {tasks}. "
        "Forgetting of it says nothing; try more epochs or another learning rate.",
        "head_model": "Model",
        "head_stream": "Stream",
        "head_stream_text": "{name} (lessons: {lessons}, tasks: {tasks}, examples: {examples})",
        "head_runs": "Runs",
        "head_runs_text": "{runs} (rows: {methods}; seeds: {seeds})",
        "head_made": "Made",
        "head_machine": "Machine",
        "head_cores": "cores: {cores}",
        "head_version": "Version",
        "head_command": "Command",
        "found": "Summary",
        "best": "Highest average performance after the last lesson, in percent: {label}, {value}.",
        "forgot": "Most forgetting of the tasks taught, in points: {label}, {value}.",
        "surely_better": "Better than plain fine-tuning in average performance, in points: {labels}.",
        "surely_worse": "Worse than plain fine-tuning in average performance, in points: {labels}.",
        "nothing_shown": "Not shown to differ from plain fine-tuning in average performance: {labels}.",
        "not_ranked": "Not ranked: {label} ({why}).",
        "more_better": "higher is better",
        "less_better": "lower is better",
        "overview": "Methods side by side",
        "overview_note": "Better is up and to the right. The line joins the methods that no other method beats in "
        "both; rings are bounds. Each of the parallel axes runs from the worst to the best value of these methods.",
        "with_bars": "Bars are 95 % intervals.",
        "without_bars": "With more than {most} methods, intervals are left out of the scatter plots, and the parallel "
        "axes show the first {most}; the tables have them all.",
        "upper": "Bounds, not methods: {labels}.",
        "stability_plasticity": "Stability (FM) against plasticity (LA)",
        "cost_performance": "Cost (seconds of learning) against performance (AP)",
        "profile": "Performance, stability, efficiency",
        "spread": "AP of every run",
        "ranking": "Ranking",
        "seed_deviation": "standard deviation over seeds",
        "orders": "Order of tasks",
        "orders_note": "The same tasks in several orders: means over orders and seeds, ± half of the 95 % interval "
        "over items, seeds and orders, and the standard deviation of AP over orders (FL).",
        "methods_note": "Scores in percent; mean over task orders ({orders}) and seeds, runs a row: {runs}; ± half "
        "of the 95 % interval over items, seeds and orders. FM positive = forgot; GAD, IFD, LCD negative = lost.",
        "num_orders": "orders",
        "order_deviation": "standard deviation over orders",
        "retained": "Retention by the number of lessons since",
        "retained_note": "Score d lessons later over the score right after the task's own lesson, mean over tasks, in "
        "percent. The half-life is fitted, in lessons (95 % interval: jackknife over tasks).",
        "half_life": "half-life",
        "mean_rank": "mean rank (95 %)",
        "ranked_blocks": "Ranked by the last score in each of {num} blocks (seeds: {seeds}, orders: {orders}, "
        "tasks: {tasks}); 1 is best.",
        "friedman": "Friedman chi2 = {chi2}, F = {f}, p {p}. Mean ranks that differ by less than CD = {difference} are "
        "not told apart (Nemenyi, 5 %). Blocks of one run or task depend on each other: the test is somewhat too sure.",
        "too_few_ranked": "There are not two methods to rank.",
        "bounds_above": "Above: bounds, not ranked",
        "told_nothing": "Told nothing",
        "told_boundaries": "Told where lessons end",
        "told_task": "Told the task",
        "told_unbounded": "Unbounded, made by commands",
        "rank_diagram": "Mean ranks; a bar joins methods that are not told apart",
        "less_plain": "AP less plain fine-tuning (95 %)",
        "reference": "Reference: {label}, the best by AP of {num} settings of plain fine-tuning.",
        "ranked_tasks": "No seed in common: ranked by the mean last score on each of {num} tasks; 1 is best.",
        "compared": "Comparison",
        "compared_note": "Items and seeds are paired. * marks a difference that is significant at 5 % after Holm's "
        "correction over the rows of its table.",
        "figure": "figure",
        "exam": "exam, after the last lesson",
        "change": "change",
        "gained": "gained",
        "lost_items": "lost",
        "flips": "Items that flipped",
        "setting": "setting",
        "browser": "Questions and answers",
        "browser_note": "A few items of every exam, chosen by a hash of their ids; for each method its first run. "
        "Columns are lessons. Green: right; red: wrong; orange: partly right; grey: no grade.",
        "question": "Question",
        "expected": "Expected",
        "contents": "Contents",
        "skip": "Skip to the summary",
        "lost": "Plain fine-tuning ({label}) lost most on the ability {exam}: {value} points.",
        "one_run": "One run each: intervals are over items alone, and other seeds may give other results. Add seeds "
        "before ranking methods.",
        "seeds": "Means over seeds ({counts}); ± is half of the 95 % interval over items and seeds.",
        "seeds_a_row": "{counts} seeds a row",
        "or": " or ",
        "performance": "Performance",
        "stability": "Stability",
        "efficiency": "Efficiency",
        "cost": "Cost",
        "learner": "learner",
        "way": "learns in",
        "way_weights": "weights",
        "way_prompt": "prompt",
        "matrix": "Matrix R",
        "matrices": "Matrix R: score on each exam (column) after each lesson (row)",
        "matrices_note": "Percent. The first row is the score of guessing, the second one the untouched model. "
        "Outlined: right after the task's own lesson. Hatched: not due. *: some answers have no grade.",
        "guessing": "guessing",
        "untouched": "untouched",
        "tasks": "Tasks over lessons",
        "abilities": "Abilities that no lesson teaches",
        "curves_note": "Percent after each lesson (0 is the untouched model). "
        "The bar marks the task's own lesson, the dotted line the guess rate.",
        "abilities_note": "Percent after each lesson (0 is the untouched model), mean over the exams of an ability.",
        "spec": "Resolved specs",
        "provenance": "Provenance",
        "definitions": "Definitions",
        "glossary": "Glossary",
        "glossary_rows": "lesson | one update of the model, 1 to T; lesson 0 is the untouched model\n"
        "task | what a lesson teaches, with an exam of its own\n"
        "stream | the lessons in their order\n"
        "exam | a fixed set of questions, asked after every lesson\n"
        "matrix R | the score on each exam (column) after each lesson (row)\n"
        "guessing | the score expected of answers drawn at random\n"
        "bound | a reference between which methods lie, such as joint (all data at once) and frozen (no learning)\n"
        "plain fine-tuning | sft: each lesson is learnt, and nothing is done against forgetting\n"
        "seed | a number that fixes data order and initialisation; other seeds show how far results vary\n"
        "95 % interval | where the mean would lie with other questions and other seeds, 95 times of 100",
        "signs": "Scores in percent. FM positive = forgot; BWT, GAD, IFD, LCD negative = lost; – is undefined. "
        "FWT says something only where tasks build on each other. Bold: the best value of a method, and those not "
        "told apart from it (5 %); nothing is bold where none is told apart. Bounds (in italics) are never bold.",
        "seeds_of": "seeds",
        "stream": "The stream",
        "stream_note": "What each lesson teaches, and what changed from the lesson before.",
        "lesson": "lesson",
        "lessons": "lessons",
        "tasks_taught": "tasks",
        "moved": "what changed",
        "examples": "examples",
        "labels": "labels",
        "kind": "kind",
        "language": "language",
        "domain": "domain",
        "missing": "Not available here, skipped: {tasks}.",
        "dropped": "Left out because an exam asks the same: {counts}.",
        "similar": "Similarity of tasks",
        "ability": "ability",
        "lost_in": "lost in lesson",
        "left": "left at the end (95 %)",
        "retention": "What is left of each ability",
        "retention_note": "Percent after each lesson (0 is the untouched model). Lost: the first lesson after which "
        "the score is significantly below that of the untouched model (95 % interval of the difference over items, "
        "groups and seeds). Left: the last score over that of the untouched model.",
        "first_lost": "Lost first by {label}: {abilities} (lesson {lesson}).",
        "each_exam": "Each exam by itself",
        "lengths": "Long context by length",
        "lengths_note": "Percent after the last lesson, by the length of the question in tokens of the model's own "
        "tokenizer (up to the number given). A question that did not fit had its middle cut out.",
        "up_to": "up to tokens",
        "answers": "answers",
        "after_last": "after the last lesson",
        "similar_note": "Cosine of the TF-IDF vectors of the lessons' prompts, times 100.",
        "item_changes": "Forgotten and gained items",
        "item_changes_note": "Share of items in percent (95 % interval) that were known and are not any more "
        "(forgotten), or the other way round (gained), at the end of the stream: of a task since its own lesson, of an "
        "ability since the untouched model. Corrected for guessing: an item is known or guessed, guesses at both times "
        "being independent. As counted: right became wrong, wrong became right.",
        "item_changes_mean": "all tasks (mean)",
        "item_changes_each": "Each task",
        "forgotten_head": "forgotten",
        "gained_head": "gained",
        "as_counted": "as counted",
        "exam_or_ability": "task or ability",
        "items_head": "items",
        "since": "since lesson",
        "graded_between": "Not defined, because answers are graded between right and wrong: {exams}.",
    },
    "zh": {
        "space": "",
        "table_note": "得分为百分数；{seeds}。FM 为正 = 遗忘；BWT、GAD、IFD、LCD 为负 = 损失。",
        "table_one": "± 为对题目的 95 % 区间的一半；各一次运行，种子间的波动未知",
        "table_seeds": "均值 ± 对题目与种子的 95 % 区间的一半，{seeds}",
        "thought": "模型在作答前写了 {tokens} 个词元的推理；推理不计分。",
        "thought_exam": "{exam} {of} 题中 {num} 题",
        "thought_unended": "推理未在最长长度内结束，因而没有答案：{exams}。",
        "judged_exams": "由评委评分：{exams}。",
        "judged_exam": "{exams} 由 {judge} 评",
        "ungraded_exams": "未评分：{exams}。未作答按 0 分计。",
        "ungraded_exam": "{exam} {of} 题中 {num} 题（其中 {declined} 题未作答）",
        "cut_exams": "超出模型输入长度（max_tokens）而被截断：{exams}。",
        "unbounded": "{label}：由命令 `{command}` 训练，不受预算限制。外部程序保存多少数据、读入多少词元没有上限，"
        "且只有它自己报告的部分已知，因此单独排名。",
        "costs_unknown": "{labels} 在别处训练：除用户提供的数字外，学习的开销未知。",
        "cut_exam": "{exam} {of} 题中 {questions} 题（{tokens} 个词元，整个略去 {examples} 个示例）",
        "cut_lessons": "训练时被截断：{lessons}。",
        "cut_lesson": "第 {lesson} 轮 {of} 个样本中 {prompts} 个问题、{answers} 个答案",
        "learnt_nothing": "没有学会任何任务：刚学完时，任何方法在 {tasks} 上都不高于随机猜测。此处的遗忘没有意义；"
        "请增加训练遍数（epochs）或更换学习率。",
        "learnt_not": "没有一种方法学会（刚学完时不高于随机猜测）：{tasks}。对它的遗忘没有意义；"
        "请增加训练遍数（epochs）或更换学习率。",
        "head_model": "模型",
        "head_stream": "任务流",
        "head_stream_text": "{name}（{lessons} 轮，{tasks} 个任务，{examples} 个样本）",
        "head_runs": "运行",
        "head_runs_text": "{runs} 次（{methods} 行；种子：{seeds}）",
        "head_made": "日期",
        "head_machine": "机器",
        "head_cores": "{cores} 核",
        "head_version": "版本",
        "head_command": "命令",
        "found": "结论",
        "best": "最后一轮之后平均性能最高（百分数）：{label}，{value}。",
        "forgot": "对已学任务遗忘最多（百分点）：{label}，{value}。",
        "surely_better": "平均性能优于普通微调（百分点）：{labels}。",
        "surely_worse": "平均性能差于普通微调（百分点）：{labels}。",
        "nothing_shown": "平均性能与普通微调无显著差异：{labels}。",
        "not_ranked": "未参与排名：{label}（{why}）。",
        "more_better": "越高越好",
        "less_better": "越低越好",
        "overview": "方法对比",
        "overview_note": "越靠上、靠右越好。折线连接在两方面都没有被同一种方法超过的方法；圆圈是上下界。"
        "每条平行坐标轴从这些方法中最差的值到最好的值。",
        "with_bars": "线段是 95 % 区间。",
        "without_bars": "方法多于 {most} 种时，散点图不画区间，平行坐标只画前 {most} 种；表格中全部列出。",
        "upper": "上下界（不是方法）：{labels}。",
        "stability_plasticity": "稳定性（FM）与可塑性（LA）",
        "cost_performance": "成本（训练耗时，秒）与性能（AP）",
        "profile": "性能、稳定性、效率",
        "spread": "每次运行的 AP",
        "ranking": "排名",
        "seed_deviation": "种子间标准差",
        "orders": "任务顺序",
        "orders_note": "相同任务的不同顺序：对顺序与种子取均值，± 为题目、种子与顺序合在一起的 95 % 区间的一半；"
        "另有 AP 在顺序间的标准差（FL）。",
        "methods_note": "分数为百分数；对任务顺序（{orders} 种）与种子取均值，每行 {runs} 次运行，"
        "± 为题目、种子与顺序合在一起的 95 % 区间的一半。FM 为正 = 遗忘；GAD、IFD、LCD 为负 = 丢失。",
        "num_orders": "顺序数",
        "order_deviation": "顺序间标准差",
        "retained": "若干轮之后的保留率",
        "retained_note": "d 轮之后的得分除以刚学完该任务时的得分，对各任务取平均（百分数）。"
        "半衰期由拟合得到，以轮为单位（95 % 区间：对任务做刀切法）。",
        "half_life": "半衰期",
        "mean_rank": "平均名次（95 %）",
        "ranked_blocks": "在 {num} 个区组（种子 {seeds}、顺序 {orders}、任务 {tasks}）内各按最后得分排名；1 为最好。",
        "friedman": "Friedman 检验：chi2 = {chi2}，F = {f}，p {p}。平均名次相差不到 CD = {difference} 的方法不能区分"
        "（Nemenyi，5 %）。同一次运行或同一任务的区组并不独立，因此检验略显乐观。",
        "too_few_ranked": "可排名的方法不足两个。",
        "bounds_above": "以上为上下界，不参与排名",
        "told_nothing": "未被告知任何信息",
        "told_boundaries": "被告知每轮在何处结束",
        "told_task": "被告知任务",
        "told_unbounded": "由外部命令训练，不受预算限制",
        "rank_diagram": "平均名次；粗线连接不能区分的方法",
        "less_plain": "AP 减普通微调（95 %）",
        "reference": "参照：{label}，普通微调的 {num} 种设置中 AP 最高的一种。",
        "ranked_tasks": "没有共同的种子：按 {num} 个任务的最后得分的平均值排名；1 为最好。",
        "compared": "比较",
        "compared_note": "题目与种子成对比较。* 表示经 Holm 校正（对同一张表的各行）后在 5 % 水平上差别显著。",
        "figure": "指标",
        "exam": "评测（最后一轮之后）",
        "change": "变化",
        "gained": "由错变对",
        "lost_items": "由对变错",
        "flips": "对错发生变化的题目",
        "setting": "设置",
        "browser": "题目与作答",
        "browser_note": "每个评测的几道题（按编号的哈希选取）；每个方法取第一次运行。各列为各轮。"
        "绿色：对；红色：错；橙色：部分正确；灰色：未评分。",
        "question": "问题",
        "expected": "标准答案",
        "contents": "目录",
        "skip": "跳到结论",
        "lost": "普通微调（{label}）损失最大的能力是 {exam}：{value} 个百分点。",
        "one_run": "每个方法只有一次运行：区间只反映题目的差别，换种子结果可能不同。排名之前请增加随机种子。",
        "seeds": "随机种子的平均值（{counts}）；± 是 95 % 区间（对题目和种子）的一半。",
        "seeds_a_row": "每行 {counts} 个种子",
        "or": " 或 ",
        "performance": "性能",
        "stability": "稳定性",
        "efficiency": "效率",
        "cost": "成本",
        "learner": "方法",
        "way": "学习途径",
        "way_weights": "权重",
        "way_prompt": "提示词",
        "matrix": "矩阵 R",
        "matrices": "矩阵 R：每一轮（行）之后各评测（列）的得分",
        "guessing": "随机猜测",
        "matrices_note": "百分数。第一行是随机猜测的得分，第二行是原始模型。有边框：刚学完该任务。"
        "斜线：本轮不评测。*：有答案未评分。",
        "untouched": "原始模型",
        "tasks": "各任务随轮的变化",
        "abilities": "课程未涉及的通用能力",
        "curves_note": "每一轮之后的百分数（0 是原始模型）。竖线是学习该任务的轮，点状线为随机猜测水平。",
        "abilities_note": "每一轮之后的百分数（0 是原始模型），对同一能力的各评测取平均。",
        "spec": "完整配置",
        "provenance": "来源",
        "definitions": "定义",
        "glossary": "术语表",
        "glossary_rows": "轮（lesson） | 两次评测之间所教的内容，从 1 到 T；第 0 轮是原始模型（未经本次学习）\n"
        "任务（task） | 一轮所学的内容，有自己的评测\n"
        "任务流（stream） | 按顺序排列的各轮\n"
        "评测（exam） | 每一轮之后都问的一组固定题目\n"
        "矩阵 R | 每一轮（行）之后各评测（列）的得分\n"
        "随机猜测 | 随机作答的期望得分\n"
        "上下界（bound） | 标出各方法所处范围两端的参照，例如 joint（一次学全部数据）与 frozen（不学习）\n"
        "普通微调 | sft：逐轮学习，不采取任何抗遗忘措施\n"
        "种子（seed） | 决定数据顺序与初始化的数；换种子可看出结果的波动\n"
        "95 % 区间 | 换一批题目和种子时，均值在 100 次中有 95 次落入的范围",
        "signs": "得分为百分数。FM 为正 = 遗忘；BWT、GAD、IFD、LCD 为负 = 损失；– 表示无定义。"
        "任务之间毫无共同之处时，FWT 说明不了问题。"
        "粗体：各方法中最好的值，以及与它不能区分（5 %）的值；都不能区分时不用粗体。上下界用斜体，从不加粗。",
        "seeds_of": "个种子",
        "stream": "任务流",
        "stream_note": "每一轮学什么，以及与上一轮相比变了什么。",
        "lesson": "轮",
        "lessons": "轮",
        "tasks_taught": "任务",
        "moved": "变化",
        "examples": "样本",
        "labels": "标签",
        "kind": "类型",
        "language": "语言",
        "domain": "领域",
        "missing": "本机没有，已跳过：{tasks}。",
        "dropped": "因为有评测问同样的问题而去掉的样本：{counts}。",
        "similar": "任务的相似度",
        "ability": "能力",
        "lost_in": "从第几轮起显著下降",
        "left": "最后剩余（95 %）",
        "retention": "各项能力还剩多少",
        "retention_note": "每一轮之后的百分数（0 是原始模型）。下降：得分显著低于原始模型的第一轮"
        "（差值对题目、题组和种子的 95 % 区间）。剩余：最后得分除以原始模型的得分。",
        "first_lost": "{label} 最先下降的能力：{abilities}（第 {lesson} 轮）。",
        "each_exam": "逐项评测",
        "lengths": "按长度看长上下文",
        "lengths_note": "最后一轮之后的百分数；横轴是问题的长度（用模型自己的分词器计算，不超过所示词元数）。"
        "放不下的问题，其中间部分被截去。",
        "up_to": "不超过词元数",
        "answers": "答案数",
        "after_last": "最后一轮之后",
        "similar_note": "各轮提示词的 TF-IDF 向量的余弦，乘以 100。",
        "item_changes": "遗忘与新掌握的题目",
        "item_changes_note": "到任务流结束时，原来掌握而现在不掌握（遗忘）或原来不掌握而现在掌握（新掌握）"
        "的题目所占百分比（95 % 区间）：任务从教授它的那一轮算起，能力从原始模型算起。"
        "已校正猜测：一道题要么掌握、要么猜，前后两次猜测相互独立。直接计数：对变错、错变对。",
        "item_changes_mean": "全部任务（平均）",
        "item_changes_each": "每个任务",
        "forgotten_head": "遗忘",
        "gained_head": "新掌握",
        "as_counted": "直接计数",
        "exam_or_ability": "任务或能力",
        "items_head": "题数",
        "since": "自第几轮",
        "graded_between": "无定义（答案的得分介于对错之间）：{exams}。",
    },
}

# Words of cards and results that tables show: kinds of tasks, what changes in a stream, abilities.
WORDS = {
    "classification": "分类",
    "qa": "问答",
    "generation": "生成",
    "task": "任务",
    "domain": "领域",
    "class": "类别",
    "recurring": "重现",
    "nonsense": "虚构世界",
    "general": "通用",
    "instruction": "指令遵循",
    "knowledge": "知识",
    "mathematics": "数学",
    "reasoning": "推理",
    "code": "代码",
    "Chinese": "中文",
    "long context": "长上下文",
    "long recall": "长回忆",
}


def word(value: str, texts: Mapping[str, str]) -> str:
    """Return a word of cards and results in the language of the texts; one that is not known stays.

    Example:
        >>> word("long context", TRANSLATIONS["zh"]), word("trec6", TRANSLATIONS["zh"])
        ('长上下文', 'trec6')
    """
    return WORDS.get(value, value) if texts is TRANSLATIONS["zh"] else value
