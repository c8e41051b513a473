"""Guesses about files are listed once for a data set."""

from eyespot.data.guesses import MAX_READINGS, Guess, summarise_guesses


def column(value: str) -> list[Guess]:
    return [Guess("time", value, "its name", "--columns 2")]


def test_guesses_of_files_are_listed_once():
    assert summarise_guesses([column("first")] * 3) == column("first")
    first, second = summarise_guesses([column("second"), *[column("first")] * 2])
    assert (first.value, second.value) == ("first (2 files of 3)", "second (1 file of 3)")
    assert summarise_guesses([[], []]) == []


def test_many_different_guesses_are_counted():
    many = summarise_guesses([column(str(n)) for n in range(MAX_READINGS + 4)])
    assert len(many) == MAX_READINGS and many[-1].value.endswith(", and otherwise in 4 files")
