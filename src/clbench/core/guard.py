"""A process that stands between us and a command of the user's, and ends it however this process ends.

It runs the command in its own group and waits for the end of its input: that comes when we close it, or die. When the
command ends it writes into the file that it was given: the exit code, below 0 for a signal; processor seconds; largest
resident memory of one process, in kilobytes on Linux and bytes on macOS.
"""

from __future__ import annotations

ENDS_S = 20.0  # that a command is given to end
GUARD = f"""
import os, resource, signal, subprocess, sys, threading, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
def reset():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
try:
    child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, preexec_fn=reset)
except OSError as error:
    sys.exit(f"{{sys.argv[2]}}: {{error.strerror}}")
def watch():
    code = child.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(sys.argv[1], "w") as file:
        file.write(f"{{code}} {{used.ru_utime + used.ru_stime}} {{used.ru_maxrss}}")
    os._exit(128 - code if code < 0 else code)
threading.Thread(target=watch, daemon=True).start()
sys.stdin.buffer.read()
os.killpg(0, signal.SIGTERM)
time.sleep({ENDS_S})
os.killpg(0, signal.SIGKILL)
"""
