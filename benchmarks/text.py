"""Speed of pipelines on text against scikit-learn itself.

    pip install ".[sklearn]" && python benchmarks/text.py

The texts are the docstrings of NumPy, SciPy and scikit-learn as installed, and the label is the package. Each
pipeline is fitted on half of them and answers the other half: the largest difference of an answer, rows a second in
a batch and microseconds for one row (the decoded dict, as the server has it), with the ratio to scikit-learn measured
in the same run, both at their defaults.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGES = ("numpy", "scipy", "sklearn")
ROUNDS = 3
SINGLE_CALLS = 100


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=4000, help="how many docstrings to use")
    parser.add_argument("--models", nargs="*", default=sorted(pipelines()))
    arguments = parser.parse_args()
    texts, labels = docstrings(arguments.texts)
    half = len(texts) // 2
    mean = statistics.mean(map(len, texts))
    print(f"{half} texts of {mean:.0f} characters on average to fit, as many to answer")
    print(
        f"{'pipeline':<12}{'columns':>10}{'max error':>11}{'rows/s':>9}{'x sklearn':>11}{'one row, us':>13}{'x':>6}"
    )
    for name in arguments.models:
        measure(name, pipelines()[name], (texts[:half], labels[:half]), texts[half:])


def pipelines() -> dict[str, Any]:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
    from sklearn.linear_model import LogisticRegression, SGDClassifier
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    return {
        "tfidf": make_pipeline(TfidfVectorizer(), LogisticRegression()),
        "bigrams": make_pipeline(CountVectorizer(ngram_range=(1, 2)), MultinomialNB()),
        "characters": make_pipeline(
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)), LogisticRegression()
        ),
        "hashing": make_pipeline(HashingVectorizer(), SGDClassifier(loss="log_loss", random_state=0)),
        "svd": make_pipeline(TfidfVectorizer(), TruncatedSVD(100, random_state=0), LogisticRegression()),
        "forest": make_pipeline(
            TfidfVectorizer(), RandomForestClassifier(100, min_samples_leaf=2, random_state=0)
        ),
    }


def docstrings(count: int) -> tuple[list[str], list[str]]:
    """At most `count` docstrings and the packages they come from, in an order that is drawn once."""
    import numpy as np

    found: list[tuple[str, str]] = []
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for path in sorted(Path(folder).rglob("*.py")):
                if "tests" not in path.parts:
                    found += [(text, package) for text in _docstrings_of(path)]
    order = np.random.default_rng(0).permutation(len(found))[:count]
    return [found[i][0] for i in order], [found[i][1] for i in order]


def _docstrings_of(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.FunctionDef, ast.ClassDef, ast.Module)
    texts = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, documented)]
    return [text for text in texts if text]


def measure(name: str, pipeline: Any, train: tuple[list[str], list[str]], held_out: list[str]) -> None:
    import numpy as np

    import afterfit

    pipeline.fit(*train)
    with tempfile.TemporaryDirectory() as folder:
        model = afterfit.save(pipeline, Path(folder) / f"{name}.afit", X=train[0][:500])
    width = getattr(pipeline[0], "n_features", None) or len(pipeline[0].vocabulary_)
    error = np.abs(model.predict_proba(held_out) - pipeline.predict_proba(held_out)).max()
    theirs = best(lambda: pipeline.predict_proba(held_out), ROUNDS)
    ours = best(lambda: model.predict_proba(held_out), ROUNDS)
    singles = held_out[:SINGLE_CALLS]
    their_one = statistics.median(timed(lambda text=text: pipeline.predict_proba([text])) for text in singles)
    our_one = statistics.median(
        timed(lambda text=text: model.predict_proba([{"text": text}])) for text in singles
    )
    print(
        f"{name:<12}{width:>10,}{error:>11.1e}{len(held_out) / ours:>9,.0f}{theirs / ours:>11.2f}"
        f"{our_one * 1e6:>13,.0f}{their_one / our_one:>6.1f}",
        flush=True,
    )


def best(call: Callable[[], object], rounds: int) -> float:
    return min(timed(call) for _ in range(rounds))


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
