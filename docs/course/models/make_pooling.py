"""Train the networks of page 7: maximum, average and strided convolution, all else equal.

    python docs/course/models/make_pooling.py cifar10-train

The argument is a folder with CIFAR-10's 50,000 training images, a folder per class. For each of six seeds three
networks of 38,978 weights see 48,000 windows of 28 x 28 pixels from 4,000 images, always the middle one, so that none
learns from shifted images. They predict 2,000 other images: the middle window, and those one pixel up, down, left and
right of it, which need no invented pixels. Writes pooling.json and the networks of seed 0 beside this file.
Made on two cores of an AMD EPYC that other programs shared.
"""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor
from training import half, interval, network, pictures_of_pages, predicted, read_classes, train

HERE = Path(__file__).parent
WAYS = ("max", "average", "stride")
SEEDS = range(6)
EPOCHS = 12
SIDE = 28
AROUND = ((1, 2), (3, 2), (2, 1), (2, 3))


def window(x: Tensor, top: int = 2, left: int = 2) -> Tensor:
    """(N, 3, 32, 32) -> (N, 3, 28, 28)"""
    return x[..., top : top + SIDE, left : left + SIDE]


def mirrored(x: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the images, chosen at random, with left and right exchanged."""
    chosen = torch.rand(len(x), generator=generator) < 0.5
    return torch.where(chosen[:, None, None, None], x.flip(3), x)


def consistency(net: torch.nn.Module, x: Tensor) -> float:
    """The share of predictions that stay when the window moves by one pixel, over four directions."""
    before = predicted(net, window(x))
    return float(torch.stack([predicted(net, window(x, *at)) == before for at in AROUND]).float().mean())


def main(source: Path) -> None:
    x, labels = read_classes(source, 0, 400)
    test, test_labels = read_classes(source, 4800, 5000)
    shown, shown_labels = pictures_of_pages()
    runs: dict[str, dict[str, list[float]]] = {how: {"accuracy": [], "consistency": []} for how in WAYS}
    right = {}
    for seed in SEEDS:
        for how in WAYS:
            generator = torch.Generator().manual_seed(seed)
            net = network(seed, subsample=how)
            train(net, lambda epoch, g=generator: mirrored(window(x), g), labels, EPOCHS, seed)
            if seed == 0:
                (HERE / f"pooling-{how}.safetensors").write_bytes(half(net))
                right[how] = int((predicted(net, window(shown)) == shown_labels).sum())
            runs[how]["accuracy"].append(float((predicted(net, window(test)) == test_labels).float().mean()))
            runs[how]["consistency"].append(consistency(net, test))
            print(seed, how, {name: values[-1] for name, values in runs[how].items()}, flush=True)
    pairs = [("max", "stride"), ("average", "stride"), ("average", "max")]
    numbers = {
        "command": "python docs/course/models/make_pooling.py cifar10-train",
        "n": len(test_labels),
        "seeds": list(SEEDS),
        "runs": runs,
        "mean": {how: {k: interval(v) for k, v in runs[how].items()} for how in WAYS},
        "differences": {
            f"{a} - {b}": {
                k: interval([p - q for p, q in zip(runs[a][k], runs[b][k], strict=True)]) for k in runs[a]
            }
            for a, b in pairs
        },
        "right_of_pictures": right,
    }
    (HERE / "pooling.json").write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
