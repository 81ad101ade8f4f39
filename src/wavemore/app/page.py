"""The page: its layout, and which answer belongs to which event."""

from typing import Any

import gradio as gr

from wavemore.app import markup
from wavemore.app.answers import TIMES, Answers
from wavemore.app.endpoints import SAMPLERS, add_endpoints
from wavemore.app.shelf import MAX_COUNT, MAX_LENGTH, MAX_TEXT

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
STAR = """element.addEventListener('click', (event) => {
  const star = event.target.closest('[data-star]');
  if (!star) return;
  star.setAttribute('aria-pressed', star.getAttribute('aria-pressed') !== 'true');
  const pressed = element.querySelectorAll("[data-star][aria-pressed='true']");
  trigger('click', {pressed: [...pressed].map((each) => Number(each.dataset.star))});
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
            self._connect_list()
            self._connect_run(blocks)
            add_endpoints(self.answers.desk, self.answers.shelf, self.answers.folder)
        return blocks

    def _list(self) -> None:
        gr.HTML("<h2><span>1</span> Your list</h2>")
        self.file = gr.File(label="A file: one item on each line, or a table", type="filepath", height=150)
        self.pasted = gr.Textbox(label="Or paste it", lines=5, max_lines=5, placeholder="one item on each line")
        with gr.Row():
            self.read = gr.Button("Read the pasted list", size="sm")
            self.example = gr.Button("Try 29,687 first names", size="sm")
        with gr.Accordion(markup.READING, open=False):
            self.heading = gr.Checkbox(label="The first line is a heading, not an item")
            self.as_lines = gr.Checkbox(label="Each line is an item, whatever it looks like")
            with gr.Row():
                self.column = gr.Textbox(
                    label="Column with the items", placeholder="its name, or its number", min_width=140
                )
                self.kinds = gr.Textbox(
                    label="Column with their kinds", placeholder="to make items of one kind", min_width=140
                )
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
        with gr.Column() as self.for_lists:
            self._items()
        with gr.Column(visible=False) as self.for_texts:
            self._text()
        gr.HTML("<h3>Hand it on</h3><p class='w-small'>One file that does the same in any browser.</p>")
        with gr.Row():
            self.export = gr.Button("Prepare the file", size="sm")
            self.download = gr.DownloadButton("Save the file", size="sm", visible=False)
        self.exported = gr.HTML()

    def _items(self) -> None:
        with gr.Row():
            beginning = gr.Textbox(label="Beginning", min_width=140)
            ending = gr.Textbox(label="Ending", min_width=140)
        with gr.Row():
            contains = gr.Textbox(label="Contains", info="several with commas", min_width=140)
            without = gr.Textbox(label="Without", info="several with commas", min_width=140)
        self.kind = gr.Dropdown([("any", "")], value="", label="Kind", interactive=True, visible=False)
        with gr.Row():
            number: dict[str, Any] = {"precision": 0, "min_width": 80}
            count = gr.Number(20, label="How many", info=f"up to {MAX_COUNT}", minimum=1, maximum=MAX_COUNT, **number)
            shortest, longest = (
                gr.Number(0, label=label, info="0: any", minimum=0, maximum=MAX_LENGTH, **number)
                for label in ("Shortest", "Longest")
            )
        daring = _daring()
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
            self.kind,
        ]
        self.make = gr.Button("Make", variant="primary")
        self.said = gr.HTML()
        self.items = gr.HTML(js_on_load=STAR)
        self.saved = gr.HTML()
        gr.HTML("<h3>Favourites</h3>")
        self.kept = gr.HTML(markup.favourites([], ""))

    def _text(self) -> None:
        gr.HTML("<p class='w-small'>This run has learned from a text, not a list: it continues what you type.</p>")
        beginning = gr.Textbox(label="Beginning", info="the text continues from here", lines=3)
        length = gr.Number(500, label="How many characters", precision=0, minimum=1, maximum=MAX_TEXT)
        self.text_wishes: list[Any] = [beginning, length, _daring()]
        self.write = gr.Button("Continue the text", variant="primary")
        self.written = gr.HTML()

    def _inside(self) -> None:
        about = "Type an item, or its beginning, and see what the model expected."
        gr.HTML(f"<h2>Look inside</h2><p class='w-small'>{about}</p>")
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

    def _connect_list(self) -> None:
        """Say which answer belongs to which event of the list."""
        answers = self.answers
        listed: dict[str, Any] = {"outputs": [self.facts, self.found, self.start], **PRIVATE}
        how = [self.as_lines, self.heading, self.column, self.kinds]
        for event in (self.file.upload, self.file.clear):
            event(answers.read_file, [self.file, *how], **listed)
        self.read.click(answers.read_pasted, [self.pasted, *how], **listed)
        self.example.click(answers.read_example, None, **listed)
        self.file.upload(lambda: None, None, [self.pasted], **PRIVATE)  # what is shown is what is used
        self.read.click(lambda: None, None, [self.file], **PRIVATE)
        self.example.click(lambda: (None, None), None, [self.file, self.pasted], **PRIVATE)
        boxes = (event for box in (self.column, self.kinds) for event in (box.submit, box.blur))
        for event in (self.as_lines.input, self.heading.input, *boxes):
            event(answers.read_again, [self.facts, self.file, self.pasted, *how], **listed)

    def _connect_run(self, blocks: gr.Blocks) -> None:
        """The same for what is learned, and what is made of it."""
        answers = self.answers
        state = [self.learning, self.start, self.stop, self.resume, self.finish, self.run, self.memory]
        follow: dict[str, Any] = {"outputs": state, "concurrency_limit": None, **PRIVATE}
        self.start.click(answers.begin, [self.facts, self.time, self.memory], **follow)
        self.resume.click(answers.go_on, [self.memory], **follow)
        self.finish.click(answers.use_as_it_is, [self.memory], **follow)
        self.stop.click(answers.end_soon, [self.memory], [self.stop], concurrency_limit=None, **PRIVATE)
        blocks.load(answers.open, [self.memory], **follow)
        blocks.load(answers.list_runs, None, [self.table, self.a, self.b], **PRIVATE)
        self.run.input(answers.choose, [self.run, self.memory], [self.memory], **PRIVATE)
        of_run = [self.for_lists, self.for_texts, self.kind, self.kept, self.download]
        self.run.change(answers.show_run, [self.run, self.memory], of_run, **PRIVATE)
        said = [self.said, self.exported, self.inside, self.items, self.saved, self.written]  # about the run before
        for event in (self.run.change, self.start.click, self.resume.click, self.finish.click):
            event(None, None, said, js=f"() => {[''] * len(said)}", **PRIVATE)
        made = [self.said, self.items, self.saved, self.made]
        for event in (self.make.click, *(field.submit for field in self.wishes[1:6])):
            event(answers.make_items, [self.run, self.memory, *self.wishes], made, **SAMPLERS, **PRIVATE)
        self.write.click(answers.write_on, [self.run, *self.text_wishes], [self.written], **SAMPLERS, **PRIVATE)
        stars = [self.run, self.made, self.memory]
        # multiple: a click counts even if the last one has no answer yet
        self.items.click(answers.keep, stars, [self.memory, self.kept], trigger_mode="multiple", **PRIVATE)
        self.export.click(answers.prepare_file, [self.run], [self.exported, self.download], **PRIVATE)
        for event in (self.look.click, self.word.submit):
            event(answers.look_inside, [self.run, self.word], [self.inside], **SAMPLERS, **PRIVATE)
        self.compare.click(answers.compare_runs, [self.a, self.b], [self.verdict], **PRIVATE)
        self.tab.select(answers.list_runs, None, [self.table, self.a, self.b], **PRIVATE)


def _daring() -> gr.Slider:
    return gr.Slider(0.3, 1.6, 0.8, step=0.05, label="Daring", info="low: very typical; high: unusual")
