#include "adapters/pg_room_list.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "domain/room_listing.h"
#include "rookery/base/status.h"

namespace rookery::muc {

namespace {

using pg::Param;
using SortKey = RoomQuery::SortKey;

/// Another connection than the one that rooms are loaded on, where there are two.
constexpr std::uint64_t kLane = 1;
constexpr std::chrono::minutes kRemembered{1};
/// Above every address: no text has it, and nothing is encoded higher.
constexpr char kAboveAll[] = "\xf4\x8f\xbf\xbf";

// ---- statements -------------------------------------------------------------
// Each combination has a text of its own, since one plan for all of them would use no index.

enum class Filter { kNone, kOccupants, kWords };
constexpr int kFilters = 3;

Filter FilterOf(const RoomQuery& query) {
  if (!query.text.empty()) return Filter::kWords;
  return query.min_occupants > 0 ? Filter::kOccupants : Filter::kNone;
}

/// The rooms that are asked for. $1 service; then, from $`next` on, what the filter needs.
std::string Match(Filter filter, int& next) {
  std::string sql = "service = $1::text AND is_listed";
  if (filter == Filter::kNone) return sql;
  absl::StrAppend(&sql, " AND minus_occupants <= $", next++, "::bigint");
  if (filter == Filter::kOccupants) return sql;
  const auto field = [&next](const char* column) {
    return absl::StrCat("CASE WHEN $", next++, "::boolean THEN ", column, " ELSE '' END");
  };
  // No word has a line's end, so none is found across two fields.
  absl::StrAppend(&sql, " AND (", field("search_name"), " || E'\\n' || ");
  absl::StrAppend(&sql, field("search_description"), " || E'\\n' || ");
  absl::StrAppend(&sql, field("search_address"), ") LIKE ALL ($", next++, "::text[])");
  return sql;
}

/// Where a room is before or behind a place: $`next` its room, and $`next + 1` its occupants where they
/// matter.
std::string Beside(SortKey key, const char* sign, int next) {
  if (key == SortKey::kAddress) return absl::StrCat("room ", sign, " $", next, "::text");
  return absl::StrCat("(minus_occupants, room) ", sign, " ($", next + 1, "::bigint, $", next, "::text)");
}

/// $2 how many, $3 how many are left out before them, then filter and place.
std::string PageSql(SortKey key, Filter filter, bool is_backward) {
  int next = 4;
  const std::string match = Match(filter, next);
  const char* way = is_backward ? " DESC" : "";
  const char* by_occupants = key == SortKey::kOccupants ? "minus_occupants" : "";
  return absl::StrCat(
      "SELECT room, name, description, lang, minus_occupants, is_open, is_anonymous FROM muc_rooms WHERE ",
      match, " AND ", Beside(key, is_backward ? "<" : ">", next), " ORDER BY ", by_occupants,
      *by_occupants != '\0' ? absl::StrCat(way, ", ") : "", "room", way,
      " LIMIT $2::bigint OFFSET $3::bigint");
}

/// Of all and of those before a place, $2 at most; then filter and place.
std::string CountSql(SortKey key, Filter filter) {
  int next = 3;
  const std::string match = Match(filter, next);
  const std::string some = absl::StrCat("(SELECT count(*) FROM (SELECT FROM muc_rooms WHERE ", match);
  return absl::StrCat("SELECT ", some, " LIMIT $2::bigint) AS found), ", some, " AND ",
                      Beside(key, "<", next), " LIMIT $2::bigint) AS found)");
}

const char* PageStatement(SortKey key, Filter filter, bool is_backward) {
  static const auto statements = [] {
    std::array<std::string, 2 * kFilters * 2> made;
    for (std::size_t i = 0; i < made.size(); ++i)
      made[i] =
          PageSql(static_cast<SortKey>(i / 2 / kFilters), static_cast<Filter>(i / 2 % kFilters), i % 2 == 1);
    return made;
  }();
  const std::size_t pair = static_cast<std::size_t>(key) * kFilters + static_cast<std::size_t>(filter);
  return statements[2 * pair + (is_backward ? 1 : 0)].c_str();
}

const char* CountStatement(SortKey key, Filter filter) {
  static const auto statements = [] {
    std::array<std::string, 2 * kFilters> made;
    for (std::size_t i = 0; i < made.size(); ++i)
      made[i] = CountSql(static_cast<SortKey>(i / kFilters), static_cast<Filter>(i % kFilters));
    return made;
  }();
  return statements[static_cast<std::size_t>(key) * kFilters + static_cast<std::size_t>(filter)].c_str();
}

/// What Match needs.
std::vector<Param> FilterParams(const RoomQuery& query, const std::vector<std::string>& words) {
  std::vector<Param> params;
  const Filter filter = FilterOf(query);
  if (filter == Filter::kNone) return params;
  params.push_back(Param::Int(-query.min_occupants));
  if (filter == Filter::kOccupants) return params;
  std::vector<std::string> patterns;
  for (const std::string& word : words) {
    std::string& pattern = patterns.emplace_back("%");
    for (const char c : word) {
      if (c == '%' || c == '_' || c == '\\') pattern += '\\';
      pattern += c;
    }
    pattern += '%';
  }
  params.push_back(Param::Bool(query.in_name));
  params.push_back(Param::Bool(query.in_description));
  params.push_back(Param::Bool(query.in_address));
  params.push_back(Param::TextArray(patterns));
  return params;
}

std::vector<Param> Params(const RoomQuery& query, std::vector<Param> own, const std::vector<Param>& filter,
                          std::int64_t minus_occupants, const std::string& room) {
  std::vector<Param> params{Param::Text(query.service)};
  params.insert(params.end(), own.begin(), own.end());
  params.insert(params.end(), filter.begin(), filter.end());
  params.push_back(Param::Text(room));
  if (query.sort_key == SortKey::kOccupants) params.push_back(Param::Int(minus_occupants));
  return params;
}

std::vector<ListedRoom> ReadPage(const pg::Result& rows, bool is_backward) {
  std::vector<ListedRoom> rooms;
  rooms.reserve(rows.rows());
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    ListedRoom& room = rooms.emplace_back();
    room.room = rows.Text(i, 0);
    room.name = rows.Text(i, 1);
    room.description = rows.Text(i, 2);
    room.lang = rows.Text(i, 3);
    room.occupants = -rows.Int(i, 4);
    room.is_open = rows.Bool(i, 5);
    room.is_anonymous = rows.Bool(i, 6);
  }
  if (is_backward) std::reverse(rooms.begin(), rooms.end());
  return rooms;
}

}  // namespace

