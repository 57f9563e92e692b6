#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "rookery/base/absl_view.h"
#include "rookery/base/check.h"
#include "rookery/base/status.h"
#include "rookery/config/config.h"
#include "rookery/config/files.h"
#include "value.h"

namespace rookery::config {
namespace {

using Texts = std::vector<std::string>;

struct Key {
  std::string path;
  std::string help;
  std::variant<std::string*, bool*, std::int64_t*, Texts*, std::chrono::milliseconds*> field;
  bool is_secret = false;
  std::int64_t min = 0;
  std::int64_t max = 0;
  Texts allowed = {};
  std::string default_text = {};
  std::string origin = {};  // of the value in force; empty: the default
};

std::string Expected(const Key& key) {
  if (!key.allowed.empty()) return absl::StrCat("one of ", absl::StrJoin(key.allowed, ", "));
  if (std::holds_alternative<bool*>(key.field)) return "true or false";
  if (std::holds_alternative<std::int64_t*>(key.field)) {
    return absl::StrCat("a whole number from ", key.min, " to ", key.max);
  }
  if (std::holds_alternative<Texts*>(key.field)) return "a list of texts";
  if (std::holds_alternative<std::chrono::milliseconds*>(key.field)) {
    return "a duration such as 250ms, 5s, 10m or 1h";
  }
  return "a text";
}

std::string ShowValue(const Key& key) {
  if (const auto* text = std::get_if<std::string*>(&key.field)) {
    return key.is_secret && !(*text)->empty() ? "***" : **text;
  }
  if (const auto* flag = std::get_if<bool*>(&key.field)) return **flag ? "true" : "false";
  if (const auto* number = std::get_if<std::int64_t*>(&key.field)) return std::to_string(**number);
  if (const auto* list = std::get_if<Texts*>(&key.field)) return absl::StrJoin(**list, ",");
  return FormatDuration(*std::get<std::chrono::milliseconds*>(key.field));
}

/// A list may carry a driver's own properties, `name=value`, and with them its secrets.
Texts WithoutSecrets(const Texts& list) {
  Texts shown = list;
  for (std::string& item : shown) {
    const std::size_t equals = item.find('=');
    if (equals == std::string::npos) continue;
    const std::string name = absl::AsciiStrToLower(item.substr(0, equals));
    for (const char* word : {"password", "secret", "token", "key.pem", "jaas"}) {
      if (name.find(word) == std::string::npos) continue;
      item.replace(equals + 1, std::string::npos, "***");
      break;
    }
  }
  return shown;
}

/// Sets the field from a scalar; false: not of the key's type.
bool Assign(const Key& key, const std::string& text) {
  if (auto* const* field = std::get_if<std::string*>(&key.field)) {
    if (!key.allowed.empty() &&
        std::find(key.allowed.begin(), key.allowed.end(), text) == key.allowed.end()) {
      return false;
    }
    **field = text;
    return true;
  }
  if (auto* const* field = std::get_if<bool*>(&key.field)) {
    const std::optional<bool> value = ParseBool(text);
    if (value) **field = *value;
    return value.has_value();
  }
  if (auto* const* field = std::get_if<std::int64_t*>(&key.field)) {
    const std::optional<std::int64_t> value = ParseInt(text);
    if (!value || *value < key.min || *value > key.max) return false;
    **field = *value;
    return true;
  }
  if (auto* const* field = std::get_if<std::chrono::milliseconds*>(&key.field)) {
    const std::optional<std::chrono::milliseconds> value = ParseDuration(text);
    if (value) **field = *value;
    return value.has_value();
  }
  Texts list;
  for (const absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    list.emplace_back(absl::StripAsciiWhitespace(part));
  }
  *std::get<Texts*>(key.field) = std::move(list);
  return true;
}

std::string DidYouMean(const std::string& name) { return absl::StrCat(" (did you mean `", name, "`?)"); }

/// The known name that `name` is most likely meant to be, or nothing.
std::string Suggest(const std::string& name, const Texts& known) {
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 5) + 1;
  std::string best;
  for (const std::string& candidate : known) {
    std::vector<std::size_t> row(candidate.size() + 1);
    for (std::size_t j = 0; j <= candidate.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= name.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j <= candidate.size(); ++j) {
        const std::size_t replaced = diagonal + (name[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best.empty() ? "" : DidYouMean(best);
}

std::string LastPart(const std::string& path) { return path.substr(path.rfind('.') + 1); }

/// Where a node begins, as compilers write it.
std::string At(const std::string& file, const YAML::Node& node) {
  return absl::StrCat(file, ":", node.Mark().line + 1);
}

}  // namespace

void Problems::Add(std::string_view key, std::string_view what) {
  if (!keys_.emplace(key).second) return;
  const std::string origin = schema_ == nullptr ? "" : schema_->Origin(key);
  lines_.push_back(absl::StrCat(origin.empty() ? "" : absl::StrCat(origin, ": "), "`", AbslView(key), "` ",
                                AbslView(what)));
}

struct Schema::Impl {
  std::string service;
  std::vector<Key> keys;  // in the order in which they were bound

  void Add(Key key) {
    for (const Key& other : keys) {
      // One path must not be another's section.
      ROOKERY_CHECK(other.path != key.path);
      ROOKERY_CHECK(!other.path.starts_with(key.path + "."));
      ROOKERY_CHECK(!key.path.starts_with(other.path + "."));
    }
    key.default_text = ShowValue(key);
    keys.push_back(std::move(key));
  }

  Key* Find(std::string_view path) {
    const auto found =
        std::find_if(keys.begin(), keys.end(), [&](const Key& key) { return key.path == path; });
    return found == keys.end() ? nullptr : &*found;
  }

  bool IsSection(const std::string& path) const {
    const std::string prefix = path + ".";
    return std::any_of(keys.begin(), keys.end(),
                       [&](const Key& key) { return key.path.starts_with(prefix); });
  }

  std::string EnvironmentName(const Key& key) const {
    return EnvironmentPrefix(service) + EnvironmentSuffix(key.path);
  }

  /// Returns what an unknown key of a file is most likely meant to be.
  std::string SuggestKey(const std::string& path) const {
    Texts known;
    std::set<std::string> sections;
    for (const Key& key : keys) {
      known.push_back(key.path);
      for (std::size_t dot = key.path.find('.'); dot != std::string::npos;
           dot = key.path.find('.', dot + 1)) {
        sections.insert(key.path.substr(0, dot));
      }
    }
    known.insert(known.end(), sections.begin(), sections.end());
    std::string nearest = Suggest(path, known);
    if (!nearest.empty()) return nearest;
    // The right name in a wrong section.
    Texts elsewhere;
    for (const std::string& candidate : known) {
      if (LastPart(candidate) == LastPart(path)) elsewhere.push_back(candidate);
    }
    return elsewhere.size() == 1 ? DidYouMean(elsewhere.front()) : "";
  }

  void LoadSection(const std::string& file, const std::string& parent, const YAML::Node& section,
                   Problems& problems) {
    std::set<std::string> seen;
    for (const auto& entry : section) {
      const std::string at = At(file, entry.first);
      if (!entry.first.IsScalar()) {
        problems.AddLine(absl::StrCat(at, ": a key of ",
                                      parent.empty() ? "the file" : absl::StrCat("`", parent, "`"),
                                      " is not a text"));
        continue;
      }
      const std::string name = entry.first.Scalar();
      const std::string path = parent.empty() ? name : absl::StrCat(parent, ".", name);
      Key* const key = Find(path);
      if (!seen.insert(name).second) {
        problems.AddLine(absl::StrCat(at, ": `", path, "` is there twice"));
      } else if (key != nullptr) {
        LoadKey(at, *key, entry.second, problems);
      } else if (!IsSection(path)) {
        problems.AddLine(absl::StrCat(at, ": unknown key `", path, "`", SuggestKey(path)));
      } else if (entry.second.IsMap()) {
        LoadSection(file, path, entry.second, problems);
      } else if (!entry.second.IsNull()) {
        problems.AddLine(absl::StrCat(at, ": `", path, "` must be a section with keys"));
      }
    }
  }

  void LoadKey(const std::string& at, Key& key, const YAML::Node& node, Problems& problems) {
    key.origin = at;
    if (key.is_secret) {
      problems.Add(key.path,
                   absl::StrCat("is a secret and does not belong in a file of settings: give it in ",
                                EnvironmentName(key), " or ", EnvironmentName(key), "_FILE"));
      return;
    }
    const auto wrong = [&] { problems.Add(key.path, absl::StrCat("must be ", Expected(key))); };
    if (auto* const* list = std::get_if<Texts*>(&key.field)) {
      if (!node.IsSequence()) return wrong();
      Texts values;
      for (const YAML::Node& item : node) {
        if (!item.IsScalar()) return wrong();
        values.push_back(item.Scalar());
      }
      **list = std::move(values);
      return;
    }
    if (!node.IsScalar() || !Assign(key, node.Scalar())) wrong();
  }

  void LoadFile(const std::string& file, Problems& problems) {
    const absl::StatusOr<std::string> text = ReadFile(file);
    if (!text.ok()) return problems.AddLine(std::string(Message(text.status())));
    YAML::Node root;
    try {
      root = YAML::Load(*text);
    } catch (const YAML::Exception& e) {
      return problems.AddLine(absl::StrCat(file, ":", e.mark.line + 1, ": not YAML: ", e.msg));
    }
    if (root.IsNull()) return;
    if (!root.IsMap())
      return problems.AddLine(absl::StrCat(At(file, root), ": must be a map of sections and keys"));
    LoadSection(file, "", root, problems);
  }

  void LoadEnvironment(const std::map<std::string, std::string>& environment, Problems& problems) {
    const std::string prefix = EnvironmentPrefix(service);
    std::map<std::string, Key*> by_name;
    for (Key& key : keys) {
      by_name.emplace(EnvironmentName(key), &key);
      if (key.is_secret) by_name.emplace(EnvironmentName(key) + "_FILE", &key);
    }
    for (auto it = environment.lower_bound(prefix); it != environment.end() && it->first.starts_with(prefix);
         ++it) {
      const auto& [name, value] = *it;
      const auto found = by_name.find(name);
      if (found == by_name.end()) {
        Texts known;
        for (const auto& entry : by_name) known.push_back(entry.first);
        problems.AddLine(absl::StrCat(name, ": unknown variable", Suggest(name, known)));
        continue;
      }
      Key& key = *found->second;
      key.origin = name;
      const std::string plain_name = EnvironmentName(key);
      if (name == plain_name) {
        if (!Assign(key, value)) problems.Add(key.path, absl::StrCat("must be ", Expected(key)));
      } else if (environment.contains(plain_name)) {
        problems.Add(key.path, absl::StrCat("is given by both ", plain_name, " and ", name));
      } else {
        LoadSecretFile(key, value, problems);
      }
    }
  }

  static void LoadSecretFile(const Key& key, const std::string& file, Problems& problems) {
    absl::StatusOr<std::string> secret = ReadSecretFile(file);
    if (!secret.ok()) return problems.Add(key.path, Message(secret.status()));
    // Editors end a file with a line feed that is no part of the secret.
    while (secret->ends_with('\n') || secret->ends_with('\r')) secret->pop_back();
    if (secret->empty()) return problems.Add(key.path, absl::StrCat(file, " is empty"));
    *std::get<std::string*>(key.field) = *std::move(secret);
  }

  void PrintSection(YAML::Emitter& out, const std::string& parent) const {
    out << YAML::BeginMap;
    std::set<std::string> done;
    for (const Key& key : keys) {
      if (!parent.empty() && !key.path.starts_with(parent + ".")) continue;
      const std::size_t start = parent.empty() ? 0 : parent.size() + 1;
      const std::size_t dot = key.path.find('.', start);
      const std::string name = key.path.substr(start, dot == std::string::npos ? dot : dot - start);
      if (!done.insert(name).second) continue;
      out << YAML::Key << name << YAML::Value;
      if (dot != std::string::npos) {
        PrintSection(out, key.path.substr(0, dot));
      } else if (const auto* list = std::get_if<Texts*>(&key.field)) {
        out << YAML::Flow << WithoutSecrets(**list);
      } else if (const auto* flag = std::get_if<bool*>(&key.field)) {
        out << **flag;
      } else {
        out << ShowValue(key);
      }
    }
    out << YAML::EndMap;
  }
};

Schema::Schema(std::string service) : impl_(std::make_unique<Impl>()) { impl_->service = std::move(service); }
Schema::~Schema() = default;

void Schema::Bind(std::string_view path, std::string* field, std::string_view help) {
  impl_->Add({.path = std::string(path), .help = std::string(help), .field = field});
}

void Schema::Bind(std::string_view path, bool* field, std::string_view help) {
  impl_->Add({.path = std::string(path), .help = std::string(help), .field = field});
}

void Schema::Bind(std::string_view path, std::int64_t* field, std::string_view help, std::int64_t min,
                  std::int64_t max) {
  impl_->Add({.path = std::string(path), .help = std::string(help), .field = field, .min = min, .max = max});
}

void Schema::Bind(std::string_view path, std::vector<std::string>* field, std::string_view help) {
  impl_->Add({.path = std::string(path), .help = std::string(help), .field = field});
}

void Schema::Bind(std::string_view path, std::chrono::milliseconds* field, std::string_view help) {
  impl_->Add({.path = std::string(path), .help = std::string(help), .field = field});
}

void Schema::BindSecret(std::string_view path, std::string* field, std::string_view help) {
  impl_->Add({.path = std::string(path), .help = std::string(help), .field = field, .is_secret = true});
}

void Schema::BindChoice(std::string_view path, std::string* field, std::vector<std::string> allowed,
                        std::string_view help) {
  impl_->Add(
      {.path = std::string(path), .help = std::string(help), .field = field, .allowed = std::move(allowed)});
}

Problems Schema::Load(const std::vector<std::string>& files,
                      const std::map<std::string, std::string>& environment) {
  Problems problems(this);
  for (const std::string& file : files) impl_->LoadFile(file, problems);
  impl_->LoadEnvironment(environment, problems);
  return problems;
}

std::string Schema::Origin(std::string_view path) const {
  const Key* const key = impl_->Find(path);
  return key == nullptr ? "" : key->origin;
}

std::string Schema::Print() const {
  YAML::Emitter out;
  impl_->PrintSection(out, "");
  return absl::StrCat(out.c_str(), "\n");
}

std::string Schema::Reference() const {
  std::string table = "| Key | Default | Environment | Meaning |\n|---|---|---|---|\n";
  for (const Key& key : impl_->keys) {
    const std::string name = impl_->EnvironmentName(key);
    absl::StrAppend(&table, "| `", key.path, "` | ",
                    key.default_text.empty() ? "" : absl::StrCat("`", key.default_text, "`"), " | `", name,
                    "`", key.is_secret ? absl::StrCat(" or `", name, "_FILE`") : "", " | ", key.help);
    if (!key.allowed.empty()) absl::StrAppend(&table, " (", absl::StrJoin(key.allowed, ", "), ")");
    absl::StrAppend(&table, " |\n");
  }
  return table;
}

std::string Schema::Help() const {
  std::string text;
  for (const Key& key : impl_->keys) {
    absl::StrAppend(&text, "  ", key.path);
    if (!key.default_text.empty()) absl::StrAppend(&text, " (", key.default_text, ")");
    absl::StrAppend(&text, ": ", key.help, "\n");
  }
  return text;
}

}  // namespace rookery::config
