"""Images through ResNet-50 at 224 pixels as whole commands: exported files against a script of torch with a DataLoader.

    python benchmarks/prediction.py IMAGES [--model resnet50] [--rounds 3] [--work FOLDER]

IMAGES are JPEGs in one folder. The weights are random: only the time counts, and what fraction of classes agrees.
The other side is what torchvision's users write: eager float32, a DataLoader with two workers, batches of 16. Its network is
ours, which equals torchvision's layer by layer. All commands take turns in each round; ratios are of their medians.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

SIZE = 224
CLASSES = tuple(f"c{k}" for k in range(10))
PEER = """
import sys
from pathlib import Path
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
import numpy as np
from eyespot.prediction.load_torch import load_network

class Folder(Dataset):
    def __init__(self, folder):
        self.files = sorted(Path(folder).glob("*.jpg"))
    def __len__(self):
        return len(self.files)
    def __getitem__(self, i):
        image = np.array(Image.open(self.files[i]).convert("RGB"))
        return (torch.from_numpy(image).permute(2, 0, 1).float() - 120) / 60

if __name__ == "__main__":
    _, network = load_network(sys.argv[1])
    network.eval()
    with torch.inference_mode(), open(sys.argv[3], "w") as out:
        for batch in DataLoader(Folder(sys.argv[2]), batch_size=16, num_workers=2):
            for row in network(batch).argmax(1).tolist():
                out.write(f"{row}\\n")
"""


def main() -> None:
    """Prepare, take turns, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("prediction-work"))
    options = parser.parse_args()
    commands = prepare(options.work, options.model, options.images)
    n = len([*options.images.glob("*.jpg")])
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(options.rounds + 1):  # the first one fills caches and checks certificates
        for name, command in commands.items():
            start = time.monotonic()
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            if turn:
                seconds[name].append(time.monotonic() - start)
    report(seconds, n, options)


def prepare(work: Path, model: str, images: Path) -> dict[str, list[str]]:
    """A run with random weights, its files in float32 and int8, and the commands by name."""
    from eyespot import export

    run = work / model
    if not (run / "model.safetensors").exists():
        write_run(run, model)
    write_split(run, sorted(images.glob("*.jpg"))[:80])
    files = {"f32": work / f"{model}.onnx", "int8": work / f"{model}-int8.onnx"}
    for name, path in files.items():
        if not path.exists():
            export(run, path, int8=name == "int8", max_loss=100)
    (work / "peer.py").write_text(PEER)

    def predict(path: Path, name: str, *options: str) -> list[str]:
        out = work / f"{name}.csv"
        return ["eyespot", "predict", str(path), str(images), "-o", str(out), "--force", *options]

    fast = ("--engine", "openvino")
    commands = {
        "torch": [sys.executable, str(work / "peer.py"), str(run), str(images), str(work / "peer.txt")],
        "onnxruntime f32": predict(files["f32"], "ort-f32"),
        "openvino f32": predict(files["f32"], "ov-f32", *fast),
        "openvino bf16": predict(files["f32"], "ov-bf16", *fast, "--precision", "bf16"),
        "onnxruntime int8": predict(files["int8"], "ort-int8"),
        "openvino int8": predict(files["int8"], "ov-int8", *fast),
    }
    if not has("avx512_bf16", "amx_bf16"):
        del commands["openvino bf16"]
    return commands


def has(*flags: str) -> bool:
    """Whether the processor has one of these."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return any(flag in text for flag in flags)


def write_run(run: Path, model: str) -> None:
    """A model file with random weights and the statistics of noise."""
    import torch

    from eyespot.models import create
    from eyespot.weights.card import Card, write_model

    torch.manual_seed(0)
    network = create(model, classes=len(CLASSES), channels=3, dim=2)
    for module in network.modules():
        if hasattr(module, "running_var"):
            module.momentum = 1.0
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name in ("fc.bias", "classifier.bias"):  # classes as far apart as those of a trained network
                parameter.normal_(0, 50)
        network.train()(torch.randn(4, 3, SIZE, SIZE))
    content = {
        "size": SIZE,
        "side": SIZE,
        "fit": "pad",
        "channels": 3,
        "accepts": [3],
        "depth": "uint8",
        "dim": 2,
    }
    content |= {"spacing": None, "unit": "", "view": "samples", "scaling": "none", "stored": ["uint8"]}
    content |= {
        "mean": [120.0] * 3,
        "std": [60.0] * 3,
        "precision": "float32",
        "tta_flip": False,
        "tta_shift": False,
    }
    run.mkdir(parents=True)
    write_model(run / "model.safetensors", network.state_dict(), Card(model, {}, [*CLASSES], content))


def write_split(run: Path, files: list[Path]) -> None:
    """Images for int8; the labels mean nothing."""
    sides = ["val" if k % 5 == 0 else "train" for k in range(len(files))]
    rows = [f"{path.resolve()},{CLASSES[k % 10]},{sides[k]}" for k, path in enumerate(files)]
    (run / "split.csv").write_text("\n".join(["path,label,split", *rows]) + "\n")


def report(seconds: dict[str, list[float]], n: int, options: argparse.Namespace) -> None:
    """Ratios of medians, with the smallest and largest of the rounds."""
    flags = [f for f in ("avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8") if has(f)]
    print(
        f"{options.model}, {n} JPEGs, {options.rounds} rounds, {os.cpu_count()} cores, {platform.machine()}: {' '.join(flags)}"
    )
    peer = seconds["torch"]
    for name, times in seconds.items():
        ratios = [a / b for a, b in zip(peer, times, strict=True)]
        middle = statistics.median(peer) / statistics.median(times)
        print(f"{name:<17} {middle:5.2f}x of torch ({min(ratios):.2f} to {max(ratios):.2f} by round)")


if __name__ == "__main__":
    main()
