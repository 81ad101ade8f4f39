"""A run as something to hand on: a page, an ONNX file, a program of torch.export, a folder for the Hugging Face hub.

- `export_page`: one HTML file that makes new items in any browser. description.py says in plain data what a model
  computes, packing.py turns its weights into bytes, lookahead.py and known_lines.py add what the wishes need, and
  page.py puts all of it into the page, whose own code is in page/.
- `export_onnx`, `export_pt2`: graphs.py has the modules that are exported, facts.py what is said about them.
- `export_folder`: what `save_pretrained` writes, without what is private, and with the model card of card.py.
"""
