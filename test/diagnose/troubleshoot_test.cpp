// From a symptom to its cause: the words for it, the stages, the ranking.

#include "assay/diagnose/troubleshoot.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "assay/diagnose/trial.h"

#include "../check/sound_copy.h"
#include "../inspect/model_copy.h"

using namespace assay;
using assay::testing::ModelCopy;
using assay::testing::SoundCopy;

namespace {

const CheckStep* stage(const Diagnosis& diagnosis, std::string_view name) {
  auto found = std::ranges::find(diagnosis.stages, name, &CheckStep::name);
  return found == diagnosis.stages.end() ? nullptr : &*found;
}

bool ran(const Diagnosis& diagnosis, std::string_view name) {
  const auto* found = stage(diagnosis, name);
  return found != nullptr && found->outcome != CheckStep::Outcome::skipped;
}

std::string told_of_trouble(const Diagnosis& diagnosis) {
  return to_json(diagnosis).dump(1);
}

void explains(const Diagnosis& diagnosis, std::string_view id) {
  CAPTURE(told_of_trouble(diagnosis));
  REQUIRE(!diagnosis.suspects.empty());
  CHECK(diagnosis.suspects.front().finding.id == id);
  CHECK(diagnosis.suspects.front().weight == Weight::explains);
  CHECK(diagnosis.verdict == Verdict::findings);
  CHECK(!diagnosis.next.empty());
}

}  // namespace

TEST_CASE("symptoms in the words that people use") {
  using enum Symptom;
  for (auto [text, symptom] : {std::pair("won't load", wont_load),
                               std::pair("wont-load", wont_load),
                               std::pair("doesn't load", wont_load),
                               std::pair("crash", wont_load),
                               std::pair("It crashes on start!", wont_load),
                               std::pair("Segmentation fault", wont_load),
                               std::pair("shape mismatch error", wont_load),
                               std::pair("oom", oom),
                               std::pair("OOM", oom),
                               std::pair("out of memory", oom),
                               std::pair("crashes out of memory", oom),
                               std::pair("killed", oom),
                               std::pair("slow", slow),
                               std::pair("so slow", slow),
                               std::pair("low tokens per second", slow),
                               std::pair("wrong-output", wrong_output),
                               std::pair("wrong output", wrong_output),
                               std::pair("garbage", wrong_output),
                               std::pair("nonsense", wrong_output),
                               std::pair("repeats itself", wrong_output),
                               std::pair("never stops", wrong_output)}) {
    CAPTURE(text);
    REQUIRE(symptom_of(text));
    CHECK(*symptom_of(text) == symptom);
  }
  CHECK(!symptom_of("purple"));
  CHECK(!symptom_of(""));
}

TEST_CASE("won't load: headers explain it, and nothing dearer runs") {
  ModelCopy copy("llama");
  copy.edit_config([](Json& json) { json["intermediate_size"] = 128; });
  auto diagnosis = troubleshoot(Symptom::wont_load, copy.path);
  explains(diagnosis, "shape.mismatch");
  CHECK(diagnosis.next.find("--fix --dry-run") != std::string::npos);
  CHECK(!ran(diagnosis, "memory"));
  CHECK(!ran(diagnosis, "values and inference"));
  TroubleshootOptions all{.all = true};
  CHECK(ran(troubleshoot(Symptom::wont_load, copy.path, all), "memory"));
}

TEST_CASE("won't load: a model that loads is said to load") {
  ModelCopy copy("llama");
  auto diagnosis = troubleshoot(Symptom::wont_load, copy.path);
  CAPTURE(told_of_trouble(diagnosis));
  CHECK(ran(diagnosis, "values and inference"));
  CHECK(diagnosis.ruled_out.size() >= 2);
  auto absent = troubleshoot(Symptom::wont_load, "/nowhere/at/all");
  explains(absent, "file.unreadable");
}

