"""Sounds of every usual kind are read with their values and rate, or named with what to do."""

import builtins
import io
import struct
import sys
import wave

import numpy as np
import pytest
from scipy.io import wavfile

import eyespot
from eyespot.data.formats.read import decode, read_header
from eyespot.data.header import Unreadable

soundfile = pytest.importorskip("soundfile")
RATE = 8000
TONE = (0.5 * np.sin(np.arange(RATE) * 0.3)).astype(np.float32)[:, None]
STEREO = np.hstack([TONE, -0.5 * TONE])


def sound(values, kind="WAV", codec="PCM_16", rate=RATE) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, values, rate, format=kind, subtype=codec)
    return buffer.getvalue()


def refused(content, pattern):
    for read in (read_header, decode):
        with pytest.raises(Unreadable, match=pattern):
            read(content)


@pytest.fixture
def without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)


PLAIN = [
    ("WAV", "PCM_U8", 0.008),
    ("WAV", "PCM_16", 1e-4),
    ("WAV", "PCM_24", 1e-6),
    ("WAV", "PCM_32", 1e-6),
    ("WAV", "FLOAT", 1e-7),
    ("WAV", "DOUBLE", 1e-7),
    ("WAVEX", "PCM_16", 1e-4),
    ("WAVEX", "PCM_24", 1e-6),
    ("WAVEX", "FLOAT", 1e-7),
    ("RF64", "PCM_16", 1e-4),
    ("RF64", "FLOAT", 1e-7),
]
CODED = [
    ("WAV", "ULAW", 0.02, "a WAV in mu-law"),
    ("WAV", "ALAW", 0.02, "a WAV in A-law"),
    ("WAV", "IMA_ADPCM", None, "a WAV in IMA ADPCM"),
    ("WAV", "MS_ADPCM", 0.05, "a WAV in Microsoft ADPCM"),
    ("WAV", "GSM610", None, "a WAV in GSM 6.10"),
    ("WAVEX", "ULAW", 0.02, "a WAV in mu-law"),
    ("FLAC", "PCM_16", 1e-4, "FLAC"),
    ("FLAC", "PCM_24", 1e-6, "FLAC"),
    ("OGG", "VORBIS", 0.05, "OGG"),
    ("OGG", "OPUS", 0.1, "OGG"),
    ("MP3", "MPEG_LAYER_III", 0.1, "MP3"),
    ("AIFF", "PCM_16", 1e-4, "AIFF"),
    ("AU", "PCM_16", 1e-4, "AU"),
    ("CAF", "PCM_16", 1e-4, "CAF"),
    ("W64", "PCM_16", 1e-4, "W64"),
]


def check(content, values, error, kind):
    header, decoded = read_header(content), decode(content, 1)
    assert (header.kind, header.channels, header.depth) == (kind, values.shape[1], "float32")
    assert header.shape == decoded.array.shape[:1] and header.spacing == decoded.spacing == (1 / RATE,)
    assert abs(len(decoded.array) - len(values)) <= 1200  # codecs of blocks fill the last one
    if error is not None:
        np.testing.assert_allclose(decoded.array[: len(values)], values, atol=error)


@pytest.mark.parametrize("values", [TONE, STEREO], ids=["mono", "stereo"])
@pytest.mark.parametrize("kind,codec,error", PLAIN)
def test_plain_wavs_need_no_extra(kind, codec, error, values, without_the_extra):
    check(sound_of[kind, codec, values.shape[1]], values, error, "WAV")


sound_of = {(k, c, v.shape[1]): sound(v, k, c) for k, c, _ in PLAIN for v in (TONE, STEREO)}


@pytest.mark.parametrize("kind,codec,error,_", CODED)
def test_coded_sounds(kind, codec, error, _):
    name = "WAV" if kind == "WAVEX" else kind
    check(sound(TONE, kind, codec), TONE, error, name)
    if codec != "GSM610":
        check(sound(STEREO, kind, codec), STEREO, error and 2 * error, name)


@pytest.mark.parametrize("kind,codec,_,name", CODED)
def test_without_the_extra_one_sentence_names_it(kind, codec, _, name, monkeypatch):
    content = sound(TONE, kind, codec)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    refused(content, rf"^it is {name}, which needs one more package: pip install 'eyespot\[sound\]'$")


