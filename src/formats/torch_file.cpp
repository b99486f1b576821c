#include "assay/formats/torch_file.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/formats/quote.h"
#include "assay/formats/torch_types.h"

namespace assay {
namespace {

using Bytes = std::span<const std::byte>;
using Kind = PickleValue::Kind;

constexpr uint64_t kMaxPickle = 512u << 20;  // unpacked
constexpr size_t kMaxPickles = 100'000;
constexpr uint64_t kMaxDimensions = 64;
constexpr std::string_view kMagic = "0x1950a86a20f9469cfc6c";

std::string_view torch_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string lower(std::string_view text) {
  std::string small(text);
  for (char& c : small) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return small;
}

/** Numbers and pickles, one after the other. */
class Stream {
 public:
  Stream(TorchFile& file, uint64_t at, uint64_t end)
      : file_(file), at_(at), end_(end) {}

  uint64_t at() const { return at_; }
  uint64_t left() const { return end_ - at_; }

  /** Reads a pickle; null where it breaks off. */
  const Pickle* pickle(std::string place) {
    auto text = torch_text(file_.bytes.subspan(
        static_cast<size_t>(at_), static_cast<size_t>(end_ - at_)));
    if (text.empty() || file_.pickles.size() >= kMaxPickles) {
      return nullptr;
    }
    file_.pickles.push_back({std::move(place), at_, text, read_pickle(text)});
    const auto& pickle = file_.pickles.back().pickle;
    at_ += pickle.end;
    return pickle.complete ? &pickle : nullptr;
  }

  bool skip(uint64_t bytes) {
    if (bytes > left()) {
      return false;
    }
    at_ += bytes;
    return true;
  }

  std::optional<int64_t> int64() {
    uint64_t value = 0;
    auto from = at_;
    if (!skip(8)) {
      return std::nullopt;
    }
    for (size_t i = 8; i-- > 0;) {
      value = value << 8 | std::to_integer<uint64_t>(
                               file_.bytes[static_cast<size_t>(from) + i]);
    }
    return static_cast<int64_t>(value);
  }

  /** A count of elements and their bytes, as UntypedStorage writes them. */
  std::optional<TorchStorage> storage(uint32_t element) {
    auto count = int64();
    if (!count || *count < 0 ||
        static_cast<uint64_t>(*count) > left() / element) {
      return std::nullopt;
    }
    TorchStorage storage{at_, static_cast<uint64_t>(*count) * element, 0};
    skip(storage.bytes);
    return storage;
  }

 private:
  TorchFile& file_;
  uint64_t at_;
  uint64_t end_;
};

std::string key_of(const Pickle& pickle, PickleRef ref) {
  const auto& value = pickle.at(ref);
  return value.kind == Kind::integer ? fmt::format("{}", value.integer)
                                     : std::string(value.text);
}

class Opener {
 public:
  Opener(Bytes bytes, std::string_view where) : where_(where) {
    file_.bytes = bytes;
  }

  TorchFile open() {
    if (starts_as_zip(file_.bytes)) {
      open_zip();
    } else if (starts_as_tar(file_.bytes)) {
      open_tar();
    } else {
      open_pickles();
    }
    return std::move(file_);
  }

 private:
  void trouble(std::string text) {
    if (file_.problem.empty()) {
      file_.problem = std::move(text);
    }
  }

  void open_zip() {
    file_.form = TorchForm::zip;
    file_.zip = read_zip(file_.bytes, where_);
    file_.end = file_.bytes.size();
    const auto& entries = file_.zip->entries;
    if (entries.empty()) {
      return trouble("an archive without entries");
    }
    auto slash = entries[0].name.find('/');
    if (slash == std::string::npos) {
      return trouble("the first entry lies in no folder");
    }
    file_.prefix = entries[0].name.substr(0, slash + 1);
    if (!find_records(file_, "constants.pkl").empty()) {
      file_.form = TorchForm::script;
    }
    auto mains = find_records(file_, "data.pkl");
    if (mains.empty()) {
      return trouble("no entry " + quote(file_.prefix + "data.pkl"));
    }
    for (const auto* main : mains) {
      add_entry(*main);
    }
    file_.main = 0;
    if (mains.size() > 1) {
      trouble(fmt::format("{} entries data.pkl", mains.size()));
    }
    byte_order();
    auto folder = file_.prefix + "data/";
    for (const auto& entry : entries) {
      if (entry.name.starts_with(folder) && entry.reachable) {
        file_.storages.emplace(
            entry.name.substr(folder.size()),
            TorchStorage{
                entry.data, entry.size, entry.stored() ? 0 : entry.packed});
      }
    }
  }

