// Whole sessions of hostile clients: the gateway's streams with the real session-manager, roster, muc and
// search behind them, over the simulation's Kafka, Redis, PostgreSQL and time.
//
// Each line of the input is one act: a letter for the client, one for what it does, and decisions
// (line.h). A capital letter for the client: what follows from the act comes before the next
// one; a small one: both are under way at once. A is Ann, B is Bob, C is Cyd, a stranger to both, all over
// TCP, and W is Ann's second device, over WebSocket. A client that is not signed in signs in before it says
// something.
//
//   m p i   a message, presence or IQ (hostile_sessions/stanzas.cc)
//   x       the rest of the line as it is
//   r h e   <r/>; <a/> with some h; <enable/>
//   n u     a new connection with a new session; with the old one, resumed, or something like it
//   o g s b only a connection; a header; SASL; bind
//   l       <starttls/>
//   c k     </stream:stream>; the connection is cut
//   w d q   reads no more, or again; sends in pieces; does not answer, or does again
//   t       time passes

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "domain/text.h"
#include "fuzz_input.h"
#include "hostile_sessions/stanzas.h"
#include "line.h"
#include "random.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/ns.h"
#include "sessions/client.h"
#include "sessions/edge.h"
#include "sessions/small_cluster.h"
#include "virtual_kernel.h"

namespace rookery::fuzz {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Goal = Client::Goal;

constexpr std::size_t kMaxLines = 64;
/// That acts let pass, since each second costs as much as an act.
constexpr seconds kMaxTime{30};

/// FNV-1a.
std::uint64_t HashOf(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

// ---- the generator -----------------------------------------------------------

/// One act, as a line.
std::string MakeLine(simulation::Random& random) {
  // As often as they stand here.
  static constexpr std::string_view kClients = "AAABBBWWCabw";
  static constexpr std::string_view kActs = "mmmmmmmmppppppiiiiiiiiiiirrhxenuuuogsblckkwwdqttt";
  static constexpr std::string_view kDecisions =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  static constexpr std::string_view kRaw[] = {
      "<presence xmlns='jabber:client'/>",
      "<message xmlns='jabber:client' to='bob@localhost'>",
      "</message>",
      "<iq xmlns='jabber:client' type='get' id='x'><ping xmlns='urn:xmpp:ping'/></iq>",
      "</stream:stream>",
      "<r xmlns='urn:xmpp:sm:3'/>",
      "<a xmlns='urn:xmpp:sm:3' h='-1'/>",
      " ",
      "<",
      "]]>",
      "<stream:error/>",
      "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>biwsbj1hbm4scj1h</auth>"};
  const auto any = [&](std::string_view from) { return from[random.Below(from.size())]; };
  std::string line{any(kClients), any(kActs)};
  if (line[1] == 'x') return line.append(kRaw[random.Below(std::size(kRaw))]);
  // A type and a recipient that are usual as often as any other, and nothing wrong twice as often as
  // something.
  line.push_back(random.Chance(0.5) ? any("0123") : any(kDecisions));
  line.push_back(random.Chance(0.5) ? any("0123") : any(kDecisions));
  line.push_back(any(kDecisions));
  if (line[1] == 'p') line.push_back(any(kDecisions));
  if (random.Chance(0.33)) line.push_back(any(kDecisions));
  return line;
}

/// An input with one act more, less, or another one.
std::string Mutated(std::string_view input, simulation::Random& random) {
  std::vector<std::string> lines;
  for (Input rest(reinterpret_cast<const std::uint8_t*>(input.data()), input.size()); !rest.empty();)
    lines.emplace_back(rest.Until('\n'));
  if (lines.size() >= kMaxLines) lines.resize(random.Below(kMaxLines));
  const std::size_t at = random.Below(lines.size() + 1);
  const auto here = lines.begin() + static_cast<std::ptrdiff_t>(at);
  switch (at == lines.size() ? 0 : random.Below(5)) {
    case 0:
    case 1:
      if (random.Chance(0.1)) {  // one that says the same over and over
        lines.insert(here, 2 + random.Below(16), MakeLine(random));
        break;
      }
      for (std::size_t i = 1 + random.Below(4); i > 0; --i)
        lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(at), MakeLine(random));
      break;
    case 2:
      *here = MakeLine(random);
      break;
    case 3:
      lines.erase(here);
      break;
    default:
      std::swap(*here, lines[random.Below(lines.size())]);
      break;
  }
  std::string out;
  for (const std::string& line : lines) out.append(line).push_back('\n');
  return out;
}

// ---- the play ---------------------------------------------------------------

/// The clients, and what one input makes of them.
class Play {
 public:
  explicit Play(std::string_view input)
      : cluster_(HashOf(input), HostileSettings()),
        clients_{std::make_unique<Client>(*cluster_.edge, cluster_.ledger, "ann@localhost", "a", false),
                 std::make_unique<Client>(*cluster_.edge, cluster_.ledger, "bob@localhost", "b", false),
                 std::make_unique<Client>(*cluster_.edge, cluster_.ledger, "ann@localhost", "w", true),
                 std::make_unique<Client>(*cluster_.edge, cluster_.ledger, "cyd@localhost", "c", false)} {}

