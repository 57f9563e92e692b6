#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/rsm.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::xmpp {

/// Message archives (XEP-0313, urn:xmpp:mam:2) as values. Pure functions, any thread.

/// What an archive can be asked beside XEP-0313's own fields.
struct ArchiveFields {
  /// Section 4.1.5: the archive tells groupchat messages apart from others.
  bool groupchat = false;
  /// XEP-0431.
  bool full_text = false;
};

/// Which messages somebody asks for, and which page of them.
struct ArchiveQuery {
  /// The asker's name for the query, given back with each result. May be empty.
  std::string query_id = {};
  /// A prepared address, bare or full.
  std::optional<std::string> with = {};
  /// Unix time in milliseconds; both are part of what is asked for.
  std::optional<std::int64_t> start_ms = {};
  std::optional<std::int64_t> end_ms = {};
  /// Ids of the archive; these two are not part of what is asked for.
  std::optional<std::string> before_id = {};
  std::optional<std::string> after_id = {};
  /// These messages alone, each once. Empty: all.
  std::vector<std::string> ids = {};
  /// Without it the archive decides.
  std::optional<bool> include_groupchat = {};
  /// What somebody has typed to look for. Empty: nothing.
  std::string words = {};
  PageRequest page = {};
  /// The page is sent newest first.
  bool is_flipped = false;
};

/// Longest queryid, and longest id that an archive is asked for: XEP-0359's are no longer here.
inline constexpr std::size_t kMaxArchiveIdBytes = 1023;
/// Most `ids` in one query.
inline constexpr std::size_t kMaxArchiveIds = 256;
/// Longest text to look for.
inline constexpr std::size_t kMaxArchiveWordsBytes = 1024;

/// Reads <query/>. INVALID_ARGUMENT: it is malformed or beyond a bound above. UNIMPLEMENTED: it has a field
/// that is unknown or that `fields` lacks (section 4.1.6), or asks for a node's archive.
absl::StatusOr<ArchiveQuery> ReadArchiveQuery(const Element& query, const ArchiveFields& fields);

/// The <query/> with the form that says which fields there are (section 4.1.6).
Element MakeArchiveForm(const ArchiveFields& fields);

/// A message of an archive.
struct ArchivedMessage {
  std::string_view id;
  std::int64_t received_at_ms = 0;
  /// Null: it was taken away, and only its place is left.
  const Stanza* stanza = nullptr;
};
/// The message that gives one result to the asker (section 4.2). It has the trait of what is given to its
/// recipient alone: neither copied nor kept. `from`: the archive. Its `to` is the caller's.
Stanza MakeArchiveResult(std::string_view from, std::string_view query_id, const ArchivedMessage& message);

/// What is said of a page when all of it was sent.
struct ArchivePage {
  std::string first = {};
  std::string last = {};
  /// Of all that was asked for, where it is known.
  std::optional<std::int64_t> count = {};
  /// There is nothing beyond the page, in the direction in which it was asked for.
  bool is_complete = false;
  /// What was sent may change yet.
  bool is_unstable = false;
};
/// <fin/>.
Element MakeArchivePageEnd(const ArchivePage& page);

struct ArchiveEnd {
  std::string id;
  std::int64_t received_at_ms = 0;
};
/// <metadata/> (section 5): the oldest and the newest message. Null: there is none.
Element MakeArchiveMetadata(const ArchiveEnd* first, const ArchiveEnd* last);

}  // namespace rookery::xmpp