  void add_entry(const ZipEntry& entry) {
    std::string_view text;
    bool plain = entry.method == 0 && entry.reachable;
    if (plain) {
      text = torch_text(file_.bytes.subspan(static_cast<size_t>(entry.data),
                                            static_cast<size_t>(entry.packed)));
    } else {
      file_.unpacked.push_back(
          unpack(*file_.zip, entry, kMaxPickle, false, where_));
      text = torch_text(file_.unpacked.back());
    }
    file_.pickles.push_back({entry.name, entry.data, text, read_pickle(text)});
  }

  void byte_order() {
    auto records = find_records(file_, "byteorder");
    if (records.empty()) {
      return;
    }
    constexpr uint64_t kLongest = 64;
    auto bytes = unpack(*file_.zip, *records[0], kLongest, false, where_);
    auto order = torch_text(bytes);
    file_.big_endian = order == "big";
    if (order != "big" && order != "little") {
      trouble("byteorder " + quote(order));
    }
  }

  void open_pickles() {
    Stream stream(file_, 0, file_.bytes.size());
    const auto* first = stream.pickle("pickle 1");
    const auto* value = first == nullptr ? nullptr : &first->at(first->root);
    if (value != nullptr && value->kind == Kind::big_integer &&
        value->text == kMagic) {
      file_.form = TorchForm::legacy;
      open_legacy(stream);
    } else {
      // Whoever loads the file may go on after the first.
      size_t number = 1;
      while (first != nullptr && stream.left() > 0) {
        first = stream.pickle(fmt::format("pickle {}", ++number));
      }
    }
    file_.end = stream.at();
  }

  void open_legacy(Stream& stream) {
    const Pickle* last = nullptr;
    for (int number = 2; number <= 5; ++number) {
      last = stream.pickle(fmt::format("pickle {}", number));
      if (last == nullptr) {
        return trouble(fmt::format("pickle {} of 5 is not whole", number));
      }
      if (number == 4) {
        file_.main = file_.pickles.size() - 1;
      }
    }
    auto types = types_of_storages(file_.pickles[*file_.main].pickle);
    if (last->at(last->root).kind != Kind::list) {
      return trouble("the keys of the storages are no list");
    }
    for (auto ref : last->at(last->root).items) {
      auto key = key_of(*last, ref);
      auto type = types.find(key);
      if (type == types.end()) {
        return trouble("a storage that no tensor has: " + quote(key));
      }
      auto storage = stream.storage(type->second);
      if (!storage) {
        return trouble(fmt::format(
            "byte {}: storage {} is not whole", stream.at(), quote(key)));
      }
      file_.storages.emplace(std::move(key), *storage);
    }
  }

  // Bytes of an element, by the storage's key.
  static std::map<std::string, uint32_t> types_of_storages(
      const Pickle& pickle) {
    std::map<std::string, uint32_t> types;
    for (const auto& event : pickle.events) {
      if (event.kind != PickleEvent::Kind::persistent) {
        continue;
      }
      const auto& items = pickle.at(event.value).items;
      if (items.size() < 5) {
        continue;
      }
      const auto* type = torch_storage_type(pickle.at(items[1]).text);
      if (type != nullptr) {
        types.emplace(key_of(pickle, items[2]), type->bytes);
      }
    }
    return types;
  }

  void open_tar() {
    file_.form = TorchForm::tar;
    file_.tar = read_tar(file_.bytes);
    file_.end = file_.bytes.size();
    if (!file_.tar->complete) {
      trouble("the tar breaks off");
    }
    // All of them are read, whatever is wrong with one.
    tar_storages();
    tar_tensors();
    if (auto stream = member("pickle")) {
      if (stream->pickle("pickle") != nullptr) {
        file_.main = file_.pickles.size() - 1;
      } else {
        trouble("'pickle' is not whole");
      }
    }
  }

  std::optional<Stream> member(std::string_view name) {
    const auto* entry = file_.tar->find(name);
    if (entry == nullptr || !entry->is_file()) {
      trouble(fmt::format("no file '{}' in the tar", name));
      return std::nullopt;
    }
    return Stream(file_, entry->offset, entry->offset + entry->bytes);
  }

  std::optional<int64_t> count_of(const Pickle* pickle) {
    if (pickle == nullptr || pickle->at(pickle->root).kind != Kind::integer) {
      return std::nullopt;
    }
    return pickle->at(pickle->root).integer;
  }

