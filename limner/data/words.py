"""The little grammar that captions need: articles, plurals and measure words.

English labels are noun phrases such as "slice of pizza" or "french fries"; the head noun decides
the article and the plural. A Chinese count needs a measure word: one cat is 一只猫.
"""

import re
from functools import cache, lru_cache

from limner.data.colours import CHINESE_SHORT
from limner.data.concepts import Concept

NUMBERS = {
    "en": {1: "one", 2: "two", 3: "three", 4: "four"},
    "zh": {1: "一", 2: "两", 3: "三", 4: "四"},
}

_AFTER_HEAD = re.compile(
    r" (with|without|of|on|in|and|behind|over|at|under|facing|showing|fluttering|pointing|pointed|"
    r"feeding|holding|wearing|getting|blowing|running|walking|for|to) "
)

# An emoji label is often not "one thing": actions, materials, places with a name of their own.
_NO_ARTICLE = frozenset(
    """
    thumbs up; thumbs down; clapping hands; raising hands; dashing away; camping; cooking; foggy; fog;
    construction; building construction; breast-feeding; horse racing; nail polish; performing arts;
    milky way; mount fuji; statue of liberty; santa claus; mrs. claus; mx claus; yin yang; om; dna;
    sunrise over mountains; cityscape; cityscape at dusk; pouring liquid; clinking glasses; zzz;
    clinking beer mugs; high voltage; potable water; non-potable water; baggage claim; customs;
    left luggage; passport control; currency exchange; vibration mode; mobile phone off; copyright;
    registered; information; radioactive; biohazard; wireless; infinity; multiply; plus; minus; divide;
    hundred points; shallow pan of food; pot of food; canned food; left-right arrow; litter in bin sign;
    mahjong red dragon; moon viewing ceremony; tokyo tower; hot springs; night with stars; warning;
    no entry; prohibited; no smoking; no littering; children crossing; flower playing cards; curling;
    eyes; lungs; hamsa; kaaba; light rail; low battery; winter sports; ok; leaf fluttering in wind;
    """.replace("\n", " ").split("; ")
)
_NO_ARTICLE = frozenset(word.strip().rstrip(";") for word in _NO_ARTICLE)
_ZODIAC = frozenset(
    "aries taurus gemini cancer leo virgo libra scorpio sagittarius capricorn aquarius pisces ophiuchus".split()
)
_UNCOUNTABLE = frozenset(
    """
    bread rice spaghetti butter salt bacon fire ice snow wood popcorn tennis bowling badminton lacrosse
    hockey polo pong sushi oden fondue garlic broccoli sake milk money yarn thread soap mate falafel hair
    custard wind ginger corn coral meat food water music electricity ivy seaweed honey baseball-game
    weather lightning rain polish racing hearing news paper clothes help support data privacy
    """.split()
)
_SINGULAR_IN_S = frozenset(
    "bus dress compass cactus hibiscus octopus iris chess lens canvas virus lotus walrus abacus hippopotamus "
    "platypus rhinoceros glass grass moss brass cross mass class mattress princess address boss gas "
    "campus chaos christmas tennis process business access".split()
)
_PLURALS = {
    "mouse": "mice", "person": "people", "man": "men", "woman": "women", "child": "children",
    "foot": "feet", "tooth": "teeth", "goose": "geese", "sheep": "sheep", "fish": "fish",
    "deer": "deer", "bison": "bison", "squid": "squid", "shrimp": "shrimp", "moose": "moose",
    "leaf": "leaves", "knife": "knives", "wolf": "wolves", "scarf": "scarves", "loaf": "loaves",
    "elf": "elves", "die": "dice", "ox": "oxen", "potato": "potatoes", "tomato": "tomatoes",
    "mango": "mangoes", "volcano": "volcanoes", "mosquito": "mosquitoes", "tornado": "tornadoes",
    "superhero": "superheroes", "dodo": "dodos", "aircraft": "aircraft", "t-rex": "T-Rexes",
}  # fmt: skip

# Spelt with a vowel and spoken with a consonant, or the other way round.
_SPOKEN_CONSONANT = re.compile(
    r"^(uni|eu|ewe|one\b|one-|once|use|usb|ufo|uk|utensil|ukulele|u-)", re.I
)
_SPOKEN_VOWEL = re.compile(
    r"^(hour|honest|heir|x-ray|sos\b|ng\b|m\b|nfc\b|sms\b|mms\b|slr\b|faq\b)", re.I
)

