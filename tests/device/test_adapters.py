"""Adapters on a live model: they change an answer's own tokens, and nothing that comes after or beside it."""

from __future__ import annotations

import numpy as np
import pytest
import real_models

from mnemon.errors import AdapterError, MnemonError
from mnemon.runtime import adapter_file, gguf_file, steering_rows
from mnemon.runtime.adapters import Activation, Lora, Loras, SoftPrompt, Steering
from mnemon.runtime.chat_model import ChatMessage, Priority
from mnemon.runtime.engine import Engine
from mnemon.runtime.vocabulary import Model
from mnemon.runtime.worker import LocalModel

SYSTEM = ChatMessage("system", "You are Mnemon, a personal assistant that runs on the user's own device.")
QUESTION = ChatMessage("user", "Tell me a story about the sea.")


@pytest.fixture(scope="module")
def model():
    with LocalModel.load(real_models.built_in(), real_models.ONE_THREAD) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def tiny():
    spec = real_models.spec_of(real_models.tiny_model(), context=1024)
    with LocalModel.load(spec, real_models.ONE_THREAD) as loaded:
        yield loaded


def steering(model: LocalModel, seed: int = 0) -> Steering:
    return Steering(np.random.default_rng(seed).normal(size=model.model.steering_shape).astype(np.float32))


def lora(model: LocalModel, rank: int = 4, seed: int = 0) -> Lora:
    random = np.random.default_rng(seed)

    def matrix(*shape: int) -> np.ndarray:
        return (random.normal(size=shape) / 10).astype(np.float32)

    sizes = {name: size for name, size in model.model.matrices.items() if "attn_q" in name or "ffn_down" in name}
    return Lora({name: (matrix(rank, a), matrix(b, rank)) for name, (a, b) in sizes.items()}, 2.0 * rank)


def soft_prompt(model: LocalModel) -> SoftPrompt:
    return SoftPrompt(np.random.default_rng(0).normal(size=(3, model.model.width)).astype(np.float32) / 10)


KINDS = [steering, lora, soft_prompt]


def say(model: LocalModel, messages=(SYSTEM, QUESTION), **how) -> tuple[str, list[float]]:
    pieces = list(model.generate(messages, max_tokens=24, **how))
    return "".join(p.text for p in pieces), [x for p in pieces for x in p.logprobs]


def settled(model: LocalModel) -> None:
    """Wait until what is to be done in the background has been done."""
    model.loglikelihood([SYSTEM], "Yes.")


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_changes_its_answer_and_no_other(model, kind):
    before = say(model)
    adapted = say(model, adapters=[(kind(model), 0.5)])
    assert say(model) == before
    assert adapted[1][0] != before[1][0], "the first token is the adapter's already"
    assert say(model, adapters=[(kind(model), 0.0)]) == before
    assert say(model, adapters=[(kind(model), 0.5)]) == adapted


def test_several_add_up(model):
    one, two = steering(model, 1), steering(model, 2)
    both = Steering(np.float32(0.3) * one.values - np.float32(0.2) * two.values)
    assert say(model, adapters=[(one, 0.3), (two, -0.2)]) == say(model, adapters=[(both, 1.0)])
    matrices = lora(model)
    twice = say(model, adapters=[(matrices, 0.25), (matrices, 0.25)])
    assert twice == say(model, adapters=[(matrices, 0.5)])


@pytest.mark.parametrize("kind", KINDS)
def test_history_is_the_base_models_once_it_has_settled(model, kind):
    name = f"~history {kind.__name__}"
    text, _ = say(model, session=name, adapters=[(kind(model), 0.5)])
    settled(model)
    kept = model._sequences.conversation(name)
    prompt = model._layout.plan([SYSTEM, QUESTION], kept, 24).tokens
    answer = kept.answers[text.strip()]
    out = answer[len(model.model.control(model._layout.template.answer_opening)) :]
    assert list(model._engine.tokens(kept.sequence)) == [*prompt, *out]
    with Engine(model.model, cells=model._engine.cells, sequences=6, threads=1) as never:
        never.prefill(0, prompt[:-1])
        never.decode(0, [prompt[-1], *out])
        following = model.model.plain("And what then?")
        state = model._engine.save(kept.sequence)
        assert never.restore(1, state, [*prompt, *out])
        logits = []
        for sequence in (0, 1):
            never.decode(sequence, following)
            logits.append(never.logits().copy())
    assert np.array_equal(*logits)


def test_the_next_turn_is_right_also_when_it_comes_before_that(model):
    adapted = [(steering(model), 0.5)]
    text, _ = say(model, session="~quick", adapters=adapted)
    following = [SYSTEM, QUESTION, ChatMessage("assistant", text), ChatMessage("user", "And then?")]
    at_once = say(model, following, session="~quick")
    assert at_once[0] == say(model, following)[0]


