#include "domain/scram_end_point.h"

#include <utility>

#include "domain/base64.h"
#include "domain/scram_crypto.h"
#include "domain/text.h"

namespace rookery::gateway {

ScramEndPoint::ScramEndPoint(const ScramClientFirst& first, ScramKey key, std::string_view binding,
                             std::string_view server_nonce)
    : key_(std::move(key)),
      expected_binding_(Cat(first.gs2_header, binding)),
      nonce_(Cat(first.nonce, server_nonce)),
      client_first_bare_(first.bare),
      server_first_(Cat("r=", nonce_, ",s=", EncodeBase64(key_.salt), ",i=", key_.iterations)) {}

ScramEndPoint::Verdict ScramEndPoint::Verify(std::string_view client_final, std::string* server_final) const {
  const auto final = ParseScramClientFinal(client_final);
  if (!final || final->proof.size() != DigestSize(key_.hash)) return Verdict::kMalformed;

  const std::string auth_message = Cat(client_first_bare_, ",", server_first_, ",", final->without_proof);
  std::string client_key = Hmac(key_.hash, key_.stored_key, auth_message);
  for (std::size_t i = 0; i < client_key.size(); ++i) client_key[i] ^= final->proof[i];
  // All three are looked at whatever the first says: no clue to which one was wrong.
  const bool proven = EqualSecret(Digest(key_.hash, client_key), key_.stored_key);
  const bool bound = EqualSecret(final->channel_binding, expected_binding_);
  const bool fresh = EqualSecret(final->nonce, nonce_);
  if (!proven || !bound || !fresh) return Verdict::kRefused;

  *server_final = Cat("v=", EncodeBase64(Hmac(key_.hash, key_.server_key, auth_message)));
  return Verdict::kVerified;
}

}  // namespace rookery::gateway
