#include <set>

#include "absl/strings/str_cat.h"
#include "metrics_page.h"
#include "scenarios.h"

namespace rookery::load {
namespace {

/// Users in a ring, each a contact of its nearest neighbours on both sides.
class Storm {
 public:
  Storm(Run& run, const PresenceOptions& options)
      : run_(run), users_(options.users), reach_(options.contacts / 2), rounds_(options.rounds) {}

  void Go() {
    if (!run_.SignIn(clients_, users_, {})) return;
    if (!Subscribe()) return run_.report().Fault("the rosters could not be filled in time");
    const std::uint64_t expected = static_cast<std::uint64_t>(users_) * reach_ * 2;
    run_.Say("log-in storm");
    run_.SignOut(clients_);
    run_.BeginCpu();
    const double records = AppendedRecords(run_.cluster());
    const Clock::time_point begin = Clock::now();
    if (!run_.SignIn(clients_, users_, {})) return;
    const double signed_in = Seconds(begin);
    // Everyone hears of each contact: as a broadcast, or as the answer to a probe.
    Listen();
    const Clock::time_point available = Clock::now();
    for (const auto& client : clients_) client->Send("<presence/>");
    const bool all = run_.Until([&] { return distinct_ >= expected; }, std::chrono::seconds(60));
    run_.report().Number("all signed in after", signed_in, "s");
    run_.report().Number("all know their contacts after", Seconds(available), "s");
    run_.report().Number("initial presences per second", static_cast<double>(distinct_) / Seconds(available),
                         "/s");
    run_.EndCpu(distinct_, "presence delivered");
    run_.report().Number("records for each sign-in",
                         (AppendedRecords(run_.cluster()) - records) / static_cast<double>(users_));
    if (!all)
      return run_.report().Fault(
          absl::StrCat(expected - distinct_, " of ", expected, " presences are missing"));

    run_.Say("change storm");
    run_.For(std::chrono::seconds(1));
    run_.BeginCpu();
    const Clock::time_point changes = Clock::now();
    std::uint64_t delivered = 0;
    for (std::size_t round = 1; round <= rounds_; ++round) {
      status_ = absl::StrCat("round ", round);
      received_ = 0;
      for (const auto& client : clients_)
        client->Send(absl::StrCat("<presence><status>", status_, "</status></presence>"));
      // Each user's own resources hear it too; those are not counted.
      if (!run_.Until([&] { return received_ >= expected; }, std::chrono::seconds(60))) {
        run_.report().Fault(absl::StrCat(expected - received_, " of ", expected, " changes are missing"));
        break;
      }
      delivered += received_;
    }
    run_.report().Number("changes delivered per second", static_cast<double>(delivered) / Seconds(changes),
                         "/s");
    run_.report().Count("changes delivered", delivered);
    run_.EndCpu(delivered, "presence delivered");
    run_.SignOut(clients_);
  }

 private:
  static double Seconds(Clock::time_point since) {
    return std::chrono::duration<double>(Clock::now() - since).count();
  }

  /// Contacts of `user` as indices.
  std::vector<std::size_t> ContactsOf(std::size_t user) const {
    std::vector<std::size_t> contacts;
    for (std::size_t d = 1; d <= reach_; ++d) {
      contacts.push_back((user + d) % users_);
      contacts.push_back((user + users_ - d) % users_);
    }
    return contacts;
  }

  /// Brings every roster to `both`, asking only for what is missing.
  bool Subscribe() {
    std::vector<std::set<std::string>> missing(users_);
    std::size_t rosters = 0, left = 0;
    for (std::size_t i = 0; i < users_; ++i) {
      for (const std::size_t contact : ContactsOf(i)) missing[i].insert(clients_[contact]->bare_jid());
      left += missing[i].size();
      clients_[i]->on_stanza = [&, i](std::string_view stanza) {
        if (stanza.starts_with("<iq")) {
          // Items of the roster itself or of a push.
          std::size_t at = 0;
          while ((at = stanza.find("<item", at)) != std::string_view::npos) {
            const std::string_view item = stanza.substr(at++);
            const std::string_view subscription = AttributeOf(item, "subscription");
            if (subscription != "both" && subscription != "to") continue;
            left -= missing[i].erase(std::string(AttributeOf(item, "jid")));
          }
          if (AttributeOf(stanza, "id") == "roster") ++rosters;
          if (AttributeOf(stanza, "type") == "set") {
            clients_[i]->Send(
                absl::StrCat("<iq type='result' id='", std::string(AttributeOf(stanza, "id")), "'/>"));
          }
        } else if (stanza.starts_with("<presence") && AttributeOf(stanza, "type") == "subscribe") {
          clients_[i]->Send(absl::StrCat("<presence type='subscribed' to='",
                                         std::string(AttributeOf(stanza, "from")), "'/>"));
        }
      };
      clients_[i]->Send("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq><presence/>");
    }
    if (!run_.Until([&] { return rosters == users_; }, std::chrono::seconds(60))) return false;
    if (left > 0) run_.Say(absl::StrCat(left, " subscriptions to make"));
    const auto wanted = missing;
    // A few users at a time: this phase is not what is measured.
    std::size_t next = 0;
    const bool done = run_.Until(
        [&] {
          while (next < users_ && (missing[next].empty() || left <= WantedLeft(wanted, next) + 2000)) {
            for (const std::string& contact : wanted[next]) {
              clients_[next]->Send(absl::StrCat("<presence type='subscribe' to='", contact, "'/>"));
            }
            ++next;
          }
          return left == 0;
        },
        std::chrono::seconds(run_.options().timeout));
    for (const auto& client : clients_) client->on_stanza = nullptr;
    return done;
  }

  /// Returns what would be left if all before `next` were done.
  static std::size_t WantedLeft(const std::vector<std::set<std::string>>& wanted, std::size_t next) {
    std::size_t sum = 0;
    for (std::size_t i = next; i < wanted.size(); ++i) sum += wanted[i].size();
    return sum;
  }

  void Listen() {
    heard_.assign(users_, {});
    for (std::size_t i = 0; i < users_; ++i) {
      clients_[i]->on_stanza = [this, i](std::string_view stanza) {
        if (!stanza.starts_with("<presence") || !AttributeOf(stanza, "type").empty()) return;
        std::string_view from = AttributeOf(stanza, "from");
        from = from.substr(0, from.find('/'));
        if (from == std::string_view(clients_[i]->bare_jid())) return;
        if (status_.empty()) {
          if (heard_[i].emplace(from).second) ++distinct_;
        } else if (TextOf(stanza, "status") == status_) {
          ++received_;
        }
      };
    }
  }

  Run& run_;
  const std::size_t users_;
  const std::size_t reach_;
  const std::size_t rounds_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::set<std::string>> heard_;
  std::uint64_t distinct_ = 0;
  std::uint64_t received_ = 0;
  std::string status_;
};

}  // namespace

void MeasurePresence(Run& run, const PresenceOptions& options) {
  if (run.accounts().size() < options.users) {
    return run.report().Fault(absl::StrCat(options.users, " users need as many accounts: seed them"));
  }
  if (options.contacts < 2 || options.contacts >= options.users) {
    return run.report().Fault("contacts: at least 2 and fewer than users");
  }
  run.report().Count("users", options.users);
  run.report().Count("contacts of each", options.contacts / 2 * 2);
  Storm(run, options).Go();
}

}  // namespace rookery::load
