"""What the lists of defects are written in: small functions that change one thing of a copied model."""
import struct

from files import Gguf, Safetensors, read_json, write_json, write_text

WEIGHTS = "model.safetensors"


def setting(document, path, value):
    """A field of a document becomes `value`; "a.b" is a field within."""

    def plant(folder):
        data = read_json(folder / document)
        at = data
        *above, last = path.split(".")
        for name in above:
            at = at[int(name) if isinstance(at, list) else name]
        at[int(last) if isinstance(at, list) else last] = value
        write_json(folder / document, data)

    return plant


def without(document, path):
    def plant(folder):
        data = read_json(folder / document)
        at = data
        *above, last = path.split(".")
        for name in above:
            at = at[name]
        del at[last]
        write_json(folder / document, data)

    return plant


def config(**fields):
    """Fields of config.json; None stands for null."""

    def plant(folder):
        data = read_json(folder / "config.json")
        write_json(folder / "config.json", data | fields)

    return plant


def edit(document, change):
    """`change` gets the parsed document and changes it in place, or returns another."""

    def plant(folder):
        data = read_json(folder / document)
        write_json(folder / document, change(data) or data)

    return plant


def text(document, content):
    return lambda folder: write_text(folder / document, content)


def replaced(document, old, new, times=1):
    def plant(folder):
        before = (folder / document).read_text()
        assert old in before, (document, old)
        write_text(folder / document, before.replace(old, new, times))

    return plant


def removed(*names):
    def plant(folder):
        for name in names:
            (folder / name).unlink()

    return plant


def weights(change, file=WEIGHTS):
    """`change` gets the Safetensors."""

    def plant(folder):
        model = Safetensors(folder / file)
        change(model)
        model.save()

    return plant


def header(change, file=WEIGHTS):
    """`change` gets the header as it will be written."""

    def plant(folder):
        Safetensors(folder / file).save(edit=change)

    return plant


def raw(change, file=WEIGHTS):
    """`change` gets the bytes of a file and returns others."""

    def plant(folder):
        write_text(folder / file, change((folder / file).read_bytes()))

    return plant


def values(part, change, file=WEIGHTS):
    """`change` gets the numbers of the first tensor with that part in its name."""

    def plant(folder):
        model = Safetensors(folder / file)
        name = model.find(part)
        numbers = model.floats(name)
        model.set_floats(name, change(numbers) or numbers)
        model.save()

    return plant


def all_of(*plants):
    def plant(folder):
        for one in plants:
            one(folder)

    return plant


def gguf(change=None, file="model.gguf", **more):
    """`change` gets the Gguf."""

    def plant(folder):
        model = Gguf(folder / file)
        if change:
            change(model)
        model.save(**more)

    return plant


def key(name, value, file="model.gguf"):
    return gguf(lambda model: model.set(name, value), file)


def no_key(name, file="model.gguf"):
    return gguf(lambda model: model.keys.pop(name), file)


def put(items, at, value):
    items[at] = value


def reshaped(part, shape):
    def change(model):
        model.resize(model.find(part), shape)

    return change


def dropped(part):
    return lambda model: model.drop(model.find(part))


def as_type(part, dtype):
    """The type in the header; the bytes as that type needs them."""

    def change(model):
        name = model.find(part)
        shape = model.header[name][1]
        model.header[name][0] = dtype
        model.resize(name, shape)

    return change


def length_of_header(value):
    return lambda data: struct.pack("<Q", value) + data[8:]
