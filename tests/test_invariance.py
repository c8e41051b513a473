"""`eyespot invariance`: planted truths, bands, verdicts, contracts, masks, and what is refused."""

import json
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import eyespot
from conftest import one_sentence
from eyespot.augment import parse
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.errors import UserError
from eyespot.invariances.assess import assess
from eyespot.invariances.bands import drops_of, share_interval, shares, units_of
from eyespot.invariances.causes import AUGMENT, SETTINGS, Facts, causes_of
from eyespot.invariances.changes import Catalogue, Change
from eyespot.invariances.contract import Entry, holm, judge_contract, read_contract, with_severity
from eyespot.invariances.images import Images
from eyespot.invariances.measure import check_name, measured_on, result_of
from eyespot.invariances.measured import Measured, Measurement
from eyespot.invariances.of_classes import measure_classes, predict_views
from eyespot.invariances.of_masks import measure_masks
from eyespot.invariances.original import Original
from eyespot.invariances.outliers import Outlier, false_discoveries
from eyespot.invariances.power import detectable
from eyespot.invariances.sawtooth import Sawtooth, sawtooth_of, teeth
from eyespot.invariances.verdict import MARGIN, judge
from eyespot.invariances.views import View
from eyespot.invariances.write import refuse_taken, write_result

SIDE = 16
CLASSES = ["left", "right"]


class Predictor(SimpleNamespace):
    """Preprocessing and logits, and nothing of a network: what a predictor of any engine has."""


def predictor_of(logits, classes=CLASSES, masks=False, labels=None) -> Predictor:
    reading = Preprocessing(size=SIDE, channels=1, accepts=(1,), fit="own" if masks else "pad")
    output = SimpleNamespace(
        of_positions=masks, metric=("accuracy", "accuracy"), multilabel=False, labels=labels
    )
    card = SimpleNamespace(preprocessing={"side": SIDE})
    return Predictor(
        preprocessing=reading, logits=logits, classes=list(classes), output=output, card=card, engine=None
    )


