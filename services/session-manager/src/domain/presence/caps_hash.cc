#include "domain/presence/caps_hash.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/escaping.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

const EVP_MD* FindDigest(std::string_view hash) {
  if (hash == "sha-1") return EVP_sha1();
  if (hash == "sha-256") return EVP_sha256();
  if (hash == "sha-512") return EVP_sha512();
  return nullptr;
}

bool HasDoubles(const std::vector<std::string>& sorted) {
  return std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end();
}

/// `<` ends every part: within one it would let two results have the same string.
bool AppendPart(std::string& out, std::string_view part) {
  if (part.find('<') != std::string_view::npos) return false;
  out.append(part).push_back('<');
  return true;
}

struct Form {
  std::string type;
  std::string text;
};

/// False: the whole result is ill-formed. A form that does not say its type is left out.
bool ReadForm(const xmpp::Element& x, std::vector<Form>& forms) {
  Form form;
  bool is_typed = false;
  std::vector<std::pair<std::string, std::vector<std::string>>> fields;
  for (const xmpp::Element& field : x.children()) {
    if (!field.Is("field", xmpp::ns::kDataForms)) continue;
    std::vector<std::string> values;
    for (const xmpp::Element& value : field.children())
      if (value.Is("value", xmpp::ns::kDataForms)) values.push_back(value.Text());
    std::sort(values.begin(), values.end());
    if (field.Attr("var") != "FORM_TYPE") {
      fields.emplace_back(std::string(field.Attr("var")), std::move(values));
      continue;
    }
    if (field.Attr("type") != "hidden") return true;
    if (values.empty()) return true;
    if (is_typed || values.front() != values.back()) return false;
    is_typed = true;
    form.type = values.front();
  }
  if (!is_typed) return true;
  if (!AppendPart(form.text, form.type)) return false;
  std::sort(fields.begin(), fields.end());
  for (const auto& [var, values] : fields) {
    if (!AppendPart(form.text, var)) return false;
    for (const std::string& value : values)
      if (!AppendPart(form.text, value)) return false;
  }
  forms.push_back(std::move(form));
  return true;
}

}  // namespace

bool IsCapsHash(std::string_view hash) { return FindDigest(hash) != nullptr; }

std::optional<std::string> CapsVer(const xmpp::Element& info, std::string_view hash) {
  const EVP_MD* digest = FindDigest(hash);
  if (digest == nullptr) return std::nullopt;
  struct Identity {
    std::string category, type, lang, name;
    auto operator<=>(const Identity&) const = default;
  };
  std::vector<Identity> identities;
  std::vector<std::string> features;
  std::vector<Form> forms;
  for (const xmpp::Element& child : info.children()) {
    if (child.Is("identity", xmpp::ns::kDiscoInfo)) {
      const std::string* lang = child.FindAttr("lang", xmpp::ns::kXml);
      identities.push_back({std::string(child.Attr("category")), std::string(child.Attr("type")),
                            lang == nullptr ? std::string() : *lang, std::string(child.Attr("name"))});
    } else if (child.Is("feature", xmpp::ns::kDiscoInfo)) {
      features.emplace_back(child.Attr("var"));
    } else if (child.Is("x", xmpp::ns::kDataForms) && !ReadForm(child, forms)) {
      return std::nullopt;
    }
  }
  std::sort(identities.begin(), identities.end());
  std::sort(features.begin(), features.end());
  std::sort(forms.begin(), forms.end(), [](const Form& a, const Form& b) { return a.type < b.type; });
  if (std::adjacent_find(identities.begin(), identities.end()) != identities.end() || HasDoubles(features) ||
      std::adjacent_find(forms.begin(), forms.end(),
                         [](const Form& a, const Form& b) { return a.type == b.type; }) != forms.end())
    return std::nullopt;

  std::string text;
  for (const Identity& identity : identities) {
    // A slash is as good as a `<` to confuse these four: only the name, the last, may have one.
    for (const std::string* part : {&identity.category, &identity.type, &identity.lang})
      if (part->find('/') != std::string::npos) return std::nullopt;
    if (!AppendPart(text,
                    identity.category + "/" + identity.type + "/" + identity.lang + "/" + identity.name))
      return std::nullopt;
  }
  for (const std::string& feature : features)
    if (!AppendPart(text, feature)) return std::nullopt;
  for (const Form& form : forms) text += form.text;

  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes;
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), bytes.data(), &size, digest, nullptr) != 1) return std::nullopt;
  return absl::Base64Escape({reinterpret_cast<const char*>(bytes.data()), size});
}

}  // namespace rookery::session_manager
