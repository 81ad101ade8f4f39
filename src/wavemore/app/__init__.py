"""`wavemore app`: a page in the browser for people with a list, on this machine (extra `app`).

- `lists`: what a list is; `desk.Desk`: the trainings, one after the other, each in a process of its own (`worker`).
- `shelf.Shelf`: the models that are in use: new items by wishes, words letter by letter, a page to hand on.
- `board`: all runs, and which of two is better.
- `words`, `markup`: numbers and errors in plain words, and as HTML. Only `page` and `server` know Gradio.
"""