  void tar_storages() {
    auto stream = member("storages");
    if (!stream) {
      return;
    }
    auto count = count_of(stream->pickle("storages: count"));
    for (int64_t i = 0; i < count.value_or(0); ++i) {
      const auto* pickle = stream->pickle(fmt::format("storages: {}", i));
      const auto* type = pickle == nullptr ? nullptr : tar_storage(*pickle);
      auto storage =
          type == nullptr ? std::nullopt : stream->storage(type->bytes);
      if (!storage) {
        return trouble(fmt::format("storage {} is not whole", i));
      }
      auto key = key_of(*pickle, pickle->at(pickle->root).items[0]);
      file_.storage_types.emplace(key, type->name);
      file_.storages.emplace(std::move(key), *storage);
    }
    const auto* views = count ? stream->pickle("storages: views") : nullptr;
    if (views == nullptr) {
      return trouble("the storages of the tar are not whole");
    }
    for (auto ref : views->at(views->root).items) {
      tar_view(*views, views->at(ref).items);
    }
  }

  // (key, location, type)
  static const TorchType* tar_storage(const Pickle& pickle) {
    const auto& items = pickle.at(pickle.root).items;
    return items.size() == 3 ? torch_storage_type(pickle.at(items[2]).text)
                             : nullptr;
  }

  // (key, key of the root, first element, elements)
  void tar_view(const Pickle& pickle, const std::vector<PickleRef>& items) {
    if (items.size() != 4) {
      return trouble("a view of a storage that is no four values");
    }
    auto root = file_.storages.find(key_of(pickle, items[1]));
    auto type = file_.storage_types.find(key_of(pickle, items[1]));
    if (root == file_.storages.end()) {
      return trouble("a view of no storage");
    }
    auto element = torch_storage_type(type->second)->bytes;
    auto first = static_cast<uint64_t>(pickle.at(items[2]).integer);
    auto count = static_cast<uint64_t>(pickle.at(items[3]).integer);
    auto all = root->second.bytes / element;
    if (first > all || count > all - first) {
      return trouble("a view outside its storage");
    }
    auto key = key_of(pickle, items[0]);
    file_.storages.emplace(
        key,
        TorchStorage{
            root->second.offset + first * element, count * element, 0});
    file_.storage_types.emplace(key, type->second);
  }

  void tar_tensors() {
    auto stream = member("tensors");
    if (!stream) {
      return;
    }
    auto count = count_of(stream->pickle("tensors: count"));
    for (int64_t i = 0; i < count.value_or(0); ++i) {
      if (!tar_tensor(*stream, i)) {
        return trouble(fmt::format("tensor {} is not whole", i));
      }
    }
    if (!count) {
      trouble("the tensors of the tar are not whole");
    }
  }

  // (key, key of the storage, type), then dimensions, sizes, strides, first.
  bool tar_tensor(Stream& stream, int64_t number) {
    const auto* pickle = stream.pickle(fmt::format("tensors: {}", number));
    if (pickle == nullptr || pickle->at(pickle->root).items.size() != 3) {
      return false;
    }
    const auto& items = pickle->at(pickle->root).items;
    TarTensor tensor;
    tensor.storage = key_of(*pickle, items[1]);
    auto dimensions = stream.int64();
    auto low = static_cast<uint64_t>(dimensions.value_or(0)) & 0xffffffff;
    if (!dimensions || low > kMaxDimensions) {
      return false;
    }
    for (auto* list : {&tensor.shape, &tensor.strides}) {
      for (uint64_t i = 0; i < low; ++i) {
        auto value = stream.int64();
        if (!value) {
          return false;
        }
        list->push_back(*value);
      }
    }
    auto first = stream.int64();
    tensor.first = first.value_or(0);
    file_.tensors.emplace(key_of(*pickle, items[0]), std::move(tensor));
    return first.has_value();
  }

  TorchFile file_;
  std::string_view where_;
};

}  // namespace

std::string_view name(TorchForm form) {
  switch (form) {
    case TorchForm::zip:
      return "PyTorch";
    case TorchForm::script:
      return "TorchScript";
    case TorchForm::legacy:
      return "PyTorch before 1.6";
    case TorchForm::tar:
      return "PyTorch before 0.1.10 (tar)";
    case TorchForm::pickles:
      return "pickle";
  }
  return "";
}

TorchFile open_torch(Bytes bytes, std::string_view where) {
  return Opener(bytes, where).open();
}

std::vector<const ZipEntry*> find_records(const TorchFile& file,
                                          std::string_view name) {
  auto wanted = lower(file.prefix + std::string(name));
  std::vector<const ZipEntry*> found;
  for (const auto& entry : file.zip->entries) {
    if (entry.name.size() == wanted.size() && lower(entry.name) == wanted) {
      found.push_back(&entry);
    }
  }
  return found;
}

}  // namespace assay
