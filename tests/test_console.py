"""Messages, progress, tables and plural forms, in terminals of several widths and in pipes."""

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest

from eyespot import console
from eyespot.plurals import count

HEADERS = ["file", "label", "probability", "remarks"]
ROWS = [
    ["photos/monday/first-of-the-series.png", "clouds", "99.1%", "the second label is nearly as likely"],
    ["photos/monday/second.png", "sea[red]shore[/red]", "7.5%", ""],
    ["photos/:smile:.png", "fog", "100.0%", "the image is 20 pixels wide"],
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def said(monkeypatch, capsys):
    """What was written to standard error since, by a console made now."""
    console.stderr.cache_clear()
    console.stderr()
    yield lambda: capsys.readouterr().err
    console.stderr.cache_clear()


def printed(monkeypatch, width, rows=ROWS, **environment) -> str:
    for name, value in {"COLUMNS": str(width), "TERM": "xterm", "NO_COLOR": "", **environment}.items():
        monkeypatch.setenv(name, value)
    file = Terminal()
    console.table(HEADERS, rows, file)
    return file.getvalue()


@pytest.mark.parametrize("width", [120, 80, 60, 40, 20])
def test_no_word_of_a_table_is_broken(monkeypatch, width):
    text = re.sub(r"\x1b\[\d*m", "", printed(monkeypatch, width))
    words = text.split()
    for word in " ".join([*HEADERS, *(cell for row in ROWS for cell in row)]).split():
        assert word in words or f"{word}:" in words
    if width > 80:
        assert text.split("\n")[0].split() == HEADERS
        assert max(map(len, text.splitlines())) <= width


def test_a_table_that_fits_keeps_a_line_for_each_row(monkeypatch):
    lines = printed(monkeypatch, 130, NO_COLOR="1").splitlines()
    assert len(lines) == 4 and lines[1].split()[:3] == [
        "photos/monday/first-of-the-series.png",
        "clouds",
        "99.1%",
    ]
    assert lines[1].index("99.1%") + 5 == lines[2].index("7.5%") + 4, "numbers end below each other"


def test_where_words_do_not_fit_beside_each_other_a_row_is_a_list(monkeypatch):
    text = printed(monkeypatch, 40)
    assert text.startswith(
        "file: photos/monday/first-of-the-series.png\nlabel: clouds\nprobability: 99.1%\nremarks: "
    )
    assert "remarks: \n" not in text and text.count("\n\n") == 2


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colour_there_are_no_control_codes(monkeypatch, environment):
    assert "\x1b[1m" in printed(monkeypatch, 90)
    assert "\x1b" not in printed(monkeypatch, 90, **environment)


def test_in_a_pipe_a_row_is_a_line_without_control_codes(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    rows = [[*ROWS[0][:3], "word " * 100], *ROWS[1:]]
    console.table(HEADERS, rows)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[1].count("word") == 100 and "\x1b" not in lines[0]
    assert all(line == line.rstrip() for line in lines)


def test_a_table_without_rows_is_its_headers():
    assert console.format_table(["a", "b"], []).split() == ["a", "b"]


def test_quiet_silences_messages_and_progress(monkeypatch, said):
    monkeypatch.setattr(console, "FIRST_SECONDS", -1)
    console.quiet()
    console.say("a message")
    assert list(console.track([1, 2], 2, "reading")) == [1, 2] and said() == ""
    console.quiet(False)
    console.say("a message")
    monkeypatch.setattr(console, "FIRST_WORK", 0)
    assert list(console.track([1, 2], 2, "reading")) == [1, 2]
    assert said() == "a message\nreading: 2 of 2, 0:00 remain\n"


def test_progress_says_what_remains_after_a_second_of_work(monkeypatch, said):
    """The first item waits for all that is set up: 4.5 s for it and 0.5 s for each of the others."""
    now = iter([0.0, 4.5, 5.0, 5.5])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(now))
    items = console.track(range(101), 101, "reading")
    for _ in range(3):
        next(items)
    assert said() == ""
    next(items)
    assert said() == "reading: 3 of 101, 0:49 remain\n"


def test_a_bar_says_what_remains_after_a_second_of_work():
    task: Any = SimpleNamespace(completed=2, elapsed=0.9, finished=False, total=9, time_remaining=5.0)
    assert console.Remaining().render(task).plain == "-:--:--"
    task.elapsed, task.completed = 1.1, 1
    assert console.Remaining().render(task).plain == "-:--:--"
    task.completed = 2
    assert console.Remaining().render(task).plain == "0:00:05"


def test_messages_are_no_markup(said):
    console.say("[bold]x[/bold] :smile:")
    assert said() == "[bold]x[/bold] :smile:\n"


@pytest.mark.parametrize(
    "n,thing,expected",
    [
        (0, "image", "0 images"),
        (1, "image", "1 image"),
        (1200, "class", "1,200 classes"),
        (2, "box", "2 boxes"),
        (2, "copy", "2 copies"),
        (2, "day", "2 days"),
        (2, "batch", "2 batches"),
        (2, "near duplicate", "2 near duplicates"),
    ],
)
def test_plural_forms(n, thing, expected):
    assert count(n, thing) == expected


@pytest.mark.parametrize(
    "seconds,expected", [(-1, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3661, "1:01:01")]
)
def test_clocks(seconds, expected):
    assert console.clock(seconds) == expected


@pytest.mark.parametrize(
    "value", ["", "im2col", "whiten|muon|grow_short|ema|label_smoothing|alternate|tta_flip|mirror"]
)
@pytest.mark.parametrize("width", [60, 80, 100])
def test_settings_are_wrapped_and_nothing_is_lost(value, width):
    reason = "60 images/s trained; the slowest of 4 settings 6; norms, activations and pooling compiled by cc"
    lines = console.setting_lines("precision", value, reason, width)
    assert all(len(line) <= width for line in lines) and lines[0].startswith("  precision     ")
    text = " ".join(" ".join(lines).split()).replace("| ", "|")
    assert text == " ".join(f"precision {value} {reason}".split())
