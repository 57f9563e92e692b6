#include "golden.h"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <stdexcept>

namespace rookery::contract {

namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr char kTextEnding[] = ".textproto";
constexpr char kBytesEnding[] = ".hex";
// Text-format tools understand it, too.
constexpr char kTypeLine[] = "# proto-message: ";
constexpr std::size_t kBytesInALine = 32;
// Deeper than any message of ours; a recursive one would end here.
constexpr int kMaxDepth = 12;

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

void WriteFile(const std::filesystem::path& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

std::string ToHex(const std::string& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    hex += {kDigits[byte >> 4], kDigits[byte & 15]};
    if (i % kBytesInALine == kBytesInALine - 1 || i + 1 == bytes.size()) hex += '\n';
  }
  return hex;
}

std::string FromHex(const std::string& hex, const std::string& name) {
  std::string bytes;
  int high = -1;
  for (const char c : hex) {
    if (c == '\n') continue;
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) throw std::runtime_error(name + kBytesEnding + " has more than hexadecimal digits");
    if (high < 0) {
      high = digit;
    } else {
      bytes += static_cast<char>(high << 4 | digit);
      high = -1;
    }
  }
  if (high >= 0) throw std::runtime_error(name + kBytesEnding + " ends in the middle of a byte");
  return bytes;
}

/// The `oneof` with the most cases in `type` and what it contains. Not those that `optional`
/// makes, which come after the others. It names the variants.
const google::protobuf::OneofDescriptor* WidestOneof(const Descriptor& type, int depth = 0) {
  const google::protobuf::OneofDescriptor* widest = nullptr;
  const auto consider = [&widest](const google::protobuf::OneofDescriptor* oneof) {
    if (oneof && (!widest || oneof->field_count() > widest->field_count())) widest = oneof;
  };
  for (int i = 0; i < type.real_oneof_decl_count(); ++i) consider(type.oneof_decl(i));
  if (depth < kMaxDepth) {
    for (int i = 0; i < type.field_count(); ++i) {
      if (const Descriptor* inner = type.field(i)->message_type()) consider(WidestOneof(*inner, depth + 1));
    }
  }
  return widest;
}

void Fill(Message& message, std::size_t variant, int depth);

/// A value that no other field of the message has, and that is long where length can differ.
void SetField(Message& message, const FieldDescriptor& field, std::size_t variant, int depth) {
  const Reflection& r = *message.GetReflection();
  const bool repeated = field.is_repeated();
  const int number = field.number();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING: {
      // Text is any UTF-8, bytes are any bytes.
      const std::string tail =
          field.type() == FieldDescriptor::TYPE_BYTES ? std::string("\0\xff", 2) : "-\xc3\xa9";
      if (!repeated) {
        r.SetString(&message, &field, field.name() + tail);
      } else {
        for (const char* which : {"first-", "second-"})
          r.AddString(&message, &field, which + field.name() + tail);
      }
      break;
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      repeated ? r.AddBool(&message, &field, true) : r.SetBool(&message, &field, true);
      break;
    case FieldDescriptor::CPPTYPE_INT32:
      repeated ? r.AddInt32(&message, &field, -number) : r.SetInt32(&message, &field, -number);
      break;
    case FieldDescriptor::CPPTYPE_UINT32: {
      const std::uint32_t value =
          std::numeric_limits<std::uint32_t>::max() - static_cast<std::uint32_t>(number);
      repeated ? r.AddUInt32(&message, &field, value) : r.SetUInt32(&message, &field, value);
      break;
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      const std::int64_t value = -(std::int64_t{1} << 40) - number;
      repeated ? r.AddInt64(&message, &field, value) : r.SetInt64(&message, &field, value);
      break;
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      const std::uint64_t value =
          std::numeric_limits<std::uint64_t>::max() - static_cast<std::uint64_t>(number);
      repeated ? r.AddUInt64(&message, &field, value) : r.SetUInt64(&message, &field, value);
      break;
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto& values = *field.enum_type();
      if (!repeated) {
        r.SetEnum(&message, &field, values.value(values.value_count() - 1));
      } else {
        for (int i = 1; i < values.value_count(); ++i) r.AddEnum(&message, &field, values.value(i));
      }
      break;
    }
    case FieldDescriptor::CPPTYPE_DOUBLE:
      repeated ? r.AddDouble(&message, &field, number + 0.5) : r.SetDouble(&message, &field, number + 0.5);
      break;
    case FieldDescriptor::CPPTYPE_FLOAT: {
      const float value = static_cast<float>(number) + 0.5F;
      repeated ? r.AddFloat(&message, &field, value) : r.SetFloat(&message, &field, value);
      break;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (depth >= kMaxDepth) break;
      Fill(repeated ? *r.AddMessage(&message, &field) : *r.MutableMessage(&message, &field), variant,
           depth + 1);
      break;
  }
}

void Fill(Message& message, std::size_t variant, int depth) {
  const Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const auto* oneof = field.real_containing_oneof();
    if (oneof && static_cast<std::size_t>(field.index_in_oneof()) !=
                     variant % static_cast<std::size_t>(oneof->field_count()))
      continue;
    SetField(message, field, variant, depth);
  }
}

