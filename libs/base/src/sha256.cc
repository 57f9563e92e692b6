#include "rookery/base/sha256.h"

#include <openssl/evp.h>

#include <memory>

#include "rookery/base/check.h"

namespace rookery {
namespace {

struct Free {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

}  // namespace

Sha256Digest Sha256(std::string_view data) {
  static const EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  thread_local const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  Sha256Digest digest;
  ROOKERY_CHECK(EVP_DigestInit_ex(context.get(), method, nullptr) == 1 &&
                EVP_DigestUpdate(context.get(), data.data(), data.size()) == 1 &&
                EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1);
  return digest;
}

}  // namespace rookery
