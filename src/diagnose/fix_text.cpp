// Special tokens and chat templates: what two documents agree on, and what the
// template itself writes.

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/language_rules.h"
#include "assay/check/rules.h"
#include "assay/diagnose/repairs.h"
#include "assay/formats/model_files.h"
#include "assay/text/tokenizer.h"

namespace assay::repair {
namespace {

constexpr auto kConfig = "config.json";
constexpr auto kGeneration = "generation_config.json";
using Path = std::vector<std::string>;

size_t disagreements(const ModelFiles& model, const std::string& field) {
  return static_cast<size_t>(std::ranges::count_if(
      rules::text_documents(model, model.config), [&](const Finding& finding) {
        return finding.id == "special-token.disagrees" &&
               finding.where.ends_with(": " + field);
      }));
}

/** The value of a field, and where it stands: a config's language part may
 * have it. */
struct Place {
  Path path;
  Json value;
};

Place place_of(const Json& document, const std::string& field) {
  if (document.is_object() && !document.contains(field)) {
    auto inner = document.value("text_config", Json());
    if (inner.is_object() && inner.contains(field)) {
      return {{"text_config", field}, inner[field]};
    }
  }
  return {{field},
          document.is_object() ? document.value(field, Json()) : Json()};
}

void put(Json& document, const Path& path, const Json& value) {
  auto* place = &document;
  for (const auto& key : path) {
    place = &(*place)[key];
  }
  *place = value;
}

// One document takes over what the other has, where the tokenizer then agrees
// with both and would not, were it the other way round.
void settle(Workbench& bench, ModelFiles& model, const std::string& field) {
  if (disagreements(model, field) == 0) {
    return;
  }
  struct Way {
    const char* file;
    Json* document;
    Place own, other;
  };
  auto config = place_of(model.config, field);
  auto generation = place_of(model.generation_config, field);
  std::vector<Way> settled;
  for (const auto& way :
       {Way{kConfig, &model.config, config, generation},
        Way{kGeneration, &model.generation_config, generation, config}}) {
    if (way.own.value.is_null() || way.other.value.is_null()) {
      continue;
    }
    auto before = *way.document;
    put(*way.document, way.own.path, way.other.value);
    if (disagreements(model, field) == 0) {
      settled.push_back(way);
    }
    *way.document = before;
  }
  if (settled.size() == 1) {
    const auto& way = settled.front();
    bench.draft.set(way.file,
                    way.own.path,
                    way.other.value,
                    fmt::format("{}: the tokenizer and the other document say "
                                "{}",
                                field,
                                way.other.value.dump()));
  } else {
    bench.leave("special-token.disagrees",
                "two documents say one thing and two another, or there is no "
                "third to decide: take all of them from one place");
  }
}

}  // namespace

void special_tokens(Workbench& bench) {
  auto model = open_model(bench.draft.folder());
  if (model.container != Container::safetensors) {
    return;
  }
  for (const auto* field : {"eos_token_id", "bos_token_id", "pad_token_id"}) {
    settle(bench, model, field);
  }
}

void turn_end(Workbench& bench) {
  auto model = open_model(bench.draft.folder());
  auto tokenizer = load_tokenizer(model);
  auto id = rules::token_after_answer(model, tokenizer);
  if (!id || model.container != Container::safetensors) {
    return;
  }
  // generation_config.json rules, where it says anything.
  auto place = place_of(model.generation_config, "eos_token_id");
  const auto* file = kGeneration;
  if (place.value.is_null()) {
    place = place_of(model.config, "eos_token_id");
    file = kConfig;
  }
  auto ids = place.value.is_array() ? place.value : Json::array();
  if (place.value.is_number_integer()) {
    ids.push_back(place.value);
  }
  ids.push_back(*id);
  bench.draft.set(file,
                  place.path,
                  ids.size() == 1 ? ids[0] : ids,
                  fmt::format("the template ends an answer with '{}'",
                              tokenizer.id_to_token(*id).value_or("")));
}

void chat_template(Workbench& bench) {
  auto model = open_model(bench.draft.folder());
  auto found = rules::misplaced_template(model);
  if (!found) {
    return;
  }
  // Held as if it stood where it belongs.
  auto facts = inspect(model);
  auto held = std::move(model);
  held.chat_template = found->text;
  held.path.clear();
  try {
    if (!rules::chat_template(held, facts.tokenizer).empty()) {
      bench.leave("template.misplaced",
                  "it does not render a conversation: it may not be meant");
      return;
    }
  } catch (const Error& error) {
    bench.leave("template.misplaced",
                "it does not render: " + to_line(error.finding()));
    return;
  }
  bench.draft.write(
      "chat_template.jinja", found->text, "the template of " + found->where);
}

}  // namespace assay::repair