_COUNTABLE_GROUPS = frozenset(
    {"animals-nature", "food-drink", "travel-places", "activities", "objects", "shapes"}
)
_COUNTABLE_SUBGROUPS = frozenset(
    {"face-costume", "cat-face", "monkey-face", "heart", "geometric", "person", "person-role"}
    | {"person-fantasy", "face-smiling", "body-parts"}
)
# In these a label names weather or an hour rather than a thing one could put next to another.
_PHENOMENA = frozenset({"time", "place-map"})

# Chinese labels that are an act or a state: "two 干杯" says nothing.
_ZH_ACTIONS = frozenset(
    """滑雪 滑冰 开香槟 干杯 碰杯 施工 开花 下雨 下雪 打雷 阴 晴偶有云 多云 晴转雨 有雾 夜晚 大风 闪亮 赏月
    雪与雪人 高压 风吹叶落 婚礼 露营 日出 日落 航班起飞 航班降落 小鸡破壳 空巢 倾倒液体 表演艺术 爆炸 举重
    雷阵雨 雾 台风 温泉 彩虹 火焰 浪花 煎蛋 乒乓球拍 购物袋 游泳 已静音的扬声器 禁止响铃 大小王 山顶日出
    夜幕下的桥 有待收信件 无待收信件 有新信件 无新信件 来信 收邮件 空轨 索道 缆车 地铁 轻轨 单轨 施工 山体滑坡
    城市风光 城市黄昏 银河 药草 枯萎的花 刀叉 餐具 碗勺 理发店 弓和箭 锤子与镐 锤子与扳手 螺母与螺栓 沙发和灯
    电池电量不足 链接 冰球 板球 曲棍球 袋棍球 网球 保龄球 羽毛球 乒乓球 兵 黑桃 红桃 方片 梅花 红中 花札 结
    嘻嘻 嘿嘿 哈哈 大笑 斜眼笑 苦笑 笑得满地打滚 笑哭了 呵呵 倒脸 融化 眨眼 羞涩微笑 微笑天使 非礼勿视 非礼勿听
    非礼勿言 大便 心中箭了 搏动的心 心跳 心碎 火上之心 修复受伤的心灵 墨水笔和锁 钥匙和锁 葡萄酒 鸡尾酒 啤酒 热饮 热茶
    面条 一锅食物 一杯奶""".split()
)


@cache
def clean_english(label: str) -> str:
    """A label as one would write it in a prompt: "man: red hair" -> "man with red hair"."""
    text = label.replace("’", "'").replace("“", '"').replace("”", '"')
    head, colon, rest = text.partition(": ")
    if not colon:
        return text
    if head == "keycap" or rest.startswith("facing"):
        return f"{head} {rest}"
    members = rest.split(", ")
    joined = ", ".join(members[:-1]) + " and " + members[-1] if len(members) > 1 else rest
    return f"{head} {'of' if head in ('family', 'kiss') else 'with'} {joined}"


@cache
def clean_chinese(label: str) -> str:
    """A label without its colon: "男人: 红发" -> "红发男人"."""
    head, colon, rest = label.replace("：", ": ").partition(": ")
    if not colon:
        return label
    if head == "按键":
        return f"{head}{rest}"
    return f"{rest}{'的' if rest.startswith('面向') else ''}{head}"


def name(concept: Concept, lang: str) -> str | None:
    """The concept's name as a prompt would write it, or None if the language lacks one."""
    label = concept.label(lang)
    if label is None:
        return None
    return {"en": clean_english, "zh": clean_chinese}.get(lang, str)(label)


def _head(noun: str) -> str:
    return _AFTER_HEAD.split(noun, maxsplit=1)[0]


@cache
def is_plural(noun: str) -> bool:
    """Whether an English noun phrase is a plural already, as "grapes" or "french fries" are."""
    last = _head(noun).lower().rsplit(" ", 1)[-1]
    if last in ("people", "men", "women", "children", "teeth", "feet", "dice"):
        return True
    is_s = last.endswith("s") and not last.endswith(("ss", "us", "is", "'s"))
    return is_s and last not in _SINGULAR_IN_S


