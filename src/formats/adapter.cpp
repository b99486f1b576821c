#include "assay/formats/adapter.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "assay/core/file.h"
#include "assay/formats/float_types.h"
#include "assay/formats/quote.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

using Method = AdapterModule::Method;
enum class Part { down, up, middle, alpha, magnitude, else_ };

/** How the end of a tensor's name tells what it is. */
struct Ending {
  std::string_view text;
  Part part;
  Method method = Method::lora;
};

// Longer endings before those that they end in.
constexpr std::array kEndings = {
    // PEFT, and what took its names (ai-toolkit, ComfyUI)
    Ending{".lora_A.weight", Part::down},
    Ending{".lora_B.weight", Part::up},
    Ending{".lora_A.default.weight", Part::down},
    Ending{".lora_B.default.weight", Part::up},
    Ending{".lora_A.bias", Part::else_},
    Ending{".lora_B.bias", Part::else_},
    Ending{".lora_embedding_A", Part::down},
    Ending{".lora_embedding_B", Part::up},
    Ending{".lora_magnitude_vector.weight", Part::magnitude},
    Ending{".lora_magnitude_vector", Part::magnitude},
    Ending{".lora_E", Part::else_, Method::other},  // AdaLoRA
    Ending{".lora_A", Part::down, Method::other},
    Ending{".lora_B", Part::up, Method::other},
    Ending{".ranknum", Part::else_, Method::other},
    Ending{".ia3_l", Part::else_, Method::scaled},
    // llama.cpp: the tensor's whole name goes before it
    Ending{".weight.lora_a", Part::down},
    Ending{".weight.lora_b", Part::up},
    // mlx-lm
    Ending{".lora_a", Part::down},
    Ending{".lora_b", Part::up},
    // kohya and LyCORIS
    Ending{".lora_down.weight", Part::down},
    Ending{".lora_up.weight", Part::up},
    Ending{".lora_mid.weight", Part::middle},
    Ending{".alpha", Part::alpha},
    Ending{".dora_scale", Part::magnitude},
    Ending{".hada_w1_a", Part::else_, Method::loha},
    Ending{".hada_w1_b", Part::else_, Method::loha},
    Ending{".hada_w2_a", Part::else_, Method::loha},
    Ending{".hada_w2_b", Part::else_, Method::loha},
    Ending{".hada_t1", Part::else_, Method::loha},
    Ending{".hada_t2", Part::else_, Method::loha},
    Ending{".lokr_w1", Part::else_, Method::lokr},
    Ending{".lokr_w1_a", Part::else_, Method::lokr},
    Ending{".lokr_w1_b", Part::else_, Method::lokr},
    Ending{".lokr_w2", Part::else_, Method::lokr},
    Ending{".lokr_w2_a", Part::else_, Method::lokr},
    Ending{".lokr_w2_b", Part::else_, Method::lokr},
    Ending{".lokr_t2", Part::else_, Method::lokr},
    Ending{".on_input", Part::else_, Method::scaled},
    Ending{".oft_blocks", Part::else_, Method::other},
    Ending{".oft_diag", Part::else_, Method::other},
    Ending{".diff", Part::else_, Method::other},
    Ending{".diff_b", Part::else_, Method::other},
};

struct Split {
  std::string_view target;
  Part part;
  Method method;
};

// diffusers' older names and XLabs': "to_q_lora.down.weight",
// "lora_linear_layer.up.weight", "processor.qkv_lora1.down.weight".
std::optional<Split> split_down_up(std::string_view name) {
  for (auto [ending, part] : {std::pair(".down.weight", Part::down),
                              std::pair(".up.weight", Part::up)}) {
    if (!name.ends_with(ending)) {
      continue;
    }
    auto target = name.substr(0, name.size() - std::strlen(ending));
    auto last = target.substr(target.rfind('.') + 1);
    if (last.ends_with("lora") || last.ends_with("lora1") ||
        last.ends_with("lora2") || last == "lora_linear_layer") {
      return Split{target, part, Method::lora};
    }
  }
  return std::nullopt;
}

std::optional<Split> split_name(std::string_view name) {
  auto ending = std::ranges::find_if(
      kEndings, [&](const Ending& one) { return name.ends_with(one.text); });
  if (ending != kEndings.end() && name.size() > ending->text.size()) {
    return Split{name.substr(0, name.size() - ending->text.size()),
                 ending->part,
                 ending->method};
  }
  return split_down_up(name);
}

