"""Put a network and its model card into a repository of the hub."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from eyespot.certificate.exported import is_exported, read_exported
from eyespot.console import say
from eyespot.environment import offline
from eyespot.errors import UserError
from eyespot.prediction.model_file import model_file
from eyespot.sharing.model_card import model_card
from eyespot.weights.card import Card, model_bytes, read_card, read_tensors, without_folders
from eyespot.weights.ensemble_file import ENSEMBLE, fold_folder, is_ensemble, read_ensemble
from eyespot.weights.hub import ONNX, PREFIX, hub_errors, library, local, repository_name

README = "README.md"


def card_text(run: str | os.PathLike) -> str:
    """The model card of a run folder, a model file or what hub:owner/name holds, as Markdown.

    Raises UserError for a file that is damaged or not ours.
    """
    path = Path(run).resolve()
    folder = path if path.is_dir() else path.parent
    return model_card(card_of_run(run), repository_name(run) or folder.name, str(run))


def card_of_run(run: str | os.PathLike) -> Card:
    """The card of a run folder, a model file or a cross-validation."""
    path = local(run)
    if is_ensemble(path):
        return read_ensemble(path)[0]
    return read_exported(path).card if is_exported(path) else read_card(model_file(path))


def push(run: str | os.PathLike, repository: str, *, public: bool = False) -> str:
    """Put a network with its model card into a repository of the hub, made if it is not there; the address of the repository.

    run         a run folder, a model file, an exported file, or the folder of a cross-validation
    repository  owner/name
    public      a repository that is made now can be seen by everybody; one that exists stays as it is

    Weights and cards go there; no images, no report, and no paths of this machine. Raises UserError.
    """
    if offline():
        raise UserError(f"EYESPOT_OFFLINE is set, so nothing is sent to {repository}: unset it to push")
    contents = files_of(local(run))
    title = repository.rpartition("/")[2]
    contents[README] = model_card(without_folders(card_of_run(run)), title, PREFIX + repository).encode()
    hub = library()
    operations = [
        hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
        for name, content in contents.items()
    ]
    with hub_errors(repository):
        api = hub.HfApi(library_name="eyespot")
        repo = api.create_repo(repository, private=not public, exist_ok=True)
        say(f"pushing {', '.join(contents)} to {repo}")
        api.create_commit(repo.repo_id, operations, commit_message=f"eyespot: {card_of_run(run).preset}")
    return str(repo)


def files_of(run: Path) -> dict[str, bytes]:
    """The content of each file that goes to a repository, by its name there."""
    if is_exported(run):
        return {ONNX: read_exported(run).content}
    if not is_ensemble(run):
        return {"model.safetensors": shared_model(model_file(run))}
    card, folds = read_ensemble(run)
    document = {"folds": folds, "card": asdict(without_folders(card))}
    contents = {ENSEMBLE: (json.dumps(document, indent=1) + "\n").encode()}
    for fold in folds:
        file = model_file(fold_folder(run, fold))
        contents[f"{fold_folder(Path(), fold).as_posix()}/model.safetensors"] = shared_model(file)
    return contents


def shared_model(file: Path) -> bytes:
    """A model file without the paths of this machine."""
    return model_bytes(read_tensors(file), without_folders(read_card(file)))
