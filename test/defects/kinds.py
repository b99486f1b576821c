"""Every kind of defect: one list out of the rooms' lists."""
import collections

import kinds_adapters
import kinds_gguf
import kinds_images
import kinds_language
import kinds_quantized
import kinds_torch
import kinds_vision
from files import link_tree
from sound import SOUND

Kind = collections.namedtuple("Kind", "area name model plant ids mode")
PARTS = (kinds_language, kinds_quantized, kinds_gguf, kinds_images, kinds_vision, kinds_adapters, kinds_torch)


def all_kinds():
    """`mode`: "headers", "values" (weights are read too) or "base" (an adapter beside its base)."""
    kinds = []
    for part in PARTS:
        for area, entries in part.KINDS.items():
            for name, model, plant, ids, *mode in entries:
                kinds.append(Kind(area, name, model, plant, ids, mode[0] if mode else "headers"))
    return kinds


def slug(kind):
    return f"{kind.area}-{kind.name}".replace(" ", "-").replace("/", "-").replace(".", "-")


def planted(kind, models, root):
    """A copy of the kind's model with the defect in it; an adapter's base lies beside it."""
    place = root / slug(kind) / kind.model
    link_tree(models[kind.model], place)
    if kind.area == "adapters":
        for base in ("llama", "sd1", "flux"):
            if kind.mode == "base" and base == "llama":
                link_tree(SOUND / base, place.parent / base)
    kind.plant(place)
    return place
