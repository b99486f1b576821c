#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/check/pipeline.h"
#include "assay/formats/quote.h"

// What every scheduler of diffusers refuses, or computes nonsense from,
// whatever model it is for.
namespace assay::rules {
namespace {

using Findings = std::vector<Finding>;

std::string schedule_field(const Component& component, std::string_view field) {
  return fmt::format("{}: {}", component.config_path.string(), field);
}

/** The texts that a setting may have: those of diffusers' schedulers all
 * together, so that a setting new to one class is no false alarm. */
struct Choice {
  std::string_view field;
  std::vector<std::string_view> allowed;
};

const std::vector<Choice>& choices() {
  static const std::vector<Choice> list = {
      {"prediction_type",
       {"epsilon", "sample", "v_prediction", "flow_prediction"}},
      {"timestep_spacing", {"linspace", "leading", "trailing"}},
      {"beta_schedule",
       {"linear",
        "scaled_linear",
        "squaredcos_cap_v2",
        "sigmoid",
        "laplace",
        "exp"}},
      {"algorithm_type",
       {"dpmsolver",
        "dpmsolver++",
        "sde-dpmsolver",
        "sde-dpmsolver++",
        "deis"}},
      {"solver_type", {"midpoint", "heun", "logrho", "bh1", "bh2"}},
      {"final_sigmas_type", {"zero", "sigma_min"}},
      {"variance_type",
       {"fixed_small",
        "fixed_small_log",
        "fixed_large",
        "fixed_large_log",
        "learned",
        "learned_range"}},
      {"time_shift_type", {"exponential", "linear"}},
      {"interpolation_type", {"linear", "log_linear"}},
      {"timestep_type", {"discrete", "continuous"}},
  };
  return list;
}

void texts(Findings& findings, const Component& scheduler) {
  for (const auto& choice : choices()) {
    auto value = scheduler.config.value(choice.field, Json());
    if (value.is_null()) {
      continue;
    }
    bool allowed =
        value.is_string() &&
        std::ranges::find(choice.allowed, value.get<std::string>()) !=
            choice.allowed.end();
    if (!allowed) {
      findings.push_back(make_finding(
          "scheduler.invalid-value",
          schedule_field(scheduler, choice.field),
          fmt::format("one of {}", fmt::join(choice.allowed, ", ")),
          value.is_string() ? quote(value.get<std::string>())
                            : quote(value.dump())));
    }
  }
}

void numbers(Findings& findings, const Component& scheduler) {
  auto hold = [&](std::string_view field, const char* expected, auto&& holds) {
    auto value = scheduler.config.value(field, Json());
    if (!value.is_null() && !holds(value)) {
      findings.push_back(make_finding("scheduler.invalid-value",
                                      schedule_field(scheduler, field),
                                      expected,
                                      quote(value.dump(-1, ' ', true))));
    }
  };
  auto is_number = [](const Json& value) { return value.is_number(); };
  for (std::string_view field : {"beta_start",
                                 "beta_end",
                                 "num_train_timesteps",
                                 "steps_offset",
                                 "shift",
                                 "base_shift",
                                 "max_shift",
                                 "flow_shift",
                                 "sigma_min",
                                 "sigma_max",
                                 "dynamic_thresholding_ratio",
                                 "sample_max_value",
                                 "clip_sample_range",
                                 "lambda_min_clipped"}) {
    hold(field, "a number", is_number);
  }
  hold("trained_betas", "a list of numbers", [](const Json& value) {
    return value.is_array() && std::ranges::all_of(value, [](const Json& beta) {
             return beta.is_number();
           });
  });
  hold("_class_name", "the name of a class", [](const Json& value) {
    return value.is_array() ||
           (value.is_string() && !value.get<std::string>().empty());
  });
  auto above = [](const Json& value) {
    return !value.is_number() || value.get<double>() > 0;
  };
  for (std::string_view field : {"flow_shift",
                                 "dynamic_thresholding_ratio",
                                 "sample_max_value",
                                 "clip_sample_range",
                                 "max_shift",
                                 "base_image_seq_len",
                                 "max_image_seq_len"}) {
    hold(field, "more than 0", above);
  }
  hold("steps_offset", "0 or more", [](const Json& value) {
    return !value.is_number() || value.get<double>() >= 0;
  });
  hold("solver_order", "1, 2 or 3", [](const Json& value) {
    return value == 1 || value == 2 || value == 3;
  });
  for (std::string_view field : {"use_karras_sigmas",
                                 "use_exponential_sigmas",
                                 "use_beta_sigmas",
                                 "use_lu_lambdas",
                                 "use_flow_sigmas",
                                 "use_dynamic_shifting",
                                 "set_alpha_to_one",
                                 "skip_prk_steps",
                                 "clip_sample",
                                 "thresholding",
                                 "lower_order_final",
                                 "euler_at_final",
                                 "rescale_betas_zero_snr",
                                 "invert_sigmas",
                                 "stochastic_sampling"}) {
    hold(field, "true or false", [](const Json& value) {
      return value.is_boolean();
    });
  }
}

// The schedulers of diffusers 0.42.
constexpr auto kSchedulers = std::to_array<std::string_view>({
    "AmusedScheduler",
    "BlockRefinementScheduler",
    "CMStochasticIterativeScheduler",
    "CogVideoXDDIMScheduler",
    "CogVideoXDPMScheduler",
    "CosineDPMSolverMultistepScheduler",
    "DDIMInverseScheduler",
    "DDIMParallelScheduler",
    "DDIMScheduler",
    "DDPMParallelScheduler",
    "DDPMScheduler",
    "DDPMWuerstchenScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepInverseScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "DiscreteDDIMScheduler",
    "EDMDPMSolverMultistepScheduler",
    "EDMEulerScheduler",
    "EntropyBoundScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "FlowMapEulerDiscreteScheduler",
    "FlowMatchEulerDiscreteScheduler",
    "FlowMatchHeunDiscreteScheduler",
    "FlowMatchLCMScheduler",
    "HeliosDMDScheduler",
    "HeliosScheduler",
    "HeunDiscreteScheduler",
    "IPNDMScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "KarrasVeScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "LTXEulerAncestralRFScheduler",
    "MiniMaxH3Scheduler",
    "PNDMScheduler",
    "PiflowScheduler",
    "RFD4ProteinaScheduler",
    "RePaintScheduler",
    "SASolverScheduler",
    "SCMScheduler",
    "ScoreSdeVeScheduler",
    "TCDScheduler",
    "UnCLIPScheduler",
    "UniPCMultistepScheduler",
    "VQDiffusionScheduler",
});

void class_is_known(Findings& findings, const Component& scheduler) {
  const auto& kind = scheduler.class_name;
  // Code of a model's own has another name altogether.
  bool other = kind.ends_with("Scheduler") && !is_scheduler_of_diffusers(kind);
  // Another part's class by itself.
  other = other || kind.ends_with("Model") || kind.ends_with("Pipeline");
  if (other) {
    findings.push_back(make_finding("scheduler.unknown-class",
                                    schedule_field(scheduler, "_class_name"),
                                    "a scheduler of diffusers",
                                    quote(kind)));
  }
}

void betas(Findings& findings, const Component& scheduler) {
  auto start = scheduler.number("beta_start");
  auto end = scheduler.number("beta_end");
  if (start && end && !(0 < *start && *start < *end && *end < 1)) {
    findings.push_back(
        make_finding("scheduler.invalid-value",
                     schedule_field(scheduler, "beta_start, beta_end"),
                     "0 < beta_start < beta_end < 1",
                     fmt::format("{} and {}", *start, *end)));
  }
  auto trained = scheduler.config.value("trained_betas", Json());
  auto steps = scheduler.number("num_train_timesteps");
  if (steps && *steps < 1) {
    findings.push_back(
        make_finding("scheduler.invalid-value",
                     schedule_field(scheduler, "num_train_timesteps"),
                     "at least 1",
                     fmt::format("{}", *steps)));
  } else if (steps && trained.is_array() &&
             static_cast<double>(trained.size()) != *steps) {
    findings.push_back(
        make_finding("scheduler.invalid-value",
                     schedule_field(scheduler, "trained_betas"),
                     fmt::format("{}, the num_train_timesteps", *steps),
                     fmt::format("{}", trained.size())));
  }
}

// diffusers raises where two of these are asked for.
void sigmas(Findings& findings, const Component& scheduler) {
  std::vector<std::string_view> chosen;
  for (std::string_view field :
       {"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"}) {
    if (scheduler.config.value(field, Json()) == true) {
      chosen.push_back(field);
    }
  }
  if (chosen.size() > 1) {
    findings.push_back(
        make_finding("scheduler.invalid-value",
                     scheduler.config_path.string(),
                     "one spacing of the sigmas",
                     fmt::format("{}", fmt::join(chosen, ", "))));
  }
}

// diffusers 0.42 raises: without the last sigma at zero, first-order steps of
// the older algorithms divide by it.
void last_sigma(Findings& findings, const Component& scheduler) {
  auto algorithm = scheduler.config.value("algorithm_type", Json());
  auto last = scheduler.config.value("final_sigmas_type", Json("zero"));
  bool multistep = scheduler.class_name.starts_with("DPMSolverMultistep") ||
                   scheduler.class_name.starts_with("DPMSolverSinglestep");
  if (multistep && last == "zero" &&
      (algorithm == "dpmsolver" || algorithm == "sde-dpmsolver")) {
    findings.push_back(make_finding(
        "scheduler.invalid-value",
        schedule_field(scheduler, "final_sigmas_type"),
        fmt::format("sigma_min, with {}", algorithm.get<std::string>()),
        "zero"));
  }
}

void shifts(Findings& findings, const Component& scheduler) {
  auto shift = scheduler.number("shift");
  if (shift && *shift <= 0) {
    findings.push_back(make_finding("scheduler.invalid-value",
                                    schedule_field(scheduler, "shift"),
                                    "more than 0",
                                    fmt::format("{}", *shift)));
  }
  auto base = scheduler.number("base_shift");
  auto most = scheduler.number("max_shift");
  if (base && most && *base > *most) {
    findings.push_back(make_finding("scheduler.invalid-value",
                                    schedule_field(scheduler, "base_shift"),
                                    fmt::format("at most {}, max_shift", *most),
                                    fmt::format("{}", *base)));
  }
}

}  // namespace

bool is_scheduler_of_diffusers(std::string_view class_name) {
  return std::ranges::find(kSchedulers, class_name) != kSchedulers.end();
}

std::vector<Finding> schedule_values(const Component& scheduler) {
  Findings findings;
  if (scheduler.config.is_object()) {
    class_is_known(findings, scheduler);
    texts(findings, scheduler);
    numbers(findings, scheduler);
    betas(findings, scheduler);
    sigmas(findings, scheduler);
    shifts(findings, scheduler);
    last_sigma(findings, scheduler);
  }
  return findings;
}

}  // namespace assay::rules
