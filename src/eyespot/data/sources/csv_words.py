"""Names of columns whose meaning eyespot knows."""

import re

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
MASKS = "mask mask_path mask_file mask_name segmentation".split()
SPLIT_COLUMNS = "split set subset partition dataset".split()
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


def means_class(column: str) -> bool:
    """Whether a name means the class: by one word, beside which others change nothing."""
    of = words(column)
    known = CLASS_WORDS | {"label", "class", "category", "species"}
    return bool(known & set(of)) and set(of) <= known | BESIDE_CLASS


def means_group(column: str) -> bool:
    """Whether a name says that the values are patients, slides or the like."""
    return bool(GROUP_WORDS & (set(words(column)) | set(plain(column).split("_"))))
