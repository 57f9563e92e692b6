#include "baseline.h"

#include <google/protobuf/text_format.h>

#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <stdexcept>

#include "catalogue.h"

namespace rookery::contract {

namespace {

using google::protobuf::DescriptorProto;
using google::protobuf::EnumDescriptorProto;
using google::protobuf::FieldDescriptorProto;
using google::protobuf::FileDescriptorProto;
using google::protobuf::FileDescriptorSet;
using google::protobuf::ServiceDescriptorProto;

constexpr char kHeader[] =
    "# proto-file: google/protobuf/descriptor.proto\n"
    "# proto-message: google.protobuf.FileDescriptorSet\n"
    "# Written by tests/contract/update.\n\n";

template <typename List, typename Item>
const Item* FindByName(const List& list, const Item& like) {
  for (const Item& item : list)
    if (item.name() == like.name()) return &item;
  return nullptr;
}

/// The types of fields that are there, as fields name them (".package.Message").
void CollectTypes(const DescriptorProto& message, std::set<std::string>& types) {
  for (const FieldDescriptorProto& field : message.field()) types.insert(field.type_name());
  for (const DescriptorProto& nested : message.nested_type()) CollectTypes(nested, types);
}

std::set<std::string> TypesOfFields(const FileDescriptorSet& files) {
  std::set<std::string> types;
  for (const FileDescriptorProto& file : files.file())
    for (const DescriptorProto& message : file.message_type()) CollectTypes(message, types);
  return types;
}

int LastOf(const DescriptorProto::ReservedRange& range) { return range.end() - 1; }
int LastOf(const EnumDescriptorProto::EnumReservedRange& range) { return range.end(); }

/// `Item`: a message or an enum.
template <typename Item>
bool IsReserved(const Item& item, int number) {
  for (const auto& range : item.reserved_range())
    if (range.start() <= number && number <= LastOf(range)) return true;
  return false;
}

template <typename Item>
bool IsReserved(const Item& item, const std::string& name) {
  for (const std::string& reserved : item.reserved_name())
    if (reserved == name) return true;
  return false;
}

class Comparer {
 public:
  Comparer(const FileDescriptorSet& before, const FileDescriptorSet& now)
      : types_before_(TypesOfFields(before)), types_now_(TypesOfFields(now)) {}

  std::vector<std::string> breaches;

  void Compare(const FileDescriptorProto& before, const FileDescriptorProto& now) {
    if (before.package() != now.package()) Breach(before.name(), "is of another package");
    if (before.syntax() != now.syntax()) Breach(before.name(), "is of another syntax");
    const std::string scope = before.package() + ".";
    for (const auto& message : before.message_type()) CompareIn(now.message_type(), message, scope);
    for (const auto& values : before.enum_type()) CompareIn(now.enum_type(), values, scope);
    for (const auto& service : before.service()) CompareIn(now.service(), service, scope);
  }

 private:
  void Breach(const std::string& what, const std::string& how) { breaches.push_back(what + ": " + how); }

  template <typename List, typename Item>
  void CompareIn(const List& list, const Item& before, const std::string& scope) {
    const Item* now = FindByName(list, before);
    if (now) {
      Compare(before, *now, scope + before.name());
    } else if (!HasGoneWithItsFields("." + scope + before.name())) {
      Breach(scope + before.name(), "is gone");
    }
  }

  /// Whether a message or an enum is gone: it was used by fields, and these are gone, too. Whether they may
  /// be is judged at the fields.
  bool HasGoneWithItsFields(const std::string& type) const {
    return types_before_.contains(type) && !types_now_.contains(type);
  }

  /// Checks that whatever is reserved remains so.
  template <typename Item>
  void CompareReserved(const Item& before, const Item& now, const std::string& name) {
    for (const std::string& reserved : before.reserved_name())
      if (!IsReserved(now, reserved)) Breach(name + "." + reserved, "is reserved no more");
    for (const auto& range : before.reserved_range())
      for (int number = range.start(); number <= LastOf(range); ++number)
        if (!IsReserved(now, number)) Breach(name + " = " + std::to_string(number), "is reserved no more");
  }

