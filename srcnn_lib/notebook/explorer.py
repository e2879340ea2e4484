"""Menus and sliders that control an Inspector. Needs nothing but ipywidgets, and works with versions 7.7 and 8."""

import base64
import html
import json
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ipywidgets

from ..data import images
from ..data.images import Picture
from ..data.named_sets import SAMPLES
from ..errors import InputError, user_message
from ..model import LAYERS
from ..pretrained import saved_folder
from ..run import Run
from ..runtime.files import write_atomically
from ..visualization.channel_analysis import RARE
from ..visualization.frames import encode_png
from ..visualization.inspector import Inspector
from ..visualization.layers import LAYER_NAMES, ChannelAddress
from ..visualization.style import Figure, save_figure
from .colab import is_colab
from .explorer_pictures import ExplorerPictures
from .photographs import uploaded_files

FIGURES = {  # what can be saved, and the Inspector's method for it
    "this channel": "channel_figure",
    "all channels": "channels_figure",
    "kernels": "kernels_figure",
    "receptive field": "receptive_field_figure",
    "comparison": "comparison_figure",
}
CROPS = (64, 128, 256, 512)  # sides of the square that is shown, in pixels
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

# A click on a picture is written into a text field that is not shown, as ipywidgets' images report none: which picture,
# and where in it, from 0 to 1. A style is the one element of which both versions of ipywidgets run a handler.
CLICKS = """<style onload="(style => {{
  const root = style.closest('.{name}');
  root.addEventListener('click', event => {{
    const image = event.target.closest('.srcnn-grid, .srcnn-overview'), box = image?.getBoundingClientRect();
    if (!box) return;
    const field = root.querySelector('.srcnn-click input');
    const place = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    field.value = [image.matches('.srcnn-grid') ? 'grid' : 'overview', ...place, event.timeStamp].join(' ');
    field.dispatchEvent(new Event('input', {{ bubbles: true }}));
  }});
}})(this)">
.{name} .srcnn-grid {{ cursor: pointer }}
.{name} .srcnn-overview {{ cursor: crosshair }}
</style>"""
# Shown where the widgets are not: in a notebook that is opened without its kernel, and in what nbconvert makes of it.
STILL = """<style>
body:has(.{name}) .{name}-still {{ display: none }}
.jp-OutputArea-child:not(:has(.{name})):has(+ .jp-OutputArea-child .{name}-still) {{ display: none }}
</style>
<figure class="{name}-still" style="margin: 0; max-width: 1200px">
<div style="display: flex; flex-wrap: wrap; gap: 10px; align-items: flex-start">{images}</div>
<figcaption style="margin-top: .5em">{caption}</figcaption>
</figure>"""