  void Act(std::string_view text) {
    Line line(text);
    const char who = line.NextChar();
    const std::size_t number = WhoIs(who);
    Client& client = *clients_[number];
    const char what = line.NextChar();
    Do(client, number, what, line);
    if (who >= 'a' && who <= 'z') return;
    Run(milliseconds(4));
  }

  void End() {
    Settle();
    CheckAmounts();
    // One leaves with a word, the others without.
    if (clients_[0]->is_connected()) clients_[0]->SendClose();
    Run(milliseconds(100));
    for (const auto& client : clients_) client->Cut(true);
    cluster_.RequireSilence();
  }

 private:
  std::size_t WhoIs(char c) const {
    switch (c) {
      case 'A':
      case 'a':
        return 0;
      case 'B':
      case 'b':
        return 1;
      case 'W':
      case 'w':
        return 2;
      case 'C':
      case 'c':
        return 3;
      default:
        return static_cast<unsigned char>(c) % clients_.size();
    }
  }

  /// With whom a client has to do mostly.
  static std::size_t OtherOf(std::size_t number) { return number == 1 || number == 3 ? 0 : 1; }

  Cast CastOf(std::size_t number) const {
    const Client& own = *clients_[number];
    const Client& other = *clients_[OtherOf(number)];
    return {own.user(), own.full_jid(), clients_[number == 0 ? 2 : 0]->full_jid(), other.user(),
            other.full_jid()};
  }

  void Run(milliseconds duration) {
    const auto step = std::min(duration, milliseconds(50));
    for (milliseconds passed{0}; passed < duration; passed += step) {
      cluster_.RunFor(step);
      for (const auto& client : clients_) client->Reply();
    }
    CheckAmounts();
  }

  bool RunUntilThere(Client& client, Goal goal) {
    for (int i = 0; i < 300 && client.is_connected() && !client.is_there(goal); ++i) Run(milliseconds(1));
    return client.is_there(goal);
  }

  void SignIn(Client& client, std::size_t how) {
    client.Connect(Goal::kBound);
    if (!RunUntilThere(client, Goal::kBound)) return;
    if ((how & 1) == 0) client.SendEnable(true);
    if ((how & 2) == 0) client.SendStanza("<presence xmlns='jabber:client'/>");
    if ((how & 4) != 0)
      client.SendStanza(gateway::Cat("<iq xmlns='jabber:client' type='set' id='", NextId(),
                                     "'><enable xmlns='", xmpp::ns::kCarbons, "'/></iq>"));
    if ((how & 8) != 0)
      client.SendStanza(gateway::Cat("<iq xmlns='jabber:client' type='get' id='", NextId(),
                                     "'><query xmlns='", xmpp::ns::kRoster, "'/></iq>"));
    Run(milliseconds(4));
  }

