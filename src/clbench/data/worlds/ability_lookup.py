"""Lookups: questions that the prompt answers, which shows 1 to 16 facts in one of several forms.

The forms are those in which learners show what was taught: sentences and pages of notes, documents, pairs, tables,
earlier turns of the conversation, and rules. Names are those of the worlds (`lexicon.names`). Early in training most
prompts hold names that share no syllable or character: a name of two tokens can then be found by one of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from numpy.random import Generator

from clbench.data.worlds import ability_wordings as wordings
from clbench.data.worlds import lexicon
from clbench.data.worlds.ability_reading import CLOSED
from clbench.data.worlds.ability_scenes import Cell, Scene, Turn, between, draw, pick
from clbench.data.worlds.lexicon import LANGUAGES, Language

FORMS = ("sentences", "document", "pairs", "table", "turns", "rules", "missing")
NUMBERS = (1, 2, 4, 8, 16)
CELLS: tuple[Cell, ...] = tuple(
    Cell(form, num, lang, wording)
    for form in FORMS
    for num in NUMBERS
    for lang in LANGUAGES
    for wording in ("taught", "held-out")
)
SHARES = (*("sentences",) * 5, *("document",) * 2, *("pairs",) * 2, "table", *("turns",) * 4, *("rules",) * 2)
FIRST = (*("sentences",) * 2, *("pairs",) * 4, *("turns",) * 2)  # the forms that come first, in plain wordings
FIRST_UNTIL = 0.3
NAMED = ("friend", "leader", "capital")  # relations whose values are names
GROWTH: tuple[tuple[float, tuple[int, ...]], ...] = (
    (0.12, (2, 3, 4)),
    (0.4, (2, 4, 6, 8)),
    (0.7, (2, 4, 6, 8, 12, 16)),
    (2.0, (1, 2, 3, 4, 5, 6, 8, 8, 10, 12, 14, 16, 16)),
)
PAIR_FORMS = (
    "{name} {relation}={value}",
    "{name} {relation}: {value}",
    "{relation} {name} -> {value}",
    "{name}, {relation}, {value}",
    "{name}={value}",
    "{name}: {value}",
    "{name} -> {value}",
)


@dataclass(frozen=True)
class Fact:
    """A name, a relation by its key in `lexicon.RELATIONS`, and the relation's value."""

    name: str
    relation: str
    value: str


@dataclass(frozen=True)
class Prompted:
    """How one scene is drawn.

    Attributes:
        lang: The language.
        num: Facts shown.
        level: How far training is, in [0, 1]; an exam is beyond it.
        wording: The exam's wording of questions; None composes wordings, for training.
        only: The one wording of a training scene.
    """

    lang: Language
    num: int
    level: float = 1.0
    wording: str | None = None
    only: str = ""

    def ask(self, rng: Generator) -> str:
        """Return the wording of a question."""
        if self.wording is None:
            if self.only:
                return self.only
            if self.level < FIRST_UNTIL and rng.random() < 0.4:
                return "the {relation} of {name}" if self.lang == "en" else "{relation}{name}"
            if rng.random() < (0.1 if self.level < FIRST_UNTIL else 0.6 if self.level < 0.7 else 1.0):
                return wordings.composed(rng, self.lang)
            return wordings.asked(rng, self.lang, held_out=False)
        return wordings.asked(rng, self.lang, self.wording == "held-out")


def lookup(rng: Generator, lang: Language, level: float) -> Scene:
    """Return a scene for training: a form drawn at random, more facts as training goes on."""
    sizes = next(sizes for bound, sizes in GROWTH if level < bound)
    shares = FIRST if level < FIRST_UNTIL else SHARES
    return _scene(rng, pick(rng, shares), Prompted(lang, pick(rng, sizes), level))


def in_cell(rng: Generator, cell: Cell) -> Scene:
    """Return a scene for the exam: exactly the facts, form, language and wording of a cell."""
    assert cell.form is not None and cell.length is not None and cell.language is not None  # a cell of `CELLS`
    return _scene(rng, cell.form, Prompted(cell.language, cell.length, wording=cell.wording))


def _scene(rng: Generator, form: str, how: Prompted) -> Scene:
    if form == "rules":
        return _rules(rng, how)
    facts = _facts(rng, how)
    if form == "turns":
        return _turns(rng, facts, how)
    show = {"pairs": _pairs, "table": _table}.get(form, _page)
    document = _page(rng, facts, how, fillers=True) if form == "document" else show(rng, facts, how)
    if form == "pairs" and how.wording is None and rng.random() < (0.7 if how.level < FIRST_UNTIL else 0.2):
        document, how = _bare(rng, facts, how)
    turns = [_missing(rng, facts, how)] if form == "missing" else _questions(rng, facts, how)
    return Scene(document, tuple(turns))


