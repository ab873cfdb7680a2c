"""A convolutional network in plain NumPy: layers, their gradients, and Adam.

Only what the demo's detector needs: 3 x 3 convolutions with ReLU between them. Arrays are
(batch, height, width, channels), float32.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["Adam", "Array", "Convolution", "Network"]

Array: TypeAlias = "NDArray[np.float32]"

_SIDE = 3  # of a kernel


@dataclass(eq=False)
class Convolution:
    """A 3 x 3 convolution with padding 1, and a ReLU unless it is the last layer.

    Parameters
    ----------
    kernel
        (9 * channels in, channels out).
    bias
        (channels out,).
    stride
        1 or 2.
    """

    kernel: Array
    bias: Array
    stride: int = 1
    is_last: bool = False
    _patches: Array = field(init=False, repr=False)
    _shape: tuple[int, ...] = field(init=False, repr=False)
    _out: Array = field(init=False, repr=False)

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        channels_in: int,
        channels_out: int,
        stride: int = 1,
        *,
        is_last: bool = False,
    ) -> Convolution:
        """Return a layer with He's initial weights."""
        rows = _SIDE * _SIDE * channels_in
        kernel = rng.normal(0, np.sqrt(2 / rows), (rows, channels_out)).astype(np.float32)
        return cls(kernel, np.zeros(channels_out, np.float32), stride, is_last)

    def forward(self, x: Array) -> Array:
        """Return the layer's output, remembering what `backward` needs."""
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = sliding_window_view(padded, (_SIDE, _SIDE), axis=(1, 2))
        windows = windows[:, :: self.stride, :: self.stride]
        n, height, width = windows.shape[:3]
        # (n, height, width, channels, 3, 3) -> one row a place
        patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(n * height * width, -1)
        out = patches @ self.kernel + self.bias
        if not self.is_last:
            np.maximum(out, 0, out=out)
        self._patches, self._shape, self._out = patches, padded.shape, out
        return out.reshape(n, height, width, -1)

    def backward(self, gradient: Array, *, wants_input: bool = True) -> tuple[Array, Array, Array]:
        """Return the gradients of kernel, bias and input (empty if not wanted)."""
        n, height, width, channels = gradient.shape
        flat = gradient.reshape(-1, channels)
        if not self.is_last:
            flat = flat * (self._out > 0)
        kernel, bias = self._patches.T @ flat, flat.sum(axis=0)
        if not wants_input:
            return kernel, bias, np.zeros(0, np.float32)
        patches = (flat @ self.kernel.T).reshape(n, height, width, _SIDE, _SIDE, -1)
        padded = np.zeros(self._shape, np.float32)
        last_y, last_x = self.stride * (height - 1) + 1, self.stride * (width - 1) + 1
        for y in range(_SIDE):
            for x in range(_SIDE):
                places = padded[:, y : y + last_y : self.stride, x : x + last_x : self.stride]
                places += patches[:, :, :, y, x]
        return kernel, bias, padded[:, 1:-1, 1:-1]


class Network:
    """Convolutions one after the other.

    Parameters
    ----------
    layers
        In order; the last one has no ReLU.
    """

    def __init__(self, layers: list[Convolution]) -> None:
        self.layers = layers

    @property
    def weights(self) -> list[Array]:
        """Kernel and bias of every layer, in order."""
        return [array for layer in self.layers for array in (layer.kernel, layer.bias)]

    def forward(self, x: Array) -> Array:
        """Return the last layer's output."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, gradient: Array) -> list[Array]:
        """Return the gradients of `weights`, given that of the last output."""
        found: list[Array] = []
        for index in range(len(self.layers) - 1, -1, -1):
            kernel, bias, gradient = self.layers[index].backward(gradient, wants_input=index > 0)
            found[:0] = [kernel, bias]
        return found


class Adam:
    """The optimizer of Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015."""

    def __init__(self, weights: list[Array], beta1: float = 0.9, beta2: float = 0.999) -> None:
        self._weights = weights
        self._beta1, self._beta2 = beta1, beta2
        self._mean = [np.zeros_like(w) for w in weights]
        self._square = [np.zeros_like(w) for w in weights]
        self._steps = 0

    def step(self, gradients: list[Array], rate: float) -> None:
        """Move the weights against their gradients."""
        self._steps += 1
        rate *= np.sqrt(1 - self._beta2**self._steps) / (1 - self._beta1**self._steps)
        for weight, gradient, mean, square in zip(
            self._weights, gradients, self._mean, self._square, strict=True
        ):
            mean += (1 - self._beta1) * (gradient - mean)
            square += (1 - self._beta2) * (gradient * gradient - square)
            weight -= np.float32(rate) * mean / (np.sqrt(square) + np.float32(1e-8))
