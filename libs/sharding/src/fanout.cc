#include "rookery/sharding/fanout.h"

#include <algorithm>

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

}  // namespace rookery::sharding
