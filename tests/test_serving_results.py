"""What `eyespot serve` sends: masks as files, objects, pictures for the page, explanations and changed images."""

import base64
import gzip
import io

import numpy as np
import pytest
import tifffile
from PIL import Image
from starlette.testclient import TestClient

import eyespot
from eyespot.prediction.load import load
from eyespot.serving.app import create_app
from eyespot.serving.limits import Limits
from eyespot.serving.service import Service
from serving_models import CLASSES, class_card, mask_card, png, predictor_of_card, write_run

LIMITS = Limits(megabytes=8, megapixels=1, images=8, seconds=60, requests=4)
LETTERS = ["background", "a", "b"]


def serving(predictor):
    return TestClient(create_app(Service(predictor, LIMITS)), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def classes():
    with serving(predictor_of_card(class_card())) as client:
        yield client


@pytest.fixture(scope="module")
def masks():
    with serving(predictor_of_card(mask_card())) as client:
        yield client


def post(client, content: bytes, path: str = "/v1/predict", **query):
    return client.post(path, files=[("image", ("x", content))], params=query)


def picture(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


GREY = png(0, (40, 30))


def test_a_mask_is_the_file_that_predict_writes(masks, tmp_path):
    run = write_run(tmp_path / "run", mask_card())
    (tmp_path / "in.png").write_bytes(GREY)
    load(run).write([tmp_path / "in.png"], request_to(tmp_path / "out"))
    want = np.asarray(Image.open(tmp_path / "out" / "in.png"))
    assert set(np.unique(want)) == {0, 100}
    for query in ({"format": "png"}, {"mask": True}):
        response = post(masks, GREY, **query)
        assert response.status_code == 200, response.text
        content = response.content
        if "mask" in query:
            document = response.json()["predictions"][0]["mask"]
            assert (document["format"], document["encoding"]) == ("png", "base64")
            content = base64.b64decode(document["data"])
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), want)
    by_header = masks.post("/v1/predict", content=GREY, headers={"accept": "image/tiff, */*"})
    assert by_header.headers["content-type"] == "image/tiff"
    assert np.array_equal(tifffile.imread(io.BytesIO(by_header.content)), want)
    array = np.load(io.BytesIO(post(masks, GREY, format="npy").content))
    assert np.array_equal(array, want)


def test_the_mask_of_a_tiff_is_a_tiff(masks, tmp_path):
    run = write_run(tmp_path / "run", mask_card())
    (tmp_path / "in.tif").write_bytes(png(0, (40, 30), "TIFF"))
    load(run).write([tmp_path / "in.tif"], request_to(tmp_path / "out"))
    response = post(masks, (tmp_path / "in.tif").read_bytes(), mask=True)
    document = response.json()["predictions"][0]["mask"]
    assert document["format"] == "tiff"
    assert base64.b64decode(document["data"]) == (tmp_path / "out" / "in.tif").read_bytes()


def test_a_file_of_other_axes_has_the_same_reason_everywhere(masks, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    path = tmp_path / "in.nii"
    path.write_bytes(nibabel.Nifti1Image(np.zeros((6, 5, 4), np.uint8), np.eye(4)).to_bytes())
    written = load(write_run(tmp_path / "run", mask_card())).write([path], request_to(tmp_path / "out"))
    sent = post(masks, path.read_bytes()).json()["predictions"][0]["error"]
    assert written.unread == {str(path): sent}
    assert sent == "it is a volume, and the model was trained on images"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/png;q=0, application/json", "application/json"),
        ("application/json;q=0.2, image/png;q=0.7", "image/png"),
        ("*/*, image/png", "image/png"),
        ("image/avif, */*;q=x", "application/json"),
        ("", "application/json"),
    ],
)
def test_the_most_wanted_type_is_sent(masks, accept, kind):
    response = masks.post("/v1/predict", content=GREY, headers={"accept": accept})
    assert response.headers["content-type"] == kind


