"""Words of the generated suite: nonsense names, closed word lists and common words, in English and Chinese.

The tokenizer of the shipped tiny models is made from these lists, so whatever is built from them is read as a few
known tokens: an English name is two syllables (two tokens), a Chinese name two characters (two tokens), and every
word of a closed list is one token or few.
"""

from __future__ import annotations

from typing import Literal

from numpy.random import Generator

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")

# 64 syllables of the form consonant-vowel-consonant; names put two of them together, so there are 4,032 names.
SYLLABLES: tuple[str, ...] = tuple(
    """zan mir vek dor lum tas pel gor rin sol kav bex nud fip hul jom wen yat cor dax
    mog tev lik saf ror bim pud gan kel vos zul rek tam nib fod hes jav wix yon cal
    dun mep lor sib raz bok pim gef kud vil zet nor tuk fal hob jin wom yel cub dez
    mav tir lup sek""".split()
)

# 96 common characters; names put two different ones together, so there are 9,120 names.
_CHARACTERS = (
    "青云海星松石月竹兰梅雪霜雷风川江湖河林森山岭岩峰谷泉溪波涛沙洲田禾麦谷柳杨桃杏枫桂荷莲菊芝兰茶"
    "金银铜铁玉珠宝琴棋书画诗歌笔墨纸龙凤鹤雁鹰虎鹿燕鹏麟春夏秋冬晨暮夜光明辉晴雨露虹东南西北中安康宁平和"
    "文武志勇德仁义礼智信忠孝英华荣贵福禄寿喜乐庆吉祥瑞"
)
CHARACTERS: tuple[str, ...] = tuple(dict.fromkeys(_CHARACTERS))[:96]

# Closed lists: position i of the two languages means the same.
WORDS: dict[str, dict[Language, tuple[str, ...]]] = {
    "colour": {
        "en": tuple("red blue green yellow black white brown pink grey gold silver purple".split()),
        "zh": tuple("红色 蓝色 绿色 黄色 黑色 白色 棕色 粉色 灰色 金色 银色 紫色".split()),
    },
    "animal": {
        "en": tuple("cat dog horse bird fish lion bear wolf fox goat duck sheep tiger snake frog mouse".split()),
        "zh": tuple("猫 狗 马 鸟 鱼 狮子 熊 狼 狐狸 山羊 鸭 绵羊 老虎 蛇 青蛙 老鼠".split()),
    },
    "job": {
        "en": tuple("baker doctor farmer teacher pilot singer painter driver cook judge nurse smith".split()),
        "zh": tuple("面包师 医生 农民 老师 飞行员 歌手 画家 司机 厨师 法官 护士 铁匠".split()),
    },
    "place": {
        "en": tuple("river forest island valley desert harbour castle village market garden tower bridge".split()),
        "zh": tuple("河边 森林 岛上 山谷 沙漠 港口 城堡 村庄 市场 花园 高塔 桥边".split()),
    },
    "object": {
        "en": tuple("key cup book lamp bell ring knife chair clock coin drum mirror rope map boat hat".split()),
        "zh": tuple("钥匙 杯子 书本 灯 铃铛 戒指 小刀 椅子 时钟 硬币 鼓 镜子 绳子 地图 小船 帽子".split()),
    },
    "food": {
        "en": tuple("bread rice apple soup cheese egg honey bean corn cake milk tea".split()),
        "zh": tuple("面包 米饭 苹果 汤 奶酪 鸡蛋 蜂蜜 豆子 玉米 蛋糕 牛奶 茶".split()),
    },
    "material": {
        "en": tuple("wood stone iron glass paper clay wool salt".split()),
        "zh": tuple("木头 石头 铁 玻璃 纸 泥土 羊毛 盐".split()),
    },
    "size": {"en": ("tiny", "small", "large", "huge"), "zh": ("很小", "小", "大", "很大")},
    "weather": {
        "en": tuple("rain snow wind fog sun storm".split()),
        "zh": tuple("雨 雪 风 雾 太阳 暴风".split()),
    },
    "level": {"en": ("low", "middle", "high"), "zh": ("低", "中", "高")},
    "verdict": {"en": ("yes", "no"), "zh": ("是", "否")},
    "ruling": {"en": ("allowed", "forbidden"), "zh": ("允许", "禁止")},
    "state": {
        "en": tuple("open closed hot cold wet dry full empty".split()),
        "zh": tuple("打开 关闭 热 冷 湿 干 满 空".split()),
    },
}

NUMBERS: tuple[str, ...] = tuple(str(n) for n in range(21))
LETTERS: tuple[str, ...] = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")

# Relations that documents speak of, in both languages; the value of a relation is a name or a word of a closed list.
RELATIONS: dict[str, dict[Language, str]] = {
    "capital": {"en": "capital", "zh": "首都"},
    "colour": {"en": "colour", "zh": "颜色"},
    "job": {"en": "job", "zh": "工作"},
    "home": {"en": "home", "zh": "家"},
    "pet": {"en": "pet", "zh": "宠物"},
    "food": {"en": "food", "zh": "食物"},
    "tool": {"en": "tool", "zh": "工具"},
    "leader": {"en": "leader", "zh": "首领"},
    "friend": {"en": "friend", "zh": "朋友"},
    "material": {"en": "material", "zh": "材料"},
    "size": {"en": "size", "zh": "大小"},
    "symbol": {"en": "symbol", "zh": "标志"},
}

