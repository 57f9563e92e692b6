#include <libpq-fe.h>

#include <functional>
#include <memory>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "rookery/config/files.h"
#include "rookery/pg/pool.h"

namespace rookery::pg {
namespace {

constexpr char kConnection[] = "pg.connection";

/// Calls `each` with every keyword that has a value. Gives libpq's error, or nothing.
std::string ForEachKeyword(const std::string& connection,
                           const std::function<void(std::string_view, const std::string&)>& each) {
  char* error = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
      PQconninfoParse(connection.c_str(), &error), &PQconninfoFree);
  const std::unique_ptr<char, decltype(&PQfreemem)> message(error, &PQfreemem);
  if (options == nullptr) return message == nullptr ? "out of memory" : message.get();
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) each(option->keyword, option->val);
  }
  return "";
}

}  // namespace

void Options::Bind(config::Schema& schema) {
  schema.Bind("pg.connection", &connection, "PostgreSQL: libpq keywords or URI, without the password");
  schema.BindSecret("pg.password", &password, "PostgreSQL: password");
  schema.Bind("pg.connections", &connections,
              "PostgreSQL: connections of each pool; session-manager has one connection more, muc two pools "
              "and two connections more",
              1, 64);
  schema.Bind("pg.timeout", &timeout,
              "PostgreSQL: time limit of a statement and of connecting; behind slow ones a statement waits "
              "for twice that");
}

void Options::Validate(config::Problems& problems) const {
  bool has_password = false;
  const std::string error = ForEachKeyword(connection, [&](std::string_view keyword, const std::string&) {
    has_password |= keyword == "password";
  });
  if (!error.empty()) {
    problems.Add(kConnection, absl::StrCat("is not libpq's: ", absl::StrReplaceAll(error, {{"\n", " "}})));
  } else if (has_password) {
    problems.Add(kConnection, "holds a password, which belongs in `pg.password`");
  }
}

void Options::CheckFiles(config::Problems& problems) const {
  ForEachKeyword(connection, [&](std::string_view keyword, const std::string& file) {
    // `system`: the authorities that the system trusts.
    if ((keyword != "sslrootcert" && keyword != "sslcert" && keyword != "sslkey") || file == "system") return;
    const absl::Status readable = config::CheckReadable(file);
    if (!readable.ok()) problems.Add(kConnection, absl::StrCat("names a file: ", readable.message()));
  });
}

}  // namespace rookery::pg
