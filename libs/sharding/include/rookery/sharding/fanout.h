#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::sharding {

/// One of those whom a stanza is for. `partition` is its home's, which whoever says much to it keeps beside
/// its address.
struct Recipient {
  std::uint32_t partition = 0;
  /// Bare or full JID; its owner's for as long as the recipient is used.
  std::string_view address;
};

/// One record of a fan-out.
struct FanoutRecord {
  std::uint32_t partition = 0;
  /// Among what follows from the cause (events.v1.LogOrigin.part, ClientOrigin.part).
  std::uint32_t part = 0;
  std::span<const Recipient> recipients;
};

/// The recipients of one record, in bytes of their addresses, with which it is full, so that it is never too
/// large for the log.
inline constexpr std::size_t kFanoutBytes = 256 * 1024;

/// Splits what one cause says to many into records: one for each partition that has recipients, or more
/// where it has very many. `append` is called with each, by partition.
///
/// `part` is the last number given to what follows from the cause. The records of each partition are
/// numbered from the next one, in each partition alike: what follows from the same cause a second time has
/// the same numbers, also where the recipients in other partitions have changed. Returns the highest number
/// given, or `part`.
///
/// Sorts `recipients` by partition and address, so that the order in which they were found says nothing;
/// those that are sorted already are only compared.
std::uint32_t SplitFanout(std::span<Recipient> recipients, std::uint32_t part,
                          absl::FunctionRef<void(const FanoutRecord&)> append);

/// Splits a fan-out of one stanza: `append` gets the record that says it to each partition, with nothing but
/// `fanout` filled. The stanza is lent to the record for the call.
std::uint32_t SplitFanout(std::span<Recipient> recipients, std::uint32_t part, const xmpp::Stanza& stanza,
                          absl::FunctionRef<void(const FanoutRecord&, events::v1::UserRecord&)> append);

}  // namespace rookery::sharding
