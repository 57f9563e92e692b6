// Large stanzas: whatever is accepted at one edge can be given at the other, and the log takes it. The
// cluster is that of hostile_sessions, and its clients read all that they are sent
// (large_stanzas/correspondence.h).
//
// Each line of the input is one message: decisions (line.h), then what fills it, an
// apostrophe where nothing stands there. What is missing is the largest.
//
//   writer    0 on TCP, 1 on WebSocket
//   to        0 the account, 1 the device on TCP, 2 the one on WebSocket
//   type      0 chat, 1 none, 2 normal
//   shape     0 text, 1 attribute, 2 attributes, 3 elements, 4 namespaces, 5 nesting
//   size      0 the largest, 1 a byte more, 2 a byte less, 3 much more, 4 small
//   id        0 short, 1 as long as it may be, 2 a byte more
//   xml:lang  the same; 0: none

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "absl/strings/str_replace.h"
#include "fuzz_input.h"
#include "large_stanzas/correspondence.h"
#include "line.h"
#include "rookery/telemetry/log.h"
#include "virtual_kernel.h"

namespace rookery::fuzz {

namespace {

/// Each has up to a million bytes.
constexpr std::size_t kMaxMessages = 8;

void Send(Correspondence& correspondence, Line line) {
  static constexpr const char* kTypes[] = {"chat", "", "normal"};
  static constexpr std::size_t kSizes[] = {kMaxStanzaBytes, kMaxStanzaBytes + 1, kMaxStanzaBytes - 1,
                                           kMaxStanzaBytes + 50'000, 0};
  static constexpr std::size_t kIds[] = {0, xmpp::kMaxIdBytes, xmpp::kMaxIdBytes + 1};
  static constexpr std::size_t kLangs[] = {0, xmpp::kMaxLangBytes, xmpp::kMaxLangBytes + 1};
  Correspondence::Way way;
  way.is_from_websocket = line.Next(2) == 1;
  way.to = static_cast<Correspondence::Way::To>(line.Next(3));
  LargeMessage message;
  message.type = kTypes[line.Next(std::size(kTypes))];
  message.shape = kShapes[line.Next(std::size(kShapes))];
  message.written_bytes = kSizes[line.Next(std::size(kSizes))];
  const std::size_t id_bytes = kIds[line.Next(std::size(kIds))];
  message.lang_bytes = kLangs[line.Next(std::size(kLangs))];
  // No markup: what stands in a message is not what its reader is asked for.
  if (!line.empty())
    message.filler =
        absl::StrReplaceAll(std::string(line.rest()), {{"&", "&amp;"}, {"<", "&lt;"}, {"\"", "&quot;"}});
  correspondence.Send(message, way, id_bytes);
}

}  // namespace

}  // namespace rookery::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char*** argv) {
  rookery::simulation::FixAddresses(*argv);
  rookery::telemetry::InitLog("fuzz", "large_stanzas", "error");
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  rookery::fuzz::Correspondence correspondence;
  rookery::fuzz::Input input(data, size);
  for (std::size_t i = 0; i < rookery::fuzz::kMaxMessages && !input.empty(); ++i)
    rookery::fuzz::Send(correspondence, rookery::fuzz::Line(input.Until('\n')));
  correspondence.End();
  return 0;
}
