"""Makes test/corpus/safety: files that hide code in checkpoints, and sound ones beside them, with the verdict that each deserves.

The payloads would print or write one line; this script never runs them, and nothing else here does. verdicts.json lists, a file:
what it truly is ("safe", "unsafe", "could not decide"), and the trick. Needs torch, numpy, joblib, transformers, accelerate.
"""

import argparse
import bz2
import collections
import datetime
import gzip
import io
import json
import pathlib
import pickle
import shutil
import struct
import tarfile
import warnings
import zipfile
import zlib

import numpy as np
import torch

OUT = pathlib.Path(__file__).resolve().parents[2] / "test/corpus/safety"
VERDICTS = {}
UNSAFE, SAFE, UNDECIDED = "unsafe", "safe", "could not decide"
WEIGHTS = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}


def write(name, data, verdict, trick):
    assert name not in VERDICTS, name
    (OUT / name).write_bytes(data)
    VERDICTS[name] = {"verdict": verdict, "trick": trick}


# Opcodes, put together by hand.


def text(s):
    return b"X" + struct.pack("<I", len(s.encode())) + s.encode()


def short(s):
    return b"\x8c" + bytes([len(s)]) + s.encode()


def glob(module, name):
    return f"c{module}\n{name}\n".encode()


def stack_global(module, name):
    return short(module) + short(name) + b"\x93"


def call(function, *arguments):
    return function + b"(" + b"".join(arguments) + b"tR"


def whole(body, protocol=2):
    return b"\x80" + bytes([protocol]) + body + b"."


ECHO = text("echo assay corpus")
PRINT = text("print('assay corpus')")
SYSTEM = call(glob("os", "system"), ECHO)
EXEC = call(glob("builtins", "exec"), PRINT)
EVIL = whole(EXEC)
BENIGN = pickle.dumps({"a": 1, "b": [1.5, "two", None]}, protocol=2)


def entry(body):
    """A dictionary with the value that a piece of pickle makes."""
    return whole(b"}" + text("payload") + body + b"s")


def torch_zip(records, name="archive", method=zipfile.ZIP_STORED, **more):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # duplicate names
        for key, data in records:
            archive.writestr(zipfile.ZipInfo(f"{name}/{key}" if name else key, (1980, 1, 1, 0, 0, 0)), data, method)
    return buffer.getvalue()


def checkpoint(data_pkl, *more, **options):
    return torch_zip([("data.pkl", data_pkl), ("byteorder", b"little"), *more, ("version", b"3\n")], **options)


