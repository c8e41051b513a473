"""Files appear whole or not at all, are forced to the disk, and only the module `files` makes them."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from eyespot import files
from eyespot.errors import UserError

WRITERS = {
    "write_file": lambda path: files.write_file(path, "new"),
    "writing": lambda path: _write_in_pieces(path),
}


def _write_in_pieces(path):
    with files.writing(path, text=True) as file:
        file.write("ne")
        file.write("w")


@pytest.fixture
def synchronised(monkeypatch):
    """What was forced to the disk, by inode, in order: files and folders."""
    inodes, fsync = [], os.fsync

    def record(handle):
        inodes.append(os.fstat(handle).st_ino)
        fsync(handle)

    monkeypatch.setattr(files.os, "fsync", record)
    return inodes


@pytest.fixture
def full_disk(monkeypatch):
    """From now on every fsync fails, as on a disk that is full."""

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    return lambda: monkeypatch.setattr(files.os, "fsync", full)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
class TestEveryWriter:
    def test_replaces_and_synchronises_the_file_and_then_its_folder(self, write, tmp_path, synchronised):
        path = tmp_path / "a.txt"
        path.write_text("old")
        write(path)
        assert path.read_text() == "new" and os.listdir(tmp_path) == ["a.txt"]
        assert synchronised == [path.stat().st_ino, tmp_path.stat().st_ino]

    def test_keeps_the_old_file_when_the_disk_is_full(self, write, tmp_path, full_disk):
        path = tmp_path / "a.txt"
        path.write_text("old")
        full_disk()
        with pytest.raises(UserError) as error:
            write(path)
        assert (
            str(error.value)
            == f"cannot write {path}: the disk is full; free some space, or name another place"
        )
        assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]

    def test_names_a_folder_that_is_missing(self, write, tmp_path):
        with pytest.raises(UserError, match=r"cannot write .*nowhere/a.txt: No such file or directory; name"):
            write(tmp_path / "nowhere" / "a.txt")

    def test_leaves_the_permissions_that_the_user_asked_for(self, write, tmp_path):
        path = tmp_path / "a.txt"
        mask = os.umask(0o027)
        try:
            write(path)
        finally:
            os.umask(mask)
        assert path.stat().st_mode & 0o777 == 0o640


def test_an_interrupted_file_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), files.writing(path) as file:
        file.write(b"half of the n")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]


def test_a_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    code = (
        "import os, sys; from pathlib import Path; from eyespot.files import writing\n"
        "with writing(Path(sys.argv[1])) as file: file.write(b'x' * 100_000); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, path]).returncode == -9
    assert path.read_bytes() == b"old"
    assert all(files.is_temporary(p) for p in tmp_path.iterdir() if p != path)


def test_a_file_to_which_nothing_was_written_is_kept_only_if_asked(tmp_path):
    for keep_empty in (False, True):
        with files.writing(tmp_path / str(keep_empty), keep_empty=keep_empty):
            pass
    assert os.listdir(tmp_path) == ["True"]


def test_text_keeps_its_lines_and_names_that_are_not_unicode(tmp_path):
    text = os.fsdecode(b"caf\xe9\r\n")
    files.write_file(tmp_path / "a", text)
    with files.writing(tmp_path / "b", text=True) as file:
        file.write(text)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == b"caf\xe9\r\n"


def test_a_name_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("é" * 126 + "x")
    files.write_file(path, "x")
    assert path.read_text() == "x"


def test_a_folder_appears_whole_and_synchronised(tmp_path, synchronised):
    target = tmp_path / "above" / "set"
    with files.new_folder(target) as folder:
        folder.write("a/1.txt", "one")
        with folder.open("b.bin") as file:
            file.write(b"two")
        assert not target.exists()
    assert (target / "a" / "1.txt").read_text() == "one" and (target / "b.bin").read_bytes() == b"two"
    assert os.listdir(tmp_path / "above") == ["set"]
    inside = {p.stat().st_ino for p in (target, *target.rglob("*"))}
    assert inside <= set(synchronised) and synchronised[-1] == (tmp_path / "above").stat().st_ino


def test_a_folder_that_is_interrupted_does_not_appear(tmp_path):
    with pytest.raises(KeyboardInterrupt), files.new_folder(tmp_path / "set") as folder:
        folder.write("a.txt", "one")
        raise KeyboardInterrupt
    assert not os.listdir(tmp_path)


def test_a_folder_on_a_full_disk_is_one_sentence(tmp_path, full_disk, monkeypatch):
    monkeypatch.setenv("EYESPOT_CACHE", str(tmp_path))
    full_disk()
    with pytest.raises(UserError) as error, files.new_folder(tmp_path / "sets" / "digits") as folder:
        folder.write("a.txt", "one")
    assert str(error.value) == (
        f"cannot write {tmp_path / 'sets'}: the disk is full; free some space, or set EYESPOT_CACHE to another folder"
    )
    assert not os.listdir(tmp_path / "sets")


def test_the_first_of_two_processes_makes_the_folder(tmp_path):
    with files.new_folder(tmp_path / "set") as second:
        second.write("a.txt", "second")
        with files.new_folder(tmp_path / "set") as first:
            first.write("a.txt", "first")
    assert (tmp_path / "set" / "a.txt").read_text() == "first" and os.listdir(tmp_path) == ["set"]


def test_what_was_appended_stays(tmp_path):
    path = tmp_path / "a.part"
    for start_over in (True, False):
        with pytest.raises(KeyboardInterrupt), files.appending(path, start_over=start_over) as file:
            file.write(b"half")
            raise KeyboardInterrupt
    assert path.read_bytes() == b"halfhalf"


def test_moving_synchronises_the_content_before_the_name(tmp_path, synchronised):
    (tmp_path / "a.part").write_text("new")
    (tmp_path / "a").write_text("old")
    files.move_file(tmp_path / "a.part", tmp_path / "a")
    assert (tmp_path / "a").read_text() == "new" and os.listdir(tmp_path) == ["a"]
    assert synchronised == [(tmp_path / "a").stat().st_ino, tmp_path.stat().st_ino]


def test_one_of_many_threads_gets_a_folders_name(tmp_path):
    claims = []
    threads = [
        threading.Thread(target=lambda: claims.append(files.claim_folder(tmp_path / "runs" / "a")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claims) == [False] * 7 + [True]


def test_deleting_what_is_not_there_is_no_error(tmp_path):
    files.remove_files(tmp_path / "a", tmp_path / "b")
    files.remove_folder(tmp_path / "c")
    files.remove_if_empty(tmp_path / "d")


def test_a_folder_is_deleted_only_if_it_is_empty(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a").write_text("x")
    (tmp_path / "empty").mkdir()
    files.remove_if_empty(tmp_path / "kept")
    files.remove_if_empty(tmp_path / "empty")
    assert os.listdir(tmp_path) == ["kept"]


def test_a_folder_vanishes_at_once(tmp_path, monkeypatch):
    """A process that is killed while it deletes leaves nothing under the folder's name."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").write_text("x")
    monkeypatch.setattr(files.shutil, "rmtree", lambda *_, **__: None)
    files.remove_folder(tmp_path / "set")
    assert not (tmp_path / "set").exists() and all(files.is_temporary(p) for p in tmp_path.iterdir())


