"""The report's words, in English and Chinese."""

from __future__ import annotations

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "found": "What was found",
        "best": "Highest average performance after the last lesson: {label}, {value} %.",
        "forgot": "Most forgetting of its own tasks: {label}, {value} points.",
        "beaten": "Did not beat plain fine-tuning here: {labels}.",
        "lost": "Plain fine-tuning ({label}) lost most on the ability {exam}: {value} points.",
        "one_run": "One run each: differences may be chance. Add seeds before ranking methods.",
        "seeds": "Means over {counts} seeds; ± is the standard deviation over seeds.",
        "performance": "Performance",
        "stability": "Stability",
        "cost": "Efficiency and cost",
        "learner": "learner",
        "matrices": "Matrix R: score on each exam (column) after each number of lessons (row)",
        "matrices_note": "Percent. Row 0 is the untouched model; a cell right after its own lesson is outlined; "
        "hatched: not due; *: some answers could not be marked.",
        "untouched": "untouched",
        "tasks": "Tasks over lessons",
        "abilities": "Abilities that no lesson teaches",
        "curves_note": "Percent after each number of lessons; "
        "the bar marks the task's own lesson, the dotted line is chance.",
        "spec": "Resolved specs",
        "provenance": "Provenance",
        "definitions": "Definitions",
        "signs": "Scores in percent. FM positive = forgot; BWT, GAD, IFD, LCD negative = lost; – is undefined. "
        "Best value in bold.",
        "seeds_of": "seeds",
    },
    "zh": {
        "found": "结论",
        "best": "最后一课之后平均表现最高:{label},{value} %。",
        "forgot": "对自己任务遗忘最多:{label},{value} 个百分点。",
        "beaten": "在这里没有胜过普通微调:{labels}。",
        "lost": "普通微调({label})损失最大的能力是 {exam}:{value} 个百分点。",
        "one_run": "每个方法只有一次运行:差异可能是偶然的。排名之前请增加随机种子。",
        "seeds": "{counts} 个随机种子的平均值;± 是种子间的标准差。",
        "performance": "性能",
        "stability": "稳定性",
        "cost": "效率与成本",
        "learner": "学习方法",
        "matrices": "矩阵 R:学完若干课(行)之后各考试(列)的得分",
        "matrices_note": "百分数。第 0 行是未训练的模型;刚学完该任务的格子有边框;斜线:不需要考;*:有答案无法评分。",
        "untouched": "未训练",
        "tasks": "各任务随课程的变化",
        "abilities": "没有课程教授的能力",
        "curves_note": "学完若干课之后的百分数;竖线是该任务自己的课,点线是随机水平。",
        "spec": "完整配置",
        "provenance": "来源",
        "definitions": "定义",
        "signs": "得分为百分数。FM 为正 = 遗忘;BWT、GAD、IFD、LCD 为负 = 损失;– 表示无定义。最好的值为粗体。",
        "seeds_of": "个种子",
    },
}
