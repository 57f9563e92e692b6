#pragma once

#include <functional>
#include <memory>

#include "domain/core.h"

namespace rookery::session_manager {

/// The end of a session, as its gateway hears it. With the session the gateway forgets what
/// its client has had, which only it could tell the next owner of the shard: so it is told
/// when that owner needs it no more. Every record that was addressed to the session is then
/// acknowledged, stored or bounced, and the cursor committed beyond it.
class SessionCloser {
 public:
  explicit SessionCloser(Core& core) : core_(core) {}

  /// Calls `tell` when the gateway may forget the session, which has ended. True: at once, since
  /// nothing was addressed to it lately. `is_open`: a connection waits to be closed, so not for long.
  bool Close(const std::shared_ptr<Session>& session, bool is_open, std::function<void()> tell);
  /// Records have been finished: commits if somebody waits for that.
  void Check(Shard& shard);
  /// The cursor has been committed.
  void OnCommitted(Shard& shard);
  void Sweep(Shard& shard);

 private:
  Core& core_;
};

}  // namespace rookery::session_manager
