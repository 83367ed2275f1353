"""Load on a server, with every answer checked against what it has to be.

A deck holds the requests, each with its expectation; the engine deals it over raw connections; the tally says
what came back.
"""

from afterfit.loadtest._deck import Deck, Shares, deck_of_models, deck_of_server
from afterfit.loadtest._engine import Pace, ask_once, run
from afterfit.loadtest._started import started_server
from afterfit.loadtest._tally import Tally
from afterfit.loadtest._target import Target

__all__ = [
    "Deck",
    "Pace",
    "Shares",
    "Tally",
    "Target",
    "ask_once",
    "deck_of_models",
    "deck_of_server",
    "run",
    "started_server",
]
