#pragma once

#include <cstdint>

#include "rookery/sharding/log_ranges.h"

namespace rookery::sharding {

/// What is known of a shard's log besides where it stands now.
struct LogKnowledge {
  /// It has been found to be cut.
  bool is_cut = false;
  /// Where it ended when this process last knew; 0: it never did.
  std::int64_t former_end = 0;
  /// The group had a cursor when it was asked, or need not be asked.
  bool had_cursor = true;
  /// The newest epoch that is known of, which is the offset of a fence; -1: none.
  std::int64_t newest_epoch = -1;
};

struct LogVerdict {
  /// The log has lost its end, or is another one (an unclean election, a topic restored or made anew): what
  /// comes after the cut is new, whatever was committed beyond it.
  bool was_cut = false;
  /// Epochs go on rising all the same, also for the owners that follow: the next one is not below this; -1:
  /// whatever the log gives.
  std::int64_t least_epoch = -1;
};

LogVerdict Judge(const LogRange& range, const LogKnowledge& known);

}  // namespace rookery::sharding
