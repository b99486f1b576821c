#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "assay/arch/loaded_model.h"
#include "assay/check/rules.h"
#include "assay/kernels/fused.h"

namespace assay::rules {
namespace mx = mlx::core;

namespace {

// Plain prose that any language model of English finds likely.
constexpr std::string_view kText =
    "The sun rises in the east and sets in the west. In the morning people get "
    "up, have breakfast and go to work. Children go to school, where they "
    "learn to read and to write. In the evening the family sits down at the "
    "table and talks about the day. When it gets dark, they go to bed and "
    "sleep until the next morning.";

constexpr int kAlone = 4;  // tokens that run one at a time
// A mean surprise above this share of that of a uniform guess is no language.
constexpr double kChance = 0.75;

Finding forward_failed(const arch::Tree& tree,
                       std::string expected,
                       std::string actual) {
  return make_finding("forward.failed",
                      std::string(tree.architecture->model_type),
                      std::move(expected),
                      std::move(actual));
}

std::string to_text(const mx::Shape& shape) {
  return to_string(Shape(shape.begin(), shape.end()));
}

int declared_vocabulary(const arch::Tree& tree) {
  auto embedding = std::ranges::find_if(tree.parameters, [](const auto& spec) {
    return spec.role() == nn::Role::embedding;
  });
  return embedding == tree.parameters.end()
             ? 0
             : static_cast<int>(embedding->shape().front());
}

void hold(Findings& findings,
          const arch::Tree& tree,
          const mx::array& logits,
          int length) {
  auto wanted = mx::Shape{1, length, declared_vocabulary(tree)};
  if (logits.shape() != wanted) {
    findings.push_back(
        forward_failed(tree,
                       fmt::format("logits of shape {}", to_text(wanted)),
                       to_text(logits.shape())));
  }
  if (!mx::issubdtype(logits.dtype(), mx::floating)) {
    findings.push_back(
        forward_failed(tree, "floating-point logits", "another type"));
  }
}

}  // namespace

Findings dry_forward(arch::Tree& tree) {
  constexpr int kLength = 8;
  Findings findings;
  try {
    nn::load_zeros(tree.parameters);
    auto caches = tree.model->make_caches();
    auto prompt = mx::zeros({1, kLength}, mx::int32);
    hold(findings, tree, (*tree.model)(prompt), kLength);
    hold(findings, tree, (*tree.model)(prompt, &caches), kLength);
    auto next = mx::zeros({1, 1}, mx::int32);
    hold(findings, tree, (*tree.model)(next, &caches), 1);
  } catch (const Error& error) {
    findings.push_back(error.finding());
  } catch (const std::exception& error) {
    findings.push_back(
        forward_failed(tree, "shapes that fit each other", error.what()));
  }
  for (const auto& spec : tree.parameters) {
    spec.parameter->value.reset();
  }
  return findings;
}

namespace {

std::vector<int32_t> test_ids(const ModelReport& report,
                              const Tokenizer* tokenizer) {
  std::vector<int32_t> ids;
  if (tokenizer != nullptr) {
    ids = tokenizer->encode(kText);
  } else {
    auto vocabulary = static_cast<int32_t>(report.sizes.vocabulary.value_or(1));
    for (int32_t i = 0; i < 16; ++i) {
      ids.push_back(i * 7 % vocabulary);
    }
  }
  auto context = static_cast<size_t>(
      std::max<int64_t>(1, report.sizes.context.value_or(64)));
  ids.resize(std::min(ids.size(), context));
  return ids;
}

// Mean surprise of each token given those before, in nats.
double mean_nll(const mx::array& logits, std::span<const int32_t> ids) {
  int count = static_cast<int>(ids.size()) - 1;
  auto rows = mx::slice(logits, {0, 0}, {count, logits.shape(1)});
  auto targets = mx::array(ids.begin() + 1, mx::Shape{count, 1}, mx::int32);
  auto chosen = mx::squeeze(mx::take_along_axis(rows, targets, 1), 1);
  return mx::mean(kernels::logsumexp(rows) - chosen).item<float>();
}

void hold_decoding(Findings& findings,
                   const arch::LoadedModel& loaded,
                   const mx::array& logits,
                   std::span<const int32_t> ids) {
  size_t first = ids.size() - kAlone;
  auto caches = loaded.model().make_caches();
  for (auto& cache : caches) {  // single steps are rotated as the whole was
    cache.expect(static_cast<int>(ids.size()));
  }
  auto prompt = loaded.model()(arch::to_array(ids.first(first)), &caches);
  mx::eval(prompt);
  for (size_t i = first; i < ids.size(); ++i) {
    auto step =
        mx::astype(loaded.model()(arch::to_array(ids.subspan(i, 1)), &caches),
                   mx::float32);
    auto row = static_cast<int>(i);
    auto whole = mx::slice(logits, {row, 0}, {row + 1, logits.shape(1)});
    float difference =
        mx::max(mx::abs(mx::reshape(step, whole.shape()) - whole))
            .item<float>();
    float range = (mx::max(whole) - mx::min(whole)).item<float>();
    // float32 on the CPU; half precision elsewhere.
    float allowed = kernels::on_cpu() ? 0.01f : 0.1f;
    if (!(difference <= allowed * range)) {
      findings.push_back(
          make_finding("inference.decode-differs",
                       fmt::format("token {}", i),
                       fmt::format("logits within {:.3g}", allowed * range),
                       fmt::format("a difference of {:.3g}", difference)));
      return;
    }
  }
}

// MLX's own CPU products accumulate in the type of their input.
void hold_type(Findings& findings, const ModelFiles& model) {
  uint64_t all = 0, half = 0;
  for (const auto& tensor : model.tensors) {
    all += tensor.bytes;
    half += tensor.dtype == DType::bf16 ? tensor.bytes : 0;
  }
  if (2 * half > all && mx::default_device() == mx::Device::cpu) {
    findings.push_back(make_finding("dtype.bf16-on-cpu",
                                    model.path.string(),
                                    "a GPU, or float32",
                                    "BF16 weights, and MLX on the CPU"));
  }
}

}  // namespace

Inference inference(const ModelFiles& model,
                    const ModelReport& report,
                    const Tokenizer* tokenizer) {
  Inference result;
  hold_type(result.findings, model);
  auto loaded = arch::load_model(model.path);
  auto ids = test_ids(report, tokenizer);
  result.tokens = ids.size();
  auto logits = arch::logits(loaded.model(), ids);
  if (!mx::all(mx::isfinite(logits)).item<bool>()) {
    result.findings.push_back(make_finding("inference.not-finite",
                                           "logits",
                                           "finite values",
                                           "infinities or NaNs"));
    return result;
  }
  if (tokenizer != nullptr && ids.size() > 8) {
    result.mean_nll = mean_nll(logits, ids);
    double chance = std::log(static_cast<double>(logits.shape(1)));
    if (!(result.mean_nll < kChance * chance)) {
      result.findings.push_back(make_finding(
          "inference.no-sense",
          "a short English text",
          fmt::format("a mean surprise well below {:.2f} nats a token, which "
                      "is that of chance",
                      chance),
          fmt::format("{:.2f}", result.mean_nll)));
    }
  }
  if (ids.size() > kAlone) {
    hold_decoding(result.findings, loaded, logits, ids);
  }
  return result;
}

}  // namespace assay::rules
