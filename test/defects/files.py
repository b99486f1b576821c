"""Model files taken apart and written again, by the standard library alone; nothing is checked, so that wrong files can
be written too."""
import json
import math
import os
import pathlib
import shutil
import struct

WIDTH = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2, "F8_E4M3": 1,
         "F8_E5M2": 1, "I8": 1, "U8": 1, "BOOL": 1}  # fmt: skip


def count(shape):
    return math.prod(shape)


def read_json(path):
    return json.loads(pathlib.Path(path).read_text())


def write_text(path, text):
    """A file of its own, whatever it was linked to before."""
    path = pathlib.Path(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text)


def write_json(path, value):
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def link_tree(source, target):
    """Files are linked: to change one, write it anew."""
    source, target = pathlib.Path(source), pathlib.Path(target)
    for path in sorted(source.rglob("*")):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, place)
            except OSError:
                shutil.copyfile(path, place)


class Safetensors:
    """header: name -> [dtype, shape]; data: name -> bytes."""

    def __init__(self, path):
        raw = pathlib.Path(path).read_bytes()
        length = struct.unpack_from("<Q", raw)[0]
        header = json.loads(raw[8 : 8 + length])
        self.path = pathlib.Path(path)
        self.metadata = header.pop("__metadata__", None)
        self.header, self.data = {}, {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            self.header[name] = [entry["dtype"], entry["shape"]]
            self.data[name] = raw[8 + length + begin : 8 + length + end]

    def find(self, part):
        """The first name with that part."""
        return next(n for n in self.header if part in n)

    def drop(self, name):
        self.data.pop(name)
        return self.header.pop(name)

    def rename(self, old, new):
        self.data[new] = self.data.pop(old)
        self.header[new] = self.header.pop(old)

    def put(self, name, dtype, shape, data=None):
        self.header[name] = [dtype, list(shape)]
        self.data[name] = bytes(count(shape) * WIDTH[dtype]) if data is None else data

    def floats(self, name):
        dtype, _ = self.header[name]
        data = self.data[name]
        if dtype == "BF16":
            data = b"".join(b"\0\0" + data[i : i + 2] for i in range(0, len(data), 2))
            dtype = "F32"
        form = {"F32": "f", "F16": "e", "F64": "d"}[dtype]
        return list(struct.unpack(f"<{len(data) // struct.calcsize(form)}{form}", data))

    def set_floats(self, name, values, dtype=None):
        dtype = dtype or self.header[name][0]
        if dtype == "BF16":
            data = struct.pack(f"<{len(values)}f", *values)
            data = b"".join(data[i + 2 : i + 4] for i in range(0, len(data), 4))
        else:
            data = struct.pack(f"<{len(values)}{ {'F32': 'f', 'F16': 'e', 'F64': 'd'}[dtype] }", *values)
        self.header[name][0], self.data[name] = dtype, data

    def resize(self, name, shape):
        """To another shape, by repeating or cutting what is there."""
        need = count(shape) * WIDTH[self.header[name][0]]
        data = self.data[name] or b"\x11"
        self.header[name][1] = list(shape)
        self.data[name] = (data * (need // len(data) + 1))[:need]

    def bytes(self, edit=None):
        header, at = {}, 0
        if self.metadata is not None:
            header["__metadata__"] = self.metadata
        for name, (dtype, shape) in self.header.items():
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(self.data[name])]}
            at += len(self.data[name])
        if edit:
            edit(header)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        return struct.pack("<Q", len(text)) + text + b"".join(self.data.values())

    def save(self, path=None, edit=None):
        write_text(path or self.path, self.bytes(edit))


SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


class Gguf:
    """keys: name -> [type, value] (value of an array: [element type, list]); tensors: name -> [dims, type, bytes]."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.raw = self.path.read_bytes()
        self.at = 4
        self.version = self.take("I")
        tensors, keys = self.take("Q"), self.take("Q")
        self.keys = {}
        for _ in range(keys):
            name = self.text()
            kind = self.take("I")
            self.keys[name] = [kind, self.value(kind)]
        entries = []
        for _ in range(tensors):
            name = self.text()
            dims = [self.take("Q") for _ in range(self.take("I"))]
            entries.append((name, dims, self.take("I"), self.take("Q")))
        self.alignment = self.keys.get("general.alignment", [4, 32])[1]
        start = -(-self.at // self.alignment) * self.alignment
        ends = sorted([o for *_, o in entries] + [len(self.raw) - start])
        self.tensors = {}
        for name, dims, kind, offset in entries:
            end = next((e for e in ends if e > offset), offset)
            self.tensors[name] = [dims, kind, self.raw[start + offset : start + end]]

    def take(self, form):
        value = struct.unpack_from("<" + form, self.raw, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def text(self):
        length = self.take("Q")
        self.at += length
        return self.raw[self.at - length : self.at].decode()

    def value(self, kind):
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            inner, length = self.take("I"), self.take("Q")
            return [inner, [self.value(inner) for _ in range(length)]]
        return self.take(SCALARS[kind])

    @staticmethod
    def pack_text(text):
        data = text.encode()
        return struct.pack("<Q", len(data)) + data

    @classmethod
    def pack(cls, kind, value):
        if kind == STRING:
            return cls.pack_text(value)
        if kind == ARRAY:
            inner, items = value
            return struct.pack("<IQ", inner, len(items)) + b"".join(cls.pack(inner, i) for i in items)
        return struct.pack("<" + SCALARS[kind], value)

    def set(self, key, value):
        """Keeps the type where there is one."""
        self.keys[key][1] = value

    def bytes(self, magic=b"GGUF", version=None, tensors=None, keys=None, offsets=None):
        out = magic + struct.pack("<IQQ", version or self.version, len(self.tensors) if tensors is None else tensors,
                                  len(self.keys) if keys is None else keys)  # fmt: skip
        for name, (kind, value) in self.keys.items():
            out += self.pack_text(name) + struct.pack("<I", kind) + self.pack(kind, value)
        at = 0
        for name, (dims, kind, data) in self.tensors.items():
            offset = (offsets or {}).get(name, at)
            out += self.pack_text(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
            out += struct.pack("<IQ", kind, offset)
            at += -(-len(data) // self.alignment) * self.alignment
        out += bytes(-len(out) % self.alignment)
        for _, _, data in self.tensors.values():
            out += data + bytes(-len(data) % self.alignment)
        return out

    def save(self, path=None, **more):
        write_text(path or self.path, self.bytes(**more))
