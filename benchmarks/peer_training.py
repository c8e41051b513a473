"""How fastai, timm and a plain torchvision loop train ResNet-18 until a given time.

Started by `accuracy_in_time.py`. SPLIT has train/CLASS and val/CLASS. The last line printed is JSON: how many images of
val the last weights predict correctly. None of the three libraries has a time limit, so one is added:

torchvision  its ResNet-18; SGD 0.1, momentum 0.9, weight decay 5e-4, cosine schedule; batch 128; random flips and crops
             with a border of 4; a DataLoader with 2 workers. The cosine follows the clock.
timm         as train.py does by default with --model resnet18 --img-size 32 --workers 2 (the script is not in the
             wheel): RandomResizedCrop, random flips, jitter 0.4, SGD 0.05 for batches of 128, weight decay 2e-5, label
             smoothing 0.1; its cosine of 300 epochs with 5 warm-up epochs follows the clock.
fastai       vision_learner(resnet18, pretrained=False), aug_transforms, fit_one_cycle, all defaults, float32. A few
             batches are timed first. Then it trains for as many equal epochs as fill the time, on random images if an
             epoch with all of them would not fit. Each epoch ends with a validation, as fastai does.

That is for images of 32 pixels. With `--side N`, photographs of any size are brought to N pixels as each library's
guides do: torchvision by RandomResizedCrop, and for val by the middle of an image of N x 256/224 pixels; timm by
--img-size N; fastai by Resize(N). Batches have 64 images then.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from time import time

import numpy as np
import torch
from torch import nn

SMALL, WORKERS, EXIT = 32, 2, 1.5
"""EXIT: seconds reserved for ending the process."""


def on_time(
    network: nn.Module,
    loss_of: Callable,
    optimizer: torch.optim.Optimizer,
    set_rate: Callable[[float], None],
    train: Iterable,
    val: Iterable,
    o: argparse.Namespace,
) -> dict:
    """Train until just enough time for the validation is left. A validation is timed first."""
    end = o.end - EXIT - seconds_to_score(network, val)
    start, steps = time(), 0
    while time() < end:
        for x, y in train:
            fraction = (time() - start) / (end - start)
            if fraction >= 1:
                break
            set_rate(fraction)
            loss = loss_of(network.train()(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
    return score(network, val) | {"note": f"{steps} steps of {o.batch}"}


@torch.inference_mode()
def score(network: nn.Module, batches: Iterable) -> dict:
    network.eval()
    right = torch.cat([network(x).argmax(1) == y for x, y in batches])
    return {"hits": int(right.sum()), "n": len(right)}


@torch.inference_mode()
def seconds_to_score(network: nn.Module, batches, timed: int = 9) -> float:
    start, ends = time(), []
    for x, _ in islice(batches, timed):
        network.eval()(x)
        ends.append(time())
    return ends[0] - start + 1.2 * len(batches) * (ends[-1] - ends[0]) / max(1, len(ends) - 1)


def torchvision(o: argparse.Namespace) -> dict:
    from torch.utils.data import DataLoader
    from torchvision import datasets, models
    from torchvision.transforms import v2

    normal = [v2.ToImage(), v2.ToDtype(torch.float32, True), v2.Normalize([0.5] * 3, [0.25] * 3)]
    small = o.side == SMALL
    crop = v2.RandomCrop(SMALL, 4) if small else v2.RandomResizedCrop(o.side)
    middle = [] if small else [v2.Resize(round(o.side * 256 / 224)), v2.CenterCrop(o.side)]
    moved = v2.Compose([crop, v2.RandomHorizontalFlip(), *normal])
    sets = [
        datasets.ImageFolder(o.split / "train", moved),
        datasets.ImageFolder(o.split / "val", v2.Compose([*middle, *normal])),
    ]
    loaders = [
        DataLoader(s, o.batch, shuffle=not i, num_workers=WORKERS, drop_last=not i)
        for i, s in enumerate(sets)
    ]
    network = models.resnet18(num_classes=len(sets[0].classes))
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)

    def set_rate(fraction: float) -> None:
        optimizer.param_groups[0]["lr"] = 0.05 * (1 + math.cos(math.pi * fraction))

    return on_time(network, nn.functional.cross_entropy, optimizer, set_rate, *loaders, o)


def timm(o: argparse.Namespace) -> dict:
    from timm import create_model
    from timm.data import create_dataset, create_loader, resolve_data_config
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2

    classes = len(list((o.split / "train").iterdir()))
    network = create_model("resnet18", num_classes=classes)
    config = resolve_data_config({"img_size": o.side}, model=network)
    look = {k: config[k] for k in ("input_size", "mean", "std")}
    look |= {"num_workers": WORKERS, "device": torch.device("cpu")}
    sets = [create_dataset("", str(o.split), split=s, is_training=s == "train") for s in ("train", "val")]
    crops = {"scale": (0.08, 1.0), "ratio": (3 / 4, 4 / 3), "color_jitter": 0.4, "interpolation": "random"}
    train = create_loader(sets[0], batch_size=o.batch, is_training=True, **look, **crops)
    seen = {"interpolation": config["interpolation"], "crop_pct": config["crop_pct"]}
    val = create_loader(sets[1], batch_size=o.batch, is_training=False, **look, **seen)
    optimizer = create_optimizer_v2(network, "sgd", lr=0.1 * o.batch / 256, weight_decay=2e-5, momentum=0.9)
    scheduler, _ = create_scheduler_v2(optimizer, "cosine", num_epochs=300, warmup_epochs=5, warmup_lr=1e-5)

    def set_rate(fraction: float) -> None:
        scheduler.step(300 * fraction)  # type: ignore[union-attr, arg-type]

    return on_time(network, LabelSmoothingCrossEntropy(0.1), optimizer, set_rate, train, val, o)


def fastai(o: argparse.Namespace) -> dict:
    from fastai.vision.all import ImageDataLoaders, Resize, accuracy, aug_transforms, vision_learner
    from torchvision.models import resnet18

    resized = {} if o.side == SMALL else {"item_tfms": Resize(o.side)}
    dls = ImageDataLoaders.from_folder(
        o.split, train="train", valid="val", batch_tfms=aug_transforms(), num_workers=WORKERS, **resized
    )
    images, validation_images, rng = len(dls.train_ds), len(dls.valid_ds), np.random.default_rng(o.seed)

    def epochs(learner, number: int, training: int, validation: int) -> float:
        """Train and validate on so many random images per epoch; returns the seconds."""
        training, validation = min(training, images), min(validation, validation_images)
        dls.train.n, dls.valid.n, start = training, validation, time()
        dls.train.get_idxs = lambda: rng.permutation(images)[:training].tolist()
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(number)
        return time() - start

    def learner():
        return vision_learner(dls, resnet18, pretrained=False, metrics=accuracy)

    trial = learner()
    epochs(trial, 1, 128, 64)  # to warm up
    little, more, looked = epochs(trial, 1, 128, 64), epochs(trial, 1, 1024, 64), epochs(trial, 1, 128, 1024)
    each, fixed = max(more - little, 1e-3) / 896, little + max(looked - little, 0) / 960 * validation_images
    left = 0.97 * (o.end - EXIT - time())
    number = max(1, math.ceil(left / (fixed + each * images)))
    drawn = int(min(images, max(64, (left / number - fixed) / each))) // 64 * 64
    last = learner()
    took = epochs(last, number, drawn, validation_images)
    share = last.recorder.values[-1][2]
    note = f"{number} epochs of {drawn}, {left:.0f} s planned, {took:.0f} taken"
    return {"hits": round(share * validation_images), "n": validation_images, "note": note}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("who", choices=["torchvision", "timm", "fastai"], help="library")
    parser.add_argument("split", type=Path, help="folder with train/ and val/")
    parser.add_argument("--end", type=float, required=True, help="when to be ready, in seconds since 1970")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=SMALL, help="pixels of an image's side")
    parser.add_argument("--threads", type=int, default=2)
    o = parser.parse_args()
    o.batch = 128 if o.side == SMALL else 64
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    np.random.seed(o.seed)
    print(json.dumps({"torchvision": torchvision, "timm": timm, "fastai": fastai}[o.who](o)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
