// llama.cpp measured from inside, as `assay measure` measures Assay: the same
// ids, a first run that does not count, its own defaults for everything that
// is not stated. Built by tools/dev/peers.sh against llama.cpp's sources.
//
//   llama_peer bench MODEL THREADS PROMPT DECODE RUNS
//   llama_peer perplexity MODEL THREADS WINDOW TOKENS TEXT_FILE
//   llama_peer first MODEL THREADS TEXT
//   llama_peer quantize MODEL OUT q4_0|q8_0|f16

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <llama.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using Tokens = std::vector<llama_token>;

double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Session {
  llama_model* model = nullptr;
  llama_context* context = nullptr;
  const llama_vocab* vocab = nullptr;

  Session(const char* path, int threads, int positions, int batch) {
    model = llama_model_load_from_file(path, llama_model_default_params());
    if (model == nullptr) {
      throw std::runtime_error("llama.cpp does not load the model");
    }
    auto params = llama_context_default_params();
    params.n_ctx = static_cast<uint32_t>(positions);
    params.n_batch = static_cast<uint32_t>(batch);
    params.n_threads = threads;
    params.n_threads_batch = threads;
    context = llama_init_from_model(model, params);
    if (context == nullptr) {
      throw std::runtime_error("llama.cpp makes no context");
    }
    vocab = llama_model_get_vocab(model);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    llama_free(context);
    llama_model_free(model);
  }

  int vocabulary() const { return llama_vocab_n_tokens(vocab); }
  void forget() { llama_memory_clear(llama_get_memory(context), true); }
  void read(llama_token* ids, size_t count) {
    auto batch = llama_batch_get_one(ids, static_cast<int32_t>(count));
    if (llama_decode(context, batch) != 0) {
      throw std::runtime_error("llama_decode failed");
    }
  }
  llama_token best() const {
    const float* logits = llama_get_logits_ith(context, -1);
    return static_cast<llama_token>(
        std::max_element(logits, logits + vocabulary()) - logits);
  }
  Tokens tokenize(const std::string& text) const {
    Tokens ids(text.size() + 8);
    int count = llama_tokenize(vocab,
                               text.data(),
                               static_cast<int32_t>(text.size()),
                               ids.data(),
                               static_cast<int32_t>(ids.size()),
                               false,
                               false);
    if (count < 0) {
      throw std::runtime_error("llama_tokenize failed");
    }
    ids.resize(static_cast<size_t>(count));
    return ids;
  }
};

void print(const char* name, const std::vector<double>& values) {
  std::printf("\"%s\": [", name);
  for (size_t i = 0; i < values.size(); ++i) {
    std::printf("%s%.6g", i == 0 ? "" : ", ", values[i]);
  }
  std::printf("]");
}

// Prompts longer than a batch go through in batches, as in llama-bench.
void prefill(Session& session, Tokens& ids, size_t batch) {
  for (size_t start = 0; start < ids.size(); start += batch) {
    session.read(ids.data() + start, std::min(batch, ids.size() - start));
  }
}

void bench(const char* path, int threads, int prompt, int decode, int runs) {
  constexpr int kBatch = 2048;
  Session session(path, threads, prompt + decode + 1, kBatch);
  Tokens ids;
  for (int i = 0; i < prompt; ++i) {
    ids.push_back(1 + (i * 7919) % (session.vocabulary() - 1));
  }
  std::vector<double> prefills, decodes;
  for (int run = -1; run < runs; ++run) {
    session.forget();
    double start = now();
    prefill(session, ids, kBatch);
    llama_token token = session.best();
    double middle = now();
    for (int i = 0; i < decode; ++i) {
      session.read(&token, 1);
      token = session.best();
    }
    double end = now();
    if (run >= 0) {
      prefills.push_back(prompt / (middle - start));
      decodes.push_back(decode / (end - middle));
    }
  }
  std::printf("{");
  print("prefill", prefills);
  std::printf(", ");
  print("decode", decodes);
  std::printf("}\n");
}