def test_classes_have_no_masks(classes):
    wildcard = classes.post("/v1/predict", content=png(0), headers={"accept": "image/png, */*"})
    assert wildcard.status_code == 200
    assert classes.post("/v1/predict", content=png(0), headers={"accept": "image/png"}).status_code == 406
    for query in ({"mask": True}, {"instances": False}):
        response = post(classes, png(0), **query)
        assert response.status_code == 400
        assert "masks" in response.json()["error"]["message"]


def request_to(folder):
    from eyespot.prediction.output import WriteRequest

    return WriteRequest("run", folder)


def test_formats_that_do_not_fit(masks, classes):
    assert post(masks, GREY, format="nifti").status_code == 406
    assert post(masks, GREY, format="gif").status_code == 406
    assert post(classes, png(0), format="png").status_code == 406
    two = masks.post("/v1/predict", files=[("image", GREY), ("image", GREY)], params={"format": "png"})
    assert two.status_code == 400 and "2 images" in two.json()["error"]["message"]
    assert post(masks, b"no", format="png").status_code == 422


def test_objects_have_numbers():
    predictor = predictor_of_card(mask_card(objects=True, values=["0", "255"]))
    want = predictor.output.ids(predictor(np.asarray(Image.open(io.BytesIO(GREY))))[0].labels)
    with serving(predictor) as client:
        got = np.asarray(Image.open(io.BytesIO(post(client, GREY, format="png").content)))
        assert want.max() > 1 and np.array_equal(got, want)
        plain = np.asarray(Image.open(io.BytesIO(post(client, GREY, format="png", instances=False).content)))
        assert np.array_equal(plain > 0, want > 0) and set(np.unique(plain)) == {0, 255}
    with serving(predictor_of_card(mask_card(values=["0", "1", "2"], classes=LETTERS))) as client:
        response = post(client, GREY, instances=True, mask=True)
        assert response.status_code == 422 and "--instances" in response.json()["error"]["message"]


def test_classes_that_overlap():
    predictor = predictor_of_card(mask_card(multilabel=True, values=["0", "0"], classes=["a", "b"]))
    want = predictor(np.asarray(Image.open(io.BytesIO(GREY))))[0].labels
    with serving(predictor) as client:
        assert post(client, GREY, format="png").status_code == 406
        got = tifffile.imread(io.BytesIO(post(client, GREY, format="tiff").content))
        assert np.array_equal(got, want * np.uint8(255))
        document = post(client, GREY, view=True).json()["predictions"][0]
        assert [c["pixels"] for c in document["classes"]] == want.reshape(2, -1).sum(1).tolist()
        assert picture(document["view"]["overlay"]).mode == "RGBA"


def test_a_volume_comes_back_where_it_lies():
    nibabel = pytest.importorskip("nibabel")
    reading = {"dim": 3, "oriented": True}
    card = mask_card()
    card.preprocessing.update(reading)
    predictor = predictor_of_card(card)
    affine = np.diag([-2.0, 3, 4, 1])
    values = np.random.default_rng(0).integers(0, 255, (12, 10, 9), np.uint8)
    content = nibabel.Nifti1Image(values, affine).to_bytes()
    with serving(predictor) as client:
        sent = post(client, gzip.compress(content), format="nifti")
        assert sent.status_code == 200, sent.text
        made = nibabel.Nifti1Image.from_bytes(gzip.decompress(sent.content))
        assert np.array_equal(made.affine, affine) and made.shape == (12, 10, 9)
        want = predictor(nibabel.Nifti1Image.from_bytes(content))[0].labels  # superior, anterior, right
        assert np.array_equal(np.asarray(made.dataobj)[::-1].transpose(2, 1, 0), want * np.uint8(100))
        stack = tifffile.imread(io.BytesIO(post(client, content, format="tiff").content))
        assert np.array_equal(stack, want * np.uint8(100))
        document = post(client, content, view=True).json()["predictions"][0]["view"]
        assert (
            document["slice"] == 4 and picture(document["picture"]).size == picture(document["overlay"]).size
        )