bool any_ends(std::span<const TensorInfo> tensors, std::string_view ending) {
  return std::ranges::any_of(
      tensors, [&](const auto& one) { return one.name.ends_with(ending); });
}

bool any_holds(std::span<const TensorInfo> tensors, std::string_view part) {
  return std::ranges::any_of(tensors, [&](const auto& one) {
    return one.name.find(part) != std::string::npos;
  });
}

AdapterDialect dialect_of(const Adapter& adapter) {
  const auto& tensors = adapter.files.tensors;
  if (adapter.files.container == Container::gguf) {
    return AdapterDialect::gguf;
  }
  if (any_holds(tensors, ".processor.qkv_lora") ||
      any_holds(tensors, ".processor.proj_lora")) {
    return AdapterDialect::xlabs;
  }
  if (any_ends(tensors, ".lora_a") || any_ends(tensors, ".lora_b")) {
    return AdapterDialect::mlx;
  }
  // PEFT saves LoHa and LoKr with its own prefix and a config.
  bool lycoris = any_holds(tensors, ".hada_w") || any_holds(tensors, ".lokr_w");
  if (any_ends(tensors, ".lora_down.weight") ||
      any_ends(tensors, ".lora_up.weight") ||
      (lycoris && adapter.config.is_null() &&
       !any_holds(tensors, "base_model.model."))) {
    return AdapterDialect::kohya;
  }
  // transformer.h is GPT-2's; a folder of PEFT's has its config.
  bool pipeline = any_holds(tensors, ".down.weight") ||
                  any_holds(tensors, ".up.weight") || adapter.config.is_null();
  return pipeline && !any_holds(tensors, "base_model.model.")
             ? AdapterDialect::diffusers
             : AdapterDialect::peft;
}

std::optional<int64_t> size_of(const TensorInfo* tensor, size_t dimension) {
  return tensor != nullptr && dimension < tensor->shape.size()
             ? std::optional(tensor->shape[dimension])
             : std::nullopt;
}

std::optional<int64_t> product(std::optional<int64_t> a,
                               std::optional<int64_t> b) {
  constexpr int64_t kLargest = int64_t{1} << 31;
  return a && b && *a < kLargest && *b < kLargest ? std::optional(*a * *b)
                                                  : std::nullopt;
}

// LoHa's factors are those of a LoRA; beside a core (hada_t1) the first is
// turned round.
void measure_loha(AdapterModule& module) {
  const auto* first = module.part("hada_w1_a");
  bool core = module.part("hada_t1") != nullptr;
  module.out = size_of(first, core ? 1 : 0);
  module.up_rank = size_of(first, core ? 0 : 1);
  module.down_rank = size_of(module.part("hada_w1_b"), 0);
  module.in = size_of(module.part("hada_w1_b"), 1);
}

// A Kronecker product is as large as both factors' sizes multiplied. Each is
// stored whole, or as two factors of its own.
void measure_lokr(AdapterModule& module) {
  auto sizes = [&](const char* whole, const char* a, const char* b, bool core) {
    if (const auto* one = module.part(whole)) {
      return std::pair(size_of(one, 0), size_of(one, 1));
    }
    return std::pair(size_of(module.part(a), core ? 1 : 0),
                     size_of(module.part(b), 1));
  };
  auto first = sizes("lokr_w1", "lokr_w1_a", "lokr_w1_b", false);
  auto second = sizes(
      "lokr_w2", "lokr_w2_a", "lokr_w2_b", module.part("lokr_t2") != nullptr);
  module.out = product(first.first, second.first);
  module.in = product(first.second, second.second);
}

