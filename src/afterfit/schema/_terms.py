"""Text to terms and their counts, as scikit-learn's vectorizers cut it.

Law: for every text, the terms are those of `CountVectorizer.build_analyzer`, each once, with how often it comes.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from afterfit.schema._mistakes import MisfitError, show
from afterfit.schema._murmurhash import murmurhash3
from afterfit.schema._unicode import VERSION, doubtful_characters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from afterfit.schema._types import Analyzer, Hashing

MAX_TERMS: Final = 1_048_576
"""How many terms the text of one cell may have; a bound on it is computed from the text's length."""

MAX_NGRAM: Final = 32
"""How long an n-gram may be."""

_LONGEST_GROWTH: Final = 36
"""How many times longer lower case (2) and decomposition (18) make a text at most."""

_SPACES: Final = re.compile(r"\s\s+")

_KNOWN_HASHES: Final = 65_536
_LONGEST_KNOWN: Final = 64

Counts = tuple["Sequence[Any]", "Sequence[float]"]
"""The terms of one text in order (or the columns they belong to), and how often each comes."""


class TermReader:
    """Cuts texts into terms. Thread-safe; build it once and keep it."""

    def __init__(self, analyzer: Analyzer) -> None:
        self.analyzer = analyzer
        self._preprocess = _preprocessor(analyzer)
        self._terms = _splitter(analyzer)
        shortest, longest = analyzer.ngram_range
        self._orders = longest - shortest + 1
        self._hashed: dict[str, tuple[int, float]] = {}
        # The greatest number of n-grams of one length is half the text's length, the length, or twice it.
        self._halves = {"word": 1, "char": 2, "char_wb": 4}[analyzer.kind]
        self.plain_length = self._longest_text(1)
        self._quick_length = self._longest_text(_LONGEST_GROWTH)

    def _longest_text(self, growth: int) -> int:
        return 2 * MAX_TERMS // (self._halves * self._orders * growth) - 1

    def vouch(self, text: str) -> bool:
        """Whether the text is certainly accepted; if not, `check` has the last word."""
        if text.isascii():
            return len(text) <= self.plain_length
        return len(text) <= self._quick_length and self.analyzer.unicode == VERSION

    def check(self, text: str) -> None:
        """Raise `MisfitError` where the text is too long, or this Python may cut it otherwise than declared."""
        if self.vouch(text):
            return
        if not text.isascii():
            doubtful = doubtful_characters(self.analyzer.unicode)
            found = None if doubtful is None else doubtful.search(text)
            if found is not None:
                raise MisfitError(
                    f"characters that Unicode {self.analyzer.unicode} and {VERSION} treat alike",
                    f"U+{ord(found[0]):04X}",
                    "leave the character out, or use a Python with the model's version of Unicode",
                )
        if len(text) > self._quick_length and len(self._preprocess(text)) > self.plain_length:
            raise MisfitError(
                f"a text of at most {self.plain_length:,} characters",
                f"{len(text):,} characters, beginning with {show(text)}",
                "shorten it",
            )

    def terms(self, text: str) -> list[str]:
        """The terms of a text, as often as they come."""
        return self._terms(self._preprocess(text))

    def count(self, texts: Sequence[str]) -> list[Counts]:
        """The terms of each text sorted by code point, and how often each comes; or the columns, in order."""
        counted = [Counter(self.terms(text)) for text in texts]
        hashing = self.analyzer.hashing
        if hashing is None:
            return [_sorted(counts) for counts in counted]
        self._learn_hashes(counted, hashing)
        return [self._columns(counts, hashing) for counts in counted]

    def pack(self, counted: Sequence[Counts]) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Terms (or columns) and counts `[N, T]`, T being the most of any row and at least 1.

        Where a row has fewer, the count is 0 and the term an empty string, or the column `features`.
        """
        width = max(1, *(len(row[0]) for row in counted)) if counted else 1
        hashing = self.analyzer.hashing
        if hashing is None:
            terms = np.full((len(counted), width), "", dtype=object)
        else:
            terms = np.full((len(counted), width), hashing.features, dtype=np.int64)
        counts = np.zeros((len(counted), width))
        for number, (row, values) in enumerate(counted):
            terms[number, : len(row)] = row
            counts[number, : len(row)] = values
        return terms, counts

    def _columns(self, counts: Counter[str], hashing: Hashing) -> Counts:
        summed: dict[int, float] = {}
        for term, count in counts.items():
            # Another thread may have emptied the memory of hashes meanwhile.
            column, sign = self._hashed.get(term) or _column_of(murmurhash3([term.encode()])[0], hashing)
            summed[column] = summed.get(column, 0.0) + sign * count
        ordered = sorted(summed)
        return ordered, [summed[column] for column in ordered]

    def _learn_hashes(self, counted: Iterable[Counter[str]], hashing: Hashing) -> None:
        """Hash all terms that are not known yet at once, and remember them while there are few."""
        if len(self._hashed) > _KNOWN_HASHES:
            self._hashed = {}
        known = self._hashed
        fresh = dict.fromkeys(
            term for counts in counted for term in counts if term not in known and len(term) <= _LONGEST_KNOWN
        )
        hashes = murmurhash3([term.encode() for term in fresh])
        known.update((term, _column_of(value, hashing)) for term, value in zip(fresh, hashes, strict=True))


def _column_of(value: int, hashing: Hashing) -> tuple[int, float]:
    return abs(value) % hashing.features, -1.0 if hashing.signed and value < 0 else 1.0


def _sorted(counts: Counter[str]) -> Counts:
    terms = sorted(counts)
    return terms, [counts[term] for term in terms]


def _preprocessor(analyzer: Analyzer) -> Callable[[str], str]:
    lowercase = analyzer.lowercase
    strip = None if analyzer.strip_accents is None else _ACCENTS[analyzer.strip_accents]

    def preprocess(text: str) -> str:
        if lowercase:
            text = text.lower()
        return text if strip is None or text.isascii() else strip(text)

    return preprocess


def _strip_unicode(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join([character for character in decomposed if not unicodedata.combining(character)])


def _strip_ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


_ACCENTS = {"unicode": _strip_unicode, "ascii": _strip_ascii}


def _splitter(analyzer: Analyzer) -> Callable[[str], list[str]]:
    shortest, longest = analyzer.ngram_range
    if analyzer.kind == "char":
        return lambda text: _character_ngrams(_SPACES.sub(" ", text), shortest, longest)
    if analyzer.kind == "char_wb":
        return lambda text: _bounded_ngrams(text, shortest, longest)
    if analyzer.token_pattern is None:
        raise ValueError("an analyzer of words has a token_pattern")
    find_words = re.compile(analyzer.token_pattern).findall
    stop_words = frozenset(analyzer.stop_words or ())
    if not stop_words and longest == 1:
        return find_words

    def split(text: str) -> list[str]:
        words = find_words(text)
        if stop_words:
            words = [word for word in words if word not in stop_words]
        if longest == 1:
            return words
        return [
            " ".join(words[start : start + length])
            for length in range(shortest, longest + 1)
            for start in range(len(words) - length + 1)
        ]

    return split


def _character_ngrams(text: str, shortest: int, longest: int) -> list[str]:
    return [
        text[start : start + length]
        for length in range(shortest, longest + 1)
        for start in range(len(text) - length + 1)
    ]


def _bounded_ngrams(text: str, shortest: int, longest: int) -> list[str]:
    """N-grams of each word with one space before and after; a padded word that is shorter comes once, whole."""
    found: list[str] = []
    for word in text.split():
        padded = f" {word} "
        for length in range(shortest, longest + 1):
            if length >= len(padded):
                found.append(padded)
                break
            found += [padded[start : start + length] for start in range(len(padded) - length + 1)]
    return found
