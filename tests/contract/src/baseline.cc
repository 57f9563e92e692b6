#include "baseline.h"

#include <google/protobuf/text_format.h>

#include <fstream>
#include <iterator>
#include <map>
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

class Comparer {
 public:
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
    } else {
      Breach(scope + before.name(), "is gone");
    }
  }

  void Compare(const DescriptorProto& before, const DescriptorProto& now, const std::string& name) {
    for (const FieldDescriptorProto& field : before.field()) {
      const FieldDescriptorProto* same = nullptr;
      for (const FieldDescriptorProto& candidate : now.field())
        if (candidate.number() == field.number()) same = &candidate;
      const std::string full = name + "." + field.name() + " = " + std::to_string(field.number());
      if (!same) {
        Breach(full, "is gone, or has another number");
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
    for (const auto& value : before.value()) {
      const auto* same = FindByName(now.value(), value);
      if (!same) {
        Breach(name + "." + value.name(), "is gone");
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
  Comparer comparer;
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
