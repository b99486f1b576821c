#include "assay/check/checkup.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <new>

namespace assay {
namespace {

// The steps that build graphs of MLX or evaluate them.
bool needs_mlx(std::string_view step) {
  return step == "dry forward" || step == "inference";
}

bool matters(const Finding& finding) {
  return finding.severity != Severity::note;
}

}  // namespace

Checkup::Checkup(std::filesystem::path path, const CheckOptions& options)
    : options_(options) {
  report_.path = std::move(path);
}

bool Checkup::step(const char* name, const Look& look) {
  if (!options_.on_main_thread || !needs_mlx(name)) {
    return run_step(name, look);
  }
  bool sound = false;
  std::exception_ptr failure;
  options_.on_main_thread([&] {
    try {
      sound = run_step(name, look);
    } catch (...) {
      failure = std::current_exception();
    }
  });
  if (failure) {
    std::rethrow_exception(failure);
  }
  return sound;
}

bool Checkup::run_step(const char* name, const Look& look) {
  CheckStep step{name, CheckStep::Outcome::passed, "", 0, 0};
  auto start = std::chrono::steady_clock::now();
  Findings findings;
  bool threw = true;
  try {
    findings = look(step);
    threw = false;
  } catch (const Error& error) {
    findings.push_back(error.finding());
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    findings.push_back(make_finding(
        "internal.failure", name, "a check that ends", error.what()));
  }
  std::chrono::duration<double> spent =
      std::chrono::steady_clock::now() - start;
  step.seconds = spent.count();
  bool wrong = std::ranges::any_of(findings, matters);
  if (wrong && step.outcome == CheckStep::Outcome::passed) {
    step.outcome = CheckStep::Outcome::findings;
  }
  step.findings = findings.size();
  for (auto& finding : findings) {
    if (!is_said(finding)) {
      report_.findings.push_back(std::move(finding));
    }
  }
  report_.steps.push_back(std::move(step));
  return !threw && !wrong;
}

// A document that cannot be read is met by several steps.
bool Checkup::is_said(const Finding& finding) const {
  return std::ranges::any_of(report_.findings, [&](const Finding& one) {
    return one.id == finding.id && one.where == finding.where &&
           one.expected == finding.expected && one.actual == finding.actual;
  });
}

void Checkup::skip(const char* name, std::string why) {
  report_.steps.push_back(
      {name, CheckStep::Outcome::skipped, std::move(why), 0, 0});
}

void Checkup::name_architecture(std::string name) {
  report_.architecture = std::move(name);
}

CheckReport Checkup::finish() {
  report_.verdict = Verdict::sound;
  if (std::ranges::any_of(report_.findings, matters)) {
    report_.verdict = Verdict::findings;
  } else if (undecided_) {
    report_.verdict = Verdict::undecided;
  }
  return std::move(report_);
}

}  // namespace assay
