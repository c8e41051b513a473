"""`eyespot explain` and `eyespot.explain`: targets, layers, files, what is refused, and what is said of each map."""

import csv
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import eyespot
from conftest import one_sentence
from eyespot.anatomy.taps import taps
from eyespot.errors import UserError
from eyespot.evaluation.classes import ClassDetails
from eyespot.evaluation.evaluation import Evaluation
from eyespot.explanation.explain import Explainer, Request
from eyespot.explanation.gallery import class_maps, maps_beside, truth_sentence
from eyespot.explanation.methods import METHODS
from eyespot.explanation.page import content
from eyespot.explanation.places import Place
from eyespot.explanation.subject import read_subject
from eyespot.explanation.top import collect, labels_of, layers_to_show, stages_of
from eyespot.explanation.units import maximise
from eyespot.models import create, unregister
from eyespot.prediction.load_torch import torch_predictor
from eyespot.prediction.model_file import make_predictor
from eyespot.weights.card import Card, write_model

SIDE = 16
CLASSES = ["rows", "columns", "dots"]
READING = dict(
    fit="pad", channels=3, accepts=[3], depth="uint8", dim=2, size=SIDE, side=SIDE, stored=["uint8"]
)
MASKS = dict(
    values=["0", "255"], classes=["background", "object"], void=None, objects=False, multilabel=False
)
RELU = {"depths": (1, 1), "width": 8}


def class_card(**changes) -> Card:
    reading = READING | dict(mean=[120.0] * 3, std=[60.0] * 3, tta_flip=False, tta_shift=False) | changes
    return Card("resnet20", RELU, CLASSES, reading)


def network_of(card: Card):
    torch.manual_seed(0)
    preprocessing = card.preprocessing
    return create(
        card.preset,
        classes=len(card.classes),
        channels=preprocessing["channels"],
        dim=preprocessing["dim"],
        **card.changes,
    ).eval()


@pytest.fixture(scope="module")
def predictor():
    card = class_card()
    return torch_predictor(card, network_of(card))


@pytest.fixture(scope="module")
def masks():
    reading = READING | dict(
        fit="own",
        size=1,
        side=32,
        channels=1,
        accepts=[1],
        mean=[100.0],
        std=[50.0],
        mapping=MASKS | {"harden": False},
    )
    card = Card("unet_bn", {"width": 4, "levels": 3}, MASKS["classes"], reading, task="segmentation")
    return torch_predictor(card, network_of(card))


