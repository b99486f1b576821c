// Pickles that CPython 3.11 wrote, read as data; and those that nobody's
// pickler writes.

#include "assay/formats/pickle.h"

#include <algorithm>
#include <charconv>
#include <string>

#include <doctest/doctest.h>

using namespace assay;
using Kind = PickleValue::Kind;

namespace {

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    unsigned value = 0;
    std::from_chars(hex.data() + i, hex.data() + i + 2, value, 16);
    bytes += static_cast<char>(value);
  }
  return bytes;
}

const PickleValue* pickle_entry(const Pickle& pickle, std::string_view key) {
  const auto& items = pickle.at(pickle.root).items;
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    if (pickle.at(items[i]).text == key) {
      return &pickle.at(items[i + 1]);
    }
  }
  return nullptr;
}

bool calls(const Pickle& pickle, std::string_view name) {
  return std::ranges::any_of(pickle.events, [&](const PickleEvent& event) {
    return event.kind == PickleEvent::Kind::call &&
           pickle.at(event.value).text == name;
  });
}

// pickle.dumps({"name": "w", "size": 3, "list": [1, -2, 2**40],
//               "t": (1.5, None, True), "b": b"\x00\xff", "s": {7}}, protocol)
struct Dump {
  int protocol;
  std::string_view hex;
};
constexpr Dump kDumps[] = {
    {0,
     "286470300a566e616d650a70310a56770a70320a735673697a650a70330a49330a73"
     "566c6973740a70340a286c70350a49310a61492d320a614c31303939353131363237"
     "3737364c0a617356740a70360a2846312e350a4e4930310a7470370a7356620a7038"
     "0a635f636f646563730a656e636f64650a70390a28565c7530303030ff0a7031300a"
     "566c6174696e310a7031310a747031320a527031330a7356730a7031340a635f5f62"
     "75696c74696e5f5f0a7365740a7031350a28286c7031360a49370a61747031370a52"
     "7031380a732e"},
    {1,
     "7d71002858040000006e616d6571015801000000777102580400000073697a657103"
     "4b0358040000006c69737471045d7105284b014afeffffff4c313039393531313632"
     "373737364c0a65580100000074710628473ff80000000000004e4930310a74710758"
     "01000000627108635f636f646563730a656e636f64650a710928580300000000c3bf"
     "710a58060000006c6174696e31710b74710c52710d580100000073710e635f5f6275"
     "696c74696e5f5f0a7365740a710f285d71104b0761747111527112752e"},
    {2,
     "80027d71002858040000006e616d6571015801000000777102580400000073697a65"
     "71034b0358040000006c69737471045d7105284b014afeffffff8a06000000000001"
     "655801000000747106473ff80000000000004e888771075801000000627108635f63"
     "6f646563730a656e636f64650a7109580300000000c3bf710a58060000006c617469"
     "6e31710b86710c52710d580100000073710e635f5f6275696c74696e5f5f0a736574"
     "0a710f5d71104b0761857111527112752e"},
    {3,
     "80037d71002858040000006e616d6571015801000000777102580400000073697a65"
     "71034b0358040000006c69737471045d7105284b014afeffffff8a06000000000001"
     "655801000000747106473ff80000000000004e888771075801000000627108430200"
     "ff7109580100000073710a636275696c74696e730a7365740a710b5d710c4b076185"
     "710d52710e752e"},
    {4,
     "80049557000000000000007d94288c046e616d65948c0177948c0473697a65944b03"
     "8c046c697374945d94284b014afeffffff8a06000000000001658c017494473ff800"
     "00000000004e8887948c016294430200ff948c0173948f94284b0790752e"},
    {5,
     "80059557000000000000007d94288c046e616d65948c0177948c0473697a65944b03"
     "8c046c697374945d94284b014afeffffff8a06000000000001658c017494473ff800"
     "00000000004e8887948c016294430200ff948c0173948f94284b0790752e"},
};

}  // namespace

TEST_CASE("every protocol gives the same values") {
  for (const auto& dump : kDumps) {
    CAPTURE(dump.protocol);
    auto bytes = from_hex(dump.hex);
    auto pickle = read_pickle(bytes);
    CAPTURE(pickle.problem);
    REQUIRE(pickle.complete);
    CHECK(pickle.end == bytes.size());
    REQUIRE(pickle.at(pickle.root).kind == Kind::dict);
    REQUIRE(pickle.at(pickle.root).items.size() == 12);
    CHECK(pickle_entry(pickle, "name")->text == "w");
    CHECK(pickle_entry(pickle, "size")->integer == 3);
    const auto* list = pickle_entry(pickle, "list");
    REQUIRE(list->items.size() == 3);
    CHECK(pickle.at(list->items[1]).integer == -2);
    CHECK(pickle.at(list->items[2]).integer == int64_t{1} << 40);
    const auto* tuple = pickle_entry(pickle, "t");
    REQUIRE(tuple->items.size() == 3);
    CHECK(tuple->kind == Kind::tuple);
    CHECK(pickle.at(tuple->items[0]).real == 1.5);
    CHECK(pickle.at(tuple->items[1]).kind == Kind::none);
    CHECK(pickle.at(tuple->items[2]).kind == Kind::boolean);
  }
}

