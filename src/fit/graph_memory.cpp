#include "assay/fit/graph_memory.h"

#include <algorithm>
#include <array>
#include <deque>
#include <iterator>
#include <string_view>
#include <unordered_map>

#include <mlx/primitives.h>

namespace assay {
namespace mx = mlx::core;
using mx::array;

namespace {

template <size_t N>
bool any_of(const std::array<std::string_view, N>& names,
            std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// What shares its input's memory. A slice is written in place where its input
// (a cache) is needed by nobody else.
constexpr std::array<std::string_view, 18> kViews = {"AsStrided",
                                                     "Broadcast",
                                                     "BroadcastAxes",
                                                     "Copy",
                                                     "CustomTransforms",
                                                     "Depends",
                                                     "DynamicSliceUpdate",
                                                     "ExpandDims",
                                                     "Flatten",
                                                     "Slice",
                                                     "SliceUpdate",
                                                     "Split",
                                                     "Squeeze",
                                                     "StopGradient",
                                                     "Transpose",
                                                     "Unflatten",
                                                     "View",
                                                     "Contiguous"};

// What never writes over an input.
constexpr std::array<std::string_view, 20> kNoReuse = {
    "AddMM",           "ArgPartition", "ArgReduce", "ArgSort",
    "BlockMaskedMM",   "Concatenate",  "Embed",     "Gather",
    "GatherAxis",      "GatherLinear", "GatherMM",  "GatherQMM",
    "Linear",          "Matmul",       "Pad",       "Partition",
    "QuantizedMatmul", "Reduce",       "Scan",      "Sort"};

std::string_view name_of(const array& x) {
  return x.primitive().name();
}

bool is_view(const array& x) {
  auto name = name_of(x);
  if (name == "Reshape") {  // of a transposed array it is a copy
    const auto& input = x.inputs().front();
    return !input.has_primitive() || name_of(input) != "Transpose";
  }
  return any_of(kViews, name) && !x.inputs().empty();
}

class Walk {
 public:
  Walk(const Leaves& leaves, int lag) : leaves_(leaves), lag_(lag) {}

  uint64_t run(const std::vector<array>& outputs) {
    for (const auto& output : outputs) {
      visit(output);
    }
    for (const auto& output : outputs) {
      uses_[root(output)] += 1;  // the caller keeps it
    }
    for (const auto& step : order_) {
      for (const auto& input : step.inputs()) {
        uses_[root(input)] += 1;
      }
    }
    for (const auto& step : order_) {
      compute(step);
    }
    return peak_;
  }

 private:
  bool is_leaf(const array& x) const {
    return !x.has_primitive() || leaves_.contains(x.id());
  }

  // The array that owns the memory of x.
  std::uintptr_t root(const array& x) const {
    auto entry = roots_.find(x.id());
    return entry == roots_.end() ? x.id() : entry->second;
  }

  // Inputs first, each once; without recursion, for graphs are deep.
  void visit(const array& output) {
    std::vector<std::pair<array, size_t>> stack{{output, 0}};
    while (!stack.empty()) {
      auto& [x, next] = stack.back();
      if (is_leaf(x) || (next == 0 && seen_.contains(x.id()))) {
        stack.pop_back();
        continue;
      }
      if (next < x.inputs().size()) {
        auto input = x.inputs()[next++];
        stack.emplace_back(std::move(input), 0);
        continue;
      }
      auto done = x;
      stack.pop_back();
      if (seen_.contains(done.id())) {
        continue;
      }
      for (const auto& one : done.outputs()) {
        seen_.insert(one.id());
        if (is_view(done)) {
          roots_[one.id()] = root(done.inputs().front());
        }
      }
      order_.push_back(std::move(done));
    }
  }

  void compute(const array& x) {
    uint64_t needed = 0;
    if (!is_view(x)) {
      for (const auto& output : x.outputs()) {
        uint64_t bytes = output.nbytes();
        if (!take_over(x, output.id(), bytes)) {
          sizes_[output.id()] = bytes;
          needed += bytes;
        }
      }
    }
    alive_ += needed;
    peak_ = std::max(peak_, alive_);
    std::vector<std::uintptr_t> freed;
    for (const auto& input : x.inputs()) {
      auto owner = root(input);
      if (--uses_[owner] == 0) {
        freed.push_back(owner);
      }
    }
    for (const auto& output : x.outputs()) {
      if (uses_[root(output)] == 0) {
        freed.push_back(root(output));
      }
    }
    if (is_view(x) && !pending_.empty()) {  // nothing is queued for a view
      std::ranges::move(freed, std::back_inserter(pending_.back()));
      return;
    }
    pending_.push_back(std::move(freed));
    while (pending_.size() > static_cast<size_t>(lag_)) {
      for (auto owner : pending_.front()) {
        release(owner);
      }
      pending_.pop_front();
    }
  }

  // True if the output may be written over an input that dies here.
  bool take_over(const array& x, std::uintptr_t output, uint64_t bytes) {
    if (any_of(kNoReuse, name_of(x))) {
      return false;
    }
    for (const auto& input : x.inputs()) {
      auto owner = root(input);
      auto size = sizes_.find(owner);
      if (size != sizes_.end() && size->second == bytes &&
          input.nbytes() == bytes && uses_[owner] == 1) {
        sizes_[output] = bytes;
        sizes_.erase(size);
        return true;
      }
    }
    return false;
  }

  void release(std::uintptr_t owner) {
    auto size = sizes_.find(owner);
    if (size != sizes_.end()) {
      alive_ -= size->second;
      sizes_.erase(size);
    }
  }

  const Leaves& leaves_;
  int lag_;
  std::vector<array> order_;
  std::unordered_set<std::uintptr_t> seen_;
  std::unordered_map<std::uintptr_t, std::uintptr_t> roots_;
  std::unordered_map<std::uintptr_t, int> uses_;
  std::unordered_map<std::uintptr_t, uint64_t> sizes_;  ///< of those alive
  std::deque<std::vector<std::uintptr_t>> pending_;
  uint64_t alive_ = 0, peak_ = 0;
};

}  // namespace

uint64_t graph_peak_bytes(const std::vector<array>& outputs,
                          const Leaves& leaves,
                          int lag) {
  return Walk(leaves, lag).run(outputs);
}

}  // namespace assay
