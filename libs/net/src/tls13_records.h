#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace rookery::net {

/// What a handshake leaves for Tls13Records. Filled by OpenSSL's callbacks.
struct TrafficSecrets {
  std::string client;
  std::string server;
  /// NewSessionTicket messages sent: each was one record under the server's key.
  std::uint64_t tickets = 0;

  ~TrafficSecrets();
  /// Makes `ssl` fill `*this`, which must outlive the handshake.
  void Watch(SSL* ssl);
  /// For the keylog callback of the context.
  static void OnKey(const SSL* ssl, const char* line);

 private:
  static void OnMessage(int write, int version, int type, const void* data, std::size_t size, SSL* ssl,
                        void* self);
};

/// TLS 1.3 after the handshake (RFC 8446 sections 4.6.3, 5 and 6.1) as a server: keys,
/// record numbers and nothing else, 0.4 KB in place of OpenSSL's 13.6. The handshake,
/// the certificates and the ciphers are OpenSSL's.
class Tls13Records {
 public:
  static constexpr std::size_t kMaxPlain = 16384;
  static constexpr std::size_t kOverhead = 5 + 1 + 16;  // header, content type, tag
  static constexpr std::size_t kMaxRecord = 5 + kMaxPlain + 256;

  /// Null when the connection must stay with OpenSSL: an older version, a client
  /// certificate, a fragment limit, or bytes that OpenSSL has read already.
  static std::unique_ptr<Tls13Records> TakeOver(SSL* ssl, const TrafficSecrets& secrets);
  ~Tls13Records();
  Tls13Records(const Tls13Records&) = delete;
  Tls13Records& operator=(const Tls13Records&) = delete;

  enum class State : std::uint8_t { kOpen, kPeerClosed, kFailed };
  /// Decrypts the whole records of [data, data + size) and moves their plaintext to
  /// `data`. `*consumed`: what the records took; the rest is an incomplete one.
  /// Nothing is read after the peer's close_notify or a fault.
  void Open(char* data, std::size_t size, std::size_t* consumed, std::size_t* plain);
  State state() const { return state_; }
  /// Why state() is kFailed.
  const char* fault() const { return fault_; }

  /// Writes one record for at most kMaxPlain bytes to `out`; its size.
  std::size_t Seal(std::string_view plain, char* out);
  /// close_notify, or after a fault its alert.
  std::size_t SealEnd(char* out);
  /// The answer to a KeyUpdate that asked for one, or one of our own after very many
  /// records; then the next key is in force. 0: none is due. However many the peer
  /// sends, one answer is owed.
  std::size_t SealKeyUpdate(char* out);

  // Kept from the handshake for SASL.
  const std::string& exporter() const { return exporter_; }
  X509* certificate() const { return certificate_; }
  const std::string& server_name() const { return server_name_; }

 private:
  enum class Suite : std::uint8_t { kAes128, kAes256, kChaCha };
  struct Direction {
    std::array<unsigned char, 48> secret{};
    std::array<unsigned char, 32> key{};
    std::array<unsigned char, 12> iv{};
    std::uint64_t sequence = 0;
  };

  Tls13Records() = default;
  std::size_t hash_size() const { return suite_ == Suite::kAes256 ? 48 : 32; }
  /// HKDF-Expand-Label with an empty context, at most one block (RFC 8446 section 7.1).
  void Expand(const Direction& direction, std::string_view label, unsigned char* out, std::size_t size) const;
  void DeriveKeys(Direction& direction) const;
  void UpdateKeys(Direction& direction) const;
  std::size_t SealTyped(std::uint8_t type, std::string_view plain, char* out);
  /// Decrypts in place; the plaintext's size with its type byte and padding, or -1.
  std::ptrdiff_t OpenRecord(unsigned char* record, std::size_t size);
  void OnHandshakeBytes(const unsigned char* data, std::size_t size);
  void Fail(std::uint8_t alert, const char* why);

  Direction read_;
  Direction write_;
  Suite suite_ = Suite::kAes128;
  State state_ = State::kOpen;
  bool update_owed_ = false;
  std::uint8_t alert_ = 0;
  const char* fault_ = "";
  std::string exporter_;
  std::string server_name_;
  X509* certificate_ = nullptr;
};

}  // namespace rookery::net
