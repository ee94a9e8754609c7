"""Tiny networks are slower on several threads than on one, much slower where cores are shared."""

import torch

torch.set_num_threads(1)
