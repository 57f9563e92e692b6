#include <charconv>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/types/optional.h"
#include "libpq.h"
#include "rookery/base/check.h"

namespace rookery::pg {
namespace {

int HexValue(char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }

class LibpqResult final : public Result {
 public:
  explicit LibpqResult(ResultPtr result) : result_(std::move(result)) {}

  std::size_t rows() const override { return static_cast<std::size_t>(PQntuples(result_.get())); }

  bool IsNull(std::size_t row, std::size_t column) const override {
    Check(row, column);
    return PQgetisnull(result_.get(), static_cast<int>(row), static_cast<int>(column)) != 0;
  }

  std::string_view Text(std::size_t row, std::size_t column) const override {
    Check(row, column);
    const int r = static_cast<int>(row);
    const int c = static_cast<int>(column);
    return {PQgetvalue(result_.get(), r, c), static_cast<std::size_t>(PQgetlength(result_.get(), r, c))};
  }

  std::int64_t Int(std::size_t row, std::size_t column) const override {
    const std::string_view text = Text(row, column);
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  }

  bool Bool(std::size_t row, std::size_t column) const override { return Text(row, column) == "t"; }

  std::string Bytes(std::size_t row, std::size_t column) const override {
    // bytea_output = hex, which every connection of ours asks for.
    std::string_view text = Text(row, column);
    if (text.substr(0, 2) != "\\x") return std::string(text);
    text.remove_prefix(2);
    std::string bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
      bytes += static_cast<char>(HexValue(text[i]) << 4 | HexValue(text[i + 1]));
    }
    return bytes;
  }

  std::int64_t affected() const override {
    const std::string_view text = PQcmdTuples(result_.get());
    std::int64_t count = 0;
    std::from_chars(text.data(), text.data() + text.size(), count);
    return count;
  }

 private:
  // libpq only warns about numbers out of range and hands out a null pointer.
  void Check(std::size_t row, std::size_t column) const {
    ROOKERY_CHECK(row < rows() && column < static_cast<std::size_t>(PQnfields(result_.get())));
  }

  ResultPtr result_;
};

constexpr char kSqlStateUrl[] = "rookery/pg/sqlstate";
/// The constraint that was broken.
constexpr char kConstraintUrl[] = "rookery/pg/constraint";

absl::Cord CordOf(std::string_view text) { return absl::Cord(absl::string_view(text.data(), text.size())); }

absl::Status StatusOfState(std::string_view state, const std::string& text) {
  if (state == "23505") return absl::AlreadyExistsError(text);
  // statement_completion_unknown: it may have run.
  if (state == "40003") return absl::UnavailableError(text);
  // transaction_rollback: serialization_failure, deadlock_detected and others
  if (state.starts_with("40")) return absl::AbortedError(text);
  if (state == "57014") return absl::DeadlineExceededError(text);  // query_canceled, by statement_timeout
  // No SQLSTATE: libpq's own message about a lost connection. Classes: 08 connection,
  // 53 out of resources, 57P server shutting down or starting, 58 errors of its system (a disk);
  // 25006: the primary became a standby; 25P03, 25P04, 55P03: a time limit that an operator has set for the
  // role (idle in transaction, of a transaction, of waiting for a lock).
  if (state.empty() || state.starts_with("08") || state.starts_with("53") || state.starts_with("57P") ||
      state.starts_with("58") || state == "25006" || state == "25P03" || state == "25P04" ||
      state == "55P03") {
    return absl::UnavailableError(text);
  }
  return absl::InternalError(text);
}

}  // namespace

std::unique_ptr<Result> MakeResult(ResultPtr result) {
  return std::make_unique<LibpqResult>(std::move(result));
}

std::string_view SqlState(const PGresult* result) {
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  return state != nullptr ? std::string_view(state) : std::string_view();
}

std::string OneLine(std::string_view message) {
  while (!message.empty() && (message.back() == '\n' || message.back() == ' ')) message.remove_suffix(1);
  std::string line(message);
  for (char& c : line) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  return line;
}

absl::Status StatusOfError(const PGresult* result) {
  const std::string_view state = SqlState(result);
  // Only the primary message: DETAIL shows values, which may be a user's.
  const char* primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  std::string text =
      std::string(state) + " " + OneLine(primary != nullptr ? primary : PQresultErrorMessage(result));
  absl::Status status = StatusOfState(state, text);
  if (!state.empty()) status.SetPayload(kSqlStateUrl, CordOf(state));
  if (const char* constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME); constraint != nullptr)
    status.SetPayload(kConstraintUrl, CordOf(constraint));
  return status;
}

std::string SqlStateOf(const absl::Status& status) {
  const absl::optional<absl::Cord> state = status.GetPayload(kSqlStateUrl);
  return state ? std::string(*state) : std::string();
}

bool IsForWantOfPartition(const absl::Status& status) {
  return SqlStateOf(status) == "23514" && !status.GetPayload(kConstraintUrl);
}

bool IsOfItsData(const absl::Status& status) {
  const std::string state = SqlStateOf(status);
  return (state.starts_with("22") || state.starts_with("23")) && !IsForWantOfPartition(status);
}

}  // namespace rookery::pg
