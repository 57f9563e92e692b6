#include "tls13_records.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/escaping.h"
#include "rookery/base/check.h"

namespace rookery::net {
namespace {

// RFC 8446 section 5.1 and 6.
constexpr std::uint8_t kAlert = 21, kHandshake = 22, kData = 23;
constexpr std::uint8_t kCloseNotify = 0, kUnexpectedMessage = 10, kBadRecordMac = 20, kRecordOverflow = 22,
                       kIllegalParameter = 47, kDecodeError = 50;
constexpr std::uint8_t kKeyUpdate = 24;
constexpr std::size_t kTag = 16;
// Section 5.5 bounds AES-GCM at 2^24.5 full records for a key; this is well below.
constexpr std::uint64_t kMaxRecordsOfKey = std::uint64_t{1} << 23;

unsigned char* Bytes(char* data) { return reinterpret_cast<unsigned char*>(data); }

/// One cipher context for all connections of a thread: each record sets its own key.
/// Preparing a key costs a fraction of a microsecond, keeping it 1 KB a direction.
EVP_CIPHER_CTX* CipherContext(int suite, bool encrypt) {
  struct Contexts {
    EVP_CIPHER_CTX* of[3][2] = {};
    ~Contexts() {
      for (auto& pair : of) {
        for (EVP_CIPHER_CTX* context : pair) EVP_CIPHER_CTX_free(context);
      }
    }
  };
  thread_local Contexts contexts;
  EVP_CIPHER_CTX*& context = contexts.of[suite][encrypt ? 1 : 0];
  if (context == nullptr) {
    context = EVP_CIPHER_CTX_new();
    const EVP_CIPHER* cipher = suite == 0   ? EVP_aes_128_gcm()
                               : suite == 1 ? EVP_aes_256_gcm()
                                            : EVP_chacha20_poly1305();
    ROOKERY_CHECK(context != nullptr &&
                  EVP_CipherInit_ex(context, cipher, nullptr, nullptr, nullptr, encrypt ? 1 : 0) == 1);
  }
  return context;
}

/// Section 5.3: the record number, in network order, over the end of the IV.
std::array<unsigned char, 12> NonceOf(const std::array<unsigned char, 12>& iv, std::uint64_t sequence) {
  std::array<unsigned char, 12> nonce = iv;
  for (std::size_t i = 0; i < 8; ++i) nonce[11 - i] ^= static_cast<unsigned char>(sequence >> (8 * i));
  return nonce;
}

}  // namespace

TrafficSecrets::~TrafficSecrets() {
  OPENSSL_cleanse(client.data(), client.size());
  OPENSSL_cleanse(server.data(), server.size());
}

void TrafficSecrets::Watch(SSL* ssl) {
  SSL_set_app_data(ssl, this);
  SSL_set_msg_callback(ssl, &OnMessage);
  SSL_set_msg_callback_arg(ssl, this);
}

void TrafficSecrets::OnKey(const SSL* ssl, const char* line) {
  auto* self = static_cast<TrafficSecrets*>(SSL_get_app_data(ssl));
  if (self == nullptr) return;
  const std::string_view text = line;
  const std::size_t last = text.rfind(' ');
  std::string* secret = text.starts_with("CLIENT_TRAFFIC_SECRET_0 ")   ? &self->client
                        : text.starts_with("SERVER_TRAFFIC_SECRET_0 ") ? &self->server
                                                                       : nullptr;
  if (secret != nullptr) *secret = absl::HexStringToBytes({text.data() + last + 1, text.size() - last - 1});
}

void TrafficSecrets::OnMessage(int write, int, int type, const void* data, std::size_t size, SSL*,
                               void* self) {
  if (write == 1 && type == SSL3_RT_HANDSHAKE && size > 0 &&
      *static_cast<const unsigned char*>(data) == SSL3_MT_NEWSESSION_TICKET) {
    ++static_cast<TrafficSecrets*>(self)->tickets;
  }
}

std::unique_ptr<Tls13Records> Tls13Records::TakeOver(SSL* ssl, const TrafficSecrets& secrets) {
  if (SSL_version(ssl) != TLS1_3_VERSION || SSL_is_server(ssl) != 1 || SSL_has_pending(ssl) != 0 ||
      SSL_get0_peer_certificate(ssl) != nullptr ||
      SSL_get_early_data_status(ssl) == SSL_EARLY_DATA_ACCEPTED ||
      SSL_SESSION_get_max_fragment_length(SSL_get_session(ssl)) != TLSEXT_max_fragment_length_DISABLED) {
    return nullptr;
  }
  std::unique_ptr<Tls13Records> records(new Tls13Records);
  switch (SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl))) {
    case 0x1301:
      records->suite_ = Suite::kAes128;
      break;
    case 0x1302:
      records->suite_ = Suite::kAes256;
      break;
    case 0x1303:
      records->suite_ = Suite::kChaCha;
      break;
    default:
      return nullptr;
  }
  const std::size_t size = records->hash_size();
  if (secrets.client.size() != size || secrets.server.size() != size) return nullptr;
  std::memcpy(records->read_.secret.data(), secrets.client.data(), size);
  std::memcpy(records->write_.secret.data(), secrets.server.data(), size);
  records->DeriveKeys(records->read_);
  records->DeriveKeys(records->write_);
  records->write_.sequence = secrets.tickets;

  static constexpr std::string_view kLabel = "EXPORTER-Channel-Binding";
  records->exporter_.resize(32);
  if (SSL_export_keying_material(ssl, Bytes(records->exporter_.data()), 32, kLabel.data(), kLabel.size(),
                                 reinterpret_cast<const unsigned char*>(""), 0, 1) != 1) {
    return nullptr;
  }
  if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) records->server_name_ = name;
  records->certificate_ = SSL_get_certificate(ssl);
  if (records->certificate_ != nullptr) X509_up_ref(records->certificate_);
  return records;
}

