"""A run as something to hand on: one HTML file that makes new items in any browser (`export_page`).

description.py says in plain data what a model computes, packing.py turns its weights into bytes, lookahead.py and
known_lines.py add what the wishes need, and page.py puts all of it into the page, whose own code is in page/.
"""
