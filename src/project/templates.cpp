#include "assay/project/templates.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include <fmt/format.h>

namespace assay::project {
namespace {

// What differs by kind.
struct KindText {
  std::string_view kind;
  std::string_view about;         // README: the project in a line
  std::string_view first_tasks;   // TODO
  std::string_view known;         // LEARNINGS
  std::string_view symptoms;      // DIAGNOSTICS: rows of a table
  std::string_view figures;       // RESULTS: what is worth measuring
  std::string_view tests;         // test/README: rows of a table
  std::string_view requirements;  // requirements.txt
};

constexpr KindText kLlm = {
    .kind = "llm",
    .about = "A language model: what it is, how well it does, what it costs.",
    .first_tasks =
        R"(- [ ] Look at each model before it is run: `assay inspect`, `assay check`
- [ ] `assay fit` at the context and batch that are needed
- [ ] Perplexity and speed of the unquantized model, recorded as the baseline
- [ ] Greedy output of a few prompts, kept as a reference for later changes
)",
    .known =
        R"(- A model without its own chat template and special tokens answers badly, and
  no error says so: compare the token ids before blaming the weights.
- Weights that were quantized before lose more when they are quantized again:
  start from the widest copy there is.
- GGUFs of the llama family keep the rows of queries and keys permuted for
  interleaved RoPE; a conversion that forgets this gives fluent nonsense.
- Perplexities compare only over the same text, tokenizer and window.
)",
    .symptoms =
        R"(| will it load? | `assay check --headers MODEL` | `sound`, in milliseconds |
| does it compute sense? | `assay check MODEL` | every step passed |
| out of memory | `assay fit MODEL --context N` | `fits` |
| converted model babbles | `assay compare SOURCE RESULT` | only differences that a quantization explains |
| worse than before | `assay measure perplexity MODEL` | within the noise of the last result |
| slower than before | `assay measure bench MODEL` | within the noise of the last result |
)",
    .figures =
        "perplexity, tokens/s of prefill and decode, peak memory, bits a "
        "weight",
    .tests =
        R"(| `test_` | behaviour: prompts and what must come out | greedy tokens equal the reference |
| `validate_` | a finished model | perplexity within its bound |
| `check_` | files | headers, shapes, tokenizer agree |
| `convert_` | makes a model in another format | the result is as sound as its source |
)",
    .requirements = R"(huggingface_hub
mlx-lm
safetensors
transformers
)"};

constexpr KindText kVlm = {
    .kind = "vlm",
    .about =
        "A model that reads images and text: what it sees, how well, at "
        "what cost.",
    .first_tasks =
        R"(- [ ] Look at each model before it is run: `assay inspect`, `assay check`
- [ ] The processor beside the model: size, mean, deviation, patch, merge
- [ ] A few images with answers that are certain, kept as a reference
- [ ] Speed and memory at the largest image that is needed, recorded
)",
    .known =
        R"(- The number of image tokens in the prompt must be what the projector gives for
  that image size; one too few shifts all text after it.
- A resize without the same antialiasing changes answers: compare pixels before
  comparing text.
- Projectors are small and sensitive: leave them unquantized first.
- Channel order and normalization are the usual causes of "it sees nothing".
)",
    .symptoms =
        R"(| will it load? | `assay check --headers MODEL` | `sound`, in milliseconds |
| does the projector fit? | `assay check PROJECTOR --base MODEL` | widths agree |
| answers ignore the image | compare the image token ids in the prompt | as many as the projector gives |
| out of memory | `assay fit MODEL --context N` | `fits`, with the image's tokens in N |
| converted model babbles | `assay compare SOURCE RESULT` | only differences that a quantization explains |
)",
    .figures =
        "right answers of how many, tokens an image, tokens/s, peak "
        "memory",
    .tests =
        R"(| `test_` | behaviour: images, questions, answers | the same answers as the reference |
| `validate_` | a finished model | right answers within their bound |
| `check_` | files | projector, processor and text model agree |
| `convert_` | makes a model in another format | the result is as sound as its source |
)",
    .requirements = R"(huggingface_hub
mlx-vlm
pillow
safetensors
transformers
)"};

constexpr KindText kImage = {
    .kind = "image",
    .about =
        "A model that makes images: which parts it has, what it makes, at "
        "what cost.",
    .first_tasks =
        R"(- [ ] Look at the pipeline before it is run: `assay inspect`, `assay check`
- [ ] A few prompts with fixed seeds, sizes and steps, kept as a reference
- [ ] Memory of text encoders, denoiser and VAE apart; which may be released
- [ ] Seconds an image at the size that is needed, recorded
)",
    .known =
        R"(- Images compare only with the same seed, noise source, size, scheduler and
  number of steps; noise made on another device is other noise.
