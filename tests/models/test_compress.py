from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn
from transformers import (
    AlbertConfig,
    AlbertModel,
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from embfact.config.sections import ModelConfig
from embfact.errors import ModelError
from embfact.factorization.albert import Albert
from embfact.factorization.base import Evidence
from embfact.factorization.none import Dense
from embfact.factorization.random import Random
from embfact.factorization.svd import SVD
from embfact.factorization.weighted_svd import WeightedSVD
from embfact.models.compress import compress, embedding_tensors
from embfact.models.heads import TiedHead
from embfact.models.loading import load_backbone
from tests.helpers.zoo import Specimen

FULL_RANK = {"rank": 16, "allow_larger": True}
SMALL = {"vocab_size": 60, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 32}


def make_bert() -> PreTrainedModel:
    return AutoModelForSequenceClassification.from_config(AutoConfig.for_model("bert", **SMALL)).eval()


def test_svd_of_full_rank_leaves_the_logits_as_they_were(dense_kind, make_model, logits_of):
    model = make_model(dense_kind)
    before = logits_of(model)
    compress(model, SVD(), **FULL_RANK)
    torch.testing.assert_close(logits_of(model), before, atol=1e-6, rtol=0)


def test_svd_of_full_rank_leaves_the_logits_of_minilm_as_they_were():
    minilm = ModelConfig(name_or_path="packaged:minilm")
    model, tokenizer = load_backbone(minilm, num_labels=2, label_names=None, dropout=None, seed=0)
    texts = ["the plot is thin but the actors are wonderful", "dull", "naïve café, 1,000 times!"]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        before = model.eval()(**batch).logits
        compress(model, SVD(), rank=384, allow_larger=True)
        torch.testing.assert_close(model(**batch).logits, before, atol=1e-4, rtol=0)


def test_none_changes_no_weight_and_no_name(kind, make_model, logits_of):
    model, untouched = make_model(kind), make_model(kind)
    compress(model, Dense(), rank=None)
    assert list(model.state_dict()) == list(untouched.state_dict())
    assert torch.equal(logits_of(model), logits_of(untouched))


@pytest.mark.parametrize("method", [SVD(), Random(), WeightedSVD(), Albert()], ids=lambda method: method.name)
def test_a_compressed_model_trains_and_counts_what_its_method_says(method, dense_kind, make_model, logits_of):
    model = make_model(dense_kind)
    compress(model, method, rank=3, evidence=Evidence(token_counts=torch.arange(60.0).double()))
    state = model.state_dict()
    counted = sum(state[name].numel() for name in embedding_tensors(model))
    assert counted == method.parameters(60, 16, 3) < 60 * 16

    model.train()(input_ids=torch.tensor([[2, 10, 11, 3]]), labels=torch.tensor([1])).loss.backward()
    named = dict(model.named_parameters())
    assert all(named[name].grad.abs().sum() > 0 for name in embedding_tensors(model))


def test_the_rest_of_the_model_is_not_touched(dense_kind, make_model):
    model = make_model(dense_kind)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    (table,) = embedding_tensors(model)
    compress(model, SVD(), rank=3)
    after = model.state_dict()
    assert before.keys() - after.keys() == {table}
    assert after.keys() - before.keys() == set(embedding_tensors(model))
    assert all(torch.equal(after[name], before[name]) for name in before.keys() & after.keys())


def test_padding_and_dtype_are_those_of_the_table(make_model):
    model = make_model("bert").half()
    compress(model, SVD(), rank=3)
    embedding = model.get_input_embeddings()
    assert embedding.padding_idx == 0
    assert embedding(torch.tensor([[5]])).dtype == torch.float16


def test_random_factors_depend_on_the_seed(make_model, logits_of):
    def logits(seed: int) -> torch.Tensor:
        model = make_model("bert")
        compress(model, Random(), rank=3, seed=seed)
        return logits_of(model)

    assert torch.equal(logits(1), logits(1))
    assert not torch.equal(logits(1), logits(2))


def test_the_albert_block_computes_what_alberts_own_does(make_model):
    """Lan et al. 2020, with transformers' AlbertEmbeddings and embedding_hidden_mapping_in as the reference."""
    model = make_model("bert")
    compress(model, Albert(), rank=8)
    sizes = {"vocab_size": 60, "embedding_size": 8, "hidden_size": 16, "num_attention_heads": 2, "pad_token_id": 0}
    reference = AlbertModel(AlbertConfig(**sizes, intermediate_size=32)).eval()
    ours = model.bert.embeddings
    reference.embeddings.load_state_dict(ours.block.state_dict())
    reference.encoder.embedding_hidden_mapping_in.load_state_dict(ours.projection.state_dict())

    ids, segments = torch.randint(60, (4, 9)), torch.randint(2, (4, 9))
    with torch.no_grad():
        expected = reference.encoder.embedding_hidden_mapping_in(reference.embeddings(ids, token_type_ids=segments))
        torch.testing.assert_close(ours.eval()(input_ids=ids, token_type_ids=segments), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["electra", "albert"])
def test_a_table_that_is_factorized_already_is_left_alone_unless_asked(kind, make_model, logits_of):
    model = make_model(kind)
    with pytest.raises(ModelError, match=r"8 columns for 16 hidden units; use factorization=none, or set .*=true"):
        compress(model, SVD(), rank=2)
    compress(model, SVD(refactorize_existing=True), rank=2)
    assert model.get_input_embeddings().embedding_dim == 8
    assert logits_of(model).isfinite().all()


@pytest.mark.parametrize("first", [SVD(), Albert()], ids=lambda method: method.name)
def test_a_compressed_model_is_not_compressed_again(first, make_model):
    model = make_model("bert")
    compress(model, first, rank=3)
    with pytest.raises(ModelError, match="already"):
        compress(model, SVD(), rank=2)


@pytest.mark.parametrize("method", [SVD(), Albert()], ids=lambda method: method.name)
def test_a_rank_that_does_not_shrink_the_table_is_refused_with_the_largest_that_does(method, make_model):
    model = make_model("bert")
    largest = method.largest_rank(60, 16)
    with pytest.raises(ModelError, match=rf"rank {largest + 1} does not shrink.*is {largest}"):
        compress(model, method, rank=largest + 1)
    compress(model, method, rank=largest)


def test_missing_evidence_is_refused_and_the_model_stays_dense(make_model, logits_of):
    model = make_model("bert")
    with pytest.raises(ModelError, match=r"weighted_svd of bert: .*counts"):
        compress(model, WeightedSVD(), rank=3)
    assert torch.equal(logits_of(model), logits_of(make_model("bert")))
    assert not hasattr(model.config, "embfact")


def test_the_albert_block_is_refused_where_the_output_layer_is_tied_to_the_table():
    model = AutoModelForMaskedLM.from_config(AutoConfig.for_model("bert", **SMALL)).eval()
    with pytest.raises(ModelError, match=r"tied .*cls\.predictions\.decoder; use another method"):
        compress(model, Albert(), rank=3)
    compress(model, SVD(), rank=3)


def test_a_table_that_scales_its_rows_goes_on_scaling_them_and_its_output_layer_does_not():
    model = Specimen("bart-scaled", "BartForConditionalGeneration").build()
    table, ids, hidden = model.get_input_embeddings(), torch.tensor([[5, 7]]), torch.randn(2, 16)
    vectors, scores = table(ids), model.lm_head(hidden)
    torch.testing.assert_close(vectors, 4 * table.weight[ids])
    compress(model, SVD(), **FULL_RANK)
    small = model.get_input_embeddings()
    torch.testing.assert_close(small(ids), vectors, atol=1e-5, rtol=0)
    torch.testing.assert_close(small.dense(), table.weight, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.lm_head(hidden), scores, atol=1e-5, rtol=0)


def test_what_does_more_than_scale_its_rows_is_refused():
    class Shifted(nn.Embedding):
        def forward(self, ids):
            return super().forward(ids) + 1

    model = make_bert()
    model.set_input_embeddings(Shifted(60, 16))
    with pytest.raises(ModelError, match="Shifted, which does more than look up and scale rows"):
        compress(model, SVD(), rank=3)


@pytest.mark.parametrize(("option", "value"), [("max_norm", 1.0), ("sparse", True), ("scale_grad_by_freq", True)])
def test_options_of_the_lookup_that_would_be_lost_are_refused(option, value):
    model = make_bert()
    model.set_input_embeddings(nn.Embedding(60, 16, **{option: value}))
    with pytest.raises(ModelError, match=rf"{option}={value}.*set {option} to"):
        compress(model, SVD(), rank=3)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn])
