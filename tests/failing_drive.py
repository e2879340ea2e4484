"""A folder that stands for Google Drive and fails as a test asks, and a run that changes as a training changes it."""

import builtins
import errno
import io
import json
import os
import threading


class FailingDrive:
    """A folder that stands for Drive and fails as a test asks: it replaces `open` and functions of `os`.

    drive.fails = None       nothing fails
                  "error"    every write raises an OSError (Errno 5)
                  "short"    every write keeps half of the content and raises nothing
                  "gone"     every access raises Errno 107
                  "full"     every write keeps half of the content and raises Errno 28
                  "stall"    a write waits until `drive.go_on` is set
                  "dies"     the next write keeps half of the content and raises Errno 107; then it is "vanished"
                  "vanished" the folder itself is missing, as after an unmount
    drive.only               only writes of files whose names begin with this fail; "" for all files
    drive.opened             the names of the files created so far
    drive.emptied            the names of those truncated
    drive.violations         forbidden accesses, none at the end of every test: opening a file to change it, using a
                             name twice, renaming, deleting a file that was not truncated
    """

    def __init__(self, path, monkeypatch):
        self.only = ""
        self.path, self.fails, self.go_on, self.stalled = path, None, threading.Event(), threading.Event()
        self.opened, self.emptied, self.violations = [], [], []
        path.mkdir(parents=True)
        real_open = builtins.open
        self.real_unlink = os.unlink

        def opens(file, mode="r", *args, **kwargs):
            if not self.concerns(file):
                return real_open(file, mode, *args, **kwargs)
            self.answer(file)
            if mode not in ("rb", "xb") or (mode == "xb" and os.path.basename(file) in self.opened):
                self.violations.append(f"{file} opened with {mode!r}")
            opened = real_open(file, mode, *args, **kwargs)
            if mode == "xb":
                self.opened.append(os.path.basename(file))
                return _File(opened, self)
            return opened

        monkeypatch.setattr(builtins, "open", opens)
        monkeypatch.setattr(io, "open", opens)
        for name in ("listdir", "scandir", "mkdir", "unlink", "remove", "truncate", "stat"):
            monkeypatch.setattr(os, name, self.guarded(name, getattr(os, name)))
        for name in ("rename", "replace"):
            monkeypatch.setattr(os, name, self.guarded_move(getattr(os, name)))

    def concerns(self, path) -> bool:
        return isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(str(self.path))

    def answer(self, path) -> None:
        if self.fails == "gone":
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected", str(path))
        if self.fails == "vanished":
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))

    def lose(self, run, *starts) -> None:
        """Removes files whose names begin with one of `starts`, as Drive may lose them."""
        fails, self.fails = self.fails, None
        names = self.names(run)
        self.fails = fails
        for name in names:
            if name.startswith(starts):
                self.real_unlink(self.path / run / name)

    def guarded(self, name, function):
        def guarded(path=".", *args, **kwargs):
            if self.concerns(path):
                self.answer(path)
                if name == "truncate":
                    self.emptied.append(os.path.basename(path))
                if name in ("unlink", "remove") and os.path.basename(path) not in self.emptied:
                    self.violations.append(f"{path} deleted before it was truncated")
            return function(path, *args, **kwargs)

        return guarded

    def guarded_move(self, function):
        def guarded(source, target, **kwargs):
            if self.concerns(source) or self.concerns(target):
                self.violations.append(f"{source} renamed to {target}")
            return function(source, target, **kwargs)

        return guarded

    def names(self, run="run") -> list[str]:
        return sorted(entry for entry in os.listdir(self.path / run))

    def listing(self, run="run") -> dict:
        """Returns the content of the newest listing."""
        newest = max(name for name in self.names(run) if name.startswith("latest-"))
        return json.loads((self.path / run / newest).read_bytes())

    def named(self, run="run") -> set[str]:
        """Returns the names of the listings and of all pieces that they name."""
        names = {name for name in self.names(run) if name.startswith("latest-")}
        for name in list(names):
            files = json.loads((self.path / run / name).read_bytes())["files"]
            names |= {piece["name"] for pieces in files.values() for piece in pieces}
        return names

    def holding(self, start: str, run="run") -> str:
        """Returns the name of the only file whose name begins with `start`."""
        (name,) = (name for name in self.names(run) if name.startswith(start))
        return name


class _File:
    def __init__(self, file, drive):
        self.file, self.drive = file, drive

    def write(self, content):
        drive = self.drive
        drive.answer(self.file.name)
        if not os.path.basename(self.file.name).startswith(drive.only):
            return self.file.write(content)
        if drive.fails == "error":
            raise OSError(errno.EIO, "Input/output error", self.file.name)
        if drive.fails in ("short", "full", "dies"):
            self.file.write(content[: len(content) // 2])
            if drive.fails == "full":
                raise OSError(errno.ENOSPC, "No space left on device", self.file.name)
            if drive.fails == "dies":
                drive.fails = "vanished"
                raise OSError(errno.ENOTCONN, "Transport endpoint is not connected", self.file.name)
            return len(content)
        if drive.fails == "stall":
            drive.stalled.set()
            assert drive.go_on.wait(30)
        return self.file.write(content)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def advance(run, step, keep=3):
    """Writes and removes files as a training does at the end of an epoch of ten steps, in the same order."""
    for folder in ("snapshots", "checkpoints"):
        (run.path / folder).mkdir(exist_ok=True)
    put(run.path / "snapshots" / f"step-{step:08}-epoch-{step // 10:04}.safetensors", os.urandom(700))
    run.write_history([{"step": past, "validation_psnr_y": 30.0} for past in range(10, step + 1, 10)])
    with open(run.path / "events.out.tfevents.1.host.2.0", "ab") as file:
        file.write(os.urandom(100))
    put(run.path / "checkpoints" / f"step-{step:08}.pt", os.urandom(3000))
    for old in run.checkpoints()[keep:]:
        old.unlink()


def put(path, content):
    path.with_name("." + path.name).write_bytes(content)
    os.replace(path.with_name("." + path.name), path)
