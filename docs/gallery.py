"""Runs the examples and writes `docs/gallery.md` with what they print and their pictures: `make gallery`.

`python docs/gallery.py flows lorenz` runs these alone and leaves the others as they were.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
PRINTED = PICTURES / "gallery.json"
WIDTH = 900
"""Pixels of a picture, at most."""


@dataclass(frozen=True)
class Entry:
    """A script under `examples/`, the picture that it leaves, and what it shows."""

    script: str
    picture: str
    title: str
    text: str
    arguments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.script.split("/")[0] + "_" + Path(self.picture).stem


ENTRIES = (
    Entry(
        "lotka_volterra/fit.py", "hare_lynx.png", "Predators and prey",
        "A mechanistic model fitted to the Hudson Bay counts, with standard errors from the exact Hessian.",
    ),
    Entry(
        "bayes/hare_lynx.py", "hare_lynx.png", "The same fit, Bayesian",
        "The no-U-turn sampler of Pyro over an `ode`; the means are compared with those of Stan's case study.",
        ("--draws", "400", "--warmup", "200"),
    ),
    Entry(
        "bayes/spiral.py", "spiral.png", "A neural ODE with uncertain weights",
        "Langevin dynamics on the weights of a net, and the band of the curves that they give.",
    ),
    Entry(
        "flows/train.py", "flows.png", "Densities learned by flows",
        "Normalising flows with the exact and with the estimated trace, measured against the true densities.",
    ),
    Entry(
        "spiral/compare.py", "spiral.png", "Discretise first, or optimise first?",
        "The comparison of Onken and Ruthotto on the regression of a spiral and on a flow.",
    ),
    Entry(
        "latent/train.py", "latent.png", "A latent ODE",
        "Spirals seen at irregular times, each sample at times of its own, filled in and foretold.",
    ),
    Entry(
        "pendulum/learn.py", "pendulum.png", "Second order, and hybrid",
        "A second-order neural ODE against known physics with a net for friction.",
    ),
    Entry(
        "augmented/train.py", "mirror.png", "An augmented neural ODE",
        "What no flow on the line can learn, and one with a second dimension can.",
    ),
    Entry(
        "lorenz/ensemble.py", "ensemble.png", "A million weathers",
        "An ensemble streamed through a layer, in bounded memory.",
    ),
    Entry(
        "bouncing_ball/fit.py", "ball.png", "A bouncing ball",
        "Gravity and restitution from noisy heights: the gradient goes through the bounces.",
    ),
    Entry(
        "tether/fit.py", "tether.png", "A pendulum beside a wall",
        "Events in a `dae`: tension is an algebraic unknown that jumps when the bob hits a wall. Its place is found.",
    ),
    Entry(
        "mackey_glass/fit.py", "mackey_glass.png", "A delayed feedback",
        "The lag of a delay equation found from a noisy series.",
    ),
    Entry(
        "bratu/branches.py", "branches.png", "A slab that burns",
        "Both branches of a boundary value problem and the fold where they meet.",
    ),
    Entry(
        "brusselator/stripes.py", "stripes.png", "Stripes on 1,000 unknowns",
        "A stiff reaction with diffusion by lines, solved with a sparse matrix, and its gradient.",
    ),
    Entry("kepler/orbit.py", "orbits.png", "Kepler's equation", "A root for every place of a grid."),
    Entry(
        "deq_classifier/train.py", "moons.png", "An equilibrium layer",
        "A classifier with a fixed point inside, trained by the implicit function theorem.",
    ),
    Entry(
        "opt_layer/frontier.py", "frontier.png", "A portfolio",
        "The efficient frontier from a quadratic program, and its slope.",
    ),
)  # fmt: skip


def run(entry: Entry) -> list[str]:
    """The lines that an example prints, without the place of its picture; the picture goes to the pages' ones."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "examples" / entry.script), *entry.arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    made = ROOT / "examples" / Path(entry.script).parent / "out" / entry.picture
    with Image.open(made) as image:
        image.thumbnail((WIDTH, WIDTH))
        image.convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(
            PICTURES / f"{entry.name}.png", optimize=True
        )
    return [line for line in done.stdout.splitlines() if line and not line.startswith("picture:")]


def page(printed: dict[str, list[str]]) -> str:
    """The page, from what every example printed."""
    parts = [
        "# Gallery\n\nEvery picture is made by a script of [examples](../examples). Above it stands what it printed "
        "when this page was written (`make gallery`); times are those of that machine.\n"
    ]
    for entry in ENTRIES:
        if entry.name not in printed:
            continue
        parts.append(
            f"## {entry.title}\n\n{entry.text} [`examples/{entry.script}`](../examples/{entry.script})\n\n"
            f"```\n$ python {' '.join(('examples/' + entry.script, *entry.arguments))}\n"
            + "\n".join(printed[entry.name])
            + "\n```\n\n"
            f"![{entry.title}](pictures/{entry.name}.png)\n"
        )
    return "\n".join(parts)


def main() -> None:
    """Runs the examples whose directories are named, all without names."""
    wanted = sys.argv[1:]
    printed: dict[str, list[str]] = json.loads(PRINTED.read_text()) if PRINTED.exists() else {}
    for entry in ENTRIES:
        if not wanted or entry.script.split("/")[0] in wanted:
            print(entry.script, flush=True)
            printed[entry.name] = run(entry)
    PRINTED.write_text(json.dumps(printed, indent=1, ensure_ascii=False) + "\n")
    (ROOT / "docs" / "gallery.md").write_text(page(printed))


if __name__ == "__main__":
    main()