def saved(value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def legacy(evil_at, body=EVIL):
    """The five pickles before 1.6; one of them is the payload."""
    parts = [whole(b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"), whole(b"M\xe9\x03"), pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, 2),
             pickle.dumps(collections.OrderedDict(), 2), pickle.dumps([], 2)]  # fmt: skip
    parts[evil_at] = body
    return b"".join(parts)


def tar_of(members, **options):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in options.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def legacy_tar(pickle_=None, storages=None):
    zero = pickle.dumps(0, 2)
    return tar_of([("sys_info", pickle.dumps({}, 2)), ("pickle", pickle_ or pickle.dumps({}, 2)), ("tensors", zero),
                   ("storages", storages or zero + pickle.dumps([], 2))])  # fmt: skip


def plain_imports():
    for name, module, attribute in (
        ("os_system", "os", "system"), ("posix_system", "posix", "system"), ("nt_system", "nt", "system"), ("subprocess_popen", "subprocess", "Popen"),
        ("py2_commands", "commands", "getoutput"), ("py2_builtin_eval", "__builtin__", "eval"), ("builtins_compile", "builtins", "compile"),
        ("builtins_import", "builtins", "__import__"), ("runpy", "runpy", "_run_code"), ("pty_spawn", "pty", "spawn"), ("webbrowser", "webbrowser", "open"),
        ("socket", "socket", "create_connection"), ("importlib", "importlib", "import_module"), ("pydoc_pipepager", "pydoc", "pipepager"),
        ("timeit", "timeit", "timeit"), ("cprofile", "cProfile", "runctx"), ("bdb", "bdb", "Bdb.run"), ("idlelib", "idlelib.pyshell", "ModifiedInterpreter.runcommand"),
        ("ensurepip", "ensurepip", "_run_pip"), ("uuid_command", "uuid", "_get_command_stdout"), ("osx_support", "_osx_support", "_read_output"),
        ("lib2to3", "lib2to3.pgen2.grammar", "Grammar.loads"), ("asyncio", "asyncio.unix_events", "_UnixSubprocessTransport._start"),
        ("numpy_runstring", "numpy.testing._private.utils", "runstring"), ("numpy_f2py", "numpy.f2py.crackfortran", "getlincoef"),
        ("torch_load", "torch", "load"), ("torch_hub", "torch.hub", "load"), ("torch_config", "torch.utils._config_module", "load_config"),
        ("torch_collect_env", "torch.utils.collect_env", "run"), ("torch_dynamo", "torch._dynamo.guards", "GuardBuilder.get"),
        ("torch_jit_exec", "torch.jit.unsupported_tensor_ops", "execWrapper"), ("pickle_loads", "pickle", "loads"), ("dill_loads", "dill", "loads"),
        ("shutil_rmtree", "shutil", "rmtree"), ("pip_main", "pip", "main"), ("code_interact", "code", "InteractiveInterpreter"),
    ):  # fmt: skip
        write(f"import_{name}.bin", checkpoint(entry(call(glob(module, attribute), ECHO))), UNSAFE, f"calls {module}.{attribute}")
    write("import_unknown.bin", checkpoint(entry(call(glob("some_package.models", "Net"), ECHO))), UNDECIDED, "a class that nobody knows")
    write("import_only.bin", checkpoint(entry(glob("os", "system"))), UNSAFE, "imports os.system and keeps it for later")


def opcodes():
    memo = short("os") + b"\x94" + short("system") + b"\x94" + b"h\x00h\x01\x93"
    write("op_stack_global_memo.bin", checkpoint(entry(call(memo, ECHO))), UNSAFE, "STACK_GLOBAL whose names come out of the memo")
    mixed = short("system") + b"q\x050" + short("os") + b"h\x05\x93"
    write("op_stack_global_order.bin", checkpoint(entry(call(mixed, ECHO))), UNSAFE, "STACK_GLOBAL with a name put aside and taken back")
    write("op_inst.bin", checkpoint(whole(b"(" + ECHO + b"ios\nsystem\n")), UNSAFE, "INST")
    write("op_obj.bin", checkpoint(whole(b"(" + glob("os", "system") + ECHO + b"o")), UNSAFE, "OBJ")
    write("op_newobj.bin", checkpoint(whole(glob("subprocess", "Popen") + b"(" + ECHO + b"t\x81")), UNSAFE, "NEWOBJ")
    write("op_newobj_ex.bin", checkpoint(whole(stack_global("subprocess", "Popen") + b"(" + ECHO + b"t}\x92", 4)), UNSAFE, "NEWOBJ_EX")
    write("op_extension.bin", checkpoint(entry(call(b"\x82\x07", ECHO))), UNSAFE, "EXT1: an import by number")
    write("op_extension4.bin", checkpoint(entry(call(b"\x84\x07\x00\x00\x00", ECHO))), UNSAFE, "EXT4: an import by number")
    write("op_protocol0.pkl", b"cos\nsystem\n(S'echo assay corpus'\ntR.", UNSAFE, "protocol 0, without PROTO")
    write("op_protocol0_escapes.pkl", b"cos\nsystem\n(S'\\x65cho assay'\ntR.", UNSAFE, "protocol 0 with escapes")
    write("op_unicode_names.pkl", whole(b"V\\u006fs\nV\\u0073ystem\n\x93" + b"(" + ECHO + b"tR", 4), UNSAFE, "names written with \\u escapes")
    write("op_dotted.bin", checkpoint(whole(call(stack_global("torch.serialization", "os.system"), ECHO), 4)), UNSAFE, "a dotted name walks from torch to os")
    write("op_dotted_dunder.bin", checkpoint(whole(call(stack_global("collections", "OrderedDict.__class__.__base__"), ECHO), 4)), UNSAFE, "a dotted name walks to object")
    write("op_getattr.bin", checkpoint(entry(call(call(glob("builtins", "getattr"), glob("os", "path"), text("os")), ECHO))), UNSAFE, "getattr, and a call of what it gives")
    write("op_build_class.bin", checkpoint(whole(glob("torch._utils", "_rebuild_parameter") + b"(N}" + text("__code__") + text("x") + b"stb")), UNSAFE, "BUILD sets attributes of an imported function")
    write("op_build_dunder.bin", checkpoint(whole(glob("collections", "OrderedDict") + b")R(N}" + text("__class__") + text("x") + b"stb")), UNSAFE, "BUILD smuggles __class__ by slots")
    write("op_setitems_module.bin", checkpoint(whole(glob("sys", "modules") + text("os") + b"Ns")), UNSAFE, "puts entries into sys.modules")
    write("op_call_of_call.bin", checkpoint(entry(call(call(glob("functools", "partial"), glob("builtins", "print")), ECHO))), UNSAFE, "calls what a call made")
    write("op_reduce_memo.bin", checkpoint(whole(glob("os", "system") + b"q\x01" + b"0h\x01(" + ECHO + b"tR")), UNSAFE, "the function comes out of the memo")
    write("op_breaks_off.bin", checkpoint(b"\x80\x02" + EXEC + b"\xff"), UNSAFE, "the payload runs, then the pickle breaks")
    write("op_no_stop.pkl", b"\x80\x02" + SYSTEM, UNSAFE, "no STOP: it runs all the same")
    write("op_truncated.pkl", BENIGN[:-3], UNDECIDED, "a sound pickle cut short")
    write("op_memo_bomb.pkl", whole(b"}" + b"r\xff\xff\xff\x7f"), UNSAFE, "LONG_BINPUT: a memo of 2^31 places")
    laughs = b"(" + text("lol") * 10 + b"tq\x00"
    for n in range(1, 12):
        laughs += b"0(" + (b"h" + bytes([n - 1])) * 10 + b"tq" + bytes([n])
    write("op_billion_laughs.pkl", whole(laughs), UNSAFE, "tuples of tuples that stand for 10^12 values")
    write("op_big_bytes.pkl", entry(call(glob("builtins", "bytearray"), b"\x8a\x06\x00\x00\x00\x00\x00\x01")), UNDECIDED, "bytearray(2^40): memory for nothing")


def nested():
    inner = b"B" + struct.pack("<I", len(EVIL)) + EVIL
    write("nested_loads.bin", checkpoint(entry(call(glob("pickle", "loads"), inner))), UNSAFE, "pickle.loads of bytes")
    evil_zip = checkpoint(EVIL)
    inner_zip = b"B" + struct.pack("<I", len(evil_zip)) + evil_zip
    write("nested_load_from_bytes.bin", checkpoint(entry(call(glob("torch.storage", "_load_from_bytes"), inner_zip))), UNSAFE, "torch loads a checkpoint out of bytes")
    write("nested_as_data.pkl", entry(inner), UNSAFE, "a pickle with a payload as bytes")
    write("nested_latin1.pkl", entry(call(glob("torch.storage", "_load_from_bytes"), call(glob("_codecs", "encode"), text(EVIL.decode("latin1")), text("latin1")))), UNSAFE, "the bytes come as text, as in protocol 2")
    write("nested_zip_in_zip.bin", checkpoint(BENIGN, ("extra.pt", evil_zip)), UNSAFE, "a checkpoint within a checkpoint")


def stacked():
    write("stacked_second.pkl", BENIGN + EVIL, UNSAFE, "the second of two pickles")
    write("stacked_in_data_pkl.bin", checkpoint(BENIGN + EVIL), UNSAFE, "a second pickle in data.pkl")
    for number in range(5):
        write(f"legacy_pickle_{number + 1}.pt", legacy(number), UNSAFE, f"pickle {number + 1} of the format before 1.6")
    write("legacy_after.pt", legacy(4, pickle.dumps([], 2)) + EVIL, UNSAFE, "a pickle after the storages")
    write("pickle_before_zip.bin", EVIL + checkpoint(BENIGN), UNSAFE, "a pickle before a zip: torch runs it, zip programs do not see it")
    write("benign_before_zip.bin", BENIGN + checkpoint(EVIL), UNSAFE, "a sound pickle before a zip with a payload")


def zips():
    good = checkpoint(BENIGN)
    write("zip_duplicate_first.bin", checkpoint(EVIL, ("data.pkl", BENIGN)), UNSAFE, "two data.pkl, the first with the payload")
    write("zip_duplicate_last.bin", checkpoint(BENIGN, ("data.pkl", EVIL)), UNSAFE, "two data.pkl, the last with the payload")
    write("zip_case.bin", torch_zip([("version", b"3\n"), ("DATA.PKL", EVIL)]), UNSAFE, "DATA.PKL: torch does not tell case apart")
    write("zip_case_twice.bin", checkpoint(BENIGN, ("Data.pkl", BENIGN)), UNSAFE, "data.pkl and Data.pkl")
    data = checkpoint(EVIL)
    write("zip_local_name.bin", data.replace(b"archive/data.pkl", b"archive/data.txt", 1), UNSAFE, "another name in the local header")
    at = data.index(b"PK\x03\x04")
    write("zip_flags.bin", data[: at + 6] + b"\x01\x00" + data[at + 8 :], UNSAFE, "marked as encrypted in the local header only")
    central = data.index(b"PK\x01\x02")
    write("zip_crc.bin", data[: central + 16] + b"\x11\x22\x33\x44" + data[central + 20 :], UNSAFE, "a wrong CRC stops zip programs, not torch")
    write("zip_crc_both.bin", data[: at + 14] + b"\x11\x22\x33\x44" + data[at + 18 : central + 16] + b"\x11\x22\x33\x44" + data[central + 20 :], UNSAFE, "a wrong CRC in both headers")
    write("zip_method.bin", data[: central + 10] + b"\x63\x00" + data[central + 12 :], UNSAFE, "an unknown method in the directory only")
    end = data.rindex(b"PK\x05\x06")
    write("zip_count.bin", data[: end + 8] + b"\x01\x00\x01\x00" + data[end + 12 :], UNSAFE, "the end record counts one entry")
    write("zip_no_directory.bin", data[:central], UNSAFE, "no directory; the payload stands in a local header")
    write("zip_escape.bin", checkpoint(BENIGN, ("../../outside.txt", b"x")), UNSAFE, "an entry that leaves the folder")
    write("zip_absolute.bin", torch_zip([("archive/data.pkl", BENIGN), ("/etc/cron.d/x", b"x")], name=""), UNSAFE, "an absolute path")
    write("zip_bomb.bin", checkpoint(BENIGN, ("notes.txt", bytes(80 << 20)), method=zipfile.ZIP_DEFLATED), UNSAFE, "80 MB packed into 80 kB")
    write("zip_prefix.bin", b"PK\x03\x04junk" + good, UNSAFE, "a zip behind what looks like one")
    write("zip_two_archives.bin", good + checkpoint(EVIL), UNSAFE, "two archives in a row")
    write("zip_trailing_pickle.bin", good + EVIL, UNSAFE, "a pickle after the archive")
    write("zip_other_pickle.bin", checkpoint(BENIGN, ("extra/hook.pkl", EVIL)), UNSAFE, "a second pickle in the archive")
    write("zip_disguised_name.bin", checkpoint(BENIGN, ("readme.txt", EVIL)), UNSAFE, "a pickle named readme.txt")
    write("zip_encrypted.bin", data[: at + 6] + b"\x01\x00" + data[at + 8 : central + 8] + b"\x01\x00" + data[central + 10 :], UNSAFE, "marked as encrypted, and not")
    write("zip_deflated.bin", checkpoint(EVIL, method=zipfile.ZIP_DEFLATED), UNSAFE, "a payload packed by deflate")


def disguises():
    write("disguise_7z.bin", b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(24) + EVIL, UNSAFE, "a 7z archive named .bin (nullifAI)")
    write("disguise_rar.pt", b"Rar!\x1a\x07\x01\x00" + bytes(40), UNSAFE, "a RAR archive named .pt")
    write("disguise_tar.bin", tar_of([("model.pkl", EVIL)]), UNSAFE, "a tar with a pickle, named .bin")
    write("disguise_tar_escape.pt", tar_of([("../../outside", b"x")]), UNSAFE, "a tar whose entry leaves the folder")
    write("disguise_elf.bin", b"\x7fELF" + bytes(60), UNSAFE, "a program named .bin")
    write("disguise_gzip.bin", gzip.compress(EVIL, mtime=0), UNSAFE, "a gzip of a pickle")
    write("disguise_gzip.pkl.gz", gzip.compress(whole(SYSTEM), mtime=0), UNSAFE, "a gzip of a pickle, as pandas reads")
    write("disguise_zlib.joblib", zlib.compress(EVIL), UNSAFE, "a zlib stream, as joblib reads")
    write("disguise_bzip2.joblib", bz2.compress(EVIL), UNDECIDED, "bzip2, which is not looked into")
    write("tar_pickle.pt", legacy_tar(pickle_=EVIL), UNSAFE, "the tar before 0.1.10: its pickle")
    write("tar_storages.pt", legacy_tar(storages=EVIL), UNSAFE, "the tar before 0.1.10: its storages")
    write("tar_link.pt", tar_of([("storages", b"")], type=tarfile.SYMTYPE, linkname="/etc/passwd"), UNSAFE, "a link out of the folder")
    write("text_file.safetensors", EVIL, UNSAFE, "a pickle named .safetensors")


def numpy_files():
    def npy(array):
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=True)
        return buffer.getvalue()

    objects = npy(np.array([None, 1], dtype=object))
    start = objects.index(b"\n") + 1
    write("objects.npy", objects[:start] + EVIL, UNSAFE, "an array of objects")
    write("sound_objects.npy", objects, SAFE, "an array of plain objects")
    write("sound.npy", npy(np.arange(6.0)), SAFE, "numbers")
    write("objects.npz", torch_zip([("a.npy", objects[:start] + EVIL)], name=""), UNSAFE, "an array of objects in an npz")
    write("sound.npz", torch_zip([("a.npy", npy(np.arange(3))), ("b.npy", npy(np.eye(2)))], name=""), SAFE, "numbers")


def script():
    module = torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2))
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    write("script.pt", buffer.getvalue(), UNDECIDED, "TorchScript: a program")


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)


