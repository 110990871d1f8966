"""How many texts of one data set stand in another, which a model trained on one must then not be scored on.

    EMBFACT_DATA_DIR=... python benchmarks/shared_texts.py movie_sentences sst2

Two texts are one if their letters and digits are: data sets differ in how they set spaces and punctuation.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from embfact.config.compose import read_request
from embfact.config.run_config import RunConfig
from embfact.data.rated_sentences import letters_and_digits
from embfact.data.text import load_split

CONF = Path(__file__).resolve().parents[1] / "conf"


def main() -> None:
    """Print a table with a row for each split of the second data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs=2, metavar="DATA", help="a data set of conf/data with single texts")
    names = parser.parse_args().names
    one, other = (texts_of(read_request(CONF, [f"data={name}"], multirun=False).configs[0]) for name in names)
    own = [text for texts in one.values() for text in texts]
    print(f"| split of {names[1]} | rows | of them in {names[0]} | rows of {names[0]} ({len(own):,}) found there |")
    print("| --- | ---: | ---: | ---: |")
    everywhere = {"all": [text for texts in other.values() for text in texts]}
    for split, texts in (other | everywhere).items():
        shared = set(own) & set(texts)
        counts = (len(texts), sum(text in shared for text in texts), sum(text in shared for text in own))
        print(f"| {split} | {' | '.join(f'{count:,}' for count in counts)} |")


def texts_of(config: RunConfig) -> dict[str, list[str]]:
    """The texts of every published split, those with hidden labels among them."""
    data, paths = config.data, config.paths
    splits = [data.train_split, *data.report_splits, *(data.submission or {})]
    tables = {split: load_split(data, paths.data_dir, split, cache_dir=paths.cache_dir) for split in splits}
    return {split: [letters_and_digits(text) for text in table["text"].to_pylist()] for split, table in tables.items()}


if __name__ == "__main__":
    main()
