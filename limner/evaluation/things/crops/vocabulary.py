"""The things of the questions: common, drawn by all artists, and named reliably.

Chosen once, on true drawings: `naming.py` names both Twemoji's and Noto's drawing right among 577
things, each is mostly one connected area, none is held out from training, and each is visible on
white.
"""

KEYS = (
    "2708",  # airplane
    "2693",  # anchor
    "1F697",  # automobile
    "1F392",  # backpack
    "1F388",  # balloon
    "1F34C",  # banana
    "1F43B",  # bear
    "1F514",  # bell
    "1F6B2",  # bicycle
    "1F382",  # birthday cake
    "1F98B",  # butterfly
    "1F4F7",  # camera
    "1F384",  # Christmas tree
    "1F404",  # cow
    "1F40A",  # crocodile
    "1F42C",  # dolphin
    "1F6AA",  # door
    "1F369",  # doughnut
    "1F409",  # dragon
    "1F457",  # dress
    "1F438",  # frog
    "1F3B8",  # guitar
    "1F354",  # hamburger
    "1F528",  # hammer
    "1F40E",  # horse
    "1F511",  # key
    "1F34B",  # lemon
    "1F4A1",  # light bulb
    "1F344",  # mushroom
    "1F334",  # palm tree
    "1F350",  # pear
    "1F427",  # penguin
    "1F349",  # watermelon
    "1F34D",  # pineapple
    "1F355",  # pizza
    "1F680",  # rocket
    "1F413",  # rooster
    "1F40D",  # snake
    "2B50",  # star
    "1F353",  # strawberry
    "1F33B",  # sunflower
    "1F455",  # t-shirt
    "260E",  # telephone
    "1F405",  # tiger
    "1F3A9",  # top hat
    "1F3C6",  # trophy
    "1F337",  # tulip
    "1F422",  # turtle
)
