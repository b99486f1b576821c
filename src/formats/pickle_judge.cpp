#include "assay/formats/pickle_judge.h"

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>

#include "assay/formats/pickle_globals.h"
#include "assay/formats/quote.h"

namespace assay {
namespace {

using Kind = PickleValue::Kind;
using Event = PickleEvent::Kind;
using Items = std::vector<PickleRef>;

constexpr size_t kMaxJudged = 20;

class Judge {
 public:
  Judge(const Pickle& pickle, const PickleScene& scene)
      : pickle_(pickle), scene_(scene) {}

  PickleVerdict look() {
    for (const auto& event : pickle_.events) {
      at_ = &event;
      look_at(event);
    }
    at_ = nullptr;
    look_at_whole();
    look_at_literals();
    for (auto& [name, import] : imports_) {
      verdict_.imports.push_back(std::move(import));
    }
    std::ranges::sort(verdict_.imports, {}, &PickleImport::offset);
    std::ranges::stable_sort(
        verdict_.reasons, std::ranges::greater{}, &SafetyReason::level);
    return std::move(verdict_);
  }

 private:
  const PickleValue& at(PickleRef ref) const { return pickle_.at(ref); }

  void say_at(Safety level, uint64_t offset, std::string text) {
    verdict_.safety = std::max(verdict_.safety, level);
    auto same =
        std::ranges::count(verdict_.reasons, level, &SafetyReason::level);
    if (static_cast<size_t>(same) >= kMaxJudged) {
      ++verdict_.more_reasons;
      return;
    }
    verdict_.reasons.push_back({level, offset, std::move(text)});
  }

  void say(Safety level, std::string text) {
    say_at(level,
           at_->offset,
           fmt::format("{} ({})", text, opcode_name(at_->opcode)));
  }

  void look_at(const PickleEvent& event) {
    switch (event.kind) {
      case Event::import:
        look_at_import(at(event.value));
        break;
      case Event::call:
        call(event.value, event.argument);
        break;
      case Event::build:
        build(event.value, event.argument);
        break;
      case Event::extension:
        say(Safety::unsafe,
            fmt::format("imports by the number {} of copyreg's registry: it "
                        "may be anything",
                        at(event.value).integer));
        break;
      case Event::persistent:
        persistent(event.value);
        break;
      case Event::append:
        append(event.value, event.argument);
        break;
    }
  }

  void look_at_import(const PickleValue& global) {
    auto name = global_name(global);
    auto [entry, fresh] = imports_.try_emplace(name);
    if (!fresh) {
      return;
    }
    entry->second = {name, global.offset, false};
    auto trust = trust_of(global.module, global.text);
    if (trust == Trust::dangerous) {
      say(Safety::unsafe, "imports " + name);
    } else if (trust == Trust::unknown) {
      say(Safety::undecided, "imports " + name + ", which is not known");
    }
  }

  void call(PickleRef callee, PickleRef arguments) {
    const auto& target = at(callee);
    if (target.kind != Kind::global) {
      if (target.kind != Kind::extension) {
        say(Safety::unsafe,
            "calls what it made itself: " + describe(pickle_, callee));
      }
      return;
    }
    imports_[global_name(target)].called = true;
    auto text = [&] {
      return "calls " + global_name(target) +
             (at(arguments).kind == Kind::tuple ? describe(pickle_, arguments)
                                                : "(...)");
    };
    switch (trust_of(target.module, target.text)) {
      case Trust::dangerous:
        say(Safety::unsafe, text());
        break;
      case Trust::unknown:
        say(Safety::undecided, text());
        break;
      case Trust::value:
        say(Safety::undecided, text() + ", which is a type or value");
        break;
      case Trust::guarded:
        guarded(target, arguments, text());
        break;
      case Trust::data:
        if (rebuilds_tensor(target.module, target.text)) {
          rebuild(target.text, at(arguments).items);
        }
        break;
    }
  }

  bool is_text(const Items& items, size_t i) const {
    return i < items.size() && at(items[i]).kind == Kind::text;
  }

  bool is_global(const Items& items, size_t i) const {
    return i < items.size() && at(items[i]).kind == Kind::global;
  }

  Trust trust(PickleRef ref) const {
    return trust_of(at(ref).module, at(ref).text);
  }

