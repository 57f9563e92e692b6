#include "rookery/config/files.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "rookery/base/status.h"

namespace rookery::config {
namespace {

struct OpenSslFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
template <typename T>
using Owned = std::unique_ptr<T, OpenSslFree>;

// A key with a passphrase must fail rather than ask on the terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

Owned<BIO> Over(const std::string& text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

absl::StatusOr<Owned<X509>> FirstCertificate(BIO* bio, const std::string& file) {
  Owned<X509> certificate(PEM_read_bio_X509(bio, nullptr, &NoPassphrase, nullptr));
  ERR_clear_error();
  if (certificate == nullptr)
    return absl::InvalidArgumentError(absl::StrCat(file, " holds no PEM certificate"));
  return certificate;
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& file) {
  const auto failed = [&] {
    return absl::NotFoundError(absl::StrCat("cannot read ", file, ": ", std::strerror(errno)));
  };
  const auto close = [](std::FILE* opened) { std::fclose(opened); };
  const std::unique_ptr<std::FILE, decltype(close)> in(std::fopen(file.c_str(), "re"), close);
  if (in == nullptr) return failed();
  std::string text;
  char buffer[4096];
  while (const std::size_t got = std::fread(buffer, 1, sizeof buffer, in.get())) text.append(buffer, got);
  // A directory opens, too, and fails when it is read.
  if (std::ferror(in.get()) != 0) return failed();
  return text;
}

bool IsSecret(mode_t mode, uid_t owner, uid_t reader) {
  // One of root's is read by its group: so Kubernetes gives it to a pod.
  const mode_t others = S_IRWXO | (owner == 0 && reader != 0 ? S_IWGRP | S_IXGRP : S_IRWXG);
  return (owner == reader || owner == 0) && (mode & others) == 0;
}

absl::StatusOr<std::string> ReadSecretFile(const std::string& file) {
  struct stat status{};
  // Else ReadFile says why it cannot be read.
  if (stat(file.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
      !IsSecret(status.st_mode, status.st_uid, geteuid()))
    return absl::FailedPreconditionError(
        absl::StrCat(file,
                     " is a secret that others can read or write: it must belong to the user who runs this "
                     "(chmod 600) or to root (chmod 640)"));
  return ReadFile(file);
}

absl::Status CheckReadable(const std::string& file) { return ReadFile(file).status(); }

absl::Status CheckCertificates(const std::string& file) {
  ROOKERY_ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  const Owned<BIO> bio = Over(text);
  ROOKERY_RETURN_IF_ERROR(FirstCertificate(bio.get(), file).status());
  for (;;) {
    const Owned<X509> next(PEM_read_bio_X509(bio.get(), nullptr, &NoPassphrase, nullptr));
    if (next != nullptr) continue;
    const unsigned long error = ERR_peek_last_error();
    ERR_clear_error();
    // The file's end is this error, too.
    if (ERR_GET_REASON(error) == PEM_R_NO_START_LINE) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(file, " holds a certificate that is damaged"));
  }
}

absl::Status CheckKey(const std::string& key_file, const std::string& certificate_file) {
  ROOKERY_ASSIGN_OR_RETURN(const std::string key_text, ReadFile(key_file));
  const Owned<BIO> key_bio = Over(key_text);
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, &NoPassphrase, nullptr));
  ERR_clear_error();
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(key_file, " holds no PEM private key, or one with a passphrase"));
  }
  ROOKERY_ASSIGN_OR_RETURN(const std::string certificate_text, ReadFile(certificate_file));
  const Owned<BIO> certificate_bio = Over(certificate_text);
  ROOKERY_ASSIGN_OR_RETURN(const Owned<X509> certificate,
                           FirstCertificate(certificate_bio.get(), certificate_file));
  const bool is_its_key = X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (!is_its_key) {
    return absl::InvalidArgumentError(
        absl::StrCat(key_file, " is not the key of the certificate in ", certificate_file));
  }
  return absl::OkStatus();
}

}  // namespace rookery::config
