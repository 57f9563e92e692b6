#include "adapters/pg_room_list.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "domain/room/room_listing.h"
#include "rookery/base/status.h"

namespace rookery::muc {

namespace {

using pg::Param;
using SortKey = RoomQuery::SortKey;

constexpr std::chrono::minutes kRemembered{1};
/// Above every address: no text has it, and nothing is encoded higher.
constexpr char kAboveAll[] = "\xf4\x8f\xbf\xbf";

// ---- statements -------------------------------------------------------------
// Each combination has a text of its own: one plan for all of them would use no index. Keys are looked for
// apart from what is shown, since an index has all that their order and the number of occupants need.

enum class Filter { kNone, kOccupants, kWords };
constexpr int kFilters = 3;

Filter FilterOf(const RoomQuery& query) {
  if (!query.text.empty()) return Filter::kWords;
  return query.min_occupants > 0 ? Filter::kOccupants : Filter::kNone;
}

/// The rooms that are asked for. $1 service; then, from $`next` on, what the filter needs.
std::string Match(Filter filter, int& next) {
  std::string sql = "FROM muc_rooms WHERE service = $1::text AND is_listed";
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

std::string OrderBy(SortKey key, bool is_backward) {
  const char* way = is_backward ? " DESC" : "";
  if (key == SortKey::kAddress) return absl::StrCat(" ORDER BY room", way);
  return absl::StrCat(" ORDER BY minus_occupants", way, ", room", way);
}

/// Where a room is before or behind a place: $`next` its room, and $`next + 1` its occupants where they
/// matter.
std::string Beside(SortKey key, const char* sign, int next) {
  if (key == SortKey::kAddress) return absl::StrCat(" AND room ", sign, " $", next, "::text");
  return absl::StrCat(" AND (minus_occupants, room) ", sign, " ($", next + 1, "::bigint, $", next, "::text)");
}

/// $2 how many, then filter and place. The limit within the join keeps it from reading the whole table.
std::string PageSql(SortKey key, Filter filter, bool is_backward) {
  int next = 3;
  const std::string match = Match(filter, next);
  const std::string order = OrderBy(key, is_backward);
  return absl::StrCat(
      "SELECT room, name, description, lang, minus_occupants, is_open, is_anonymous FROM "
      "(SELECT room AS found ",
      match, Beside(key, is_backward ? "<" : ">", next), order,
      " LIMIT $2::bigint) AS keys CROSS JOIN LATERAL (SELECT * FROM muc_rooms WHERE room = found LIMIT 1) AS "
      "r",
      order);
}

/// The place of the room with the number $2, then filter.
std::string PlaceSql(SortKey key, Filter filter) {
  int next = 3;
  const std::string match = Match(filter, next);
  return absl::StrCat("SELECT room, ", key == SortKey::kAddress ? "0" : "minus_occupants", " ", match,
                      OrderBy(key, false), " LIMIT 1 OFFSET $2::bigint");
}

/// Counts all, and those before a place, $2 at most; then filter and place.
std::string CountSql(SortKey key, Filter filter) {
  int next = 3;
  const std::string match = Match(filter, next);
  // In the order of an index, so that no more of it is read. With words every room is read anyway.
  std::string all, before;
  if (filter != Filter::kWords) {
    all = OrderBy(filter == Filter::kNone ? SortKey::kAddress : SortKey::kOccupants, false);
    before = OrderBy(key, true);
  }
  return absl::StrCat("SELECT (SELECT count(*) FROM (SELECT ", match, all,
                      " LIMIT $2::bigint) AS found), (SELECT count(*) FROM (SELECT ", match,
                      Beside(key, "<", next), before, " LIMIT $2::bigint) AS found)");
}

using Statements = std::array<std::array<std::string, kFilters>, 2>;

/// By sort key and filter.
template <typename Make>
Statements MakeAll(const Make& make) {
  Statements made;
  for (const SortKey key : {SortKey::kAddress, SortKey::kOccupants})
    for (const Filter filter : {Filter::kNone, Filter::kOccupants, Filter::kWords})
      made[static_cast<std::size_t>(key)][static_cast<std::size_t>(filter)] = make(key, filter);
  return made;
}

/// Searches read every room: others do not wait behind them, where there are two connections.
std::uint64_t LaneOf(const RoomQuery& query) { return FilterOf(query) == Filter::kWords ? 1 : 0; }

const char* Of(const RoomQuery& query, const Statements& statements) {
  return statements[static_cast<std::size_t>(query.sort_key)][static_cast<std::size_t>(FilterOf(query))]
      .c_str();
}

/// Returns the parameters that Match needs.
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

// ---- pages ------------------------------------------------------------------

std::vector<Param> PgRoomList::Params(const RoomQuery& query, std::int64_t number,
                                      const std::vector<Param>& filter) {
  std::vector<Param> params{Param::Text(query.service), Param::Int(number)};
  params.insert(params.end(), filter.begin(), filter.end());
  return params;
}

std::vector<Param> PgRoomList::Params(const RoomQuery& query, std::int64_t number,
                                      const std::vector<Param>& filter, const Place& place) {
  std::vector<Param> params = Params(query, number, filter);
  params.push_back(Param::Text(place.room));
  if (query.sort_key == SortKey::kOccupants) params.push_back(Param::Int(place.minus_occupants));
  return params;
}

Task<absl::StatusOr<RoomPage>> PgRoomList::Read(RoomQuery query) {
  ROOKERY_CO_ASSIGN_OR_RETURN(const std::vector<std::string> words, WordsOf(query));
  const std::vector<Param> filter = FilterParams(query, words);
  const std::int64_t most = std::max<std::int64_t>(query.max, 0);
  const std::int64_t left_out = std::max<std::int64_t>(query.index.value_or(0), 0);
  const bool is_backward = !query.index && query.before;
  std::string neighbour;
  if (!query.index) neighbour = query.before ? *query.before : query.after.value_or("");

  using Limits = std::numeric_limits<std::int64_t>;
  const Place before_all{Limits::min(), ""}, behind_all{Limits::max(), kAboveAll};
  Place place = is_backward ? behind_all : before_all;
  if (!neighbour.empty()) {
    ROOKERY_CO_ASSIGN_OR_RETURN(place, co_await PlaceOf(query, neighbour));
  } else if (left_out > 0) {
    ROOKERY_CO_ASSIGN_OR_RETURN(const std::optional<Place> found,
                                co_await PlaceOf(query, left_out - 1, filter));
    place = found.value_or(behind_all);
  }

  RoomPage page;
  if (most > 0) {
    static const Statements forward =
        MakeAll([](SortKey key, Filter with) { return PageSql(key, with, false); });
    static const Statements backward =
        MakeAll([](SortKey key, Filter with) { return PageSql(key, with, true); });
    std::vector<Param> params = Params(query, most, filter, place);
    const char* sql = Of(query, is_backward ? backward : forward);
    const pg::ResultOr result = co_await pool_.Execute(LaneOf(query), sql, std::move(params));
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

Task<absl::StatusOr<PgRoomList::Place>> PgRoomList::PlaceOf(const RoomQuery& query, std::string room) {
  Place place{0, std::move(room)};
  if (query.sort_key == SortKey::kAddress) co_return place;
  std::vector<Param> params{Param::Text(place.room), Param::Text(query.service)};
  const pg::ResultOr result = co_await pool_.Execute(
      LaneOf(query), "SELECT minus_occupants FROM muc_rooms WHERE room = $1 AND service = $2 AND is_listed",
      std::move(params));
  if (!result.ok()) co_return result.status();
  if ((*result)->rows() == 0) co_return absl::NotFoundError("the room is not listed");
  place.minus_occupants = (*result)->Int(0, 0);
  co_return place;
}

Task<absl::StatusOr<std::optional<PgRoomList::Place>>> PgRoomList::PlaceOf(const RoomQuery& query,
                                                                           std::int64_t number,
                                                                           const std::vector<Param>& filter) {
  static const Statements statements = MakeAll(PlaceSql);
  std::vector<Param> params = Params(query, number, filter);
  const pg::ResultOr result = co_await pool_.Execute(LaneOf(query), Of(query, statements), std::move(params));
  if (!result.ok()) co_return result.status();
  std::optional<Place> place;
  if ((*result)->rows() > 0) place = Place{(*result)->Int(0, 1), std::string((*result)->Text(0, 0))};
  co_return place;
}

// ---- counts -----------------------------------------------------------------

Task<absl::Status> PgRoomList::Count(const RoomQuery& query, const std::vector<Param>& filter,
                                     const Place& first, RoomPage& page) {
  static const Statements statements = MakeAll(CountSql);
  std::vector<Param> params = Params(query, kCounted + 1, filter, first);
  const pg::ResultOr result = co_await pool_.Execute(LaneOf(query), Of(query, statements), std::move(params));
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
  if (found != counted_.end() && clock_.Now() - found->second.at < kRemembered) co_return found->second.rooms;
  std::vector<Param> params{Param::Text(service)};
  const pg::ResultOr result = co_await pool_.Execute(
      0, "SELECT count(*) FROM muc_rooms WHERE service = $1 AND is_listed", std::move(params));
  if (!result.ok()) co_return result.status();
  const std::int64_t rooms = (*result)->Int(0, 0);
  counted_[service] = {clock_.Now(), rooms};
  co_return rooms;
}

}  // namespace rookery::muc
