"""Runs with a mutated file, each resumed and looked at by another command: read, or one line."""

import contextlib
import io
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from attack import Tally
from bounded import limit_addresses
from tiny_runs import photographs, result, tiny_config, train

from srcnn_lib.commands.train import choose_run
from srcnn_lib.commands.weights import info
from srcnn_lib.errors import InputError
from srcnn_lib.inference.upscaling import upscale
from srcnn_lib.run import Run
from srcnn_lib.runtime.state_file import state_digest
from srcnn_lib.training import checkpointing
from srcnn_lib.training.trainer import fit
from srcnn_lib.visualization.animation import ClipOptions, animate
from srcnn_lib.visualization.curves import svg_chart

WEIRD = [
    None, True, False, -1, 0, 1, 2, 3.5, 1e308, -1e308, 10**9, 10**30, 10**400, "", "x", "1", "../..", "\x00", "\ud800",
    [], [[]], [1, "a"], {}, {"a": 1}, "a" * 5000, float("nan"), float("inf"),
]  # fmt: skip


class Code:
    """Would make a folder if a pickle that holds it were loaded with code."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def attack(seed: int, count: int, folder: Path) -> Tally:
    """Mutates a copy of a run, resumes it for three steps more, and looks at it with one other command."""
    chance, tally = random.Random(seed), Tally()
    checkpointing.TensorBoardWriter.write = lambda *_: None  # nothing of it is read, and it takes most of the time
    config = tiny_config(photographs(folder / "photographs"), steps=6, arithmetic="float32")
    train(folder / "run", config)
    train(folder / "other", tiny_config(folder / "photographs", steps=6, arithmetic="float32", seed=1))
    shutil.copytree(folder / "run", folder / "longer")
    _resume(folder / "longer")
    expected = result(Run(folder / "longer"))["weights"]
    for number in range(count):
        path = Path(shutil.copytree(folder / "run", folder / f"mutated-{number}"))
        mutation = chance.choice(MUTATIONS)
        detail = mutation(path, chance, folder)
        name = f"case {number}, {mutation.__name__[1:]} {detail}"
        forged = mutation is _forged_state and "digest" in detail
        with tally.case(name), limit_addresses():
            command = chance.choice(COMMANDS)
            outcome = _quietly(tally, lambda path=path, command=command: command(path), f"{command.__name__[1:]}")
            notes: list[str] = []
            outcome = _quietly(tally, lambda path=path, notes=notes: notes.extend(_resume(path)), "resume") or outcome
            if not forged and outcome is None and not notes:
                found = result(Run(path))["weights"]
                assert found == expected, "trained on to other weights without a word"
            assert not (folder / "code-was-run").exists(), "code was run"
        shutil.rmtree(path, ignore_errors=True)
    return tally


def _quietly(tally: Tally, action: Callable[[], object], name: str) -> str | None:
    """Runs an action; an InputError or an OSError of one line is an outcome."""
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            action()
    except (InputError, OSError) as error:
        message = str(error)
        assert "\n" not in message, f"{name}: more than a line: {message!r}"
        assert len(message) < 2000, f"{name}: {len(message)} letters"
        tally.add(f"{name} refused")
        return message
    tally.add(f"{name} done")
    return None


# Commands


def _resume(path: Path) -> list[str]:
    config, _ = choose_run({"steps": 9}, path, resume=True)
    run = Run(path)
    notes = [note for record in fit(config, run) for note in record.notes]
    return [note for note in notes if "the cosine now ends" not in note]


def _info(path: Path) -> None:
    info(str(path))


def _animate(path: Path) -> None:
    animate(path, "reconstruction", (), ClipOptions(frames=3), out=path.parent / "clip.gif")


def _curves(path: Path) -> None:
    svg_chart(Run(path).history(), [])


def _probe(path: Path) -> None:
    Run(path).probe()


def _upscale(path: Path) -> None:
    upscale(torch.rand(3, 12, 13), Run(path).model("best"))


COMMANDS = [*4 * [_info, _curves, _probe, _upscale], _animate]  # the last one takes a hundred times as long

# Mutations: each changes a run and returns what it did


def _file(path: Path, chance: random.Random) -> Path:
    files = sorted(found for found in path.rglob("*") if found.is_file() and not found.name.startswith("events"))
    return chance.choice(files)


def _flipped_bits(path: Path, chance: random.Random, _: Path) -> str:
    file = _file(path, chance)
    content = bytearray(file.read_bytes())
    for _ in range(chance.choice([1, 1, 5, 50])):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)
    return file.name


def _cut(path: Path, chance: random.Random, _: Path) -> str:
    file = _file(path, chance)
    os.truncate(file, chance.choice([0, 1, 7, 100, chance.randrange(file.stat().st_size)]))
    return file.name


def _gone(path: Path, chance: random.Random, _: Path) -> str:
    file = _file(path, chance)
    file.unlink()
    return file.name


def _replaced(path: Path, chance: random.Random, folder: Path) -> str:
    file = _file(path, chance)
    file.unlink()
    kind = chance.choice(["folder", "fifo", "link to itself", "link to another", "link to a device", "noise"])
    if kind == "folder":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "noise":
        file.write_bytes(chance.randbytes(chance.choice([1, 100, 10_000])))
    else:
        target = {"link to itself": file, "link to another": folder / "photographs" / "0.png"}.get(kind, "/dev/zero")
        file.symlink_to(target)
    return f"{file.name}: {kind}"


def _swapped(path: Path, chance: random.Random, _: Path) -> str:
    first, second = _file(path, chance), _file(path, chance)
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    return f"{first.name}, {second.name}"


def _of_another_run(path: Path, chance: random.Random, folder: Path) -> str:
    file = _file(folder / "other", chance)
    place = path / file.relative_to(folder / "other")
    shutil.copyfile(file, place)
    return file.name


def _odd_name(path: Path, chance: random.Random, _: Path) -> str:
    file = _file(path, chance)
    name = chance.choice([
        "step-x", "step-best", f"{file.stem} (1)", "step-99999999999999999999", "step--1", ".step-1", "events",
        "control", "lock",
    ])  # fmt: skip
    shutil.copyfile(file, file.with_name(name + chance.choice([file.suffix, ""])))
    return f"{file.name}: {name}"


def _control(path: Path, chance: random.Random, _: Path) -> str:
    content = chance.choice([b"stop", b"halve epoch", chance.randbytes(1000), b"epoch " * 100_000, b"\x00"])
    (path / "control").write_bytes(content)
    return repr(content[:10])


def _edited_json(path: Path, chance: random.Random, _: Path) -> str:
    file = path / chance.choice(["config.json", "history.jsonl", "history.jsonl"])
    lines = file.read_text().splitlines()
    values = [json.loads(file.read_text())] if file.suffix == ".json" else [json.loads(line) for line in lines]
    chosen: Any = chance.choice(values)
    while chance.random() < 0.7 and (inner := [value for value in chosen.values() if isinstance(value, dict)]):
        chosen = chance.choice(inner)
    name = chance.choice([*chosen, "a new name"])
    if chance.random() < 0.2 and name in chosen:
        del chosen[name]
        value: Any = "deleted"
    else:
        value = chosen[name] = chance.choice(WEIRD)
    text = json.dumps(values[0], indent=1) if file.suffix == ".json" else "\n".join(map(json.dumps, values)) + "\n"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    return f"{file.name}: {name} = {repr(value)[:40]}"


def _deep_json(path: Path, chance: random.Random, _: Path) -> str:
    file = path / chance.choice(["config.json", "history.jsonl"])
    file.write_text('{"training_config": ' + "[" * 50_000)
    return file.name


def _forged_state(path: Path, chance: random.Random, folder: Path) -> str:
    """Changes a value in a checkpoint and writes it as torch does, with the old checksum or one that fits."""
    file = chance.choice(Run(path).checkpoints())
    stored = torch.load(file, weights_only=True)
    state = stored["state"]
    name = chance.choice(list(state))
    kind = chance.choice(["weird", "negative", "noise", "code", "missing"])
    if kind == "code":
        state[name] = Code(folder / "code-was-run")
    elif kind == "missing":
        del state[name]
    elif kind == "negative" and isinstance(state[name], (int, float)):
        state[name] = -state[name] - 1
    elif kind == "noise" and isinstance(state[name], dict):
        for key, value in state[name].items():
            if isinstance(value, torch.Tensor):
                state[name][key] = torch.rand_like(value.float())
    else:
        state[name] = chance.choice(WEIRD)
    fits = kind != "code" and chance.random() < 0.3
    if fits:
        stored["sha256"] = state_digest(state)
    torch.save(stored, file)
    return f"{file.name}: {name}, {kind}{', with a fitting digest' if fits else ''}"


MUTATIONS = [
    _flipped_bits, _flipped_bits, _cut, _cut, _gone, _replaced, _swapped, _of_another_run, _odd_name, _control,
    _edited_json, _edited_json, _edited_json, _deep_json, _forged_state, _forged_state,
]  # fmt: skip
