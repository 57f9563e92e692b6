#include "story.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace rookery::simulation {
namespace {

constexpr std::string_view kFaultWords[] = {"kill",           "start",    "drain",     "freeze",
                                            "thaw",           "cut",      "heal",      "fault",
                                            "evicted",        "assigned", "lost",      "revoking",
                                            "partition-away", "refused",  "truncated", "settle",
                                            "partition-back", "check",    "violation", "offset-gone"};

bool IsFault(const Trace::Entry& entry) {
  return std::find(std::begin(kFaultWords), std::end(kFaultWords), entry.what) != std::end(kFaultWords);
}

/// Whether the entry is about the message: `#17` as a word.
bool Mentions(const Trace::Entry& entry, std::uint64_t message) {
  const std::string name = absl::StrCat("#", message);
  const std::size_t at = entry.text.find(name);
  if (message == 0 || at == std::string::npos) return false;
  const std::size_t end = at + name.size();
  return end == entry.text.size() || !absl::ascii_isdigit(static_cast<unsigned char>(entry.text[end]));
}

std::string Line(const Trace::Entry& entry) {
  return absl::StrFormat("%12.6f  %-24s %-14s %s\n", static_cast<double>(entry.at_us) / 1e6, entry.lane,
                         entry.what, entry.text);
}

/// The lanes of those who are concerned: the message's clients.
std::map<std::string, bool> PeopleOf(const Simulation& simulation, const std::vector<Trace::Entry>& entries,
                                     std::uint64_t message) {
  std::map<std::string, bool> people;
  for (const Trace::Entry& entry : entries)
    if (Mentions(entry, message) && entry.lane.find('@') != std::string::npos) people[entry.lane] = true;
  const auto found = simulation.ledger().messages().find(message);
  if (found == simulation.ledger().messages().end()) return people;
  for (const Trace::Entry& entry : entries)
    if (absl::StartsWith(entry.lane, found->second.to)) people[entry.lane] = true;
  return people;
}

std::string Escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string_view ColourOf(const Trace::Entry& entry) {
  if (entry.what == "violation") return "#d00000";
  if (entry.what == "kill" || entry.what == "lost" || entry.what == "evicted") return "#e85d04";
  if (entry.what == "freeze" || entry.what == "cut" || entry.what == "partition-away") return "#4361ee";
  if (entry.what == "start" || entry.what == "thaw" || entry.what == "heal" || entry.what == "partition-back")
    return "#2a9d8f";
  if (entry.what == "assigned" || entry.what == "revoking") return "#9d4edd";
  return "#444";
}

}  // namespace

std::string TellStory(const Simulation& simulation, const Result& result) {
  if (result.violations.empty()) return "nothing went wrong\n";
  const Violation& violation = result.violations.front();
  const std::vector<Trace::Entry> entries = simulation.trace().Entries();
  const auto people = PeopleOf(simulation, entries, violation.message);
  std::string text = absl::StrCat("What was broken: ", violation.rule, ": ", violation.text, "\n\n");
  for (const Trace::Entry& entry : entries) {
    const bool is_personal = people.contains(entry.lane) && entry.what != "send" && entry.what != "receive" &&
                             entry.what != "acked" && entry.what != "sees" && entry.what != "sees-gone";
    if (IsFault(entry) || Mentions(entry, violation.message) || is_personal)
      absl::StrAppend(&text, Line(entry));
  }
  return text;
}

bool WriteTrace(const Simulation& simulation, const std::string& path) {
  std::ofstream file(path);
  for (const Trace::Entry& entry : simulation.trace().Entries()) file << Line(entry);
  return file.good();
}

