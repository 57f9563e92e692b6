#include "modules/iq_router.h"

#include <algorithm>

#include "domain/delivery/deliverer.h"
#include "domain/inbound/client_stanza_processor.h"
#include "domain/records/record_order.h"
#include "domain/sessions/session_keeper.h"
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
                 EffectOfIq effect, IqHandler handler) {
  handlers.emplace(KeyOf(kind == Kind::kSet, ns, name),
                   Entry{std::move(targets), std::move(effect), std::move(handler)});
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

const Hooks::Entry* IqRouter::Prepare(const Sender& sender, IqRequest& request) const {
  request.is_set = request.iq.type() == "set";
  request.shard = core_.SharedShard(sender.user.shard->number);
  request.session = sender.session;
  const std::string_view to = request.iq.to();
  if (to.empty() || to == sender.user.bare) {
    request.target = Target::kOwnAccount;
    request.account = sender.user.bare;
  } else if (const auto service = core_.LocalService(xmpp::DomainOf(to))) {
    request.target = Target::kService;
    request.service = *service;
  } else {
    request.target = Target::kServer;
  }
  const Hooks::Entry* entry = Find(request);
  if (entry == nullptr && to.empty()) {
    // Clients of old ask the server without an address (RFC 3921).
    request.target = Target::kServer;
    entry = Find(request);
  }
  return entry;
}

Hooks::Effect IqRouter::EffectOf(const xmpp::Stanza& iq) const {
  const auto it = hooks_.handlers.find(KeyOf(iq.type() == "set", iq.payload_namespace(), iq.payload_name()));
  return it == hooks_.handlers.end() ? Hooks::Effect::kNone : it->second.effect(iq);
}

void IqRouter::OnClientRequest(const Sender& sender, Cause& cause, xmpp::Stanza iq) {
  auto request = std::make_shared<IqRequest>();
  request->iq.Swap(&iq);
  const Hooks::Entry* entry = Prepare(sender, *request);
  if (entry == nullptr) {
    core_.client_stanzas().Refuse(sender, cause, request->iq, xmpp::ErrorCondition::kServiceUnavailable);
    return;
  }
  const std::string address(request->iq.to().empty() ? sender.user.bare : request->iq.to());
  if (entry->effect(request->iq) != Hooks::Effect::kNone) {
    core_.client_stanzas().SendThroughLog(sender, cause, xmpp::BareOf(address), request->iq);
    return;
  }
  core_.client_stanzas().FinishLater(sender.session, cause, {{Errand::Kind::kQuestion, address}},
                                     [this, request, entry](Cause& later) -> Task<void> {
                                       request->cause = &later;
                                       return AnswerClient(request, entry);
                                     });
}

void IqRouter::OnOutbound(const Sender& sender, PendingRecord& pending) {
  auto request = std::make_shared<IqRequest>();
  request->iq = pending.record.outbound().stanza();
  const Hooks::Entry* entry = Prepare(sender, *request);
  auto cause = std::make_shared<Cause>();
  cause->offset = pending.offset;
  cause->trace_id = pending.record.trace_id();
  request->cause = cause.get();
  if (entry == nullptr) {
    core_.client_stanzas().Refuse(sender, *cause, request->iq, xmpp::ErrorCondition::kServiceUnavailable);
    return;
  }
  // Another owner may hold other views; what changes nothing and has nobody to be told is not asked.
  if (!sender.session && entry->effect(request->iq) == Hooks::Effect::kNone) return;
  core_.order().FinishLater(sender.user, pending, "iq.change", [this, request, cause, entry]() -> Task<void> {
    return AnswerClient(request, entry);
  });
}

Task<void> IqRouter::AnswerClient(std::shared_ptr<IqRequest> request, const Hooks::Entry* entry) {
  IqReply reply = co_await Run(*request, entry);
  if (!request->session || request->session->ended || request->shard->released()) co_return;
  core_.client_stanzas().Answer({*request->session->user, request->session}, *request->cause,
                                MakeAnswer(request->iq, reply));
}

void IqRouter::OnAccountRequest(User& user, PendingRecord& pending) {
  auto request = std::make_shared<IqRequest>();
  request->iq = pending.record.delivery().stanza();
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
  core_.order().FinishLater(user, pending, "iq.answer", [this, request, cause, entry]() -> Task<void> {
    return AnswerRecord(request, cause, entry);
  });
}

Task<void> IqRouter::AnswerRecord(std::shared_ptr<IqRequest> request, Cause cause,
                                  const Hooks::Entry* entry) {
  request->cause = &cause;
  IqReply reply = co_await Run(*request, entry);
  if (request->shard->released()) co_return;
  core_.AppendDelivery(*request->shard, cause, MakeAnswer(request->iq, reply));
}

}  // namespace rookery::session_manager