def side_of(images):
    """Logits of which half of an image is brighter"""
    halves = images[..., 0].astype(np.float32)
    left, right = halves[:, :, : SIDE // 2].mean((1, 2)), halves[:, :, SIDE // 2 :].mean((1, 2))
    return np.stack([left, right], 1)


def write_images(folder, n=80, seed=0):
    """Images of which one half is brighter, and their labels."""
    rng = np.random.default_rng(seed)
    paths, labels = [], []
    for i in range(n):
        image = rng.integers(0, 100, (SIDE, SIDE), np.uint8)
        half = slice(0, SIDE // 2) if i % 2 == 0 else slice(SIDE // 2, None)
        image[:, half] += 100
        path = folder / f"{i:03}.png"
        Image.fromarray(image).save(path)
        paths.append(str(path))
        labels.append(i % 2)
    return paths, np.array(labels)


def images_for(tmp_path, predictor, n=80) -> Images:
    paths, labels = write_images(tmp_path, n)
    return Images(
        predictor, "planted", paths, labels, sizes=((SIDE, SIDE),) * n, spacings=((),) * n, errors={}
    )


def catalogue(*names, dim=2):
    known = {change.name: change for change in Catalogue(dim, SIDE, SIDE).changes}
    return [known[name] for name in names] if names else list(known.values())


def test_every_change_of_every_rank_keeps_the_type_and_replays():
    for dim in (1, 2, 3):
        rng = np.random.default_rng(dim)
        array = rng.integers(0, 255, (*[12] * dim, 2), np.uint8)
        originals = [Original(array, i, (1.0,) * dim) for i in range(3)]
        for change in Catalogue(dim, 12, 12).changes:
            for severity in change.severities:
                first = change.apply(originals, severity)
                again = change.apply(originals[1:], severity)
                assert all(a.dtype == np.uint8 and a.shape == array.shape for a in first), change.name
                assert np.array_equal(first[1], again[0]), f"{change.name} depends on the other images"


def test_each_image_has_a_direction_of_its_own():
    array = np.random.default_rng(0).integers(0, 255, (16, 16, 1), np.uint8)
    originals = [Original(array, i) for i in range(12)]
    for change in catalogue("shift", "rotate", "noise"):
        changed = change.apply(originals, change.standard)
        assert len({a.tobytes() for a in changed}) > 1, change.name


def test_there_and_back_is_there():
    y, x = np.mgrid[:64, :64]
    smooth = (127 + 60 * np.sin(x / 9) + 60 * np.cos(y / 7)).astype(np.float32)[..., None]
    for change in catalogue("shift", "rotate", "scale"):
        original = Original(smooth, 3)
        (changed,) = change.apply([original], change.standard)
        (back,) = change.back([original], [changed], change.standard)
        assert np.abs(changed - smooth)[20:44, 20:44].max() > 5, f"{change.name} changes nothing"
        assert np.abs(back - smooth)[20:44, 20:44].max() < 2, change.name


def test_rotation_is_in_millimetres_where_the_spacing_differs():
    """A disc of 18 mm stays a disc, on pixels of 1 mm by 2 mm."""
    rotate = next(change for change in Catalogue(3, 40, 40).changes if change.name == "rotate")
    y, x = np.mgrid[:41, :21]
    disc = (((y - 20) * 1.0) ** 2 + ((x - 10) * 2.0) ** 2 < 9**2).astype(np.float32) * 100
    original = Original(np.repeat(disc[None], 4, 0)[..., None], 0, (5.0, 1.0, 2.0))
    (turned,) = rotate.apply([original], 45.0)
    assert np.abs(turned - original.array).mean() < 2
    square = replace(original, spacing=(5.0, 1.0, 1.0))
    assert np.abs(rotate.apply([square], 45.0)[0] - original.array).mean() > 5


@dataclass(frozen=True)
class Roll(Change):
    """A circular shift: a user's own change."""

    def apply(self, originals, severity, trial=0):
        return [np.roll(o.array, round(severity), (0, 1)) for o in originals]


def circular_network(stride: int):
    torch.manual_seed(0)
    first = torch.nn.Conv2d(1, 8, 3, padding=1, padding_mode="circular", stride=stride)
    last = torch.nn.Linear(8, 2)

    def logits(images):
        x = torch.from_numpy(np.moveaxis(images, -1, 1).astype(np.float32) / 50)
        with torch.no_grad():
            pooled = first(x).relu().square().mean((2, 3)).double()
            scores = last.double()(pooled).numpy()
        return scores - scores.mean(0)

    return logits


def test_a_circular_network_without_stride_is_invariant_to_roll(tmp_path):
    roll = Roll("hflip", "pixels", (1.0, 2.0, 3.0), 1.0)
    consistency = {}
    for stride in (1, 4):
        images = images_for(tmp_path, predictor_of(circular_network(stride)))
        (measured,) = measure_classes(images, [roll]).changes
        consistency[stride] = measured.same.mean()
    assert consistency[1] == 1
    assert consistency[4] < 1


def test_a_constant_network_is_flagged_and_not_praised(tmp_path):
    def constant(images):
        return np.tile([0.0, 1.0], (len(images), 1))

    result = measured_on(images_for(tmp_path, predictor_of(constant)), "run", catalogue("hflip", "shift"))
    assert all(change.same[0]["value"] == 1 for change in result.changes)
    assert {change.verdict.status for change in result.changes} == {"cannot tell"}
    assert "the same for every image" in result.flag
    assert "the same for every image" in str(result)
    judgement = judge_contract(
        [Entry("hflip")], {"hflip": result["hflip"].measured}, units_of(80, None), result.flag
    )
    assert judgement.broken


def test_a_network_at_chance_has_nothing_to_lose(tmp_path):
    images = images_for(tmp_path, predictor_of(circular_network(1)))
    images = replace(images, labels=np.random.default_rng(0).permutation(images.labels))
    result = measured_on(images, "run", catalogue("hflip"))
    assert result["hflip"].verdict.status == "cannot tell"
    assert "nothing to lose" in result.flag


def test_known_verdicts(tmp_path):
    """A network that sees which half is brighter cannot be flipped, and does not mind top and bottom."""
    images = images_for(tmp_path, predictor_of(side_of), n=400)
    result = measured_on(images, "run", catalogue())
    statuses = {change.name: change.verdict.status for change in result.changes}
    assert statuses["hflip"] == "broken"
    assert statuses["vflip"] == "ok"
    assert statuses["brightness"] == "ok"
    assert statuses["rot90"] == "broken"
    assert result["hflip"].harmful[0]["value"] == 1
    assert result["vflip"].measured.change.exact
    named = {(o.change, o.name, o.becomes) for o in result.outliers}
    assert ("hflip", "left", "right") in named
    json.dumps(result.as_dict())
    for change in result.as_dict()["transforms"]:
        for score in (change["consistency"], change["accuracy"]):
            assert 0 <= score["low"] <= score["value"] <= score["high"] <= 1


def test_the_numbers_of_an_image_do_not_depend_on_the_batch(tmp_path):
    images = images_for(tmp_path, predictor_of(side_of))
    views = [View(change, change.standard) for change in catalogue("shift", "noise")]
    all_of_them, _, _ = predict_views(images, views, None)
    first, _, _ = predict_views(images.only(np.arange(7)), views, None)
    for key, classes in first.items():
        assert np.array_equal(classes, all_of_them[key][:7])


@pytest.mark.parametrize("kind", ["image", "severity", "group"])
def test_bands_hold_the_truth(kind):
    """100 repeats here, with room for chance; benchmarks/invariance.py has 1,000."""
    rates = np.array([0.02, 0.1, 0.3])
    rng = np.random.default_rng(7)
    groups = np.repeat(np.arange(60), 5).tolist() if kind == "group" else None
    units = units_of(300, groups)
    held = 0
    for _ in range(100):
        u = rng.random((3 if kind == "severity" else 1, 60 if kind == "group" else 300))
        u = np.repeat(u, 5, 1) if kind == "group" else u
        changed = (u < rates[:, None]).astype(float)
        bands = shares(1 - changed, units)
        held += all(s["low"] <= 1 - q <= s["high"] for s, q in zip(bands, rates, strict=True))
    assert 88 <= held <= 100


def test_no_band_has_the_width_zero_or_leaves_0_to_1():
    units = units_of(5, None)
    for values in (np.ones((2, 5)), np.zeros((2, 5))):
        for score in shares(values, units):
            assert score["high"] - score["low"] > 0.2
            assert 0 <= score["low"] <= score["value"] <= score["high"] <= 1
    (drop,) = drops_of(np.zeros((1, 5)), units).scores()
    assert -1 <= drop["low"] < 0 < drop["high"] <= 1
    assert share_interval(0.5, 10, 1.96)[0] < 0.5


def test_groups_widen_the_bands():
    rng = np.random.default_rng(0)
    values = np.repeat((rng.random(20) < 0.8).astype(float), 10)[None]
    (alone,) = shares(values, units_of(200, None))
    (grouped,) = shares(values, units_of(200, np.repeat(np.arange(20), 10).tolist()))
    assert grouped["groups"] == 20
    assert grouped["high"] - grouped["low"] > 2 * (alone["high"] - alone["low"])


def flipped(n: int, k: int, name: str = "hflip") -> Measured:
    """A change by which k of n correct predictions become wrong."""
    (change,) = catalogue(name)
    same = np.ones((len(change.severities), n))
    same[:, :k] = 0
    return Measured(change, same, same, np.ones_like(same), same[:1], 0.5)


def test_few_images_cannot_tell_and_it_is_said_how_many_could():
    verdict = judge(flipped(20, 0), units_of(20, None), MARGIN)
    assert verdict.status == "cannot tell"
    assert verdict.needed and 50 < verdict.needed < 500
    assert f"{verdict.needed:,}" in verdict.why
    enough = judge(flipped(verdict.needed, 0), units_of(verdict.needed, None), MARGIN)
    assert enough.status == "ok"
    assert judge(flipped(500, 100), units_of(500, None), MARGIN).status == "broken"
    assert judge(flipped(1, 0), units_of(1, None), MARGIN).status == "cannot tell"


def test_contracts():
    units = units_of(500, None)
    broken = judge_contract([Entry("hflip")], {"hflip": flipped(500, 50)}, units)
    holds = judge_contract([Entry("hflip")], {"hflip": flipped(500, 0)}, units)
    assert (broken.status, holds.status) == ("broken", "holds")
    assert "a drop of" in holds.entries[0].power
    changes = judge_contract([Entry("hflip", forbidden=True)], {"hflip": flipped(500, 50)}, units)
    stays = judge_contract([Entry("hflip", forbidden=True)], {"hflip": flipped(500, 0)}, units)
    assert (changes.status, stays.status) == ("holds", "broken")
    few = judge_contract([Entry("hflip", forbidden=True)], {"hflip": flipped(50, 0)}, units_of(50, None))
    assert few.status == "cannot tell" and not few.broken and "cannot show" in few.entries[0].power


def test_false_alarms_and_power_of_a_contract():
    rng = np.random.default_rng(3)
    units = units_of(500, None)
    entries = [Entry("hflip"), Entry("vflip")]
    alarms = seen = 0
    for _ in range(100):
        k = rng.binomial(500, 0.02, 2)
        changes = {e.change: flipped(500, int(i), e.change) for e, i in zip(entries, k, strict=True)}
        alarms += judge_contract(entries, changes, units).broken
        more = changes | {"hflip": flipped(500, rng.binomial(500, 0.06))}
        seen += judge_contract(entries, more, units).broken
    assert alarms <= 9
    assert seen >= 90
    detected = detectable(500, 0.02, 0.025)
    assert detected is not None and 0.03 < detected < 0.06


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == [True, False, False]
    assert holm([0.01, 0.02, 0.03]) == [True, True, True]
    assert holm([0.06]) == [False]


def test_false_discoveries_are_controlled():
    outliers = [Outlier("hflip", 1.0, "", "a", "", 10, 1, 0.0, p) for p in (0.001, 0.02, 0.04, 0.9)]
    assert [o.p for o in false_discoveries(outliers)] == [0.001, 0.02]


def test_a_contract_with_swaps(tmp_path):
    entry = Entry("hflip", swaps=(("left", "right"),))
    images = images_for(tmp_path, predictor_of(side_of), n=200)
    result = measured_on(images, "run", catalogue("hflip"), [entry])
    assert result["hflip"].same[0]["value"] == 1
    assert result.contract.status == "holds"

    symmetric = predictor_of(
        lambda x: np.stack([x[:, 3, :, 0].astype(float).mean(1) % 7, x[:, 4, :, 0].mean(1) % 7], 1)
    )
    result = measured_on(
        replace(images, predictor=symmetric, labels=symmetric_labels(images, symmetric)),
        "run",
        catalogue("hflip"),
        [entry],
    )
    assert result["hflip"].verdict.status == "over-invariant"
    assert result.contract.broken


def symmetric_labels(images, predictor):
    arrays = np.stack([np.asarray(Image.open(path))[..., None] for path in images.paths])
    return predictor.logits(arrays).argmax(1)


@pytest.mark.parametrize(
    "text,said",
    [
        ("[vflop]\nrequired = true\n", "did you mean 'vflip'"),
        ("[vflip]\nrequird = true\n", "did you mean 'required'"),
        ("[vflip]\nrequired = 1\n", "true or false"),
        ("[vflip]\nrequired = true\nforbidden = true\n", "keep one"),
        ("[vflip]\nmargin = 3\n", "demands nothing"),
        ("[shift]\nup_to = -1\n", "above 0"),
        ('[hflip]\nswaps = ["left,rihgt"]\n', "did you mean 'right'"),
        ('[hflip]\nswaps = ["left"]\n', "two classes"),
        ("vflip = true\n", "write a table"),
        ("[vflip\n", "not TOML"),
        ("", "demands nothing"),
    ],
)
def test_contracts_that_are_refused(tmp_path, text, said):
    path = tmp_path / "invariances.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read_contract(path, [change.name for change in catalogue()], CLASSES)


def test_changes_that_images_do_not_have():
    with pytest.raises(UserError, match="signals have no vflip"):
        check_name("vflip", 1)
    with pytest.raises(UserError, match="did you mean 'rotate'"):
        check_name("rotat", 2)


def test_masks_of_an_equivariant_network_agree(tmp_path):
    """A network that looks at one pixel is equivariant to all that moves pixels, and not to brightness."""
    rng = np.random.default_rng(0)
    stored = [rng.integers(0, 255, (20, 24, 1), np.uint8) for _ in range(12)]
    truth = [(image[..., 0] > 127).astype(np.uint8) for image in stored]

    def labels(image):
        return (image[..., 0] > 127).astype(np.uint8)

    predictor = predictor_of(None, ["background", "object"], masks=True, labels=labels)
    images = Images(
        predictor,
        "planted",
        [str(i) for i in range(12)],
        pixels=stored,
        masks=truth,
        rows=np.arange(12),
        sizes=((20, 24),) * 12,
        spacings=((),) * 12,
        errors={},
    )
    measurement = measure_masks(images, catalogue("hflip", "vflip", "rot90", "shift", "brightness"))
    by_name = {m.change.name: m for m in measurement.changes}
    for name in ("hflip", "vflip", "rot90", "shift"):
        assert (by_name[name].same == 1).all(), name
        assert (by_name[name].overlap == 1).all(), name
        assert (by_name[name].right == by_name[name].before).all(), name
    assert by_name["brightness"].same.min() < 0.99
    result = result_of(images, "run", measurement)
    json.dumps(result.as_dict())


def test_masks_exchange_classes_where_they_are_said_to(tmp_path):
    entry = Entry("hflip", swaps=(("left", "right"),))
    image = np.zeros((8, 8, 1), np.uint8)
    truth = np.ones((8, 8), np.uint8)
    truth[:, 4:] = 2

    def labels(array):
        return truth

    classes = ["background", *CLASSES]
    predictor = predictor_of(None, classes, masks=True, labels=labels)
    images = Images(
        predictor,
        "planted",
        ["a", "b"],
        pixels=[image] * 2,
        masks=[truth] * 2,
        rows=np.arange(2),
        sizes=((8, 8),) * 2,
        spacings=((),) * 2,
        errors={},
    )
    result = measured_on(images, "run", catalogue("hflip"), [entry])
    assert result["hflip"].same[0]["value"] == 1


def test_unlabelled_images_give_consistency_only(tmp_path):
    images = replace(images_for(tmp_path, predictor_of(side_of), n=200), labels=None)
    result = measured_on(images, "run", catalogue("hflip", "vflip"))
    assert result["vflip"].right is None
    assert result["vflip"].verdict.status == "ok"
    assert result["hflip"].verdict.status == "broken"
    assert "predictions change in" in result["hflip"].verdict.why
    assert result.as_dict()["transforms"][0]["accuracy"] is None


def test_one_class_only(tmp_path):
    images = images_for(tmp_path, predictor_of(side_of))
    images = images.only(np.flatnonzero(images.labels == 0))
    result = measured_on(images, "run", catalogue("hflip"))
    assert result["hflip"].verdict.status == "cannot tell"
    assert "the same for every image" in result.flag


def test_the_command(cli, trained, tmp_path):
    run, data = trained
    result = cli("invariance", run.folder, data, "--most", 30, "--changes", "vflip,rot90", "--json")
    assert result.code == 0, result
    document = json.loads(result.out)
    assert [t["transform"] for t in document["transforms"]] == ["vflip", "rot90"]
    contract = tmp_path / "c.toml"
    contract.write_text("[rot90]\nrequired = true\n")
    assert cli("invariance", run.folder, data, "--most", 30, "--contract", contract).code == 1
    contract.write_text("[rot90]\nforbidden = true\n")
    assert cli("invariance", run.folder, data, "--most", 30, "--contract", contract).code == 0
    contract.write_text("[rot91]\nforbidden = true\n")
    assert "did you mean 'rot90'" in one_sentence(cli("invariance", run.folder, "--contract", contract))
    assert "did you mean" in one_sentence(cli("invariance", run.folder, "--changes", "vflop"))


def test_the_function_is_not_hidden_by_its_package(trained):
    run, data = trained
    result = eyespot.invariance(run, data, changes=["vflip"], most=20)
    assert result.n == 20
    assert "chosen at random" in str(result)
    assert callable(eyespot.invariance)


def test_a_folder_of_images_without_classes(trained, tmp_path):
    run, data = trained
    folder = tmp_path / "new"
    folder.mkdir()
    for path in sorted((data / "rows").iterdir())[:5]:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "broken.png").write_bytes(b"none")
    result = eyespot.invariance(run, folder, changes=["vflip"])
    assert result.accuracy is None
    assert "no labels" in str(result)
    assert list(result.errors) == [str(folder / "broken.png")]
    for path in folder.glob("0*.png"):
        Image.fromarray(np.zeros((9, 9, 4), np.uint16)[..., 0]).save(path)
    with pytest.raises(UserError, match="none of the 6 images can be used"):
        eyespot.invariance(run, folder, changes=["vflip"])


def test_measurement_without_labels_has_no_constant():
    measurement = Measurement([], None, False, None)
    assert measurement.constant is None


def test_teeth_are_seen_where_strides_alias(tmp_path):
    """The circular network of stride 4 gives the same for shifts by 4, and another prediction between."""
    images = images_for(tmp_path, predictor_of(circular_network(2)), n=80)
    images.predictor.preprocessing = replace(images.predictor.preprocessing, size=SIDE)
    rng = np.random.default_rng(0)
    same = (rng.random((16, 400)) < 0.8).astype(float)
    same[3::4] = rng.random((4, 400)) < 0.94
    same[7::8] = 1
    aliased = teeth(same, units_of(400, None))
    assert aliased.period == 4
    assert aliased.gain["low"] > 0.1
    flat = (rng.random((12, 400)) < 0.9).astype(float)
    assert teeth(flat, units_of(400, None)).period == 0
    sawtooth = sawtooth_of(images)
    assert sawtooth is not None
    assert all(score["value"] == 1 for score in sawtooth.consistency[1::2])


FACTS = Facts("shift(0.06)", "digits", units_of(400, None))


def assessed(status: str, name: str = "rotate", floor: float = 1.0, inner: tuple[float, float] | None = None):
    """A change that 100 of 400 predictions do not survive."""
    measured = flipped(400, 100, name)
    n = len(measured.same)
    rows = None
    if inner is not None:
        rows = np.stack([np.arange(400) < 400 * share for share in inner]).astype(float)
    back = np.tile(np.arange(400) < 400 * floor, (n, 1)).astype(float)
    measurement = Measurement([replace(measured, back=back, inner=rows)], 0.1, False, measured.before[0])
    (result,) = assess(measurement, units_of(400, None))
    return replace(result, verdict=replace(result.verdict, status=status))


def test_each_cause_has_its_evidence():
    assert causes_of([assessed("ok")], FACTS) == []
    (augmentation,) = causes_of([assessed("broken")], FACTS)
    assert augmentation.cause == "augmentation"
    assert augmentation.command == "eyespot train digits --augment 'shift(0.06)|rotate(15)'"
    (trained,) = causes_of([assessed("broken")], replace(FACTS, augment="rotate(degrees=15)"))
    assert trained.cause == "unknown"
    (resampled,) = causes_of([assessed("broken", floor=0.8)], FACTS)
    assert resampled.cause == "resampling"
    (border,) = causes_of([assessed("broken", inner=(0.98, 0.75))], FACTS)
    assert border.cause == "border"
    outlier = Outlier("rotate", 15.0, "15 degrees", "6", "9", 40, 39, 0.1, 1e-6)
    (label,) = causes_of([assessed("broken")], replace(FACTS, outliers=[outlier]))
    assert label.cause == "label" and "6 is predicted as 9 in 39 of 40" in label.evidence
    lost = [outlier, replace(outlier, name="8")]
    (collapse,) = causes_of([assessed("broken")], replace(FACTS, outliers=lost))
    assert collapse.cause == "augmentation"
    aliased = Sawtooth([], 4, {"value": 0.2, "low": 0.15, "high": 0.25, "n": 400})
    (aliasing,) = causes_of([assessed("weak", "shift")], replace(FACTS, sawtooth=aliased))
    assert aliasing.cause == "aliasing"
    (over,) = causes_of([assessed("over-invariant")], replace(FACTS, augment="rotate(30)"))
    assert over.cause == "over-invariance" and "train without rotate" in over.action


def test_every_proposed_transform_exists():
    for name, transforms in AUGMENT.items():
        for transform in transforms:
            severity = {"rotate": 15.0}.get(name, 0.1)
            parse(transform + SETTINGS.get(name, "").format(severity))


def test_the_page_stands_alone(tmp_path):
    images = images_for(tmp_path, predictor_of(side_of), n=60)
    result = measured_on(images, "run", catalogue("hflip", "shift"))
    page = write_result(result, tmp_path / "out")
    text = page.read_text()
    assert {path.name for path in page.parent.iterdir()} == {"index.html", "invariance.json", "curves.png"}
    assert "http://" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "")
    assert text.count("<svg") == 3
    assert "predicted left" in text and "changed: right" in text
    with pytest.raises(UserError, match="--force"):
        refuse_taken(tmp_path / "out", False)


@pytest.mark.parametrize(("n", "k", "forbidden"), [(20, 0, False), (359, 8, False), (20, 0, True)])
def test_what_the_images_do_not_show_is_not_called_held(n, k, forbidden):
    """A drop of 2.2 points is not within 2, nor is a share of 0% more than 2%: neither is shown by so few images."""
    judgement = judge_contract(
        [Entry("hflip", forbidden=forbidden)], {"hflip": flipped(n, k)}, units_of(n, None)
    )
    assert judgement.status == judgement.entries[0].status == "cannot tell" and not judgement.broken
    assert judgement.lines()[0].startswith("contract not broken, but not shown to hold: 1 of 1 entry")
    assert ": holds" not in "\n".join(judgement.lines())


def test_limits_of_shifts_are_whole_samples():
    (shift,) = [c for c in Catalogue(2, 8, 16).changes if c.name == "shift"]
    assert with_severity(shift, Entry("shift", up_to=0.3)).severities == shift.severities == (0.125, 0.25)
    assert with_severity(shift, Entry("shift", up_to=0.4)).severities == (0.125, 0.25, 0.375)
    with pytest.raises(UserError, match="less than a sample of these images"):
        with_severity(shift, Entry("shift", up_to=0.06))
