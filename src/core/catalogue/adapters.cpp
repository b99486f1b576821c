// Entries of the catalogue: LoRA and its kin.

#include <array>

#include "assay/core/catalogue/parts.h"

namespace assay::catalogue_parts {
namespace {

using enum Severity;

constexpr std::array kAdaptersEntries = {
    CatalogueEntry{
        "adapter.alpha",
        warning,
        "An alpha by which the adapter does nothing, or is no number",
        "It was overwritten, or is of another adapter.",
        "Set alpha as in training; with 0 the adapter has no effect."},
    CatalogueEntry{"adapter.alpha-absent",
                   note,
                   "The adapter stores no alpha",
                   "Programs then take alpha to be the rank, a scale of 1.",
                   "Check that it was trained so."},
    CatalogueEntry{"adapter.base-shape",
                   error,
                   "An adapter's widths are not those of the base's module",
                   "The adapter is for a model of another size.",
                   "Use the base that the adapter was trained on."},
    CatalogueEntry{"adapter.base-target",
                   error,
                   "The base has no module of that name",
                   "The adapter is for another model: other names, or more "
                   "layers than the base has.",
                   "Use the base that the adapter was trained on "
                   "(base_model_name_or_path, ss_sd_model_name)."},
    CatalogueEntry{
        "adapter.config-missing",
        error,
        "An adapter's weights have no adapter_config.json",
        "Only the weights were copied. PEFT and mlx-lm take rank, "
        "scale and targets from the config.",
        "Take adapter_config.json from where the weights came from."},
    CatalogueEntry{
        "adapter.dora",
        error,
        "DoRA's magnitudes do not agree with the config or the pair",
        "use_dora was edited, or magnitudes were dropped in a "
        "conversion.",
        "Set use_dora as trained, and keep a magnitude for each pair."},
    CatalogueEntry{
        "adapter.dtype",
        warning,
        "Factors are stored in a type in which adapters do not "
        "compute",
        "A conversion of a whole folder took the adapter along, or a "
        "tool cut the types.",
        "Save the adapter in float32, bfloat16 or float16."},
    CatalogueEntry{"adapter.incomplete",
                   error,
                   "Half of a low-rank pair is missing",
                   "The file was cut, merged or filtered by names.",
                   "Save or download the adapter again: both A and B of each "
                   "module are needed."},
    CatalogueEntry{"adapter.invalid-value",
                   error,
                   "A setting of the adapter that its library refuses",
                   "The config was edited, or is another library's.",
                   "Correct the field as the message says, or take the config "
                   "that was saved with the weights."},
    CatalogueEntry{"adapter.metadata",
                   warning,
                   "Training metadata and tensors disagree",
                   "Metadata was copied from another file, or the adapter was "
                   "resized without noting it.",
                   "Trust the tensors; correct ss_network_dim if a tool relies "
                   "on it."},
    CatalogueEntry{"adapter.method",
                   note,
                   "The adapter is not a LoRA",
                   "Its kind is named; shapes of its parts are not checked.",
                   "Nothing, if the program that loads it knows the kind."},
    CatalogueEntry{
        "adapter.mixed-ranks",
        note,
        "Modules have different ranks",
        "Usual for resized adapters and those with their own rank for "
        "convolutions.",
        "Nothing, if the program that loads it reads ranks from the "
        "tensors."},
    CatalogueEntry{"adapter.no-weights",
                   error,
                   "An adapter's folder has no weights",
                   "The download ended early, or only the settings were saved.",
                   "Download adapter_model.safetensors (PEFT) or "
                   "adapters.safetensors (mlx-lm)."},
    CatalogueEntry{
        "adapter.other-tensors",
        warning,
        "Tensors that belong to no part of the adapter",
        "Left over from training, or saved whole without being listed "
        "in modules_to_save. PEFT writes a tensor that the base has too into "
        "the base, where it stays when the adapter is switched off; what the "
        "base has not is passed over in silence.",
        "List them in modules_to_save if they were trained; otherwise "
        "remove them."},
    CatalogueEntry{
        "adapter.pattern-unread",
        note,
        "A regular expression names the modules in a way not read here",
        "It looks around or refers back, which takes an engine without "
        "bounds. The modules it names were not held against the tensors.",
        "Nothing; list the modules to have them checked."},
    CatalogueEntry{
        "adapter.rank-config",
        error,
        "The rank of the config is not that of the tensors",
        "The config is another adapter's, or rank_pattern is missing. "
        "PEFT then stops with a size mismatch; the scale alpha / r "
        "would be wrong too.",
        "Set r (or rank_pattern) to the rank that the tensors show, "
        "and keep alpha / r as it was in training."},
    CatalogueEntry{
        "adapter.rank-mismatch",
        error,
        "The two factors of a pair have different ranks",
        "Parts of two adapters were mixed, or a factor is transposed.",
        "Take both factors from one adapter."},
    CatalogueEntry{"adapter.scale-missing",
                   error,
                   "The config does not say how strongly the adapter applies",
                   "Settings of another library: mlx-lm needs "
                   "lora_parameters.scale (= alpha / rank), PEFT lora_alpha.",
                   "Add the field with the value of the training run."},
    CatalogueEntry{"adapter.shape",
                   error,
                   "A low-rank factor is empty or has no two dimensions",
                   "Weights that were still spread over devices (ZeRO-3, FSDP) "
                   "when they were saved.",
                   "Gather the parameters before saving; these files hold no "
                   "usable adapter."},
    CatalogueEntry{
        "adapter.target-unlisted",
        error,
        "Tensors for modules that the config does not name",
        "The config is another adapter's. Libraries pass over these "
        "tensors in silence: part of what was learned has no effect.",
        "Add the modules to target_modules (PEFT), keys or num_layers "
        "(mlx-lm), or take the config saved with the weights."},
    CatalogueEntry{"adapter.target-unused",
                   warning,
                   "A module named in the config has no tensors",
                   "The adapter was filtered, or the config is another one's. "
                   "The module runs as in the base.",
                   "Take config and weights from one place."},
    CatalogueEntry{
        "adapter.unrecognized",
        error,
        "No tensor of the file is a part of an adapter that is known",
        "The file holds something else than its name says, or is in a "
        "format of its own.",
        "Look at the names with `assay inspect`; load whole weights "
        "as a model."},
    CatalogueEntry{
        "adapter.untrained",
        warning,
        "The second factor of every pair is zero",
        "Training never changed it (it starts at zero), or the file "
        "was saved before the first step. The adapter has no effect.",
        "Train the adapter, or use the checkpoint after training."},
};

}  // namespace

std::span<const CatalogueEntry> adapters() {
  return kAdaptersEntries;
}

}  // namespace assay::catalogue_parts