COMMON_EN: tuple[str, ...] = tuple(
    """the of and to in is that it was for on are as with his they at be this from have or by one had not but what all
    were when we there can an your which their said if do will each about how up out them then she many some so these
    would other into has more her two like him see time could no make than first been its who now people my made over
    did down only way find use may water long little very after words called just where most know get through back much
    before go good new write our used me man too any day same right look think also around another came come work three
    word must because does part even place well such here take why things help put years different away again off went
    old number great tell men say small every found still between name should home big give air line set own under read
    last never us left end along while might next sound below saw something thought both few those always looked show
    large often together asked house world going want school important until form food keep children feet land side
    without boy once animals life enough took sometimes four head above kind began almost live page got earth need far
    hand high year mother light parts country father let night following picture being study second eyes soon times
    story boys since white days ever paper hard near sentence better best across during today others however sure means
    knew try told young miles sun ways thing whole hear example heard several change answer room sea against top turned
    learn point city play toward five using himself usually money seen car morning body upon family later turn move face
    door cut done group true half red fish plants living wanted black short run book gave order open ground cold really
    table remember tree course front space inside ago sad early learned brought close nothing though idea lived became
    add become grow draw yet hands less wind behind cannot letter among able dog shown mean English rest perhaps certain
    six feel fire ready green yes built special ran full town complete oh person hot anything hold state list stood
    hundred ten fast felt kept notice strong voice probably area horse matter stand box start that's class piece surface
    river common stop am talk whether fine round dark past ball girl tried road blue instead either held already warm
    gone finally summer understand moon animal mind outside power problem longer winter deep heavy carefully follow
    beautiful everyone leave everything game system bring watch shell dry within floor ice ship themselves begin fact
    third quite carry distance although sat possible heart real simple snow rain suddenly leaves easy lay size wild
    weather miss pattern sky walked main someone center field stay boat question wide least tiny hour happened foot care
    low else gold build glass rock tall alone bottom check reading fall poor map friend language job music buy window
    mark heat grew listen ask single clear energy week explain lost spring travel wrote farm circle whose correct bed
    measure straight base mountain caught hair bird wood color war fly yourself seem thus square moment teacher happy
    bright sent present plan rather length speed machine information except figure free fell suppose natural ocean
    government baby grass plane street couldn't reason difference maybe history mouth middle step child strange wish
    soil human trip woman eye milk choose north seven famous late pay sleep iron trouble store beside oil modern fun
    catch business reach lot won't case speak shape eight edge soft village object age minute wall meet record copy
    forest especially necessary he's unit flat direction south subject skin wasn't I've yellow party force test bad
    temperature pair ahead wrong practice sand tail wait difficult general cover material isn't thousand sign guess
    forward huge ride region nor period blood rich team corner cat amount garden led note various race bit result
    brother addition doesn't dead weight thin stone hit wife island we'll opposite born sense cattle million anyone rule
    science afraid women produce pull son meant broken interest chance thick sight pretty train fresh drive lead break
    sit bought radio method king similar return corn decide position bear hope song engine board control spread evening
    brown clean wouldn't section spent ring teeth quiet ancient stick afternoon silver nose century therefore level
    you'll death hole coast cross sharp fight capital fill deal patterns company service news market sports world
    president team player film band university album product price quality buy bank account card transfer payment
    restaurant customer rating near cheap area family type""".split()
)

COMMON_ZH: str = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学如"
    "都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高"
    "间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解"
    "水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队"
    "形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清"
    "今切院让识候带导争运笔早连技术参组离单联深断元林准失容流青约节养照钱转育根须半亚支始般呢图书店服酒红黄蓝绿黑房车票价银卡账户付款密码查"
    "询取消订单客户电影音乐游戏手机汽车股票足球比赛明星旅游文化娱乐财经体育教育科技军事国际证券农业房产故事社会热点新闻标题分类正面负面评价"
    "答案句子词语写倒序最后首都颜色朋友宠物食物工具首领材料标志规则如果那么步骤状态开始结束输入输出计算加减等于多少哪什么谁请根据下文回答是否"
    "允许禁止打开关闭热冷湿干满空很低中高雨雪风雾太阳暴"
)


def name_en(rng: Generator) -> str:
    """Return an English nonsense name: two different syllables, capitalised, such as "Zanmir"."""
    first, second = rng.choice(len(SYLLABLES), size=2, replace=False)
    return (SYLLABLES[first] + SYLLABLES[second]).capitalize()


def name_zh(rng: Generator) -> str:
    """Return a Chinese nonsense name: two different characters, such as "青石"."""
    first, second = rng.choice(len(CHARACTERS), size=2, replace=False)
    return CHARACTERS[first] + CHARACTERS[second]


def name(rng: Generator, lang: Language) -> str:
    """Return a nonsense name in a language."""
    return name_zh(rng) if lang == "zh" else name_en(rng)


def names(rng: Generator, num: int, lang: Language) -> list[str]:
    """Return `num` distinct nonsense names.

    Args:
        rng: The generator.
        num: How many, in [0, 4000].
        lang: "en" or "zh".

    Raises:
        ValueError: More names than there are.
    """
    most = 4000
    if not 0 <= num <= most:
        raise ValueError(f"num must be in [0, {most}], not {num}")
    found: dict[str, None] = {}
    while len(found) < num:
        found[name(rng, lang)] = None
    return list(found)


def words(kind: str, lang: Language) -> tuple[str, ...]:
    """Return a closed word list, such as `words("colour", "en")`.

    Example:
        >>> words("size", "en")
        ('tiny', 'small', 'large', 'huge')
    """
    return WORDS[kind][lang]