- The VAE's scaling and shift and its number of latent channels must be those
  the denoiser was trained with: grey or oversaturated images mean they differ.
- An adapter's scale is rank and alpha together; a file that leaves alpha out
  means another strength to each program.
- Many VAEs overflow in float16: black images there, right ones in float32.
)",
    .symptoms =
        R"(| will it load? | `assay check --headers PIPELINE` | `sound`, in milliseconds |
| does this LoRA fit? | `assay check ADAPTER --base PIPELINE` | every target has its shape |
| grey, black, oversaturated | `assay inspect PIPELINE` | VAE factors and types as published |
| another image than before | `assay compare SOURCE RESULT` | no difference but those expected |
)",
    .figures =
        "seconds an image and a step, peak memory, difference from the "
        "reference image",
    .tests =
        R"(| `test_` | behaviour: prompts with fixed seeds | images within their bound of the reference |
| `validate_` | a finished pipeline | all reference prompts |
| `check_` | files | components agree with each other |
| `convert_` | makes a pipeline in another format | the result is as sound as its source |
)",
    .requirements = R"(diffusers
huggingface_hub
pillow
safetensors
transformers
)"};

constexpr KindText kMl = {
    .kind = "ml",
    .about =
        "A model that is trained here: on what, how well, and how it is "
        "known.",
    .first_tasks =
        R"(- [ ] Say which figure decides, and what the simplest baseline reaches
- [ ] Split the data once, before anything is fitted; keep the split's hash
- [ ] One batch learned by heart: the loss must go to zero
- [ ] Baseline trained with three seeds, mean and spread recorded
)",
    .known =
        R"(- Whatever is fitted on all data (scaling, vocabulary, selection) leaks the test
  set into training.
- A difference between two runs means nothing below the spread over seeds.
- A model that can't learn one batch by heart has a defect, not too little data.
- Accuracy on data that is not balanced says little: look at each class.
)",
    .symptoms =
        R"(| will it load? | `assay check --headers MODEL` | `sound`, in milliseconds |
| NaN or zeros in weights | `assay check MODEL` | no finding |
| loss does not fall | one batch, no augmentation, no decay | goes to zero |
| good in training, bad in use | the same sample through both paths | the same numbers at each step |
)",
    .figures =
        "the deciding figure with its spread over seeds, seconds an "
        "epoch, peak memory",
    .tests = R"(| `test_` | behaviour of functions | ends with no failure |
| `validate_` | a trained model | the deciding figure within its bound |
| `check_` | data and files | splits disjoint, hashes as recorded |
| `convert_` | makes a model in another format | the same numbers on the same input |
)",
    .requirements = R"(numpy
safetensors
scikit-learn
)"};

constexpr std::array<std::string_view, 4> kKinds = {
    "llm", "vlm", "image", "ml"};

const KindText& text_of(std::string_view kind) {
  for (const auto* text : {&kLlm, &kVlm, &kImage, &kMl}) {
    if (text->kind == kind) {
      return *text;
    }
  }
  throw std::logic_error("no such kind of project");
}

constexpr std::string_view kReadme = R"(# {name}

{about}

Say here, in two sentences, what this project is for and when it is done.

## Set up

```
assay env create     # from environment.yml and requirements.txt
assay env record     # the exact versions and the interpreter, for others
assay session start  # what is open, what is known, what was measured
```

## Where things are

| place | what |
| --- | --- |
| [TODO.md](TODO.md) | what is open, in progress, done; the ends of sessions |
| [reference/LEARNINGS.md](reference/LEARNINGS.md) | insights, failed approaches, decisions and why |
| [reference/DIAGNOSTICS.md](reference/DIAGNOSTICS.md) | commands that tell whether something still holds |
| [reference/RESULTS.md](reference/RESULTS.md) | what was measured, with conditions |
| [test/README.md](test/README.md) | what each test does, and what a pass means |
| [assay.toml](assay.toml) | models, thresholds, diagnostics |
| `models/` | the models; not in git |
)";

constexpr std::string_view kTodo = R"(# TODO

`[ ]` open, `[/]` in progress, `[x]` done.

## Next

- [ ] Write in README.md what this project is for, and when it is done
- [ ] Put the models below `models/` and name them in assay.toml
{first_tasks})";

constexpr std::string_view kLearnings = R"(# Learnings

What was found out here, what failed, what was decided. Look here before
changing anything: `assay learn`, `assay learn --failed`, `assay decide` add.

## Insights

{known}
## Failed Approaches

## Decisions
)";

constexpr std::string_view kDiagnostics = R"(# Diagnostics

