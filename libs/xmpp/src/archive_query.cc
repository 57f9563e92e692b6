#include "rookery/xmpp/archive_query.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "absl/status/status.h"
#include "rookery/base/status.h"
#include "rookery/xmpp/forms.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::xmpp {

namespace {

constexpr std::string_view kWords = "{urn:xmpp:fulltext:0}fulltext";
/// What clients that are older than XEP-0431 call it.
constexpr std::array<std::string_view, 3> kOlderNamesOfWords = {"withtext", "full-text-search", "search"};

absl::Status Malformed(const char* what) { return absl::InvalidArgumentError(what); }

/// The field's only value; empty: it has none, which asks for nothing.
absl::StatusOr<std::string> TextOf(const FormField& field, std::size_t max_bytes) {
  const std::optional<std::string_view> text = field.Single();
  if (!text) return Malformed("a field has several values");
  if (text->size() > max_bytes) return Malformed("a value is too long");
  return std::string(*text);
}

/// Whether digits beyond the milliseconds say that it is later than these.
bool IsLaterThanItsMilliseconds(std::string_view date_time) {
  constexpr std::size_t kMillisecondDigits = 3;
  const std::size_t dot = date_time.find('.');
  if (dot == std::string_view::npos) return false;
  std::size_t at = dot + 1 + kMillisecondDigits;
  for (; at < date_time.size() && date_time[at] >= '0' && date_time[at] <= '9'; ++at)
    if (date_time[at] != '0') return true;
  return false;
}

absl::Status ReadTime(const FormField& field, bool is_start, std::optional<std::int64_t>& time) {
  constexpr std::size_t kLongest = 64;
  ROOKERY_ASSIGN_OR_RETURN(const std::string text, TextOf(field, kLongest));
  if (text.empty()) return absl::OkStatus();
  time = ParseDateTime(text);
  if (!time) return Malformed("not a time");
  // Messages are dated in milliseconds.
  if (is_start && IsLaterThanItsMilliseconds(text)) ++*time;
  return absl::OkStatus();
}

absl::Status ReadId(const FormField& field, std::optional<std::string>& id) {
  ROOKERY_ASSIGN_OR_RETURN(std::string text, TextOf(field, kMaxArchiveIdBytes));
  if (!text.empty()) id = std::move(text);
  return absl::OkStatus();
}

absl::Status ReadIds(const FormField& field, std::vector<std::string>& ids) {
  for (const std::string& id : field.values) {
    if (id.empty() || id.size() > kMaxArchiveIdBytes) return Malformed("no message is named so");
    if (std::find(ids.begin(), ids.end(), id) != ids.end()) continue;
    if (ids.size() == kMaxArchiveIds) return Malformed("too many ids");
    ids.push_back(id);
  }
  return absl::OkStatus();
}

absl::Status ReadWith(const FormField& field, std::optional<std::string>& with) {
  // Three parts of 1,023 bytes.
  ROOKERY_ASSIGN_OR_RETURN(const std::string text, TextOf(field, kMaxPageUidBytes));
  if (text.empty()) return absl::OkStatus();
  ROOKERY_ASSIGN_OR_RETURN(const Jid address, Jid::Parse(text));
  with = std::string(address.str());
  return absl::OkStatus();
}

absl::Status ReadGroupchat(const FormField& field, std::optional<bool>& include_groupchat) {
  ROOKERY_ASSIGN_OR_RETURN(const std::string text, TextOf(field, 5));
  if (text.empty()) return absl::OkStatus();
  include_groupchat = ParseBoolean(text);
  return include_groupchat ? absl::OkStatus() : Malformed("not a boolean");
}

bool IsWords(std::string_view field) {
  return field == kWords ||
         std::find(kOlderNamesOfWords.begin(), kOlderNamesOfWords.end(), field) != kOlderNamesOfWords.end();
}

absl::Status ReadWords(const FormField& field, std::string& words) {
  ROOKERY_ASSIGN_OR_RETURN(std::string text, TextOf(field, kMaxArchiveWordsBytes));
  if (text.empty()) return absl::OkStatus();
  if (!words.empty()) return Malformed("the words to look for come twice");
  words = std::move(text);
  return absl::OkStatus();
}

absl::Status ReadField(const FormField& field, const ArchiveFields& fields, ArchiveQuery& query) {
  if (field.var == "with") return ReadWith(field, query.with);
  if (field.var == "start") return ReadTime(field, /*is_start=*/true, query.start_ms);
  if (field.var == "end") return ReadTime(field, /*is_start=*/false, query.end_ms);
  if (field.var == "before-id") return ReadId(field, query.before_id);
  if (field.var == "after-id") return ReadId(field, query.after_id);
  if (field.var == "ids") return ReadIds(field, query.ids);
  if (fields.groupchat && field.var == "include-groupchat")
    return ReadGroupchat(field, query.include_groupchat);
  if (fields.full_text && IsWords(field.var)) return ReadWords(field, query.words);
  return absl::UnimplementedError("the archive has no such field");
}

absl::Status ReadFilters(const Element& x, const ArchiveFields& fields, ArchiveQuery& query) {
  ROOKERY_ASSIGN_OR_RETURN(const Form form, ReadForm(x));
  if (form.type != "submit" || form.form_type != ns::kArchive) return Malformed("another form is expected");
  for (const FormField& field : form.fields) ROOKERY_RETURN_IF_ERROR(ReadField(field, fields, query));
  return absl::OkStatus();
}

void AppendAttribute(std::string& out, std::string_view name, std::string_view value) {
  out.append(" ").append(name).append("=\"");
  AppendEscaped(out, value);
  out.append("\"");
}

}  // namespace

