"""The explorer: menus and sliders over a Lens, redrawn at once. Core ipywidgets only; they work with 7.7 and with 8."""

import html
import json
import threading
from collections.abc import Callable
from pathlib import Path

import ipywidgets

from ..data import images
from ..data.images import Picture
from ..data.named_sets import SAMPLES
from ..errors import InputError
from ..model import LAYERS
from ..pretrained import saved_folder
from ..run import Run
from ..visualization.channel_analysis import RARE
from ..visualization.inspector import Inspector
from ..visualization.layers import LAYER_NAMES, ChannelAddress
from ..visualization.style import save_figure
from . import explorer_views

# What can be saved, and the Inspector's method for it.
VIEWS = {
    "this channel": "channel_figure",
    "all channels": "channels_figure",
    "kernels": "kernels_figure",
    "receptive field": "receptive_field_figure",
    "comparison": "comparison_figure",
}


class Explorer(ipywidgets.VBox):
    """Pick a network, a picture, a layer, a channel and a snapshot; see the channel large and all channels beside it.

    The next cells of a notebook may use what is chosen: `lens`, `layer`, `address` ("layer_1:12") and `step`.

    Args:
        source: a run, its folder or a file of weights; the newest of `runs`, or else a released network, without.
        picture: what to begin with, as in `open_picture`.
        layer, channel: what to begin with; without a channel, the one that follows edges best.
        runs: a folder of runs, which the menu lists.
        out: the folder that views are saved in.

    Raises:
        InputError: nothing to look at, no such layer, or a picture that can't be read.
    """

    def __init__(
        self,
        source: Run | str | Path | None = None,
        picture: Picture | str | Path = "samples:astronaut",
        *,
        layer: str = LAYERS[0],
        channel: int | None = None,
        runs: str | Path = "runs",
        out: str | Path = "results",
    ):
        if layer not in LAYERS:
            raise InputError(f"layer is {layer!r}, expected one of {', '.join(LAYERS)}")
        known = [str(path) for path in networks(runs)]
        first = str(source.path if isinstance(source, Run) else source) if source else next(iter(known), None)
        if first is None:
            raise InputError(f"there is nothing to look at: {runs} holds no run, and no network is released; train one")
        self.out = Path(out)
        self.lens: Inspector | None = None
        self._lock = threading.RLock()  # in JupyterLab callbacks may run in a thread of their own
        self._settling = False
        self._pictures = {_name(picture): picture} | {f"samples:{name}": f"samples:{name}" for name in SAMPLES}
        super().__init__(layout={"max_width": "1200px"})
        self._make_controls([*dict.fromkeys([first, *known])], layer, channel or 0)
        self._open()
        if channel is None:
            self._settle(self.channel, value=self._most_telling())
            self._draw()
        self._watch()
        self.children = [
            _row(self.network, self.picture, self.upload, self.typed),
            _row(self.layers, self.signed),
            _row(self.channel, self.snapshot),
            _row(self.large, self.sheet, align_items="flex-start"),
            _row(self.view, self.save, self.code),
            self.said,
        ]

    @property
    def layer(self) -> str:
        return self.layers.value

    @property
    def address(self) -> ChannelAddress:
        return ChannelAddress(self.layers.value, self.channel.value)

    @property
    def step(self) -> int:
        return self.snapshot.value

    def _make_controls(self, networks: list[str], layer: str, channel: int) -> None:
        menu = {"style": {"description_width": "62px"}, "layout": {"width": "250px"}}
        slider = {"style": {"description_width": "62px"}, "layout": {"width": "430px"}}
        picture = {"format": "png", "layout": {"margin": "6px 10px 6px 0"}}
        steps = [(name, layer) for layer, name in LAYER_NAMES.items()]
        self.network = ipywidgets.Dropdown(
            options=[(_short(path), path) for path in networks], description="Network", **menu
        )
        self.picture = ipywidgets.Dropdown(options=self._menu(), description="Picture", **menu)
        self.upload = ipywidgets.FileUpload(accept="image/*", description="Your own", layout={"width": "130px"})
        self.typed = ipywidgets.Text(
            placeholder="or its path or address", continuous_update=False, layout={"width": "230px"}
        )
        self.layers = ipywidgets.ToggleButtons(options=steps, value=layer, style={"button_width": "150px"})
        self.signed = ipywidgets.Checkbox(description="before ReLU", indent=False)
        self.channel = ipywidgets.IntSlider(channel, 0, max(channel, 1), description="Channel", **slider)
        self.snapshot = ipywidgets.SelectionSlider(options=[("", 0)], description="Snapshot", **slider)
        self.large, self.sheet = ipywidgets.Image(**picture), ipywidgets.Image(**picture)
        self.large.layout.width, self.sheet.layout.width = "43%", "54%"
        self.view = ipywidgets.Dropdown(options=[*VIEWS], description="View", **menu)
        self.save = ipywidgets.Button(description="Save as PNG", icon="download")
        self.code, self.said = ipywidgets.HTML(), ipywidgets.HTML()

    def _watch(self) -> None:
        actions = {
            self.network: self._open,
            self.picture: self._open,
            self.upload: self._take_upload,
            self.typed: self._take_typed,
            self.layers: self._change_layer,
            self.signed: self._draw,
            self.channel: self._draw,
            self.snapshot: self._draw,
            self.view: self._show_code,
        }
        for control, action in actions.items():
            control.observe(lambda _, action=action: self._answer(action), "value")
        self.save.on_click(lambda _: self._answer(self._save))

    def _answer(self, action: Callable[[], None]) -> None:
        """Do what a control asks for; what can't be done is said below the pictures."""
        if self._settling:
            return
        with self._lock:
            try:
                action()
            except (InputError, OSError) as error:
                self._say(str(error))

    def _say(self, *lines: str) -> None:
        self.said.value = "<br>".join(map(html.escape, lines))

    def _settle(self, control: ipywidgets.Widget, **values) -> None:
        """Set a control's traits, in this order, without an answer to each."""
        self._settling = True
        try:
            for trait, value in values.items():
                setattr(control, trait, value)
        finally:
            self._settling = False

    # What the controls do

    def _open(self) -> None:
        """Another network or picture. Where it can't be used, the menus go back to what is shown."""
        name = self.picture.value
        try:
            lens = Inspector(self.network.value, self._pictures[name])
        except InputError:
            if self.lens:
                self._settle(self.network, value=str(self.lens.source))
                self._settle(self.picture, value=self._shown)
            raise
        same = self.lens is not None and self.lens.source == lens.source
        step = self.step if same else lens.steps[-1]
        self.lens, self._views, self._shown = lens, explorer_views.Views(lens), name
        probe = [f"probe:{tile}" for tile in range(4)] if lens.run else []
        self._pictures = {name: given for name, given in self._pictures.items() if not name.startswith("probe:")}
        self._pictures |= {tile: tile for tile in probe}
        steps = [(f"step {step}" if lens.run else "as released", step) for step in lens.steps]
        self._settle(self.picture, options=self._menu(), value=name)
        self._settle(self.snapshot, options=steps, value=step, disabled=len(steps) == 1)
        self._say(*lens.picture.notes)
        self._change_layer()

    def _take_upload(self) -> None:
        for name, content in uploaded(self.upload.value):
            self._add(name, images.read_image(content, name))

    def _take_typed(self) -> None:
        if name := self.typed.value.strip():
            self._add(name, name)

    def _add(self, name: str, picture: Picture | str) -> None:
        """Another picture for the menu, if it can be opened."""
        before = dict(self._pictures)
        self._pictures[name] = picture
        self._settle(self.picture, options=self._menu(), value=name)
        try:
            self._open()
        except InputError:
            self._pictures = before
            self._settle(self.picture, options=self._menu(), value=self._shown)
            raise

    def _menu(self) -> list[tuple[str, str]]:
        """(what the menu says, what is meant) of each picture."""
        return [(_short(name) if Path(name).is_absolute() else name, name) for name in self._pictures]

    def _most_telling(self) -> int:
        reports = self.lens.channel_reports(self.layer, self.step)
        return max(reports, key=lambda report: (report.active >= RARE, report.edges)).channel

    def _change_layer(self) -> None:
        self._settle(self.channel, max=getattr(self.lens.model(), self.layer).out_channels - 1)
        self._draw()

    def _draw(self) -> None:
        look = (self.step, self.signed.value)
        self.large.value = explorer_views.png(self._views.channel(self.address, *look))
        sheet = self._views.sheet(self.layer, *look)
        self.sheet.value = explorer_views.png(explorer_views.marked(sheet, self.channel.max + 1, self.channel.value))
        self._show_code()

    # The chosen view as a line of code and as a file

    def _call(self) -> tuple[str, list, dict]:
        """The Lens's method and what it is called with."""
        step = {"step": self.step} if self.lens.run else {}
        signed = {"before_relu": True} if self.signed.value else {}
        calls = {
            "channel_figure": ([str(self.address)], step | signed),
            "channels_figure": ([self.layer], step | signed),
            "kernels_figure": ([self.layer], step),
            "receptive_field_figure": ([], {}),
            "comparison_figure": ([], step),
        }
        method = VIEWS[self.view.value]
        return method, *calls[method]

    def _show_code(self) -> None:
        method, given, named = self._call()
        lens = ", ".join(map(_quoted, (str(self.lens.source), self._shown)))
        given = ", ".join([*map(_quoted, given), *(f"{name}={value}" for name, value in named.items())])
        code = html.escape(f"Inspector({lens}).{method}({given})")
        self.code.value = f'<code style="white-space: pre-wrap; overflow-wrap: anywhere">{code}</code>'

    def _save(self) -> None:
        method, given, named = self._call()
        figure = getattr(self.lens, method)(*given, **named)
        parts = [
            method.removesuffix("_figure"),
            *given,
            *(name if value is True else f"{name}-{value}" for name, value in named.items()),
        ]
        self.out.mkdir(parents=True, exist_ok=True)
        path = save_figure(figure, self.out / ("-".join(parts).replace(":", "-") + ".png"))
        self._say(f"{path} is written")


def networks(runs: str | Path) -> list[Path]:
    """What can be looked at: the runs of a folder that have snapshots, the newest first, then the released files."""
    found = [config.parent for config in Path(runs).glob("*/config.json") if any(config.parent.glob("snapshots/*"))]
    released = [path for path in saved_folder().iterdir() if path.suffix in (".safetensors", ".pth")]
    return sorted(found, key=lambda run: run.stat().st_mtime, reverse=True) + sorted(released)


def uploaded(value: tuple | dict) -> list[tuple[str, bytes]]:
    """(name, content) of each file of a FileUpload: a tuple of dicts in ipywidgets 8, a dict by name in 7."""
    files = [{"name": name, **file} for name, file in value.items()] if isinstance(value, dict) else value
    return [(file["name"], bytes(file["content"])) for file in files]


def _row(*widgets: ipywidgets.Widget, align_items: str = "center") -> ipywidgets.HBox:
    return ipywidgets.HBox(widgets, layout={"flex_flow": "row wrap", "align_items": align_items})


def _name(picture: Picture | str | Path) -> str:
    return picture.name if isinstance(picture, Picture) else str(picture)


def _short(path: str) -> str:
    """runs/first: a path's last two parts."""
    return "/".join(Path(path).parts[-2:])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
