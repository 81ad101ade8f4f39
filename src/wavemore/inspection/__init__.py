"""What is inside a model, and what is wrong with it.

`inspect.inspect` looks at a run, or at any torch model with a corpus, and returns a `result.Inspection`: a table of
layers (`layer_stats`), a drawing of the tree (`tree_text`) and the problems (`finding`). `probe` runs samples of the
data through the model; `checks` judges what it measures.
"""
