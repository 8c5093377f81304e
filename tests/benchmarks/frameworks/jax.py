"""The works in JAX: jit, NCHW, ReLU before pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..works import RATE, Work


def forward(work: Work, weights: list[Any], x: Any) -> Any:
    """Images -> logits."""
    for index, kernel in enumerate(work.size.kernels):
        weight, bias = weights[2 * index], weights[2 * index + 1]
        x = (
            lax.conv_general_dilated(x, weight, (1, 1), [(work.size.padding(kernel), work.size.padding(kernel))] * 2)
            + bias[:, None, None]
        )
        x = lax.reduce_window(jnp.maximum(x, 0), -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    x = x.reshape(len(x), -1)
    dense = weights[2 * len(work.size.kernels) :]
    for index in range(0, len(dense), 2):
        x = x @ dense[index] + dense[index + 1]
        x = jnp.maximum(x, 0) if index + 2 < len(dense) else x
    return x


def build(work: Work, given: list[Any], images: Any, labels: Any, _dropout: bool) -> Callable[[], Any]:
    """A training step, or a forward pass; always without dropout."""
    weights = [jnp.asarray(value) for value in given]
    x, target = jnp.asarray(images), jnp.asarray(labels)

    def loss(weights: list[Any], x: Any, target: Any) -> Any:
        return -jax.nn.log_softmax(forward(work, weights, x))[jnp.arange(len(x)), target].mean()

    @jax.jit
    def update(weights: list[Any], x: Any, target: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(weights, x, target)
        return value, [weight - RATE * gradient for weight, gradient in zip(weights, gradients, strict=True)]

    def step() -> Any:
        nonlocal weights
        value, weights = update(weights, x, target)
        return float(value)

    infer = jax.jit(lambda x: forward(work, weights, x))
    return step if work.trains else lambda: infer(x).block_until_ready()
