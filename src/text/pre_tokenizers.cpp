#include "assay/text/pre_tokenizers.h"

#include <algorithm>
#include <array>

namespace assay {
namespace {

/** The texts one after the other, at compile time. */
template <const std::string_view&... Parts>
struct Joined {
  static constexpr auto kChars = [] {
    std::array<char, (Parts.size() + ...)> chars{};
    auto out = chars.begin();
    ((out = std::copy(Parts.begin(), Parts.end(), out)), ...);
    return chars;
  }();
  static constexpr std::string_view kText{kChars.data(), kChars.size()};
};

// Parts that recur. Most expressions since GPT-4 end alike: words, numbers,
// punctuation with the line ends after it, line ends, spaces.
constexpr std::string_view kOr = "|";
constexpr std::string_view kApostrophe = R"((?i:'s|'t|'re|'ve|'m|'ll|'d))";
constexpr std::string_view kWord = R"(|[^\r\n\p{L}\p{N}]?\p{L}+)";
constexpr std::string_view kDigit = R"(|\p{N})";
constexpr std::string_view kThreeDigits = R"(|\p{N}{1,3})";
constexpr std::string_view kPunctuation = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*)";
constexpr std::string_view kPath = R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*)";
constexpr std::string_view kSpaces = R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Words in one case, or with a capital: before the last lower-case run, or
// after the first upper-case one.
constexpr std::string_view kLowerEnd =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]+)";
constexpr std::string_view kUpperStart =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]*)";
constexpr std::string_view kSuffix = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)";
constexpr std::string_view kMarkedWord = R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+)";
constexpr std::string_view kMarkedPunctuation =
    R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)";
constexpr std::string_view kSeedPunctuation =
    R"(|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+)";
constexpr std::string_view kDeepseekWords =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+)"
    R"(|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*)";

using One = std::array<std::string_view, 1>;

constexpr One kLlama3 = {
    Joined<kApostrophe, kWord, kThreeDigits, kPunctuation, kSpaces>::kText};
constexpr One kQwen2 = {
    Joined<kApostrophe, kWord, kDigit, kPunctuation, kSpaces>::kText};
constexpr One kQwen35 = {
    Joined<kApostrophe, kMarkedWord, kDigit, kMarkedPunctuation, kSpaces>::
        kText};
constexpr One kGpt4o = {Joined<kLowerEnd,
                               kSuffix,
                               kOr,
                               kUpperStart,
                               kSuffix,
                               kThreeDigits,
                               kPath,
                               kSpaces>::kText};
constexpr One kTekken = {
    Joined<kLowerEnd, kOr, kUpperStart, kDigit, kPath, kSpaces>::kText};
constexpr One kSeedCoder = {
    Joined<kApostrophe, kWord, kSeedPunctuation, kSpaces>::kText};
constexpr One kBailing = {
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N})"
    R"(| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr One kExaoneMoe = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d))"
    R"(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr std::array<std::string_view, 3> kDeepseek3 = {
    R"(\p{N}{1,3})",
    "[一-龥぀-ゟ゠-ヿ]+",
    Joined<kDeepseekWords, kSpaces>::kText};
constexpr std::array<std::string_view, 4> kDeepseekCoder = {
    R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", "[一-龥ࠀ-一가-퟿]+"};
// Letters that have case, as of the Unicode of that model's time. In code
// points, since some of them do not survive normalization of this file.
constexpr std::string_view kCasedWord =
    R"(\s?[)"
    R"(A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF})"
    R"(\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377})"
    R"(\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1})"
    R"(\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556})"
    R"(\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA})"
    R"(\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A})"
    R"(\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D})"
    R"(\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D})"
    R"(\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4})"
    R"(\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC})"
    R"(\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113})"
    R"(\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D})"
    R"(\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E})"
    R"(\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE})"
    R"(\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F})"
    R"(\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06})"
    R"(\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A})"
    R"(\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB})"
    R"(\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF})"
    R"(\x{1E900}-\x{1E943})"
    R"(]+)";
constexpr std::array<std::string_view, 5> kDeepseek = {
    R"([\r\n])",
    kCasedWord,
    "\\s?[!-/:-~！-／：-～‘-‟　-。]+",
    R"(\s+$)",
    "[一-龥ࠀ-一가-퟿]+"};
constexpr One kBloom = {R"( ?[^(\s|.,!?…。，、।۔،)]+)"};

constexpr std::string_view kFalconJson =
    R"([{"type":"Punctuation","behavior":"Contiguous"},)"
    R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,)"
    R"("use_regex":true},{"type":"Digits","individual_digits":false},)"
    R"({"type":"Split","pattern":{"Regex":"[0-9][0-9][0-9]"},)"
    R"("behavior":"Isolated","invert":false}])";

