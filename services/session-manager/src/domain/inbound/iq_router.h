#pragma once

#include <functional>
#include <memory>

#include "domain/delivery/client_answers.h"
#include "domain/features/hooks.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class Addresses;
class RecordOrder;
class Shards;

/// Answers IQs to the server and to accounts (RFC 6121 sections 8.4 and 8.5.1). Every
/// get and set has exactly one answer. I/O thread only.
class IqRouter {
 public:
  IqRouter(const Clock& clock, const Hooks& hooks, const Addresses& addresses, const Shards& shards,
           Consequences& consequences, ClientAnswers& answers, RecordOrder& order)
      : clock_(clock),
        hooks_(hooks),
        addresses_(addresses),
        shards_(shards),
        consequences_(consequences),
        answers_(answers),
        order_(order) {}

  /// Says what is to be done with a client's request. Nothing: its client has been told that nobody answers
  /// it.
  struct Verdict {
    /// It changes something: goes through the log, from where OnOutbound has it.
    std::shared_ptr<IqRequest> change;
    /// Answers it, which takes time.
    std::function<Task<void>(Cause&)> answer;
  };
  /// What a client's IQ to its account or to the server does.
  Hooks::Effect EffectOf(const xmpp::Stanza& iq) const { return hooks_.EffectOf(iq); }
  Verdict OnClientRequest(const Sender& sender, const Cause& cause, xmpp::Stanza iq);
  /// One that has come through the log.
  void OnOutbound(const Sender& sender, PendingRecord& pending);
  /// From the log, to a bare JID of ours. Within the record's turn.
  void OnAccountRequest(User& user, PendingRecord& pending);
  /// Says `answer` to somebody else who has asked a user, some time after the record was read, whatever it
  /// took to find out: how long an answer takes must not tell who has an account, or is there.
  void AnswerLater(Shard& shard, const Cause& cause, xmpp::Stanza answer, SteadyTime read_at);

 private:
  /// Null: nobody answers that.
  const Hooks::Entry* Prepare(const Sender& sender, IqRequest& request) const;
  Task<void> AnswerClient(std::shared_ptr<IqRequest> request, const Hooks::Entry* entry);
  Task<void> AnswerRecord(std::shared_ptr<IqRequest> request, Cause cause, const Hooks::Entry* entry,
                          SteadyTime read_at);
  Task<void> AnswerAt(std::shared_ptr<Shard> shard, Cause cause, xmpp::Stanza answer, SteadyTime time);

  const Clock& clock_;
  const Hooks& hooks_;
  const Addresses& addresses_;
  const Shards& shards_;
  Consequences& consequences_;
  ClientAnswers& answers_;
  RecordOrder& order_;
};

}  // namespace rookery::session_manager
