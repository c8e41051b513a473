"""Tables of numbers are read for what they mean, however they are written; what does not say is named."""

import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eyespot
from eyespot.data.formats.read import decode, decode_any, read_header
from eyespot.data.header import ReadOptions, Unreadable
from eyespot.data.preprocess.preprocessing import Preprocessing

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(300, 3)).round(4)
ONE = VALUES[:, :1]


def written(values, delimiter=",", decimal=".", digits=4, header="", before=None) -> str:
    """A table as text; `before(i)` is what is before the values of row i."""
    rows = []
    for i, row in enumerate(np.atleast_2d(values)):
        cells = [] if before is None else [before(i)]
        rows.append(delimiter.join([*cells, *(f"{v:.{digits}f}".replace(".", decimal) for v in row)]))
    return "\n".join([header] * bool(header) + rows) + "\n"


def read(content, **options):
    """The values, the rate (None if unknown) and the guesses as one text."""
    content = content.encode() if isinstance(content, str) else content
    asked = ReadOptions(**options)
    header, decoded = read_header(content, asked), decode(content, 1, options=asked)
    assert header.kind == "CSV" and header.shape == decoded.array.shape[:1] == (len(decoded.array),)
    assert header.channels == decoded.array.shape[1] and header.spacing == decoded.spacing
    rate = 1 / decoded.spacing[0] if decoded.spacing else None
    return decoded.array, rate, "\n".join(map(str, header.guesses))


def refused(content, pattern, **options):
    with pytest.raises(Unreadable, match=pattern) as caught:
        read(content, **options)
    assert "\n" not in str(caught.value)


# The notation of numbers.

NOTATIONS = [(d, p) for d in (",", ";", "\t", " ", "|", ", ") for p in ".," if d != "," or p != ","]


@pytest.mark.parametrize("delimiter,decimal", NOTATIONS)
@pytest.mark.parametrize("columns", [2, 3])
def test_delimiters_and_decimal_marks(delimiter, decimal, columns):
    values = VALUES[:, :columns]
    got, rate, _ = read(written(values, delimiter, decimal))
    np.testing.assert_allclose(got, values, rtol=1e-6)
    assert rate is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_table_is_read_as_it_was_meant(data):
    """Values, rate and channels come back, whatever is above, beside and between the numbers."""
    channels = data.draw(st.integers(1, 3))
    length = data.draw(st.integers(60, 200))
    digits = data.draw(st.integers(2, 6))
    scale = data.draw(st.sampled_from([0.01, 1.0, 300.0]))
    values = np.random.default_rng(data.draw(st.integers(0, 99))).normal(0, scale, (length, channels))
    values = values.round(digits)
    delimiter, decimal = data.draw(st.sampled_from([n for n in NOTATIONS if n != (", ", ",")]))
    first = data.draw(st.sampled_from(["", "count", "s", "ms", "clock"]))
    hertz = data.draw(st.sampled_from([1, 50, 125, 360]))
    before = {
        "": None,
        "count": str,
        "s": lambda i: f"{i / hertz:.6f}".replace(".", decimal),
        "ms": lambda i: f"{1000 * i / hertz:.3f}".replace(".", decimal),
        "clock": lambda i: f"{10 + i // (60 * hertz)}:{i // hertz % 60:02}.{1000 * (i % hertz) // hertz:03}",
    }[first]
    header = ""
    if first in ("s", "ms") or data.draw(st.booleans()):
        name = {"": [], "count": [""], "s": ["time"], "ms": ["t_ms"], "clock": ["clock"]}[first]
        header = delimiter.join([*name, *("left", "right", "rear")[:channels]])
    text = written(values, delimiter, decimal, digits, header, before)
    comment = data.draw(st.sampled_from(["", "# made by hand, 3 of 4\n", "% of 5\n", "// 1 2\n"]))
    if header or not comment:
        text = comment + text
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"]))
    got, rate, _ = read(text.replace("\n", data.draw(st.sampled_from(["\n", "\r\n"]))).encode(encoding))
    np.testing.assert_allclose(got, values, rtol=1e-5, atol=1e-7)
    if first in ("s", "ms", "clock"):
        assert rate == pytest.approx(hertz, rel=2e-3)
    else:
        assert rate is None


