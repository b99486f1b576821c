// GGUFs that are no language model.

#include <functional>
#include <string>
#include <vector>

#include "assay/check/vocabulary.h"
#include "assay/formats/gguf.h"

#include "sound_copy.h"

using namespace assay;
using namespace assay::testing;
namespace fs = std::filesystem;

namespace {

const std::string kProjector = "mmproj/mmproj-tiny.gguf";

/** The file again with other metadata, and without some tensors. */
void rewrite(const fs::path& path,
             const std::function<void(GgufMetadata&)>& change,
             const std::string& without = "?") {
  auto header = read_gguf(path);
  auto bytes = read_text(path);
  change(header.metadata);
  std::erase_if(header.tensors,
                [&](const auto& one) { return one.name.starts_with(without); });
  std::vector<GgufWriter::Entry> entries;
  for (const auto& tensor : header.tensors) {
    entries.push_back({tensor.name, tensor.dtype, tensor.shape});
  }
  GgufWriter writer(path, header.metadata, entries);
  for (const auto& tensor : header.tensors) {
    writer.write(
        std::as_bytes(std::span(bytes).subspan(tensor.offset, tensor.bytes)));
  }
  writer.commit();
}

}  // namespace

TEST_CASE("projectors and importance matrices are sound") {
  for (const auto& name : {std::string("mmproj"),
                           kProjector,
                           std::string("imatrix"),
                           std::string("imatrix/imatrix.gguf")}) {
    is_sound(sound(name));
  }
  CHECK(checked(sound(kProjector)).verdict == Verdict::undecided);
  CHECK(checked(sound("imatrix")).verdict == Verdict::sound);
}

TEST_CASE("a projector's keys against its tensors") {
  for (const auto* key : {"image_size",
                          "patch_size",
                          "embedding_length",
                          "feed_forward_length",
                          "block_count"}) {
    CAPTURE(key);
    SoundCopy copy(kProjector);
    rewrite(copy.path, [&](GgufMetadata& keys) {
      keys.set(fmt::format("clip.vision.{}", key), gguf_u32(28));
    });
    names(copy, "projector.shape-mismatch");
  }
  SoundCopy heads(kProjector);
  rewrite(heads.path, [](GgufMetadata& keys) {
    keys.set("clip.vision.attention.head_count", gguf_u32(3));
  });
  names(heads, "projector.shape-mismatch");
}

TEST_CASE("what a projector cannot be without") {
  for (const auto* key : {"clip.projector_type",
                          "clip.vision.patch_size",
                          "clip.vision.image_std",
                          "clip.vision.projection_dim",
                          "clip.has_vision_encoder"}) {
    CAPTURE(key);
    SoundCopy copy(kProjector);
    rewrite(copy.path, [&](GgufMetadata& keys) {
      std::erase_if(keys.entries,
                    [&](const auto& one) { return one.first == key; });
    });
    names(copy, "projector.key-missing");
  }
  SoundCopy empty(kProjector);
  rewrite(empty.path, [](GgufMetadata&) {}, "mm.");
  names(empty, "projector.tensor-missing");
  SoundCopy colours(kProjector);
  rewrite(colours.path, [](GgufMetadata& keys) {
    keys.set("clip.vision.image_mean", gguf_f32s({0.4F, 0.4F, 0.4F}));
  });
  names(colours, "projector.unpublished-value");
}

TEST_CASE("a projector beside a model of another width") {
  SoundCopy pair("mmproj");
  GgufMetadata keys;
  keys.set("general.architecture", gguf_text("llama"));
  keys.set("llama.embedding_length", gguf_u32(32));
  GgufWriter(pair.path / "model.gguf", keys, {}).commit();
  is_sound(pair.path / "mmproj-tiny.gguf");
  keys.set("llama.embedding_length", gguf_u32(48));
  GgufWriter(pair.path / "model.gguf", keys, {}).commit();
  names(pair.path / "mmproj-tiny.gguf", "projector.model-mismatch");
  names(pair.path, "projector.model-mismatch");
}

TEST_CASE("an importance matrix without its counts") {
  SoundCopy copy("imatrix/imatrix.gguf");
  rewrite(copy.path, [](GgufMetadata&) {}, "blk.1.attn_q.weight.counts");
  names(copy, "imatrix.incomplete");
}

TEST_CASE("a llama rotates all dimensions of a head, others may not") {
  auto with = [](const std::string& architecture, int64_t dims) {
    SoundCopy copy(fmt::format("../golden/arch/{}/model.gguf", architecture));
    rewrite(copy.path, [&](GgufMetadata& metadata) {
      auto key = std::string(*metadata.text("general.architecture")) +
                 ".rope.dimension_count";
      metadata.set(key, gguf_u32(static_cast<uint32_t>(dims)));
    });
    return headers(copy.path);
  };
  auto contradicts = [](const CheckReport& report) {
    return std::ranges::any_of(report.findings, [](const Finding& one) {
      return one.id == "config.contradiction" &&
             one.where.ends_with("rope.dimension_count");
    });
  };
  CHECK(contradicts(with("llama", 8)));
  CHECK(!contradicts(with("llama", 16)));
  CHECK(!contradicts(with("qwen2", 8)));
}

TEST_CASE("a vocabulary of pairs needs its merges, and how text is split") {
  GgufMetadata keys;
  auto ids = [&] {
    std::vector<std::string> found;
    for (const auto& finding : rules::gguf_vocabulary(keys, "model.gguf")) {
      found.push_back(finding.id);
    }
    return found;
  };
  keys.set("tokenizer.ggml.model", gguf_text("llama"));
  CHECK(ids().empty());  // SentencePiece's merges follow from the scores
  keys.set("tokenizer.ggml.model", gguf_text("gpt2"));
  CHECK(ids() == std::vector<std::string>{"tokenizer.pre-assumed",
                                          "tokenizer.malformed"});
  keys.set("tokenizer.ggml.pre", gguf_text("llama-bpe"));
  keys.set("tokenizer.ggml.merges", gguf_texts({"a b"}));
  CHECK(ids().empty());
}