def test_a_person_between_two_tokens_meets_the_base(tiny):
    adapters = [(steering(tiny), 2.0), (lora(tiny), 3.0)]
    alone = say(tiny)
    long = {"max_tokens": 400, "priority": Priority.BACKGROUND, "adapters": adapters}
    whole = "".join(p.text for p in tiny.generate([SYSTEM, QUESTION], **long))
    generation = tiny.generate([SYSTEM, QUESTION], session="~work", **long)
    pieces = iter(generation)
    said = next(pieces).text
    for _ in range(3):
        assert say(tiny) == alone
    said += "".join(p.text for p in pieces)
    assert said[:100] == whole[:100]


def test_off_again_after_errors_and_stops(model):
    before = say(model)
    for bad in (
        Steering(np.zeros((2, 7), np.float32)),
        Steering(np.full(model.model.steering_shape, np.nan, np.float32)),
        SoftPrompt(np.zeros((2, 3), np.float32)),
        SoftPrompt(np.zeros((40, model.model.width), np.float32)),
        Lora({}, 1.0),
        Lora({"blk.99.attn_q.weight": (np.zeros((1, 2), np.float32), np.zeros((2, 1), np.float32))}, 1.0),
        Lora({n: (a[:, 1:], b) for n, (a, b) in lora(model).tensors.items()}, 1.0),
        Lora({n: (a, b * np.inf) for n, (a, b) in lora(model).tensors.items()}, 1.0),
        Lora(lora(model).tensors, float("nan")),
    ):
        with pytest.raises(AdapterError) as caught:
            say(model, adapters=[(steering(model), 1.0), (lora(model), 1.0), (bad, 1.0)])
        assert "\n" not in caught.value.one_line()
        assert caught.value.hint
    with pytest.raises(AdapterError):
        say(model, adapters=[(steering(model), float("nan"))])
    generation = model.generate([SYSTEM, QUESTION], adapters=[(steering(model), 1.0)], session="~stopped")
    for _ in generation:
        generation.stop()
    settled(model)
    assert say(model) == before
    assert not model._activation._active


def test_closing_in_the_middle_of_an_adapted_answer():
    model = LocalModel.load(real_models.built_in(), real_models.ONE_THREAD)
    generation = model.generate(
        [SYSTEM, QUESTION], session="~x", adapters=[(steering(model), 0.1), (lora(model), 0.1)]
    )
    next(iter(generation))
    model.close()
    assert model._engine.handle is None


def test_few_loras_stay_loaded(model):
    with Engine(model.model, cells=64, threads=1) as engine:
        loras = Loras(model.model)
        activation = Activation(engine, loras)
        for seed in range(12):
            activation.use(((lora(model, seed=seed), 1.0),))
        activation.off()
        assert len(loras._loaded) <= 4


# -- in place -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["in place", "the usual call"])
def engine(request, model, monkeypatch):
    """An engine that has decoded under one vector, with and without what writes the next one in place."""
    if request.param == "the usual call":
        monkeypatch.setattr(steering_rows, "_GRAPH", "llama_of_another_year")
    with Engine(model.model, cells=64, threads=1) as made:
        activation = Activation(made, Loras(model.model))
        activation.use(((steering(model, 9), 1.0),))
        made.decode(0, [300, 301])
        yield made, activation
        assert (activation._rows is None) == (request.param == "the usual call")


def decoded(engine: Engine) -> np.ndarray:
    engine.drop(0)
    engine.decode(0, [300, 301, 302])
    return engine.logits().copy()


def test_one_vector_after_another_is_as_exact_as_the_first(model, engine):
    used, activation = engine
    for seed in range(4):
        active = ((steering(model, seed), 0.3), (steering(model, seed + 1), -0.1))
        activation.use(active)
        found = decoded(used)
        with Engine(model.model, cells=64, threads=1) as fresh:
            Activation(fresh, Loras(model.model)).use(active)
            assert np.array_equal(decoded(fresh), found)


def test_a_vector_written_in_place_goes_when_it_should(model, engine):
    used, activation = engine
    activation.off()
    base = decoded(used)
    vector, other = steering(model, 1), steering(model, 2)
    for _ in range(2):
        activation.use(((vector, 1.0),))
        steered = decoded(used)
        activation.use(((other, 1.0),))
        assert not np.array_equal(decoded(used), steered)
        activation.use(((other, 1.0), (lora(model), 1.0)))
        both = decoded(used)
        activation.use(((vector, 1.0),))
        assert np.array_equal(decoded(used), steered)
        assert not np.array_equal(both, steered)
        activation.use(((soft_prompt(model), 1.0),))
        assert np.array_equal(decoded(used), base)
        activation.use(((vector, 1.0),))
        with pytest.raises(AdapterError):
            activation.use(((other, float("nan")),))
        assert np.array_equal(decoded(used), base)


