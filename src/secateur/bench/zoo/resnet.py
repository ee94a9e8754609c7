"""CIFAR-style residual networks (He et al., CVPR 2016, arXiv:1512.03385, Sec. 4.2)."""

from __future__ import annotations

from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, projected by a 1 x 1 convolution where shapes change."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        """`(B, c_in, H, W)` to `(B, c_out, H/stride, W/stride)`."""
        out = self.relu(self.bn1(self.conv1(x)))
        summed: Tensor = self.relu(self.bn2(self.conv2(out)) + self.shortcut(x))
        return summed


class ResNet(nn.Module):
    """Three stages of basic blocks; input `(B, channels, H, W)`, output `(B, classes)` logits."""

    def __init__(self, blocks: int, width: int = 16, channels: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        stages: list[nn.Module] = []
        c_in = width
        for stage in range(3):
            c_out = width * 2**stage
            for block in range(blocks):
                stages.append(BasicBlock(c_in, c_out, 2 if stage and not block else 1))
                c_in = c_out
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(c_in, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class logits."""
        x = self.stages(self.relu(self.bn1(self.conv1(x))))
        logits: Tensor = self.fc(self.pool(x).flatten(1))
        return logits


def resnet20(channels: int = 3, classes: int = 10) -> ResNet:
    """ResNet-20: 0.27 M parameters, 41 M multiply-accumulates on 32 x 32 images."""
    return ResNet(3, 16, channels, classes)
