#include "assay/mcp/stdio.h"

#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "assay/core/finding.h"
#include "assay/mcp/envelope.h"
#include "assay/mcp/worker.h"

namespace assay::mcp {
namespace {

constexpr size_t kMaxLine = 16u << 20;

/** One line; `whole` is false where it was longer than allowed, and then it is
 * passed over. False at the end of the input. */
bool read_line(std::istream& input, std::string& line, bool& whole) {
  line.clear();
  whole = true;
  auto* buffer = input.rdbuf();
  bool any = false;
  for (int c = buffer->sbumpc(); c != std::istream::traits_type::eof();
       c = buffer->sbumpc()) {
    any = true;
    if (c == '\n') {
      return true;
    }
    if (line.size() < kMaxLine) {
      line.push_back(static_cast<char>(c));
    } else {
      whole = false;
    }
  }
  return any;
}

class StdioSession {
 public:
  StdioSession(Server& server, std::ostream& output)
      : server_(server), output_(output) {}

  void take(const std::string& line, bool whole) {
    std::optional<Json> id;
    try {
      if (!whole) {
        throw ProtocolError(kInvalidRequest, "the message is too long");
      }
      auto message = parse_json(line, "message");
      if (message.is_object() && !message.contains("method") &&
          message.contains("id")) {
        server_.deliver(message);
        return;
      }
      auto request = read_request(message);
      if (!request.id.is_null()) {
        id = request.id;
      }
      take(std::move(request));
    } catch (const ProtocolError& error) {
      write(error_response(id, error.code(), error.what(), error.data()));
    } catch (const Error& error) {
      write(error_response(id, kParseError, error.what()));
    }
  }

 private:
  void take(Request request) {
    if (request.id.is_null()) {
      if (request.method == "notifications/cancelled") {
        std::scoped_lock lock(mutex_);
        cancelled_.insert(request.params.value("requestId", Json()).dump());
      }
      return;
    }
    open_on_stdio(request, opened_);
    opened_ = opened_ || request.method == "initialize";
    auto key = request.id.dump();
    request.send = [this, key](const Json& message) {
      if (!is_cancelled(key)) {
        write(message);
      }
    };
    request.cancelled = [this, key] { return is_cancelled(key); };
    if (request.era == Era::legacy) {
      server_.let_ask(request);
    }
    if (request.method == "subscriptions/listen" &&
        request.era == Era::modern) {
      request.send(acknowledgement(request, server_.definition()));
      return;  // it stays open until it is cancelled
    }
    auto shared = std::make_shared<Request>(std::move(request));
    bool taken = worker_.run([this, shared, key] {
      auto reply = server_.answer(*shared);
      if (!is_cancelled(key)) {
        write(reply.body);
      }
    });
    if (!taken) {
      throw ProtocolError(kInternalError, "too many requests are waiting");
    }
  }

  bool is_cancelled(const std::string& key) {
    std::scoped_lock lock(mutex_);
    return cancelled_.contains(key);
  }

  void write(const Json& message) {
    auto text = message.dump(-1, ' ', false, Json::error_handler_t::replace);
    std::scoped_lock lock(mutex_);
    output_ << text << '\n' << std::flush;
  }

  Server& server_;
  std::ostream& output_;
  std::mutex mutex_;
  std::set<std::string> cancelled_;
  bool opened_ = false;  ///< a legacy client shook hands
  Worker worker_;        ///< last: it ends first
};

}  // namespace

void serve_stdio(Server& server, std::istream& input, std::ostream& output) {
  StdioSession session(server, output);
  std::string line;
  bool whole = true;
  while (read_line(input, line, whole)) {
    if (line.find_first_not_of(" \t\r") != std::string::npos || !whole) {
      session.take(line, whole);
    }
  }
}

}  // namespace assay::mcp
