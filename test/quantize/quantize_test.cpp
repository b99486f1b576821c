// quantize on tiny models: what it says is what the written folder does, the
// sensitive part keeps its bits, and what can't be had is refused.

#include "assay/quantize/quantize.h"

#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>
#include <mlx/mlx.h>
#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/core/finding.h"

using namespace assay;
namespace fs = std::filesystem;
namespace mx = mlx::core;

namespace {

const fs::path kGolden = fs::path(ASSAY_TEST_DIR) / "golden/arch";

fs::path fresh(const std::string& name) {
  auto folder = fs::path(ASSAY_BUILD_DIR) / "quantize-test" / name;
  fs::remove_all(folder);
  fs::create_directories(folder.parent_path());
  return folder;
}

// A model of two layers, wide enough for every group size, whose weights come
// from a seed; `change` may do something to them.
fs::path make_model(
    const std::string& name,
    const std::function<void(const std::string&, mx::array&)>& change = {}) {
  auto folder = fresh(name);
  fs::create_directories(folder);
  auto config =
      parse_json(read_text(kGolden / "llama/config.json"), "config.json");
  config["hidden_size"] = 128;
  config["intermediate_size"] = 256;
  config["num_attention_heads"] = 4;
  config["num_key_value_heads"] = 2;
  config["head_dim"] = 32;
  config["num_hidden_layers"] = 2;
  config["vocab_size"] = 256;
  config["tie_word_embeddings"] = false;
  write_text(folder / "config.json", to_text(config));
  auto tree = arch::build_tree(config, "config.json");
  std::unordered_map<std::string, mx::array> tensors;
  uint64_t seed = 0;
  for (const auto& spec : tree.parameters) {
    auto shape = mx::Shape(spec.shape().begin(), spec.shape().end());
    bool matrix = shape.size() == 2;
    auto key = mx::random::key(++seed);
    auto scale = 1 / std::sqrt(static_cast<float>(shape.back()));
    auto value = matrix
                     ? mx::random::normal(shape, mx::float32, 0.0f, scale, key)
                     : mx::ones(shape);
    if (spec.role() == nn::Role::head) {
      value = value * mx::array(4.0f);  // predictions with some opinion
    }
    if (change) {
      change(spec.name, value);
    }
    tensors.insert({spec.name, mx::astype(value, mx::float16)});
  }
  mx::save_safetensors(
      (folder / "model.safetensors").string(), tensors, {{"format", "mlx"}});
  return folder;
}

// A text that the model itself writes, so that every error costs likelihood.
std::vector<int32_t> own_text(const fs::path& folder, size_t length) {
  auto model = arch::load_model(folder);
  std::vector<int32_t> ids = {1};
  while (ids.size() < length) {
    auto logits = arch::logits(model.model(), ids);
    auto last = mx::take(logits, static_cast<int>(ids.size()) - 1, 0);
    auto next = mx::random::categorical(last, -1, mx::random::key(ids.size()));
    ids.push_back(mx::astype(next, mx::int32).item<int32_t>());
  }
  return ids;
}

QuantizeOptions within(double percent, std::vector<int32_t> ids) {
  QuantizeOptions options;
  options.max_loss_percent = percent;
  options.sample.ids = std::move(ids);
  options.probe_tokens = 64;
  return options;
}

std::string id_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.finding().id;
  }
  return "nothing thrown";
}

uint64_t weights_size(const fs::path& folder) {
  uint64_t bytes = 0;
  for (const auto& tensor : open_model(folder).tensors) {
    bytes += tensor.bytes;
  }
  return bytes;
}

}  // namespace

TEST_CASE("--max-loss: the folder on disk loses what the report says") {
  auto source = make_model("source");
  auto ids = own_text(source, 96);
  for (double limit : {0.2, 3.0, 20.0}) {
    CAPTURE(limit);
    auto target = fresh("result");
    auto report = quantize(source, target, within(limit, ids));
    double before = perplexity(arch::load_model(source), ids).perplexity;
    double after = perplexity(arch::load_model(target), ids).perplexity;
    double loss = 100 * (after / before - 1);
    CHECK(loss <= limit);
    CHECK(report.result_loss_percent == doctest::Approx(loss).epsilon(1e-3));
    CHECK(report.source_perplexity.perplexity ==
          doctest::Approx(before).epsilon(1e-5));
    CHECK(report.result_divergence.kl_mean > 0);
    CHECK(weights_size(target) < weights_size(source));
    CHECK(weights_size(target) == report.written.bytes);
    int chosen = 0;
    for (const auto& entry : report.tries) {
      chosen += entry.chosen ? 1 : 0;
      if (entry.chosen) {
        CHECK(entry.within);
        CHECK(entry.bytes == report.written.bytes);
        CHECK(entry.perplexity == doctest::Approx(after).epsilon(1e-5));
      } else if (entry.within) {
        CHECK(entry.bytes >= report.written.bytes);
      }
    }
    CHECK(chosen == 1);
  }
}