def test_a_library_that_cannot_be_loaded_is_a_missing_extra(monkeypatch):
    def load(name, *rest, real=builtins.__import__):
        if name == "soundfile":
            raise OSError("sndfile library not found")
        return real(name, *rest)

    content = sound(TONE, "FLAC")
    monkeypatch.setattr(builtins, "__import__", load)
    refused(content, r"pip install 'eyespot\[sound\]'")


def test_tags_before_mp3_and_flac():
    tags = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10)
    assert read_header(tags + sound(TONE, "MP3", "MPEG_LAYER_III")).kind == "MP3"
    assert read_header(sound(TONE, "MP3", "MPEG_LAYER_III")).kind == "MP3"


def with_codec(number: int) -> bytes:
    content = bytearray(sound(TONE))
    struct.pack_into("<H", content, 20, number)
    return bytes(content)


@pytest.mark.parametrize("number,name", [(0x161, "WMA"), (0x1234, "the codec 0x1234"), (0xFF, "AAC")])
def test_codecs_that_nobody_reads_are_named(number, name):
    refused(
        with_codec(number), f"it is a WAV in {name}, which is not read: convert it to FLAC or a WAV in PCM"
    )


@pytest.mark.parametrize(
    "kind,codec", [("WAV", "PCM_16"), ("RF64", "PCM_16"), ("WAVEX", "FLOAT"), ("WAV", "ULAW")]
)
def test_a_wav_that_is_cut_short(kind, codec):
    content = sound(TONE, kind, codec)
    refused(content[: len(content) // 2], "cut short: it has .* of .* bytes of samples; copy it again")
    refused(content[:30], "damaged or cut short")


@pytest.mark.parametrize("kind,codec", [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("AIFF", "PCM_16")])
def test_another_sound_that_is_cut_short(kind, codec):
    content = sound(np.random.default_rng(0).normal(0, 0.1, (40000, 1)), kind, codec)
    refused(content[: len(content) // 2], "cut short")


def test_empty_sounds():
    refused(sound(TONE[:0]), "it holds no samples")
    refused(sound(TONE)[:44], "no samples|cut short")


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_stream_does_not_say_how_long_it_is(size):
    content = bytearray(sound(TONE))
    struct.pack_into("<I", content, 4, size)
    struct.pack_into("<I", content, 40, size)
    np.testing.assert_allclose(decode(bytes(content), 1).array, TONE, atol=1e-4)


def test_chunks_that_are_no_sound_are_skipped():
    content = sound(TONE)
    extra = b"LIST" + struct.pack("<I", 5) + b"abcde\0"
    between = content[:12] + extra + content[12:] + extra
    np.testing.assert_allclose(decode(between, 1).array, TONE, atol=1e-4)


def test_what_the_standard_library_writes():
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(3)
        file.setframerate(RATE)
        file.writeframes(
            b"".join(int(v * (2**23 - 1)).to_bytes(3, "little", signed=True) for v in TONE[:, 0])
        )
    np.testing.assert_allclose(decode(buffer.getvalue(), 1).array, TONE, atol=1e-6)


def test_byte_orders():
    values = (TONE * 32767).astype(">i2")
    content = sound(TONE)
    big = (
        b"RIFX"
        + struct.pack(">I", len(content) - 8)
        + b"WAVEfmt "
        + struct.pack(">IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    )
    big += b"data" + struct.pack(">I", values.nbytes) + values.tobytes()
    np.testing.assert_allclose(decode(big, 1).array, TONE, atol=1e-4)


@pytest.mark.parametrize(
    "content,name",
    [
        (b"\0\0\0\x20ftypM4A \0\0\0\0", "AAC"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(40), "WMA"),
        (b"#!AMR\n" + bytes(40), "AMR"),
        (b"MThd\0\0\0\6" + bytes(40), "MIDI"),
    ],
)
def test_other_sounds_are_named(content, name):
    refused(content, f"it is {name}.*(convert|render)")


# Data sets.


@pytest.fixture
def folder(tmp_path):
    """Two classes of sounds; `folder(write)` writes file i of class k as write(values, i, k) = (ending, content)."""

    def make(write):
        for k, name in enumerate("ab"):
            (tmp_path / "d" / name).mkdir(parents=True)
            for i in range(8):
                tone = 0.5 * np.sin(np.arange(3000) * 0.2 * (1 + 3 * k) + i)[:, None]
                ending, content = write(tone + np.random.default_rng(i).normal(0, 0.01, tone.shape), i, k)
                (tmp_path / "d" / name / f"{i}.{ending}").write_bytes(content)
        return tmp_path / "d"

    return make


def test_a_data_set_of_many_kinds(folder):
    kinds = [
        ("wav", "WAV", "PCM_16"),
        ("flac", "FLAC", "PCM_16"),
        ("ogg", "OGG", "VORBIS"),
        ("mp3", "MP3", "MPEG_LAYER_III"),
    ]
    look = eyespot.look(folder(lambda v, i, k: (kinds[i % 4][0], sound(v, *kinds[i % 4][1:]))))
    survey = look.survey
    assert survey.preprocessing.view == "spectrum" and survey.reasons["view"] == "all files are sounds"
    assert not survey.images.errors and len(survey.images.rows) == 16 and not look.errors
    assert look.as_dict()["formats"] == {"WAV": 4, "FLAC": 4, "OGG": 4, "MP3": 4}


def test_stereo_among_mono_is_mixed_down_and_said(folder):
    look = eyespot.look(folder(lambda v, i, k: ("wav", sound(np.hstack([v, v]) if i % 4 == 0 else v))))
    survey = look.survey
    assert survey.preprocessing.accepts == (1, 2) and len(survey.images.rows) == 16
    problem = next(p for p in survey.problems if "mono" in p.text)
    assert problem.level == "warning" and problem.text.startswith(
        "4 signals with several channels among mono ones: mixed down"
    )
    mono, both = (survey.preprocessing(sound(v)) for v in (TONE, np.hstack([1.5 * TONE, 0.5 * TONE])))
    np.testing.assert_allclose(mono, both, atol=0.5)  # decibels


def test_samples_of_stereo_among_mono(folder):
    data = folder(lambda v, i, k: ("wav", sound(np.hstack([v, -v]) if i == 0 else v, codec="FLOAT")))
    preprocessing = eyespot.look(data, view="samples").survey.preprocessing
    assert (preprocessing.channels, preprocessing.accepts) == (1, (1, 2))
    np.testing.assert_allclose(preprocessing(sound(np.hstack([TONE, -TONE]), codec="FLOAT")), 0, atol=1e-7)


@pytest.mark.parametrize("trained,given", [(1, 2), (2, 1)])
def test_other_channels_than_trained_on_are_refused_by_name(folder, trained, given):
    data = folder(lambda v, i, k: ("wav", sound(v.repeat(trained, axis=1))))
    preprocessing = eyespot.look(data).survey.preprocessing
    words = {1: r"1 channel \(mono\)", 2: r"2 channels \(stereo\)"}
    with pytest.raises(
        Unreadable, match=f"it has {words[given]}, and the signals trained on have {words[trained]}"
    ):
        preprocessing(sound(TONE.repeat(given, axis=1)))


def test_tables_of_different_channels_are_not_mixed(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(6):
            values = np.random.default_rng(i).normal(size=(50, 2 if i == 0 else 1))
            (tmp_path / name / f"{i}.csv").write_text(
                "\n".join(";".join(f"{v:.3f}" for v in row) for row in values)
            )
    survey = eyespot.look(tmp_path).survey
    assert survey.preprocessing.accepts == (1,) and len(survey.images.errors) == 2


def test_rates_are_brought_to_one_and_said(folder):
    problems = eyespot.look(
        folder(lambda v, i, k: ("wav", sound(v, rate=16000 if i == 3 else 8000)))
    ).survey.problems
    assert any(
        "2 signals with another sampling rate than the first: resampled to one" in p.text for p in problems
    )


def test_scipy_and_soundfile_agree():
    content = sound(STEREO, codec="PCM_24")
    rate, values = wavfile.read(io.BytesIO(content))
    np.testing.assert_allclose(decode(content, 1).array, values / 2**31, atol=1e-7)
    assert rate == RATE
