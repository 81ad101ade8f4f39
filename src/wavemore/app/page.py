"""The page: its layout, and which answer belongs to which event."""

from typing import Any

import gradio as gr

from wavemore.app import markup
from wavemore.app.answers import TIMES, Answers
from wavemore.app.endpoints import SAMPLERS, add_endpoints
from wavemore.app.shelf import MAX_COUNT, MAX_LENGTH

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
STAR = """element.addEventListener('click', (event) => {
  const star = event.target.closest('[data-star]');
  if (!star) return;
  star.setAttribute('aria-pressed', star.getAttribute('aria-pressed') !== 'true');
  trigger('click', {number: Number(star.dataset.star)});
});"""


class Page:
    """The layout, and what it keeps of each browser."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    def build(self) -> gr.Blocks:
        """Lay out the page."""
        blocks: gr.Blocks
        with gr.Blocks(title="wavemore", analytics_enabled=False) as blocks:
            gr.HTML("<header class='w-head'><h1>wavemore</h1><p>Give a list. Get more like it.</p></header>")
            self.memory = gr.BrowserState({"run": "", "kept": {}}, storage_key="wavemore", secret="wavemore")
            self.facts: gr.State = gr.State(None)
            self.made: gr.State = gr.State([])
            with gr.Tabs():
                with gr.Tab("Make"), gr.Row(equal_height=False):
                    with gr.Column(scale=5, min_width=300):
                        self._list()
                        self._learn()
                    with gr.Column(scale=7, min_width=300):
                        self._make()
                with gr.Tab("Look inside"):
                    self._inside()
                with gr.Tab("Runs") as self.tab:
                    self._runs()
            self._connect(blocks)
            add_endpoints(self.answers.desk, self.answers.shelf, self.answers.folder)
        return blocks

    def _list(self) -> None:
        gr.HTML("<h2><span>1</span> Your list</h2>")
        self.file = gr.File(label="A file: one item on each line, or a table", type="filepath", height=150)
        self.pasted = gr.Textbox(label="Or paste it", lines=5, max_lines=5, placeholder="one item on each line")
        with gr.Row():
            self.read = gr.Button("Read the pasted list", size="sm")
            self.example = gr.Button("Try 29,687 first names", size="sm")
        with gr.Accordion("If it is read wrongly", open=False):
            self.as_lines = gr.Checkbox(label="Each line is an item, whatever it looks like")
            self.column = gr.Textbox(label="Column of a table with the items", placeholder="its name, or its number")
        self.found = gr.HTML()

    def _learn(self) -> None:
        gr.HTML("<h2><span>2</span> Learn from it</h2>")
        self.time = gr.Radio(list(TIMES), value="1 minute", label="How long may it take?")
        with gr.Row():
            self.start = gr.Button("Start", variant="primary", interactive=False)
            self.stop = gr.Button("Stop and keep what was learned", variant="stop", visible=False)
            self.resume = gr.Button("Continue", variant="primary", visible=False)
            self.finish = gr.Button("Use it as it is", visible=False)
        self.learning = gr.HTML()

    def _make(self) -> None:
        gr.HTML("<h2><span>3</span> Make new ones</h2>")
        self.run = gr.Dropdown([], label="Learned from", interactive=True, elem_id="run")
        with gr.Row():
            beginning = gr.Textbox(label="Beginning", min_width=140)
            ending = gr.Textbox(label="Ending", min_width=140)
        with gr.Row():
            contains = gr.Textbox(label="Contains", info="several with commas", min_width=140)
            without = gr.Textbox(label="Without", info="several with commas", min_width=140)
        with gr.Row():
            count = gr.Number(20, label="How many", precision=0, minimum=1, maximum=MAX_COUNT, min_width=80)
            shortest = gr.Number(0, label="Shortest", precision=0, minimum=0, maximum=MAX_LENGTH, min_width=80)
            longest = gr.Number(0, label="Longest", precision=0, minimum=0, maximum=MAX_LENGTH, min_width=80)
        daring = gr.Slider(0.3, 1.6, 0.8, step=0.05, label="Daring", info="low: very typical; high: unusual")
        with gr.Accordion("A pattern", open=False):
            expression = gr.Textbox(label="Pattern", info="a regular expression, such as [aeiou].*[aeiou]")
        only_new = gr.Checkbox(True, label="Only new ones, which are not in the list")
        self.wishes: list[Any] = [
            count,
            beginning,
            ending,
            contains,
            without,
            expression,
            shortest,
            longest,
            daring,
            only_new,
        ]
        self.make = gr.Button("Make", variant="primary")
        self.said = gr.HTML()
        self.items = gr.HTML(js_on_load=STAR)
        self.saved = gr.HTML()
        gr.HTML("<h3>Favourites</h3>")
        self.kept = gr.HTML(markup.favourites([], ""))
        gr.HTML("<h3>Hand it on</h3><p class='w-small'>One file that makes such items in any browser.</p>")
        with gr.Row():
            self.export = gr.Button("Prepare the file", size="sm")
            self.download = gr.DownloadButton("Save the file", size="sm", visible=False)
        self.exported = gr.HTML()

    def _inside(self) -> None:
        gr.HTML("<h2>Look inside</h2><p class='w-small'>Type an item, or its beginning, and see what it expected.</p>")
        with gr.Row():
            self.word = gr.Textbox(label="An item", max_lines=1)
        self.look = gr.Button("Look", variant="primary", size="sm")
        self.inside = gr.HTML()

    def _runs(self) -> None:
        gr.HTML("<h2>Runs</h2><p class='w-small'>All in the folder runs/, those of the command line too.</p>")
        self.table = gr.HTML()
        gr.HTML("<h2>Compare two</h2>")
        with gr.Row():
            self.a = gr.Dropdown([], label="One", interactive=True)
            self.b = gr.Dropdown([], label="The other", interactive=True)
        self.compare = gr.Button("Compare", variant="primary", size="sm")
        self.verdict = gr.HTML()

    def _connect(self, blocks: gr.Blocks) -> None:
        """Say which answer belongs to which event."""
        answers = self.answers
        listed = {"outputs": [self.facts, self.found, self.start], **PRIVATE}
        how = [self.as_lines, self.column]
        self.file.upload(answers.read_file, [self.file, *how], **listed)
        self.read.click(answers.read_pasted, [self.pasted, *how], **listed)
        self.example.click(answers.read_example, None, **listed)
        for each in (self.as_lines.input, self.column.submit):
            each(answers.read_again, [self.facts, self.file, self.pasted, *how], **listed)
        state = [self.learning, self.start, self.stop, self.resume, self.finish, self.run, self.memory]
        follow: dict[str, Any] = {"outputs": state, "concurrency_limit": None, **PRIVATE}
        self.start.click(answers.begin, [self.facts, self.time, self.memory], **follow)
        self.resume.click(answers.go_on, [self.memory], **follow)
        self.finish.click(answers.use_as_it_is, [self.memory], **follow)
        self.stop.click(answers.end_soon, [self.memory], [self.stop], concurrency_limit=None, **PRIVATE)
        blocks.load(answers.open, [self.memory], **follow)
        blocks.load(answers.list_runs, None, [self.table, self.a, self.b], **PRIVATE)
        self.run.input(answers.choose, [self.run, self.memory], [self.memory, self.kept, self.download], **PRIVATE)
        self.run.change(answers.show_kept, [self.run, self.memory], [self.kept], **PRIVATE)
        made = [self.said, self.items, self.saved, self.made]
        for event in (self.make.click, *(field.submit for field in self.wishes[1:6])):
            event(answers.make_items, [self.run, self.memory, *self.wishes], made, **SAMPLERS, **PRIVATE)
        self.items.click(answers.toggle, [self.run, self.made, self.memory], [self.memory, self.kept], **PRIVATE)
        self.export.click(answers.prepare_file, [self.run], [self.exported, self.download], **PRIVATE)
        for event in (self.look.click, self.word.submit):
            event(answers.look_inside, [self.run, self.word], [self.inside], **SAMPLERS, **PRIVATE)
        self.compare.click(answers.compare_runs, [self.a, self.b], [self.verdict], **PRIVATE)
        self.tab.select(answers.list_runs, None, [self.table, self.a, self.b], **PRIVATE)
