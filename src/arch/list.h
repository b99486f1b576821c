#pragma once

// The entries of the list of architectures; each is defined in the file of
// that name.

#include "assay/arch/architecture.h"

namespace assay::arch {

Architecture llama();
Architecture mistral();
Architecture qwen2();
Architecture qwen3();
Architecture gemma2();
Architecture gemma3_text();
Architecture phi3();
Architecture olmo2();
Architecture smollm3();
Architecture granite();
Architecture gpt2();
Architecture mixtral();
Architecture qwen3_moe();
Architecture deepseek_v3();
Architecture gpt_oss();

}  // namespace assay::arch