class Explorer(ipywidgets.VBox):
    """Shows one channel enlarged, and all channels of its layer beside it, for any network, picture and snapshot.

    A click on a channel selects it. Of a large photograph a square is shown; a click on the small picture moves it.

    Other cells of a notebook can use what is selected: `inspector`, `layer`, `address` (a ChannelAddress) and `step`.

    Args:
        source: the network to open: a run, its folder or a weights file; None for the newest run in `runs`, or else
            a released network.
        picture: the picture to open, as in `visualization.open_picture`.
        layer: the layer to show.
        channel: the channel to show; None for the one that follows edges best.
        runs: the folder whose runs the menu lists.
        out: the folder that figures are saved in.

    Raises:
        InputError: there is no network to look at, no such layer or channel, or a picture that can't be read.
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
        networks = [str(path) for path in find_networks(runs)]
        if source:
            networks.insert(0, str(source.path if isinstance(source, Run) else source))
        if not networks:
            raise InputError(f"there is nothing to look at: {runs} holds no run, and no network is released; train one")
        self.out = Path(out)
        self.inspector: Inspector
        self._shown_picture: str | None = None  # its name in the menu
        self._pictures: dict[str, Picture | str | Path] = {  # by the names in the menu
            _picture_name(picture): picture,
            **{f"samples:{name}": f"samples:{name}" for name in SAMPLES},
        }
        self._at: tuple[int, int] | None = None  # where the square was put; None: where bicubic errs most
        self._name = f"srcnn-explorer-{secrets.token_hex(4)}"  # its class in the page
        self._lock = threading.RLock()  # in JupyterLab callbacks may run in another thread
        self._silent = False  # whether changes of the controls are ignored, while the program sets them
        super().__init__(layout={"max_width": "1200px"})
        self.add_class(self._name)
        self._create_controls(list(dict.fromkeys(networks)), layer)
        self._open()
        if channel is not None:
            self._set(self.channel_slider, value=self._checked_channel(channel))
            self._draw()
        else:
            self._set(self.channel_slider, value=self._channel_of_edges())
            self._draw()
        self._connect_controls()
        self.children = [
            _row(self.network_menu, self.picture_menu, self.upload, self.picture_path),
            _row(self.layer_buttons, self.before_relu),
            _row(self.channel_slider, self.snapshot_slider),
            _row(self.channel_image, self.grid_image, align_items="flex-start"),
            _row(self.overview_image, ipywidgets.VBox([self.crop_menu, self.largest_error_button, self.message])),
            _row(self.figure_menu, self.save_button, self.code),
            self.upload_output,
            self.click,
            ipywidgets.HTML(CLICKS.format(name=self._name)),
        ]

    def _ipython_display_(self, **_) -> None:
        """Displays the widgets, and a still picture that is shown where they are not."""
        from IPython.display import display

        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        display({WIDGET_VIEW: view, "text/plain": ""}, raw=True)
        display({"text/html": self._still(), "text/plain": ""}, raw=True)

    def _still(self) -> str:
        pictures = {self.channel_image.layout.width: self.channel_image, self.grid_image.layout.width: self.grid_image}
        images = "".join(
            f'<img style="width: {width}; min-width: 240px" alt="" src="data:image/png;base64,'
            f'{base64.b64encode(image.value).decode()}">'
            for width, image in pictures.items()
        )
        caption = (
            f"{self.address} of {_short_name(str(self.inspector.source))}, {_short_name(str(self._shown_picture))}. "
            "Run the cell to choose other channels, layers, snapshots and pictures."
        )
        return STILL.format(name=self._name, images=images, caption=html.escape(caption))

    @property
    def layer(self) -> str:
        return self.layer_buttons.value

    @property
    def address(self) -> ChannelAddress:
        return ChannelAddress(self.layer, self.channel_slider.value)

    @property
    def step(self) -> int:
        return self.snapshot_slider.value

    def _create_controls(self, networks: list[str], layer: str) -> None:
        menu = {"style": {"description_width": "62px"}, "layout": {"width": "250px"}}
        slider = {"style": {"description_width": "62px"}, "layout": {"width": "430px"}}
        image = {"format": "png", "layout": {"margin": "6px 10px 6px 0"}}
        network_names = [(_short_name(path), path) for path in networks]
        layer_names = [(name, layer) for layer, name in LAYER_NAMES.items()]
        self.network_menu = ipywidgets.Dropdown(options=network_names, description="Network", **menu)
        self.picture_menu = ipywidgets.Dropdown(options=self._picture_names(), description="Picture", **menu)
        # On Colab a FileUpload loses files of 1 MB and more without a word; Colab has a way of its own.
        if is_colab():
            self.upload = ipywidgets.Button(description="Your own", icon="upload", layout={"width": "130px"})
        else:
            self.upload = ipywidgets.FileUpload(accept="image/*", description="Your own", layout={"width": "130px"})
        self.upload_output = ipywidgets.Output()
        self.picture_path = ipywidgets.Text(
            placeholder="or its path or address", continuous_update=False, layout={"width": "230px"}
        )
        self.layer_buttons = ipywidgets.ToggleButtons(options=layer_names, value=layer, style={"button_width": "150px"})
        self.before_relu = ipywidgets.Checkbox(description="before ReLU", indent=False)
        self.channel_slider = ipywidgets.IntSlider(0, 0, 1, description="Channel", **slider)
        self.snapshot_slider = ipywidgets.SelectionSlider(options=[("", 0)], description="Snapshot", **slider)
        self.channel_image = ipywidgets.Image(**image)
        self.channel_image.layout.width = "43%"
        self.grid_image = ipywidgets.Image(**image)
        self.grid_image.layout.width = "54%"
        self.grid_image.add_class("srcnn-grid")
        self.overview_image = ipywidgets.Image(format="png", layout={"margin": "0 10px 6px 0"})
        self.overview_image.add_class("srcnn-overview")
        crops = [(f"{side} × {side} pixels", side) for side in CROPS]
        self.crop_menu = ipywidgets.Dropdown(options=crops, value=256, description="Shown", **menu)
        self.largest_error_button = ipywidgets.Button(
            description="Where bicubic errs most", icon="crosshairs", layout={"width": "250px"}
        )
        self.click = ipywidgets.Text(layout={"display": "none"})
        self.click.add_class("srcnn-click")
        self.figure_menu = ipywidgets.Dropdown(options=[*FIGURES], description="Figure", **menu)
        self.save_button = ipywidgets.Button(
            description="Save figure as PNG", icon="download", layout={"width": "auto"}
        )
        self.code = ipywidgets.HTML()
        self.message = ipywidgets.HTML()

    def _connect_controls(self) -> None:
        actions = {
            self.network_menu: self._open,
            self.picture_menu: self._open_chosen,
            self.crop_menu: self._move_crop,
            self.click: self._follow_click,
            self.picture_path: self._open_path,
            self.layer_buttons: self._change_layer,
            self.before_relu: self._draw,
            self.channel_slider: self._draw,
            self.snapshot_slider: self._draw,
            self.figure_menu: self._show_code,
        }
        for control, action in actions.items():
            control.observe(lambda _, action=action: self._run(action), "value")
        if isinstance(self.upload, ipywidgets.Button):
            self.upload.on_click(lambda _: self._run(self._upload_below))
        else:
            self.upload.observe(lambda _: self._run(self._open_upload), "value")
        self.save_button.on_click(lambda _: self._run(self._save))
        self.largest_error_button.on_click(lambda _: self._run(self._crop_to_largest_error))

    def _run(self, action: Callable[[], None]) -> None:
        """Runs a callback and shows its error below the images."""
        if self._silent:
            return
        with self._lock:
            try:
                action()
            except (InputError, OSError) as error:
                self._show_message(user_message(error))

    def _show_message(self, *lines: str) -> None:
        self.message.value = "<br>".join(map(html.escape, lines))

    def _set(self, control: ipywidgets.Widget, **values) -> None:
        """Sets traits of a control, in this order, without running its callback."""
        self._silent = True
        try:
            for trait, value in values.items():
                setattr(control, trait, value)
        finally:
            self._silent = False

    # The callbacks

    def _open(self) -> None:
        """Opens the selected network and picture. If that fails, the menus go back to what is shown."""
        name = self.picture_menu.value
        try:
            inspector = Inspector(self.network_menu.value, self._pictures[name], crop=self.crop_menu.value, at=self._at)
        except InputError:
            if self._shown_picture:
                self._set(self.network_menu, value=str(self.inspector.source))
                self._set(self.picture_menu, value=self._shown_picture)
            raise
        same_network = self._shown_picture is not None and self.inspector.source == inspector.source
        step = self.step if same_network else inspector.steps[-1]
        self._shown_picture = name
        # Only a run has the tiles of a probe.
        self._pictures = {name: source for name, source in self._pictures.items() if not name.startswith("probe:")}
        if inspector.run:
            self._pictures |= {f"probe:{tile}": f"probe:{tile}" for tile in range(4)}
        self._set(self.picture_menu, options=self._picture_names(), value=name)
        steps = [(f"step {step}" if inspector.run else "as released", step) for step in inspector.steps]
        self._set(self.snapshot_slider, options=steps, value=step, disabled=len(steps) == 1)
        self._look(inspector)

    def _look(self, inspector: Inspector) -> None:
        """Shows another inspector of the network and the picture that the menus show."""
        self.inspector = inspector
        self._drawings = ExplorerPictures(inspector)
        self._show_message(*inspector.picture.notes)
        large = inspector.region is not None
        for control in (self.overview_image, self.crop_menu, self.largest_error_button):
            control.layout.display = None if large else "none"
        if large:
            self.overview_image.value = encode_png(self._drawings.overview())
        self._change_layer()

    def _open_chosen(self) -> None:
        """Opens the picture that was chosen in the menu."""
        self._at = None
        self._open()

    def _open_upload(self) -> None:
        for name, content in uploaded_files(self.upload.value):
            self._open_content(name, content)

    def _upload_below(self) -> None:
        """Asks for a file below the explorer, on Colab."""
        with self.upload_output:
            self.upload_output.clear_output()
            try:
                self.open_upload()
            except (InputError, OSError):
                raise
            except Exception as error:  # a browser that does not answer, or whatever else Colab raises
                way_out = "run explorer.open_upload() in a cell of its own"
                raise InputError(f"nothing was uploaded ({error}); {way_out}") from error

    def open_upload(self) -> None:
        """Asks for a picture with Colab's own upload, and opens it. Call it in a cell of its own.

        Raises:
            InputError: outside Colab, or a picture that can't be read.
        """
        if not is_colab():
            raise InputError("this is not Colab; choose a file with the button, or write its path beside it")
        from google.colab import files

        for name, content in files.upload().items():
            self._open_content(name, content)

    def _open_content(self, name: str, content: bytes) -> None:
        """Stores an uploaded picture as a file, which the line of code can name, and opens it."""
        images.read_image(content, name)
        path = _unused_path(self.out / "uploads" / Path(name).name, content)
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as temporary:
            temporary.write_bytes(content)
        self._open_new(str(path), path)

    def _open_path(self) -> None:
        if name := self.picture_path.value.strip():
            self._open_new(name, name)

    def _open_new(self, name: str, picture: Picture | str | Path) -> None:
        """Opens another picture and adds it to the menu; if it can't be opened, the menu stays as it is."""
        before, place = dict(self._pictures), self._at
        self._pictures[name] = picture
        self._at = None
        self._set(self.picture_menu, options=self._picture_names(), value=name)
        try:
            self._open()
        except InputError:
            self._pictures, self._at = before, place
            self._set(self.picture_menu, options=self._picture_names(), value=self._shown_picture)
            raise

    def _move_crop(self) -> None:
        """Shows the chosen crop of the photograph."""
        before = self.inspector
        self._look(Inspector(before.source, before.photograph, crop=self.crop_menu.value, at=self._at))

    def _crop_to_largest_error(self) -> None:
        self._at = None
        self._move_crop()

    def _follow_click(self) -> None:
        """Selects the channel, or moves the square to the place, on which was clicked."""
        words = self.click.value.split()
        if len(words) < 3:  # the field was emptied
            return
        picture, x, y = words[0], *(min(max(float(number), 0), 1) for number in words[1:3])
        if picture == "grid":
            channel = self._drawings.channel_at(self.layer, self.step, x, y)
            if channel is not None:
                self.channel_slider.value = channel
        elif self.inspector.region:
            height, width = self.inspector.photograph.pixels.shape[-2:]
            _, _, tall, wide = self.inspector.region
            self._at = (round(y * height - tall / 2), round(x * width - wide / 2))
            self._move_crop()
            self._at = self.inspector.region[:2]  # inside the photograph

    def _picture_names(self) -> list[tuple[str, str]]:
        """Returns (text in the menu, value) of each picture."""
        return [(_short_name(name) if Path(name).is_absolute() else name, name) for name in self._pictures]

    def _channel_of_edges(self) -> int:
        """Returns the channel of the layer that follows edges best, of those that are not rarely active."""
        reports = self.inspector.channel_reports(self.layer, self.step)
        return max(reports, key=lambda report: (report.active >= RARE, report.edges)).channel

    def _checked_channel(self, channel: int) -> int:
        count = len(self.inspector.feature_maps(self.layer, self.step))
        if not isinstance(channel, int) or not 0 <= channel < count:
            raise InputError(f"channel is {channel!r}, expected 0 to {count - 1}, the channels of {self.layer}")
        return channel

    def _change_layer(self) -> None:
        self._set(self.channel_slider, max=len(self.inspector.feature_maps(self.layer, self.step)) - 1)
        self.before_relu.disabled = self.layer == LAYERS[-1]  # which has none
        self._draw()

    def _draw(self) -> None:
        before_relu = self.before_relu.value
        grid = self._drawings.channel_grid(self.layer, self.step, before_relu, marked=self.channel_slider.value)
        self.channel_image.value = encode_png(self._drawings.channel(self.address, self.step, before_relu))
        self.grid_image.value = encode_png(grid)
        self._show_code()

    # The selected figure, as a line of code and as a file

    def _figure_call(self) -> "FigureCall":
        step = {"step": self.step} if self.inspector.run else {}
        sign = {"before_relu": True} if self.before_relu.value else {}
        calls = {
            "channel_figure": ([str(self.address)], step | sign),
            "channels_figure": ([self.layer], step | sign),
            "kernels_figure": ([self.layer], step),
            "receptive_field_figure": ([], {}),
            "comparison_figure": ([], step),
        }
        method = FIGURES[self.figure_menu.value]
        return FigureCall(method, *calls[method])

    def _show_code(self) -> None:
        shown = self._pictures[str(self._shown_picture)]
        # A picture that was given as pixels has no name under which it could be opened again.
        picture = "picture" if isinstance(shown, Picture) else _quote(str(shown))
        arguments = [_quote(str(self.inspector.source)), picture]
        if self.inspector.region and self.crop_menu.value != 256:
            arguments.append(f"crop={self.crop_menu.value}")
        if self.inspector.region and self._at:
            arguments.append(f"at={self._at}")
        code = html.escape(f"Inspector({', '.join(arguments)}).{self._figure_call().code()}")
        self.code.value = f'<code style="white-space: pre-wrap; overflow-wrap: anywhere">{code}</code>'

    def _save(self) -> None:
        call = self._figure_call()
        self.out.mkdir(parents=True, exist_ok=True)
        shown = [self.inspector.source.stem]
        if call.method != "kernels_figure":
            shown.append(Path(str(self._shown_picture)).stem)
            if self.inspector.region and self._at:
                shown.append(f"x{self._at[1]}-y{self._at[0]}")
        path = self.out / call.file_name(*shown)
        written = "written again" if path.exists() else "written"
        self._show_message(f"{save_figure(call.figure(self.inspector), path)} is {written}")


