import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.containers import CONTAINERS, unwrap
from prefiqs_jax.weights.prefixes import strip_prefix

OPTIMISER = {"state": {0: {"exp_avg": np.zeros(2)}}, "param_groups": []}

# FIELD 3.2: how each project saves its backbone.
LAYOUTS = {
    "arcface_torch": lambda s: s,
    "arcface_torch resume": lambda s: {
        "epoch": 3,
        "global_step": 10,
        "state_dict_backbone": s,
        "state_dict_softmax_fc": {"weight": np.zeros((5, 2))},
        "state_optimizer": OPTIMISER,
    },
    "MagFace distributed": lambda s: {
        "epoch": 25,
        "arch": "iresnet100",
        "state_dict": {f"features.module.{k}": v for k, v in s.items()}
        | {"parallel_fc.weight": np.zeros((5, 2))},
        "optimizer": OPTIMISER,
    },
    "MagFace DataParallel": lambda s: {
        "epoch": 25,
        "arch": "iresnet100",
        "state_dict": {f"module.features.{k}": v for k, v in s.items()}
        | {"module.fc.weight": np.zeros((5, 2))},
        "optimizer": OPTIMISER,
    },
    "AdaFace": lambda s: {
        "epoch": 25,
        "pytorch-lightning_version": "1.4.4",
        "state_dict": {f"model.{k}": v for k, v in s.items()}
        | {
            f"head.{k}": np.zeros(2) for k in ("kernel", "t", "batch_mean", "batch_std")
        },
        "optimizer_states": [OPTIMISER],
        "callbacks": {dict: {"best": np.zeros(1)}},
    },
    "CVLFace": lambda s: {f"net.{k}": v for k, v in s.items()},
    "Xiaoccer": lambda s: {"epoch": 68, "net_state_dict": s},
    "nested": lambda s: {
        "model": {"state_dict": {f"module.module.{k}": v for k, v in s.items()}},
        "best": 0.9,
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_published_layout_gives_the_backbone(iresnet, layout):
    state, ignored = unwrap(LAYOUTS[layout](iresnet))
    stripped, _, heads = strip_prefix(state, ["conv1.weight"], iresnet)
    assert all(stripped[name] is iresnet[name] for name in iresnet)
    beside = {name.partition(".")[0] for name in stripped.keys() - iresnet.keys()}
    assert beside <= {"head", "parallel_fc"}
    others = {"epoch", "optimizer", "state_dict_softmax_fc", "callbacks"}
    given = LAYOUTS[layout](iresnet)
    assert others & given.keys() <= ignored.keys()
    assert len(state) == len(stripped) + len(heads)


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_is_opened(iresnet, container):
    state, ignored = unwrap({container: iresnet, "epoch": 1})
    assert state.keys() == iresnet.keys()
    assert ignored == {"epoch": "int beside the weights"}


def test_entries_that_are_no_tensors_are_named(iresnet):
    state, ignored = unwrap({"state_dict": iresnet | {"note": "text"}, "note": "more"})
    assert state.keys() == iresnet.keys()
    assert ignored.keys() == {"note", "state_dict.note"}


def test_two_networks_are_refused(iresnet):
    with pytest.raises(InputError, match=r"more than one network \(model, model_ema\)"):
        unwrap({"model_ema": iresnet, "model": iresnet})


@pytest.mark.parametrize(
    ("loaded", "said"),
    [
        ({"weight_dict": {"a": np.zeros(1)}, "epoch": 1}, "weight_dict, epoch"),
        ({}, "none"),
        ([np.zeros(1)], "list"),
        (None, "NoneType"),
        ({"state_dict": {}}, "state_dict"),
    ],
)
def test_no_state_dict_says_what_is_there(loaded, said):
    with pytest.raises(InputError, match=said) as caught:
        unwrap(loaded)
    assert "\n" not in str(caught.value)


def test_a_dictionary_that_contains_itself_ends():
    loaded: dict = {}
    loaded["model"] = loaded
    with pytest.raises(InputError, match="no state dict"):
        unwrap(loaded)
