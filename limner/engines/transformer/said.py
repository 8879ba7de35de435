"""What is drawn of a prompt that names one thing: its own words, and the colour of its ground.

Training captions are short. "Could you draw me a red car, please? On a blue background" is read by
the planner; the network is told "a red car", and the blue is painted behind it.
"""

from dataclasses import dataclass, replace

from limner.data.colours import RGB_FROM_NAME
from limner.planning import plan
from limner.planning.plan import Reading
from limner.text.wording import colour_of_ground

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Said:
    """What the network is told, and what is painted behind its picture."""

    words: str
    ground: Colour | None = None  # None: clear


def said_of_one(prompt: str, reading: Reading) -> Said:
    """The words of the one thing that a prompt names; the whole prompt if it names none or more."""
    if len(reading.things) != 1 or reading.is_scene:
        return Said(prompt)
    ground = painted(reading.ground)
    kept = reading if ground is None else replace(reading, ground="")
    return Said(plan.phrase(kept.things[0], kept), ground)


def painted(ground: str) -> Colour | None:
    """The colour of a ground's words; None if they name none and stand for no plain scenery."""
    name = colour_of_ground(ground)
    return None if name is None else RGB_FROM_NAME[name]