@dataclass(frozen=True)
class FigureCall:
    """A call of one of an Inspector's methods that return a figure."""

    method: str
    arguments: list[str]
    keywords: dict[str, int | bool]

    def figure(self, inspector: Inspector) -> Figure:
        return getattr(inspector, self.method)(*self.arguments, **self.keywords)

    def code(self) -> str:
        """Returns the call as Python: channel_figure("layer_1:2", step=4)."""
        arguments = [*map(_quote, self.arguments), *(f"{name}={value}" for name, value in self.keywords.items())]
        return f"{self.method}({', '.join(arguments)})"

    def file_name(self, *shown: str) -> str:
        """Returns a name that says what the figure shows: channel-layer_1-2-first-astronaut-step-4.png.

        Args:
            shown: the names of the network and the picture, and which part of it.
        """
        parts = [self.method.removesuffix("_figure"), *self.arguments, *shown]
        parts += [name if value is True else f"{name}-{value}" for name, value in self.keywords.items()]
        return "-".join(re.sub(r"[^\w.]+", "-", part).strip("-") for part in parts) + ".png"


def _unused_path(path: Path, content: bytes) -> Path:
    """Returns the path, or with a number behind its name where it is the path of another file."""
    number = 1
    found = path
    while found.exists() and found.read_bytes() != content:
        number += 1
        found = path.with_stem(f"{path.stem}-{number}")
    return found


def find_networks(runs: str | Path) -> list[Path]:
    """Returns the runs in a folder that have snapshots, newest first, and then the released weights files."""
    with_snapshots = [
        config.parent for config in Path(runs).glob("*/config.json") if any(config.parent.glob("snapshots/*"))
    ]
    released = [path for path in saved_folder().iterdir() if path.suffix in (".safetensors", ".pth")]
    return sorted(with_snapshots, key=lambda run: run.stat().st_mtime, reverse=True) + sorted(released)


def _row(*widgets: ipywidgets.Widget, align_items: str = "center") -> ipywidgets.HBox:
    return ipywidgets.HBox(widgets, layout={"flex_flow": "row wrap", "align_items": align_items})


def _picture_name(picture: Picture | str | Path) -> str:
    return picture.name if isinstance(picture, Picture) else str(picture)


def _short_name(path: str) -> str:
    """Returns the last two parts of a path: runs/first."""
    return "/".join(Path(path).parts[-2:])


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
