#include "rookery/sharding/log_verdict.h"

#include <algorithm>

namespace rookery::sharding {

LogVerdict Judge(const LogRange& range, const LogKnowledge& known) {
  const bool lacks_newest_fence = known.newest_epoch >= range.end;
  LogVerdict verdict;
  verdict.was_cut = known.is_cut || known.former_end > range.end || range.committed > range.end ||
                    ((range.committed < 0 || !known.had_cursor) && lacks_newest_fence);
  if (lacks_newest_fence) verdict.least_epoch = known.newest_epoch + 1;
  if (verdict.was_cut) verdict.least_epoch = std::max(verdict.least_epoch, range.committed + 1);
  return verdict;
}

}  // namespace rookery::sharding