@pytest.fixture(scope="module")
def run(tmp_path_factory, predictor):
    """A run folder with its model file and its split, of images that are there."""
    folder = tmp_path_factory.mktemp("explain") / "run"
    rng = np.random.default_rng(0)
    rows = []
    for k in range(24):
        path = folder.parent / "images" / CLASSES[k % 3] / f"{k:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 26, 3), np.uint8)).save(path)
        rows.append([str(path), CLASSES[k % 3], "val" if k % 4 else "train", "00"])
    folder.mkdir()
    write_model(folder / "model.safetensors", predictor.network.state_dict(), predictor.card)
    with (folder / "split.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "split", "content"], *rows])
    return folder, [row[0] for row in rows]


def image(seed: int = 0, shape: tuple[int, ...] = (20, 26, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_a_map_at_the_files_own_pixels(predictor, method):
    made = eyespot.explain(predictor, image(), method=method)
    assert made.map.shape == (20, 26) and np.isfinite(made.map).all() and made.map.std() > 0
    assert made.label in ("exact", "bounded", "estimate") and made.why
    assert set(made.trust.baselines) == {"random", "centre", "edges"}
    assert "20 x 26" in made.notes[0] and "as 12 x 16" in made.notes[0]


def test_several_images_are_a_list_and_show_themselves(predictor):
    made = eyespot.explain(predictor, [image(0), image(1)], method="gradient", check=False)
    assert len(made) == 2 and made[0].trust is None
    html = made._repr_html_()
    assert html.count("<img") == 6 and "One scale for these 2 maps" in html
    assert "<img" in made[0]._repr_html_()


def test_the_map_of_a_difference_is_the_difference_of_the_maps(predictor):
    of = [
        eyespot.explain(predictor, image(), method="gradient", target=name, check=False).values
        for name in ("rows", "dots")
    ]
    made = eyespot.explain(predictor, image(), method="gradient", target="rows", against="dots", check=False)
    assert np.allclose(made.values, of[0] - of[1], atol=1e-5)
    assert made.target == "rows and not dots"


def test_the_gradient_is_of_the_number_that_is_predicted(predictor):
    """Against differences of the engine's own logits, at the size of the file that the network gets."""
    array = image(3, (SIDE, SIDE, 3)).astype(np.float32)
    made = eyespot.explain(predictor, array.astype(np.uint8), method="gradient", target="dots", check=False)
    x = predictor.engine.normalised(array[None])
    moved = x.clone()
    moved[0, 1, 4, 7] += 0.01
    with torch.no_grad():
        both = predictor.engine.differentiable(torch.cat([x, moved]))[:, 2]
        assert np.allclose(both[0].item(), predictor.logits(array[None])[0, 2], atol=1e-4)
    assert (both[1] - both[0]).item() / 0.01 == pytest.approx(made.values[1, 4, 7], rel=0.05, abs=1e-3)


def test_views_are_moved_and_mirrored_back():
    """With mirrored and moved views, the map of a mirrored image is the mirrored map."""
    card = class_card(tta_flip=True)
    predictor = torch_predictor(card, network_of(card))
    assert len(predictor.engine.views) == 2
    array = image(4, (SIDE, SIDE, 3))
    for method in ("gradient", "grad-cam"):
        made = eyespot.explain(predictor, array, method=method, target="rows", check=False)
        mirrored = eyespot.explain(
            predictor, array[:, ::-1].copy(), method=method, target="rows", check=False
        )
        assert np.allclose(made.map, mirrored.map[:, ::-1], atol=1e-5), method
        assert "2 mirrored or moved views" in " ".join(made.notes)


def test_networks_for_masks_are_explained_where_they_predict(masks):
    array = image(5, (32, 40, 1))
    made = eyespot.explain(masks, array, target="object", method="gradient", region="8:16,10:12")
    assert made.map.shape == (32, 40) and "8:16, 10:12" in made.target
    far = np.ones((32, 40), bool)
    far[:, :34] = False
    assert np.abs(made.map[far]).sum() < np.abs(made.map[~far]).sum()
    cam = eyespot.explain(masks, array, target="object", check=False)
    assert cam.layer == "bottom" and cam.map.shape == (32, 40)


@pytest.mark.parametrize("region", ["8:16", "40:50,0:4", "0:33,0:4", "4:2,0:4", "here"])
def test_a_region_that_is_none_is_refused(masks, region):
    with pytest.raises(UserError, match="START:END for each"):
        eyespot.explain(masks, image(5, (32, 40, 1)), target="object", region=region)


def test_a_region_of_a_class_is_refused(predictor):
    with pytest.raises(UserError, match="a region is for runs that predict masks"):
        eyespot.explain(predictor, image(), region="0:4,0:4")


def test_signals_and_volumes():
    for dim, shape in ((1, (64, 3)), (3, (16, 16, 16, 3))):
        card = class_card(dim=dim, accepts=[3], size=shape[0], side=shape[0])
        predictor = torch_predictor(card, network_of(card))
        for method in ("grad-cam", "gradient", "occlusion"):
            made = eyespot.explain(predictor, image(6, shape), method=method, check=False)
            assert made.map.shape == shape[:-1] and made.map.std() > 0
            assert "<img" in made._repr_html_()


class LogitsOnly:
    """An engine without a torch network, as that of an exported file."""

    device = "cpu"
    of_positions = False

    def __init__(self, engine):
        self.engine = engine

    def logits(self, batch):
        return self.engine.logits(batch)


def test_without_gradients_occlusion_and_rise_give_the_same_map(predictor):
    blind = make_predictor(predictor.card, LogitsOnly(predictor.engine))
    for method in ("occlusion", "rise"):
        made = eyespot.explain(blind, image(), method=method, check=False)
        assert np.allclose(
            made.map, eyespot.explain(predictor, image(), method=method, check=False).map, atol=1e-3
        )
    with pytest.raises(UserError, match=r"grad-cam needs gradients.*occlusion or rise"):
        eyespot.explain(blind, image())


def test_integrated_gradients_say_what_they_start_from(predictor):
    mean = eyespot.explain(predictor, image(), method="integrated-gradients", target="dots", check=False)
    black = eyespot.explain(
        predictor, image(), method="integrated-gradients", target="dots", check=False, baseline="black"
    )
    assert "the mean of the training images" in mean.why and "black" in black.why
    assert not np.allclose(mean.map, black.map)
    logits = predictor.logits(np.stack([np.zeros((SIDE, SIDE, 3), np.uint8)]))[0, 2]
    whole = Explainer(predictor, Request(method="integrated-gradients", target="dots", baseline="black"))
    assert black.values.sum() == pytest.approx(
        predictor.logits(read(whole, image())[None])[0, 2] - logits, rel=2e-3
    )


def read(explainer: Explainer, array: object) -> np.ndarray:
    return read_subject(array, explainer.preprocessing).array


@pytest.mark.parametrize(
    "arguments,words",
    [
        (dict(method="gradcam"), "did you mean 'grad-cam'"),
        (dict(target="row"), "did you mean 'rows'"),
        (dict(target="rows", against="rows"), "cannot be explained against itself"),
        (dict(layer="layer3"), "the nearest names are layer"),
        (dict(layer="fc"), "'fc' has no places in the image"),
        (dict(layer="layer1", method="gradient"), "looks at the image and not at a layer"),
        (dict(baseline="white"), "known: black, blur, mean"),
        (dict(chek=False), "did you mean 'check'"),
        (dict(patch=4), "patch is 4 with grad-cam: it is the side of occlusion's patch"),
        (dict(patch=0, method="occlusion"), "patch is 0 with occlusion"),
    ],
)
def test_what_does_not_exist_is_refused_with_the_nearest(predictor, arguments, words):
    with pytest.raises(UserError, match=words):
        eyespot.explain(predictor, image(), **arguments)


def test_another_number_of_channels_is_refused_with_the_reason(predictor):
    with pytest.raises(UserError, match="4 channels, and the images trained on have 3"):
        eyespot.explain(predictor, image(0, (20, 20, 4)))


def test_a_map_of_edges_says_so_on_its_face(predictor):
    """The gradient of a network that has learned nothing: some baseline is as good."""
    made = eyespot.explain(predictor, [image(k) for k in range(6)], method="gradient")
    warned = [m for m in made if m.warnings]
    assert warned and "does no better than" in warned[0].warnings[0]
    assert warned[0].warnings[0] in str(warned[0])
    assert any(m.warnings[0][1:] in made._repr_html_() for m in warned)


def test_pictures_of_one_page_share_a_scale_that_is_named(predictor):
    made = eyespot.explain(predictor, [image(0), image(1)], method="gradient", check=False)
    shown = content(made)
    together = np.abs(np.stack([m.map for m in made]))
    assert float(shown["limit"]) == pytest.approx(np.quantile(together, 0.995), rel=0.01)


def test_the_command_writes_a_page_pictures_and_arrays(cli, run, tmp_path):
    folder, paths = run
    out = tmp_path / "x"
    result = cli("explain", folder, paths[0], paths[1], "-o", out, "--method", "occlusion", "-q")
    assert result.code == 0, result.err
    page = (out / "index.html").read_text()
    assert "http" not in page.replace("http-equiv", "") and 'alt=""' not in page and page.count("<img") == 6
    assert sorted(p.name for p in out.glob("*.npy")) == ["00_occlusion.npy", "01_occlusion.npy"]
    assert np.load(out / "00_occlusion.npy").shape == (20, 26)
    with Image.open(out / "01_occlusion.png") as picture:
        assert picture.width > 200
    again = cli("explain", folder, paths[0], "-o", out, "--method", "occlusion", "-q")
    assert "--force" in one_sentence(again)
    assert cli("explain", folder, paths[0], "-o", out, "--method", "occlusion", "-q", "--force").code == 0


def test_the_command_names_files_that_cannot_be_read_and_explains_the_others(cli, run, tmp_path):
    folder, paths = run
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"\x89PNG and no more")
    result = cli(
        "explain", folder, damaged, paths[0], "-o", tmp_path / "x", "--method", "gradient", "--json", "-q"
    )
    assert result.code == 1 and "damaged.png" in result.err
    assert [m["path"] for m in json.loads(result.out)["maps"]] == [paths[0]]
    alone = cli("explain", folder, damaged, "-o", tmp_path / "y")
    assert "damaged.png cannot be explained" in one_sentence(alone) and not (tmp_path / "y").exists()


@pytest.mark.parametrize(
    "options,words",
    [
        (["--layer", "nosuch"], "no layer 'nosuch'"),
        (["--class", "cats"], "does not know the class 'cats'"),
        (["--layers"], "--layers and no images"),
    ],
)
def test_the_command_refuses_in_one_sentence(cli, run, tmp_path, options, words):
    folder, paths = run
    result = cli("explain", folder, paths[0], "-o", tmp_path / "x", *options)
    assert words in one_sentence(result) and not (tmp_path / "x").exists()


def test_options_of_maps_are_refused_with_layers(cli, run):
    assert "only --layer goes with it" in one_sentence(cli("explain", run[0], "--layers", "--class", "rows"))


def test_without_images_the_command_asks_for_some(cli, run):
    assert "give images to explain, or --layers" in one_sentence(cli("explain", run[0]))


def test_equal_names_are_told_apart(cli, run, tmp_path):
    folder, paths = run
    copies = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"]
    for copy in copies:
        copy.parent.mkdir()
        copy.write_bytes(Path(paths[0]).read_bytes())
    out = tmp_path / "out"
    assert cli("explain", folder, *copies, "-o", out, "--method", "gradient", "--no-check", "-q").code == 0
    assert len(list(out.glob("*.npy"))) == 2


def test_layer_cards(cli, run, tmp_path):
    folder, paths = run
    out = tmp_path / "layers"
    result = cli("explain", folder, "--layers", "-o", out, "-q")
    assert result.code == 0, result.err
    assert "layer1: 8 channels on 16 x 16 places; sees 7 samples" in result.out
    page = (out / "index.html").read_text()
    assert "Stage 2: layer2" in page and 'alt=""' not in page and "deconvnet" in page
    top = json.loads((out / "top.json").read_text())
    assert len(top["layer2"]) == 16 and {t["path"] for t in top["layer2"][0]} <= set(paths)
    assert all(a["value"] >= b["value"] for c in top["layer2"] for a, b in pairwise(c))


def test_the_top_nine_are_the_largest_of_all_images(run, predictor):
    _, paths = run
    stage = collect(predictor, stages_of(layers_to_show(predictor)), paths)[-1]
    arrays = np.stack([read(Explainer(predictor, Request()), p) for p in paths])
    with torch.no_grad(), taps(predictor.network, [stage.place.name]) as record:
        predictor.network(predictor.engine.normalised(arrays))
    maxima = record[stage.place.name].flatten(2).amax(2)
    for channel in (0, 5):
        order = maxima[:, channel].argsort(descending=True)[:9].tolist()
        assert [t.path for t in stage.top[channel]] == [paths[i] for i in order]
        first = stage.top[channel][0]
        assert record[stage.place.name][(order[0], channel, *first.unit)].item() == pytest.approx(
            first.value, rel=1e-4
        )


def test_layer_cards_without_the_runs_images_are_refused(cli, run, tmp_path):
    folder, _ = run
    lonely = tmp_path / "model.safetensors"
    lonely.write_bytes((folder / "model.safetensors").read_bytes())
    assert "split.csv" in one_sentence(cli("explain", lonely, "--layers", "-o", tmp_path / "x"))


def test_an_image_that_excites_a_unit_is_made_or_said_not_to_be():
    """The second channel is zero at the start, and so is its gradient: the noise at the start would be shown."""
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.ReLU())
    with torch.no_grad():
        network[0].weight.copy_(torch.ones(2, 1, 3, 3))
        network[0].bias.copy_(torch.tensor([1.0, -100.0]))
    network.channels = 1
    place = Place("1", "ReLU", 2, (16, 16))
    made, better = maximise(network, place, [0, 1], (16, 16), steps=8)
    assert made.shape == (2, 1, 16, 16) and better == [True, False]


def test_cards_name_the_classes_of_the_split_and_none_for_masks(run, tmp_path):
    folder, paths = run
    assert labels_of(folder)[paths[1]] == "columns"
    (tmp_path / "split.csv").write_text("path,mask,split\na.png,b.png,train\n")
    assert labels_of(tmp_path) == {}


class InCorner(torch.nn.Module):
    """Class 1 where the top left corner is brighter than the mean and a little more, whatever else there is; else class 0."""

    def __init__(self, classes: int):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 1, bias=False)
        self.relu = torch.nn.ReLU()
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[..., None, None])

    def forward(self, x):
        x = self.relu(self.conv(x)).sum(1)
        return torch.stack([x.mean((1, 2)) + 1, x[:, :4, :4].mean((1, 2))], 1)