TEST_CASE("a call is told, and not made") {
  for (auto hex : {"8002635f5f6275696c74696e5f5f0a7072696e740a7100580500000061"
                   "7373617971018571025271032e",
                   "80049522000000000000008c086275696c74696e73948c057072696e74"
                   "9493948c05617373617994859452942e"}) {
    auto bytes = from_hex(hex);
    auto pickle = read_pickle(bytes);
    CHECK(pickle.complete);
    CHECK(calls(pickle, "print"));
  }
}

TEST_CASE("what breaks off keeps what came before, at every length") {
  auto bytes = from_hex(kDumps[2].hex);
  for (size_t length = 0; length < bytes.size(); ++length) {
    auto pickle = read_pickle(std::string_view(bytes).substr(0, length));
    CHECK_FALSE(pickle.complete);
    CHECK_FALSE(pickle.problem.empty());
  }
}

TEST_CASE("memory follows the bytes of the pickle") {
  // LONG_BINPUT to the last index there is.
  auto bomb = from_hex("80024e72ffffffff2e");
  CHECK(read_pickle(bomb).values.size() < 16);
  // a = []; 60 times a = [a, a]: 2^60 when written out.
  std::string laughs = "\x80\x02]q";
  laughs += '\0';
  for (int i = 0; i < 60; ++i) {
    laughs += "](h";
    laughs += static_cast<char>(i);
    laughs += 'h';
    laughs += static_cast<char>(i);
    laughs += "eq";
    laughs += static_cast<char>(i + 1);
  }
  laughs += '.';
  auto pickle = read_pickle(laughs);
  CHECK(pickle.complete);
  CHECK(pickle.values.size() < 1000);
  // A length that the bytes do not back.
  CHECK_FALSE(read_pickle(from_hex("800358ffffffff61")).complete);
}

TEST_CASE("a byte that is no opcode ends the reading") {
  auto pickle = read_pickle("\x80\x02\x01.");
  CHECK_FALSE(pickle.complete);
  CHECK(opcode_name('R') == "REDUCE");
}

TEST_CASE("escapes of protocol 0 are decoded as CPython decodes them") {
  // The values are what pickle.loads of CPython 3.11 gives.
  auto text = [](std::string_view bytes) {
    auto pickle = read_pickle(bytes);
    return pickle.complete ? std::string(pickle.at(pickle.root).text)
                           : "refused";
  };
  CHECK(text("S'po\\163i\\x78\\n\\'\\q'\n.") == "posix\n'\\q");
  CHECK(text("V\\u006fs\\\\u0041\\U0001f600\xe9\n.") ==
        "os\\\\u0041\xf0\x9f\x98\x80\xc3\xa9");
  CHECK(text("S'\\x4'\n.") == "refused");
  CHECK(text("V\\u00\n.") == "refused");
  // A name that only its escapes spell.
  auto hidden = read_pickle("\x80\x04S'o\\x73'\nS'syst\\145m'\n\x93.");
  REQUIRE(hidden.events.size() == 1);
  CHECK(hidden.at(hidden.events[0].value).module == "os");
  CHECK(hidden.at(hidden.events[0].value).text == "system");
}

TEST_CASE("numbers beyond 64 bits are literals") {
  auto text = [](std::string_view bytes) {
    auto pickle = read_pickle(bytes);
    REQUIRE(pickle.complete);
    CHECK(pickle.at(pickle.root).kind == Kind::big_integer);
    return std::string(pickle.at(pickle.root).text);
  };
  CHECK(text("L18446744073709551616L\n.") == "18446744073709551616");
  CHECK(text(from_hex("8a09010000000000000002") + ".") ==
        "0x20000000000000001");
  CHECK(text(from_hex("8a09000000000000000080") + ".") ==
        "-0x800000000000000000");
  CHECK_FALSE(read_pickle("I12x\n.").complete);
}

TEST_CASE("what is put into an object is told") {
  // collections.OrderedDict() with {"a": 1}; and items for what takes none.
  auto pickle =
      read_pickle("ccollections\nOrderedDict\n)R(S'a'\nI1\nuS'b'\nI2\ns.");
  REQUIRE(pickle.complete);
  REQUIRE(pickle.events.size() == 4);
  CHECK(pickle.events[2].kind == PickleEvent::Kind::append);
  CHECK(pickle.at(pickle.events[2].argument).items.size() == 2);
  CHECK(pickle.at(pickle.events[3].argument).items.size() == 2);
  const auto& object = pickle.at(pickle.root);
  CHECK(pickle.at(PickleRef(object.integer)).items.size() == 4);
  CHECK(read_pickle("I1\nI2\na.").hostile);
  CHECK(read_pickle("](I1\nI2\nu.").hostile);
}

TEST_CASE("a frame beyond the end is a problem, and hides nothing") {
  auto pickle =
      read_pickle(from_hex("800495ff00000000000000") + "cos\nsystem\n.");
  CHECK_FALSE(pickle.complete);
  CHECK(pickle.events.size() == 1);
}
