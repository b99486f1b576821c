"""Makes test/golden/torch with PyTorch itself: checkpoints in every container, and beside each the values in safetensors.

NAME.pt, NAME.ckpt...   what torch.save writes (zip, before 1.6), and what only its reader knows (tar, big-endian, deflated):
                        those are put together here and read back by torch.load
NAME.safetensors        the tensors of the model in it, row after row, under the names of its state dict
llama, gpt2             pytorch_model.bin of the models in test/golden/arch, single and sharded with an index
"""

import collections
import io
import json
import pathlib
import pickle
import shutil
import struct
import tarfile
import zipfile

import torch
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
OUT = ROOT / "torch"
DTYPES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16", torch.int32: "I32", torch.int64: "I64",
    torch.uint16: "U16", torch.uint32: "U32", torch.uint64: "U64", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float32: "F32", torch.float64: "F64", torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
    torch.float8_e8m0fnu: "F8_E8M0", torch.complex64: "C64",
}  # fmt: skip


def raw(tensor):
    flat = tensor.detach().contiguous().flatten()
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, t in tensors.items():
        bytes_ = raw(t)
        header[name] = {"dtype": DTYPES[t.dtype], "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(bytes_)]}
        data += bytes_
    text = json.dumps(header, separators=(",", ":")).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    bytes_ = path.read_bytes()
    (length,) = struct.unpack("<Q", bytes_[:8])
    by_name = {v: k for k, v in DTYPES.items()}
    out = collections.OrderedDict()
    for name, entry in json.loads(bytes_[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            data = torch.frombuffer(bytearray(bytes_[8 + length + begin : 8 + length + end]), dtype=torch.uint8)
            out[name] = data.view(by_name[entry["dtype"]]).reshape(entry["shape"])
    return out


def every_type():
    out = collections.OrderedDict()
    for dtype, name in DTYPES.items():
        values = torch.arange(1, 7, dtype=torch.uint8)
        size = torch.empty((), dtype=dtype).element_size()
        if dtype == torch.bool:
            t = (values % 2).bool()
        else:
            t = torch.arange(6 * size, dtype=torch.uint8).view(dtype)
        out["type." + name] = t.reshape(2, 3)
    return out


def views():
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    half = torch.arange(60, dtype=torch.float16).reshape(3, 4, 5)
    out = collections.OrderedDict()
    out["whole"] = base
    out["transposed"] = base.t()
    out["rows"] = base[1:3]
    out["columns"] = base[:, 2:5]
    out["every_second"] = base[::2, ::3]
    out["permuted"] = half.permute(2, 0, 1)
    out["repeated"] = torch.tensor([1.5, 2.5]).expand(3, 2)
    out["scalar"] = torch.tensor(7.0)
    out["element"] = base[2, 3]
    out["empty"] = torch.empty(0, 3)
    out["one_row"] = half[1:2, :, 2:3]
    out["parameter"] = nn.Parameter(torch.arange(3.0))
    out["transposed_parameter"] = nn.Parameter(base.t()[1:])
    out["buffer"] = nn.Buffer(torch.arange(4.0))
    return out


def legacy_views():
    """What the format before 1.6 can tell of: it knows no types without a storage of their own."""
    out = views()
    for name, t in every_type().items():
        if name.split(".")[1] in ("BOOL", "U8", "I8", "I16", "I32", "I64", "F16", "BF16", "F32", "F64", "C64"):
            out[name] = t
    return out


def save(name, value, tensors, **options):
    torch.save(value, OUT / name, **options)
    write_safetensors((OUT / name).with_suffix(".safetensors"), tensors)


def repack(source, target, change, method=zipfile.ZIP_STORED):
    """Copies an archive; torch.load must still read it."""
    with zipfile.ZipFile(OUT / source) as old, zipfile.ZipFile(OUT / target, "w", method) as new:
        for entry in old.infolist():
            info = zipfile.ZipInfo(entry.filename, (1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            new.writestr(info, change(entry.filename, old.read(entry)))


def same(a, b):
    assert list(a) == list(b), (list(a), list(b))
    for name in a:
        assert a[name].dtype == b[name].dtype and a[name].shape == b[name].shape and raw(a[name]) == raw(b[name]), name


def big_endian(tensors):
    """Storages byte by byte turned round. torch swaps those of typed storages on reading."""
    save("plain.pt", tensors, tensors)
    sizes = {str(i): t.element_size() for i, t in enumerate(tensors.values())}
    halves = {str(i) for i, t in enumerate(tensors.values()) if t.is_complex()}

    def change(name, data):
        if name.endswith("byteorder"):
            return b"big"
        key = name.rsplit("/", 1)[-1]
        if "/data/" in name:
            size = sizes[key] // (2 if key in halves else 1)
            return b"".join(data[i : i + size][::-1] for i in range(0, len(data), size))
        return data

    repack("plain.pt", "big_endian.pt", change)
    same(torch.load(OUT / "big_endian.pt"), tensors)
    shutil.copy(OUT / "plain.safetensors", OUT / "big_endian.safetensors")


def tar(name, tensors):
    """The container before 0.1.10, as torch.serialization's legacy_load reads it."""
    storages, described, numbers = b"", b"", {}
    dump = lambda value: pickle.dumps(value, protocol=2)
    views_ = []
    for number, (key, t) in enumerate(tensors.items()):
        root = t.untyped_storage()
        size = t.element_size()
        storages += dump((100 + number, "cpu", getattr(torch, {torch.float32: "FloatStorage", torch.int64: "LongStorage", torch.float16: "HalfStorage"}[t.dtype])))
        storages += struct.pack("<q", root.nbytes() // size) + bytes(root)
        views_.append((200 + number, 100 + number, 0, root.nbytes() // size))
        described += dump((300 + number, 200 + number, torch.FloatTensor))
        described += struct.pack("<ii", t.dim(), 0) + struct.pack(f"<{t.dim()}q", *t.shape)
        described += struct.pack(f"<{t.dim()}q", *t.stride()) + struct.pack("<q", t.storage_offset())
        numbers[key] = str(300 + number)

    class Named:
        def __init__(self, number):
            self.number = number

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value.number if isinstance(value, Named) else None

    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump(collections.OrderedDict((k, Named(n)) for k, n in numbers.items()))
    with tarfile.open(OUT / name, "w:", format=tarfile.PAX_FORMAT) as archive:
        for member, data in (("sys_info", dump({"protocol_version": 1000, "little_endian": True})), ("pickle", buffer.getvalue()),
                             ("tensors", dump(len(tensors)) + described), ("storages", dump(len(tensors)) + storages + dump(views_))):  # fmt: skip
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    same(torch.load(OUT / name, weights_only=False), tensors)
    write_safetensors((OUT / name).with_suffix(".safetensors"), tensors)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)


def lightning(tensors):
    optimizer = torch.optim.AdamW([p := nn.Parameter(torch.ones(2, 3))], lr=1e-3)
    p.grad = torch.ones(2, 3)
    optimizer.step()
    return {
        "epoch": 3, "global_step": 1200, "pytorch-lightning_version": "2.4.0", "state_dict": tensors, "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": torch.tensor(0.5), "best_k_models": {}}},
        "optimizer_states": [optimizer.state_dict()], "lr_schedulers": [], "hparams_name": "kwargs",
    }  # fmt: skip


def hugging_face():
    for name, parts in (("llama", 2), ("gpt2", 1)):
        tensors = read_safetensors(ROOT / "arch" / name / "model.safetensors")
        folder = OUT / name
        folder.mkdir(exist_ok=True)
        if parts == 1:
            torch.save(tensors, folder / "pytorch_model.bin")
            continue
        names = list(tensors)
        index = {"metadata": {"total_size": sum(len(raw(t)) for t in tensors.values())}, "weight_map": {}}
        for part in range(parts):
            file = f"pytorch_model-{part + 1:05}-of-{parts:05}.bin"
            own = names[part::parts]
            torch.save(collections.OrderedDict((n, tensors[n]) for n in own), folder / file)
            index["weight_map"].update({n: file for n in own})
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")


def main():
    torch.manual_seed(0)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    save("zip.pt", views() | every_type(), views() | every_type())
    save("legacy.pt", legacy_views(), legacy_views(), _use_new_zipfile_serialization=False)
    plain = collections.OrderedDict((k, v) for k, v in every_type().items() if k.split(".")[1] in ("BOOL", "U8", "I16", "I32", "I64", "F16", "BF16", "F32", "F64", "C64"))
    big_endian(plain)
    repack("zip.pt", "deflated.pt", lambda name, data: data, zipfile.ZIP_DEFLATED)
    same(torch.load(OUT / "deflated.pt", weights_only=False), views() | every_type())
    shutil.copy(OUT / "zip.safetensors", OUT / "deflated.safetensors")
    shared = torch.arange(10, dtype=torch.float32)
    tar("tar.pth", collections.OrderedDict(a=torch.arange(6.0).reshape(2, 3), b=shared[4:9:2], c=torch.arange(4).reshape(2, 2).t()))
    block = nn.Sequential(Block(), nn.Linear(2, 2))
    save("lightning.ckpt", lightning(block.state_dict()), block.state_dict())
    save("nested.pth", {"model": {"encoder": {"weight": torch.ones(2)}, "layers": [torch.zeros(1), torch.ones(1)]}, "step": 5},
         {"encoder.weight": torch.ones(2), "layers.0": torch.zeros(1), "layers.1": torch.ones(1)})  # fmt: skip
    torch.save(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), OUT / "module.pt")
    write_safetensors(OUT / "module.safetensors", torch.load(OUT / "module.pt", weights_only=False).state_dict())
    torch.serialization.set_crc32_options(False)
    save("no_checksums.pt", {"w": torch.ones(2, 2)}, {"w": torch.ones(2, 2)})
    torch.serialization.set_crc32_options(True)
    torch.save({"sparse": torch.eye(2).to_sparse(), "quantized": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
                "meta": torch.empty(2, device="meta"), "conj": torch.ones(2, dtype=torch.complex64).conj(),
                "double": torch.ones(2, dtype=torch.complex128), "plain": torch.ones(2)}, OUT / "unsupported.pt")  # fmt: skip
    hugging_face()


main()