@cache
def has_article(noun: str) -> bool:
    """Whether "a" or "an" may stand before an English noun phrase."""
    lower = noun.lower()
    last = _head(lower).rsplit(" ", 1)[-1]
    if lower in _NO_ARTICLE or lower in _ZODIAC or last in _UNCOUNTABLE or is_plural(noun):
        return False
    return not (
        last.endswith("ing") and " " not in _head(lower) and last not in ("ring", "wing", "string")
    )


def with_article(noun: str) -> str:
    """ "apple" -> "an apple"; unchanged where English has no article, as for "grapes"."""
    if not has_article(noun):
        return noun
    return f"{article(noun)} {noun}"


@cache
def article(phrase: str) -> str:
    """The indefinite article by sound: "an hourglass", "a unicorn", "an SOS button"."""
    if _SPOKEN_VOWEL.match(phrase):
        return "an"
    if _SPOKEN_CONSONANT.match(phrase):
        return "a"
    return "an" if phrase[:1].lower() in "aeiou" else "a"


@cache
def plural(noun: str) -> str:
    """The plural of an English noun phrase; its head noun changes: "pots of food"."""
    head = _head(noun)
    before, _, last = head.rpartition(" ")
    if before in ("man", "woman", "old man", "old woman"):  # "women judges"
        before = plural(before)
    changed = _plural_word(last)
    return f"{before} {changed}{noun[len(head) :]}" if before else f"{changed}{noun[len(head) :]}"


