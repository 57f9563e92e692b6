#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "domain/state/session.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

/// Confirms to gateways, in order, which of the stanzas that clients have sent are in the log with all
/// that follows from them (Session::inbound). One word for each session at the end of the loop's turn.
/// I/O thread only.
class Confirmations {
 public:
  /// Told when somebody may wait for it that everything that a client has sent is in the log. Never from
  /// within Finish.
  class Listener {
   public:
    virtual void OnAllConfirmed(const std::shared_ptr<Session>& session) = 0;

   protected:
    ~Listener() = default;
  };

  explicit Confirmations(asio::any_io_executor executor) : executor_(std::move(executor)) {}
  /// Before the first stanza.
  void SetListener(Listener& listener) { listener_ = &listener; }
  bool is_wired() const { return listener_ != nullptr; }

  /// One effect of the client's stanza `count` is in the log.
  void Finish(const std::shared_ptr<Session>& session, std::uint64_t count);
  /// Says soon how far it is confirmed.
  void ConfirmLater(const std::shared_ptr<Session>& session);

 private:
  void SendConfirms();

  asio::any_io_executor executor_;
  Listener* listener_ = nullptr;
  std::vector<std::shared_ptr<Session>> to_confirm_;
  bool is_posted_ = false;
};

}  // namespace rookery::session_manager
