"""MobileNetV2, laid out so that the ImageNet weights that torchvision publishes load strictly.

Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
CVPR 2018, arXiv:1801.04381. Each block widens its input with a 1 x 1 convolution, filters it with a
depthwise 3 x 3 convolution, and narrows it again with a 1 x 1 convolution that no activation follows.
"""

from torch import Tensor, nn

_STEM, _HEAD = 32, 1280
# Table 2 of the paper, one row a stage: expansion, output channels, blocks, stride of the first block.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def _conv_norm_act(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return _conv_norm(inputs, outputs, kernel, stride, groups).append(nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """Expand, filter depthwise, project; with a skip connection where the shape is kept (section 3.3).

    Args:
        inputs: Input channels.
        outputs: Output channels.
        stride: Stride of the depthwise convolution, 1 or 2.
        expansion: Hidden channels per input channel; 1 leaves the expanding convolution out.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [] if expansion == 1 else [_conv_norm_act(inputs, hidden, 1)]
        depthwise = _conv_norm_act(hidden, hidden, 3, stride, groups=hidden)
        # The projection is spread, not nested: the published keys are conv.N.weight, not conv.N.0.weight.
        self.conv = nn.Sequential(*expand, depthwise, *_conv_norm(hidden, outputs, 1))
        self.has_skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[batch, inputs, h, w]`` to ``[batch, outputs, h / stride, w / stride]``, rounded up."""
        y: Tensor = self.conv(x)
        return x + y if self.has_skip else y


class MobileNetV2(nn.Module):
    """The network at width 1.0: 3,504,872 parameters at 1,000 classes.

    Args:
        classes: Number of outputs.
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv_norm_act(3, _STEM, 3, stride=2)]
        width = _STEM
        for expansion, outputs, blocks, stride in _STAGES:
            for block in range(blocks):
                layers.append(InvertedResidual(width, outputs, stride if block == 0 else 1, expansion))
                width = outputs
        layers.append(_conv_norm_act(width, _HEAD, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(_HEAD, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Maps images ``[batch, 3, h, w]``, normalised, to logits ``[batch, classes]``."""
        features: Tensor = self.features(x)
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits


def mobilenet_v2(classes: int = 1000) -> MobileNetV2:
    """Builds a MobileNetV2 with PyTorch's default random initialisation.

    Args:
        classes: Number of outputs; 1,000 for the ImageNet weights.

    Returns:
        The network, in training mode.
    """
    return MobileNetV2(classes)
