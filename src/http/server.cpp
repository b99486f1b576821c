// The shared library: the only file that knows cpp-httplib.

#include <httplib.h>
#include <memory>
#include <string>

#include "assay/http/http.h"

namespace assay::http {
namespace {

constexpr const char* kLoopback = "127.0.0.1";

Request request_of(const httplib::Request& http) {
  auto header = [&http](std::string_view name) {
    auto key = std::string(name);
    return http.has_header(key) ? std::optional(http.get_header_value(key))
                                : std::nullopt;
  };
  return {http.method, http.path, header, http.body};
}

void stream(const Reply& reply, httplib::Response& out) {
  out.set_chunked_content_provider(
      reply.type,
      [next = reply.next](size_t, httplib::DataSink& sink) {
        auto piece = next();
        if (!sink.write(piece.text.data(), piece.text.size())) {
          return false;
        }
        if (piece.last) {
          sink.done();
        }
        return true;
      },
      [closed = reply.closed](bool) {
        if (closed) {
          closed();
        }
      });
}

void send(const Reply& reply, httplib::Response& out) {
  out.status = reply.status;
  for (const auto& [name, value] : reply.headers) {
    out.set_header(name, value);
  }
  if (reply.next) {
    stream(reply, out);
  } else if (!reply.type.empty()) {
    out.set_content(reply.body, reply.type);
  }
}

bool serve(const Options& options,
           const Handler& handler,
           const std::function<void(int port)>& ready) {
  httplib::Server http;
  http.new_task_queue = [&] {
    return new httplib::ThreadPool(options.connections);
  };
  http.set_payload_max_length(options.max_body);
  http.set_pre_routing_handler([&](const auto& request, auto& response) {
    auto refusal = handler.admit(request_of(request));
    if (!refusal) {
      return httplib::Server::HandlerResponse::Unhandled;
    }
    send(*refusal, response);
    return httplib::Server::HandlerResponse::Handled;
  });
  http.Post(".*", [&](const auto& request, auto& response) {
    send(handler.answer(request_of(request)), response);
  });

  int bound = options.port;
  if (bound == 0) {
    bound = http.bind_to_any_port(kLoopback);
  } else if (!http.bind_to_port(kLoopback, bound)) {
    bound = -1;
  }
  if (bound < 0) {
    return false;
  }
  ready(bound);
  http.listen_after_bind();
  return true;
}

constexpr Library kLibrary = {ASSAY_VERSION, serve};

}  // namespace
}  // namespace assay::http

extern "C" __attribute__((visibility("default"))) const assay::http::Library*
assay_http_library() {
  return &assay::http::kLibrary;
}
