"""Layers: parameters and buffers (`module.py`) around the functions of `functional`."""

from .activation import ELU, ReLU, Sigmoid, Softmax, Tanh
from .layers import Conv2d, Dense, DropAlan, Dropout, Embedding, Flatten
from .module import Module
from .normalisation import BatchNorm1d, BatchNorm2d, LayerNorm
from .parts import Buffer, Parameter
from .pooling import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from .sequential import Sequential

__all__ = [
    "ELU",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "Conv2d",
    "Dense",
    "DropAlan",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAvgPool2d",
    "LayerNorm",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
]
