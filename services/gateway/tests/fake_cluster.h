#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "domain/scram_crypto.h"
#include "ports/cluster.h"
#include "ports/password_checker.h"

namespace rookery::gateway {

/// A Cluster that answers when the test says so.
class FakeCluster final : public Cluster {
 public:
  struct Sent {
    xmpp::Stanza stanza;
    std::optional<xmpp::ErrorCondition> refused;
  };

  const ServiceFacts& facts() const override { return known; }
  RequestId LookUp(std::string_view user, OnLookup done) override {
    asked_user = user;
    lookup = Awaited(std::move(done));
    return last_id;
  }
  RequestId CreateAccount(std::string_view user, std::string_view password, OnCreated done) override {
    asked_user = user;
    asked_text = password;
    create = Awaited(std::move(done));
    return last_id;
  }
  RequestId Start(const Identity& identity, std::string_view resource, SessionClient& asker,
                  OnStarted done) override {
    asked_user = identity.user;
    asked_version = identity.credentials_version;
    asked_generation = identity.account_generation;
    asked_text = resource;
    client = &asker;
    start = Awaited(std::move(done));
    return last_id;
  }
  RequestId Resume(SessionId previous, const Identity& identity, std::uint32_t handled, SessionClient& asker,
                   OnResumed done) override {
    asked_session = previous;
    asked_user = identity.user;
    asked_version = identity.credentials_version;
    asked_generation = identity.account_generation;
    asked_handled = handled;
    client = &asker;
    resume = Awaited(std::move(done));
    return last_id;
  }
  void Cancel(RequestId request) override {
    EXPECT_EQ(awaited.erase(request), 1u) << "answered, or never asked";
    ++cancelled;
  }
  void SendStanza(ClientSession& from, xmpp::Stanza stanza,
                  std::optional<xmpp::ErrorCondition> refused) override {
    from.inbound.Add("bytes", {});
    sent.push_back({std::move(stanza), refused});
  }
  void StreamManagementEnabled(ClientSession&) override { ++enabled; }
  void Delivered(ClientSession& session_) override { delivered = session_.outbound.acked_seq(); }
  void End(ClientSession& ended, EndReason reason) override {
    EXPECT_EQ(&ended, session.get());
    end = reason;
  }
  bool MayRead(ClientSession&) override { return !congested; }

  // These do what a session-manager would.
  void AnswerLookup(std::vector<ScramKey> keys, std::uint64_t version = 7, std::uint64_t generation = 9) {
    std::exchange(lookup, nullptr)({false, std::move(keys), version, generation});
  }
  void FailLookup() { std::exchange(lookup, nullptr)({true, {}, 0, 0}); }
  void RefuseStart(const ActionFailure& refusal) { std::exchange(start, nullptr)(nullptr, refusal); }
  ClientSession& AnswerStart(const std::string& full_jid) {
    session = std::make_unique<ClientSession>(SessionId::Random(), full_jid);
    session->client = client;
    std::exchange(start, nullptr)(session.get(), {});
    return *session;
  }
  void Packet(const xmpp::Stanza& stanza, std::string_view to = {}) {
    session->outbound.Add(5, 0, stanza);
    client->OnPacket(stanza, to);
  }
  void Confirm(std::uint64_t count) {
    session->inbound.Confirm(count, [](const InboundWindow::Entry&) {});
    client->OnConfirmed();
  }

  ServiceFacts known;
  RequestId last_id = 0;
  std::set<RequestId> awaited;
  OnLookup lookup;
  OnCreated create;
  OnStarted start;
  OnResumed resume;
  SessionClient* client = nullptr;
  std::string asked_user;
  std::uint64_t asked_version = 0;
  std::uint64_t asked_generation = 0;
  std::string asked_text;
  SessionId asked_session;
  std::uint32_t asked_handled = 0;
  std::unique_ptr<ClientSession> session;
  std::vector<Sent> sent;
  EndReason end = EndReason::kNone;
  std::uint64_t delivered = 0;
  int enabled = 0;
  int cancelled = 0;
  bool congested = false;

 private:
  template <typename... Answer>
  std::function<void(Answer...)> Awaited(std::function<void(Answer...)> done) {
    awaited.insert(++last_id);
    return [this, id = last_id, done = std::move(done)](Answer... answer) {
      awaited.erase(id);
      done(std::forward<Answer>(answer)...);
    };
  }
};

/// Answers when the test says so, and holds that it says what is true.
class FakePasswords final : public PasswordChecker {
 public:
  bool Check(ScramKey key, std::string password, std::function<void(bool)> done) override {
    if (full) return false;
    waiting = [key = std::move(key), password = std::move(password), done = std::move(done)](bool matches) {
      EXPECT_EQ(VerifyPassword(key, password), matches);
      done(matches);
    };
    return true;
  }
  std::function<void(bool)> waiting;
  bool full = false;
};

}  // namespace rookery::gateway