// mlx-lm's A is (..., in, rank) and B (..., rank, out), all others' are A
// (rank, in, ...) and B (out, rank, ...); an embedding's A is (rank, rows).
void measure(AdapterModule& module, AdapterDialect dialect) {
  if (module.method == Method::loha) {
    measure_loha(module);
    return;
  }
  if (module.method == Method::lokr) {
    measure_lokr(module);
    return;
  }
  auto dimension = [](const TensorInfo* tensor,
                      size_t from_front) -> std::optional<int64_t> {
    return tensor != nullptr && tensor->shape.size() >= 2
               ? std::optional(tensor->shape[from_front])
               : std::nullopt;
  };
  auto from_back = [](const TensorInfo* tensor,
                      size_t back) -> std::optional<int64_t> {
    return tensor != nullptr && tensor->shape.size() >= 2
               ? std::optional(tensor->shape[tensor->shape.size() - back])
               : std::nullopt;
  };
  // Of experts mlx-lm keeps (expert, rank, in) and (expert, out, rank).
  bool experts = module.down != nullptr && module.down->shape.size() == 3;
  if (dialect == AdapterDialect::mlx && experts) {
    module.down_rank = from_back(module.down, 2);
    module.in = from_back(module.down, 1);
    module.out = from_back(module.up, 2);
    module.up_rank = from_back(module.up, 1);
    return;
  }
  if (dialect == AdapterDialect::mlx) {
    module.in = from_back(module.down, 2);
    module.down_rank = from_back(module.down, 1);
    module.up_rank = from_back(module.up, 2);
    module.out = from_back(module.up, 1);
    return;
  }
  module.down_rank = dimension(module.down, 0);
  module.in = dimension(module.down, 1);
  module.out = dimension(module.up, 0);
  module.up_rank = dimension(module.up, 1);
}

void add_part(AdapterModule& module, const TensorInfo& tensor, Part part) {
  ++module.tensors;
  switch (part) {
    case Part::down:
      module.down = &tensor;
      break;
    case Part::up:
      module.up = &tensor;
      break;
    case Part::middle:
      module.middle = &tensor;
      break;
    case Part::alpha:
      module.alpha = &tensor;
      break;
    case Part::magnitude:
      module.magnitude = &tensor;
      break;
    case Part::else_:
      break;
  }
}

void sort_tensors(Adapter& adapter) {
  std::map<std::string, AdapterModule, std::less<>> modules;
  for (const auto& tensor : adapter.files.tensors) {
    auto split = split_name(tensor.name);
    if (!split) {
      adapter.others.push_back(&tensor);
      continue;
    }
    auto& module = modules[std::string(split->target)];
    module.target = split->target;
    if (split->method != Method::lora) {
      module.method = split->method;
    }
    if (split->method == Method::loha || split->method == Method::lokr) {
      module.parts[tensor.name.substr(tensor.name.rfind('.') + 1)] = &tensor;
    }
    module.embedding = module.embedding ||
                       tensor.name.ends_with(".lora_embedding_A") ||
                       tensor.name.ends_with(".lora_embedding_B");
    add_part(module, tensor, split->part);
  }
  adapter.dialect = dialect_of(adapter);
  for (auto& [target, module] : modules) {
    measure(module, adapter.dialect);
    adapter.modules.push_back(std::move(module));
  }
  // mlx-lm's magnitude has a name too short to stand in the list.
  if (adapter.dialect == AdapterDialect::mlx) {
    std::erase_if(adapter.others, [&](const TensorInfo* tensor) {
      std::string_view name = tensor->name;
      if (!name.ends_with(".m")) {
        return false;
      }
      name.remove_suffix(2);
      auto module =
          std::ranges::find(adapter.modules, name, &AdapterModule::target);
      if (module == adapter.modules.end()) {
        return false;
      }
      add_part(*module, *tensor, Part::magnitude);
      return true;
    });
  }
}

constexpr std::array kFiles = {"adapter_model.safetensors",
                               "adapters.safetensors",
                               "pytorch_lora_weights.safetensors",
                               "adapter_model.bin",
                               "pytorch_lora_weights.bin"};

fs::path weights_of(const fs::path& folder) {
  std::error_code error;
  for (const auto* name : kFiles) {
    if (fs::is_regular_file(folder / name, error)) {
      return folder / name;
    }
  }
  std::vector<fs::path> found;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    auto suffix = entry->path().extension();
    if (suffix == ".safetensors" || suffix == ".gguf") {
      found.push_back(entry->path());
    }
  }
  if (found.size() == 1) {
    return found.front();
  }
  if (fs::exists(folder / "adapters.npz", error)) {
    fail("model.not-read",
         (folder / "adapters.npz").string(),
         "an adapter in safetensors",
         "adapters.npz");
  }
  fail("adapter.no-weights",
       folder.string(),
       "adapter_model.safetensors or adapters.safetensors",
       found.empty()
           ? "no safetensors file"
           : fmt::format("{} safetensors files of other names", found.size()));
}

}  // namespace

