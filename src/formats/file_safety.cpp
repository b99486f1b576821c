#include "assay/formats/file_safety.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/formats/npy.h"
#include "assay/formats/quote.h"
#include "assay/formats/torch_file.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

using Bytes = std::span<const std::byte>;
using Odd = ZipOddity::Kind;

constexpr int kMaxDepth = 4;
constexpr uint64_t kMaxInner = 64u << 20;      // of an entry that is unpacked
constexpr uint64_t kMaxInflated = 256u << 20;  // of a whole file
constexpr size_t kMaxReasons = 40;

std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/** First bytes of what is no pickle, no zip and no tar. */
struct Magic {
  std::string_view bytes;
  std::string_view name;
  Safety safety;
};

using std::literals::operator""sv;

constexpr std::array kMagics = {
    Magic{"7z\xbc\xaf\x27\x1c"sv, "7z archive", Safety::unsafe},
    Magic{"Rar!\x1a\x07"sv, "RAR archive", Safety::unsafe},
    Magic{"\x7f\x45LF"sv, "ELF program", Safety::unsafe},
    Magic{"MZ\x90"sv, "Windows program", Safety::unsafe},
    Magic{"\xcf\xfa\xed\xfe"sv, "macOS program", Safety::unsafe},
    Magic{"#!/"sv, "script", Safety::unsafe},
    Magic{"BZh"sv, "bzip2", Safety::undecided},
    Magic{"\xfd\x37zXZ\0"sv, "xz", Safety::undecided},
    Magic{"\x28\xb5\x2f\xfd"sv, "zstd", Safety::undecided},
    Magic{"\x04\x22\x4d\x18"sv, "lz4", Safety::undecided},
    Magic{"\x5d\0\0"sv, "lzma", Safety::undecided},
    Magic{"GGUF"sv, "GGUF", Safety::safe},
    Magic{"\x89HDF"sv, "HDF5", Safety::undecided},
};

bool is_gzip(std::string_view text) {
  return text.starts_with("\x1f\x8b");
}

// A zlib stream, as joblib writes it; RFC 1950, section 2.2.
bool is_zlib(std::string_view text) {
  return text.size() > 6 && text[0] == '\x78' &&
         (0x7800 + static_cast<unsigned char>(text[1])) % 31 == 0;
}

// Eight bytes of length and a JSON object.
bool is_safetensors(std::string_view text) {
  return text.size() > 8 && text[8] == '{' && text.substr(5, 3) == "\0\0\0"sv;
}

/** How much a disagreement within a zip says of who made it. */
Safety level_of(const ZipOddity& oddity, bool storage) {
  switch (oddity.kind) {
    case Odd::name_differs:
    case Odd::field_differs:
    case Odd::duplicate_name:
    case Odd::unsafe_name:
    case Odd::overlap:
    case Odd::prefix:
    case Odd::directory_differs:
    case Odd::second_directory:
    case Odd::impossible_ratio:
      return Safety::unsafe;
    case Odd::extreme_ratio:
      return storage ? Safety::undecided : Safety::unsafe;
    case Odd::encrypted:
    case Odd::unknown_method:
    case Odd::unreachable:
    case Odd::gap:
    case Odd::trailing:
      return Safety::undecided;
    case Odd::comment:
      return Safety::safe;
  }
  return Safety::undecided;
}

class FileJudge {
 public:
  FileJudge(Bytes bytes, fs::path path, int depth)
      : bytes_(bytes), text_(text_of(bytes)), depth_(depth) {
    result_.path = std::move(path);
  }

  FileSafety look() {
    if (depth_ > kMaxDepth) {
      say(Safety::undecided, "", 0, "packed more than four times");
      return std::move(result_);
    }
    look_at_form();
    if (!starts_as_zip(bytes_)) {
      look_for_zip_behind();
    }
    std::ranges::stable_sort(
        result_.reasons, std::ranges::greater{}, &FileSafety::Reason::level);
    return std::move(result_);
  }