@pytest.mark.parametrize("header", ["", "ecg", "ECG [mV]"])
def test_one_column_of_decimal_commas(header):
    got, _, said = read(written(ONE, decimal=",", header=header))
    np.testing.assert_allclose(got, ONE, rtol=1e-6)
    assert "commas: decimal marks, because" in said and "--decimal point" in said


@pytest.mark.parametrize(
    "text,channels,why",
    [
        ("\n".join(f"{int(500 + 90 * v)},{int(480 - 90 * v)}" for v in ONE[:, 0]), 2, "none of 300 lines"),
        ("a,b\n" + "\n".join(f"{i % 7},{i % 5}" for i in range(60)), 2, "two names"),
        ("\n".join(f"{i % 7},{i % 4 + 1}5e-1" for i in range(40)) + "\n-0,5", 1, "-0 stands before"),
        ("\n".join(f"{i % 7},{i % 4 + 1}0" for i in range(40)) + "\n3,05\n", 1, "1 line of 41"),
        ("\n".join(f"{i % 7},{i % 5}" for i in range(40)) + "\n3\n", 1, "1 line of 41 have no comma"),
        ("level\n" + "\n".join(f"{i % 7},{i % 5}" for i in range(40)), 1, "one name"),
    ],
)
def test_commas_between_whole_numbers_are_decided_by_all_lines(text, channels, why):
    got, _, said = read(text)
    assert got.shape[1] == channels and why in said
    other = "comma" if channels == 2 else "point"
    if "no comma" not in why and "e-1" not in text:
        assert read(text, decimal=other)[0].shape[1] == 3 - channels
    assert f"--decimal {other}" in said


def test_whole_numbers_that_count_are_a_column():
    got, _, said = read("\n".join(f"{i},{i * 7 % 5}" for i in range(20)))
    assert got[:, 0].tolist() == [i * 7 % 5 for i in range(20)]
    assert "the numbers before the comma count" in said and "column 1 counts the rows" in said


def test_commas_that_nothing_decides_are_refused():
    text = "\n".join(f"{30 + i % 7},{i * 7 % 10}" for i in range(60))
    refused(text, "one column of decimals or two columns .*--decimal comma or --decimal point")
    assert read(text, decimal="comma")[0][1, 0] == pytest.approx(31.7)
    np.testing.assert_array_equal(read(text, decimal="point")[0][1], [31, 7])
    contradictory = "a,b\n" + "\n".join(f"{i % 7},0{i % 9}" for i in range(60))
    refused(contradictory, "zero right after the comma, but the header has two names")


@pytest.mark.parametrize(
    "text",
    [
        written(VALUES[:, :2], ",", ","),
        written(VALUES.T[:1], ",", ","),
        "\n".join(f"{v:,.2f}" for v in 3000 + 1000 * np.abs(ONE[:, 0])),
    ],
    ids=["two columns", "one row", "thousands"],
)
def test_commas_that_mean_two_things_are_refused(text):
    refused(text, "after a comma, as if commas were decimals or separated thousands: separate columns by")


@pytest.mark.parametrize("cell", ["1,234.5", "1.234,5", "1 234,5", "1'234.5", "1\u00a0234", "12.345.678"])
def test_separators_between_thousands_are_refused(cell):
    rows = [f"{i};{cell}" for i in range(20)]
    refused(
        "\n".join(rows), r"line 1 has .* in column 2, with a separator between thousands: write it without"
    )
    rows[:15] = [f"{i};{i % 4}{'.' if '.5' in cell else ','}5" for i in range(15)]
    refused("\n".join(rows), "line 16 has .* in column 2, with a separator between thousands")


