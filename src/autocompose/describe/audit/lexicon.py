"""The words the parser knows, as data: phrase -> meaning. The longest phrase wins.

Meanings are ``(kind, value)``; the kinds are explained in ``tokens.py``.
"""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """How a verb reads the words around it.

    :param mode: ``move`` (directions are moves), ``bend``, ``turn``, ``lean``, ``look``, ``touch``, ``kneel``,
        ``over-shoulder`` (look over a shoulder).
    :param does: actions that the verb says by itself.
    :param part: the part meant when the text names none, "" if there is no such part.
    :param fallback: ``does`` counts only when the text gives no direction ("kick" is forward unless told otherwise).
    :param passive: a past participle: it speaks about the part before it.
    """

    mode: str = "move"
    does: tuple[str, ...] = ()
    part: str = ""
    fallback: bool = False
    passive: bool = False


PARTS = {
    "hand": "hand hands wrist wrists fist fists palm palms finger fingers fingertip fingertips thumb thumbs "
    "index knuckles",
    "elbow": "elbow elbows",
    "forearm": "forearm forearms|lower arm|lower arms",
    "upper arm": "upperarm upperarms bicep biceps|upper arm|upper arms",
    "arm": "arm arms",
    "shoulder": "shoulder shoulders collarbone",
    "foot": "stance foot feet ankle ankles toe toes heel heels sole soles",
    "shin": "shin shins calf calves|lower leg|lower legs",
    "knee": "knee knees kneecap",
    "thigh": "thigh thighs|upper leg|upper legs",
    "leg": "leg legs",
    "hip": "hip",
    "waist": "waist waistline",
    "chin": "chin chins",
    "pelvis": "hips pelvis butt bottom buttocks bum backside buttock rear",
    "head": "head neck face nose gaze eyes eye forehead ear ears skull mouth temple",
    "torso": "torso trunk chest spine belly stomach abdomen ribs ribcage ribs core midsection|upper body|"
    "upper back|lower back|rib cage|upper torso|shoulder blades|bust|body line",
    "body": "body|whole body|entire body|full body|lower body",
    "weight": "weight|body weight|bodyweight",
}
# "stance" speaks about both feet.
PLURALS = frozenset(
    [
        "hands",
        "wrists",
        "fists",
        "palms",
        "fingers",
        "fingertips",
        "thumbs",
        "knuckles",
        "elbows",
        "forearms",
        "upperarms",
        "biceps",
        "arms",
        "shoulders",
        "feet",
        "stance",
        "ankles",
        "toes",
        "heels",
        "soles",
        "shins",
        "calves",
        "knees",
        "thighs",
        "legs",
    ]
)

SIDES = {"left": "left", "right": "right", "l": "left", "r": "right", "both": "both", "each": "both", "either": "both",
         "other": "other", "opposite": "other"}  # fmt: skip

