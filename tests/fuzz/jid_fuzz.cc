// Preparation of addresses (RFC 7622): prepared text is a fixed point, within its limit,
// and whole addresses agree with their parts.

#include <string>

#include "fuzz_input.h"
#include "rookery/xmpp/jid.h"

namespace {

using rookery::fuzz::Require;
using namespace rookery::xmpp;  // NOLINT: what is tested

void CheckPart(std::string_view text, absl::StatusOr<std::string> (*prepare)(std::string_view)) {
  const absl::StatusOr<std::string> once = prepare(text);
  if (!once.ok()) {
    Require(once.status().code() == absl::StatusCode::kInvalidArgument, "refusals are INVALID_ARGUMENT");
    return;
  }
  Require(!once->empty() && once->size() <= 1023, "1 to 1023 bytes");
  const absl::StatusOr<std::string> twice = prepare(*once);
  Require(twice.ok() && *twice == *once, "prepared text is a fixed point");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  CheckPart(text, PrepareLocal);
  CheckPart(text, PrepareDomain);
  CheckPart(text, PrepareResource);
  CheckPart(text, PreparePassword);

  const absl::StatusOr<Jid> jid = Jid::Parse(text);
  if (!jid.ok()) return 0;
  const absl::StatusOr<Jid> again = Jid::Parse(jid->str());
  Require(again.ok() && *again == *jid, "a prepared address is a fixed point");
  Require(again->local() == jid->local() && again->domain() == jid->domain() &&
              again->resource() == jid->resource(),
          "its parts stay");
  const Jid trusted = Jid::FromTrusted(jid->str());
  Require(trusted.local() == jid->local() && trusted.domain() == jid->domain() &&
              trusted.resource() == jid->resource(),
          "trusted text has the same parts");
  Require(Jid::FromPrepared(jid->local(), jid->domain(), jid->resource()) == *jid,
          "the parts make the address");
  Require(BareOf(jid->str()) == jid->bare() && DomainOf(jid->str()) == jid->domain() &&
              ResourceOf(jid->str()) == jid->resource(),
          "views agree");
  Require(jid->str().find('\0') == std::string_view::npos, "no NUL");
  return 0;
}