def test_a_class_that_is_told_by_its_corner_is_named():
    eyespot.register("in_corner", InCorner)
    try:
        reading = READING | dict(mean=[0.0] * 3, std=[50.0] * 3)
        predictor = torch_predictor(
            Card("in_corner", {}, ["plain", "tagged"], reading), create("in_corner", classes=2)
        )
    finally:
        unregister("in_corner")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (20, SIDE, SIDE, 3)).astype(np.uint8)
    pixels[10:, :4, :4] = 255
    labels = np.repeat([0, 1], 10)
    probabilities = np.eye(2)[labels]
    paths = [f"{k}.png" for k in range(20)]
    details = ClassDetails(paths, pixels, labels, probabilities, ["plain", "tagged"])
    evaluation = Evaluation({}, ["plain", "tagged"], details, {})
    plain, tagged = class_maps(predictor, evaluation)
    assert plain.suspect == "" and "their top left (6% of the image)" in tagged.suspect
    maps = maps_beside(predictor, evaluation)
    assert set(maps) <= set(paths) and all(m["src"].startswith("data:image/png") for m in maps.values())


def test_a_report_is_written_without_maps_where_none_can_be_made(predictor, monkeypatch, capsys):
    def failing(error):
        def fails(*arguments):
            raise error

        return fails

    details = ClassDetails(
        ["a.png"], image(0, (1, SIDE, SIDE, 3)), np.array([0]), np.array([[0.2, 0.5, 0.3]]), CLASSES
    )
    evaluation = Evaluation({}, CLASSES, details, {})
    assert set(maps_beside(predictor, evaluation)) == {"a.png"}
    for error, said in (
        (
            RuntimeError("not enough memory"),
            "the report has no maps: the memory of this machine is too small",
        ),
        (KeyError("x"), "this is a bug in eyespot, and not in your data (KeyError"),
    ):
        monkeypatch.setattr("eyespot.explanation.gallery.explained", failing(error))
        assert maps_beside(predictor, evaluation) == {}
        assert said in capsys.readouterr().err