TEST_CASE("out of memory: a context that cannot fit") {
  ModelCopy copy("llama");
  TroubleshootOptions options;
  options.context = 2'000'000'000;
  auto diagnosis = troubleshoot(Symptom::oom, copy.path, options);
  explains(diagnosis, "fit.does-not-fit");
  CHECK(!ran(diagnosis, "machine"));
  copy.edit_config(
      [](Json& json) { json["max_position_embeddings"] = 1'000'000'000; });
  diagnosis = troubleshoot(Symptom::oom, copy.path);
  CAPTURE(told_of_trouble(diagnosis));
  CHECK(std::ranges::any_of(diagnosis.suspects, [](const auto& one) {
    return one.finding.id == "memory.context" && one.weight == Weight::explains;
  }));
}

TEST_CASE("slow: what the weights are stored in counts, and a run is timed") {
  ModelCopy copy("llama");
  TroubleshootOptions options{.all = true};
  auto diagnosis = troubleshoot(Symptom::slow, copy.path, options);
  CAPTURE(told_of_trouble(diagnosis));
  CHECK(std::ranges::any_of(diagnosis.suspects, [](const auto& one) {
    return one.finding.id == "memory.float32";
  }));
  REQUIRE(ran(diagnosis, "short run"));
  CHECK(stage(diagnosis, "short run")->detail.find("tokens/s") !=
        std::string::npos);
}

TEST_CASE("wrong output: values that are no numbers") {
  ModelCopy copy("llama");
  copy.edit_tensors([](ModelCopy::Tensors& tensors) {
    tensors.at("lm_head.weight").fill(0);
  });
  auto diagnosis = troubleshoot(Symptom::wrong_output, copy.path);
  CAPTURE(told_of_trouble(diagnosis));
  CHECK(std::ranges::any_of(diagnosis.suspects, [](const auto& one) {
    return one.finding.id == "tensor.all-zero" && one.weight >= Weight::likely;
  }));
}

TEST_CASE("wrong output: beside a model that works") {
  ModelCopy good("llama");
  ModelCopy copy("llama");
  copy.edit_config(
      [](Json& json) { json["rope_parameters"]["rope_theta"] = 500000.0; });
  TroubleshootOptions options{.against = good.path};
  auto diagnosis = troubleshoot(Symptom::wrong_output, copy.path, options);
  CAPTURE(told_of_trouble(diagnosis));
  REQUIRE(!diagnosis.suspects.empty());
  CHECK(diagnosis.suspects.front().finding.id == "against.value");
  // Only the numbers tell of other weights.
  ModelCopy other("llama");
  other.edit_tensors([](ModelCopy::Tensors& tensors) {
    auto& tensor = tensors.at("lm_head.weight");
    for (size_t i = 0; i < 64 * 256; ++i) {
      tensor.set(i, i % 2 == 0 ? 0.25f : -0.5f);
    }
  });
  auto result = compare_trial(other.path, good.path);
  CHECK(std::ranges::any_of(result.findings, [](const Finding& finding) {
    return finding.id == "output.weights-differ" &&
           finding.where == "lm_head.weight";
  }));
}

TEST_CASE("an answer is judged by its tokens") {
  Answer answer;
  answer.chance = 10;
  CHECK(judge(answer, "m")[0].id == "output.empty");
  for (int i = 0; i < 64; ++i) {
    answer.ids.push_back(i);
    answer.logprobs.push_back(-1);
  }
  CHECK(judge(answer, "m").empty());
  std::ranges::fill(answer.logprobs, -8.0f);
  CHECK(judge(answer, "m")[0].id == "output.flat");
  std::ranges::fill(answer.logprobs, -1.0f);
  for (size_t i = 0; i < 64; ++i) {
    answer.ids[i] = static_cast<int32_t>(i % 3);
  }
  CHECK(repeating_period(answer.ids) == 3);
  CHECK(judge(answer, "m")[0].id == "output.repeats");
  answer.ids.back() = 9;
  CHECK(repeating_period(answer.ids) == 0);
  answer.marks = {"<|im_end|>"};
  CHECK(judge(answer, "m")[0].id == "output.end-unheeded");
}

TEST_CASE("a model without a module tree is not called sound") {
  SoundCopy copy("vae");
  auto diagnosis = troubleshoot(Symptom::wrong_output, copy.path);
  CAPTURE(told_of_trouble(diagnosis));
  CHECK(diagnosis.verdict != Verdict::sound);
}
