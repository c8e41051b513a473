"""The words in names of folders and files: which mean masks, images, a split, or another program's leftovers."""

import re
from pathlib import PurePath

from eyespot.data.sources.samples import SPLITS

MASK_WORDS = frozenset(
    "mask masks label labels lbl lbls labeled labelled annotation annotations annotated annot annots ann anns gt gts "
    "groundtruth truth segmentation segmentations seg segs segmented target targets manual instances".split()
)
ABOUT_IMAGES = frozenset("labeled labelled annotated target targets segmented".split())
"""Of these, the words that say of images that they have masks: `labelled images`."""
IMAGE_WORDS = frozenset(
    "image images img imgs im ims raw picture pictures photo photos volume volumes signal signals input inputs original "
    "originals orig scan scans rgb".split()
)
VARIANT_WORDS = frozenset(
    "train instance instances object objects color colors colour colours overlay overlays vis visual visualization preview "
    "edge edges boundary boundaries contour contours weights".split()
)
"""In the name of a mask: a variant of the label map, such as one in colours."""
STAINS = (
    "dapi hoechst gfp egfp yfp cfp rfp mcherry fitc tritc texasred cy3 cy5 cy7 alexa488 alexa568 alexa647 bf brightfield phase "
    "dic mito actin tubulin nucleus nuclei er red green blue yellow nir swir rededge flair t1 t1w t1n t1c t1ce t1gd t2 t2w t2f "
    "pd adc dwi swi"
).split()
CHANNEL = re.compile(
    r"(?<![A-Za-z0-9])(?:(ch\d{1,2})(?:sk\d+fk\d+fl\d+)?|((?:c|w|channel)\d{1,2})(?:[0-9A-F]{8}-[0-9A-F-]{27})?|(000\d)|"
    rf"({'|'.join(STAINS)}))(?![A-Za-z0-9])",
    re.IGNORECASE,
)
"""The part of a name that tells a channel from others; microscopes write a setting or an identifier behind it."""
COPY = re.compile(
    r"(?<=[A-Za-z0-9)])(?:[_ .-]+(?:[hv]?flip(?:ped)?(?:lr|ud|h|v|x|y)?|mirror(?:ed)?|rot(?:ate|ated|ation)?|aug(?:mented|mentation)?|"
    r"crop(?:ped)?|bright(?:ness|er)?|dark(?:er)?|noise|noisy|blur(?:red)?|gamma|contrast|zoom(?:ed)?|shift(?:ed)?|shear(?:ed)?|"
    r"scaled?|jitter|thumb(?:nail)?s?|preview|small|resized)[_-]?\d*|\.rf\.[0-9a-f]{16,64})+$",
    re.IGNORECASE,
)
"""The end of a name that tells an augmented or smaller copy from its original; Roboflow writes a hash."""
COPIES = re.compile(r"(?:\w+[\W_])?(?:thumb(?:nail)?s?|previews?)", re.IGNORECASE)
"""A folder of small copies of the images beside it."""
SHORT_SPLITS = {"tr": "train", "ts": "test"}
"""As in imagesTr and labelsTs."""
TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
GLUED = re.compile(r"(train|val|test)(annots?|masks?|labels?|images?)")
Tokens = tuple[str, ...]


def tokens(name: str) -> Tokens:
    """The words and numbers of a name in lower case: `imagesTr` is images, tr. Of a name without any, the name."""
    words = TOKEN.findall(name)
    parts = [p for word in words for p in _unglued(word.lower())]
    return tuple(parts) or (name.lower(),)


def _unglued(word: str) -> tuple[str, ...]:
    match = GLUED.fullmatch(word)
    return match.groups() if match else (word,)


def names_mask(name: str) -> bool:
    """Whether a folder or file is called a mask."""
    words = set(tokens(name))
    return bool(words & MASK_WORDS) and not (words & IMAGE_WORDS and words & MASK_WORDS <= ABOUT_IMAGES)


def names_images(name: str) -> bool:
    """Whether a folder is called one of images."""
    return bool(set(tokens(name)) & IMAGE_WORDS) and not names_mask(name)


def split_of(name: str) -> str:
    """The split that the name of a folder means: `train` for seg_train or training_set; "" for none or for several."""
    words = set(tokens(name))
    splits = {SPLITS[word] for word in words if word in SPLITS}
    if words & (MASK_WORDS | IMAGE_WORDS):
        splits |= {SHORT_SPLITS[word] for word in words if word in SHORT_SPLITS}
    return splits.pop() if len(splits) == 1 else ""


def split_of_path(path: PurePath) -> str:
    """The split that the deepest of a path's names means that means one; "" if none does."""
    return next((split for name in reversed(path.parts) if (split := split_of(name))), "")
