#include "domain/affiliations/hats.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "domain/affiliations/affiliations.h"
#include "domain/occupants/hat_list.h"
#include "domain/occupants/presence.h"
#include "domain/occupants/privileges.h"
#include "domain/occupants/unfinished.h"
#include "domain/room/pace.h"
#include "domain/room/request.h"
#include "rookery/xmpp/disco.h"
#include "rookery/xmpp/forms.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

using xmpp::ErrorCondition;

constexpr std::string_view kFormType = "urn:xmpp:hats:commands";
constexpr int kMaxHats = 50;
constexpr int kMaxHatsOfOne = 10;
constexpr std::size_t kMaxUriBytes = 512;
constexpr std::size_t kMaxHueBytes = 16;
constexpr std::size_t kMaxSessionIdBytes = 128;

/// A request of a command while it is answered.
struct Execution {
  Turn& turn;
  std::string_view node;
  std::string session_id;

  xmpp::Element Reply(std::string_view status) const {
    xmpp::Element command("command", xmpp::ns::kCommands);
    command.SetAttr("node", node).SetAttr("sessionid", session_id).SetAttr("status", status);
    return command;
  }
  void Complete() const { turn.Answer(Reply("completed")); }
  /// `specific`: XEP-0050 section 4.4; empty: none.
  void Refuse(ErrorCondition condition, std::string_view specific = {}) const {
    xmpp::Element error = xmpp::MakeErrorElement(condition);
    if (!specific.empty()) error.Add(specific, xmpp::ns::kCommands);
    turn.Refuse(std::move(error));
  }
  void RefusePayload() const { Refuse(ErrorCondition::kBadRequest, "bad-payload"); }
};

struct Command {
  std::string_view node;
  std::string_view title;
  /// None: whoever may look inside.
  v1::Affiliation least;
  /// Null: there is nothing to fill in.
  xmpp::Form (*form)(const Turn&);
  void (*run)(const Execution&, const xmpp::Form&);
};

bool Wears(const v1::Affiliated& entry, std::string_view uri) {
  return std::any_of(entry.hats().begin(), entry.hats().end(),
                     [&](const v1::Hat& hat) { return hat.uri() == uri; });
}

std::vector<std::string> WearersOf(const Room& room, std::string_view uri) {
  std::vector<std::string> wearers;
  for (const auto& [jid, entry] : room.affiliations())
    if (Wears(entry, uri)) wearers.push_back(jid);
  return wearers;
}

/// Everybody is told what the accounts wear now.
void Show(Turn& turn, const std::vector<std::string>& accounts) {
  for (const std::string& account : accounts)
    for (const v1::Occupant* occupant : turn.room.FindAccount(account))
      turn.room.ChangeKnown(occupant->nick())->set_has_news(true);
  v1::Unfinished news;
  news.set_kind(v1::Unfinished::KIND_NEWS);
  Begin(turn, std::move(news));
}

void TellChange(Turn& turn) { BroadcastStatuses(turn, {static_cast<int>(Status::kConfigurationChanged)}); }

void TakeHat(Room& room, const std::string& account, std::string_view uri) {
  v1::Affiliated& entry = room.ChangeAffiliated(account);
  auto& hats = *entry.mutable_hats();
  hats.erase(std::remove_if(hats.begin(), hats.end(), [&](const v1::Hat& hat) { return hat.uri() == uri; }),
             hats.end());
  if (!IsRemembered(entry) && entry.version() <= room.state().affiliation_horizon())
    room.ForgetAffiliated(account);
}

// ---- forms

xmpp::Form FormOf(std::string title) {
  return {.type = "form", .title = std::move(title), .form_type = std::string(kFormType)};
}

void AddChoice(const Room& room, xmpp::Form& form) {
  xmpp::FormField& field = form.Add("hats#uri", "list-single", "Hat");
  field.is_required = true;
  for (const v1::Hat& hat : room.state().hats()) field.options.push_back({hat.title(), hat.uri()});
}

xmpp::Form CreateForm(const Turn&) {
  xmpp::Form form = FormOf("Make or change a hat");
  form.Add("hats#title", "text-single", "Title").is_required = true;
  form.Add("hats#uri", "text-single", "URI").is_required = true;
  form.Add("hats#hue", "text-single", "Hue, in degrees");
  return form;
}

