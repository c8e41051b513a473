"""What a machine does to a run: little memory, full disks, signals, two runs at once, names of any bytes, many classes."""

import csv
import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import one_sentence, texture
from eyespot import files, guard, pictures
from eyespot.config import Config, read_config, write_plan
from eyespot.errors import UserError
from eyespot.evaluation.run_split import split_rows
from eyespot.prediction.predictions import Prediction

TORCH_ON_CPU = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 8000000000 bytes. Error code 12 (Cannot allocate memory)"
)


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


class TestOneGuard:
    """What a machine refuses is one sentence for every command; anything else is a bug and looks like one."""

    @pytest.mark.parametrize(
        "error,sentence",
        [
            (MemoryError(), "memory of this machine is too small: give a smaller --size, or end"),
            (RuntimeError(TORCH_ON_CPU), "memory of this machine is too small (8.0 GB at once)"),
            (RuntimeError("CUDA out of memory. Tried"), "memory of this GPU is too small"),
            (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory of this machine"),
            (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "/x/y: the disk is full"),
            (PermissionError(errno.EACCES, "Permission denied", "/x/y"), "/x/y: Permission denied; check"),
            (OSError(errno.ELOOP, "Too many levels of symbolic links", "/x/y"), "/x/y: Too many levels"),
            (RuntimeError("can't start new thread"), "starts no more threads"),
        ],
    )
    def test_what_the_machine_refuses_is_a_sentence(self, cli, monkeypatch, error, sentence):
        monkeypatch.setattr("eyespot.looking.survey_data", raising(error))
        assert sentence in one_sentence(cli("look", "digits"))

    @pytest.mark.parametrize("error", [KeyError("side"), TypeError("x"), OSError("unknown"), ValueError("x")])
    def test_a_bug_stays_visible(self, cli, monkeypatch, error):
        monkeypatch.setattr("eyespot.looking.survey_data", raising(error))
        result = cli("look", "digits")
        assert result.code == 70 and "Traceback" in result.err and "this is a bug in eyespot" in result.err

    def test_a_cache_that_cannot_be_used(self, cli, photos, monkeypatch):
        monkeypatch.chdir(photos.parent)
        assert cli("look", photos).code == 0
        monkeypatch.setattr(os, "utime", raising(OSError(errno.EROFS, "Read-only file system")))
        assert cli("look", photos).code == 0  # what is needed is in it
        monkeypatch.setenv("EYESPOT_CACHE", str(photos / "rows" / "000.png"))
        assert "set EYESPOT_CACHE to a folder" in one_sentence(cli("look", photos))

    def test_the_remedy_fits_the_command(self):
        assert "--batch" in guard.memory_sentence(MemoryError(), "train")
        assert "EYESPOT_MEMORY_MB" in guard.memory_sentence(MemoryError(), "predict")
        assert "--device cpu" in guard.memory_sentence(RuntimeError("CUDA out of memory"), "train")


def test_little_memory_in_training_names_the_batch(cli, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("eyespot.run.make_plan", raising(RuntimeError(TORCH_ON_CPU)))
    result = cli("train", photos, "--epochs", 1, "--out", tmp_path / "run")
    assert "smaller --batch, --size or --model" in one_sentence(result)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_standard_output_on_a_full_disk():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "eyespot", "inspect", "tiny"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and "the disk is full" in done.stderr and done.stderr.count("\n") == 1


SLOW = """
import sys, time
def slow(*_, **__):
    print("ready", file=sys.stderr, flush=True)
    time.sleep(60)
import eyespot.{module} as module
module.{function} = slow
from eyespot.cli import main
main()
"""


@pytest.mark.parametrize(
    "command,module,function",
    [
        ("look", "looking", "survey_data"),
        ("evaluate", "run", "evaluate_on"),
        ("predict", "prediction.class_output", "write_predictions"),
        ("train", "run", "make_plan"),
    ],
)
def test_sigterm_ends_every_command(command, module, function, trained, tmp_path):
    run, data = trained
    arguments = {
        "look": (data, "-o", tmp_path / "s.png"),
        "evaluate": (run.folder,),
        "predict": (run.folder, data),
        "train": (data, "--epochs", "1", "-o", tmp_path / "run"),
    }
    code = SLOW.format(module=module, function=function)
    call = [sys.executable, "-c", code, command, *map(str, arguments[command])]
    process = subprocess.Popen(call, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "ready" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143 and err == "eyespot: stopped by SIGTERM\n"
    assert os.listdir(tmp_path) == []


class TestTwoRuns:
    """A run folder belongs to one process at a time, and to none when that process is gone."""

    def start(self, data, out, **more):
        call = [sys.executable, "-m", "eyespot", "train", data, "--epochs", "1", "--out", out]
        return subprocess.Popen(list(map(str, call)), stderr=subprocess.PIPE, text=True, **more)

    def test_one_of_two_at_once_wins(self, photos, tmp_path):
        processes = [self.start(photos, tmp_path / "one") for _ in range(2)]
        errors = [process.communicate(timeout=300)[1] for process in processes]
        assert sorted(process.returncode for process in processes) == [0, 2], errors
        loser = errors[[process.returncode for process in processes].index(2)]
        assert loser.count("\n") == 1 and loser.startswith("eyespot: ") and "another folder" in loser
        assert (tmp_path / "one" / "report.html").exists() and not (tmp_path / "one" / ".lock").exists()

    def test_the_lock_of_a_killed_process_does_not_count(self, tmp_path):
        code = (
            "import sys, time; from pathlib import Path; from eyespot.files import locked\n"
            "with locked(Path(sys.argv[1])): print('locked', flush=True); time.sleep(60)"
        )
        process = subprocess.Popen([sys.executable, "-c", code, tmp_path / "run"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        with (
            pytest.raises(UserError, match="another run is being written into"),
            files.locked(tmp_path / "run"),
        ):
            pass
        process.kill()
        process.communicate()
        assert (tmp_path / "run" / ".lock").exists()
        with files.locked(tmp_path / "run"):
            pass
        assert os.listdir(tmp_path / "run") == []

    def test_a_running_run_is_not_resumed_or_overwritten(self, cli, trained):
        run, data = trained
        with files.locked(run.folder):
            for arguments in (("--resume", run.folder), (data, "--out", run.folder, "--force")):
                assert "another run is being written" in one_sentence(cli("train", *arguments))

    def test_a_refused_run_leaves_no_folder(self, cli, photos, tmp_path):
        out = tmp_path / "a" / "b"
        assert "no preset" in one_sentence(cli("train", photos, "--model", "resnet81", "--out", out))
        assert not (tmp_path / "a").exists()

    def test_a_disk_without_locks_is_said(self, tmp_path, monkeypatch, capsys):
        fcntl = pytest.importorskip("fcntl")
        monkeypatch.setattr(fcntl, "flock", raising(OSError(errno.ENOLCK, "No locks available")))
        with files.locked(tmp_path / "run"):
            assert "without locks (No locks available): start no other run" in capsys.readouterr().err

    def test_threads_take_turns(self, tmp_path):
        """Also while the one that had the lock deletes its file."""
        inside, refused, taken = [], [], []

        def work():
            for _ in range(200):
                try:
                    with files.locked(tmp_path / "run"):
                        inside.append(1)
                        taken.append(len(inside))
                        inside.pop()
                except UserError:
                    refused.append(1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(taken) == {1} and len(taken) + len(refused) == 800


class TestNothingIsOverwritten:
    """A file that exists is replaced with --force only; a contact sheet of ours also without."""

    def test_a_picture_of_the_user_is_kept(self, cli, photos, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        mine = tmp_path / "photos-look.png"
        Image.new("L", (3, 3)).save(mine)
        before = mine.read_bytes()
        for _ in range(2):
            assert cli("look", photos).code == 0
        assert mine.read_bytes() == before
        assert sorted(os.listdir(tmp_path)) == ["photos", "photos-look-2.png", "photos-look.png"]
        assert f"{mine} exists: name" in one_sentence(cli("look", photos, "-o", mine))
        assert mine.read_bytes() == before
        assert cli("look", photos, "-o", mine, "--force").code == 0 and mine.read_bytes() != before

    @pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"tEXtSoftware\0eyespot look"])
    def test_other_files_are_not_ours(self, tmp_path, content):
        (tmp_path / "a.png").write_bytes(content)
        assert pictures.software_of(tmp_path / "a.png") == ""

    def test_every_output(self, cli, photos, trained, tmp_path):
        run, data = trained
        image = data / "rows" / "000.png"
        for name, command in {
            "a.npy": ("convolve", image, "--kernel", "1 -1", "-o"),
            "a.svg": ("inspect", "tiny", "--picture"),
            "a.csv": ("predict", run.folder, image, "-o"),
        }.items():
            out = tmp_path / name
            out.write_text("mine")
            assert f"{out} exists: name another file, or overwrite it" in one_sentence(cli(*command, out))
            assert out.read_text() == "mine"
            result = cli(*command, out, "--force")
            assert result.code == 0 and out.read_bytes() != b"mine", result

    def test_a_file_that_appears_meanwhile_is_kept(self, tmp_path):
        out = tmp_path / "a"
        with pytest.raises(UserError, match="exists"), files.writing(out, text=True, replace=False) as file:
            file.write("ours")
            out.write_text("theirs")
        assert out.read_text() == "theirs" and os.listdir(tmp_path) == ["a"]

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
    def test_predictions_before_an_interruption_stay(self, cli, trained, tmp_path, monkeypatch, error):
        run, data = trained
        out = tmp_path / "o.csv"

        def two_and_stop(self, files):
            yield from (Prediction(str(path), "rows", 1.0) for path, _ in zip(files, "ab", strict=False))
            raise error

        with monkeypatch.context() as patch:
            patch.setattr("eyespot.prediction.predictor.Predictor.stream", two_and_stop)
            result = cli("predict", run.folder, data, "-o", out)
        partial = tmp_path / "o.csv.partial"
        assert f"the predictions so far are in {partial}" in result.err and "Traceback" not in result.err
        assert len(partial.read_text().splitlines()) == 3 and not out.exists()
        assert cli("predict", run.folder, data, "-o", out).code == 0 and os.listdir(tmp_path) == ["o.csv"]


BYTES = (b"plain", b"latin \xe9", b"new\nline", b"q\"uo'te, comma", b"\xff\xfe")


@pytest.fixture
def oddly_named(tmp_path, monkeypatch):
    """A data set whose files and one class have names that are not UTF-8, or are awkward in a CSV."""
    rng = np.random.default_rng(0)
    for kind, name in enumerate((b"caf\xe9", b'b, "q"')):
        folder = tmp_path / "data" / os.fsdecode(name)
        folder.mkdir(parents=True)
        for i in range(10):
            stem = os.fsdecode(BYTES[i % 5])
            Image.fromarray(texture(kind, rng)).save(folder / f"{stem}{i}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")
class TestNames:
    """Names of any bytes survive into what is written, and back."""

    def test_a_run_and_back(self, oddly_named, tmp_path):
        """In another process, whose output is bytes."""
        names = {str(path) for path in oddly_named.rglob("*.png")}
        quick = ["--epochs", "1", "--batch", "8", "--model", "tiny", "--size", "16", "--out"]
        commands = [
            ["train", "data", *quick, "run"],
            ["evaluate", "run", "--json"],
            ["predict", "run", str(oddly_named), "-o", "o.csv"],
            ["predict", "run", str(oddly_named), "-o", "o.jsonl"],
            ["train", "run/split.csv", *quick, "again"],
        ]
        code = (
            "import sys; from eyespot.cli import main\n"
            f"for sys.argv[1:] in {commands!a}:\n"
            "    try: main()\n"
            "    except SystemExit as end: assert not end.code, sys.argv"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True)
        assert done.returncode == 0, done
        assert {row["path"] for row in split_rows(tmp_path / "run")} == names
        with open("o.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
            assert {row["path"] for row in csv.DictReader(file)} == names
        assert {json.loads(line)["path"] for line in Path("o.jsonl").read_text().splitlines()} == names
        assert {row["path"] for row in split_rows(tmp_path / "again")} == names

    def test_a_plan_of_a_folder_with_such_a_name(self, oddly_named, tmp_path):
        folder = oddly_named.rename(tmp_path / os.fsdecode(b"d\xe9\n"))
        write_plan(tmp_path / "plan.toml", Config(data=str(folder)), {})
        assert read_config(tmp_path / "plan.toml", {}).data == str(folder)

    def test_a_csv_in_latin_1_is_read(self, cli, photos, tmp_path):
        names = {path.parent.name for path in photos.rglob("*.png")}
        rows = "".join(f"{path},rang\xe9e {path.parent.name}\n" for path in photos.rglob("*.png"))
        (tmp_path / "a.csv").write_bytes(f"path,label\n{rows}".encode("latin-1"))
        result = cli("look", tmp_path / "a.csv", "--json", "-o", tmp_path / "a.png")
        assert set(json.loads(result.out)["classes"]) == {f"rang\xe9e {name}" for name in names}

    def test_a_sentence_stays_one_line(self, cli):
        assert "two\\nlines" in one_sentence(cli("look", "two\nlines"))


class TestStandardInput:
    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP"])
    def test_bytes_of_an_image_are_not_taken_for_paths(self, trained, monkeypatch, cli, kind):
        run, data = trained
        content = io.BytesIO()
        Image.open(data / "rows" / "000.png").save(content, kind)
        content.seek(0)
        stream = io.TextIOWrapper(content, "utf-8", "surrogateescape")
        monkeypatch.setattr("sys.stdin", stream)
        assert "takes a path per line" in one_sentence(cli("predict", run.folder, "-"))

    def test_odd_lines_among_paths_are_listed(self, trained, monkeypatch, cli, tmp_path):
        run, data = trained
        odd = tmp_path / " space "
        odd.write_bytes((data / "rows" / "000.png").read_bytes())
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{odd}\r\n  {data / 'rows' / '001.png'}\n\0\x01\n"))
        result = cli("predict", run.folder, "-")
        assert result.code == 1 and len(result.out.splitlines()) == 3 and "cannot be read: \\0" in result.err


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """300 classes of 3 images, trained for a moment."""
    import eyespot

    root = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(0)
    for k in range(300):
        folder = root / "data" / f"class {k:03}"
        folder.mkdir(parents=True)
        for i in range(2 + (k > 9)):
            noisy = rng.integers(0, 255, (8, 8), np.uint8)
            Image.fromarray(noisy).save(folder / f"{i}.png")
    settings = dict(epochs=0.2, model="tiny", size=16, augment="none")
    return eyespot.train(root / "data", out=root / "run", **settings), root / "data"  # type: ignore[arg-type]


class TestManyClasses:
    """Of many classes a person sees the best and the worst; JSON and the report stay small."""

    def test_on_the_terminal(self, cli, many, tmp_path):
        run, data = many
        looked = cli("look", data, "-o", tmp_path / "s.png").out
        assert "... 280 other classes ... (--json lists all)" in looked and looked.count("class ") < 40
        evaluated = str(run.evaluation)
        assert "... 280 other classes ..." in evaluated and evaluated.count("\nclass ") == 21, evaluated

    def test_json_and_report(self, cli, many):
        run, _ = many
        small = cli("evaluate", run.folder, "--json").out
        document = json.loads(small)
        assert "confusion" not in document and len(document["classes"]) == 300 and len(small) < 500_000
        assert document["confusions"][0].keys() == {"class", "predicted", "n"}
        assert sum(pair["n"] for pair in document["confusions"]) == 300 - round(
            300 * document["accuracy"]["value"]
        )
        assert len(json.loads(cli("evaluate", run.folder, "--json", "--full").out)["confusion"]) == 300
        report = (run.folder / "report.html").read_text()
        assert "The 10 classes with the lowest F1 and the 10 with the highest, of 300." in report
        assert len(report) < 1_000_000 and report.count("class 123") >= 1
