#include <filesystem>

#include <doctest/doctest.h>

#include "assay/core/file.h"
#include "assay/mcp/assay_server.h"
#include "assay/project/results.h"

#include "support.h"

using namespace assay;
using namespace assay::mcp;
using namespace assay::mcp::test;
namespace fs = std::filesystem;

namespace {

Json answer(Server& server, Request request, Era era = Era::modern) {
  request.era = era;
  return server.answer(request).body;
}

Json call(Server& server, const char* tool, Json arguments) {
  return answer(server,
                request("tools/call",
                        {{"name", tool}, {"arguments", std::move(arguments)}}));
}

fs::path golden(const char* name) {
  return fs::path(ASSAY_TEST_DIR) / "golden" / name;
}

}  // namespace

TEST_CASE("at most ten tools, and 5000 tokens to describe them") {
  Server server(assay_server(ASSAY_TEST_DIR));
  auto tools = answer(server, request("tools/list"))["result"]["tools"];
  CHECK(tools.size() <= 10);
  CHECK(tools.dump().size() < 5000 * 3);  // three bytes a token, at the least
  for (const auto& tool : tools) {
    CAPTURE(tool["name"].dump());
    CHECK(tool["inputSchema"]["additionalProperties"] == false);
    CHECK(tool["annotations"].contains("readOnlyHint"));
  }
}

TEST_CASE("results say what a modern client must know of them") {
  Server server(assay_server(ASSAY_TEST_DIR));
  auto list = answer(server, request("tools/list"))["result"];
  CHECK(list["resultType"] == "complete");
  CHECK(list["ttlMs"] >= 0);
  CHECK(list["_meta"][meta_key::kServer]["name"] == "assay");
  auto old = answer(server, request("tools/list"), Era::legacy)["result"];
  CHECK_FALSE(old.contains("resultType"));
}

TEST_CASE("each era has its own methods") {
  Server server(echo_server());
  CHECK(answer(server, request("ping"), Era::legacy)["result"].empty());
  CHECK(answer(server, request("ping"))["error"]["code"] == kMethodNotFound);
  CHECK(answer(server,
               request("server/discover"),
               Era::legacy)["error"]["code"] == kMethodNotFound);
  auto hello = request("initialize", {{"protocolVersion", "1999-01-01"}});
  CHECK(answer(server, hello, Era::legacy)["result"]["protocolVersion"] ==
        "2025-11-25");
}

TEST_CASE("wrong calls get answers that a model can mend them by") {
  Server server(echo_server());
  CHECK(call(server, "echo", {{"region", 7}})["result"]["isError"] == true);
  CHECK(call(server, "echo", {{"other", 7}})["result"]["isError"] == true);
  CHECK(call(server, "echo", Json::array())["result"]["isError"] == true);
  CHECK(call(server, "none", Json::object())["error"]["code"] ==
        kInvalidParams);
  CHECK(answer(server, request("tools/call"))["error"]["code"] ==
        kInvalidParams);
  CHECK(answer(server,
               request("tools/list", {{"cursor", "x"}}))["error"]["code"] ==
        kInvalidParams);
}

TEST_CASE("verbs answer as on the command line") {
  Server server(assay_server(golden("arch")));
  auto seen = call(server, "inspect", {{"model", "llama"}})["result"];
  CHECK(seen["structuredContent"]["architecture"] == "llama");
  CHECK(Json::parse(seen["content"][0]["text"].get<std::string>()) ==
        seen["structuredContent"]);
  auto absent = call(server, "inspect", {{"model", "absent"}})["result"];
  CHECK(absent["isError"] == true);
  CHECK(absent["structuredContent"]["error"]["id"] == "file.unreadable");
  auto known = call(server, "explain", {{"id", "shape.mismatch"}})["result"];
  CHECK(known["structuredContent"]["severity"] == "error");
}

TEST_CASE("documents are read within the project only") {
  auto project = fs::path(ASSAY_BUILD_DIR) / "mcp-project";
  fs::remove_all(project);
  fs::create_directories(project / "reference");
  write_text(project / "TODO.md", "# TODO\n");
  fs::create_symlink("/etc/hostname", project / "README.md");
  Server server(assay_server(project));
  auto list = answer(server, request("resources/list"))["result"]["resources"];
  REQUIRE(list.size() == 1);
  CHECK(list[0]["uri"] == "assay://project/TODO.md");
  auto read = [&](const char* uri) {
    return answer(server, request("resources/read", {{"uri", uri}}));
  };
  CHECK(read("assay://project/TODO.md")["result"]["contents"][0]["text"] ==
        "# TODO\n");
  for (const auto* uri : {"assay://project/README.md",
                          "assay://project/../TODO.md",
                          "file:///etc/hostname",
                          ""}) {
    CAPTURE(uri);
    CHECK(read(uri)["error"]["code"] == kInvalidParams);
    CHECK(read(uri)["error"]["data"]["uri"] == uri);
  }
}

