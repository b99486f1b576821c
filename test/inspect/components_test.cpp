// inspect of what is more or less than one language model.

#include <algorithm>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "assay/core/platform.h"
#include "assay/inspect/inspect.h"

#include "../check/torch_twin.h"

using namespace assay;
namespace fs = std::filesystem;

namespace {

ModelReport look(const std::string& name) {
  return inspect_path(fs::path(ASSAY_TEST_DIR) / "sound" / name);
}

const ComponentSummary& part(const ModelReport& report, std::string_view name) {
  auto found =
      std::ranges::find(report.components, name, &ComponentSummary::name);
  REQUIRE(found != report.components.end());
  return *found;
}

uint64_t sum_of_parts(const ModelReport& report) {
  uint64_t sum = 0;
  for (const auto& one : report.components) {
    sum += one.parameters;
  }
  return sum;
}

}  // namespace

TEST_CASE("a pipeline is shown by its components") {
  auto report = look("sd1");
  CHECK(report.kind == "pipeline");
  CHECK(report.architecture == "StableDiffusionPipeline");
  CHECK(part(report, "unet").class_name == "UNet2DConditionModel");
  CHECK(part(report, "unet").detail == "F16");
  CHECK(part(report, "unet").bytes == 2 * part(report, "unet").parameters);
  CHECK(part(report, "scheduler").detail == "settings");
  CHECK(report.parameters == sum_of_parts(report));
  CHECK(report.unusual.empty());
}

TEST_CASE("parts in PyTorch's files are counted, and their pickles judged") {
  auto folder = fs::path(ASSAY_BUILD_DIR) / "test-models" /
                fmt::format("inspect-{}", platform::process_id());
  fs::remove_all(folder);
  fs::create_directories(folder.parent_path());
  fs::copy(fs::path(ASSAY_TEST_DIR) / "sound/sd1",
           folder,
           fs::copy_options::recursive);
  auto before = inspect_path(folder);
  assay::testing::to_torch(folder / "vae/diffusion_pytorch_model.safetensors",
                           folder / "vae/diffusion_pytorch_model.bin");
  auto mixed = inspect_path(folder);
  CHECK(mixed.container == "PyTorch, safetensors");
  assay::testing::all_to_torch(folder);
  auto report = inspect_path(folder);
  fs::remove_all(folder);
  CHECK(report.container == "PyTorch");
  CHECK(report.parameters == before.parameters);
  CHECK(part(report, "unet").bytes == part(before, "unet").bytes);
  CHECK(part(report, "unet").detail == "F16");
  CHECK(report.pickles.size() == 3);
  CHECK(report.unusual.empty());
}

TEST_CASE("components, schedulers and adapters") {
  CHECK(look("vae").architecture == "AutoencoderKL");
  CHECK(look("scheduler-dpm").architecture == "DPMSolverMultistepScheduler");
  CHECK(look("scheduler-ddim").kind == "scheduler");
  auto adapter = look("peft-lora");
  CHECK(adapter.kind == "adapter");
  CHECK(adapter.architecture == "PEFT adapter");
  CHECK(part(adapter, "LoRA").detail ==
        "6 modules, rank 4: down_proj, q_proj, v_proj");
  CHECK(adapter.parameters == sum_of_parts(adapter));
  CHECK(look("kohya-lora/tiny_style.safetensors").kind == "adapter");
}

TEST_CASE("a single-file checkpoint by its parts, the same as the pipeline") {
  auto file = look("checkpoint-sd1/sd1.safetensors");
  auto pipeline = look("sd1");
  CHECK(file.kind == "checkpoint");
  CHECK(file.architecture == "Stable Diffusion 1");
  CHECK(part(file, "UNet").parameters == part(pipeline, "unet").parameters);
  CHECK(part(file, "VAE").parameters == part(pipeline, "vae").parameters);
}

TEST_CASE("an ONNX model by its graph") {
  auto report = look("onnx-external");
  CHECK(report.kind == "onnx");
  CHECK(report.parameters == 8 * 16 + 16 + 16 * 4);
  CHECK(part(report, "model.onnx").detail ==
        "4 nodes, ai.onnx 17, data in model.onnx_data");
  CHECK(report.config["input x"] == "x FLOAT (batch, 8)");
}