@pytest.mark.parametrize("mark", [",", "."])
def test_thousands_beside_smaller_whole_numbers(mark):
    text = "\n".join(f"{n:,}".replace(",", mark) + ";7" for n in range(900, 1300, 7))
    refused(text, f"line 16 has 1{mark}005 in column 1, with a separator between thousands")


def test_numbers_of_both_decimal_marks_are_refused():
    refused(
        "\n".join([*(f"{i},5;1" for i in range(20)), "3.5;1"]),
        "line 21 has 3.5 in column 1, with a decimal point unlike",
    )


# Rows and headers.


@pytest.mark.parametrize("delimiter,decimal", [n for n in NOTATIONS if n != (",", ",")])
@pytest.mark.parametrize("header", ["", "x{}"])
def test_a_single_row_is_one_channel(delimiter, decimal, header):
    names = delimiter.join(header.format(i) for i in range(300)) if header else ""
    got, _, said = read(written(ONE.T, delimiter, decimal, header=names))
    np.testing.assert_allclose(got, ONE, rtol=1e-6)
    assert "row: 1 channel of 300 samples" in said


@pytest.mark.parametrize(
    "text,pattern",
    [
        (written(VALUES.T[:2]), "300 channels of 2 samples: write a row per sample"),
        (written(VALUES.T), "300 channels of 3 samples"),
        ("age,height,weight\n1,2,3\n", "3 named columns and 1 row, that is 3 channels of 1 sample"),
        ("3\n", "a single number"),
        ("a\n3.5\n", "a single number"),
        ("# nothing\n# 1 2 3\n1 2 3\n4 5\n", "line 4 has 2 columns and not 3"),
        ("a,b,kind\n1,2,good\n3,4,bad\n5,6,bad\n", r"column 3 \(kind\) is text \(good\): .* --columns 1,2"),
        (
            "a,b\n1,2\n3,\n5,6\n",
            r"line 3 has no value in column 2 \(b\): fill it in, delete the line, or give --nan",
        ),
        ("a,b\n1,2\nNA,4\n5,6\n", r"line 3 has no value \(NA\) in column 1 \(a\)"),
        ("a,b\n1,2\n3,-inf\n5,6\n", r"line 3 has no value \(-inf\) in column 2"),
        ("1;1.#QNAN\n1;2\n1;4\n", r"line 1 has no value \(1.#QNAN\)"),
        ("1,x\n2,3\n4,5\n6,7\n", r"line 1 has a value that is not numeric: x"),
        ("t,b,kind\n1,2,good\n2,4,bad\n3,6,bad\n", r"column 3 \(kind\) is text \(good\): .* --columns 2$"),
        ("1,2\n2,3\nend\n", "line 3 has 1 column and not 2"),
        ("1_0\n2_0\n3_0\n4\n5\n6\n7\n", "not numeric|thousands"),
        ("1e300\n2e300\n", "too large"),
        ("time,v\n0,1\n1,2\n0.5,3\n", r"times of its column 1 \(time\) do not rise from line 3 on"),
        ("2024-01-01 10:00,1\n2024-01-01 09:00,2\n", "do not rise"),
        ("2024-02-30 10:00,1\n2024-02-31 10:00,2\n", "date that does not exist"),
        ("time\n10:00:00,3\n10:00:01\n10:00:02,4\n", "column and not 2"),
    ],
)
def test_what_is_no_table_of_samples_is_named(text, pattern):
    refused(text, pattern)


def test_an_empty_column_at_the_end_is_no_channel():
    assert read("a;b;\n1,5;2,5;\n3,5;4,5;\n")[0].tolist() == [[1.5, 2.5], [3.5, 4.5]]