void CollectFields(const Message& message, std::set<std::string>& names) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    names.insert(field->full_name());
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      CollectFields(reflection.GetMessage(message, field), names);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i)
      CollectFields(reflection.GetRepeatedMessage(message, field, i), names);
  }
}

bool HasUnknownFields(const Message& message) {
  const Reflection& reflection = *message.GetReflection();
  if (!reflection.GetUnknownFields(message).empty()) return true;
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      if (HasUnknownFields(reflection.GetMessage(message, field))) return true;
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i)
      if (HasUnknownFields(reflection.GetRepeatedMessage(message, field, i))) return true;
  }
  return false;
}

}  // namespace

std::vector<Golden> ReadGoldens(const std::string& directory) {
  std::vector<Golden> goldens;
  std::set<std::string> texts, bytes;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string ending = entry.path().extension().string();
    if (ending == kTextEnding) texts.insert(entry.path().stem().string());
    if (ending == kBytesEnding) bytes.insert(entry.path().stem().string());
  }
  if (texts != bytes) throw std::runtime_error("a golden lacks its text or its bytes");
  for (const std::string& name : texts) {
    Golden golden{
        .name = name, .type = {}, .text = ReadFile(directory + "/" + name + kTextEnding), .bytes = {}};
    const std::size_t at = golden.text.find(kTypeLine);
    if (at == std::string::npos) throw std::runtime_error(name + " does not name its message");
    const std::size_t begin = at + sizeof(kTypeLine) - 1;
    golden.type = golden.text.substr(begin, golden.text.find('\n', begin) - begin);
    golden.bytes = FromHex(ReadFile(directory + "/" + name + kBytesEnding), name);
    goldens.push_back(std::move(golden));
  }
  return goldens;
}

void WriteGolden(const std::string& directory, const Golden& golden) {
  WriteFile(directory + "/" + golden.name + kTextEnding, golden.text);
  WriteFile(directory + "/" + golden.name + kBytesEnding, ToHex(golden.bytes));
}

std::string Check(const Golden& golden) {
  const auto from_bytes = NewMessage(golden.type);
  const auto from_text = NewMessage(golden.type);
  if (!from_bytes) return "there is no message " + golden.type;
  if (!from_bytes->ParseFromString(golden.bytes)) return "the bytes cannot be parsed any more";
  if (HasUnknownFields(*from_bytes)) return "the bytes have a field that is unknown today";
  if (from_bytes->SerializeAsString() != golden.bytes) return "what the bytes mean is serialised differently";
  if (!google::protobuf::TextFormat::ParseFromString(golden.text, from_text.get()))
    return "the text cannot be parsed any more";
  if (from_text->SerializeAsString() != golden.bytes)
    return "the bytes mean something else than the text:\n" + from_bytes->DebugString();
  return {};
}

std::unique_ptr<Message> NewMessage(const std::string& type) {
  const Descriptor* found = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
  if (!found) return nullptr;
  return std::unique_ptr<Message>(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(found)->New());
}

std::size_t VariantCount(const Descriptor& type) {
  const auto* widest = WidestOneof(type);
  return widest ? static_cast<std::size_t>(widest->field_count()) : 1;
}

std::string VariantName(const Descriptor& type, std::size_t variant) {
  const auto* widest = WidestOneof(type);
  if (!widest) return type.full_name();
  return type.full_name() + "-" + widest->field(static_cast<int>(variant))->name();
}

std::unique_ptr<Message> MakeVariant(const Descriptor& type, std::size_t variant) {
  auto message = NewMessage(type.full_name());
  Fill(*message, variant, 0);
  return message;
}

std::set<std::string> FieldsOf(const Message& message) {
  std::set<std::string> names;
  CollectFields(message, names);
  return names;
}

std::vector<std::size_t> MissingVariants(const Descriptor& type, const std::vector<Golden>& goldens) {
  std::vector<std::size_t> missing;
  for (std::size_t variant = 0; variant < VariantCount(type); ++variant) {
    const std::string name = VariantName(type, variant);
    std::set<std::string> covered;
    for (const Golden& golden : goldens) {
      // Later additions: `<name>.2` and so on.
      if (golden.type != type.full_name() || (golden.name != name && !golden.name.starts_with(name + ".")))
        continue;
      const auto message = NewMessage(golden.type);
      if (message->ParseFromString(golden.bytes)) covered.merge(FieldsOf(*message));
    }
    const std::set<std::string> wanted = FieldsOf(*MakeVariant(type, variant));
    if (!std::includes(covered.begin(), covered.end(), wanted.begin(), wanted.end()))
      missing.push_back(variant);
  }
  return missing;
}

Golden MakeGolden(const std::string& name, const Message& message) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(message, &text);
  return {.name = name,
          .type = message.GetTypeName(),
          .text = "# proto-file: " + message.GetDescriptor()->file()->name() + "\n" + kTypeLine +
                  message.GetTypeName() + "\n\n" + text,
          .bytes = message.SerializeAsString()};
}

}  // namespace rookery::contract
