#include "net_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>

namespace rookery::net {

NetTest::NetTest() {
  // OpenSSL's own socket writes, as RawClient makes them, may raise it.
  std::signal(SIGPIPE, SIG_IGN);
  std::string pattern = (std::filesystem::temp_directory_path() / "rookery-net-XXXXXX").string();
  directory_ = ::mkdtemp(pattern.data());
}

NetTest::~NetTest() { std::filesystem::remove_all(directory_); }

void NetTest::RunUntil(const std::function<bool()>& done, const std::function<void()>& pump) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!done()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "timed out";
    io_.restart();
    if (pump) {
      io_.poll();
      pump();
    } else {
      io_.run_one_for(std::chrono::milliseconds(50));
    }
  }
}

TestCertificate NetTest::MakeCertificate(const std::string& name, const std::string& digest) {
  EVP_PKEY* key = digest == "ED25519" ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519") : EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  static long serial = 0;
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate, subject);
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  for (const auto& [id, value] : {std::pair<int, std::string>{NID_subject_alt_name, "DNS:" + name},
                                  {NID_basic_constraints, "critical,CA:TRUE"}}) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(certificate, key, digest == "ED25519" ? nullptr : EVP_get_digestbyname(digest.c_str()));
  TestCertificate files;
  const std::string stem = directory_ + "/" + std::to_string(serial);
  files.certificate_file = stem + ".crt";
  files.key_file = stem + ".key";
  std::FILE* f = std::fopen(files.certificate_file.c_str(), "w");
  PEM_write_X509(f, certificate);
  std::fclose(f);
  f = std::fopen(files.key_file.c_str(), "w");
  PEM_write_PrivateKey(f, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(f);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return files;
}

RawClient::RawClient(const std::string& address, int receive_buffer) {
  const std::size_t colon = address.rfind(':');
  const auto port = static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1)));
  const bool v6 = address.starts_with('[');
  fd = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (receive_buffer > 0) ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  int result = 0;
  if (v6) {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(port);
    to.sin6_addr = in6addr_loopback;
    result = ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to);
  } else {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    result = ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to);
  }
  if (result != 0) error = std::strerror(errno);
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
}

RawClient::~RawClient() {
  SSL_free(ssl);
  SSL_CTX_free(context_);
  Close();
}

void RawClient::Close() {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

void RawClient::ShutdownWrite() { ::shutdown(fd, SHUT_WR); }

void RawClient::Reset() {
  const linger reset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  Close();
}

void RawClient::StartTls(const Tls& options) {
  context_ = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_mode(context_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (options.min_version != 0) SSL_CTX_set_min_proto_version(context_, options.min_version);
  if (options.max_version != 0) SSL_CTX_set_max_proto_version(context_, options.max_version);
  if (!options.certificate.key_file.empty()) {
    SSL_CTX_use_certificate_file(context_, options.certificate.certificate_file.c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context_, options.certificate.key_file.c_str(), SSL_FILETYPE_PEM);
  }
  std::string wire;
  for (const std::string& name : options.alpn) wire += static_cast<char>(name.size()) + name;
  if (!wire.empty()) {
    SSL_CTX_set_alpn_protos(context_, reinterpret_cast<const unsigned char*>(wire.data()),
                            static_cast<unsigned int>(wire.size()));
  }
  ssl = SSL_new(context_);
  if (!options.server_name.empty()) SSL_set_tlsext_host_name(ssl, options.server_name.c_str());
  SSL_set_fd(ssl, fd);
  SSL_set_connect_state(ssl);
}

void RawClient::Fail(int result) {
  switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return;
    case SSL_ERROR_ZERO_RETURN:
      eof = close_notify = true;
      return;
    default: {
      const unsigned long code = ERR_peek_last_error();
      error = code != 0 ? ERR_reason_error_string(code) : "closed";
      eof = true;
    }
  }
}

void RawClient::Pump() {
  if (fd < 0 || eof) return;
  ERR_clear_error();
  if (ssl != nullptr && !established) {
    const int result = SSL_do_handshake(ssl);
    if (result != 1) return Fail(result);
    established = true;
  }
  while (!out.empty()) {
    const ssize_t n = ssl != nullptr ? SSL_write(ssl, out.data(), static_cast<int>(out.size()))
                                     : ::send(fd, out.data(), out.size(), MSG_NOSIGNAL);
    if (n <= 0) {
      if (ssl != nullptr) Fail(static_cast<int>(n));
      break;
    }
    out.erase(0, static_cast<std::size_t>(n));
  }
  char buffer[32 * 1024];
  while (reading && !eof) {
    const ssize_t n =
        ssl != nullptr ? SSL_read(ssl, buffer, sizeof buffer) : ::recv(fd, buffer, sizeof buffer, 0);
    if (n > 0) {
      in.append(buffer, static_cast<std::size_t>(n));
      ++reads;
      continue;
    }
    if (ssl != nullptr) {
      Fail(static_cast<int>(n));
    } else if (n == 0) {
      eof = true;
    } else if (errno != EAGAIN) {
      error = std::strerror(errno);
      eof = true;
    }
    return;
  }
}

}  // namespace rookery::net
