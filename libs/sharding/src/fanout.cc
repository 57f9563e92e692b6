#include "rookery/sharding/fanout.h"

#include <algorithm>
#include <string>

#include "rookery/xmpp/lent_stanza.h"

namespace rookery::sharding {

std::uint32_t SplitFanout(std::span<Recipient> recipients, std::uint32_t part,
                          absl::FunctionRef<void(const FanoutRecord&)> append) {
  const auto precedes = [](const Recipient& a, const Recipient& b) {
    return a.partition != b.partition ? a.partition < b.partition : a.address < b.address;
  };
  if (!std::is_sorted(recipients.begin(), recipients.end(), precedes))
    std::sort(recipients.begin(), recipients.end(), precedes);
  std::uint32_t highest = part;
  std::uint32_t next_part = part;
  for (std::size_t begin = 0; begin < recipients.size();) {
    const std::uint32_t partition = recipients[begin].partition;
    if (begin > 0 && recipients[begin - 1].partition != partition) next_part = part;
    std::size_t end = begin;
    for (std::size_t bytes = 0;
         end < recipients.size() && recipients[end].partition == partition && bytes < kFanoutBytes; ++end)
      bytes += recipients[end].address.size();
    append({partition, ++next_part, recipients.subspan(begin, end - begin)});
    highest = std::max(highest, next_part);
    begin = end;
  }
  return highest;
}

std::uint32_t SplitFanout(std::span<Recipient> recipients, std::uint32_t part, const xmpp::Stanza& stanza,
                          absl::FunctionRef<void(const FanoutRecord&, events::v1::UserRecord&)> append) {
  return SplitFanout(recipients, part, [&](const FanoutRecord& some) {
    events::v1::UserRecord record;
    const xmpp::LentStanza lent(*record.mutable_fanout(), stanza);
    auto& addresses = *record.mutable_fanout()->mutable_recipients();
    addresses.Reserve(static_cast<int>(some.recipients.size()));
    for (const Recipient& recipient : some.recipients) addresses.Add(std::string(recipient.address));
    append(some, record);
  });
}

}  // namespace rookery::sharding
