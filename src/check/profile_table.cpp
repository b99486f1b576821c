#include "assay/check/profiles.h"

namespace assay::rules {
namespace {

constexpr std::string_view kTable = R"json([
{"type": "llama", "name": "Llama 7B", "source": "huggyllama/llama-7b",
 "shape": {"hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size":
 11008}, "values": {"num_attention_heads": 32, "num_key_value_heads": 32,
 "rms_norm_eps": 1e-06, "hidden_act": "silu", "attention_bias": false,
 "mlp_bias": false}, "rope": {"rope_theta": 10000.0}, "context": 2048},
{"type": "llama", "name": "Llama 2 7B", "source":
 "meta-llama/Llama-2-7b-hf", "shape": {"hidden_size": 4096,
 "num_hidden_layers": 32, "intermediate_size": 11008}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 32, "rms_norm_eps":
 1e-05, "hidden_act": "silu", "attention_bias": false, "mlp_bias": false},
 "rope": {"rope_theta": 10000.0}, "context": 4096},
{"type": "llama", "name": "Code Llama 7B", "source":
 "codellama/CodeLlama-7b-hf", "shape": {"hidden_size": 4096,
 "num_hidden_layers": 32, "intermediate_size": 11008}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 32, "rms_norm_eps":
 1e-05, "hidden_act": "silu", "attention_bias": false, "mlp_bias": false},
 "rope": {"rope_theta": 1000000.0}, "context": 16384},
{"type": "llama", "name": "Llama 13B", "source": "huggyllama/llama-13b",
 "shape": {"hidden_size": 5120, "num_hidden_layers": 40, "intermediate_size":
 13824}, "values": {"num_attention_heads": 40, "num_key_value_heads": 40,
 "rms_norm_eps": 1e-06, "hidden_act": "silu", "attention_bias": false,
 "mlp_bias": false}, "rope": {"rope_theta": 10000.0}, "context": 2048},
{"type": "llama", "name": "Llama 2 13B", "source":
 "meta-llama/Llama-2-13b-hf", "shape": {"hidden_size": 5120,
 "num_hidden_layers": 40, "intermediate_size": 13824}, "values":
 {"num_attention_heads": 40, "num_key_value_heads": 40, "rms_norm_eps":
 1e-05, "hidden_act": "silu", "attention_bias": false, "mlp_bias": false},
 "rope": {"rope_theta": 10000.0}, "context": 4096},
{"type": "llama", "name": "Code Llama 13B", "source":
 "codellama/CodeLlama-13b-hf", "shape": {"hidden_size": 5120,
 "num_hidden_layers": 40, "intermediate_size": 13824}, "values":
 {"num_attention_heads": 40, "num_key_value_heads": 40, "rms_norm_eps":
 1e-05, "hidden_act": "silu", "attention_bias": false, "mlp_bias": false},
 "rope": {"rope_theta": 1000000.0}, "context": 16384},
{"type": "llama", "name": "Yi 6B", "source": "01-ai/Yi-6B", "shape":
 {"hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 11008},
 "values": {"num_attention_heads": 32, "num_key_value_heads": 4,
 "rms_norm_eps": [1e-05, 1e-06], "hidden_act": "silu", "attention_bias":
 false, "mlp_bias": false}, "rope": {"rope_theta": [5000000.0, 10000000.0]},
 "context": [4096, 200000]},
{"type": "llama", "name": "Llama 2 70B", "source":
 "meta-llama/Llama-2-70b-hf", "shape": {"hidden_size": 8192,
 "num_hidden_layers": 80, "intermediate_size": 28672}, "values":
 {"num_attention_heads": 64, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "attention_bias": false, "mlp_bias": false}, "rope":
 {"rope_theta": 10000.0}, "context": 4096},
{"type": "llama", "name": "Llama 3 8B", "source":
 "meta-llama/Meta-Llama-3-8B", "shape": {"hidden_size": 4096,
 "num_hidden_layers": 32, "intermediate_size": 14336}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 128, "attention_bias": false, "mlp_bias":
 false}, "rope": {"rope_theta": 500000.0}, "context": 8192},
{"type": "llama", "name": "Llama 3.1 8B", "source":
 "meta-llama/Llama-3.1-8B", "shape": {"hidden_size": 4096,
 "num_hidden_layers": 32, "intermediate_size": 14336}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 128, "attention_bias": false, "mlp_bias":
 false}, "rope": {"rope_theta": 500000.0, "rope_type": "llama3", "factor":
 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
 "original_max_position_embeddings": 8192}, "context": 131072},
{"type": "llama", "name": "Llama 3 70B", "source":
 "meta-llama/Meta-Llama-3-70B", "shape": {"hidden_size": 8192,
 "num_hidden_layers": 80, "intermediate_size": 28672}, "values":
 {"num_attention_heads": 64, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 128, "attention_bias": false, "mlp_bias":
 false}, "rope": {"rope_theta": 500000.0}, "context": 8192},
{"type": "llama", "name": "Llama 3.1 70B and 3.3 70B", "source":
 "meta-llama/Llama-3.3-70B-Instruct", "shape": {"hidden_size": 8192,
 "num_hidden_layers": 80, "intermediate_size": 28672}, "values":
 {"num_attention_heads": 64, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 128, "attention_bias": false, "mlp_bias":
 false}, "rope": {"rope_theta": 500000.0, "rope_type": "llama3", "factor":
 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
 "original_max_position_embeddings": 8192}, "context": 131072},
{"type": "llama", "name": "Llama 3.1 405B", "source":
 "meta-llama/Llama-3.1-405B", "shape": {"hidden_size": 16384,
 "num_hidden_layers": 126, "intermediate_size": 53248}, "values":
 {"num_attention_heads": 128, "num_key_value_heads": [8, 16], "rms_norm_eps":
 1e-05, "hidden_act": "silu", "head_dim": 128, "attention_bias": false,
 "mlp_bias": false}, "rope": {"rope_theta": 500000.0, "rope_type": "llama3",
 "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
 "original_max_position_embeddings": 8192}, "context": 131072},
{"type": "llama", "name": "Llama 3.2 1B", "source":
 "meta-llama/Llama-3.2-1B", "shape": {"hidden_size": 2048,
 "num_hidden_layers": 16, "intermediate_size": 8192}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 64, "attention_bias": false, "mlp_bias":
 false, "tie_word_embeddings": true}, "rope": {"rope_theta": 500000.0,
 "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
 "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
 "context": 131072},
{"type": "llama", "name": "Llama 3.2 3B", "source":
 "meta-llama/Llama-3.2-3B", "shape": {"hidden_size": 3072,
 "num_hidden_layers": 28, "intermediate_size": 8192}, "values":
 {"num_attention_heads": 24, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 128, "attention_bias": false, "mlp_bias":
 false, "tie_word_embeddings": true}, "rope": {"rope_theta": 500000.0,
 "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
 "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
 "context": 131072},
{"type": "llama", "name": "TinyLlama 1.1B", "source":
 "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "shape": {"hidden_size": 2048,
 "num_hidden_layers": 22, "intermediate_size": 5632}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 4, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 64, "attention_bias": false, "mlp_bias":
 false}, "rope": {"rope_theta": 10000.0}, "context": 2048},
{"type": "llama", "name": "SmolLM 135M", "source":
 "HuggingFaceTB/SmolLM-135M", "shape": {"hidden_size": 576,
 "num_hidden_layers": 30, "intermediate_size": 1536}, "values":
 {"num_attention_heads": 9, "num_key_value_heads": 3, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 64, "attention_bias": false, "mlp_bias":
 false, "tie_word_embeddings": true}, "rope": {"rope_theta": 10000.0},
 "context": 2048},
{"type": "llama", "name": "SmolLM2 135M", "source":
 "HuggingFaceTB/SmolLM2-135M", "shape": {"hidden_size": 576,
 "num_hidden_layers": 30, "intermediate_size": 1536}, "values":
 {"num_attention_heads": 9, "num_key_value_heads": 3, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 64, "attention_bias": false, "mlp_bias":
 false, "tie_word_embeddings": true}, "rope": {"rope_theta": 100000.0},
 "context": 8192},
{"type": "llama", "name": "SmolLM 360M", "source":
 "HuggingFaceTB/SmolLM-360M", "shape": {"hidden_size": 960,
 "num_hidden_layers": 32, "intermediate_size": 2560}, "values":
 {"num_attention_heads": 15, "num_key_value_heads": 5, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 64, "attention_bias": false, "mlp_bias":
 false, "tie_word_embeddings": true}, "rope": {"rope_theta": 10000.0},
 "context": 2048},
{"type": "llama", "name": "SmolLM2 360M", "source":
 "HuggingFaceTB/SmolLM2-360M", "shape": {"hidden_size": 960,
 "num_hidden_layers": 32, "intermediate_size": 2560}, "values":
 {"num_attention_heads": 15, "num_key_value_heads": 5, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 64, "attention_bias": false, "mlp_bias":
 false, "tie_word_embeddings": true}, "rope": {"rope_theta": 100000.0},
 "context": 8192},
{"type": "llama", "name": "SmolLM 1.7B", "source":
 "HuggingFaceTB/SmolLM-1.7B", "shape": {"hidden_size": 2048,
 "num_hidden_layers": 24, "intermediate_size": 8192}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 32, "rms_norm_eps":
 1e-05, "hidden_act": "silu", "head_dim": 64, "attention_bias": false,
 "mlp_bias": false, "tie_word_embeddings": true}, "rope": {"rope_theta":
 10000.0}, "context": 2048},
{"type": "llama", "name": "SmolLM2 1.7B", "source":
 "HuggingFaceTB/SmolLM2-1.7B", "shape": {"hidden_size": 2048,
 "num_hidden_layers": 24, "intermediate_size": 8192}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 32, "rms_norm_eps":
 1e-05, "hidden_act": "silu", "head_dim": 64, "attention_bias": false,
 "mlp_bias": false, "tie_word_embeddings": true}, "rope": {"rope_theta":
 130000.0}, "context": 8192},
{"type": "mistral", "name": "Mistral 7B v0.1", "source":
 "mistralai/Mistral-7B-v0.1", "shape": {"hidden_size": 4096,
 "num_hidden_layers": 32, "intermediate_size": 14336}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 128, "sliding_window": 4096}, "rope":
 {"rope_theta": 10000.0}, "context": 32768},
{"type": "mistral", "name": "Mistral 7B v0.2 and v0.3", "source":
 "mistralai/Mistral-7B-Instruct-v0.3", "shape": {"hidden_size": 4096,
 "num_hidden_layers": 32, "intermediate_size": 14336}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 128, "sliding_window": null}, "rope":
 {"rope_theta": 1000000.0}, "context": 32768},
{"type": "mistral", "name": "Mistral Nemo 12B", "source":
 "mistralai/Mistral-Nemo-Instruct-2407", "shape": {"hidden_size": 5120,
 "num_hidden_layers": 40, "intermediate_size": 14336}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 128, "sliding_window": null}, "rope":
 {"rope_theta": 1000000.0}, "context": [131072, 1024000, 128000]},
{"type": "mistral", "name": "Mistral Small 24B (2501)", "source":
 "mistralai/Mistral-Small-24B-Instruct-2501", "shape": {"hidden_size": 5120,
 "num_hidden_layers": 40, "intermediate_size": 32768}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 128, "sliding_window": null}, "rope":
 {"rope_theta": [100000000.0, 1000000000.0]}, "context": [32768, 131072]},
{"type": "mistral", "name": "Mistral Small 22B (2409)", "source":
 "mistralai/Mistral-Small-Instruct-2409", "shape": {"hidden_size": 6144,
 "num_hidden_layers": 56, "intermediate_size": 16384}, "values":
 {"num_attention_heads": 48, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 128, "sliding_window": null}, "rope":
 {"rope_theta": 1000000.0}, "context": [32768, 131072]},
{"type": "mixtral", "name": "Mixtral 8x7B", "source":
 "mistralai/Mixtral-8x7B-v0.1", "shape": {"hidden_size": 4096,
 "num_hidden_layers": 32, "intermediate_size": 14336}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 128, "num_local_experts": 8,
 "num_experts_per_tok": 2, "sliding_window": [null, 4096]}, "rope":
 {"rope_theta": 1000000.0}, "context": 32768},
{"type": "mixtral", "name": "Mixtral 8x22B", "source":
 "mistralai/Mixtral-8x22B-v0.1", "shape": {"hidden_size": 6144,
 "num_hidden_layers": 56, "intermediate_size": 16384}, "values":
 {"num_attention_heads": 48, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "head_dim": 128, "num_local_experts": 8,
 "num_experts_per_tok": 2, "sliding_window": null}, "rope": {"rope_theta":
 1000000.0}, "context": 65536},
{"type": "qwen2", "name": "Qwen2.5 0.5B", "source": "Qwen/Qwen2.5-0.5B",
 "shape": {"hidden_size": 896, "num_hidden_layers": 24, "intermediate_size":
 4864}, "values": {"num_attention_heads": 14, "num_key_value_heads": 2,
 "rms_norm_eps": 1e-06, "hidden_act": "silu", "use_sliding_window": false},
 "rope": {"rope_type": ["default", "yarn"], "rope_theta": [1000000.0]},
 "context": [4096, 32768, 131072, 1010000]},
{"type": "qwen2", "name": "Qwen2.5 1.5B", "source": "Qwen/Qwen2.5-1.5B",
 "shape": {"hidden_size": 1536, "num_hidden_layers": 28, "intermediate_size":
 8960}, "values": {"num_attention_heads": 12, "num_key_value_heads": 2,
 "rms_norm_eps": 1e-06, "hidden_act": "silu", "use_sliding_window": false},
 "rope": {"rope_type": ["default", "yarn"], "rope_theta": [1000000.0,
 10000.0]}, "context": [4096, 32768, 131072, 1010000]},
{"type": "qwen2", "name": "Qwen2.5 3B", "source": "Qwen/Qwen2.5-3B",
 "shape": {"hidden_size": 2048, "num_hidden_layers": 36, "intermediate_size":
 11008}, "values": {"num_attention_heads": 16, "num_key_value_heads": 2,
 "rms_norm_eps": 1e-06, "hidden_act": "silu", "use_sliding_window": false},
 "rope": {"rope_type": ["default", "yarn"], "rope_theta": [1000000.0]},
 "context": [4096, 32768, 131072, 1010000]},
{"type": "qwen2", "name": "Qwen2.5 7B", "source": "Qwen/Qwen2.5-7B",
 "shape": {"hidden_size": 3584, "num_hidden_layers": 28, "intermediate_size":
 18944}, "values": {"num_attention_heads": 28, "num_key_value_heads": 4,
 "rms_norm_eps": 1e-06, "hidden_act": "silu", "use_sliding_window": false},
 "rope": {"rope_type": ["default", "yarn"], "rope_theta": [1000000.0,
 10000.0, 10000000.0]}, "context": [4096, 32768, 131072, 1010000]},
{"type": "qwen2", "name": "Qwen2.5 14B", "source": "Qwen/Qwen2.5-14B",
 "shape": {"hidden_size": 5120, "num_hidden_layers": 48, "intermediate_size":
 13824}, "values": {"num_attention_heads": 40, "num_key_value_heads": 8,
 "rms_norm_eps": [1e-06, 1e-05], "hidden_act": "silu", "use_sliding_window":
 false}, "rope": {"rope_type": ["default", "yarn"], "rope_theta": [1000000.0,
 10000000.0]}, "context": [4096, 32768, 131072, 1010000]},
{"type": "qwen2", "name": "Qwen2.5 32B", "source": "Qwen/Qwen2.5-32B",
 "shape": {"hidden_size": 5120, "num_hidden_layers": 64, "intermediate_size":
 27648}, "values": {"num_attention_heads": 40, "num_key_value_heads": 8,
 "rms_norm_eps": [1e-06, 1e-05], "hidden_act": "silu", "use_sliding_window":
 false}, "rope": {"rope_type": ["default", "yarn"], "rope_theta":
 [1000000.0]}, "context": [4096, 32768, 131072, 1010000]},
{"type": "qwen2", "name": "Qwen2.5 72B", "source": "Qwen/Qwen2.5-72B",
 "shape": {"hidden_size": 8192, "num_hidden_layers": 80, "intermediate_size":
 29568}, "values": {"num_attention_heads": 64, "num_key_value_heads": 8,
 "rms_norm_eps": [1e-06, 1e-05], "hidden_act": "silu", "use_sliding_window":
 false}, "rope": {"rope_type": ["default", "yarn"], "rope_theta": [1000000.0,
 10000.0]}, "context": [4096, 32768, 131072, 1010000]},
{"type": "qwen3", "name": "Qwen3 0.6B", "source": "Qwen/Qwen3-0.6B",
 "shape": {"hidden_size": 1024, "num_hidden_layers": 28, "intermediate_size":
 3072}, "values": {"num_attention_heads": 16, "num_key_value_heads": 8,
 "rms_norm_eps": 1e-06, "hidden_act": "silu", "head_dim": 128,
 "attention_bias": false, "use_sliding_window": false}, "rope": {"rope_type":
 ["default", "yarn"], "rope_theta": [1000000.0]}, "context": [32768, 40960,
 131072, 262144]},
{"type": "qwen3", "name": "Qwen3 1.7B", "source": "Qwen/Qwen3-1.7B",
 "shape": {"hidden_size": 2048, "num_hidden_layers": 28, "intermediate_size":
 6144}, "values": {"num_attention_heads": 16, "num_key_value_heads": 8,
 "rms_norm_eps": 1e-06, "hidden_act": "silu", "head_dim": 128,
 "attention_bias": false, "use_sliding_window": false}, "rope": {"rope_type":
 ["default", "yarn"], "rope_theta": [1000000.0]}, "context": [32768, 40960,
 131072, 262144]},
{"type": "qwen3", "name": "Qwen3 4B", "source": "Qwen/Qwen3-4B", "shape":
 {"hidden_size": 2560, "num_hidden_layers": 36, "intermediate_size": 9728},
 "values": {"num_attention_heads": 32, "num_key_value_heads": 8,
 "rms_norm_eps": 1e-06, "hidden_act": "silu", "head_dim": 128,
 "attention_bias": false, "use_sliding_window": false}, "rope": {"rope_type":
 ["default", "yarn"], "rope_theta": [1000000.0, 5000000.0]}, "context":
 [32768, 40960, 131072, 262144]},
{"type": "qwen3", "name": "Qwen3 8B", "source": "Qwen/Qwen3-8B", "shape":
 {"hidden_size": 4096, "num_hidden_layers": 36, "intermediate_size": 12288},
 "values": {"num_attention_heads": 32, "num_key_value_heads": 8,
 "rms_norm_eps": 1e-06, "hidden_act": "silu", "head_dim": 128,
 "attention_bias": false, "use_sliding_window": false}, "rope": {"rope_type":
 ["default", "yarn"], "rope_theta": [1000000.0]}, "context": [32768, 40960,
 131072, 262144]},
{"type": "qwen3", "name": "Qwen3 14B", "source": "Qwen/Qwen3-14B", "shape":
 {"hidden_size": 5120, "num_hidden_layers": 40, "intermediate_size": 17408},
 "values": {"num_attention_heads": 40, "num_key_value_heads": 8,
 "rms_norm_eps": 1e-06, "hidden_act": "silu", "head_dim": 128,
 "attention_bias": false, "use_sliding_window": false}, "rope": {"rope_type":
 ["default", "yarn"], "rope_theta": [1000000.0]}, "context": [32768, 40960,
 131072, 262144]},
{"type": "qwen3", "name": "Qwen3 32B", "source": "Qwen/Qwen3-32B", "shape":
 {"hidden_size": 5120, "num_hidden_layers": 64, "intermediate_size": 25600},
 "values": {"num_attention_heads": 64, "num_key_value_heads": 8,
 "rms_norm_eps": 1e-06, "hidden_act": "silu", "head_dim": 128,
 "attention_bias": false, "use_sliding_window": false}, "rope": {"rope_type":
 ["default", "yarn"], "rope_theta": [1000000.0]}, "context": [32768, 40960,
 131072, 262144]},
{"type": "qwen3_moe", "name": "Qwen3 30B-A3B", "source":
 "Qwen/Qwen3-30B-A3B", "shape": {"hidden_size": 2048, "num_hidden_layers":
 48, "intermediate_size": 6144}, "values": {"num_attention_heads": 32,
 "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "hidden_act": "silu",
 "head_dim": 128, "moe_intermediate_size": 768, "num_experts": 128,
 "num_local_experts": 128, "num_experts_per_tok": 8, "norm_topk_prob": true,
 "decoder_sparse_step": 1, "attention_bias": false, "use_sliding_window":
 false}, "rope": {"rope_type": ["default", "yarn"], "rope_theta": [1000000.0,
 10000000.0]}, "context": [32768, 40960, 131072, 262144]},
{"type": "qwen3_moe", "name": "Qwen3 235B-A22B", "source":
 "Qwen/Qwen3-235B-A22B", "shape": {"hidden_size": 4096, "num_hidden_layers":
 94, "intermediate_size": 12288}, "values": {"num_attention_heads": 64,
 "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "hidden_act": "silu",
 "head_dim": 128, "moe_intermediate_size": 1536, "num_experts": 128,
 "num_local_experts": 128, "num_experts_per_tok": 8, "norm_topk_prob": true,
 "decoder_sparse_step": 1, "attention_bias": false, "use_sliding_window":
 false}, "rope": {"rope_type": ["default", "yarn"], "rope_theta": [1000000.0,
 5000000.0]}, "context": [32768, 40960, 131072, 262144]},
{"type": "gemma2", "name": "Gemma 2 2B", "source": "google/gemma-2-2b",
 "shape": {"hidden_size": 2304, "num_hidden_layers": 26, "intermediate_size":
 9216}, "values": {"num_attention_heads": 8, "num_key_value_heads": 4,
 "rms_norm_eps": 1e-06, "hidden_act": ["gelu_pytorch_tanh", "gelu"],
 "head_dim": 256, "query_pre_attn_scalar": 256, "sliding_window": 4096,
 "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
 "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": true,
 "attention_bias": false}, "rope": {"rope_theta": 10000.0}, "context": 8192},
{"type": "gemma2", "name": "Gemma 2 9B", "source": "google/gemma-2-9b",
 "shape": {"hidden_size": 3584, "num_hidden_layers": 42, "intermediate_size":
 14336}, "values": {"num_attention_heads": 16, "num_key_value_heads": 8,
 "rms_norm_eps": 1e-06, "hidden_act": ["gelu_pytorch_tanh", "gelu"],
 "head_dim": 256, "query_pre_attn_scalar": [256, 224], "sliding_window":
 4096, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
 "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": true,
 "attention_bias": false}, "rope": {"rope_theta": 10000.0}, "context": 8192},
{"type": "gemma2", "name": "Gemma 2 27B", "source": "google/gemma-2-27b",
 "shape": {"hidden_size": 4608, "num_hidden_layers": 46, "intermediate_size":
 36864}, "values": {"num_attention_heads": 32, "num_key_value_heads": 16,
 "rms_norm_eps": 1e-06, "hidden_act": ["gelu_pytorch_tanh", "gelu"],
 "head_dim": 128, "query_pre_attn_scalar": 144, "sliding_window": 4096,
 "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
 "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": true,
 "attention_bias": false}, "rope": {"rope_theta": 10000.0}, "context": 8192},
{"type": "gemma3_text", "name": "Gemma 3 270M", "source":
 "google/gemma-3-270m-it", "shape": {"hidden_size": 640, "num_hidden_layers":
 18, "intermediate_size": 2048}, "values": {"num_attention_heads": 4,
 "num_key_value_heads": 1, "rms_norm_eps": 1e-06, "hidden_act":
 ["gelu_pytorch_tanh", "gelu"], "head_dim": 256, "query_pre_attn_scalar":
 256, "sliding_window": 512, "hidden_activation": "gelu_pytorch_tanh",
 "sliding_window_pattern": 6, "_sliding_window_pattern": 6, "attention_bias":
 false, "attn_logit_softcapping": null, "final_logit_softcapping": null},
 "rope": {"rope_theta": 1000000.0, "rope_local_base_freq": 10000.0},
 "context": 32768},
{"type": "gemma3_text", "name": "Gemma 3 1B", "source":
 "google/gemma-3-1b-it", "shape": {"hidden_size": 1152, "num_hidden_layers":
 26, "intermediate_size": 6912}, "values": {"num_attention_heads": 4,
 "num_key_value_heads": 1, "rms_norm_eps": 1e-06, "hidden_act":
 ["gelu_pytorch_tanh", "gelu"], "head_dim": 256, "query_pre_attn_scalar":
 256, "sliding_window": 512, "hidden_activation": "gelu_pytorch_tanh",
 "sliding_window_pattern": 6, "_sliding_window_pattern": 6, "attention_bias":
 false, "attn_logit_softcapping": null, "final_logit_softcapping": null},
 "rope": {"rope_theta": 1000000.0, "rope_local_base_freq": 10000.0},
 "context": 32768},
{"type": "gemma3_text", "name": "Gemma 3 4B", "source":
 "google/gemma-3-4b-it", "shape": {"hidden_size": 2560, "num_hidden_layers":
 34, "intermediate_size": 10240}, "values": {"num_attention_heads": 8,
 "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "hidden_act":
 ["gelu_pytorch_tanh", "gelu"], "head_dim": 256, "query_pre_attn_scalar":
 256, "sliding_window": 1024, "hidden_activation": "gelu_pytorch_tanh",
 "sliding_window_pattern": 6, "_sliding_window_pattern": 6, "attention_bias":
 false, "attn_logit_softcapping": null, "final_logit_softcapping": null},
 "rope": {"rope_theta": 1000000.0, "rope_local_base_freq": 10000.0,
 "rope_type": "linear", "factor": 8.0}, "context": 131072},
{"type": "gemma3_text", "name": "Gemma 3 12B", "source":
 "google/gemma-3-12b-it", "shape": {"hidden_size": 3840, "num_hidden_layers":
 48, "intermediate_size": 15360}, "values": {"num_attention_heads": 16,
 "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "hidden_act":
 ["gelu_pytorch_tanh", "gelu"], "head_dim": 256, "query_pre_attn_scalar":
 256, "sliding_window": 1024, "hidden_activation": "gelu_pytorch_tanh",
 "sliding_window_pattern": 6, "_sliding_window_pattern": 6, "attention_bias":
 false, "attn_logit_softcapping": null, "final_logit_softcapping": null},
 "rope": {"rope_theta": 1000000.0, "rope_local_base_freq": 10000.0,
 "rope_type": "linear", "factor": 8.0}, "context": 131072},
{"type": "gemma3_text", "name": "Gemma 3 27B", "source":
 "google/gemma-3-27b-it", "shape": {"hidden_size": 5376, "num_hidden_layers":
 62, "intermediate_size": 21504}, "values": {"num_attention_heads": 32,
 "num_key_value_heads": 16, "rms_norm_eps": 1e-06, "hidden_act":
 ["gelu_pytorch_tanh", "gelu"], "head_dim": 128, "query_pre_attn_scalar":
 168, "sliding_window": 1024, "hidden_activation": "gelu_pytorch_tanh",
 "sliding_window_pattern": 6, "_sliding_window_pattern": 6, "attention_bias":
 false, "attn_logit_softcapping": null, "final_logit_softcapping": null},
 "rope": {"rope_theta": 1000000.0, "rope_local_base_freq": 10000.0,
 "rope_type": "linear", "factor": 8.0}, "context": 131072},
{"type": "phi3", "name": "Phi-3 mini 4K", "source":
 "microsoft/Phi-3-mini-4k-instruct", "shape": {"hidden_size": 3072,
 "num_hidden_layers": 32, "intermediate_size": 8192}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 32, "rms_norm_eps":
 1e-05, "hidden_act": "silu", "sliding_window": [2047, null],
 "attention_bias": false}, "rope": {"rope_theta": 10000.0}, "context": 4096},
{"type": "phi3", "name": "Phi-3 and 3.5 mini 128K", "source":
 "microsoft/Phi-3.5-mini-instruct", "shape": {"hidden_size": 3072,
 "num_hidden_layers": 32, "intermediate_size": 8192}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 32, "rms_norm_eps":
 1e-05, "hidden_act": "silu", "sliding_window": [262144, null],
 "attention_bias": false, "original_max_position_embeddings": 4096}, "rope":
 {"rope_theta": 10000.0, "rope_type": ["longrope", "su"]}, "context": 131072},
{"type": "phi3", "name": "Phi-4 mini", "source":
 "microsoft/Phi-4-mini-instruct", "shape": {"hidden_size": 3072,
 "num_hidden_layers": 32, "intermediate_size": 8192}, "values":
 {"num_attention_heads": 24, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "sliding_window": [262144, null], "attention_bias":
 false, "partial_rotary_factor": 0.75, "original_max_position_embeddings":
 4096}, "rope": {"rope_theta": 10000.0, "rope_type": ["longrope", "su"]},
 "context": 131072},
{"type": "phi3", "name": "Phi-3 medium 4K", "source":
 "microsoft/Phi-3-medium-4k-instruct", "shape": {"hidden_size": 5120,
 "num_hidden_layers": 40, "intermediate_size": 17920}, "values":
 {"num_attention_heads": 40, "num_key_value_heads": 10, "rms_norm_eps":
 1e-05, "hidden_act": "silu", "sliding_window": [2047, null],
 "attention_bias": false}, "rope": {"rope_theta": 10000.0}, "context": 4096},
{"type": "phi3", "name": "Phi-3 medium 128K", "source":
 "microsoft/Phi-3-medium-128k-instruct", "shape": {"hidden_size": 5120,
 "num_hidden_layers": 40, "intermediate_size": 17920}, "values":
 {"num_attention_heads": 40, "num_key_value_heads": 10, "rms_norm_eps":
 1e-05, "hidden_act": "silu", "sliding_window": [131072, null],
 "attention_bias": false, "original_max_position_embeddings": 4096}, "rope":
 {"rope_theta": 10000.0, "rope_type": ["longrope", "su"]}, "context": 131072},
{"type": "phi3", "name": "Phi-4", "source": "microsoft/phi-4", "shape":
 {"hidden_size": 5120, "num_hidden_layers": 40, "intermediate_size": 17920},
 "values": {"num_attention_heads": 40, "num_key_value_heads": 10,
 "rms_norm_eps": 1e-05, "hidden_act": "silu", "sliding_window": null,
 "attention_bias": false}, "rope": {"rope_theta": 250000.0}, "context":
 [16384, 32768]},
{"type": "olmo2", "name": "OLMo 2 1B", "source": "allenai/OLMo-2-0425-1B",
 "shape": {"hidden_size": 2048, "num_hidden_layers": 16, "intermediate_size":
 8192}, "values": {"num_attention_heads": 16, "num_key_value_heads": 16,
 "rms_norm_eps": 1e-06, "hidden_act": "silu", "attention_bias": false},
 "rope": {"rope_theta": 500000.0}, "context": 4096},
{"type": "olmo2", "name": "OLMo 2 7B", "source": "allenai/OLMo-2-1124-7B",
 "shape": {"hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size":
 11008}, "values": {"num_attention_heads": 32, "num_key_value_heads": 32,
 "rms_norm_eps": 1e-06, "hidden_act": "silu", "attention_bias": false},
 "rope": {"rope_theta": 500000.0}, "context": 4096},
{"type": "olmo2", "name": "OLMo 2 13B", "source": "allenai/OLMo-2-1124-13B",
 "shape": {"hidden_size": 5120, "num_hidden_layers": 40, "intermediate_size":
 13824}, "values": {"num_attention_heads": 40, "num_key_value_heads": 40,
 "rms_norm_eps": 1e-06, "hidden_act": "silu", "attention_bias": false},
 "rope": {"rope_theta": 500000.0}, "context": 4096},
{"type": "olmo2", "name": "OLMo 2 32B", "source": "allenai/OLMo-2-0325-32B",
 "shape": {"hidden_size": 5120, "num_hidden_layers": 64, "intermediate_size":
 27648}, "values": {"num_attention_heads": 40, "num_key_value_heads": 8,
 "rms_norm_eps": 1e-06, "hidden_act": "silu", "attention_bias": false},
 "rope": {"rope_theta": 500000.0}, "context": 4096},
{"type": "smollm3", "name": "SmolLM3 3B", "source":
 "HuggingFaceTB/SmolLM3-3B", "shape": {"hidden_size": 2048,
 "num_hidden_layers": 36, "intermediate_size": 11008}, "values":
 {"num_attention_heads": 16, "num_key_value_heads": 4, "rms_norm_eps": 1e-06,
 "hidden_act": "silu", "no_rope_layer_interval": 4, "tie_word_embeddings":
 true, "use_sliding_window": false, "attention_bias": false, "mlp_bias":
 false}, "rope": {"rope_type": ["default", "yarn"], "rope_theta": [2000000.0,
 5000000.0]}, "context": [32768, 65536, 131072]},
{"type": "granite", "name": "Granite 3 2B", "source":
 "ibm-granite/granite-3.1-2b-instruct", "shape": {"hidden_size": 2048,
 "num_hidden_layers": 40, "intermediate_size": 8192}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "attention_multiplier": 0.015625, "logits_scaling":
 8.0, "embedding_multiplier": 12.0, "residual_multiplier": 0.22,
 "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false},
 "rope": {"rope_theta": [10000.0, 5000000.0, 10000000.0]}, "context": [4096,
 131072]},
{"type": "granite", "name": "Granite 3 8B", "source":
 "ibm-granite/granite-3.1-8b-instruct", "shape": {"hidden_size": 4096,
 "num_hidden_layers": 40, "intermediate_size": 12800}, "values":
 {"num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
 "hidden_act": "silu", "attention_multiplier": 0.0078125, "logits_scaling":
 16.0, "embedding_multiplier": 12.0, "residual_multiplier": 0.22,
 "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false},
 "rope": {"rope_theta": [10000.0, 5000000.0, 10000000.0]}, "context": [4096,
 131072]},
{"type": "gpt2", "name": "GPT-2", "source": "openai-community/gpt2",
 "shape": {"n_embd": 768, "n_layer": 12}, "values": {"n_head": 12,
 "layer_norm_epsilon": 1e-05, "activation_function": "gelu_new",
 "scale_attn_weights": true, "tie_word_embeddings": true}, "rope":
 {"rope_type": "default"}, "context": 1024},
{"type": "gpt2", "name": "DistilGPT-2", "source": "distilbert/distilgpt2",
 "shape": {"n_embd": 768, "n_layer": 6}, "values": {"n_head": 12,
 "layer_norm_epsilon": 1e-05, "activation_function": "gelu_new",
 "scale_attn_weights": true, "tie_word_embeddings": true}, "rope":
 {"rope_type": "default"}, "context": 1024},
{"type": "gpt2", "name": "GPT-2 medium", "source":
 "openai-community/gpt2-medium", "shape": {"n_embd": 1024, "n_layer": 24},
 "values": {"n_head": 16, "layer_norm_epsilon": 1e-05, "activation_function":
 "gelu_new", "scale_attn_weights": true, "tie_word_embeddings": true},
 "rope": {"rope_type": "default"}, "context": 1024},
{"type": "gpt2", "name": "GPT-2 large", "source":
 "openai-community/gpt2-large", "shape": {"n_embd": 1280, "n_layer": 36},
 "values": {"n_head": 20, "layer_norm_epsilon": 1e-05, "activation_function":
 "gelu_new", "scale_attn_weights": true, "tie_word_embeddings": true},
 "rope": {"rope_type": "default"}, "context": 1024},
{"type": "gpt2", "name": "GPT-2 XL", "source": "openai-community/gpt2-xl",
 "shape": {"n_embd": 1600, "n_layer": 48}, "values": {"n_head": 25,
 "layer_norm_epsilon": 1e-05, "activation_function": "gelu_new",
 "scale_attn_weights": true, "tie_word_embeddings": true}, "rope":
 {"rope_type": "default"}, "context": 1024},
{"type": "deepseek_v3", "name": "DeepSeek V3 and R1", "source":
 "deepseek-ai/DeepSeek-V3", "shape": {"hidden_size": 7168,
 "num_hidden_layers": 61, "intermediate_size": 18432}, "values":
 {"num_attention_heads": 128, "rms_norm_eps": 1e-06, "hidden_act": "silu",
 "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
 "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 256,
 "n_shared_experts": 1, "num_experts_per_tok": 8, "n_group": 8, "topk_group":
 4, "routed_scaling_factor": 2.5, "norm_topk_prob": true,
 "first_k_dense_replace": 3, "moe_layer_freq": 1, "scoring_func": "sigmoid",
 "topk_method": "noaux_tc"}, "rope": {"rope_theta": 10000.0, "rope_type":
 ["yarn", "deepseek_yarn"], "factor": 40, "original_max_position_embeddings":
 4096, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim":
 1.0}, "context": 163840},
{"type": "gpt_oss", "name": "gpt-oss 20b", "source": "openai/gpt-oss-20b",
 "shape": {"hidden_size": 2880, "num_hidden_layers": 24, "intermediate_size":
 2880}, "values": {"num_attention_heads": 64, "num_key_value_heads": 8,
 "rms_norm_eps": 1e-05, "hidden_act": "silu", "head_dim": 64,
 "num_local_experts": 32, "num_experts_per_tok": 4, "sliding_window": 128,
 "swiglu_limit": 7.0, "swiglu_alpha": 1.702, "attention_bias": true}, "rope":
 {"rope_theta": 150000, "rope_type": "yarn", "factor": 32.0,
 "original_max_position_embeddings": 4096, "beta_fast": 32.0, "beta_slow":
 1.0, "truncate": false}, "context": 131072},
{"type": "gpt_oss", "name": "gpt-oss 120b", "source": "openai/gpt-oss-120b",
 "shape": {"hidden_size": 2880, "num_hidden_layers": 36, "intermediate_size":
 2880}, "values": {"num_attention_heads": 64, "num_key_value_heads": 8,
 "rms_norm_eps": 1e-05, "hidden_act": "silu", "head_dim": 64,
 "num_local_experts": 128, "num_experts_per_tok": 4, "sliding_window": 128,
 "swiglu_limit": 7.0, "swiglu_alpha": 1.702, "attention_bias": true}, "rope":
 {"rope_theta": 150000, "rope_type": "yarn", "factor": 32.0,
 "original_max_position_embeddings": 4096, "beta_fast": 32.0, "beta_slow":
 1.0, "truncate": false}, "context": 131072}
])json";

}  // namespace

std::string_view profile_table() {
  return kTable;
}

}  // namespace assay::rules