  void Compare(const DescriptorProto& before, const DescriptorProto& now, const std::string& name) {
    CompareReserved(before, now, name);
    for (const FieldDescriptorProto& field : before.field()) {
      const FieldDescriptorProto* same = nullptr;
      for (const FieldDescriptorProto& candidate : now.field())
        if (candidate.number() == field.number()) same = &candidate;
      const std::string full = name + "." + field.name() + " = " + std::to_string(field.number());
      if (!same) {
        if (!IsReserved(now, field.number()) || !IsReserved(now, field.name()))
          Breach(full, "is gone and not reserved, or has another number");
        continue;
      }
      if (same->name() != field.name()) Breach(full, "is called " + same->name());
      if (same->type() != field.type() || same->type_name() != field.type_name())
        Breach(full, "is of another type");
      if (same->label() != field.label()) Breach(full, "is repeated, or is so no more");
      if (same->proto3_optional() != field.proto3_optional()) Breach(full, "is optional, or is so no more");
      if (OneofOf(before, field) != OneofOf(now, *same)) Breach(full, "has moved into or out of a oneof");
    }
    for (const auto& message : before.nested_type()) CompareIn(now.nested_type(), message, name + ".");
    for (const auto& values : before.enum_type()) CompareIn(now.enum_type(), values, name + ".");
  }

  static std::string OneofOf(const DescriptorProto& message, const FieldDescriptorProto& field) {
    return field.has_oneof_index() ? message.oneof_decl(field.oneof_index()).name() : "";
  }

  void Compare(const EnumDescriptorProto& before, const EnumDescriptorProto& now, const std::string& name) {
    CompareReserved(before, now, name);
    for (const auto& value : before.value()) {
      const auto* same = FindByName(now.value(), value);
      if (!same) {
        if (!IsReserved(now, value.number()) || !IsReserved(now, value.name()))
          Breach(name + "." + value.name(), "is gone and not reserved");
      } else if (same->number() != value.number()) {
        Breach(name + "." + value.name(), "has another number");
      }
    }
  }

  void Compare(const ServiceDescriptorProto& before, const ServiceDescriptorProto& now,
               const std::string& name) {
    for (const auto& method : before.method()) {
      const auto* same = FindByName(now.method(), method);
      if (!same) {
        Breach(name + "." + method.name(), "is gone");
      } else if (same->input_type() != method.input_type() || same->output_type() != method.output_type() ||
                 same->client_streaming() != method.client_streaming() ||
                 same->server_streaming() != method.server_streaming()) {
        Breach(name + "." + method.name(), "asks or answers something else");
      }
    }
  }

  const std::set<std::string> types_before_;
  const std::set<std::string> types_now_;
};

}  // namespace

FileDescriptorSet Today() {
  FileDescriptorSet files;
  for (const auto* file : Files()) file->CopyTo(files.add_file());
  return files;
}

std::string BaselinePath() { return Directory() + "/baseline.textproto"; }

FileDescriptorSet ReadBaseline(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  FileDescriptorSet files;
  if (!google::protobuf::TextFormat::ParseFromString(text, &files))
    throw std::runtime_error(path + " is no FileDescriptorSet");
  return files;
}

void WriteBaseline(const std::string& path, const FileDescriptorSet& files) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(files, &text);
  std::ofstream file(path, std::ios::trunc);
  file << kHeader << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

std::vector<std::string> Breaches(const FileDescriptorSet& before, const FileDescriptorSet& now) {
  Comparer comparer(before, now);
  // A message may move to another file of its package: nothing of that crosses a process.
  std::map<std::string, FileDescriptorProto> packages;
  for (const FileDescriptorProto& file : now.file()) packages[file.package()].MergeFrom(file);
  for (const FileDescriptorProto& file : before.file()) {
    if (const auto* same = FindByName(now.file(), file)) {
      FileDescriptorProto all = packages[same->package()];
      all.set_package(same->package());
      all.set_syntax(same->syntax());
      comparer.Compare(file, all);
    } else {
      comparer.breaches.push_back(file.name() + ": is gone");
    }
  }
  return comparer.breaches;
}

}  // namespace rookery::contract