def test_a_quantized_table_is_refused(dtype):
    model = make_bert()
    weight = torch.zeros(60, 16).to(dtype)
    model.get_input_embeddings().weight = nn.Parameter(weight, requires_grad=False)
    with pytest.raises(ModelError, match=r"quantized .*load the model without quantization_config"):
        compress(model, SVD(), rank=3)


def test_a_weight_class_of_a_quantizer_is_refused():
    class Packed(nn.Parameter):
        pass

    model = make_bert()
    model.get_input_embeddings().weight = Packed(torch.zeros(60, 16))
    with pytest.raises(ModelError, match="quantized or split"):
        compress(model, SVD(), rank=3)


def test_another_module_that_holds_the_weight_is_refused():
    model = make_bert()
    model.other = nn.Bilinear(4, 4, 2)
    model.other.weight = model.get_input_embeddings().weight
    with pytest.raises(ModelError, match=r"other\.weight .*Bilinear.* shares memory with the token table"):
        compress(model, SVD(), rank=3)


def test_every_output_layer_that_is_tied_is_replaced():
    model = AutoModelForMaskedLM.from_config(AutoConfig.for_model("bert", **SMALL)).eval()
    model.second = nn.Linear(16, 60, bias=False)
    model.second.weight = model.get_input_embeddings().weight
    compress(model, SVD(), rank=3)
    assert type(model.second) is type(model.get_output_embeddings()) is TiedHead
    assert model.second.embedding is model.get_output_embeddings().embedding is model.get_input_embeddings()


