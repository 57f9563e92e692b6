#include "domain/certificate_identity.h"

#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

#include "domain/text.h"
#include "rookery/xmpp/jid.h"

namespace rookery::gateway {
namespace {

using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

// A certificate with more names than this is no person's.
constexpr std::size_t kMaxAddresses = 16;

Certificate Parse(std::string_view der) {
  const auto* data = reinterpret_cast<const unsigned char*>(der.data());
  const auto* const end = data + der.size();
  Certificate certificate(d2i_X509(nullptr, &data, static_cast<long>(der.size())), &X509_free);
  if (data != end) certificate.reset();
  return certificate;
}

void AddBareJid(std::vector<std::string>& users, std::string_view text) {
  const auto jid = xmpp::Jid::Parse(text);
  if (!jid.ok() || !jid->has_local() || jid->has_resource()) return;
  // One address in two spellings is one address.
  if (std::find(users.begin(), users.end(), jid->str()) == users.end()) users.emplace_back(jid->str());
}

std::string Utf8Of(const ASN1_STRING* text) {
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, text);
  if (size < 0) return {};
  std::string result(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  return result;
}

}  // namespace

std::vector<std::string> XmppAddressesOf(std::string_view certificate_der) {
  std::vector<std::string> users;
  const Certificate certificate = Parse(certificate_der);
  if (certificate == nullptr) return users;
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr));
  if (names == nullptr) return users;
  for (int i = 0; i < sk_GENERAL_NAME_num(names) && users.size() < kMaxAddresses; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_OTHERNAME || OBJ_obj2nid(name->d.otherName->type_id) != NID_XmppAddr) continue;
    const ASN1_TYPE* value = name->d.otherName->value;
    if (value->type == V_ASN1_UTF8STRING) AddBareJid(users, Utf8Of(value->value.utf8string));
  }
  GENERAL_NAMES_free(names);
  return users;
}

std::vector<std::string> CommonNameUsersOf(std::string_view certificate_der, std::string_view domain) {
  std::vector<std::string> users;
  const Certificate certificate = Parse(certificate_der);
  if (certificate == nullptr) return users;
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  const int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (index < 0) return users;
  const std::string name = Utf8Of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));
  if (name.find('\0') != std::string::npos || name.find('/') != std::string::npos) return users;
  AddBareJid(users, name.find('@') == std::string::npos ? Cat(name, "@", domain) : name);
  return users;
}

}  // namespace rookery::gateway