std::string_view name(AdapterDialect dialect) {
  switch (dialect) {
    case AdapterDialect::peft:
      return "PEFT";
    case AdapterDialect::mlx:
      return "mlx-lm";
    case AdapterDialect::diffusers:
      return "diffusers";
    case AdapterDialect::kohya:
      return "kohya";
    case AdapterDialect::xlabs:
      return "XLabs";
    case AdapterDialect::gguf:
      return "llama.cpp";
  }
  return "";
}

std::string_view name(AdapterModule::Method method) {
  switch (method) {
    case Method::lora:
      return "LoRA";
    case Method::loha:
      return "LoHa";
    case Method::lokr:
      return "LoKr";
    case Method::scaled:
      return "(IA)3";
    case Method::other:
      return "another method";
  }
  return "";
}

const TensorInfo* AdapterModule::part(std::string_view end) const {
  auto entry = parts.find(end);
  return entry == parts.end() ? nullptr : entry->second;
}

bool are_adapter(std::span<const TensorInfo> tensors) {
  auto parts =
      static_cast<size_t>(std::ranges::count_if(tensors, [](const auto& one) {
        return split_name(one.name).has_value();
      }));
  return parts > 0 && 2 * parts > tensors.size();
}

Adapter open_adapter(const fs::path& path) {
  Adapter adapter;
  adapter.path = path;
  auto file = path;
  std::error_code error;
  if (fs::is_directory(path, error)) {
    auto config = path / "adapter_config.json";
    if (fs::exists(config, error)) {
      adapter.config_path = config;
      adapter.config =
          parse_json(read_text(config, 16u << 20), config.string());
    }
    file = weights_of(path);
  }
  adapter.files = open_model(file);
  sort_tensors(adapter);
  return adapter;
}

std::string base_name(const Adapter& adapter, const AdapterModule& module) {
  std::string_view target = module.target;
  for (std::string_view prefix : {"base_model.model.", "diffusion_model."}) {
    if (target.starts_with(prefix)) {
      target.remove_prefix(prefix.size());
    }
  }
  std::string name(target);
  if (adapter.dialect == AdapterDialect::xlabs) {
    struct Stands {
      std::string_view processor, layer;
    };
    constexpr std::array kStands = {
        Stands{".processor.qkv_lora1", ".img_attn.qkv"},
        Stands{".processor.qkv_lora2", ".txt_attn.qkv"},
        Stands{".processor.proj_lora1", ".img_attn.proj"},
        Stands{".processor.proj_lora2", ".txt_attn.proj"},
        Stands{".processor.qkv_lora", ".linear1"},
        Stands{".processor.proj_lora", ".linear2"},
    };
    for (const auto& one : kStands) {
      if (name.ends_with(one.processor)) {
        name.replace(name.size() - one.processor.size(),
                     one.processor.size(),
                     one.layer);
        break;
      }
    }
  }
  // Of diffusers' older names: "attn1.processor.to_q_lora", "to_q.lora".
  auto drop = [&](std::string_view part) {
    auto at = name.find(part);
    if (at != std::string::npos) {
      name.erase(at, part.size());
    }
  };
  if (adapter.dialect == AdapterDialect::diffusers) {
    drop(".processor");
    for (std::string_view ending : {".lora_linear_layer", ".lora", "_lora"}) {
      if (name.ends_with(ending)) {
        name.resize(name.size() - ending.size());
        break;
      }
    }
    if (name.ends_with(".to_out") && module.target.ends_with("_lora")) {
      name += ".0";
    }
  }
  return name;
}

std::optional<double> scalar_value(TensorData& data, const TensorInfo& tensor) {
  auto bytes = data.bytes(tensor);
  auto read = [&]<typename T>(T) -> std::optional<double> {
    T value{};
    if (bytes.size() < sizeof(T)) {
      return std::nullopt;
    }
    std::memcpy(&value, bytes.data(), sizeof(T));
    return static_cast<double>(value);
  };
  auto half = [&](auto to_float) -> std::optional<double> {
    uint16_t bits = 0;
    if (bytes.size() < sizeof(bits)) {
      return std::nullopt;
    }
    std::memcpy(&bits, bytes.data(), sizeof(bits));
    return static_cast<double>(to_float(bits));
  };
  switch (tensor.dtype) {
    case DType::f32:
      return read(float{});
    case DType::f64:
      return read(double{});
    case DType::i32:
      return read(int32_t{});
    case DType::i64:
      return read(int64_t{});
    case DType::f16:
      return half(half_to_float);
    case DType::bf16:
      return half(bfloat_to_float);
    default:
      return std::nullopt;
  }
}

}  // namespace assay
