"""What people do to modules of torch works with every model: hooks, subclasses, transforms, casts, copies, LoRA."""

import io
import pickle
import re
from collections.abc import Callable
from copy import deepcopy
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils._python_dispatch import TorchDispatchMode

import wavemore
from wavemore.engine.evaluate import evaluate, score
from wavemore.engine.fit import fit
from wavemore.engine.generate_lines import generate
from wavemore.engine.recipe import Recipe
from wavemore.engine.sampling import Sampling
from wavemore.nn import layers, norms
from wavemore.nn.kernels import torch_internals
from wavemore.nn.model import Model
from wavemore.nn.models import build
from wavemore.nn.tree import TreeConfig
from wavemore.nn.wavenet import WaveNetConfig
from wavemore.text.line_corpus import LineCorpus

CORPUS = LineCorpus.from_lines([a + b + c for a in ("an", "bo", "cleo") for b in ("", "n", "tta") for c in "aeoy"])
SIZE = len(CORPUS.vocabulary)
CONFIGS: dict[str, dict[str, Any]] = {
    "tree": {"fuse": (2, 2), "embedding": 4, "hidden": 8},
    "mlp": {"context": 3, "embedding": 4, "hidden": 8, "norm": "layer"},
    "wavenet": {"channels": 8, "skip_channels": 8, "dilations": (1, 2)},
    "rnn": {"embedding": 4, "hidden": 8},
    "gru": {"embedding": 4, "hidden": 8},
    "lstm": {"embedding": 4, "hidden": 8, "layers": 2},
    "bow": {"context": 4, "embedding": 4, "hidden": 8},
    "bigram": {},
    "transformer": {"layers": 2, "heads": 2, "channels": 8},
}
EACH = pytest.mark.parametrize("name", CONFIGS)
RECIPE = Recipe(steps=3, batch_size=40, num_evals=1, ema_decay=0.0)
UNIFORM = log(SIZE)


def made(name: str) -> Model:
    """A model in eval mode that has statistics, and weights that are far from zero."""
    model = build(name, SIZE, **CONFIGS[name]).train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        model(tokens_of(40, 6))
    return model.eval()


def tokens_of(lines: int, length: int) -> Tensor:
    tokens = torch.randint(1, SIZE, (lines, length), generator=torch.Generator().manual_seed(length))
    tokens[:, 0] = 0
    return tokens


def head_of(model: Model) -> tuple[nn.Module, str, nn.Module]:
    """The last layer, its parent and its name there."""
    name, layer = [(name, layer) for name, layer in model.named_modules() if not list(layer.children())][-1]
    parent, _, own = name.rpartition(".")
    return model.get_submodule(parent), own, layer


def require_uniform(model: Model) -> None:
    """Whatever computes the predictions, all characters are equally likely."""
    tokens = tokens_of(3, 5)
    assert torch.equal(model(tokens), torch.zeros(3, 5, SIZE))
    assert evaluate(model, CORPUS.val).nats == pytest.approx(UNIFORM, abs=1e-6)
    assert score(model, CORPUS.vocabulary, ["anna"])[0].nats == pytest.approx(5 * UNIFORM, abs=1e-5)
    for sample in generate(model, CORPUS.vocabulary, 4, Sampling(max_length=30)):
        assert sample.nats == pytest.approx((len(sample.text) + 1) * UNIFORM, abs=1e-4)
    for record in fit(model, CORPUS, RECIPE):
        assert record.train_nats == pytest.approx(UNIFORM, abs=1e-6)


@EACH
def test_a_hook_on_the_last_layer_is_obeyed_everywhere(name: str) -> None:
    model = made(name)
    _, _, layer = head_of(model)
    layer.register_forward_hook(lambda module, inputs, output: output * 0)
    require_uniform(model)


@EACH
def test_a_hook_on_the_model_is_obeyed_everywhere(name: str) -> None:
    model = made(name)
    model.register_forward_hook(lambda module, inputs, output: output * 0)
    require_uniform(model)


@EACH
def test_a_subclass_of_the_last_layer_is_obeyed_everywhere(name: str) -> None:
    model = made(name)
    _, _, layer = head_of(model)
    kind: Any = type(layer)
    layer.__class__ = type("Quiet", (kind,), {"forward": lambda self, x: kind.forward(self, x) * 0})
    require_uniform(model)


@EACH
def test_a_subclass_of_the_model_is_obeyed_everywhere(name: str) -> None:
    model = made(name)
    kind: Any = type(model)
    body = {"forward": lambda self, tokens, logits_to_keep=None: kind.forward(self, tokens, logits_to_keep) * 0}
    model.__class__ = type("Quiet", (kind,), body)
    require_uniform(model)


