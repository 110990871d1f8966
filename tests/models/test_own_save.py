"""A compressed model that is saved by other roads than ours: what is left loads right, or says what does."""

from __future__ import annotations

import copy
import io
import json
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_model as load_into
from torch import nn
from torch.utils.data import Dataset
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedModel

import embfact
from embfact.models.auto import loader
from embfact.models.auto_map import MODULE
from tests.helpers.zoo import IDS, Specimen, output

BERT = Specimen("bert", "BertForSequenceClassification")
MASKED = Specimen("bert", "BertForMaskedLM", tied=True)
T5 = Specimen("t5", "T5ForConditionalGeneration", tied=True)
COMMANDS = r"embfact\.from_pretrained.*trust_remote_code=True"


@pytest.fixture(autouse=True)
def _own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers copies the code of a directory into a cache, and that is not the user's here."""
    for module in ("transformers.dynamic_module_utils", "transformers.utils.hub"):
        monkeypatch.setattr(f"{module}.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])


def compressed(specimen: Specimen = BERT, method: str = "svd", **options: Any) -> PreTrainedModel:
    return embfact.compress(specimen.build(), method, **({"rank": 3} | options))


@pytest.fixture
def model() -> PreTrainedModel:
    return compressed()


def check(directory: Path, model: PreTrainedModel, expected: torch.Tensor | None = None) -> None:
    """The two commands give the model back, and plain loading names them."""
    expected = output(model) if expected is None else expected
    for options in ({}, {"ignore_mismatched_sizes": True}):
        for kind in (AutoModel, type(model)):
            with pytest.raises(ValueError, match=COMMANDS):
                kind.from_pretrained(directory, **options)
    loaded = embfact.from_pretrained(directory)
    assert type(loaded) is type(model)
    torch.testing.assert_close(output(loaded), expected, atol=1e-6, rtol=0)
    if isinstance(model, transformers.BertForSequenceClassification):
        trusted = AutoModelForSequenceClassification.from_pretrained(directory, trust_remote_code=True)
        torch.testing.assert_close(output(trusted), expected, atol=1e-6, rtol=0)


def through(kind: Callable[[PreTrainedModel], Any]) -> Callable[[PreTrainedModel, Path], None]:
    return lambda model, directory: kind(model).save_pretrained(directory)


def by_torch_save(model: PreTrainedModel) -> PreTrainedModel:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def by_embfact(model: PreTrainedModel, *, again: Callable[[Path], PreTrainedModel], directory: Path) -> PreTrainedModel:
    embfact.save_pretrained(model, directory)
    return again(directory)


def trusting(directory: Path) -> PreTrainedModel:
    return AutoModelForSequenceClassification.from_pretrained(directory, trust_remote_code=True)


ROADS: dict[str, Callable[[PreTrainedModel, Path], None]] = {
    "its own": lambda model, d: model.save_pretrained(d),
    "of a trainer": lambda model, d: model.save_pretrained(d, state_dict=model.state_dict(), is_main_process=True),
    "of sentence-transformers": lambda model, d: model.save_pretrained(str(d), safe_serialization=True),
    "in small files": lambda model, d: model.save_pretrained(d, max_shard_size="5KB"),
    "of a copy": through(copy.deepcopy),
    "of a pickle": through(lambda model: pickle.loads(pickle.dumps(model))),
    "of torch.save": through(by_torch_save),
    "compiled": through(torch.compile),
    "of a loaded one": lambda m, d: by_embfact(m, again=embfact.from_pretrained, directory=d / "a").save_pretrained(d),
    "of a trusted one": lambda m, d: by_embfact(m, again=trusting, directory=d / "a").save_pretrained(d),
}


@pytest.mark.parametrize("road", ROADS)
def test_what_any_road_leaves_loads_right_or_names_the_command_that_does(
    road: str, model: PreTrainedModel, tmp_path: Path
) -> None:
    ROADS[road](model, tmp_path / "saved")
    shutil.rmtree(tmp_path / "saved" / "a", ignore_errors=True)
    check(tmp_path / "saved", model)


@pytest.mark.parametrize(
    ("specimen", "method", "options"),
    [
        (BERT, "svd", {"storage": "int8"}),
        (BERT, "none", {"rank": None, "storage": "int8"}),
        (BERT, "albert", {}),
        (MASKED, "svd", {}),
        (T5, "svd", {}),
    ],
    ids=str,
)
def test_so_does_what_any_method_leaves(
    specimen: Specimen, method: str, options: dict[str, Any], tmp_path: Path
) -> None:
    model = compressed(specimen, method, **options)
    model.save_pretrained(tmp_path / "saved")
    check(tmp_path / "saved", model)


def test_a_dense_table_is_read_by_transformers_alone(tmp_path: Path) -> None:
    model = compressed(MASKED, "none", rank=None)
    model.save_pretrained(tmp_path / "saved")
    assert torch.equal(output(transformers.BertForMaskedLM.from_pretrained(tmp_path / "saved")), output(model))
    assert not (tmp_path / "saved" / f"{MODULE}.py").exists()


def test_a_head_that_transformers_would_draw_at_random_is_refused(tmp_path: Path) -> None:
    model = Specimen("llama", "LlamaForCausalLM", options={"tie_word_embeddings": False}).build()
    model.lm_head.weight = model.model.embed_tokens.weight
    embfact.compress(model, "none")
    model.save_pretrained(tmp_path / "saved")
    check(tmp_path / "saved", model)


def test_a_copy_is_saved_with_its_own_weights(model: PreTrainedModel, tmp_path: Path) -> None:
    other = copy.deepcopy(model)
    nn.init.ones_(other.classifier.weight)
    other.save_pretrained(tmp_path / "other")
    model.save_pretrained(tmp_path / "model")
    check(tmp_path / "other", other)
    check(tmp_path / "model", model)
    assert not torch.equal(output(other), output(model))


@pytest.mark.parametrize("specimen", [BERT, MASKED, T5], ids=str)
def test_a_part_is_saved_as_well(specimen: Specimen, tmp_path: Path) -> None:
    model = compressed(specimen)
    part = model.encoder if specimen is T5 else model.base_model
    part.save_pretrained(tmp_path / "part")
    with pytest.raises(ValueError, match=COMMANDS):
        AutoModel.from_pretrained(tmp_path / "part")
    loaded = embfact.from_pretrained(tmp_path / "part")
    assert type(loaded) is type(part)
    torch.testing.assert_close(loaded(IDS)[0], part(IDS)[0], atol=1e-6, rtol=0)


def test_the_head_of_a_pooled_model_is_not_drawn_at_random(tmp_path: Path, backbone: Any) -> None:
    from embfact.models.checkpoint import save
    from embfact.models.loading import load_backbone

    options = {"num_labels": 2, "label_names": None, "dropout": None, "seed": 0}
    pooled, _ = load_backbone(backbone(), **options, pooling="mean")
    save(pooled, None, tmp_path / "saved")
    loaded = embfact.from_pretrained(tmp_path / "saved")
    loaded.save_pretrained(tmp_path / "again")
    for directory in (tmp_path / "saved", tmp_path / "again"):
        with pytest.raises(ValueError, match=COMMANDS):
            AutoModelForSequenceClassification.from_pretrained(directory)
        assert torch.equal(output(embfact.from_pretrained(directory)), output(pooled.eval()))


def test_given_tensors_are_what_is_written(model: PreTrainedModel, tmp_path: Path) -> None:
    state = {f"module.{name}": tensor.clone() for name, tensor in model.state_dict().items()}
    state["module.classifier.bias"] += 1
    model.save_pretrained(tmp_path / "saved", state_dict=state)
    check(tmp_path / "saved", model, output(model) + 1)
    for spoil, words in (
        (lambda s: s.pop("module.classifier.bias"), r"lacks 1 weights .*classifier\.bias"),
        (lambda s: s.update(more=torch.zeros(1)), "has more"),
    ):
        given = dict(state)
        spoil(given)
        with pytest.raises(ValueError, match=words):
            model.save_pretrained(tmp_path / "other", state_dict=given)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [("safe_serialization", False), ("variant", "fp16"), ("distributed_checkpoint", True), ("max_size", 3)],
)
def test_an_option_that_cannot_be_followed_is_refused_and_nothing_written(
    option: str, value: Any, model: PreTrainedModel, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"{option}={value}.*leave it out"):
        model.save_pretrained(tmp_path / "saved", **{option: value})
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        model.save_pretrained(tmp_path / "file")
    model.save_pretrained(tmp_path / "saved", is_main_process=False)
    assert {path.name for path in tmp_path.iterdir()} == {"file"}


