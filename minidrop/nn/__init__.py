"""Layers: parameters and buffers (`module.py`) around the functions of `functional` (`layers.py`)."""

from .layers import ELU, BatchNorm1d, BatchNorm2d, Conv2d, Dense, DropAlan, Dropout, Flatten, MaxPool2d, ReLU
from .module import Module
from .parts import Buffer, Parameter
from .sequential import Sequential

__all__ = [
    "ELU",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "Conv2d",
    "Dense",
    "DropAlan",
    "Dropout",
    "Flatten",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
]
