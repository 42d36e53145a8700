"""Grading one answer with a model as the judge; whatever it costs, the verdict is recomputed from the statuses."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from clbench.context import public
from clbench.context.public_prompts import filled, public_list, public_prompt
from clbench.context.rows import Raw, messages_of, rubrics_of
from clbench.core.chat import Ask, AskError
from clbench.scoring.rubric.judge import Grade, JudgeSettings, Judging, See
from clbench.scoring.rubric.prompts import Seen, says_nothing
from clbench.scoring.rubric.thoughts import without_thoughts
from clbench.scoring.rubric.verdicts import UNJUDGED, PublicVerdict, State, label_of, read_public, score_of


async def grade(row: Raw, settings: JudgeSettings, ask: Ask, root: str | None = None) -> Grade:
    """Grade an answer.

    Args:
        row: The answer, with its rubrics.
        settings: How.
        ask: Asks the judge.
        root: The random root, given when a grade is made again from recorded replies.

    Returns:
        The grade. A provider's error that concerns the row alone makes a state, no exception.

    Raises:
        UserError: The run cannot go on.
    """
    found = Grade(root=root or secrets.token_hex(8))
    asking = _Asking(row, Judging(settings, ask, found))
    return await (asking.in_public_form() if settings.public else asking.in_our_form())


def state_before(row: Raw) -> tuple[State, str]:
    """Return the state of an answer before it is judged, and a flag that explains it."""
    text = row.get("model_output")
    state = row.get("state")
    if state in ("truncated", "refused", "overflow", "infra_error", "missing", "empty"):
        return state, ""
    if not isinstance(text, str) or not text.strip():
        return "empty", ""
    answer, _ = without_thoughts(text)
    return ("empty", "says nothing") if says_nothing(answer) else ("ok", "")


def seen_of(row: Raw, sees: tuple[See, ...]) -> Seen:
    """Return what a judge is shown: the answer without thoughts, and the parts of the conversation that it may see."""
    texts = [(str(m.get("role")), str(m.get("content") or "")) for m in messages_of(row)]
    last = max((k for k, (role, _) in enumerate(texts) if role == "user"), default=-1)
    earlier = "\n\n".join(f"{role}: {text}" for role, text in texts[: max(last, 0)])
    answer, _ = without_thoughts(str(row.get("model_output") or ""))
    return Seen(
        response=answer,
        task=texts[last][1] if "task" in sees and last >= 0 else "",
        context=earlier if "context" in sees else "",
        reference=str(row.get("ref_answer") or "") if "reference" in sees else "",
    )


def answer_digest(row: Raw) -> str:
    """Return a digest of what is graded: the answer, its state and the rubrics."""
    given = [row.get("model_output"), row.get("state"), row.get("rubrics")]
    return hashlib.sha256(repr(given).encode("utf-8", "backslashreplace")).hexdigest()[:32]


@dataclass
class _Asking:
    row: Raw
    judging: Judging

    @property
    def settings(self) -> JudgeSettings:
        return self.judging.settings

    @property
    def grade(self) -> Grade:
        return self.judging.grade

    async def in_our_form(self) -> Grade:
        grade = self.grade
        grade.state, flag = state_before(self.row)
        grade.flags += [flag] if flag else []
        if grade.state != "ok":
            grade.rationale = f"not judged: the answer is {grade.state}"
            return grade
        return await self.judging.by_rubrics(rubrics_of(self.row), seen_of(self.row, self.settings.sees))

    async def in_public_form(self) -> Grade:
        """Ask as the public script does; read the reply as it does, and, beside it, correctly."""
        grade, text = self.grade, self.row.get("model_output")
        if not isinstance(text, str) or not text.strip():
            grade.state = state_before(self.row)[0]
            grade.public = public.written(public.NO_OUTPUT, [], 0)
            grade.rationale = f"not judged: the answer is {grade.state}"
            return grade
        rubrics = rubrics_of(self.row)
        listed, template = public_list(self.row), self.settings.template
        prompt = public_prompt(listed, text) if template is None else filled(template, listed, text)
        last: str | None = None
        try:
            last = await self._until_public_script_reads(prompt)
        except AskError as error:
            grade.rationale = str(error)
        self._correct(read_public(last or ""), rubrics)
        return grade

    async def _until_public_script_reads(self, prompt: str) -> str | None:
        """Ask until the public script could read the reply, as often as it would; return the last text."""
        tries, last = self.settings.tries, None
        unread = nothing = 0
        while unread < tries and nothing < tries * tries:
            reply = await self.judging.asked({"messages": [{"role": "user", "content": prompt}]})
            if not reply.text:
                nothing += 1
                continue
            last = reply.text
            reading = public.read_reply(last)
            if reading.outcome == "graded":
                self.grade.public = reading.fields
            elif reading.outcome == "crashed":
                self.grade.flags.append("ends the public script with a traceback")
            if reading.outcome != "asked again":
                break
            unread += 1
        return last

    def _correct(self, verdict: PublicVerdict | None, rubrics: list[str]) -> None:
        grade = self.grade
        grade.state = state_before({**self.row, "state": self.row.get("state")})[0]
        if grade.state != "ok":
            return
        if verdict is None or not rubrics:
            grade.state, grade.status = "judge_error", [UNJUDGED] * len(rubrics)
            grade.rationale = grade.rationale or f"the judge's reply holds no verdict{self.judging.last_said()}"
            return
        grade.status = [label_of(s, self.settings.na) for s in verdict.status]
        grade.judge_score, grade.rationale = verdict.score, verdict.rationale
        grade.flags += [f"judge reply {flag}" for flag in verdict.flags]
        if len(verdict.status) != len(rubrics):  # which rubric a label is of is then a guess
            grade.flags.append("number of statuses")
            grade.status = [UNJUDGED] * len(rubrics)
        elif UNJUDGED in grade.status:
            grade.flags.append("unclear label")
        grade.score = score_of(grade.status, len(rubrics))
        grade.state = "judge_error" if UNJUDGED in grade.status else "ok"
