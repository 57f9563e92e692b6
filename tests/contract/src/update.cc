// Records what the protos are today: see tests/contract/README.md.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>

#include "baseline.h"
#include "catalogue.h"
#include "golden.h"

namespace rookery::contract {
namespace {

/// `<base>`, or `<base>.2` and so on: what is there is never written again.
std::string FreeName(const std::vector<Golden>& goldens, const std::string& base) {
  const auto is_taken = [&](const std::string& name) {
    return std::any_of(goldens.begin(), goldens.end(),
                       [&](const Golden& golden) { return golden.name == name; });
  };
  if (!is_taken(base)) return base;
  int number = 2;
  while (is_taken(base + "." + std::to_string(number))) ++number;
  return base + "." + std::to_string(number);
}

int Update(bool anew) {
  const std::string directory = Directory() + "/golden";
  std::filesystem::create_directories(directory);
  if (anew) {
    for (const auto& entry : std::filesystem::directory_iterator(directory))
      std::filesystem::remove(entry.path());
  }
  const std::vector<Golden> goldens = ReadGoldens(directory);
  int wrong = 0;
  const auto complain = [&wrong](const std::string& what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    ++wrong;
  };
  if (!anew && std::filesystem::exists(BaselinePath()))
    for (const std::string& breach : Breaches(ReadBaseline(BaselinePath()), Today())) complain(breach);
  for (const Golden& golden : goldens)
    if (const std::string what = Check(golden); !what.empty()) complain(golden.name + ": " + what);
  if (wrong > 0) {
    std::fprintf(stderr, "Nothing is recorded: v1 changes by adding fields, and what goes is reserved.\n");
    return 1;
  }
  for (const auto* type : Roots()) {
    for (const std::size_t variant : MissingVariants(*type, goldens)) {
      const std::string name = FreeName(goldens, VariantName(*type, variant));
      WriteGolden(directory, MakeGolden(name, *MakeVariant(*type, variant)));
      std::printf("new: golden/%s\n", name.c_str());
    }
  }
  WriteBaseline(BaselinePath(), Today());
  std::printf("recorded: baseline.textproto\n");
  return 0;
}

}  // namespace
}  // namespace rookery::contract

int main(int argc, char** argv) {
  const bool anew = argc == 2 && std::string(argv[1]) == "--anew";
  if (argc > 2 || (argc == 2 && !anew)) {
    std::fprintf(stderr, "usage: rookery_contract_update [--anew]\n");
    return 2;
  }
  try {
    return rookery::contract::Update(anew);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