@pytest.mark.parametrize("sizes", [("1GB", "5KB"), ("5KB", "1GB")], ids=["whole first", "shards first"])
def test_an_older_model_is_replaced_and_what_else_is_there_stays(
    sizes: tuple[str, str], model: PreTrainedModel, tmp_path: Path
) -> None:
    BERT.build().save_pretrained(tmp_path / "saved", max_shard_size=sizes[0])
    for name in ("optimizer.pt", "modules.json"):
        (tmp_path / "saved" / name).write_text("kept")
    model.save_pretrained(tmp_path / "saved", max_shard_size=sizes[1])
    check(tmp_path / "saved", model)
    assert all((tmp_path / "saved" / name).read_text() == "kept" for name in ("optimizer.pt", "modules.json"))
    whole = (tmp_path / "saved" / "model.safetensors").exists()
    assert whole == (sizes[1] == "1GB")
    assert (tmp_path / "saved" / "model.safetensors.index.json").exists() != whole


def test_a_saving_that_stops_half_way_leaves_nothing_that_loads_as_noise(
    model: PreTrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    BERT.build().save_pretrained(tmp_path / "saved")
    replace = Path.replace

    def stop(self: Path, target: Path) -> Path:
        if self.name == "model.safetensors":
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            model.save_pretrained(tmp_path / "saved")
    with pytest.raises(ValueError, match="lacks 2 weights of its config"):
        embfact.from_pretrained(tmp_path / "saved")
    with pytest.raises(ValueError, match=COMMANDS):
        AutoModel.from_pretrained(tmp_path / "saved")
    model.save_pretrained(tmp_path / "saved")
    check(tmp_path / "saved", model)


def test_a_class_of_ones_own_keeps_its_weights_and_is_never_loaded_as_noise(tmp_path: Path, caplog: Any) -> None:
    class Mine(transformers.BertForSequenceClassification):
        pass

    def build() -> PreTrainedModel:
        return embfact.compress(Mine(BERT.build().config).eval(), "svd", rank=3)

    mine = build()
    mine.save_pretrained(tmp_path / "saved")
    assert "Mine is not a class of transformers" in caplog.text
    for kind in (AutoModel, Mine):
        for options in ({}, {"trust_remote_code": True}):
            with pytest.raises(ValueError, match=r"compress it as before, and call safetensors\.torch\.load_model"):
                kind.from_pretrained(tmp_path / "saved", **options)
    with pytest.raises(ValueError, match=r"names the class 'Mine'.*compress it as before"):
        embfact.from_pretrained(tmp_path / "saved")
    other = build()
    assert not torch.equal(output(other), output(mine))
    load_into(other, tmp_path / "saved" / "model.safetensors", strict=False)
    assert torch.equal(output(other), output(mine))


class Rows(Dataset):
    """Three rows with labels."""

    def __len__(self) -> int:
        return len(IDS)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": IDS[index], "labels": index % 2}


def trainer(model: PreTrainedModel, directory: Path, steps: int) -> transformers.Trainer:
    options = transformers.TrainingArguments(
        str(directory), max_steps=steps, save_steps=2, report_to=[], use_cpu=True, disable_tqdm=True, learning_rate=0.1
    )
    return transformers.Trainer(model, options, train_dataset=Rows())


def test_a_trainer_saves_it_and_goes_on_from_there(model: PreTrainedModel, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    first = trainer(model, tmp_path / "run", 4)
    first.train()
    first.save_model(tmp_path / "saved")
    check(tmp_path / "saved", model.eval())
    assert (tmp_path / "saved" / "training_args.bin").exists()

    resumed = compressed()
    trainer(resumed, tmp_path / "run", 4).train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))
    torch.testing.assert_close(output(resumed.eval()), output(model), atol=1e-5, rtol=0)


