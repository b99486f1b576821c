// Prompt caches on disk: what is loaded goes on as what was saved; what is not
// this model's is refused.

#include <fstream>

#include <doctest/doctest.h>

#include "assay/core/file.h"
#include "assay/formats/safetensors.h"

#include "golden.h"

using namespace assay;
namespace fs = std::filesystem;
namespace mx = mlx::core;

namespace {

fs::path scratch(const std::string& name) {
  auto folder = fs::path(ASSAY_BUILD_DIR) / "test-generate";
  fs::create_directories(folder);
  auto path = folder / name;
  fs::remove(path);
  return path;
}

Finding finding_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.finding();
  }
  return {};
}

}  // namespace

TEST_CASE("a saved prompt goes on as in transformers, in every kind of cache") {
  for (const char* name : {"llama", "mistral", "gemma2", "deepseek_v3"}) {
    CAPTURE(name);
    auto folder = golden::folder(name);
    auto model = arch::load_model(folder);
    auto expected = golden::continuation(folder);
    auto path = scratch(std::string(name) + ".safetensors");
    {
      Generator generator(model, nullptr);
      auto prompt = expected.prompt;
      prompt.resize(20);
      generator.prefill(prompt);
      generator.save_cache(path);
    }
    Generator generator(model, nullptr);
    generator.load_cache(path);
    CHECK(generator.cached_ids().size() == 20);
    auto result = generator.generate(expected.prompt, golden::greedy(16));
    CHECK(result.stats.reused_tokens == 20);
    CHECK(result.ids == expected.greedy);
  }
}

TEST_CASE("bounded caches go on as if they had not been saved") {
  auto model = arch::load_model(golden::folder("llama"));
  auto expected = golden::continuation(golden::folder("llama"));
  auto path = scratch("options.safetensors");
  nn::CacheOptions options{.max_size = 20};
  Generator whole(model, nullptr, options);
  auto first = whole.generate(expected.prompt, golden::greedy(10));
  whole.save_cache(path);
  auto longer = expected.prompt;
  longer.insert(longer.end(), first.ids.begin(), first.ids.end());
  auto second = whole.generate(longer, golden::greedy(10));
  Generator loaded(model, nullptr, options);
  loaded.load_cache(path);
  auto again = loaded.generate(longer, golden::greedy(10));
  CHECK(again.stats.reused_tokens == second.stats.reused_tokens);
  CHECK(again.stats.reused_tokens == 33);
  CHECK(again.ids == second.ids);
}

TEST_CASE("another model's cache is refused") {
  auto llama = arch::load_model(golden::folder("llama"));
  auto other = arch::load_model(golden::folder("llama-bias"));
  auto path = scratch("llama.safetensors");
  Generator generator(llama, nullptr);
  generator.prefill(std::vector<int32_t>{1, 2, 3});
  generator.save_cache(path);
  Generator stranger(other, nullptr);
  auto finding = finding_of([&] { stranger.load_cache(path); });
  CHECK(finding.id == "prompt-cache.mismatch");
  CHECK(finding.where.find("model") != std::string::npos);
  CHECK(finding.actual == model_identity(*llama.files));
  CHECK(stranger.cached_ids().empty());

  Generator bounded(llama, nullptr, {.max_size = 20});
  CHECK(finding_of([&] { bounded.load_cache(path); }).id ==
        "prompt-cache.mismatch");
}

TEST_CASE("weights of the same shapes have another identity") {
  auto copy = fs::path(ASSAY_BUILD_DIR) / "test-generate" / "changed";
  fs::remove_all(copy);
  fs::create_directories(copy.parent_path());
  fs::copy(golden::folder("llama"), copy);
  fs::remove(copy / "model.gguf");
  auto before = model_identity(open_model(copy));
  CHECK(before == model_identity(open_model(copy)));
  auto file = copy / "model.safetensors";
  auto tensor = read_safetensors(file).tensors.front();
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekp(static_cast<std::streamoff>(tensor.offset));
  stream.put('\x5a');
  stream.close();
  CHECK(model_identity(open_model(copy)) != before);
}

TEST_CASE("nothing to save is a finding") {
  auto model = arch::load_model(golden::folder("llama"));
  Generator generator(model, nullptr);
  CHECK(finding_of([&] {
          generator.save_cache(scratch("empty.safetensors"));
        }).id == "prompt-cache.empty");
}

TEST_CASE("a damaged cache is refused, and leaves the generator as it was") {
  auto model = arch::load_model(golden::folder("llama"));
  auto path = scratch("good.safetensors");
  Generator generator(model, nullptr);
  generator.prefill(std::vector<int32_t>{1, 2, 3});
  generator.save_cache(path);
  auto [tensors, metadata] = mx::load_safetensors(path.string());
  std::vector<int32_t> before = {4, 5};
  generator.reset();
  generator.prefill(before);

  auto refused = [&](auto change) {
    auto changed = tensors;
    auto about = metadata;
    change(changed, about);
    auto bad = scratch("bad.safetensors");
    mx::save_safetensors(bad.string(), changed, about);
    auto id = finding_of([&] { generator.load_cache(bad); }).id;
    CHECK(generator.cached_ids() == before);
    return id == "prompt-cache.malformed";
  };
  auto ints = [](std::vector<int32_t> v) {
    return mx::array(v.begin(), {static_cast<int>(v.size())}, mx::int32);
  };
  CHECK(refused([](auto& t, auto&) { t.erase("layers.0.1"); }));
  CHECK(refused(
      [](auto& t, auto&) { t.insert_or_assign("more", mx::zeros({1})); }));
  CHECK(refused([&](auto& t, auto&) {
    t.insert_or_assign("ids", ints({1, 2, 1 << 20}));
  }));
  CHECK(refused(
      [&](auto& t, auto&) { t.insert_or_assign("ids", ints({1, 2, -3})); }));
  CHECK(refused(
      [&](auto& t, auto&) { t.insert_or_assign("ids", ints({1, 2, 3, 4})); }));
  CHECK(refused([&](auto& t, auto&) {
    t.insert_or_assign("offsets", ints({3, 1 << 30}));
  }));
  CHECK(refused([](auto& t, auto&) {
    t.insert_or_assign("layers.0.0", mx::zeros({1, 1, 3, 16}));
  }));
  CHECK(refused([](auto& t, auto&) {
    t.insert_or_assign("layers.0.0", mx::zeros({3}, mx::int64));
  }));
  CHECK(refused([](auto&, auto& m) { m["context"] = "2"; }));
  CHECK(refused([](auto&, auto& m) { m["context"] = "99999999999999"; }));
  CHECK(refused([](auto&, auto& m) { m.erase("context"); }));
  CHECK(refused([](auto&, auto& m) { m["format"] = "other"; }));
  // As it stands it loads.
  mx::save_safetensors(path.string(), tensors, metadata);
  CHECK_NOTHROW(generator.load_cache(path));
}