xmpp::Form DestroyForm(const Turn& turn) {
  xmpp::Form form = FormOf("Destroy a hat");
  AddChoice(turn.room, form);
  return form;
}

xmpp::Form AssignForm(const Turn& turn) {
  xmpp::Form form = FormOf("Give somebody a hat");
  form.Add("hats#jid", "jid-single", "Address").is_required = true;
  AddChoice(turn.room, form);
  return form;
}

xmpp::Form UnassignForm(const Turn& turn) {
  xmpp::Form form = AssignForm(turn);
  form.title = "Take a hat from somebody";
  return form;
}

std::string ValueOf(const xmpp::Form& form, std::string_view var) {
  const xmpp::FormField* field = form.Find(var);
  return std::string(field == nullptr ? std::string_view() : field->Single().value_or(std::string_view()));
}

bool IsUri(std::string_view text) {
  const std::size_t colon = text.find(':');
  return text.size() <= kMaxUriBytes && colon != std::string_view::npos && colon > 0 &&
         std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) > ' '; });
}

bool IsHue(const std::string& text) {
  double degrees = 0;
  return text.empty() || (text.size() <= kMaxHueBytes && absl::SimpleAtod(text, &degrees) &&
                          std::isfinite(degrees) && degrees >= 0 && degrees <= 360);
}

// ---- what they do

/// XEP-0317 section 3.2. A URI that is there already: the hat is changed.
void Create(const Execution& execution, const xmpp::Form& form) {
  Turn& turn = execution.turn;
  v1::Hat hat;
  hat.set_title(ValueOf(form, "hats#title"));
  hat.set_uri(ValueOf(form, "hats#uri"));
  hat.set_hue(ValueOf(form, "hats#hue"));
  hat.set_lang(turn.stanza.lang());
  if (hat.title().empty() || hat.title().size() > static_cast<std::size_t>(turn.settings.max_name_bytes) ||
      !IsUri(hat.uri()) || !IsHue(hat.hue()))
    return execution.RefusePayload();
  auto& hats = *turn.room.ChangeState().mutable_hats();
  const auto known =
      std::find_if(hats.begin(), hats.end(), [&](const v1::Hat& one) { return one.uri() == hat.uri(); });
  if (known == hats.end() && hats.size() >= kMaxHats)
    return execution.Refuse(ErrorCondition::kResourceConstraint);
  const std::string uri = hat.uri();
  if (known == hats.end()) {
    *hats.Add() = std::move(hat);
  } else {
    *known = std::move(hat);
  }
  execution.Complete();
  TellChange(turn);
  Show(turn, WearersOf(turn.room, uri));
}

/// Section 3.3: nobody wears it any more.
void Destroy(const Execution& execution, const xmpp::Form& form) {
  Turn& turn = execution.turn;
  // One of the XEP's examples calls the field so.
  const std::string uri = form.Find("hats#uri") != nullptr ? ValueOf(form, "hats#uri") : ValueOf(form, "hat");
  if (uri.empty()) return execution.RefusePayload();
  if (FindHat(turn.room, uri) == nullptr) return execution.Refuse(ErrorCondition::kItemNotFound);
  auto& hats = *turn.room.ChangeState().mutable_hats();
  hats.erase(std::remove_if(hats.begin(), hats.end(), [&](const v1::Hat& hat) { return hat.uri() == uri; }),
             hats.end());
  const std::vector<std::string> wearers = WearersOf(turn.room, uri);
  for (const std::string& account : wearers) TakeHat(turn.room, account, uri);
  execution.Complete();
  TellChange(turn);
  Show(turn, wearers);
}

/// The account and the hat of a form. False: it has been refused.
bool ReadAssignment(const Execution& execution, const xmpp::Form& form, std::string& account,
                    std::string& uri) {
  uri = ValueOf(form, "hats#uri");
  const std::string address = ValueOf(form, "hats#jid");
  if (uri.empty() || address.empty()) {
    execution.RefusePayload();
    return false;
  }
  const auto jid = xmpp::Jid::Parse(address);
  if (!jid.ok()) {
    execution.Refuse(ErrorCondition::kJidMalformed);
    return false;
  }
  account = jid->bare();
  if (jid->has_local() && account != execution.turn.room.jid()) return true;
  execution.RefusePayload();
  return false;
}

