#include "assay/formats/torch_tensors.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "assay/core/file.h"
#include "assay/formats/pickle_globals.h"
#include "assay/formats/quote.h"
#include "assay/formats/torch_file.h"
#include "assay/formats/torch_types.h"
#include "assay/formats/torch_walk.h"

namespace assay {
namespace {

using Kind = PickleValue::Kind;

constexpr uint64_t kMaxSpread = 64u << 20;

/** What a rebuilding function is given: a view of a storage. */
struct TensorView {
  std::string key;
  const TorchType* type = nullptr;  ///< of the values
  uint32_t storage_element = 1;
  uint64_t storage_count = 0;  ///< elements that the pickle states
  int64_t first = 0;           ///< element of the storage
  std::vector<int64_t> shape, strides;
  /** Of a legacy storage that is a part of another: elements. */
  int64_t part_first = 0;
  std::optional<int64_t> part_count;
};

class TensorReader {
 public:
  TensorReader(const TorchFile& file, std::string_view where)
      : file_(file), pickle_(file.pickles[*file.main].pickle), where_(where) {}

  TorchTensors read() {
    auto walk = walk_torch(
        pickle_, [&](PickleRef ref) { return is_tensor(ref); }, where_);
    for (const auto& found : walk.tensors) {
      add(found);
    }
    others(walk);
    unsupported();
    if (result_.tensors.empty() && result_.findings.empty()) {
      fail("torch.no-tensors",
           std::string(where_),
           "tensors in dictionaries, or a module",
           describe(pickle_, pickle_.root));
    }
    std::ranges::stable_sort(result_.tensors, {}, &TensorInfo::offset);
    return std::move(result_);
  }

 private:
  using Items = std::vector<PickleRef>;

  const PickleValue& at(PickleRef ref) const { return pickle_.at(ref); }

  std::string place(std::string_view name) const {
    return fmt::format("{}: tensor {}", where_, quote(name));
  }

  [[noreturn]] void refuse(std::string_view id,
                           std::string expected,
                           std::string actual) const {
    fail(id, place(name_), std::move(expected), std::move(actual));
  }

  void add(const FoundTensor& found) {
    name_ = found.name;
    if (!names_.insert(found.name).second) {
      refuse("torch.malformed", "each name once", "it is there twice");
    }
    std::string problem;
    auto view = file_.form == TorchForm::tar ? tar_view(found.ref)
                                             : view_of(found.ref, problem);
    if (!view) {
      unsupported_[problem].push_back(found.name);
      return;
    }
    hold(*view);
  }

  void others(const TorchWalk& walk) {
    if (!walk.others.empty()) {
      result_.findings.push_back(make_finding(
          "torch.other-tensors",
          std::string(where_),
          walk.prefix.empty() ? "the model's tensors"
                              : "tensors below " + quote(walk.prefix),
          fmt::format("{} more, the first {}",
                      walk.others.size(),
                      quote(walk.others.front().name))));
    }
  }

  // One finding a reason.
  void unsupported() {
    for (const auto& [why, names] : unsupported_) {
      result_.findings.push_back(
          make_finding("torch.unsupported",
                       place(names.front()),
                       "values of a type that safetensors has, in a storage",
                       names.size() == 1
                           ? why
                           : fmt::format("{}; {} tensors", why, names.size())));
    }
  }

  bool is_tensor(PickleRef ref) const {
    const auto& value = at(ref);
    if (file_.form == TorchForm::tar) {
      return value.kind == Kind::persistent &&
             file_.tensors.contains(key(value.items[0]));
    }
    if (value.kind != Kind::object) {
      return false;
    }
    const auto& callee = at(value.items[0]);
    return callee.kind == Kind::global &&
           (rebuilds_tensor(callee.module, callee.text) ||
            (callee.module == "torch._tensor" &&
             callee.text.starts_with("_rebuild_from_type")));
  }

  // Through the functions that wrap a tensor.
  PickleRef unwrap(PickleRef ref) const {
    for (int depth = 0; depth < 8; ++depth) {
      const auto& value = at(ref);
      const auto& function = at(value.items[0]).text;
      const auto& arguments = at(value.items[1]).items;
      bool wraps = function.starts_with("_rebuild_parameter") ||
                   function == "_rebuild_device_tensor_from_cpu_tensor";
      if (!wraps || arguments.empty() || !is_tensor(arguments[0])) {
        break;
      }
      ref = arguments[0];
    }
    return ref;
  }