Tls13Records::~Tls13Records() {
  OPENSSL_cleanse(&read_, sizeof read_);
  OPENSSL_cleanse(&write_, sizeof write_);
  X509_free(certificate_);
}

void Tls13Records::Expand(const Direction& direction, std::string_view label, unsigned char* out,
                          std::size_t size) const {
  unsigned char info[64];
  std::size_t n = 0;
  info[n++] = 0;
  info[n++] = static_cast<unsigned char>(size);
  info[n++] = static_cast<unsigned char>(6 + label.size());
  std::memcpy(info + n, "tls13 ", 6);
  n += 6;
  std::memcpy(info + n, label.data(), label.size());
  n += label.size();
  info[n++] = 0;  // no context
  info[n++] = 1;  // HKDF's counter: the first block is enough
  unsigned char block[EVP_MAX_MD_SIZE];
  unsigned int block_size = 0;
  ROOKERY_CHECK(HMAC(hash_size() == 48 ? EVP_sha384() : EVP_sha256(), direction.secret.data(),
                     static_cast<int>(hash_size()), info, n, block, &block_size) != nullptr);
  ROOKERY_CHECK(size <= block_size);
  std::memcpy(out, block, size);
  OPENSSL_cleanse(block, sizeof block);
}

void Tls13Records::DeriveKeys(Direction& direction) const {
  Expand(direction, "key", direction.key.data(), suite_ == Suite::kAes128 ? 16 : 32);
  Expand(direction, "iv", direction.iv.data(), direction.iv.size());
  direction.sequence = 0;
}

void Tls13Records::UpdateKeys(Direction& direction) const {
  std::array<unsigned char, 48> next{};
  Expand(direction, "traffic upd", next.data(), hash_size());
  direction.secret = next;
  OPENSSL_cleanse(next.data(), next.size());
  DeriveKeys(direction);
}

void Tls13Records::Fail(std::uint8_t alert, const char* why) {
  state_ = State::kFailed;
  alert_ = alert;
  fault_ = why;
}

std::size_t Tls13Records::SealTyped(std::uint8_t type, std::string_view plain, char* out) {
  const std::size_t body = plain.size() + 1 + kTag;
  unsigned char* header = Bytes(out);
  header[0] = kData;
  header[1] = 3;
  header[2] = 3;
  header[3] = static_cast<unsigned char>(body >> 8);
  header[4] = static_cast<unsigned char>(body);
  unsigned char* cipher = header + 5;
  EVP_CIPHER_CTX* context = CipherContext(static_cast<int>(suite_), true);
  const auto nonce = NonceOf(write_.iv, write_.sequence++);
  int n = 0, last = 0;
  bool ok = EVP_EncryptInit_ex(context, nullptr, nullptr, write_.key.data(), nonce.data()) == 1 &&
            EVP_EncryptUpdate(context, nullptr, &n, header, 5) == 1;
  if (ok && !plain.empty()) {
    ok = EVP_EncryptUpdate(context, cipher, &n, reinterpret_cast<const unsigned char*>(plain.data()),
                           static_cast<int>(plain.size())) == 1;
  }
  ok = ok && EVP_EncryptUpdate(context, cipher + plain.size(), &n, &type, 1) == 1 &&
       EVP_EncryptFinal_ex(context, cipher + plain.size() + 1, &last) == 1 &&
       EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTag, cipher + plain.size() + 1) == 1;
  ROOKERY_CHECK(ok);
  return 5 + body;
}

std::size_t Tls13Records::Seal(std::string_view plain, char* out) { return SealTyped(kData, plain, out); }