def sound():
    write("sound.pt", saved(WEIGHTS), SAFE, "a state dict")
    write("sound_legacy.pt", saved(WEIGHTS, _use_new_zipfile_serialization=False), SAFE, "a state dict, before 1.6")
    write("sound_tar.pt", legacy_tar(), SAFE, "an empty state dict, before 0.1.10")
    write("sound_deflated.pt", checkpoint(BENIGN, method=zipfile.ZIP_DEFLATED), SAFE, "packed again")
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    write("sound_module_state.pth", saved(model.state_dict()), SAFE, "a module's state dict, with _metadata")
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    write("sound_optimizer.pt", saved(optimizer.state_dict()), SAFE, "an optimizer's state")
    write("sound_scheduler.pt", saved(scheduler.state_dict()), SAFE, "a scheduler's state")
    write("sound_lightning.ckpt", saved({"epoch": 1, "global_step": 2, "pytorch-lightning_version": "2.4.0", "state_dict": model.state_dict(), "optimizer_states": [optimizer.state_dict()],
          "lr_schedulers": [scheduler.state_dict()], "hyper_parameters": argparse.Namespace(lr=0.1, layers=[1, 2]), "callbacks": {}}), SAFE, "Lightning's checkpoint")  # fmt: skip
    write("sound_rng_state.pth", saved({"python": (3, tuple(range(5)), None), "numpy": np.random.RandomState(0).get_state(), "cpu": torch.random.get_rng_state()[:16].clone()}), SAFE, "a trainer's random states")
    write("sound_numpy.pt", saved({"mean": np.float64(0.5), "values": np.arange(3), "names": np.array(["a", "b"])}), SAFE, "numpy's arrays and scalars")
    write("sound_types.pt", saved({"dtype": torch.bfloat16, "device": torch.device("cpu"), "size": torch.Size([1, 2]), "layout": torch.strided, "p": torch.nn.Parameter(torch.ones(1)),
          "f8": torch.ones(2, dtype=torch.float8_e4m3fn), "u16": torch.ones(2, dtype=torch.uint16), "sparse": torch.eye(2).to_sparse()}), SAFE, "types, devices, sizes")  # fmt: skip
    for protocol in range(6):
        plain = {"a": 1, "b": [1.5, "two"], "c": {3}, "d": b"\x00\xff", "e": datetime.datetime(2026, 1, 2), "f": pathlib.PurePosixPath("/tmp"), "g": collections.defaultdict(list), "h": 2**70, "i": 1j}
        write(f"sound_protocol{protocol}.pkl", pickle.dumps(plain, protocol), SAFE, f"plain data in protocol {protocol}")
    write("sound_tensor.pkl", pickle.dumps({"t": torch.ones(2)}, 4), SAFE, "a tensor by pickle.dump")
    write("sound_tensor2.pkl", pickle.dumps({"t": torch.ones(2)}, 2), SAFE, "a tensor by pickle.dump, protocol 2")
    write("sound_several.pkl", pickle.dumps([1], 4) + pickle.dumps([2], 4), SAFE, "two pickles in a row")
    write("sound_gzip.pkl.gz", gzip.compress(BENIGN, mtime=0), SAFE, "a gzip of plain data")
    torch.serialization.set_crc32_options(False)
    write("sound_no_checksums.pt", saved(WEIGHTS), SAFE, "without checksums")
    torch.serialization.set_crc32_options(True)
    write("module.pt", saved(torch.nn.Sequential(torch.nn.Linear(2, 2))), UNDECIDED, "a whole module: it needs torch.nn's code")
    from transformers import TrainingArguments

    write("training_args.bin", saved(TrainingArguments(output_dir="out", report_to=[])), UNDECIDED, "transformers' settings: its own classes")
    import joblib

    buffer = io.BytesIO()
    joblib.dump({"a": [1, 2]}, buffer)
    write("sound.joblib", buffer.getvalue(), SAFE, "joblib without arrays")


def main():
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    for part in (plain_imports, opcodes, nested, stacked, zips, disguises, numpy_files, script, sound):
        part()
    (OUT / "verdicts.json").write_text(json.dumps(VERDICTS, indent=1, sort_keys=True) + "\n")
    counts = collections.Counter(v["verdict"] for v in VERDICTS.values())
    print(len(VERDICTS), dict(counts), sum(f.stat().st_size for f in OUT.iterdir()), "bytes")


main()
