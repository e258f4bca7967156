"""Directive that writes what the package itself knows: ``{generated} NAME``."""

from collections import Counter
from collections.abc import Callable

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList


def networks() -> list[str]:
    """Write a table of all networks, as ``prefiqs backbones`` lists them."""
    from prefiqs_jax.backbones.zoo import describe

    header = ["name", "network", "input", "embedding", "weights", "licence of the code"]
    return table(header, [(f"`{name}`", *rest) for name, *rest in describe()])


def verified() -> list[str]:
    """Write what the networks are verified against, and how many by each."""
    from prefiqs_jax.backbones.verified import KINDS
    from prefiqs_jax.backbones.verified import verified as kind_of
    from prefiqs_jax.backbones.zoo import ARCHITECTURES

    kinds = {name: kind_of(name) for name in ARCHITECTURES}
    counts = Counter(kinds.values())
    rows = []
    for kind, words in KINDS.items():
        names = [f"`{name}`" for name, found in kinds.items() if found == kind]
        rows.append((words, str(counts[kind]), ", ".join(names)))
    rows.append(("in all", str(len(kinds)), ""))
    return table(["verified against", "networks", "which"], rows)


def columns() -> list[str]:
    """Write the columns of a run's rows, and what each is."""
    from sphinx.pycode import ModuleAnalyzer

    from prefiqs_jax.results import COLUMNS, EXTRAS, DriftRow

    said = ModuleAnalyzer.for_module(DriftRow.__module__).find_attr_docs()
    rows = [
        (f"`{name}`", " ".join(said[DriftRow.__name__, name]).strip())
        for name in COLUMNS
    ]
    rows += [
        (f"`{name}`", f"with `--with {word}`")
        for word, names in EXTRAS.items()
        for name in names
    ]
    return table(["column", "what it is"], rows)


def masks() -> list[str]:
    """Write tables of all allocations and scores, as ``prefiqs masks`` lists them."""
    from prefiqs_jax.masks import ALLOCATIONS
    from prefiqs_jax.masks.scores import find_score, score_names

    entries = [find_score(name) for name in score_names()]
    return [
        *table(
            ["allocation", "where weights are taken from"],
            [(f"`{a.name}`", a.description) for a in ALLOCATIONS.values()],
        ),
        "",
        *table(
            ["score", "which weights go first", "cost"],
            [(f"`{e.name}`", e.description, e.cost) for e in entries],
        ),
    ]


def methods() -> list[str]:
    """Write a table of the quality methods, and what they need."""
    from prefiqs_jax.quality import METHODS

    return table(
        ["method", "quality", "forward passes", "published in"],
        [
            (f"`{m.name}`", m.description, m.forwards, m.source)
            for m in METHODS.values()
        ],
    )


def table(header: list[str], rows: list[tuple[str, ...]]) -> list[str]:
    """Write a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return [
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |"
        for line in lines
    ]


MADE: dict[str, Callable[[], list[str]]] = {
    made.__name__: made for made in (networks, verified, columns, masks, methods)
}


class Generated(Directive):
    """Parse what a function of ``MADE`` writes as if it stood on the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return its nodes."""
        lines = MADE[self.arguments[0]]()
        found = nodes.container()
        self.state.nested_parse(StringList(lines, "generated"), 0, found)
        return found.children


def setup(app) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("generated", Generated)
    return {"parallel_read_safe": True}
