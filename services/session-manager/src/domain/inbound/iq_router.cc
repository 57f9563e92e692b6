#include "domain/inbound/iq_router.h"

#include <utility>

#include "domain/addresses.h"
#include "domain/outbound/consequences.h"
#include "domain/records/record_order.h"
#include "domain/state/shards.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

namespace {

/// Longer than a roster service takes.
constexpr std::chrono::milliseconds kAnsweredAfter{50};

/// Whether a request goes there for its own sake, and not only because of what was sent before it.
bool GoesThroughLog(Hooks::Effect effect) {
  return effect == Hooks::Effect::kChanges || effect == Hooks::Effect::kSettings;
}

xmpp::Stanza MakeAnswer(const xmpp::Stanza& iq, IqReply& reply) {
  if (reply.error) return xmpp::MakeError(iq, *reply.error, reply.text, reply.error_type);
  if (reply.payload) return xmpp::MakeResult(iq, *reply.payload);
  xmpp::Stanza result = xmpp::MakeResult(iq);
  result.set_payload(std::move(reply.canonical));
  return result;
}

/// The handler with the payload parsed; coroutine so that its frame keeps `request`.
Task<IqReply> Run(IqRequest& request, const Hooks::Entry* entry) {
  request.payload = xmpp::OnlyChild(request.iq);
  if (request.payload.name().empty()) co_return IqReply::Error(xmpp::ErrorCondition::kBadRequest);
  IqReply reply = co_await entry->handler(request);
  co_return reply;
}

}  // namespace

const Hooks::Entry* IqRouter::Prepare(const Sender& sender, IqRequest& request) const {
  request.is_set = request.iq.type() == "set";
  request.shard = shards_.Shared(sender.user.shard->number);
  request.session = sender.session;
  const std::string_view to = request.iq.to();
  if (to.empty() || to == sender.user.bare) {
    request.target = Target::kOwnAccount;
    request.account = sender.user.bare;
  } else if (const auto home = addresses_.HomeOf(to); home && home->service != events::Service::kAccounts) {
    request.target = Target::kService;
    request.home = home;
  } else {
    request.target = Target::kServer;
  }
  const Hooks::Entry* entry = hooks_.Find(request);
  if (entry == nullptr && to.empty()) {
    // Clients of old ask the server without an address (RFC 3921).
    request.target = Target::kServer;
    entry = hooks_.Find(request);
  }
  return entry;
}

IqRouter::Verdict IqRouter::OnClientRequest(const Sender& sender, const Cause& cause, xmpp::Stanza iq) {
  auto request = std::make_shared<IqRequest>();
  request->iq.Swap(&iq);
  const Hooks::Entry* entry = Prepare(sender, *request);
  if (entry == nullptr) {
    answers_.Refuse(sender, cause, request->iq, xmpp::ErrorCondition::kServiceUnavailable);
    return {};
  }
  if (GoesThroughLog(entry->effect(request->iq))) return {std::move(request), {}};
  return {nullptr, [this, request, entry](Cause& later) -> Task<void> {
            request->cause = &later;
            return AnswerClient(request, entry);
          }};
}

void IqRouter::OnOutbound(const Sender& sender, PendingRecord& pending) {
  auto request = std::make_shared<IqRequest>();
  request->iq = pending.record.outbound().stanza();
  request->generation = pending.record.outbound().account_generation();
  const Hooks::Entry* entry = Prepare(sender, *request);
  auto cause = std::make_shared<Cause>();
  cause->offset = pending.offset;
  cause->trace_id = pending.record.trace_id();
  request->cause = cause.get();
  if (entry == nullptr) {
    answers_.Refuse(sender, *cause, request->iq, xmpp::ErrorCondition::kServiceUnavailable);
    return;
  }
  request->on_doubt = [this, shard = request->shard, bare = sender.user.bare, offset = pending.offset] {
    order_.OnDoubt(*shard, bare, offset);
  };
  // Another owner may hold other views; what changes nothing and has nobody to be told is not asked.
  if (!sender.session && !GoesThroughLog(entry->effect(request->iq))) return;
  order_.FinishLater(sender.user, pending, "iq.change",
                     [this, request, cause, entry]() -> Task<void> { return AnswerClient(request, entry); });
}

Task<void> IqRouter::AnswerClient(std::shared_ptr<IqRequest> request, const Hooks::Entry* entry) {
  IqReply reply = co_await Run(*request, entry);
  if (!request->session || request->session->ended()) co_return;
  answers_.Answer({*request->session->user, request->session}, *request->cause,
                  MakeAnswer(request->iq, reply));
}

void IqRouter::OnAccountRequest(User& user, PendingRecord& pending) {
  auto request = std::make_shared<IqRequest>();
  request->iq = pending.record.delivery().stanza();
  request->is_set = request->iq.type() == "set";
  request->shard = shards_.Shared(user.shard->number);
  request->account = user.bare;
  request->target =
      xmpp::BareOf(request->iq.from()) == user.bare ? Target::kOwnAccount : Target::kOtherAccount;
  Cause cause = CauseOf(pending);
  const Hooks::Entry* entry = hooks_.Find(*request);
  if (entry == nullptr) {
    AnswerLater(*user.shard, cause, xmpp::MakeError(request->iq, xmpp::ErrorCondition::kServiceUnavailable),
                pending.read_at);
    return;
  }
  order_.FinishLater(user, pending, "iq.answer",
                     [this, request, cause, entry, read_at = pending.read_at]() -> Task<void> {
                       return AnswerRecord(request, cause, entry, read_at);
                     });
}

Task<void> IqRouter::AnswerRecord(std::shared_ptr<IqRequest> request, Cause cause, const Hooks::Entry* entry,
                                  SteadyTime read_at) {
  request->cause = &cause;
  IqReply reply = co_await Run(*request, entry);
  if ((reply.error || reply.says_nothing) && request->target == Target::kOtherAccount) {
    AnswerLater(*request->shard, cause, MakeAnswer(request->iq, reply), read_at);
    co_return;
  }
  consequences_.AppendDelivery(*request->shard, cause, MakeAnswer(request->iq, reply));
}

void IqRouter::AnswerLater(Shard& shard, const Cause& cause, xmpp::Stanza answer, SteadyTime read_at) {
  // Nothing else of the user waits for it.
  shard.window.Hold(cause.offset);
  shard.Spawn("iq.answer_later",
              AnswerAt(shards_.Shared(shard.number), cause, std::move(answer), read_at + kAnsweredAfter));
}

Task<void> IqRouter::AnswerAt(std::shared_ptr<Shard> shard, Cause cause, xmpp::Stanza answer,
                              SteadyTime time) {
  if (const auto left = time - clock_.Now(); left > SteadyTime::duration::zero())
    co_await runtime::Sleep(std::chrono::duration_cast<std::chrono::milliseconds>(left));
  consequences_.AppendDelivery(*shard, cause, std::move(answer));
  shard->window.Release(cause.offset);
}

}  // namespace rookery::session_manager
