#include "rookery/net/connection.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <utility>

#include "address.h"
#include "tcp_core.h"

namespace rookery::net {
namespace {

class ConnectionImpl final : public Connection {
 public:
  ConnectionImpl(std::shared_ptr<TcpCore> core, std::shared_ptr<ServerTlsContext> direct_tls)
      : core_(std::move(core)), direct_tls_(std::move(direct_tls)) {}
  ~ConnectionImpl() override { core_->Abort(); }

  void Start(ConnectionHandler* handler) override {
    if (direct_tls_ != nullptr) StartTls(std::exchange(direct_tls_, nullptr));
    core_->Start(handler);
  }
  void Write(std::string_view data) override { core_->Write(data); }
  std::size_t queued_bytes() const override { return core_->queued_bytes(); }
  std::uint64_t taken_bytes() const override { return core_->taken_bytes(); }
  void PauseReading() override { core_->PauseReading(); }
  void ResumeReading() override { core_->ResumeReading(); }
  void SetReadRate(std::size_t bytes_per_second) override { core_->SetReadRate(bytes_per_second); }
  void StartTls(std::shared_ptr<TlsContext> context) override {
    // TlsContext::Create makes no other kind.
    const auto& server = static_cast<const ServerTlsContext&>(*context);
    std::shared_ptr<const TlsSnapshot> snapshot = server.snapshot();
    SslPtr ssl = snapshot->NewServer();
    core_->StartTls(std::move(ssl), std::move(snapshot));
  }
  bool is_tls() const override { return core_->is_tls(); }

  std::string TlsExporter() const override {
    SSL* ssl = core_->ssl();
    if (ssl == nullptr || SSL_version(ssl) < TLS1_3_VERSION) return {};
    static constexpr std::string_view kLabel = "EXPORTER-Channel-Binding";
    std::string out(32, '\0');
    // RFC 9266 section 2: a context of zero length, which in TLS 1.3 equals none.
    static constexpr unsigned char kNoContext = 0;
    const int ok = SSL_export_keying_material(ssl, reinterpret_cast<unsigned char*>(out.data()), out.size(),
                                              kLabel.data(), kLabel.size(), &kNoContext, 0, 1);
    return ok == 1 ? out : std::string();
  }

  std::string TlsServerEndPoint() const override {
    SSL* ssl = core_->ssl();
    X509* certificate = ssl != nullptr ? SSL_get_certificate(ssl) : nullptr;
    if (certificate == nullptr) return {};
    int digest = NID_undef;
    // RFC 5929 section 4.1: undefined when the signature has no hash of its own (Ed25519).
    if (X509_get_signature_info(certificate, &digest, nullptr, nullptr, nullptr) != 1 || digest == NID_undef)
      return {};
    if (digest == NID_md5 || digest == NID_sha1) digest = NID_sha256;
    const EVP_MD* method = EVP_get_digestbynid(digest);
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    if (method == nullptr || X509_digest(certificate, method, hash, &size) != 1) return {};
    return std::string(reinterpret_cast<const char*>(hash), size);
  }

  std::string TlsPeerCertificateDer() const override {
    SSL* ssl = core_->ssl();
    if (ssl == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) return {};
    X509* certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == nullptr) return {};
    // A session that is resumed keeps the verdict of its first handshake.
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0) return {};
    const int size = i2d_X509(certificate, nullptr);
    if (size <= 0) return {};
    std::string der(static_cast<std::size_t>(size), '\0');
    unsigned char* out = reinterpret_cast<unsigned char*>(der.data());
    i2d_X509(certificate, &out);
    return der;
  }

  std::string peer_address() const override { return core_->peer().to_string(); }
  std::string peer_network() const override { return NetworkText(core_->peer()); }
  bool has_peer_closed() const override { return core_->has_peer_closed(); }
  bool is_broken() const override { return core_->is_broken(); }
  void Flush() override { core_->Flush(); }
  void CloseAfterFlush(std::chrono::milliseconds linger) override { core_->CloseAfterFlush(linger); }
  void Abort() override { core_->Abort(); }

  TcpCore& core() { return *core_; }

 private:
  std::shared_ptr<TcpCore> core_;
  std::shared_ptr<ServerTlsContext> direct_tls_;
};

}  // namespace

std::string_view Name(TlsFailure failure) {
  switch (failure) {
    case TlsFailure::kPeerClosed:
      return "peer-closed";
    case TlsFailure::kNotTls:
      return "not-tls";
    case TlsFailure::kVersion:
      return "version";
    case TlsFailure::kCipher:
      return "cipher";
    case TlsFailure::kAlpn:
      return "alpn";
    case TlsFailure::kAlert:
      return "alert";
    case TlsFailure::kOther:
      break;
  }
  return "other";
}

std::unique_ptr<Connection> MakeConnection(std::shared_ptr<TcpCore> core,
                                           std::shared_ptr<ServerTlsContext> direct_tls) {
  return std::make_unique<ConnectionImpl>(std::move(core), std::move(direct_tls));
}

TcpCore& CoreOf(Connection& connection) { return static_cast<ConnectionImpl&>(connection).core(); }

}  // namespace rookery::net