@EACH
def test_hooks_on_all_layers_see_training_and_generation(name: str) -> None:
    model = made(name)
    seen: set[str] = set()
    leaves = {name for name, layer in model.named_modules() if not list(layer.children())}
    for path in leaves:
        model.get_submodule(path).register_forward_pre_hook(lambda module, inputs, path=path: seen.add(path))
    dropped = {"drop"} if name in ("rnn", "gru", "lstm") else set()  # which does nothing in eval mode
    for use in (
        lambda: model(tokens_of(2, 4)),
        lambda: list(fit(model, CORPUS, RECIPE)),
        lambda: list(generate(model.eval(), CORPUS.vocabulary, 2, Sampling())),
    ):
        seen.clear()
        use()
        fusions = {path for path in leaves if "Flatten" in type(model.get_submodule(path)).__name__}
        assert leaves - seen <= dropped | fusions, f"{leaves - seen} were not called"


def test_a_hook_on_all_modules_is_obeyed() -> None:
    model, seen = made("wavenet"), set()
    handle = nn.modules.module.register_module_forward_hook(lambda module, inputs, output: seen.add(type(module)))
    try:
        model(tokens_of(2, 4))
    finally:
        handle.remove()
    assert seen == {type(module) for module in model.modules()} - {nn.ModuleList}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:There is a performance drop")  # torch's own, of its attention
@EACH
def test_gradients_per_example_are_those_of_examples_one_by_one(name: str) -> None:
    model, tokens = made(name), tokens_of(5, 6)
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    targets = tokens_of(5, 6)

    def loss(parameters: dict[str, Tensor], line: Tensor, goal: Tensor) -> Tensor:
        logits = torch.func.functional_call(model, parameters, (line[None],))
        return F.cross_entropy(logits[0], goal)

    in_dims = (None, 0, 0)
    if name in ("rnn", "gru", "lstm"):  # torch's own recurrent layers cannot be vectorised
        each = [torch.func.grad(loss)(parameters, line, goal) for line, goal in zip(tokens, targets, strict=True)]
        together = {name: torch.stack([one[name] for one in each]) for name in parameters}
    else:
        together = torch.func.vmap(torch.func.grad(loss), in_dims=in_dims)(parameters, tokens, targets)
    for number, (line, goal) in enumerate(zip(tokens, targets, strict=True)):
        model.zero_grad()
        torch.autograd.backward(F.cross_entropy(model(line[None])[0], goal))
        for key, parameter in model.named_parameters():
            expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(together[key][number], expected, rtol=1e-4, atol=1e-5)


@EACH
@pytest.mark.parametrize("training", [False, True])
def test_autocast_gives_nearly_the_same(name: str, training: bool) -> None:
    model, tokens = made(name).train(training), tokens_of(8, 6)
    expected = model(tokens)
    gradients = torch.autograd.grad(expected.square().mean(), list(model.parameters()))
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(tokens)
        lower = torch.autograd.grad(logits.float().square().mean(), list(model.parameters()))
    torch.testing.assert_close(logits.float(), expected, rtol=0.1, atol=0.15)
    for a, b in zip(lower, gradients, strict=True):
        assert a.dtype == torch.float32
        assert F.cosine_similarity(a.flatten(), b.flatten(), dim=0) > 0.97


@pytest.mark.slow
@EACH
def test_training_and_generation_within_autocast(name: str) -> None:
    model = made(name)
    before = evaluate(model, CORPUS.val).nats
    with torch.autocast("cpu", torch.bfloat16):
        *_, record = fit(model, CORPUS, Recipe(steps=30, batch_size=64, num_evals=1))
        samples = list(generate(model, CORPUS.vocabulary, 3, Sampling()))
        assert evaluate(model, CORPUS.val).nats == pytest.approx(record.best_val_nats, abs=0.01)
    assert record.best_val_nats < before
    assert len(samples) == 3


@EACH
def test_a_model_in_bfloat16_generates_and_is_evaluated(name: str) -> None:
    model = made(name)
    expected = evaluate(model, CORPUS.val).nats
    model = model.bfloat16()
    assert evaluate(model, CORPUS.val).nats == pytest.approx(expected, rel=0.05)
    samples = list(generate(model, CORPUS.vocabulary, 3, Sampling(seed=1)))
    scores = score(model, CORPUS.vocabulary, [sample.text for sample in samples])
    assert [sample.nats for sample in samples] == pytest.approx([each.nats for each in scores], rel=0.1)


@EACH
def test_copies_are_equal_and_independent(name: str) -> None:
    model, tokens, file = made(name), tokens_of(2, 5), io.BytesIO()
    expected = model(tokens).detach()
    torch.save(model, file)
    file.seek(0)
    for other in (deepcopy(model), torch.load(file, weights_only=False)):
        assert torch.equal(other(tokens), expected)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.zero_()
        assert torch.equal(model(tokens), expected)
        assert not torch.equal(other(tokens), expected)
        other.load_state_dict(model.state_dict())
        assert torch.equal(other(tokens), expected)


