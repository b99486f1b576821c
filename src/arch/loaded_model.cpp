#include "assay/arch/loaded_model.h"

#include <algorithm>
#include <vector>

#include <mlx/ops.h>
#include <mlx/transforms.h>

namespace assay::arch {
namespace mx = mlx::core;

LoadedModel open_for_loading(const std::filesystem::path& path) {
  LoadedModel loaded;
  loaded.files = std::make_unique<ModelFiles>(open_model(path));
  loaded.tree = build_tree(*loaded.files);
  return loaded;
}

void load_weights(LoadedModel& loaded, const LoadOptions& options) {
  auto reader = nn::WeightReader(*loaded.files, loaded.tree.config);
  nn::load_weights(loaded.tree.parameters,
                   reader,
                   {.keep_quantized = options.keep_quantized});
}

LoadedModel load_model(const std::filesystem::path& path,
                       const LoadOptions& options) {
  auto loaded = open_for_loading(path);
  load_weights(loaded, options);
  return loaded;
}

mx::array to_array(std::span<const int32_t> ids) {
  return mx::array(ids.begin(), {1, static_cast<int>(ids.size())}, mx::int32);
}

mx::array logits(const nn::LanguageModel& model,
                 std::span<const int32_t> ids,
                 int chunk) {
  auto caches = model.make_caches();
  for (auto& cache : caches) {  // pieces are rotated as the whole would be
    cache.expect(static_cast<int>(ids.size()));
  }
  std::vector<mx::array> pieces;
  for (size_t start = 0; start < ids.size();) {
    size_t count = std::min(ids.size() - start, static_cast<size_t>(chunk));
    auto piece = mx::astype(
        mx::squeeze(model(to_array(ids.subspan(start, count)), &caches), 0),
        mx::float32);
    mx::eval(piece);
    pieces.push_back(piece);
    start += count;
  }
  auto result =
      pieces.size() == 1 ? pieces.front() : mx::concatenate(pieces, 0);
  mx::eval(result);
  return result;
}

}  // namespace assay::arch
