"""The two networks on which the pruning literature started."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def lenet_300_100() -> nn.Sequential:
    """LeNet-300-100: 784-300-100-10, 266,610 parameters; input `(B, 1, 28, 28)`, output `(B, 10)` logits."""
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(784, 300),
            relu1=nn.ReLU(),
            fc2=nn.Linear(300, 100),
            relu2=nn.ReLU(),
            fc3=nn.Linear(100, 10),
        )
    )


def lenet5() -> nn.Sequential:
    """LeNet-5 as Caffe ships it and pruning papers use it: 431,080 parameters (not LeCun's 61,706 of 1998).

    Input `(B, 1, 28, 28)`, output `(B, 10)` logits.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 20, 5),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(20, 50, 5),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(800, 500),
            relu=nn.ReLU(),
            fc2=nn.Linear(500, 10),
        )
    )
