# %% [markdown]
# # Your own trainer: its lessons, its checkpoints, its exams
#
# A script of your own learns two lessons one after the other. clbench starts it for each lesson, and asks the same
# questions before and after. Here is a tiny model on a CPU; a real one differs in its name alone.

# %%
from pathlib import Path

Path("train.py").write_text("""
import json, shutil, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

lesson, previous, out, number = sys.argv[1:]
torch.manual_seed(0)
tokenizer = AutoTokenizer.from_pretrained(previous)
model = AutoModelForCausalLM.from_pretrained(previous).train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
for turns in [json.loads(line)["messages"] for line in open(lesson)] * 2:
    prompt = tokenizer.apply_chat_template(turns[:-1], add_generation_prompt=True, return_dict=False)
    whole = tokenizer.apply_chat_template(turns, return_dict=False)
    labels = [-100] * len(prompt) + whole[len(prompt):]
    model(input_ids=torch.tensor([whole]), labels=torch.tensor([labels])).loss.backward()
    optimizer.step()
    optimizer.zero_grad()
model.save_pretrained(out)
tokenizer.save_pretrained(out)
shutil.copytree(out, f"kept/lesson-{number}")
""")
Path("two.yaml").write_text("name: two\ntasks: [world_tiny_facts, world_tiny_rules]\n")

# %% [markdown]
# ## The script as a learner
#
# `{lesson}`, `{previous}`, `{out}` and `{number}` are filled in. `sys.executable` is the Python of this notebook; a
# trainer with an environment of its own names that one's.

# %%
import sys

import clbench as cl

learn = f"{sys.executable} train.py {{lesson}} {{previous}} {{out}} {{number}}"
recipe = cl.Recipe(
    name="mine",
    model="tiny-llama",
    stream="two.yaml",
    learner={"name": "command", "learn": learn},
    exams=("mini_knowledge",),
    budget={"items": 12},
)
runs = cl.run(recipe, store="store")
percent = 100 * runs.matrix("command")
print(percent.round().astype(int))

# %% [markdown]
# Rows are lessons, columns exams. Row 0 is the model before. What the command took was measured; what it keeps is not
# known, and said so:

# %%
costs = runs.records[0].costs
print("seconds and memory measured:", costs.train_s > 0 and costs.peak_memory_bytes > 0)
print("not known:", ", ".join(sorted(costs.unknown)))

# %% [markdown]
# ## Checkpoints that are there already
#
# The script kept what it had after each lesson. Nothing is trained for their matrix, and it is the same to the last
# bit. From the command line:
# `clbench matrix tiny-llama kept/lesson-1 kept/lesson-2 --stream two.yaml --exams mini_knowledge`.

# %%
folders = ["kept/lesson-1", "kept/lesson-2"]
there = cl.Recipe(
    name="there",
    model="tiny-llama",
    stream="two.yaml",
    learner={"name": "checkpoints", "folders": folders},
    exams=("mini_knowledge",),
    budget={"items": 12},
)
again = cl.run(there, store="elsewhere")
print("the same matrix:", again.matrix("checkpoints").equals(runs.matrix("command")))

# %% [markdown]
# ## Exams while a Trainer trains
#
# `ExamCallback` asks before the first step and then every `every` steps, and changes nothing of the training. With
# `max_drop` it stops a training that forgets; here a learning rate of 0.5 sees to that.

# %%
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, Trainer, TrainingArguments

tokenizer = AutoTokenizer.from_pretrained("kept/lesson-2")
row = tokenizer("zan river tea", padding="max_length", max_length=16)["input_ids"]
trainer = Trainer(
    AutoModelForCausalLM.from_pretrained("kept/lesson-2"),
    TrainingArguments(
        "out", max_steps=6, learning_rate=0.5, use_cpu=True, save_strategy="no", report_to=[], disable_tqdm=True
    ),
    train_dataset=[{"input_ids": row, "labels": row}] * 8,
    processing_class=tokenizer,
    callbacks=[cl.ExamCallback(["mini_knowledge"], every=2, items=12, max_drop=0.05)],
)
trainer.remove_callback(PrinterCallback)  # its lines hold times
trainer.train()
for entry in trainer.state.log_history:
    if "exam/mini_knowledge" in entry:
        print(f"step {entry['step']}: {entry['exam/mini_knowledge']:.0%}")
print("stopped before its 6 steps:", trainer.state.global_step < 6)
