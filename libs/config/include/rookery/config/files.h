#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace rookery::config {

// Files that settings name, looked at before anything is started. Errors are one line that names the file.

/// NOT_FOUND: it cannot be read.
absl::StatusOr<std::string> ReadFile(const std::string& file);
absl::Status CheckReadable(const std::string& file);
/// A password, or what must be kept as one. FAILED_PRECONDITION: it is no secret.
absl::StatusOr<std::string> ReadSecretFile(const std::string& file);
/// Whether a file is a secret of its owner, who is its reader or root; root's may be read by its group, too.
bool IsSecret(mode_t mode, uid_t owner, uid_t reader);
/// One or more certificates in PEM. NOT_FOUND, INVALID_ARGUMENT.
absl::Status CheckCertificates(const std::string& file);
/// A private key in PEM, without a passphrase, that belongs to the first certificate of the other file.
absl::Status CheckKey(const std::string& key_file, const std::string& certificate_file);

}  // namespace rookery::config