@pytest.mark.slow
@EACH
def test_parametrizations_are_obeyed_everywhere(name: str) -> None:
    model, tokens = made(name), tokens_of(3, 6)
    expected = model(tokens).detach()
    _parent, _own, layer = head_of(model)
    parametrizations.weight_norm(layer, "weight")
    torch.testing.assert_close(model(tokens), expected, rtol=1e-4, atol=1e-5)
    hidden = next((each for each in model.modules() if isinstance(each, nn.Linear) and each is not layer), None)
    if hidden is not None:
        parametrizations.weight_norm(hidden, "weight")
    samples = list(generate(model, CORPUS.vocabulary, 5, Sampling(seed=3)))
    scores = score(model, CORPUS.vocabulary, [sample.text for sample in samples])
    assert [sample.nats for sample in samples] == pytest.approx([each.nats for each in scores], rel=1e-4)
    *_, record = fit(model, CORPUS, Recipe(steps=20, batch_size=64, num_evals=1, optimizer="adamw"))
    assert record.best_val_nats < 10


class LoRA(nn.Module):
    """A layer of which only a correction of rank 2 is trained."""

    def __init__(self, layer: nn.Module, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.a, self.b = nn.Parameter(torch.randn(inputs, 2) / 4), nn.Parameter(torch.zeros(2, outputs))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        return y + x @ self.a @ self.b


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "bigram"])
def test_lora_by_hand(name: str) -> None:
    model = made(name).requires_grad_(False)
    parent, own, layer = head_of(model)
    weight = layer.get_parameter("weight")
    setattr(parent, own, LoRA(layer, weight.shape[1], weight.shape[0]))
    before, tokens = deepcopy(model.state_dict()), tokens_of(2, 5)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert len(trained) == 2
    optimizer = torch.optim.AdamW(trained, lr=0.02)
    first = evaluate(model, CORPUS.val).nats
    *_, record = fit(model, CORPUS, Recipe(steps=40, batch_size=64, num_evals=2), optimizer=optimizer)
    assert record.best_val_nats < first
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert {key.rpartition(".")[2] for key in moved if "running" not in key and "tracked" not in key} <= {"a", "b"}
    assert model(tokens).shape == (2, 5, SIZE)
    assert len(list(generate(model, CORPUS.vocabulary, 3, Sampling()))) == 3


@pytest.mark.slow
@EACH
def test_a_model_that_is_compiled_in_place_is_used_as_before(name: str) -> None:
    model = made(name)
    expected = evaluate(model, CORPUS.val).nats
    model.compile(backend="eager")
    assert evaluate(model, CORPUS.val).nats == pytest.approx(expected, abs=1e-6)
    assert len(list(generate(model, CORPUS.vocabulary, 2, Sampling()))) == 2
    with pytest.raises(wavemore.ModelError, match=r"call its own `compile\(\)`"):
        evaluate(torch.compile(model, backend="eager"), CORPUS.val)  # type: ignore[arg-type]


@EACH
def test_weights_of_another_vocabulary_are_an_error_of_one_line(name: str) -> None:
    with pytest.raises(wavemore.ModelError, match="the weights do not fit this model: size mismatch") as error:
        made(name).load_state_dict(build(name, SIZE + 1, **CONFIGS[name]).state_dict())
    assert "\n" not in str(error.value)