def test_an_empty_line_in_one_column_is_a_missing_value():
    lines = [f"{v:.3f}" for v in ONE[:, 0]]
    refused(
        "\n".join([*lines[:7], "", *lines[7:]]),
        "line 8 has no value in column 1: fill it in, delete the line, or give --nan",
    )
    np.testing.assert_allclose(read("\n\n".join(lines))[0], ONE, atol=1e-3)
    np.testing.assert_allclose(read("\n\n" + "\n".join(lines) + "\n\n")[0], ONE, atol=1e-3)
    np.testing.assert_allclose(read("\n".join([*lines[:7], "# a note", *lines[7:]]))[0], ONE, atol=1e-3)


def test_lines_above_the_names_are_skipped_and_said():
    got, rate, said = read("Device: X, 12 bits\nRate: fast\n\nTime,Ch1\n0,1.5\n0.1,2.5\n0.2,7\n")
    assert got.tolist() == [[1.5], [2.5], [7]] and rate == 10
    assert "lines: 2 lines at the top are skipped" in said


@pytest.mark.parametrize("mark", ["#", "%", "//", ";", "  # "])
def test_comments_are_no_rows(mark):
    text = written(VALUES[:, :2], header="a,b")
    lines = text.splitlines()
    lines[3:3] = [f"{mark} 1,2", f"{mark} nothing; at all"]
    got, _, _ = read("\n".join([f"{mark} 3 4 5", *lines]))
    np.testing.assert_allclose(got, VALUES[:, :2], rtol=1e-6)


def test_a_comment_above_the_numbers_names_the_columns():
    """As numpy.savetxt writes a header."""
    _, rate, said = read("# 3 numbers\n# time ecg\n" + written(ONE, " ", before=lambda i: f"{i / 250:.3f}"))
    assert rate == 250 and "column 1 (time) is the time" in said


@pytest.mark.parametrize(
    "units,rate", [("s,mV", 4), ("(ms),(mV)", 4000), ("[µs],[-]", 4e6), ("min,", 4 / 60)]
)
def test_a_row_of_units_below_the_names(units, rate):
    got, found, _ = read(written(ONE, header=f"time,ecg\n{units}", before=lambda i: f"{i / 4:.2f}"))
    np.testing.assert_allclose(got, ONE, rtol=1e-6)
    assert found == pytest.approx(rate)


def test_numbers_as_names_of_columns():
    """As pandas names them."""
    for header in (",0,1,2", "0,1,2"):
        before = str if header[0] == "," else None
        np.testing.assert_allclose(read(written(VALUES, header=header, before=before))[0], VALUES, rtol=1e-6)


# Columns.


@pytest.mark.parametrize("name", ["", "index", "Unnamed: 0", "'sample #'"])
@pytest.mark.parametrize("start", [0, 1, 17])
def test_a_column_that_counts_is_no_channel(name, start):
    got, rate, said = read(written(ONE, header=f"{name},ecg", before=lambda i: str(i + start)))
    np.testing.assert_allclose(got, ONE, rtol=1e-6)
    assert rate is None and "counts the rows" in said and "--columns 1-2" in said
    both, _, _ = read(written(ONE, before=lambda i: str(i + start)), columns="1-2")
    assert both.shape == (300, 2) and both[5, 0] == 5 + start


TIMES = {
    "time": lambda i: f"{i / 360:.3f}",
    "Time [ms]": lambda i: f"{i / 0.36:.2f}",
    "t_us": lambda i: str(round(i / 0.00036)),
    "seconds": lambda i: f"{i / 360:.6f}",
    "timestamp": lambda i: str(1_700_000_000_000 + round(i / 0.36)),
    "Zeit (s)": lambda i: f"{7 + i / 360:.5f}",
    "datetime": lambda i: f"2024-02-28 23:59:{59 + i / 360:06.3f}" if i < 360 else "",
    "clock": lambda i: f"10:{i // 360:02}:{i / 360 % 60:06.3f}",
    "Elapsed time": lambda i: f"{i // 21600}:{i / 360 % 60:06.3f}",
    "": lambda i: f"{i / 360:.6f}",
}