def test_sentence_transformers_saves_it_and_loads_it_with_the_option_that_is_named(
    make_tokenizer: Any, tmp_path: Path
) -> None:
    sentences = pytest.importorskip("sentence_transformers")
    Specimen("bert", "BertModel").build().save_pretrained(tmp_path / "dense")
    make_tokenizer().save_pretrained(tmp_path / "dense")
    model = sentences.SentenceTransformer(str(tmp_path / "dense"), device="cpu")
    embfact.compress(model[0].auto_model, "svd", rank=3)
    expected = model.encode(["w1 w2 w3"])
    for save in (model.save, model.save_pretrained):
        save(str(tmp_path / "saved"))
        with pytest.raises(ValueError, match=COMMANDS):
            sentences.SentenceTransformer(str(tmp_path / "saved"), device="cpu")
        loaded = sentences.SentenceTransformer(str(tmp_path / "saved"), device="cpu", trust_remote_code=True)
        assert loaded.encode(["w1 w2 w3"]) == pytest.approx(expected, abs=1e-5)
        model = loaded
    assert torch.equal(output(embfact.from_pretrained(tmp_path / "saved")), output(model[0].auto_model))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub without a network: what is uploaded lies in the local cache, as if it had been downloaded."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshots = tmp_path / "hub" / "models--me--small"
    for module in ("huggingface_hub.constants.HF_HUB_CACHE", "transformers.utils.hub.constants.HF_HUB_CACHE"):
        monkeypatch.setattr(module, str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def upload(self: Any, working_dir: str, repo_id: str, *args: Any, **options: Any) -> None:
        assert repo_id == "me/small"
        shutil.copytree(working_dir, snapshots / "snapshots" / commit)
        (snapshots / "refs").mkdir()
        (snapshots / "refs" / "main").write_text(commit)

    class Api:
        def create_repo(self, repo_id: str, **options: Any) -> Any:
            return type("Repo", (), {"repo_id": repo_id})

    monkeypatch.setattr("transformers.utils.hub.hf_api", Api)
    monkeypatch.setattr("transformers.utils.hub.PushToHubMixin._upload_modified_files", upload)
    monkeypatch.setattr(
        "transformers.utils.hub.create_and_tag_model_card",
        lambda *args, **options: type("Card", (), {"save": lambda self, path: Path(path).write_text("card")})(),
    )
    return snapshots / "snapshots" / commit


@pytest.mark.parametrize("saved_first", [False, True])
def test_a_model_that_was_pushed_to_the_hub_is_loaded_from_there(
    saved_first: bool, hub: Path, model: PreTrainedModel, tmp_path: Path
) -> None:
    if saved_first:
        model.save_pretrained(tmp_path / "saved", push_to_hub=True, repo_id="me/small")
        check(tmp_path / "saved", model)
    else:
        model.push_to_hub("me/small")
    assert f"{MODULE}.py" in {path.name for path in hub.iterdir()}
    with pytest.raises(ValueError, match=COMMANDS):
        AutoModel.from_pretrained("me/small")
    assert torch.equal(output(trusting("me/small")), output(model))
    with pytest.raises(ValueError, match="me/absent is not a directory, and cannot be fetched from the hub"):
        loader("AutoModel").from_pretrained("me/absent", config=model.config)


def test_a_subfolder_is_the_place_of_the_weights(model: PreTrainedModel, tmp_path: Path) -> None:
    compressed(BERT, rank=2).save_pretrained(tmp_path)
    model.save_pretrained(tmp_path / "part")
    options = {"trust_remote_code": True, "subfolder": "part"}
    assert torch.equal(output(AutoModelForSequenceClassification.from_pretrained(tmp_path, **options)), output(model))


def test_an_adapter_of_it_names_no_dense_model_as_its_base(model: PreTrainedModel, tmp_path: Path) -> None:
    BERT.build().save_pretrained(tmp_path / "dense")
    dense = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "dense")
    assert dense.name_or_path == str(tmp_path / "dense")
    small = embfact.compress(dense, "svd", rank=3)
    assert (small.name_or_path, small.config.name_or_path) == ("", "")
    small.save_pretrained(tmp_path / "small")
    assert embfact.from_pretrained(tmp_path / "small").name_or_path == str(tmp_path / "small")
    assert "name_or_path" not in json.loads((tmp_path / "small" / "config.json").read_text())