def test_an_input_is_not_written_over(tmp_path):
    (tmp_path / "a").write_text("x")
    files.check_not_input(tmp_path / "b", [tmp_path / "a"])
    with pytest.raises(UserError, match=r"a is one of the inputs: name another file"):
        files.check_not_input(tmp_path / "." / "a", [tmp_path / "a"])


WATCHED = r"""
import os, sys, traceback
from pathlib import Path
watched, package = sys.argv[1], str(Path(sys.argv[2]))
EVENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "shutil.rmtree", "shutil.copyfile"}

def hook(event, arguments):
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if not (writes or event in EVENTS) or not str(arguments[0]).startswith(watched):
        return
    ours = [f.filename for f in traceback.extract_stack() if f.filename.startswith(package)]
    os.write(1, f"by {Path(ours[-1]).name if ours else 'others'} {event} {arguments[0]}\n".encode())

sys.addaudithook(hook)
from eyespot.cli import main
sys.argv[1:] = sys.argv[3:]
main()
"""


def test_a_run_writes_through_this_module_only(tmp_path):
    """Every file that a training and a prediction open for writing, rename or delete, as Python reports them."""
    package = Path(files.__file__).parent
    environment = os.environ | {"EYESPOT_CACHE": str(tmp_path / "cache")}
    events = []
    for command in (
        ["train", "cells", "--epochs", "0.1", "--size", "32", "--out", tmp_path / "run"],
        ["predict", tmp_path / "run", tmp_path / "cache/sets/cells-1/cells/images", "-o", tmp_path / "masks"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", WATCHED, tmp_path, package, *command],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        events += [line for line in done.stdout.splitlines() if line.startswith("by ")]
    assert len(events) > 100 and "model.safetensors" in "\n".join(events)
    assert not [line for line in events if not line.startswith("by files.py")]