Task<absl::StatusOr<RoomPage>> PgRoomList::Read(RoomQuery query) {
  ROOKERY_CO_ASSIGN_OR_RETURN(const std::vector<std::string> words, WordsOf(query));
  const std::vector<Param> filter = FilterParams(query, words);
  const std::int64_t most = std::max<std::int64_t>(query.max, 0);
  const std::int64_t left_out = std::max<std::int64_t>(query.index.value_or(0), 0);
  const bool is_backward = !query.index && query.before;

  using Limits = std::numeric_limits<std::int64_t>;
  const Place before_all{Limits::min(), ""};
  Place place = is_backward ? Place{Limits::max(), kAboveAll} : before_all;
  std::string neighbour;
  if (!query.index) neighbour = query.before ? *query.before : query.after.value_or("");
  if (!neighbour.empty()) {
    ROOKERY_CO_ASSIGN_OR_RETURN(place, co_await Find(query, neighbour));
  }

  RoomPage page;
  if (most > 0) {
    std::vector<Param> own{Param::Int(most), Param::Int(left_out)};
    std::vector<Param> params = Params(query, std::move(own), filter, place.minus_occupants, place.room);
    const char* sql = PageStatement(query.sort_key, FilterOf(query), is_backward);
    const pg::ResultOr result = co_await pool_.Execute(kLane, sql, std::move(params));
    if (!result.ok()) co_return result.status();
    page.rooms = ReadPage(**result, is_backward);
  }

  const auto shown = static_cast<std::int64_t>(page.rooms.size());
  if (neighbour.empty() && left_out == 0 && shown < most) {
    // The page was not filled, though nothing is beside it: these are all.
    page.count = shown;
    if (shown > 0) page.first_index = 0;
    co_return page;
  }
  const bool is_index_known = page.rooms.empty() || (neighbour.empty() && !is_backward);
  Place first = before_all;
  if (!is_index_known) first = {-page.rooms.front().occupants, page.rooms.front().room};
  const absl::Status counted = co_await Count(query, filter, first, page);
  if (!counted.ok()) co_return counted;
  if (page.rooms.empty()) {
    page.first_index.reset();
  } else if (is_index_known) {
    page.first_index = left_out;
  }
  page.count = std::max(page.count, page.first_index.value_or(0) + shown);
  co_return page;
}

Task<absl::StatusOr<PgRoomList::Place>> PgRoomList::Find(const RoomQuery& query, std::string room) {
  Place place{0, std::move(room)};
  if (query.sort_key == SortKey::kAddress) co_return place;
  std::vector<Param> params{Param::Text(place.room), Param::Text(query.service)};
  const pg::ResultOr result = co_await pool_.Execute(
      kLane, "SELECT minus_occupants FROM muc_rooms WHERE room = $1 AND service = $2 AND is_listed",
      std::move(params));
  if (!result.ok()) co_return result.status();
  if ((*result)->rows() == 0) co_return absl::NotFoundError("the room is not listed");
  place.minus_occupants = (*result)->Int(0, 0);
  co_return place;
}

Task<absl::Status> PgRoomList::Count(const RoomQuery& query, const std::vector<Param>& filter,
                                     const Place& first, RoomPage& page) {
  std::vector<Param> own{Param::Int(kCounted + 1)};
  std::vector<Param> params = Params(query, std::move(own), filter, first.minus_occupants, first.room);
  const char* sql = CountStatement(query.sort_key, FilterOf(query));
  const pg::ResultOr result = co_await pool_.Execute(kLane, sql, std::move(params));
  if (!result.ok()) co_return result.status();
  if ((*result)->rows() != 1) co_return absl::InternalError("a count is one row");
  page.count = (*result)->Int(0, 0);
  if (const std::int64_t before = (*result)->Int(0, 1); before <= kCounted) page.first_index = before;
  if (page.count <= kCounted) co_return absl::OkStatus();
  page.count = kCounted;
  if (FilterOf(query) != Filter::kNone) co_return absl::OkStatus();
  ROOKERY_CO_ASSIGN_OR_RETURN(page.count, co_await CountAll(query.service));
  co_return absl::OkStatus();
}

Task<absl::StatusOr<std::int64_t>> PgRoomList::CountAll(std::string service) {
  const auto found = counted_.find(service);
  if (found != counted_.end() && SteadyNow() - found->second.at < kRemembered) co_return found->second.rooms;
  std::vector<Param> params{Param::Text(service)};
  const pg::ResultOr result = co_await pool_.Execute(
      kLane, "SELECT count(*) FROM muc_rooms WHERE service = $1 AND is_listed", std::move(params));
  if (!result.ok()) co_return result.status();
  const std::int64_t rooms = (*result)->Int(0, 0);
  counted_[service] = {SteadyNow(), rooms};
  co_return rooms;
}

}  // namespace rookery::muc
