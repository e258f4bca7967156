"""Networks of the field's three families, as PyTorch exports them."""

import warnings

import numpy as np
import pytest

from prefiqs_jax.trees import is_prunable

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402


class Squeeze(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(width, 2, 1), nn.Conv2d(2, width, 1)
        self.prelu = nn.PReLU(2)

    def forward(self, x):
        gate = self.prelu(self.fc1(functional.adaptive_avg_pool2d(x, 1)))
        return x * torch.sigmoid(self.fc2(gate))


class Block(nn.Module):
    def __init__(self, width_in, width, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(width_in)
        self.conv1 = nn.Conv2d(width_in, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.se = Squeeze(width)
        self.downsample = nn.Sequential(
            nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, x):
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.se(self.bn3(self.conv2(y))) + self.downsample(x)


class IResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.prelu = nn.PReLU(4)
        self.layer1 = nn.Sequential(Block(4, 6, 2), Block(6, 6, 1))
        self.bn2 = nn.BatchNorm2d(6)
        self.dropout = nn.Dropout(0.4)
        self.fc = nn.Linear(6 * 8 * 8, 5)
        self.features = nn.BatchNorm1d(5)

    def forward(self, x):
        x = self.layer1(self.prelu(self.bn1(self.conv1(x))))
        x = self.dropout(torch.flatten(self.bn2(x), 1))
        return self.features(self.fc(x))


class MobileFaceNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.stem_bn, self.relu6 = nn.BatchNorm2d(8), nn.ReLU6()
        self.dw = nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False)
        self.dw_bn, self.dw_prelu = nn.BatchNorm2d(8), nn.PReLU(8)
        self.hard = nn.Hardswish()
        self.project = nn.Conv2d(8, 8, 1, bias=False)
        self.gdc = nn.Conv2d(8, 8, 8, groups=8, bias=False)
        self.gdc_bn = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, 5, bias=False)
        self.bn = nn.BatchNorm1d(5, affine=False)

    def forward(self, x):
        x = self.relu6(self.stem_bn(self.stem(x)))
        x = x + self.project(self.hard(self.dw_prelu(self.dw_bn(self.dw(x)))))
        x = self.gdc_bn(self.gdc(functional.max_pool2d(x, 3, 1, 1)))
        return functional.normalize(self.bn(self.linear(x.view(x.size(0), -1))))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, count, width = x.shape
        qkv = self.qkv(x).reshape(batch, count, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        weights = ((q @ k.transpose(-2, -1)) * self.scale).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, count, width))


class ViT(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.patch_embed = nn.Conv2d(3, width, 4, 4)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, 17, width))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, 2)
        self.mlp = nn.Sequential(
            nn.Linear(width, 16), nn.GELU(), nn.Linear(16, width), nn.ReLU6()
        )
        self.gamma = nn.Parameter(torch.rand(width))
        self.head = nn.Linear(2 * width, 5)

    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1)
        x = x + self.pos_embed
        x = x + self.gamma * self.attn(self.norm1(x))
        x = x + torch.roll(self.mlp(self.norm2(x)), 3, 1)
        return self.head(torch.cat([x[:, 0], x[:, 1:].mean(1)], 1))


def trained_looking(module):
    """Give every tensor values that no merging of equal tensors can take away."""
    generator = torch.Generator().manual_seed(0)
    for tensor in module.state_dict().values():
        if tensor.dtype.is_floating_point:
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.copy_(0.2 + noise if tensor.ndim < 2 else (noise - 0.5))
    return module.eval()


def export(module, path, *, opset, dynamic):
    axes = {"data": {0: "batch"}, "embedding": {0: "batch"}} if dynamic else None
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "You are using the legacy", DeprecationWarning
        )
        warnings.filterwarnings(
            "ignore", "The feature will be removed", DeprecationWarning
        )
        # Shapes read in Python: right for the one size that these networks take.
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        torch.onnx.export(
            module,
            (torch.zeros(1, 3, 16, 16),),
            str(path),
            opset_version=opset,
            input_names=["data"],
            output_names=["embedding"],
            dynamic_axes=axes,
            dynamo=False,
        )
    return path


@pytest.fixture(scope="module")
def rgb_images():
    return np.random.default_rng(0).normal(0, 1, (5, 3, 16, 16)).astype(np.float32)


NETWORKS = [IResNet, MobileFaceNet, ViT]


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [False, True], ids=["fixed", "dynamic"])
@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("make", NETWORKS)
def test_equals_pytorch(make, opset, dynamic, tmp_path, rgb_images, ours, session):
    torch.manual_seed(0)
    module = trained_looking(make())
    path = export(module, tmp_path / "net.onnx", opset=opset, dynamic=dynamic)
    network = ours(path)
    images = rgb_images.transpose(0, 2, 3, 1)
    found = network(images)
    with torch.no_grad():
        expected = module(torch.from_numpy(rgb_images)).numpy()
    runtime = session(path, rgb_images, one_by_one=not dynamic)
    size = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * size)
    np.testing.assert_allclose(found, runtime, rtol=0, atol=1e-5 * size)
    if opset == 17:
        alone = np.concatenate([network(image[None]) for image in images])
        np.testing.assert_allclose(found, alone, rtol=0, atol=1e-6 * size)


@pytest.mark.slow
def test_names_are_those_of_the_modules(tmp_path, ours):
    torch.manual_seed(0)
    files = {
        m: export(trained_looking(m()), tmp_path / m.__name__, opset=17, dynamic=False)
        for m in NETWORKS
    }
    resnet, mobile, vit = (ours(files[m]).network for m in NETWORKS)
    kernels = {k: v.shape for k, v in resnet.tensors.items() if v.ndim > 1}
    blocks = {
        f"params/layer1.{i}.{name}/kernel": shape
        for i, width in ((0, 4), (1, 6))
        for name, shape in {
            "conv1": (3, 3, width, 6),
            "conv2": (3, 3, 6, 6),
            "se.fc1": (1, 1, 6, 2),
            "se.fc2": (1, 1, 2, 6),
            "downsample.0": (1, 1, width, 6),
        }.items()
    }
    assert kernels == {
        "params/conv1/kernel": (3, 3, 3, 4),
        **blocks,
        "params/fc/kernel": (384, 5),
    }
    # The patch embedding has a bias of its own, or else is merged: nothing tells.
    assert (resnet.folded, mobile.folded, vit.folded) == (True, True, None)
    assert mobile.tensors["params/dw/kernel"].shape == (3, 3, 1, 8)
    assert mobile.tensors["params/dw_prelu/slope"].shape == (8,)
    assert mobile.tensors["params/linear/kernel"].shape == (8, 5)
    prunable = {k for k, v in vit.tensors.items() if is_prunable(k, v)}
    assert prunable == {
        "params/patch_embed/kernel",
        *(f"params/{n}/kernel" for n in ("attn.qkv", "attn.proj", "head")),
        *(f"params/mlp.{i}/kernel" for i in (0, 2)),
    }
    assert vit.tensors["params/pos_embed/table"].shape == (1, 17, 8)
    assert vit.tensors["params/cls_token/table"].shape == (8,)
    assert vit.tensors["params/norm1/scale"].shape == (8,)
    assert vit.tensors["params/attn.qkv/bias"].shape == (24,)