 private:
  void say(Safety level, std::string place, uint64_t at, std::string text) {
    result_.safety = std::max(result_.safety, level);
    if (level != Safety::safe && result_.reasons.size() < kMaxReasons) {
      result_.reasons.push_back({level, std::move(place), at, std::move(text)});
    }
  }

  void look_at_form() {
    if (starts_as_zip(bytes_)) {
      result_.loads = true;
      return zip();
    }
    // The first bytes of another format can be a pickle all the same ("GGUF"
    // begins with a number): what would import something counts as one.
    if (imports_something()) {
      return loadable();
    }
    if (starts_as_npy(bytes_)) {
      return npy();
    }
    if (is_gzip(text_) || is_zlib(text_)) {
      return inflated();
    }
    for (const auto& magic : kMagics) {
      if (text_.starts_with(magic.bytes)) {
        result_.container = magic.name;
        bool disguise =
            magic.safety == Safety::unsafe && is_pickle_name(result_.path);
        return say(disguise ? Safety::unsafe
                            : std::min(magic.safety, Safety::undecided),
                   "",
                   0,
                   fmt::format("a {}{}",
                               magic.name,
                               disguise ? " under the name of a checkpoint"
                                        : ", which is not looked into"));
      }
    }
    if (is_safetensors(text_)) {
      result_.container = "safetensors";
      return;
    }
    loadable();
  }

  bool imports_something() const {
    constexpr size_t kFirst = 1u << 20;
    auto pickle = read_pickle(text_.substr(0, kFirst));
    return std::ranges::any_of(pickle.events, [](const PickleEvent& event) {
      return event.kind == PickleEvent::Kind::import ||
             event.kind == PickleEvent::Kind::extension;
    });
  }

  // Pickles, or torch's formats of pickles and storages.
  void loadable() {
    auto file = open_torch(bytes_, result_.path.string());
    result_.container = name(file.form);
    if (file.form == TorchForm::tar) {
      result_.loads = true;
      tar(file);
      // Named so that it is a pickle too, for those who do not know tar.
      auto first = read_pickle(text_);
      if (!first.events.empty()) {
        pickle({"its first bytes", 0, text_, std::move(first)}, false);
      }
    } else {
      pickles(file);
    }
  }

  void pickles(const TorchFile& file) {
    bool checkpoint = file.form == TorchForm::legacy;
    bool any = std::ranges::any_of(file.pickles, [](const auto& one) {
      return one.pickle.complete || !one.pickle.events.empty();
    });
    result_.loads = any || begins_pickle(text_);
    if (!result_.loads) {
      say(Safety::undecided, "", 0, "neither a pickle nor a known archive");
      return;
    }
    for (size_t i = 0; i < file.pickles.size(); ++i) {
      const auto& one = file.pickles[i];
      // Bytes behind the last pickle that are none: one reason, below.
      bool rest = i > 0 && !checkpoint && !one.pickle.complete &&
                  one.pickle.events.empty();
      if (!rest) {
        pickle(one, checkpoint && file.main == i);
      } else {
        say(Safety::undecided, "", one.offset, "bytes after the last pickle");
      }
    }
    if (checkpoint) {
      legacy(file);
    }
  }

  void legacy(const TorchFile& file) {
    if (!file.problem.empty()) {
      say(Safety::undecided, "", 0, "it breaks off: " + file.problem);
    } else if (file.end < bytes_.size()) {
      behind(file.end);
    }
  }

  // Bytes after the end of what torch reads.
  void behind(uint64_t at) {
    auto rest = bytes_.subspan(static_cast<size_t>(at));
    say(Safety::undecided,
        "",
        at,
        fmt::format("{} bytes after its end", rest.size()));
    if (begins_loadable(rest)) {
      inner(rest, "after the end", at);
    }
  }

