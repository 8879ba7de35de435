"""Prompts that only want another ground behind a picture: "put it on a meadow", 换成蓝色背景."""

from __future__ import annotations

import re
from functools import cache

from limner.text import wording

_MAX_CHARS = 200
_PLEASE = r"(?:(?:now|and|but|then|please|can you|could you|would you|ok)[, ]+)*"
_IT = (
    r"(?:it|this|that|them|these|those|him|her|everything|all"
    r"|(?:the|my|this|that|these|those)\s+[a-z][a-z' -]{0,30}?)"
)
_ANY = r"(?:(?:an?|the|some)\s+)?"
_MANNER = r"(?:(?:light|dark|bright|pale|deep|plain|solid|simple|soft|clean)\s+)*"
_BACK = r"(?:back\s?ground|backdrop|ground)"
_AT = r"(?:on\s+top\s+of|in\s+front\s+of|on(?:to)?|in(?:to)?|at|by|before|against|over|with)"
_END = r"(?:[,\s]+(?:instead|now|please))*\s*[.!?]*"
_PLACE_ENDS = "地坪原丛边洋面水滩漠道空晚里上中前旁的"


def ground_wanted(prompt: str) -> str | None:
    """The basic colour to paint behind a picture, if that is all that a prompt wants; else None.

    It is the colour that the prompt names, or the one that stands for its plain scenery ("a
    meadow": green). Words before a comma are the picture's subject and may stand there: "a red
    apple, put it on a meadow".
    """
    said = prompt.strip()
    if len(said) > _MAX_CHARS:
        return None
    for pattern in (_english(), _chinese()):
        if match := pattern.fullmatch(said):
            return wording.colour_of_ground(next(g for g in match.groups() if g))
    return None


@cache
def _english() -> re.Pattern[str]:
    colours = wording.any_colour("en")
    scenery = "|".join(wording.scenery_words("en"))
    backed = rf"{_ANY}{_MANNER}(?:{colours})\s+{_BACK}"
    ground = rf"(?:{backed}|{_ANY}{_MANNER}(?:(?:{colours})\s+)?(?:{scenery})(?:\s+{_BACK})?)"
    any_ground = rf"(?:{ground}|{_ANY}{_MANNER}(?:{colours}))"
    of_it = rf"(?:\s+(?:of|behind|to|in)\s+{_IT})?"
    wishes = (
        rf"(?:put|place|set|show|lay|move|have)\s+{_IT}\s+{_AT}\s+({ground})",
        rf"(?:give|add)\s+(?:(?:to\s+)?{_IT}\s+)?({backed}){of_it}",
        rf"(?:make|change|turn|paint|fill|colou?r)\s+(?:the|its)\s+{_BACK}{of_it}\s+"
        rf"(?:(?:to|into|in|with)\s+)?({any_ground})",
        rf"replace\s+(?:the|its)\s+{_BACK}{of_it}\s+(?:with|by)\s+({any_ground})",
    )
    alone = rf"(?:{_AT}\s+({ground})|({backed}))"
    after_subject = rf"(?:(?:.*?)[,.;]\s*)?{_PLEASE}(?:{'|'.join(wishes)})"
    return re.compile(rf"(?is)(?:{after_subject}|{_PLEASE}{alone}){_END}")


@cache
def _chinese() -> re.Pattern[str]:
    colours = wording.any_colour("zh")
    scenery = "|".join(wording.scenery_words("zh"))
    colour = rf"[浅深]?(?:{colours})色?"
    place = rf"(?:{colour}的?)?(?:{scenery})[{_PLACE_ENDS}]*"
    it = r"(?:(?:把|将)?(?:它们?|他们?|她们?|这个|那个|这只|图片)?)"
    wishes = (
        rf"{it}(?:放|摆|置|移)?(?:在|到|于)(?:一?片)?({place})",
        rf"(?:给|为)?{it}(?:加上?|添加|换成?|改成|用|要)?(?:一?个)?({colour}的?背景)",
        rf"(?:把|将)?背景(?:的?颜色)?(?:换|改|变|涂|设)?(?:成|为|到)?({colour}的?|{place})",
    )
    return re.compile(rf"(?s)(?:(?:.*?)[,，。;；]\s*)?请?(?:再)?(?:{'|'.join(wishes)})[.。！!]*")
