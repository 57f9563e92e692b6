#include "modules/iq_router.h"

#include <algorithm>

#include "domain/client_stanza_processor.h"
#include "domain/delivery/deliverer.h"
#include "domain/session_keeper.h"
#include "rookery/base/status.h"

namespace rookery::session_manager {

IqReply IqReply::Result(xmpp::Element payload) {
  IqReply reply;
  reply.payload = std::move(payload);
  return reply;
}

IqReply IqReply::Error(xmpp::ErrorCondition condition, std::string text) {
  IqReply reply;
  reply.error = condition;
  reply.text = std::move(text);
  return reply;
}

IqReply IqReply::FromStatus(const absl::Status& status) {
  if (status.ok()) return Result();
  IqReply reply = Error(xmpp::ConditionOf(status), std::string(Message(status)));
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsAborted(status))
    reply.error_type = xmpp::ErrorType::kWait;
  return reply;
}

namespace {

std::string KeyOf(bool is_set, std::string_view ns, std::string_view name) {
  std::string key(is_set ? "set " : "get ");
  key.append(ns).append(" ").append(name);
  return key;
}

xmpp::Stanza MakeAnswer(const xmpp::Stanza& iq, const IqReply& reply) {
  if (reply.error) return xmpp::MakeError(iq, *reply.error, reply.text, reply.error_type);
  return reply.payload ? xmpp::MakeResult(iq, *reply.payload) : xmpp::MakeResult(iq);
}

/// The handler with the payload parsed; coroutine so that its frame keeps `request`.
Task<IqReply> Run(IqRequest& request, const Hooks::Entry* entry) {
  auto children = xmpp::ParsePayload(request.iq.payload());
  if (!children.ok() || children->size() != 1) co_return IqReply::Error(xmpp::ErrorCondition::kBadRequest);
  request.payload = std::move(children->front());
  IqReply reply = co_await entry->handler(request);
  co_return reply;
}

}  // namespace

void Hooks::OnIq(Kind kind, std::string_view ns, std::string_view name, std::vector<Target> targets,
                 bool alone, IqHandler handler) {
  handlers.emplace(KeyOf(kind == Kind::kSet, ns, name), Entry{std::move(targets), alone, std::move(handler)});
}

void IqRouter::Add(std::unique_ptr<Module> module) {
  module->Register(hooks_);
  modules_.push_back(std::move(module));
}

const Hooks::Entry* IqRouter::Find(const IqRequest& request) const {
  const auto it =
      hooks_.handlers.find(KeyOf(request.is_set, request.iq.payload_namespace(), request.iq.payload_name()));
  if (it == hooks_.handlers.end()) return nullptr;
  const auto& targets = it->second.targets;
  return std::find(targets.begin(), targets.end(), request.target) == targets.end() ? nullptr : &it->second;
}

void IqRouter::OnClientRequest(const std::shared_ptr<Session>& session, Cause& cause, xmpp::Stanza iq) {
  auto request = std::make_shared<IqRequest>();
  request->iq.Swap(&iq);
  request->is_set = request->iq.type() == "set";
  request->shard = core_.SharedShard(session->user->shard->number);
  request->session = session;
  const std::string_view to = request->iq.to();
  if (to.empty() || to == session->user->bare) {
    request->target = Target::kOwnAccount;
    request->account = session->user->bare;
  } else if (const auto service = core_.LocalService(xmpp::DomainOf(to))) {
    request->target = Target::kService;
    request->service = *service;
  } else {
    request->target = Target::kServer;
  }
  const Hooks::Entry* entry = Find(*request);
  if (entry == nullptr && to.empty()) {
    // Clients of old ask the server without an address (RFC 3921).
    request->target = Target::kServer;
    entry = Find(*request);
  }
  if (entry == nullptr) {
    core_.client_stanzas().Refuse(*session, request->iq, xmpp::ErrorCondition::kServiceUnavailable);
    return;
  }
  if (entry->alone) {
    core_.client_stanzas().RunInTurn(session, cause, [this, request, entry](Cause& later) -> Task<void> {
      request->cause = &later;
      return AnswerClient(request, entry);
    });
    return;
  }
  // Handlers without a turn neither read nor change what turns change; the next stanza of the
  // session waits all the same, so that answers keep the order of the questions.
  session->inbound_busy = true;
  session->inbound.Open(cause.count);
  core_.tasks().Spawn(
      "iq", [](IqRouter& self, std::shared_ptr<IqRequest> r, Cause own, const Hooks::Entry* e) -> Task<void> {
        r->cause = &own;
        co_await self.AnswerClient(r, e);
        if (r->shard->released()) co_return;
        self.core_.sessions().FinishInbound(r->session, own.count);
        self.core_.sessions().NextInbound(r->session);
      }(*this, request, cause, entry));
}

Task<void> IqRouter::AnswerClient(std::shared_ptr<IqRequest> request, const Hooks::Entry* entry) {
  IqReply reply = co_await Run(*request, entry);
  if (request->session->ended || request->shard->released()) co_return;
  core_.deliverer().Reply(*request->session, MakeAnswer(request->iq, reply));
}

void IqRouter::OnAccountRequest(User& user, PendingRecord& pending) {
  auto request = std::make_shared<IqRequest>();
  request->iq.Swap(pending.record.mutable_delivery()->mutable_stanza());
  request->is_set = request->iq.type() == "set";
  request->shard = core_.SharedShard(user.shard->number);
  request->account = user.bare;
  request->target =
      xmpp::BareOf(request->iq.from()) == user.bare ? Target::kOwnAccount : Target::kOtherAccount;
  Cause cause;
  cause.offset = pending.offset;
  cause.trace_id = pending.record.trace_id();
  const Hooks::Entry* entry = Find(*request);
  if (entry == nullptr) {
    core_.AppendDelivery(*user.shard, cause,
                         xmpp::MakeError(request->iq, xmpp::ErrorCondition::kServiceUnavailable));
    return;
  }
  request->shard->window.Hold(cause.offset);
  core_.TakeNextTurn(
      user, [this, request, cause, entry]() -> Task<void> { return AnswerRecord(request, cause, entry); });
}

Task<void> IqRouter::AnswerRecord(std::shared_ptr<IqRequest> request, Cause cause,
                                  const Hooks::Entry* entry) {
  request->cause = &cause;
  IqReply reply = co_await Run(*request, entry);
  if (request->shard->released()) co_return;
  core_.AppendDelivery(*request->shard, cause, MakeAnswer(request->iq, reply));
  request->shard->window.Release(cause.offset);
}

}  // namespace rookery::session_manager
