"""Recurrent layers of Keras, with their loop over the time steps written out so that torch.export follows it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MOST_STEPS = 300
"""Time steps that are written out: each takes torch about half a second to export."""


@contextlib.contextmanager
def written_out_loops() -> Iterator[None]:
    """While it lasts, `keras.src.backend.rnn` is `_rnn`, which answers the same.

    Keras' own makes a list of the rows of the first output, and so holds for the rows of an example alone.
    """
    from keras.src import backend

    kept = backend.rnn
    backend.rnn = _rnn
    try:
        yield
    finally:
        backend.rnn = kept


def _rnn(
    step_function: Callable[..., Any],
    inputs: Any,
    initial_states: Sequence[Any],
    go_backwards: bool = False,
    mask: Any = None,
    constants: Sequence[Any] | None = None,
    unroll: bool = False,  # noqa: ARG001 - Keras says so for loops that it writes out itself
    input_length: Any = None,
    time_major: bool = False,
    zero_output_for_mask: bool = False,
    return_all_outputs: bool = True,
) -> tuple[Any, Any, Any]:
    """What Keras' function of this name returns: the last output, all outputs, and the last states.

    Where the mask of a step is False, its row keeps the states of the step before, and the output too, or has 0
    for one.
    """
    import torch
    from keras.src import tree

    steps = int(tree.flatten(inputs)[0].shape[0 if time_major else 1])
    if input_length is not None and input_length != steps:
        raise NotImplementedError("sequences of lengths that are given apart")
    if steps > MOST_STEPS:
        raise NotImplementedError(f"{steps} time steps, and at most {MOST_STEPS} are written out")
    axis = 0 if time_major else 1
    order = range(steps - 1, -1, -1) if go_backwards else range(steps)
    states, output, outputs = tuple(initial_states), None, []
    for step in order:
        given = tree.map_structure(lambda values, step=step: values.select(axis, step), inputs)
        said, after = step_function(given, (*states, *(constants or ())))
        if mask is None:
            output, states = said, tuple(after)
        else:
            kept = mask.select(axis, step).to(torch.bool)
            before = torch.zeros_like(said) if output is None or zero_output_for_mask else output
            output = _choose(kept, said, before)
            states = tuple(_choose(kept, new, old) for new, old in zip(after, states, strict=True))
        outputs.append(output)
    shown = outputs if return_all_outputs else outputs[-1:]
    return output, torch.stack(shown, dim=axis), list(states)


def _choose(kept: Any, new: Any, old: Any) -> Any:
    """`new` in the rows that are `kept` `[N]` or `[N, 1]`, `old` in the others."""
    import torch

    return torch.where(kept.reshape(-1, *[1] * (new.ndim - 1)), new, old)
