// Small sound files for the fuzzers to start from: make_seeds FOLDER.

#include <cstdio>
#include <string>

#include "raw_bytes.h"

using namespace assay_test;

namespace {

std::string gguf(uint32_t version, bool big_endian) {
  RawGguf file(2, 6, version, big_endian);
  file.key("general.architecture", 8).string("llama");
  file.u32("general.alignment", 8);
  file.u32("llama.attention.head_count", 4);
  file.key("llama.rope.freq_base", 6).put(10000.0f);
  file.key("tokenizer.ggml.tokens", 9).put(8u).put(uint64_t{2});
  file.string("a").string("b");
  file.key("nested", 9).put(9u).put(uint64_t{1}).put(7u).put(uint64_t{1});
  file.put(uint8_t{1});
  file.tensor("a", {32}, 2, 0).tensor("b", {2, 2}, 0, 24);
  return file.pad(8).data(40).text;
}

void write(const std::filesystem::path& folder,
           const char* name,
           std::string_view text) {
  std::filesystem::create_directories(folder);
  assay::write_text(folder / name, text);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
    return 2;
  }
  auto folder = std::filesystem::path(argv[1]);
  write(folder / "gguf", "v2", gguf(2, false));
  write(folder / "gguf", "v3", gguf(3, false));
  write(folder / "gguf", "big-endian", gguf(3, true));
  write(folder / "safetensors",
        "two",
        raw_safetensors(
            R"({"__metadata__":{"format":"pt"},)"
            R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
            R"("b":{"dtype":"F4","shape":[2,2],"data_offsets":[4,6]}})",
            6));
  write(folder / "safetensors", "none", raw_safetensors("{}", 0));
  write(folder / "index",
        "two",
        R"({"metadata":{"total_size":1},"weight_map":)"
        R"({"a":"model-1.safetensors","b":"sub/model-2.safetensors"}})");
  write(folder / "config",
        "quantized",
        R"({"model_type":"llama","hidden_size":64,"rms_norm_eps":1e-6,)"
        R"("tie_word_embeddings":false,"hidden_act":"silu",)"
        R"("layer_types":["full_attention"],"rope_scaling":{"factor":2.0},)"
        R"("short_factor":[1.0,2],"quantization":{"group_size":64,"bits":4,)"
        R"("mode":"affine","model.layers.0.mlp":{"bits":8,"group_size":32},)"
        R"("lm_head":false}})");
  write(folder / "config",
        "foreign",
        R"({"quantization_config":{"quant_method":"gptq","bits":4}})");
  write(folder / "template",
        "loop",
        "{% for m in messages %}<|{{ m['role'] }}|>{{ m.content | trim }}"
        "{% endfor %}{% if add_generation_prompt %}<|a|>{% endif %}");
  write(folder / "template",
        "macro",
        "{%- set ns = namespace(n=0) -%}{% macro f(x) %}{{ x ~ ns.n }}"
        "{% endmacro %}{{ f(messages[0]['content']) }}{% if tools %}"
        "{{ tools | tojson(indent=2) }}{% endif %}"
        "{{ raise_exception('no') if messages | length > 9 }}");
  return 0;
}
