#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rookery/pg/pool.h"

namespace rookery::pg {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> Wrong(const std::string& connection) {
  Options options;
  options.connection = connection;
  config::Problems problems;
  options.Validate(problems);
  options.CheckFiles(problems);
  return problems.lines();
}

TEST(Options, AConnectionIsLibpqsWithoutAPassword) {
  EXPECT_THAT(Wrong("host=127.0.0.1 dbname=rookery"), IsEmpty());
  EXPECT_THAT(Wrong("postgresql://me@db.example:5432/rookery?sslmode=verify-full&sslrootcert=system"),
              IsEmpty());
  EXPECT_THAT(Wrong("hots=127.0.0.1"), ElementsAre(AllOf(HasSubstr("`pg.connection`"), HasSubstr("hots"))));
  EXPECT_THAT(Wrong("postgresql://me:secret@db.example/rookery"),
              ElementsAre(AllOf(HasSubstr("`pg.password`"), testing::Not(HasSubstr("secret")))));
}

TEST(Options, FilesThatTheConnectionNamesMustBeThere) {
  EXPECT_THAT(Wrong("host=db.example sslrootcert=/nonexistent/ca.pem"),
              ElementsAre(AllOf(HasSubstr("`pg.connection`"), HasSubstr("/nonexistent/ca.pem"))));
}

}  // namespace
}  // namespace rookery::pg
