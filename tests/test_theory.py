"""The tests that docs/theory.md names are there, and costs are those it states."""

import re
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from counting import KEY, convolutions, example, network

from prefiqs_jax.masks import globally, magnitude
from prefiqs_jax.masks.packed import pack_masks
from prefiqs_jax.results import EXTRAS, TABLES
from prefiqs_jax.results.schema import PROBES
from prefiqs_jax.sensitivity import (
    CONTROLS,
    contributions_given,
    control_directions,
    control_responses,
    drift,
    embed,
    embedding_jvp,
    expected_squared_drift,
    kink_split,
    layer_contributions,
    linearise_kinks,
    open_kinks,
    path_layer_contributions,
    pixel_gradient,
    sign_flips,
    taylor,
)
from prefiqs_jax.sensitivity.kinks import activations
from prefiqs_jax.sensitivity.path import KINK_NODES, NODES, _integrate
from prefiqs_jax.sweep.engine import make_step, prepare
from prefiqs_jax.sweep.extras import REPLICATES, plan_extras
from prefiqs_jax.sweep.strategy import Strategy

ROOT = Path(__file__).resolve().parents[1]
PAGE = "docs/first_order.md"


def shared_pass(params, delta, images, is_split):
    """First order, drift, both kinds of flips and the split, as in a sweep."""
    found = linearise_kinks(open_kinks(network, params, images), params, images)
    both = found.expand(delta), found.prune(delta)
    return (*both, found.frozen(delta)) if is_split else both


def panel(nodes, params, delta, images):
    """One panel of the path, and one of its ends."""
    bounds = jnp.zeros(()), jnp.ones(())
    ends = embed(network, params, images)
    return _integrate(network, nodes, params, delta, images, *bounds), ends


def probes(count, params, delta, images):
    drawn_from = control_directions("gaussian", params, delta)
    return expected_squared_drift(
        network, params, drawn_from, images, probes=count, key=KEY
    )


def along_one(params, delta, images):
    ones = jnp.ones((len(images), 4))
    return contributions_given(network, params, delta, images, ones)


FUNCTIONS = {
    "`embed`": lambda params, _, images: embed(network, params, images),
    "`drift`": partial(drift, network),
    "`sign_flips`, with the drift": partial(sign_flips, activations(network)),
    "`embedding_jvp`": partial(embedding_jvp, network),
    "first order, drift, both kinds of flips": partial(shared_pass, is_split=False),
    "… and the frozen network (`linearise_kinks`)": partial(shared_pass, is_split=True),
    "`kink_split`": partial(kink_split, network),
    "`taylor`, order 2": partial(taylor, network, order=2),
    "`taylor`, order 3": partial(taylor, network, order=3),
    "`path_integral`, 8 nodes": partial(panel, NODES),
    "`path_integral`, 2 nodes": partial(panel, KINK_NODES),
    "`contributions_given`": along_one,
    "`layer_contributions`": partial(layer_contributions, network),
    "`path_layer_contributions`, 8 nodes": partial(
        path_layer_contributions, network, nodes=8
    ),
    "`pixel_gradient`": partial(pixel_gradient, network),
    "`control_responses`, 13 directions": partial(
        control_responses, network, kinds=CONTROLS, replicates=REPLICATES, key=KEY
    ),
    "`expected_squared_drift`, 8 probes": partial(probes, 8),
}


def rows(page, first):
    """Give the cells of a table whose first line begins with a word."""
    text = (ROOT / page).read_text(encoding="utf-8")
    (table,) = re.findall(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.M)
    return [re.split(r" *\| *", line.strip("| ")) for line in table.splitlines()]


COUNTED = {name: int(cells[0]) for name, *cells in rows("docs/theory.md", "function")}


def test_every_cost_is_counted():
    assert COUNTED.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_passes_are_counted(name):
    def count(depth):
        params, images = example(depth)
        program = jax.make_jaxpr(FUNCTIONS[name])(params, params, images)
        return convolutions(program.jaxpr)

    assert count(4) - count(3) == COUNTED[name]


def passes_of_a_sweep(words):
    """Give the forward passes of a row, and of a batch besides."""

    def count(depth, sparsities):
        params, images = example(depth)
        packed = pack_masks(globally(magnitude), params, sparsities)
        extras = plan_extras(words, "it", network, params, packed, images.shape[1:])
        problem = prepare(network, params, packed, extras=extras)
        step = make_step(problem, Strategy())
        return convolutions(jax.make_jaxpr(step)(*problem.weights, images).jaxpr)

    two, three = (
        count(4, sparsities) - count(3, sparsities)
        for sparsities in ([0.2, 0.4], [0.2, 0.4, 0.6])
    )
    return three - two, 3 * two - 2 * three


def test_every_measurement_is_on_the_page():
    found = {word.strip("`"): columns for word, columns, *_ in rows(PAGE, "word")}
    assert found.keys() == EXTRAS.keys()
    for word, columns in found.items():
        own = re.findall(r"`(\w+)`", columns.partition("table")[0])
        assert tuple(own) == EXTRAS[word]
        assert ("table" in columns) == (word in TABLES)


@pytest.mark.parametrize("word", EXTRAS)
def test_passes_of_a_measurement(word):
    """The page: forward passes more for each image and sparsity."""
    (cells,) = [cells for name, *cells in rows(PAGE, "word") if name == f"`{word}`"]
    alone = int(cells[1])
    more = {"taylor3": ("taylor2", "taylor3")}.get(word, (word,))
    row, batch = passes_of_a_sweep(more)
    assert row == 3 + alone
    # Directions have a pass of their own, and so have layers beside kinks.
    own = {"controls": 1, "validity": 1, "expected": 1, "metric": 1 + 2 * PROBES}
    if word == "layers":
        assert passes_of_a_sweep(("kinks", word)) == (4 + alone + 1, 2)
    assert batch == 1 + own.get(word, 0)
    if word.startswith("taylor"):
        # They share the dense pass and the first order.
        assert passes_of_a_sweep((*more, "kinks")) == (4 + alone, 1)


def test_named_tests_exist():
    text = (ROOT / "docs/theory.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.M)[1:]
    for section in sections:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", section)
        assert named, section
        for path, name in named:
            code = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"^def {name}\(", code, re.M), (path, name)
    for line in re.findall(r"^\| .*\|$", text.partition("## 12")[0], re.M):
        assert "::" in line or line == "| statement | test |", line
