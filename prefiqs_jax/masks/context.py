"""What scores may ask about a network and its data: computed once, image by image."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.compilation import compiler_options
from prefiqs_jax.masks.derivatives import (
    Stream,
    dense_embeddings,
    gradient_moments,
    hessian_diagonal,
    hessian_product,
    highest,
    jvp_norms,
    mean_gradient,
)
from prefiqs_jax.masks.inputs import input_squares, leaf_axes, trace_inputs
from prefiqs_jax.masks.losses import Loss, instance_discrimination
from prefiqs_jax.trees import named_leaves
from prefiqs_jax.types import ApplyFn, Params

BATCH = 16


class ByLeaf(dict[str, Any]):
    """Arrays by leaf name; asking for another one says what there is."""

    def __init__(self, what: str, values: Mapping[str, Any], why: str = ""):
        super().__init__(values)
        self._what, self._why = what, why

    def __missing__(self, name: str) -> Any:
        """Raise InputError."""
        message = f"{name} has no {self._what}" + (
            f": {self._why}" if self._why else ""
        )
        raise InputError(message)


class Context:
    """A network and calibration images, and what scores ask of them.

    Every property is computed when it is first asked for, and once, whichever scores
    ask. Images go through the network a batch at a time; nothing is held for more than
    a batch of them but sums of the weights' shape.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings, shape (batch, dim).
    images
        Calibration images as the network expects them, shape (count, height, width,
        channels).
    key
        Seed or key of random probes.
    loss
        Per-image loss of unit embeddings, for :attr:`gradients` and what derives from
        them; default :func:`instance_discrimination`.
    probes
        Random vectors an image, for :attr:`jvp_contribution` and :attr:`curvature`.
    earlier
        Weights of an earlier checkpoint of the same network, for movement.
    batch_size
        Images at once.
    params
        Weights that the properties are of. :meth:`bind` sets them: a mask function does
        so itself.

    Raises
    ------
    InputError
        If there is no image.

    Examples
    --------
    Wanda, as its paper has it:

    >>> def wanda(name, weights, context):
    ...     return abs(weights) * context.input_norms[name]
    >>> from prefiqs_jax.masks import per_output
    >>> params = {"fc": np.array([[1.0, 2.0], [3.0, 1.0]], np.float32)}
    >>> images = np.array([[8.0, 1.0], [6.0, 0.0]], np.float32)
    >>> context = Context(lambda p, x: x @ p["fc"], images)
    >>> per_output(wanda)(params, 0.5, context=context)["fc"].tolist()
    [[True, True], [False, False]]
    """

    def __init__(
        self,
        apply_fn: ApplyFn,
        images: ArrayLike,
        key: Array | int = 0,
        *,
        loss: Loss | None = None,
        probes: int = 1,
        earlier: Params | None = None,
        batch_size: int = BATCH,
        params: Params | None = None,
    ):
        self.images = np.asarray(images)
        if not self.images.ndim or not len(self.images):
            message = "no calibration images: give at least one"
            raise InputError(message)
        self.apply_fn = apply_fn
        self.key = jax.random.key(key) if isinstance(key, int | np.integer) else key
        self.params = params
        self._loss = loss
        self._earlier = earlier
        size = max(1, min(batch_size, len(self.images)))
        self._stream = Stream(apply_fn, self.images, size, self.key, probes)
        self._bound: list[Context] = []

    def bind(self, params: Params) -> "Context":
        """Return the context of these weights: the same one for the same arrays."""
        if self.params is params:
            return self
        wanted = jax.tree.leaves(params)
        for known in self._bound:
            leaves = jax.tree.leaves(known.params)
            if len(leaves) == len(wanted) and all(map(_same, leaves, wanted)):
                return known
        made = Context(
            self.apply_fn,
            self.images,
            self.key,
            loss=self._loss,
            probes=self._stream.probes,
            earlier=self._earlier,
            batch_size=self._stream.batch_size,
            params=params,
        )
        self._bound.append(made)
        return made

    def once(self, compute: Callable[["Context"], Any]) -> Any:
        """Call ``compute(context)`` the first time, and give what it gave ever after.

        For what a score of your own needs of the whole network.
        """
        known = self.__dict__.setdefault("_computed", {})
        if compute not in known:
            known[compute] = compute(self)
        return known[compute]

    @functools.cached_property
    def embeddings(self) -> NDArray:
        """Dense unit embeddings of the calibration images, shape (images, dim)."""
        found = dense_embeddings(self._stream, self._params())
        bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if bad.size:
            message = (
                f"the embedding of calibration image {bad[0]} is zero or not finite; "
                "leave it out"
            )
            raise InputError(message)
        return found

    @functools.cached_property
    def loss(self) -> Loss:
        """Per-image loss of unit embeddings: as given, or instance discrimination."""
        return self._loss or instance_discrimination(jnp.asarray(self.embeddings))

    @functools.cached_property
    def input_norms(self) -> Mapping[str, NDArray]:
        """Norm of the inputs that each weight meets, over all images and places.

        In a dense layer ‖X_j‖₂, the norm of input feature j; in a convolution the same
        at each place of the filter, so that padding counts as the zeros that it is.
        Shaped as the weights. Leaves that are in no product, or behind a loop, have
        none.

        References
        ----------
        Sun et al. (2024). A simple and effective pruning approach for large language
        models. ICLR. arXiv:2306.11695, Equation 1.
        """
        params = self._params()
        squares = functools.partial(input_squares, self.apply_fn)
        step = jax.jit(squares, compiler_options=compiler_options())
        total: list[Any] | None = None
        size = self._stream.batch_size
        with highest():
            for start in range(0, len(self.images), size):
                found = step(params, jnp.asarray(self.images[start : start + size]))
                total = (
                    found
                    if total is None
                    else [
                        None if a is None else a + b
                        for a, b in zip(total, found, strict=True)
                    ]
                )
        assert total is not None
        names = [name for name, _ in named_leaves(params)]
        norms = {
            n: np.sqrt(np.asarray(sq))
            for n, sq in zip(names, total, strict=True)
            if sq is not None
        }
        return ByLeaf(
            "input norms",
            norms,
            "it meets no image in a product, or through a loop or another operation",
        )

    @functools.cached_property
    def gradients(self) -> Mapping[str, NDArray]:
        """Gradient of the mean loss over the images. Shaped as the weights."""
        found = mean_gradient(self._stream, self._params(), self.loss)
        return self._by_leaf("gradient", found)

    @functools.cached_property
    def _moments(self) -> tuple[Mapping[str, NDArray], Mapping[str, NDArray]]:
        """Mean square and mean absolute value of per-example gradients."""
        squares, sizes = gradient_moments(self._stream, self._params(), self.loss)
        return (
            self._by_leaf("second moment", squares),
            self._by_leaf("absolute gradient", sizes),
        )

    @property
    def second_moments(self) -> Mapping[str, NDArray]:
        """Mean over images of the squared per-example gradient: the empirical Fisher's
        diagonal. Shaped as the weights."""  # noqa: D205, D209 (one sentence)
        return self._moments[0]

    @property
    def absolute_gradients(self) -> Mapping[str, NDArray]:
        """Mean over images of each one's absolute gradient. Shaped as the weights."""
        return self._moments[1]

    @functools.cached_property
    def jvp_contribution(self) -> Mapping[str, NDArray]:
        """First-order drift for each unit that one weight alone changes.

        The norm ‖J_θ z(x; θ) e_k‖ of the embedding's derivative by weight k, root mean
        square over images: ``|θ_k|`` times it is the first-order drift of pruning that
        weight alone. The D rows of J are not computed one by one: for a random sign
        vector ε, E (∂⟨ε, z⟩/∂θ_k)² is the squared norm (Hutchinson), and ``probes`` of
        them are drawn for each image. Shaped as the weights.
        """
        found = jvp_norms(self._stream, self._params())
        return self._by_leaf("JVP contribution", found)

    @functools.cached_property
    def hessian_gradient(self) -> Mapping[str, NDArray]:
        """Hessian of the mean loss times its gradient. Shaped as the weights."""
        direction = self._tree(self.gradients)
        found = hessian_product(self._stream, self._params(), self.loss, direction)
        return self._by_leaf("Hessian-gradient product", found)

    @functools.cached_property
    def curvature(self) -> Mapping[str, NDArray]:
        """Diagonal of the Hessian of the mean loss, by Hutchinson's sign probes.

        v ⊙ H v has the diagonal as its mean over random signs v; ``probes`` of them are
        drawn for each batch. Shaped as the weights.

        References
        ----------
        Bekas, Kokiopoulou and Saad (2007). An estimator for the diagonal of a matrix.
        Applied Numerical Mathematics 57.
        """
        found = hessian_diagonal(self._stream, self._params(), self.loss)
        return self._by_leaf("curvature", found)

    @functools.cached_property
    def earlier(self) -> Mapping[str, NDArray]:
        """Weights of the earlier checkpoint, by leaf name."""
        if self._earlier is None:
            message = (
                "this score compares two checkpoints; give the weights of the earlier "
                "one: Context(..., earlier=params), or --earlier on the command line"
            )
            raise InputError(message)
        now = dict(named_leaves(self._params()))
        then = dict(named_leaves(self._earlier))
        for name, weights in now.items():
            if name not in then or np.shape(then[name]) != np.shape(weights):
                message = (
                    f"the earlier checkpoint has no {name} of shape {np.shape(weights)}"
                )
                raise InputError(message)
        return ByLeaf("earlier weights", {n: np.asarray(w) for n, w in then.items()})

    def order(self, name: str) -> int:
        """Return the place of a leaf's product in the network, 0 = first.

        Raises
        ------
        InputError
            If it takes part in no product that can be followed.
        """
        _, places, _ = self._products
        if name not in places:
            message = (
                f"{name} is in no product that can be followed, so its place in the "
                "network is unknown; use an allocation that needs none"
            )
            raise InputError(message)
        return places[name]

    def axes(self, name: str, last: int) -> tuple[int, int]:
        """Return the axes of a leaf's outputs and input channels.

        Parameters
        ----------
        name
            Name of the leaf.
        last
            Its last axis: the outputs, as in Flax, where the program does not tell.
        """
        found, _, _ = self._products
        outputs, inputs = found.get(name, (None, None))
        outputs = last if outputs is None else outputs
        if inputs is None or inputs == outputs:
            inputs = last - 1 if outputs == last else outputs + 1
        return outputs, inputs

    @functools.cached_property
    def _products(
        self,
    ) -> tuple[dict[str, tuple[int | None, int | None]], dict[str, int], list[str]]:
        """Axes and places of the leaves, from the traced program; nothing is run."""
        params = self._params()
        named = named_leaves(params)
        kept: dict[str, Any] = {}

        def trace(leaves: Any, images: Any) -> Any:
            kept["found"] = trace_inputs(self.apply_fn, leaves, images)
            return 0

        jax.eval_shape(trace, params, self.images[:1])
        uses, order, lost = kept["found"]
        axes = {
            name: leaf_axes(of[0], np.shape(leaf))
            for (name, leaf), of in zip(named, uses, strict=True)
            if of
        }
        places = {named[index][0]: place for place, index in enumerate(order)}
        return axes, places, [named[index][0] for index in lost]

    def _params(self) -> Params:
        if self.params is None:
            message = "the context has no weights yet; call context.bind(params)"
            raise InputError(message)
        return self.params

    def _tree(self, by_name: Mapping[str, Any]) -> Params:
        structure = jax.tree.structure(self._params())
        return structure.unflatten(by_name[n] for n, _ in named_leaves(self._params()))

    def _by_leaf(self, what: str, tree: Any) -> Mapping[str, NDArray]:
        found = ByLeaf(what, dict(named_leaves(tree)))
        for name, values in found.items():
            if not np.isfinite(values).all():
                message = (
                    f"the {what} of {name} is not finite on the calibration images; "
                    "give others, or another loss"
                )
                raise InputError(message)
        return found


def _pairs(one: Any, other: Any) -> Any:
    return zip(one, other, strict=True)


def _same(one: Any, other: Any) -> bool:
    return one is other
