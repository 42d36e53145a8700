# %% [markdown]
# # Results in pandas and in drawings
#
# What the demo gave, as it is committed: seven learners, three seeds. `pip install "clbench[data]"` reads it.

# %%
import clbench as cl

runs = cl.load("results/demo")
len(runs)

# %% [markdown]
# Every figure of every run with its interval, tidy:

# %%
frame = runs.to_frame()
table = frame.pivot_table(index="learner", columns="figure", values="value").round(3)
table.sort_values("average_performance", ascending=False)[
    ["average_performance", "forgetting", "general_ability_delta"]
]

# %% [markdown]
# The matrix of one method: rows are lessons, columns exams. As numbers:

# %%
runs.matrix("replay").iloc[:, :5].round(2)

# %% [markdown]
# As a drawing. `.save("figures")` writes SVG files.

# %%
runs.plot("matrix", method="replay")

# %% [markdown]
# Stability against plasticity, and cost against performance, of all methods:

# %%
runs.plot("tradeoff")

# %% [markdown]
# Two methods item by item:

# %%
print(str(runs.compare("replay", "lora")).splitlines()[0])
