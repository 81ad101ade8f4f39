"""`wavemore export`: a run as a page, an ONNX file, a program of torch.export or a folder for the Hugging Face hub."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from wavemore.cli.options import File, Flag, HubName, RunName, Text
from wavemore.cli.page_file import check_model_file, check_page_file
from wavemore.cli.progress import busy
from wavemore.cli.run_words import say_run
from wavemore.cli.screen import Screen
from wavemore.errors import UsageError

if TYPE_CHECKING:
    from wavemore.runs.run import Run

Kind = Literal["page", "onnx", "pt2", "folder"]
SUFFIXES: dict[str, Kind] = {".html": "page", ".htm": "page", ".onnx": "onnx", ".pt2": "pt2", "": "folder"}
FLAGS: dict[str, tuple[Kind, str]] = {
    "title": ("page", "a page, .html"),
    "about": ("page", "a page, .html"),
    "float32": ("page", "a page, .html"),
    "license": ("folder", "a folder"),
    "push": ("folder", "a folder"),
    "private": ("folder", "a folder"),
}
"""What a flag is for, if it is not for all kinds."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a run as a page, ONNX file, torch program or hub folder.

    The ending of -o decides. The page needs no network, and sends nothing anywhere.

    Example:
      wavemore export runs/names-1 -o names.html --title "New names"
    """

    run: RunName = "latest"
    """a run folder, or its name in runs/"""
    output: Annotated[File, arg(aliases=["-o"])] = None
    """a file, .html, .onnx or .pt2, or a folder/ (default: NAME.html); only earlier exports are overwritten"""
    title: Text = None
    """the heading of the page"""
    about: Text = None
    """the introduction of the page"""
    float32: Flag = False
    """keep the weights of the page exactly (default: in 16 bits, which changes logits by less than 0.001)"""
    license: Text = None
    """the license of the data for the model card of the folder, such as cc-by-4.0"""
    push: HubName = None
    """upload the folder to the Hugging Face hub, as USER/NAME"""
    private: Flag = False
    """with --push: create a private repository (default: a public one)"""

    def run_command(self, arguments: Sequence[str]) -> int:
        """Write the file or the folder."""
        from wavemore.runs.find import find_run

        kind = self._kind()
        for flag, (wanted, what) in FLAGS.items():
            if getattr(self, flag) and wanted != kind:
                raise UsageError(f"`{flag}` is for {what}, and --output is {self.output or 'a page by default'}")
        if self.private and not self.push:
            raise UsageError("`private` is for `push`: give the name on the Hugging Face hub too")
        run = find_run(self.run)
        writers = {"page": self._page, "onnx": self._onnx, "pt2": self._pt2, "folder": self._folder}
        screen = Screen()
        with busy(f"exporting {run.path}", screen):
            said = writers[kind](run)
        screen.say(*said)
        say_run(run, is_named=self.run != "latest")
        return 0

    def _kind(self) -> Kind:
        if self.output is None:
            return "folder" if self.push else "page"
        path = Path(self.output)
        if self.output in ("", "-") or path.name in (".html", ".htm", ".onnx", ".pt2"):
            raise UsageError(f"--output is {self.output!r}; give a name too, such as names.html, names.onnx or names/")
        if self.output.endswith(("/", "\\")):
            return "folder"
        if path.suffix.lower() in SUFFIXES:
            return SUFFIXES[path.suffix.lower()]
        if path.is_dir():  # its name has a dot
            return "folder"
        raise UsageError(
            f"--output is {self.output}; its ending must be .html (a page), .onnx, .pt2 (torch.export), or / (a folder "
            "for the Hugging Face hub)"
        )

    def _page(self, run: "Run") -> list[str]:
        from wavemore.export.page import export_page

        path = Path(f"{run.path.resolve().name}.html" if self.output is None else self.output)
        check_page_file(path, "names.html")
        page = export_page(run, title=self.title or "", about=self.about or "", float32=self.float32)
        written = _write({path: page.encode("utf-8", "xmlcharrefreplace")})
        return [f"wrote {written}: open it in a browser, or hand it on"]

    def _onnx(self, run: "Run") -> list[str]:
        from wavemore.export.graphs import has_step
        from wavemore.export.onnx_file import export_onnx

        path = Path(str(self.output))
        step = path.with_suffix(f".step{path.suffix}")
        for each in (path, step):
            check_model_file(each, "names.onnx")
        contents = {path: export_onnx(run)}
        if has_step(run.config.model):
            contents[step] = export_onnx(run, step=True)
        # Without a step, one of an earlier export is removed: it is of another model than the file beside it now.
        written = _write(contents, remove=() if step in contents else (step,))
        return [f"wrote {written}: onnxruntime computes the same logits as torch"]

    def _pt2(self, run: "Run") -> list[str]:
        from wavemore.export.program import export_pt2

        path = Path(str(self.output))
        check_model_file(path, "names.pt2")
        return [f"wrote {_write({path: export_pt2(run)})}: torch.export.load reads it"]

    def _folder(self, run: "Run") -> list[str]:
        from wavemore.export.folder import export_folder

        with tempfile.TemporaryDirectory(prefix="wavemore-") as temporary:
            folder = Path(temporary if self.output is None else self.output)
            files = export_folder(
                run, folder, license=self.license or "", push_to=self.push or "", private=self.private
            )
            size = sum(path.stat().st_size for path in files)
        said = [f"wrote {folder} ({len(files)} files, {size / 1e3:,.0f} KB): wm.from_pretrained reads it"]
        return ([] if self.output is None else said) + (
            [f"pushed {self.push} to the Hugging Face hub"] if self.push else []
        )


def _write(contents: dict[Path, bytes], remove: Sequence[Path] = ()) -> str:
    """Write files, all of them or none; return their names and sizes."""
    from wavemore.files import write_all

    write_all(contents, remove=remove)
    return " and ".join(f"{path} ({len(content) / 1e3:,.0f} KB)" for path, content in contents.items())