absl::StatusOr<ArchiveQuery> ReadArchiveQuery(const Element& query, const ArchiveFields& fields) {
  if (!query.Is("query", ns::kArchive)) return Malformed("not a query of an archive");
  if (!query.Attr("node").empty()) return absl::UnimplementedError("no node has an archive");
  ArchiveQuery read;
  read.query_id = query.Attr("queryid");
  if (read.query_id.size() > kMaxArchiveIdBytes) return Malformed("the queryid is too long");
  if (const Element* x = query.Find("x", ns::kDataForms))
    ROOKERY_RETURN_IF_ERROR(ReadFilters(*x, fields, read));
  ROOKERY_ASSIGN_OR_RETURN(std::optional<PageRequest> page, ReadPageRequest(query));
  if (page) read.page = *std::move(page);
  read.is_flipped = query.Find("flip-page", ns::kArchive) != nullptr;
  return read;
}

Element MakeArchiveForm(const ArchiveFields& fields) {
  Form form{.type = "form", .form_type = std::string(ns::kArchive)};
  form.Add("with", "jid-single");
  for (const char* field : {"start", "end", "before-id", "after-id"}) form.Add(field, "text-single");
  form.Add("ids", "list-multi").is_open = true;
  if (fields.groupchat) form.Add("include-groupchat", "boolean");
  if (fields.full_text) form.Add(kWords, "text-single");
  Element query("query", ns::kArchive);
  query.Add(WriteForm(form));
  return query;
}

Stanza MakeArchiveResult(std::string_view from, std::string_view query_id, const ArchivedMessage& message) {
  constexpr std::size_t kMarkupBytes = 400;
  Stanza result = MakeMessage({}, from, {});
  std::string& payload = *result.mutable_payload();
  payload.reserve(kMarkupBytes + query_id.size() +
                  (message.stanza == nullptr ? 0 : WrittenSize(*message.stanza, Framing::kWebSocket)));
  payload.append("<result xmlns=\"").append(ns::kArchive).append("\"");
  AppendAttribute(payload, "id", message.id);
  if (!query_id.empty()) AppendAttribute(payload, "queryid", query_id);
  payload.append(">");
  AppendForwarded(payload, message.stanza, message.received_at_ms);
  payload.append("</result>");
  result.set_traits(common::v1::STANZA_TRAIT_CARBON);
  return result;
}

Element MakeArchivePageEnd(const ArchivePage& page) {
  Element fin("fin", ns::kArchive);
  if (page.is_complete) fin.SetAttr("complete", "true");
  if (page.is_unstable) fin.SetAttr("stable", "false");
  fin.Add(MakePageInfo({.first = page.first, .last = page.last, .count = page.count}));
  return fin;
}

Element MakeArchiveMetadata(const ArchiveEnd* first, const ArchiveEnd* last) {
  Element metadata("metadata", ns::kArchive);
  const auto add = [&](const char* name, const ArchiveEnd& end) {
    metadata.Add(name).SetAttr("id", end.id).SetAttr("timestamp", FormatDateTime(end.received_at_ms));
  };
  if (first != nullptr && last != nullptr) {
    add("start", *first);
    add("end", *last);
  }
  return metadata;
}

}  // namespace rookery::xmpp