# verb base -> Verb; the usual inflections are made from the base.
VERBS = {
    "raise lift elevate hoist": Verb(does=("up",)),
    "rise": Verb(does=("up",), part="body"),
    "lower drop sink": Verb(does=("down",)),
    "move bring put place take shift slide draw push pull hold keep get make set position have drag point go come "
    "carry hover send guide swing sweep throw press rest leave return pose let adjust reposition start try "
    "continue begin remain stay help stick thrust transfer": Verb(),
    "kick": Verb(does=("forward",), fallback=True),
    "step lunge stride": Verb(does=("forward",), part="foot", fallback=True),
    "walk": Verb(part="foot"),
    "bend flex fold curl": Verb("bend", ("bend",), "torso"),
    "hunch bow hinge fold-over crunch": Verb("bend", ("bend",), "torso"),
    "straighten unbend unfold lengthen": Verb(does=("straighten",)),
    "extend stretch": Verb(does=("straighten",)),
    "reach": Verb(),
    "turn rotate spin swivel pivot": Verb("turn", (), "body"),
    "twist": Verb("turn", (), "torso"),
    "lean incline recline": Verb("lean", (), "torso"),
    "tilt tip cock": Verb("lean", ()),
    "look glance gaze stare": Verb("look", (), "head"),
    "nod": Verb("look", ("lean-forward",), "head", True),
    "tuck": Verb("look", ("lean-forward",)),
    "touch grab grip clasp grasp": Verb("touch"),
    "squat crouch": Verb(does=("down",), part="body"),
    "sit": Verb(does=("down",), part="pelvis", fallback=True),
    "lie lay": Verb(does=("down",), part="body", fallback=True),
    "jump hop leap": Verb(does=("up",), part="body", fallback=True),
    "kneel": Verb("kneel"),
    "shrug": Verb(does=("up",), part="shoulder"),
    "arch": Verb(does=("lean-backward",), part="torso"),
    "round": Verb("lean", ("lean-forward",), "torso", True),
    "cross": Verb(does=("crossed",)),
    "spread separate widen part": Verb(does=("apart",)),
    "narrow": Verb(does=("closer",)),
    "join": Verb(does=("closer",)),
    "open": Verb(does=("open",)),
    "close": Verb(does=("shut",)),
}
IRREGULAR = {
    "bend": "bends bending", "hold": "holds holding held", "keep": "keeps keeping kept",
    "bring": "brings bringing brought",
    "take": "takes taking took taken", "put": "puts putting", "set": "sets setting", "get": "gets getting got",
    "make": "makes making made", "go": "goes going went gone", "come": "comes coming came",
    "throw": "throws throwing thrown",
    "rise": "rises rising risen", "sit": "sits sitting sat", "lie": "lies lying", "lay": "lays laying laid",
    "spin": "spins spinning spun", "kneel": "kneels kneeling knelt", "stick": "sticks sticking stuck",
    "spread": "spreads spreading", "swing": "swings swinging swung", "draw": "draws drawing drawn",
    "have": "has having had", "lean": "leans leaning leaned leant", "sink": "sinks sinking sunk", "let": "lets letting",
    "sweep": "sweeps sweeping swept", "leave": "leaves leaving", "thrust": "thrusts thrusting",
    "begin": "begins beginning",
    "stand": "stands standing stood", "lower": "lowers lowering lowered", "squat": "squats squatting squatted",
    "nod": "nods nodding nodded", "tip": "tips tipping tipped", "hop": "hops hopping hopped",
    "drop": "drops dropping dropped",
    "step": "steps stepping stepped", "shrug": "shrugs shrugging shrugged", "grab": "grabs grabbing grabbed",
    "grip": "grips gripping gripped", "drag": "drags dragging dragged",
    "transfer": "transfers transferring transferred",
    "unbend": "unbends unbending unbent", "send": "sends sending sent", "stay": "stays staying stayed",
    "part": "parting parted",
    "open": "opens opening opened", "close": "closes closing", "round": "rounds rounding rounded",
}  # fmt: skip
PASSIVE = frozenset(
    [
        "held",
        "kept",
        "brought",
        "taken",
        "made",
        "thrown",
        "spun",
        "stuck",
        "drawn",
        "leant",
        "swept",
        "sent",
        "unbent",
        "laid",
        "spread",
        "set",
        "put",
    ]
)

VERB_PHRASES = {
    "stand": Verb(does=("stand",), part="body"),
    "stand up": Verb(does=("up",), part="body"), "get up": Verb(does=("up",), part="body"),
    "stand taller": Verb(does=("up",), part="body"), "stand tall": Verb(does=("up",), part="body"),
    "stand up straight": Verb(does=("up", "upright"), part="body"),
    "stand straight": Verb(does=("upright",), part="body"), "stand upright": Verb(does=("upright",), part="body"),
    "straighten up": Verb(does=("straighten",), part="torso"),
    "get lower": Verb(does=("down",), part="body"), "get down": Verb(does=("down",), part="body"),
    "go lower": Verb(does=("down",), part="body"), "hunker down": Verb(does=("down",), part="body"),
    "bend over": Verb("bend", ("bend",), "torso"), "bent over": Verb("bend", ("bend",), "torso"),
    "bow down": Verb("bend", ("bend",), "torso"), "hunch over": Verb("bend", ("bend",), "torso"),
    "get down on": Verb("kneel"), "go down on": Verb("kneel"), "drop to": Verb("kneel"), "kneel on": Verb("kneel"),
    "kneel down on": Verb("kneel"), "kneeling on": Verb("kneel"), "kneel down": Verb("kneel"),
    "drop onto": Verb("kneel"),
    "get on": Verb("kneel"), "come down onto": Verb("kneel"), "fall back onto": Verb("kneel"),
    "fall onto": Verb("kneel"),
    "look over": Verb("over-shoulder"), "looking over": Verb("over-shoulder"), "glance over": Verb("over-shoulder"),
    "face": Verb("turn", (), "body"), "faces": Verb("turn", (), "body"), "facing": Verb("turn", (), "body"),
    "turn yourself": Verb("turn", (), "body"), "rotate yourself": Verb("turn", (), "body"),
    "stand on": Verb("support"), "standing on": Verb("support"), "balance on": Verb("support"),
    "balancing on": Verb("support"), "stands on": Verb("support"),
    "close the angle of": Verb("bend", ("bend",)), "close the angle at": Verb("bend", ("bend",)),
    "reduce the angle of": Verb("bend", ("bend",)), "decrease the angle of": Verb("bend", ("bend",)),
    "widen the angle of": Verb(does=("straighten",)), "open the angle of": Verb(does=("straighten",)),
    "increase the angle of": Verb(does=("straighten",)), "open up": Verb(does=("open",)),
    "put more bend into": Verb("bend", ("bend",)), "put more bend in": Verb("bend", ("bend",)),
    "add more bend to": Verb("bend", ("bend",)), "take some bend out of": Verb(does=("straighten",)),
    "outstretched": Verb(does=("straighten",), passive=True), "make a": Verb(), "do a": Verb(),
    "quarter turn": Verb("turn", (), "body"), "half turn": Verb("turn", ("turn-around",), "body", True),
    "small turn": Verb("turn", (), "body"), "about turn": Verb("turn", ("turn-around",), "body", True),
}  # fmt: skip

