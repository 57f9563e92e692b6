#pragma once

#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rookery::gateway {

/// A client's certificate in DER; self-signed, since who reads it has verified it before.
class ClientCertificate {
 public:
  explicit ClientCertificate(std::string_view common_name = "Romeo") {
    X509_set_version(certificate_, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate_), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate_), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate_), 3600);
    X509_NAME* subject = X509_get_subject_name(certificate_);
    X509_NAME_add_entry_by_NID(subject, NID_commonName, V_ASN1_UTF8STRING,
                               reinterpret_cast<const unsigned char*>(common_name.data()),
                               static_cast<int>(common_name.size()), -1, 0);
    X509_set_issuer_name(certificate_, subject);
  }
  ~ClientCertificate() {
    GENERAL_NAMES_free(names_);
    X509_free(certificate_);
  }
  ClientCertificate(const ClientCertificate&) = delete;
  ClientCertificate& operator=(const ClientCertificate&) = delete;

  /// subjectAltName otherName; the bytes are not checked.
  ClientCertificate& Other(std::string_view bytes, int type_id = NID_XmppAddr,
                           int string_type = V_ASN1_UTF8STRING) {
    ASN1_STRING* text = ASN1_STRING_type_new(string_type);
    ASN1_STRING_set(text, bytes.data(), static_cast<int>(bytes.size()));
    ASN1_TYPE* value = ASN1_TYPE_new();
    ASN1_TYPE_set(value, string_type, text);
    GENERAL_NAME* name = GENERAL_NAME_new();
    GENERAL_NAME_set0_othername(name, OBJ_nid2obj(type_id), value);
    sk_GENERAL_NAME_push(names_, name);
    return *this;
  }
  ClientCertificate& Xmpp(std::string_view address) { return Other(address); }
  /// GEN_EMAIL, GEN_DNS or GEN_URI.
  ClientCertificate& Ia5(int kind, std::string_view text) {
    ASN1_IA5STRING* value = ASN1_IA5STRING_new();
    ASN1_STRING_set(value, text.data(), static_cast<int>(text.size()));
    GENERAL_NAME* name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, kind, value);
    sk_GENERAL_NAME_push(names_, name);
    return *this;
  }

  /// `copies` of the extension: RFC 5280 section 4.2 allows one.
  std::string Der(int copies = 1) {
    for (int i = 0; i < copies && sk_GENERAL_NAME_num(names_) > 0; ++i) {
      X509_add1_ext_i2d(certificate_, NID_subject_alt_name, names_, 0, X509V3_ADD_APPEND);
    }
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509_set_pubkey(certificate_, key);
    X509_sign(certificate_, key, EVP_sha256());
    EVP_PKEY_free(key);
    unsigned char* bytes = nullptr;
    const int size = i2d_X509(certificate_, &bytes);
    std::string der(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
    OPENSSL_free(bytes);
    return der;
  }

 private:
  X509* certificate_ = X509_new();
  GENERAL_NAMES* names_ = GENERAL_NAMES_new();
};

}  // namespace rookery::gateway
