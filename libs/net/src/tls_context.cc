#include "tls_context.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "rookery/base/absl_view.h"
#include "rookery/base/status.h"

namespace rookery::net {
namespace {

// Forward secrecy and AEAD only. AES-128 first: strong enough, the fastest, and its
// SHA-256 makes a connection smaller.
constexpr char kTls13Ciphers[] = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
constexpr char kTls12Ciphers[] = "ECDHE+AESGCM+AES128:ECDHE+CHACHA20:ECDHE+AESGCM";
constexpr char kGroups[] = "X25519:P-256:P-384";

struct FileStamp {
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

/// All zero when the file cannot be read: the reload that follows names it.
FileStamp StampOf(const std::string& file) {
  struct stat st;
  if (::stat(file.c_str(), &st) != 0) return {};
  return {st.st_mtim.tv_sec, st.st_mtim.tv_nsec, st.st_ino, st.st_size};
}

absl::Status CheckReadable(const std::string& file) {
  std::FILE* f = std::fopen(file.c_str(), "re");
  if (f == nullptr) return absl::NotFoundError(absl::StrCat(file, ": ", std::strerror(errno)));
  std::fclose(f);
  return absl::OkStatus();
}

absl::Status Invalid(const std::string& file, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(file, ": ", AbslView(what), ": ", TakeOpenSslError()));
}

// A key with a passphrase must fail rather than ask on the terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

// A certificate that does not verify does not end the handshake: it just cannot be
// used for SASL EXTERNAL (Connection::TlsPeerCertificateDer hides it).
int AcceptAnyCertificate(int, X509_STORE_CTX*) { return 1; }

absl::StatusOr<SslCtxPtr> MakeServerContext(const TlsCertificate& certificate, const TlsOptions& options) {
  ROOKERY_RETURN_IF_ERROR(CheckReadable(certificate.certificate_file));
  ROOKERY_RETURN_IF_ERROR(CheckReadable(certificate.key_file));
  ERR_clear_error();
  SslCtxPtr context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return absl::InternalError(TakeOpenSslError());
  SSL_CTX* c = context.get();
  SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                             SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(
      c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Tickets only: a server-side cache would grow with every client.
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(c, 1);
  static constexpr unsigned char kSessionContext[] = "rookery";
  SSL_CTX_set_session_id_context(c, kSessionContext, sizeof kSessionContext - 1);
  if (SSL_CTX_set_ciphersuites(c, kTls13Ciphers) != 1 || SSL_CTX_set_cipher_list(c, kTls12Ciphers) != 1 ||
      SSL_CTX_set1_groups_list(c, kGroups) != 1) {
    return absl::InternalError(TakeOpenSslError());
  }
  SSL_CTX_set_default_passwd_cb(c, &NoPassphrase);
  if (SSL_CTX_use_certificate_chain_file(c, certificate.certificate_file.c_str()) != 1) {
    return Invalid(certificate.certificate_file, "not a PEM certificate chain");
  }
  if (SSL_CTX_use_PrivateKey_file(c, certificate.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return Invalid(certificate.key_file, "not a PEM key of this certificate");
  }
  if (SSL_CTX_check_private_key(c) != 1) {
    return Invalid(certificate.key_file, "not the key of this certificate");
  }
  if (!options.client_ca_file.empty()) {
    ROOKERY_RETURN_IF_ERROR(CheckReadable(options.client_ca_file));
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(options.client_ca_file.c_str());
    if (names == nullptr || SSL_CTX_load_verify_locations(c, options.client_ca_file.c_str(), nullptr) != 1) {
      sk_X509_NAME_pop_free(names, X509_NAME_free);
      return Invalid(options.client_ca_file, "not a PEM file of certificates");
    }
    SSL_CTX_set_client_CA_list(c, names);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, &AcceptAnyCertificate);
  }
  return context;
}

class ServerTlsContextImpl final : public ServerTlsContext {
 public:
  explicit ServerTlsContextImpl(TlsOptions options) : options_(std::move(options)) {}

  absl::Status Reload() override {
    if (options_.certificates.empty()) return absl::InvalidArgumentError("no certificate is configured");
    // Stamps first: a file that changes while it is read is read again next time.
    std::vector<FileStamp> stamps = Stamps();
    std::string alpn_wire;
    for (const std::string& name : options_.alpn) {
      if (name.empty() || name.size() > 255)
        return absl::InvalidArgumentError("an ALPN name has 1 to 255 bytes");
      alpn_wire.push_back(static_cast<char>(name.size()));
      alpn_wire += name;
    }
    std::vector<TlsSnapshot::Entry> entries;
    for (const TlsCertificate& certificate : options_.certificates) {
      ROOKERY_ASSIGN_OR_RETURN(SslCtxPtr context, MakeServerContext(certificate, options_));
      entries.push_back({absl::AsciiStrToLower(certificate.domain), std::move(context)});
    }
    snapshot_ = std::make_shared<const TlsSnapshot>(std::move(entries), std::move(alpn_wire));
    stamps_ = std::move(stamps);
    return absl::OkStatus();
  }

  absl::Status ReloadIfChanged() override {
    if (Stamps() == stamps_) return absl::OkStatus();
    return Reload();
  }

  std::shared_ptr<const TlsSnapshot> snapshot() const override { return snapshot_; }

 private:
  std::vector<FileStamp> Stamps() const {
    std::vector<FileStamp> stamps;
    for (const TlsCertificate& certificate : options_.certificates) {
      stamps.push_back(StampOf(certificate.certificate_file));
      stamps.push_back(StampOf(certificate.key_file));
    }
    if (!options_.client_ca_file.empty()) stamps.push_back(StampOf(options_.client_ca_file));
    return stamps;
  }

  const TlsOptions options_;
  std::vector<FileStamp> stamps_;
  std::shared_ptr<const TlsSnapshot> snapshot_;
};

}  // namespace

std::string TakeOpenSslError() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? std::string(reason) : absl::StrCat("OpenSSL error ", code);
}

TlsSnapshot::TlsSnapshot(std::vector<Entry> entries, std::string alpn_wire)
    : entries_(std::move(entries)), alpn_wire_(std::move(alpn_wire)) {
  const auto unnamed =
      std::find_if(entries_.begin(), entries_.end(), [](const Entry& e) { return e.domain.empty(); });
  if (unnamed != entries_.end()) default_ = static_cast<std::size_t>(unnamed - entries_.begin());
  for (const Entry& entry : entries_) {
    SSL_CTX_set_tlsext_servername_callback(entry.context.get(), &OnServerName);
    SSL_CTX_set_tlsext_servername_arg(entry.context.get(), this);
    if (!alpn_wire_.empty()) SSL_CTX_set_alpn_select_cb(entry.context.get(), &OnAlpn, this);
  }
}

SSL_CTX* TlsSnapshot::Choose(std::string_view server_name) const {
  std::string name = absl::AsciiStrToLower(AbslView(server_name));
  if (name.ends_with('.')) name.pop_back();
  for (const Entry& entry : entries_) {
    if (!entry.domain.empty() && entry.domain == name) return entry.context.get();
  }
  // A wildcard stands for exactly one label (RFC 6125 section 6.4.3).
  const std::size_t dot = name.find('.');
  if (dot != std::string::npos && dot > 0) {
    for (const Entry& entry : entries_) {
      if (entry.domain.starts_with("*.") && std::string_view(entry.domain).substr(1) == name.substr(dot)) {
        return entry.context.get();
      }
    }
  }
  return entries_[default_].context.get();
}

SslPtr TlsSnapshot::NewServer() const {
  SslPtr ssl(SSL_new(entries_[default_].context.get()));
  if (ssl != nullptr) SSL_set_accept_state(ssl.get());
  return ssl;
}

int TlsSnapshot::OnServerName(SSL* ssl, int*, void* self) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_CTX* chosen = static_cast<const TlsSnapshot*>(self)->Choose(name);
  if (chosen != SSL_get_SSL_CTX(ssl)) SSL_set_SSL_CTX(ssl, chosen);
  return SSL_TLSEXT_ERR_OK;
}

int TlsSnapshot::OnAlpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                        unsigned int in_size, void* self) {
  const std::string& ours = static_cast<const TlsSnapshot*>(self)->alpn_wire_;
  unsigned char* chosen = nullptr;
  // XEP-0368: a client that offers only foreign names wants another service.
  if (SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(ours.data()),
                            static_cast<unsigned int>(ours.size()), in, in_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

absl::StatusOr<std::shared_ptr<TlsContext>> TlsContext::Create(TlsOptions options) {
  auto context = std::make_shared<ServerTlsContextImpl>(std::move(options));
  ROOKERY_RETURN_IF_ERROR(context->Reload());
  return context;
}

}  // namespace rookery::net
