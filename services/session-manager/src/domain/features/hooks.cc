#include "domain/features/hooks.h"

#include <algorithm>
#include <utility>

#include "domain/text_for_clients.h"
#include "rookery/base/check.h"
#include "rookery/base/status.h"

namespace rookery::session_manager {

namespace {

std::string KeyOf(bool is_set, std::string_view ns, std::string_view name) {
  std::string key(is_set ? "set " : "get ");
  key.append(ns).append(" ").append(name);
  return key;
}

}  // namespace

IqReply IqReply::Result(xmpp::Element payload) {
  IqReply reply;
  reply.payload = std::move(payload);
  return reply;
}

IqReply IqReply::CanonicalResult(std::string payload) {
  IqReply reply;
  reply.canonical = std::move(payload);
  return reply;
}

IqReply IqReply::Error(xmpp::ErrorCondition condition, std::string text) {
  IqReply reply;
  reply.error = condition;
  reply.text = std::move(text);
  return reply;
}

IqReply IqReply::ResultThatSaysNothing(xmpp::Element payload) {
  IqReply reply = Result(std::move(payload));
  reply.says_nothing = true;
  return reply;
}

IqReply IqReply::FromStatus(const absl::Status& status) {
  if (status.ok()) return Result();
  IqReply reply = Error(xmpp::ConditionOf(status), TextForClients(status));
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsAborted(status))
    reply.error_type = xmpp::ErrorType::kWait;
  return reply;
}

void Hooks::OnIq(Kind kind, std::string_view ns, std::string_view name, std::vector<Target> targets,
                 EffectOfIq effect, IqHandler handler) {
  const bool is_first = handlers_
                            .emplace(KeyOf(kind == Kind::kSet, ns, name),
                                     Entry{std::move(targets), std::move(effect), std::move(handler)})
                            .second;
  ROOKERY_CHECK(is_first);
}

const Hooks::Entry* Hooks::Find(const IqRequest& request) const {
  const auto it =
      handlers_.find(KeyOf(request.is_set, request.iq.payload_namespace(), request.iq.payload_name()));
  if (it == handlers_.end()) return nullptr;
  const auto& targets = it->second.targets;
  return std::find(targets.begin(), targets.end(), request.target) == targets.end() ? nullptr : &it->second;
}

Hooks::Effect Hooks::EffectOf(const xmpp::Stanza& iq) const {
  const auto it = handlers_.find(KeyOf(iq.type() == "set", iq.payload_namespace(), iq.payload_name()));
  return it == handlers_.end() ? Hooks::Effect::kNone : it->second.effect(iq);
}

}  // namespace rookery::session_manager
