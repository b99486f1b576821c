#include "assay/formats/torch_walk.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "assay/core/finding.h"

namespace assay {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxVisits = 4u << 20;
constexpr size_t kMaxWalk = 64;

/** Under which trainers keep the model, the likeliest first. */
constexpr std::array<std::string_view, 10> kModelKeys = {"state_dict",
                                                         "model_state_dict",
                                                         "model_state",
                                                         "model",
                                                         "module",
                                                         "params_ema",
                                                         "params",
                                                         "network",
                                                         "net",
                                                         "weights"};

using Path = std::vector<std::string>;

struct Found {
  Path path;
  PickleRef ref = 0;
};

class Walker {
 public:
  Walker(const Pickle& pickle,
         const std::function<bool(PickleRef)>& is_tensor,
         std::string_view where)
      : pickle_(pickle), is_tensor_(is_tensor), where_(where) {}

  std::vector<Found> walk() {
    parts_.push_back({0, 0, ""});
    open_.push_back({pickle_.root, 0});
    while (!open_.empty()) {
      auto [ref, part] = open_.back();
      open_.pop_back();
      if (++visits_ > kMaxVisits || parts_[part].depth > kMaxWalk) {
        fail("torch.malformed",
             std::string(where_),
             fmt::format("at most {} values, {} deep", kMaxVisits, kMaxWalk),
             "more: the values refer to each other");
      }
      if (is_tensor_(ref)) {
        found_.push_back({path_of(part), ref});
      } else {
        auto first = open_.size();
        visit(ref, part);
        // The last one opened is looked at first: keep their order.
        std::reverse(open_.begin() + static_cast<std::ptrdiff_t>(first),
                     open_.end());
      }
    }
    return std::move(found_);
  }

 private:
  /** A key, below another. */
  struct Part {
    size_t parent;
    size_t depth;
    std::string text;
    bool named = true;
  };
  struct Open {
    PickleRef ref;
    size_t part;
  };

  const PickleValue& at(PickleRef ref) const { return pickle_.at(ref); }

  Path path_of(size_t part) const {
    Path path;
    for (; part != 0; part = parts_[part].parent) {
      if (parts_[part].named) {
        path.push_back(parts_[part].text);
      }
    }
    std::ranges::reverse(path);
    return path;
  }

  void open(PickleRef ref, size_t parent, std::string text, bool named) {
    switch (at(ref).kind) {
      case Kind::dict:
      case Kind::list:
      case Kind::tuple:
      case Kind::object:
      case Kind::persistent:
        break;
      default:
        return;
    }
    parts_.push_back(
        {parent, parts_[parent].depth + 1, std::move(text), named});
    open_.push_back({ref, parts_.size() - 1});
  }

  std::string key_of(PickleRef ref) const {
    const auto& key = at(ref);
    return key.kind == Kind::integer ? fmt::format("{}", key.integer)
                                     : std::string(key.text);
  }

  void visit(PickleRef ref, size_t part) {
    const auto& value = at(ref);
    switch (value.kind) {
      case Kind::dict:
        entries(value.items, part);
        break;
      case Kind::list:
      case Kind::tuple:
        for (size_t i = 0; i < value.items.size(); ++i) {
          open(value.items[i], part, fmt::format("{}", i), true);
        }
        break;
      case Kind::object:
        object(value, part);
        break;
      default:
        break;
    }
  }

  void entries(const std::vector<PickleRef>& items, size_t part) {
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      open(items[i + 1], part, key_of(items[i]), true);
    }
  }

  void object(const PickleValue& value, size_t part) {
    if (value.integer != 0) {
      visit(static_cast<PickleRef>(value.integer), part);
    }
    pairs(at(value.items[1]).items, part);
    for (size_t i = 2; i < value.items.size(); ++i) {
      if (at(value.items[i]).kind == Kind::dict) {
        state(at(value.items[i]).items, part);
      }
    }
  }

  // Python 2's OrderedDict([[key, value], ...]).
  void pairs(const std::vector<PickleRef>& arguments, size_t part) {
    if (arguments.size() != 1 || at(arguments[0]).kind != Kind::list) {
      return;
    }
    for (auto ref : at(arguments[0]).items) {
      const auto& pair = at(ref).items;
      if (pair.size() == 2) {
        open(pair[1], part, key_of(pair[0]), true);
      }
    }
  }

  // A module keeps its parts in three dictionaries that its state dict's
  // names do not show.
  void state(const std::vector<PickleRef>& items, size_t part) {
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      auto key = key_of(items[i]);
      bool own = key == "_parameters" || key == "_buffers" || key == "_modules";
      open(items[i + 1], part, std::move(key), !own);
    }
  }

  const Pickle& pickle_;
  const std::function<bool(PickleRef)>& is_tensor_;
  std::string_view where_;
  std::vector<Part> parts_;
  std::vector<Open> open_;
  std::vector<Found> found_;
  size_t visits_ = 0;
};

bool below(const Path& path, const Path& prefix) {
  return path.size() > prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), path.begin());
}

// The next key on the way to the model; empty where tensors lie right here,
// or none of the keys leads on.
std::string next_key(const std::vector<Found>& all, const Path& prefix) {
  auto depth = prefix.size();
  bool here = std::ranges::any_of(all, [&](const Found& found) {
    return below(found.path, prefix) && found.path.size() == depth + 1;
  });
  for (auto key : kModelKeys) {
    bool leads = std::ranges::any_of(all, [&](const Found& found) {
      return below(found.path, prefix) && found.path[depth] == key &&
             found.path.size() > depth + 1;
    });
    if (leads && !here) {
      return std::string(key);
    }
  }
  return "";
}

}  // namespace

TorchWalk walk_torch(const Pickle& pickle,
                     const std::function<bool(PickleRef)>& is_tensor,
                     std::string_view where) {
  auto all = Walker(pickle, is_tensor, where).walk();
  Path prefix;
  for (auto key = next_key(all, prefix); !key.empty();
       key = next_key(all, prefix)) {
    prefix.push_back(std::move(key));
  }
  TorchWalk walk;
  walk.prefix = fmt::format("{}", fmt::join(prefix, "."));
  for (const auto& found : all) {
    bool own = below(found.path, prefix);
    Path path(found.path.begin() +
                  static_cast<std::ptrdiff_t>(own ? prefix.size() : 0),
              found.path.end());
    (own || all.size() == 1 ? walk.tensors : walk.others)
        .push_back({fmt::format("{}", fmt::join(path, ".")), found.ref});
  }
  return walk;
}

}  // namespace assay
