#include "assay/convert/plan.h"

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>

#include "assay/nn/recipes.h"

namespace assay::conversion {
namespace {

// Routers are small and decide much: mlx-lm gives those of its models of
// experts these settings too.
constexpr int kRouterBits = 8;
constexpr int kRouterGroup = 64;

int default_group(std::string_view mode) {
  if (mode == "affine") {
    return 64;
  }
  return mode == "nvfp4" ? 16 : 32;
}

bool exists(const Quantization& q) {
  auto in = [](int value, auto... allowed) {
    return ((value == allowed) || ...);
  };
  if (q.mode == "affine") {
    return in(q.bits, 2, 3, 4, 5, 6, 8) && in(q.group_size, 32, 64, 128);
  }
  return (q.mode == "mxfp4" && q.bits == 4 && q.group_size == 32) ||
         (q.mode == "mxfp8" && q.bits == 8 && q.group_size == 32) ||
         (q.mode == "nvfp4" && q.bits == 4 && q.group_size == 16);
}

void expect_known(const Quantization& q) {
  if (!exists(q)) {
    fail("convert.option",
         "mode, bits, group_size",
         "affine with 2, 3, 4, 5, 6 or 8 bits in groups of 32, 64 or 128; "
         "mxfp4 (4, 32), mxfp8 (8, 32) or nvfp4 (4, 16)",
         describe(q));
  }
}

// The setting for the whole model; nothing if nothing is to be quantized.
std::optional<Quantization> uniform(const ConvertOptions& options) {
  bool mode_alone = !options.mode.empty() && options.mode != "affine";
  if (options.bits == 0 && !mode_alone) {
    return std::nullopt;
  }
  Quantization q;
  q.mode = options.mode.empty() ? "affine" : options.mode;
  q.bits = options.bits != 0 ? options.bits : (q.mode == "mxfp8" ? 8 : 4);
  q.group_size =
      options.group_size != 0 ? options.group_size : default_group(q.mode);
  expect_known(q);
  return q;
}

void expect_together(const ConvertOptions& options) {
  bool mixed = !options.recipe.empty();
  if (mixed && (options.bits != 0 || options.choose)) {
    fail("convert.option", "recipe", "a recipe alone", "bits or a choice too");
  }
  if (mixed && !options.mode.empty() && options.mode != "affine") {
    fail("convert.option",
         "recipe",
         "mode affine, which the recipes are made for",
         options.mode);
  }
  bool nothing = options.bits == 0 && !mixed && !options.choose &&
                 (options.mode.empty() || options.mode == "affine");
  if (nothing && (options.group_size != 0 || !options.mode.empty())) {
    fail("convert.option",
         "group_size, mode",
         "bits or a recipe beside them",
         "neither");
  }
}

ChooseQuantization make_choice(const std::vector<nn::ParameterSpec>& parameters,
                               const ConvertOptions& options) {
  expect_together(options);
  if (options.choose) {
    return options.choose;
  }
  if (!options.recipe.empty()) {
    int group = options.group_size != 0 ? options.group_size : 64;
    expect_known({group, 4, "affine"});
    return nn::MixedRecipe(options.recipe, parameters, group);
  }
  auto all = uniform(options);
  if (!all) {
    return {};
  }
  return [q = *all](const nn::ParameterSpec& spec) {
    if (spec.role() != nn::Role::router) {
      return q;
    }
    return Quantization{
        spec.shape().back() % kRouterGroup == 0 ? kRouterGroup : 32,
        kRouterBits,
        "affine"};
  };
}

Shape with_last(Shape shape, int64_t last) {
  shape.back() = last;
  return shape;
}

void set_entries(PlannedParameter& planned) {
  const auto& spec = planned.rows->spec();
  const auto& shape = spec.shape();
  if (!planned.quantization) {
    planned.entries = {{spec.name, planned.dtype, shape}};
  } else {
    const auto& q = *planned.quantization;
    auto path = module_path(spec.name);
    auto groups = with_last(shape, shape.back() / q.group_size);
    planned.entries = {
        {spec.name, DType::u32, with_last(shape, shape.back() * q.bits / 32)},
        {path + ".scales", planned.dtype, groups}};
    if (q.mode == "affine") {
      planned.entries.push_back({path + ".biases", planned.dtype, groups});
    }
  }
  for (const auto& entry : planned.entries) {
    planned.bytes +=
        byte_size(entry.dtype, element_count(entry.shape).value()).value();
  }
}

Finding left_unquantized(const nn::ParameterSpec& spec,
                         const Quantization& q,
                         const std::string& instead) {
  return make_finding(
      "quantize.group-size",
      spec.name,
      fmt::format("a width that groups of {} divide", q.group_size),
      fmt::format("{}, so it stays {}", spec.shape().back(), instead));
}

class Planner {
 public:
  Planner(const ConvertOptions& options,
          ChooseQuantization choose,
          BlockScales scales)
      : choose_(std::move(choose)),
        dtype_(float_type(options.dtype)),
        scales_(scales) {}