  // Calls that are harmless with what picklers pass, and not with all else.
  void guarded(const PickleValue& target,
               PickleRef arguments,
               const std::string& text) {
    const auto& items = at(arguments).items;
    auto name = target.text;
    if (name == "getattr") {
      attribute(items, text);
    } else if (name == "_load_from_bytes") {
      load_bytes(items, text);
    } else if (name == "_rebuild_from_type" ||
               name == "_rebuild_from_type_v2") {
      rebuild_type(items, text);
    } else if (name == "__newobj__" || name == "_reconstructor") {
      bool known = is_global(items, 0) && trust(items[0]) != Trust::dangerous;
      if (!known) {
        say(Safety::unsafe, text);
      } else if (trust(items[0]) != Trust::data) {
        say(Safety::undecided, text);
      }
    } else if (name == "encode") {
      bool latin =
          items.size() == 2 && is_text(items, 0) && is_text(items, 1) &&
          (at(items[1]).text == "latin1" || at(items[1]).text == "latin-1");
      if (!latin) {
        say(Safety::undecided, text);
      }
    } else if (name == "_reconstruct") {
      reconstruct(items, text);
    } else {
      copies(items, text);
    }
  }

  // list(range(10**12)), bytes(10**12): a few bytes that ask for memory.
  void copies(const Items& items, const std::string& text) {
    for (auto item : items) {
      auto kind = at(item).kind;
      std::string ignored;
      if (kind == Kind::integer || kind == Kind::big_integer ||
          (kind == Kind::object && !bytes_of(pickle_, item, ignored))) {
        say(Safety::undecided, text);
        return;
      }
    }
  }

  void reconstruct(const Items& items, const std::string& text) {
    bool plain =
        items.size() == 3 && is_global(items, 0) &&
        at(items[1]).kind == Kind::tuple &&
        std::ranges::all_of(at(items[1]).items, [&](PickleRef size) {
          return at(size).kind == Kind::integer && at(size).integer == 0;
        });
    if (!plain) {
      say(Safety::undecided, text);
    }
  }

  // CPython 3.11 pickles members of an enumeration so.
  void attribute(const Items& items, const std::string& text) {
    bool member = items.size() == 2 && is_global(items, 0) &&
                  trust(items[0]) == Trust::unknown && is_text(items, 1) &&
                  !at(items[1]).text.starts_with('_');
    say(member ? Safety::undecided : Safety::unsafe, text);
  }

  void load_bytes(const Items& items, const std::string& text) {
    std::string bytes;
    if (items.size() != 1 || !bytes_of(pickle_, items[0], bytes) ||
        !scene_.nested) {
      say(Safety::unsafe, text);
      return;
    }
    auto inner = scene_.nested(bytes);
    if (inner != Safety::safe) {
      say(inner, fmt::format("{}: what it loads is {}", text, name(inner)));
    }
  }

  // _rebuild_from_type_v2(function, type, arguments, state).
  void rebuild_type(const Items& items, const std::string& text) {
    bool plain = is_global(items, 0) &&
                 rebuilds_tensor(at(items[0]).module, at(items[0]).text);
    bool known = is_global(items, 1) && (trust(items[1]) == Trust::value ||
                                         trust(items[1]) == Trust::data);
    if (!plain) {
      say(Safety::unsafe, text);
    } else if (!known) {
      say(Safety::undecided, text);
    }
    if (items.size() > 3) {
      attributes(items[3], text);
    }
  }

  void rebuild(std::string_view function, const Items& items) {
    if (function == "_rebuild_parameter_with_state" && items.size() > 3) {
      attributes(items[3], std::string(function));
    }
  }

  // Attributes by state: a dict, or (dict or None, dict) of which the second
  // is set one by one.
  void attributes(PickleRef state, const std::string& on) {
    const auto& value = at(state);
    if (value.kind == Kind::tuple) {
      for (auto part : value.items) {
        if (at(part).kind == Kind::dict) {
          names(part, on);
        }
      }
    } else if (value.kind == Kind::dict) {
      names(state, on);
    }
  }

  void names(PickleRef dict, const std::string& on) {
    const auto& items = at(dict).items;
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      const auto& key = at(items[i]);
      if (key.kind == Kind::text && key.text.starts_with("__")) {
        say(Safety::unsafe, fmt::format("sets {} of {}", quote(key.text), on));
      }
    }
  }

  void build(PickleRef target, PickleRef state) {
    const auto& value = at(target);
    switch (value.kind) {
      case Kind::object:
        break;
      case Kind::global:
      case Kind::extension:
      case Kind::persistent:
        say(Safety::unsafe,
            fmt::format("changes {}, which it did not make: {}",
                        describe(pickle_, target),
                        describe(pickle_, state)));
        return;
      default:
        say(Safety::undecided, "gives a state to a plain value");
        return;
    }
    const auto& callee = at(value.items[0]);
    if (callee.kind != Kind::global) {
      return;  // told where it is called
    }
    attributes(state, global_name(callee));
    bool takes_any =
        callee.module.starts_with("numpy") || callee.module == "torch.storage";
    auto kind = at(state).kind;
    if (!takes_any && trust(value.items[0]) == Trust::data &&
        kind != Kind::dict && kind != Kind::tuple) {
      say(Safety::undecided,
          "gives a state that is no dict to " + global_name(callee));
    }
  }