@pytest.mark.parametrize("name", TIMES)
def test_times_give_the_rate_and_are_no_channel(name):
    got, rate, said = read(written(ONE, header=f"{name},ecg", before=TIMES[name]))
    np.testing.assert_allclose(got, ONE, rtol=1e-6)
    assert rate == pytest.approx(360, rel=1e-3) and "column 1" in said and "is the time" in said
    assert (
        "1 channel (ecg) at 360 Hz" in said
        or "1 channel (ecg) at 359" in said
        or "1 channel (ecg) at 360." in said
    )


@pytest.mark.parametrize(
    "cells",
    [
        lambda i: f"0{1 + i // 100}.02.2024 00:00:{i % 60:02}",
        lambda i: f"{i // 3600:02}:{i // 60:02}:{i % 60:02}",
        lambda i: f"2/3/2024 {11 + i // 3600}:{i // 60:02}:{i % 60:02} am",
        lambda i: f"2024-03-02T12:{i // 60:02}:{i % 60:02}Z",
        lambda i: f"2024/03/02 12:{i // 60:02}:{i % 60:02}+01:00",
        lambda i: f"{'31.12.2023 23:59' if i < 60 else f'01.01.2024 00:{i // 60 - 1:02}'}:{i % 60:02}",
        lambda i: f"{'23:59' if i < 60 else f'00:{i // 60 - 1:02}'}:{i % 60:02}",
    ],
)
def test_dates_and_times_of_the_day(cells):
    n = 60 if ".02." in cells(0) else 300
    got, rate, _ = read(written(ONE[:n], ";", ",", before=cells))
    np.testing.assert_allclose(got, ONE[:n], rtol=1e-6)
    assert rate == 1


def test_a_date_and_a_time_of_the_day_in_two_columns():
    text = written(
        ONE, ";", ",", header="Datum;Zeit;Wert", before=lambda i: f"05.01.2024;12:{i // 60:02}:{i % 60:02}"
    )
    got, rate, said = read(text)
    assert rate == 1 and got.shape == (300, 1) and "column 2 (Zeit)" in said


def test_times_that_repeat_and_times_with_gaps():
    seconds = written(ONE, header="time,x", before=lambda i: f"12:{i // 600:02}:{i // 10 % 60:02}")
    assert read(seconds)[1] == pytest.approx(10)
    gap = written(ONE, header="time,x", before=lambda i: str(i + 100 * (i > 150)))
    _, rate, said = read(gap)
    assert rate == 1 and "about 1 Hz" in said and read_header(gap.encode()).notes == ("uneven",)


def test_an_axis_that_is_no_time_is_no_channel():
    _, rate, said = read(written(ONE, header="wavelength,counts", before=lambda i: str(400 + 2 * i)))
    assert rate is None and "column 1 (wavelength) is an axis, because it rises evenly, by 2" in said


def test_channels_named_like_times_stay():
    assert read(written(VALUES[:, :2], header="t,h"))[0].shape == (300, 2)


@pytest.mark.parametrize(
    "asked,channels", [("2", [1]), ("3,1", [2, 0]), ("1-3", [0, 1, 2]), ("b", [1]), ("c, a", [2, 0])]
)
def test_the_user_names_the_columns(asked, channels):
    text = written(VALUES, header="a,b,c,kind").replace("\n", ",good\n").replace("kind,good", "kind")
    got, _, _ = read(text, columns=asked)
    np.testing.assert_allclose(got, VALUES[:, channels], rtol=1e-6)
    refused(text, "has 4 columns, and you asked for 5", columns="5")
    refused(text, r"no column named 'd', which you asked for \(names: a, b, c, kind\)", columns="d")


def test_an_axis_that_falls_is_no_channel():
    content = "".join(f"{4000 - 1.5 * i:.2f}\t{i * i % 7}.25\n" for i in range(60)).encode()
    header = read_header(content)
    assert header.channels == 1 and "falls evenly, by 1.5" in header.guesses[-1].reason


