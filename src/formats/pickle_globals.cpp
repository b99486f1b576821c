#include "assay/formats/pickle_globals.h"

#include <algorithm>
#include <array>
#include <string>

namespace assay {
namespace {

struct Entry {
  std::string_view module;
  std::string_view name;
  Trust trust;
};

using enum Trust;

/** What state dicts, optimizers and training checkpoints import; Python 2's
 * spelling of a module counts as Python 3's. */
constexpr std::array kKnown = {
    Entry{"_codecs", "encode", guarded},
    Entry{"argparse", "Namespace", data},
    Entry{"array", "_array_reconstructor", data},
    Entry{"array", "array", value},
    Entry{"builtins", "bool", data},
    Entry{"builtins", "bytearray", guarded},
    Entry{"builtins", "bytes", guarded},
    Entry{"builtins", "complex", data},
    Entry{"builtins", "dict", data},
    Entry{"builtins", "float", data},
    Entry{"builtins", "frozenset", guarded},
    Entry{"builtins", "getattr", guarded},
    Entry{"builtins", "int", data},
    Entry{"builtins", "list", guarded},
    Entry{"builtins", "object", data},
    Entry{"builtins", "range", data},
    Entry{"builtins", "set", guarded},
    Entry{"builtins", "slice", data},
    Entry{"builtins", "str", data},
    Entry{"builtins", "tuple", guarded},
    Entry{"collections", "Counter", data},
    Entry{"collections", "OrderedDict", data},
    Entry{"collections", "defaultdict", data},
    Entry{"collections", "deque", data},
    Entry{"copyreg", "__newobj__", guarded},
    Entry{"copyreg", "_reconstructor", guarded},
    Entry{"datetime", "date", data},
    Entry{"datetime", "datetime", data},
    Entry{"datetime", "time", data},
    Entry{"datetime", "timedelta", data},
    Entry{"datetime", "timezone", data},
    Entry{"decimal", "Decimal", data},
    Entry{"fractions", "Fraction", data},
    Entry{"lightning_fabric.utilities.data", "AttributeDict", data},
    Entry{"lightning.fabric.utilities.data", "AttributeDict", data},
    Entry{"numpy", "dtype", data},
    Entry{"numpy", "ndarray", value},
    Entry{"numpy._core.multiarray", "_reconstruct", guarded},
    Entry{"numpy._core.multiarray", "scalar", data},
    Entry{"numpy._core.numeric", "_frombuffer", data},
    Entry{"numpy.core.multiarray", "_reconstruct", guarded},
    Entry{"numpy.core.multiarray", "scalar", data},
    Entry{"numpy.core.numeric", "_frombuffer", data},
    Entry{"numpy.random._mt19937", "MT19937", value},
    Entry{"numpy.random._pcg64", "PCG64", value},
    Entry{"numpy.random._pickle", "__bit_generator_ctor", data},
    Entry{"numpy.random._pickle", "__generator_ctor", data},
    Entry{"numpy.random._pickle", "__randomstate_ctor", data},
    Entry{"pathlib", "Path", data},
    Entry{"pathlib", "PosixPath", data},
    Entry{"pathlib", "PurePath", data},
    Entry{"pathlib", "PurePosixPath", data},
    Entry{"pathlib", "PureWindowsPath", data},
    Entry{"pathlib", "WindowsPath", data},
    Entry{"pathlib._local", "PosixPath", data},
    Entry{"pathlib._local", "PurePosixPath", data},
    Entry{"pathlib._local", "WindowsPath", data},
    Entry{"pytorch_lightning.callbacks.early_stopping", "EarlyStopping", value},
    Entry{"pytorch_lightning.callbacks.model_checkpoint",
          "ModelCheckpoint",
          value},
    Entry{"pytorch_lightning.utilities.parsing", "AttributeDict", data},
    Entry{"time", "struct_time", data},
    Entry{"torch", "Size", data},
    Entry{"torch", "Tensor", value},
    Entry{"torch", "device", data},
    Entry{"torch._tensor", "_rebuild_from_type", guarded},
    Entry{"torch._tensor", "_rebuild_from_type_v2", guarded},
    Entry{"torch.jit._pickle", "build_boollist", data},
    Entry{"torch.jit._pickle", "build_doublelist", data},
    Entry{"torch.jit._pickle", "build_intlist", data},
    Entry{"torch.jit._pickle", "build_tensorlist", data},
    Entry{"torch.jit._pickle", "restore_type_tag", data},
    Entry{"torch.nn.parameter", "Buffer", value},
    Entry{"torch.nn.parameter", "Parameter", data},
    Entry{"torch.serialization", "_get_layout", data},
    Entry{"torch.storage", "TypedStorage", value},
    Entry{"torch.storage", "UntypedStorage", value},
    Entry{"torch.storage", "_load_from_bytes", guarded},
    Entry{"torch.torch_version", "TorchVersion", data},
    Entry{"types", "SimpleNamespace", data},
    Entry{"uuid", "SafeUUID", data},
    Entry{"uuid", "UUID", data},
};

/** Of torch._utils. */
constexpr std::array<std::string_view, 11> kRebuild = {
    "_rebuild_device_tensor_from_cpu_tensor",
    "_rebuild_device_tensor_from_numpy",
    "_rebuild_meta_tensor_no_storage",
    "_rebuild_nested_tensor",
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
    "_rebuild_qtensor",
    "_rebuild_sparse_tensor",
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_tensor_v3"};

/** Values of the module torch: types, layouts, schemes. */
constexpr std::array<std::string_view, 56> kTorchValues = {
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
    "bfloat16",
    "bits16",
    "bits1x8",
    "bits2x4",
    "bits4x2",
    "bits8",
    "bool",
    "cdouble",
    "cfloat",
    "channels_last",
    "channels_last_3d",
    "complex128",
    "complex32",
    "complex64",
    "contiguous_format",
    "double",
    "float",
    "float16",
    "float32",
    "float4_e2m1fn_x2",
    "float64",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "half",
    "int16",
    "int32",
    "int64",
    "int8",
    "long",
    "per_channel_affine",
    "per_channel_affine_float_qparams",
    "per_channel_symmetric",
    "per_tensor_affine",
    "per_tensor_symmetric",
    "preserve_format",
    "qint32",
    "qint8",
    "quint8",
    "sparse_coo",
    "strided",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
};

constexpr std::array<std::string_view, 17> kStorages = {"BFloat16Storage",
                                                        "BoolStorage",
                                                        "ByteStorage",
                                                        "CharStorage",
                                                        "ComplexDoubleStorage",
                                                        "ComplexFloatStorage",
                                                        "DoubleStorage",
                                                        "FloatStorage",
                                                        "HalfStorage",
                                                        "IntStorage",
                                                        "LongStorage",
                                                        "QInt32Storage",
                                                        "QInt8Storage",
                                                        "QUInt2x4Storage",
                                                        "QUInt4x2Storage",
                                                        "QUInt8Storage",
                                                        "ShortStorage"};

/** Of numpy: the types of its scalars. */
constexpr std::array<std::string_view, 18> kNumpyTypes = {"bool",
                                                          "bool_",
                                                          "bytes_",
                                                          "complex128",
                                                          "complex64",
                                                          "datetime64",
                                                          "float16",
                                                          "float32",
                                                          "float64",
                                                          "int16",
                                                          "int32",
                                                          "int64",
                                                          "int8",
                                                          "str_",
                                                          "uint16",
                                                          "uint32",
                                                          "uint64",
                                                          "uint8"};

/** Modules, and what lies below them, that no checkpoint needs and that run
 * code, read or write. Python's own are in a list of their own. */
constexpr std::array<std::string_view, 73> kDangerous = {
    "IPython",
    "_distutils_hack",
    "aiohttp",
    "boto3",
    "botocore",
    "celery",
    "cffi",
    "cloudpickle",
    "cython",
    "Cython",
    "dill",
    "django",
    "fabric",
    "flask",
    "gevent",
    "httpx",
    "huggingface_hub",
    "hydra",
    "ipykernel",
    "jax.experimental.host_callback",
    "jinja2",
    "joblib.memory",
    "joblib.numpy_pickle.load",
    "keras.models",
    "lxml",
    "mako",
    "numexpr",
    "numpy.ctypeslib",
    "numpy.distutils",
    "numpy.f2py",
    "numpy.lib",
    "numpy.load",
    "numpy.memmap",
    "numpy.save",
    "numpy.testing",
    "numpy.fromfile",
    "nltk",
    "pandas.core.computation",
    "pandas.eval",
    "pandas.io",
    "pandas.read_pickle",
    "paramiko",
    "pexpect",
    "pip",
    "pkg_resources",
    "plumbum",
    "psutil",
    "ptyprocess",
    "pyximport",
    "requests",
    "setuptools",
    "sh",
    "sympy",
    "tensorflow.io",
    "tensorflow.python.ops",
    "torch._dynamo",
    "torch._inductor",
    "torch.classes",
    "torch.compile",
    "torch.distributed.rpc",
    "torch.fx",
    "torch.hub",
    "torch.jit",
    "torch.load",
    "torch.multiprocessing",
    "torch.ops",
    "torch.package",
    "torch.serialization",
    "torch.storage",
    "torch.testing",
    "torch.utils",
    "transformers.dynamic_module_utils",
    "yaml",
};

/** Below those, and in Python's own library, what is plain classes: not known,
 * rather than dangerous. */
constexpr std::array<std::string_view, 29> kOrdinary = {
    "abc",
    "calendar",
    "collections",
    "contextlib",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools.partial",
    "heapq",
    "ipaddress",
    "itertools",
    "logging.Logger",
    "logging.RootLogger",
    "logging.getLogger",
    "math",
    "numbers",
    "operator.itemgetter",
    "random.Random",
    "re._compile",
    "statistics",
    "string",
    "torch.utils.data.dataloader",
    "torch.utils.data.dataset",
    "torch.utils.data.sampler",
    "torch.utils.hooks",
    "typing",
    "zoneinfo"};

/** Python's own library, of 2 and 3, each between spaces. */
constexpr std::string_view kPython =
    " BaseHTTPServer CGIHTTPServer ConfigParser HTMLParser Queue "
    "SimpleHTTPServer SimpleXMLRPCServer SocketServer StringIO Tkinter "
    "__builtin__ __future__ _abc _aix_support _ast _asyncio _bisect _blake2 "
    "_bootsubprocess _bz2 _codecs _codecs_cn _codecs_hk _codecs_iso2022 "
    "_codecs_jp _codecs_kr _codecs_tw _collections _collections_abc "
    "_compat_pickle _compression _contextvars _crypt _csv _ctypes _curses "
    "_curses_panel _datetime _dbm _decimal _elementtree _frozen_importlib "
    "_frozen_importlib_external _functools _gdbm _hashlib _heapq _imp _io "
    "_json _locale _lsprof _lzma _markupbase _md5 _msi _multibytecodec "
    "_multiprocessing _opcode _operator _osx_support _overlapped _pickle "
    "_posixshmem _posixsubprocess _py_abc _pydecimal _pyio _queue _random "
    "_scproxy _sha1 _sha256 _sha3 _sha512 _signal _sitebuiltins _socket "
    "_sqlite3 _sre _ssl _stat _statistics _string _strptime _struct _symtable "
    "_thread _threading_local _tkinter _tokenize _tracemalloc _typing _uuid "
    "_warnings _weakref _weakrefset _winapi _winreg _zoneinfo abc aifc "
    "antigravity anydbm argparse array ast asynchat asyncio asyncore atexit "
    "audioop base64 bdb binascii bisect builtins bz2 cPickle cProfile "
    "cStringIO calendar ce cgi cgitb chunk cmath cmd code codecs codeop "
    "collections colorsys commands compileall compiler concurrent "
    "configparser contextlib contextvars copy copy_reg copyreg crypt csv "
    "ctypes curses dataclasses datetime dbhash dbm decimal difflib dis "
    "distutils dl doctest dumbdbm dummy_thread email encodings ensurepip enum "
    "errno exceptions faulthandler fcntl filecmp fileinput fnmatch fractions "
    "ftplib functools gc gdbm genericpath getopt getpass gettext glob "
    "graphlib grp gzip hashlib heapq hmac html http httplib idlelib ihooks "
    "imaplib imghdr imp importlib inspect io ipaddress itertools java json "
    "keyword lib2to3 linecache locale logging lzma mailbox mailcap marshal "
    "math mimetypes mmap modulefinder msilib msvcrt multiprocessing netrc new "
    "nis nntplib nt ntpath nturl2path numbers opcode operator optparse org os "
    "os2 ossaudiodev pathlib pdb pickle pickletools pipes pkgutil platform "
    "plistlib popen2 poplib posix posixpath pprint profile pstats pty pwd "
    "py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re "
    "readline reprlib resource riscos rlcompleter runpy sched secrets select "
    "selectors shelve shlex shutil signal site smtpd smtplib sndhdr socket "
    "socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat "
    "statistics string stringprep struct subprocess sunau symtable sys "
    "sysconfig syslog tabnanny tarfile telnetlib tempfile termios test "
    "textwrap this thread threading time timeit tkinter token tokenize "
    "tomllib trace traceback tracemalloc tty turtle turtledemo types typing "
    "unicodedata unittest urllib urllib2 urlparse user uu uuid venv warnings "
    "wave weakref webbrowser whichdb winreg winsound wsgiref xdrlib xml "
    "xmlrpc xmlrpclib zipapp zipfile zipimport zlib zoneinfo ";

template <class List>
bool holds(const List& list, std::string_view text) {
  return std::ranges::find(list, text) != list.end();
}

/** True for `path` itself and for what lies below it. */
bool within(std::string_view full, std::string_view path) {
  return full.starts_with(path) &&
         (full.size() == path.size() || full[path.size()] == '.');
}

template <class List>
bool within_any(const List& list,
                std::string_view module,
                std::string_view name) {
  return std::ranges::any_of(list, [&](std::string_view path) {
    if (within(module, path)) {
      return true;
    }
    // "numpy.load" is a module's name and one in it.
    return path.size() > module.size() + 1 && within(path, module) &&
           within(name, path.substr(module.size() + 1));
  });
}

std::string_view python3_name(std::string_view module) {
  if (module == "__builtin__") {
    return "builtins";
  }
  return module == "copy_reg" ? "copyreg" : module;
}

bool is_exception(std::string_view name) {
  return name.ends_with("Error") || name.ends_with("Exception") ||
         name.ends_with("Warning");
}

}  // namespace

bool rebuilds_tensor(std::string_view module, std::string_view name) {
  return module == "torch._utils" && holds(kRebuild, name);
}

bool is_storage_type(std::string_view module, std::string_view name) {
  if (module == "torch.storage") {
    return name == "UntypedStorage" || name == "TypedStorage";
  }
  return (module == "torch" || module == "torch.cuda") &&
         (holds(kStorages, name) || name == "UntypedStorage");
}

bool takes_entries(std::string_view module, std::string_view name) {
  module = python3_name(module);
  return (module == "collections" && name != "deque") ||
         (module == "builtins" && name == "dict") || name == "AttributeDict" ||
         name == "Namespace" || name == "SimpleNamespace";
}

Trust trust_of(std::string_view module, std::string_view name) {
  module = python3_name(module);
  for (const auto& entry : kKnown) {
    if (entry.module == module && entry.name == name) {
      return entry.trust;
    }
  }
  if (rebuilds_tensor(module, name)) {
    return data;
  }
  bool of_torch = module == "torch" && holds(kTorchValues, name);
  bool of_numpy = (module == "numpy" && holds(kNumpyTypes, name)) ||
                  (module == "numpy.dtypes" && name.ends_with("DType") &&
                   name.find('.') == std::string_view::npos);
  if (of_torch || of_numpy || is_storage_type(module, name)) {
    return of_numpy ? data : value;
  }
  // A dotted name walks from a known module to anything that it imports.
  bool walks = name.find('.') != std::string_view::npos;
  auto root = module.substr(0, module.find('.'));
  bool of_python = !root.empty() && root.find(' ') == root.npos &&
                   kPython.find(' ' + std::string(root) + ' ') != kPython.npos;
  if (name.find("__") != std::string_view::npos && walks) {
    return dangerous;
  }
  if (walks && (root == "torch" || root == "numpy" || of_python)) {
    return dangerous;
  }
  bool ordinary = within_any(kOrdinary, module, name) ||
                  (module == "builtins" && is_exception(name));
  if (ordinary || (!of_python && !within_any(kDangerous, module, name))) {
    return unknown;
  }
  return dangerous;
}

}  // namespace assay
