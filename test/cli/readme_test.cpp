// Runs the commands of README.md ("In a minute") as they stand there, in their
// order, on a tiny model: what is written in capitals gets a value.

#include <algorithm>
#include <regex>
#include <utility>

#include "program.h"

using namespace assay;
using namespace assay::test;

namespace {

/** The lines of the fenced block below a heading, without their remarks. */
std::vector<std::string> commands_below(const std::string& heading) {
  auto lines =
      lines_of(read_text(fs::path(ASSAY_TEST_DIR).parent_path() / "README.md"));
  std::vector<std::string> commands;
  bool below = false, inside = false;
  for (const auto& line : lines) {
    if (line.starts_with("## ")) {
      below = line == "## " + heading;
    } else if (line.starts_with("```")) {
      inside = below && !inside;
    } else if (inside) {
      auto remark = line.find(" #");
      commands.push_back(line.substr(0, remark));
    }
  }
  return commands;
}

// Longer words first: MODEL.gguf is no MODEL with an end.
const std::vector<std::pair<const char*, const char*>> kValues = {
    {"FOLDER_OF_MODELS", "models"},
    {R"(MODEL\.\.\.)", "model good"},
    {R"(MODEL\.gguf)", "model.gguf"},
    {"MODEL", "model"},
    {"GOOD", "good"},
    {"ADAPTER", "adapter"},
    {"SMALL", "small"},
    {"OUT", "out"},
    {"TEXT", "'Words of a person'"},
    {R"(TITLE \.\.\.)",
     "'Use plain words' --rationale clear --trade-off long "
     "--validation reading"}};

std::string filled_in(std::string command) {
  for (const auto& [word, value] : kValues) {
    command = std::regex_replace(command, std::regex(word), value);
  }
  return command;
}

}  // namespace

TEST_CASE("the commands of README.md do what it says") {
  auto folder = own_folder("readme");
  auto sound = fs::path(ASSAY_TEST_DIR) / "sound";
  for (const char* to : {"model", "good", "models/a", "models/b"}) {
    fs::create_directories(folder / "models");
    fs::copy(sound / "llama", folder / to, fs::copy_options::recursive);
  }
  fs::copy(sound / "peft-lora", folder / "adapter");
  write_text(folder / "assay.toml", "");  // a project, for tasks and the like
  REQUIRE(
      run(folder, "assay convert model model.gguf --to gguf -q").exit_code ==
      0);
  auto commands = commands_below("In a minute");
  CHECK(commands.size() >= 16);
  for (const auto& line : commands) {
    auto command = filled_in(line);
    CAPTURE(command);
    // What waits for a person, or for an agent, finds nobody there.
    auto result = run(folder, fmt::format("{{ {}; }} </dev/null", command));
    CAPTURE(read_text(folder / "stderr.txt"));
    // A model that was never trained finds no sense in a text: exit code 1,
    // and nothing else is found.
    bool whole_check = command.starts_with("assay check mode");
    CHECK(result.exit_code == (whole_check ? 1 : 0));
    if (whole_check) {
      auto findings = run(
          folder,
          fmt::format("{} --json | grep -o '\"id\": \"[^\"]*\"' | sort -u",
                      std::regex_replace(command, std::regex(" --junit"), "")));
      CHECK(findings.lines ==
            std::vector<std::string>{"\"id\": \"inference.no-sense\""});
    }
  }
  // Sources are never changed.
  for (const auto& entry : fs::directory_iterator(sound / "llama")) {
    auto name = entry.path().filename();
    CHECK(read_text(folder / "model" / name) == read_text(entry.path()));
  }
  fs::remove_all(folder);
}