def test_a_weight_that_is_tied_by_its_memory_alone_is_tied():
    model = AutoModelForMaskedLM.from_config(AutoConfig.for_model("bert", **SMALL)).eval()
    decoder = model.get_output_embeddings()
    decoder.weight = nn.Parameter(model.get_input_embeddings().weight.data)
    compress(model, SVD(), rank=3)
    assert isinstance(model.get_output_embeddings(), TiedHead)


def test_a_model_without_a_token_table_is_refused():
    config = AutoConfig.for_model("vit", hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    with pytest.raises(ModelError, match=r"ViTPatchEmbeddings, and only a torch\.nn\.Embedding can be replaced"):
        compress(AutoModel.from_config(config), SVD(), rank=3)
    with pytest.raises(ModelError, match=r"no input embedding .* Linear"):
        compress(nn.Linear(2, 2), SVD(), rank=3)


def test_a_failing_method_leaves_the_model_as_it_was(make_model, logits_of):
    class Failing(SVD):
        name: ClassVar[str] = "failing"

        def fit(self, table, rank, **options):
            raise ValueError("it fails")

    model = make_model("bert")
    with pytest.raises(ModelError, match="failing of bert: it fails"):
        compress(model, Failing(), rank=3)
    assert torch.equal(logits_of(model), logits_of(make_model("bert")))


def test_a_table_without_values_is_refused():
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model("bert", num_hidden_layers=1))
    with pytest.raises(ModelError, match="meta device"):
        compress(model, SVD(), rank=3)