def test_maps_of_one_backward_pass_are_compared_with_random_parameters(predictor):
    before = [p.clone() for p in predictor.network.parameters()]
    made = eyespot.explain(predictor, image(), method="gradient")
    assert made.trust is not None and abs(made.trust.randomised) < 0.9
    assert all(torch.equal(a, b) for a, b in zip(before, predictor.network.parameters(), strict=True))
    assert 0 < made.trust.sensitivity < 2
    assert f"changes this map by up to {made.trust.sensitivity:.0%} of its size" in made._repr_html_()
    others = eyespot.explain(predictor, image(), method="occlusion").trust
    assert others.randomised is None and others.sensitivity is None and others.stability == ""


def test_maps_of_masks_say_how_much_lies_where_the_mask_has_the_class(masks):
    array = image(5, (32, 40, 1))
    truth = np.zeros((32, 40), np.uint8)
    truth[:, :10] = 1
    details = SimpleNamespace(cases=[SimpleNamespace(path="a.png", truth=truth)])
    made = replace(
        eyespot.explain(masks, array, target="object", check=False),
        path="a.png",
        map=np.where(truth, 1, np.float32(0.5)),
    )
    assert made.position == 1
    assert truth_sentence(made, details, masks) == (
        "The mask has object in 25% of the image, and 40% of all that the map counts for object lies there. "
        "If as many places as the mask has are taken, those with the highest values, 100% of them lie there"
    )
    assert truth_sentence(replace(made, path="b.png"), details, masks) == ""
    assert (
        truth_sentence(replace(made, map=-made.map), details, masks)
        == "nothing of this map speaks for object"
    )
    elsewhere = truth_sentence(replace(made, map=made.map[::-1, ::-1]), details, masks)
    assert "lies there, less than by chance. If" in elsewhere and elsewhere.endswith(" 0% of them lie there")
    flat = replace(made, map=np.ones_like(made.map))
    assert truth_sentence(flat, details, masks).endswith("so it says nothing about places")
