"""No generated stream asks one question with two answers: nobody could keep both."""

import pytest

from clbench.data.streams.stream import open_stream

STREAMS = ("similar-0", "similar-5", "similar-10", "increments-1", "mixed-worlds-2", "transfer-worlds", "worlds-2")


@pytest.mark.parametrize("name", STREAMS)
def test_exams_of_a_stream_agree(name):
    answers = {}
    for task in open_stream(name, None).tasks:
        for example in task.exam:
            question = tuple(message.content for message in example.prompt)
            assert answers.setdefault(question, example.targets) == example.targets, (task.name, question)
