"""What a machine does to a run: little memory, full disks, signals, two runs at once, names of any bytes, many classes."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from conftest import one_sentence
from eyespot import guard
from eyespot.data.header import Unreadable

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

    def test_the_remedy_fits_the_command(self):
        assert "--batch" in guard.memory_sentence(MemoryError(), "train")
        assert "EYESPOT_MEMORY_MB" in guard.memory_sentence(MemoryError(), "predict")
        assert "--device cpu" in guard.memory_sentence(RuntimeError("CUDA out of memory"), "train")

    def test_our_mistakes_are_told_from_those_of_a_decoder(self, tmp_path):
        def caught(work):
            with pytest.raises(Exception) as error:
                work()
            return error.value

        assert guard.is_bug(caught(lambda: guard.memory_sentence(MemoryError(), ["train"])))  # type: ignore[arg-type]
        assert not guard.is_bug(caught(lambda: [][1]))  # in this file, which is not of eyespot
        assert not guard.is_bug(caught(raising(Unreadable("it is empty"))))


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
        ("predict", "prediction.sinks", "write_predictions"),
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