  void pickle(const TorchPickle& one, bool has_storages) {
    PickleScene scene;
    scene.has_storages = has_storages;
    scene.nested = [&](std::string_view bytes) {
      auto part = std::as_bytes(std::span(bytes.data(), bytes.size()));
      return FileJudge(part, "a.pkl", depth_ + 1).look().safety;
    };
    auto verdict = judge_pickle(one.pickle, scene);
    result_.safety = std::max(result_.safety, verdict.safety);
    for (auto& reason : verdict.reasons) {
      say(reason.level,
          one.place,
          one.offset + reason.offset,
          std::move(reason.text));
    }
    take_imports(verdict.imports, one.offset);
  }

  void take_imports(const std::vector<PickleImport>& imports, uint64_t offset) {
    for (const auto& import : imports) {
      auto known =
          std::ranges::find(result_.imports, import.name, &PickleImport::name);
      if (known == result_.imports.end()) {
        result_.imports.push_back(import);
        result_.imports.back().offset += offset;
      } else {
        known->called = known->called || import.called;
      }
    }
  }

  // What stands inside something else is judged as a file of its own.
  void inner(Bytes bytes, const std::string& place, uint64_t offset) {
    auto part = FileJudge(bytes, fs::path(place).filename(), depth_ + 1).look();
    for (auto& reason : part.reasons) {
      auto within = reason.place.empty() ? place : place + ": " + reason.place;
      say(reason.level,
          std::move(within),
          offset + reason.offset,
          std::move(reason.text));
    }
    result_.safety = std::max(result_.safety, part.safety);
    take_imports(part.imports, offset);
  }

  void zip() {
    result_.container = "zip archive";
    std::optional<TorchFile> file;
    try {
      file.emplace(open_torch(bytes_, result_.path.string()));
    } catch (const Error& error) {
      say(Safety::undecided,
          "",
          0,
          fmt::format("{}: expected {}, found {}",
                      error.finding().where,
                      error.finding().expected,
                      error.finding().actual));
      walk_local_headers();
      return;
    }
    bool torch = file->main.has_value();
    if (torch) {
      result_.container = name(file->form);
    }
    for (const auto& one : file->pickles) {
      pickle(one, true);
      after_pickle(one);
    }
    entries(*file);
    oddities(*file);
    if (file->form == TorchForm::script) {
      say(Safety::undecided,
          file->prefix + "constants.pkl",
          0,
          "TorchScript: it holds a program, which torch.load makes ready");
    } else if (torch && !file->problem.empty()) {
      say(Safety::undecided, "", 0, file->problem);
    } else if (!torch) {
      plain_zip(*file);
    }
  }

  // torch stops at the first; others may go on.
  void after_pickle(const TorchPickle& one) {
    auto end = static_cast<size_t>(one.pickle.end);
    if (one.pickle.complete && end < one.text.size()) {
      auto rest = one.text.substr(end);
      say(Safety::undecided,
          one.place,
          one.offset + end,
          fmt::format("{} bytes after the pickle", rest.size()));
      inner(std::as_bytes(std::span(rest.data(), rest.size())),
            one.place + ": rest.pkl",
            one.offset + end);
    }
  }

  void plain_zip(const TorchFile& file) {
    bool arrays = std::ranges::all_of(file.zip->entries, [](const auto& one) {
      return one.name.ends_with(".npy");
    });
    if (arrays && !file.zip->entries.empty()) {
      result_.container = "npz";
    } else {
      say(Safety::undecided, "", 0, "no checkpoint: " + file.problem);
    }
  }

  void entries(const TorchFile& file) {
    auto storages = file.main ? file.prefix + "data/" : "";
    auto mains = file.main ? find_records(file, "data.pkl")
                           : std::vector<const ZipEntry*>();
    for (const auto& entry : file.zip->entries) {
      bool main = std::ranges::find(mains, &entry) != mains.end();
      if (main) {
        checksum(*file.zip, entry);
      } else if (storages.empty() || !entry.name.starts_with(storages)) {
        other_entry(*file.zip, entry);
      }
    }
  }

