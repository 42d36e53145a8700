# %% [markdown]
# # Logs of another harness, compared as pairs
#
# Two models were examined with Inspect, which wrote a log each. Here both logs are made up: ten questions, of which the
# second model loses two. In practice they lie in your `--log-dir`.

# %%
import json
from pathlib import Path

folder = Path("logs")
folder.mkdir()


def log(name, right):
    samples = [
        {
            "id": i,
            "input": f"What is {i} + {i}?",
            "target": str(2 * i),
            "output": {"completion": str(2 * i) if i in right else "?"},
            "scores": {"match": {"value": "C" if i in right else "I"}},
        }
        for i in range(10)
    ]
    about = {"task": "sums", "task_version": 1, "model": f"hf/{name}", "created": "2026-01-02T00:00:00+00:00"}
    (folder / f"{name}.json").write_text(json.dumps({"status": "success", "eval": about, "samples": samples}))


log("base", set(range(10)) - {3})
log("tuned", set(range(10)) - {3, 5, 7})

# %% [markdown]
# `clbench import` reads them; nothing is asked again. The same from the command line:
# `clbench import inspect base.json --to base`.

# %%
from clbench.cli.main import main

for name in ("base", "tuned"):
    main(["import", "inspect", str(folder / f"{name}.json"), "--to", str(folder / name), "--name", name])

# %% [markdown]
# Compared question by question, with an interval and a p-value that know that both were asked the same:

# %%
main(["compare", str(folder / "base"), str(folder / "tuned"), "--lang", "en"])

# %% [markdown]
# A log of another version of the task is refused, and the difference is named:

# %%
text = (folder / "tuned.json").read_text().replace('"task_version": 1', '"task_version": 2')
(folder / "other.json").write_text(text)
logs = [str(folder / f"{name}.json") for name in ("base", "other")]
print(main(["import", "inspect", *logs, "--to", str(folder / "both")]), "is the exit code of what can be mended")