double negative_log_likelihood(const float* logits, int size, int id) {
  float most = *std::max_element(logits, logits + size);
  double sum = 0;
  for (int i = 0; i < size; ++i) {
    sum += std::exp(logits[i] - most);
  }
  return std::log(sum) + static_cast<double>(most) -
         static_cast<double>(logits[id]);
}

// Windows side by side, every position but a window's first is scored.
void perplexity(
    const char* path, int threads, int window, size_t limit, const char* file) {
  std::ifstream in(file);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  Session session(path, threads, window, window);
  Tokens ids = session.tokenize(text);
  ids.resize(std::min(ids.size(), limit));
  double start = now(), sum = 0;
  size_t scored = 0;
  for (size_t first = 0; first + 1 < ids.size();
       first += static_cast<size_t>(window)) {
    auto count = static_cast<int32_t>(
        std::min(static_cast<size_t>(window), ids.size() - first));
    session.forget();
    auto batch = llama_batch_init(count, 0, 1);
    for (int32_t i = 0; i < count; ++i) {
      batch.token[i] = ids[first + static_cast<size_t>(i)];
      batch.pos[i] = i;
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = 0;
      batch.logits[i] = 1;
    }
    batch.n_tokens = count;
    if (llama_decode(session.context, batch) != 0) {
      throw std::runtime_error("llama_decode failed");
    }
    std::vector<double> losses(static_cast<size_t>(count));
#pragma omp parallel for num_threads(threads)
    for (int32_t i = 0; i < count - 1; ++i) {
      losses[static_cast<size_t>(i)] =
          negative_log_likelihood(llama_get_logits_ith(session.context, i),
                                  session.vocabulary(),
                                  ids[first + static_cast<size_t>(i) + 1]);
    }
    for (double loss : losses) {
      sum += loss;
    }
    scored += static_cast<size_t>(count) - 1;
    llama_batch_free(batch);
  }
  double seconds = now() - start;
  std::printf(
      "{\"tokens\": %zu, \"scored\": %zu, \"perplexity\": %.6f, "
      "\"rate\": [%.6g]}\n",
      ids.size(),
      scored,
      std::exp(sum / static_cast<double>(scored)),
      static_cast<double>(ids.size()) / seconds);
}

void first(const char* path, int threads, const char* text) {
  Session session(path, threads, 512, 512);
  Tokens ids = session.tokenize(text);
  session.read(ids.data(), ids.size());
  std::printf("{\"token\": %d}\n", session.best());
}

void quantize(const char* from, const char* to, const std::string& type) {
  auto params = llama_model_quantize_default_params();
  params.allow_requantize = true;
  params.pure = true;
  // As in the model that all are made from.
  params.token_embedding_type =
      type == "q4_0" ? GGML_TYPE_Q8_0 : GGML_TYPE_COUNT;
  params.ftype = type == "q4_0"   ? LLAMA_FTYPE_MOSTLY_Q4_0
                 : type == "q8_0" ? LLAMA_FTYPE_MOSTLY_Q8_0
                                  : LLAMA_FTYPE_MOSTLY_F16;
  if (llama_model_quantize(from, to, &params) != 0) {
    throw std::runtime_error("llama_model_quantize failed");
  }
}

}  // namespace

int main(int argc, char** argv) {
  auto number = [&](int i) { return std::atoi(argv[i]); };
  std::string what = argc > 1 ? argv[1] : "";
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level >= GGML_LOG_LEVEL_ERROR) {
          std::fputs(text, stderr);
        }
      },
      nullptr);
  llama_backend_init();
  try {
    if (what == "bench" && argc == 7) {
      bench(argv[2], number(3), number(4), number(5), number(6));
    } else if (what == "perplexity" && argc == 7) {
      perplexity(argv[2],
                 number(3),
                 number(4),
                 static_cast<size_t>(number(5)),
                 argv[6]);
    } else if (what == "first" && argc == 5) {
      first(argv[2], number(3), argv[4]);
    } else if (what == "quantize" && argc == 5) {
      quantize(argv[2], argv[3], argv[4]);
    } else {
      std::fputs("llama_peer bench|perplexity|first|quantize ...\n", stderr);
      return 2;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "llama_peer: %s\n", error.what());
    return 1;
  }
  llama_backend_free();
  return 0;
}