  PlannedParameter plan(std::unique_ptr<ParameterRows> rows,
                        std::vector<Finding>& findings) {
    PlannedParameter planned;
    planned.rows = std::move(rows);
    planned.dtype = dtype_.value_or(planned.rows->float_type());
    planned.value_type = planned.dtype;
    const auto& spec = planned.rows->spec();
    std::optional<Quantization> wanted;
    if (choose_ && spec.quantizable()) {
      wanted = choose_(spec);
    }
    bool asked = wanted.has_value();
    if (asked) {
      expect_known(*wanted);
    }
    if (asked && spec.shape().back() % wanted->group_size != 0) {
      keep(planned);
      findings.push_back(
          left_unquantized(spec,
                           *wanted,
                           planned.kept ? describe(*planned.quantization)
                                        : std::string(name(planned.dtype))));
    } else if (asked) {
      quantize(planned, *wanted);
    } else {
      keep(planned);
    }
    set_entries(planned);
    return planned;
  }

 private:
  void keep(PlannedParameter& planned) const {
    if (auto form = planned.rows->form(scales_)) {
      planned.quantization = form->quantization;
      planned.dtype = form->scale_type;
      planned.kept = true;
      planned.assumed = scales_ == BlockScales::assumed;
    }
  }

  // What is stored in the wanted form already is not computed again.
  void quantize(PlannedParameter& planned, const Quantization& wanted) const {
    auto form = planned.rows->form(scales_);
    if (form && form->quantization == wanted) {
      keep(planned);
      return;
    }
    planned.quantization = wanted;
    if (wanted.mode != "affine") {
      planned.dtype = DType::u8;
    }
  }

  ChooseQuantization choose_;
  std::optional<DType> dtype_;
  BlockScales scales_;
};

// The most common setting is the standard; the others are named.
std::optional<QuantizationConfig> quantization_of(
    const std::vector<PlannedParameter>& parameters) {
  std::vector<std::pair<Quantization, uint64_t>> weights;
  for (const auto& planned : parameters) {
    if (planned.quantization) {
      auto same = std::ranges::find(weights,
                                    *planned.quantization,
                                    &decltype(weights)::value_type::first);
      if (same == weights.end()) {
        same = weights.insert(same, {*planned.quantization, 0});
      }
      same->second += planned.rows->rows() * planned.rows->width();
    }
  }
  if (weights.empty()) {
    return std::nullopt;
  }
  auto standard = std::ranges::max_element(
      weights, {}, &decltype(weights)::value_type::second);
  QuantizationConfig config{standard->first, {}};
  for (const auto& planned : parameters) {
    if (planned.quantization && *planned.quantization != config.standard) {
      config.modules[module_path(planned.rows->spec().name)] =
          planned.quantization;
    }
  }
  return config;
}

}  // namespace

std::string module_path(const std::string& parameter) {
  return parameter.substr(0, parameter.rfind('.'));
}

std::optional<DType> float_type(std::string_view word) {
  struct Word {
    std::string_view word;
    DType dtype;
  };
  constexpr std::array kWords = {Word{"float16", DType::f16},
                                 Word{"f16", DType::f16},
                                 Word{"F16", DType::f16},
                                 Word{"bfloat16", DType::bf16},
                                 Word{"bf16", DType::bf16},
                                 Word{"BF16", DType::bf16},
                                 Word{"float32", DType::f32},
                                 Word{"f32", DType::f32},
                                 Word{"F32", DType::f32}};
  if (word.empty()) {
    return std::nullopt;
  }
  auto found = std::ranges::find(kWords, word, &Word::word);
  if (found == kWords.end()) {
    fail("convert.option",
         "dtype",
         "float16, bfloat16 or float32",
         std::string(word));
  }
  return found->dtype;
}

Plan make_plan(const std::vector<nn::ParameterSpec>& parameters,
               nn::WeightReader& reader,
               TensorData& data,
               const ConvertOptions& options,
               BlockScales scales) {
  Plan plan;
  auto planner = Planner(options, make_choice(parameters, options), scales);
  for (const auto& spec : parameters) {
    if (spec.optional() && !reader.locate(spec)) {
      continue;
    }
    plan.parameters.push_back(planner.plan(
        std::make_unique<ParameterRows>(spec, reader, data), plan.findings));
    plan.bytes += plan.parameters.back().bytes;
  }
  plan.quantization = quantization_of(plan.parameters);
  return plan;
}

}  // namespace assay::conversion
