#include "assay/mcp/http.h"

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/http/http.h"
#include "assay/mcp/envelope.h"
#include "assay/mcp/worker.h"

namespace assay::mcp {
namespace {

constexpr size_t kMaxBody = 16u << 20;
constexpr size_t kConnections = 32;  // each stream holds a thread
constexpr int kMaxStreams = 16;      // of subscriptions
constexpr std::chrono::seconds kKeepAlive(10);

std::string header_text(const Json& message) {
  return message.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/** What one request sends back, from the thread that works to the thread that
 * holds the connection. */
class Outbox {
 public:
  struct Item {
    Json message;
    int status = 0;  ///< of the last one, the answer; 0 before
  };

  void push(Item item) {
    std::scoped_lock lock(mutex_);
    items_.push_back(std::move(item));
    changed_.notify_all();
  }

  /** Nothing where none came in time. */
  std::optional<Item> pop(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [&] { return !items_.empty(); });
    if (items_.empty()) {
      return std::nullopt;
    }
    auto item = std::move(items_.front());
    items_.pop_front();
    return item;
  }

  std::atomic<bool> gone = false;  ///< the client hung up

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;
};

http::Reply json_reply(const Json& body, int status) {
  return {status, "application/json", header_text(body)};
}

std::string event(const Json& message) {
  return fmt::format("event: message\ndata: {}\n\n", header_text(message));
}

http::Reply event_stream() {
  http::Reply reply;
  reply.type = "text/event-stream";
  reply.headers = {{"X-Accel-Buffering", "no"}, {"Cache-Control", "no-cache"}};
  return reply;
}

class HttpTransport {
 public:
  explicit HttpTransport(Server& server) : server_(server) {}

  http::Reply post(const http::Request& http) {
    std::optional<Json> id;
    auto era = Era::modern;
    try {
      if (!http.header("Content-Type")
               .value_or("")
               .starts_with("application/json")) {
        return json_reply(error_response(id, kInvalidRequest, "not JSON"), 415);
      }
      auto message = parse_json(http.body, "message");
      if (message.is_object() && !message.contains("method") &&
          message.contains("id")) {
        server_.deliver(message);
        return {202};
      }
      auto request = read_request(message);
      if (request.id.is_null()) {
        return {202};  // a notification; none needs anything done
      }
      id = request.id;
      open_on_http(request, server_.definition(), http.header);
      era = request.era;
      return serve(std::move(request));
    } catch (const ProtocolError& error) {
      return json_reply(
          error_response(id, error.code(), error.what(), error.data()),
          error.http_status(era));
    } catch (const Error& error) {
      return json_reply(error_response(id, kParseError, error.what()), 400);
    }
  }

 private:
  http::Reply serve(Request request) {
    if (request.era == Era::modern &&
        request.method == "subscriptions/listen") {
      return subscribe(request);
    }
    bool works = request.method == "tools/call" ||
                 request.method == "prompts/get" ||
                 request.method == "resources/read";
    if (!works) {
      auto reply = server_.answer(request);
      return json_reply(reply.body, reply.status);
    }
    auto outbox = std::make_shared<Outbox>();
    request.send = [outbox](const Json& message) {
      outbox->push({message, 0});
    };
    request.cancelled = [outbox] { return outbox->gone.load(); };
    if (request.era == Era::legacy) {
      server_.let_ask(request);
    }
    auto shared = std::make_shared<Request>(std::move(request));
    bool taken = worker_.run([this, shared, outbox] {
      auto reply = server_.answer(*shared);
      outbox->push({std::move(reply.body), reply.status});
    });
    if (!taken) {
      throw ProtocolError(kInternalError, "too many requests are waiting");
    }
    return reply_from(outbox);
  }

  // The answer alone goes as JSON; where something comes before it, as events.
  static http::Reply reply_from(const std::shared_ptr<Outbox>& outbox) {
    auto first = outbox->pop(std::chrono::hours(24));
    if (first && first->status != 0) {
      return json_reply(first->message, first->status);
    }
    auto pending = std::make_shared<std::optional<Outbox::Item>>(first);
    auto reply = event_stream();
    reply.next = [outbox, pending]() -> http::Piece {
      auto item = *pending ? std::exchange(*pending, std::nullopt)
                           : outbox->pop(kKeepAlive);
      if (!item) {
        return {": waiting\n\n"};
      }
      return {event(item->message), item->status != 0};
    };
    reply.closed = [outbox] { outbox->gone = true; };
    return reply;
  }

  // Nothing that could change changes while this server runs, but the stream
  // stays open for as long as the client wants it.
  http::Reply subscribe(const Request& request) {
    if (streams_.fetch_add(1) >= kMaxStreams) {
      --streams_;
      throw ProtocolError(kInternalError, "too many subscriptions are open");
    }
    auto outbox = std::make_shared<Outbox>();
    outbox->push({acknowledgement(request, server_.definition()), 0});
    auto key = server_.subscribe(
        request, [outbox](const Json& message) { outbox->push({message, 0}); });
    auto reply = event_stream();
    reply.next = [outbox]() -> http::Piece {
      auto item = outbox->pop(kKeepAlive);
      return {item ? event(item->message) : ": open\n\n"};
    };
    reply.closed = [this, key] {
      server_.unsubscribe(key);
      --streams_;
    };
    return reply;
  }

  Server& server_;
  std::atomic<int> streams_ = 0;
  Worker worker_;
};

// No page of another site, and nothing but POST /mcp.
std::optional<http::Reply> admit(const http::Request& request) {
  auto origin = request.header("Origin");
  if (!is_local_host(request.header("Host").value_or("")) ||
      (origin && !is_local_origin(*origin))) {
    return http::Reply{403};
  }
  if (request.path != "/mcp") {
    return http::Reply{404};
  }
  if (request.method != "POST") {
    http::Reply reply{405};
    reply.headers = {{"Allow", "POST"}};
    return reply;
  }
  return std::nullopt;
}

}  // namespace

void serve_http(Server& server,
                int port,
                const std::function<void(int port)>& ready) {
  auto serve = http::load_server();
  HttpTransport transport(server);
  http::Handler handler = {admit, [&](const http::Request& request) {
                             return transport.post(request);
                           }};
  if (!serve({port, kMaxBody, kConnections}, handler, ready)) {
    fail("mcp.port",
         fmt::format("127.0.0.1:{}", port),
         "a port that is free",
         "it can't be listened on");
  }
}

}  // namespace assay::mcp