  std::optional<TensorView> view_of(PickleRef ref, std::string& problem) const {
    ref = unwrap(ref);
    auto function = at(at(ref).items[0]).text;
    auto arguments = at(ref).items[1];
    if (function.starts_with("_rebuild_from_type") &&
        at(arguments).items.size() > 2) {
      function = at(at(arguments).items[0]).text;
      arguments = at(arguments).items[2];
    }
    const auto& items = at(arguments).items;
    bool plain = function == "_rebuild_tensor" ||
                 function == "_rebuild_tensor_v2" ||
                 function == "_rebuild_tensor_v3";
    if (!plain) {
      problem = fmt::format("{}", function);
      return std::nullopt;
    }
    TensorView view;
    if (items.size() < 4 || !storage(items[0], view)) {
      refuse("torch.malformed",
             "a storage, an offset, sizes and strides",
             describe(pickle_, arguments));
    }
    view.first = integer(items[1]);
    view.shape = integers(items[2]);
    view.strides = integers(items[3]);
    if (function == "_rebuild_tensor_v3") {
      const auto* type =
          items.size() > 6 ? torch_dtype(at(items[6]).text) : nullptr;
      if (type == nullptr) {
        problem = items.size() > 6 ? "torch." + std::string(at(items[6]).text)
                                   : "no type";
        return std::nullopt;
      }
      view.type = type;
    }
    auto metadata = function == "_rebuild_tensor_v3" ? 7u : 6u;
    if (items.size() > metadata && is_lazy(items[metadata])) {
      problem = "a conjugate or negative view";
      return std::nullopt;
    }
    if (!view.type->type) {
      problem = fmt::format("{}", view.type->name);
      return std::nullopt;
    }
    return view;
  }

  // {"conj": True, "neg": False}
  bool is_lazy(PickleRef metadata) const {
    const auto& items = at(metadata).items;
    for (size_t i = 1; i < items.size(); i += 2) {
      if (at(items[i]).kind == Kind::boolean && at(items[i]).integer != 0) {
        return true;
      }
    }
    return false;
  }

  int64_t integer(PickleRef ref) const {
    if (at(ref).kind != Kind::integer) {
      refuse("torch.malformed", "an integer", describe(pickle_, ref));
    }
    return at(ref).integer;
  }

  // A tuple, or torch.Size of one.
  std::vector<int64_t> integers(PickleRef ref) const {
    if (at(ref).kind == Kind::object &&
        at(at(ref).items[1]).items.size() == 1) {
      ref = at(at(ref).items[1]).items[0];
    }
    if (at(ref).kind != Kind::tuple && at(ref).kind != Kind::list) {
      refuse("torch.malformed", "a tuple", describe(pickle_, ref));
    }
    std::vector<int64_t> values;
    for (auto item : at(ref).items) {
      values.push_back(integer(item));
    }
    return values;
  }

  // ('storage', type, key, location, count [, view or None])
  bool storage(PickleRef ref, TensorView& view) const {
    if (at(ref).kind != Kind::persistent) {
      return false;
    }
    const auto& id = at(at(ref).items[0]).items;
    if (id.size() < 5 || at(id[0]).text != "storage") {
      return false;
    }
    view.type = torch_storage_type(at(id[1]).text);
    auto count = integer(id[4]);
    if (view.type == nullptr || count < 0) {
      return false;
    }
    view.storage_element = view.type->bytes;
    view.storage_count = static_cast<uint64_t>(count);
    view.key = key(id[2]);
    if (id.size() > 5 && at(id[5]).items.size() == 3) {
      const auto& part = at(id[5]).items;
      view.part_first = integer(part[1]);
      view.part_count = integer(part[2]);
    }
    return true;
  }

  std::string key(PickleRef ref) const {
    return at(ref).kind == Kind::integer ? fmt::format("{}", at(ref).integer)
                                         : std::string(at(ref).text);
  }

  std::optional<TensorView> tar_view(PickleRef ref) const {
    auto tensor = file_.tensors.find(key(at(ref).items[0]));
    auto type = tensor == file_.tensors.end()
                    ? file_.storage_types.end()
                    : file_.storage_types.find(tensor->second.storage);
    if (type == file_.storage_types.end()) {
      refuse("torch.storage",
             "a tensor and its storage in the tar",
             describe(pickle_, ref));
    }
    TensorView view;
    view.key = tensor->second.storage;
    view.type = torch_storage_type(type->second);
    view.storage_element = view.type->bytes;
    view.storage_count =
        file_.storages.find(view.key)->second.bytes / view.storage_element;
    view.first = tensor->second.first;
    view.shape = tensor->second.shape;
    view.strides = tensor->second.strides;
    return view;
  }

  // The storage is there, as large as stated, and holds the view.
  void hold(TensorView& view) {
    auto entry = file_.storages.find(view.key);
    if (entry == file_.storages.end()) {
      refuse("torch.storage",
             "storage " + quote(view.key) + " in the file",
             "no such storage");
    }
    const auto& storage = entry->second;
    uint64_t stated = 0;
    if (__builtin_mul_overflow(
            view.storage_count, uint64_t{view.storage_element}, &stated) ||
        stated != storage.bytes) {
      refuse("torch.storage",
             fmt::format("{} elements of {} bytes in storage {}",
                         view.storage_count,
                         view.storage_element,
                         quote(view.key)),
             fmt::format("{} bytes", storage.bytes));
    }
    uint64_t start = 0;
    auto length = storage.bytes;
    if (view.part_count) {
      auto first = static_cast<uint64_t>(view.part_first);
      auto count = static_cast<uint64_t>(*view.part_count);
      if (view.part_first < 0 || *view.part_count < 0 ||
          first > view.storage_count || count > view.storage_count - first) {
        refuse("torch.view",
               fmt::format("a part of {} elements", view.storage_count),
               fmt::format("{} from {}", view.part_first, *view.part_count));
      }
      start = first * view.storage_element;
      length = count * view.storage_element;
    }
    hold_shape(view, length / view.type->bytes);
    push(view, storage, start);
  }