/// Section 3.5.
void Assign(const Execution& execution, const xmpp::Form& form) {
  Turn& turn = execution.turn;
  Room& room = turn.room;
  std::string account;
  std::string uri;
  if (!ReadAssignment(execution, form, account, uri)) return;
  if (FindHat(room, uri) == nullptr) return execution.Refuse(ErrorCondition::kItemNotFound);
  const v1::Affiliated* known = room.FindAffiliated(account);
  if (known != nullptr && Wears(*known, uri)) {
    // An earlier account of the name may have been meant before.
    for (v1::Hat& hat : *room.ChangeAffiliated(account).mutable_hats())
      if (hat.uri() == uri) hat.set_given_at_ms(turn.now_ms);
    return execution.Complete();
  }
  if (known != nullptr && known->hats_size() >= kMaxHatsOfOne)
    return execution.Refuse(ErrorCondition::kResourceConstraint);
  const bool is_new = known == nullptr || !IsRemembered(*known);
  if (const auto refusal = RefusalOfMore(turn, is_new ? 1 : 0)) return execution.Refuse(*refusal);
  v1::Affiliated& entry = room.ChangeAffiliated(account);
  // An entry without a version, a nick or an affiliation is not kept. This one is older than all that is
  // told.
  if (entry.version() == 0) entry.set_version(room.state().affiliation_horizon());
  v1::Hat& hat = *entry.add_hats();
  hat.set_uri(uri);
  hat.set_given_at_ms(turn.now_ms);
  execution.Complete();
  Show(turn, {account});
}

/// Section 3.6.
void Unassign(const Execution& execution, const xmpp::Form& form) {
  Room& room = execution.turn.room;
  std::string account;
  std::string uri;
  if (!ReadAssignment(execution, form, account, uri)) return;
  const v1::Affiliated* known = room.FindAffiliated(account);
  if (known == nullptr || !Wears(*known, uri)) return execution.Refuse(ErrorCondition::kItemNotFound);
  TakeHat(room, account, uri);
  execution.Complete();
  Show(execution.turn, {account});
}

/// Section 3.4.
void List(const Execution& execution, const xmpp::Form&) {
  xmpp::FormTable table{.title = "Hats",
                        .columns = {{.var = "hats#title"}, {.var = "hats#uri"}, {.var = "hats#hue"}}};
  for (const v1::Hat& hat : execution.turn.room.state().hats())
    table.rows.push_back({hat.title(), hat.uri(), hat.hue()});
  xmpp::Element reply = execution.Reply("completed");
  reply.Add(xmpp::WriteForm(table));
  execution.turn.Answer(reply);
}

/// Section 3.7. As many as fit into an answer.
void ListAssigned(const Execution& execution, const xmpp::Form&) {
  const Room& room = execution.turn.room;
  xmpp::FormTable table{
      .title = "Who has which hat",
      .columns = {{.var = "hats#jid"}, {.var = "hats#uri"}, {.var = "hats#title"}, {.var = "hats#hue"}}};
  std::size_t bytes = 0;
  for (const auto& [jid, entry] : room.affiliations()) {
    for (const v1::Hat& worn : entry.hats()) {
      const v1::Hat* hat = FindHat(room, worn.uri());
      if (hat == nullptr) continue;
      bytes += jid.size() + hat->uri().size() + hat->title().size() + 200;
      if (bytes <= kMaxListBytes) table.rows.push_back({jid, hat->uri(), hat->title(), hat->hue()});
    }
  }
  xmpp::Element reply = execution.Reply("completed");
  reply.Add(xmpp::WriteForm(table));
  execution.turn.Answer(reply);
}