TEST_CASE("a looser bound gives a result that is no larger") {
  auto source = make_model("looser");
  auto ids = own_text(source, 96);
  uint64_t last = weights_size(source);
  for (double limit : {0.5, 5.0, 50.0}) {
    auto report = quantize(source, fresh("looser-out"), within(limit, ids));
    CHECK(report.written.bytes <= last);
    last = report.written.bytes;
  }
}

TEST_CASE("the same input gives the same choice") {
  auto source = make_model("same");
  auto ids = own_text(source, 64);
  auto a = quantize(source, fresh("same-a"), within(2, ids));
  auto b = quantize(source, fresh("same-b"), within(2, ids));
  CHECK(a.modules == b.modules);
  CHECK(a.tries.size() == b.tries.size());
}

TEST_CASE("a part that is made sensitive is seen to be, and keeps more bits") {
  // All parts but one add next to nothing to the stream.
  auto source =
      make_model("sensitive", [](const std::string& name, mx::array& value) {
        bool adds = name.find("down_proj") != std::string::npos ||
                    name.find("o_proj") != std::string::npos;
        if (adds && name.find("layers.1.mlp") == std::string::npos) {
          value = value * mx::array(0.05f);
        }
      });
  auto ids = own_text(source, 96);
  auto options = within(30, ids);
  options.candidates = {{64, 8, "affine"}, {64, 3, "affine"}};
  auto report = quantize(source, fresh("sensitive-out"), options);
  auto kl_of = [&](const std::string& name) {
    auto found =
        std::ranges::find(report.sensitivities, name, &GroupSensitivity::name);
    REQUIRE(found != report.sensitivities.end());
    return found->kl;
  };
  auto bits_of = [&](const std::string& module) {
    auto setting = report.modules.at(module);
    return setting ? setting->bits : 16;
  };
  CHECK(kl_of("layer 1 mlp") > 4 * kl_of("layer 0 mlp"));
  CHECK(kl_of("layer 1 mlp") > 4 * kl_of("layer 0 attention"));
  CHECK(bits_of("model.layers.1.mlp.down_proj") >
        bits_of("model.layers.0.mlp.down_proj"));
}

TEST_CASE("only the candidates that were given are used") {
  auto source = make_model("candidates");
  auto options = within(30, own_text(source, 64));
  options.candidates = {{32, 4, "mxfp4"}, {128, 6, "affine"}};
  auto report = quantize(source, fresh("candidates-out"), options);
  bool some = false;
  for (const auto& [path, setting] : report.modules) {
    CAPTURE(path);
    some = some || setting;
    bool given = !setting || std::ranges::find(options.candidates, *setting) !=
                                 options.candidates.end();
    CHECK(given);
  }
  CHECK(some);
}

TEST_CASE("a bound that nothing keeps is refused, and nothing is written") {
  auto source = make_model("refused");
  auto options = within(0.001, own_text(source, 64));
  options.candidates = {{128, 2, "affine"}};
  auto target = fresh("refused-out");
  CHECK(id_of([&] { quantize(source, target, options); }) == "quantize.no-mix");
  CHECK_FALSE(fs::exists(target));
}

TEST_CASE("uniform: what was asked for, and what it lost") {
  auto source = make_model("uniform");
  auto ids = own_text(source, 64);
  auto target = fresh("uniform-out");
  QuantizeOptions options;
  options.bits = 4;
  options.group_size = 32;
  options.sample.ids = ids;
  auto report = quantize(source, target, options);
  for (const auto& [path, setting] : report.modules) {
    CHECK(setting == Quantization{32, 4, "affine"});
  }
  double after = perplexity(arch::load_model(target), ids).perplexity;
  CHECK(report.result_perplexity.perplexity ==
        doctest::Approx(after).epsilon(1e-5));
  CHECK(report.tries.empty());
}

TEST_CASE("a result larger than its source is refused unless asked for") {
  auto source = make_model("larger");
  auto small = fresh("larger-small");
  QuantizeOptions options;
  options.bits = 3;
  options.sample.ids = own_text(source, 32);
  quantize(source, small, options);
  auto target = fresh("larger-out");
  options.bits = 8;
  CHECK(id_of([&] { quantize(small, target, options); }) == "quantize.larger");
  CHECK_FALSE(fs::exists(target));
  options.allow_larger = true;
  CHECK_NOTHROW(quantize(small, target, options));
  // Nor does a search go up.
  auto report =
      quantize(small, fresh("larger-mix"), within(50, options.sample.ids));
  CHECK(report.written.bytes <= weights_size(small));
}

TEST_CASE("options that do not go together are refused") {
  auto target = fresh("options-out");
  auto refuse = [&](QuantizeOptions options) {
    return id_of([&] { quantize(kGolden / "llama", target, options); });
  };
  QuantizeOptions both;
  both.max_loss_percent = 1;
  both.bits = 4;
  CHECK(refuse(both) == "convert.option");
  QuantizeOptions negative;
  negative.max_loss_percent = -1;
  CHECK(refuse(negative) == "convert.option");
  QuantizeOptions unknown;
  unknown.bits = 7;
  CHECK(refuse(unknown) == "convert.option");
  CHECK_FALSE(fs::exists(target));
}
