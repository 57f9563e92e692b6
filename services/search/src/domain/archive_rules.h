#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "ports/archive_store.h"

namespace rookery::search {

/// How long a partition of the archive is.
enum class ArchivePeriod : std::uint8_t { kDay, kMonth };

/// Milliseconds since 1970, the end not within it.
struct TimeSpan {
  std::int64_t from_ms = 0;
  std::int64_t to_ms = 0;
  bool operator==(const TimeSpan&) const = default;
};

/// Partitions are made for times from 2020 up to 2100. What a broken clock says has two of its own, which are
/// always there (migrations/).
inline constexpr std::int64_t kFirstPeriodMs = 1'577'836'800'000;
inline constexpr std::int64_t kPastPeriodsMs = 4'102'444'800'000;

/// The day or month of a time, in UTC. Nothing: no partition is made for it.
std::optional<TimeSpan> PeriodOf(std::int64_t at_ms, ArchivePeriod period);

/// A time that can be stored and written as a date with four digits for the year (XEP-0082): the nearest one.
std::int64_t StorableTime(std::int64_t at_ms);

inline constexpr std::size_t kMaxBareBytes = 2'047;
inline constexpr std::size_t kMaxResourceBytes = 1'023;
inline constexpr std::size_t kMaxStanzaBytes = std::size_t{4} << 20;

/// Whether there can be an archive of this address.
bool IsOwner(std::string_view owner);

/// Whether the database can take the message, as far as can be said beforehand: its owner, id and position
/// are such as an archive has, and no part of it is longer than an address (RFC 7622) or a stanza may be.
/// That texts are UTF-8 the database itself says.
bool IsStorable(const ArchivedMessage& message);

/// Whether the store can be asked for it.
bool IsAnswerable(const PageRequest& request);

/// The positions that a question's bounds leave, both within; none where `first` is higher.
struct PositionRange {
  std::int64_t first = 0;
  std::int64_t last = ArchiveFilter::kMaxPosition;
  bool operator==(const PositionRange&) const = default;
};
PositionRange PositionRangeOf(const ArchiveFilter& filter);

/// The ids that a question names. Where they are only the store knows.
struct NamedIds {
  /// Each once, in their order. For a page all of them have to be in the archive.
  std::vector<std::uint64_t> all;
  /// The page is behind all of these, and before all of those.
  std::vector<std::uint64_t> after;
  std::vector<std::uint64_t> before;
};
NamedIds NamedIdsOf(const ArchiveFilter& filter);
NamedIds NamedIdsOf(const PageRequest& request);

/// What stands for an owner in an index: the same for the same one, and hardly ever for others. Kept on disk.
std::int64_t OwnerKeyOf(std::string_view owner);

/// What `with` is looked for by in an index: the same for the same owner and other party (and resource), and
/// hardly ever for others. Kept on disk.
std::int64_t WithKeyOf(std::string_view owner, std::string_view peer);
std::int64_t WithKeyOf(std::string_view owner, std::string_view peer, std::string_view resource);

}  // namespace rookery::search