def test_names_before_rows_of_channels_are_refused_with_the_cause():
    content = "".join(
        f"ch{c}," + ",".join(f"{c * i % 7}.5" for i in range(99)) + "\n" for c in range(3)
    ).encode()
    with pytest.raises(Unreadable, match=r"99 columns of numbers in 3 rows: write a row per sample"):
        read_header(content)


def test_columns_of_numbers_are_named_as_ranges():
    content = "".join(f"{i * 7 % 5},{i},{-i},run,{i % 3},{i % 4}\n" for i in range(40)).encode()
    with pytest.raises(
        Unreadable, match=r"is text \(run\): give the columns of numbers by --columns 1-3,5,6"
    ):
        read_header(content)
    assert read_header(content, ReadOptions(columns="1-3,5,6")).channels == 5


def test_a_line_below_the_numbers_is_named():
    with pytest.raises(Unreadable, match=r"line 42 has 1 column and not 2: delete it"):
        read_header(b"t,v\n" + b"".join(b"%d,%d\n" % (i, i % 7) for i in range(40)) + b"end\n")


def test_single_quotes_around_cells():
    rows = "".join(f"'0:00.{round(i / 360 * 1000):03}',{i % 7 / 10},{-i}\n" for i in range(300))
    content = b"'Elapsed time','MLII','V5'\n'hh:mm:ss.mmm','mV','mV'\n" + rows.encode()
    header = read_header(content)
    assert header.channels == 2 and header.spacing == (1 / 360,)


@pytest.mark.parametrize("separator", [",", ", ", "\t", " "])
def test_semicolons_at_the_end_of_lines(separator):
    content = "".join(
        separator.join(map(str, (7 * i % 13, -i, i * i % 11))) + ";\n" for i in range(40)
    ).encode()
    assert decode(content, 1).array.shape == (40, 3)


def test_a_column_that_ends_in_semicolons():
    assert decode("".join(f"{i % 5}.5;\n" for i in range(40)).encode(), 1).array.shape == (40, 1)


def test_the_user_gives_the_rate():
    assert read(written(ONE), rate=360.0)[1] == pytest.approx(360)
    timed = written(ONE, header="time,ecg", before=str)
    assert read(timed, rate=250.0)[1] == pytest.approx(250)


def test_missing_values_are_replaced_where_the_user_gives_a_value():
    text = "a,b\n" + "\n".join(f"{i},{'' if i == 3 else i + 1}" for i in range(20))
    assert np.isnan(
        decode_any(text.encode(), 1, options=ReadOptions(nan=-1.0, columns="1-2")).array[3]
    ).tolist() == [False, True]
    preprocessing = Preprocessing(20, "pad", 1, (1,), "float32", 1, spacing=1.0, nan=-1.0)
    assert preprocessing(text.encode())[:, 0].tolist() == [-1.0 if i == 3 else i + 1 for i in range(20)]


def test_labels_are_no_channels(folder):
    """They would give the class away."""
    rows = written(np.hstack([ONE, np.ones_like(ONE)]), header="ecg,label")
    got, _, said = read(rows)
    assert got.shape == (300, 1) and "column 2 (label) is a label and no channel" in said
    data = folder(lambda v, i: written(np.hstack([v, np.full_like(v, i % 2)])).encode())
    problems = eyespot.look(data).survey.problems
    assert any(
        p.level == "warning" and "16 signals with a channel of a single value: if it is a label" in p.text
        for p in problems
    )


def test_metadata_above_the_names_are_no_names():
    _, rate, said = read(written(ONE, header="fs,360\ntime,ecg", before=lambda i: f"{i / 50:.2f}"))
    assert rate == 50 and "1 channel (ecg)" in said and "1 line at the top is skipped" in said


def test_the_number_of_rows_in_the_first_is_no_sample():
    got, _, said = read("300\n" + written(ONE))
    np.testing.assert_allclose(got, ONE, rtol=1e-6)
    assert "1 line at the top is skipped" in said