  // torch can leave checksums out: all are zero then.
  void checksum(const Zip& zip, const ZipEntry& entry) {
    if (entry.crc == 0 || !entry.reachable) {
      return;
    }
    try {
      auto crc = crc_of(zip, entry, result_.path.string());
      if (crc != entry.crc) {
        say(Safety::undecided,
            entry.name,
            entry.data,
            fmt::format("CRC-32 {:08x}, not {:08x}: changed after it was "
                        "written",
                        crc,
                        entry.crc));
      }
    } catch (const Error&) {
      return;  // not readable: an oddity of the archive says so
    }
  }

  void other_entry(const Zip& zip, const ZipEntry& entry) {
    bool named = is_pickle_name(entry.name);
    if (!entry.reachable || entry.size == 0) {
      return;
    }
    if (entry.method == 0) {
      auto bytes = bytes_.subspan(static_cast<size_t>(entry.data),
                                  static_cast<size_t>(entry.packed));
      if (named || begins_loadable(bytes)) {
        inner(bytes, entry.name, entry.data);
      }
      return;
    }
    if (entry.size > kMaxInner) {
      say(Safety::undecided,
          entry.name,
          entry.data,
          fmt::format("{} bytes packed into {}: not looked into",
                      entry.size,
                      entry.packed));
      return;
    }
    try {
      auto bytes = unpack(zip, entry, kMaxInner, false, "");
      if (named || begins_loadable(bytes)) {
        inner(bytes, entry.name, 0);
      }
    } catch (const Error& error) {
      say(Safety::undecided,
          entry.name,
          entry.data,
          "cannot be unpacked: " + error.finding().actual);
    }
  }

  void oddities(const TorchFile& file) {
    for (const auto& oddity : file.zip->oddities) {
      auto folder = file.prefix + "data/";
      bool storage = file.main && oddity.entry.starts_with(folder);
      say(level_of(oddity, storage),
          oddity.entry,
          oddity.offset,
          fmt::format("{}: {}", name(oddity.kind), oddity.detail));
      if (oddity.kind == Odd::trailing) {
        behind(oddity.offset);
      }
    }
    // torch does not tell case apart.
    if (file.main && file.pickles.size() > 1) {
      say(Safety::unsafe,
          file.prefix + "data.pkl",
          file.pickles[1].offset,
          fmt::format("{} entries of that name: which one is loaded is a "
                      "matter of the reader",
                      file.pickles.size()));
    }
  }

  // A directory that we cannot read may be read by others: what the local
  // headers name as pickles is judged.
  void walk_local_headers() {
    constexpr uint64_t kHeader = 30;
    uint64_t at = 0;
    auto u16 = [&](uint64_t i) {
      return std::to_integer<uint64_t>(bytes_[size_t(i)]) |
             std::to_integer<uint64_t>(bytes_[size_t(i) + 1]) << 8;
    };
    auto u32 = [&](uint64_t i) { return u16(i) | u16(i + 2) << 16; };
    for (size_t entries = 0; entries < 1000; ++entries) {
      if (at + kHeader > bytes_.size() ||
          !starts_as_zip(bytes_.subspan(static_cast<size_t>(at)))) {
        return;
      }
      auto data = at + kHeader + u16(at + 26) + u16(at + 28);
      auto packed = u32(at + 18);
      if (data > bytes_.size()) {
        return;
      }
      auto length = std::min<uint64_t>(packed == 0 ? bytes_.size() : packed,
                                       bytes_.size() - data);
      auto part = bytes_.subspan(static_cast<size_t>(data),
                                 static_cast<size_t>(length));
      if (u16(at + 8) == 0 && begins_pickle(text_of(part))) {
        pickle({"an entry", data, text_of(part), read_pickle(text_of(part))},
               true);
      }
      at = data + length;
    }
  }