# --- facts and questions ------------------------------------------------------------------------------------------


def _names(rng: Generator, how: Prompted, num: int) -> list[str]:
    """Return different names; in most prompts of early training they share no part, and some are of one part."""
    parts = lexicon.CHARACTERS if how.lang == "zh" else lexicon.SYLLABLES
    apart = 0.0 if how.wording else 0.8 if how.level < 0.35 else 0.5 if how.level < 0.7 else 0.2
    drawn = rng.random()
    if drawn >= apart or 2 * num > len(parts):
        return lexicon.names(rng, num, how.lang)
    drawn_parts = draw(rng, parts, 2 * num)
    if how.level < 0.2 and drawn < 0.25:
        found = drawn_parts[:num]
    else:
        found = [a + b for a, b in zip(drawn_parts[:num], drawn_parts[num:], strict=True)]
    return found if how.lang == "zh" else [name.capitalize() for name in found]


def _facts(rng: Generator, how: Prompted) -> list[Fact]:
    """Return facts of one to four relations; in training, values may be names too."""
    most = min(how.num, pick(rng, (1, 1, 1, 2, 2, 3, 4)))
    if how.level < FIRST_UNTIL and rng.random() < 0.7:  # so that only the name tells which
        most = 1
    known = tuple(CLOSED) if how.wording else (*CLOSED, *NAMED)
    relations = draw(rng, known, most)
    num_people = -(-how.num // most)
    names = _names(rng, how, 2 * num_people)
    people, strangers = names[:num_people], names[num_people:]
    values = {
        r: draw(rng, lexicon.words(CLOSED[r], how.lang), pick(rng, (3, 4, 6, 16))) for r in relations if r in CLOSED
    }
    values |= {r: (people if rng.random() < 0.5 else strangers) for r in relations if r in NAMED}
    facts = [Fact(p, r, pick(rng, values[r])) for p in people for r in relations][: how.num]
    return draw(rng, facts, len(facts)) if rng.random() < 0.6 else facts


def _word(relation: str, lang: Language) -> str:
    return lexicon.RELATIONS[relation][lang]


def _slots(fact: Fact, lang: Language) -> dict[str, str]:
    return {"name": fact.name, "relation": _word(fact.relation, lang), "value": fact.value}


def _choices(fact: Fact, facts: list[Fact], lang: Language) -> tuple[str, ...]:
    shown = sorted({f.value for f in facts if f.relation == fact.relation})
    listed = lexicon.words(CLOSED[fact.relation], lang) if fact.relation in CLOSED else shown
    return (*listed, wordings.NOT_STATED[lang])


def _key(facts: list[Fact], asked: Fact) -> str:
    listed = sorted(f"{f.name} {f.relation} {f.value}" for f in facts)
    return f"{' '.join(listed)} ? {asked.name} {asked.relation}"


def _questions(rng: Generator, facts: list[Fact], how: Prompted) -> list[Turn]:
    """Return a question on every fact, in random order; in training some on others, and some for the name."""
    turns = _restated(rng, facts, how)
    same = how.ask(rng) if rng.random() < 0.2 else None
    for fact in draw(rng, facts, len(facts)):
        drawn = 1.0 if how.wording else rng.random()
        if drawn < 0.1:
            turns.append(_missing(rng, facts, how))
        elif drawn < 0.15:
            turns += _backwards(facts, fact, how.lang)
        ask = (same or how.ask(rng)).format_map(_slots(fact, how.lang))
        if how.wording is None and rng.random() < 0.15:
            turns.append(_sentence(ask, facts, fact, how.lang))
        else:
            turns.append(Turn(ask, fact.value, _key(facts, fact), _choices(fact, facts, how.lang)))
    return turns


def _restated(rng: Generator, facts: list[Fact], how: Prompted) -> list[Turn]:
    """Return, now and then in training, the order to say everything again in another order: many lookups at once."""
    if how.wording or len(facts) < 2 or rng.random() > 0.35:
        return []
    form = pick(rng, (*wordings.STATED[how.lang], *PAIR_FORMS[:3]))
    joiner = pick(rng, (" ", "\n"))
    said = joiner.join(form.format_map(_slots(f, how.lang)) for f in draw(rng, facts, len(facts)))
    return [Turn(pick(rng, wordings.RESTATE[how.lang]), said, _key(facts, facts[0]), exam=False)]


def _sentence(ask: str, facts: list[Fact], fact: Fact, lang: Language) -> Turn:
    """Return a question that wants a whole sentence, which names first what is looked up."""
    said = wordings.STATED[lang][0].format_map(_slots(fact, lang))
    return Turn(ask + wordings.IN_A_SENTENCE[lang], said, _key(facts, fact), exam=False)


def _missing(rng: Generator, facts: list[Fact], how: Prompted) -> Turn:
    """Return a question that the prompt does not answer: on a name or on a relation that it does not show."""
    known = {(f.name, f.relation) for f in facts}
    shown = facts[between(rng, 0, len(facts) - 1)]
    while True:
        other = pick(rng, tuple(CLOSED))
        if rng.random() < 0.3:
            asked = Fact(shown.name, other, "")
        else:
            relation = shown.relation if shown.relation in CLOSED else other
            asked = Fact(lexicon.name(rng, how.lang), relation, "")
        if (asked.name, asked.relation) not in known:
            break
    ask = how.ask(rng).format_map(_slots(asked, how.lang))
    return Turn(ask, wordings.NOT_STATED[how.lang], _key(facts, asked), _choices(asked, facts, how.lang))


def _backwards(facts: list[Fact], fact: Fact, lang: Language) -> list[Turn]:
    """Return the question for the name, where only one name has that value."""
    if sum((f.relation, f.value) == (fact.relation, fact.value) for f in facts) > 1:
        return []
    rel = _word(fact.relation, lang)
    ask = f"Whose {rel} is {fact.value}?" if lang == "en" else f"谁的{rel}是{fact.value}?"
    return [Turn(ask, fact.name, _key(facts, fact), exam=False)]


# --- forms ----------------------------------------------------------------------------------------------------------


def _sentences(rng: Generator, facts: list[Fact], how: Prompted) -> list[str]:
    plain = how.wording is not None or rng.random() < (0.9 if how.level < FIRST_UNTIL else 0.5)
    forms = wordings.STATED[how.lang] if plain else wordings.SAID[how.lang]
    same = pick(rng, forms) if how.wording or rng.random() < 0.7 else None
    return [(same or pick(rng, forms)).format_map(_slots(f, how.lang)) for f in facts]


def _filler(rng: Generator, lang: Language) -> str:
    other, another = lexicon.names(rng, 2, lang)
    kinds = ("weather", "place", "animal", "object", "food")
    drawn = {kind: pick(rng, lexicon.words(kind, lang)) for kind in kinds}
    return pick(rng, wordings.FILLERS[lang]).format(other=other, another=another, **drawn)


def _page(rng: Generator, facts: list[Fact], how: Prompted, fillers: bool = False) -> str:
    """Return sentences as a text, lines, or a page of notes as learners keep them."""
    lines = _sentences(rng, facts, how)
    if fillers:
        for _ in range(between(rng, 1, max(2, len(lines) // 2))):
            lines.insert(between(rng, 0, len(lines)), _filler(rng, how.lang))
    return _laid_out(rng, lines, how.lang)


def _laid_out(rng: Generator, lines: list[str], lang: Language) -> str:
    layout = pick(rng, ("text", "text", "spaced", "lines", "lines", "notes", "numbers"))
    if layout in ("text", "spaced"):
        text = ("" if lang == "zh" and layout == "text" else " ").join(lines)
    elif layout == "numbers":
        text = "\n".join(f"{i}. {line}" for i, line in enumerate(lines, 1))
    else:
        text = "\n".join(f"- {line}" if layout == "notes" else line for line in lines)
    if layout == "notes" or rng.random() < 0.2:
        text = f"{pick(rng, wordings.HEADINGS[lang])}\n{text}"
    return f"{text}\n" if layout == "notes" or rng.random() < 0.2 else text


def _pairs(rng: Generator, facts: list[Fact], how: Prompted) -> str:
    """Return pairs, one a line, or question and answer in two lines as learners show them."""
    form = pick(rng, PAIR_FORMS)
    if rng.random() < 0.3:
        ask = pick(rng, wordings.WHOLE[how.lang])
        return "\n\n".join(f"{ask}\n-> {{value}}".format_map(_slots(f, how.lang)) for f in facts) + "\n"
    if len({f.relation for f in facts}) > 1:
        form = pick(rng, PAIR_FORMS[:4])
    joiner = "\n" if rng.random() < 0.7 else "; " if how.lang == "en" else ";"
    return joiner.join(form.format_map(_slots(f, how.lang)) for f in facts)


def _bare(rng: Generator, facts: list[Fact], how: Prompted) -> tuple[str, Prompted]:
    """Return pairs whose questions look as they do, and how to ask so: the shortest way from a name to its value."""
    single = len({f.relation for f in facts}) == 1
    form = pick(rng, PAIR_FORMS[4:] if single else PAIR_FORMS[:4])
    document = "\n".join(form.format_map(_slots(f, how.lang)) for f in facts)
    short = form.split("{value}")[0].rstrip(" =:,->")
    return document, replace(how, only=short if rng.random() < 0.5 else form.replace("{value}", "?"))


def _table(rng: Generator, facts: list[Fact], how: Prompted) -> str:
    """Return a table with a row for each name and a column for each relation; a dash where nothing is known."""
    people = list(dict.fromkeys(f.name for f in facts))
    relations = list(dict.fromkeys(f.relation for f in facts))
    known = {(f.name, f.relation): f.value for f in facts}
    rows = [["name" if how.lang == "en" else "名字", *(_word(r, how.lang) for r in relations)]]
    rows += [[p, *(known.get((p, r), "-") for r in relations)] for p in people]
    line = pick(rng, ("{}", "{}", "| {} |"))
    return "\n".join(line.format(" | ".join(row)) for row in rows)


def _turns(rng: Generator, facts: list[Fact], how: Prompted) -> Scene:
    """Return earlier turns: questions that were answered, as learners show them, or statements that were heard."""
    heard = rng.random() < 0.2
    sentence = not how.wording and rng.random() < 0.1
    told: list[Turn] = []
    ask, said = pick(rng, wordings.WHOLE[how.lang]), pick(rng, wordings.STATED[how.lang])
    mixed = rng.random() < 0.5
    for fact in facts:
        slots = _slots(fact, how.lang)
        if heard:
            told.append(Turn(said.format_map(slots), "Noted." if how.lang == "en" else "知道了。", ""))
            continue
        one = pick(rng, wordings.WHOLE[how.lang]) if mixed else ask
        answer = wordings.STATED[how.lang][0].format_map(slots) if sentence else fact.value
        told.append(Turn(one.format_map(slots), answer, ""))
    turns = _questions(rng, facts, how)
    if sentence and not heard:
        turns = _as_sentences(facts, turns, how.lang)
    return Scene("", tuple(turns), tuple(told))


def _as_sentences(facts: list[Fact], turns: list[Turn], lang: Language) -> list[Turn]:
    """Return the questions on facts that are shown, answered by a whole sentence; exams ask none of them."""
    said = {_key(facts, f): wordings.STATED[lang][0].format_map(_slots(f, lang)) for f in facts}
    return [Turn(t.question, said[t.key], t.key, exam=False) for t in turns if t.choices and t.key in said]


def _rules(rng: Generator, how: Prompted) -> Scene:
    """Return the rules of a code, and goods that exactly one of them is for."""
    lang, kinds = how.lang, ("size", "colour", "material")
    domain = {k: lexicon.words(k, lang) for k in kinds}
    free = {pick(rng, domain[k]) for k in kinds}  # a value of each feature that no rule names
    ruled = draw(rng, [(k, v) for k in kinds for v in domain[k] if v not in free], how.num)
    gates_drawn = _names(rng, how, 1 + max(2, min(8, how.num)))
    code, gates = gates_drawn[0], gates_drawn[1:]
    gate = {(k, v): pick(rng, gates) for k, v in ruled}
    form = pick(rng, wordings.RULE_SAID[lang]) if how.wording is None else wordings.RULE_SAID[lang][0]
    lines = [form.format(code=code, what=v, gate=g) for (_, v), g in gate.items()]
    document = _laid_out(rng, lines, lang)
    asked = wordings.RULE_HELD_OUT if how.wording == "held-out" else wordings.RULE_ASKED
    forms = asked[lang][:3] if how.wording else asked[lang]
    turns: list[Turn] = []
    if how.wording is None and len(lines) > 1 and rng.random() < 0.3:
        again = " ".join(draw(rng, lines, len(lines)))
        turns.append(Turn(pick(rng, wordings.RESTATE[lang]), again, document, exam=False))
    named = {v for _, v in ruled}
    for kind, value in draw(rng, ruled, len(ruled)):
        goods = {k: pick(rng, [v for v in domain[k] if v not in named]) for k in kinds} | {kind: value}
        ask = pick(rng, forms).format(code=code, **goods)
        if how.wording is None and rng.random() < 0.25:
            ask = _plain_rule(rng, code, value, lang)
        turns.append(Turn(ask, gate[kind, value], f"{document} ? {ask}", tuple(sorted(set(gates)))))
    return Scene(document, tuple(turns))


def _plain_rule(rng: Generator, code: str, value: str, lang: Language) -> str:
    """Return a question that names what the rule names and nothing else."""
    en = (f"Code {code}: where do {value} goods go?", f"Which gate is for {value} goods by code {code}?")
    zh = (f"规则{code}:{value}的东西去哪里?", f"按规则{code},{value}的东西去哪个门?")
    return pick(rng, en if lang == "en" else zh)