How to find causes, in seconds. A block fenced as `sh diagnostic` is run by
`assay session start`; `assay tool add` writes one.

| symptom | command | what a pass looks like |
| --- | --- | --- |
{symptoms}
## documents

Names, links and documents agree with what is here.

```sh diagnostic
assay project check
```
)";

constexpr std::string_view kResults = R"(# Results

Each figure with the command, the machine and the versions that gave it:
{figures}. `--record` at `measure`, `quantize` and `convert` adds to
`reference/results.jsonl`, and the tables below are its view.
)";

constexpr std::string_view kTests = R"(# Tests

A script's first word says what it does; each has a row here.

| script | what it does | a pass means |
| --- | --- | --- |
{tests})";

constexpr std::string_view kEnvironmentText = R"(name: {name}
channels:
  - conda-forge
dependencies:
  - python=3.12
  - pip
  - pip:
      - -r requirements.txt
)";

constexpr std::string_view kIgnore = R"(# Models and what is made from them
models/
*.safetensors
*.gguf
*.npz

# Environments and caches
.venv/
.conda/
__pycache__/
*.pyc
.ipynb_checkpoints/
.DS_Store
)";

constexpr std::string_view kAgents = R"(## How to work here

1. `assay session start --budget 2000` before anything else: what is open, what
   was tried and failed, what was measured, what changed outside.
2. Before changing something, look for it in reference/LEARNINGS.md. Do not try
   again what failed, unless its reason is gone.
3. `assay task start ID` on what you take up; `assay task done ID` when its
   proof has run, not before.
4. Look at a model's files before running it (`assay check --headers MODEL`),
   and try a minute's run before an hour's.
5. Write down what you find when you find it: `assay learn TEXT`,
   `assay learn --failed TEXT`, `assay decide TITLE --rationale R --trade-off T
   --validation V`. Figures: `--record`.
6. Run scripts with the interpreter that `assay env status` names.
7. `assay session end` at the end. It names what would be lost.

Edit Markdown by hand where you like; the commands touch only their own lines.)";

constexpr std::string_view kClaude = "@AGENTS.md";

constexpr std::string_view kSettings =
    R"(# What Assay knows of this project. It reads this file and never changes it.
name = "{name}"
kind = "{kind}"

[thresholds]
regression_percent = 5  # a figure that got worse by more is a regression
quick_seconds = 20      # a quick diagnostic is ended after this
slow_seconds = 600      # and one marked slow after this

# [[model]]
# name = "base"
# path = "models/NAME"

# [[diagnostic]]
# name = "base loads"
# command = ["assay", "check", "--headers", "models/NAME"]
)";

std::string filled(std::string_view text,
                   std::string_view name,
                   const KindText& kind) {
  const std::array<std::pair<std::string_view, std::string_view>, 9> values = {
      {{"{name}", name},
       {"{kind}", kind.kind},
       {"{about}", kind.about},
       {"{first_tasks}", kind.first_tasks},
       {"{known}", kind.known},
       {"{symptoms}", kind.symptoms},
       {"{figures}", kind.figures},
       {"{tests}", kind.tests},
       {"{requirements}", kind.requirements}}};
  std::string result;
  while (!text.empty()) {
    auto at = std::min(text.find('{'), text.size());
    result += text.substr(0, at);
    text.remove_prefix(at);
    auto value = std::ranges::find_if(values, [&](const auto& entry) {
      return text.starts_with(entry.first);
    });
    if (value != values.end()) {
      result += value->second;
      text.remove_prefix(value->first.size());
    } else if (!text.empty()) {
      result += text.front();
      text.remove_prefix(1);
    }
  }
  return result;
}

}  // namespace

std::span<const std::string_view> project_kinds() {
  return kKinds;
}

std::vector<TemplateFile> project_templates(std::string_view name,
                                            std::string_view kind) {
  const auto& text = text_of(kind);
  auto file = [&](std::string path, std::string_view content) {
    return TemplateFile{std::move(path), filled(content, name, text), ""};
  };
  auto block = [&](std::string path, std::string_view content) {
    return TemplateFile{std::move(path), std::string(content), "agents"};
  };
  return {file("README.md", kReadme),
          file("TODO.md", kTodo),
          file("reference/LEARNINGS.md", kLearnings),
          file("reference/DIAGNOSTICS.md", kDiagnostics),
          file("reference/RESULTS.md", kResults),
          file("test/README.md", kTests),
          file("environment.yml", kEnvironmentText),
          file("requirements.txt", "{requirements}"),
          file(".gitignore", kIgnore),
          file("assay.toml", kSettings),
          block("AGENTS.md", kAgents),
          block("CLAUDE.md", kClaude)};
}

}  // namespace assay::project
