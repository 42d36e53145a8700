"""A server that answers like an OpenAI-compatible provider: scripted, slow, broken or limited on purpose."""

from clbench.testing.stub.script import Behaviour, Script, read_script
from clbench.testing.stub.server import Stub, running

__all__ = ["Behaviour", "Script", "Stub", "read_script", "running"]
