#pragma once

#include <cstddef>
#include <optional>

#include "rookery/xmpp/stanza.h"

namespace rookery::xmpp {

/// Bounds of what a client may put into a stanza's attributes, in bytes as read. An
/// address has its bound from RFC 7622.
inline constexpr std::size_t kMaxIdBytes = 1023;
inline constexpr std::size_t kMaxTypeBytes = 64;
inline constexpr std::size_t kMaxLangBytes = 255;

/// The most that the cluster adds to a stanza that a client has sent, in bytes as written.
/// A full JID takes at most 8,186 bytes (1,023 bytes for each part, and a resource may
/// consist of characters that are written as six). What may come together is
///   - the recipient's full JID in place of the `to` that was given, 8 KiB;
///   - a carbon and its <forwarded/>: two addresses, `type`, namespaces, 11 KiB;
///   - another full JID that a service puts in (an occupant's item), 8 KiB;
///   - two delays and two stanza ids, 8 KiB;
///   - an <error/> with text, or the hash of an avatar, 1 KiB;
///   - in a record or a link's frame: the name and namespace of an IQ's payload once more,
///     origin, counts, trace id, the key, 4 KiB,
/// which is less than 48 KiB. So a stanza that passes CheckStanza fits, whatever becomes of
/// it, into a record of `max_written_bytes + kStanzaReserveBytes`.
inline constexpr std::size_t kStanzaReserveBytes = std::size_t{64} * 1024;

/// Whether the edge may take the stanza (addresses stamped and prepared) from a client:
/// kBadRequest where `id`, `type` or `xml:lang` is longer than its bound, kPolicyViolation
/// where the stanza is larger than `max_written_bytes` in the framing that takes the
/// most. nullopt: it may.
std::optional<ErrorCondition> CheckStanza(const Stanza& stanza, std::size_t max_written_bytes);

/// Leaves of a stanza that CheckStanza refuses what an answer needs: kind, addresses, a
/// type that is within its bound, and the id unless it is several times too long.
void StripRefused(Stanza& stanza);

}  // namespace rookery::xmpp