std::size_t Tls13Records::SealEnd(char* out) {
  const char alert[2] = {static_cast<char>(alert_ == kCloseNotify ? 1 : 2), static_cast<char>(alert_)};
  return SealTyped(kAlert, {alert, 2}, out);
}

std::size_t Tls13Records::SealKeyUpdate(char* out) {
  if (!update_owed_ && write_.sequence < kMaxRecordsOfKey) return 0;
  update_owed_ = false;
  // Type, length of one byte, update_not_requested.
  const std::size_t size = SealTyped(kHandshake, std::string_view("\x18\x00\x00\x01\x00", 5), out);
  UpdateKeys(write_);
  return size;
}

std::ptrdiff_t Tls13Records::OpenRecord(unsigned char* record, std::size_t size) {
  unsigned char* cipher = record + 5;
  const std::size_t plain = size - 5 - kTag;
  EVP_CIPHER_CTX* context = CipherContext(static_cast<int>(suite_), false);
  const auto nonce = NonceOf(read_.iv, read_.sequence);
  int n = 0, last = 0;
  const bool ready = EVP_DecryptInit_ex(context, nullptr, nullptr, read_.key.data(), nonce.data()) == 1 &&
                     EVP_DecryptUpdate(context, nullptr, &n, record, 5) == 1 &&
                     EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTag, cipher + plain) == 1;
  ROOKERY_CHECK(ready);
  if (EVP_DecryptUpdate(context, cipher, &n, cipher, static_cast<int>(plain)) != 1 ||
      EVP_DecryptFinal_ex(context, cipher + plain, &last) != 1) {
    return -1;
  }
  ++read_.sequence;
  return static_cast<std::ptrdiff_t>(plain);
}

void Tls13Records::OnHandshakeBytes(const unsigned char* data, std::size_t size) {
  // A client has nothing but KeyUpdate to say here (section 4.6.3), and that must end
  // its record since what follows has another key (section 5.1). Ours asks for no
  // other message, so one in pieces is refused too.
  if (size < 5 || data[0] != kKeyUpdate) return Fail(kUnexpectedMessage, "TLS: unexpected handshake message");
  if (data[1] != 0 || data[2] != 0 || data[3] != 1) return Fail(kDecodeError, "TLS: malformed KeyUpdate");
  if (size != 5) return Fail(kUnexpectedMessage, "TLS: data behind KeyUpdate");
  if (data[4] > 1) return Fail(kIllegalParameter, "TLS: malformed KeyUpdate");
  UpdateKeys(read_);
  if (data[4] == 1) update_owed_ = true;
}

void Tls13Records::Open(char* data, std::size_t size, std::size_t* consumed, std::size_t* plain) {
  std::size_t at = 0;
  std::size_t out = 0;
  while (state_ == State::kOpen && size - at >= 5) {
    unsigned char* record = Bytes(data + at);
    const std::size_t body = static_cast<std::size_t>(record[3]) << 8 | record[4];
    if (record[0] != kData) {
      // Section 5: after the handshake everything is protected.
      Fail(kUnexpectedMessage, "TLS: unprotected record");
      break;
    }
    if (body > kMaxPlain + 256) {
      Fail(kRecordOverflow, "TLS: record too long");
      break;
    }
    if (body < 1 + kTag) {
      Fail(kBadRecordMac, "TLS: record too short");
      break;
    }
    if (size - at < 5 + body) break;
    const std::ptrdiff_t opened = OpenRecord(record, 5 + body);
    at += 5 + body;
    if (opened < 0) {
      Fail(kBadRecordMac, "TLS: bad record MAC");
      break;
    }
    const unsigned char* text = record + 5;
    auto n = static_cast<std::size_t>(opened);
    // Section 5.4: zeros are padding, the last other byte is the type.
    while (n > 0 && text[n - 1] == 0) --n;
    if (n == 0) {
      Fail(kUnexpectedMessage, "TLS: record without type");
      break;
    }
    const std::uint8_t type = text[--n];
    if (n > kMaxPlain) {
      Fail(kRecordOverflow, "TLS: record too long");
      break;
    }
    if (type == kData) {
      std::memmove(data + out, text, n);
      out += n;
    } else if (type == kHandshake) {
      OnHandshakeBytes(text, n);
    } else if (type == kAlert) {
      if (n != 2) {
        Fail(kDecodeError, "TLS: malformed alert");
      } else if (text[1] == kCloseNotify) {
        state_ = State::kPeerClosed;
      } else if (text[1] != 90) {  // user_canceled, which close_notify follows
        Fail(kCloseNotify, "TLS: the peer sent an alert");
      }
    } else {
      Fail(kUnexpectedMessage, "TLS: unknown record type");
    }
  }
  *consumed = at;
  *plain = out;
}

}  // namespace rookery::net