DIRECTIONS = {
    "up": "up|back up|upward|upwards|higher|high|in the air|into the air|to the ceiling|towards the ceiling|"
    "toward the ceiling|"
    "off the floor|off the ground|to the sky|towards the sky|above you|skyward|skywards|further up|from the floor|"
    "from the ground|too low|not high enough",
    "down": "down|back down|downward|downwards|low|towards the floor|towards the ground|toward the floor|"
    "toward the ground|"
    "by your side|by your sides|at your side|at your sides|by the sides|by his side|by her side|by their side|"
    "by his sides|by her sides|by their sides|at his sides|at her sides|alongside your body|further down|too high|"
    "not low enough",
    "forward": "forward|forwards|ahead|frontward|frontwards|in front|in front of you|out in front|out in front of you|"
    "to the front|towards the front|toward the front|in front of your body|in front of the body|in front of yourself|"
    "out front|straight ahead|in front of him|in front of her|in front of them|out in front of your body|"
    "further to the front|too far back|too far backward|too far behind",
    "backward": "back|backward|backwards|rearward|rearwards|behind you|behind yourself|to the back|towards the back|"
    "toward the back|to the rear|behind your body|behind the body|behind him|behind them|out behind you|out back|"
    "further back|too far forward|too far in front|too far ahead",
    "left": "to the left|to your left|to the left side|to your left side|leftward|leftwards|on the left|on your left|"
    "to the left hand side|towards the left|toward the left|towards your left|toward your left|out to the left|"
    "out to your left|over to the left|over to your left|across to the left|on the left side|on your left side|"
    "toward the left side|towards the left side|to his left|to her left|to their left|too far right|"
    "too far to the right|more left|further left|too much to the right",
    "right": "to the right|to your right|to the right side|to your right side|rightward|rightwards|on the right|"
    "on your right|to the right hand side|towards the right|toward the right|towards your right|toward your right|"
    "out to the right|out to your right|over to the right|over to your right|across to the right|on the right side|"
    "on your right side|toward the right side|towards the right side|to his right|to her right|to their right|"
    "too far left|too far to the left|more right|further right|too much to the left",
    "out": "out|outward|outwards|out to the side|out to the sides|to the side|to the sides|sideways|to your side|"
    "to your sides|out sideways|to either side|outside|out wide|laterally|to each side",
    "in": "inward|inwards",
    "clockwise": "clockwise",
    "counterclockwise": "counterclockwise|anticlockwise|counter clockwise|anti clockwise",
    "around": "around|180 degrees|all the way around|the other way around|180",
    "closer": "closer|together|nearer|closer together|nearer together|close together|closer to each other|"
    "towards each other|toward each other|nearer to each other|too wide|too far apart|closer to one another|in closer|"
    "side by side|next to each other",
    "apart": "apart|further apart|farther apart|wider|wide|wide apart|wider apart|away from each other|"
    "too close together|"
    "too close|too narrow|farther from each other|further from each other|away from one another",
    "away": "away|further away|farther away",
    "more-bent": "bent more|more bent|bent further|bent deeper|bent more deeply|not bent enough|too straight|"
    "more folded|"
    "more flexed|bent a bit more|bent a little more|bent slightly more|bent much more|more of a bend|more bend",
    "less-bent": "less bent|bent less|straighter|more straight|too bent|bent too much|not straight enough|less folded|"
    "less flexed|less of a bend|less bend|more extended",
    "overhead": "overhead|over head",
}
STATES = {
    "bent": "bent|folded|flexed|fully bent|completely bent|tightly folded",
    "straight": "straight|fully straight|completely straight|straightened out",
    "right-angle": "90 degrees|at 90 degrees|right angle|right angles|at a right angle|a right angle|"
    "bent at 90 degrees|"
    "bent at a right angle|90 degree angle|bent to 90 degrees|at a 90 degree angle|bent at a 90 degree angle|"
    "l shape|l shaped|bent at right angles",
    "horizontal": "horizontal|horizontally|parallel to the floor|parallel to the ground|parallel with the floor|"
    "parallel with the ground|flat to the horizon",
    "vertical": "vertical|vertically|upright|perpendicular to the floor|perpendicular to the ground",
    "on-floor": "on the floor|on the ground|to the floor|to the ground|onto the floor|onto the ground|touch the floor|"
    "touch the ground|touches the floor|touches the ground|touching the floor|touching the ground|flat on the floor|"
    "flat on the ground|against the floor|against the ground|on the mat",
    "crossed": "crossed",
    "shoulder-width": "shoulder width apart|shoulder width|as far apart as the shoulders|"
    "as far apart as your shoulders|"
    "at shoulder width|hip width apart",
}
RELATIONS = {
    "closer": "closer to|nearer to|closer towards|towards|toward|in towards|in toward|in to|into|closer in to",
    "apart": "away from|farther from|further from|further away from|farther away from|out from|off of|out of",
    "near": "near|next to|close to|beside|against|on top of|on|onto|upon|touching|by|between|in contact with|"
    "resting on",
    "near?": "to",
    "level": "level with|level to|in line with|at the height of|to the height of|at the level of|to the level of|"
    "as high as|even with|at the same height as|on a level with",
    "above": "above|over|higher than|on top above|straight above",
    "below": "below|under|underneath|beneath|lower than|straight below",
    "in-front": "in front of|directly in front of|across|ahead of|out in front of",
    "behind": "behind|in back of|directly behind",
    "left-of": "to the left of|left of",
    "right-of": "to the right of|right of",
    "at": "at",
    "of": "of",
}
DEGREES = {
    "slight": "slightly|a bit|a little|a little bit|a tiny bit|a touch|somewhat|a tad|a small amount|a hair|barely|"
    "just a little|a few degrees|a few centimeters|a few cm|an inch|marginally|gently|by a small amount|lightly|"
    "slight|small|just a touch|a fraction|softly",
    "large": "a lot|much|way|far|significantly|all the way|fully|deeply|completely|as far as you can|considerably|"
    "a great deal|sharply|quite a bit|strongly|as high as you can|more deeply|deep|tightly|by a large amount|"
    "drastically",
}
NEGATIONS = (
    "not|dont|never|without|instead of|rather than|avoid|stop|doesnt|isnt|shouldnt|cannot|cant|arent|"
    "wont|as if|as though|no longer|unlike|not so much|as opposed to|didnt"
)
HARD_BREAKS = (
    "while|then|but|so that|so|until|till|after|before|where|whereas|such that|in order to|when|as well as to|"
    "meanwhile|afterwards|also|plus|now|next|finally|for|because"
)
PRONOUNS = "it|them|they|one|these|those|itself"
DETERMINERS = "the|your|his|her|their|my|a|an|this|that|these|those|its|our|ur|some|any"
# Words that are neither parts nor things: after a determiner they do not make a foreign subject.
NEUTRAL = (
    "person|man|woman|figure|guy|girl|model|subject|way|same|side|sides|floor|ground|air|position|pose|stance|"
    "whole|entire|more|most|very|still|also|too|just|even|again|all right|right away|right ahead|right now|"
    "that s right|"
    "thats right|right angle to|what is left|left over|left to|is left|right one is|i mean|each other|"
    "one another|other way|the other way|other direction|opposite direction|him|me|you|yourself|himself|herself|"
    "themselves|should|must|need|needs|ought|to be|is|are|be|being|been|was|were|will|would|can|could|you re|first|"
    "second|last|further|farther|less|enough|angle|line|height|level|inside|amount|degrees|degree|cm|inches|feet away|"
    "bit|little|lot|single|center|centre|middle|end|distance|direction|balance|movement|motion|opposite way|"
    "at the floor|at the ground|at me|the camera|towards the camera|toward the camera|to the camera|at the camera|"
    "back of your|back of the|back of|tip of|top of your|on the spot|in place|upside|palm side|that|which|who|whose"
)
LEVEL_WORDS = frozenset(("level", "height", "high", "length"))
