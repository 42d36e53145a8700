"""What the stub server answers with in tests of exams at a server: our own engine."""

import threading

import torch

from clbench.core.spec import Machine, ModelSpec
from clbench.models.load import load_net
from clbench.models.stops import before_end, before_stop
from clbench.testing.stub import Written


def writer(net):
    """Return what goes on with the tokens of a request by a model of ours."""
    lock = threading.Lock()

    def write(body):
        ends = tuple(body["stop_token_ids"])
        with lock, torch.inference_mode():
            written = net.write([body["prompt"]], body["max_tokens"], body["stop"], body["temperature"], ends)[0]
            ids = before_end(written, ends)
            logits = net.module(input_ids=torch.tensor([body["prompt"] + ids])).logits[0, len(body["prompt"]) - 1 :]
        text = net.tokenizer.decode(ids, skip_special_tokens=body["skip_special_tokens"])
        kept = before_stop(text, body["stop"])
        nats = [float(row.log_softmax(-1)[i]) for row, i in zip(logits, ids, strict=False)]
        return Written(kept, ids, nats, len(ids) < len(written) or len(kept) < len(text))

    return write


def net_of(folder):
    """Return a model of ours from a shipped name or a folder."""
    return load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))
