"""GraFIQs against PyTorch's autograd on twins, image by image, in float64."""

import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit_at_level

from prefiqs_jax.backbones.taps import NormInput, Observed
from prefiqs_jax.quality.grafiqs import gradient_magnitudes, statistics_loss

quick_jit = jit_at_level(0)
# Where the four stages end, by the paths of the published code.
ENDS = {
    "iresnet": ["layer1", "layer2", "layer3", "layer4"],
    "adaface": ["body.1", "body.2", "body.3", "body.4"],
}


def published(torch, twin, ends, image):
    """Compute the five raw scores of one image as the definition has it."""
    losses, outputs = [], {}

    def mismatch(module, received, _output):
        x = received[0]
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        mse = torch.nn.functional.mse_loss
        losses.append(mse(mean, module.running_mean) + mse(var, module.running_var))

    handles = [
        module.register_forward_hook(mismatch)
        for module in twin.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    ]
    for path in ends:
        handles.append(
            twin.get_submodule(path).register_forward_hook(
                lambda _module, _received, y, path=path: outputs.update({path: y})
            )
        )
    x = torch.from_numpy(image.transpose(2, 0, 1)[None].copy()).requires_grad_()
    twin(x)
    for handle in handles:
        handle.remove()
    loss = sum(losses) / len(losses)
    gradients = torch.autograd.grad(loss, [x, *(outputs[path] for path in ends)])
    return [gradient.abs().sum().item() for gradient in gradients]


@pytest.mark.twins
@pytest.mark.parametrize("name", ENDS)
def test_against_autograd(name):
    torch = pytest.importorskip("torch")
    from quality.quality_networks import twin_sample

    twin, taps, params, images = twin_sample(name)
    expected = [published(torch, twin, ENDS[name], image) for image in images]
    scores = quick_jit(gradient_magnitudes(taps.observe))
    ours = scores(params, images, jnp.zeros(2, jnp.uint32))
    assert ours.shape == (5, 2)
    np.testing.assert_allclose(ours, np.transpose(expected), rtol=1e-9)


def test_every_batchnorm_counts_alike_and_no_image_sees_another():
    rng = np.random.default_rng(0)
    inputs = [rng.normal(1, 2, (3, 4, 5, c)) for c in (2, 7)]
    norms = [
        NormInput(jnp.asarray(x), *(rng.uniform(0.5, 1, (2, x.shape[-1]))))
        for x in inputs
    ]
    found = statistics_loss(Observed(jnp.zeros((3, 1)), norms, []))
    for image in range(3):
        total = 0.0
        for x, norm in zip(inputs, norms, strict=True):
            pixels = x[image].reshape(20, -1)
            off = (pixels.mean(0) - norm.mean) ** 2 + (pixels.var(0) - norm.var) ** 2
            total += off.mean() / 2
        np.testing.assert_allclose(found[image], total, rtol=1e-12)
