"""Where the official weights of each network are: on the hub, or where the authors say.

A file is listed only if its repository is the authors' own or a public source states
that it is the authors' file: the comments name that source. A digest is listed only if
a public source states it.
"""

from prefiqs_jax.weights.hub import HubFile

# README of deepinsight/insightface, "License"; the same in the model zoo of its
# recognition/arcface_torch/README.md.
_INSIGHTFACE = "non-commercial research (InsightFace)"
# Model cards of minchul/cvlface_*: "license: mit", and "Please cite the orignal paper
# and follow the license of the training dataset."
_CVLFACE = "MIT, and the licence of the training data WebFace (non-commercial research)"

_ARCFACE_TORCH = (
    "OneDrive and Baidu, linked under Model Zoo in recognition/arcface_torch/README.md "
    "of https://github.com/deepinsight/insightface"
)
_MAGFACE = (
    "Google Drive and Baidu, linked under Model Zoo in the README of "
    "https://github.com/IrvingMeng/MagFace"
)
_ADAFACE_NONE = (
    "none published: the README of https://github.com/mk-minchul/AdaFace lists R18, "
    "R50 and R100 only"
)

_EVOLVE = (
    "Google Drive and Baidu, linked under Model Zoo in the README of "
    "https://github.com/ZhaoJ9014/face.evoLVe"
)

_GRAFIQS = (
    "https://share.jankolf.de/s/WWCXmNkj7FTcRpR, linked in the README of "
    "https://github.com/jankolf/GraFIQs (CC BY-NC 4.0)"
)
_CRFIQA = "Google Drive, {} in the README of https://github.com/fdbtrs/CR-FIQA"

# The README of mk-minchul/CVLface links these repositories of the authors. Each holds
# the network twice: model.safetensors, names prefixed with model.net., and
# pretrained_model/model.pt, prefixed with net. They expect RGB (color_space in their
# config.json), unlike the checkpoints of mk-minchul/AdaFace ("our pretrained model
# takes the input in BGR color channel", its README).


def _cvlface(name: str, revision: str, sha256: str) -> HubFile:
    return HubFile(
        f"minchul/cvlface_adaface_{name}",
        "model.safetensors",
        revision,
        sha256,
        _CVLFACE,
        channels="RGB",
    )


def _arcface_torch(name: str, sha256: str) -> HubFile:
    # The authors publish on OneDrive and Baidu only. This is a copy that others made;
    # the digests are those of its LFS pointers (commit 5aac434), and equal those of
    # independent copies: camenduru/show (R100), torphix/face (R50).
    return HubFile(
        "lithiumice/ArcFace_PyTorch",
        name,
        "5aac4346938ae100f5145f549c4540d8bf7feb6c",
        sha256,
        _INSIGHTFACE,
    )


