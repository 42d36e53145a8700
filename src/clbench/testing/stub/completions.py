"""What the stub server does as one that serves models: goes on with tokens, lists models, loads adapters (as vLLM)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from clbench.testing.stub.script import Behaviour


class Written(NamedTuple):
    """What a model wrote: the text, its tokens, the log-probability of each, and whether it ended by itself."""

    text: str
    ids: list[int]
    nats: list[float]
    ended: bool


Write = Callable[[dict[str, Any]], Written]  # the body of a request to /v1/completions -> what is written


@dataclass
class Completions:
    """The models that a server serves, and how it fails.

    Attributes:
        models: Name -> who writes.
        open_adapter: Opens the adapter in a folder; None refuses, as a server without adapters does.
        engine, version: What it says of itself.
        gives: What it gives beside the text: "ids" and "nats", or neither.
        first: What happens to the first requests, one after another, before any is answered.
    """

    models: dict[str, Write]
    open_adapter: Callable[[Path], Write] | None = None
    engine: str = "vllm"
    version: str = "0.0-stub"
    gives: frozenset[str] = frozenset({"ids", "nats"})
    first: list[Behaviour] = field(default_factory=list[Behaviour])
    num_answered: int = field(default=0, init=False)

    def listed(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the models."""
        return {"object": "list", "data": [{"id": name, "owned_by": self.engine} for name in self.models]}

    def release(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the version."""
        return {"version": self.version}

    def load(self, body: dict[str, Any]) -> dict[str, Any] | Behaviour:
        """Load an adapter under a name."""
        if self.open_adapter is None:
            return Behaviour("adapters cannot be loaded at run time", status=404)
        if body["lora_name"] in self.models:
            return Behaviour(f"the adapter {body['lora_name']} has already been loaded", status=400)
        self.models[body["lora_name"]] = self.open_adapter(Path(body["lora_path"]))
        return {}

    def unload(self, body: dict[str, Any]) -> dict[str, Any]:
        """Forget an adapter."""
        self.models.pop(body["lora_name"], None)
        return {}

    def complete(self, body: dict[str, Any]) -> dict[str, Any] | Behaviour:
        """Go on with the tokens of a prompt."""
        if self.first:
            return self.first.pop(0)
        if body["model"] not in self.models:
            return Behaviour(f"the model {body['model']} does not exist", status=404, code="model_not_found")
        done = self.models[body["model"]](body)
        self.num_answered += 1
        choice: dict[str, Any] = {
            "index": 0,
            "text": done.text,
            "finish_reason": "stop" if done.ended else "length",
        }
        if "ids" in self.gives:
            choice["token_ids"] = done.ids
        if "nats" in self.gives:
            choice["logprobs"] = {"tokens": [f"token_id:{i}" for i in done.ids], "token_logprobs": done.nats}
        usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(done.ids)}
        return {"object": "text_completion", "model": body["model"], "choices": [choice], "usage": usage}
