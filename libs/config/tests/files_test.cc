#include "rookery/config/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "rookery/base/random.h"

namespace rookery::config {
namespace {

using testing::HasSubstr;

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;

class FilesTest : public testing::Test {
 protected:
  FilesTest() { std::filesystem::create_directory(directory_); }
  ~FilesTest() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return (directory_ / name).string(); }
  std::string File(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name)) << text;
    return Path(name);
  }
  static std::string Text(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return {data, static_cast<std::size_t>(size)};
  }
  static std::string KeyPem(const Key& key, const char* passphrase = nullptr) {
    const std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(bio.get(), key.get(), passphrase == nullptr ? nullptr : EVP_aes_128_cbc(),
                             nullptr, 0, nullptr, const_cast<char*>(passphrase));
    return Text(bio.get());
  }
  static std::string CertificatePem(const Key& key) {
    const std::unique_ptr<X509, Free> certificate(X509_new());
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key.get());
    X509_sign(certificate.get(), key.get(), EVP_sha256());
    const std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), certificate.get());
    return Text(bio.get());
  }
  static Key NewKey() { return Key(EVP_EC_gen("P-256")); }
  static std::string Error(const absl::Status& status) { return std::string(status.message()); }

 private:
  std::filesystem::path directory_ =
      std::filesystem::temp_directory_path() / ("rookery-files-test-" + RandomToken(8));
};

TEST_F(FilesTest, WhatCannotBeReadIsToldWithTheReason) {
  EXPECT_TRUE(CheckReadable(File("there", "")).ok());
  EXPECT_THAT(Error(CheckReadable(Path("none"))),
              testing::AllOf(HasSubstr("none"), HasSubstr("No such file")));
  EXPECT_EQ(CheckReadable(Path("")).code(), absl::StatusCode::kNotFound) << "a directory";
  EXPECT_EQ(CheckCertificates(Path("none")).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(*ReadFile(File("text", "a\nb")), "a\nb");
}

TEST_F(FilesTest, CertificatesAreParsedToTheLast) {
  const std::string one = CertificatePem(NewKey());
  const std::string two = CertificatePem(NewKey());
  EXPECT_TRUE(CheckCertificates(File("one.pem", one)).ok());
  EXPECT_TRUE(CheckCertificates(File("two.pem", one + two)).ok());
  EXPECT_THAT(Error(CheckCertificates(File("text.pem", "hello\n"))), HasSubstr("holds no PEM certificate"));
  EXPECT_THAT(Error(CheckCertificates(File("key.pem", KeyPem(NewKey())))),
              HasSubstr("holds no PEM certificate"));
  std::string damaged = one + two;
  damaged[damaged.size() - 60] = '!';
  EXPECT_THAT(Error(CheckCertificates(File("damaged.pem", damaged))), HasSubstr("damaged"));
}

TEST_F(FilesTest, AKeyMustBelongToItsCertificateAndNeedNoPassphrase) {
  const Key key = NewKey();
  const std::string certificate = File("cert.pem", CertificatePem(key));
  EXPECT_TRUE(CheckKey(File("key.pem", KeyPem(key)), certificate).ok());
  EXPECT_THAT(Error(CheckKey(File("other.pem", KeyPem(NewKey())), certificate)), HasSubstr("is not the key"));
  EXPECT_THAT(Error(CheckKey(File("secret.pem", KeyPem(key, "passphrase")), certificate)),
              HasSubstr("passphrase"));
  EXPECT_THAT(Error(CheckKey(certificate, certificate)), HasSubstr("holds no PEM private key"));
}

}  // namespace
}  // namespace rookery::config
