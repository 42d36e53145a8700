"""Judging one answer by its rubrics with a model; the score is recomputed from the statuses it gives."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from clbench.core.chat import Ask, AskError, Reply, Usage
from clbench.core.keys import rng
from clbench.scoring.rubric.prompts import (
    VERSION,
    Requirement,
    Seen,
    is_quoted,
    messages_for,
    neutral,
    read_verdicts,
    reply_schema,
    requirements,
)
from clbench.scoring.rubric.verdicts import UNJUDGED, NaPolicy, State, label_of, score_of

Call = dict[str, Any]
SHOWN = 80  # characters of a reply that holds no verdict
See = Literal["response", "task", "context", "reference"]


@dataclass(frozen=True)
class JudgeSettings:
    """How answers are judged.

    Attributes:
        model: The judge.
        effort: Its reasoning effort, None sends none.
        batch: Requirements in one call; 0 asks for all at once.
        sees: What it is shown beside the response.
        na: What an "n/a" counts as.
        votes, permutations: Each requirement is asked `votes * permutations` times, every permutation in another
            order; the majority counts, and a tie is a no.
        public: Ask as the public script does and keep both readings.
        template: The prompt for that, None for ours in its outline.
        tries: How often the public script would ask.
        structured: Ask the provider to hold replies to a form.
    """

    model: str = "gpt-5.1"
    effort: str | None = None
    batch: int = 0
    sees: tuple[See, ...] = ("response",)
    na: NaPolicy = "fail"
    votes: int = 1
    permutations: int = 1
    public: bool = False
    template: str | None = None
    tries: int = 3
    structured: bool = True

    def identity(self) -> dict[str, Any]:
        """Return what makes its verdicts comparable with others."""
        prompt = "public outline" if self.template is None else hashlib.sha256(self.template.encode()).hexdigest()[:16]
        parts = {**vars(self), "template": prompt if self.public else None, "version": VERSION, "sees": list(self.sees)}
        return {name: value for name, value in parts.items() if name not in ("tries", "structured")}


def settings_from(identity: Mapping[str, Any]) -> JudgeSettings:
    """Return the settings that an identity names, to read recorded replies as they were asked for."""
    names = ("model", "effort", "batch", "na", "votes", "permutations", "public")
    return JudgeSettings(**{name: identity[name] for name in names}, sees=tuple(identity["sees"]))


@dataclass
class Grade:
    """A grade.

    Attributes:
        state: "ok" if it was judged or needs no judge; else what is wrong.
        status: A label for each rubric.
        score: 1 or 0, from the statuses.
        rationale: The judge's reasons, or why there are none.
        judge_score: The judge's own score, as it wrote it.
        flags: What a reader should know.
        usage: Tokens.
        root: The random root of marks and ids.
        calls: Replies as they came, from which the grade can be made again.
        public: The fields that the public script would write, None if it would write no row.
        again: Of a grade without a verdict: whether the same request may succeed later.
    """

    state: State = "ok"
    status: list[str] = field(default_factory=list[str])
    score: int = 0
    rationale: str = ""
    judge_score: Any = None
    flags: list[str] = field(default_factory=list[str])
    usage: Usage = field(default_factory=Usage)
    root: str = ""
    calls: list[Call] = field(default_factory=list[Call])
    public: dict[str, Any] | None = None
    again: bool = False


def as_record(found: Grade) -> dict[str, Any]:
    """Return a grade as the log holds it."""
    return {
        "state": found.state,
        "score": found.score,
        "requirement_status": found.status,
        "grading_rationale": found.rationale,
        "judge_score": found.judge_score,
        "flags": found.flags,
        "judge_usage": found.usage.plain(),
        "root": found.root,
        "calls": found.calls,
        "public": found.public,
    }


@dataclass
class Judging:
    """One answer on its way to a grade.

    Attributes:
        settings: How it is judged.
        ask: Asks the judge.
        grade: What comes of it; its state is "ok" when judging begins.
    """

    settings: JudgeSettings
    ask: Ask
    grade: Grade

    async def by_rubrics(self, rubrics: Sequence[str], seen: Seen) -> Grade:
        """Ask for a verdict on each rubric. A provider's error that concerns the row alone makes a state, no exception.

        Args:
            rubrics: Their texts, none blank.
            seen: What the judge is shown.

        Raises:
            UserError: The run cannot go on.
        """
        grade = self.grade
        if not rubrics:
            grade.state, grade.rationale = "judge_error", "the row has no rubrics"
            return grade
        try:
            verdicts = [await self._one_vote(list(enumerate(rubrics)), seen, v) for v in range(self._num_votes())]
        except AskError as error:
            grade.state, grade.rationale, grade.again = "judge_error", str(error), error.again
            grade.status = [UNJUDGED] * len(rubrics)
            return grade
        grade.status = [_majority([v.get(k) for v in verdicts]) for k in range(len(rubrics))]
        if UNJUDGED in grade.status:
            num, said = grade.status.count(UNJUDGED), self.last_said()
            grade.state = "judge_error"
            grade.rationale = f"the judge left {num} of {len(rubrics)} requirements without a verdict{said}"
            return grade
        grade.score = score_of(grade.status, len(rubrics))
        return grade

    def _num_votes(self) -> int:
        return self.settings.votes * self.settings.permutations

    async def _one_vote(self, rubrics: list[tuple[int, str]], seen: Seen, vote: int) -> dict[int, str]:
        order = vote % self.settings.permutations
        if order:  # the first order is that of the row
            places = rng(order, len(rubrics), "order of requirements").permutation(len(rubrics))
            rubrics = [rubrics[int(k)] for k in places]
        size = self.settings.batch or len(rubrics)
        verdicts: dict[int, str] = {}
        for start in range(0, len(rubrics), size):
            verdicts |= await self._batch(rubrics[start : start + size], seen)
        return verdicts

    async def _batch(self, rubrics: list[tuple[int, str]], seen: Seen, again: bool = True) -> dict[int, str]:
        """Ask for some requirements; a reply that is cut short is asked for in halves, what lacks once more."""
        reply, asked = await self._call(rubrics, seen)
        if reply.finish_reason == "length" and len(rubrics) > 1:
            half = len(rubrics) // 2
            return await self._batch(rubrics[:half], seen) | await self._batch(rubrics[half:], seen)
        found, flags = read_verdicts(reply.text or "", asked)
        self.grade.flags += [f"judge reply {flag}" for flag in flags]
        unproven = [
            (k, text)
            for k, text in rubrics
            if k in found
            and label_of(found[k]["met"]) == "yes"
            and not is_quoted(found[k].get("quote"), seen.response, text)
        ]
        verdicts = {k: label_of(v["met"], self.settings.na) for k, v in found.items()}
        doubtful = [*unproven, *((k, text) for k, text in rubrics if k not in found)]
        if doubtful and again:
            verdicts |= await self._batch(doubtful, seen, again=False)
        elif unproven:
            self.grade.flags.append("quote not in the answer")
        return verdicts

    async def _call(self, rubrics: list[tuple[int, str]], seen: Seen) -> tuple[Reply, list[Requirement]]:
        settings, number = self.settings, len(self.grade.calls)
        asked = requirements(rubrics, self.grade.root, number)
        if number == 0 and (num := neutral(seen.response)[1]):
            self.grade.flags.append("hidden characters or template marks")
            self.grade.rationale = f"{num} hidden characters or template marks were made harmless"
        body: dict[str, Any] = {"messages": messages_for(asked, seen, self.grade.root, number)}
        form = {"response_format": reply_schema()} if settings.structured else {}
        return await self.asked({**body, **form}), asked

    async def asked(self, body: dict[str, Any]) -> Reply:
        """Return the reply to a request, which is counted and kept."""
        effort = {} if self.settings.effort is None else {"reasoning_effort": self.settings.effort}
        reply = await self.ask({"model": self.settings.model, **body, **effort})
        self.grade.usage = self.grade.usage + reply.usage
        call = {"text": reply.text, "finish_reason": reply.finish_reason, "model": reply.model}
        self.grade.calls.append({**call, **({"refusal": reply.refusal} if reply.refusal else {})})
        if reply.finish_reason == "content_filter" or (reply.refusal and not reply.text):
            self.grade.flags.append("judge refused")
        elif reply.finish_reason == "length":
            self.grade.flags.append("judge reply cut short")
        return reply

    def last_said(self) -> str:
        """Return how the last reply began, to stand behind what it lacks; empty if there was none."""
        if not self.grade.calls:
            return ""
        last = self.grade.calls[-1]
        text = " ".join(str(last.get("refusal") or last["text"] or "").split())
        if not text:
            return "; its last reply is empty"
        if last["finish_reason"] == "length":
            return f"; its last reply, which was cut short, begins {text[:SHOWN]!r}"
        return f"; its last reply begins {text[:SHOWN]!r}"


def _majority(labels: list[str | None]) -> str:
    given = [label for label in labels if label is not None]
    if not given:
        return UNJUDGED
    if len(set(given)) == 1:
        return given[0]
    return "yes" if given.count("yes") * 2 > len(given) else "no"
