"""FaceQAN's attack against PyTorch, step by step, on a small smooth network."""

import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit_at_level

from prefiqs_jax.backbones import Preprocessing
from prefiqs_jax.quality import image_seeds
from prefiqs_jax.quality.faceqan import quality_of, similarities, uniform_noise
from prefiqs_jax.quality.keys import image_keys

quick_jit = jit_at_level(0)
PIXELS = Preprocessing(4, 4, mean=100.0, std=50.0)
SEEDS = jnp.asarray(image_seeds(["a", "b"]))


def network(params, images):
    return jnp.tanh(images.reshape(len(images), -1) @ params)


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    params = rng.normal(size=(48, 5)) * 0.1
    rgb_images = rng.uniform(0, 1, (2, 4, 4, 3))
    rgb_images[0, :2] = 1.0  # at the bound, where noise is clipped
    return params, (255 * rgb_images - PIXELS.mean) / PIXELS.std


def attacked(torch, params, image, noise, steps, epsilon):
    """Give the cosines of one image with its noisy copies: the published attack."""
    weights = torch.from_numpy(params)

    def embed(rgb_images):  # of pixels in [0, 1], the scaling inside, as published
        scaled = (255 * rgb_images - PIXELS.mean) / PIXELS.std
        return torch.tanh(scaled.reshape(len(scaled), -1) @ weights)

    rgb_image = torch.from_numpy((image * PIXELS.std + PIXELS.mean) / 255)[None]
    base = embed(rgb_image).detach()
    noisy = torch.clamp(rgb_image + epsilon * torch.from_numpy(noise), -1, 1)
    cosine = torch.nn.CosineSimilarity(dim=1)
    far = torch.nn.CosineEmbeddingLoss()
    found = []
    for _ in range(steps):
        noisy = noisy.detach().requires_grad_()
        embeddings = embed(noisy)
        far(base, embeddings, torch.ones(1)).backward()
        noisy = torch.clamp(noisy + epsilon * noisy.grad.sign(), -1, 1)
        found.append(cosine(base, embeddings.detach()).numpy())
    mirrored = cosine(base, embed(rgb_image.flip(2))).item()
    return mirrored, np.array(found)


def test_against_pytorch(case):
    torch = pytest.importorskip("torch")
    params, images = case
    samples, steps, epsilon = 3, 4, 0.01
    ours = quick_jit(
        similarities(
            network, PIXELS, samples=samples, steps=steps, epsilon=epsilon, seed=5
        )
    )(params, jnp.asarray(images), SEEDS)
    assert ours.shape == (1 + samples * steps, 2)
    keys = image_keys(5, SEEDS)
    for index, image in enumerate(images):
        noise = np.stack(
            [
                uniform_noise(keys, number, jnp.asarray(images))[index]
                for number in range(samples)
            ]
        )
        mirrored, found = attacked(torch, params, image, noise, steps, epsilon)
        np.testing.assert_allclose(ours[0, index], mirrored, rtol=1e-12)
        moved = ours[1:, index].reshape(samples, steps)
        np.testing.assert_allclose(moved, found.T, rtol=1e-9)
        assert (np.diff(moved, axis=1) < 0).all()  # every step leads away


def test_quality_by_hand():
    cosines = np.array([[0.5], [0.9], [0.7]])
    np.testing.assert_allclose(quality_of(cosines), (0.9 * 0.9 * 0.5) ** 5, rtol=1e-12)
    turned_away = quality_of(np.array([[-0.5], [0.9], [0.7]]))
    assert turned_away < 0  # an odd exponent keeps the sign


def test_noise_is_of_the_image_and_the_copy():
    keys = image_keys(0, SEEDS)
    images = jnp.zeros((2, 30, 30, 3))
    draw = quick_jit(uniform_noise)
    first, second = (np.asarray(draw(keys, n, images)) for n in (0, 1))
    alone = draw(keys[1:], 0, images[1:])
    np.testing.assert_array_equal(first[1], alone[0])
    assert (first != second).mean() > 0.99
    assert -1 <= first.min() < -0.99
    assert 0.99 < first.max() < 1
    np.testing.assert_allclose(first.mean(), 0, atol=4 / np.sqrt(3 * first.size))