constexpr Command kCommandList[] = {
    {"urn:xmpp:hats:commands:create", "Make or change a hat", v1::AFFILIATION_OWNER, CreateForm, Create},
    {"urn:xmpp:hats:commands:destroy", "Destroy a hat", v1::AFFILIATION_OWNER, DestroyForm, Destroy},
    {"urn:xmpp:hats:commands:list", "List the hats", v1::AFFILIATION_NONE, nullptr, List},
    {"urn:xmpp:hats:commands:assign", "Give somebody a hat", v1::AFFILIATION_ADMIN, AssignForm, Assign},
    {"urn:xmpp:hats:commands:unassign", "Take a hat from somebody", v1::AFFILIATION_ADMIN, UnassignForm,
     Unassign},
    {"urn:xmpp:hats:commands:list-assigned", "List who has which hat", v1::AFFILIATION_ADMIN, nullptr,
     ListAssigned},
};

const Command* FindCommand(std::string_view node) {
  const auto* const it = std::find_if(std::begin(kCommandList), std::end(kCommandList),
                                      [&](const Command& command) { return command.node == node; });
  return it == std::end(kCommandList) ? nullptr : it;
}

bool MayUse(const Turn& turn, const Command& command) {
  return command.least == v1::AFFILIATION_NONE ? MayLookInside(turn, turn.sender())
                                               : turn.AffiliationOf(turn.sender()) >= command.least;
}

void AskFor(const Execution& execution, const Command& command) {
  xmpp::Element reply = execution.Reply("executing");
  reply.Add("actions").SetAttr("execute", "complete").Add("complete");
  reply.Add(xmpp::WriteForm(command.form(execution.turn)));
  execution.turn.Answer(reply);
}

}  // namespace

void OnCommand(Turn& turn) {
  const xmpp::Element request = xmpp::OnlyChild(turn.stanza);
  Execution execution{turn, request.Attr("node"), std::string(request.Attr("sessionid"))};
  const Command* command = FindCommand(execution.node);
  if (command == nullptr) return turn.Refuse(ErrorCondition::kItemNotFound);
  if (!MayUse(turn, *command)) return turn.Refuse(ErrorCondition::kForbidden);
  if (execution.session_id.size() > kMaxSessionIdBytes)
    return execution.Refuse(ErrorCondition::kBadRequest, "bad-sessionid");
  if (execution.session_id.empty()) execution.session_id = "hats-" + std::to_string(turn.offset);

  const std::string_view action = request.Attr("action");
  if (action == "cancel") return turn.Answer(execution.Reply("canceled"));
  constexpr std::array<std::string_view, 4> kForwards = {"", "execute", "next", "complete"};
  if (action == "prev") return execution.Refuse(ErrorCondition::kBadRequest, "bad-action");
  if (std::find(kForwards.begin(), kForwards.end(), action) == kForwards.end())
    return execution.Refuse(ErrorCondition::kBadRequest, "malformed-action");

  const xmpp::Element* x = request.Find("x", xmpp::ns::kDataForms);
  if (command->form == nullptr) return command->run(execution, {});
  if (x == nullptr) return AskFor(execution, *command);
  const auto form = xmpp::ReadForm(*x);
  if (!form.ok() || (!form->form_type.empty() && form->form_type != kFormType))
    return execution.RefusePayload();
  if (form->type == "cancel") return turn.Answer(execution.Reply("canceled"));
  if (form->type != "submit") return execution.RefusePayload();
  if (RefuseIfTooManyStanzas(turn)) return;
  command->run(execution, *form);
}

void AddCommandItems(const Turn& turn, xmpp::Element& query) {
  for (const Command& command : kCommandList)
    if (MayUse(turn, command))
      query.Add("item")
          .SetAttr("jid", turn.room.jid())
          .SetAttr("node", command.node)
          .SetAttr("name", command.title);
}

bool AddCommandInfo(const Turn& turn, std::string_view node, xmpp::Element& query) {
  const Command* command = FindCommand(node);
  if (command == nullptr || !MayUse(turn, *command)) return false;
  xmpp::AddIdentity(query, "automation", "command-node", command->title);
  xmpp::AddFeature(query, xmpp::ns::kCommands);
  xmpp::AddFeature(query, xmpp::ns::kDataForms);
  return true;
}

}  // namespace rookery::muc