  static void Say(Client& client, Written stanza) {
    if (stanza.is_valid) return client.SendStanza(std::move(stanza.xml));
    client.SendRaw(std::move(stanza.xml));
  }
  std::string NextId() { return gateway::Cat("i", ++ids_); }

  void Do(Client& client, std::size_t number, char what, Line& line) {
    const std::string_view kWithoutSignIn = "noguklsbtwdq";
    if (!client.is_connected() && kWithoutSignIn.find(what) == std::string_view::npos) SignIn(client, 0);
    switch (what) {
      case 'm':
        return Say(client, MakeMessage(line, CastOf(number), cluster_.ledger.NextMark(), NextId()));
      case 'p':
        return Say(client, MakePresence(line, CastOf(number), cluster_.ledger.NextMark(), NextId()));
      case 'i':
        return Say(client, MakeIq(line, CastOf(number), cluster_.ledger.NextMark(), NextId()));
      case 'x':
        return client.SendRaw(std::string(line.rest()));
      case 'r':
        return client.AskForAck();
      case 'h': {
        const std::uint32_t h = client.received();
        const std::uint32_t numbers[] = {h, h - 1, h + 1, 0, 0xFFFFFFFF, h + 1000, h / 2};
        return client.SendAck(numbers[line.Next(std::size(numbers))]);
      }
      case 'e':
        return client.SendEnable(line.Next(2) == 0);
      case 'n':
        return SignIn(client, line.Next(16));
      case 'u':
        return Resume(client, number, line);
      case 'o':
        client.Connect(line.Next(2) == 0 ? Goal::kStarted : Goal::kConnected);
        return;
      case 'g':
        return client.SendHeader();
      case 's': {
        static constexpr std::string_view kPasswords[] = {"secret", "wrong", "", "\xFF",
                                                          "secret\xE2\x80\x8F"};
        return client.SendAuth(kPasswords[line.Next(std::size(kPasswords))]);
      }
      case 'b': {
        static constexpr std::string_view kResources[] = {"",  "a", "b",        "w",
                                                          "x", " ", "&#x200F;", "&quot;&gt;\xC3\xA9"};
        const std::size_t choice = line.Next(std::size(kResources) + 1);
        return client.SendBind(choice == 0 ? std::string_view(client.resource()) : kResources[choice - 1]);
      }
      case 'l':
        return client.SendRaw("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
      case 'c':
        return client.SendClose();
      case 'k':
        return client.Cut(line.Next(2) == 1);
      case 'w':
        return client.set_reading(line.Next(2) == 1);
      case 'd': {
        static constexpr std::size_t kSizes[] = {0, 1, 7, 100};
        return client.set_piece(kSizes[line.Next(std::size(kSizes))]);
      }
      case 'q':
        return client.set_polite(line.Next(2) == 1);
      case 't': {
        static constexpr milliseconds kTimes[] = {milliseconds(10), milliseconds(300), seconds(1),
                                                  seconds(3),       seconds(6),        seconds(12)};
        const milliseconds time = kTimes[line.Next(std::size(kTimes))];
        if (time_passed_ + time > kMaxTime) return;
        time_passed_ += time;
        return Run(time);
      }
      default:
        // Bytes that mean nothing here still mean something to a server.
        return client.SendRaw(std::string(line.rest()));
    }
  }

  void Resume(Client& client, std::size_t number, Line& line) {
    const std::string own = client.sm_id();
    const std::uint32_t h = client.received();
    const std::size_t choice = line.Next(9);
    if (choice == 0) {
      client.Connect(Goal::kResumed);
      RunUntilThere(client, Goal::kResumed);
      return;
    }
    if (choice < 8) {
      client.Connect(Goal::kSignedIn);
      if (!RunUntilThere(client, Goal::kSignedIn)) return;
      client.SendHeader();
    }
    const std::string others = clients_[OtherOf(number)]->sm_id();
    const std::string devices = clients_[number == 0 ? 2 : 0]->sm_id();
    switch (choice) {
      case 1:
        return client.SendResume(own, 0);
      case 2:
        return client.SendResume(own, h + 1);
      case 3:
        return client.SendResume(own, 0xFFFFFFFF);
      case 4:
        return client.SendResume(others, 0);
      case 5:
        return client.SendResume(devices, 0);
      case 6:
        return client.SendResume("AAAAAAAAAAAAAAAAAAAAAA", h);
      case 7:
        return client.SendResume(gateway::Cat(own, line.rest().substr(0, 12)), h);
      default:  // on the stream that there is
        return client.SendResume(own, h);
    }
  }

  /// All that is under way comes to its end.
  void Settle() {
    for (const auto& client : clients_) {
      client->set_reading(true);
      client->set_polite(true);
      client->set_piece(0);
    }
    std::vector<std::uint64_t> acknowledgements;
    for (const auto& client : clients_) acknowledgements.push_back(client->acknowledgements());
    for (int i = 0; i < 40; ++i) {
      for (const auto& client : clients_)
        if (client->is_bound() && client->has_stream_management()) client->AskForAck();
      Run(milliseconds(i < 4 ? 50 : 1000));
      bool is_done = i > 0;
      for (std::size_t c = 0; c < clients_.size(); ++c) {
        const Client& client = *clients_[c];
        if (!client.is_bound()) continue;
        // Whoever has left an element open says nothing more.
        const bool is_stuck = i > 10 && client.acknowledgements() == acknowledgements[c];
        is_done = is_done && cluster_.ledger.Unanswered(*client.session()) == 0 &&
                  (is_stuck || client.is_acknowledged()) && client.is_all_taken();
      }
      if (is_done) break;
    }
    for (std::size_t c = 0; c < clients_.size(); ++c) {
      const Client& client = *clients_[c];
      if (!client.is_bound()) continue;
      cluster_.ledger.RequireAnswers(*client.session());
      Require(client.is_all_taken(), "every valid stanza is taken once");
      if (client.acknowledgements() > acknowledgements[c])
        Require(client.is_acknowledged(), "what was sent is acknowledged in the end");
    }
  }

  /// Whatever clients send, it costs no more than its share.
  void CheckAmounts() {
    static const std::size_t kMaxQueued = [] {
      const gateway::XmppSettings settings = HostileSettings();
      // And one stanza more, with what the cluster adds (addresses, a carbon), then the end of the stream.
      return settings.max_queued_bytes + 2 * settings.limits.max_stanza_bytes + std::size_t{4} * 1024;
    }();
    std::uint64_t sent = 0, received = 0, connections = 0;
    for (const auto& client : clients_) {
      Require(client->queued_bytes() <= kMaxQueued, "what waits for a client that reads nothing is bounded");
      sent += client->bytes_sent();
      received += client->bytes_received();
      connections += static_cast<std::uint64_t>(client->connections());
    }
    Require(received <= 32 * sent + 64 * 1024 * (connections + 1),
            "what comes out is bounded by what went in");
  }

  SmallCluster cluster_;
  std::array<std::unique_ptr<Client>, 4> clients_;
  std::uint64_t ids_ = 0;
  milliseconds time_passed_{0};
};

}  // namespace

}  // namespace rookery::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char*** argv) {
  rookery::simulation::FixAddresses(*argv);
  rookery::telemetry::InitLog("fuzz", "hostile_sessions", "error");
  return 0;
}

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  rookery::simulation::Random random(seed);
  if (random.Chance(0.3)) return LLVMFuzzerMutate(data, size, max_size);
  const std::string mutated =
      rookery::fuzz::Mutated({reinterpret_cast<const char*>(data), size}, random).substr(0, max_size);
  std::copy(mutated.begin(), mutated.end(), data);
  return mutated.size();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  rookery::fuzz::Play play(text);
  rookery::fuzz::Input input(data, size);
  for (std::size_t i = 0; i < rookery::fuzz::kMaxLines && !input.empty(); ++i) play.Act(input.Until('\n'));
  play.End();
  return 0;
}