class Looks(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts how often the program waits for a value of a tensor, which on a GPU waits for all work before it."""

    count = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += operation is torch.ops.aten._local_scalar_dense.default
        return operation(*args, **(kwargs or {}))


@EACH
@torch.no_grad()
def test_no_layer_and_no_character_waits_for_a_value(name: str) -> None:
    model, tokens = made(name), tokens_of(3, 6)
    for layer in model.modules():
        if isinstance(layer, norms.BatchNorm1d):
            layer.require_statistics = lambda: None  # type: ignore[method-assign] # see the next test
    with Looks() as looks:  # type: ignore[no-untyped-call]
        model(tokens)
        decoder = model.decoder(3)
        for column in tokens.T:
            decoder.step(column)
    assert looks.count == 0


def test_a_batchnorm_looks_once_whether_it_has_statistics() -> None:
    norm = norms.BatchNorm1d(4)
    norm(torch.randn(3, 4))
    norm.eval()(torch.randn(3, 4))
    norm.to("meta")(torch.randn(3, 4, device="meta"))  # where a look would be an error
    norm.load_state_dict(norms.BatchNorm1d(4).state_dict(), assign=True)
    with pytest.raises(wavemore.ModelError, match="no running statistics"):
        norm(torch.randn(3, 4))


LAYERS: list[tuple[type[nn.Module], tuple[int, ...], Any]] = [
    (layers.Linear, (4, 3), torch.randn(2, 5, 4)),
    (layers.CausalConv1d, (4, 3, 2), torch.randn(2, 5, 4)),
    (layers.Embedding, (7, 3), torch.tensor([[1, 2]])),
    (norms.BatchNorm1d, (4,), torch.randn(2, 5, 4)),
    (norms.LayerNorm, (4,), torch.randn(2, 5, 4)),
    (norms.RMSNorm, (4,), torch.randn(2, 5, 4)),
]


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")  # tokens have no gradient
@pytest.mark.parametrize(("kind", "sizes", "x"), LAYERS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_layer_is_made_moved_cast_and_kept_as_torchs_are(kind: Any, sizes: tuple[int, ...], x: Tensor) -> None:
    on_meta = kind(*sizes, device="meta")
    assert {value.device.type for value in (*on_meta.parameters(), *on_meta.buffers())} == {"meta"}
    layer = kind(*sizes, dtype=torch.float64)
    assert {parameter.dtype for parameter in layer.parameters()} == {torch.float64}
    with torch.device("meta"):
        assert next(kind(*sizes).parameters()).is_meta
    on_meta.to_empty(device="cpu").load_state_dict(layer.state_dict())
    wide = x.double() if x.is_floating_point() else x
    expected = layer(wide)
    for other in (deepcopy(layer), pickle.loads(pickle.dumps(layer)), on_meta.double()):
        torch.testing.assert_close(other(wide), expected)
    narrow = layer.to(torch.bfloat16)
    assert narrow(x.bfloat16() if x.is_floating_point() else x).dtype == torch.bfloat16
    seen: list[object] = []
    handles = [
        narrow.register_forward_pre_hook(lambda module, inputs: seen.append(inputs)),
        narrow.register_forward_hook(lambda module, inputs, output: seen.append(output)),
        narrow.register_full_backward_hook(lambda module, before, after: seen.append(after)),
    ]
    low = x.bfloat16().requires_grad_() if x.is_floating_point() else x
    torch.autograd.backward(narrow(low).sum())
    for handle in handles:
        handle.remove()
    narrow(low)
    assert len(seen) == 3
    assert repr(narrow).startswith(f"{kind.__name__}({sizes[0]}")


@pytest.mark.parametrize("layer", ["blocks.0.norm", "blocks.1.conv", "blocks.0.gate", "blocks.1.skip", "head.1"])
def test_every_layer_of_a_wavenet_may_be_exchanged(layer: str) -> None:
    model = build("wavenet", SIZE, WaveNetConfig(channels=6, skip_channels=5, dilations=(1, 2))).eval()
    inner, tokens = model.get_submodule(layer), tokens_of(2, 5)
    expected = model(tokens)
    kind: Any = type(inner)
    inner.__class__ = type("Double", (kind,), {"forward": lambda self, *x: 2 * kind.forward(self, *x)})
    assert not torch.allclose(model(tokens), expected)
    decoder = model.decoder(2)
    logits = torch.stack([decoder.logits, *(decoder.step(column) for column in tokens.T[1:])], dim=1)
    torch.testing.assert_close(logits, model(tokens))


def test_a_batchnorm_knows_again_that_it_has_no_statistics() -> None:
    config = TreeConfig(fuse=(2, 2), embedding=4, hidden=8)
    model, empty = made("tree"), build("tree", SIZE, config)
    model(tokens_of(2, 4))
    model.load_state_dict(empty.state_dict())
    with pytest.raises(wavemore.ModelError, match="no running statistics"):
        model(tokens_of(2, 4))


@pytest.mark.parametrize("name", torch_internals.FORMULAS)
def test_the_formulas_are_those_of_torchs_operators(name: str) -> None:
    operator: Callable[..., Tensor] = getattr(torch_internals, name)
    dy, x, out = torch.randn(50).double(), torch.randn(50).double(), torch.empty(50).double()
    settings = (0,) if name == "threshold_backward" else ()
    expected = operator(dy, x, *settings)
    torch.testing.assert_close(torch_internals.FORMULAS[name](dy, x, *settings), expected)
    torch_internals.FORMULAS[name](dy, x, *settings, grad_input=out)
    torch.testing.assert_close(out, expected)


def test_only_one_file_uses_what_torch_keeps_for_itself() -> None:
    private = re.compile(
        r"torch(\.\w+)*\._[a-zA-Z]|\._(forward|backward|global|load_state)\w*hook|ops\.aten|_load_from_state_dict|\b_apply\("
    )
    folder = Path(wavemore.__file__).parent
    found = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if private.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"nn/kernels/torch_internals.py"}