# -- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [steering, lora])
def test_a_file_gives_back_the_same_adapter(model, tmp_path, kind):
    made, path = kind(model), tmp_path / "mine.gguf"
    content = adapter_file.to_bytes(made, model.model.architecture, model.base_sha256())
    assert content == adapter_file.to_bytes(made, model.model.architecture, model.base_sha256())
    path.write_bytes(content)
    again = adapter_file.read(path, model.model, model.base_sha256())
    assert say(model, adapters=[(again, 0.5)]) == say(model, adapters=[(made, 0.5)])
    with pytest.raises(AdapterError, match="a model of SHA-256") as caught:
        adapter_file.read(path, model.model, "0" * 64)
    assert caught.value.hint


def test_llama_cpp_itself_loads_our_lora(model, tmp_path):
    path = tmp_path / "mine.gguf"
    path.write_bytes(adapter_file.to_bytes(lora(model), model.model.architecture, model.base_sha256()))
    import llama_cpp

    with Model(real_models.built_in().path) as fresh:
        handle = llama_cpp.llama_adapter_lora_init(fresh.handle, str(path).encode())
        assert handle
        llama_cpp.llama_adapter_lora_free(handle)


def test_what_another_writer_wrote(model, tmp_path):
    import gguf

    made, path = lora(model), tmp_path / "theirs.gguf"

    def write(architecture: str, kind=np.float16, extra: str | None = None) -> None:
        writer = gguf.GGUFWriter(path, architecture)
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, made.alpha)
        for name, (a, b) in made.tensors.items():
            writer.add_tensor(f"{name}.lora_a", a.astype(kind))
            writer.add_tensor(f"{name}.lora_b", b.astype(kind))
        if extra:
            writer.add_tensor(extra, np.ones(4, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    write("llama")
    theirs = adapter_file.read(path, model.model, model.base_sha256())
    assert isinstance(theirs, Lora)
    assert theirs.alpha == made.alpha
    for name, (a, b) in made.tensors.items():
        assert np.array_equal(theirs.tensors[name][0], a.astype(np.float16).astype(np.float32))
        assert np.array_equal(theirs.tensors[name][1], b.astype(np.float16).astype(np.float32))
    for architecture, extra in (("qwen2", None), ("llama", "blk.0.attn_norm.weight")):
        write(architecture, np.float32, extra)
        with pytest.raises(AdapterError) as caught:
            adapter_file.read(path, model.model, model.base_sha256())
        assert caught.value.hint


def test_a_control_vector_of_another_writer(model, tmp_path):
    import gguf

    path = tmp_path / "theirs.gguf"
    layers, width = model.model.steering_shape

    def write(hint: str, size: int, number: int) -> None:
        writer = gguf.GGUFWriter(path, "controlvector")
        writer.add_string("controlvector.model_hint", hint)
        writer.add_uint32("controlvector.layer_count", 1)
        writer.add_tensor(f"direction.{number}", np.arange(size, dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    write("llama", width, 2)
    theirs = adapter_file.read(path, model.model, model.base_sha256())
    assert isinstance(theirs, Steering)
    assert not theirs.values[[0, *range(2, layers)]].any()
    assert np.array_equal(theirs.values[1], np.arange(width))
    for wrong in (("qwen2", width, 2), ("llama", width + 1, 2), ("llama", width, layers + 1), ("llama", width, 0)):
        write(*wrong)
        with pytest.raises(AdapterError):
            adapter_file.read(path, model.model, model.base_sha256())


def test_bfloat16_is_read_and_compressed_files_are_told(model, tmp_path):
    values = np.array([1.0, -2.5, 0.15625], np.float32)
    path = tmp_path / "raw"
    path.write_bytes((values.view("<u4") >> 16).astype("<u2").tobytes())
    with path.open("rb") as file:
        assert np.array_equal(adapter_file._numbers(file, "x", gguf_file.Place((3,), 30, 0)), values)
        with pytest.raises(AdapterError, match="compressed"):
            adapter_file._numbers(file, "x", gguf_file.Place((32,), 8, 0))


def test_files_that_are_no_adapters(model, tmp_path):
    whole = adapter_file.to_bytes(lora(model), "llama", "")
    path = tmp_path / "x.gguf"
    for content in (b"", b"hello", whole[:1000], whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(MnemonError):
            adapter_file.read(path, model.model, model.base_sha256())
    with pytest.raises(AdapterError, match="no LoRA"):
        adapter_file.read(real_models.built_in().path, model.model, model.base_sha256())
    with pytest.raises(AdapterError, match="soft prompt"):
        adapter_file.to_bytes(soft_prompt(model), "llama")


def test_the_base_is_hashed_again_when_it_has_changed(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"one")
    first = gguf_file.sha256(path)
    path.write_bytes(b"other")
    assert gguf_file.sha256(path) != first
