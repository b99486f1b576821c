"""Text stubs (.tbd) for what arm64 macOS has and this machine has not.

stubs.py empty ROOT        the frameworks, and one stub for each library
stubs.py fill ROOT BUILD   names in the libraries' stubs what BUILD's objects
                           ask for, if the Linux library defines it as well
stubs.py verify BUILD      every program is a Mach-O executable for arm64, and
                           every shared library one of those

A stub lets the linker settle a symbol without the library. To keep it from
settling symbols that do not exist, a name goes in only if it stands in the
C header (the Rust library) or in the symbol table of the Linux library,
compared without parameters: the types behind uint64_t and std::string are
spelled differently there.
"""

import pathlib
import re
import shutil
import struct
import subprocess
import sys

FRAMEWORKS = ["Metal", "Foundation", "QuartzCore", "Accelerate"]
# Library: what the mangled names of its symbols look like.
LIBRARIES = {
    "fmt": r"__Z(T[ISV])?NK?3fmt",
    "simdjson": r"__Z(T[ISV])?NK?8simdjson",
    "hwy": r"__Z(T[ISV])?NK?3hwy",
    "benchmark": r"__Z(T[ISV])?NK?9benchmark",
    "cpp-httplib": r"__Z(T[ISV])?NK?7httplib",
    "utf8proc": r"_utf8proc_",
    "sqlite3": r"_sqlite3_",
    "z": r"_(inflate|deflate|crc32|adler32)",
}
TEXT_HEADER = pathlib.Path("src/text/rust/include/assay_text.h")

MACH_O_64 = 0xFEEDFACF
CPU_ARM64 = 0x0100000C
OBJECT, EXECUTABLE, DYLIB = 1, 2, 6
LC_SYMTAB = 2


def write_stub(path, install_name, symbols):
    """Writes a stub only if it changes, so that nothing links again."""
    lines = ["--- !tapi-tbd", "tbd-version: 4", "targets: [ arm64-macos ]",
             f"install-name: '{install_name}'", "current-version: 1"]
    if symbols:
        names = ", ".join(f"'{name}'" for name in sorted(symbols))
        lines += ["exports:", "  - targets: [ arm64-macos ]",
                  f"    symbols: [ {names} ]"]
    text = "\n".join(lines + ["...", ""])
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
        return True
    return False


def library_stub(root, name, symbols):
    return write_stub(root / "lib" / f"lib{name}.tbd",
                      f"@rpath/lib{name}.dylib", symbols)


def text_symbols():
    """The functions that the C header of the Rust library declares."""
    if not TEXT_HEADER.exists():
        return set()
    source = re.sub(r"/\*.*?\*/|//[^\n]*", "", TEXT_HEADER.read_text(),
                    flags=re.S)
    return {"_" + name for name in re.findall(r"\b(assay_text_\w+)\s*\(",
                                              source)}


def make_empty(root):
    for name in FRAMEWORKS:
        folder = f"{name}.framework"
        write_stub(root / "Frameworks" / folder / f"{name}.tbd",
                   f"/System/Library/Frameworks/{folder}/{name}", set())
    library_stub(root, "assay_text", text_symbols())
    for name in LIBRARIES:
        if not (root / "lib" / f"lib{name}.tbd").exists():
            library_stub(root, name, set())


def mach_header(data):
    """(cpu, file type, number of load commands), or None."""
    if len(data) < 32:
        return None
    magic, cpu, _, kind, commands = struct.unpack_from("<5I", data)
    return (cpu, kind, commands) if magic == MACH_O_64 else None


def symbols_of(path):
    """(defined, undefined) external names of a Mach-O object."""
    data = path.read_bytes()
    header = mach_header(data)
    if header is None or header[:2] != (CPU_ARM64, OBJECT):
        sys.exit(f"{path} is not a Mach-O object for arm64")
    defined, undefined = set(), set()
    offset = 32
    for _ in range(header[2]):
        command, size = struct.unpack_from("<2I", data, offset)
        if command == LC_SYMTAB:
            table, count, strings, _ = struct.unpack_from("<4I", data,
                                                          offset + 8)
            for i in range(count):
                at, kind, _, _, _ = struct.unpack_from("<IBBHQ", data,
                                                       table + 16 * i)
                start = strings + at
                name = data[start:data.index(0, start)].decode()
                if kind & 1 and not kind & 0xE0:
                    (defined if kind & 0x0E else undefined).add(name)
        offset += size
    return defined, undefined


def demangled(names):
    """{name: name without parameters}, by c++filt in one go, less what the two
    standard libraries add to their names."""
    names = sorted(names)
    result = subprocess.run(["c++filt", "-p"], input="\n".join(names),
                            capture_output=True, text=True, check=True)
    plain = result.stdout.replace("std::__1::", "std::")
    return dict(zip(names, plain.replace("[abi:cxx11]", "").split("\n")))


def linux_symbols(name):
    """What the Linux library defines, demangled without parameters."""
    listing = ""
    for suffix in ("so", "a"):
        path = subprocess.run(["g++", f"-print-file-name=lib{name}.{suffix}"],
                              capture_output=True, text=True,
                              check=True).stdout.strip()
        if pathlib.Path(path).is_absolute():
            flags = ["-D"] if suffix == "so" else []
            listing = subprocess.run(["nm", "--defined-only", *flags, path],
                                     capture_output=True, text=True,
                                     check=True).stdout
            break
    if not listing:
        sys.exit(f"the Linux library {name} is not installed")
    names = {line.split()[-1].split("@")[0]
             for line in listing.splitlines() if len(line.split()) == 3}
    return set(demangled(names).values())


def fill(root, build):
    defined, undefined = set(), set()
    for path in sorted(build.rglob("*.c[px][px].o")):
        found = symbols_of(path)
        defined |= found[0]
        undefined |= found[1]
    undefined -= defined
    changed = False
    for name, pattern in LIBRARIES.items():
        asked = {s for s in undefined if re.match(pattern, s)}
        known = linux_symbols(name) if asked else set()
        unknown = {symbol: text
                   for symbol, text in demangled(s[1:] for s in asked).items()
                   if text not in known}
        for text in sorted(unknown.values()):
            print(f"the library {name} does not define {text}")
        if unknown:
            sys.exit(1)
        changed |= library_stub(root, name, asked)
        print(f"lib{name}.tbd: {len(asked)} symbols")
    print(f"libassay_text.tbd: {len(text_symbols())} symbols")
    if changed:  # a program linked against an older stub would stay as it is
        for path in programs(build):
            path.unlink()


def programs(build):
    return [path for path in sorted(build.rglob("*"))
            if path.is_file() and not path.is_symlink()
            and path.stat().st_mode & 0o100 and "CMakeFiles" not in path.parts]


def verify(build):
    found = programs(build)
    for path in found:
        with path.open("rb") as file:
            header = mach_header(file.read(32))
        kind, what = ((DYLIB, "library") if path.suffix == ".dylib"
                      else (EXECUTABLE, "executable"))
        if header is None or header[:2] != (CPU_ARM64, kind):
            sys.exit(f"{path} is not a Mach-O {what} for arm64")
        print(f"Mach-O arm64 {what}: {path.relative_to(build)}")
    if not found:
        sys.exit("no program was linked")


def main():
    paths = [pathlib.Path(argument) for argument in sys.argv[2:]]
    {"empty": make_empty, "fill": fill, "verify": verify}[sys.argv[1]](*paths)


if __name__ == "__main__":
    main()
