"""A server that answers like an OpenAI-compatible provider: scripted, slow, broken or limited on purpose."""

from clbench.testing.stub.completions import Completions, Written
from clbench.testing.stub.script import Behaviour, Script, read_script
from clbench.testing.stub.server import Stub, running

__all__ = ["Behaviour", "Completions", "Script", "Stub", "Written", "read_script", "running"]
