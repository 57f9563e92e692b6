#include "rookery/pg/shard_cursors.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace rookery::pg {

CursorTable::CursorTable(const std::string& name)
    : keep_(absl::StrCat("INSERT INTO ", name,
                         " AS c (shard, epoch, cursor) VALUES ($1::integer, $2::bigint, $3::bigint) "
                         "ON CONFLICT (shard) DO UPDATE SET epoch = EXCLUDED.epoch, cursor = EXCLUDED.cursor "
                         "WHERE c.epoch <= EXCLUDED.epoch")),
      find_(absl::StrCat("SELECT cursor FROM ", name, " WHERE shard = $1::integer")) {}

Task<absl::Status> ShardCursors::Keep(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor) {
  std::vector<Param> params{Param::Int(shard), Param::Int(epoch), Param::Int(cursor)};
  const ResultOr result = co_await pool_.Execute(shard, table_.keep_.c_str(), std::move(params));
  co_return result.status();
}

Task<absl::StatusOr<std::int64_t>> ShardCursors::Find(std::uint32_t shard) {
  std::vector<Param> params{Param::Int(shard)};
  const ResultOr result = co_await pool_.Execute(shard, table_.find_.c_str(), std::move(params));
  if (!result.ok()) co_return result.status();
  co_return (*result)->rows() == 0 ? -1 : (*result)->Int(0, 0);
}

}  // namespace rookery::pg
