#pragma once

// What an import by a pickle can do: a list of what is known to be harmless
// comes first, then one of what runs code, reads or writes; all else is not
// known, and a verdict says so.

#include <string_view>

namespace assay {

enum class Trust {
  value,      ///< harmless to import; never meant to be called
  data,       ///< harmless to call: makes plain data of its arguments
  guarded,    ///< harmless to call with some arguments only
  unknown,    ///< nothing is known of it
  dangerous,  ///< no checkpoint needs it, and it can do harm
};

Trust trust_of(std::string_view module, std::string_view name);

/** True for what PyTorch calls to make a tensor of a storage. */
bool rebuilds_tensor(std::string_view module, std::string_view name);

/** True for torch.FloatStorage and its kin. */
bool is_storage_type(std::string_view module, std::string_view name);

/** True for classes of dictionaries and of plain attributes, whose objects
 * take entries and attributes of any name that is not Python's own. */
bool takes_entries(std::string_view module, std::string_view name);

}  // namespace assay