constexpr PreTokenizer kGpt2 = {.gpt2_split = true};
constexpr PreTokenizer kGpt2Nfc = {.gpt2_split = true, .nfc = true};
constexpr PreTokenizer kDigits = {.digits = true, .gpt2_split = true};
constexpr PreTokenizer kDigitsNfc = {
    .digits = true, .gpt2_split = true, .nfc = true};
constexpr PreTokenizer kLlama = {
    .splits = kLlama3, .ignore_merges = true, .add_bos = true};
constexpr PreTokenizer kCl100k = {.splits = kLlama3};
constexpr PreTokenizer kQwen = {.splits = kQwen2, .nfc = true};
constexpr PreTokenizer kQwenPlain = {.splits = kQwen2};
constexpr PreTokenizer kO200k = {.splits = kGpt4o};
constexpr PreTokenizer kBailingMoe = {.splits = kBailing};
constexpr PreTokenizer kDeepseekV3 = {.splits = kDeepseek3};

struct Named {
  std::string_view name;
  PreTokenizer pre;
};

// Sorted by name.
constexpr std::array kNamed = {
    Named{"bailingmoe", kBailingMoe},
    Named{"bailingmoe2", kBailingMoe},
    Named{"bloom", {.splits = kBloom}},
    Named{"chatglm-bpe", kCl100k},
    Named{"codeshell", kDigits},
    Named{"command-r", kDigitsNfc},
    Named{"dbrx", kCl100k},
    Named{"deepseek-coder", {.splits = kDeepseekCoder, .digits = true}},
    Named{"deepseek-llm", {.splits = kDeepseek, .digits = true}},
    Named{"deepseek-r1-qwen", kQwenPlain},
    Named{"deepseek-v3", kDeepseekV3},
    Named{"default", kGpt2},
    Named{"exaone", kDigits},
    Named{"exaone-moe", {.splits = kExaoneMoe}},
    Named{"exaone4", kGpt2},
    Named{"f2llmv2", kQwenPlain},
    Named{"falcon", {.json = kFalconJson}},
    Named{"falcon-h1", kLlama},
    Named{"falcon3", kLlama},
    Named{"glm4", kCl100k},
    Named{"gpt-2", kGpt2},
    Named{"gpt-4o", kO200k},
    Named{"gpt3-finnish", {.splits = kBloom}},
    Named{"granite-docling", kGpt2},
    Named{"grok-2", kQwenPlain},
    Named{"hunyuan", kQwenPlain},
    Named{"hunyuan-dense", kDeepseekV3},
    Named{"jais", kGpt2},
    Named{"jina-v2-code", kGpt2},
    Named{"joyai-llm", kDeepseekV3},
    Named{"kanana2", kO200k},
    Named{"kormo", kQwenPlain},
    Named{"lfm2", kLlama},
    Named{"llada-moe", kBailingMoe},
    Named{"llama-bpe", kLlama},
    Named{"llama-v3", kLlama},
    Named{"llama3", kLlama},
    Named{"llama4", kO200k},
    Named{"megrez", kQwenPlain},
    Named{"mellum", kGpt2},
    Named{"mellum2", kDigits},
    Named{"midm-2.0", kLlama},
    Named{"minerva-7b", kDigits},
    Named{"minimax-m2", kO200k},
    Named{"modern-bert", kGpt2},
    Named{"mpt", kGpt2Nfc},
    Named{"olmo", kGpt2Nfc},
    Named{"phi-2", kGpt2},
    Named{"pixtral", kLlama},
    Named{"poro-chat", {.splits = kBloom}},
    Named{"qwen2", kQwen},
    Named{"qwen35", {.splits = kQwen35, .nfc = true}},
    Named{"refact", kDigits},
    Named{"seed-coder", {.splits = kSeedCoder}},
    Named{"smaug-bpe", kCl100k},
    Named{"smollm", kDigits},
    Named{"solar-open", kQwenPlain},
    Named{"stablelm2", kQwenPlain},
    Named{"starcoder", kDigits},
    Named{"talkie", kO200k},
    Named{"tekken",
          {.splits = kTekken, .ignore_merges = true, .add_bos = true}},
    Named{"trillion", kGpt2},
    Named{"viking", {.splits = kBloom, .digits = true}},
};

static_assert(std::ranges::is_sorted(kNamed, {}, &Named::name));

}  // namespace

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  auto found = std::ranges::lower_bound(kNamed, name, {}, &Named::name);
  return found != kNamed.end() && found->name == name ? &found->pre : nullptr;
}

}  // namespace assay