OFFICIAL: dict[str, HubFile | str] = {
    **dict.fromkeys(
        (
            *("arcface_iresnet18", "arcface_iresnet34", "arcface_iresnet200"),
            *("arcface_mobilefacenet", "arcface_mobilefacenet_large"),
            *("arcface_vit_t", "arcface_vit_s", "arcface_vit_b", "arcface_vit_l"),
        ),
        _ARCFACE_TORCH,
    ),
    **dict.fromkeys(("magface_iresnet50", "magface_iresnet100"), _MAGFACE),
    **dict.fromkeys(("grafiqs_iresnet50", "grafiqs_iresnet100"), _GRAFIQS),
    **dict.fromkeys(("adaface_ir34", "adaface_ir152", "adaface_ir200"), _ADAFACE_NONE),
    "arcface_iresnet50": _arcface_torch(
        "ms1mv3_arcface_r50_fp16.pth",
        "ef005ba502a2d0f40e7b94245054d3a23e375776f7035080fcbce45ae49cfb01",
    ),
    "arcface_iresnet100": _arcface_torch(
        "ms1mv3_arcface_r100_fp16.pth",
        "a566a62357f0c55b679d9ff2f022a294486568be0c00665d39029d0e46a8109b",
    ),
    "evolve_ir50": _EVOLVE,
    "evolve_ir152": _EVOLVE,
    "insightface_pytorch_ir_se50": (
        "OneDrive and Baidu, linked in the README of "
        "https://github.com/TreB1eN/InsightFace_Pytorch"
    ),
    "magface_iresnet18": (
        "none published: the README of https://github.com/IrvingMeng/MagFace lists "
        "iResNet50 and iResNet100 only"
    ),
    "elasticface_iresnet100": (
        "Google Drive, linked in the README of https://github.com/fdbtrs/ElasticFace "
        "(Arc, Cos, Arc+, Cos+; CC BY-NC-SA 4.0)"
    ),
    "crfiqa_iresnet50": _CRFIQA.format("CR-FIQA(S)"),
    "crfiqa_iresnet100": _CRFIQA.format("CR-FIQA(L)"),
    "curricularface_ir50": (
        "none published: the README of https://github.com/HuangYG123/CurricularFace "
        "lists IR101 only"
    ),
    # The authors publish CurricularFace_Backbone.pth on Google Drive and Baidu (README
    # of HuangYG123/CurricularFace). This is the copy that StyleFeatureEditor's authors
    # keep under that name; the digest is that of its LFS pointer.
    "curricularface_ir101": HubFile(
        "AIRI-Institute/StyleFeatureEditor",
        "pretrained_models/CurricularFace_Backbone.pth",
        "main",
        "031ea0f7ba5f46905980cc446f0bbf9539e361246bff95f7077efffe2f110e04",
        "MIT for the code (LICENSE); nothing is said of the weights",
    ),
    # Revision and digest: stated alike by several projects that pin this file.
    "adaface_ir18": _cvlface(
        "ir18_webface4m",
        "0dd53f188fa27968b0a1326970ebf4aeb37ce2ca",
        "3a416518b11ece107b43385fc3678aad1d4f2405fde9f58f0be7f530230e368b",
    ),
    "adaface_ir50": _cvlface(
        "ir50_webface4m",
        "fe7718c6dc8af1b9946e0de778167c1695dd8814",
        "da82e6e1dbe98ce23afb78283b858ad65e32484a2bac82e9adae298d04ff845d",
    ),
    "adaface_ir101": _cvlface(
        "ir101_webface12m",
        "54f602a0737bd1ee4a4e7e9fd089a485f397fefd",
        "2ea535a43877bd3de8091903935c783ce335be66a9f8917fae9a7a18ae4bbf56",
    ),
    "xiaoccer_mobilefacenet": (
        "model/best/068.ckpt in https://github.com/Xiaoccer/MobileFaceNet_Pytorch"
    ),
    # arcface_r100_v1 of InsightFace's MXNet model zoo, raw pixels 0 to 255; digest of
    # the LFS pointer at commit d30d2b3, which added the file.
    "mxnet_iresnet100": HubFile(
        "public-data/insightface",
        "models/arcface_r100_v1/model-0000.params",
        "33c1063c49c785b7652d3fd529f86fa4f149392b",
        "931257c0b7174254fd81314706f2591cc6d1dd7299275bb8cf01c774ed0da8be",
        _INSIGHTFACE,
    ),
    # Of buffalo_l.zip of InsightFace's release v0.7. The digest is stated in
    # uniface/constants.py of yakhyo/uniface, and by LFS pointers of other copies.
    "insightface_iresnet50": HubFile(
        "public-data/insightface",
        "models/buffalo_l/w600k_r50.onnx",
        "33c1063c49c785b7652d3fd529f86fa4f149392b",
        "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
        _INSIGHTFACE,
    ),
    # Of antelopev2.zip of the same release; several projects that take it from this
    # repository state the digest, as does the LFS pointer in
    # XuminYu/example_safetensors.
    "insightface_iresnet100": HubFile(
        "DIAMONIK7777/antelopev2",
        "glintr100.onnx",
        "main",
        "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf",
        _INSIGHTFACE,
    ),
    # The authors' own repository; digest of its LFS pointer, licence of its card.
    "auraface_iresnet100": HubFile(
        "fal/AuraFace-v1",
        "glintr100.onnx",
        "af6d057c9b0ec4071d4c49c80e3539258798b609",
        "a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60",
        "Apache-2.0",
    ),
    # Of buffalo_s.zip of the same release; digest in yakhyo/uniface, and of projects
    # that take it from this repository at this commit.
    "insightface_mobilefacenet": HubFile(
        "deepghs/insightface",
        "buffalo_s/w600k_mbf.onnx",
        "4e1f33d3fe0e50a0945f3a53ab94ae8977ae7ddb",
        "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f",
        _INSIGHTFACE,
    ),
    # OpenCV's own repository; digest of the LFS pointer in opencv/opencv_zoo (commit
    # edef535), licence of its folder models/face_recognition_sface.
    "sface": HubFile(
        "opencv/face_recognition_sface",
        "face_recognition_sface_2021dec.onnx",
        "3d7082438a6e4551e840c9b2bb60b71e8da4b524",
        "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
        "Apache-2.0",
    ),
}
"""Backbone to its file on the hub, or to a line that says where the authors publish."""
