#include "domain/messages/relayed_ids.h"

#include <cstddef>

#include "absl/strings/escaping.h"
#include "domain/room/tags.h"
#include "rookery/base/scram.h"

namespace rookery::muc {

namespace {

constexpr std::size_t kTagBytes = 16;  // of TagOf
/// So much of the occupant id, which is the account's: enough to try no others.
constexpr std::size_t kAccountBytes = 8;
constexpr std::size_t kAskerBytes = kAccountBytes + kTagBytes;

std::string Seal(const Turn& turn, std::string_view purpose, std::string_view answerer,
                 std::string_view text) {
  std::string data(answerer);
  data.push_back('\0');
  data.append(text);
  return TagOf(turn, purpose, data);
}

std::string_view AccountIn(std::string_view occupant_id) { return occupant_id.substr(0, kAccountBytes); }

/// Empty: it is none of theirs.
std::string SessionOf(const Turn& turn, std::string_view tag, const v1::Occupant& occupant) {
  if (!tag.starts_with(AccountIn(occupant.occupant_id()))) return {};
  for (const v1::OccupantSession& session : occupant.sessions())
    if (TagOfAsker(turn, occupant, session.jid()) == tag) return session.jid();
  return {};
}

}  // namespace

// seal, asker, note, NUL, id: in base64url.
std::string MakeRelayedId(const Turn& turn, std::string_view purpose, std::string_view answerer,
                          const Relayed& relayed) {
  std::string text = relayed.asker + relayed.note;
  text.push_back('\0');
  text.append(relayed.id);
  std::string id;
  absl::WebSafeBase64Escape(Seal(turn, purpose, answerer, text) + text, &id);
  while (id.ends_with('=')) id.pop_back();
  return id;
}

std::optional<Relayed> ReadRelayedId(const Turn& turn, std::string_view purpose, std::string_view answerer,
                                     const std::string& id) {
  std::string text;
  if (!absl::WebSafeBase64Unescape(id, &text) || text.size() < kTagBytes + kAskerBytes) return std::nullopt;
  const std::string seal = text.substr(0, kTagBytes);
  text.erase(0, kTagBytes);
  if (!EqualSecret(seal, Seal(turn, purpose, answerer, text))) return std::nullopt;
  const std::size_t nul = text.find('\0', kAskerBytes);
  if (nul == std::string::npos) return std::nullopt;
  return Relayed{.asker = text.substr(0, kAskerBytes),
                 .note = text.substr(kAskerBytes, nul - kAskerBytes),
                 .id = text.substr(nul + 1)};
}

std::string TagOfAsker(const Turn& turn, const v1::Occupant& asker, std::string_view full_jid) {
  return std::string(AccountIn(asker.occupant_id())) + TagOf(turn, "asker", full_jid);
}

std::string FindAsker(const Turn& turn, std::string_view tag, std::string_view nick) {
  if (const v1::Occupant* likely = turn.room.FindNick(nick)) {
    std::string session = SessionOf(turn, tag, *likely);
    if (!session.empty()) return session;
  }
  for (const auto& [name, occupant] : turn.room.occupants()) {
    std::string session = SessionOf(turn, tag, occupant);
    if (!session.empty()) return session;
  }
  return {};
}

}  // namespace rookery::muc