  void hold_shape(const TensorView& view, uint64_t count) const {
    auto outside = [&] {
      refuse("torch.view",
             fmt::format("a view within {} elements", count),
             fmt::format("sizes {}, strides {} from element {}",
                         to_string(view.shape),
                         to_string(view.strides),
                         view.first));
    };
    bool negative = view.first < 0 || view.shape.size() != view.strides.size();
    bool empty = false;
    uint64_t last = static_cast<uint64_t>(view.first);
    for (size_t i = 0; !negative && i < view.shape.size(); ++i) {
      negative = view.shape[i] < 0 || view.strides[i] < 0;
      empty = empty || view.shape[i] == 0;
      uint64_t reach = 0;
      if (!negative && view.shape[i] > 0 &&
          (__builtin_mul_overflow(static_cast<uint64_t>(view.shape[i] - 1),
                                  static_cast<uint64_t>(view.strides[i]),
                                  &reach) ||
           __builtin_add_overflow(last, reach, &last))) {
        outside();
      }
    }
    if (negative ||
        (empty ? static_cast<uint64_t>(view.first) > count : last >= count)) {
      outside();
    }
  }

  // Row after row: an axis of one value may have any stride.
  static bool in_order(const TensorView& view) {
    int64_t stride = 1;
    for (size_t i = view.shape.size(); i-- > 0;) {
      if (view.shape[i] == 0) {
        return true;
      }
      if (view.shape[i] != 1 && view.strides[i] != stride) {
        return false;
      }
      stride *= view.shape[i];
    }
    return true;
  }

  void push(const TensorView& view,
            const TorchStorage& storage,
            uint64_t start) {
    TensorInfo info;
    info.name = name_;
    info.dtype = *view.type->type;
    info.shape = view.shape;
    info.big_endian = file_.big_endian && view.type->bytes > 1;
    bool empty = std::ranges::find(view.shape, 0) != view.shape.end();
    auto count = empty ? std::optional<uint64_t>(0) : element_count(view.shape);
    uint64_t bytes = 0;
    bool fits = count && !__builtin_mul_overflow(
                             *count, uint64_t{view.type->bytes}, &bytes);
    // A view that repeats values asks for more than the file holds.
    if (!fits || bytes > std::max<uint64_t>(kMaxSpread, file_.bytes.size())) {
      refuse(
          "torch.view",
          fmt::format("at most the {} bytes of the file", file_.bytes.size()),
          fmt::format("sizes {}, strides {}",
                      to_string(view.shape),
                      to_string(view.strides)));
    }
    info.bytes = bytes;
    if (!in_order(view)) {
      info.strides = view.strides;
    }
    if (info.dtype == DType::f4) {
      if (info.shape.empty() || !info.strides.empty()) {
        unsupported_["float4_e2m1fn_x2 that is no row"].push_back(info.name);
        return;
      }
      info.shape.back() *= 2;  // torch counts pairs
    }
    auto within = start + static_cast<uint64_t>(view.first) * view.type->bytes;
    if (storage.packed != 0) {
      info.packed = {storage.offset, storage.packed, storage.bytes};
      info.offset = within;
    } else {
      info.offset = storage.offset + within;
    }
    result_.tensors.push_back(std::move(info));
  }

  const TorchFile& file_;
  const Pickle& pickle_;
  std::string_view where_;
  std::string name_;  ///< of the tensor at hand
  std::set<std::string> names_;
  std::map<std::string, std::vector<std::string>> unsupported_;
  TorchTensors result_;
};

}  // namespace

TorchTensors parse_torch(std::span<const std::byte> bytes,
                         std::string_view where) {
  auto file = open_torch(bytes, where);
  if (!file.problem.empty()) {
    fail("torch.malformed",
         std::string(where),
         fmt::format("a checkpoint ({})", name(file.form)),
         file.problem);
  }
  if (!file.main) {
    bool whole = !file.pickles.empty() && file.pickles[0].pickle.complete;
    fail(whole ? "torch.no-tensors" : "torch.malformed",
         std::string(where),
         "a checkpoint of PyTorch's",
         whole ? "a pickle of " + describe(file.pickles[0].pickle,
                                           file.pickles[0].pickle.root)
               : "neither a zip archive nor a whole pickle");
  }
  const auto& pickle = file.pickles[*file.main].pickle;
  if (!pickle.complete) {
    fail("torch.malformed",
         fmt::format("{}: {}", where, file.pickles[*file.main].place),
         "a whole pickle",
         pickle.problem);
  }
  return TensorReader(file, where).read();
}

TorchTensors read_torch(const std::filesystem::path& path) {
  auto file = MappedFile(path);
  return parse_torch(file.bytes(), path.string());
}

}  // namespace assay