def test_signals():
    card = class_card(
        dim=1, channels=2, accepts=[2], mean=[0.0] * 2, std=[1.0] * 2, depth="float32", size=64, side=64
    )
    predictor = predictor_of_card(card)
    signal = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    buffer = io.BytesIO()
    np.save(buffer, signal)
    with serving(predictor) as client:
        got = post(client, buffer.getvalue(), view=True).json()["predictions"][0]
        assert got["probabilities"] == predictor(signal)[0].probabilities
        assert picture(got["view"]["picture"]).size == (640, 160)
        changes = [change["name"] for change in client.get("/v1/model").json()["changes"]]
        assert changes == ["reverse", "shift", "gain", "noise"]
        assert post(client, buffer.getvalue(), "/v1/transform", change="gain:-6").status_code == 200
        explained = post(client, buffer.getvalue(), "/v1/explain").json()["explanations"][0]["view"]
        alpha = np.asarray(picture(explained["overlay"]))[..., 3]
        assert picture(explained["picture"]).size == (640, 160)
        want = np.abs(eyespot.explain(predictor, signal, check=False).map)
        assert alpha[0, :: 640 // 64].argmax() == want.argmax() and (alpha == alpha[0]).all()


def test_pictures_are_those_of_the_file(classes, masks):
    content = png(1, (50, 70, 3))
    view = post(classes, content, view=True).json()["predictions"][0]["view"]
    assert view.keys() == {"picture"}
    assert np.array_equal(np.asarray(picture(view["picture"])), np.asarray(Image.open(io.BytesIO(content))))
    document = post(masks, GREY, view=True).json()["predictions"][0]
    overlay = np.asarray(picture(document["view"]["overlay"]))
    assert (overlay[..., 3] > 0).sum() == document["classes"][1]["pixels"]


def test_explanations_are_those_of_explain(classes):
    content = png(2)
    predictor = predictor_of_card(class_card())
    array = np.asarray(Image.open(io.BytesIO(content)))
    for name in (None, *CLASSES):
        query = {} if name is None else {"class": name}
        response = post(classes, content, "/v1/explain", **query)
        assert response.status_code == 200, response.text
        document = response.json()["explanations"][0]
        want = eyespot.explain(predictor, array, target=name, check=False)
        assert (document["target"], document["layer"]) == (want.target, want.layer)
        overlay = np.asarray(picture(document["view"]["overlay"])).astype(int)
        assert overlay.shape == (20, 26, 4)
        strongest = np.unravel_index(np.abs(want.map).argmax(), want.map.shape)
        assert overlay[strongest][3] == 255
    assert post(classes, content, "/v1/explain", **{"class": "cow"}).status_code == 400
    assert post(classes, content, "/v1/explain", method="rise").status_code == 400
    assert post(classes, b"no", "/v1/explain").status_code == 422


def test_changes_are_those_of_invariance(classes):
    content = png(3)
    unchanged = post(classes, content).json()["predictions"][0]["probabilities"]
    assert post(classes, content, "/v1/transform").json()["predictions"][0]["probabilities"] == unchanged
    mirrored = io.BytesIO()
    Image.open(io.BytesIO(content)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored, "PNG")
    want = post(classes, mirrored.getvalue()).json()["predictions"][0]["probabilities"]
    got = post(classes, content, "/v1/transform", change="hflip:1").json()["predictions"][0]
    assert got["probabilities"] == want != unchanged
    shown = np.asarray(picture(got["view"]["picture"]))
    assert np.array_equal(shown, np.asarray(Image.open(mirrored)))


def test_a_sign_is_a_direction(classes):
    content = png(4)
    pixels = np.asarray(Image.open(io.BytesIO(content))).astype(float)
    means = []
    for severity in (-0.4, 0, 0.4):
        response = post(classes, content, "/v1/transform", change=f"brightness:{severity}")
        document = response.json()["predictions"][0]
        means.append(np.asarray(picture(document["view"]["picture"])).mean())
    assert means[0] < means[1] == pixels.mean() < means[2]


@pytest.mark.parametrize(
    "change", ["turn:1", "rotate:90", "rotate:nan", "rotate:x", "rot90:45", "noise:-0.1", "hflip:2"]
)
def test_changes_that_there_are_not(classes, change):
    response = post(classes, png(0), "/v1/transform", change=change)
    assert response.status_code == 400, response.text


@pytest.mark.parametrize(
    "path", ["/v1/predict?format=", "/v1/explain?method=", "/v1/explain?class=", "/v1/transform?change="]
)
def test_a_long_text_of_a_client_is_cut(classes, path):
    response = classes.post(path + 3000 * "a", content=png(0))
    assert response.status_code in (400, 406)
    assert len(response.json()["error"]["message"]) < 1000


def test_libraries_do_not_log_what_a_file_says(masks, caplog):
    assert post(masks, b"II+\0\x08\0\0\0" + b"\xff" * 8).status_code == 422
    assert not caplog.records


def test_a_change_is_made_once(classes):
    response = post(classes, png(0), "/v1/transform", change=["hflip"] * 500)
    assert response.status_code == 400
    assert "once at most" in response.json()["error"]["message"]


def test_every_change_in_the_document_can_be_made(classes, masks):
    for client, content in ((classes, png(0)), (masks, GREY)):
        changes = client.get("/v1/model").json()["changes"]
        names = [f"{c['name']}:{c['severities'][-1]}" for c in changes]
        response = post(client, content, "/v1/transform", change=names)
        assert response.status_code == 200, response.text
        for c in changes:
            least = -max(c["severities"]) if c["either_way"] else 0
            for severity in (least, *c["severities"]):
                assert (
                    post(client, content, "/v1/transform", change=f"{c['name']}:{severity}").status_code
                    == 200
                )


def test_an_exported_file_is_served_with_its_certificate(tmp_path):
    run = write_run(tmp_path / "run", class_card())
    eyespot.export(run, tmp_path / "m.onnx")
    with serving(load(tmp_path / "m.onnx")) as client:
        model = client.get("/v1/model").json()
        assert model["certificate"]["holds"] is True and "onnxruntime" in model["certificate"]["sentence"]
        content = png(5)
        got = post(client, content).json()["predictions"][0]
        (tmp_path / "x.png").write_bytes(content)
        want = load(tmp_path / "m.onnx")(tmp_path / "x.png")[0]
        assert (got["label"], got["probabilities"]) == (want.label, want.probabilities)
        assert model["explanations"] == [] and post(client, content, "/v1/explain").status_code == 400
        assert post(client, content, "/v1/transform", change="rotate:10").status_code == 200
    with serving(load(run)) as client:
        assert client.get("/v1/model").json()["certificate"]["holds"] is None


def test_channels_in_several_files(tmp_path):
    card = mask_card()
    card.preprocessing.update(
        channels=2, accepts=[2], channel_files=["t1", "t2"], mean=[100.0] * 2, std=[50.0] * 2
    )
    predictor = predictor_of_card(card)
    grey = [png(k, (40, 30)) for k in (0, 1)]
    (tmp_path / "x_t1.png").write_bytes(grey[0])
    (tmp_path / "x_t2.png").write_bytes(grey[1])
    want = predictor(tmp_path / "x_{t1,t2}.png")[0].labels
    with serving(predictor) as client:
        both = [("image.t2", ("b", grey[1])), ("image.t1", ("a", grey[0]))]
        sent = client.post("/v1/predict", files=both, params={"format": "png"})
        assert sent.status_code == 200, sent.text
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(sent.content))), want * np.uint8(100))
        for fields in (both[:1], [("image", grey[0])], [*both, both[0]]):
            assert client.post("/v1/predict", files=fields).status_code == 400
        for body in (b"eyespot channels\nx y\n\n", b"eyespot channels\n3 t1\n3 t2\n\nabcabc", grey[0]):
            assert client.post("/v1/predict", content=body).status_code == 422
        assert client.get("/v1/model").json()["input"]["fields"] == ["image.t1", "image.t2"]
