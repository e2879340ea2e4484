"""Damaged weights files and model cards, which are loaded, run and described."""

import functools
import hashlib
import io
import json
import os
import pickle
import random
from pathlib import Path

import torch
from attack import Tally
from bounded import check_line, check_refusal, command, run_cases
from mutations import mutate

ODD_VALUES = ("null", "{}", "[]", "[" * 50_000, "9" * 400, "9" * 5000, "-1", "1e999", "NaN", '"\\ud800"', '"a\\nb"',
              '{"a": ' * 3000, "true", '"zeros"', "2", "0.1", "", "\u202e")  # fmt: skip
FIELDS = ("scale", "padding_mode", "network", "training_config", "data", "steps", "seconds", "validation_psnr_y",
          "machine", "resolved", "results", "command", "step", "protocol")  # fmt: skip

Parts = list[tuple[str, bytes, bytes | None]]  # extension, content, card


class _Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: str):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def attack(seed: int, count: int, folder: Path) -> Tally:
    """Damages weights files and cards, loads each, runs what is loaded and describes every fourth with `srcnn info`."""
    mark = folder / "code-was-run"
    tally = run_cases(functools.partial(_case, seeds(str(mark))), seed, count, folder)
    if mark.exists():
        tally.fail("code in a file was run")
    return tally


def _case(good: Parts, chance: random.Random, folder: Path) -> str:
    from srcnn_lib import InputError, load, upscale

    extension, content, card = chance.choice(good)
    path = folder / f"weights{extension}"
    way = chance.random()
    if way < 0.35:
        content = mutate(content, chance, chance.choice(good)[1])
    elif way < 0.55 and extension == ".safetensors":
        content = _mutate_header(content, chance)
    elif way < 0.75:
        content = _odd_file(chance, extension)
    if card is not None:
        changed = mutate(card, chance) if chance.random() < 0.5 else _odd_card(card, chance)
        matching = changed.replace(b"SHA", hashlib.sha256(content).hexdigest().encode())
        path.with_suffix(".json").write_bytes(matching)
    path.write_bytes(content)
    before = sorted(os.listdir(folder))
    try:
        model = load(path)
    except InputError as error:
        check_line(str(error))
        outcome = "refused"
    else:
        result = upscale(torch.rand(3, 6, 5), model, scale=2)
        assert torch.isfinite(result).all()
        assert result.shape == (3, 12, 10)
        outcome = "loaded"
    if chance.random() < 0.25:
        status, _, errors = command("info", path, *(["--json"] if chance.random() < 0.5 else []))
        if outcome == "loaded":
            assert (status, errors) == (0, ""), f"loaded, but not described: {status}, {errors[-300:]!r}"
        else:
            check_refusal(status, errors)
    assert sorted(os.listdir(folder)) == before, f"left behind: {os.listdir(folder)}"
    return outcome


def _mutate_header(content: bytes, chance: random.Random) -> bytes:
    """Changes the JSON header of a safetensors file, whose length fits again."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    name = chance.choice(list(header))
    way = chance.randrange(5)
    if way == 0:
        header["__metadata__"] = {**header.get("__metadata__", {}), chance.choice(FIELDS): chance.choice(ODD_VALUES)}
    elif way == 1 and name != "__metadata__":
        header[name]["shape"] = [chance.choice((0, 1, 3, 5, 2**31, 2**62, -1)) for _ in range(chance.randint(0, 5))]
    elif way == 2 and name != "__metadata__":
        header[name]["dtype"] = chance.choice(("F64", "F16", "BF16", "I8", "BOOL", "F8_E4M3", "U64", "C64", "X"))
    elif way == 3 and name != "__metadata__":
        header[name]["data_offsets"] = [chance.choice((0, 4, 2**40, 100)), chance.choice((0, 400, 2**62))]
    else:
        header[chance.choice(("layer_4.weight", "\u202e", "a" * 3000, "layer_1.weight\n"))] = header.pop(name)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def _odd_file(chance: random.Random, extension: str) -> bytes:
    """Returns a whole file with a tensor of another shape, kind, size or value, or nested dictionaries."""
    from srcnn_lib import SRCNN

    state: dict = dict(SRCNN(1, (3, 1, 3), (4, 4)).state_dict())
    name = chance.choice(list(state))
    value = state[name]
    odd = [
        lambda: value * float("nan"),
        lambda: value * float("inf"), lambda: value + 1e38, lambda: value.int(), lambda: value.bool(),
        lambda: value.half(), lambda: value.double() * 1e300, lambda: value[:0], lambda: value.flatten(),
        lambda: value[..., None], lambda: torch.zeros(chance.choice((1, 7, 10**6))), lambda: value.to(torch.complex64),
        lambda: value.bfloat16(),
    ]  # fmt: skip
    if extension != ".safetensors":
        odd += [lambda: torch.zeros(1).expand(*(chance.choice((3, 5, 2**14)) for _ in range(4))),
                lambda: value.to("meta"), value.to_sparse, lambda: "text", lambda: None, lambda: [value] * 1000,
                lambda: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8), lambda: {"a": value}]  # fmt: skip
    state[name] = chance.choice(odd)()
    if chance.random() < 0.2:
        renamed = chance.choice(("layer_9.weight", "a\nb", "\x1b[2J", "module." + name, "x" * 4000))
        state[renamed] = state.pop(name)
    if extension == ".safetensors":
        import safetensors.torch

        return safetensors.torch.save({key: part.contiguous() for key, part in state.items()})
    for _ in range(chance.choice((0, 0, 1, 3, 200))):
        state = {chance.choice(("model", "state_dict", "net")): state}
    if chance.random() < 0.1:
        state["model"] = state
    return _saved(state, chance.random() < 0.5)


def _odd_card(card: bytes, chance: random.Random) -> bytes:
    text = card.decode()
    field = chance.choice(FIELDS)
    value = chance.choice(ODD_VALUES)
    return f'{{"{field}": {value}, {text[1:]}'.encode("utf-8", "surrogatepass") if chance.random() < 0.5 else (
        text.replace("null", value).encode("utf-8", "surrogatepass"))  # fmt: skip


def _saved(value: object, zipped: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def seeds(mark: str) -> Parts:
    """Returns good files of all kinds, and files with code that would make the folder `mark`."""
    from srcnn_lib import SRCNN
    from srcnn_lib.weights import to_bytes

    found: Parts = []
    for model in (SRCNN(1, (3, 1, 3), (4, 4)), SRCNN(3, (5, 3, 1), (6, 4), "zeros", 3)):
        state = dict(model.state_dict())
        facts = {
            "network": {"scale": 3, "padding_mode": "zeros"}, "steps": None, "seconds": None, "machine": None,
            "training_config": {"recipe": "best"}, "results": None, "resolved": None,
        }  # fmt: skip
        found += [
            (".safetensors", to_bytes(model), None),
            (".safetensors", to_bytes(model, {"steps": 5, "machine": "a", "results": {}, "resolved": {}}), None),
            (".pth", _saved(state), json.dumps({"sha256": "SHA", **facts}).encode()),
            (".pth", _saved(state), None),
            (".pth", _saved(state, False), json.dumps({"sha256": "SHA", **facts}).encode()),
            (".pth", _saved({"model": state, "epoch": 3}), None),
            (".pth", _saved({**state, "layer_1.bias": _Code(mark)}), None),
            (".pth", _saved({**state, "layer_1.bias": _Code(mark)}, False), None),
        ]
    found.append((".pth", pickle.dumps(_Code(mark)), None))
    return found