TEST_CASE("the prompt of a start holds the project's own page") {
  auto project = fs::path(ASSAY_BUILD_DIR) / "mcp-prompt";
  fs::remove_all(project);
  fs::create_directories(project / "docs/decisions");
  write_text(project / "TODO.md", "- [/] Trace the drift\n");
  write_text(project / "assay.toml", "name = \"demo\"\n");
  write_text(project / "docs/decisions/0001-a.md", "# A\n");
  Server server(assay_server(project));
  auto words = [&](const char* name) {
    auto given = answer(server, request("prompts/get", {{"name", name}}));
    return given["result"]["messages"][0]["content"]["text"].get<std::string>();
  };
  auto start = words("start");
  CHECK(start.find("# demo") != std::string::npos);
  CHECK(start.find("in progress: Trace the drift") != std::string::npos);
  CHECK(words("end").find("assay session end") != std::string::npos);
  auto list = answer(server, request("resources/list"))["result"]["resources"];
  REQUIRE(list.size() == 3);
  CHECK(list[1]["mimeType"] == "application/toml");
  CHECK(list[2]["uri"] == "assay://project/docs/decisions/0001-a.md");
  // Broken settings are told, not hidden.
  write_text(project / "assay.toml", "name = 3\n");
  CHECK(words("start").find("settings.malformed") != std::string::npos);
}

TEST_CASE("what is written stays within the project") {
  auto project = fs::path(ASSAY_BUILD_DIR) / "mcp-memory";
  fs::remove_all(project);
  fs::create_directories(project);
  Server server(assay_server(project));
  auto added =
      call(server, "task", {{"action", "add"}, {"task", "Trace the drift"}});
  auto id = added["result"]["structuredContent"]["id"].get<std::string>();
  call(server, "task", {{"action", "start"}, {"task", id}});
  CHECK(read_text(project / "TODO.md").find("- [/] Trace the drift") !=
        std::string::npos);
  auto open = call(server, "task", {{"action", "list"}});
  CHECK(open["result"]["structuredContent"]["tasks"].size() == 1);
  CHECK(call(server, "task", {{"action", "done"}})["result"]["isError"] ==
        true);
  CHECK(call(server,
             "task",
             {{"action", "done"}, {"task", "no such"}})["result"]["isError"] ==
        true);
  CHECK(call(server, "task", {{"action", "rm"}})["result"]["isError"] == true);

  call(server, "learn", {{"text", "Drift comes from the head"}});
  call(server,
       "decide",
       {{"title", "Keep the head in 8 bits"},
        {"rationale", "it drifts most"},
        {"trade_off", "3% larger"},
        {"validation", "perplexity within 0.2%"}});
  auto learnings = read_text(project / "reference/LEARNINGS.md");
  CHECK(learnings.find("Drift comes from the head") != std::string::npos);
  CHECK(learnings.find("perplexity within 0.2%") != std::string::npos);
  auto listed = answer(server, request("tools/list"));
  for (const auto& tool : listed["result"]["tools"]) {
    bool writes = tool["name"] == "task" || tool["name"] == "learn" ||
                  tool["name"] == "decide";
    CHECK(tool["annotations"]["readOnlyHint"] == !writes);
  }

  // What was written is found again.
  auto found =
      call(server, "recall", {{"words", "drifts most"}, {"kind", "decision"}});
  auto hits = found["result"]["structuredContent"]["hits"];
  REQUIRE(hits.size() == 1);
  CHECK(hits[0]["file"] == "reference/LEARNINGS.md");
  CHECK(call(server, "recall", {{"words", "* -"}})["result"]["isError"] ==
        true);

  // A link out of the project is not written through.
  auto outside = fs::path(ASSAY_BUILD_DIR) / "mcp-outside.md";
  write_text(outside, "untouched\n");
  fs::remove(project / "TODO.md");
  fs::create_symlink(outside, project / "TODO.md");
  CHECK(call(server,
             "task",
             {{"action", "add"}, {"task", "x"}})["result"]["isError"] == true);
  CHECK(read_text(outside) == "untouched\n");
}

TEST_CASE("results are listed, shown, compared, and regressions named") {
  auto project = fs::path(ASSAY_BUILD_DIR) / "mcp-results";
  fs::remove_all(project);
  fs::create_directories(project);
  assay::project::Store store(project);
  assay::project::Run run;
  run.kind = "bench";
  run.model = {"m", "m", "h"};
  run.values = {{.what = "decode 64",
                 .value = 70,
                 .unit = "tokens/s",
                 .spread = 1,
                 .runs = 5,
                 .better = assay::project::Better::more}};
  assay::project::record(store, run);
  run.values[0].value = 35;
  assay::project::record(store, run);
  Server server(assay_server(project));
  auto ask = [&](Json arguments) {
    return call(server, "results", std::move(arguments))["result"];
  };
  auto figures = ask({{"action", "list"}})["structuredContent"]["figures"];
  REQUIRE(figures.size() == 2);
  CHECK(figures[1]["value"] == 35);
  CHECK(figures[1]["change"] == "worse");
  auto shown = ask({{"action", "show"}, {"run", figures[0]["id"]}});
  CHECK(shown["structuredContent"]["kind"] == "bench");
  auto compared =
      ask({{"action", "compare"}, {"run", "latest~1"}, {"other", "latest"}});
  CHECK(compared["structuredContent"]["values"][0]["ratio"] == 0.5);
  auto findings = ask({{"action", "check"}})["structuredContent"]["findings"];
  REQUIRE(findings.size() == 1);
  CHECK(findings[0]["id"] == "results.regression");
  CHECK(ask({{"action", "show"}})["isError"] == true);
  CHECK(ask({{"action", "show"}, {"run", "no such"}})["isError"] == true);
  CHECK(ask({{"action", "list"}, {"limit", 0}})["isError"] == true);
}
