"""PyTorch's files as torch.save writes them since 1.6, opcode by opcode, by the standard library alone; and models of
test/sound with their weights in them."""
import io
import struct
import zipfile

from files import WIDTH, Safetensors, link_tree, write_text

STORAGE = {"F64": "Double", "F32": "Float", "F16": "Half", "BF16": "BFloat16", "I64": "Long", "I32": "Int", "I16": "Short",
           "I8": "Char", "U8": "Byte", "BOOL": "Bool"}  # fmt: skip


def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def strides(shape):
    steps, step = [], 1
    for size in reversed(shape):
        steps.insert(0, step)
        step *= size
    return steps


def tensor(key, dtype, shape, held):
    """A call of _rebuild_tensor_v2 on a storage of `held` bytes."""
    storage = (b"(" + text("storage") + b"ctorch\n" + STORAGE[dtype].encode() + b"Storage\n" + text(key) + text("cpu")
               + number(held // WIDTH[dtype]) + b"tQ")  # fmt: skip
    return (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(0) + numbers(shape) + numbers(strides(shape))
            + b"\x89ccollections\nOrderedDict\n)RtR")  # fmt: skip


def torch_bytes(model, more=b""):
    """`model` as Safetensors keeps it; `more`: opcodes before the end of the pickle."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as file:
        pickle = b"\x80\x02}("
        for i, (name, (dtype, shape)) in enumerate(model.header.items()):
            pickle += text(name) + tensor(str(i), dtype, shape, len(model.data[name]))
        file.writestr("archive/data.pkl", pickle + b"u" + more + b".")
        for i, data in enumerate(model.data.values()):
            file.writestr(f"archive/data/{i}", data)
        file.writestr("archive/version", "3\n")
    return packed.getvalue()


def torch_name(path):
    """diffusers keeps the stem, transformers and sentence-transformers have one of their own."""
    stem = path.name.removesuffix(".safetensors")
    return path.with_name(("pytorch_model" + stem.removeprefix("model") if stem.startswith("model") else stem) + ".bin")


def as_torch(source, target):
    link_tree(source, target)
    for path in sorted(target.rglob("*.safetensors")):
        write_text(torch_name(path), torch_bytes(Safetensors(path)))
        path.unlink()


def torch_weights(source, file, change=None, more=b""):
    """Plants weights.bin anew: the safetensors `source` after `change`."""

    def plant(folder):
        model = Safetensors(source)
        if change:
            change(model)
        write_text(folder / file, torch_bytes(model, more))

    return plant