def _plural_word(word: str) -> str:
    lower = word.lower()
    for singular in (lower, lower.rsplit("-", 1)[-1]):
        if singular in _PLURALS:
            return word[: len(word) - len(singular)] + _PLURALS[singular]
    for tail in ("man", "fish"):  # "fireman", "starfish"
        if lower.endswith(tail) and lower != "human":
            return word[: len(word) - len(tail)] + _PLURALS[tail]
    if lower.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if lower.endswith("y") and lower[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


@cache
def _is_countable(label_en: str, label_zh: str | None, group: str, subgroup: str) -> bool:
    noun = clean_english(label_en)
    placed = (
        group in _COUNTABLE_GROUPS or subgroup in _COUNTABLE_SUBGROUPS
    ) and subgroup not in _PHENOMENA
    no_chinese = label_zh is None or label_zh in _ZH_ACTIONS or ":" in label_zh
    return (
        placed and not no_chinese and has_article(noun) and len(noun) <= 24 and " and " not in noun
    )


def is_countable(concept: Concept) -> bool:
    """Whether one can speak of "two …" of it, in English and in Chinese."""
    return _is_countable(concept.labels["en"], concept.label("zh"), concept.group, concept.subgroup)


_MEASURE_FROM_END = (
    ("马", "匹"), ("鱼", "条"), ("蛇", "条"), ("龙", "条"), ("鲸", "头"), ("牛", "头"), ("猪", "头"),
    ("象", "头"), ("驴", "头"), ("狗", "只"), ("狼", "只"), ("花", "朵"), ("玫瑰", "朵"), ("树", "棵"),
    ("松树", "棵"), ("仙人掌", "棵"), ("香蕉", "根"), ("胡萝卜", "根"), ("黄瓜", "根"), ("火车", "列"),
    ("飞机", "架"), ("直升机", "架"), ("飞碟", "架"), ("船", "艘"), ("艇", "艘"), ("轮", "艘"), ("车", "辆"),
    ("巴", "辆"), ("裙", "条"), ("裤", "条"), ("领带", "条"), ("围巾", "条"), ("鞋", "只"), ("靴", "只"),
    ("帽", "顶"), ("皇冠", "顶"), ("伞", "把"), ("椅", "把"), ("刀", "把"), ("剑", "把"), ("锁", "把"),
    ("钥匙", "把"), ("锤子", "把"), ("斧头", "把"), ("剪刀", "把"), ("扳手", "把"), ("吉他", "把"),
    ("小提琴", "把"), ("扇", "把"), ("书", "本"), ("书本", "本"), ("笔记本", "本"), ("账本", "本"),
    ("笔", "支"), ("蜡烛", "支"), ("口红", "支"), ("唇膏", "支"), ("床", "张"), ("票", "张"), ("券", "张"),
    ("卡", "张"), ("证", "张"), ("山", "座"), ("塔", "座"), ("桥", "座"), ("火山", "座"), ("城堡", "座"),
    ("电话", "部"), ("手机", "部"), ("电脑", "台"), ("机", "台"), ("脸", "张"), ("衣", "件"), ("T恤", "件"),
    ("服", "件"), ("外套", "件"), ("心", "颗"), ("星星", "颗"), ("宝石", "颗"), ("牙齿", "颗"), ("灯", "盏"),
    ("灯笼", "盏"), ("门", "扇"), ("窗户", "扇"), ("云", "朵"), ("叶", "片"), ("面包", "片"),
)  # fmt: skip
_MEASURE_FROM_SUBGROUP = {
    "animal-mammal": "只", "animal-bird": "只", "animal-amphibian": "只", "animal-reptile": "只",
    "animal-marine": "只", "animal-bug": "只", "cat-face": "只", "monkey-face": "只",
    "plant-flower": "朵", "place-building": "座", "place-religious": "座",
    "person": "个", "person-role": "个", "person-fantasy": "个",
}  # fmt: skip
_MEASURE_EXCEPTIONS = {
    "河马": "只",
    "海马": "只",
    "驼鹿": "头",
    "蜥蜴类": "只",
    "独角兽": "只",
    "羽毛": "根",
}
_MEASURE_EXCEPTIONS |= {
    "花束": "束",
    "圆形花饰": "个",
    "轮椅": "辆",
    "爪印": "个",
    "海螺": "个",
    "翅膀": "只",
}
_MEASURE_EXCEPTIONS |= {
    "蜘蛛网": "张",
    "缝合针": "根",
    "热气球": "个",
    "车轮": "个",
    "救生圈": "个",
}


@cache
def measure_word(label: str, subgroup: str) -> str:
    """The Chinese measure word for a noun: 只 for a cat, 辆 for a car, 个 where nothing fits better."""
    if label in _MEASURE_EXCEPTIONS:
        return _MEASURE_EXCEPTIONS[label]
    for end, measure in sorted(_MEASURE_FROM_END, key=lambda row: -len(row[0])):
        if label.endswith((end, end + "子")):
            return measure
    return _MEASURE_FROM_SUBGROUP.get(subgroup, "个")


_ENGLISH_COLOUR = re.compile(
    r"^(red|orange|yellow|green|blue|purple|pink|brown|black|white|grey|gray) ", re.I
)
_ANY_ENGLISH_COLOUR = re.compile(
    r"\b(red|orange|yellow|green|blue|purple|pink|brown|black|white|gr[ea]y)\b", re.I
)
_ANY_CHINESE_COLOUR = re.compile(r"[红橙黄绿青蓝紫粉棕褐黑白灰金银]")
# A character for a colour that is part of the thing's own name.
_CHINESE_NOT_COLOURS = re.compile(
    r"胡萝卜|黄瓜|黄油|白菜|蛋白|西红柿|红薯|银行|金鱼|橘子|橙子|青蛙|青柠|粉笔|面粉|紫菜"
)


@cache
def _without_colour(label_en: str, label_zh: str | None, lang: str) -> str | None:
    english = clean_english(label_en)
    match = _ENGLISH_COLOUR.match(english)
    if lang == "en":
        bare = english[match.end() :] if match else english
        return None if _ANY_ENGLISH_COLOUR.search(bare) else bare
    if label_zh is None:
        return None
    chinese = clean_chinese(label_zh)
    if match:
        characters = CHINESE_SHORT[match.group(1).lower().replace("gray", "grey")]
        chinese, n_changes = re.subn(f"^[{characters}]色?的?", "", chinese)
        if not n_changes or not chinese:
            return None
    if _ANY_CHINESE_COLOUR.search(_CHINESE_NOT_COLOURS.sub("", chinese)):
        return None
    return chinese


def noun_without_colour(concept: Concept, lang: str) -> str | None:
    """ "red apple" -> "apple", so that it can be a blue one; None where the colour is the name."""
    return _without_colour(concept.labels["en"], concept.label("zh"), lang)
