#include "assay/mcp/http.h"

#include <atomic>
#include <chrono>
#include <deque>
#include <httplib.h>
#include <memory>
#include <mutex>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/mcp/envelope.h"
#include "assay/mcp/worker.h"

namespace assay::mcp {
namespace {

constexpr size_t kMaxBody = 16u << 20;
constexpr size_t kConnections = 32;  // each stream holds a thread
constexpr int kMaxStreams = 16;      // of subscriptions
constexpr std::chrono::seconds kKeepAlive(10);

std::string text_of(const Json& message) {
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

class HttpTransport {
 public:
  explicit HttpTransport(Server& server) : server_(server) {}

  void post(const httplib::Request& http, httplib::Response& out) {
    std::optional<Json> id;
    auto era = Era::modern;
    try {
      if (!http.get_header_value("Content-Type")
               .starts_with("application/json")) {
        answer(out, error_response(id, kInvalidRequest, "not JSON"), 415);
        return;
      }
      auto message = parse_json(http.body, "message");
      if (message.is_object() && !message.contains("method") &&
          message.contains("id")) {
        server_.deliver(message);
        out.status = 202;
        return;
      }
      auto request = read_request(message);
      if (request.id.is_null()) {
        out.status = 202;  // a notification; none needs anything done
        return;
      }
      id = request.id;
      auto headers = [&](std::string_view name) {
        auto key = std::string(name);
        return http.has_header(key) ? std::optional(http.get_header_value(key))
                                    : std::nullopt;
      };
      open_on_http(request, server_.definition(), headers);
      era = request.era;
      serve(std::move(request), out);
    } catch (const ProtocolError& error) {
      answer(out,
             error_response(id, error.code(), error.what(), error.data()),
             error.http_status(era));
    } catch (const Error& error) {
      answer(out, error_response(id, kParseError, error.what()), 400);
    }
  }

 private:
  static void answer(httplib::Response& out, const Json& body, int status) {
    out.status = status;
    out.set_content(text_of(body), "application/json");
  }

  void serve(Request request, httplib::Response& out) {
    if (request.era == Era::modern &&
        request.method == "subscriptions/listen") {
      subscribe(request, out);
      return;
    }
    bool works = request.method == "tools/call" ||
                 request.method == "prompts/get" ||
                 request.method == "resources/read";
    if (!works) {
      auto reply = server_.answer(request);
      answer(out, reply.body, reply.status);
      return;
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
    send_from(outbox, out);
  }

  // The answer alone goes as JSON; where something comes before it, as events.
  static void send_from(const std::shared_ptr<Outbox>& outbox,
                        httplib::Response& out) {
    auto first = outbox->pop(std::chrono::hours(24));
    if (first && first->status != 0) {
      answer(out, first->message, first->status);
      return;
    }
    out.set_header("X-Accel-Buffering", "no");
    out.set_header("Cache-Control", "no-cache");
    auto pending = std::make_shared<std::optional<Outbox::Item>>(first);
    out.set_chunked_content_provider(
        "text/event-stream",
        [outbox, pending](size_t, httplib::DataSink& sink) {
          auto item = *pending ? std::exchange(*pending, std::nullopt)
                               : outbox->pop(kKeepAlive);
          auto text = item ? fmt::format("event: message\ndata: {}\n\n",
                                         text_of(item->message))
                           : std::string(": waiting\n\n");
          if (!sink.write(text.data(), text.size())) {
            return false;
          }
          if (item && item->status != 0) {
            sink.done();
          }
          return true;
        },
        [outbox](bool) { outbox->gone = true; });
  }

  // Nothing that could change changes while this server runs, but the stream
  // stays open for as long as the client wants it.
  void subscribe(const Request& request, httplib::Response& out) {
    if (streams_.fetch_add(1) >= kMaxStreams) {
      --streams_;
      throw ProtocolError(kInternalError, "too many subscriptions are open");
    }
    auto outbox = std::make_shared<Outbox>();
    outbox->push({acknowledgement(request, server_.definition()), 0});
    auto key = server_.subscribe(
        request, [outbox](const Json& message) { outbox->push({message, 0}); });
    out.set_header("X-Accel-Buffering", "no");
    out.set_chunked_content_provider(
        "text/event-stream",
        [outbox](size_t, httplib::DataSink& sink) {
          auto item = outbox->pop(kKeepAlive);
          auto text = item ? fmt::format("event: message\ndata: {}\n\n",
                                         text_of(item->message))
                           : std::string(": open\n\n");
          return sink.write(text.data(), text.size());
        },
        [this, key](bool) {
          server_.unsubscribe(key);
          --streams_;
        });
  }

  Server& server_;
  std::atomic<int> streams_ = 0;
  Worker worker_;
};

}  // namespace

void serve_http(Server& server,
                int port,
                const std::function<void(int port)>& ready) {
  HttpTransport transport(server);
  httplib::Server http;
  http.new_task_queue = [] { return new httplib::ThreadPool(kConnections); };
  http.set_payload_max_length(kMaxBody);
  http.set_pre_routing_handler(
      [](const httplib::Request& request, httplib::Response& response) {
        bool local = is_local_host(request.get_header_value("Host")) &&
                     (!request.has_header("Origin") ||
                      is_local_origin(request.get_header_value("Origin")));
        if (!local) {
          response.status = 403;
          return httplib::Server::HandlerResponse::Handled;
        }
        return httplib::Server::HandlerResponse::Unhandled;
      });
  http.Post("/mcp", [&](const auto& request, auto& response) {
    transport.post(request, response);
  });
  auto refuse = [](const httplib::Request&, httplib::Response& response) {
    response.status = 405;
    response.set_header("Allow", "POST");
  };
  http.Get("/mcp", refuse);
  http.Delete("/mcp", refuse);

  constexpr const char* kLoopback = "127.0.0.1";
  int bound = port;
  if (port == 0) {
    bound = http.bind_to_any_port(kLoopback);
  } else if (!http.bind_to_port(kLoopback, port)) {
    bound = -1;
  }
  if (bound < 0) {
    fail("mcp.port",
         fmt::format("{}:{}", kLoopback, port),
         "a port that is free",
         "it can't be listened on");
  }
  ready(bound);
  http.listen_after_bind();
}

}  // namespace assay::mcp