def test_dates_without_separators_are_refused():
    text = written(ONE, header="time,x", before=lambda i: f"2024010512{i // 60:02}{i % 60:02}")
    refused(text, "are dates without separators: write them as 2024-01-31 12:30:00")


# Arrays.


@pytest.mark.parametrize(
    "shape,layout", [((300, 2), "(samples, channels)"), ((2, 300), "(channels, samples)")]
)
def test_the_axes_of_arrays_are_guessed_and_said(shape, layout):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(shape))
    header = read_header(buffer.getvalue(), ReadOptions(rate=100.0))
    assert (header.shape, header.channels, header.spacing) == ((300,), 2, (0.01,))
    assert str(header.guesses[0]).startswith(
        f"axes of arrays: {layout}, 2 channels, because the shorter axis has"
    )
    assert header.taken_as(2).spacing == header.taken_as(2).guesses == ()


def test_arrays_of_equal_axes_are_no_signals():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((30, 30)))
    assert read_header(buffer.getvalue()).taken_as(1) is None
    with pytest.raises(Unreadable, match="two axes are equally long"):
        decode(buffer.getvalue(), 1)


# Data sets.


@pytest.fixture
def folder(tmp_path):
    """Two classes of signals of one column; `folder(write)` writes each by write(values)."""

    def make(write):
        for k, name in enumerate("ab"):
            (tmp_path / "d" / name).mkdir(parents=True)
            for i in range(8):
                values = np.sin(np.arange(300) * 0.1 * (1 + 3 * k) + i) + RNG.normal(0, 0.1, 300)
                (tmp_path / "d" / name / f"{i}.csv").write_bytes(write(values[:, None], i))
        return tmp_path / "d"

    return make


def test_look_says_once_how_tables_were_read(folder):
    data = folder(
        lambda v, i: written(
            v, ";", ",", header="time;ecg", before=lambda j: f"{j / 360:.4f}".replace(".", ",")
        ).encode()
    )
    look = eyespot.look(data)
    said = [line for line in str(look).splitlines() if line.startswith("guess")]
    assert len(said) == 2 and any(
        "1 channel (ecg) at 360 Hz; column 1 (time) is the time" in line for line in said
    )
    assert {g["name"] for g in json.loads(look.as_json())["guesses"]} == {"columns", "commas"}


def test_uneven_times_are_a_warning(folder):
    data = folder(
        lambda v, i: written(v, header="time,ecg", before=lambda j: str(j + 50 * (j > 99))).encode()
    )
    problems = eyespot.look(data).survey.problems
    assert any(p.level == "warning" and "16 signals with uneven time" in p.text for p in problems)


def test_files_that_do_not_decide_follow_those_that_do(folder):
    data = folder(lambda v, i: written(v, decimal=",", digits=1 if i == 3 else 4).encode())
    undecided = "\n".join(f"{30 + i % 7},{i * 7 % 10}" for i in range(300))
    (data / "a" / "3.csv").write_text(undecided)
    survey = eyespot.look(data).survey
    assert not survey.images.errors and survey.preprocessing.decimal == "comma"
    assert survey.preprocessing(undecided.encode()).max() == pytest.approx(36.9, abs=0.11)


def test_prediction_reads_tables_as_training_did(folder, tmp_path):
    def write(v, i):
        return written(np.hstack([v, -v]), header="a,b").encode()

    data = folder(write)
    run = eyespot.train(data, epochs=1, columns="2", rate=100.0, out=tmp_path / "run")
    preprocessing = eyespot.load(run.folder).preprocessing
    assert (preprocessing.columns, preprocessing.rate, preprocessing.accepts) == ("2", 100.0, (1,))
    values = np.arange(300.0)[:, None] % 7
    got = preprocessing(write(values, 0))
    np.testing.assert_allclose(got[:, 0], -values[:, 0])