bool WriteHtml(const Simulation& simulation, const Result& result, const Options& options,
               const std::string& path) {
  std::ofstream file(path);
  if (!file) return false;
  const Violation* violation = result.violations.empty() ? nullptr : &result.violations.front();
  const std::vector<Trace::Entry> entries = simulation.trace().Entries();
  const std::uint64_t message = violation == nullptr ? 0 : violation->message;
  const auto people = PeopleOf(simulation, entries, message);
  std::vector<std::string> lanes = simulation.lanes();
  for (const auto& [person, yes] : people) lanes.push_back(person);
  std::map<std::string, std::size_t> columns;
  for (std::size_t i = 0; i < lanes.size(); ++i) columns[lanes[i]] = i;

  // Time is stretched where something happens: one row for each entry.
  constexpr int kRow = 16;
  constexpr int kLane = 150;
  constexpr int kLeft = 90;
  std::vector<const Trace::Entry*> rows;
  for (const Trace::Entry& entry : entries) {
    const bool is_shown = IsFault(entry) || Mentions(entry, message) ||
                          (people.contains(entry.lane) && entry.what != "send" && entry.what != "receive" &&
                           entry.what != "acked" && entry.what != "sees" && entry.what != "sees-gone");
    if (is_shown && columns.contains(entry.lane)) rows.push_back(&entry);
    if (is_shown && entry.what == "violation") rows.push_back(&entry);
  }
  const int height = static_cast<int>(rows.size()) * kRow + 60;
  const int width = kLeft + static_cast<int>(lanes.size()) * kLane;
  file << "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>seed " << options.seed
       << "</title><style>body{font:13px sans-serif;margin:16px}text{font:11px sans-serif}h1{font-size:18px}"
          "code{background:#eee;padding:1px 4px}li{margin:2px 0}.m{font-weight:bold;fill:#d00000}</style>"
       << "<h1>rookery-simulator --seed " << options.seed << "</h1><p>" << result.messages << " messages, "
       << result.acknowledged << " acknowledged, " << result.received << " received; " << result.faults
       << " faults; trace <code>" << absl::StrFormat("%016x", result.trace_hash) << "</code></p><ol>";
  for (const Violation& v : result.violations)
    file << "<li>" << absl::StrFormat("%.3f s ", static_cast<double>(v.at_us) / 1e6) << "<b>"
         << Escape(v.rule) << "</b>: " << Escape(v.text) << "</li>";
  file << "</ol>";
  if (message != 0) file << "<p>In red: what happened to message #" << message << ".</p>";
  file << "<svg width=\"" << width << "\" height=\"" << height << "\" xmlns=\"http://www.w3.org/2000/svg\">";
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    const int x = kLeft + static_cast<int>(i) * kLane + 8;
    file << "<text x=\"" << x - 4 << "\" y=\"14\" font-weight=\"bold\">" << Escape(lanes[i])
         << "</text><line x1=\"" << x << "\" x2=\"" << x << "\" y1=\"22\" y2=\"" << height
         << "\" stroke=\"#ccc\"/>";
  }
  // Where a process was dead or stood still.
  std::map<std::string, std::pair<int, std::string>> bars;
  int y = 36;
  const auto close_bar = [&](const std::string& lane, int until) {
    const auto bar = bars.find(lane);
    if (bar == bars.end()) return;
    const int x = kLeft + static_cast<int>(columns[lane]) * kLane + 5;
    file << "<rect x=\"" << x << "\" y=\"" << bar->second.first << "\" width=\"6\" height=\""
         << until - bar->second.first << "\" fill=\"" << bar->second.second << "\"/>";
    bars.erase(bar);
  };
  for (const Trace::Entry* entry : rows) {
    const bool is_ours = Mentions(*entry, message) || entry->what == "violation";
    const auto column = columns.find(entry->lane);
    const int x = kLeft + static_cast<int>(column == columns.end() ? 0 : column->second) * kLane + 8;
    if (entry->what == "kill") close_bar(entry->lane, y), bars[entry->lane] = {y, "#e85d04"};
    if (entry->what == "freeze") close_bar(entry->lane, y), bars[entry->lane] = {y, "#4361ee"};
    if (entry->what == "start" || entry->what == "thaw") close_bar(entry->lane, y);
    file << "<text x=\"2\" y=\"" << y << "\" fill=\"#888\">"
         << absl::StrFormat("%.4f", static_cast<double>(entry->at_us) / 1e6) << "</text><circle cx=\"" << x
         << "\" cy=\"" << y - 4 << "\" r=\"3\" fill=\"" << ColourOf(*entry) << "\"/><text x=\"" << x + 6
         << "\" y=\"" << y << "\"" << (is_ours ? " class=\"m\"" : "") << ">" << Escape(entry->what) << " "
         << Escape(entry->text) << "</text>";
    y += kRow;
  }
  std::vector<std::string> open;
  for (const auto& [lane, bar] : bars) open.push_back(lane);
  for (const std::string& lane : open) close_bar(lane, height);
  file << "</svg></html>\n";
  return file.good();
}

}  // namespace rookery::simulation
