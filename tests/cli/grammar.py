"""Words of a command line, drawn from Hydra's grammar and from our options: mostly odd, some of them right.

Nothing that is drawn sets ``plan``, so that a line which ends in ``plan=true`` starts nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

_words = str.split
GROUPS = _words(
    """data model factorization task trainer optimizer evidence refactorize search logger paths experiment debug
    hydra/launcher hydra/sweeper hydra/job_logging hydra/help hydra data/base nonsense"""
)
# What has no place in our configuration, or a special one in Hydra's.
STRANGE = _words(
    """nonsense hydra hydra.nonsense hydra.sweeper.params.rank hydra.launcher.nonsense hydra.launcher.runs defaults
    hydra.job.env_set.HOME hydra.callbacks.mine hydra.searchpath rank.of tags.0 _target_ $x a-b é
    hydra.launcher._target_ model.architecture.hidden_size search.space.optimizer.lr.low factorization._target_"""
)
PACKAGES = ["", *_words("_global_ _here_ data hydra model.architecture other a:b data:model : 1.2")]
SCALARS = _words(
    r"""null true FALSE 0 1 -1 3 64 1_000 1e3 -0.0 .5 1. 1e400 1e-400 inf -inf nan 0x10 0o7 1e a svd vader int8 last
    parallel runs ~/runs / ./x ../x é 日本 🙂 \, \ \\ ' " '' "" 'a,b' "it\"s" '\' $ $$ * a=b a:b a@b : % @ ? | ??? # &
    --x embfact.factorization.svd.SVD embfact.launchers.parallel.ParallelLauncher embfact.launchers.base.OwnLauncher
    no.such os.path"""
)
SCALARS += ["", "a b", "a\tb", "a\nb", "a" * 300, "9" * 40, "-" + "9" * 40, "9" * 5000]
REFERENCES = _words(
    """${rank} ${seed} ${nonsense} ${data} ${data.text} ${hydra:job.name} ${hydra:runtime.cwd} ${hydra.mode}
    ${oc.env:HOME} ${oc.env:NO_SUCH,null} ${oc.env:NO_SUCH} ${oc.decode:'[1,2]'} ${oc.decode:'{'} ${oc.create:{a:1}}
    ${oc.select:rank} ${oc.dict.keys:data} ${oc.deprecated:rank} ${unless:1} ${unless:1,null} ${unless:} ${.rank}
    ${..rank} ${} ${ ${${seed}} a${rank}b ${rank}${seed}"""
)
FUNCTIONS = _words("int float bool str json_str choice range interval tag sort shuffle glob extend_list nonsense")
ARGUMENTS = _words("start stop step end sweep list reverse include exclude value nonsense")
FLAGS = _words(
    """-m --multirun -r --run --help -h -hh --hydra-help --version --resolve -- - --nonsense -x --rank=3 -1 --mult -mr
    --config-dir=conf --config-name=x --cfg=job -cjob -p --package=data -i --info --info=defaults --shell-completion
    -sc=1 --experimental-rerun=x --he -rank"""
)
# Flags with a word of their own, right or not.
VALUED = """--cfg job|--cfg all --resolve|-c hydra|-c x|-c job -p trainer|-c job -p no.such|-c job -p rank|-p data|-i x
--package a..b --cfg job|-i config|--info defaults-tree|--info plugins|-i searchpath|-sc install=bash|-sc query=bash
-sc uninstall=no|--config-dir x"""


class Grammar:
    """Draws command lines; the same ones for the same seed.

    Args:
        conf_dir: The folder with ``train.yaml``.
        seed: Of the draws.
    """

    def __init__(self, conf_dir: Path, seed: int) -> None:
        self._draw = random.Random(seed)
        self._options = {group: sorted(path.stem for path in (conf_dir / group).glob("*.yaml")) for group in GROUPS}
        self._values = _values(conf_dir)
        self._hydras = [key for key in self._values if key.startswith("hydra")]
        self._ours = [key for key in self._values if key not in self._hydras]

    def line(self) -> list[str]:
        """The words of one command line, without those that keep it small and from starting anything."""
        words = [self.word() for _ in range(self._draw.choice((1, 1, 1, 2, 3)))]
        if self._draw.random() < 0.2:
            place = self._draw.randrange(len(words) + 1)
            words[place:place] = self._draw.choice([*FLAGS, *VALUED.replace("\n", "|").split("|")]).split()
        return words

    def word(self) -> str:
        """One override, or what is left of one after a slip of the finger."""
        draw = self._draw
        group = draw.random() < 0.3
        key = draw.choice(GROUPS if group else draw.choices((self._ours, self._hydras, STRANGE), (7, 1, 2))[0])
        prefix = draw.choice(("", "", "", "", "", "", "", "+", "++", "~", "~", "-"))
        package = f"@{draw.choice(PACKAGES)}" if draw.random() < (0.15 if group else 0.03) else ""
        value = self._choices(key) if group and draw.random() < 0.8 else self._own_or_odd(key)
        bare = draw.random() < (0.7 if prefix == "~" else 0.02)
        word = prefix + key + package + ("" if bare else f"={value}")
        return self._slip(word) if draw.random() < 0.1 else word

    def value(self, depth: int) -> str:
        """A value of Hydra's grammar: an element, or several with commas between them."""
        several = self._draw.choices((1, 2, 3), (8, 1, 1))[0]
        return self._draw.choice((",", ", ")).join(self._element(depth) for _ in range(several))

    def _element(self, depth: int) -> str:
        kinds: list[Callable[[int], str]] = [self._scalar, self._scalar, self._scalar, self._reference]
        if depth > 0:
            kinds += [self._list, self._dict, self._call, self._call, self._quoted]
        return self._draw.choice(kinds)(depth - 1)

    def _scalar(self, _: int) -> str:
        return self._draw.choice(SCALARS)

    def _reference(self, _: int) -> str:
        return self._draw.choice(REFERENCES)

    def _list(self, depth: int) -> str:
        return "[" + ",".join(self._element(depth) for _ in range(self._draw.randrange(4))) + "]"

    def _dict(self, depth: int) -> str:
        names = [*self._values, "a", "1", "null", "true", "", "a b", "1.5"]
        return "{" + ",".join(f"{name}:{self._element(depth)}" for name in self._draw.choices(names, k=depth)) + "}"

    def _call(self, depth: int) -> str:
        def argument() -> str:
            name = self._draw.choice(ARGUMENTS) + "=" if self._draw.random() < 0.2 else ""
            return name + self._element(depth)

        name, count = self._draw.choice(FUNCTIONS), self._draw.choice((0, 1, 1, 2, 2, 3))
        return f"{name}({','.join(argument() for _ in range(count))})"

    def _quoted(self, depth: int) -> str:
        quote = self._draw.choice("'\"")
        return quote + self.value(depth).replace(quote, "\\" + quote) + quote

    def _own_or_odd(self, key: str) -> str:
        """The value that a key has, or any other."""
        own = self._values.get(key)
        return str(own) if isinstance(own, str | int | float) and self._draw.random() < 0.4 else self.value(3)

    def _choices(self, group: str) -> str:
        """One or more options of a group, chosen in one of the ways that there are."""
        odd = ["nonsense", "null", "[]", "${seed}", "1", "glob(*)", "glob(x*)", "default"]
        names = odd if self._draw.random() < 0.3 else self._options.get(group) or odd
        drawn = [self._draw.choice(names) for _ in range(self._draw.choice((1, 1, 1, 2)))]
        form = self._draw.choice(("{}", "{}", "{}", "[{}]", "choice({})", "sort({})", "shuffle({})", "'{}'", "str({})"))
        return form.format(",".join(drawn))

    def _slip(self, word: str) -> str:
        """A word with a character too few, too many, or in the wrong place."""
        place = self._draw.randrange(len(word) + 1)
        extra = self._draw.choice(("", *"=,()[]{}~+@:.'\"\\ $-/*", word[:place]))
        return word[:place] + extra + word[place + self._draw.randrange(2) :]


def _values(conf_dir: Path) -> dict[str, Any]:
    """Every key of the default configuration, Hydra's own included, and its value; none that would start a run."""
    with initialize_config_dir(str(conf_dir), version_base="1.3"):
        whole: Any = OmegaConf.to_container(compose("train", return_hydra_config=True), resolve=False)
    return {key: value for key, value in _dotted(whole) if key != "plan"}


def _dotted(values: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        yield f"{prefix}{key}", value
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")