  void append(PickleRef target, PickleRef items) {
    const auto& value = at(target);
    if (value.kind != Kind::object) {
      say(Safety::unsafe,
          fmt::format("puts items into {}, which it did not make: {}",
                      describe(pickle_, target),
                      describe(pickle_, items)));
      return;
    }
    const auto& callee = at(value.items[0]);
    if (callee.kind != Kind::global) {
      return;
    }
    bool entries =
        takes_entries(callee.module, callee.text) ||
        (at(items).kind == Kind::list && callee.module == "collections");
    if (trust(value.items[0]) != Trust::unknown && !entries &&
        callee.text != "_reconstructor" && callee.text != "__newobj__") {
      say(Safety::undecided, "puts items into " + global_name(callee));
    }
  }

  // ('storage', type, key, location, count [, view]).
  void persistent(PickleRef id) {
    const auto& value = at(id);
    const auto& items = value.items;
    if (!scene_.has_storages) {
      say(Safety::undecided,
          "a persistent id, which only the program that wrote it knows: " +
              describe(pickle_, id));
      return;
    }
    bool storage = value.kind == Kind::tuple && items.size() >= 5 &&
                   at(items[0]).text == "storage" && is_global(items, 1) &&
                   is_storage_type(at(items[1]).module, at(items[1]).text);
    bool number = value.kind == Kind::text || value.kind == Kind::integer;
    if (!storage && !number) {
      say(Safety::undecided,
          "a persistent id that is no storage: " + describe(pickle_, id));
    }
  }

  void look_at_whole() {
    if (!pickle_.complete) {
      // What came before is judged; what would come after is not known.
      say_at(
          Safety::undecided, pickle_.end, "it breaks off: " + pickle_.problem);
    }
    // A pickler numbers the memo in order, at two bytes an entry and more.
    if (pickle_.memo_highest > pickle_.end) {
      say_at(Safety::unsafe,
             0,
             fmt::format("a memo of {} places for {} entries (memory bomb)",
                         pickle_.memo_highest + 1,
                         pickle_.memo_used));
    }
    auto size = expanded_size();
    if (size > kMaxExpanded && size / kMaxGrowth > pickle_.values.size()) {
      say_at(Safety::unsafe,
             0,
             fmt::format("{} values that stand for more than {} (billion "
                         "laughs)",
                         pickle_.values.size(),
                         kMaxExpanded));
    }
  }

  // Values counted as often as they are referred to, from the leaves up; a
  // cycle counts once. Without recursion: a pickle may nest at will.
  uint64_t expanded_size() const {
    if (!pickle_.complete) {
      return 0;
    }
    std::vector<uint64_t> sizes(pickle_.values.size(), 0);
    std::vector<std::pair<PickleRef, size_t>> path = {{pickle_.root, 0}};
    sizes[pickle_.root] = 1;
    while (!path.empty()) {
      auto [ref, next] = path.back();
      const auto& items = at(ref).items;
      bool puts = at(ref).kind == Kind::object && at(ref).integer != 0;
      if (next < items.size() + (puts ? 1 : 0)) {
        ++path.back().second;
        auto child = next < items.size()
                         ? items[next]
                         : static_cast<PickleRef>(at(ref).integer);
        if (sizes[child] == 0) {
          sizes[child] = 1;
          path.emplace_back(child, 0);
        } else {
          add(sizes[ref], sizes[child]);
        }
        continue;
      }
      path.pop_back();
      if (!path.empty()) {
        add(sizes[path.back().first], sizes[ref]);
      }
    }
    return sizes[pickle_.root];
  }

  static void add(uint64_t& sum, uint64_t more) {
    sum = std::min(sum + std::min(more, kMaxExpanded), 2 * kMaxExpanded);
  }

  // A pickle in a bytes literal is loaded by nobody here, and is there for
  // something.
  void look_at_literals() {
    if (!scene_.nested) {
      return;
    }
    for (const auto& value : pickle_.values) {
      if (value.kind == Kind::bytes && begins_pickle(value.text) &&
          scene_.nested(value.text) == Safety::unsafe) {
        say_at(Safety::unsafe, value.offset, "holds an unsafe pickle as bytes");
      }
    }
  }

  static constexpr uint64_t kMaxExpanded = 100'000'000;
  static constexpr uint64_t kMaxGrowth = 100;

  const Pickle& pickle_;
  const PickleScene& scene_;
  const PickleEvent* at_ = nullptr;
  std::map<std::string, PickleImport> imports_;
  PickleVerdict verdict_;
};

}  // namespace

std::string_view name(Safety safety) {
  switch (safety) {
    case Safety::safe:
      return "safe";
    case Safety::undecided:
      return "could not decide";
    case Safety::unsafe:
      return "unsafe";
  }
  return "";
}

PickleVerdict judge_pickle(const Pickle& pickle, const PickleScene& scene) {
  return Judge(pickle, scene).look();
}

}  // namespace assay