  void tar(const TorchFile& file) {
    for (const auto& one : file.pickles) {
      pickle(one, one.place == "pickle");
    }
    constexpr std::array<std::string_view, 4> kOwn = {
        "sys_info", "pickle", "tensors", "storages"};
    bool torch = file.main.has_value() || !file.pickles.empty();
    for (const auto& entry : file.tar->entries) {
      bool own = std::ranges::find(kOwn, entry.name) != kOwn.end();
      if (own && entry.is_file()) {
        continue;
      }
      if (entry.name.starts_with('/') ||
          entry.name.find("..") != std::string::npos || !entry.is_file()) {
        say(Safety::unsafe,
            quote(entry.name),
            entry.offset,
            fmt::format("no plain file in the folder: type '{}'",
                        quote(std::string_view(&entry.type, 1))));
      }
      auto bytes = bytes_.subspan(static_cast<size_t>(entry.offset),
                                  static_cast<size_t>(entry.bytes));
      if (is_pickle_name(entry.name) || begins_loadable(bytes)) {
        inner(bytes, entry.name, entry.offset);
      }
    }
    if (!torch && is_pickle_name(result_.path)) {
      say(Safety::unsafe,
          "",
          0,
          "a tar archive under the name of a checkpoint");
    } else if (!file.problem.empty() || file.tar->extended) {
      say(Safety::undecided,
          "",
          0,
          file.tar->extended ? "headers that rename entries" : file.problem);
    }
  }

  // An array of objects is a pickle behind the header.
  void npy() {
    result_.container = "npy";
    auto header = read_npy(bytes_);
    if (!header) {
      say(Safety::undecided, "", 0, "the header breaks off");
    } else if (header->objects) {
      result_.loads = true;
      inner(bytes_.subspan(header->data), "objects.pkl", header->data);
    }
  }

  void inflated() {
    result_.container = is_gzip(text_) ? "gzip" : "zlib";
    result_.loads = true;
    try {
      auto bytes = inflate_stream(bytes_, kMaxInflated, "");
      inner(bytes, "unpacked.pkl", 0);
      if (result_.path.extension() != ".gz" && is_checkpoint_name()) {
        say(Safety::undecided, "", 0, "torch.load does not read gzip");
      }
    } catch (const Error& error) {
      say(error.finding().id == "zip.too-large" ? Safety::unsafe
                                                : Safety::undecided,
          "",
          0,
          "cannot be unpacked: " + error.finding().actual);
    }
  }

  bool is_checkpoint_name() const {
    constexpr std::array<std::string_view, 4> kNames = {
        ".bin", ".pt", ".pth", ".ckpt"};
    auto suffix = result_.path.extension().string();
    return std::ranges::find(kNames, suffix) != kNames.end();
  }

  // Programs that look for the end record first see another file.
  void look_for_zip_behind() {
    constexpr size_t kTail = 66'000;
    auto tail = text_.substr(text_.size() - std::min(kTail, text_.size()));
    if (tail.find("PK\x05\x06") == std::string_view::npos) {
      return;
    }
    try {
      auto zip = read_zip(bytes_, "");
      if (zip.entries.empty()) {
        return;
      }
      say(Safety::unsafe,
          "",
          zip.entries.front().header,
          "a zip archive behind other bytes: two files in one");
      for (const auto& entry : zip.entries) {
        other_entry(zip, entry);
      }
    } catch (const Error&) {
      return;  // bytes that look like a signature
    }
  }

  Bytes bytes_;
  std::string_view text_;
  int depth_;
  FileSafety result_;
};

}  // namespace

bool begins_loadable(Bytes bytes) {
  auto text = text_of(bytes);
  return begins_pickle(text) || starts_as_zip(bytes) || is_gzip(text) ||
         starts_as_npy(bytes) || starts_as_tar(bytes) ||
         std::ranges::any_of(kMagics, [&](const Magic& magic) {
           return magic.safety == Safety::unsafe &&
                  text.starts_with(magic.bytes);
         });
}

FileSafety judge_bytes(Bytes bytes, const fs::path& path) {
  return FileJudge(bytes, path, 0).look();
}

}  // namespace assay
