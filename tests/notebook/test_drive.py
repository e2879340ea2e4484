import contextlib
import hashlib
import json
import os
import re
import shutil
import statistics
import time

import pytest
from failing_drive import FailingDrive, advance, put

from srcnn_lib.config import TrainingConfig
from srcnn_lib.data import training_data
from srcnn_lib.errors import InputError
from srcnn_lib.notebook.drive import backup as backup_module
from srcnn_lib.notebook.drive import storage as storage_module
from srcnn_lib.notebook.drive.backup import DriveBackup
from srcnn_lib.notebook.drive.restore import restore_run
from srcnn_lib.run import Run, weights_digest
from srcnn_lib.training.trainer import fit


@pytest.fixture
def drive(tmp_path, monkeypatch):
    monkeypatch.setattr(backup_module, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(backup_module, "LONGEST_RETRY", 0.02)
    drive = FailingDrive(tmp_path / "MyDrive" / "srcnn_runs", monkeypatch)
    yield drive
    drive.fails = None
    drive.go_on.set()
    assert drive.violations == []


@pytest.fixture
def run(tmp_path):
    """A run as a training writes it, at step 0, with random bytes instead of weights."""
    run = Run.create(tmp_path / "runs" / "run", TrainingConfig.of())
    (run.path / "probe.safetensors").write_bytes(os.urandom(500))
    (run.path / "events.out.tfevents.1.host.2.0").write_bytes(b"")
    advance(run, 0)
    return run


@pytest.fixture
def backed_up(drive, run):
    """backed_up(folder) → a backup of a run, which is closed at the end of the test."""
    with contextlib.ExitStack() as stack:

        def backed_up(folder=None):
            backup = DriveBackup(folder or run.path, drive.path, interval=0.0)
            stack.callback(backup.close, 0.5)
            return backup

        yield backed_up


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition never became true"
        time.sleep(0.002)


def contents_of(folder):
    """Returns {path: bytes} of all files except the run's identity."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "drive_backup.json"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def restored(drive, tmp_path, lines=None):
    """Restores the run into an empty folder, as a new Colab machine would."""
    shutil.rmtree(tmp_path / "new", ignore_errors=True)
    return restore_run(drive.path, "run", tmp_path / "new", (lines if lines is not None else []).append)


def test_a_run_comes_back_from_drive_as_it_was(drive, run, backed_up, tmp_path):
    backup = backed_up()
    for step in (10, 20, 30, 40, 50):
        advance(run, step)
        backup.push()
        wait_for(lambda step=step: backup.status == f"Drive: up to date (step {step})")
    assert backup.close()
    lines = []
    found = restored(drive, tmp_path, lines)
    assert contents_of(found) == contents_of(run.path)
    assert lines == [f"Drive: {found} was restored at step 50"]
    assert len(Run(found).snapshots()) == 6


def test_every_file_on_drive_is_new_and_the_listing_is_last(drive, run, backed_up):
    """FailingDrive checks in all tests that nothing is overwritten, appended or renamed."""
    backup = backed_up()
    for step in range(10, 100, 10):
        advance(run, step)
        backup.push()
        wait_for(lambda step=step: backup.status == f"Drive: up to date (step {step})")
    backup.close()
    assert drive.opened[-1].startswith("latest-")
    for path, pieces in drive.listing()["files"].items():
        there = b"".join((drive.path / "run" / piece["name"]).read_bytes() for piece in pieces)
        assert there == (run.path / path).read_bytes()
        for piece in pieces:
            found = (drive.path / "run" / piece["name"]).read_bytes()
            assert (len(found), hashlib.sha256(found).hexdigest()) == (piece["size"], piece["sha256"])


def test_drive_keeps_the_last_checkpoints_and_the_best_and_nothing_else(drive, run, backed_up):
    backup = backed_up()
    for step in range(10, 200, 10):
        advance(run, step)
        if step == 30:
            best = run.path / "checkpoints" / "best"
            shutil.copy(run.path / "checkpoints" / "step-00000030.pt", best)
        if step > 30:
            put(run.path / "checkpoints" / "step-00000030.pt", best.read_bytes())
        backup.push()
        wait_for(lambda step=step: backup.status == f"Drive: up to date (step {step})")
    backup.close()
    names = drive.names()
    kept = [name for name in names if name.endswith(".pt")]
    assert sum(name.startswith("latest-") for name in names) == 3
    assert len(kept) <= 3 + 2 + 1
    assert any(name.startswith("step-00000030.") for name in kept)
    assert len([name for name in names if name.endswith(".safetensors") and name.startswith("step-")]) == 20
    assert set(names) == drive.named()


def test_a_file_that_grows_is_not_copied_as_a_whole_each_time(drive, run, backed_up):
    backup = backed_up()
    events, sizes = run.path / "events.out.tfevents.1.host.2.0", 0
    for step in range(10, 330, 10):
        advance(run, step)
        sizes += events.stat().st_size
        backup.push()
        wait_for(lambda step=step: backup.status == f"Drive: up to date (step {step})")
    pieces = drive.listing()["files"][events.name]
    assert len(pieces) <= 6  # log2 of 33
    assert sum(piece["size"] for piece in pieces) == events.stat().st_size


def test_of_a_large_file_that_grows_only_the_end_is_read(drive, run, backed_up, tmp_path, monkeypatch):
    """TensorBoard's events grow to hundreds of megabytes in a long training."""
    monkeypatch.setattr(storage_module, "LARGEST_MERGED", 300)
    events, read = run.path / "events.out.tfevents.1.host.2.0", []
    real = backup_module.read_with_signature

    def counted(path, offset=0):
        content, signature = real(path, offset)
        if path == events:
            read.append(len(content))
        return content, signature

    monkeypatch.setattr(backup_module, "read_with_signature", counted)
    backup = backed_up()
    for step in range(10, 330, 10):
        advance(run, step)
        backup.push()
        wait_for(lambda step=step: backup.status == f"Drive: up to date (step {step})")
    assert max(read) <= 2 * 300
    events.write_bytes(events.read_bytes()[:1000])  # cut: the whole of it is compared
    advance(run, 340)
    assert backup.close()
    assert contents_of(restored(drive, tmp_path)) == contents_of(run.path)


@pytest.mark.parametrize(
    ("fault", "lines"),
    [
        ("error", "it answers 'Input/output error'"),
        ("short", "what was written there does not read back"),
        ("gone", "the mount is gone"),
        ("vanished", "the mount is gone"),
        ("full", "it is full"),
    ],
)
def test_after_a_failure_of_drive_everything_is_copied(drive, run, backed_up, tmp_path, fault, lines):
    backup = backed_up()
    wait_for(lambda: backup.status == "Drive: up to date (step 0)")
    drive.fails = fault
    for step in (10, 20, 30, 40, 50):
        advance(run, step)
        backup.push()
    wait_for(lambda: not backup.healthy)
    assert re.fullmatch(r"Drive: \d+ files? behind, .*; training goes on", backup.status)
    assert lines in backup.status
    time.sleep(0.05)  # several tries
    drive.fails = None
    wait_for(lambda: backup.status == "Drive: up to date (step 50)")
    assert backup.healthy
    assert backup.close()
    assert contents_of(restored(drive, tmp_path)) == contents_of(run.path)
    assert set(drive.names()) == drive.named()


@pytest.mark.parametrize("only", ["step-00000010.", "step-00000010-", "history", "events", "latest-"])
@pytest.mark.parametrize("fault", ["error", "short"])
def test_a_write_that_fails_in_the_middle_of_a_copy_is_repeated(drive, run, backed_up, tmp_path, fault, only):
    backup = backed_up()
    wait_for(lambda: backup.status == "Drive: up to date (step 0)")
    before = contents_of(run.path)
    drive.only, drive.fails = only, fault
    advance(run, 10)
    backup.push()
    wait_for(lambda: not backup.healthy)
    drive.fails = None
    wait_for(lambda: backup.healthy)
    assert backup.close()
    assert contents_of(restored(drive, tmp_path)) == contents_of(run.path) != before
    assert set(drive.names()) == drive.named()


def test_until_the_listing_is_written_drive_holds_the_earlier_state(drive, run, backed_up, tmp_path):
    backup = backed_up()
    wait_for(lambda: backup.status == "Drive: up to date (step 0)")
    before = contents_of(run.path)
    for only in ("step-00000010-", "latest-"):
        drive.only, drive.fails = only, "short"
        advance(run, 10)
        backup.push()
        wait_for(lambda: not backup.healthy)
        assert contents_of(restored(drive, tmp_path)) == before


def test_half_a_file_that_a_dying_mount_left_is_removed_once_it_is_back(drive, run, backed_up):
    backup = backed_up()
    wait_for(lambda: backup.status == "Drive: up to date (step 0)")
    drive.fails = "dies"
    advance(run, 10)
    backup.push()
    wait_for(lambda: not backup.healthy)
    time.sleep(0.05)  # several tries
    drive.fails = None
    wait_for(lambda: backup.status == "Drive: up to date (step 10)")
    assert backup.close()
    assert set(drive.names()) == drive.named()


def test_an_unmounted_drive_is_not_replaced_by_a_local_folder(drive, run, backed_up, tmp_path):
    backup = backed_up()
    wait_for(lambda: backup.status == "Drive: up to date (step 0)")
    drive.path.parent.rename(tmp_path / "in the cloud")
    advance(run, 10)
    backup.push()
    wait_for(lambda: not backup.healthy)
    time.sleep(0.05)
    assert not drive.path.parent.exists()
    (tmp_path / "in the cloud").rename(drive.path.parent)
    wait_for(lambda: backup.status == "Drive: up to date (step 10)")
    assert contents_of(restored(drive, tmp_path)) == contents_of(run.path)


def test_snapshots_after_the_newest_checkpoint_are_copied_with_the_next_one(drive, run, backed_up):
    """A training that resumes from that checkpoint writes them again."""
    put(run.path / "snapshots" / "step-00000004-epoch-0000.safetensors", b"early")
    assert backed_up().close()
    assert "snapshots/step-00000004-epoch-0000.safetensors" not in drive.listing()["files"]
    advance(run, 10)
    assert backed_up().close()
    assert "snapshots/step-00000004-epoch-0000.safetensors" in drive.listing()["files"]


def test_files_that_are_not_the_runs_are_not_copied(drive, run, backed_up):
    """Such as the second copies that Drive makes of a restored run's files."""
    strangers = ("checkpoints/step-00000000 (1).pt", "checkpoints/step-best.pt", "snapshots/step-best.safetensors")
    for path in strangers:
        (run.path / path).write_bytes(b"")
    assert backed_up().close()
    assert not drive.listing()["files"].keys() & set(strangers)


def test_failed_writes_leave_nothing_on_a_full_drive(drive, run, backed_up):
    backup = backed_up()
    wait_for(lambda: backup.status == "Drive: up to date (step 0)")
    before = drive.names()
    drive.fails = "full"
    advance(run, 10)
    backup.push()
    wait_for(lambda: len(drive.opened) > len(before) + 5)
    assert backup.close(0.0) is False
    backup._thread.join(10)
    assert drive.names() == before


def test_a_missing_mount_is_not_replaced_by_a_local_folder(run, tmp_path, monkeypatch):
    monkeypatch.setattr(backup_module, "FIRST_RETRY", 0.01)
    backup = DriveBackup(run.path, tmp_path / "MyDrive" / "srcnn_runs", interval=0.0)
    wait_for(lambda: "the mount is gone" in backup.status)
    assert not (tmp_path / "MyDrive").exists()
    (tmp_path / "MyDrive" / "srcnn_runs").mkdir(parents=True)
    wait_for(lambda: backup.status == "Drive: up to date (step 0)")
    assert backup.close()


def test_what_a_dying_mount_lost_is_copied_again(drive, run, backed_up, tmp_path):
    """Files that were seen locally may never have reached the cloud."""
    backup = backed_up()
    advance(run, 10)
    backup.push()
    wait_for(lambda: backup.status == "Drive: up to date (step 10)")
    drive.fails = "gone"
    advance(run, 20)
    backup.push()
    wait_for(lambda: not backup.healthy)
    drive.lose("run", "step-00000010", "latest-")
    drive.fails = None
    wait_for(lambda: backup.status == "Drive: up to date (step 20)")
    assert backup.close()
    assert contents_of(restored(drive, tmp_path)) == contents_of(run.path)


def test_a_stalled_write_blocks_neither_push_nor_close(drive, run, backed_up, monkeypatch):
    monkeypatch.setattr(backup_module, "STALL_SECONDS", 0.05)
    backup = backed_up()
    wait_for(lambda: backup.status == "Drive: up to date (step 0)")
    drive.fails = "stall"
    advance(run, 10)
    backup.push()
    assert drive.stalled.wait(10)
    times = []
    for _ in range(2000):
        start = time.perf_counter()
        backup.push()
        times.append(time.perf_counter() - start)
    assert statistics.median(times) < 50e-6
    wait_for(lambda: not backup.healthy)
    assert re.fullmatch(r"Drive: \d+ files behind, it has not answered for \d+ s; training goes on", backup.status)
    start = time.monotonic()
    assert backup.close(timeout=0.1) is False
    assert time.monotonic() - start < 5
    assert backup._thread.daemon
    drive.go_on.set()
    backup._thread.join(10)
    assert backup.status == "Drive: up to date (step 10)"


def test_files_that_training_deletes_during_a_copy_are_no_failure(drive, run, backed_up, tmp_path, monkeypatch):
    failures = []
    monkeypatch.setattr(backup_module, "describe_problem", lambda error, _: failures.append(error) or "failed")
    backup = backed_up()
    wait_for(lambda: backup.status == "Drive: up to date (step 0)")
    drive.fails = "stall"
    advance(run, 10)
    backup.push()
    assert drive.stalled.wait(10)
    for step in range(20, 80, 10):  # the checkpoints that the thread has listed are gone by now
        advance(run, step)
    drive.fails = None
    drive.go_on.set()
    backup.push()
    wait_for(lambda: backup.status == "Drive: up to date (step 70)")
    assert backup.close()
    assert failures == []
    assert contents_of(restored(drive, tmp_path)) == contents_of(run.path)


def test_a_backup_of_many_short_epochs_is_complete_in_the_end(drive, run, backed_up, tmp_path):
    backup = backed_up()
    for step in range(10, 600, 10):
        advance(run, step)
        backup.push()
    assert backup.close()
    assert contents_of(restored(drive, tmp_path)) == contents_of(run.path)


def test_close_copies_what_is_new_without_a_push(drive, run, backed_up):
    backup = backed_up()
    wait_for(lambda: backup.status == "Drive: up to date (step 0)")
    advance(run, 10)
    assert backup.close()
    assert backup.status == "Drive: up to date (step 10)"
    assert backup.close()


def test_leaving_the_with_block_copies_what_is_new_and_prints_the_status_even_after_an_error(drive, run, capsys):
    with contextlib.suppress(ValueError), DriveBackup(run.path, drive.path, interval=0.0):
        advance(run, 10)
        raise ValueError("an error in the loop")
    assert capsys.readouterr().out == "Drive: up to date (step 10)\n"


def test_a_backup_without_a_drive_does_nothing(run):
    before = contents_of(run.path)
    backup = DriveBackup(run.path, None)
    backup.push()
    assert (backup.status, backup.healthy, backup.close()) == ("Drive: off", True, True)
    assert contents_of(run.path) == before


def test_a_run_without_a_checkpoint_is_not_copied_yet(drive, tmp_path, backed_up):
    run = Run.create(tmp_path / "runs" / "young", TrainingConfig.of())
    backup = backed_up(run.path)
    assert backup.close()
    assert backup.status == "Drive: nothing to copy yet"


def test_a_folder_without_a_run_is_refused(drive, tmp_path):
    with pytest.raises(InputError, match="no run"):
        DriveBackup(tmp_path, drive.path)


def test_another_run_of_the_same_name_is_left_alone(drive, run, backed_up, tmp_path):
    for step in (10, 20):
        advance(run, step)
    backed_up().close()
    first = contents_of(drive.path / "run")
    other = Run.create(tmp_path / "elsewhere" / "run", TrainingConfig.of(seed=1))
    (other.path / "probe.safetensors").write_bytes(b"probe")
    advance(other, 0)
    backup = backed_up(other.path)
    assert backup.close()
    assert backup.status == "Drive: up to date (step 0) in run-2"
    assert contents_of(drive.path / "run") == first
    assert contents_of(restored(drive, tmp_path)) == contents_of(run.path)


def test_a_new_session_continues_in_the_same_folder_and_copies_only_new_files(drive, run, backed_up, tmp_path):
    advance(run, 10)
    backed_up().close()
    (drive.path / "run" / "notes.txt").touch()  # the user's own
    killed = drive.path / "run" / "step-00000020.aaaaaa-7.pt"  # what a killed session left
    killed.touch()
    os.utime(killed, (1e9, 1e9))
    found = Run(restored(drive, tmp_path))
    backup = backed_up(found.path)
    wait_for(lambda: backup.status == "Drive: up to date (step 10)")
    known = len(drive.opened)
    advance(found, 20)
    assert backup.close()
    assert backup.status == "Drive: up to date (step 20)"
    assert len(drive.opened) - known == 5  # snapshot, checkpoint, events, history, listing
    assert "notes.txt" in drive.names()
    assert "step-00000020.aaaaaa-7.pt" not in drive.names()


def test_two_runtimes_that_store_the_same_run_do_not_remove_each_others_files(drive, run, backed_up, tmp_path):
    advance(run, 10)
    backed_up().close()
    other = Run(restored(drive, tmp_path))
    first, second = backed_up(), backed_up(other.path)
    for step in range(20, 90, 10):
        advance(run, step)
        first.push()
        wait_for(lambda step=step: first.status.startswith(f"Drive: up to date (step {step})"))
        before = contents_of(run.path)
        advance(other, step // 2)
        second.push()
        wait_for(lambda step=step: second.status.startswith(f"Drive: up to date (step {step // 2})"))
        lines = []
        shutil.rmtree(tmp_path / "third", ignore_errors=True)
        assert contents_of(restore_run(drive.path, "run", tmp_path / "third", lines.append)) == before
    assert lines[1] == "Drive: another runtime has stored step 40 of it since; the copy of step 80 was taken"
    assert "another runtime stores this run as well" in second.status


def test_what_another_runtime_has_stored_and_not_listed_yet_stays(drive, run, backed_up):
    backed_up().close()
    unlisted = drive.path / "run" / "step-00000200.bbbbbb-3.pt"
    unlisted.touch()
    backup = backed_up()
    advance(run, 10)
    assert backup.close()
    assert unlisted.exists()


def test_a_piece_that_vanished_is_stored_again_before_a_listing_names_it(drive, run, backed_up, tmp_path):
    backup = backed_up()
    wait_for(lambda: backup.status == "Drive: up to date (step 0)")
    drive.lose("run", "step-00000000.")
    advance(run, 10)
    backup.push()
    wait_for(lambda: backup.status == "Drive: up to date (step 10)")
    backup.close()
    assert contents_of(restored(drive, tmp_path)) == contents_of(run.path)


def test_a_run_that_was_stored_under_another_name_is_mentioned(drive, run, backed_up, tmp_path):
    backed_up().close()
    (run.path / "drive_backup.json").unlink()  # the same folder, made anew
    advance(run, 40)
    backed_up().close()
    lines = []
    restored(drive, tmp_path, lines)
    assert lines[0] == "Drive: another run of this name is there as run-2 (step 40); restore it by that name"


def test_a_local_run_that_is_behind_drive_is_reported(drive, run, backed_up, tmp_path):
    backed_up().close()
    other = Run(restored(drive, tmp_path))
    advance(other, 30)
    backed_up(other.path).close()
    lines = []
    assert restore_run(drive.path, "run", run.path.parent, lines.append) == run.path
    assert lines[0].startswith("Drive: it has step 30 of this run, the local disk step 0")


@pytest.mark.parametrize("name", ["../x/my run?", "..", "", " ", "a/b", "a\\b", "a\nb", "x" * 101, ".hidden", "a:b"])
def test_a_run_name_that_is_no_plain_name_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="is no name for a run"):
        restore_run(None, name, tmp_path)


MALFORMED = [
    b"[" * 100_000, b"[]", b"{}", b"\xff", b'{"run": "x", "step": 1e999, "files": {}}',
    b'{"run": "x", "step": "1", "files": {}}', b'{"run": "x", "step": -1, "files": {}}',
    b'{"run": 1, "step": 1, "files": {}}', b'{"run": "x", "step": 1' + b"0" * 5000 + b', "files": {}}',
    b'{"run": "x", "step": 1, "files": {"checkpoints/step-x.pt": []}}',
    b'{"run": "x", "step": 1, "files": {"a\\u0000b": []}}', b'{"run": "x", "step": 1, "files": {"config.json": 5}}',
    b'{"run": "x", "step": 1, "files": {"config.json": [{"name": "a/../b", "size": 1, "sha256": ""}]}}',
    b'{"run": "x", "step": 1, "files": {"config.json": [{"name": "a.aaaaaa-1", "size": 1e99, "sha256": ""}]}}',
]  # fmt: skip


@pytest.mark.parametrize("content", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_listing_is_passed_over(drive, run, backed_up, tmp_path, content):
    backed_up().close()
    with open(drive.path / "run" / "latest-00000099.cccccc-1.json", "xb") as file:
        file.write(content)
    lines = []
    assert contents_of(restored(drive, tmp_path, lines)) == contents_of(run.path)
    assert "the newer copy there is damaged" in lines[0]


def test_pieces_that_drive_damaged_are_written_again_by_the_next_session(drive, run, backed_up, tmp_path):
    backed_up().close()
    found = restored(drive, tmp_path)
    damage(drive, "step-00000000-epoch-0000.")
    assert backed_up(found).close()
    assert contents_of(restored(drive, tmp_path)) == contents_of(run.path)


def damage(drive, start, run="run"):
    """Changes a byte of each file whose name begins with `start`; its size stays the same."""
    for name in drive.names(run):
        if name.startswith(start):
            content = bytearray((drive.path / run / name).read_bytes())
            content[len(content) // 2] ^= 255
            file = os.open(drive.path / run / name, os.O_WRONLY)
            os.write(file, content)
            os.close(file)


def at_steps(drive, run, backed_up, *steps):
    """Backs up a run at step 0 and at these steps; returns its files at each of them."""
    backup = backed_up()
    wait_for(lambda: backup.status == "Drive: up to date (step 0)")
    states = [contents_of(run.path)]
    for step in steps:
        advance(run, step)
        backup.push()
        wait_for(lambda step=step: backup.status == f"Drive: up to date (step {step})")
        states.append(contents_of(run.path))
    backup.close()
    return states


def test_restoring_takes_the_newest_listing_that_is_complete(drive, run, backed_up, tmp_path):
    states = at_steps(drive, run, backed_up, 10, 20, 30)
    damage(drive, "step-00000030.")
    lines = []
    assert contents_of(restored(drive, tmp_path, lines)) == states[-2]
    assert "step 20; the newer copy there is damaged" in lines[0]


def test_a_truncated_listing_is_skipped(drive, run, backed_up, tmp_path):
    states = at_steps(drive, run, backed_up, 10, 20, 30)
    newest, before = sorted((name for name in drive.names() if name.startswith("latest-")), reverse=True)[:2]
    os.truncate(drive.path / "run" / newest, 100)
    assert contents_of(restored(drive, tmp_path)) == states[-2]
    os.truncate(drive.path / "run" / before, 0)
    assert contents_of(restored(drive, tmp_path)) == states[-3]


def test_a_run_is_restored_without_a_damaged_snapshot(drive, run, backed_up, tmp_path):
    states = at_steps(drive, run, backed_up, 10, 20, 30, 40)
    damage(drive, "step-00000010-epoch")
    lines = []
    found = contents_of(restored(drive, tmp_path, lines))
    missing = "snapshots/step-00000010-epoch-0001.safetensors"
    assert found == {path: content for path, content in states[-1].items() if path != missing}
    assert lines[0].endswith(f"damaged there and left out: {missing}")


def test_a_run_that_is_too_damaged_is_reported_and_leaves_nothing_behind(drive, run, backed_up, tmp_path):
    at_steps(drive, run, backed_up, 10)
    damage(drive, "config.")
    lines = []
    assert restored(drive, tmp_path, lines) is None
    assert lines == ["Drive: run is there, but too damaged to resume from; nothing was restored"]
    assert list((tmp_path / "new").iterdir()) == []


def test_a_name_that_is_not_on_drive_restores_nothing(drive, tmp_path):
    lines = []
    assert restore_run(drive.path, "run", tmp_path / "new", lines.append) is None
    assert restore_run(None, "run", tmp_path / "new", lines.append) is None
    assert lines == []


def test_a_run_on_the_local_disk_is_left_as_it_is(drive, run, backed_up):
    backed_up().close()
    advance(run, 10)
    before = contents_of(run.path)
    assert restore_run(drive.path, "run", run.path.parent) == run.path
    assert contents_of(run.path) == before
    drive.fails = "gone"
    assert restore_run(drive.path, "run", run.path.parent) == run.path


@pytest.mark.parametrize("fault", ["gone", "vanished"])
def test_a_missing_drive_is_reported_when_restoring(drive, run, backed_up, tmp_path, fault):
    backed_up().close()
    drive.fails = fault
    with pytest.raises(InputError, match="mount it again"):
        restored(drive, tmp_path)


def test_a_mount_that_dies_while_restoring_leaves_nothing_behind(drive, run, backed_up, tmp_path, monkeypatch):
    backed_up().close()
    answer, asked = drive.answer, []

    def later(path):
        asked.append(path)
        drive.fails = "gone" if len(asked) > 6 else None
        answer(path)

    monkeypatch.setattr(drive, "answer", later)
    with pytest.raises(InputError, match="mount it again"):
        restored(drive, tmp_path)
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("path", ["../outside", "/outside", ""])
def test_a_listing_with_a_path_outside_the_run_is_refused(drive, run, backed_up, tmp_path, path):
    backed_up().close()
    name = drive.holding("latest-")
    content = drive.listing()
    content["files"][path] = content["files"]["config.json"]
    file = os.open(drive.path / "run" / name, os.O_WRONLY | os.O_TRUNC)
    os.write(file, json.dumps(content).encode())
    os.close(file)
    assert restored(drive, tmp_path) is None
    assert not (tmp_path / "outside").exists()


@pytest.mark.slow
def test_a_restored_training_gives_bit_identical_weights(drive, photograph_folder, tmp_path):
    config = TrainingConfig.of(
        data=(str(photograph_folder),), validation=("0.25",), channels=1, filters=(5, 1, 3), widths=(8, 4),
        batch_size=8, steps=12, warmup=4, validation_patches=8, arithmetic="float32", device="cpu",
    )  # fmt: skip
    data = training_data.load_training_data(config)
    straight = Run.create(tmp_path / "straight" / "run", config)
    for _ in fit(config, straight, data):
        pass
    run = Run.create(tmp_path / "first" / "run", config)
    backup = DriveBackup(run.path, drive.path, interval=0.0)
    with contextlib.closing(fit(config, run, data)) as records:
        for record in records:
            backup.push()
            if record.step == 5:
                break
    assert backup.close()
    assert backup.status == "Drive: up to date (step 5)"
    shutil.rmtree(run.path)  # the runtime is gone
    run = Run(restore_run(drive.path, "run", tmp_path / "second"))
    assert len(list(fit(run.config, run, data))) == 7
    assert weights_digest(run)[1] == weights_digest(straight)[1]
    assert [s.step for s in run.snapshots()] == [s.step for s in straight.snapshots()]


def test_an_unreadable_newest_listing_is_reported(drive, run, backed_up, tmp_path):
    states = at_steps(drive, run, backed_up, 10, 20)
    newest = max(name for name in drive.names() if name.startswith("latest-"))
    os.truncate(drive.path / "run" / newest, 1)
    lines = []
    assert contents_of(restored(drive, tmp_path, lines)) == states[-2]
    assert "step 10; the newer copy there is damaged" in lines[0]
