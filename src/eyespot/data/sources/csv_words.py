"""Names of columns whose meaning eyespot knows."""

import re

from eyespot.data.sources.samples import SPLITS
from eyespot.data.sources.words import split_of

PATHS = (
    "path file filename file_name filepath file_path fname image image_path imagepath image_file image_name imagename image_id "
    "imageid img img_path img_name img_id id_code image_index slice_file_name"
).split()
LABELS = "label class category class_name classname label_name species category_name".split()
"""Names that mean the class, the first of them that there is."""
CLASS_WORDS = frozenset(
    "labels classes classid labelid target targets diagnosis diagnose diagnostico dx breed genre emotion variety cultivar "
    "klasse klassen klass klassid kategorie kategori categoria categorie clase classe classi etiqueta etiquette etichetta "
    "klasa kategoria luokka trida"
    " 分類 分类 類別 类别 标签 標籤 ラベル クラス класс метка".split()
)
"""Words that mean the class, of which the names of other tables consist."""
BESIDE_CLASS = frozenset("id name code label class category text index nr no number num finding true".split())
"""Words beside them that change nothing."""
IS_TRAIN = frozenset("is_train is_training train training is_training_image is_train_set".split())
"""Names of columns that are true where an image is for training."""
FLAGS = {**dict.fromkeys("1 1.0 true yes".split(), "train"), **dict.fromkeys("0 0.0 false no".split(), "val")}
SHORT = {
    **dict.fromkeys("tr trn".split(), "train"),
    **dict.fromkeys("te ts tst".split(), "test"),
    "va": "val",
    "vl": "val",
}
"""Short words for splits in a column of splits."""
MASKS = "mask mask_path mask_file mask_name segmentation".split()
SPLIT_COLUMNS = "split set subset partition dataset usage phase".split()
GROUP_WORDS = frozenset(
    "group patient subject participant person individual donor animal mouse rat case study speaker writer slide specimen scan "
    "session plate well site hospital family lesion nodule tumor tumour recording video clip series volunteer".split()
)
"""Words in the names of columns that say which images belong together."""
FOLDS = frozenset("fold folds kfold".split())
"""Names of columns with the parts of a cross-validation."""
BOXES = frozenset("xmin ymin xmax ymax x_min y_min x_max y_max x1 y1 x2 y2 bbox box width_box".split())
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def plain(column: str) -> str:
    """A name in lower case with _ between its words."""
    return re.sub(r"[\s\-]+", "_", column.strip().lower())


def words(column: str) -> tuple[str, ...]:
    """The words of a name in lower case: `ClassId` is class, id."""
    return tuple(re.findall(r"[^\W\d_]+", CAMEL.sub("_", column).lower()))


def split_of_cell(column: str, cell: str) -> str:
    """The split that a cell of a column means; "" for none."""
    if plain(column) in IS_TRAIN and cell.lower() in FLAGS:
        return FLAGS[cell.lower()]
    return SPLITS.get(cell.lower(), "") or SHORT.get(cell.lower(), "") or split_of(cell)


def means_class(column: str) -> bool:
    """Whether a name means the class: by one word, beside which others change nothing."""
    of = words(column)
    known = CLASS_WORDS | {"label", "class", "category", "species"}
    return bool(known & set(of)) and set(of) <= known | BESIDE_CLASS


def means_group(column: str) -> bool:
    """Whether a name says that the values are patients, slides or the like."""
    return bool(GROUP_WORDS & (set(words(column)) | set(plain(column).split("_"))))
