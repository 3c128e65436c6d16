"""A transformer in pseudo-time: self-attention among a point and copies of it at later times (PINNsFormer)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinnkit.errors import UsageError, advice
from pinnkit.init.gains import gain as gain_of
from pinnkit.init.initialisers import float_dtype
from pinnkit.init.layers import dense, projection
from pinnkit.models.activations import activation
from pinnkit.models.embedding import Embedding
from pinnkit.models.layered import require_count
from pinnkit.validation import require_number

ATTENTION = {"xavier": 1.0, "he": 2.0}
"""Products d sigma2 of queries and keys, by name: the variance of the logits is the square."""


class ShiftColumns(NamedTuple):
    """The features that depend on the coordinate along which the sequence of tokens is shifted."""

    column: int
    """Index of the first of them."""
    modes: int
    """Number of harmonics of a periodic coordinate, each a cosine and a sine; 0 for one that is a feature itself."""


FIRST = ShiftColumns(0, 0)


@dataclass(frozen=True)
class Transformer:
    """Self-attention over a short sequence of pseudo-times: a point, and the same point a few steps later in time."""

    width: int = 32
    """Number of entries of a token: a multiple of the heads."""
    depth: int = 1
    """Number of blocks, each of attention and two dense layers."""
    heads: int = 2
    """Number of attention heads."""
    times: int = 5
    """Number of tokens per point."""
    step: float = 0.2
    """Distance between two tokens in the scaled coordinate, whose range is 3.5 (2 pi for a periodic coordinate)."""
    along: str | None = None
    """Name of the coordinate that is shifted from token to token; by default time, or the first one where there is no time."""
    activation: str = "tanh"
    """Activation of the dense layers."""
    attention: Literal["xavier", "he"] = "xavier"
    """Variance of queries and keys: 1/width (xavier: logits of variance 1) or 2/width (he: 4, a sharper softmax)."""

    def __post_init__(self) -> None:
        for option in ("width", "depth", "heads", "times"):
            require_count(getattr(self, option), 1, f"Transformer.{option}")
        if self.along is not None and not isinstance(self.along, str):
            _refuse("along", repr(self.along), "the name of a coordinate, such as 't', or None")
        activation(self.activation, where="Transformer.activation")
        if self.width % self.heads:
            _refuse("width", self.width, f"a multiple of the {self.heads} heads")
        require_number(self.step, "Transformer.step", where="Transformer.step", above=0)
        if self.attention not in ATTENTION:
            _refuse("attention", repr(self.attention), "one of " + ", ".join(ATTENTION))

    def build(
        self, features: int, outputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike, shift: ShiftColumns = FIRST
    ) -> TransformerModule:
        """Return the module, with random parameters; `shift` gives the features of the shifted coordinate."""
        return TransformerModule(self, features, outputs, rngs=rngs, dtype=dtype, shift=shift)

    def shift_columns(self, names: Sequence[str], time: int | None, embedding: Embedding) -> ShiftColumns:
        """Return the features of the coordinate that is shifted from token to token.

        Args:
            names: Names of the coordinates, in the order of the domain.
            time: Index of the time axis; None where there is none.
            embedding: The map from the coordinates to the features.

        Raises:
            UsageError: No coordinate has the name `along`.
        """
        name = names[time or 0] if self.along is None else self.along
        if name not in names:
            _refuse("along", repr(name), "a coordinate of the domain, one of " + ", ".join(names), advice(name, names))
        axis = names.index(name)
        own = embedding.axes[axis]
        return ShiftColumns(sum(before.features for before in embedding.axes[:axis]), own.modes if own.periodic else 0)

    def parameters(self, features: int, outputs: int) -> int:
        """Return the number of trainable parameters."""
        n = self.width
        return (features + 1) * n + self.depth * (4 * n * n + 2 * (n + 1) * n) + (n + 1) * n + (n + 1) * outputs


class TransformerModule(nnx.Module):
    """The network h = E W + b for each token, blocks h <- (h + A(h)) / sqrt 2, h <- (h + F(h)) / sqrt 2, and a readout.

    A is attention over the tokens, F two dense layers with an activation between them; the readout is phi and a dense layer of
    the first token. There is no normalisation: the sum of two terms of variance one is divided by sqrt 2, so that depth does
    not change the size. Every operation is smooth, so that derivatives of any order exist.

    Source: Zhao, Ding and Prakash 2024 (PINNsFormer, arXiv 2307.11833) for the pseudo-times; here without its decoder.
    """

    def __init__(
        self,
        config: Transformer,
        features: int,
        outputs: int,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike,
        shift: ShiftColumns = FIRST,
    ) -> None:
        n, kind = config.width, float_dtype(dtype)
        self.activation = activation(config.activation).function
        gain2, sharp = gain_of(self.activation), ATTENTION[config.attention]

        def weights(shape: tuple[int, ...], draw: Any) -> nnx.Param:
            return nnx.Param(draw(rngs.params(), shape, kind))

        def layer(n_in: int, n_out: int, squared_gain: float) -> nnx.Dict:
            return nnx.Dict(
                kernel=weights((n_in, n_out), dense(squared_gain)), bias=nnx.Param(jnp.zeros((n_out,), kind))
            )

        self.embed = layer(features, n, 1.0)
        heads = (n, config.heads, n // config.heads)
        self.blocks = nnx.List(
            [
                nnx.Dict(
                    query=weights(heads, projection(sharp)),
                    key=weights(heads, projection(sharp)),
                    value=weights(heads, projection(1.0)),
                    out=weights((config.heads, n // config.heads, n), projection(1.0, output=True)),
                    inner=layer(n, n, 1.0),
                    outer=layer(n, n, gain2),
                )
                for _ in range(config.depth)
            ]
        )
        self.hidden, self.readout = layer(n, n, 1.0), layer(n, outputs, gain2)
        self.times, self.step = config.times, config.step
        self.column, self.modes = shift

    def __call__(self, X: Float[Array, "points features"]) -> Float[Array, "points outputs"]:
        """Evaluate the network on a batch of embedded points."""
        h = _affine(self.tokens(X), self.embed)
        for block in self.blocks:
            h = (h + self.attend(h, block)) * math.sqrt(0.5)
            h = (h + _affine(self.activation(_affine(h, block["inner"])), block["outer"])) * math.sqrt(0.5)
        return _affine(self.activation(_affine(h[:, 0, :], self.hidden)), self.readout)

    def tokens(self, X: Float[Array, "points features"]) -> Float[Array, "points times features"]:
        """Return the points and their copies, shifted along the coordinate."""
        later, columns = self.step * jnp.arange(self.times, dtype=X.dtype), jnp.arange(X.shape[1])
        if not self.modes:
            column = (columns == self.column).astype(X.dtype)
            return X[:, None, :] + later[None, :, None] * column[None, None, :]
        # The features of a periodic coordinate are cos(k a) for k = 1..modes, then sin(k a): a shift of a by d rotates each
        # pair by k d. Adding d to a feature would leave the circle.
        first, middle, last = self.column, self.column + self.modes, self.column + 2 * self.modes
        cosines, sines = X[:, None, first:middle], X[:, None, middle:last]
        turns = (later[:, None] * jnp.arange(1, self.modes + 1, dtype=X.dtype)[None, :])[None]
        cosine, sine = jnp.cos(turns), jnp.sin(turns)
        still = jnp.broadcast_to(X[:, None, :], (X.shape[0], self.times, X.shape[1]))
        turned = [cosine * cosines - sine * sines, cosine * sines + sine * cosines]
        return jnp.concatenate([still[..., :first], *turned, still[..., last:]], axis=2)

    def attend(self, h: Float[Array, "points times width"], block: Any) -> Float[Array, "points times width"]:
        """Return the attention of each token over all tokens of its point."""
        q, k, v = (jnp.einsum("ptd,dhs->phts", h, block[name][...]) for name in ("query", "key", "value"))
        weights = jax.nn.softmax(jnp.einsum("phis,phjs->phij", q, k) / math.sqrt(q.shape[-1]), axis=-1)
        return jnp.einsum("phij,phjs,hsd->pid", weights, v, block["out"][...])


def _affine(h: Float[Array, "*batch n_in"], layer: Any) -> Float[Array, "*batch n_out"]:
    return h @ layer["kernel"][...] + layer["bias"][...].reshape((1,) * (h.ndim - 1) + (-1,))


def _refuse(option: str, value: object, expected: str, do: str = "Change the value.") -> NoReturn:
    raise UsageError(f"Transformer.{option} is {value}.", where=f"Transformer.{option}", expected=expected, do=do)
