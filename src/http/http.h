#pragma once

// A server of HTTP/1.1 behind a narrow interface. What stands behind it
// (cpp-httplib, which brings OpenSSL and Brotli) is a shared library of its
// own, loaded when something is served: linked, it would add 3.5 ms to the
// start of every command.
//
// Goal: loopback services. Non-goals: TLS, routing, static files.

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace assay::http {

struct Request {
  std::string_view method;
  std::string_view path;
  /** The value of a header, its name in any case; nothing if absent. */
  std::function<std::optional<std::string>(std::string_view name)> header;
  std::string_view body;
};

/** What comes next in a stream. */
struct Piece {
  std::string text;
  bool last = false;
};

struct Reply {
  int status = 200;
  std::string type = {};  ///< of the content; empty: there is none
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  /** Where set, the content is what these calls give, one after another. */
  std::function<Piece()> next = {};
  /** A stream ended: all was sent, or the client hung up. */
  std::function<void()> closed = {};
};

/** Both may be called from several threads at a time, and must not throw. */
struct Handler {
  /** Before the body is read; a reply ends the request there. */
  std::function<std::optional<Reply>(const Request&)> admit;
  std::function<Reply(const Request&)> answer;
};

struct Options {
  int port = 0;  ///< 0: any free one
  size_t max_body = 0;
  size_t connections = 0;  ///< at a time; each stream holds one
};

/** Serves on the loopback interface alone until the process ends; `ready` is
 * told the port. False where it cannot be listened on. */
using Serve = bool (*)(const Options& options,
                       const Handler& handler,
                       const std::function<void(int port)>& ready);

/** The shared library's serve(). Throws Error http.unavailable. */
Serve load_server();

/** What the shared library holds, under the name kEntry. */
struct Library {
  std::string_view version;  ///< of Assay; another one's layouts may differ
  Serve serve;
};
using Entry = const Library* (*)();
inline constexpr const char* kEntry = "assay_http_library";

}  // namespace assay::http
