#pragma once

#include <google/protobuf/message.h>

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace rookery::contract {

/// A message as it was serialised once: `<name>.textproto` says what it means, `<name>.hex`
/// has its bytes. The first lines of the text name the message type.
struct Golden {
  std::string name;
  std::string type;
  std::string text;
  std::string bytes;
};

/// All of a directory, sorted by name. Throws std::runtime_error when a half is missing or wrong.
std::vector<Golden> ReadGoldens(const std::string& directory);
void WriteGolden(const std::string& directory, const Golden& golden);

/// Returns what is wrong with a golden for today's code; empty: nothing.
std::string Check(const Golden& golden);

/// An empty message of the type; nullptr if there is none.
std::unique_ptr<google::protobuf::Message> NewMessage(const std::string& type);

/// As many variants as it takes to have each case of each `oneof` once.
std::size_t VariantCount(const google::protobuf::Descriptor& type);
/// The golden's name: the type, and what tells this variant from others.
std::string VariantName(const google::protobuf::Descriptor& type, std::size_t variant);
/// A message in which every field has a value, of each `oneof` one.
std::unique_ptr<google::protobuf::Message> MakeVariant(const google::protobuf::Descriptor& type,
                                                       std::size_t variant);

/// The full names of all fields that have a value, nested ones too.
std::set<std::string> FieldsOf(const google::protobuf::Message& message);

/// The variants of `type` with a field that no golden of the variant has.
std::vector<std::size_t> MissingVariants(const google::protobuf::Descriptor& type,
                                         const std::vector<Golden>& goldens);

Golden MakeGolden(const std::string& name, const google::protobuf::Message& message);

}  // namespace rookery::contract
