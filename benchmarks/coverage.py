"""Do the intervals and tests of methods hold what they promise, and what do they find?

    python benchmarks/coverage.py            # two to five minutes
    python benchmarks/coverage.py --quick    # shows that it works; measures nothing

Coverage: worlds in which the truth is known, of two methods with 3, 5 and 10 seeds, and 3 against 10. The seeds of one
method spread 1/4 to 4 times as much as those of the other; the examples add none, one or four times the variance of the
seeds; seeds are normal, heavy-tailed (Student, 3 degrees of freedom) or move both methods alike (correlation 0.8). The
width is compared with that of the test paired on seeds that was used before (Cochran and Cox).

Power: seeds of a standard deviation of 1 point, and sets of 872 and 5,000 examples, which are resampled as in a table.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import stats
from side_by_side import table

from embfact.results.statistics.compare import compare
from embfact.results.statistics.components import Components, Seeds
from embfact.results.statistics.outcomes import Outcomes
from embfact.results.statistics.resampling import Replicates, replicates

GROUPS = ((3, 3), (5, 5), (10, 10), (3, 10))
SPREADS = (0.25, 0.5, 1.0, 2.0, 4.0)
EXAMPLES = (0, 1, 4)
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
TAILS: dict[str, Draw] = {
    "normal": lambda generator, shape: generator.standard_normal(shape),
    "heavy tails": lambda generator, shape: generator.standard_t(3, shape) / math.sqrt(3),
    "shared seeds": lambda generator, shape: generator.standard_normal(shape),
}
RIGHT = 0.85  # accuracy of the reference


def main() -> None:
    """Print three tables: coverage, width, power."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=5000, help="simulated comparisons of each kind")
    parser.add_argument("--quick", action="store_true", help="twenty of them")
    arguments = parser.parse_args()
    worlds = 20 if arguments.quick else arguments.worlds
    rows, widths = [], []
    for first, second in GROUPS:
        found = [
            (kind, spread, example, *world(first, second, kind, spread, example, worlds))
            for kind, spread, example in itertools.product(TAILS, SPREADS, EXAMPLES)
        ]
        row: list[object] = [f"{first} and {second}"]
        for kind in TAILS:
            covered = [(one[3], f"spread {one[1]:g}, examples {one[2]}") for one in found if one[0] == kind]
            row += [
                f"{100 * min(covered)[0]:.1f} % ({min(covered)[1]})",
                f"{100 * np.mean([c for c, _ in covered]):.1f} %",
            ]
        rows.append(row)
        if first == second == 3:
            equal = [one for one in found if one[0] == "normal" and one[1] == 1]
            widths = [[f"{example}", f"{ratio:.2f}"] for _, _, example, _, ratio in equal]
    head = ["seeds"]
    for kind in TAILS:
        head += [f"{kind}: least coverage", "mean"]
    print("Coverage of intervals of 95 %; false positives are 100 % minus the coverage.\n")
    print(table(head, rows))
    print("\nWidth at 3 seeds of equal spread, normal, by that of the test paired on seeds.\n")
    print(table(["variance of examples by that of seeds", "ratio of widths"], widths))
    print("\nPower at 5 %: how often a difference is found.\n")
    print(table(["examples", "seeds", *(f"{points:g} points" for points in POINTS)], power(max(worlds // 12, 4))))


def world(first: int, second: int, kind: str, spread: float, example: float, worlds: int) -> tuple[float, float]:
    """Share of intervals that hold the truth, 0, and their mean width by that of paired ones (NaN if unequal)."""
    generator = np.random.default_rng([first, second, int(8 * spread), int(example), list(TAILS).index(kind)])
    mine, theirs = TAILS[kind](generator, (worlds, first)), TAILS[kind](generator, (worlds, second))
    if kind == "shared seeds":
        both = min(first, second)
        theirs[:, :both] = 0.8 * mine[:, :both] + 0.6 * theirs[:, :both]
    mine = spread * mine
    shared = example * (spread**2 / first + 1 / second)
    differences = mine.mean(axis=1) - theirs.mean(axis=1) + generator.normal(0, math.sqrt(shared), worlds)
    variances = np.stack([mine.var(axis=1, ddof=1) / first, theirs.var(axis=1, ddof=1) / second])
    halves = np.array(
        [Components((Seeds(first, a), Seeds(second, b)), shared, 0.0).half_width(0.025) for a, b in variances.T]
    )
    ratio = math.nan
    if first == second:
        ratio = float(halves.mean() / paired((mine - theirs).var(axis=1, ddof=1) / first, shared, first).mean())
    return float(np.mean(np.abs(differences) <= halves)), ratio


def paired(seed: np.ndarray, shared: float, count: int) -> np.ndarray:
    """Half-widths of the paired test: quantiles weighted by the variances that they belong to."""
    student, normal = stats.t.ppf(0.975, count - 1), stats.norm.ppf(0.975)
    return np.maximum(normal * math.sqrt(shared), (student * seed + normal * shared) / np.sqrt(seed + shared))


POINTS = (0.0, 0.5, 1.0, 2.0, 3.0)


def power(worlds: int) -> list[list[object]]:
    """A line for each number of examples and seeds: how often a difference of so many points is found."""
    rows: list[list[object]] = []
    for examples in (872, 5000):
        found: dict[tuple[int, int], list[float]] = {group: [] for group in GROUPS}
        for points in POINTS:
            generator = np.random.default_rng([examples, int(10 * points)])
            told: dict[tuple[int, int], list[bool]] = {group: [] for group in GROUPS}
            for _ in range(worlds):
                method, reference = replicates(
                    [runs(generator, examples, RIGHT - points / 100), runs(generator, examples, RIGHT)],
                    "accuracy",
                    resamples=200,
                )
                for first, second in GROUPS:
                    p_value = compare(part(method, first), part(reference, second), 0.95).p_value
                    told[first, second].append(p_value is not None and p_value < 0.05)
            for group in GROUPS:
                found[group].append(float(np.mean(told[group])))
        rows += [
            [examples, f"{first} and {second}", *(f"{100 * share:.0f} %" for share in found[first, second])]
            for first, second in GROUPS
        ]
    return rows


def runs(generator: np.random.Generator, examples: int, right: float) -> Outcomes:
    """Ten runs of a method: what its examples are like is drawn with it, so that methods differ on examples."""
    density = stats.norm.pdf(stats.norm.ppf(right))
    skill = generator.normal(0, 0.01 / density, (10, 1))  # a standard deviation of one point of accuracy
    hard = np.random.default_rng(examples).normal(0, 0.8, examples)  # the same for all methods
    own = generator.normal(0, 0.3, examples)
    rest = generator.normal(0, math.sqrt(1 - 0.8**2 - 0.3**2), (10, examples))
    correct = stats.norm.ppf(right) + hard + own + skill + rest > 0
    labels = np.zeros(examples, dtype=int)
    return Outcomes(tuple(range(10)), np.arange(examples), labels, (~correct).astype(int))


def part(whole: Replicates, count: int) -> Replicates:
    """The first runs of a method."""
    outcomes = replace(whole.outcomes, seeds=tuple(range(count)), predictions=whole.outcomes.predictions[:count])
    return Replicates(outcomes, whole.metric, whole.values[:count], whole.drawn[:count])


if __name__ == "__main__":
    main()
